package purge_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"twofa/internal/store"
	"twofa/internal/store/boltstore"
	"twofa/purge"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// pagedTable lists a few rows a page, in the order of their keys, and lets a
// test step in before any call, several at a time. Its cursor is the last key of
// the page before.
type pagedTable struct {
	store.Table
	pageSize int
	before   func(call string, ref store.Ref) error
	cursors  []string // that Expired was asked to go on from
}

func (p *pagedTable) step(ctx context.Context, call string, ref store.Ref) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
	if p.before == nil {
		return nil
	}
	return p.before(call, ref)
}

func (p *pagedTable) Expired(ctx context.Context, before time.Time, cursor string) (store.Page, error) {
	p.cursors = append(p.cursors, cursor)
	if err := p.step(ctx, "list", store.Ref{}); err != nil {
		return store.Page{}, err
	}
	after, ok := strings.CutPrefix(cursor, "after:")
	if cursor != "" && !ok {
		return store.Page{}, fmt.Errorf("%w: cursor", store.ErrInvalid)
	}
	all, err := p.Table.Expired(ctx, before, "")
	if err != nil || all.Next != "" {
		return store.Page{}, fmt.Errorf("more rows than this table can page: %w", err)
	}
	slices.SortFunc(all.Rows, func(a, b store.Ref) int { return strings.Compare(string(a.Key), string(b.Key)) })
	var page store.Page
	for _, ref := range all.Rows {
		if string(ref.Key) <= after {
			continue
		}
		if len(page.Rows) == p.pageSize {
			page.Next = "after:" + string(page.Rows[p.pageSize-1].Key)
			break
		}
		page.Rows = append(page.Rows, ref)
	}
	return page, nil
}

func (p *pagedTable) Delete(ctx context.Context, ref store.Ref) (bool, error) {
	if err := p.step(ctx, "remove", ref); err != nil {
		return false, err
	}
	return p.Table.Delete(ctx, ref)
}

func (p *pagedTable) Get(ctx context.Context, key store.Key) (store.Row, error) {
	if err := p.step(ctx, "get", store.Ref{Key: key}); err != nil {
		return store.Row{}, err
	}
	return p.Table.Get(ctx, key)
}

func (p *pagedTable) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	if err := p.step(ctx, "update", store.Ref{Key: key}); err != nil {
		return err
	}
	return p.Table.Update(ctx, key, fn)
}

