package handler_test

import (
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

// withProven registers alice, whose number is proven.
func withProven(t *testing.T) *rig {
	t.Helper()
	r := newRig(t).noPause()
	r.put("/api/users/alice", object("phone", alice, "locale", "de")).want(201)
	r.post("/api/otpsend", object("user", "alice", "channel", "sms")).want(201)
	r.post("/api/otpverify", object("user", "alice", "code", r.Sender(channel.SMS).Last().Code)).want(200)
	return r
}

func TestAlertsOverHTTP(t *testing.T) {
	t.Parallel()
	r := withProven(t)
	const path, place, device = "/api/users/alice/alerts", "Canary-Wharf", "Canary-Phone"
	r.Secret("the place", place)
	r.Secret("the device", device)
	sent := r.post(path, `{"event": "new_sign_in", "detail": {"place": "`+place+`", "device": "`+device+`"}}`).want(200)
	wantBody(t, sent, `{"status": "sent", "to": "+1******0123", "channel": "sms"}`)
	m := r.Sender(channel.SMS).Last()
	if want := (notify.Message{To: alice, Alert: true, Event: notify.EventNewSignIn, Place: place, Device: device, Brand: "Acme", Locale: "de"}); m != want {
		t.Errorf("sent %+v", m)
	}
	line := r.lastLine()
	for key, want := range map[string]any{"function": "users", "event": "new_sign_in", "alerted": true, "to": "+1******0123", "country": "US", "channel": "sms"} {
		wantEqual(t, "the logged "+key, line[key], want)
	}
	again := r.post(path, `{"event": "new_sign_in"}`).problem(429, problem.TooManySends)
	if wantEqual(t, "retry_after", again.number("retry_after"), 3600); !strings.Contains(again.body, "alert") || again.header.Get("Retry-After") != "3600" {
		t.Errorf("%v %s", again.header, again.body)
	}

	// A form says the same. The ~ form of the name is the same user.
	r.Advance(time.Hour)
	r.postForm("/api/Users/"+tilde("alice")+"/alerts/", form("event", "new_sign_in", "detail.place", "Rome"))
	wantEqual(t, "the place of a form", r.Sender(channel.SMS).Last().Place, "Rome")

	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
		res := r.do(method, path, typeJSON, `{"event": "other"}`)
		wantEqual(t, method, res.status, 405)
		wantEqual(t, "Allow", res.header.Get("Allow"), "POST")
	}
	r.post("/api/users/nobody/alerts", `{"event": "other"}`).problem(404, problem.NotFound)
	r.post("/api/users/bob%2Fx/alerts", `{"event": "other"}`).problem(400, problem.InvalidRequest)
	r.post(path+"/x", `{"event": "other"}`).problem(404, problem.NotFound)
	r.post(path, "").problem(400, problem.InvalidRequest)
}

func TestAlertsThatAreRefusedOverHTTP(t *testing.T) {
	t.Parallel()
	r := withProven(t)
	before := r.Sent()
	for _, tc := range []struct {
		body, says string
		fields     []string
	}{
		{`{}`, "wrong_password, new_sign_in and other", []string{"event"}},
		{`{"event": "WRONG_PASSWORD"}`, "wrong_password", []string{"event"}},
		{`{"event": "other", "detail": {"place": "482913"}}`, "detail.place: Four digits", []string{"detail.place"}},
		{`{"event": "other", "detail": {"place": "Rome", "device": "evil.test"}}`, "Links", []string{"detail.device"}},
		{`{"event": "other", "detail": {"place": "{{1}}", "device": "a\nb"}}`, "placeholders", []string{"detail.place", "detail.device"}},
		{`{"event": "other", "detail": {"place": "` + strings.Repeat("x", 41) + `"}}`, "40 characters", []string{"detail.place"}},
		{`{"event": "other", "detail": {"city": "Rome"}}`, "no such field", []string{"detail.city"}},
		{`{"event": "other", "detail": "Rome"}`, "object of strings", []string{"detail"}},
		{`{"event": 1}`, "All fields are strings", []string{"event"}},
	} {
		if res := r.post("/api/users/alice/alerts", tc.body).problem(400, problem.InvalidRequest).wantFields(tc.fields...); !strings.Contains(res.body, tc.says) {
			t.Errorf("%s: %s", tc.body, res.body)
		}
	}
	wantEqual(t, "messages", r.Sent(), before)

	r.put("/api/users/bob", object("phone", bob)).want(201)
	if res := r.post("/api/users/bob/alerts", `{"event": "other"}`).problem(422, problem.Undeliverable); !strings.Contains(res.body, "proven") {
		t.Errorf("no proven address: %s", res.body)
	}
	for _, c := range []channel.Channel{channel.SMS, channel.WhatsApp} {
		r.Sender(c).Always(&notify.Failure{Outcome: otp.OutcomeUnavailable})
	}
	r.post("/api/users/alice/alerts", `{"event": "other"}`).problem(502, problem.ProviderUnavailable)
}
