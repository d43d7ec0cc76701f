// Package user keeps the people that client apps know by a name of their own:
// where each can be reached, which of it is known to be theirs, and what else
// proves that it is them: authenticator apps and recovery codes.
//
// A user is one row, sealed whole and kept under a keyed hash of the name: a
// copy of the table tells neither who is registered nor how to reach them. The
// package must never log, or put into an error, a name or an address.
package user

import (
	"time"

	"twofa/internal/recovery"
	"twofa/internal/totp"
)

// User is a person that client apps know by a name of their own.
type User struct {
	// Name is as ParseName returns it.
	Name string
	// Phone and Email are in the form of address.Address.Text, "" for none.
	Phone, Email string
	// Locale is the language tag (BCP 47) of messages to this person, "" for none.
	Locale string
	// Channels are tried in this order; none leaves it to the service.
	Channels []string
	// PhoneVerified and EmailVerified are set once a code that was sent there
	// came back. They belong to that address and not to the one after it.
	PhoneVerified, EmailVerified bool
	// Revision is drawn anew, at random, at each change: two states of a user
	// never share one, also where one was erased in between.
	Revision [8]byte
	// CreatedAt and UpdatedAt are kept in milliseconds. UpdatedAt is when the
	// client app changed something; a verified address does not move it.
	CreatedAt, UpdatedAt time.Time
	// TOTP and Recovery are the factors that need no message.
	TOTP     totp.State
	Recovery recovery.State
}
