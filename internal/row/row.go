// Package row keeps typed values in a table, one value for each row. The whole row
// is sealed (AES-256-GCM, bound to its key): a copy of the table reveals nothing of
// its contents, and a row that was altered or moved does not open. Every change is a
// compare-and-swap.
//
// The package must never log what a row holds. Its errors are safe to answer to a
// client.
package row

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-json-experiment/json"

	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/window"
)

// Codec turns values into bytes and back. The zero T stands for a row that does not
// exist.
type Codec[T any] struct {
	Encode func(T) ([]byte, error)
	Decode func([]byte) (T, error)
	// KeepUntil is from when on the value is not needed. Zero: it needs no row, and
	// none is written.
	KeepUntil func(T) time.Time
}

var errEncoded = errors.New("row: not an encoded value")

// JSON is the codec of values that are encoded as a version in one byte, and JSON after it. Decode refuses
// other versions, and a value that is zero; with a nil isZero it does not.
func JSON[T any](version byte, isZero func(T) bool, keepUntil func(T) time.Time) Codec[T] {
	return Codec[T]{
		Encode: func(value T) ([]byte, error) {
			text, err := json.Marshal(value)
			return append([]byte{version}, text...), err
		},
		Decode: func(encoded []byte) (value T, err error) {
			if len(encoded) == 0 || encoded[0] != version || json.Unmarshal(encoded[1:], &value) != nil || isZero != nil && isZero(value) {
				var none T
				return none, errEncoded
			}
			return value, nil
		},
		KeepUntil: keepUntil,
	}
}

// Store is a table of values that are sealed with a keyring.
type Store[T any] struct {
	Table store.Table
	Keys  *secret.Keyring
	Codec[T]
}

// ErrUnreadable is in the error of kind Internal for a row that cannot be read: it
// is damaged, it does not open, or it does not decode. The request's log line then
// names the row by its key, as "row".
var ErrUnreadable = errors.New("row: the row cannot be read")

// Load returns the value of a row, the zero T if there is none. One round trip.
//
// Errors are of kind StorageUnavailable or, for a row that cannot be read,
// Internal (see ErrUnreadable).
func (s Store[T]) Load(ctx context.Context, key store.Key) (T, error) {
	value, _, err := s.LoadFor(ctx, key)
	return value, err
}

// Loaded is a row as LoadFor has read it. It is opaque, and it is only for the key for
// which it was loaded. The zero Loaded: there was no row.
type Loaded struct{ row store.Row }

// LoadFor is Load that also returns what UpdateFrom begins with. One round trip. With
// an error, the Loaded is zero.
func (s Store[T]) LoadFor(ctx context.Context, key store.Key) (value T, loaded Loaded, err error) {
	row, err := s.Table.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return value, Loaded{}, nil
	}
	if err == nil {
		_, value, err = s.open(row.Data, key)
	}
	if err != nil {
		return value, Loaded{}, s.failure(ctx, key, err)
	}
	return value, Loaded{row}, nil
}

// Update lets decide turn the value of a row (the zero T if there is none) into
// a new one, keeps that, and returns it with the error of decide.
//
// The new value is kept beside an error, too, because a refusal may change
// something, such as a count of wrong codes. If the error was made by Discard,
// the row stays as it is, and Update returns the zero T and the error within.
// If the new value is not known to be kept, Update returns the zero T and an error
// of kind StorageUnavailable (it may be kept) or Internal (it is not).
//
// decide may run several times and must have no other effect. Two round trips, one
// if nothing changed. A row that was sealed with an older secret is sealed anew even
// if its value stays the same, so that the older secret can be removed one day.
func (s Store[T]) Update(ctx context.Context, key store.Key, decide func(old T) (T, error)) (T, error) {
	return s.update(ctx, key, time.Time{}, decide, s.Table.Update)
}

// UpdateFrom is Update that begins with a row that LoadFor has read, instead of
// reading it: decide is called with the value that was loaded, and again with the
// present one if somebody has written the row since. So it takes one round trip
// instead of two where nobody else wrote, and at most one if nothing changed. LoadFor
// and UpdateFrom together take two.
//
// If decide changes nothing, nobody has checked that loaded is the present row. So
// loaded must come from the same request. If it is for another key, its row does not
// open, and the error is of kind Internal.
func (s Store[T]) UpdateFrom(ctx context.Context, key store.Key, loaded Loaded, decide func(old T) (T, error)) (T, error) {
	from := func(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
		return s.Table.UpdateFrom(ctx, key, loaded.row, fn)
	}
	return s.update(ctx, key, time.Time{}, decide, from)
}

// Erase is Update, but keeps the new value at least until now, also the zero T. The
// row is not removed at once: after a lost answer, a store looks at the row to find
// out whether its write took place. So the row has to outlive every write that is
// under way.
func (s Store[T]) Erase(ctx context.Context, key store.Key, now time.Time, decide func(old T) (T, error)) error {
	_, err := s.update(ctx, key, now, decide, s.Table.Update)
	return err
}

