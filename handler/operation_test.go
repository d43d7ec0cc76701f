package handler_test

import (
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

// The log names the fields at fault by the names of the API.
func TestALineNamesTheFieldsAtFault(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, tc := range []struct{ name, method, path, body, want string }{
		{"several fields", "POST", "/api/otpsend", `{"to": "1", "channel": "pigeon"}`, "to,channel"},
		{"a field of an object", "POST", "/api/otpsend", `{"to": "` + alice + `", "context": {"amount": 5}}`, "context.amount"},
		{"a member of a list", "POST", "/api/otpsend", `{"channels": ["sms", 5]}`, "channels"},
		{"a field of another route", "POST", "/api/otpverify", `{"locale": "en"}`, "?"},
		{"the path", "GET", "/api/otpsend/VE1", "", "id"},
		{"a name in the path", "GET", "/api/users/a%25b", "", "user"},
		{"one field twice", "POST", "/api/otpsend", `{"to": "` + alice + `", "channel": "sms", "channels": ["pigeon"]}`, "channels"},
	} {
		r.do(tc.method, tc.path, typeJSON, tc.body).problem(400, problem.InvalidRequest)
		wantEqual(t, tc.name, r.lastLine()["fields"], any(tc.want))
	}
	r.do("POST", "/api/otpsend", typeJSON, object("to", alice), "Idempotency-Key", "a b").problem(400, problem.InvalidRequest)
	wantEqual(t, "a header", r.lastLine()["fields"], any("Idempotency-Key"))
	r.put("/api/users/alice", object("phone", alice), "If-Match", "x", "If-None-Match", "x").problem(400, problem.InvalidRequest)
	wantEqual(t, "headers", r.lastLine()["fields"], any("If-Match,If-None-Match"))
	r.post("/api/otpsend", "[]").problem(400, problem.InvalidRequest)
	wantEqual(t, "no field", r.lastLine()["fields"], nil)
}

// A replay differs from a start, and a claim from a check, though the routes are the same.
func TestALineNamesTheOperation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	start := func() { r.do("POST", "/api/otpsend", typeJSON, object("to", alice), "Idempotency-Key", "1").want(201) }
	refused := func() {
		r.do("POST", "/api/otpsend", typeJSON, object("to", bob), "Idempotency-Key", "2").problem(422, problem.Undeliverable)
	}
	for _, tc := range []struct {
		name string
		ask  func()
		want any
	}{
		{"the first start", start, "start"},
		{"the second", start, "replay"},
		{"a start that is refused", func() {
			r.sender.Answer(&notify.Failure{Outcome: otp.OutcomeUndeliverable})
			refused()
		}, "start"},
		{"its repetition", refused, "replay"},
		{"a check without an id", func() { r.post("/api/otpverify", object("to", alice)) }, "check"},
		{"a claim", func() { r.post("/api/otpverify", object("id", "VE0123456789abcdef0123456789abcdef")) }, "claim"},
		{"no path", func() { r.get("/api") }, nil},
		{"no method", func() { r.get("/api/otpverify") }, nil},
	} {
		tc.ask()
		wantEqual(t, tc.name, r.lastLine()["operation"], tc.want)
	}
}

// The line has who delivered, how long that took, and what the provider said.
func TestALineHasTheProviderAndItsTime(t *testing.T) {
	t.Parallel()
	r := newRig(t).noPause()
	r.sender.During(func(notify.Message) { r.Advance(1500 * time.Millisecond) })
	r.Sender("sms").During(func(notify.Message) { r.Advance(250 * time.Millisecond) })
	r.sender.Answer(unreachable)
	id := r.post("/api/otpsend", `{"to": "`+alice+`", "channels": ["whatsapp", "sms"]}`).want(201).text("id")
	line := r.lastLine()
	wantEqual(t, "provider", line["provider"], any("rig"))
	wantEqual(t, "provider_ms of two messages", line["provider_ms"], any(1750.0))
	wantEqual(t, "provider_error", line["provider_error"], any(63024.0))
	wantEqual(t, "channel", line["channel"], any("sms"))
	wantEqual(t, "sent", line["sent"], any(true))

	r.Advance(40 * time.Second)
	r.check(id, r.Sender("sms").Last().Code).want(200)
	line = r.lastLine()
	wantEqual(t, "age_ms", line["age_ms"], any(41_750.0))
	wantEqual(t, "sent by a check", line["sent"], nil)
	r.check(id, "123456").problem(409, problem.AlreadyUsed)
	wantEqual(t, "age_ms of a code that was used", r.lastLine()["age_ms"], nil)

	r.sender.Answer(unreachable)
	r.post("/api/otpsend", object("to", bob)).problem(422, problem.Undeliverable)
	wantEqual(t, "sent of a refused message", r.lastLine()["sent"], nil)
}

// A warning is no code.
func TestALineSaysThatAPersonWasWarned(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id, code := r.start(alice)
	for range 5 {
		wantEqual(t, "alerted before the last wrong code", r.lastLine()["alerted"], nil)
		r.check(id, wrong(code))
	}
	line := r.lastLine()
	wantEqual(t, "alerted", line["alerted"], any(true))
	wantEqual(t, "sent", line["sent"], nil)
	wantEqual(t, "provider", line["provider"], any("rig"))
}

// An operator sees whom a refused request was for, as far as that is known.
func TestALineOfARefusedStartSaysWhatWasAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, tc := range []struct {
		name, body           string
		country, to, purpose any
	}{
		{"a number of another country", object("to", "+442071838750", "purpose", "pay"), "GB", "+44******8750", "pay"},
		{"a number that costs extra", object("to", "+19005550123"), "US", "+1******0123", "login"},
		{"another field", object("to", alice, "channel", "pigeon", "purpose", "pay"), "US", "+1******0123", "pay"},
		{"mail", object("to", fixture.AliceMail, "channel", "sms"), nil, "a******@example.com", "login"},
		{"no number", object("to", "+1", "purpose", "pay"), nil, nil, "pay"},
		{"no purpose", object("to", alice, "purpose", "PAY"), "US", "+1******0123", nil},
		{"a number as the purpose", object("to", alice, "channel", "pigeon", "purpose", "4155550123"), "US", "+1******0123", nil},
	} {
		if res := r.post("/api/otpsend", tc.body); res.status < 400 {
			t.Fatalf("%s: %s", tc.name, res.body)
		}
		line := r.lastLine()
		wantEqual(t, tc.name+": country", line["country"], tc.country)
		wantEqual(t, tc.name+": to", line["to"], tc.to)
		wantEqual(t, tc.name+": purpose", line["purpose"], tc.purpose)
	}
	r.put("/api/users/alice", object("phone", "+442071838750")).problem(403, problem.DestinationRefused)
	wantEqual(t, "country of a user's number", r.lastLine()["country"], any("GB"))
}
