package otp_test

import (
	"fmt"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/window"
)

const ms = time.Millisecond // events are kept in whole milliseconds

func TestSends_FiveInTenMinutesAndThenExactlyWhenTheFirstIsOver(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	for i := range 5 {
		b.now = noon.Add(time.Duration(i) * time.Minute)
		b.start("login")
	}
	b.now = noon.Add(7 * time.Minute)
	_, err := b.tryStart("login")
	wantRefusal(t, err, problem.TooManySends, 3*time.Minute)
	b.now = noon.Add(10*time.Minute - 1)
	_, err = b.tryStart("login")
	wantRefusal(t, err, problem.TooManySends, 1)
	b.now = noon.Add(10 * time.Minute)
	b.start("login")
	_, err = b.tryStart("login") // the second one now bounds the window
	wantRefusal(t, err, problem.TooManySends, time.Minute)
}

func TestSends_TwentyInADayAndThenExactlyWhenTheFirstIsOver(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	for i := range 20 {
		b.now = noon.Add(time.Duration(i) * time.Hour)
		b.start("login")
	}
	b.now = noon.Add(20 * time.Hour)
	_, err := b.tryStart("login")
	wantRefusal(t, err, problem.TooManySends, 4*time.Hour)
	b.now = noon.Add(window.Day - 1)
	_, err = b.tryStart("login")
	wantRefusal(t, err, problem.TooManySends, 1)
	b.now = noon.Add(window.Day)
	b.start("login")
}

func TestSends_PauseOfThirtySecondsIsExact(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.start("login")
	if got, want := b.r.ResendAfter(b.p), noon.Add(30*time.Second); !got.Equal(want) {
		t.Errorf("ResendAfter is %v, want %v", got, want)
	}
	for _, after := range []time.Duration{0, ms, 30*time.Second - 1} {
		b.now = noon.Add(after)
		wantRefusal(t, b.resend(v, "sms"), problem.ResendTooSoon, 30*time.Second-after)
		_, err := b.tryStart("pay")
		wantRefusal(t, err, problem.ResendTooSoon, 30*time.Second-after)
	}
	b.now = noon.Add(30 * time.Second)
	wantKind(t, b.resend(v, "sms"), "")
}

func TestSends_ARefusedOneIsNotCounted(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.start("login")
	before := deepCopy(b.r)
	for range 100 {
		wantKind(t, b.resend(v, "sms"), problem.ResendTooSoon)
		_, err := b.tryStart("login")
		wantKind(t, err, problem.ResendTooSoon)
	}
	if !same(b.r, before) {
		t.Errorf("a refusal changed the recipient:\n%+v\n%+v", before, b.r)
	}
}

