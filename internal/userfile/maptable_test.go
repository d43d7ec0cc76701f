package userfile_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"twofa/internal/store"
)

// mapTable is a table in memory, for tests that want many of them. It lists three
// rows a page.
type mapTable struct {
	mu   sync.Mutex
	rows map[store.Key]store.Row
}

func newMapTable() *mapTable { return &mapTable{rows: map[store.Key]store.Row{}} }

func (m *mapTable) Get(_ context.Context, key store.Key) (store.Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, ok := m.rows[key]
	if !ok {
		return row, store.ErrNotFound
	}
	return row, nil
}

func (m *mapTable) Update(_ context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, err := fn(m.rows[key].Data)
	if errors.Is(err, store.SkipWrite) {
		return nil
	}
	if err == nil {
		m.rows[key] = row
	}
	return err
}

func (m *mapTable) UpdateFrom(ctx context.Context, key store.Key, _ store.Row, fn func([]byte) (store.Row, error)) error {
	return m.Update(ctx, key, fn)
}

func (m *mapTable) Expired(_ context.Context, _ time.Time, cursor string) (page store.Page, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.rows)) {
		if string(key) <= cursor {
			continue
		}
		if len(page.Rows) == 3 {
			page.Next = string(page.Rows[2].Key)
			break
		}
		page.Rows = append(page.Rows, store.Ref{Key: key})
	}
	return page, nil
}

func (m *mapTable) Delete(context.Context, store.Ref) (bool, error) { return false, store.ErrInvalid }

func (m *mapTable) Close() error { return nil }