type bench struct {
	t       *testing.T
	table   *pagedTable
	service *purge.Service
	now     time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	bolt, err := boltstore.Open(filepath.Join(t.TempDir(), "twofa.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bolt.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{t: t, table: &pagedTable{Table: bolt, pageSize: 2}, now: noon}
	b.service = &purge.Service{Table: b.table, Now: func() time.Time { return b.now }, Budget: time.Minute}
	return b
}

func (b *bench) put(key string, until time.Time) {
	b.t.Helper()
	err := b.table.Table.Update(context.Background(), store.Key(key), func([]byte) (store.Row, error) {
		return store.Row{Data: []byte("row"), KeepUntil: until}, nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// fill puts n rows that are over: key0, key1, ...
func (b *bench) fill(n int) {
	b.t.Helper()
	for i := range n {
		b.put("key"+strconv.Itoa(i), noon.Add(-time.Hour))
	}
}

// keys is what is in the table, in order, but for the purge's own row.
func (b *bench) keys() string {
	b.t.Helper()
	page, err := b.table.Table.Expired(context.Background(), noon.AddDate(100, 0, 0), "")
	if err != nil {
		b.t.Fatal(err)
	}
	var keys []string
	for _, ref := range page.Rows {
		if ref.Key != "purgecursor" {
			keys = append(keys, string(ref.Key))
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

func (b *bench) run(want purge.Result) {
	b.t.Helper()
	got, err := b.service.Run(context.Background())
	if err != nil || got != want {
		b.t.Errorf("run: %+v %v, want %+v", got, err, want)
	}
}

func TestOnlyRowsThatAreOverAreRemoved(t *testing.T) {
	b := newBench(t)
	b.put("longago", noon.AddDate(-1, 0, 0))
	b.put("justnow", noon)
	b.put("insecond", noon.Add(time.Second))
	b.put("tomorrow", noon.AddDate(0, 0, 1))
	b.run(purge.Result{Removed: 2, Done: true})
	if got := b.keys(); got != "insecond tomorrow" {
		t.Errorf("left %q", got)
	}
	b.now = noon.Add(time.Second)
	b.run(purge.Result{Removed: 1, Done: true})
	if got := b.keys(); got != "tomorrow" {
		t.Errorf("left %q", got)
	}
}

// A person may ask for a code between the list and the removal.
func TestARowThatChangedSinceItWasListedStays(t *testing.T) {
	for name, change := range map[string]func(b *bench){
		"used again":           func(b *bench) { b.put("key1", noon.AddDate(0, 0, 1)) },
		"written, though over": func(b *bench) { b.put("key1", noon.Add(-time.Hour)) },
		"removed and made anew": func(b *bench) {
			page, err := b.table.Table.Expired(context.Background(), noon, "")
			if err != nil {
				b.t.Fatal(err)
			}
			for _, ref := range page.Rows {
				if ref.Key == "key1" {
					if _, err := b.table.Table.Delete(context.Background(), ref); err != nil {
						b.t.Fatal(err)
					}
				}
			}
			b.put("key1", noon.Add(-time.Hour))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.fill(3)
			b.table.before = func(call string, ref store.Ref) error {
				if call == "remove" && ref.Key == "key1" {
					change(b)
				}
				return nil
			}
			b.run(purge.Result{Removed: 2, Changed: 1, Done: true})
			if got := b.keys(); got != "key1" {
				t.Errorf("left %q", got)
			}
		})
	}
}

func TestTwoSweepsAtOnceRemoveEachRowOnce(t *testing.T) {
	b := newBench(t)
	b.fill(6)
	other := &purge.Service{Table: &pagedTable{Table: b.table.Table, pageSize: 2}, Now: b.service.Now, Budget: time.Minute}
	var second purge.Result
	b.table.before = func(call string, ref store.Ref) error {
		if call == "remove" && ref.Key == "key1" {
			var err error
			if second, err = other.Run(context.Background()); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	first, err := b.service.Run(context.Background())
	if err != nil || first.Removed+second.Removed != 6 || second.Removed < 5 { // key0 may go to either
		t.Errorf("removed %+v %v and %+v, want 6 together", first, err, second)
	}
}

// Where the budget ends, the next run goes on, in another process too.
func TestASweepGoesOnWhereTheBudgetEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.fill(8)
		b.table.before = func(call string, ref store.Ref) error {
			if call == "remove" && ref.Key == "key3" {
				time.Sleep(b.service.Budget + time.Second)
			}
			return nil
		}
		b.run(purge.Result{Removed: 3})
		if got := b.keys(); got != "key3 key4 key5 key6 key7" {
			t.Errorf("left %q", got)
		}

		b.put("key0", noon.Add(-time.Hour)) // it lies behind the cursor
		b.table.before, b.table.cursors = nil, nil
		b.service = &purge.Service{Table: b.table, Now: b.service.Now, Budget: time.Minute}
		b.run(purge.Result{Removed: 5, Done: true})
		if b.table.cursors[0] != "after:key1" || b.keys() != "key0" {
			t.Errorf("went on from %q and left %q", b.table.cursors[0], b.keys())
		}

		b.run(purge.Result{Removed: 1, Done: true}) // from the start again
	})
}

func TestASweepIsBoundedByItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.fill(4)
		var n atomic.Int64
		b.table.before = func(call string, ref store.Ref) error {
			switch call {
			case "get":
				time.Sleep(4 * time.Second) // reading the cursor counts
			case "remove": // as fast as rows are removed, there are more
				time.Sleep(time.Second)
				b.put(fmt.Sprintf("more%04d", n.Add(1)), noon.Add(-time.Hour))
			}
			return nil
		}
		b.service.Budget = 14*time.Second + time.Millisecond
		begun := time.Now()
		b.run(purge.Result{Removed: 20})
		if took := time.Since(begun); took != 15*time.Second { // with the rows at which it ended
			t.Errorf("took %v of a budget of %v", took, b.service.Budget)
		}
	})
}

func TestAFailureIsReportedAndTheNextRunGoesOnFromItsPage(t *testing.T) {
	for _, call := range []string{"list", "remove"} {
		t.Run(call, func(t *testing.T) {
			b := newBench(t)
			b.fill(7)
			lists := 0
			b.table.before = func(c string, ref store.Ref) error {
				if c == "list" {
					lists++
				}
				if c == call && (call == "list" && lists == 3 || call == "remove" && ref.Key == "key5") {
					return fmt.Errorf("%w: ServerBusy", store.ErrUnavailable)
				}
				return nil
			}
			got, err := b.service.Run(context.Background())
			if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "ServerBusy") || got.Done {
				t.Errorf("run: %+v %v", got, err)
			}
			if want := map[string]int{"list": 4, "remove": 5}[call]; got.Removed != want {
				t.Errorf("removed %d before the failure, want %d", got.Removed, want)
			}
			b.table.before, b.table.cursors = nil, nil
			b.run(purge.Result{Removed: 7 - got.Removed, Done: true})
			if b.table.cursors[0] != "after:key3" {
				t.Errorf("went on from %q", b.table.cursors[0])
			}
		})
	}
}

// One round trip after another would use up the budget.
func TestSeveralRowsAreRemovedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.table.pageSize = 20
		b.fill(20)
		var atOnce atomic.Int64
		b.table.before = func(call string, ref store.Ref) error {
			if call == "remove" {
				if n := atOnce.Add(1); n > 8 {
					t.Errorf("%d at once, want at most 8", n)
				}
				time.Sleep(time.Second)
				atOnce.Add(-1)
			}
			return nil
		}
		begun := time.Now()
		b.run(purge.Result{Removed: 20, Done: true})
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("took %v for 20 rows of a second each, want 3 s", took)
		}
	})
}

