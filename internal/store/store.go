// Package store defines a table of small rows, one per key, that are changed by
// compare-and-swap.
//
// It knows nothing about codes or people: a row is opaque bytes and the time from
// which nobody needs them. internal/row defines their encodings. A store must never
// guess: if it does not know what was written, it returns ErrUnavailable, and the
// caller has to treat that as "nothing was decided".
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// Key names a row. Only our own code makes keys (a hash in hexadecimal, or a fixed
// word), and stores check them with Valid. So no input of a client can become part
// of a key, a filter or a URL.
type Key string

// Valid reports whether the key is 1 to 64 characters of a-z and 0-9.
func (k Key) Valid() bool {
	return len(k) > 0 && len(k) <= 64 && strings.Trim(string(k), "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// MaxData is the largest Row.Data in bytes. A binary property of Table Storage
// holds 64 KiB; the other half is reserved for later versions.
const MaxData = 32 << 10

// Row is what is stored under a key.
type Row struct {
	// Data is opaque to the store, 1 to MaxData bytes.
	Data []byte
	// KeepUntil is when the row expires and may be deleted by a sweep. It is
	// stored in whole seconds, rounded up.
	KeepUntil time.Time
	// Version names what Get has read, for UpdateFrom. It is opaque, and only the
	// store that has set it can use it. It is not the version of a Ref. Stores
	// ignore it in a row that is to be written.
	Version string
}

// The errors of a Table, to be found with errors.Is. All other errors come from the
// caller's own function.
var (
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("store: no such row")
	// ErrUnavailable: the store did not answer in time or answered with an error,
	// or too many others wrote the row at the same time. A write may or may not
	// have been applied. The text names the failed step and the service's error
	// code, never a key, a URL or a credential.
	ErrUnavailable = errors.New("store: unavailable")
	// ErrDamaged: there is a row, but no store wrote it in this form: somebody or
	// something else changed it. A repetition gives the same error.
	ErrDamaged = errors.New("store: the row is damaged")
	// ErrInvalid: the caller passed an invalid key, an oversized row, or a cursor
	// or version that no sweep has returned.
	ErrInvalid = errors.New("store: invalid argument")
)

// SkipWrite is returned by an Update function that leaves the row unchanged.
// Update then writes nothing and returns nil.
//
//lint:ignore ST1012 named like fs.SkipDir: it is not a failure.
var SkipWrite = errors.New("store: skip this write")

// Ref names one version of a row, as returned by a sweep.
type Ref struct {
	Key     Key
	Version string
}

// Page is one step of a sweep.
type Page struct {
	Rows []Ref
	// Next continues the sweep. Empty: the end was reached. It is opaque, and
	// other processes can use it, also after restarts.
	Next string
}

// Table is the contract of all stores. internal/testing/storetest checks it.
//
// All methods are safe for concurrent use by any number of goroutines and
// processes on the same table (boltstore: one process). Each returns by the
// context's deadline or by the store's own time limit, whichever is earlier. If
// the time runs out, the error wraps ErrUnavailable.
type Table interface {
	// Get returns the row, ErrNotFound or ErrDamaged. One round trip.
	Get(ctx context.Context, key Key) (Row, error)

	// Update reads the row, calls fn with its data (nil if there is no row; empty,
	// but not nil, if the row is damaged), and writes what fn returns if nobody else
	// has written the row in the meantime. Otherwise it starts again, a limited
	// number of times, with random pauses.
	//
	// fn may be called several times. It must have no side effects except on
	// variables of its caller, and must not keep or change old. It may read another
	// row with Get, but must not write one. If Update returns
	// nil, the result of the last call of fn was written, exactly once. If fn
	// returns an error, nothing is written and Update returns that error (nil for
	// SkipWrite).
	//
	// If the error wraps ErrUnavailable, the outcome is unknown: the last result
	// of fn may or may not have been written, and the caller must not report it
	// as done. If the answer to a write was lost, the store looks for the write's
	// random mark in the row, so that it neither repeats the write nor takes it
	// for a conflict.
	//
	// Without contention it takes two round trips.
	Update(ctx context.Context, key Key, fn func(old []byte) (Row, error)) error

	// UpdateFrom is Update that begins with a row that Get has returned, instead of
	// reading it. It calls fn with known.Data, and writes the result if the row
	// still has known.Version. If somebody has written or deleted the row since, it
	// goes on as Update does: it reads the row, calls fn again, and so on. All rules
	// of Update hold.
	//
	// The zero Row stands for ErrNotFound of Get: fn is called with nil, and its
	// result is written if there is still no row. If known has data, but no version,
	// UpdateFrom is Update.
	//
	// If fn returns an error or SkipWrite at its first call, nobody has checked that
	// known is the present row. So known must have been read for the same request,
	// unless every answer of fn is written. A store that has the present row at hand
	// may call fn with that at once.
	//
	// It takes one round trip if nobody has written the row since it was read, and at
	// most one if fn returns an error or SkipWrite at its first call.
	UpdateFrom(ctx context.Context, key Key, known Row, fn func(old []byte) (Row, error)) error

	// Expired lists rows whose KeepUntil is at or before the given time, in the
	// store's own order, starting at cursor (empty: at the beginning). One call
	// does a limited amount of work and may return no rows, but a Next. An
	// unknown or outdated cursor is ErrInvalid.
	Expired(ctx context.Context, before time.Time, cursor string) (Page, error)

	// Delete deletes the row if its version is still the one that Expired has
	// returned. It returns false and no error if the row has changed or is gone.
	Delete(ctx context.Context, ref Ref) (bool, error)

	// Close releases the store's resources. No other call may be in progress.
	Close() error
}

// CheckRow returns an error that wraps ErrInvalid unless key and row are valid.
// Stores call it before they write.
func CheckRow(key Key, row Row) error {
	switch {
	case !key.Valid():
		return fmt.Errorf("%w: key", ErrInvalid)
	case len(row.Data) == 0 || len(row.Data) > MaxData:
		return fmt.Errorf("%w: %d bytes of data, want 1 to %d", ErrInvalid, len(row.Data), MaxData)
	case row.KeepUntil.IsZero():
		return fmt.Errorf("%w: no KeepUntil", ErrInvalid)
	}
	return nil
}

// Seconds is the stored form of KeepUntil: Unix seconds, rounded up, so that a row
// is never deleted too early.
func Seconds(t time.Time) int64 {
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return s
}

type tripsKey struct{}

// WithTrips returns a context in which stores count their round trips: one for
// each request to the service, or for each transaction of an embedded store,
// retries included.
func WithTrips(ctx context.Context) (context.Context, *atomic.Int64) {
	n := new(atomic.Int64)
	return context.WithValue(ctx, tripsKey{}, n), n
}

// CountTrip adds one round trip to the count of the context, if there is one.
// Stores call it.
func CountTrip(ctx context.Context) {
	if n, ok := ctx.Value(tripsKey{}).(*atomic.Int64); ok {
		n.Add(1)
	}
}
