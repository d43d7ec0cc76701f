package users_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/users"
)

// telling is newRig with notices, and the user alice, whose addresses are verified if
// the test says so.
func telling(t *testing.T, verified ...string) *rig {
	t.Helper()
	whole := testrig.With(t, func(s *config.Settings, _ *app.Parts) { s.NotifyChanges = true }, channel.WhatsApp, channel.SMS, channel.Email)
	r := &rig{whole, t, whole.API.Users, &recipients{Recipients: whole.Recipients}}
	r.s.Recipients = r.recipients
	r.put("alice", both, users.Conditions{})
	for _, address := range verified {
		r.confirmAddress("alice", address)
	}
	return r
}

// told returns the notices that were sent, as "notice to address".
func (r *rig) told() (list []string) {
	r.t.Helper()
	for _, c := range []channel.Channel{channel.WhatsApp, channel.SMS, channel.Email} {
		for _, m := range r.Sender(c).Sent() {
			if m.Notice != "" {
				if !m.Alert || m.Code != "" || m.Brand != "Acme" || m.Locale != "pt-BR" {
					r.TB.Errorf("the notice is %+v", m)
				}
				list = append(list, string(m.Notice)+" to "+m.To)
			}
		}
	}
	slices.Sort(list)
	return list
}

func (r *rig) wantTold(want ...string) {
	r.t.Helper()
	if got := r.told(); !slices.Equal(got, want) {
		r.TB.Errorf("told %q, want %q", got, want)
	}
}

// change is one change of alice's factors or addresses. It returns whether the
// answer says that the person was told.
type change struct {
	what notify.Notice
	// prepare, if set, runs before make.
	prepare func(r *rig)
	make    func(r *rig) (notified bool, err error)
}

func nothing(*rig) {}

var moved = users.Request{Phone: number, Email: "alice@example.org", Locale: "pt-BR"}

func changes() map[string]change {
	var pending users.Enrollment
	return map[string]change{
		"an app confirmed": {notify.NoticeAppAdded, func(r *rig) { pending = r.enroll(users.EnrollRequest{}) }, func(r *rig) (bool, error) {
			a, err := r.s.Confirm(r.Ctx(), "alice", users.ConfirmRequest{Code: r.code(pending)})
			return a.Notified, err
		}},
		"recovery codes": {notify.NoticeRecoveryCodes, nothing, func(r *rig) (bool, error) {
			a, err := r.s.MakeRecoveryCodes(r.Ctx(), "alice")
			return a.Notified, err
		}},
		"a mail address replaced": {notify.NoticeAddress, nothing, func(r *rig) (bool, error) {
			a, _, err := r.s.Put(r.Ctx(), "alice", moved, users.Conditions{})
			return a.Notified, err
		}},
		"a number removed": {notify.NoticeAddress, nothing, func(r *rig) (bool, error) {
			a, _, err := r.s.Put(r.Ctx(), "alice", users.Request{Email: mail, Locale: "pt-BR"}, users.Conditions{})
			return a.Notified, err
		}},
		"both replaced": {notify.NoticeAddress, nothing, func(r *rig) (bool, error) {
			a, _, err := r.s.Put(r.Ctx(), "alice", users.Request{Phone: "+14155550188", Email: "alice@example.org"}, users.Conditions{})
			return a.Notified, err
		}},
	}
}

// R27. A change of a factor is told to one proven address, a change of an address to
// all that were proven before, once each.
func TestR27_EveryChangeIsToldToTheAddressesProvenBefore(t *testing.T) {
	for name, c := range changes() {
		for _, verified := range [][]string{nil, {number}, {mail}, {number, mail}} {
			r := telling(t, verified...)
			c.prepare(r)
			notified, err := c.make(r)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var want []string
			for _, to := range verified {
				if c.what == notify.NoticeAddress || to == mail || len(verified) == 1 {
					want = append(want, string(c.what)+" to "+to)
				}
			}
			slices.Sort(want)
			if r.wantTold(want...); notified != (len(want) > 0) {
				t.Errorf("%s: notified %v", name, notified)
			}
			for _, to := range verified {
				row := r.Recipient(to)
				if counted := slices.Contains(want, string(c.what)+" to "+to); len(row.Notices) == 1 != counted || len(row.Tally(otp.Caller{}).Sends) != 0 {
					t.Errorf("%s: the row of %s counts %d notices and %d sends", name, to, len(row.Notices), len(row.Tally(otp.Caller{}).Sends))
				}
			}
		}
	}
}

