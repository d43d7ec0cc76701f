// Package boltstore keeps rows in one file of the local disk, for one process.
//
// It is what the service uses on its own, without an Azure subscription. A write
// that was reported is on the disk: it is never traded for speed, since a counted
// failure or a spent code must not come back after a crash.
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
	// lockTimeout is how long Open waits for another process that is about to
	// end, such as the one that this one replaces.
	lockTimeout = 2 * time.Second
	// callTimeout is the time limit of one call.
	callTimeout = 5 * time.Second
	// pageSize is how many expired rows one call of Expired lists.
	pageSize = 250
)

// Two buckets: rows by key, and an index of the rows by KeepUntil, so that a
// sweep reads only what has expired, however many rows there are.
var (
	rowsBucket   = []byte("rows")
	expiryBucket = []byte("expiry")
)

// Store is a store.Table in a file.
type Store struct {
	db       *bolt.DB
	pageSize int
	// writing has room for one: who put its token in may write. bbolt has a
	// lock of its own, but waiting for that can't be given up at a deadline.
	writing chan struct{}
	// commit is (*bolt.Tx).Commit, except in tests.
	commit func(*bolt.Tx) error
}

var _ store.Table = (*Store)(nil)

// ErrLocked is in Open's error while the file belongs to another process.
var ErrLocked = errors.New("another process holds the file")

// Open opens the file, or makes it with mode 0600 in a folder that exists. Only
// one process can hold it at a time; another one gets an error that says so.
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

// Close waits for a write that is under way, and closes the file.
func (s *Store) Close() error {
	s.writing <- struct{}{} // kept: nobody writes any more
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
// writes its result, so there is nothing to conflict with.
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

// update is one row's part of a transaction. It returns fn's error, SkipWrite too.
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
	row, err := fn(bytes.Clone(old.data)) // not the memory map itself: writing to it would crash
	if err != nil {
		return err
	}
	if err := store.CheckRow(key, row); err != nil {
		return err
	}
	store.CountTrip(ctx) // reading was the first

	// Versions are drawn from one counter for all rows, which never goes
	// back, so that a row made anew is not taken for the one it was.
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

// Expired implements store.Table. The cursor is the last index key of the page
// before.
func (s *Store) Expired(ctx context.Context, before time.Time, cursor string) (store.Page, error) {
	from, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(from) > 0 && (len(from) <= 8 || len(from) > 8+64) {
		return store.Page{}, fmt.Errorf("%w: cursor", store.ErrInvalid)
	}
	limit := expiryKey(before.Unix()+1, "") // KeepUntil at most before.Unix() sorts before it
	var page store.Page
	err = s.view(ctx, "list", func(tx *bolt.Tx) error {
		c := tx.Bucket(expiryBucket).Cursor()
		k, v := c.Seek(from) // at the start, if from is empty
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
	errChanged   = errors.New("boltstore: the row is not that version any more")
	errMalformed = fmt.Errorf("%w: the file holds a malformed row", store.ErrUnavailable)
)

// view runs fn in a transaction that reads.
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

// write runs fn in a transaction that writes, and commits it unless fn returns
// an error, which it then returns. It counts one trip; a second one, for what fn
// writes, is fn's to count.
//
// It returns by the deadline even when the disk doesn't: the commit then goes on
// without us, and the outcome is unknown. fn is never called after the return.
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

// record is a row as the file has it: version, KeepUntil, data.
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

// expiryKey sorts by time, then by row. The sign bit is turned, as bytes are
// compared without regard to sign.
func expiryKey(keepUntil int64, key store.Key) []byte {
	b := make([]byte, 0, 8+len(key))
	b = binary.BigEndian.AppendUint64(b, uint64(keepUntil)^1<<63)
	return append(b, key...)
}
