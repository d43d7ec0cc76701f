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

func TestR2_TheCodeExpiresExactlyAtTenMinutes(t *testing.T) {
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
			r, v := begin(t, otp.DefaultPolicy())
			if want := fixture.Noon.Add(10 * time.Minute); !v.ExpiresAt.Equal(want) {
				t.Fatalf("expires at %v, want %v", v.ExpiresAt, want)
			}
			r.now = v.ExpiresAt.Add(tc.after)
			wantKind(t, r.right(v), tc.want)
			if want := map[problem.Kind]otp.Status{"": otp.Approved, problem.Expired: otp.Expired}[tc.want]; r.status(v) != want {
				t.Errorf("status %s, want %s", r.status(v), want)
			}
		})
	}
}

func TestR2_ExpiryIsAWholeSecondAndNotAfterTheLifetime(t *testing.T) {
	for _, fraction := range []time.Duration{0, 1, ms, 500 * ms, time.Second - 1} {
		r := newRig(t, otp.DefaultPolicy())
		r.now = fixture.Noon.Add(fraction)
		v := r.start("login")
		if !v.ExpiresAt.Equal(fixture.Noon.Add(10 * time.Minute)) {
			t.Errorf("started %v past the second, expires at %v", fraction, v.ExpiresAt)
		}
	}
}

func TestR2_AResendDoesNotExtendTheLifetime(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy())
	r.now = v.ExpiresAt.Add(-otp.MinResendLeft)
	wantKind(t, r.resend(v, "sms"), "")
	r.now = v.ExpiresAt
	wantKind(t, r.right(v), problem.Expired)
}

func TestAttack15_ProcessesAMinuteApart(t *testing.T) {
	const apart = time.Minute
	r := newRig(t, otp.DefaultPolicy())
	r.now = fixture.Noon.Add(apart) // the process whose clock is ahead makes it
	v := r.start("login")

	r.now = fixture.Noon // the process whose clock is behind gets the check
	wantKind(t, r.wrong(v), problem.WrongCode)
	wantRefusal(t, r.startError("login"), problem.ResendTooSoon, 30*time.Second) // the send counts as of now
	wantKind(t, r.right(v), "")

	r.now = fixture.Noon.Add(apart)
	wantKind(t, r.right(v), problem.AlreadyUsed)
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
		{time.Minute - ms, time.Hour, problem.Expired}, // waiting would not help
	} {
		r := newRig(t, otp.DefaultPolicy())
		r.policy.ResendAfter = tc.pause
		v := r.start("login")
		r.now = v.ExpiresAt.Add(-tc.left)
		if resend := func() { wantKind(t, r.resend(v, "sms"), tc.want) }; tc.want == "" {
			resend()
		} else {
			r.unchanged("the refusal", resend)
		}
		wantKind(t, r.right(v), "") // the code is still valid
	}
}

// Two processes take turns, a second each. The process whose clock is behind must
// neither change the times that the other one wrote nor end a limit too early.
func TestAttack15_ProcessesThatTakeTurnsKeepEachLimitExactly(t *testing.T) {
	oneCode := quiet() // only the limit of the day bounds its checks
	oneCode.MaxChecks = otp.MaxCounted
	for _, rule := range []struct {
		name   string
		p      otp.Policy
		spend  func(r *rig, v otp.Verification) bool
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
				r, v := begin(t, rule.p)
				spent := len(r.kept.Tally(server).Sends) // the start is one
				if rule.want == problem.TooManyChecks {
					spent = 0
				}
				for second := range 30 {
					r.now = fixture.Noon.Add(time.Duration(second) * time.Second)
					if second%2 == 1 {
						r.now = r.now.Add(-apart)
					}
					if rule.spend(r, v) {
						spent++
					}
				}
				if spent != rule.limit {
					t.Errorf("%d were accepted, want %d", spent, rule.limit)
				}

				full := deepCopy(r.kept)
				end := fixture.Noon.Add(rule.window)
				for _, at := range []time.Time{end.Add(-1 - apart), end.Add(-1)} {
					r.now = at
					wantKind(t, r.startError("pay"), rule.want)
					if !slices.Equal(r.kept.Tally(server).Sends, full.Tally(server).Sends) || !slices.Equal(r.kept.Tally(server).Failures, full.Tally(server).Failures) {
						t.Fatalf("the refusal at %v changed the times:\n%v %v\n%v %v", at, full.Tally(server).Sends, full.Tally(server).Failures, r.kept.Tally(server).Sends, r.kept.Tally(server).Failures)
					}
				}
				r.now = end // by either clock
				r.start("pay")
			})
		}
	}
}