func TestR27_RemovingFactorsAndTheUserIsTold(t *testing.T) {
	r := telling(t, number, mail)
	_, a := r.confirmed(users.EnrollRequest{Name: "one"})
	r.Advance(time.Hour)
	if err := r.s.RemoveAuthenticator(r.Ctx(), "alice", a.ID); err != nil {
		t.Fatal(err)
	}
	r.confirmed(users.EnrollRequest{Name: "two"})
	if err := r.s.RemoveAuthenticator(r.Ctx(), "alice", ""); err != nil {
		t.Fatal(err)
	}
	added, removed := "app_added to "+mail, "app_removed to "+mail
	r.wantTold(added, added, removed, removed)
	r.delete(users.Conditions{}, "")
	r.wantTold("address to "+number, "address to "+mail, added, added, removed, removed)
}

// An address that is proven while the user is being erased is told, too.
func TestR27_AnAddressThatIsProvenMeanwhileIsTold(t *testing.T) {
	r := telling(t)
	r.recipients.during = func(address string) error {
		if address == mail {
			r.confirmAddress("alice", mail)
		}
		return nil
	}
	r.delete(users.Conditions{}, "")
	r.wantTold("address to " + mail)
}

// What changes no factor and no address is told to nobody and is not limited.
func TestR27_NothingElseIsTold(t *testing.T) {
	r := telling(t, number, mail)
	for range user.MaxChangesPerDay + 2 {
		e := r.enroll(users.EnrollRequest{})
		if _, err := r.s.RenameAuthenticator(r.Ctx(), "alice", e.ID, users.RenameRequest{Name: "x"}); err != nil {
			t.Fatal(err)
		}
		r.confirmFails(wrongCode(r.code(e)), problem.WrongCode)
		if err := r.s.RemoveAuthenticator(r.Ctx(), "alice", e.ID); err != nil { // pending
			t.Fatal(err)
		}
		if err := r.s.RemoveAuthenticator(r.Ctx(), "alice", ""); err != nil { // none
			t.Fatal(err)
		}
		r.put("alice", both, users.Conditions{}) // nothing changes
		french := both
		french.Locale = "fr"
		r.put("alice", french, users.Conditions{})
		r.put("alice", both, users.Conditions{})
	}
	r.put("bob", users.Request{Email: "bob@example.org"}, users.Conditions{})
	r.wantTold()
	if u := r.Registered("alice"); len(u.Changes) != 0 {
		t.Errorf("%d changes", len(u.Changes))
	}
}

// A mail that fails is followed by the number, which is counted, too. The operator
// learns of the failure.
func TestR27_AFailedNoticeGoesToTheOtherAddress(t *testing.T) {
	r := telling(t, number, mail)
	r.Sender(channel.Email).Always(&notify.Failure{Outcome: otp.OutcomeUndeliverable})
	r.Sender(channel.SMS).Always(&notify.Failure{Outcome: otp.OutcomeUnavailable})
	a, err := r.s.MakeRecoveryCodes(r.Ctx(), "alice")
	if err != nil || !a.Notified {
		t.Errorf("%+v, %v", a.Notified, err)
	}
	// The user's channels are sms and email; WhatsApp is the service's.
	r.wantTold("recovery_codes to "+number, "recovery_codes to "+number, "recovery_codes to "+mail)
	if n := len(r.Sender(channel.WhatsApp).Sent()); n != 1 {
		t.Errorf("%d over WhatsApp", n)
	}
	for _, to := range []string{number, mail} {
		if n := len(r.Recipient(to).Notices); n != 1 {
			t.Errorf("the row of %s counts %d", to, n)
		}
	}
	if len(r.Logged("message failed", "channel=email")) != 1 || len(r.Logged("message failed", "channel=sms")) != 1 {
		t.Errorf("logged %q", r.Logged())
	}
	for _, c := range []channel.Channel{channel.WhatsApp, channel.SMS} {
		r.Sender(c).Always(&notify.Failure{Outcome: otp.OutcomeUnavailable})
	}
	app := changes()["an app confirmed"]
	app.prepare(r)
	if notified, err := app.make(r); err != nil || notified {
		t.Errorf("all failed: notified %v, %v", notified, err)
	}
}

