// Package purge is the use case behind the timer: it removes rows that hold
// nothing worth keeping, in bounded time, and goes on next time where it stopped.
//
// It trusts nothing but a row's own KeepUntil, and removes a row only in the
// version that it saw. It never reads what is in a row.
package purge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"twofa/internal/store"
)

// cursorKey is the row that remembers where the last run stopped. It lies
// beside the recipients, whose keys are always 16 digits.
const cursorKey store.Key = "purgecursor"

// cursorKept is how long the cursor is worth anything; without it a run begins
// at the beginning.
const cursorKept = 365 * 24 * time.Hour

// atOnce is how many rows are removed at a time. One after another, the round
// trips would use up the budget; many more would get in the way of people who
// wait for their codes.
const atOnce = 8

// Service sweeps a table.
type Service struct {
	Table store.Table
	Now   func() time.Time
	// Budget bounds one run, all but the keeping of the cursor at its end, for
	// which the store has a time limit of its own. The two together have to
	// stay under what the timer's request is given.
	Budget time.Duration
}

// Result is what a run did.
type Result struct {
	Removed int  `json:"removed"`
	Changed int  `json:"changed"` // listed, but changed since: kept
	Done    bool `json:"done"`    // reached the end of the table
}

// Run sweeps until the end of the table or of the budget. An error means that
// the store failed; what was removed stays removed, and the next run goes on
// from the last whole page.
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
			// The budget is over in the middle of a page: the next run takes
			// it again, without the rows that are gone.
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

// page removes what one page lists.
func (s *Service) page(ctx context.Context, cursor string, res *Result) (next string, err error) {
	page, err := s.Table.Expired(ctx, s.Now(), cursor)
	if errors.Is(err, store.ErrInvalid) && cursor != "" {
		// Another store or another version wrote the cursor: begin again.
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

// remove removes rows, several at a time. After a failure it begins no further
// one, counts what is under way, and returns the first error.
func (s *Service) remove(ctx context.Context, rows []store.Ref, res *Result) error {
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, atOnce)
		mu    sync.Mutex // guards what follows
		first error
	)
	for _, ref := range rows {
		if ref.Key == cursorKey {
			continue // unchanged for longer than cursorKept, and ours all the same
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
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("purge: read the cursor: %w", err)
	}
	return string(row.Data[1:]), nil
}

func (s *Service) saveCursor(ctx context.Context, cursor string) error {
	// A row's data is never empty: one byte stands before the cursor.
	data := append([]byte{'>'}, cursor...)
	err := s.Table.Update(ctx, cursorKey, func(old []byte) (store.Row, error) {
		if string(old) == string(data) || old == nil && cursor == "" {
			return store.Row{}, store.SkipWrite
		}
		return store.Row{Data: data, KeepUntil: s.Now().Add(cursorKept)}, nil
	})
	if err != nil {
		return fmt.Errorf("purge: keep the cursor: %w", err)
	}
	return nil
}
