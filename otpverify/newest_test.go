package otpverify_test

import (
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

// The code that came last is the one that is checked, whichever of the user's
// addresses it went to, and no other is spent on it.
func TestOfTwoAddressesTheNewestCodeIsMeant(t *testing.T) {
	for _, order := range [][]otpsend.Request{{bySMS(""), byEmail("")}, {byEmail(""), bySMS("")}} {
		b := newBench(t, notify.Channels...)
		b.User(user.User{Name: canary, Phone: alice, Email: mail, PhoneVerified: true, EmailVerified: true})
		older, olderCode := b.mustStart(order[0])
		b.Wait(time.Minute)
		newer, newerCode := b.mustStart(order[1])
		b.refused(otpverify.Request{User: canary, Code: b.Wrong(newer.ID)}, problem.WrongCode)
		if _, err := b.Verify.Check(b.Ctx(), otpverify.Request{User: canary, Code: newerCode}); err != nil {
			t.Errorf("the newest code: %v", err)
		}
		if _, v := b.Verification(older.ID); v.Checks != 0 || v.Status != otp.Pending {
			t.Errorf("the older one is %s after %d checks", v.Status, v.Checks)
		}
		// With the newest used, the older one is all that is pending.
		if _, err := b.Verify.Check(b.Ctx(), otpverify.Request{User: canary, Code: olderCode}); err != nil {
			t.Errorf("the older code: %v", err)
		}
	}
}

// What is too long for any other code is a mistyped recovery code, and counts as
// no wrong code of an app.
func TestAMisreadRecoveryCodeCountsForNothing(t *testing.T) {
	f := newFactors(t, nil, notify.SMS)
	for range 12 {
		f.refused(otpverify.Request{User: canary, Code: "O0O0-1I1I-O0O0-1I1I"}, problem.InvalidRequest)
	}
	f.wantFailures(0, 0)
	f.approved(otpverify.Request{User: canary, Code: f.shows(0)})
}

// A test number proves nothing: others know its code, and nothing was sent.
func TestATestNumberProvesNoAddress(t *testing.T) {
	b := newBench(t, notify.Channels...)
	b.Carrier.Scripts = map[string]otp.Script{alice: {Ending: otp.EndsDelivered, Code: "424242"}}
	b.Carrier.ScriptsEnd = b.Now().Add(time.Hour)
	b.User(user.User{Name: canary, Phone: alice, Email: mail})
	a, _, err := b.Send.Start(b.Ctx(), otpsend.Request{User: canary, Channels: []string{"email", "sms"}}, "")
	if err != nil || a.Channel != "sms" {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := b.Verify.Check(b.Ctx(), otpverify.Request{User: canary, Code: "424242"}); err != nil {
		t.Fatal(err)
	}
	if u := b.Registered(canary); u.PhoneVerified || u.EmailVerified {
		t.Errorf("verified: %t, %t", u.PhoneVerified, u.EmailVerified)
	}
	if b.Sent() != 0 {
		t.Errorf("%d messages", b.Sent())
	}
}

// The warning of a used recovery code is a message like others: it goes to proven
// addresses first, keeps to their limits, and never to a test number.
func TestTheWarningOfARecoveryCodeIsCounted(t *testing.T) {
	f := newFactors(t, func(u *user.User) { u.PhoneVerified, u.EmailVerified = false, true }, notify.SMS, notify.Email)
	f.Policy(func(p *otp.Policy) { p.MaxSends = 3 })
	for i := range 5 {
		f.approved(ofRecovery(f.codes[i]))
	}
	if mails, texts := len(f.Sender(notify.Email).Sent()), len(f.Sender(notify.SMS).Sent()); mails != 3 || texts != 2 {
		t.Errorf("%d mails and %d SMS, want 3 of the proven address, and then the other", mails, texts)
	}
	f.Carrier.Scripts = map[string]otp.Script{alice: {Ending: otp.EndsDelivered, Code: "424242"}}
	f.Carrier.ScriptsEnd = f.Now().Add(time.Hour)
	f.approved(ofRecovery(f.codes[5]))
	if n := len(f.Sender(notify.SMS).Sent()); n != 2 {
		t.Errorf("a test number was sent to")
	}
}