func TestR27_ASettingSwitchesTheNoticesOffButNotTheLimit(t *testing.T) {
	r := telling(t, number, mail)
	r.s.NotifyChanges = false
	for i := range user.MaxChangesPerDay + 1 {
		_, _, err := r.s.Put(r.Ctx(), "alice", users.Request{Phone: number, Email: fmt.Sprintf("a%d@example.org", i)}, users.Conditions{})
		if i < user.MaxChangesPerDay && err != nil {
			t.Fatal(err)
		} else if i == user.MaxChangesPerDay {
			fixture.Problem(t, err, problem.TooManyChanges)
		}
	}
	r.wantTold()
}

// Attack 42. Somebody toggles a factor a hundred times. No change goes untold, ten
// messages are sent at most, an ordinary start still goes out, and all ends by
// itself.
func TestAttack42_AHundredTogglesOfAFactor(t *testing.T) {
	e := func(r *rig) users.Enrollment { return r.enroll(users.EnrollRequest{Name: "toggled"}) }
	for name, toggle := range map[string]func(r *rig, i int) error{
		"an app": func(r *rig, i int) error {
			if i%2 == 1 {
				return r.s.RemoveAuthenticator(r.Ctx(), "alice", "")
			}
			if len(r.list()) > 0 {
				return r.s.RemoveAuthenticator(r.Ctx(), "alice", "")
			}
			_, err := r.s.Confirm(r.Ctx(), "alice", users.ConfirmRequest{Code: r.code(e(r))})
			return err
		},
		"recovery codes": func(r *rig, _ int) error {
			_, err := r.s.MakeRecoveryCodes(r.Ctx(), "alice")
			return err
		},
		"the number, removed and added": func(r *rig, i int) error {
			req := users.Request{Email: mail, Locale: "pt-BR"}
			if i%2 == 1 {
				req.Phone = number
			}
			_, _, err := r.s.Put(r.Ctx(), "alice", req, users.Conditions{})
			return err
		},
		"the user, erased and registered": func(r *rig, i int) error {
			if i%2 == 0 {
				return r.s.Delete(r.Ctx(), "alice", users.Conditions{})
			}
			_, _, err := r.s.Put(r.Ctx(), "alice", both, users.Conditions{})
			if err == nil {
				r.confirmAddress("alice", mail)
			}
			return err
		},
		"through two users with one address": func(r *rig, i int) error {
			name := []string{"alice", "bob"}[i%2]
			if i == 0 {
				r.put("bob", both, users.Conditions{})
				r.confirmAddress("bob", mail)
			}
			_, _, err := r.s.Put(r.Ctx(), name, users.Request{Phone: fmt.Sprintf("+141555501%02d", i), Email: mail, Locale: "pt-BR"}, users.Conditions{})
			return err
		},
	} {
		r := telling(t, mail)
		made, refused := 0, 0
		for i := range 100 {
			before := r.stored("alice")
			err := toggle(r, i)
			told := len(r.told())
			switch {
			case err == nil:
				made++
			case problem.Is(err, problem.TooManyChanges):
				e := fixture.Problem(t, err, problem.TooManyChanges)
				if refused++; e.RetryAfter <= 0 || e.RetryAfter > 24*time.Hour+2*time.Minute {
					t.Errorf("%s: wait for %v", name, e.RetryAfter)
				}
				if after := r.stored("alice"); !sameFactors(after, before) {
					t.Errorf("%s: a refused change was made", name)
				}
			case !problem.Is(err, problem.NotFound):
				t.Fatalf("%s: %v", name, err)
			}
			if told > 10 {
				t.Fatalf("%s: %d messages", name, told)
			}
			r.Advance(time.Minute)
		}
		if refused == 0 || made == 0 {
			t.Errorf("%s: %d made, %d refused", name, made, refused)
		}
		r.MustStart(otpsend.Request{To: mail, Channel: channel.Email})
		r.MustStart(otpsend.Request{To: number, Channel: channel.SMS})
		r.Advance(24 * time.Hour)
		if err := toggle(r, 0); err != nil && !problem.Is(err, problem.NotFound) {
			t.Errorf("%s: a day later: %v", name, err)
		}
	}
}

