package otp_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/window"
)

func TestR2_CodeIsDeadExactlyAtTenMinutes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after time.Duration // from expires_at
		want  problem.Kind
	}{
		{"a nanosecond before", -1, ""},
		{"at expires_at", 0, problem.Expired},
		{"a nanosecond after", 1, problem.Expired},
		{"a day after, while it is remembered", window.Day - 1, problem.Expired},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, otp.DefaultPolicy())
			v := b.start("login")
			if want := noon.Add(10 * time.Minute); !v.ExpiresAt.Equal(want) {
				t.Fatalf("expires at %v, want %v", v.ExpiresAt, want)
			}
			b.now = v.ExpiresAt.Add(tc.after)
			wantKind(t, b.right(v), tc.want)
			if want := map[problem.Kind]otp.Status{"": otp.Approved, problem.Expired: otp.Expired}[tc.want]; b.status(v) != want {
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
	b.now = v.ExpiresAt.Add(-otp.MinResendLeft)
	wantKind(t, b.resend(v, "sms"), "")
	b.now = v.ExpiresAt
	wantKind(t, b.right(v), problem.Expired)
}

func TestAttack15_ProcessesAMinuteApart(t *testing.T) {
	const apart = time.Minute
	b := newBench(t, otp.DefaultPolicy())
	b.now = noon.Add(apart) // the one that is ahead makes it
	v := b.start("login")

	b.now = noon // the one that is behind gets the check
	wantKind(t, b.wrong(v), problem.WrongCode)
	_, err := b.tryStart("login")
	wantRefusal(t, err, problem.ResendTooSoon, 30*time.Second) // the send is judged as made now
	wantKind(t, b.right(v), "")

	b.now = noon.Add(apart)
	wantKind(t, b.right(v), problem.AlreadyUsed)
}

func TestResend_IsRefusedOnceTheCodeIsAboutToExpire(t *testing.T) {
	for _, tc := range []struct {
		left  time.Duration
		pause time.Duration
		want  problem.Kind
	}{
		{time.Minute + ms, 30 * time.Second, ""},
		{time.Minute, 30 * time.Second, ""},
		{time.Minute - ms, 30 * time.Second, problem.Expired},
		{ms, 30 * time.Second, problem.Expired},
		{time.Minute, time.Hour, problem.ResendTooSoon},
		{time.Minute - ms, time.Hour, problem.Expired}, // to wait would not help
	} {
		b := newBench(t, otp.DefaultPolicy())
		b.p.ResendAfter = tc.pause
		v := b.start("login")
		b.now = v.ExpiresAt.Add(-tc.left)
		before := deepCopy(b.r)
		err := b.resend(v, "sms")
		wantKind(t, err, tc.want)
		if err != nil && !same(b.r, before) {
			t.Errorf("%v left: the refusal changed the recipient", tc.left)
		}
		wantKind(t, b.right(v), "") // the code is still good
	}
}

// Two processes take turns, a second each. The one that is behind may neither
// pull back what the other wrote nor end a limit before its time.
func TestAttack15_ProcessesThatTakeTurnsKeepEachLimitExactly(t *testing.T) {
	oneCode := quiet() // whose checks only the day bounds
	oneCode.MaxChecks = otp.MaxCounted
	for _, rule := range []struct {
		name   string
		p      otp.Policy
		spend  func(b *bench, v otp.Verification) bool
		limit  int
		window time.Duration
		want   problem.Kind
	}{
		{"pause", otp.DefaultPolicy(), sendsAgain, 1, 30 * time.Second, problem.ResendTooSoon},
		{"sends in 10 minutes", quiet(), sendsAgain, 5, otp.SendWindow, problem.TooManySends},
		{"failures in a day", oneCode, failsAgain, 10, window.Day, problem.TooManyChecks},
	} {
		for _, apart := range []time.Duration{time.Second, time.Minute, window.MaxSkew} {
			t.Run(fmt.Sprintf("%s, %v apart", rule.name, apart), func(t *testing.T) {
				b := newBench(t, rule.p)
				v := b.start("login")
				spent := len(b.r.Sends) // the start is one
				if rule.want == problem.TooManyChecks {
					spent = 0
				}
				for second := range 30 {
					b.now = noon.Add(time.Duration(second) * time.Second)
					if second%2 == 1 {
						b.now = b.now.Add(-apart)
					}
					if rule.spend(b, v) {
						spent++
					}
				}
				if spent != rule.limit {
					t.Errorf("%d got through, want %d", spent, rule.limit)
				}

				full := deepCopy(b.r)
				end := noon.Add(rule.window)
				for _, at := range []time.Time{end.Add(-1 - apart), end.Add(-1)} {
					b.now = at
					_, err := b.tryStart("pay")
					wantKind(t, err, rule.want)
					if !slices.Equal(b.r.Sends, full.Sends) || !slices.Equal(b.r.Failures, full.Failures) {
						t.Fatalf("the refusal at %v rewrote history:\n%v %v\n%v %v", at, full.Sends, full.Failures, b.r.Sends, b.r.Failures)
					}
				}
				b.now = end // by either clock, whenever it comes to it
				b.start("pay")
			})
		}
	}
}