// Remove overwrites a row, also one that cannot be read, with the zero value, and
// keeps that until now as Erase does. It never looks at the old value, so it is for
// rows that cannot be read. It does nothing if there is no row. Errors are of kind
// StorageUnavailable. Two round trips, one if there is no row.
func (s Store[T]) Remove(ctx context.Context, key store.Key, now time.Time) error {
	err := s.Table.Update(ctx, key, func(box []byte) (store.Row, error) {
		if box == nil {
			return store.Row{}, store.SkipWrite
		}
		var none T
		return s.seal(key, none, now, nil, nil)
	})
	return s.failure(ctx, key, err)
}

// tableUpdate is the method Update of a table, or its method UpdateFrom with a row.
type tableUpdate func(ctx context.Context, key store.Key, fn func(box []byte) (store.Row, error)) error

func (s Store[T]) update(ctx context.Context, key store.Key, atLeast time.Time, decide func(T) (T, error), update tableUpdate) (T, error) {
	var next, none T
	var decided error
	err := update(ctx, key, func(box []byte) (store.Row, error) {
		plain, old, err := s.open(box, key)
		if err != nil {
			return store.Row{}, err
		}
		if next, decided = decide(old); isDiscard(decided) {
			return store.Row{}, store.SkipWrite
		}
		return s.seal(key, next, atLeast, plain, box)
	})
	if err != nil {
		return none, s.failure(ctx, key, err)
	}
	if d, ok := decided.(discard); ok {
		return none, d.error
	}
	return next, decided
}

// open returns the contents of a sealed box, and the value in it. A nil box is the
// zero T. The error wraps ErrUnreadable.
func (s Store[T]) open(box []byte, key store.Key) (plain []byte, value T, err error) {
	if box == nil {
		return nil, value, nil
	}
	if len(box) == 0 {
		err = store.ErrDamaged
	} else if plain, err = s.Keys.Open(box, string(key)); err == nil {
		value, err = s.Decode(plain)
	}
	if err != nil {
		var none T // Decode may return a part
		return nil, none, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return plain, value, nil
}

// seal makes a row of a value. It returns SkipWrite if the value needs no row, or if
// the row has it already.
func (s Store[T]) seal(key store.Key, value T, atLeast time.Time, plain, box []byte) (store.Row, error) {
	until := window.Later(s.KeepUntil(value), atLeast)
	if until.IsZero() {
		return store.Row{}, store.SkipWrite
	}
	encoded, err := s.Encode(value)
	if err != nil {
		return store.Row{}, problem.Unexpected(err)
	}
	current := s.Keys.Current()
	if bytes.Equal(encoded, plain) && bytes.HasPrefix(box, current[:]) {
		return store.Row{}, store.SkipWrite
	}
	// The clock of the process that purges may be ahead of ours.
	return store.Row{Data: s.Keys.Seal(encoded, string(key)), KeepUntil: until.Add(window.MaxSkew)}, nil
}

// Discard returns the error that makes Update leave the row as it is. Update then
// returns err, which may be nil.
func Discard(err error) error { return discard{err} }

type discard struct{ error }

func (d discard) Error() string { return fmt.Sprint(d.error) }

func isDiscard(err error) bool {
	_, ok := err.(discard)
	return ok
}

// retryAfter is the pause that a client is told if storage is unavailable.
const retryAfter = 2 * time.Second

// failure returns the error of a failed read or write, nil for nil. It puts a row
// that cannot be read on the request's log line.
func (s Store[T]) failure(ctx context.Context, key store.Key, err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*problem.Error](err); ok {
		return known
	}
	if errors.Is(err, store.ErrDamaged) && !errors.Is(err, ErrUnreadable) {
		err = fmt.Errorf("%w: %w", ErrUnreadable, store.ErrDamaged)
	}
	if errors.Is(err, ErrUnreadable) {
		reqlog.Add(ctx, slog.String("row", string(key)))
		unreadable := problem.Unexpected(err)
		if errors.Is(err, secret.ErrUnknownSecret) {
			unreadable.Detail = "What the service keeps of this address or user was sealed with a secret that is not in TWOFA_SECRET. Nothing was approved or changed. The operator has to put that secret back, at the end of the list (docs/runbooks/rotate-secret.md)."
		}
		return unreadable
	}
	if errors.Is(err, store.ErrUnavailable) {
		return &problem.Error{
			Kind: problem.StorageUnavailable, RetryAfter: retryAfter, Err: err,
			Detail: "Storage did not answer, so it is not known whether anything was changed. Nothing was approved by this request, and nothing was sent; try again.",
		}
	}
	if errors.Is(err, store.ErrInvalid) {
		return problem.Unexpected(err)
	}
	// An error outside the store's contract: its text may hold anything.
	return problem.Unexpected(fmt.Errorf("row: the store failed with a %T", err))
}
