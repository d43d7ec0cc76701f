package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"twofa/internal/problem"
	"twofa/internal/shown"
	"twofa/internal/user"
	"twofa/internal/window"
)

// MaxName is the longest name of a person in characters.
const MaxName = 100

// Given is what the operator knows of a person. At least one of Phone and Email is set.
type Given struct {
	// Phone and Email are in the form of address.Address.Text, "" for none.
	Phone, Email string
	Name         string
	Locale       string // a language tag (BCP 47), "" for none
	// Account names the account if it has to be made: see NewName. "" draws a name. Whoever repeats Give after
	// storage has failed keeps it: else what the first try has claimed is in the way for the time of a lease.
	Account string
}

// Read checks what the operator has written, in any form, and returns it in the form of Given. countries are
// those that may be sent to (ISO 3166-1 alpha-2), nil for all. The error is of kind InvalidRequest, whose fields
// are phone, email, name and locale, or DestinationRefused.
func (g Given) Read(countries map[string]bool) (Given, error) {
	faults := new(problem.Faults)
	u, number := user.Profile{Phone: g.Phone, Email: g.Email, Locale: g.Locale}.Read(nil, faults)
	name, fault := shown.Read(g.Name, MaxName)
	if fault != "" {
		faults.Add("name", "%s", fault)
	}
	err := faults.Err()
	if err == nil && u.Phone != "" {
		err = number.MayReach(countries)
	}
	if err != nil {
		return Given{}, err
	}
	return Given{Phone: u.Phone, Email: u.Email, Name: name, Locale: u.Locale, Account: g.Account}, nil
}

// Addresses lists the addresses, the phone number first.
func (g Given) Addresses() (list []string) {
	for _, a := range []string{g.Phone, g.Email} {
		if a != "" {
			list = append(list, a)
		}
	}
	return list
}

// ErrTwo: the addresses belong to two accounts.
var ErrTwo = errors.New("signin: the addresses belong to two accounts")

// Result is what Give has done.
type Result string

// The results.
const (
	Added     Result = "added"
	Changed   Result = "changed"
	Unchanged Result = "unchanged"
)

// Give adds an account, or adds addresses to the account that one of them leads to. What the person has
// proven stays. It may be called again with the same.
//
// Errors are ErrTwo, ErrTaken, account.ErrOther, or those of storage.
func (s *Accounts) Give(ctx context.Context, g Given, now time.Time) (Result, error) {
	found, exists, err := s.ownerOf(ctx, g.Addresses(), now)
	if err != nil {
		return "", err
	}
	if !exists {
		return Added, s.Make(ctx, g, now)
	}
	if _, changed, err := give(found, g, now); err != nil || !changed {
		return Unchanged, err
	}
	if err := s.claimAll(ctx, g, found.Name, now); err != nil {
		return "", err
	}
	_, err = s.Change(ctx, s.Key(found.Name), now, func(u user.User) (user.User, error) {
		next, _, err := give(u, g, now)
		return next, err
	})
	return Changed, err
}

// claimAll claims the addresses for an account, as addresses that were given.
func (s *Accounts) claimAll(ctx context.Context, g Given, name string, now time.Time) error {
	for _, a := range g.Addresses() {
		if err := s.Claim(ctx, a, name, true, now); err != nil {
			return err
		}
	}
	return nil
}

// Make adds an account, and never changes one of another name. Whoever has proven one of its addresses signs in to it.
// It may be called again with the same. Four round trips. The error is ErrTaken, or one of storage.
func (s *Accounts) Make(ctx context.Context, g Given, now time.Time) error {
	name := cmp.Or(g.Account, NewName())
	if err := s.claimAll(ctx, g, name, now); err != nil {
		return err
	}
	_, err := s.Users.Put(ctx, s.Key(name), func(u user.User) (user.User, error) {
		if u.Account.IsZero() { // else Make was called twice
			u = user.User{Directory: Directory, Name: name, CreatedAt: window.Stamp(now), UpdatedAt: window.Stamp(now)}
			_, _ = rand.Read(u.Account.Seed[:]) // never fails: crypto/rand ends the process instead
		}
		u, _, err := give(u, g, now)
		return InStep(u), err
	})
	return err
}

// ownerOf returns the account that has one of the addresses. The error is ErrTwo if two have them.
func (s *Accounts) ownerOf(ctx context.Context, addresses []string, now time.Time) (found user.User, exists bool, err error) {
	for _, a := range addresses {
		e, err := s.index().Load(ctx, s.indexKey(a))
		if err != nil || e.Account == "" {
			if err != nil {
				return found, false, err
			}
			continue
		}
		u, ok, err := s.owner(ctx, e, a, now)
		switch {
		case err != nil:
			return found, false, err
		case ok && exists && u.Name != found.Name:
			return found, false, ErrTwo
		case ok:
			found, exists = u, true
		}
	}
	return found, exists, nil
}

// give is the user with what the operator knows. A name that is known stays.
func give(u user.User, g Given, now time.Time) (next user.User, changed bool, err error) {
	next = u
	for _, a := range g.Addresses() {
		_, had := next.Account.Settle(now).Find(a)
		if next.Account, err = next.Account.Give(a, now); err != nil {
			return u, false, err
		}
		changed = changed || !had
	}
	if next.Account.Name == "" && g.Name != "" {
		next.Account.Name, changed = g.Name, true
	}
	if next.Locale == "" && g.Locale != "" {
		next.Locale, changed = g.Locale, true
	}
	return next, changed, nil
}

// Lookup returns the account that has an address, also if the address does not open it. So what
// it has is for the operator's eyes alone: a number that was mistyped belongs to somebody else.
func (s *Accounts) Lookup(ctx context.Context, address string, now time.Time) (u user.User, ok bool, err error) {
	return s.ownerOf(ctx, []string{address}, now)
}

// Unlock lets the person of an address sign in with that address alone for account.Unlocked. ok is false if the
// address opens no account.
func (s *Accounts) Unlock(ctx context.Context, address string, now time.Time) (ok bool, err error) {
	found, ok, err := s.Find(ctx, address, now)
	if err != nil || !ok {
		return false, err
	}
	_, err = s.Change(ctx, s.Key(found.Name), now, func(u user.User) (user.User, error) {
		u.Account = u.Account.Unlock(address, now)
		return u, nil
	})
	return err == nil, err
}
