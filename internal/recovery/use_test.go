package recovery_test

import (
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

func TestR8_EachCodeWorksOnce(t *testing.T) {
	codes, s := newSet(t, 1)
	for i, code := range codes {
		now := fixture.Noon.Add(time.Duration(i) * time.Hour)
		s, _ = use(t, s, code, now, "")
		if s.Left() != 9-i || !s.Codes[i].UsedAt.Equal(now) {
			t.Errorf("code %d: %d left, state %+v", i, s.Left(), s)
		}
		if i < 9 { // after the last one, there is nothing to compare with
			s, _ = use(t, s, code, now, problem.WrongCode)
			if s.Left() != 9-i || !s.Codes[i].UsedAt.Equal(now) {
				t.Errorf("code %d again: %d left, state %+v", i, s.Left(), s)
			}
		}
	}
}

// The answer and the state after a used code are those after a wrong one.
func TestUse_AUsedCodeIsAnsweredLikeAWrongOne(t *testing.T) {
	codes, s := newSet(t, 1)
	s, _ = use(t, s, codes[0], fixture.Noon, "")
	afterUsed, used := use(t, s, codes[0], fixture.Noon, problem.WrongCode)
	afterWrong, other := use(t, s, wrong, fixture.Noon, problem.WrongCode)
	if *used.ChecksLeft != *other.ChecksLeft || used.Detail != other.Detail || used.Err != other.Err ||
		used.RetryAfter != other.RetryAfter || !same(afterUsed, afterWrong) {
		t.Errorf("used: %+v\nwrong: %+v", used, other)
	}
}

func TestUse_WithoutACodeLeftSaysHowToMakeNewOnes(t *testing.T) {
	codes, spent := newSet(t, 1)
	for _, code := range codes {
		spent, _ = use(t, spent, code, fixture.Noon, "")
	}
	for name, s := range map[string]recovery.State{
		"never made any":        {},
		"all used":              spent,
		"and too many failures": locked(spent),
	} {
		t.Run(name, func(t *testing.T) {
			for _, code := range []string{codes[0], wrong, "123456"} {
				after, e := use(t, s, code, fixture.Noon, problem.NotFound)
				if after.Left() != 0 || !same(after, s) || e.Detail == "" {
					t.Errorf("%d left, %+v, %+v", after.Left(), e, after)
				}
			}
			wantKind(t, s.Ready(fixture.Noon), problem.NotFound)
		})
	}
}

func TestUse_TenWrongCodesADay(t *testing.T) {
	codes, s := newSet(t, 1)
	for i := range 10 {
		var e *problem.Error
		s, e = use(t, s, wrong, fixture.Noon.Add(time.Duration(i)*time.Minute), problem.WrongCode)
		if *e.ChecksLeft != 9-i {
			t.Errorf("%d checks left, want %d", *e.ChecksLeft, 9-i)
		}
	}
	for _, tc := range []struct {
		at, wait time.Duration
	}{
		{10 * time.Minute, window.Day - 10*time.Minute},
		{window.Day - 1, 1},
	} {
		for _, code := range []string{codes[0], wrong, "123"} { // the right one, too
			after, e := use(t, s, code, fixture.Noon.Add(tc.at), problem.TooManyChecks)
			if e.RetryAfter != tc.wait || e.ChecksLeft == nil || *e.ChecksLeft != 0 || after.Left() != 10 {
				t.Errorf("after %v: %+v, %d left", tc.at, e, after.Left())
			}
			if !same(after, s) {
				t.Errorf("after %v: a code that was not compared changed the state", tc.at)
			}
		}
		wantKind(t, s.Ready(fixture.Noon.Add(tc.at)), problem.TooManyChecks)
	}
	wantKind(t, s.Ready(fixture.Noon.Add(window.Day)), "")
	s, _ = use(t, s, wrong, fixture.Noon.Add(window.Day), problem.WrongCode)
	if _, e := use(t, s, codes[0], fixture.Noon.Add(window.Day), problem.TooManyChecks); e.RetryAfter != time.Minute {
		t.Errorf("retry after %v, want a minute: the second wrong code still counts", e.RetryAfter)
	}
	s, _ = use(t, s, codes[0], fixture.Noon.Add(window.Day+time.Minute), "")
	if s.Left() != 9 || len(s.Failures) != 9 {
		t.Errorf("%d left, %d failures; a success forgets none", s.Left(), len(s.Failures))
	}
}

// counted is quick, and counts its calls.
func counted(n *int) func(string, [16]byte) []byte {
	return func(code string, salt [16]byte) []byte {
		*n++
		return quick(code, salt)
	}
}

func TestAttempt_HashesOnlyWhereThatDecides(t *testing.T) {
	codes, s := newSet(t, 1)
	removed := deepCopy(s)
	removed.Key = [4]byte{}
	for name, tc := range map[string]struct {
		s    recovery.State
		code string
		kind problem.Kind
		want int
	}{
		"right":                 {s, codes[0], "", 1},
		"wrong":                 {s, wrong, problem.WrongCode, 1},
		"too many were wrong":   {locked(s), codes[0], problem.TooManyChecks, 0},
		"no set":                {recovery.State{}, codes[0], problem.NotFound, 0},
		"the secret is removed": {removed, codes[0], problem.Expired, 0},
		"not a code's form":     {s, "ABCD", problem.InvalidRequest, 0},
		"not the code's length": {s, codes[0] + "A", problem.InvalidRequest, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			use := recovery.AttemptWith(counted(&n), typed(t, tc.code), keyring, fixture.Noon)
			for range 5 { // as if writes conflict
				after, _, err := use(tc.s)
				wantKind(t, err, tc.kind)
				if failures := len(after.Failures) - len(tc.s.Failures); failures != 0 && tc.kind != problem.WrongCode {
					t.Errorf("%d more failures", failures)
				}
			}
			if n != tc.want {
				t.Errorf("hashed %d times, want %d", n, tc.want)
			}
		})
	}
}

