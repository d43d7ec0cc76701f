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

const ms = time.Millisecond // events are kept in whole milliseconds

func TestSends_FiveInTenMinutesAndTheNextExactlyTenMinutesAfterTheFirst(t *testing.T) {
	r := newRig(t, otp.DefaultPolicy())
	for i := range 5 {
		r.now = fixture.Noon.Add(time.Duration(i) * time.Minute)
		r.start("login")
	}
	r.now = fixture.Noon.Add(7 * time.Minute)
	wantRefusal(t, r.startError("login"), problem.TooManySends, 3*time.Minute)
	r.now = fixture.Noon.Add(10*time.Minute - 1)
	wantRefusal(t, r.startError("login"), problem.TooManySends, 1)
	r.now = fixture.Noon.Add(10 * time.Minute)
	r.start("login")
	wantRefusal(t, r.startError("login"), problem.TooManySends, time.Minute) // now the second one is the oldest
}

func TestSends_TwentyInADayAndTheNextExactlyADayAfterTheFirst(t *testing.T) {
	r := newRig(t, otp.DefaultPolicy())
	for i := range 20 {
		r.now = fixture.Noon.Add(time.Duration(i) * time.Hour)
		r.start("login")
	}
	r.now = fixture.Noon.Add(20 * time.Hour)
	wantRefusal(t, r.startError("login"), problem.TooManySends, 4*time.Hour)
	r.now = fixture.Noon.Add(window.Day - 1)
	wantRefusal(t, r.startError("login"), problem.TooManySends, 1)
	r.now = fixture.Noon.Add(window.Day)
	r.start("login")
}

func TestSends_PauseOfThirtySecondsIsExact(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy())
	if got, want := r.kept.ResendAfter(server, r.policy), fixture.Noon.Add(30*time.Second); !got.Equal(want) {
		t.Errorf("ResendAfter is %v, want %v", got, want)
	}
	for _, after := range []time.Duration{0, ms, 30*time.Second - 1} {
		r.now = fixture.Noon.Add(after)
		wantRefusal(t, r.resend(v, "sms"), problem.ResendTooSoon, 30*time.Second-after)
		wantRefusal(t, r.startError("pay"), problem.ResendTooSoon, 30*time.Second-after)
	}
	r.now = fixture.Noon.Add(30 * time.Second)
	wantKind(t, r.resend(v, "sms"), "")
}

func TestSends_ARefusedOneIsNotCounted(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy())
	r.unchanged("a refusal", func() {
		for range 100 {
			wantKind(t, r.resend(v, "sms"), problem.ResendTooSoon)
			wantKind(t, r.startError("login"), problem.ResendTooSoon)
		}
	})
}

// A send is refused until RetryAfter is over and accepted then, for any rules that
// refuse it.
func TestSends_RetryAfterIsWhenEveryRuleIsOver(t *testing.T) {
	for _, tc := range []struct {
		name     string
		sends    []time.Duration // before now
		failures int             // at now - 23 h
		want     problem.Kind
		wait     time.Duration
	}{
		{"the pause lasts longer than the window of 10 minutes", []time.Duration{595, 400, 300, 200, 5}, 0, problem.ResendTooSoon, 25 * time.Second},
		{"the window of 10 minutes lasts longer than the pause", []time.Duration{500, 400, 300, 200, 5}, 0, problem.TooManySends, 100 * time.Second},
		{"the sends of the day last longer than the failures", everyHour(20), 10, problem.TooManySends, 4 * time.Hour},
		{"the failures last longer than the pause", []time.Duration{5}, 10, problem.TooManyChecks, time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, otp.DefaultPolicy())
			r.kept.Address = fixture.Alice
			var tally otp.Tally
			for _, s := range tc.sends {
				tally.Sends = append(tally.Sends, fixture.Noon.Add(-s*time.Second))
			}
			for range tc.failures {
				tally.Failures = append(tally.Failures, fixture.Noon.Add(-23*time.Hour))
			}
			r.kept.Tallies = one(tally)
			wantRefusal(t, r.startError("login"), tc.want, tc.wait)
			r.now = fixture.Noon.Add(tc.wait - 1)
			if r.startError("login") == nil {
				t.Error("accepted too early")
			}
			r.now = fixture.Noon.Add(tc.wait)
			r.start("login")
		})
	}
}

