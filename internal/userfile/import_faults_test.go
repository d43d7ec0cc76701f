package userfile_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
)

// endless is a file of users without end; hold is asked before each one is read.
type endless struct {
	n    int
	hold func(read int)
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		e.n++
		return copy(p, head), nil
	}
	e.hold(e.n - 1)
	n := copy(p, fmt.Sprintf("u%d,+14155550123,,,,,\n", e.n)) // one line at a time
	e.n++
	return n, nil
}

func TestImport_HoldsABoundedNumberOfLines(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig) {
		batches := r.batches
		r = rigOn(t, newMapTable()) // a fast one
		r.batches = batches
		ctx, cancel := context.WithCancel(t.Context())
		most := 0
		got := r.readFrom(ctx, &endless{hold: func(read int) {
			most = max(most, read-r.table.Calls())
			if read == 2000 {
				cancel()
			}
		}})
		if !errors.Is(got.err, context.Canceled) || most < 2 || most > 36 {
			t.Errorf("%v; held %d lines", got.err, most)
		}
		if got.Line < 2 || got.Line != got.Created+1 || got.Created > r.table.Calls() {
			t.Errorf("%+v, %d written", got.Tally, r.table.Calls())
		}
	})
}

// A Read that never returns, such as of a terminal, does not keep a signal from
// ending the import.
func TestImport_EndsWithItsContextWhileItReads(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	pipe, w := io.Pipe()
	defer w.Close()
	signal := errors.New("a signal")
	go func() {
		_, _ = io.WriteString(w, head)
		cancel(signal)
	}()
	if got := r.readFrom(ctx, pipe); !errors.Is(got.err, signal) || got.Read > 0 {
		t.Errorf("%+v", got)
	}
}

func TestImport_RepeatsWhatTheStoreDidNotAnswer(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig) {
		r.batchOnRig()
		fault := func(call int) (down, lost bool) { return call%3 == 0, call%5 == 0 }
		if r.batches { // a batch fails as a whole
			fault = func(call int) (down, lost bool) { return call == 1, call == 3 }
		}
		r.table.Break(func(call int) testrig.Fault {
			switch down, lost := fault(call); {
			case down:
				return testrig.Down
			case lost:
				return testrig.Lost
			}
			return testrig.None
		})
		var file strings.Builder
		for i := range 20 {
			fmt.Fprintf(&file, "u%d,+14155550123,,,,,\n", i)
		}
		got := r.read(head + file.String())
		if got.err != nil || got.Read != 20 || got.Created+got.Unchanged != 20 || len(r.all()) != 20 {
			t.Errorf("%+v", got)
		}
	})
}

func TestImport_StopsWhereTheStoreStaysAway(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig) {
		var away atomic.Bool
		r.batchOnRig()
		r.table.Break(func(int) testrig.Fault {
			if away.Load() {
				return testrig.Down
			}
			return testrig.None
		})
		away.Store(true)
		if got := r.read(head + "alice,+14155550123,,,,,\n"); got.err == nil || got.Read > 0 {
			t.Errorf("a short file: %+v", got)
		}
		away.Store(false)
		got := r.readFrom(t.Context(), &endless{hold: func(read int) { away.Store(read > 100) }})
		e := fixture.Problem(t, got.err, problem.StorageUnavailable)
		if !errors.Is(e, store.ErrUnavailable) || got.Read == 0 || got.Line != got.Created+1 {
			t.Errorf("%+v", got)
		}
		all := r.all()
		for i := 1; i < got.Line; i++ { // all up to the line that it names
			if _, ok := all[fmt.Sprintf("u%d", i)]; !ok {
				t.Errorf("line %d is counted as done, but is not", i+1)
			}
		}
	})
}

// A row that cannot be read only affects its own line.
func TestImport_LeavesARowThatItCannotRead(t *testing.T) {
	r := newRig(t)
	r.plant(store.Key(r.users.Key("main", "alice")), []byte("not sealed"))
	got := r.read(head + "alice,+14155550123,,,,,\nbob,+14155550123,,,,,\n")
	if want := []string{"2 skipped: the stored user cannot be read or written"}; got.err != nil || !slices.Equal(got.reports, want) || got.Created != 1 {
		t.Errorf("%+v", got)
	}
}