func sendsAgain(r *rig, _ otp.Verification) bool {
	return r.startError("login") == nil
}

func failsAgain(r *rig, v otp.Verification) bool {
	return kindOf(r.t, r.wrong(v)) == problem.WrongCode
}

// A message looks older if a clock that is behind wrote its time. So the pause may be
// too short once, but not with every turn.
func TestAttack15_AMessageByAClockBehindCountsAsOlder(t *testing.T) {
	const apart = time.Minute
	r := newRig(t, otp.DefaultPolicy())
	sent := 0
	for second := range 30 {
		r.now = fixture.Noon.Add(time.Duration(second) * time.Second)
		if second%2 == 0 {
			r.now = r.now.Add(-apart)
		}
		if sendsAgain(r, otp.Verification{}) {
			sent++
		}
	}
	if sent != 2 {
		t.Errorf("%d messages in 30 s, want 2: one for each clock", sent)
	}
}

// If two processes take turns in any order, their events keep their times and their
// order, and the limits hold for those times.
func TestAttack15_ProcessesWithDifferentClocksKeepTimesAndLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, otp.DefaultPolicy())
		apart := time.Duration(rapid.Int64Range(0, int64(window.MaxSkew/ms)).Draw(t, "ms apart")) * ms
		clock := fixture.Noon
		var sent, failed []time.Duration // since fixture.Noon, as they were written
		var v otp.Verification
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			clock = clock.Add(rapid.SampledFrom([]time.Duration{
				0, ms, time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, 3 * time.Hour,
			}).Draw(t, "time"))
			r.now = clock
			if rapid.Bool().Draw(t, "behind") {
				r.now = clock.Add(-apart)
			}
			before := r.kept.ResendAfter(server, r.policy)
			if rapid.Bool().Draw(t, "start") {
				made, err := r.tryStart("login")
				if err == nil {
					v = made
					sent = append(sent, r.kept.Tally(server).Sends[len(r.kept.Tally(server).Sends)-1].Sub(fixture.Noon))
					if r.now.Before(before) {
						t.Fatalf("sent at %v, the pause was until %v", r.now, before)
					}
				} else if kindOf(t, err) == problem.ResendTooSoon && !r.now.Before(before) {
					t.Fatalf("refused at %v, the pause was until %v", r.now, before)
				}
			} else if v.ID != "" && failsAgain(r, v) {
				failed = append(failed, r.kept.Tally(server).Failures[len(r.kept.Tally(server).Failures)-1].Sub(fixture.Noon))
			}
			for _, list := range []struct {
				kept    []time.Time
				written []time.Duration
			}{{r.kept.Tally(server).Sends, sent}, {r.kept.Tally(server).Failures, failed}} {
				recent := list.written[len(list.written)-len(list.kept):]
				for i, e := range list.kept {
					if e.Sub(fixture.Noon) != recent[i] || i > 0 && e.Before(list.kept[i-1]) {
						t.Fatalf("kept %v, written were %v", list.kept, recent)
					}
				}
			}
		}
		atMost(t, "sends", sent, 1, r.policy.ResendAfter)
		atMost(t, "sends", sent, r.policy.MaxSends, otp.SendWindow)
		atMost(t, "sends", sent, r.policy.MaxSendsPerDay, window.Day)
		atMost(t, "failures", failed, r.policy.MaxFailuresPerDay, window.Day)
	})
}

func TestAttack15_AnEndByAClockAheadKeepsItsTime(t *testing.T) {
	for _, ahead := range []time.Duration{time.Minute, window.MaxSkew, window.MaxSkew + ms} {
		r, v := begin(t, otp.DefaultPolicy())
		r.now = fixture.Noon.Add(ahead)
		wantKind(t, r.right(v), "")
		kept, err := r.kept.Settle(fixture.Noon).Find(v.ID)
		if want := fixture.Noon.Add(min(ahead, window.MaxSkew)); err != nil || !kept.EndedAt.Equal(want) {
			t.Errorf("ended %v ahead: kept as %v (%v), want %v", ahead, kept.EndedAt, err, want)
		}
	}
}

