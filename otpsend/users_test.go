package otpsend_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
)

const canary = "canary-name"

func TestAnUnknownUserIsNotFound(t *testing.T) {
	b := newBench(t)
	b.User(user.User{Name: canary, Phone: alice})
	b.Secret("a name", "Canary-name")
	e := b.refused(otpsend.Request{User: "Canary-name"}, problem.NotFound)
	if e.Detail == "" || b.Sent() != 0 {
		t.Errorf("%q, %d messages", e.Detail, b.Sent())
	}
	e = b.refused(otpsend.Request{User: "a/b"}, problem.InvalidRequest)
	if e.Fields[0].Name != "user" {
		t.Errorf("a name that is none: %+v", e.Fields)
	}
}

func TestAUserIsReachedAsRegistered(t *testing.T) {
	for name, tc := range map[string]struct {
		user     user.User
		req      otpsend.Request
		workflow []string
		to       string // of the first message
		row      string // the address whose row has the verification
		locale   string
	}{
		"both addresses": {user.User{Phone: alice, Email: rig.AliceMail}, otpsend.Request{},
			[]string{"whatsapp", "sms", "call", "email"}, alice, alice, ""},
		"a number":  {user.User{Phone: alice}, otpsend.Request{}, []string{"whatsapp", "sms", "call"}, alice, alice, ""},
		"an e-mail": {user.User{Email: rig.AliceMail}, otpsend.Request{}, []string{"email"}, rig.AliceMail, rig.AliceMail, ""},
		"channels of their own": {user.User{Phone: alice, Email: rig.AliceMail, Channels: []string{"email", "sms"}}, otpsend.Request{},
			[]string{"email", "sms"}, rig.AliceMail, alice, ""},
		"a channel of theirs that the service has not": {user.User{Phone: alice, Channels: []string{"telex", "call"}}, otpsend.Request{},
			[]string{"call"}, alice, alice, ""},
		"none of theirs that the service has": {user.User{Phone: alice, Channels: []string{"telex"}}, otpsend.Request{},
			[]string{"whatsapp", "sms", "call"}, alice, alice, ""},
		"the request's channel first": {user.User{Phone: alice, Channels: []string{"call"}}, otpsend.Request{Channel: "sms"},
			[]string{"sms"}, alice, alice, ""},
		"e-mail by name": {user.User{Phone: alice, Email: rig.AliceMail, Channels: []string{"call"}}, otpsend.Request{Channel: "email"},
			[]string{"email"}, rig.AliceMail, rig.AliceMail, ""},
		"their locale":         {user.User{Phone: alice, Locale: "pt-BR"}, otpsend.Request{Channel: "sms"}, []string{"sms"}, alice, alice, "pt-BR"},
		"the request's locale": {user.User{Phone: alice, Locale: "pt-BR"}, otpsend.Request{Channel: "sms", Locale: "de"}, []string{"sms"}, alice, alice, "de"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, every...)
			tc.user.Name, tc.req.User = canary, canary
			b.User(tc.user)
			a := b.start(tc.req)
			kept, v := b.Verification(a.ID)
			m := b.Sender(notify.Channel(tc.workflow[0])).Last()
			if !slices.Equal(v.Workflow, tc.workflow) || m.To != tc.to || m.Locale != tc.locale || kept.Address != tc.row {
				t.Errorf("workflow %q, to %s in %q, in the row of %s", v.Workflow, m.To, m.Locale, kept.Address)
			}
			if v.User != b.Users.Key(canary) || !v.Unverified || b.Sent() != 1 {
				t.Errorf("%+v, %d messages", v, b.Sent())
			}
		})
	}
}

// Only where an address is still to be proven does its approval have to be noted.
func TestAStartKnowsWhetherTheAddressIsStillToBeProven(t *testing.T) {
	for _, tc := range []struct {
		name         string
		phone, email bool // verified
		channels     []string
		want         bool // unverified
	}{
		{"nothing", false, false, []string{"sms"}, true},
		{"the number", true, false, []string{"sms"}, false},
		{"the other", false, true, []string{"sms"}, true},
		{"the e-mail", false, true, []string{"email"}, false},
		{"one of both", true, false, []string{"sms", "email"}, true},
		{"the other of both", false, true, []string{"sms", "email"}, true},
		{"both", true, true, []string{"sms", "email"}, false},
	} {
		b := newBench(t, every...)
		b.User(user.User{Name: canary, Phone: alice, Email: rig.AliceMail, PhoneVerified: tc.phone, EmailVerified: tc.email})
		_, v := b.Verification(b.start(otpsend.Request{User: canary, Channels: tc.channels}).ID)
		if v.Unverified != tc.want {
			t.Errorf("%s: unverified: %t", tc.name, v.Unverified)
		}
	}
	b := newBench(t)
	if _, v := b.Verification(b.start(otpsend.Request{To: alice}).ID); v.Unverified || v.User != "" {
		t.Errorf("no user: %+v", v)
	}
}