// What was under way at a failure is finished and counted, nothing else is
// begun, and the next run takes the page again.
func TestAFailureStopsAtItsPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.table.pageSize = 20
		b.fill(30)
		var begun atomic.Int64
		b.table.before = func(call string, ref store.Ref) error {
			if call != "remove" {
				return nil
			}
			switch n := begun.Add(1); {
			case n == 23: // the third of the second page
				time.Sleep(time.Second / 2)
				return fmt.Errorf("%w: ServerBusy", store.ErrUnavailable)
			case n > 20:
				time.Sleep(time.Second)
				if n == 24 {
					return fmt.Errorf("%w: a later error", store.ErrUnavailable)
				}
			}
			return nil
		}
		got, err := b.service.Run(context.Background())
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "ServerBusy") || got.Done {
			t.Errorf("run: %+v %v, want the first error", got, err)
		}
		if left := len(strings.Fields(b.keys())); begun.Load() != 28 || got.Removed != 26 || got.Changed != 0 || left != 4 {
			t.Errorf("%d were begun, %+v counted and %d rows left, want 28, 26 and 4", begun.Load(), got, left)
		}
		b.table.before, b.table.cursors = nil, nil
		b.run(purge.Result{Removed: 4, Done: true})
		if !strings.HasPrefix(b.table.cursors[0], "after:") {
			t.Errorf("went on from %q", b.table.cursors[0])
		}
	})
}

// With the cursor unreadable nothing is known of where to go on: the store is down.
func TestAFailureAtTheCursorIsReported(t *testing.T) {
	for _, call := range []string{"get", "update"} {
		b := newBench(t)
		b.fill(1)
		b.table.before = func(c string, ref store.Ref) error {
			if c == call && ref.Key == "purgecursor" {
				return fmt.Errorf("%w: ServerBusy", store.ErrUnavailable)
			}
			return nil
		}
		if _, err := b.service.Run(context.Background()); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "cursor") {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func TestARunThatIsCutOffReportsIt(t *testing.T) {
	b := newBench(t)
	b.fill(1)
	ctx, cancel := context.WithCancel(context.Background())
	b.table.before = func(call string, _ store.Ref) error {
		if call == "remove" {
			cancel()
			return fmt.Errorf("%w: %w", store.ErrUnavailable, context.Canceled)
		}
		return nil
	}
	if got, err := b.service.Run(ctx); !errors.Is(err, context.Canceled) || got.Done {
		t.Errorf("run: %+v %v", got, err)
	}
}

// cursor writes the row that says where to go on.
func (b *bench) cursor(text string, until time.Time) {
	b.t.Helper()
	err := b.table.Table.Update(context.Background(), "purgecursor", func([]byte) (store.Row, error) {
		return store.Row{Data: []byte(text), KeepUntil: until}, nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// After a move from one store to another the cursor is the old store's.
func TestACursorThatTheStoreRefusesBeginsAtTheStart(t *testing.T) {
	b := newBench(t)
	b.fill(5)
	b.cursor(">of another store", noon.AddDate(1, 0, 0))
	b.run(purge.Result{Removed: 5, Done: true})
	if want := []string{"of another store", "", "after:key1", "after:key3"}; !slices.Equal(b.table.cursors, want) {
		t.Errorf("asked from %q, want %q", b.table.cursors, want)
	}
	b.table.cursors = nil
	b.run(purge.Result{Done: true})
	if !slices.Equal(b.table.cursors, []string{""}) {
		t.Errorf("the next run asked from %q", b.table.cursors)
	}
}

// A store that refuses what is not a cursor is not asked for ever.
func TestAnArgumentThatTheStoreRefusesIsReported(t *testing.T) {
	b := newBench(t)
	b.fill(3)
	b.table.before = func(call string, ref store.Ref) error {
		if call == "remove" && ref.Key == "key2" {
			return fmt.Errorf("%w: version", store.ErrInvalid)
		}
		return nil
	}
	if got, err := b.service.Run(context.Background()); !errors.Is(err, store.ErrInvalid) || got.Removed != 2 {
		t.Errorf("run: %+v %v", got, err)
	}
}

func TestTheCursorsOwnRowIsNeverSwept(t *testing.T) {
	b := newBench(t)
	b.fill(1)
	b.cursor(">", noon.Add(-time.Hour))
	b.run(purge.Result{Removed: 1, Done: true})
	if _, err := b.table.Table.Get(context.Background(), "purgecursor"); err != nil {
		t.Errorf("the cursor: %v", err)
	}
}

// A table where nothing is over costs two round trips, and no write.
func TestAnIdleSweepWritesNothing(t *testing.T) {
	b := newBench(t)
	b.put("tomorrow", noon.AddDate(0, 0, 1))
	for range 3 {
		b.run(purge.Result{Done: true})
	}
	if _, err := b.table.Table.Get(context.Background(), "purgecursor"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the cursor: %v", err)
	}
}
