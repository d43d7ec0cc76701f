package twilio

import (
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/testing/gatewaytest"
	"twofa/internal/testing/twiliotest"
)

// TestRetries plays the scripts with Twilio's error numbers and answers. The suite has the
// other ones.
func TestRetries(t *testing.T) {
	accept, refuse, raw, hang := twiliotest.Accept, twiliotest.Refuse, twiliotest.Raw, twiliotest.Hang
	unavailable := func(code int, detail string) *notify.Failure {
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Code: code, Unexplained: strings.HasPrefix(detail, "refused with"), Detail: detail}
	}
	foreign := gatewaytest.Ambiguous("unexpected success 200")
	messages := []channel.Channel{channel.WhatsApp, channel.SMS} // a Call has no error number
	type script []gatewaytest.Reply
	var scripts []gatewaytest.Script
	for _, tc := range []struct {
		name     string
		channels []channel.Channel // nil: all
		replies  script
		calls    int
		accepted int
		want     *notify.Failure
	}{
		{"a 5xx counts, whatever its number", nil, script{refuse(500, 63012)}, 2, 1, nil},
		{"20429 under another status", nil, script{refuse(400, 20429)}, 2, 1, nil},
		{"429 with another number", nil, script{refuse(429, 63018)}, 1, 0, unavailable(63018, "the WhatsApp sender has reached its rate limit")},
		{"a wrong number does not undo that the first may have sent", nil, script{hang().Accepting(), refuse(400, 21211)}, 2, 1,
			&notify.Failure{Outcome: otp.OutcomeInvalidAddress, Code: 21211, MayHaveSent: true, Next: addressIsWrong, Detail: "the number is not valid"}},

		{"201 that is garbage", nil, script{raw(201, "<html>").Accepting()}, 1, 1, nil},
		{"201 without a body", nil, script{raw(201, "").Accepting()}, 1, 1, nil},
		{"201 cut short", nil, script{twiliotest.Cut()}, 1, 1, nil},
		{"201 too long to read", nil, script{raw(201, strings.Repeat("x", 2*gateway.MaxBody)).Accepting()}, 1, 1, nil},
		{"201 that has failed already", messages, script{twiliotest.AcceptFailed(63024)}, 1, 0,
			&notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 63024, Detail: "the number cannot receive WhatsApp messages"}},
		{"201 that has failed with an unknown number", messages, script{twiliotest.AcceptFailed(63999)}, 1, 0, unavailable(63999, "the message failed at once")},
		{"201 that has failed without a number", nil, script{raw(201, `{"status":"failed"}`)}, 1, 0, unavailable(0, "the message failed at once")},
		{"200 with a message", nil, script{raw(200, `{"sid":"SM00112233445566778899aabbccddeeff","status":"queued"}`).Accepting()}, 1, 1, nil},
		{"200 with a call", nil, script{raw(200, `{"sid":"CA00112233445566778899aabbccddeeff","status":"queued"}`).Accepting()}, 1, 1, nil},
		{"200 with something else", nil, script{raw(200, `{"sid":"MG00112233445566778899aabbccddeeff"}`)}, 1, 0, foreign},
		{"201 that is busy", nil, script{raw(201, `{"status":"busy"}`)}, 1, 0, unavailable(0, "the message failed at once")},
		{"201 that is not answered", nil, script{raw(201, `{"status":"no-answer"}`)}, 1, 0, unavailable(0, "the message failed at once")},
	} {
		scripts = append(scripts, gatewaytest.Script{Name: tc.name, Channels: tc.channels, Replies: append(tc.replies, accept()), Calls: tc.calls, Accepted: tc.accepted, Want: tc.want})
	}
	messenger().RunScripts(t, scripts)
}

// TestFailuresOfATableAreNotShared checks that a failure of the table of error numbers is a
// value of its own, which the caller may change.
func TestFailuresOfATableAreNotShared(t *testing.T) {
	r, _ := newRig(t, nil)
	r.Next(twiliotest.Refuse(400, 63024), twiliotest.Refuse(400, 63024))
	first := r.Failure(t, channel.WhatsApp, message())
	first.Outcome, first.Detail = otp.OutcomeRefused, "changed"
	if second := r.Failure(t, channel.WhatsApp, message()); second.Outcome != otp.OutcomeUndeliverable || second.Detail == "changed" {
		t.Errorf("got %+v", second)
	}
}
