// Package recipient keeps otp.Recipients in a store: it finds the row of an
// address, opens and seals it, and makes every change a compare-and-swap.
//
// The whole row is sealed (AES-256-GCM, bound to its key): a copy of the table
// tells nothing of a person, and a row that was altered or moved does not open.
// The package decides nothing and must never log what it reads.
package recipient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"twofa/internal/otp"
	"twofa/internal/secret"
	"twofa/internal/store"
)

// Book is all recipients.
type Book struct {
	Table store.Table
	Keys  *secret.Keyring
}

// RowKey is where the recipient of an address lies.
func (b *Book) RowKey(address string) string {
	return otp.RowKey(b.Keys.Index(address))
}

// Load reads a recipient. An unknown one is the zero Recipient. One round trip.
//
// Errors are of kind StorageUnavailable or, for a row that cannot be read,
// Internal.
func (b *Book) Load(ctx context.Context, rowKey string) (otp.Recipient, error) {
	row, err := b.Table.Get(ctx, store.Key(rowKey))
	if errors.Is(err, store.ErrNotFound) {
		return otp.Recipient{}, nil
	}
	if err != nil {
		return otp.Recipient{}, storageError(err)
	}
	r, _, err := b.open(row.Data, rowKey)
	return r, err
}

// Change lets decide turn the recipient into a new one and keeps that, also
// where decide returns an error: a refusal may well have changed something (a
// spent check). It returns what decide returned only when the new state is kept,
// so that may be answered and told of as it is. Otherwise it returns nothing but
// an error, of kind StorageUnavailable (unknown whether it is kept) or Internal.
//
// decide may run several times and must have no other effect. Two round trips,
// one where nothing changed.
func (b *Book) Change(ctx context.Context, rowKey string, decide func(otp.Recipient) (otp.Recipient, otp.Verification, error)) (otp.Recipient, otp.Verification, error) {
	var next otp.Recipient
	var verification otp.Verification
	var decided error
	err := b.Table.Update(ctx, store.Key(rowKey), func(old []byte) (store.Row, error) {
		r, plain, err := b.open(old, rowKey)
		if err != nil {
			return store.Row{}, err
		}
		next, verification, decided = decide(r)
		encoded, err := next.Encode()
		if err != nil {
			return store.Row{}, &otp.Error{Kind: otp.Internal, Err: err}
		}
		until := next.KeepUntil()
		if bytes.Equal(encoded, plain) || until.IsZero() {
			return store.Row{}, store.SkipWrite
		}
		// A sweeper's clock may be ahead of ours.
		return store.Row{Data: b.Keys.Seal(encoded, rowKey), KeepUntil: until.Add(otp.MaxSkew)}, nil
	})
	if err != nil {
		return otp.Recipient{}, otp.Verification{}, storageError(err)
	}
	return next, verification, decided
}

// Erase forgets an address: its verifications, its counters, all of it. What is
// left is a row that says nothing and is swept soon. It is not deleted at once,
// so that a write that is under way meets a row that has changed, and not one
// that never was. Two round trips, one where there is nothing.
func (b *Book) Erase(ctx context.Context, address string, now time.Time) error {
	rowKey := b.RowKey(address)
	nothing, err := otp.Recipient{}.Encode()
	if err != nil {
		return &otp.Error{Kind: otp.Internal, Err: err}
	}
	err = b.Table.Update(ctx, store.Key(rowKey), func(old []byte) (store.Row, error) {
		r, plain, err := b.open(old, rowKey)
		if err != nil {
			return store.Row{}, err
		}
		if old == nil || bytes.Equal(plain, nothing) || r.Address != address {
			return store.Row{}, store.SkipWrite
		}
		return store.Row{Data: b.Keys.Seal(nothing, rowKey), KeepUntil: now.Add(otp.MaxSkew)}, nil
	})
	if err != nil {
		return storageError(err)
	}
	return nil
}

// open reads a sealed row; no data is the zero Recipient.
func (b *Book) open(data []byte, rowKey string) (r otp.Recipient, plain []byte, err error) {
	if data == nil {
		return r, nil, nil
	}
	if plain, err = b.Keys.Open(data, rowKey); err == nil {
		r, err = otp.Decode(plain)
	}
	if err != nil {
		return r, nil, &otp.Error{Kind: otp.Internal, Err: err}
	}
	return r, plain, nil
}

// retryAfter is what a client is told when storage is unavailable.
const retryAfter = 2 * time.Second

func storageError(err error) error {
	var known *otp.Error
	if errors.As(err, &known) {
		return known
	}
	if errors.Is(err, store.ErrUnavailable) {
		return &otp.Error{
			Kind: otp.StorageUnavailable, RetryAfter: retryAfter, Err: err,
			Detail: "Storage did not answer. Nothing was approved by this request, and nothing was sent; try again.",
		}
	}
	if errors.Is(err, store.ErrInvalid) {
		return &otp.Error{Kind: otp.Internal, Err: err}
	}
	// Not in the store's contract, so its text may hold anything.
	return &otp.Error{Kind: otp.Internal, Err: fmt.Errorf("recipient: the store failed with a %T", err)}
}
