package rig

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"twofa/internal/store"
)

// Fault is what goes wrong with one call of a table.
type Fault int

// The faults.
const (
	None Fault = iota
	Down       // nothing is done
	Lost       // the call takes effect, but its answer is lost
)

// FaultAt is a fault of call n alone, from 1, for [Table.Break].
func FaultAt(n int, f Fault) func(call int) Fault {
	return func(call int) Fault {
		if call == n {
			return f
		}
		return None
	}
}

// FaultFrom is a fault of call n, from 1, and of all later calls, for
// [Table.Break].
func FaultFrom(n int, f Fault) func(call int) Fault {
	return func(call int) Fault {
		if call >= n {
			return f
		}
		return None
	}
}

// ErrFault is the error of a call that fails by a Fault.
var ErrFault = fmt.Errorf("%w: a fault of the test", store.ErrUnavailable)

// Call is one call of a table.
type Call struct {
	Method string    // Get, Update, UpdateFrom, Expired or Delete
	Ref    store.Ref // the row; zero for Expired, with a version for Delete only
}

// Table is a store that fails as a test says. It runs the function of each Update
// and UpdateFrom once more than the store does, as if another process had written in
// between: what such a function leaves behind must not count twice. The additional
// run of UpdateFrom sees the row that is known, also if it is not the present one.
//
// The embedded Table has no faults, and its calls are not counted.
type Table struct {
	store.Table

	mu     sync.Mutex
	calls  int
	fault  func(call int) Fault
	before func(Call) error
}

// Break sets the function that chooses the fault of each call from now on, by
// the call's number from 1. nil ends the faults.
func (t *Table) Break(fault func(call int) Fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls, t.fault = 0, fault
}

// Before sets a hook that runs before each call from now on, at the same time in
// calls that run at the same time. An error of the hook is returned by the call,
// which then does nothing. nil ends the hook.
//
// In an Update or UpdateFrom, the hook runs after the additional run of its function,
// so that what the hook writes is a conflicting write. The hook must use the
// embedded Table.
func (t *Table) Before(hook func(Call) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before = hook
}

// Calls returns the number of calls since the last Break.
func (t *Table) Calls() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls
}

// do makes a call, with its hook and its fault.
func (t *Table) do(c Call, run func() error) error {
	before, fault := t.next()
	if before != nil {
		if err := before(c); err != nil {
			return err
		}
	}
	if fault == Down {
		return ErrFault
	}
	err := run()
	if fault == Lost && (err == nil || errors.Is(err, store.ErrNotFound)) {
		return ErrFault
	}
	return err
}

// next counts a call, and returns its hook and its fault.
func (t *Table) next() (func(Call) error, Fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls++; t.fault == nil {
		return t.before, None
	}
	return t.before, t.fault(t.calls)
}

// Get implements store.Table.
func (t *Table) Get(ctx context.Context, key store.Key) (row store.Row, err error) {
	err = t.do(Call{"Get", store.Ref{Key: key}}, func() error {
		row, err = t.Table.Get(ctx, key)
		return err
	})
	if err != nil {
		return store.Row{}, err
	}
	return row, nil
}

// Update implements store.Table.
func (t *Table) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	row, err := t.Table.Get(context.Background(), key) // no data if there is no row
	if errors.Is(err, store.ErrDamaged) {
		row.Data = []byte{}
	}
	_, _ = fn(row.Data)
	return t.do(Call{"Update", store.Ref{Key: key}}, func() error { return t.Table.Update(ctx, key, fn) })
}

// UpdateFrom implements store.Table.
func (t *Table) UpdateFrom(ctx context.Context, key store.Key, known store.Row, fn func([]byte) (store.Row, error)) error {
	_, _ = fn(known.Data)
	return t.do(Call{"UpdateFrom", store.Ref{Key: key}}, func() error { return t.Table.UpdateFrom(ctx, key, known, fn) })
}

// Expired implements store.Table.
func (t *Table) Expired(ctx context.Context, before time.Time, cursor string) (page store.Page, err error) {
	err = t.do(Call{Method: "Expired"}, func() error {
		page, err = t.Table.Expired(ctx, before, cursor)
		return err
	})
	if err != nil {
		return store.Page{}, err
	}
	return page, nil
}

// Delete implements store.Table.
func (t *Table) Delete(ctx context.Context, ref store.Ref) (deleted bool, err error) {
	err = t.do(Call{"Delete", ref}, func() error {
		deleted, err = t.Table.Delete(ctx, ref)
		return err
	})
	return deleted && err == nil, err
}
