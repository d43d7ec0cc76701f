package row_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/row"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/window"
)

// loaded is the row as it is now.
func (n *notes) loaded() row.Loaded {
	n.t.Helper()
	_, l, err := n.LoadFor(n.t.Context(), key)
	if err != nil {
		n.t.Fatal(err)
	}
	return l
}

// putFrom is an UpdateFrom that decides on a note and an error.
func (n *notes) putFrom(l row.Loaded, next note, decided error) (note, error) {
	return n.UpdateFrom(n.t.Context(), key, l, func(note) (note, error) { return next, decided })
}

func TestUpdateFrom_TakesOneRoundTripMoreThanLoadFor(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) *notes{"no row": newNotes, "a row": withFirst} {
		for refused, decided := range map[bool]error{false: nil, true: errNo} {
			n := begin(t)
			ctx, trips := store.WithTrips(t.Context())
			value, l, err := n.LoadFor(ctx, key)
			if err != nil || trips.Load() != 1 {
				t.Errorf("%s: LoadFor: %v in %d round trips, want 1", name, err, trips.Load())
			}
			got, err := n.UpdateFrom(ctx, key, l, func(old note) (note, error) {
				if old != value {
					t.Errorf("%s: decided on %+v, want %+v", name, old, value)
				}
				return second, decided
			})
			if got != second || err != decided || trips.Load() != 2 {
				t.Errorf("%s, refused %v: got %+v, %v in %d round trips, want 2", name, refused, got, err, trips.Load())
			}
			n.wantKept(second, second.Until.Add(window.MaxSkew))
		}
	}
}

// The zero Loaded stands for a row that was not there.
func TestUpdateFrom_TheZeroLoadedIsNoRow(t *testing.T) {
	n := newNotes(t)
	if l := n.loaded(); fmt.Sprint(l) != fmt.Sprint(row.Loaded{}) {
		t.Errorf("LoadFor of no row returned %v", l)
	}
	ctx, trips := store.WithTrips(t.Context())
	_, err := n.UpdateFrom(ctx, key, row.Loaded{}, func(old note) (note, error) {
		if old != none {
			t.Errorf("decided on %+v", old)
		}
		return first, nil
	})
	if err != nil || trips.Load() != 1 {
		t.Errorf("%v in %d round trips, want 1", err, trips.Load())
	}
	n.wantKept(first, first.Until.Add(window.MaxSkew))
}

func TestUpdateFrom_DecidesAgainAfterAnotherWrite(t *testing.T) {
	third := note{"third", fixture.Noon.Add(time.Hour)}
	for name, begin := range map[string]func(*testing.T) *notes{"no row": newNotes, "a row": withFirst} {
		n := begin(t)
		l := n.loaded()
		other := row.Store[note]{Table: n.table.Table, Keys: n.Keys, Codec: codec} // another process
		if _, err := other.Update(t.Context(), key, func(note) (note, error) { return second, nil }); err != nil {
			t.Fatal(err)
		}
		var seen []string
		got, err := n.UpdateFrom(t.Context(), key, l, func(old note) (note, error) {
			seen = append(seen, old.Text)
			if old != second {
				return note{"wrong", first.Until}, errNo
			}
			return third, nil
		})
		// The table of the tests has made the first decision, on what was loaded.
		if got != third || err != nil || len(seen) != 2 || seen[1] != "second" {
			t.Errorf("%s: got %+v, %v after looking at %q", name, got, err, seen)
		}
		n.wantKept(third, third.Until.Add(window.MaxSkew))
	}
}

