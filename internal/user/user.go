// Package user keeps the people that client apps register under a name: their
// addresses, which of these are verified, and their factors that need no message
// (authenticator apps and recovery codes).
//
// A user is one row, sealed whole and kept under a keyed hash of the directory and
// the name: a copy of the table reveals neither who is registered nor any address.
// The package must never log a name or an address, or put one into an error.
package user

import (
	"slices"
	"time"

	"twofa/internal/account"
	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/totp"
	"twofa/internal/window"
)

// User is a person whom client apps have registered.
type User struct {
	// Directory is the one that the user belongs to.
	Directory Directory
	// Name is as ParseName returns it.
	Name string
	// Phone and Email are in the form of address.Address.Text, "" for none.
	Phone, Email string
	// Locale is the language tag (BCP 47) of messages to this person, "" for none.
	Locale string
	// Channels are tried in this order. Empty: the service's own workflow.
	Channels []channel.Channel
	// PhoneVerified and EmailVerified are true once a code that was sent to the
	// address came back. Another address is not verified.
	PhoneVerified, EmailVerified bool
	// Revision is drawn at random at each change. No two states of a user share
	// one, even if the user was erased and registered again in between.
	Revision [8]byte
	// CreatedAt and UpdatedAt are kept in milliseconds. UpdatedAt is when a
	// client app last changed the profile; verifying an address does not change it.
	CreatedAt, UpdatedAt time.Time
	// TOTP and Recovery are the factors that need no message.
	TOTP     totp.State
	Recovery recovery.State
	// Account is what sign-in knows of the person, zero for a user that an app registered.
	Account account.State `json:",omitzero"`
	// Changes are those of factors and addresses within window.Day, oldest first.
	Changes []time.Time `json:",omitempty"`
	// Call is the last call of the Functions host that is counted in Changes.
	Call Call `json:",omitzero"`
}

// MaxChangesPerDay is how many changes of factors and addresses a user may have
// within window.Day.
const MaxChangesPerDay = 10

// CountChange returns the user after one more change of factors or addresses. All
// deliveries of one call of the Functions host (zero: none) count as one change. The
// error is of kind TooManyChanges.
func (u User) CountChange(call Call, now time.Time) (User, error) {
	if u.Call.Is(call.ID) {
		u.Call.Delivery = call.Delivery
		return u, nil
	}
	changes, wait := window.Count(u.Changes, MaxChangesPerDay, now)
	if wait > 0 {
		return u, &problem.Error{
			Kind: problem.TooManyChanges, RetryAfter: wait,
			Detail: "Too many changes of this user's factors and addresses within 24 hours. Nothing was changed.",
		}
	}
	u.Changes, u.Call = changes, call
	return u, nil
}

// Forgotten returns what is kept for window.Day after the user was erased, so that
// registering the user again resets no limit and accepts no code twice. It has no
// name, and does not tell who the person was.
func (u User) Forgotten(now time.Time) User {
	forgotten := User{TOTP: u.TOTP.Forgotten(now), Recovery: u.Recovery.Forgotten(now)}
	if changes := window.Settle(slices.Clone(u.Changes), now); len(changes) > 0 {
		forgotten.Changes = changes
	}
	return forgotten
}

// keepUntil is from when on the row is not needed, zero if no row is needed.
func (u User) keepUntil() time.Time {
	given := time.Time{} // an account that nobody has signed in to ends
	if !u.Account.IsZero() {
		given = u.Account.KeepUntil()
	}
	switch {
	case u.Name != "" && given.IsZero():
		return keptUntil
	case u.Name != "":
		return given
	}
	until := window.Later(u.TOTP.KeepUntil(), u.Recovery.KeepUntil())
	for _, t := range u.Changes {
		until = window.Later(until, t.Add(window.Day))
	}
	return until
}

// Revised returns the user after a change that clients can see: without a
// revision, so that [Store.Put] draws a new one.
func (u User) Revised() User {
	u.Revision = [8]byte{}
	return u
}
