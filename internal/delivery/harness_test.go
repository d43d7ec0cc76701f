package delivery_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
)

const (
	alice  = fixture.Alice
	bob    = fixture.Bob
	mail   = fixture.AliceMail
	canary = "canary-name"
)

// Requests of most tests.
var (
	toAlice = otpsend.Request{To: alice}
	toUser  = otpsend.Request{User: canary}
)

// What providers answer. The numbers are Twilio's.
var (
	notOnWhatsApp = &notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 63024}
	landline      = &notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 21614, Next: otp.NextCall}
	noSuchNumber  = &notify.Failure{Outcome: otp.OutcomeInvalidAddress, Code: 21211, Next: otp.NextAddress}
	fraud         = &notify.Failure{Outcome: otp.OutcomeRefused, Code: 30450, Next: otp.NextNone}
	noTemplate    = &notify.Failure{Outcome: otp.OutcomeMisconfigured, Code: 21655, Setting: "TWILIO_CONTENT_SID", Detail: "the template does not exist"}
	busy          = &notify.Failure{Outcome: otp.OutcomeUnavailable, Code: 20429, RetryAfter: 45 * time.Second}
	filtered      = &notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 30007, Next: otp.NextCall, Warn: true}
	unclear       = &notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: true}
)

// answers is what senders answer to every message; nil: accepted.
type answers map[channel.Channel]error

func (a answers) set(r *rig.Rig) {
	for c, answer := range a {
		r.Sender(c).Always(answer)
	}
}

// newRig returns a rig with a user who has both addresses, and without a pause
// between messages.
func newRig(t *testing.T, channels ...channel.Channel) *rig.Rig {
	t.Helper()
	r := rig.New(t, channels...)
	r.Policy(func(p *otp.Policy) { p.ResendAfter = 0 })
	r.User(user.User{Name: canary, Phone: alice, Email: mail})
	return r
}

// trace lists the messages of a verification, as "whatsapp failed 63024, sms queued".
func trace(r *rig.Rig, id otp.ID) string {
	r.TB.Helper()
	var steps []string
	for _, a := range r.Status(id).Delivery.Attempts {
		step := string(a.Channel) + " " + string(a.Status)
		if a.Error != 0 {
			step += fmt.Sprint(" ", a.Error)
		}
		steps = append(steps, step)
	}
	return strings.Join(steps, ", ")
}

// wantTrace fails the test unless the verification has these messages, and that
// many were sent in all.
func wantTrace(r *rig.Rig, id otp.ID, want string, sent int) {
	r.TB.Helper()
	if got := trace(r, id); got != want || r.Sent() != sent {
		r.TB.Errorf("messages: %s; %d sent; want %s; %d sent", got, r.Sent(), want, sent)
	}
}

// messages returns the messages of a verification over all channels, in the order
// of their attempts.
func messages(r *rig.Rig, id otp.ID) []notify.Message {
	r.TB.Helper()
	_, v := r.Verification(id)
	all := make([]notify.Message, len(v.Attempts))
	for i, a := range v.Attempts {
		for _, m := range r.Sender(a.Channel).Sent() {
			if m.Verification == id && m.Attempt == i+1 {
				all[i] = m
			}
		}
	}
	return all
}
