package otp_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

// event asks for the alert of an event in the name of a client.
func (r *rig) event(client, name string) (err error) {
	r.kept, err = otp.AlertEvent(r.kept, fixture.Alice, client, name, r.now)
	return err
}

func TestAlertEvent_OneOfAnEventInAnHour(t *testing.T) {
	r := newRig(t, quiet())
	wantKind(t, r.event("bank", "a"), "")
	r.now = fixture.Noon.Add(time.Hour - ms)
	r.unchanged("the same event", func() { wantRefusal(t, r.event("bank", "a"), problem.TooManySends, ms) })
	wantKind(t, r.event("bank", "b"), "")
	r.now = fixture.Noon.Add(time.Hour)
	wantKind(t, r.event("bank", "a"), "")
}

func TestAlertEvent_ThreeADayOverAllEvents(t *testing.T) {
	r := newRig(t, quiet())
	for i, name := range []string{"a", "b", "c"} {
		r.now = fixture.Noon.Add(time.Duration(i) * 2 * time.Hour)
		wantKind(t, r.event("bank", name), "")
	}
	for _, name := range []string{"c", "d"} { // the longer wait counts
		r.unchanged(name, func() { wantRefusal(t, r.event("bank", name), problem.TooManySends, 20*time.Hour) })
	}
	r.now = fixture.Noon.Add(window.Day - ms)
	wantRefusal(t, r.event("bank", "a"), problem.TooManySends, ms)
	r.now = fixture.Noon.Add(window.Day)
	wantKind(t, r.event("bank", "a"), "")
	// The day has room again in a minute, but the hour of this event is longer.
	r.kept.Events = []otp.Event{{Client: "bank", Name: "a", At: r.now.Add(time.Minute - window.Day)}, {Client: "bank", Name: "b", At: r.now}, {Client: "bank", Name: "c", At: r.now}}
	wantRefusal(t, r.event("bank", "c"), problem.TooManySends, time.Hour)
}

// Clients do not hold back each other's alerts, except by the limit of all notices.
func TestAlertEvent_IsCountedByClient(t *testing.T) {
	r := newRig(t, quiet())
	for _, client := range []string{"", "bank", "shop"} {
		for _, name := range []string{"a", "b", "c"} {
			wantKind(t, r.event(client, name), "")
		}
		wantRefusal(t, r.event(client, "d"), problem.TooManySends, window.Day)
	}
	wantKind(t, r.event("news", "a"), "")
	r.unchanged("the eleventh", func() { wantRefusal(t, r.event("news", "b"), problem.TooManySends, window.Day) })
	if len(r.kept.Notices) != otp.MaxNoticesPerDay || len(r.kept.Events) != otp.MaxNoticesPerDay {
		t.Errorf("%d notices, %d events", len(r.kept.Notices), len(r.kept.Events))
	}
	for name, f := range map[string]func(otp.Recipient, string, time.Time) (otp.Recipient, error){"alert": alertServer, "used": otp.AlertUsed, "notice": otp.Notify} {
		if _, err := f(r.kept, fixture.Alice, r.now); !problem.Is(err, problem.TooManyChanges) {
			t.Errorf("%s after ten events: %v", name, err)
		}
	}
}

func TestAlertEvent_NotToABlockedOrAnotherAddress(t *testing.T) {
	r, v := begin(t, quiet())
	if _, err := otp.AlertEvent(r.kept, fixture.Bob, "", "a", r.now); kindOf(t, err) != problem.Internal {
		t.Errorf("another address in the row: %v", err)
	}
	r.fail(v, 1, otp.NextNone)
	r.unchanged("a blocked address", func() { wantRefusal(t, r.event("", "a"), problem.DestinationRefused, otp.BlockedFor) })
}

// Attack 39. Alerts never take the messages that an address may get as codes.
func TestAttack39_ThirtyAlertsLeaveTheCodes(t *testing.T) {
	r := newRig(t, quiet())
	sent := 0
	for i := range 30 {
		if r.event(fmt.Sprint("client", i%10), fmt.Sprint("event", i)) == nil {
			sent++
		}
	}
	if sent != otp.MaxNoticesPerDay || len(r.kept.Tally(server).Sends) != 0 || len(r.kept.Tally(server).Failures) != 0 {
		t.Fatalf("%d alerts, %d sends, %d failures", sent, len(r.kept.Tally(server).Sends), len(r.kept.Tally(server).Failures))
	}
	v := r.start("login")
	if got := r.kept.SendsLeft(server, r.policy, r.now); got != r.policy.MaxSends-1 {
		t.Errorf("%d sends are left", got)
	}
	wantKind(t, r.right(v), "")
}

// Erasing a user does not reset the limits, and what is kept of alerts ends after a day.
func TestAlertEvent_SurvivesAnErasureForADay(t *testing.T) {
	r := newRig(t, quiet())
	wantKind(t, r.event("bank", "a"), "")
	r.kept = r.kept.Forgotten(all, r.now)
	wantRefusal(t, r.event("bank", "a"), problem.TooManySends, time.Hour)
	r.kept.Notices = nil
	if until := r.kept.KeepUntil(); !until.Equal(fixture.Noon.Add(window.Day)) || same(r.kept.Settle(fixture.Noon), otp.Recipient{}) {
		t.Errorf("kept until %v", until)
	}
	r.kept.Events[0].At = fixture.Noon.AddDate(50, 0, 0) // by a broken clock
	if left := r.kept.Settle(fixture.Noon).Settle(fixture.Noon.Add(window.Day + window.MaxSkew)); !same(left, otp.Recipient{}) {
		t.Errorf("still remembers %+v", left)
	}
}

// Whatever clients ask for, in whatever order: no window holds more than its limit, a
// client is refused only by its own alerts or by the limit of all, and each alert that is
// kept is one of the notices.
func TestAlertEvent_LimitsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type alert struct {
			client, name string
			at           time.Duration
		}
		var kept otp.Recipient
		var sent []alert
		var after time.Duration
		times := func(keep func(alert) bool) (list []time.Duration) {
			for _, a := range sent {
				if keep(a) {
					list = append(list, a.at)
				}
			}
			return list
		}
		within := func(list []time.Duration, window time.Duration) (n int) {
			for _, at := range list {
				if after-at < window {
					n++
				}
			}
			return n
		}
		for range rapid.IntRange(1, 60).Draw(t, "alerts") {
			after += time.Duration(rapid.IntRange(0, 90).Draw(t, "minutes")) * time.Minute
			a := alert{rapid.SampledFrom([]string{"", "x", "y", "z"}).Draw(t, "client"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "event"), after}
			own := times(func(b alert) bool { return b.client == a.client })
			same := times(func(b alert) bool { return b.client == a.client && b.name == a.name })
			may := within(own, window.Day) < otp.MaxEventsPerDay && within(same, otp.AlertPause) == 0 &&
				within(times(func(alert) bool { return true }), window.Day) < otp.MaxNoticesPerDay
			var err error
			kept, err = otp.AlertEvent(kept, fixture.Alice, a.client, a.name, fixture.Noon.Add(after))
			if (err == nil) != may {
				t.Fatalf("%+v after %+v: %v", a, sent, err)
			}
			if err == nil {
				sent = append(sent, a)
			}
			for _, e := range kept.Events {
				if !slices.ContainsFunc(kept.Notices, e.At.Equal) {
					t.Fatalf("%+v is no notice of %v", e, kept.Notices)
				}
			}
		}
	})
}
