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
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

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
	// broken is closed when bbolt has panicked at a place where it holds its own
	// locks, which are then held for ever. All calls fail from then on.
	broken  chan struct{}
	breakIt sync.Once
}

var _ store.Table = (*Store)(nil)

// Close waits for a write in progress and closes the file.
func (s *Store) Close() error {
	s.writing <- struct{}{} // never released: no further writes
	if s.isBroken() {
		return errDamagedFile // bbolt's Close would wait for ever
	}
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
				return errDamagedFile
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
		return guard(func() error {
			rows := tx.Bucket(rowsBucket)
			rec, err := parseRecord(rows.Get([]byte(ref.Key)))
			if err != nil || rec.version != version {
				return errChanged // also a damaged row: it has no version
			}
			if err := tx.Bucket(expiryBucket).Delete(expiryKey(rec.keepUntil, ref.Key)); err != nil {
				return err
			}
			return rows.Delete([]byte(ref.Key))
		})
	})
	if errors.Is(err, errChanged) {
		return false, nil
	}
	return err == nil, err
}

var errChanged = errors.New("boltstore: the row has another version")

// view runs fn in a read transaction.
func (s *Store) view(ctx context.Context, step string, fn func(*bolt.Tx) error) error {
	if ctx.Err() != nil {
		return unavailable(ctx, step)
	}
	store.CountTrip(ctx)
	tx, err := s.begin(ctx, false, step)
	if err != nil {
		return err
	}
	defer s.rollback(tx)
	return guard(func() error { return fn(tx) })
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
	tx, err := s.begin(ctx, true, step)
	if err != nil {
		release()
		return err
	}
	committing := false
	defer func() { // also if fn panics
		if !committing {
			s.rollback(tx)
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
		err := guard(func() error { return s.commit(tx) })
		if errors.Is(err, errDamagedFile) {
			s.markBroken()
			s.rollback(tx)
		}
		release()
		done <- err
	}()
	select {
	case err := <-done:
		if errors.Is(err, errDamagedFile) {
			return err
		}
		if err != nil {
			return fmt.Errorf("%w: %s: the disk refused it", store.ErrUnavailable, step)
		}
		return nil
	case <-ctx.Done():
		return unavailable(ctx, step)
	}
}

// begin begins a transaction. It returns by the deadline, and at once if the store is
// broken: bbolt's Begin may wait for a lock that is held for ever.
func (s *Store) begin(ctx context.Context, writable bool, step string) (*bolt.Tx, error) {
	if s.isBroken() {
		return nil, errDamagedFile
	}
	began := make(chan *bolt.Tx, 1)
	failed := make(chan error, 1)
	go func() {
		var tx *bolt.Tx
		err := guard(func() (err error) { tx, err = s.db.Begin(writable); return err })
		if errors.Is(err, errDamagedFile) {
			s.markBroken()
		}
		if err != nil {
			failed <- err
			return
		}
		began <- tx
	}()
	var err error
	select {
	case tx := <-began:
		return tx, nil
	case err = <-failed:
		if !errors.Is(err, errDamagedFile) {
			err = fmt.Errorf("%w: %s", store.ErrUnavailable, step)
		}
		return nil, err
	case <-s.broken:
		err = errDamagedFile
	case <-ctx.Done():
		err = unavailable(ctx, step)
	}
	go func() { // the transaction may still begin
		select {
		case tx := <-began:
			s.rollback(tx)
		case <-failed:
		}
	}()
	return nil, err
}

func (s *Store) rollback(tx *bolt.Tx) {
	if err := guard(tx.Rollback); errors.Is(err, errDamagedFile) {
		s.markBroken()
	}
}

func (s *Store) markBroken() { s.breakIt.Do(func() { close(s.broken) }) }

func (s *Store) isBroken() bool {
	select {
	case <-s.broken:
		return true
	default:
		return false
	}
}

func unavailable(ctx context.Context, step string) error {
	return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, step, ctx.Err())
}

// Sample returns the data of up to 2n rows: of the first and of the last ones by key. It
// leaves out damaged rows, and reads no others, however large the file is.
func (s *Store) Sample(n int) (data [][]byte, err error) {
	err = guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			var first []byte
			take := func(raw []byte) {
				if r, err := parseRecord(raw); err == nil {
					data = append(data, bytes.Clone(r.data))
				}
			}
			c := tx.Bucket(rowsBucket).Cursor()
			key, raw := c.First()
			for ; key != nil && len(data) < n; key, raw = c.Next() {
				take(raw)
				first = bytes.Clone(key)
			}
			key, raw = c.Last()
			for i := 0; i < n && bytes.Compare(key, first) > 0; i++ {
				take(raw)
				key, raw = c.Prev()
			}
			return nil
		})
	})
	return data, err
}

// Empty reports whether there are no rows.
func (s *Store) Empty() (empty bool, err error) {
	err = guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			first, _ := tx.Bucket(rowsBucket).Cursor().First()
			empty = first == nil
			return nil
		})
	})
	return empty, err
}
