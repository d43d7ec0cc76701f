// Package userfile imports users and accounts of sign-in from CSV files, and exports users. Rows reads a
// file, and Writer writes its lines.
//
// Its reports and errors must never quote a file: they name a line by its number,
// and a user by [user.LogID].
package userfile

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/internal/row"
	"twofa/internal/store"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// Import reads users from a file. Its fields are set once, before Run.
type Import struct {
	Writer
	Users *user.Store
	// Directory is the one that the users of the file belong to.
	Directory user.Directory
	// Channels are those of the service.
	Channels []channel.Channel
	// Countries are the regions (ISO 3166-1 alpha-2) that may be sent to; nil
	// means all.
	Countries map[string]bool
	Now       func() time.Time
}

// userLines is one Run.
type userLines struct {
	*Import
	mark  [4]byte // begins the ids of this run's authenticators
	known *memory
}

// Run reads the file and writes its users. A line is a user, or a further
// authenticator app of a user. A line is written as a whole or not at all.
// Importing the same file again changes nothing, so a Run that ended early can be
// repeated.
//
// The file may have any length: Run holds a bounded number of lines at a time. It
// writes lines about the same user in their order. When ctx ends, Run finishes
// the writes that it has begun, and returns the context's cause; it does not wait
// for a Read of the file. Any other error says why Run stopped, and quotes nothing
// of the file.
func (im *Import) Run(ctx context.Context, file io.Reader) error {
	r := &userLines{Import: im, known: newMemory()}
	_, _ = rand.Read(r.mark[:]) // never fails: crypto/rand ends the process instead
	return im.run(ctx, file, columns, im.Users.Table, r.check)
}

// writeOne gives the user the data of the line. Two storage round trips, one if
// nothing changes.
func (r *userLines) writeOne(ctx context.Context, t store.Table, l userLine) (did outcome, fault string, err error) {
	users := &user.Store{Table: t, Keys: r.Users.Keys}
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	l.app.ID = totp.NewID([8]byte(append(r.mark[:], random[:]...)))
	now := r.Now().UTC()
	_, err = users.Put(ctx, users.Key(r.Directory, l.want.Name), func(old user.User) (next user.User, err error) {
		next = old.Update(l.want, now)
		if l.contradicts {
			next.TOTP = r.removeImported(next.TOTP)
		}
		if len(l.app.Secret) > 0 {
			if next.TOTP, err = addApp(next.TOTP, l.app, now); err != nil {
				return old, row.Discard(err)
			}
		}
		switch {
		case old.Name == "":
			did = created
		case next.Revision != old.Revision, !sameApps(old.TOTP, next.TOTP):
			did, next = changed, next.Revised()
		default:
			did = unchanged
		}
		return next, nil
	})
	if e, ok := errors.AsType[*problem.Error](err); ok && e.Kind != problem.StorageUnavailable {
		return skipped, reason(e), nil
	}
	return did, "", err
}

// sameApps reports whether both states have the same authenticators.
func sameApps(old, next totp.State) bool {
	return slices.EqualFunc(old.Authenticators, next.Authenticators, func(a, b totp.Authenticator) bool { return a.ID == b.ID })
}

// removeImported removes the authenticators that earlier lines of this run have
// added. An authenticator of which a code was accepted since then stays, so that
// its last step is not forgotten.
func (r *userLines) removeImported(s totp.State) totp.State {
	prefix := totp.NewID([8]byte(append(r.mark[:], 0, 0, 0, 0)))[:len("TA")+hex.EncodedLen(len(r.mark))]
	var kept []totp.Authenticator
	for _, a := range s.Authenticators {
		if a.Step > 0 || !strings.HasPrefix(a.ID, prefix) {
			kept = append(kept, a)
		}
	}
	s.Authenticators = kept
	return s
}

// addApp adds an authenticator that another system has confirmed. If the user has
// an authenticator with this secret already, that one stays as it is, with its
// last step. A pending one is replaced, which confirms it.
func addApp(s totp.State, a totp.Authenticator, now time.Time) (totp.State, error) {
	for _, b := range s.Authenticators {
		switch {
		case !totp.SameSecret(a.Secret, b.Secret):
		case b.Pending():
			s, _, _ = totp.Remove(s, b.ID, now) // fails if it has expired, which removes it too
		case a.Options != b.Options:
			return s, problem.Invalid("secret", "The user has this secret already, with another algorithm, digits or period.")
		default:
			return s, nil
		}
	}
	if a.Name == "" {
		a.Name = totp.FreeName(s.Settle(now).Authenticators, totp.DefaultName)
	}
	return totp.Import(s, a, now)
}
