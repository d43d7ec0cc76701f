package otp_test

import (
	"fmt"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

// alertServer is [otp.Alert] for the wrong codes of the server.
func alertServer(r otp.Recipient, address string, now time.Time) (otp.Recipient, error) {
	return otp.Alert(r, address, server, now)
}

func TestNotify_AtMostTenADay(t *testing.T) {
	r := newRig(t, quiet())
	notify := func() (err error) {
		r.kept, err = otp.Notify(r.kept, fixture.Alice, r.now)
		return err
	}
	for i := range otp.MaxNoticesPerDay {
		r.now = fixture.Noon.Add(time.Duration(i) * time.Hour)
		wantKind(t, notify(), "")
	}
	r.unchanged("the eleventh", func() { wantRefusal(t, notify(), problem.TooManyChanges, 15*time.Hour) })
	// Codes have their own limits, and are sent and checked all the same.
	v := r.start("login")
	if len(r.kept.Tally(server).Sends) != 1 || len(r.kept.Tally(server).Failures) != 0 {
		t.Errorf("%d sends, %d failures", len(r.kept.Tally(server).Sends), len(r.kept.Tally(server).Failures))
	}
	wantKind(t, r.right(v), "")
	r.now = fixture.Noon.Add(window.Day - ms)
	wantRefusal(t, notify(), problem.TooManyChanges, ms)
	r.now = fixture.Noon.Add(window.Day)
	wantKind(t, notify(), "")
	wantKind(t, notify(), problem.TooManyChanges)
	if _, err := otp.Notify(r.kept, fixture.Bob, r.now); kindOf(t, err) != problem.Internal {
		t.Errorf("another address in the row: %v", err)
	}
}

// Alerts of wrong codes, alerts of recovery codes and notices share the ten.
func TestR18_AlertsCountWithNotices(t *testing.T) {
	r := newRig(t, quiet())
	count := func(f func(otp.Recipient, string, time.Time) (otp.Recipient, error)) (err error) {
		r.kept, err = f(r.kept, fixture.Alice, r.now)
		return err
	}
	for i := range 3 {
		r.now = fixture.Noon.Add(time.Duration(i) * time.Hour)
		wantKind(t, count(alertServer), "")
		r.wantAlertedAt(r.now)
		r.unchanged("a second alert in the hour", func() { wantRefusal(t, count(alertServer), problem.TooManyChanges, time.Hour) })
		wantKind(t, count(otp.AlertUsed), "")
		wantKind(t, count(otp.Notify), "")
	}
	wantKind(t, count(otp.AlertUsed), "")
	r.now = r.now.Add(time.Hour)
	for name, f := range map[string]func(otp.Recipient, string, time.Time) (otp.Recipient, error){"alert": alertServer, "used": otp.AlertUsed, "notice": otp.Notify} {
		r.kept = r.kept.Settle(r.now)
		r.unchanged(name, func() { wantKind(t, count(f), problem.TooManyChanges) })
	}
	r.wantAlertedAt(time.Time{})
}

// No alert goes to an address that the provider blocks.
func TestAlerts_NotToABlockedAddress(t *testing.T) {
	r, v := begin(t, quiet())
	r.fail(v, 1, otp.NextNone)
	for _, f := range []func(otp.Recipient, string, time.Time) (otp.Recipient, error){alertServer, otp.AlertUsed} {
		kept, err := f(r.kept, fixture.Alice, r.now)
		if wantRefusal(t, err, problem.DestinationRefused, otp.BlockedFor); !same(kept, r.kept) {
			t.Errorf("%+v", kept)
		}
	}
}

// A message of the person has an effect once, for a day.
func TestR20_AMessageWorksOnce(t *testing.T) {
	for name, use := range map[string]func(r *rig, code string) func(otp.Recipient) (otp.Recipient, otp.Verification, error){
		"a denial": func(r *rig, _ string) func(otp.Recipient) (otp.Recipient, otp.Verification, error) {
			return func(old otp.Recipient) (otp.Recipient, otp.Verification, error) { return otp.Deny(old, r.now) }
		},
		"an approval": func(r *rig, code string) func(otp.Recipient) (otp.Recipient, otp.Verification, error) {
			return func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
				return otp.Confirm(old, []string{code}, r.keys, r.now)
			}
		},
	} {
		r := newRig(t, quiet())
		begin := func() otp.Verification { return r.startOver(channel.Inbound) }
		receive := func(id string, v otp.Verification) (err error) {
			r.kept, _, err = otp.Once(r.kept, otp.NewMessageHash(id), r.now, use(r, codeOf(t, v)))
			return err
		}
		first := begin()
		wantKind(t, receive("SM1", first), "")
		second := begin()
		for _, after := range []time.Duration{0, time.Minute, 8 * time.Minute} {
			r.now = fixture.Noon.Add(after)
			r.unchanged(fmt.Sprintf("%s, again after %v", name, after), func() { wantKind(t, receive("SM1", second), problem.NotFound) })
		}
		if status := r.status(second); status != otp.Pending {
			t.Errorf("%s: a repeated message made the next verification %s", name, status)
		}
		wantKind(t, receive("SM2", second), "")
		wantKind(t, receive("", begin()), "") // a message without an id
		wantKind(t, receive("", begin()), "")
		if len(r.kept.Messages) != 2 {
			t.Errorf("%s: remembers %+v", name, r.kept.Messages)
		}
		r.now = fixture.Noon.Add(window.Day - ms)
		third := begin()
		wantKind(t, receive("SM1", third), problem.NotFound)
		r.now = fixture.Noon.Add(window.Day)
		wantKind(t, receive("SM1", third), "")
	}
}

