package otpsend_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
)

func TestAnUnknownUserIsNotFound(t *testing.T) {
	r := newRig(t)
	r.Secret("a name", "Canary-name")
	if e := r.RefuseStart(otpsend.Request{User: "Canary-name"}, problem.NotFound); e.Detail == "" || r.Sent() != 0 {
		t.Errorf("%q, %d messages", e.Detail, r.Sent())
	}
	wantField(t, r.RefuseStart(otpsend.Request{User: "a "}, problem.InvalidRequest), "user: ")
}

// A number may become invalid after it was registered: its range was withdrawn, or taken
// out of TWOFA_EXTRA_NUMBERS. The client has to learn that the address is the reason.
func TestARegisteredNumberThatIsNotValidAnyMoreIsNamed(t *testing.T) {
	for _, number := range []string{"+816012345678901", "+1679", "+99912345678", "+815012", "+14155550"} {
		r := newRig(t)
		r.User(user.User{Name: canary, Phone: number})
		e := r.RefuseStart(otpsend.Request{User: canary}, problem.DestinationRefused)
		if !strings.Contains(e.Detail, "registered for this user") || strings.Contains(e.Detail, number) || r.Sent() != 0 {
			t.Errorf("%s: %q, %d messages", number, e.Detail, r.Sent())
		}
	}
}

func TestAUserIsReachedAsRegistered(t *testing.T) {
	both := user.User{Phone: alice, Email: mail}
	brazilian := user.User{Phone: alice, Locale: "pt-BR"}
	for name, tc := range map[string]struct {
		user     user.User
		channels list // the user's
		req      otpsend.Request
		workflow list
		to       string // of the first message
		row      string // the address whose row has the verification
		locale   string
	}{
		"both addresses":       {both, nil, otpsend.Request{}, list{"whatsapp", "sms", "call", "email"}, alice, alice, ""},
		"a number":             {user.User{Phone: alice}, nil, otpsend.Request{}, list{"whatsapp", "sms", "call"}, alice, alice, ""},
		"an e-mail address":    {user.User{Email: mail}, nil, otpsend.Request{}, list{"email"}, mail, mail, ""},
		"the user's channels":  {both, list{"email", "sms"}, otpsend.Request{}, list{"email", "sms"}, mail, alice, ""},
		"one is unknown":       {user.User{Phone: alice}, list{"telex", "call"}, otpsend.Request{}, list{"call"}, alice, alice, ""},
		"all are unknown":      {user.User{Phone: alice}, list{"telex"}, otpsend.Request{}, list{"whatsapp", "sms", "call"}, alice, alice, ""},
		"the request's first":  {user.User{Phone: alice}, list{"call"}, otpsend.Request{Channel: "sms"}, list{"sms"}, alice, alice, ""},
		"e-mail as requested":  {both, list{"call"}, otpsend.Request{Channel: "email"}, list{"email"}, mail, mail, ""},
		"the user's locale":    {brazilian, nil, otpsend.Request{Channel: "sms"}, list{"sms"}, alice, alice, "pt-BR"},
		"the request's locale": {brazilian, nil, otpsend.Request{Channel: "sms", Locale: "de"}, list{"sms"}, alice, alice, "de"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			tc.user.Name, tc.user.Channels, tc.req.User = canary, tc.channels, canary
			r.User(tc.user)
			a := r.MustStart(tc.req)
			kept, v := r.Verification(a.ID)
			m := r.Sender(tc.workflow[0]).Last()
			if !slices.Equal(v.Workflow, tc.workflow) || m.To != tc.to || m.Locale != tc.locale || kept.Address != tc.row {
				t.Errorf("workflow %q, to %s in %q, in the row of %s", v.Workflow, m.To, m.Locale, kept.Address)
			}
			if v.User != r.Users.Key("main", canary) || !v.Unverified || r.Sent() != 1 {
				t.Errorf("%+v, %d messages", v, r.Sent())
			}
		})
	}
}

// An approval changes the user only if an address was not verified at the start.
func TestAStartStoresWhetherTheAddressIsVerified(t *testing.T) {
	for _, tc := range []struct {
		phone, email bool // verified
		channels     list
		want         bool // unverified
	}{
		{false, false, list{"sms"}, true},
		{true, false, list{"sms"}, false},
		{false, true, list{"sms"}, true},
		{false, true, list{"email"}, false},
		{true, false, list{"sms", "email"}, true},
		{false, true, list{"sms", "email"}, true},
		{true, true, list{"sms", "email"}, false},
	} {
		r := newRig(t)
		r.User(user.User{Name: canary, Phone: alice, Email: mail, PhoneVerified: tc.phone, EmailVerified: tc.email})
		_, v := r.Verification(r.MustStart(otpsend.Request{User: canary, Channels: tc.channels}).ID)
		if v.Unverified != tc.want {
			t.Errorf("%+v: unverified: %t", tc, v.Unverified)
		}
	}
	r := newRig(t)
	if _, v := r.Verification(r.MustStart(toAlice).ID); v.Unverified || v.User != "" {
		t.Errorf("no user: %+v", v)
	}
}