// sameFactors reports whether two states of a user have the same addresses, confirmed
// apps and recovery codes.
func sameFactors(a, b user.User) bool {
	return a.Name == b.Name && slices.Equal(a.Addresses(), b.Addresses()) && len(a.TOTP.Confirmed()) == len(b.TOTP.Confirmed()) && slices.Equal(a.Recovery.Codes, b.Recovery.Codes)
}

// stored returns the stored user, the zero User if there is none.
func (r *rig) stored(name string) user.User {
	kept := &user.Store{Table: r.Table.Table, Keys: r.Keys}
	u, err := kept.Load(context.Background(), kept.Key("main", name))
	if err != nil && !problem.Is(err, problem.NotFound) {
		r.TB.Fatalf("%v", err)
	}
	return u
}

// Attack 42. Of many changes at once, too, ten are made, and each is told.
func TestAttack42_ManyChangesAtOnce(t *testing.T) {
	r := telling(t, number)
	r.s.Recipients = r.recipients.Recipients // the recorder is for one request at a time
	var made atomic.Int32
	testrig.AtOnce(testrig.Times(30, func(i int) {
		_, _, err := r.s.Put(r.Ctx(), "alice", users.Request{Phone: number, Email: fmt.Sprintf("a%d@example.org", i), Locale: "pt-BR"}, users.Conditions{})
		switch {
		case err == nil:
			made.Add(1)
		case !problem.Is(err, problem.TooManyChanges, problem.StorageUnavailable):
			t.Error(err)
		}
	})...)
	if told := len(r.told()); int32(told) != made.Load() || told > 10 || told == 0 {
		t.Errorf("%d changes, %d told", made.Load(), told)
	}
	if n := len(r.Registered("alice").Changes); n != int(made.Load()) {
		t.Errorf("the row counts %d changes, %d were made", n, made.Load())
	}
}

// R16. If it is unknown whether a notice was counted, or whether the change was made,
// nothing is sent, and nothing changes untold.
func TestR27_R16_UnderStorageFaults(t *testing.T) {
	for name, c := range changes() {
		for _, fault := range []testrig.Fault{testrig.Down, testrig.Lost} {
			for at := 1; at <= 12; at++ {
				r := telling(t, number, mail)
				c.prepare(r)
				before := r.Registered("alice")
				r.Table.Break(testrig.FaultAt(at, fault))
				_, err := c.make(r)
				calls := r.Table.Calls()
				r.Table.Break(nil)
				after := r.Registered("alice")
				if err == nil && len(r.told()) == 0 {
					t.Errorf("%s, fault %d at %d: made and untold", name, fault, at)
				}
				if err != nil && len(r.told()) != 0 {
					t.Errorf("%s, fault %d at %d: told beside %v", name, fault, at, err)
				}
				if err != nil && fault == testrig.Down && !sameFactors(after, before) {
					t.Errorf("%s, down at %d: changed beside %v", name, at, err)
				}
				if at >= calls {
					break
				}
			}
		}
	}
}

func TestR27_RoundTrips(t *testing.T) {
	for name, want := range map[string]int64{
		"an app confirmed":        2 + 2 + 1 + 2, // with the enrollment
		"recovery codes":          4 + 1 + 2,
		"a mail address replaced": 2 + 1 + 2*2 + 3*2 - 2, // nothing is pending at either address
	} {
		r := telling(t, number, mail)
		got := r.Trips(func(ctx context.Context) {
			var err error
			switch name {
			case "an app confirmed":
				var e users.Enrollment
				if e, err = r.s.Enroll(ctx, "alice", users.EnrollRequest{}); err == nil {
					_, err = r.s.Confirm(ctx, "alice", users.ConfirmRequest{Code: r.code(e)})
				}
			case "recovery codes":
				_, err = r.s.MakeRecoveryCodes(ctx, "alice")
			default:
				_, _, err = r.s.Put(ctx, "alice", moved, users.Conditions{})
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		if got != want {
			t.Errorf("%s: %d round trips, want %d", name, got, want)
		}
	}
}
