package purge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"twofa/internal/store"
	testrig "twofa/internal/testing/rig"
	"twofa/purge"
)

func TestOnlyRowsThatAreOverAreRemoved(t *testing.T) {
	r := newRig(t)
	r.put("longago", "row", noon.AddDate(-1, 0, 0))
	r.put("justnow", "row", noon)
	r.put("insecond", "row", noon.Add(time.Second))
	r.put("tomorrow", "row", noon.AddDate(0, 0, 1))
	r.run(purge.Result{Removed: 2, Done: true})
	r.wantKeys("insecond tomorrow")
	r.Advance(time.Second)
	r.run(purge.Result{Removed: 1, Done: true})
	r.wantKeys("tomorrow")
}

// A person may ask for a code after a row was listed and before it is removed.
func TestARowThatChangedSinceItWasListedStays(t *testing.T) {
	for name, change := range map[string]func(r *rig){
		"used again":           func(r *rig) { r.put("key1", "row", noon.AddDate(0, 0, 1)) },
		"written, though over": func(r *rig) { r.put("key1", "row", past) },
		"removed and written again": func(r *rig) {
			for _, ref := range r.rows() {
				if ref.Key == "key1" {
					if _, err := r.pages.Delete(context.Background(), ref); err != nil {
						r.t.Fatal(err)
					}
				}
			}
			r.put("key1", "row", past)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.fill(3)
			r.beforeDelete("key1", func() error {
				change(r)
				return nil
			})
			r.run(purge.Result{Removed: 2, Changed: 1, Done: true})
			r.wantKeys("key1")
		})
	}
}

func TestTwoSweepsAtOnceRemoveEachRowOnce(t *testing.T) {
	r := newRig(t)
	r.fill(6)
	other := &purge.Service{Table: &pages{Table: r.pages.Table, size: 2}, Now: r.Now, Budget: time.Minute}
	var second purge.Result
	r.beforeDelete("key1", func() (err error) {
		if second, err = other.Run(context.Background()); err != nil {
			t.Error(err)
		}
		return nil
	})
	first, err := r.purge.Run(context.Background())
	if err != nil || first.Removed+second.Removed != 6 || second.Removed < 5 { // either may remove key0
		t.Errorf("removed %+v %v and %+v, want 6 together", first, err, second)
	}
}

// When the budget ends, the next run continues there, in another process too.
func TestTheNextRunContinuesWhereTheBudgetEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.fill(8)
		r.beforeDelete("key3", func() error {
			time.Sleep(r.purge.Budget + time.Second)
			return nil
		})
		r.run(purge.Result{Removed: 3})
		r.wantKeys("key3 key4 key5 key6 key7")

		r.put("key0", "row", past) // before the cursor
		r.restart()
		r.purge = &purge.Service{Table: r.Table, Now: r.Now, Budget: time.Minute}
		r.run(purge.Result{Removed: 5, Done: true})
		if r.wantKeys("key0"); r.pages.cursors[0] != "after:key1" {
			t.Errorf("continued from %q", r.pages.cursors[0])
		}

		r.run(purge.Result{Removed: 1, Done: true}) // from the start again
	})
}

func TestASweepIsBoundedByItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.fill(4)
		var n atomic.Int64
		r.Table.Before(func(c testrig.Call) error {
			switch c.Method {
			case "Get":
				time.Sleep(4 * time.Second) // reading the cursor counts
			case "Delete": // new rows come as fast as rows are removed
				time.Sleep(time.Second)
				r.put(fmt.Sprintf("more%04d", n.Add(1)), "row", past)
			}
			return nil
		})
		r.purge.Budget = 14*time.Second + time.Millisecond
		begun := time.Now()
		r.run(purge.Result{Removed: 20})
		if took := time.Since(begun); took != 15*time.Second { // the last removals end after the budget
			t.Errorf("took %v of a budget of %v", took, r.purge.Budget)
		}
	})
}

func TestAFailureIsReportedAndTheNextRunContinuesFromItsPage(t *testing.T) {
	for method, removed := range map[string]int{"Expired": 4, "Delete": 5} {
		t.Run(method, func(t *testing.T) {
			r := newRig(t)
			r.fill(7)
			lists := 0
			r.Table.Before(func(c testrig.Call) error {
				if c.Method == "Expired" {
					lists++
				}
				if c.Method == method && (method == "Expired" && lists == 3 || c.Ref.Key == "key5") {
					return errBusy
				}
				return nil
			})
			if got := r.fail(context.Background(), store.ErrUnavailable, "ServerBusy"); got.Removed != removed {
				t.Errorf("removed %d before the failure, want %d", got.Removed, removed)
			}
			r.restart()
			r.run(purge.Result{Removed: 7 - removed, Done: true})
			if r.pages.cursors[0] != "after:key3" {
				t.Errorf("continued from %q", r.pages.cursors[0])
			}
		})
	}
}

// Rows that are removed one after another would use up the budget.
func TestSeveralRowsAreRemovedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.pages.size = 20
		r.fill(20)
		var atOnce atomic.Int64
		r.Table.Before(func(c testrig.Call) error {
			if c.Method == "Delete" {
				if n := atOnce.Add(1); n > 8 {
					t.Errorf("%d at once, want at most 8", n)
				}
				time.Sleep(time.Second)
				atOnce.Add(-1)
			}
			return nil
		})
		begun := time.Now()
		r.run(purge.Result{Removed: 20, Done: true})
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("took %v for 20 rows of a second each, want 3 s", took)
		}
	})
}