func TestUpdateFrom_WritesOnlyWhatChanged(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) *notes{"no row": newNotes, "a row": withFirst} {
		for _, within := range []error{errNo, nil} {
			n := begin(t)
			l := n.loaded()
			n.unwritten(name, func() {
				if got, err := n.putFrom(l, second, row.Discard(within)); got != none || err != within {
					t.Errorf("%s: got %+v, %v; want no value and %v", name, got, err, within)
				}
			})
		}
	}
	n := withFirst(t)
	l := n.loaded()
	n.unwritten("the same value", func() {
		if got, err := n.putFrom(l, first, errNo); got != first || err != errNo {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	n = newNotes(t)
	n.unwritten("a value that needs no row", func() {
		if got, err := n.putFrom(row.Loaded{}, note{Text: "x"}, errNo); got.Text != "x" || err != errNo {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestUpdateFrom_SealsTheRowOfAnOlderSecretAnew(t *testing.T) {
	for name, next := range map[string]note{"the same value": first, "another value": second} {
		t.Run(name, func(t *testing.T) {
			n := withFirst(t)
			n.Keys = fixture.Keys(t, 50, 1)
			if got, err := n.putFrom(n.loaded(), next, nil); err != nil || got != next {
				t.Fatalf("got %+v, %v", got, err)
			}
			l := n.loaded()
			n.unwritten("again", func() { _, _ = n.putFrom(l, next, nil) })
			n.Keys = fixture.Keys(t, 50)
			n.wantKept(next, next.Until.Add(window.MaxSkew))
		})
	}
}

// The row of another key must not become the value of this one.
func TestUpdateFrom_ARowOfAnotherKeyDoesNotOpen(t *testing.T) {
	n := withFirst(t)
	l := n.loaded()
	// The table that decides on what is loaded: a store with the present row at hand
	// does not look at it.
	n.Table = literal{n.table.Table}
	_, err := n.UpdateFrom(t.Context(), "k2", l, func(note) (note, error) {
		t.Error("decided")
		return second, nil
	})
	if fixture.Problem(t, err, problem.Internal); !errors.Is(err, row.ErrUnreadable) {
		t.Errorf("got %v, want ErrUnreadable", err)
	}
}

// literal calls the function of UpdateFrom with what is known, and returns its error.
type literal struct{ store.Table }

func (l literal) UpdateFrom(ctx context.Context, key store.Key, known store.Row, fn func([]byte) (store.Row, error)) error {
	if _, err := fn(known.Data); err != nil {
		return err
	}
	return l.Table.UpdateFrom(ctx, key, known, fn)
}

func TestUpdateFrom_ReturnsNothingUnlessTheValueIsKnownToBeKept(t *testing.T) {
	for name, tc := range map[string]struct {
		fault   rig.Fault
		written bool
	}{
		"nothing was written": {rig.Down, false},
		"it was written":      {rig.Lost, true},
	} {
		for _, decided := range []error{nil, errNo} {
			n := withFirst(t)
			l := n.loaded()
			n.table.Break(func(int) rig.Fault { return tc.fault })
			got, err := n.putFrom(l, second, decided)
			if e := fixture.Problem(t, err, problem.StorageUnavailable); got != none || e.RetryAfter <= 0 || !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s, %v: got %+v, %+v", name, decided, got, e)
			}
			n.table.Break(nil)
			if kept, err := n.Load(t.Context(), key); err != nil || tc.written != (kept == second) {
				t.Errorf("%s, %v: kept %+v, %v", name, decided, kept, err)
			}
		}
	}
}

func TestUpdateFrom_ARowThatCannotBeReadNowIsInternalAndStays(t *testing.T) {
	n := withFirst(t)
	l := n.loaded()
	n.write([]byte("spoiled"))
	n.unwritten("UpdateFrom", func() {
		got, err := n.putFrom(l, second, nil)
		if fixture.Problem(t, err, problem.Internal); got != none || !errors.Is(err, row.ErrUnreadable) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// What LoadFor returns beside an error is no row, and a change that begins with it finds
// the present one.
func TestLoadFor_WithAnErrorTheLoadedIsZero(t *testing.T) {
	n := withFirst(t)
	n.table.Break(func(int) rig.Fault { return rig.Down })
	value, down, err := n.LoadFor(t.Context(), key)
	if fixture.Problem(t, err, problem.StorageUnavailable); value != none || fmt.Sprint(down) != fmt.Sprint(row.Loaded{}) {
		t.Errorf("got %+v, %v", value, down)
	}
	n.table.Break(nil)
	n.write([]byte("spoiled"))
	value, spoiled, err := n.LoadFor(t.Context(), key)
	if fixture.Problem(t, err, problem.Internal); value != none || strings.Contains(fmt.Sprintf("%s", spoiled), "spoiled") {
		t.Errorf("got %+v, %v", value, spoiled)
	}
	if got, err := n.putFrom(spoiled, second, nil); got != none || !problem.Is(err, problem.Internal) {
		t.Errorf("got %+v, %v", got, err)
	}
}
