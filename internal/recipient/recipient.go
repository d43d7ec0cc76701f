// Package recipient stores otp.Recipients: one sealed row an address, changed by
// compare-and-swap.
//
// The package decides nothing. It must never log what it reads, except through
// [reqlog.Verification], which masks it.
package recipient

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/row"
	"twofa/internal/secret"
	"twofa/internal/store"
)

// Store holds all recipients.
type Store struct {
	Table store.Table
	Keys  *secret.Keyring
	// DirectoryOf is the directory of a client ("" is the nameless one), "" for a client
	// that is not known any more. nil: all clients have the main directory.
	DirectoryOf func(client string) string
}

// Transition turns a recipient (the zero Recipient if the address is unknown)
// into a new one. It may run several times and must have no other effect. The
// verification is the one that the change is about, zero if there is none.
type Transition func(old otp.Recipient) (otp.Recipient, otp.Verification, error)

func (s *Store) rows() row.Store[otp.Recipient] {
	return row.Store[otp.Recipient]{
		Table: s.Table, Keys: s.Keys,
		Codec: row.Codec[otp.Recipient]{Encode: Encode, Decode: Decode, KeepUntil: otp.Recipient.KeepUntil},
	}
}

// Key returns the key of the address's row.
func (s *Store) Key(address string) otp.RowKey { return otp.NewRowKey(s.Keys.Index(address)) }

// Load returns a recipient, the zero Recipient for an unknown address. Round
// trips and errors are those of [row.Store.Load].
func (s *Store) Load(ctx context.Context, key otp.RowKey) (otp.Recipient, error) {
	return s.rows().Load(ctx, store.Key(key))
}

// Change makes a transition and keeps its recipient, as [row.Store.Update] does, with
// its round trips and errors. It puts the verification, masked, on the request's log
// line. If nothing is kept or remembered of the address, Change returns no
// verification and logs none.
func (s *Store) Change(ctx context.Context, key otp.RowKey, decide Transition) (otp.Recipient, otp.Verification, error) {
	var v, none otp.Verification
	r, err := s.rows().Update(ctx, store.Key(key), func(old otp.Recipient) (next otp.Recipient, err error) {
		next, v, err = decide(old)
		return next, err
	})
	if r.Address == "" {
		return r, none, err // nothing is kept
	}
	reqlog.Verification(ctx, r, v)
	return r, v, err
}

// NewID makes the id of a verification in that row, from 8 random bytes. Without the
// secret that keys the index nobody can tell which row it is, nor whether two ids are
// of one row.
func (s *Store) NewID(key otp.RowKey, random [8]byte) otp.ID {
	row := key.Bytes()
	return otp.NewID(s.Keys.SealID([16]byte(append(row[:], random[:]...))))
}

// rowsOf returns the keys of the rows in which the verification can be: the one that
// NewID put into the id, and the one of an id of the former form.
func (s *Store) rowsOf(id otp.ID) [2]otp.RowKey {
	digits := s.Keys.OpenID(id.Bytes())
	return [2]otp.RowKey{otp.RowKey(hex.EncodeToString(digits[:8])), id.FormerRowKey()}
}

// LoadID is Load of the recipient that knows the owner's verification, the zero
// Recipient if none does. One round trip, two for an id that is unknown, another owner's,
// or has the former form.
func (s *Store) LoadID(ctx context.Context, owner otp.Owner, id otp.ID) (otp.Recipient, error) {
	for _, key := range s.rowsOf(id) {
		r, err := s.Load(ctx, key)
		if err != nil || r.KnowsOf(owner, id) {
			return r, err
		}
	}
	return otp.Recipient{}, nil
}

// ChangeID is Change of the recipient that knows the owner's verification. If none does,
// ChangeID changes nothing, does not call decide, and returns the NotFound error of
// [otp.Recipient.FindOf]. One more round trip for an id of the former form, and
// two in all for an unknown id or another owner's, whether or not there is a row.
func (s *Store) ChangeID(ctx context.Context, owner otp.Owner, id otp.ID, decide Transition) (otp.Recipient, otp.Verification, error) {
	return s.changeID(ctx, id, func(r otp.Recipient) bool { return r.KnowsOf(owner, id) }, decide)
}

// ChangeReported is ChangeID for what no client asks, such as a provider's report: it
// finds the verification of any owner.
func (s *Store) ChangeReported(ctx context.Context, id otp.ID, decide Transition) (otp.Recipient, otp.Verification, error) {
	return s.changeID(ctx, id, func(r otp.Recipient) bool { return r.Knows(id) }, decide)
}

func (s *Store) changeID(ctx context.Context, id otp.ID, knows func(otp.Recipient) bool, decide Transition) (r otp.Recipient, v otp.Verification, err error) {
	for _, key := range s.rowsOf(id) {
		var known bool
		r, v, err = s.Change(ctx, key, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
			if known = knows(old); !known {
				var none otp.Verification
				_, err := otp.Recipient{}.Find(id)
				return old, none, row.Discard(err)
			}
			return decide(old)
		})
		if known || !problem.Is(err, problem.NotFound) {
			return r, v, err
		}
	}
	return r, v, err
}

// Erase forgets an address for the clients of a directory: their verifications and
// everything else, except the times that the limits need for a day, which do not identify
// anybody (see [otp.Recipient.Forgotten]). What other clients keep stays. What a client
// that is not known any more has kept goes, too: nobody can read it. Two round trips, one
// if there is nothing to forget.
func (s *Store) Erase(ctx context.Context, address, directory string, now time.Time) error {
	belongs := func(id string) bool {
		of := client.MainDirectory
		if s.DirectoryOf != nil {
			of = s.DirectoryOf(id)
		}
		return of == "" || of == directory
	}
	return s.rows().Erase(ctx, store.Key(s.Key(address)), now, func(r otp.Recipient) (otp.Recipient, error) {
		if r.Address != address {
			return r, row.Discard(nil)
		}
		if r = r.Settle(now); r.Kept(belongs) {
			return r, row.Discard(nil) // a write would tell that there is a row
		}
		return r.Forgotten(belongs, now), nil
	})
}

// Unlock gives a caller one allowance more at an address, as [otp.AddUnlock] decides. Two
// round trips.
func (s *Store) Unlock(ctx context.Context, address string, c otp.Caller, call [16]byte, now time.Time) (left int, err error) {
	_, err = s.rows().Update(ctx, store.Key(s.Key(address)), func(old otp.Recipient) (r otp.Recipient, err error) {
		r, left, err = otp.AddUnlock(old, address, c, call, now)
		return r, err
	})
	return left, err
}

// CancelUser ends the user's pending verifications at an address that is no
// longer the user's. Two round trips, one if nothing is pending.
func (s *Store) CancelUser(ctx context.Context, address string, user otp.UserKey, now time.Time) error {
	_, err := s.rows().Update(ctx, store.Key(s.Key(address)), func(r otp.Recipient) (otp.Recipient, error) {
		if r.Address != address {
			return r, row.Discard(nil)
		}
		pending := func(v otp.Verification) bool { return v.User == user && v.Status == otp.Pending }
		if !slices.ContainsFunc(r.Settle(now).Verifications, pending) {
			return r, row.Discard(nil)
		}
		return otp.CancelUser(r, user, now), nil
	})
	return err
}
