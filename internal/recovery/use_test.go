package recovery_test

import (
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/window"
)

func TestR8_EachCodeWorksOnce(t *testing.T) {
	codes, s := newSet(t, 1)
	for i, code := range codes {
		var left int
		var err error
		now := noon.Add(time.Duration(i) * time.Hour)
		s, left, err = try(t, s, code, now)
		wantKind(t, err, "")
		if left != 9-i || s.Left() != left || !s.Codes[i].UsedAt.Equal(now) {
			t.Errorf("code %d: %d left, state %+v", i, left, s)
		}
		if i < 9 { // the last one leaves nothing to be compared with
			s, left, err = try(t, s, code, now)
			wantKind(t, err, problem.WrongCode)
			if left != 9-i || !s.Codes[i].UsedAt.Equal(now) {
				t.Errorf("code %d again: %d left, state %+v", i, left, s)
			}
		}
	}
}

// A used code and a wrong one differ in nothing that is answered or kept.
func TestUse_AUsedCodeIsAnsweredLikeAWrongOne(t *testing.T) {
	codes, s := newSet(t, 1)
	s, _, err := try(t, s, codes[0], noon)
	wantKind(t, err, "")
	afterUsed, leftUsed, err := try(t, s, codes[0], noon)
	used := wantKind(t, err, problem.WrongCode)
	afterWrong, leftWrong, err := try(t, s, wrong, noon)
	other := wantKind(t, err, problem.WrongCode)
	if *used.ChecksLeft != *other.ChecksLeft || used.Detail != other.Detail || used.Err != other.Err ||
		used.RetryAfter != other.RetryAfter || leftUsed != leftWrong || !same(afterUsed, afterWrong) {
		t.Errorf("used: %+v\nwrong: %+v", used, other)
	}
}

func TestUse_WithoutACodeLeftSaysHowToMakeNewOnes(t *testing.T) {
	codes, spent := newSet(t, 1)
	for _, code := range codes {
		var err error
		spent, _, err = try(t, spent, code, noon)
		wantKind(t, err, "")
	}
	for name, s := range map[string]recovery.State{
		"never made any": {},
		"all used":       spent,
		"and too many failures": withFailures(spent,
			noon, noon, noon, noon, noon, noon, noon, noon, noon, noon),
	} {
		t.Run(name, func(t *testing.T) {
			for _, code := range []string{codes[0], wrong, "123456"} {
				after, left, err := try(t, s, code, noon)
				e := wantKind(t, err, problem.NotFound)
				if left != 0 || !same(after, s) || e.Detail == "" {
					t.Errorf("%d left, %+v, %+v", left, e, after)
				}
			}
			wantKind(t, s.Ready(noon), problem.NotFound)
		})
	}
}

func TestUse_TenWrongCodesADayAndThenExactlyWhenTheFirstIsOver(t *testing.T) {
	codes, s := newSet(t, 1)
	for i := range 10 {
		var err error
		s, _, err = try(t, s, wrong, noon.Add(time.Duration(i)*time.Minute))
		if e := wantKind(t, err, problem.WrongCode); *e.ChecksLeft != 9-i {
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
			after, left, err := try(t, s, code, noon.Add(tc.at))
			e := wantKind(t, err, problem.TooManyChecks)
			if e.RetryAfter != tc.wait || e.ChecksLeft == nil || *e.ChecksLeft != 0 || left != 10 {
				t.Errorf("after %v: %+v, %d left", tc.at, e, left)
			}
			if !same(after, s) {
				t.Errorf("after %v: a code that was not looked at changed the state", tc.at)
			}
		}
		wantKind(t, s.Ready(noon.Add(tc.at)), problem.TooManyChecks)
	}
	wantKind(t, s.Ready(noon.Add(window.Day)), "")
	s, _, err := try(t, s, wrong, noon.Add(window.Day))
	wantKind(t, err, problem.WrongCode)
	_, _, err = try(t, s, codes[0], noon.Add(window.Day))
	if e := wantKind(t, err, problem.TooManyChecks); e.RetryAfter != time.Minute {
		t.Errorf("retry after %v, want a minute: the second wrong code still counts", e.RetryAfter)
	}
	s, left, err := try(t, s, codes[0], noon.Add(window.Day+time.Minute))
	wantKind(t, err, "")
	if left != 9 || len(s.Failures) != 9 {
		t.Errorf("%d left, %d failures; a success forgives none", left, len(s.Failures))
	}
}

// counted counts how often it is called.
func counted(n *int) func(string, [16]byte) []byte {
	return func(code string, salt [16]byte) []byte {
		*n++
		return quick(code, salt)
	}
}

