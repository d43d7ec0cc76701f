package e2e

import (
	"fmt"
	"slices"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/testing/twiliotest"
)

// Attack 18. Whatever the provider does, the person gets at most one message too
// many, with the same code, and the answer tells the client what to do.
func TestAttack18_ProviderFaults(t *testing.T) {
	rig := newParallelRig(t)
	elsewhere := twiliotest.Start(twiliotest.Account{})
	t.Cleanup(elsewhere.Close)
	p := rig.process(noPause)
	type test struct {
		name     string
		reply    twiliotest.Reply
		answer   string
		calls    int  // at most
		messages int  // at most
		resend   bool // a resend sends the code
	}
	tests := []test{
		{"time-out", twiliotest.Hang(), "502 provider_unavailable", 2, 0, true},
		{"time-out, but sent", twiliotest.Hang().Accepting(), "502 provider_unavailable", 2, 2, true},
		{"429", twiliotest.Refuse(429, 20429).With("Retry-After", "1"), "502 provider_unavailable", 3, 0, true},
		{"429 for a minute", twiliotest.Refuse(429, 20429).With("Retry-After", "60"), "502 provider_unavailable", 1, 0, true},
		{"500", twiliotest.Refuse(500, 20500), "502 provider_unavailable", 2, 0, true},
		{"500, but sent", twiliotest.Refuse(500, 20500).Accepting(), "502 provider_unavailable", 2, 2, true},
		{"503 without a body", twiliotest.Raw(503, ""), "502 provider_unavailable", 2, 0, true},
		{"a lost connection", twiliotest.Drop(), "502 provider_unavailable", 2, 0, true},
		{"a lost answer", twiliotest.Drop().Accepting(), "502 provider_unavailable", 2, 2, true},
		{"half an answer", twiliotest.Cut(), "201", 1, 1, true},
		{"HTML", twiliotest.Raw(200, "<html>hello</html>"), "502 provider_unavailable", 1, 0, true},
		{"bad JSON, but sent", twiliotest.Raw(200, "}{").Accepting(), "502 provider_unavailable", 1, 1, true},
		{"400 in an unknown form", twiliotest.Raw(400, "no"), "502 provider_unavailable", 1, 0, true},
		{"wrong credentials", twiliotest.Refuse(401, 20003), "502 provider_misconfigured", 1, 0, true},
		{"a redirect", twiliotest.Redirect(elsewhere.URL), "502 provider_misconfigured", 1, 0, true},
		{"not a number", twiliotest.Refuse(400, 21211), "400 invalid_request", 1, 0, false},
		{"not on WhatsApp", twiliotest.Refuse(400, 63003), "422 undeliverable", 1, 0, false},
		{"failed at once", twiliotest.AcceptFailed(63024), "422 undeliverable", 1, 0, false},
		{"blocked as SMS pumping", twiliotest.Refuse(403, 30450), "403 destination_refused", 1, 0, false},
	}
	var recipients []string
	for _, tc := range tests {
		number := newNumber()
		recipients = append(recipients, number)
		rig.twilio.For(number, tc.reply)
	}
	// All at the same time, because some of them last as long as the service waits.
	replies := concurrently(len(tests), func(i int) reply { return p.post("/api/otpsend", fields{"to": recipients[i]}) })
	for i, tc := range tests {
		r, number := replies[i], recipients[i]
		t.Run(tc.name, func(t *testing.T) {
			want(t, r, tc.answer)
			codes, sent := rig.calledCodes(number), rig.sentCodes(number)
			if len(codes) > tc.calls || len(sent) > tc.messages || len(slices.Compact(slices.Clone(codes))) != 1 {
				t.Errorf("%d calls and %d messages with the codes %v, want at most %d and %d with one code", len(codes), len(sent), codes, tc.calls, tc.messages)
			}
			if tc.name == "429 for a minute" && (r.number("retry_after") < 60 || r.header.Get("Retry-After") == "") {
				t.Errorf("the client may try again after %d s", r.number("retry_after"))
			}
			id, code := r.text("id"), codes[0]
			rig.twilio.For(number, twiliotest.Accept())
			resent := p.do("POST", "/api/otpsend/"+id, "", "")
			if !tc.resend {
				want(t, resent, "422 undeliverable")
				return
			}
			want(t, resent, "200")
			if again := rig.code(number); again != code {
				t.Errorf("the resend sent %s, want %s", again, code)
			}
			want(t, p.check(fields{"id": id, "code": code}), "200")
		})
	}
	if n := elsewhere.CallCount(); n != 0 {
		t.Errorf("the service followed a redirect %d times", n)
	}
}

// Attack 18, with a workflow. After a message that may have been sent, the service only
// tries the same message once more. After a refusal, it continues on the next channel.
func TestAttack18_ProviderFaultsInAWorkflow(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reply  twiliotest.Reply
		answer string
		calls  string // whatsapp and sms
	}{
		"a lost connection": {twiliotest.Drop(), "502 provider_unavailable", "2 0"},
		"500":               {twiliotest.Refuse(500, 20500), "502 provider_unavailable", "2 0"},
		"HTML":              {twiliotest.Raw(200, "<html>"), "502 provider_unavailable", "1 0"},
		"429":               {twiliotest.Refuse(429, 20429), "201", "3 1"},
		"no template":       {twiliotest.Refuse(400, 63016), "201", "1 1"},
		"fraud":             {twiliotest.Refuse(400, 30450), "403 destination_refused", "1 0"},
		"credentials":       {twiliotest.Refuse(401, 20003), "502 provider_misconfigured", "1 0"},
		"unknown number":    {twiliotest.Refuse(400, 30005), "422 undeliverable", "1 0"},
		"no number":         {twiliotest.Refuse(400, 21211), "400 invalid_request", "1 0"},
	} {
		t.Run(name, func(t *testing.T) {
			rig := newParallelRig(t)
			c := rig.process(append(everyChannel, noPause)...).client
			number := newNumber()
			rig.twilio.ForChannel(channel.WhatsApp, number, tc.reply)
			want(t, c.post("/api/otpsend", fields{"to": number}), tc.answer)
			whatsapp, sms := 0, 0
			for _, call := range rig.twilio.Calls() {
				if call.Form.Get("To") == number {
					sms++
				} else {
					whatsapp++
				}
			}
			if got := fmt.Sprint(whatsapp, " ", sms); got != tc.calls {
				t.Errorf("%s calls, want %s", got, tc.calls)
			}
			if codes := rig.calledCodes(number); len(codes) > 1 && codes[0] != codes[len(codes)-1] {
				t.Errorf("the codes are %q", codes)
			}
			if name == "fraud" { // the number gets no message for an hour, over no channel
				again := c.post("/api/otpsend", fields{"to": number, "channel": "sms"})
				if want(t, again, "403 destination_refused"); again.number("retry_after") < 3500 {
					t.Errorf("blocked for %d s", again.number("retry_after"))
				}
			}
		})
	}
}
