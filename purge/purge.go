// Package purge is the use case behind the timer: it removes rows that are not needed
// any more, in bounded time. The next run continues where the last one stopped.
//
// It relies only on a row's KeepUntil, and removes a row only in the version that it
// saw. It never reads the data of a row.
package purge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"twofa/internal/store"
)

// cursorKey is the key of the row that holds where the last run stopped. It is in
// one table with the recipients, whose keys always are 16 hexadecimal digits.
const cursorKey store.Key = "purgecursor"

// cursorKept is how long the cursor is kept. Without it, a run begins at the start
// of the table.
const cursorKept = 365 * 24 * time.Hour

// atOnce is how many rows are removed at the same time. One at a time, the round
// trips would use up the budget. Many more would slow down requests.
const atOnce = 8

// Service sweeps a table.
type Service struct {
	Table store.Table
	Now   func() time.Time
	// Budget bounds one run, except the write of the cursor at its end, which has
	// the store's own time limit. Both together have to be shorter than the time
	// limit of the timer's request.
	Budget time.Duration
}

// Result is what a run did.
type Result struct {
	Removed int  `json:"removed"`
	Changed int  `json:"changed"` // changed after they were listed, so not removed
	Done    bool `json:"done"`    // reached the end of the table
}

// Run removes rows until the end of the table or of the budget. An error means that
// the store failed: the next run continues with the first page that was not
// finished.
func (s *Service) Run(ctx context.Context) (Result, error) {
	var res Result
	sweep, cancel := context.WithTimeout(ctx, s.Budget)
	defer cancel()
	cursor, err := s.loadCursor(sweep)
	if err != nil {
		return res, err
	}
	for {
		next, err := s.page(sweep, cursor, &res)
		if err != nil && sweep.Err() != nil && ctx.Err() == nil {
			// The budget ended within a page: the next run lists it again,
			// without the rows that are removed.
			return res, s.saveCursor(ctx, cursor)
		}
		if err != nil {
			return res, errors.Join(err, s.saveCursor(ctx, cursor))
		}
		if cursor = next; cursor == "" {
			res.Done = true
			return res, s.saveCursor(ctx, "")
		}
	}
}

// page removes the rows of one page, and returns the cursor of the next one.
func (s *Service) page(ctx context.Context, cursor string, res *Result) (next string, err error) {
	page, err := s.Table.Expired(ctx, s.Now(), cursor)
	if errors.Is(err, store.ErrInvalid) && cursor != "" {
		// Another store or another version wrote the cursor: start again.
		page, err = s.Table.Expired(ctx, s.Now(), "")
	}
	if err != nil {
		return "", fmt.Errorf("purge: list: %w", err)
	}
	if err := s.remove(ctx, page.Rows, res); err != nil {
		return "", fmt.Errorf("purge: remove: %w", err)
	}
	return page.Next, nil
}

// remove removes rows, several at a time. After a failure it begins no other
// removal, counts those that have begun, and returns the first error.
func (s *Service) remove(ctx context.Context, rows []store.Ref, res *Result) error {
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, atOnce)
		mu    sync.Mutex // guards first and res
		first error
	)
	for _, ref := range rows {
		if ref.Key == cursorKey {
			continue // an old cursor is still needed
		}
		slots <- struct{}{}
		mu.Lock()
		failed := first != nil
		mu.Unlock()
		if failed {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			removed, err := s.Table.Delete(ctx, ref)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil && first == nil:
				first = err
			case err != nil:
			case removed:
				res.Removed++
			default:
				res.Changed++
			}
		})
	}
	wg.Wait()
	return first
}

func (s *Service) loadCursor(ctx context.Context) (string, error) {
	row, err := s.Table.Get(ctx, cursorKey)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDamaged) {
		return "", nil // begin at the start. The end of the run writes the row anew
	}
	if err != nil {
		return "", fmt.Errorf("purge: read the cursor: %w", err)
	}
	return string(row.Data[1:]), nil
}

func (s *Service) saveCursor(ctx context.Context, cursor string) error {
	// The data of a row must not be empty, so one byte precedes the cursor.
	data := append([]byte{'>'}, cursor...)
	err := s.Table.Update(ctx, cursorKey, func(old []byte) (store.Row, error) {
		if string(old) == string(data) || old == nil && cursor == "" {
			return store.Row{}, store.SkipWrite
		}
		return store.Row{Data: data, KeepUntil: s.Now().Add(cursorKept)}, nil
	})
	if err != nil {
		return fmt.Errorf("purge: write the cursor: %w", err)
	}
	return nil
}
