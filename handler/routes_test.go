package handler_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

func TestUsersOverHTTP(t *testing.T) {
	s := newService(t, noPause)
	made := s.do("PUT", "/api/users/alice", typeJSON, `{"phone": "`+alice+`", "channels": ["sms", "whatsapp"], "locale": "de"}`).want(201)
	wantBody(t, made, `{"name": "alice", "phone": "+1******0123", "locale": "de", "channels": ["sms", "whatsapp"], "verified": {"phone": false}, "updated_at": "*"}`)
	tag := made.header.Get("ETag")
	if len(tag) != 18 {
		t.Errorf("ETag %q", tag)
	}
	if got := s.do("GET", "/api/users/alice", "", "").want(200).header.Get("ETag"); got != tag {
		t.Errorf("ETag %q, at the start it was %q", got, tag)
	}

	started := s.post("/api/otpsend", object("user", "alice")).want(201)
	if m := s.sender.last(); started.text("channel") != "sms" || m.To != alice || m.Locale != "de" {
		t.Errorf("sent to %s over %s in %q", m.To, started.text("channel"), m.Locale)
	}
	s.post("/api/otpverify", object("user", "alice", "code", s.sender.last().Code)).want(200)
	verified := s.do("GET", "/api/users/alice", "", "").want(200)
	if !strings.Contains(verified.body, `"verified":{"phone":true}`) || verified.header.Get("ETag") == tag {
		t.Errorf("after an approval: %s, ETag %s", verified.body, verified.header.Get("ETag"))
	}

	// As a form, another number, for whoever knows the state.
	s.do("PUT", "/api/users/alice", typeForm, form("phone", bob, "channels", "sms,whatsapp"), "If-Match", tag).problem(412, problem.PreconditionFailed)
	changed := s.do("PUT", "/API/Users/alice/", typeForm, form("phone", bob, "channels", "sms,whatsapp"), "If-Match", verified.header.Get("ETag")).want(200)
	if !strings.Contains(changed.body, `"verified":{"phone":false}`) {
		t.Errorf("another number is verified: %s", changed.body)
	}

	for _, bad := range []string{"", "0123456789abcdef", `W/"x`} {
		s.do("PUT", "/api/users/alice", typeJSON, object("phone", alice), "If-Match", bad).problem(400, problem.InvalidRequest)
	}
	wantNothing(t, s.do("DELETE", "/api/users/alice", "", ""))
	s.do("GET", "/api/users/alice", "", "").problem(404, problem.NotFound)
	if got := s.do("GET", "/api/users/alice", "", "").header.Get("ETag"); got != "" {
		t.Errorf("ETag %q of nobody", got)
	}
	s.do("POST", "/api/users/alice", typeJSON, `{}`).problem(405, problem.MethodNotAllowed)
}

// wantNothing wants 204, which has no body and says nothing of one.
func wantNothing(t *testing.T, res *response) {
	t.Helper()
	if res.status != 204 || res.body != "" || res.header.Get("Content-Type") != "" || res.header.Get("X-Request-Id") == "" {
		t.Errorf("answered %d %v %q, want 204 and nothing", res.status, res.header, res.body)
	}
}

// A name comes back as it was given, whatever has to be escaped in a path, and
// its case is kept; what cannot stand in a path is refused and reaches nobody.
func TestAUsersNameInAPath(t *testing.T) {
	s := newService(t)
	for _, name := range []string{"Ümläut Straße", "100% Acme", "a+b", "x@y.example", "日本語", "😀", "API", "a:b;c=d,e&f", "a%zz"} {
		path := "/api/users/" + url.PathEscape(name)
		if got := s.do("PUT", path, typeJSON, object("phone", alice, "name", name)).want(201).text("name"); got != name {
			t.Errorf("%q was registered as %q", name, got)
		}
		s.do("GET", path, "", "").want(200)
	}
	rows := len(s.rows())
	for _, path := range []string{"/api/users/", "/api/users", "/api/users/a/b", "/api/users/..", "/api/users/a/../b"} {
		if res := s.do("PUT", path, typeJSON, object("phone", alice)); res.status != 404 {
			t.Errorf("%s: %d %s", path, res.status, res.body)
		}
	}
	for _, path := range []string{"/api/users/a%2Fb", "/api/users/%2e%2e", "/api/users/%252e", "/api/users/a%5Cb", "/api/users/%00", "/api/users/%FF", "/api/users/a%3Fb", "/api/users/%20a"} {
		s.do("PUT", path, typeJSON, object("phone", alice)).problem(400, problem.InvalidRequest)
	}
	s.do("PUT", "/api/users/Admin", typeJSON, object("phone", alice, "name", "%41dmin")).problem(400, problem.InvalidRequest)
	if got := len(s.rows()); got != rows {
		t.Errorf("%d rows came about", got-rows)
	}
}

