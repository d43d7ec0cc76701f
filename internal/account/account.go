// Package account is what an account of sign-in is: its addresses and when each was proven, its
// sessions, and what its person has consented to.
//
// It has pure transitions, each of (old state, what happened, now). Package user stores the account in
// the user's row, package signin leads from an address to it. It must never put an address into an
// error, and must never let an address that was only given sign in to an account that has been made.
package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"twofa/internal/address"
	"twofa/internal/window"
)

// The times of an address.
const (
	// Hold is how long an address that was added cannot be used alone, and how long one that was
	// replaced still signs in and can undo that.
	Hold = window.Day
	// GivenFor is how long an address that the operator gave waits for its proof.
	GivenFor = 30 * window.Day
	// Fresh is how old the proof of a thing that was held for Hold may be when a change of the account
	// relies on it.
	Fresh = 5 * time.Minute
)

// Address is one of an account's.
type Address struct {
	// Text is in the form of address.Address.Text.
	Text string `json:"a"`
	// AddedAt is since when the account has the address: since it was proven for the first time, or
	// given.
	AddedAt time.Time `json:"t"`
	// ProvenAt is when the address was last used for this account, zero if the operator gave it and
	// nobody has proven it.
	ProvenAt time.Time `json:"p,omitzero"`
	// ReplacedAt is when it was removed or replaced, zero if it was not.
	ReplacedAt time.Time `json:"r,omitzero"`
	// Test is true if it was proven as a test number: it is nobody's identity, also after it is a test number no more.
	Test bool `json:"x,omitzero"`
	// UnlockedAt is when the operator last let the person sign in with this address alone.
	UnlockedAt time.Time `json:"u,omitzero"`
}

func (a Address) kind() Kind {
	if address.IsEmail(a.Text) {
		return Email
	}
	return Phone
}

// present reports whether the address was proven and not replaced.
func (a Address) present() bool { return !a.ProvenAt.IsZero() && a.ReplacedAt.IsZero() }

// State is an account. The zero State is none.
type State struct {
	// Seed is random. The subjects are derived from it.
	Seed [32]byte `json:"s"`
	// Name is what the person is called, "" if that is not known.
	Name string `json:"n,omitzero"`
	// MadeAt is when the first address was proven, zero if the operator gave the account and nobody
	// has signed in.
	MadeAt    time.Time `json:"m,omitzero"`
	Addresses []Address `json:"a,omitzero"`
	// Epoch rises with every change after which no browser from before is known.
	Epoch int64 `json:"e,omitzero"`
	// Browsers are those in which the person has signed in, the one that was used last at the end.
	Browsers []Browser `json:"b,omitzero"`
	Consents []Consent `json:"c,omitzero"`
}

// The refusals of a change.
var (
	// ErrNotFresh: the person has not proven something that the account has had for Hold, within Fresh.
	ErrNotFresh = errors.New("account: nothing that was held for a day was proven within five minutes")
	// ErrLast: the account would have no address.
	ErrLast = errors.New("account: the last address")
	// ErrNone: the account does not have the address, or it cannot be put back any more.
	ErrNone = errors.New("account: not an address of the account")
	// ErrOther: the account has another address of the kind, which only its person can replace.
	ErrOther = errors.New("account: has another address of this kind")
)

// IsZero reports whether there is no account.
func (s State) IsZero() bool { return s.Seed == [32]byte{} }

func (s State) derived(use, of string) string {
	mac := hmac.New(sha256.New, s.Seed[:])
	_, _ = mac.Write([]byte(use + "\x00" + of))
	return hex.EncodeToString(mac.Sum(nil)[:24])
}

// Subject is the claim sub for the clients of a sector: 48 hexadecimal digits, which say nothing
// about the person and differ between sectors (OpenID Connect Core, 8.1).
func (s State) Subject(sector string) string { return s.derived("subject", sector) }

// Username is the claim preferred_username for the clients of a sector. It stays the same, and has
// no part of an address.
func (s State) Username(sector string) string { return "user-" + s.derived("username", sector)[:16] }

// Ref names an address in forms, and says nothing of it.
func (s State) Ref(text string) string { return s.derived("address", text)[:16] }

// Phone is the proven phone number, "" if there is none.
func (s State) Phone() string { return s.Of(Phone) }

// Email is the proven e-mail address, "" if there is none.
func (s State) Email() string { return s.Of(Email) }

// Of is the address of that kind that was proven and not replaced, "" if there is none.
func (s State) Of(k Kind) string {
	for _, a := range s.Addresses {
		if a.present() && a.kind() == k {
			return a.Text
		}
	}
	return ""
}

// Without returns the account without some addresses, for somebody who may not know these.
func (s State) Without(hidden func(Address) bool) State {
	s.Addresses = slices.DeleteFunc(slices.Clone(s.Addresses), hidden)
	return s
}

// Find returns an address of the account, also one that was replaced within Hold. The account has to be
// settled.
func (s State) Find(text string) (Address, bool) {
	i := s.index(text)
	if i < 0 {
		return Address{}, false
	}
	return s.Addresses[i], true
}

func (s State) index(text string) int {
	return slices.IndexFunc(s.Addresses, func(a Address) bool { return a.Text == text })
}

// Opens reports whether somebody who proves the address may sign in to the account, perhaps together with
// another factor: see Suffices. The account has to be settled.
func (s State) Opens(text string) bool {
	a, ok := s.Find(text)
	return ok && (!a.ProvenAt.IsZero() || s.MadeAt.IsZero())
}

