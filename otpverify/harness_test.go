package otpverify_test

import (
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

const (
	alice  = fixture.Alice
	bob    = fixture.Bob
	mail   = fixture.AliceMail
	canary = "canary-name"
)

var (
	noon    = fixture.Noon
	toAlice = otpsend.Request{To: alice}
	toUser  = otpsend.Request{User: canary}
)

// What senders answer.
var (
	undeliverable = &notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 63024}
	unclear       = &notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: true}
)

// quoting is an error that no sender may return: its text is an address.
type quoting struct{}

func (quoting) Error() string { return alice }

// newRig returns a rig without a pause between messages, and with codes so long
// that no two of a test are the same by chance.
func newRig(t *testing.T, channels ...channel.Channel) *rig.Rig {
	t.Helper()
	r := rig.New(t, channels...)
	r.Policy(func(p *otp.Policy) {
		p.ResendAfter = 0
		p.Shape = otp.Shape{Length: 10, Alphabet: otp.Alphanumeric}
	})
	return r
}

// newUserRig is newRig with a user who has both addresses, after change.
func newUserRig(t *testing.T, change func(u *user.User), channels ...channel.Channel) *rig.Rig {
	t.Helper()
	r := newRig(t, channels...)
	u := user.User{Name: canary, Phone: alice, Email: mail}
	if change != nil {
		change(&u)
	}
	r.User(u)
	return r
}

func verified(u *user.User) { u.PhoneVerified, u.EmailVerified = true, true }

// wantVerified fails the test unless these addresses of the user are verified.
func wantVerified(r *rig.Rig, phone, email bool) {
	r.TB.Helper()
	if u := r.Registered(canary); u.PhoneVerified != phone || u.EmailVerified != email {
		r.TB.Errorf("verified: number %t, e-mail %t; want %t, %t", u.PhoneVerified, u.EmailVerified, phone, email)
	}
}

// begin starts a verification, and returns it with its code.
func begin(r *rig.Rig, req otpsend.Request) (otp.Verification, string) {
	r.TB.Helper()
	id := r.MustStart(req).ID
	_, v := r.Verification(id)
	return v, r.Code(id)
}

// byUser is the check of a code by the user's name alone.
func byUser(code string) otpverify.Request { return otpverify.Request{User: canary, Code: code} }

func byEmail(purpose string) otpsend.Request {
	return otpsend.Request{User: canary, Channel: "email", Purpose: purpose}
}

func bySMS(purpose string) otpsend.Request {
	return otpsend.Request{User: canary, Channel: "sms", Purpose: purpose}
}

// receive hands over a person's text.
func receive(r *rig.Rig, from, text string) string {
	r.TB.Helper()
	return r.Receive(notify.Inbound{From: from, Channel: channel.WhatsApp, Text: text})
}

// testNumber makes Alice's number a test number for an hour.
func testNumber(r *rig.Rig, code string) {
	r.TestNumbers(otp.TestNumbers{
		Scenarios: map[string]otp.Scenario{alice: {Ending: otp.EndsDelivered, Code: code}}, Until: r.Now().Add(time.Hour),
	})
}