func TestCallbacksOverHTTP(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	s.hooks.report = notify.Report{Verification: otp.ID(id), Attempt: 1, Status: otp.Delivered}

	s.do("POST", "/hooks/twilio/status", typeForm, "x=1").problem(403, problem.Forbidden)
	if got := s.do("GET", "/api/otpsend/"+id, "", "").body; !strings.Contains(got, `"status":"queued"`) {
		t.Errorf("an unsigned callback had an effect: %s", got)
	}
	wantNothing(t, s.do("POST", "/hooks/Twilio/Status", typeForm, "x=1", "Signed", "yes"))
	if got := s.do("GET", "/api/otpsend/"+id, "", "").body; !strings.Contains(got, `"status":"delivered"`) {
		t.Errorf("a signed callback had no effect: %s", got)
	}
	if line := s.lastLine(); line["function"] != "otpsend" {
		t.Errorf("logged as %v", line["function"])
	}
	s.do("GET", "/hooks/twilio/status", "", "").problem(405, problem.MethodNotAllowed)
	s.do("POST", "/hooks/twilio/other", typeForm, "x=1", "Signed", "yes").problem(404, problem.NotFound)

	s.hooks.inbound = notify.Inbound{From: alice, Channel: notify.WhatsApp, Text: "NO"}
	s.do("POST", "/hooks/twilio/inbound", typeForm, "x=1").problem(403, problem.Forbidden)
	said := s.do("POST", "/hooks/twilio/inbound", typeForm, "x=1", "Signed", "yes")
	if said.status != 200 || said.header.Get("Content-Type") != "text/xml" || said.body != "<Response>denied</Response>" {
		t.Errorf("answered %d %s %q", said.status, said.header.Get("Content-Type"), said.body)
	}
	s.check(id, code).problem(410, problem.Denied)
}

func TestIdempotencyKeyOverHTTP(t *testing.T) {
	s := newService(t, noPause)
	send := func(key string) *response {
		return s.do("POST", "/api/otpsend", typeJSON, object("to", alice), "Idempotency-Key", key)
	}
	first := send("a-1").want(201)
	if first.header.Get("Idempotency-Replayed") != "" {
		t.Error("the first answer says that it is a repetition")
	}
	s.clock.advance(time.Minute)
	again := send("a-1").want(201)
	if again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" || s.sender.calls() != 1 {
		t.Errorf("%d messages; the repetition was answered %v\n%s, first\n%s", s.sender.calls(), again.header, again.body, first.body)
	}
	// The same request as a form is the same request.
	form := s.do("POST", "/api/otpsend", typeForm, form("to", alice), "Idempotency-Key", "a-1").want(201)
	if form.body != first.body {
		t.Errorf("as a form: %s", form.body)
	}
	if send("a-2").want(201); s.sender.calls() != 2 {
		t.Errorf("another key: %d messages, want 2", s.sender.calls())
	}
	for _, bad := range []string{"", "a b", "ä", "a,b", strings.Repeat("x", 65)} {
		send(bad).problem(400, problem.InvalidRequest)
	}
	r, err := http.NewRequest("POST", "/api/otpsend", strings.NewReader(object("to", alice)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {typeJSON}, "Idempotency-Key": {"a-1", "a-2"}}
	s.serve(r).problem(400, problem.InvalidRequest)
}
