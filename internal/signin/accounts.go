// Package signin stores the accounts of sign-in, and has what a sign-in has proven so far.
//
// An account is a user of the directory oidc. An index row leads from an address to it. The package must
// never let an address open an account unless both name each other.
package signin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"twofa/internal/account"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/row"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/user"
	"twofa/internal/window"
)

// Directory is the one of all accounts. No client can name it.
const Directory user.Directory = "oidc"

// keyPrefix begins the keys of index rows.
const keyPrefix = "x"

// lease is how long a claim holds before the account has the address: longer than any request, so that
// the claim of a process that died can be taken over, and that of one that is at work cannot.
const lease = time.Minute + window.MaxSkew

// ErrTaken: the address belongs to another account.
var ErrTaken = errors.New("signin: the address belongs to another account")

// Accounts keeps all accounts in a table.
type Accounts struct {
	Table store.Table
	Keys  *secret.Keyring
	Users *user.Store
}

// entry is an index row: the account that an address leads to. The zero entry is none.
type entry struct {
	// Account is the name of the account's user.
	Account   string    `json:"a"`
	ClaimedAt time.Time `json:"t"`
	// Given is true until the address is proven.
	Given bool `json:"g,omitzero"`
}

const entryVersion = 1

// keepUntil is a time that does not come, unless nobody has proven the address.
func (e entry) keepUntil() time.Time {
	switch {
	case e.Account == "":
		return time.Time{}
	case e.Given:
		return e.ClaimedAt.Add(account.GivenFor)
	}
	return time.Date(9998, 12, 31, 0, 0, 0, 0, time.UTC)
}

func (s *Accounts) index() row.Store[entry] {
	return row.Store[entry]{Table: s.Table, Keys: s.Keys, Codec: row.JSON(entryVersion, nil, entry.keepUntil)}
}

// indexKey is 128 bits of a keyed hash. Nothing else begins with account of and a null byte in the index.
func (s *Accounts) indexKey(address string) store.Key {
	index := s.Keys.Index("account of\x00" + address)
	return store.Key(keyPrefix + hex.EncodeToString(index[:16]))
}

// Key is the key of the user of an account.
func (s *Accounts) Key(name string) otp.UserKey { return s.Users.Key(Directory, name) }

// Find returns the account that an address opens: see account.State.Opens. ok is false if there is none. One
// round trip, two if the index has the address.
func (s *Accounts) Find(ctx context.Context, address string, now time.Time) (u user.User, ok bool, err error) {
	e, err := s.index().Load(ctx, s.indexKey(address))
	if err != nil || e.Account == "" {
		return user.User{}, false, err
	}
	u, ok, err = s.owner(ctx, e, address, now)
	if err != nil || !ok || !u.Account.Opens(address) {
		return user.User{}, false, err
	}
	return u, true, nil
}

// owner returns the account of an index row. ok is false unless the account has the address.
func (s *Accounts) owner(ctx context.Context, e entry, address string, now time.Time) (user.User, bool, error) {
	u, err := s.Load(ctx, s.Key(e.Account), now)
	if problem.Is(err, problem.NotFound) {
		return user.User{}, false, nil
	}
	_, has := u.Account.Find(address)
	return u, err == nil && has, err
}

// Load returns an account as of now. One round trip. The error is of kind NotFound if there is none.
func (s *Accounts) Load(ctx context.Context, key otp.UserKey, now time.Time) (user.User, error) {
	u, err := s.Users.Load(ctx, key)
	if err == nil && u.Account.IsZero() {
		err = errNoAccount()
	}
	if err != nil {
		return user.User{}, err
	}
	u.Account = u.Account.Settle(now)
	return u, nil
}

// Person returns an account for its claims. One round trip. The error is of kind NotFound if it is gone.
func (s *Accounts) Person(ctx context.Context, key otp.UserKey) (account.State, error) {
	u, err := s.Load(ctx, key, time.Time{}) // what has ended since is no claim either way
	return u.Account, err
}

// Has is which factors the user of an account has that need no message.
func Has(u user.User) account.Has {
	has := account.Has{Recovery: u.Recovery.Left() > 0, RecoverySince: u.Recovery.MadeAt}
	for _, a := range u.TOTP.Confirmed() {
		if !has.App || a.ConfirmedAt.Before(has.AppSince) {
			has.App, has.AppSince = true, a.ConfirmedAt
		}
	}
	return has
}