func sendsAgain(b *bench, _ otp.Verification) bool {
	_, err := b.tryStart("login")
	return err == nil
}

func failsAgain(b *bench, v otp.Verification) bool {
	return kindOf(b.t, b.wrong(v)) == problem.WrongCode
}

// What clocks cannot tell: a message by the clock that is behind looks older
// than it is. So the pause may be missed once, and not with every turn.
func TestAttack15_AMessageByAClockBehindCountsAsOlder(t *testing.T) {
	const apart = time.Minute
	b := newBench(t, otp.DefaultPolicy())
	sent := 0
	for second := range 30 {
		b.now = noon.Add(time.Duration(second) * time.Second)
		if second%2 == 0 {
			b.now = b.now.Add(-apart)
		}
		if sendsAgain(b, otp.Verification{}) {
			sent++
		}
	}
	if sent != 2 {
		t.Errorf("%d messages in 30 s, want 2: one a clock", sent)
	}
}

// However two processes take turns, what either wrote keeps its time and its
// order, and the limits hold over those times.
func TestAttack15_ProcessesApartKeepTrueTimesAndLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench(t, otp.DefaultPolicy())
		apart := time.Duration(rapid.Int64Range(0, int64(window.MaxSkew/ms)).Draw(t, "ms apart")) * ms
		clock := noon
		var sent, failed []time.Duration // since noon, as they were written
		var v otp.Verification
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			clock = clock.Add(rapid.SampledFrom([]time.Duration{
				0, ms, time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, 3 * time.Hour,
			}).Draw(t, "time"))
			b.now = clock
			if rapid.Bool().Draw(t, "behind") {
				b.now = clock.Add(-apart)
			}
			before := b.r.ResendAfter(b.p)
			if rapid.Bool().Draw(t, "start") {
				made, err := b.tryStart("login")
				if err == nil {
					v = made
					sent = append(sent, b.r.Sends[len(b.r.Sends)-1].Sub(noon))
					if b.now.Before(before) {
						t.Fatalf("sent at %v, the pause was until %v", b.now, before)
					}
				} else if kindOf(t, err) == problem.ResendTooSoon && !b.now.Before(before) {
					t.Fatalf("refused at %v, the pause was until %v", b.now, before)
				}
			} else if v.ID != "" && failsAgain(b, v) {
				failed = append(failed, b.r.Failures[len(b.r.Failures)-1].Sub(noon))
			}
			for _, list := range []struct {
				kept    []time.Time
				written []time.Duration
			}{{b.r.Sends, sent}, {b.r.Failures, failed}} {
				recent := list.written[len(list.written)-len(list.kept):]
				for i, e := range list.kept {
					if e.Sub(noon) != recent[i] || i > 0 && e.Before(list.kept[i-1]) {
						t.Fatalf("kept %v, written were %v", list.kept, recent)
					}
				}
			}
		}
		atMost(t, "sends", sent, 1, b.p.ResendAfter)
		atMost(t, "sends", sent, b.p.MaxSends, otp.SendWindow)
		atMost(t, "sends", sent, b.p.MaxSendsPerDay, window.Day)
		atMost(t, "failures", failed, b.p.MaxFailuresPerDay, window.Day)
	})
}

