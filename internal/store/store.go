// Package store keeps one small row per key and changes it by compare-and-swap.
//
// It knows nothing of codes or people: a row is opaque bytes and the time from
// which nobody needs it any more. What a row means is decided in internal/otp.
// The package must never guess: where it cannot tell what was written, it says
// ErrUnavailable, and the caller has to treat that as "nothing was decided".
package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Key names a row. It is written by our own code only (a hash in hexadecimal,
// or a fixed word) and is checked by Valid before it reaches a backend, so that
// nothing a client sends can become part of a key, a filter or a URL.
type Key string

// Valid reports whether the key is 1 to 64 characters of a-z and 0-9.
func (k Key) Valid() bool {
	if len(k) == 0 || len(k) > 64 {
		return false
	}
	for i := 0; i < len(k); i++ {
		c := k[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// MaxData is the largest Row.Data in bytes. A binary property of Table Storage
// holds 64 KiB; half of it leaves room for what a later version may add.
const MaxData = 32 << 10

// Row is what is kept under a key.
type Row struct {
	// Data is opaque to the store, 1 to MaxData bytes.
	Data []byte
	// KeepUntil is when the row becomes worthless and may be swept. It is
	// kept in whole seconds, rounded up.
	KeepUntil time.Time
}

// Errors. Every error a Table returns is one of these (by errors.Is), an error
// that the caller's own function returned, or a fault of the caller (a key or a
// size out of range, a made-up cursor) that wraps ErrInvalid.
var (
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("store: no such row")
	// ErrUnavailable: the store did not answer in time, answered with a fault,
	// or the row was too contended. A write may or may not have been applied.
	// The message names the failed step and the service's error code, never a
	// key, a URL or a credential.
	ErrUnavailable = errors.New("store: unavailable")
	// ErrInvalid: the caller passed a bad key, an oversized row, or a cursor or
	// version that no sweep has returned.
	ErrInvalid = errors.New("store: invalid argument")
)

// SkipWrite is returned by an Update function that has decided to leave the row
// as it is. Update then writes nothing and returns nil.
//
//lint:ignore ST1012 named in the manner of fs.SkipDir: it is no failure.
var SkipWrite = errors.New("store: skip this write")

// Ref names one version of a row, as a sweep saw it.
type Ref struct {
	Key     Key
	Version string
}

// Page is one step of a sweep.
type Page struct {
	Rows []Ref
	// Next continues the sweep; "" means that the end was reached. It is opaque
	// and stays usable by other processes and after restarts.
	Next string
}

// Table is the contract that every store keeps; storetest checks it.
//
// All methods are safe for concurrent use by any number of goroutines and
// processes on the same table (boltstore: one process). Each returns within the context's deadline or the
// store's own time limit, whichever comes first; after that the error wraps
// ErrUnavailable.
type Table interface {
	// Get returns the row, or ErrNotFound. One round trip.
	Get(ctx context.Context, key Key) (Row, error)

	// Update reads the row, calls fn with its data (nil if there is no row) and
	// writes what fn returns, on the condition that nobody wrote in between;
	// otherwise it begins again, a bounded number of times, with jitter.
	//
	// fn may be called several times and has no side effects beyond variables
	// of its caller; when Update returns nil, what the last call of fn saw and
	// returned is what was written, exactly once. fn must not keep or change
	// old. When fn returns an error, nothing is written and Update returns that
	// error (nil for SkipWrite).
	//
	// An error that wraps ErrUnavailable means that the outcome is unknown: the
	// last result of fn may or may not have been written, and must not be
	// reported to anybody as done. A write whose answer was lost is looked up
	// by a random mark in the row, so that it is neither repeated nor mistaken
	// for a conflict.
	//
	// Without contention it takes two round trips.
	Update(ctx context.Context, key Key, fn func(old []byte) (Row, error)) error

	// Expired lists rows whose KeepUntil is at or before the given time, in the
	// store's own order, from cursor on ("" begins). One call does a bounded
	// amount of work and may return no rows and yet a Next. A cursor that the
	// store doesn't take, or not any more, is ErrInvalid.
	Expired(ctx context.Context, before time.Time, cursor string) (Page, error)

	// Delete removes the row if it still is the version that Expired saw.
	// It reports false, without error, if the row has changed or is gone.
	Delete(ctx context.Context, ref Ref) (bool, error)

	// Close releases what the store holds. No other call may be under way.
	Close() error
}

// CheckRow returns an error that wraps ErrInvalid unless key and row are in
// range. Stores call it before they write.
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

// Seconds is how KeepUntil is kept: Unix seconds, rounded up, so that a row is
// never swept before its time.
func Seconds(t time.Time) int64 {
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return s
}

type tripsKey struct{}

// WithTrips returns a context in which the stores count their round trips: one
// for each request that is sent to the service (each transaction, for an
// embedded store), retries included.
func WithTrips(ctx context.Context) (context.Context, *atomic.Int64) {
	n := new(atomic.Int64)
	return context.WithValue(ctx, tripsKey{}, n), n
}

// CountTrip adds one round trip to the context's count, if it has one. Stores
// call it.
func CountTrip(ctx context.Context) {
	if n, ok := ctx.Value(tripsKey{}).(*atomic.Int64); ok {
		n.Add(1)
	}
}