// Settle returns the account as of now: without the addresses and browsers that have ended.
func (s State) Settle(now time.Time) State {
	s.Addresses = slices.DeleteFunc(slices.Clone(s.Addresses), func(a Address) bool {
		switch {
		case !a.ReplacedAt.IsZero():
			return now.Sub(a.ReplacedAt) >= Hold
		case a.ProvenAt.IsZero():
			return now.Sub(a.AddedAt) >= GivenFor
		}
		return false
	})
	s.Browsers = slices.DeleteFunc(slices.Clone(s.Browsers), func(b Browser) bool { return now.Sub(b.At) >= KnownFor })
	s.Consents = slices.Clone(s.Consents)
	return s
}

// KeepUntil is from when on the account is not needed: that of an account that has been made, it is
// never, which is the zero time; else when the last address ends that was given.
func (s State) KeepUntil() (until time.Time) {
	if !s.MadeAt.IsZero() {
		return until
	}
	for _, a := range s.Addresses {
		until = window.Later(until, a.AddedAt.Add(GivenFor))
	}
	return until
}

// Give adds an address that the operator gives. It is a claim and a way in only once it is proven. One that
// the account has stays as it is. The error is ErrOther if the account has another one of the kind.
func (s State) Give(text string, now time.Time) (State, error) {
	s = s.Settle(now)
	given := Address{Text: text, AddedAt: window.Stamp(now)}
	if s.index(text) >= 0 {
		return s, nil
	}
	if slices.ContainsFunc(s.Addresses, func(a Address) bool { return a.kind() == given.kind() && a.ReplacedAt.IsZero() }) {
		return s, ErrOther
	}
	s.Addresses = append(s.Addresses, given)
	return s, nil
}

// Add adds an address that was proven in a session of the account, or replaces the one of its kind. fresh are the
// proofs of the session, which have to be fresh when the code was asked for: messages can take minutes. The error is
// ErrNotFresh.
func (s State) Add(proof Proof, fresh []Proof, asked, now time.Time) (State, error) {
	s = s.Settle(now)
	if !s.Relies(fresh, asked) {
		return s, ErrNotFresh
	}
	text := proof.Address
	added := Address{Text: text, AddedAt: window.Stamp(now), ProvenAt: window.Stamp(now), Test: proof.Test}
	if i := s.index(text); i >= 0 {
		if s.Addresses[i].present() {
			s.Addresses[i].Test = proof.Test
			return s, nil
		}
		s.Addresses = slices.Delete(s.Addresses, i, i+1)
	}
	for _, a := range slices.Clone(s.Addresses) {
		if a.kind() == added.kind() && a.ReplacedAt.IsZero() {
			s = s.without(a.Text, now)
		}
	}
	s.Addresses = append(s.Addresses, added)
	return s.Changed(), nil
}

// without takes an address away: for good, if it was not held for Hold, else it still signs in and undoes.
func (s State) without(text string, now time.Time) State {
	i := s.index(text)
	if !s.isHeld(s.Addresses[i], now) {
		s.Addresses = slices.Delete(s.Addresses, i, i+1)
	} else {
		s.Addresses[i].ReplacedAt = window.Stamp(now)
	}
	return s
}

// Remove removes an address, which still signs in for Hold if it was held for that long. The error is ErrNotFresh, ErrNone or ErrLast.
func (s State) Remove(text string, fresh []Proof, now time.Time) (State, error) {
	s = s.Settle(now)
	i := s.index(text)
	switch {
	case !s.Relies(fresh, now):
		return s, ErrNotFresh
	case i < 0 || !s.Addresses[i].present():
		return s, ErrNone
	case s.Phone() == "" || s.Email() == "":
		return s, ErrLast
	}
	return s.without(text, now).Changed(), nil
}

// Undo puts an address back that was replaced or removed within Hold, and removes for good all that were
// added in its place since. The person has to have proven it, or something else that was held for Hold, within Fresh. The
// error is ErrNotFresh or ErrNone.
func (s State) Undo(text string, fresh []Proof, now time.Time) (State, error) {
	s = s.Settle(now)
	i := s.index(text)
	switch {
	case !s.Relies(fresh, now):
		return s, ErrNotFresh
	case i < 0 || s.Addresses[i].ReplacedAt.IsZero():
		return s, ErrNone
	}
	back := s.Addresses[i]
	back.ReplacedAt = time.Time{}
	s.Addresses = slices.DeleteFunc(s.Addresses, func(a Address) bool {
		return a.Text == text || a.kind() == back.kind() && (a.ReplacedAt.IsZero() || a.AddedAt.After(back.AddedAt))
	})
	s.Addresses = append(s.Addresses, back)
	return s.Changed(), nil
}

// Unlock lets the person sign in with that address alone for Unlocked, although it is stale or was added
// lately, because the operator knows who it is.
func (s State) Unlock(text string, now time.Time) State {
	s.Addresses = slices.Clone(s.Addresses)
	if i := s.index(text); i >= 0 {
		s.Addresses[i].UnlockedAt = window.Stamp(now)
	}
	return s
}

// Unlocked is how long Unlock holds.
const Unlocked = time.Hour

// Changed is the account after a change of its addresses or factors: no browser from before is known.
func (s State) Changed() State {
	s.Epoch++
	s.Browsers = nil
	return s
}

// SignOut ends all sessions, and what is known of browsers, as a change does.
func (s State) SignOut() State { return s.Changed() }