func TestAttack15_AStepBackNeverMakesAnExpiredCodeValid(t *testing.T) {
	for _, back := range []time.Duration{1, time.Second, 9 * time.Minute, window.Day, 365 * window.Day} {
		r, v := begin(t, otp.DefaultPolicy())
		r.now = v.ExpiresAt
		wantKind(t, r.right(v), problem.Expired)
		r.now = v.ExpiresAt.Add(-back)
		wantKind(t, r.right(v), problem.Expired)
		wantKind(t, r.resend(v, "sms"), problem.Expired)
	}
}

func TestAttack15_AStepBackNeverLiftsALimit(t *testing.T) {
	for _, back := range []time.Duration{1, ms, time.Minute, time.Hour, window.Day, 365 * window.Day} {
		for name, tc := range map[string]struct {
			policy otp.Policy
			fill   func(r *rig)
			want   problem.Kind
			wait   time.Duration // less than a millisecond may be lost
		}{
			"failures": {quiet(), func(r *rig) {
				for range 2 {
					r.wrongTimes(r.start("login"), 5)
				}
			}, problem.TooManyChecks, window.Day},
			"sends": {quiet(), func(r *rig) {
				for range 5 {
					r.start("login")
				}
			}, problem.TooManySends, otp.SendWindow},
			"pause": {otp.DefaultPolicy(), func(r *rig) { r.start("login") }, problem.ResendTooSoon, 30 * time.Second},
		} {
			t.Run(back.String()+"/"+name, func(t *testing.T) {
				r := newRig(t, tc.policy)
				tc.fill(r)
				r.now = fixture.Noon.Add(-back)
				if e := wantKind(t, r.startError("login"), tc.want); e.RetryAfter > tc.wait || e.RetryAfter <= tc.wait-ms {
					t.Errorf("retry after %v, want %v", e.RetryAfter, tc.wait)
				}
			})
		}
	}
}

func TestAttack15_MaxSkewIsHowFarTheStartsClockMayBeAhead(t *testing.T) {
	for _, tc := range []struct {
		ahead time.Duration
		want  problem.Kind
	}{
		{window.MaxSkew, ""},
		{window.MaxSkew + ms, problem.Expired},
		{365 * window.Day, problem.Expired},
	} {
		r := newRig(t, otp.DefaultPolicy())
		r.now = fixture.Noon.Add(tc.ahead)
		v := r.start("login")
		r.now = fixture.Noon
		if got := kindOf(t, r.right(v)); got != tc.want {
			t.Errorf("started %v ahead: got %q, want %q", tc.ahead, got, tc.want)
		}
	}
}

func TestAttack15_TimesOfABrokenClockEndWithinADayAndMaxSkew(t *testing.T) {
	r := newRig(t, quiet())
	r.now = fixture.Noon.AddDate(100, 0, 0)
	var broken []otp.Verification
	for _, purpose := range []string{"a", "b", "c", "d"} {
		broken = append(broken, r.start(purpose))
	}
	for _, v := range broken[:2] {
		r.wrongTimes(v, 5)
	}

	r.now = fixture.Noon // repaired: the limits hold for a day and what a clock may be ahead
	wantKind(t, r.right(broken[2]), problem.Expired)
	wantRefusal(t, r.startError("e"), problem.TooManyChecks, window.Day)

	r.now = fixture.Noon.Add(window.Day + window.MaxSkew - 1)
	wantRefusal(t, r.startError("e"), problem.TooManyChecks, 1)

	r.now = fixture.Noon.Add(window.Day + window.MaxSkew)
	v := r.start("e") // no verification of the broken clock is remembered
	wantKind(t, r.right(v), "")
	if until, want := r.kept.KeepUntil(), v.ExpiresAt.Add(window.Day); until.After(want) {
		t.Errorf("the row is kept until %v, want %v at the latest", until, want)
	}
	wantKind(t, r.right(broken[3]), problem.NotFound)
}

func TestAttack15_VerificationsOfABrokenClockDoNotCountAsPending(t *testing.T) {
	r := newRig(t, quiet())
	r.now = fixture.Noon.AddDate(100, 0, 0)
	for _, purpose := range []string{"a", "b", "c", "d"} {
		r.start(purpose)
	}
	r.now = fixture.Noon
	r.start("e")
}
