// Package user keeps the people that client apps register under a name: their
// addresses, which of these are verified, and their factors that need no message
// (authenticator apps and recovery codes).
//
// A user is one row, sealed whole and kept under a keyed hash of the name: a copy
// of the table reveals neither who is registered nor any address. The package
// must never log a name or an address, or put one into an error.
package user

import (
	"time"

	"twofa/internal/channel"
	"twofa/internal/recovery"
	"twofa/internal/totp"
)

// User is a person whom client apps have registered.
type User struct {
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
}

// Revised returns the user after a change that clients can see: without a
// revision, so that [Store.Put] draws a new one.
func (u User) Revised() User {
	u.Revision = [8]byte{}
	return u
}
