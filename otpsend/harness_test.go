package otpsend_test

import (
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
)

const (
	alice  = fixture.Alice
	mail   = fixture.AliceMail
	canary = "canary-name"
)

var (
	noon    = fixture.Noon
	toAlice = otpsend.Request{To: alice}
	toUser  = otpsend.Request{User: canary}
)

// What providers answer. The numbers are Twilio's.
var (
	undeliverable = &notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 63024}
	landline      = &notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 21614, Next: otp.NextCall}
)

// newRig returns a rig over all channels, with a user who has both addresses.
func newRig(t *testing.T) *rig.Rig {
	t.Helper()
	r := rig.New(t, channel.Sending...)
	r.User(user.User{Name: canary, Phone: alice, Email: mail})
	return r
}

func withoutPause(p *otp.Policy) { p.ResendAfter = 0 }

// whatsApp is the sender of the only channel that a rig has by default.
func whatsApp(r *rig.Rig) *rig.Sender { return r.Sender(channel.WhatsApp) }

// pause waits until the address may get another message.
func pause(r *rig.Rig) { r.Advance(r.Verify.Policy.ResendAfter) }

// start starts a verification with an idempotency key.
func start(r *rig.Rig, req otpsend.Request, key string) (a otpsend.Answer, replayed bool, err error) {
	return r.Send.Start(r.Ctx(), req, key)
}

// testNumber makes Alice's number a test number for an hour.
func testNumber(r *rig.Rig, ending otp.Ending) {
	const code = "424242"
	r.Secret("a code", code)
	r.TestNumbers(otp.TestNumbers{
		Scenarios: map[string]otp.Scenario{alice: {Ending: ending, Code: code}}, Until: noon.Add(time.Hour),
	})
}

// wantField fails the test unless the error has one fault, "field: message", that
// begins so.
func wantField(t *testing.T, e *problem.Error, want string) {
	t.Helper()
	if len(e.Fields) != 1 || !strings.HasPrefix(e.Fields[0].Name+": "+e.Fields[0].Message, want) {
		t.Errorf("faults %q, want %s", e.Fields, want)
	}
}

// wantUntouched fails the test if the store was called or a message was sent.
func wantUntouched(r *rig.Rig, calls int) {
	r.TB.Helper()
	if r.Table.Calls() != calls || r.Sent() != 0 {
		r.TB.Errorf("%d calls of the store, want %d; %d messages", r.Table.Calls(), calls, r.Sent())
	}
}
