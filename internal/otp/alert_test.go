package otp_test

import (
	"slices"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

// alert counts the alert that a refused check asks for, and reports whether the
// person gets it.
func (r *rig) alert(err error) bool {
	r.t.Helper()
	if !wantKind(r.t, err, problem.WrongCode).Alerted {
		return false
	}
	r.kept, err = otp.Alert(r.kept, fixture.Alice, server, r.now)
	return err == nil
}

// wantAlerts checks n wrong codes. Those with the numbers in want (from 1) have
// to alert the person.
func (r *rig) wantAlerts(v otp.Verification, n int, want ...int) {
	r.t.Helper()
	var got []int
	for i := range n {
		if r.alert(r.wrong(v)) {
			got = append(got, i+1)
		}
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("the wrong codes %v alerted, want %v", got, want)
	}
}

// wantAlertedAt checks when the person was last alerted, the zero Time for never.
func (r *rig) wantAlertedAt(want time.Time) {
	r.t.Helper()
	if !r.kept.Tally(server).AlertedAt.Equal(want) {
		r.t.Errorf("alerted at %v, want %v", r.kept.Tally(server).AlertedAt, want)
	}
}

func TestAlert_OnTheLastWrongCodeOfAVerification(t *testing.T) {
	r, v := begin(t, quiet())
	r.now = fixture.Noon.Add(time.Minute)
	r.wantAlerts(v, 4)
	r.wantAlertedAt(time.Time{})
	r.wantAlerts(v, 1, 1)
	r.wantAlertedAt(r.now)
	if e := wantKind(t, r.wrong(v), problem.TooManyChecks); e.Alerted {
		t.Errorf("a code that was not compared alerted: %+v", e)
	}
}

func TestAlert_OnTheLastWrongCodeOfTheDay(t *testing.T) {
	r := newRig(t, quiet())
	r.policy.MaxChecks, r.policy.MaxFailuresPerDay = 5, 7
	r.wantAlerts(r.start("login"), 4)
	v := r.start("login")
	r.wantAlerts(v, 3, 3)
	if r.status(v) != otp.Pending {
		t.Errorf("status %s: two of its own checks are left", r.status(v))
	}
}

func TestAlert_AWrongContextCountsAsAWrongCode(t *testing.T) {
	r, v := begin(t, quiet())
	r.policy.MaxChecks = 1
	err := r.checkWith(otp.CheckRequest{ID: v.ID, Code: codeOf(t, v), Transaction: otp.Transaction{Payee: "x"}})
	if e := wantKind(t, err, problem.WrongCode); !e.Alerted {
		t.Errorf("got %+v", e)
	}
}

func TestAlert_NotIfTheLastCodeIsRight(t *testing.T) {
	r, v := begin(t, quiet())
	r.wantAlerts(v, 4)
	wantKind(t, r.right(v), "")
	r.wantAlertedAt(time.Time{})
}

func TestAlert_AtMostOneAnHour(t *testing.T) {
	for _, tc := range []struct {
		after time.Duration
		want  []int
	}{
		{0, nil}, {time.Minute, nil}, {time.Hour - 1, nil}, {time.Hour, []int{1}}, {2 * time.Hour, []int{1}},
	} {
		r := newRig(t, quiet())
		r.policy.MaxChecks, r.policy.MaxFailuresPerDay = 1, otp.MaxCounted
		r.wantAlerts(r.start("login"), 1, 1)
		r.now = fixture.Noon.Add(tc.after)
		r.wantAlerts(r.start("login"), 1, tc.want...)
	}
}

func TestAlert_PauseUnderClocksThatDiffer(t *testing.T) {
	for _, tc := range []struct {
		written time.Duration // from noon, by another process
		alertAt time.Duration // from when on there is the next alert
	}{
		{window.MaxSkew, time.Hour + window.MaxSkew},
		{100 * 365 * 24 * time.Hour, time.Hour + window.MaxSkew}, // by a broken clock
		{-time.Minute, 59 * time.Minute},
	} {
		for _, at := range []time.Duration{0, tc.alertAt - ms, tc.alertAt} {
			r := newRig(t, quiet())
			r.policy.MaxChecks, r.policy.TTL = 1, window.Day
			v := r.start("login")
			r.kept.Tallies = one(otp.Tally{AlertedAt: fixture.Noon.Add(tc.written)})
			r.kept = r.kept.Settle(fixture.Noon)
			r.now = fixture.Noon.Add(at)
			if alerted := r.alert(r.wrong(v)); alerted != (at == tc.alertAt) {
				t.Errorf("%+v: alerted after %v: %v", tc, at, alerted)
			}
		}
	}
}

func TestAlert_NeverForATestNumber(t *testing.T) {
	r := newRig(t, quiet())
	v := r.play(otp.EndsDelivered, "whatsapp")
	r.wantAlerts(v, 5)
	r.wantAlertedAt(time.Time{})
	if r.status(v) != otp.Exhausted {
		t.Errorf("status %s, want exhausted", r.status(v))
	}
}

// An address that the provider blocks for fraud gets no alert either.
func TestAlert_NotToABlockedAddress(t *testing.T) {
	r := newRig(t, quiet())
	first, second := r.start("a"), r.start("b")
	r.fail(first, 1, otp.NextNone)
	r.wantAlerts(second, r.policy.MaxChecks)
	r.wantAlertedAt(time.Time{})
}
