// Package sealed keeps rows that are sealed whole (AES-256-GCM, bound to their
// key): a copy of the table tells nothing of what is in them, and a row that was
// altered or moved does not open.
//
// It knows nothing of what a row says and must never log it. Its errors are
// those that a client can be answered with.
package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"twofa/internal/problem"
	"twofa/internal/secret"
	"twofa/internal/store"
)

// Rows is a table whose rows are sealed with a keyring.
type Rows struct {
	Table store.Table
	Keys  *secret.Keyring
}

// Next is what an Update leaves: a row's content, and until when it is worth
// anything. No content leaves the row as it is.
type Next struct {
	Plain     []byte
	KeepUntil time.Time
}

// Get returns what is in a row, nil if there is none. One round trip.
//
// Errors are of kind StorageUnavailable or, for a row that does not open,
// Internal.
func (r Rows) Get(ctx context.Context, key string) ([]byte, error) {
	row, err := r.Table.Get(ctx, store.Key(key))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, storageError(err)
	}
	return r.open(row.Data, key)
}

// Update lets decide turn what is in a row (nil if there is none) into what is
// to be there. It may run several times and must have no other effect. Where it
// returns an error, nothing is written, and Update returns that error. Other
// errors are of kind StorageUnavailable (unknown whether it is kept) or Internal.
//
// Two round trips, one where nothing changed. What an older secret has sealed is
// written anew even then, so that the older one can be taken out of service some
// day.
func (r Rows) Update(ctx context.Context, key string, decide func(plain []byte) (Next, error)) error {
	var refused error
	err := r.Table.Update(ctx, store.Key(key), func(box []byte) (store.Row, error) {
		plain, err := r.open(box, key)
		if err != nil {
			return store.Row{}, err
		}
		next, err := decide(plain)
		if refused = err; err != nil {
			return store.Row{}, store.SkipWrite
		}
		current := r.Keys.Current()
		if next.Plain == nil || bytes.Equal(next.Plain, plain) && bytes.HasPrefix(box, current[:]) {
			return store.Row{}, store.SkipWrite
		}
		return store.Row{Data: r.Keys.Seal(next.Plain, key), KeepUntil: next.KeepUntil}, nil
	})
	if err != nil {
		return storageError(err)
	}
	return refused
}

func (r Rows) open(box []byte, key string) ([]byte, error) {
	if box == nil {
		return nil, nil
	}
	plain, err := r.Keys.Open(box, key)
	if err != nil {
		return nil, Unreadable(err)
	}
	return plain, nil
}

// Unreadable is the error for a row whose content means nothing to us.
func Unreadable(err error) error { return &problem.Error{Kind: problem.Internal, Err: err} }

// retryAfter is what a client is told when storage is unavailable.
const retryAfter = 2 * time.Second

func storageError(err error) error {
	if known, ok := errors.AsType[*problem.Error](err); ok {
		return known
	}
	if errors.Is(err, store.ErrUnavailable) {
		return &problem.Error{
			Kind: problem.StorageUnavailable, RetryAfter: retryAfter, Err: err,
			Detail: "Storage did not answer, so it is not known whether anything was changed. Nothing was approved by this request, and nothing was sent; try again.",
		}
	}
	if errors.Is(err, store.ErrInvalid) {
		return &problem.Error{Kind: problem.Internal, Err: err}
	}
	// Not in the store's contract, so its text may hold anything.
	return &problem.Error{Kind: problem.Internal, Err: fmt.Errorf("sealed: the store failed with a %T", err)}
}
