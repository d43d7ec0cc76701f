package user

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"twofa/internal/problem"
	"twofa/internal/sealed"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/window"
)

// endOfUsers is the KeepUntil of a user, who is kept until erased. It lies before
// 9999-01-01, up to which main looks for rows that a lost secret has sealed: a
// row beyond it would be overlooked, and a new secret made that cannot open it.
var endOfUsers = time.Date(9998, time.December, 31, 0, 0, 0, 0, time.UTC)

// Directory is all users. It lies in one table with the recipients, whose keys
// are 16 hexadecimal digits.
type Directory struct {
	Table store.Table
	Keys  *secret.Keyring
}

func (d *Directory) rows() sealed.Rows { return sealed.Rows{Table: d.Table, Keys: d.Keys} }

// Key is where the user of a name lies, which has to be as ParseName returns it.
// 128 bits of a keyed hash: no two names meet, and the key tells no name.
func (d *Directory) Key(name string) string {
	// No address holds a null byte, so no name has the index of an address.
	index := d.Keys.Index("user\x00" + name)
	return "u" + hex.EncodeToString(index[:16])
}

// Load reads a user. One round trip.
//
// Errors are of kind NotFound, StorageUnavailable or, for a row that cannot be
// read, Internal.
func (d *Directory) Load(ctx context.Context, key string) (User, error) {
	plain, err := d.rows().Get(ctx, key)
	if err != nil {
		return User{}, err
	}
	u, found, err := decode(plain)
	if err == nil && !found {
		err = ErrNobody()
	}
	return u, err
}

// Change lets decide turn the user into a new one, or make one where none was
// found, and returns what is kept then. When decide returns an error nothing is
// kept, and Change returns that error. Other errors are of kind
// StorageUnavailable (unknown whether it is kept) or Internal.
//
// decide may run several times and must have no other effect. Two round trips,
// one where nothing changed. What was sealed with an older secret is written
// anew even then, so that the older one may be taken out of service some day.
func (d *Directory) Change(ctx context.Context, key string, decide func(old User, found bool) (User, error)) (User, error) {
	var next User
	err := d.rows().Update(ctx, key, func(plain []byte) (sealed.Next, error) {
		old, found, err := decode(plain)
		if err != nil {
			return sealed.Next{}, err
		}
		if next, err = decide(old, found); err != nil {
			return sealed.Next{}, err
		}
		encoded, err := next.Encode()
		if err != nil {
			return sealed.Next{}, sealed.Unreadable(err)
		}
		return sealed.Next{Plain: encoded, KeepUntil: endOfUsers}, nil
	})
	if err != nil {
		return User{}, err
	}
	return next, nil
}

// Confirm notes that the address is the user's own: a code that was sent there
// came back. It does nothing if the user has another address by now, or is gone.
// Round trips and errors are Change's.
func (d *Directory) Confirm(ctx context.Context, key, address string) error {
	var revision [8]byte
	_, _ = rand.Read(revision[:]) // never fails: crypto/rand ends the process instead
	_, err := d.Change(ctx, key, func(old User, found bool) (User, error) {
		if !found {
			return User{}, errNobody
		}
		next := old
		next.PhoneVerified = old.PhoneVerified || address != "" && address == old.Phone
		next.EmailVerified = old.EmailVerified || address != "" && address == old.Email
		if next.PhoneVerified != old.PhoneVerified || next.EmailVerified != old.EmailVerified {
			next.Revision = revision
		}
		return next, nil
	})
	if errors.Is(err, errNobody) {
		return nil
	}
	return err
}

// errNobody ends a Change that has nobody to change.
var errNobody = errors.New("user: nobody")

// Erase writes nothing over the user, and returns who that was. What is left
// says only that there was a user, and is due for the purge. When agree, which
// may run several times and must have no other effect, returns an error, nobody
// is erased, and Erase returns that error. Other errors are Load's. Two round
// trips, one where nobody is erased.
func (d *Directory) Erase(ctx context.Context, key string, now time.Time, agree func(User) error) (User, error) {
	var erased User
	err := d.rows().Update(ctx, key, func(plain []byte) (sealed.Next, error) {
		old, found, err := decode(plain)
		if err == nil && !found {
			err = ErrNobody()
		}
		if err == nil {
			err = agree(old)
		}
		if err != nil {
			return sealed.Next{}, err
		}
		erased = old
		// As short as is safe, and not shorter: a store tells by a row's history
		// whether a write was applied whose answer was lost, so the row has to
		// outlive whatever is on its way.
		return sealed.Next{Plain: []byte{rowErased}, KeepUntil: now.Add(window.MaxSkew)}, nil
	})
	if err != nil {
		return User{}, err
	}
	return erased, nil
}

// decode reads a row's content. Nobody is found where there is no row, or one
// whose user was erased.
func decode(plain []byte) (u User, found bool, err error) {
	if plain == nil || bytes.Equal(plain, []byte{rowErased}) {
		return User{}, false, nil
	}
	if u, err = Decode(plain); err != nil {
		return User{}, false, sealed.Unreadable(err)
	}
	return u, true, nil
}

// ErrNobody is the refusal of a name that nobody has: an *problem.Error of kind
// NotFound that says what mends it.
func ErrNobody() error {
	return &problem.Error{
		Kind:   problem.NotFound,
		Detail: "There is no user of this name. Register one with PUT /api/users/{name}; Alice and alice are two names, and a name is percent-encoded once.",
	}
}
