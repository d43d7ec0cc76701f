package otp_test

import (
	"testing"
	"time"

	"twofa/internal/otp"
)

func TestR2_CodeIsDeadExactlyAtTenMinutes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after time.Duration // from expires_at
		want  otp.Kind
	}{
		{"a nanosecond before", -1, ""},
		{"at expires_at", 0, otp.KindExpired},
		{"a nanosecond after", 1, otp.KindExpired},
		{"a day after, while it is remembered", otp.Day - 1, otp.KindExpired},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, otp.DefaultPolicy())
			v := b.start("login")
			if want := noon.Add(10 * time.Minute); !v.ExpiresAt.Equal(want) {
				t.Fatalf("expires at %v, want %v", v.ExpiresAt, want)
			}
			b.now = v.ExpiresAt.Add(tc.after)
			wantKind(t, b.right(v), tc.want)
			if want := map[otp.Kind]otp.Status{"": otp.Approved, otp.KindExpired: otp.Expired}[tc.want]; b.status(v) != want {
				t.Errorf("is %v, want %v", b.status(v), want)
			}
		})
	}
}

func TestR2_ExpiryIsAWholeSecondAndNeverLaterThanTheLifetime(t *testing.T) {
	for _, fraction := range []time.Duration{0, 1, ms, 500 * ms, time.Second - 1} {
		b := newBench(t, otp.DefaultPolicy())
		b.now = noon.Add(fraction)
		v := b.start("login")
		if !v.ExpiresAt.Equal(noon.Add(10 * time.Minute)) {
			t.Errorf("started %v past the second, expires at %v", fraction, v.ExpiresAt)
		}
	}
}

func TestR2_AResendDoesNotProlongTheCode(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.start("login")
	b.now = v.ExpiresAt.Add(-1)
	wantKind(t, b.resend(v, "sms"), "")
	b.now = v.ExpiresAt
	wantKind(t, b.right(v), otp.KindExpired)
}

func TestAttack15_ProcessesAMinuteApart(t *testing.T) {
	const apart = time.Minute
	b := newBench(t, otp.DefaultPolicy())
	b.now = noon.Add(apart) // the one that is ahead makes it
	v := b.start("login")

	b.now = noon // the one that is behind gets the check
	wantKind(t, b.wrong(v), otp.WrongCode)
	_, err := b.tryStart("login")
	wantRefusal(t, err, otp.ResendTooSoon, 30*time.Second) // the send counts as made now
	wantKind(t, b.right(v), "")

	b.now = noon.Add(apart)
	wantKind(t, b.right(v), otp.AlreadyUsed)
}

func TestAttack15_AStepBackNeverRevivesAnExpiredOne(t *testing.T) {
	for _, back := range []time.Duration{1, time.Second, 9 * time.Minute, otp.Day, 365 * otp.Day} {
		b := newBench(t, otp.DefaultPolicy())
		v := b.start("login")
		b.now = v.ExpiresAt
		wantKind(t, b.right(v), otp.KindExpired)
		b.now = v.ExpiresAt.Add(-back)
		wantKind(t, b.right(v), otp.KindExpired)
		wantKind(t, b.resend(v, "sms"), otp.KindExpired)
	}
}

func TestAttack15_AStepBackNeverLiftsALimit(t *testing.T) {
	for _, back := range []time.Duration{1, ms, time.Minute, time.Hour, otp.Day, 365 * otp.Day} {
		t.Run(back.String(), func(t *testing.T) {
			t.Run("failures", func(t *testing.T) {
				b := newBench(t, quiet())
				var v otp.Verification
				for range 2 {
					v = b.start("login")
					for range 5 {
						wantKind(t, b.wrong(v), otp.WrongCode)
					}
				}
				b.now = noon.Add(-back)
				_, err := b.tryStart("login")
				if e := refusal(t, err); e.Kind != otp.TooManyChecks || e.RetryAfter > otp.Day || e.RetryAfter <= otp.Day-ms {
					t.Errorf("got %v, retry after %v; want too_many_checks and a day", e.Kind, e.RetryAfter)
				}
			})
			t.Run("sends", func(t *testing.T) {
				b := newBench(t, quiet())
				for range 5 {
					b.start("login")
				}
				b.now = noon.Add(-back)
				_, err := b.tryStart("login")
				if e := refusal(t, err); e.Kind != otp.TooManySends || e.RetryAfter > otp.SendWindow || e.RetryAfter <= otp.SendWindow-ms {
					t.Errorf("got %v, retry after %v; want too_many_sends and 10 minutes", e.Kind, e.RetryAfter)
				}
			})
			t.Run("pause", func(t *testing.T) {
				b := newBench(t, otp.DefaultPolicy())
				b.start("login")
				b.now = noon.Add(-back)
				_, err := b.tryStart("login")
				if e := refusal(t, err); e.Kind != otp.ResendTooSoon || e.RetryAfter > 30*time.Second || e.RetryAfter <= 30*time.Second-ms {
					t.Errorf("got %v, retry after %v; want resend_too_soon and 30 s", e.Kind, e.RetryAfter)
				}
			})
		})
	}
}

func TestAttack15_MaxSkewIsHowFarAheadAMakerMayBe(t *testing.T) {
	for _, tc := range []struct {
		ahead time.Duration
		want  otp.Kind
	}{
		{otp.MaxSkew, ""},
		{otp.MaxSkew + ms, otp.KindExpired},
		{365 * otp.Day, otp.KindExpired},
	} {
		b := newBench(t, otp.DefaultPolicy())
		b.now = noon.Add(tc.ahead)
		v := b.start("login")
		b.now = noon
		if got := kindOf(t, b.right(v)); got != tc.want {
			t.Errorf("made %v ahead: got %q, want %q", tc.ahead, got, tc.want)
		}
	}
}

func TestAttack15_WhatABrokenClockWroteHealsWithinADay(t *testing.T) {
	b := newBench(t, quiet())
	b.now = noon.AddDate(100, 0, 0)
	var broken []otp.Verification
	for _, purpose := range []string{"a", "b", "c", "d"} {
		broken = append(broken, b.start(purpose))
	}
	for _, v := range broken[:2] {
		for range 5 {
			wantKind(t, b.wrong(v), otp.WrongCode)
		}
	}

	b.now = noon // repaired: the limits hold from now on, for a day at most
	wantKind(t, b.right(broken[2]), otp.KindExpired)
	_, err := b.tryStart("e")
	wantRefusal(t, err, otp.TooManyChecks, otp.Day)

	b.now = noon.Add(otp.Day)
	v := b.start("e") // no verification from the future takes a place any more
	wantKind(t, b.right(v), "")
	if until, want := b.r.KeepUntil(), v.ExpiresAt.Add(otp.Day); until.After(want) {
		t.Errorf("the row is kept until %v, want %v at the latest", until, want)
	}
	wantKind(t, b.right(broken[3]), otp.NotFound)
}

func TestAttack15_VerificationsFromTheFutureTakeNoPlaceAtOnce(t *testing.T) {
	b := newBench(t, quiet())
	b.now = noon.AddDate(100, 0, 0)
	for _, purpose := range []string{"a", "b", "c", "d"} {
		b.start(purpose)
	}
	b.now = noon
	b.start("e")
}
