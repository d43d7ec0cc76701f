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

// Batch runs fn with a Table whose updates form one transaction, so that there is
// one wait for the disk instead of one for each row. The updates are on the disk
// when Batch has returned nil, not before. If fn returns an error, nothing is
// written and Batch returns that error. If Batch's error wraps
// [store.ErrUnavailable], the outcome is unknown, as with Update.
//
// The Table supports only Get, Update and UpdateFrom. Get returns what its own updates have
// written. The Table is not safe for concurrent use, and must not be used after fn.
// The time limit of one call applies to the whole batch, and other writers wait for
// it. So fn should only compute, and change at most some hundred rows.
func (s *Store) Batch(ctx context.Context, fn func(store.Table) error) error {
	return s.write(ctx, "write", func(tx *bolt.Tx) error { return fn(inTx{tx}) })
}

// inTx is a table within a transaction.
type inTx struct{ tx *bolt.Tx }

var errInTx = fmt.Errorf("%w: not supported within a transaction", store.ErrInvalid)

// Get implements store.Table.
func (t inTx) Get(_ context.Context, key store.Key) (row store.Row, err error) {
	if !key.Valid() {
		return store.Row{}, fmt.Errorf("%w: key", store.ErrInvalid)
	}
	err = guard(func() (err error) { row, err = get(t.tx, key); return err })
	return row, err
}

// Update implements store.Table, except that the row is not yet on the disk when it
// returns.
func (t inTx) Update(ctx context.Context, key store.Key, fn func(old []byte) (store.Row, error)) error {
	return t.update(ctx, key, nil, fn)
}

// UpdateFrom implements store.Table with the same exception.
func (t inTx) UpdateFrom(ctx context.Context, key store.Key, known store.Row, fn func(old []byte) (store.Row, error)) error {
	return t.update(ctx, key, &known, fn)
}

func (t inTx) update(ctx context.Context, key store.Key, known *store.Row, fn func(old []byte) (store.Row, error)) error {
	if !key.Valid() {
		return fmt.Errorf("%w: key", store.ErrInvalid)
	}
	if ctx.Err() != nil {
		return unavailable(ctx, "write")
	}
	err := update(ctx, t.tx, key, known, fn)
	if errors.Is(err, store.SkipWrite) {
		return nil
	}
	return err
}

// Expired returns an error: a sweep sees only what is on the disk.
func (inTx) Expired(context.Context, time.Time, string) (store.Page, error) {
	return store.Page{}, errInTx
}

// Delete returns an error for the same reason.
func (inTx) Delete(context.Context, store.Ref) (bool, error) { return false, errInTx }

// Close does nothing: the transaction ends with fn.
func (inTx) Close() error { return nil }

// get reads a row in a transaction.
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
		Version:   rec.versionText(),
	}, nil
}