// What had no effect is not remembered: the message may come before its verification.
func TestR20_AMessageWithoutEffectIsNotRemembered(t *testing.T) {
	r := newRig(t, quiet())
	deny := func(old otp.Recipient) (otp.Recipient, otp.Verification, error) { return otp.Deny(old, r.now) }
	_, _, err := otp.Once(r.kept, otp.NewMessageHash("SM1"), r.now, deny)
	wantKind(t, err, problem.NotFound)
	r.start("login")
	r.kept, _, err = otp.Once(r.kept, otp.NewMessageHash("SM1"), r.now, deny)
	wantKind(t, err, "")
}

func TestR20_TheNewestSixteenMessagesAreRemembered(t *testing.T) {
	r := newRig(t, quiet())
	r.policy.MaxSends, r.policy.MaxSendsPerDay = 100, 100
	deny := func(old otp.Recipient) (otp.Recipient, otp.Verification, error) { return otp.Deny(old, r.now) }
	for i := range 20 {
		r.start("login")
		var err error
		r.kept, _, err = otp.Once(r.kept, otp.NewMessageHash(fmt.Sprint(i)), r.now, deny)
		wantKind(t, err, "")
	}
	if n := len(r.kept.Messages); n != otp.MaxMessages {
		t.Errorf("%d are remembered", n)
	}
	r.start("login")
	for i := range 20 {
		_, _, err := otp.Once(r.kept, otp.NewMessageHash(fmt.Sprint(i)), r.now, deny)
		if want := i >= 20-otp.MaxMessages; (err != nil) != want {
			t.Errorf("message %d: remembered %t, want %t", i, err != nil, want)
		}
	}
}

// An erasure keeps what the limits on notices need, and which messages worked.
func TestForgotten_KeepsNoticesAndMessages(t *testing.T) {
	r := newRig(t, quiet())
	r.start("login")
	r.kept.Notices = []time.Time{r.now}
	r.kept.Messages = []otp.Message{{Hash: otp.NewMessageHash("SM1"), At: r.now}}
	if got := r.kept.Forgotten(all, r.now); len(got.Notices) != 1 || len(got.Messages) != 1 || got.Address != "" || len(got.Verifications) != 0 {
		t.Errorf("%+v", got)
	}
	left := otp.Recipient{Notices: r.kept.Notices}
	if got := left.KeepUntil(); !got.Equal(fixture.Noon.Add(window.Day)) || same(left.Settle(fixture.Noon), otp.Recipient{}) {
		t.Errorf("notices are kept until %v", got)
	}
	left = otp.Recipient{Messages: r.kept.Messages}
	if got := left.KeepUntil(); !got.Equal(fixture.Noon.Add(window.Day)) || same(left.Settle(fixture.Noon), otp.Recipient{}) {
		t.Errorf("messages are kept until %v", got)
	}
	left.Messages[0].At = fixture.Noon.AddDate(50, 0, 0) // by a broken clock
	if left = left.Settle(fixture.Noon).Settle(fixture.Noon.Add(window.Day + window.MaxSkew)); !same(left, otp.Recipient{}) {
		t.Errorf("%+v", left)
	}
}
