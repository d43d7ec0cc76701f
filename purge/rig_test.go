package purge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/purge"
)

var (
	noon = fixture.Noon
	past = noon.Add(-time.Hour)
)

// errBusy is an error of a store that takes no more requests.
var errBusy = fmt.Errorf("%w: ServerBusy", store.ErrUnavailable)

// pages lists a few rows a page, in the order of their keys. Its cursor is the
// last key of the page before.
type pages struct {
	store.Table
	size    int
	cursors []string // that Expired was called with
}

func (p *pages) Expired(ctx context.Context, before time.Time, cursor string) (store.Page, error) {
	p.cursors = append(p.cursors, cursor)
	after, ok := strings.CutPrefix(cursor, "after:")
	if cursor != "" && !ok {
		return store.Page{}, fmt.Errorf("%w: cursor", store.ErrInvalid)
	}
	all, err := p.Table.Expired(ctx, before, "")
	if err != nil {
		return store.Page{}, err
	}
	if all.Next != "" {
		return store.Page{}, errors.New("the table has more rows than one page of the store")
	}
	slices.SortFunc(all.Rows, func(a, b store.Ref) int { return strings.Compare(string(a.Key), string(b.Key)) })
	rows := slices.DeleteFunc(all.Rows, func(ref store.Ref) bool { return string(ref.Key) <= after })
	if len(rows) <= p.size {
		return store.Page{Rows: rows}, nil
	}
	return store.Page{Rows: rows[:p.size], Next: "after:" + string(rows[p.size-1].Key)}, nil
}

// rig is a service whose table lists two rows a page.
type rig struct {
	*testrig.Rig
	t     *testing.T
	pages *pages
	purge *purge.Service
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{Rig: testrig.New(t), t: t}
	r.pages = &pages{Table: r.Table.Table, size: 2}
	r.Table.Table = r.pages
	r.purge = r.API.Purge
	r.purge.Budget = time.Minute
	return r
}

// put writes a row, without the hook.
func (r *rig) put(key, data string, until time.Time) {
	r.t.Helper()
	err := r.pages.Update(context.Background(), store.Key(key), func([]byte) (store.Row, error) {
		return store.Row{Data: []byte(data), KeepUntil: until}, nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// fill puts n rows that are over: key0, key1, ...
func (r *rig) fill(n int) {
	r.t.Helper()
	for i := range n {
		r.put("key"+strconv.Itoa(i), "row", past)
	}
}

// rows lists the rows of the table, but for the purge's own row.
func (r *rig) rows() []store.Ref {
	r.t.Helper()
	page, err := r.pages.Table.Expired(context.Background(), noon.AddDate(100, 0, 0), "")
	if err != nil {
		r.t.Fatal(err)
	}
	return slices.DeleteFunc(page.Rows, func(ref store.Ref) bool { return ref.Key == "purgecursor" })
}

// wantKeys fails the test unless the table has these rows, but for the purge's own.
func (r *rig) wantKeys(want string) {
	r.t.Helper()
	var keys []string
	for _, ref := range r.rows() {
		keys = append(keys, string(ref.Key))
	}
	slices.Sort(keys)
	if got := strings.Join(keys, " "); got != want {
		r.t.Errorf("left %q, want %q", got, want)
	}
}

// wantCursor fails the test unless the purge has a row of its own, or not.
func (r *rig) wantCursor(want bool) {
	r.t.Helper()
	if _, err := r.pages.Get(context.Background(), "purgecursor"); want != (err == nil) || err != nil && !errors.Is(err, store.ErrNotFound) {
		r.t.Errorf("the cursor: %v", err)
	}
}

func (r *rig) run(want purge.Result) {
	r.t.Helper()
	got, err := r.purge.Run(context.Background())
	if err != nil || got != want {
		r.t.Errorf("run: %+v %v, want %+v", got, err, want)
	}
}

// fail runs a purge that has to fail with an error that is is and contains text.
func (r *rig) fail(ctx context.Context, is error, text string) purge.Result {
	r.t.Helper()
	got, err := r.purge.Run(ctx)
	if !errors.Is(err, is) || !strings.Contains(err.Error(), text) || got.Done {
		r.t.Errorf("run: %+v %v", got, err)
	}
	return got
}

// beforeDelete sets a hook that runs before the row is removed.
func (r *rig) beforeDelete(key store.Key, hook func() error) {
	r.Table.Before(func(c testrig.Call) error {
		if c.Method != "Delete" || c.Ref.Key != key {
			return nil
		}
		return hook()
	})
}

// restart ends the hook and forgets the cursors so far.
func (r *rig) restart() {
	r.Table.Before(nil)
	r.pages.cursors = nil
}
