package otp_test

import (
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/window"
)

// alerts tries n wrong codes and returns which of them (from 1) alerted.
func (b *bench) alerts(v otp.Verification, n int) (which []int) {
	b.t.Helper()
	for i := range n {
		err := b.wrong(v)
		wantKind(b.t, err, problem.WrongCode)
		if refusal(b.t, err).Alerted {
			which = append(which, i+1)
		}
	}
	return which
}

func wantAlerts(t *testing.T, got []int, want ...int) {
	t.Helper()
	if len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
		t.Errorf("the wrong codes %v alerted, want %v", got, want)
	}
}

func TestAlert_OnTheLastWrongCodeOfAVerification(t *testing.T) {
	b := newBench(t, quiet())
	v := b.start("login")
	b.now = noon.Add(time.Minute)
	wantAlerts(t, b.alerts(v, 4))
	if !b.r.AlertedAt.IsZero() {
		t.Errorf("alerted at %v already", b.r.AlertedAt)
	}
	wantAlerts(t, b.alerts(v, 1), 1)
	if !b.r.AlertedAt.Equal(b.now) {
		t.Errorf("alerted at %v, want %v", b.r.AlertedAt, b.now)
	}
	err := b.wrong(v) // which is not looked at any more
	if e := refusal(t, err); e.Kind != problem.TooManyChecks || e.Alerted {
		t.Errorf("got %+v", e)
	}
}

func TestAlert_OnTheLastWrongCodeOfTheDay(t *testing.T) {
	b := newBench(t, quiet())
	b.p.MaxChecks, b.p.MaxFailuresPerDay = 5, 7
	wantAlerts(t, b.alerts(b.start("login"), 4))
	v := b.start("login")
	wantAlerts(t, b.alerts(v, 3), 3)
	if b.status(v) != otp.Pending {
		t.Errorf("is %s: of its own checks, two are left", b.status(v))
	}
}

func TestAlert_AWrongContextCountsAsAWrongCode(t *testing.T) {
	b := newBench(t, quiet())
	b.p.MaxChecks = 1
	v := b.start("login")
	_, _, err := otp.Check(b.r, otp.CheckRequest{ID: v.ID, Code: codeOf(t, v), Context: otp.Context{Payee: "x"}}, keyring, b.p, b.now)
	if e := refusal(t, err); e.Kind != problem.WrongCode || !e.Alerted {
		t.Errorf("got %+v", e)
	}
}

func TestAlert_NotWhereTheLastCodeIsRight(t *testing.T) {
	b := newBench(t, quiet())
	v := b.start("login")
	b.alerts(v, 4)
	wantKind(t, b.right(v), "")
	if !b.r.AlertedAt.IsZero() {
		t.Errorf("alerted at %v", b.r.AlertedAt)
	}
}

func TestAlert_AtMostOneAnHour(t *testing.T) {
	for _, tc := range []struct {
		after time.Duration
		want  []int
	}{
		{0, nil}, {time.Minute, nil}, {time.Hour - 1, nil}, {time.Hour, []int{1}}, {2 * time.Hour, []int{1}},
	} {
		b := newBench(t, quiet())
		b.p.MaxChecks, b.p.MaxFailuresPerDay = 1, otp.MaxCounted
		wantAlerts(t, b.alerts(b.start("login"), 1), 1)
		b.now = noon.Add(tc.after)
		wantAlerts(t, b.alerts(b.start("login"), 1), tc.want...)
	}
}

func TestAlert_PauseUnderClocksThatDiffer(t *testing.T) {
	for _, tc := range []struct {
		written time.Duration // from noon, by another process
		alertAt time.Duration // as of when there is the next one
	}{
		{window.MaxSkew, time.Hour + window.MaxSkew},
		{100 * 365 * 24 * time.Hour, time.Hour + window.MaxSkew}, // a broken one
		{-time.Minute, 59 * time.Minute},
	} {
		for _, at := range []time.Duration{0, tc.alertAt - ms, tc.alertAt} {
			b := newBench(t, quiet())
			b.p.MaxChecks, b.p.TTL = 1, window.Day
			v := b.start("login")
			b.r.AlertedAt = noon.Add(tc.written)
			b.r = b.r.Settle(noon)
			b.now = noon.Add(at)
			got := b.alerts(v, 1)
			if alerted := len(got) == 1; alerted != (at == tc.alertAt) {
				t.Errorf("%+v: alerted after %v: %v", tc, at, alerted)
			}
		}
	}
}

func TestAlert_NeverForATestNumber(t *testing.T) {
	b := newBench(t, quiet())
	v := b.startWith(func(req *otp.StartRequest) { req.Script = otp.Script{Ending: otp.EndsDelivered, Code: "424242"} })
	wantAlerts(t, b.alerts(v, 5))
	if b.status(v) != otp.Exhausted || !b.r.AlertedAt.IsZero() {
		t.Errorf("is %s, alerted at %v", b.status(v), b.r.AlertedAt)
	}
}
