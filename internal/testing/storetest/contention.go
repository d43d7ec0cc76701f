package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
)

func testCanceledContext(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "k", "kept", fixture.Noon)
	ref := listed(t, table, fixture.Noon)[0]

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{canceled, late} {
		check := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s with a context that has ended: %v, want ErrUnavailable", what, err)
			}
			if !errors.Is(err, ctx.Err()) {
				t.Errorf("%s: %v does not wrap %v", what, err, ctx.Err())
			}
		}
		_, err := table.Get(ctx, "k")
		check("Get", err)
		for _, key := range []store.Key{"k", "absent"} {
			check("Update", table.Update(ctx, key, func([]byte) (store.Row, error) {
				t.Error("Update called fn although the context has ended")
				return store.Row{Data: []byte("late"), KeepUntil: fixture.Noon}, nil
			}))
		}
		_, err = table.Expired(ctx, fixture.Noon, "")
		check("Expired", err)
		ok, err := table.Delete(ctx, ref)
		check("Delete", err)
		if ok {
			t.Error("Delete returned true")
		}
	}
	want(t, table, "k", "kept", fixture.Noon)
	want(t, table, "absent", "", time.Time{})
}

// While one Update hangs in fn, another one on the same row either succeeds or ends when
// its time is over.
func testDeadlineWhileBlocked(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "k", "x", fixture.Noon)
	inFn, leaveFn, left := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		left <- table.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
			once.Do(func() { close(inFn); <-leaveFn })
			return Append("a")(old)
		})
	}()
	<-inFn

	const limit = 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	err := table.Update(ctx, "k", Append("b"))
	if took := time.Since(began); took > limit+2*time.Second {
		t.Errorf("returned after %v, want at most about %v", took, limit)
	}
	close(leaveFn)
	if err := <-left; err != nil {
		t.Fatalf("the Update that hung: %v", err)
	}
	switch {
	case err == nil:
		want(t, table, "k", "xba", fixture.Noon)
	case errors.Is(err, store.ErrUnavailable):
		row, err := table.Get(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if got := string(row.Data); got != "xa" && got != "xab" && got != "xba" {
			t.Errorf("row is %q", got)
		}
	default:
		t.Errorf("error %v, want none or ErrUnavailable", err)
	}
}

// Another write happens between the read and the write of an Update, if the store allows
// it. The row exists, or it does not.
func testConflict(t *testing.T, s *suite) {
	for _, before := range []string{"", "x"} {
		t.Run(fmt.Sprintf("%q", before), func(t *testing.T) {
			table := s.open(t)
			Put(t, table, "bystander", "x", fixture.Noon)
			if before != "" {
				Put(t, table, "k", before, fixture.Noon)
			}
			calls, other := 0, make(chan error, 1)
			err := table.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
				row, err := Append("a")(old)
				if calls++; calls > 1 {
					return row, err
				}
				done := make(chan error, 1)
				go func() { done <- table.Update(t.Context(), "k", Append("b")) }()
				select {
				case err := <-done:
					other <- err
				case <-time.After(500 * time.Millisecond): // a store with locks
					go func() { other <- <-done }()
				}
				return row, err
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := <-other; err != nil {
				t.Fatal(err)
			}
			order := "ab"
			if calls > 1 {
				order = "ba"
			}
			want(t, table, "k", before+order, fixture.Noon)
		})
	}
}

// race runs n goroutines that start at the same time.
func race(n int, run func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			run(i)
		})
	}
	close(start)
	wg.Wait()
}

// Of 64 compare-and-swaps of the same state exactly one succeeds, and the others see the
// new state. Because of this, a code works only once.
func testOneWinner(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "bystander", "x", fixture.Noon)
	const n = 64
	lost := errors.New("another goroutine was first")
	state := "" // at first there is no row; then it names the last winner
	for range 3 {
		errs := make([]error, n)
		race(n, func(i int) {
			errs[i] = table.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
				if string(old) != state {
					return store.Row{}, lost
				}
				return store.Row{Data: fmt.Appendf(nil, "%s.%d", state, i), KeepUntil: fixture.Noon}, nil
			})
		})
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Fatalf("%d and %d both won", winner, i)
			case err == nil:
				winner = i
			case err != lost:
				t.Errorf("%d: %v, want the error of fn", i, err)
			}
		}
		if winner < 0 {
			t.Fatal("nobody won")
		}
		state = fmt.Sprintf("%s.%d", state, winner)
		want(t, table, "k", state, fixture.Noon)
	}
}

