package turn_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/turn"
)

// slow is work that waits until the test lets it go on.
type slow struct {
	begun        chan string
	goOn         chan struct{}
	active, most atomic.Int32
}

func newSlow() *slow { return &slow{begun: make(chan string, 100), goOn: make(chan struct{}, 100)} }

func (s *slow) work(name string) func() {
	return func() {
		s.most.Store(max(s.most.Load(), s.active.Add(1)))
		s.begun <- name
		<-s.goOn
		s.active.Add(-1)
	}
}

// untilFull returns when all places of the queue are taken.
func untilFull(t *testing.T, q *turn.Queue) {
	t.Helper()
	for range 5000 {
		place, err := q.Enter()
		if err != nil {
			if e := fixture.Problem(t, err, problem.Busy); e.RetryAfter <= 0 {
				t.Error("no RetryAfter")
			}
			return
		}
		place.Leave()
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the queue is never full")
}

// R21. One piece of work is done at a time, a few requests may wait, and all others
// are told at once that the service is busy.
func TestR21_OneAtATimeAndFewWait(t *testing.T) {
	for _, waiting := range []int{0, 1, 2, 5, 8} {
		s, q := newSlow(), turn.NewQueue(waiting)
		var all sync.WaitGroup
		for range waiting + 1 {
			all.Go(func() {
				if err := q.Do(t.Context(), s.work("")); err != nil {
					t.Error(err)
				}
			})
		}
		<-s.begun
		untilFull(t, q)
		for range 5 {
			fixture.Problem(t, q.Do(t.Context(), func() { t.Error("done although the queue is full") }), problem.Busy)
		}
		for range waiting + 1 {
			s.goOn <- struct{}{}
		}
		all.Wait()
		if s.most.Load() != 1 {
			t.Errorf("%d at the same time", s.most.Load())
		}
		for range waiting + 1 { // all places are free again
			if _, err := q.Enter(); err != nil {
				t.Error(err)
			}
		}
	}
}

// R21. A request that has ended does no work and gives its place back.
func TestR21_WaitingEndsWithTheRequest(t *testing.T) {
	s, q := newSlow(), turn.NewQueue(1)
	var first sync.WaitGroup
	first.Go(func() { _ = q.Do(t.Context(), s.work("first")) })
	<-s.begun
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for what, limit := range map[string]time.Duration{"now": 0, "soon": time.Millisecond, "later": 20 * time.Millisecond, "over": -time.Hour} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		fixture.Problem(t, q.Do(ctx, func() { t.Errorf("%s: done", what) }), problem.Busy)
		cancel()
	}
	fixture.Problem(t, q.Do(canceled, func() { t.Error("done") }), problem.Busy)
	s.goOn <- struct{}{}
	first.Wait()
	for range 20 { // even if nobody else is there
		fixture.Problem(t, q.Do(canceled, func() { t.Error("done") }), problem.Busy)
	}
}

// R21. A request with many pieces of work gives its turn away after each one, so that
// a short request does not wait for all of it.
func TestR21_AShortRequestGetsInBetween(t *testing.T) {
	const long, pieces = 7, 10
	s, q := newSlow(), turn.NewQueue(long)
	var all sync.WaitGroup
	for range long {
		place, err := q.Enter()
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer place.Leave()
			for range pieces {
				if err := place.Do(t.Context(), s.work("long")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	<-s.begun
	all.Go(func() {
		if err := q.Do(t.Context(), s.work("short")); err != nil {
			t.Error(err)
		}
	})
	untilFull(t, q)
	time.Sleep(50 * time.Millisecond) // the short one waits for its turn
	before := 0
	for s.goOn <- struct{}{}; <-s.begun != "short"; s.goOn <- struct{}{} {
		before++
	}
	if before > long {
		t.Errorf("%d pieces of others were done first", before)
	}
	for range long*pieces + 1 {
		s.goOn <- struct{}{}
	}
	all.Wait()
}

// A panic of the work gives turn and place back.
func TestAPanicBlocksNobody(t *testing.T) {
	q := turn.NewQueue(0)
	for range 3 {
		func() {
			defer func() { _ = recover() }()
			_ = q.Do(t.Context(), func() { panic("the work") })
		}()
	}
	if err := q.Do(t.Context(), func() {}); err != nil {
		t.Error(err)
	}
}
