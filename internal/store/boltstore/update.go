package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"twofa/internal/store"
)

// Update implements store.Table. fn is called once, in the transaction that
// writes its result, so there are no conflicts.
func (s *Store) Update(ctx context.Context, key store.Key, fn func(old []byte) (store.Row, error)) error {
	return s.updateIn(ctx, key, nil, fn)
}

// UpdateFrom implements store.Table. The transaction reads the row anyway, so fn is
// called once, with the present row. known only decides how many trips are counted.
func (s *Store) UpdateFrom(ctx context.Context, key store.Key, known store.Row, fn func(old []byte) (store.Row, error)) error {
	return s.updateIn(ctx, key, &known, fn)
}

// updateIn changes one row in a transaction of its own.
func (s *Store) updateIn(ctx context.Context, key store.Key, known *store.Row, fn func(old []byte) (store.Row, error)) error {
	if !key.Valid() {
		return fmt.Errorf("%w: key", store.ErrInvalid)
	}
	err := s.write(ctx, "write", func(tx *bolt.Tx) error { return update(ctx, tx, key, known, fn) })
	if errors.Is(err, store.SkipWrite) {
		return nil
	}
	return err
}

// update changes one row in a transaction. It returns fn's error, including
// SkipWrite. It counts a trip for the write, unless known (nil: nothing is known) is
// the present row: then the transaction is the only trip.
func update(ctx context.Context, tx *bolt.Tx, key store.Key, known *store.Row, fn func(old []byte) (store.Row, error)) error {
	old, exists, isDamaged, err := present(tx, key)
	if err != nil {
		return err
	}
	row, err := fn(old.data)
	if err != nil {
		return err
	}
	if err := store.CheckRow(key, row); err != nil {
		return err
	}
	if !isKnown(known, old, exists && !isDamaged) {
		store.CountTrip(ctx) // the second trip; reading was the first
	}
	return guard(func() error {
		if isDamaged {
			if err := dropIndex(tx, key); err != nil {
				return err
			}
		} else if exists {
			if err := tx.Bucket(expiryBucket).Delete(expiryKey(old.keepUntil, key)); err != nil {
				return err
			}
		}
		return put(tx, key, row)
	})
}

// present returns the row as Update's fn sees it: without data if there is none, with
// empty data if it is damaged.
func present(tx *bolt.Tx, key store.Key) (old record, exists, isDamaged bool, err error) {
	err = guard(func() error {
		raw := tx.Bucket(rowsBucket).Get([]byte(key))
		exists = raw != nil
		if exists {
			var err error
			old, err = parseRecord(raw)
			isDamaged = err != nil
		}
		old.data = bytes.Clone(old.data) // writing to bbolt's memory map crashes
		return nil
	})
	if isDamaged {
		old.data = []byte{}
	}
	return old, exists, isDamaged, err
}

// isKnown reports whether known (nil: nothing is known) is the present row, which is
// there and is not damaged, or else that there is none.
func isKnown(known *store.Row, now record, there bool) bool {
	switch {
	case known == nil:
		return false
	case there:
		return known.Version == now.versionText()
	default:
		return known.Data == nil && known.Version == "" && now.data == nil
	}
}

// dropIndex deletes the index entries of a row whose KeepUntil cannot be read. It
// reads the whole index.
func dropIndex(tx *bolt.Tx, key store.Key) error {
	var stale [][]byte
	c := tx.Bucket(expiryBucket).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if len(k) > 8 && string(k[8:]) == string(key) {
			stale = append(stale, bytes.Clone(k))
		}
	}
	for _, k := range stale {
		if err := tx.Bucket(expiryBucket).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// put writes a row, and its index entry.
func put(tx *bolt.Tx, key store.Key, row store.Row) error {
	rows, expiry := tx.Bucket(rowsBucket), tx.Bucket(expiryBucket)
	// All rows take their versions from one counter that never decreases, so that
	// a row that is created again has another version than before.
	version, err := rows.NextSequence()
	if err != nil {
		return err
	}
	rec := record{version: version, keepUntil: store.Seconds(row.KeepUntil), data: row.Data}
	if err := expiry.Put(expiryKey(rec.keepUntil, key), binary.BigEndian.AppendUint64(nil, version)); err != nil {
		return err
	}
	return rows.Put([]byte(key), rec.bytes())
}