func TestAttempt_HashesAgainForAnotherSetOnly(t *testing.T) {
	codes, first := newSet(t, 1)
	_, second := newSet(t, 2)
	n := 0
	use := recovery.AttemptWith(counted(&n), typed(t, codes[0]), keyring, fixture.Noon)
	states := []recovery.State{first, withFailures(first, fixture.Noon), first.Replace(second), withFailures(second, fixture.Noon), first}
	kinds := []problem.Kind{"", "", problem.WrongCode, problem.WrongCode, ""}
	for i, want := range []int{1, 1, 2, 2, 3} {
		_, _, err := use(states[i])
		if wantKind(t, err, kinds[i]); n != want {
			t.Errorf("state %d: hashed %d times, want %d", i, n, want)
		}
	}
}

func TestUse_RefusesACodeThatWasHashedForAnotherSet(t *testing.T) {
	codes, s := newSet(t, 1)
	rekeyed := deepCopy(s)
	rekeyed.Key = [4]byte{}
	_, other := newSet(t, 2)
	code := typed(t, codes[0])
	for name, h := range map[string]recovery.Hashed{
		"none":               {},
		"of no set":          hashed(t, recovery.State{}, "x", keyring),
		"of another salt":    hashed(t, other, "x", keyring),
		"of another key":     hashed(t, rekeyed, code, keyring),
		"of an unknown salt": hashed(t, recovery.State{Key: s.Key}, "x", keyring),
	} {
		t.Run(name, func(t *testing.T) {
			after, left, err := recovery.Use(s, h, fixture.Noon)
			wantKind(t, err, problem.Internal)
			if left != 10 || !same(after, s) {
				t.Errorf("%d left, %+v", left, after)
			}
		})
	}
	// The zero Hashed is not right either if a code's MAC is zero.
	zero := recovery.State{Codes: make([]recovery.Code, 1)}
	_, _, err := recovery.Use(zero, recovery.Hashed{}, fixture.Noon)
	wantKind(t, err, problem.Internal)
}