// everyHour is n sends in seconds before now, the newest one an hour ago.
func everyHour(n int) []time.Duration {
	var s []time.Duration
	for i := range n {
		s = append(s, time.Duration(n-i)*3600)
	}
	return s
}

// Nobody can flood a number through many purposes and channels: all of them share
// one count. This is the part of attack 7 that the domain prevents.
func TestAttack07_OneLimitForAllPurposesAndChannels(t *testing.T) {
	p := otp.DefaultPolicy()
	r := newRig(t, p)
	channels := []channel.Channel{"whatsapp", "sms", "call", "email"}
	sent := 0
	for second := range 24 * 3600 / 10 {
		r.now = fixture.Noon.Add(time.Duration(second*10) * time.Second)
		v, err := r.tryStart(fmt.Sprintf("purpose-%d", second%7))
		if err == nil {
			sent++
		}
		if r.resend(v, channels[second%4]) == nil {
			sent++
		}
		if second*10 == 599 && sent > p.MaxSends {
			t.Errorf("%d messages in the first 10 minutes, want at most %d", sent, p.MaxSends)
		}
	}
	if sent != p.MaxSendsPerDay {
		t.Errorf("%d messages in 24 hours, want %d", sent, p.MaxSendsPerDay)
	}
}

func TestAttack07_FiveMessagesInTenMinutesWhateverThePurpose(t *testing.T) {
	r := newRig(t, otp.DefaultPolicy())
	first := r.start("p0")
	sent := 1
	for second := 1; second < 600; second++ {
		r.now = fixture.Noon.Add(time.Duration(second) * time.Second)
		if r.startError(fmt.Sprintf("p%d", second%3)) == nil {
			sent++
		}
		if r.resend(first, "sms") == nil {
			sent++
		}
	}
	if sent != 5 {
		t.Errorf("%d messages in 10 minutes, want 5", sent)
	}
}

func TestStart_AFifthPendingPurposeIsRefusedUntilTheFirstExpires(t *testing.T) {
	r := newRig(t, quiet())
	for i, purpose := range []string{"a", "b", "c", "d"} {
		r.now = fixture.Noon.Add(time.Duration(i) * time.Minute)
		r.start(purpose)
	}
	r.unchanged("the refusal", func() { wantRefusal(t, r.startError("e"), problem.TooManySends, 7*time.Minute) })
	r.start("a") // the start cancels the pending one of its purpose
	r.now = fixture.Noon.Add(11*time.Minute - 1)
	wantRefusal(t, r.startError("e"), problem.TooManySends, 1)
	r.now = fixture.Noon.Add(11 * time.Minute) // "b" expires
	r.start("e")
}

func TestSendsLeft_SaysHowManyMoreAreAccepted(t *testing.T) {
	r := newRig(t, quiet())
	wantLeft := func(want int) {
		t.Helper()
		if got := r.kept.Settle(r.now).SendsLeft(server, r.policy, r.now); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
	for want := 4; want >= 0; want-- {
		r.start("login")
		wantLeft(want)
	}
	r.now = fixture.Noon.Add(otp.SendWindow)
	wantLeft(5)
	r.policy.MaxSendsPerDay = 3 // fewer than were sent
	wantLeft(0)
}

func wantChecksLeft(t *testing.T, err error, kind problem.Kind, want int) {
	t.Helper()
	if got := wantKind(t, err, kind).ChecksLeft; got == nil || *got != want {
		t.Errorf("checks_left is %v, want %d", got, want)
	}
}

func TestR6_AVerificationHasFiveChecks(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy())
	for want := 4; want >= 0; want-- {
		wantChecksLeft(t, r.wrong(v), problem.WrongCode, want)
		if got := r.kept.ChecksLeft(r.found(v), r.policy, r.now); got != want {
			t.Errorf("ChecksLeft is %d, want %d", got, want)
		}
	}
	if got := r.status(v); got != otp.Exhausted {
		t.Errorf("status %s, want exhausted", got)
	}
	wantChecksLeft(t, r.right(v), problem.TooManyChecks, 0)
	if n := len(r.kept.Tally(server).Failures); n != 5 {
		t.Errorf("%d failures are counted, want 5: the last code was not compared", n)
	}
}

