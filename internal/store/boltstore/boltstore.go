// Package boltstore stores rows in one file on the local disk, for one process.
//
// The service uses it without an Azure subscription. When a write has been
// reported, it is on the disk: a crash must not undo a counted failure or make a
// used code valid again.
package boltstore

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"twofa/internal/store"
)

const (
	// lockTimeout is how long Open waits for another process to end, such as the
	// one that this process replaces.
	lockTimeout = 2 * time.Second
	// callTimeout is the time limit of one call.
	callTimeout = 5 * time.Second
	// pageSize is how many expired rows one call of Expired lists.
	pageSize = 250
)

// Two buckets: rows by key, and an index of the rows by KeepUntil, so that a
// sweep reads only the expired rows.
var (
	rowsBucket   = []byte("rows")
	expiryBucket = []byte("expiry")
)

// Store is a store.Table in a file.
type Store struct {
	db       *bolt.DB
	pageSize int
	// writing is the lock of the writers, a channel with room for one element.
	// bbolt has a lock too, but a wait for it cannot end at a deadline.
	writing chan struct{}
	// commit is (*bolt.Tx).Commit, except in tests.
	commit func(*bolt.Tx) error
}

var _ store.Table = (*Store)(nil)

// ErrLocked is in Open's error while another process has the file open.
var ErrLocked = errors.New("another process holds the file")

// Open opens the file. If there is none, Open creates it with mode 0600; its folder
// has to exist. Only one process can have the file open: for others, the error
// wraps ErrLocked.
func Open(path string) (*Store, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout})
	if err != nil {
		if errors.Is(err, bolterrors.ErrTimeout) {
			return nil, fmt.Errorf("boltstore: %w %s; the bolt store serves one process at a time", ErrLocked, path)
		}
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucketIfNotExists(rowsBucket); err != nil {
			return err
		}
		_, err := tx.CreateBucketIfNotExists(expiryBucket)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("boltstore: prepare %s: %w", path, errors.Join(err, db.Close()))
	}
	return &Store{
		db:       db,
		pageSize: pageSize,
		writing:  make(chan struct{}, 1),
		commit:   (*bolt.Tx).Commit,
	}, nil
}

// Close waits for a write in progress and closes the file.
func (s *Store) Close() error {
	s.writing <- struct{}{} // never released: no further writes
	return s.db.Close()
}

// Get implements store.Table.
func (s *Store) Get(ctx context.Context, key store.Key) (store.Row, error) {
	if !key.Valid() {
		return store.Row{}, fmt.Errorf("%w: key", store.ErrInvalid)
	}
	var row store.Row
	err := s.view(ctx, "read", func(tx *bolt.Tx) (err error) {
		row, err = get(tx, key)
		return err
	})
	return row, err
}

// Update implements store.Table. fn is called once, in the transaction that
// writes its result, so there are no conflicts.
func (s *Store) Update(ctx context.Context, key store.Key, fn func(old []byte) (store.Row, error)) error {
	if !key.Valid() {
		return fmt.Errorf("%w: key", store.ErrInvalid)
	}
	err := s.write(ctx, "write", func(tx *bolt.Tx) error { return update(ctx, tx, key, fn) })
	if errors.Is(err, store.SkipWrite) {
		return nil
	}
	return err
}

// update changes one row in a transaction. It returns fn's error, including
// SkipWrite.
func update(ctx context.Context, tx *bolt.Tx, key store.Key, fn func(old []byte) (store.Row, error)) error {
	rows, expiry := tx.Bucket(rowsBucket), tx.Bucket(expiryBucket)
	var old record
	raw := rows.Get([]byte(key))
	if raw != nil {
		var err error
		if old, err = parseRecord(raw); err != nil {
			return err
		}
	}
	row, err := fn(bytes.Clone(old.data)) // a copy: writing to bbolt's memory map crashes
	if err != nil {
		return err
	}
	if err := store.CheckRow(key, row); err != nil {
		return err
	}
	store.CountTrip(ctx) // the second trip; reading was the first

	// All rows take their versions from one counter that never decreases, so that
	// a row that is created again has another version than before.
	version, err := rows.NextSequence()
	if err != nil {
		return err
	}
	if raw != nil {
		if err := expiry.Delete(expiryKey(old.keepUntil, key)); err != nil {
			return err
		}
	}
	rec := record{version: version, keepUntil: store.Seconds(row.KeepUntil), data: row.Data}
	if err := expiry.Put(expiryKey(rec.keepUntil, key), binary.BigEndian.AppendUint64(nil, version)); err != nil {
		return err
	}
	return rows.Put([]byte(key), rec.bytes())
}

