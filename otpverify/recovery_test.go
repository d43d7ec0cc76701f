package otpverify_test

import (
	"slices"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/user"
	"twofa/otpverify"
)

// R8. Each recovery code works once, and the answer tells how many are left.
func TestR8_RecoveryCodesWorkOnce(t *testing.T) {
	f := newFactors(t, nil)
	for i, code := range f.codes {
		f.Advance(24 * time.Hour) // so that no limit on wrong codes is reached
		a := f.Approve(byRecovery(code))
		if a.RecoveryCodesLeft == nil || *a.RecoveryCodesLeft != 9-i {
			t.Fatalf("%v codes left, want %d", a.RecoveryCodesLeft, 9-i)
		}
		want := otpverify.Answer{
			Status: otp.Approved, Factor: "recovery", User: canary, RecoveryCodesLeft: a.RecoveryCodesLeft, Alerted: true,
			ApprovedAt: f.Now().Truncate(time.Second),
		}
		if a != want {
			t.Errorf("got %+v, want %+v", a, want)
		}
		if i < 9 {
			f.RefuseCheck(byRecovery(code), problem.WrongCode)
		}
	}
	f.RefuseCheck(byRecovery(f.codes[0]), problem.NotFound)
}

// A client sees how many codes a user has left, so a code that is used changes
// the user's revision. A wrong one does not.
func TestARecoveryCodeThatIsUsedChangesTheRevision(t *testing.T) {
	f := newFactors(t, nil)
	before := f.Registered(canary).Revision
	f.RefuseCheck(byRecovery(unknownCode), problem.WrongCode)
	if f.Registered(canary).Revision != before {
		t.Error("a wrong code changes the revision")
	}
	f.Approve(byRecovery(f.codes[0]))
	if f.Registered(canary).Revision == before {
		t.Error("a right code does not change the revision")
	}
}

// A misread recovery code, which is longer than any other code, does not count
// as a wrong code of an app.
func TestAMisreadRecoveryCodeIsNotCounted(t *testing.T) {
	f := newFactors(t, nil, channel.SMS)
	for range 12 {
		f.RefuseCheck(byUser("O0O0-1I1I-O0O0-1I1I"), problem.InvalidRequest)
	}
	f.wantFailures(0, 0)
	f.Approve(byUser(f.appCode(0)))
}

// A message about a used recovery code goes over the first channel that accepts
// it. The approval holds if no channel does.
func TestThePersonIsToldThatARecoveryCodeWasUsed(t *testing.T) {
	type list = []channel.Channel
	type answers = map[channel.Channel]error
	for name, tc := range map[string]struct {
		channels list // the user's
		noMail   bool
		answers  answers
		over     list // the messages, in order
		alerted  bool
	}{
		"the service's first channel":  {nil, false, nil, list{"whatsapp"}, true},
		"the user's first channel":     {list{"sms", "whatsapp"}, false, nil, list{"sms"}, true},
		"the user's second":            {list{"sms", "whatsapp"}, false, answers{"sms": undeliverable}, list{"sms", "whatsapp"}, true},
		"a mail in the end":            {list{"sms"}, false, answers{"sms": undeliverable}, list{"sms", "email"}, true},
		"a mail first":                 {list{"email", "sms"}, false, answers{"email": undeliverable}, list{"email", "sms"}, true},
		"none accepts it":              {nil, false, answers{"whatsapp": undeliverable, "sms": undeliverable, "email": undeliverable}, list{"whatsapp", "sms", "email"}, false},
		"none accepts it, and no mail": {list{"sms"}, true, answers{"sms": undeliverable}, list{"sms"}, false},
		"it may be on its way":         {nil, false, answers{"whatsapp": unclear}, list{"whatsapp"}, true},
		"no failure of the contract":   {nil, false, answers{"whatsapp": quoting{}}, list{"whatsapp"}, false},
		"an unknown channel":           {list{"call", "sms"}, false, nil, list{"sms"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFactors(t, func(u *user.User) {
				u.Channels, u.Locale = tc.channels, "de"
				if tc.noMail {
					u.Email = ""
				}
			}, "whatsapp", "sms", "email")
			var over list
			for _, c := range (list{"whatsapp", "sms", "email"}) {
				f.Sender(c).Always(tc.answers[c])
				f.Sender(c).During(func(m notify.Message) {
					over = append(over, c)
					want := notify.Message{To: alice, Alert: true, Recovered: true, CodesLeft: 9, Brand: "Acme", Locale: "de"}
					if c == channel.Email {
						want.To = mail
					}
					if m != want {
						t.Errorf("over %s: %+v", c, m)
					}
					// The approval is stored before the message is sent.
					if left := f.Registered(canary).Recovery.Left(); left != 9 {
						t.Errorf("%d codes are left when the message is sent", left)
					}
				})
			}
			f.RefuseCheck(byRecovery(unknownCode), problem.WrongCode)
			if a := f.Approve(byRecovery(f.codes[7])); a.Alerted != tc.alerted || *a.RecoveryCodesLeft != 9 {
				t.Errorf("got %+v", a)
			}
			f.RefuseCheck(byRecovery(f.codes[7]), problem.WrongCode) // causes no message
			if !slices.Equal(over, tc.over) {
				t.Errorf("over %q, want %q", over, tc.over)
			}
		})
	}
}

// A message about a used recovery code goes to verified addresses first, counts
// towards their limit of notices, and never goes to a test number. It takes nothing
// from the limits of codes.
func TestR18_AMessageAboutARecoveryCodeIsCounted(t *testing.T) {
	f := newFactors(t, func(u *user.User) { u.EmailVerified = true }, channel.SMS, channel.Email)
	f.Policy(func(p *otp.Policy) { p.MaxSends = 1 })
	for range otp.MaxNoticesPerDay - 3 {
		if err := f.Delivery.CountNotice(f.Ctx(), mail, f.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		f.Approve(byRecovery(f.codes[i]))
	}
	if mails, texts := len(f.Sender(channel.Email).Sent()), len(f.Sender(channel.SMS).Sent()); mails != 3 || texts != 2 {
		t.Errorf("%d mails and %d SMS, want 3 to the verified address, and then 2 to the other", mails, texts)
	}
	testNumber(f.Rig, "424242")
	f.Approve(byRecovery(f.codes[5]))
	if n := len(f.Sender(channel.SMS).Sent()); n != 2 {
		t.Errorf("a test number was sent to")
	}
	f.TestNumbers(otp.TestNumbers{})
	f.MustStart(bySMS(""))
	f.MustStart(byEmail(""))
}