// After a failure, removals that have begun are finished and counted, and no
// other begins. The next run takes the page again.
func TestAFailureStopsAtItsPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.pages.size = 20
		r.fill(30)
		var begun atomic.Int64
		r.Table.Before(func(c testrig.Call) error {
			if c.Method != "Delete" {
				return nil
			}
			switch n := begun.Add(1); {
			case n == 23: // the third of the second page
				time.Sleep(time.Second / 2)
				return errBusy
			case n > 20:
				time.Sleep(time.Second)
				if n == 24 {
					return fmt.Errorf("%w: a later error", store.ErrUnavailable)
				}
			}
			return nil
		})
		got := r.fail(context.Background(), store.ErrUnavailable, "ServerBusy") // the first error
		if left := len(r.rows()); begun.Load() != 28 || got.Removed != 26 || got.Changed != 0 || left != 4 {
			t.Errorf("%d removals began, %+v counted and %d rows left, want 28, 26 and 4", begun.Load(), got, left)
		}
		r.restart()
		r.run(purge.Result{Removed: 4, Done: true})
		if !strings.HasPrefix(r.pages.cursors[0], "after:") {
			t.Errorf("continued from %q", r.pages.cursors[0])
		}
	})
}

// If the cursor cannot be read or written, the store is down.
func TestAFailureAtTheCursorIsReported(t *testing.T) {
	for _, method := range []string{"Get", "Update"} {
		r := newRig(t)
		r.fill(1)
		r.Table.Before(func(c testrig.Call) error {
			if c.Method == method && c.Ref.Key == "purgecursor" {
				return errBusy
			}
			return nil
		})
		if _, err := r.purge.Run(context.Background()); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "cursor") {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestARunThatIsCanceledReportsIt(t *testing.T) {
	r := newRig(t)
	r.fill(1)
	ctx, cancel := context.WithCancel(context.Background())
	r.beforeDelete("key0", func() error {
		cancel()
		return fmt.Errorf("%w: %w", store.ErrUnavailable, context.Canceled)
	})
	r.fail(ctx, context.Canceled, "")
}

// After a move from one store to another, the stored cursor is the old store's.
func TestACursorThatTheStoreRefusesBeginsAtTheStart(t *testing.T) {
	r := newRig(t)
	r.fill(5)
	r.put("purgecursor", ">of another store", noon.AddDate(1, 0, 0))
	r.run(purge.Result{Removed: 5, Done: true})
	if want := []string{"of another store", "", "after:key1", "after:key3"}; !slices.Equal(r.pages.cursors, want) {
		t.Errorf("the cursors are %q, want %q", r.pages.cursors, want)
	}
	r.restart()
	r.run(purge.Result{Done: true})
	if !slices.Equal(r.pages.cursors, []string{""}) {
		t.Errorf("the cursors of the next run are %q", r.pages.cursors)
	}
}

// An invalid argument that is no cursor is reported, not tried forever.
func TestAnArgumentThatTheStoreRefusesIsReported(t *testing.T) {
	r := newRig(t)
	r.fill(3)
	r.beforeDelete("key2", func() error { return fmt.Errorf("%w: version", store.ErrInvalid) })
	if got := r.fail(context.Background(), store.ErrInvalid, ""); got.Removed != 2 {
		t.Errorf("removed %d rows, want 2", got.Removed)
	}
}

func TestTheCursorsOwnRowIsNeverRemoved(t *testing.T) {
	r := newRig(t)
	r.fill(1)
	r.put("purgecursor", ">", past)
	r.run(purge.Result{Removed: 1, Done: true})
	r.wantCursor(true)
}

// If no row is over, a run writes nothing.
func TestARunWithoutWorkWritesNothing(t *testing.T) {
	r := newRig(t)
	r.put("tomorrow", "row", noon.AddDate(0, 0, 1))
	for range 3 {
		r.run(purge.Result{Done: true})
	}
	r.wantCursor(false)
}

// damagedCursor has a cursor that somebody edited by hand, until it is written.
type damagedCursor struct {
	store.Table
	mended bool
}

func (d *damagedCursor) Get(ctx context.Context, key store.Key) (store.Row, error) {
	if !d.mended {
		return store.Row{}, store.ErrDamaged
	}
	return d.Table.Get(ctx, key)
}

func (d *damagedCursor) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	d.mended = true
	return d.Table.Update(ctx, key, func([]byte) (store.Row, error) { return fn([]byte{}) })
}

// Otherwise nothing would ever be removed again.
func TestADamagedCursorBeginsAtTheStart(t *testing.T) {
	r := newRig(t)
	r.put("a", "x", past)
	table := &damagedCursor{Table: r.pages}
	r.purge.Table = table
	if res, err := r.purge.Run(t.Context()); err != nil || !res.Done || res.Removed != 1 || !table.mended {
		t.Errorf("got %+v, %v; the cursor was written: %v", res, err, table.mended)
	}
}
