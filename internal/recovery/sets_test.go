package recovery_test

import (
	"errors"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/testing/fixture"
)

// A day has five sets, whatever the requests before the fifth were.
func TestR21_FiveSetsADay(t *testing.T) {
	var s recovery.State
	now := fixture.Noon
	for i := range recovery.MaxSetsPerDay {
		next, err := s.CountSet(now)
		if err != nil {
			t.Fatalf("set %d: %v", i+1, err)
		}
		_, made := newSet(t, byte(i))
		s, now = next.Replace(made), now.Add(time.Hour)
	}
	for _, tc := range []struct{ at, wait time.Duration }{
		{5 * time.Hour, 19 * time.Hour}, {24*time.Hour - time.Nanosecond, time.Nanosecond},
	} {
		after, err := s.CountSet(fixture.Noon.Add(tc.at))
		if e := fixture.Problem(t, err, problem.TooManyChanges); e.RetryAfter != tc.wait || !same(after, s) {
			t.Errorf("after %v: %+v", tc.at, e)
		}
	}
	if forgotten := s.Forgotten(now); len(forgotten.Sets) != recovery.MaxSetsPerDay || len(forgotten.Codes) != 0 {
		t.Errorf("kept after an erasure: %+v", forgotten)
	}
	if s, err := s.CountSet(fixture.Noon.Add(24 * time.Hour)); err != nil || len(s.Sets) != 5 {
		t.Errorf("a day later: %v, %v", s.Sets, err)
	}
}

// R21, R16. A code that could not be hashed is neither accepted nor counted, and a set
// that could not be hashed is not made.
func TestR21_R16_WithoutATurnNothingHappens(t *testing.T) {
	none := errors.New("no turn")
	for after := range 3 { // that many turns come
		turns := 0
		hash := recovery.InTurn(func(work func()) error {
			if turns++; turns > after {
				return none
			}
			work()
			return nil
		})
		codes, made, err := recovery.New(hash, source(1), keyring, fixture.Noon)
		if !errors.Is(err, none) || codes != nil || !same(made, recovery.State{}) {
			t.Errorf("got %d codes, %v", len(codes), err)
		}
	}
	never := recovery.InTurn(func(func()) error { return none })
	codes, s := newSet(t, 1)
	for _, code := range []string{codes[0], codes[9], wrong} {
		after, left, err := recovery.Attempt(never, typed(t, code), keyring, fixture.Noon)(s)
		if !errors.Is(err, none) || !same(after, s) || left != recovery.Count {
			t.Errorf("got %+v, %v", after, err)
		}
	}
	// Nobody waits for what needs no hash.
	_, _, err := recovery.Attempt(never, "123456", keyring, fixture.Noon)(s)
	wantKind(t, err, problem.InvalidRequest)
	_, _, err = recovery.Attempt(never, typed(t, codes[0]), keyring, fixture.Noon)(locked(s))
	wantKind(t, err, problem.TooManyChecks)
}
