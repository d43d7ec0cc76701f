package rig

import (
	"context"
	"fmt"
	"sync"

	"twofa/internal/store"
)

// Fault is what goes wrong with one call of a table.
type Fault int

// The faults.
const (
	None Fault = iota
	Down       // nothing is done
	Lost       // it is done, and the answer is lost on its way
)

// Table is a store that fails as a test says. It runs the function of each
// Update once more than the store does, as if another process had written in
// between: what such a function leaves behind must not count twice.
type Table struct {
	store.Table

	mu    sync.Mutex
	calls int
	fault func(call int) Fault
}

// Break says how calls fail from now on, by their number from 1; nil ends it.
func (t *Table) Break(fault func(call int) Fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls, t.fault = 0, fault
}

// Calls is how many calls there were since the last Break.
func (t *Table) Calls() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls
}

func (t *Table) next() Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls++; t.fault == nil {
		return None
	}
	return t.fault(t.calls)
}

var errFault = fmt.Errorf("%w: a fault of the test", store.ErrUnavailable)

// Get implements store.Table.
func (t *Table) Get(ctx context.Context, key store.Key) (store.Row, error) {
	if t.next() != None {
		return store.Row{}, errFault
	}
	return t.Table.Get(ctx, key)
}

// Update implements store.Table.
func (t *Table) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	row, _ := t.Table.Get(context.Background(), key) // not counted: no data if there is none
	_, _ = fn(row.Data)
	switch t.next() {
	case Down:
		return errFault
	case Lost:
		if err := t.Table.Update(ctx, key, fn); err != nil {
			return err
		}
		return errFault
	}
	return t.Table.Update(ctx, key, fn)
}