func testNoUpdateLostOrDoubled(t *testing.T, s *suite) {
	table := s.open(t)
	AppendLog(t, table, table, 32, 3)
}

// AppendLog checks that no update is lost, applied twice or reported wrongly. Many
// goroutines append to one log through table. Each append writes a new number, also if it
// repeats an append with an unknown outcome. So at the end, each number that was reported
// as written has to be in the log once, at the position where its last fn saw the log's
// end, and each number with an unknown outcome at most once.
//
// The tests of a store call it with a table whose connection has faults. undisturbed is
// the same table without faults, through which the log is read.
func AppendLog(t *testing.T, table, undisturbed store.Table, writers, each int) {
	t.Helper()
	type written struct {
		id uint32
		at int // the log's length before
	}
	results := make([][]written, writers)
	doubt := make([]map[uint32]bool, writers)
	race(writers, func(w int) {
		doubt[w] = map[uint32]bool{}
		deadline := time.Now().Add(time.Minute)
		for id := uint32(w) << 16; len(results[w]) < each; id++ {
			if time.Now().After(deadline) {
				t.Errorf("writer %d finished %d of %d updates within a minute", w, len(results[w]), each)
				return
			}
			var at int
			err := table.Update(t.Context(), "log", func(old []byte) (store.Row, error) {
				at = len(old) / 4
				return Append(string(binary.BigEndian.AppendUint32(nil, id)))(old)
			})
			switch {
			case err == nil:
				results[w] = append(results[w], written{id, at})
			case errors.Is(err, store.ErrUnavailable):
				doubt[w][id] = true
			default:
				t.Errorf("writer %d: %v", w, err)
				return
			}
		}
	})

	row, err := undisturbed.Get(t.Context(), "log")
	if err != nil {
		t.Fatal(err)
	}
	if len(row.Data)%4 != 0 {
		t.Fatalf("the log has %d bytes", len(row.Data))
	}
	count := map[uint32]int{}
	log := make([]uint32, len(row.Data)/4)
	for i := range log {
		log[i] = binary.BigEndian.Uint32(row.Data[4*i:])
		count[log[i]]++
	}
	sure, doubtful := 0, 0
	for w := range results {
		for _, r := range results[w] {
			sure++
			if count[r.id] != 1 {
				t.Errorf("%x was reported as written and is in the log %d times", r.id, count[r.id])
			} else if r.at >= len(log) || log[r.at] != r.id {
				t.Errorf("%x is not at the position of its last fn, %d", r.id, r.at)
			}
		}
		for id := range doubt[w] {
			if count[id] > 1 {
				t.Errorf("%x is in the log %d times", id, count[id])
			}
			doubtful += count[id]
		}
	}
	if sure+doubtful != len(log) {
		t.Errorf("the log has %d entries, but only %d were written", len(log), sure+doubtful)
	}
	inDoubt := 0
	for w := range doubt {
		inDoubt += len(doubt[w])
	}
	t.Logf("%d appends reported as written; %d with an unknown outcome, of which %d were written", sure, inDoubt, doubtful)
}

// The first writes to a new store happen at the same time.
func testFirstWrites(t *testing.T, s *suite) {
	table := s.open(t)
	const n = 16
	race(n, func(i int) {
		key := store.Key(fmt.Sprintf("k%d", i))
		if err := table.Update(t.Context(), key, Set(string(key), fixture.Noon)); err != nil {
			t.Errorf("Update(%s): %v", key, err)
		}
	})
	for i := range n {
		key := store.Key(fmt.Sprintf("k%d", i))
		want(t, table, key, string(key), fixture.Noon)
	}
}