// RetryAfter is a promise: whichever rules bind, a send is refused until the
// last of them is over, and accepted then.
func TestSends_RetryAfterIsWhenEveryRuleIsOver(t *testing.T) {
	for _, tc := range []struct {
		name     string
		sends    []time.Duration // before now
		failures int             // at now - 23 h
		want     problem.Kind
		wait     time.Duration
	}{
		{"pause outlasts the window of 10 minutes", []time.Duration{595, 400, 300, 200, 5}, 0, problem.ResendTooSoon, 25 * time.Second},
		{"window of 10 minutes outlasts the pause", []time.Duration{500, 400, 300, 200, 5}, 0, problem.TooManySends, 100 * time.Second},
		{"the day's sends outlast the failures", everyHour(20), 10, problem.TooManySends, 4 * time.Hour},
		{"the failures outlast the pause", []time.Duration{5}, 10, problem.TooManyChecks, time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, otp.DefaultPolicy())
			b.r.Address = alice
			for _, s := range tc.sends {
				b.r.Sends = append(b.r.Sends, noon.Add(-s*time.Second))
			}
			for range tc.failures {
				b.r.Failures = append(b.r.Failures, noon.Add(-23*time.Hour))
			}
			_, err := b.tryStart("login")
			wantRefusal(t, err, tc.want, tc.wait)
			b.now = noon.Add(tc.wait - 1)
			if _, err := b.tryStart("login"); err == nil {
				t.Error("accepted before its time")
			}
			b.now = noon.Add(tc.wait)
			b.start("login")
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

// One number cannot be bombed through many purposes and channels: all of them
// share one count (the part of attack 7 that the domain holds).
func TestAttack07_OneCapOverPurposesAndChannels(t *testing.T) {
	p := otp.DefaultPolicy()
	b := newBench(t, p)
	channels := []string{"whatsapp", "sms", "voice", "email"}
	sent := 0
	for second := range 24 * 3600 / 10 {
		b.now = noon.Add(time.Duration(second*10) * time.Second)
		v, err := b.tryStart(fmt.Sprintf("purpose-%d", second%7))
		if err == nil {
			sent++
		}
		if b.resend(v, channels[second%4]) == nil {
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
	b := newBench(t, otp.DefaultPolicy())
	first := b.start("p0")
	sent := 1
	for second := 1; second < 600; second++ {
		b.now = noon.Add(time.Duration(second) * time.Second)
		if _, err := b.tryStart(fmt.Sprintf("p%d", second%3)); err == nil {
			sent++
		}
		if b.resend(first, "sms") == nil {
			sent++
		}
	}
	if sent != 5 {
		t.Errorf("%d messages in 10 minutes, want 5", sent)
	}
}

func TestStart_FifthLivePurposeWaitsForTheFirstToEnd(t *testing.T) {
	b := newBench(t, quiet())
	for i, purpose := range []string{"a", "b", "c", "d"} {
		b.now = noon.Add(time.Duration(i) * time.Minute)
		b.start(purpose)
	}
	before := deepCopy(b.r)
	_, err := b.tryStart("e")
	wantRefusal(t, err, problem.TooManySends, 7*time.Minute)
	if !same(b.r, before) {
		t.Error("the refusal changed the recipient")
	}
	b.start("a") // a purpose that is live takes its own place
	b.now = noon.Add(11*time.Minute - 1)
	_, err = b.tryStart("e")
	wantRefusal(t, err, problem.TooManySends, 1)
	b.now = noon.Add(11 * time.Minute) // "b" ends
	b.start("e")
}

func TestSendsLeft_SaysHowManyMoreAreAccepted(t *testing.T) {
	b := newBench(t, quiet())
	for want := 4; want >= 0; want-- {
		b.start("login")
		if got := b.r.SendsLeft(b.p, b.now); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
	b.now = noon.Add(otp.SendWindow)
	if got := b.r.Settle(b.now).SendsLeft(b.p, b.now); got != 5 {
		t.Errorf("got %d after the window, want 5", got)
	}
	b.p.MaxSendsPerDay = 3 // fewer than were sent
	if got := b.r.SendsLeft(b.p, b.now); got != 0 {
		t.Errorf("got %d under a lowered limit, want 0", got)
	}
}

func TestR6_FiveChecksAVerificationAndNoSixth(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.start("login")
	for want := 4; want >= 0; want-- {
		err := b.wrong(v)
		wantKind(t, err, problem.WrongCode)
		if got := refusal(t, err).ChecksLeft; got == nil || *got != want {
			t.Errorf("checks_left is %v, want %d", got, want)
		}
		kept, _ := b.r.Find(v.ID)
		if got := b.r.ChecksLeft(kept, b.p); got != want {
			t.Errorf("ChecksLeft is %d, want %d", got, want)
		}
	}
	if got := b.status(v); got != otp.Exhausted {
		t.Errorf("is %v, want exhausted", got)
	}
	err := b.right(v)
	wantKind(t, err, problem.TooManyChecks)
	if got := refusal(t, err).ChecksLeft; got == nil || *got != 0 {
		t.Errorf("checks_left is %v, want 0", got)
	}
	if n := len(b.r.Failures); n != 5 {
		t.Errorf("%d failures are counted, want 5: a check that is refused unread is none", n)
	}
}

func TestR6_TheFifthCheckMayStillBeRight(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.start("login")
	for range 4 {
		wantKind(t, b.wrong(v), problem.WrongCode)
	}
	wantKind(t, b.right(v), "")
}

func TestR6_ALoweredLimitHoldsForLiveVerifications(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.start("login")
	for range 3 {
		wantKind(t, b.wrong(v), problem.WrongCode)
	}
	b.p.MaxChecks = 3
	wantKind(t, b.right(v), problem.TooManyChecks)
	if got := b.status(v); got != otp.Exhausted {
		t.Errorf("is %v, want exhausted", got)
	}
}

func TestR4_TenFailuresADayOverAllCodesAndPurposes(t *testing.T) {
	b := newBench(t, quiet())
	failAt := func(at time.Duration, v otp.Verification, left int) {
		t.Helper()
		b.now = noon.Add(at)
		err := b.wrong(v)
		wantKind(t, err, problem.WrongCode)
		if got := refusal(t, err).ChecksLeft; got == nil || *got != left {
			t.Errorf("checks_left is %v, want %d", got, left)
		}
	}
	login := b.start("login")
	for i := range 4 {
		failAt(time.Duration(i)*time.Second, login, 4-i)
	}
	pay := b.start("pay")
	for i := range 4 {
		failAt(time.Duration(10+i)*time.Second, pay, min(4-i, 5-i))
	}
	other := b.start("other")
	failAt(20*time.Second, other, 1) // of its own five, only the day's last one is left
	failAt(21*time.Second, other, 0)

	b.now = noon.Add(time.Minute)
	wait := window.Day - time.Minute
	for _, v := range []otp.Verification{login, pay, other} {
		wantRefusal(t, b.right(v), problem.TooManyChecks, wait)
	}
	wantRefusal(t, b.resend(other, "sms"), problem.TooManyChecks, wait)
	_, err := b.tryStart("login")
	wantRefusal(t, err, problem.TooManyChecks, wait)

	b.now = noon.Add(window.Day - 1)
	_, err = b.tryStart("login")
	wantRefusal(t, err, problem.TooManyChecks, 1)
	b.now = noon.Add(window.Day)
	v := b.start("login")
	failAt(window.Day, v, 0) // the second failure still counts for a second
	wantRefusal(t, b.right(v), problem.TooManyChecks, time.Second)
	b.now = noon.Add(window.Day + time.Second)
	wantKind(t, b.right(v), "")
}

func TestR4_ASuccessDoesNotResetTheFailures(t *testing.T) {
	b := newBench(t, quiet())
	for range 3 {
		v := b.start("login")
		for range 3 {
			wantKind(t, b.wrong(v), problem.WrongCode)
		}
		wantKind(t, b.right(v), "")
	}
	v := b.start("login")
	wantKind(t, b.wrong(v), problem.WrongCode)
	wantKind(t, b.right(v), problem.TooManyChecks)
}

func TestAttack02_ResendNeverResetsFailures(t *testing.T) {
	for _, tc := range []struct {
		name string
		next func(b *bench, v otp.Verification) (otp.Verification, error)
		want int // wrong codes that are evaluated
	}{
		{"a new code each time", func(b *bench, _ otp.Verification) (otp.Verification, error) {
			return b.tryStart("login")
		}, 10},
		{"the same code again", func(b *bench, v otp.Verification) (otp.Verification, error) {
			if v.ID == "" {
				return b.tryStart("login")
			}
			return v, b.resend(v, "whatsapp")
		}, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, otp.DefaultPolicy())
			var v otp.Verification
			evaluated := 0
			for round := range 20 {
				b.now = noon.Add(time.Duration(round) * 30 * time.Second)
				if sent, err := tc.next(b, v); err == nil {
					v = sent
				}
				for range 4 {
					if kindOf(t, b.wrong(v)) == problem.WrongCode {
						evaluated++
					}
				}
			}
			if evaluated != tc.want {
				t.Errorf("%d wrong codes were evaluated, want %d", evaluated, tc.want)
			}
			wantKind(t, b.right(v), problem.TooManyChecks)
		})
	}
}
