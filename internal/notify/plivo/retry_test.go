package plivo

import (
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/testing/gatewaytest"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/plivotest"
)

// TestRetries plays the scripts with Plivo's answers. The suite has the other ones. An
// answer that does not show Plivo's id is unclear, and is not repeated.
func TestRetries(t *testing.T) {
	foreign := gatewaytest.Ambiguous("unexpected success 202")
	var scripts []gatewaytest.Script
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   *notify.Failure
	}{
		{"202 that is a page", 202, "<html>", foreign},
		{"202 without a body", 202, "", foreign},
		{"202 without an id", 202, `{"message":"message(s) queued"}`, foreign},
		{"202 with no id in its list", 202, `{"message_uuid":[]}`, foreign},
		{"202 with two ids", 202, `{"message_uuid":["` + uuid + `","` + uuid + `"]}`, foreign},
		{"202 with something else as id", 202, `{"message_uuid":["1"]}`, foreign},
		{"202 with an id and an error", 202, `{"message_uuid":["` + uuid + `"],"error":"no"}`, foreign},
		{"202 of a message and a call", 202, `{"message_uuid":["` + uuid + `"],"request_uuid":"` + uuid + `"}`, foreign},
		{"202 with more behind it", 202, `{"message_uuid":["` + uuid + `"]}{}`, foreign},
		{"202 too long to read", 202, `{"message":"` + strings.Repeat("x", 2*gateway.MaxBody) + `","message_uuid":["` + uuid + `"]}`, foreign},
		{"200 with an id", 200, `{"message_uuid":["` + uuid + `"]}`, nil},
		{"201 with a call", 201, `{"request_uuid":"` + uuid + `","error":null}`, nil},
	} {
		replies := []gatewaytest.Reply{plivotest.Raw(tc.status, tc.body), plivotest.Accept()}
		scripts = append(scripts, gatewaytest.Script{Name: tc.name, Replies: replies, Calls: 1, Want: tc.want})
	}
	messenger().RunScripts(t, scripts)
}

// A 202 that is cut short does not show Plivo's id. So it is unclear, and is not repeated.
func TestACutAnswer(t *testing.T) {
	for _, c := range channels {
		inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
			r.Next(plivotest.Cut(), plivotest.Accept())
			f := r.Failure(t, c, tracked())
			if !f.MayHaveSent || f.Outcome != otp.OutcomeUnavailable || !strings.HasPrefix(f.Detail, "unexpected success 20") {
				t.Errorf("%s: got %+v", c, f)
			}
			r.WantCalls(t, 1, 1)
		})
	}
}