func errNoAccount() error {
	return &problem.Error{Kind: problem.NotFound, Detail: "There is no such account."}
}

// Change lets decide turn an account, as of now, into a new one, whose user is kept in step with it. An error of
// decide leaves the account as it is. Two round trips. The error is of kind NotFound if there is no account.
func (s *Accounts) Change(ctx context.Context, key otp.UserKey, now time.Time, decide func(u user.User) (user.User, error)) (user.User, error) {
	var before account.State
	changed, err := s.Users.Change(ctx, key, func(old user.User) (user.User, error) {
		before = old.Account
		old.Account = old.Account.Settle(now)
		if old.Account.IsZero() {
			return old, row.Discard(errNoAccount())
		}
		next, err := decide(old)
		if err != nil {
			return old, row.Discard(err)
		}
		return InStep(next), nil
	})
	if err == nil {
		s.Tidy(ctx, before, changed, now)
	}
	return changed, err
}

// Tidy removes the index rows of addresses that the account had before and has no more. One that stays
// because storage fails leads nowhere, and the log says so. Two round trips for each.
func (s *Accounts) Tidy(ctx context.Context, before account.State, after user.User, now time.Time) {
	for _, a := range before.Addresses {
		if _, has := after.Account.Find(a.Text); has {
			continue
		}
		s.Release(ctx, a.Text, after.Name, now)
	}
}

// InStep gives the user the proven addresses of the account, so that notices reach them.
func InStep(u user.User) user.User {
	u.Phone, u.Email = u.Account.Phone(), u.Account.Email()
	u.PhoneVerified, u.EmailVerified = u.Phone != "", u.Email != ""
	return u
}

// Claim makes the index lead from an address to an account, which must then get the address within a minute.
// given is true for one that nobody has proven. Two round trips, three if another account had it. The error
// is ErrTaken.
func (s *Accounts) Claim(ctx context.Context, address, name string, given bool, now time.Time) error {
	_, err := s.index().Update(ctx, s.indexKey(address), func(old entry) (entry, error) {
		next := entry{Account: name, ClaimedAt: window.Stamp(now), Given: given}
		switch {
		case old.Account == "":
			return next, nil
		case old.Account == name:
			next.Given = given && old.Given
			return next, nil
		case now.Sub(old.ClaimedAt) < lease:
			return old, row.Discard(ErrTaken)
		}
		_, has, err := s.owner(ctx, old, address, now)
		if err == nil && has {
			err = ErrTaken
		}
		if err != nil {
			return old, row.Discard(err)
		}
		return next, nil
	})
	return err
}

// Release takes back a claim of an address that the account does not get after all. One that stays because storage
// fails leads nowhere, and the log says so.
func (s *Accounts) Release(ctx context.Context, address, name string, now time.Time) {
	if err := s.release(ctx, address, name, now); err != nil {
		reqlog.Add(ctx, slog.String("not_released", err.Error()))
	}
}

// release removes an index row, if it still leads to the account. Two round trips.
func (s *Accounts) release(ctx context.Context, address, name string, now time.Time) error {
	return s.index().Erase(ctx, s.indexKey(address), now, func(old entry) (entry, error) {
		if old.Account != name {
			return old, row.Discard(nil)
		}
		return entry{}, nil
	})
}

// Erase removes an account, and then its index rows, without which it cannot be found. If one of them stays
// because storage fails, it leads nowhere, and another account can claim the address.
func (s *Accounts) Erase(ctx context.Context, key otp.UserKey, now time.Time, agree func(user.User) error) error {
	var erased user.User
	err := s.Users.Erase(ctx, key, now, func(u user.User) error {
		if erased = u; u.Account.IsZero() {
			return errNoAccount()
		}
		return agree(u)
	})
	if err != nil {
		return err
	}
	for _, a := range erased.Account.Addresses {
		err = errors.Join(err, s.release(ctx, a.Text, erased.Name, now))
	}
	return err
}

// NewName draws the name of an account's user. It says nothing about the person.
func NewName() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(random[:])
}
