// Package recipient keeps otp.Recipients in a store: it finds the row of an
// address, opens and seals it, and makes every change a compare-and-swap.
//
// The package decides nothing and must never log what it reads.
package recipient

import (
	"bytes"
	"context"
	"time"

	"twofa/internal/otp"
	"twofa/internal/sealed"
	"twofa/internal/secret"
	"twofa/internal/store"
)

// Book is all recipients.
type Book struct {
	Table store.Table
	Keys  *secret.Keyring
}

func (b *Book) rows() sealed.Rows { return sealed.Rows{Table: b.Table, Keys: b.Keys} }

// RowKey is where the recipient of an address lies.
func (b *Book) RowKey(address string) string {
	return otp.RowKey(b.Keys.Index(address))
}

// Load reads a recipient. An unknown one is the zero Recipient. One round trip.
//
// Errors are of kind StorageUnavailable or, for a row that cannot be read,
// Internal.
func (b *Book) Load(ctx context.Context, rowKey string) (otp.Recipient, error) {
	plain, err := b.rows().Get(ctx, rowKey)
	if err != nil {
		return otp.Recipient{}, err
	}
	return decode(plain)
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
	err := b.rows().Update(ctx, rowKey, func(plain []byte) (sealed.Next, error) {
		r, err := decode(plain)
		if err != nil {
			return sealed.Next{}, err
		}
		next, verification, decided = decide(r)
		encoded, err := next.Encode()
		if err != nil {
			return sealed.Next{}, sealed.Unreadable(err)
		}
		until := next.KeepUntil()
		if until.IsZero() {
			return sealed.Next{}, nil
		}
		// A sweeper's clock may be ahead of ours.
		return sealed.Next{Plain: encoded, KeepUntil: until.Add(otp.MaxSkew)}, nil
	})
	if err != nil {
		return otp.Recipient{}, otp.Verification{}, err
	}
	return next, verification, decided
}

// Erase forgets an address: its verifications, its counters, all of it. What is
// left is a row that says nothing and is swept soon. It is not deleted at once,
// so that a write that is under way meets a row that has changed, and not one
// that never was. Two round trips, one where there is nothing.
func (b *Book) Erase(ctx context.Context, address string, now time.Time) error {
	nothing, err := otp.Recipient{}.Encode()
	if err != nil {
		return sealed.Unreadable(err)
	}
	return b.rows().Update(ctx, b.RowKey(address), func(plain []byte) (sealed.Next, error) {
		r, err := decode(plain)
		if err != nil || r.Address != address || bytes.Equal(plain, nothing) {
			return sealed.Next{}, err
		}
		return sealed.Next{Plain: nothing, KeepUntil: now.Add(otp.MaxSkew)}, nil
	})
}

// decode reads a row's content; none is the zero Recipient.
func decode(plain []byte) (otp.Recipient, error) {
	if plain == nil {
		return otp.Recipient{}, nil
	}
	r, err := otp.Decode(plain)
	if err != nil {
		return otp.Recipient{}, sealed.Unreadable(err)
	}
	return r, nil
}