// Expired implements store.Table. The cursor is the last index key of the previous
// page.
func (s *Store) Expired(ctx context.Context, before time.Time, cursor string) (store.Page, error) {
	from, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(from) > 0 && (len(from) <= 8 || len(from) > 8+64) {
		return store.Page{}, fmt.Errorf("%w: cursor", store.ErrInvalid)
	}
	limit := expiryKey(before.Unix()+1, "") // all keys with KeepUntil <= before.Unix() sort before it
	var page store.Page
	err = s.view(ctx, "list", func(tx *bolt.Tx) error {
		c := tx.Bucket(expiryBucket).Cursor()
		k, v := c.Seek(from) // the first key, if from is empty
		if len(from) > 0 && bytes.Equal(k, from) {
			k, v = c.Next()
		}
		for ; k != nil && bytes.Compare(k, limit) < 0; k, v = c.Next() {
			if len(page.Rows) == s.pageSize {
				page.Next = base64.RawURLEncoding.EncodeToString(from)
				return nil
			}
			if len(k) <= 8 || len(v) != 8 {
				return errMalformed
			}
			page.Rows = append(page.Rows, store.Ref{
				Key:     store.Key(k[8:]),
				Version: strconv.FormatUint(binary.BigEndian.Uint64(v), 10),
			})
			from = k
		}
		return nil
	})
	if err != nil {
		return store.Page{}, err
	}
	return page, nil
}

// Delete implements store.Table.
func (s *Store) Delete(ctx context.Context, ref store.Ref) (bool, error) {
	if !ref.Key.Valid() {
		return false, fmt.Errorf("%w: key", store.ErrInvalid)
	}
	version, err := strconv.ParseUint(ref.Version, 10, 64)
	if err != nil {
		return false, fmt.Errorf("%w: version", store.ErrInvalid)
	}
	err = s.write(ctx, "delete", func(tx *bolt.Tx) error {
		rows := tx.Bucket(rowsBucket)
		raw := rows.Get([]byte(ref.Key))
		if raw == nil {
			return errChanged
		}
		rec, err := parseRecord(raw)
		if err != nil {
			return err
		}
		if rec.version != version {
			return errChanged
		}
		if err := tx.Bucket(expiryBucket).Delete(expiryKey(rec.keepUntil, ref.Key)); err != nil {
			return err
		}
		return rows.Delete([]byte(ref.Key))
	})
	if errors.Is(err, errChanged) {
		return false, nil
	}
	return err == nil, err
}

var (
	errChanged   = errors.New("boltstore: the row has another version")
	errMalformed = fmt.Errorf("%w: the file holds a malformed row", store.ErrUnavailable)
)

// view runs fn in a read transaction.
func (s *Store) view(ctx context.Context, step string, fn func(*bolt.Tx) error) error {
	if ctx.Err() != nil {
		return unavailable(ctx, step)
	}
	store.CountTrip(ctx)
	tx, err := s.db.Begin(false)
	if err != nil {
		return fmt.Errorf("%w: %s", store.ErrUnavailable, step)
	}
	defer tx.Rollback()
	return fn(tx)
}

// write runs fn in a write transaction and commits it. If fn returns an error, write
// does not commit and returns that error. It counts one trip; fn counts another one
// for what it writes.
//
// It returns by the deadline even if the disk hangs: the commit then continues in
// the background, and the outcome is unknown. fn is never called after the return.
func (s *Store) write(ctx context.Context, step string, fn func(*bolt.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if ctx.Err() != nil {
		return unavailable(ctx, step)
	}
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return unavailable(ctx, step)
	}
	release := func() { <-s.writing }

	store.CountTrip(ctx)
	tx, err := s.db.Begin(true)
	if err != nil {
		release()
		return fmt.Errorf("%w: %s", store.ErrUnavailable, step)
	}
	committing := false
	defer func() { // also if fn panics
		if !committing {
			tx.Rollback()
			release()
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return unavailable(ctx, step)
	}

	committing = true
	done := make(chan error, 1)
	go func() {
		err := s.commit(tx)
		release()
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%w: %s: the disk refused it", store.ErrUnavailable, step)
		}
		return nil
	case <-ctx.Done():
		return unavailable(ctx, step)
	}
}

func unavailable(ctx context.Context, step string) error {
	return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, step, ctx.Err())
}

// record is the stored form of a row: version, KeepUntil, data.
type record struct {
	version   uint64
	keepUntil int64 // Unix seconds
	data      []byte
}

func (r record) bytes() []byte {
	b := make([]byte, 0, 16+len(r.data))
	b = binary.BigEndian.AppendUint64(b, r.version)
	b = binary.BigEndian.AppendUint64(b, uint64(r.keepUntil))
	return append(b, r.data...)
}

// parseRecord returns a record whose data is part of raw.
func parseRecord(raw []byte) (record, error) {
	if len(raw) <= 16 {
		return record{}, errMalformed
	}
	return record{
		version:   binary.BigEndian.Uint64(raw),
		keepUntil: int64(binary.BigEndian.Uint64(raw[8:])),
		data:      raw[16:],
	}, nil
}

// expiryKey is the index key of a row. The keys sort by time, then by row. The sign
// bit is inverted, because bbolt compares bytes as unsigned.
func expiryKey(keepUntil int64, key store.Key) []byte {
	b := make([]byte, 0, 8+len(key))
	b = binary.BigEndian.AppendUint64(b, uint64(keepUntil)^1<<63)
	return append(b, key...)
}

// Empty reports whether there are no rows.
func (s *Store) Empty() (empty bool, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		first, _ := tx.Bucket(rowsBucket).Cursor().First()
		empty = first == nil
		return nil
	})
	return empty, err
}
