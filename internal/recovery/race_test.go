package recovery_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/testing/fixture"
)

// row stores one state, and changes it by compare-and-swap.
type row struct{ atomic.Pointer[recovery.State] }

func newRow(s recovery.State) *row {
	var r row
	r.Store(&s)
	return &r
}

// change keeps the new state beside an error, too, as Use demands.
func (r *row) change(use func(recovery.State) (recovery.State, int, error)) error {
	for {
		old := r.Load()
		s, _, err := use(*old)
		if r.CompareAndSwap(old, &s) {
			return err
		}
	}
}

// inParallel makes n changes at once, and counts the kinds of their errors.
func inParallel(n int, change func(i int) error) map[problem.Kind]int {
	outcomes := make([]error, n)
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			<-start
			outcomes[i] = change(i)
		})
	}
	close(start)
	done.Wait()
	kinds := map[problem.Kind]int{}
	for _, err := range outcomes {
		if err == nil {
			kinds[""]++
		} else {
			kinds[err.(*problem.Error).Kind]++
		}
	}
	return kinds
}

func TestAttack03_OneOfAHundredAtOnceUsesTheCode(t *testing.T) {
	codes, s := newSet(t, 1)
	r := newRow(s)
	kinds := inParallel(100, func(int) error {
		return r.change(recovery.AttemptWith(quick, typed(t, codes[0]), keyring, fixture.Noon))
	})
	if kinds[""] != 1 || kinds[problem.WrongCode] != 10 || kinds[problem.TooManyChecks] != 89 {
		t.Errorf("got %v, want one success, 10 wrong codes and 89 refusals", kinds)
	}
	if got := r.Load(); got.Left() != 9 || len(got.Failures) != 10 {
		t.Errorf("%d left, %d failures", got.Left(), len(got.Failures))
	}
}

func TestAttack01_TenOfAHundredWrongCodesAtOnceAreCompared(t *testing.T) {
	codes, s := newSet(t, 1)
	r := newRow(s)
	kinds := inParallel(100, func(int) error {
		return r.change(recovery.AttemptWith(quick, typed(t, wrong), keyring, fixture.Noon))
	})
	if kinds[problem.WrongCode] != 10 || kinds[problem.TooManyChecks] != 90 {
		t.Errorf("got %v, want 10 wrong codes and 90 refusals", kinds)
	}
	err := r.change(recovery.AttemptWith(quick, typed(t, codes[0]), keyring, fixture.Noon))
	wantKind(t, err, problem.TooManyChecks)
}

// While the set is replaced again and again, a code of the first set works once at
// most, and the codes of the last set are not lost.
func TestRace_AReplacedSetStaysReplaced(t *testing.T) {
	codes, s := newSet(t, 1)
	lastCodes, last := newSet(t, 2)
	r := newRow(s)
	kinds := inParallel(20, func(i int) error {
		if i%2 == 0 {
			return r.change(func(old recovery.State) (recovery.State, int, error) { return old.Replace(last), 0, nil })
		}
		return r.change(recovery.AttemptWith(quick, typed(t, codes[0]), keyring, fixture.Noon))
	})
	if kinds[""] > 11 || kinds[""]+kinds[problem.WrongCode] != 20 {
		t.Errorf("got %v", kinds)
	}
	if got := r.Load(); got.Salt != last.Salt || got.Left() != 10 || len(got.Failures) != kinds[problem.WrongCode] {
		t.Errorf("%d left, %d failures, outcomes %v", got.Left(), len(got.Failures), kinds)
	}
	r.Store(&last)
	wantKind(t, r.change(recovery.AttemptWith(quick, typed(t, lastCodes[0]), keyring, fixture.Noon)), "")
}