func TestAttempt_HashesOnlyWhereThatDecides(t *testing.T) {
	codes, s := newSet(t, 1)
	locked := withFailures(s, noon, noon, noon, noon, noon, noon, noon, noon, noon, noon)
	gone := deepCopy(s)
	gone.Key = [4]byte{}
	for name, tc := range map[string]struct {
		s    recovery.State
		code string
		kind problem.Kind
		want int
	}{
		"right":                 {s, codes[0], "", 1},
		"wrong":                 {s, wrong, problem.WrongCode, 1},
		"too many were wrong":   {locked, codes[0], problem.TooManyChecks, 0},
		"no set":                {recovery.State{}, codes[0], problem.NotFound, 0},
		"the secret is gone":    {gone, codes[0], problem.Expired, 0},
		"not a code's form":     {s, "ABCD", problem.InvalidRequest, 0},
		"not the code's length": {s, codes[0] + "A", problem.InvalidRequest, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			use := recovery.AttemptWith(counted(&n), typed(t, tc.code), keyring, noon)
			for range 5 { // as often as writes conflict
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
	use := recovery.AttemptWith(counted(&n), typed(t, codes[0]), keyring, noon)
	states := []recovery.State{first, withFailures(first, noon), first.Replace(second), withFailures(second, noon), first}
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
		"of no set":          recovery.State{}.Hash("x", keyring),
		"of another salt":    other.Hash("x", keyring),
		"of another key":     rekeyed.Hash(code, keyring),
		"of an unknown salt": recovery.State{Key: s.Key}.Hash("x", keyring),
	} {
		t.Run(name, func(t *testing.T) {
			after, left, err := recovery.Use(s, h, noon)
			wantKind(t, err, problem.Internal)
			if left != 10 || !same(after, s) {
				t.Errorf("%d left, %+v", left, after)
			}
		})
	}
	// Nor is the zero Hashed right where a code's MAC is zero.
	zero := recovery.State{Codes: make([]recovery.Code, 1)}
	_, _, err := recovery.Use(zero, recovery.Hashed{}, noon)
	wantKind(t, err, problem.Internal)
}

func TestRotation_CodesWorkUntilTheirSecretIsTakenOut(t *testing.T) {
	codes, s := newSet(t, 1)
	rotated, without := mustParse(fixedSecret(50), fixedSecret(1)), mustParse(fixedSecret(50))
	code := typed(t, codes[0])

	after, left, err := recovery.AttemptWith(quick, code, rotated, noon)(s)
	wantKind(t, err, "")
	if left != 9 || after.Key != s.Key || !s.Alive(rotated) {
		t.Errorf("%d left, alive: %v", left, s.Alive(rotated))
	}
	for _, code := range []string{code, typed(t, wrong)} {
		after, _, err = recovery.AttemptWith(quick, code, without, noon)(s)
		wantKind(t, err, problem.Expired)
		if !same(after, s) || s.Alive(without) {
			t.Errorf("alive: %v, state %+v", s.Alive(without), after)
		}
	}
	fresh, made, err := recovery.NewWith(quick, source(2), without, noon)
	wantKind(t, err, "")
	_, left, err = recovery.AttemptWith(quick, typed(t, fresh[0]), without, noon)(s.Replace(made))
	if wantKind(t, err, ""); left != 9 {
		t.Errorf("%d left, want 9", left)
	}
}

func TestClock_AFailureAheadCountsAndIsForgottenWithinADayAndTheSkew(t *testing.T) {
	codes, s := newSet(t, 1)
	var ahead []time.Time
	for range 10 {
		ahead = append(ahead, noon.Add(100*window.Day))
	}
	s = withFailures(s, ahead...)
	after, _, err := try(t, s, codes[0], noon)
	if e := wantKind(t, err, problem.TooManyChecks); e.RetryAfter != window.Day {
		t.Errorf("retry after %v, want a day", e.RetryAfter)
	}
	_, _, err = try(t, after, codes[0], noon.Add(window.Day+window.MaxSkew-1))
	wantKind(t, err, problem.TooManyChecks)
	_, _, err = try(t, after, codes[0], noon.Add(window.Day+window.MaxSkew))
	wantKind(t, err, "")
}

func TestClock_AStepBackRevivesNoCodeAndForgivesNoFailure(t *testing.T) {
	codes, s := newSet(t, 1)
	s, _, err := try(t, s, codes[0], noon)
	wantKind(t, err, "")
	back := noon.Add(-90 * time.Second)
	for i := range 10 {
		now := noon
		if i%2 == 1 {
			now = back
		}
		s, _, err = try(t, s, codes[0], now)
		wantKind(t, err, problem.WrongCode)
	}
	for i, at := range s.Failures {
		if !at.Equal(noon) {
			t.Errorf("failure %d is kept as of %v", i, at)
		}
	}
	_, _, err = try(t, s, codes[1], back)
	if e := wantKind(t, err, problem.TooManyChecks); e.RetryAfter != window.Day {
		t.Errorf("retry after %v", e.RetryAfter)
	}
}

// The lock of an attacker's making ends by itself, however long they go on, and
// the person's codes work then.
func TestAttack22_TheLockEndsByItself(t *testing.T) {
	codes, s := newSet(t, 1)
	tried := 0
	for minute := range 3 * 24 * 60 {
		var err error
		s, _, err = try(t, s, wrong, noon.Add(time.Duration(minute)*time.Minute))
		if e := wantWrongOrLocked(t, err); e.Kind == problem.WrongCode {
			tried++
		}
	}
	if tried != 3*10 {
		t.Errorf("%d wrong codes were compared in three days, want 30", tried)
	}
	last := s.Failures[len(s.Failures)-1]
	_, left, err := try(t, s, codes[0], last.Add(window.Day))
	if wantKind(t, err, ""); left != 9 {
		t.Errorf("%d left, want 9", left)
	}
}

func wantWrongOrLocked(t *testing.T, err error) *problem.Error {
	t.Helper()
	e, ok := err.(*problem.Error)
	if !ok || e.Kind != problem.WrongCode && e.Kind != problem.TooManyChecks {
		t.Fatalf("got %v", err)
	}
	return e
}
