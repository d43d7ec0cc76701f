package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"twofa/internal/store"
)

// Together runs fn with a Table whose updates become one transaction: one wait
// for the disk in place of one for each row. What they report is on the disk once
// Together has returned nil, and not before. If fn returns an error, nothing is
// written and Together returns that error; one that wraps store.ErrUnavailable
// means, as with Update, that the outcome is unknown.
//
// The Table reads what its own updates have written, can only Get and Update, is
// not safe for concurrent use, and is of no use after fn. The time limit of a call
// is that of all of it, and other writers wait meanwhile: fn should only compute,
// and for some hundred rows.
func (s *Store) Together(ctx context.Context, fn func(store.Table) error) error {
	return s.write(ctx, "write", func(tx *bolt.Tx) error { return fn(inTx{tx}) })
}

// inTx is a table within a transaction.
type inTx struct{ tx *bolt.Tx }

var errInTx = fmt.Errorf("%w: not within a transaction", store.ErrInvalid)

// Get implements store.Table.
func (t inTx) Get(_ context.Context, key store.Key) (store.Row, error) {
	if !key.Valid() {
		return store.Row{}, fmt.Errorf("%w: key", store.ErrInvalid)
	}
	return get(t.tx, key)
}

// Update implements store.Table, but for when the row is on the disk.
func (t inTx) Update(ctx context.Context, key store.Key, fn func(old []byte) (store.Row, error)) error {
	if !key.Valid() {
		return fmt.Errorf("%w: key", store.ErrInvalid)
	}
	if ctx.Err() != nil {
		return unavailable(ctx, "write")
	}
	err := update(ctx, t.tx, key, fn)
	if errors.Is(err, store.SkipWrite) {
		return nil
	}
	return err
}

// Expired is refused: a sweep sees only what is on the disk.
func (inTx) Expired(context.Context, time.Time, string) (store.Page, error) {
	return store.Page{}, errInTx
}

// Delete is refused, for the same reason.
func (inTx) Delete(context.Context, store.Ref) (bool, error) { return false, errInTx }

// Close does nothing: the transaction ends with fn.
func (inTx) Close() error { return nil }

// get reads a row out of a transaction.
func get(tx *bolt.Tx, key store.Key) (store.Row, error) {
	raw := tx.Bucket(rowsBucket).Get([]byte(key))
	if raw == nil {
		return store.Row{}, store.ErrNotFound
	}
	rec, err := parseRecord(raw)
	if err != nil {
		return store.Row{}, err
	}
	return store.Row{
		Data:      bytes.Clone(rec.data), // the original is in bbolt's memory map
		KeepUntil: time.Unix(rec.keepUntil, 0).UTC(),
	}, nil
}