// A number that may not be sent to is not made so by registering it.
func TestANumberOfAUserIsJudgedAsAnyOther(t *testing.T) {
	b := newBench(t, every...)
	b.s.Countries = map[string]bool{"IN": true}
	b.User(user.User{Name: canary, Phone: alice, Email: rig.AliceMail})
	b.refused(otpsend.Request{User: canary}, problem.DestinationRefused)
	b.refused(otpsend.Request{User: canary, Channels: []string{"email", "sms"}}, problem.DestinationRefused)
	if b.Sent() != 0 {
		t.Errorf("%d messages", b.Sent())
	}
	if a := b.start(otpsend.Request{User: canary, Channel: "email"}); a.Channel != "email" {
		t.Errorf("%+v", a)
	}
}

// Attack 7: one number, registered under many names, has one set of limits.
func TestUsersOfOneNumberShareItsLimits(t *testing.T) {
	b := newBench(t)
	b.Policy(func(p *otp.Policy) { p.ResendAfter = 0 })
	for i := range 10 {
		name := fmt.Sprint("canary-", i)
		b.User(user.User{Name: name, Phone: alice})
		_, _, err := b.s.Start(b.Ctx(), otpsend.Request{User: name}, "")
		if i < 5 && err != nil {
			t.Errorf("start %d: %v", i, err)
		}
		if i >= 5 {
			b.Refused(err, problem.TooManySends)
		}
	}
	if b.Sent() != 5 {
		t.Errorf("%d messages, want 5", b.Sent())
	}
}

// Attack 7: many users with numbers of their own and one e-mail address: it gets
// what one address may get, in whatever order the channels are.
func TestUsersOfOneEmailShareItsLimits(t *testing.T) {
	for _, channels := range [][]string{{"email", "sms"}, {"sms", "email"}, {"email"}} {
		t.Run(strings.Join(channels, " "), func(t *testing.T) {
			b := newBench(t, every...)
			b.Policy(func(p *otp.Policy) { p.ResendAfter = 0 })
			if channels[0] == "sms" { // the text is refused, and so the e-mail is next
				b.Sender(notify.SMS).Always(&notify.Failure{Reason: notify.Undeliverable})
			}
			const people = 10
			for i := range people {
				name := fmt.Sprint("canary-", i)
				b.User(user.User{Name: name, Phone: fmt.Sprint("+1415555010", i), Email: rig.AliceMail})
				_, _, err := b.s.Start(b.Ctx(), otpsend.Request{User: name, Channels: channels}, "")
				if err != nil {
					e, _ := err.(*problem.Error)
					if e.Kind != problem.TooManySends && e.Kind != problem.ProviderUnavailable {
						t.Errorf("start %d: %v", i, err)
					}
				}
			}
			if got := len(b.Sender(notify.Email).Sent()); got != 5 {
				t.Errorf("%d e-mails, want 5", got)
			}
			b.Wait(otp.SendWindow)
			for i := range 20 {
				_, _, _ = b.s.Start(b.Ctx(), otpsend.Request{User: fmt.Sprint("canary-", i%people), Channels: channels}, "")
				b.Wait(otp.SendWindow)
			}
			if got := len(b.Sender(notify.Email).Sent()); got != 20 {
				t.Errorf("%d e-mails in a day, want 20", got)
			}
		})
	}
}

// Users of one number are apart: a code of the one is none of the other's.
func TestUsersOfOneNumberAreApart(t *testing.T) {
	b := newBench(t)
	b.Policy(func(p *otp.Policy) { p.ResendAfter = 0 })
	b.User(user.User{Name: "canary-a", Phone: alice})
	b.User(user.User{Name: "canary-b", Phone: alice})
	a := b.start(otpsend.Request{User: "canary-a", Purpose: "login"})
	other := b.start(otpsend.Request{User: "canary-b", Purpose: "pay"})
	if a.ID.RowKey() != other.ID.RowKey() {
		t.Error("one number has two rows")
	}
	_, v := b.Verification(a.ID)
	_, w := b.Verification(other.ID)
	if v.User == w.User || v.User == "" {
		t.Errorf("users %q and %q", v.User, w.User)
	}
	third := b.start(otpsend.Request{User: "canary-b", Purpose: "login"}) // a code belongs to the request that made it
	if got := b.status(a.ID).Status; got != otp.Canceled || b.status(third.ID).Status != otp.Pending {
		t.Errorf("the first user's is %s", got)
	}
}

// Fail closed: without knowing who it is nothing is sent.
func TestAUserThatCannotBeReadIsSentNothing(t *testing.T) {
	b := newBench(t)
	b.User(user.User{Name: canary, Phone: alice})
	b.Table.Break(func(int) rig.Fault { return rig.Down })
	if e := b.refused(otpsend.Request{User: canary}, problem.StorageUnavailable); e.RetryAfter <= 0 {
		t.Errorf("retry after %v", e.RetryAfter)
	}
	b.Table.Break(nil)
	err := b.Table.Table.Update(b.Ctx(), store.Key(b.Users.Key(canary)), func(old []byte) (store.Row, error) {
		old[40] ^= 1
		return store.Row{Data: old, KeepUntil: noon.Add(time.Hour)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.refused(otpsend.Request{User: canary}, problem.Internal)
	// Nor is anybody else, whose row got to this place.
	_, err = b.Users.Change(b.Ctx(), b.Users.Key("canary-a"), func(user.User, bool) (user.User, error) {
		return user.User{Name: "canary-b", Phone: alice}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.refused(otpsend.Request{User: "canary-a"}, problem.Internal)
	if b.Sent() != 0 {
		t.Errorf("%d messages", b.Sent())
	}
}