// Registration does not open a country that the settings exclude.
func TestTheCountriesHoldForUsers(t *testing.T) {
	r := newRig(t)
	r.Send.Countries = map[string]bool{"IN": true}
	r.RefuseStart(toUser, problem.DestinationRefused)
	r.RefuseStart(otpsend.Request{User: canary, Channels: list{"email", "sms"}}, problem.DestinationRefused)
	if r.Sent() != 0 {
		t.Errorf("%d messages", r.Sent())
	}
	if a := r.MustStart(otpsend.Request{User: canary, Channel: "email"}); a.Channel != "email" {
		t.Errorf("%+v", a)
	}
}

// Attack 7: a number that many users share has one set of limits.
func TestUsersOfOneNumberShareItsLimits(t *testing.T) {
	r := newRig(t)
	r.Policy(withoutPause)
	for i := range 10 {
		name := fmt.Sprint("canary-", i)
		r.User(user.User{Name: name, Phone: alice})
		_, err := r.Start(otpsend.Request{User: name})
		if i < 5 && err != nil {
			t.Errorf("start %d: %v", i, err)
		}
		if i >= 5 {
			r.Refused(err, problem.TooManySends)
		}
	}
	if r.Sent() != 5 {
		t.Errorf("%d messages, want 5", r.Sent())
	}
}

// Attack 7: users who have their own numbers share one e-mail address. It gets no
// more than one address may get, in any order of the channels.
func TestUsersOfOneEmailShareItsLimits(t *testing.T) {
	for _, channels := range []list{{"email", "sms"}, {"sms", "email"}, {"email"}} {
		t.Run(fmt.Sprint(channels), func(t *testing.T) {
			r := newRig(t)
			r.Policy(withoutPause)
			if channels[0] == "sms" { // then the e-mail follows
				r.Sender(channel.SMS).Always(undeliverable)
			}
			const people = 10
			for i := range people {
				name := fmt.Sprint("canary-", i)
				r.User(user.User{Name: name, Phone: fmt.Sprint("+1415555010", i), Email: mail})
				_, err := r.Start(otpsend.Request{User: name, Channels: channels})
				if err != nil && !problem.Is(err, problem.TooManySends, problem.ProviderUnavailable) {
					t.Errorf("start %d: %v", i, err)
				}
			}
			if got := len(r.Sender(channel.Email).Sent()); got != 5 {
				t.Errorf("%d e-mails, want 5", got)
			}
			r.Advance(otp.SendWindow)
			for i := range 20 {
				_, _ = r.Start(otpsend.Request{User: fmt.Sprint("canary-", i%people), Channels: channels})
				r.Advance(otp.SendWindow)
			}
			if got := len(r.Sender(channel.Email).Sent()); got != 20 {
				t.Errorf("%d e-mails in a day, want 20", got)
			}
		})
	}
}

// Users of one number have verifications of their own in one row.
func TestUsersOfOneNumberAreSeparate(t *testing.T) {
	r := newRig(t)
	r.Policy(withoutPause)
	r.User(user.User{Name: "canary-a", Phone: alice})
	r.User(user.User{Directory: "main", Name: "canary-b", Phone: alice})
	a := r.MustStart(otpsend.Request{User: "canary-a", Purpose: "login"})
	other := r.MustStart(otpsend.Request{User: "canary-b", Purpose: "pay"})
	row, v := r.Verification(a.ID)
	_, w := r.Verification(other.ID)
	if !row.Knows(other.ID) {
		t.Error("one number has two rows")
	}
	if v.User == w.User || v.User == "" {
		t.Errorf("users %q and %q", v.User, w.User)
	}
	third := r.MustStart(otpsend.Request{User: "canary-b", Purpose: "login"}) // cancels the first of this purpose
	if got := r.Status(a.ID).Status; got != otp.Canceled || r.Status(third.ID).Status != otp.Pending {
		t.Errorf("the first user's verification is %s", got)
	}
}

// Fail closed: if the user cannot be read, nothing is sent.
func TestAUserThatCannotBeReadIsSentNothing(t *testing.T) {
	r := newRig(t)
	r.Table.Break(rig.FaultFrom(1, rig.Down))
	if e := r.RefuseStart(toUser, problem.StorageUnavailable); e.RetryAfter <= 0 {
		t.Errorf("retry after %v", e.RetryAfter)
	}
	r.Table.Break(nil)
	rewrite := func(name string, data func(old []byte) []byte) {
		t.Helper()
		err := r.Table.Table.Update(r.Ctx(), store.Key(r.Users.Key("main", name)), func(old []byte) (store.Row, error) {
			return store.Row{Data: data(old), KeepUntil: noon.Add(time.Hour)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rewrite(canary, func(old []byte) []byte {
		old = slices.Clone(old)
		old[40] ^= 1
		return old
	})
	r.RefuseStart(toUser, problem.Internal)
	// Nor is another user, who was written into the row of this name.
	encoded, err := user.User{Directory: "main", Name: "canary-b", Phone: alice, CreatedAt: noon, UpdatedAt: noon}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	rewrite("canary-a", func([]byte) []byte { return r.Keys.Seal(encoded, string(r.Users.Key("main", "canary-a"))) })
	r.RefuseStart(otpsend.Request{User: "canary-a"}, problem.Internal)
	if r.Sent() != 0 {
		t.Errorf("%d messages", r.Sent())
	}
}
