package otpverify_test

import (
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/user"
	"twofa/otpverify"
)

// R8. Each code works once, and the count of what is left is told.
func TestR8_RecoveryCodesWorkOnce(t *testing.T) {
	f := newFactors(t, nil)
	for i, code := range f.codes {
		f.Wait(24 * time.Hour) // so that the wrong ones do not add up
		a := f.approved(ofRecovery(code))
		if a.RecoveryCodesLeft == nil || *a.RecoveryCodesLeft != 9-i {
			t.Fatalf("%v codes left, want %d", a.RecoveryCodesLeft, 9-i)
		}
		left := a.RecoveryCodesLeft
		want := otpverify.Answer{
			Status: otp.Approved, Factor: "recovery", User: canary, RecoveryCodesLeft: left, Alerted: true, ApprovedAt: f.Now().Truncate(time.Second),
		}
		if a != want {
			t.Errorf("got %+v, want %+v", a, want)
		}
		if i < 9 {
			f.refused(ofRecovery(code), problem.WrongCode)
		}
	}
	f.refused(ofRecovery(f.codes[0]), problem.NotFound)
}

// What a client sees of the user is another: how many codes are left.
func TestARecoveryCodeThatIsUsedChangesTheRevision(t *testing.T) {
	f := newFactors(t, nil)
	before := f.Registered(canary).Revision
	f.refused(ofRecovery(foreign), problem.WrongCode)
	if f.Registered(canary).Revision != before {
		t.Error("a wrong one does, too")
	}
	f.approved(ofRecovery(f.codes[0]))
	if f.Registered(canary).Revision == before {
		t.Error("it does not")
	}
}

// The person learns of it over the first channel that takes the message, and the
// approval stands if none does.
func TestARecoveryCodeThatIsUsedIsToldToThePerson(t *testing.T) {
	refused := &notify.Failure{Reason: notify.Undeliverable, Code: 63024}
	unclear := &notify.Failure{Reason: notify.Unavailable, MayHaveSent: true}
	for name, tc := range map[string]struct {
		channels []string // the user's
		noMail   bool
		answers  map[notify.Channel]error
		over     []notify.Channel // the messages, in order
		alerted  bool
	}{
		"the service's first channel":  {nil, false, nil, []notify.Channel{notify.WhatsApp}, true},
		"the user's first channel":     {[]string{"sms", "whatsapp"}, false, nil, []notify.Channel{notify.SMS}, true},
		"the user's second":            {[]string{"sms", "whatsapp"}, false, map[notify.Channel]error{notify.SMS: refused}, []notify.Channel{notify.SMS, notify.WhatsApp}, true},
		"a mail in the end":            {[]string{"sms"}, false, map[notify.Channel]error{notify.SMS: refused}, []notify.Channel{notify.SMS, notify.Email}, true},
		"a mail first":                 {[]string{"email", "sms"}, false, map[notify.Channel]error{notify.Email: refused}, []notify.Channel{notify.Email, notify.SMS}, true},
		"nobody takes it":              {nil, false, map[notify.Channel]error{notify.WhatsApp: refused, notify.SMS: refused, notify.Email: refused}, []notify.Channel{notify.WhatsApp, notify.SMS, notify.Email}, false},
		"nobody takes it, and no mail": {[]string{"sms"}, true, map[notify.Channel]error{notify.SMS: refused}, []notify.Channel{notify.SMS}, false},
		"it may be on its way":         {nil, false, map[notify.Channel]error{notify.WhatsApp: unclear}, []notify.Channel{notify.WhatsApp}, true},
		"no failure of the contract":   {nil, false, map[notify.Channel]error{notify.WhatsApp: quoting{}}, []notify.Channel{notify.WhatsApp}, false},
		"a channel that is not there":  {[]string{"call", "sms"}, false, nil, []notify.Channel{notify.SMS}, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFactors(t, func(u *user.User) {
				u.Channels, u.Locale = tc.channels, "de"
				if tc.noMail {
					u.Email = ""
				}
			}, notify.WhatsApp, notify.SMS, notify.Email)
			var over []notify.Channel
			for _, channel := range []notify.Channel{notify.WhatsApp, notify.SMS, notify.Email} {
				f.Sender(channel).Always(tc.answers[channel])
				f.Sender(channel).During(func(m notify.Message) {
					over = append(over, channel)
					want := notify.Message{To: alice, Alert: true, Recovered: true, CodesLeft: 9, Brand: "Acme", Locale: "de"}
					if channel == notify.Email {
						want.To = mail
					}
					if m != want {
						t.Errorf("over %s: %+v", channel, m)
					}
					// Persist before you send.
					if left := f.Registered(canary).Recovery.Left(); left != 9 {
						t.Errorf("%d codes are left while the message goes out", left)
					}
				})
			}
			f.refused(ofRecovery(foreign), problem.WrongCode)
			if a := f.approved(ofRecovery(f.codes[7])); a.Alerted != tc.alerted || *a.RecoveryCodesLeft != 9 {
				t.Errorf("got %+v", a)
			}
			if len(over) != len(tc.over) {
				t.Fatalf("over %q, want %q", over, tc.over)
			}
			for i := range over {
				if over[i] != tc.over[i] {
					t.Errorf("over %q, want %q", over, tc.over)
				}
			}
			f.refused(ofRecovery(f.codes[7]), problem.WrongCode)
			if len(over) != len(tc.over) {
				t.Errorf("a code that is refused is told of, too: %q", over)
			}
		})
	}
}
