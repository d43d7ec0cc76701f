// Package recipient keeps otp.Recipients in a store: it finds the row of an
// address, opens and seals it, and makes every change a compare-and-swap.
//
// The package decides nothing and must never log what it reads.
package recipient

import (
	"context"
	"time"

	"twofa/internal/otp"
	"twofa/internal/sealed"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/window"
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
	var changed otp.Recipient
	var verification otp.Verification
	var decided error
	err := b.rows().Update(ctx, rowKey, func(plain []byte) (sealed.Next, error) {
		r, err := decode(plain)
		if err != nil {
			return sealed.Next{}, err
		}
		changed, verification, decided = decide(r)
		if until := changed.KeepUntil(); !until.IsZero() {
			return next(changed, until)
		}
		return sealed.Next{}, nil // nobody that is remembered
	})
	if err != nil {
		return otp.Recipient{}, otp.Verification{}, err
	}
	return changed, verification, decided
}

// Erase forgets an address: its verifications and all else that is kept of it.
// What is left for a day says nothing of whose it is: the times that the limits
// need. It is not deleted at once, so that a write that is under way meets a row
// that has changed, and not one that never was. Two round trips, one where there
// is nothing.
func (b *Book) Erase(ctx context.Context, address string, now time.Time) error {
	return b.rows().Update(ctx, b.RowKey(address), func(plain []byte) (sealed.Next, error) {
		r, err := decode(plain)
		if err != nil || r.Address != address {
			return sealed.Next{}, err
		}
		left := r.Settle(now).Forgotten()
		return next(left, later(left.KeepUntil(), now))
	})
}

// CancelUser ends what is pending for a user at an address that is not theirs any
// more. Two round trips, one where there is nothing.
func (b *Book) CancelUser(ctx context.Context, address, user string, now time.Time) error {
	_, _, err := b.Change(ctx, b.RowKey(address), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		if r.Address != address {
			return r, otp.Verification{}, nil
		}
		return otp.CancelUser(r, user, now), otp.Verification{}, nil
	})
	return err
}

// next is a row for the recipient, which is worth something until then. A
// sweeper's clock may be ahead of ours.
func next(r otp.Recipient, until time.Time) (sealed.Next, error) {
	encoded, err := r.Encode()
	if err != nil {
		return sealed.Next{}, sealed.Unreadable(err)
	}
	return sealed.Next{Plain: encoded, KeepUntil: until.Add(window.MaxSkew)}, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
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