func TestR6_TheFifthCheckMayStillBeRight(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy())
	r.wrongTimes(v, 4)
	wantKind(t, r.right(v), "")
}

func TestR6_ALoweredLimitHoldsForPendingVerifications(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy())
	r.wrongTimes(v, 3)
	r.policy.MaxChecks = 3
	wantKind(t, r.right(v), problem.TooManyChecks)
	if got := r.status(v); got != otp.Exhausted {
		t.Errorf("status %s, want exhausted", got)
	}
}

func TestR4_TenFailuresADayOverAllCodesAndPurposes(t *testing.T) {
	r := newRig(t, quiet())
	failAt := func(at time.Duration, v otp.Verification, left int) {
		t.Helper()
		r.now = fixture.Noon.Add(at)
		wantChecksLeft(t, r.wrong(v), problem.WrongCode, left)
	}
	login := r.start("login")
	for i := range 4 {
		failAt(time.Duration(i)*time.Second, login, 4-i)
	}
	pay := r.start("pay")
	for i := range 4 {
		failAt(time.Duration(10+i)*time.Second, pay, min(4-i, 5-i))
	}
	other := r.start("other")
	failAt(20*time.Second, other, 1) // four of its own are left, but one of the day
	failAt(21*time.Second, other, 0)

	r.now = fixture.Noon.Add(time.Minute)
	wait := window.Day - time.Minute
	for _, v := range []otp.Verification{login, pay, other} {
		wantRefusal(t, r.right(v), problem.TooManyChecks, wait)
	}
	wantRefusal(t, r.resend(other, "sms"), problem.TooManyChecks, wait)
	wantRefusal(t, r.startError("login"), problem.TooManyChecks, wait)

	r.now = fixture.Noon.Add(window.Day - 1)
	wantRefusal(t, r.startError("login"), problem.TooManyChecks, 1)
	r.now = fixture.Noon.Add(window.Day)
	v := r.start("login")
	failAt(window.Day, v, 0) // the second failure counts for one second more
	wantRefusal(t, r.right(v), problem.TooManyChecks, time.Second)
	r.now = fixture.Noon.Add(window.Day + time.Second)
	wantKind(t, r.right(v), "")
}

func TestR4_ASuccessDoesNotResetTheFailures(t *testing.T) {
	r := newRig(t, quiet())
	for range 3 {
		v := r.start("login")
		r.wrongTimes(v, 3)
		wantKind(t, r.right(v), "")
	}
	v := r.start("login")
	r.wrongTimes(v, 1)
	wantKind(t, r.right(v), problem.TooManyChecks)
}

func TestAttack02_ResendNeverResetsFailures(t *testing.T) {
	for _, tc := range []struct {
		name string
		next func(r *rig, v otp.Verification) (otp.Verification, error)
		want int // wrong codes that are compared
	}{
		{"a new code each time", func(r *rig, _ otp.Verification) (otp.Verification, error) {
			return r.tryStart("login")
		}, 10},
		{"the same code again", func(r *rig, v otp.Verification) (otp.Verification, error) {
			if v.ID == "" {
				return r.tryStart("login")
			}
			return v, r.resend(v, "whatsapp")
		}, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, otp.DefaultPolicy())
			var v otp.Verification
			compared := 0
			for round := range 20 {
				r.now = fixture.Noon.Add(time.Duration(round) * 30 * time.Second)
				if sent, err := tc.next(r, v); err == nil {
					v = sent
				}
				for range 4 {
					if kindOf(t, r.wrong(v)) == problem.WrongCode {
						compared++
					}
				}
			}
			if compared != tc.want {
				t.Errorf("%d wrong codes were compared, want %d", compared, tc.want)
			}
			wantKind(t, r.right(v), problem.TooManyChecks)
		})
	}
}