func TestRotation_CodesWorkUntilTheirSecretIsRemoved(t *testing.T) {
	codes, s := newSet(t, 1)
	rotated, without := fixture.Keys(t, 50, 1), fixture.Keys(t, 50)
	code := typed(t, codes[0])

	after, left, err := recovery.AttemptWith(quick, code, rotated, fixture.Noon)(s)
	wantKind(t, err, "")
	if left != 9 || after.Key != s.Key || !s.Alive(rotated) {
		t.Errorf("%d left, alive: %v", left, s.Alive(rotated))
	}
	for _, code := range []string{code, typed(t, wrong)} {
		after, _, err = recovery.AttemptWith(quick, code, without, fixture.Noon)(s)
		wantKind(t, err, problem.Expired)
		if !same(after, s) || s.Alive(without) {
			t.Errorf("alive: %v, state %+v", s.Alive(without), after)
		}
	}
	fresh, made, err := recovery.NewWith(quick, source(2), without, fixture.Noon)
	wantKind(t, err, "")
	_, left, err = recovery.AttemptWith(quick, typed(t, fresh[0]), without, fixture.Noon)(s.Replace(made))
	if wantKind(t, err, ""); left != 9 {
		t.Errorf("%d left, want 9", left)
	}
}

func TestClock_AFailureInTheFutureCountsForDayAndMaxSkewAtMost(t *testing.T) {
	codes, s := newSet(t, 1)
	var ahead []time.Time
	for range 10 {
		ahead = append(ahead, fixture.Noon.Add(100*window.Day))
	}
	s = withFailures(s, ahead...)
	after, e := use(t, s, codes[0], fixture.Noon, problem.TooManyChecks)
	if e.RetryAfter != window.Day {
		t.Errorf("retry after %v, want a day", e.RetryAfter)
	}
	use(t, after, codes[0], fixture.Noon.Add(window.Day+window.MaxSkew-1), problem.TooManyChecks)
	use(t, after, codes[0], fixture.Noon.Add(window.Day+window.MaxSkew), "")
}

func TestClock_GoingBackRevivesNoCodeAndForgetsNoFailure(t *testing.T) {
	codes, s := newSet(t, 1)
	s, _ = use(t, s, codes[0], fixture.Noon, "")
	back := fixture.Noon.Add(-90 * time.Second)
	for i := range 10 {
		now := fixture.Noon
		if i%2 == 1 {
			now = back
		}
		s, _ = use(t, s, codes[0], now, problem.WrongCode)
	}
	for i, at := range s.Failures {
		if !at.Equal(fixture.Noon) {
			t.Errorf("failure %d is kept as of %v", i, at)
		}
	}
	if _, e := use(t, s, codes[1], back, problem.TooManyChecks); e.RetryAfter != window.Day {
		t.Errorf("retry after %v", e.RetryAfter)
	}
}

// However long an attacker goes on, the lock ends by itself, and then the person's
// codes work.
func TestAttack22_TheLockEndsByItself(t *testing.T) {
	codes, s := newSet(t, 1)
	tried := 0
	for minute := range 3 * 24 * 60 {
		var err error
		s, _, err = recovery.AttemptWith(quick, typed(t, wrong), keyring, fixture.Noon.Add(time.Duration(minute)*time.Minute))(s)
		if problem.Is(err, problem.WrongCode) {
			tried++
		} else {
			wantKind(t, err, problem.TooManyChecks)
		}
	}
	if tried != 3*10 {
		t.Errorf("%d wrong codes were compared in three days, want 30", tried)
	}
	last := s.Failures[len(s.Failures)-1]
	after, _ := use(t, s, codes[0], last.Add(window.Day), "")
	if after.Left() != 9 {
		t.Errorf("%d left, want 9", after.Left())
	}
}
