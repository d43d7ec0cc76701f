package session

import (
	"context"
	"encoding/hex"
	"errors"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/row"
	"twofa/internal/secret"
	"twofa/internal/store"
)

// keyPrefix begins the keys of all sessions. Those of recipients are hexadecimal, those of
// users begin with u, those of counters with g.
const keyPrefix = "s"

// Store holds the records of sessions: one sealed row each.
type Store struct {
	Table store.Table
	Keys  *secret.Keyring
}

func (s *Store) rows() row.Store[Record] {
	return row.Store[Record]{Table: s.Table, Keys: s.Keys, Codec: row.JSON(version, Record.IsZero, Record.keepUntil)}
}

// version is the first byte of an encoded record.
const version = 1

func (s *Store) key(id otp.Session) store.Key {
	index := derived(s.Keys, "row", string(id[:]))
	return store.Key(keyPrefix + hex.EncodeToString(index[:]))
}

// Loaded is a record as it was read.
type Loaded struct {
	Record
	from row.Loaded
}

// Load returns the record of a session, the zero Record if there is none. One round trip.
func (s *Store) Load(ctx context.Context, id otp.Session) (Loaded, error) {
	r, from, err := s.rows().LoadFor(ctx, s.key(id))
	return Loaded{r, from}, err
}

// Transition turns a record into a new one. It may run several times.
type Transition func(old Record) (Record, error)

// Change makes a transition. The record is stored only without an error. Two round trips.
func (s *Store) Change(ctx context.Context, id otp.Session, t Transition) (Record, error) {
	var last Record
	r, err := s.rows().Update(ctx, s.key(id), kept(t, &last))
	return result(r, last, err)
}

// ChangeFrom is Change of a record that was loaded. One round trip, unless the row was
// changed since.
func (s *Store) ChangeFrom(ctx context.Context, id otp.Session, loaded Loaded, t Transition) (Record, error) {
	var last Record
	r, err := s.rows().UpdateFrom(ctx, s.key(id), loaded.from, kept(t, &last))
	return result(r, last, err)
}

// kept is a transition whose error leaves the row as it is.
func kept(t Transition, last *Record) func(Record) (Record, error) {
	return func(old Record) (r Record, err error) {
		if r, err = t(old); err != nil {
			*last = r
			return old, row.Discard(err)
		}
		return r, nil
	}
}

// result returns the record that a transition refused to change.
func result(r, last Record, err error) (Record, error) {
	if err == nil {
		return r, nil
	}
	if _, failed := errors.AsType[*problem.Error](err); failed {
		return r, err
	}
	return last, err
}