func TestAttack15_AnEndByAClockAheadKeepsItsTime(t *testing.T) {
	for _, ahead := range []time.Duration{time.Minute, window.MaxSkew, window.MaxSkew + ms} {
		b := newBench(t, otp.DefaultPolicy())
		v := b.start("login")
		b.now = noon.Add(ahead)
		wantKind(t, b.right(v), "")
		kept, err := b.r.Settle(noon).Find(v.ID)
		if want := noon.Add(min(ahead, window.MaxSkew)); err != nil || !kept.EndedAt.Equal(want) {
			t.Errorf("ended %v ahead: kept as %v (%v), want %v", ahead, kept.EndedAt, err, want)
		}
	}
}

func TestAttack15_AStepBackNeverRevivesAnExpiredOne(t *testing.T) {
	for _, back := range []time.Duration{1, time.Second, 9 * time.Minute, window.Day, 365 * window.Day} {
		b := newBench(t, otp.DefaultPolicy())
		v := b.start("login")
		b.now = v.ExpiresAt
		wantKind(t, b.right(v), problem.Expired)
		b.now = v.ExpiresAt.Add(-back)
		wantKind(t, b.right(v), problem.Expired)
		wantKind(t, b.resend(v, "sms"), problem.Expired)
	}
}

func TestAttack15_AStepBackNeverLiftsALimit(t *testing.T) {
	for _, back := range []time.Duration{1, ms, time.Minute, time.Hour, window.Day, 365 * window.Day} {
		t.Run(back.String(), func(t *testing.T) {
			t.Run("failures", func(t *testing.T) {
				b := newBench(t, quiet())
				var v otp.Verification
				for range 2 {
					v = b.start("login")
					for range 5 {
						wantKind(t, b.wrong(v), problem.WrongCode)
					}
				}
				b.now = noon.Add(-back)
				_, err := b.tryStart("login")
				if e := refusal(t, err); e.Kind != problem.TooManyChecks || e.RetryAfter > window.Day || e.RetryAfter <= window.Day-ms {
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
				if e := refusal(t, err); e.Kind != problem.TooManySends || e.RetryAfter > otp.SendWindow || e.RetryAfter <= otp.SendWindow-ms {
					t.Errorf("got %v, retry after %v; want too_many_sends and 10 minutes", e.Kind, e.RetryAfter)
				}
			})
			t.Run("pause", func(t *testing.T) {
				b := newBench(t, otp.DefaultPolicy())
				b.start("login")
				b.now = noon.Add(-back)
				_, err := b.tryStart("login")
				if e := refusal(t, err); e.Kind != problem.ResendTooSoon || e.RetryAfter > 30*time.Second || e.RetryAfter <= 30*time.Second-ms {
					t.Errorf("got %v, retry after %v; want resend_too_soon and 30 s", e.Kind, e.RetryAfter)
				}
			})
		})
	}
}

func TestAttack15_MaxSkewIsHowFarAheadAMakerMayBe(t *testing.T) {
	for _, tc := range []struct {
		ahead time.Duration
		want  problem.Kind
	}{
		{window.MaxSkew, ""},
		{window.MaxSkew + ms, problem.Expired},
		{365 * window.Day, problem.Expired},
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

func TestAttack15_WhatABrokenClockWroteHealsWithinADayAndMaxSkew(t *testing.T) {
	b := newBench(t, quiet())
	b.now = noon.AddDate(100, 0, 0)
	var broken []otp.Verification
	for _, purpose := range []string{"a", "b", "c", "d"} {
		broken = append(broken, b.start(purpose))
	}
	for _, v := range broken[:2] {
		for range 5 {
			wantKind(t, b.wrong(v), problem.WrongCode)
		}
	}

	b.now = noon // repaired: the limits hold for a day and what a clock may be ahead
	wantKind(t, b.right(broken[2]), problem.Expired)
	_, err := b.tryStart("e")
	wantRefusal(t, err, problem.TooManyChecks, window.Day)

	b.now = noon.Add(window.Day + window.MaxSkew - 1)
	_, err = b.tryStart("e")
	wantRefusal(t, err, problem.TooManyChecks, 1)

	b.now = noon.Add(window.Day + window.MaxSkew)
	v := b.start("e") // no verification from the future takes a place any more
	wantKind(t, b.right(v), "")
	if until, want := b.r.KeepUntil(), v.ExpiresAt.Add(window.Day); until.After(want) {
		t.Errorf("the row is kept until %v, want %v at the latest", until, want)
	}
	wantKind(t, b.right(broken[3]), problem.NotFound)
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
