package user

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/row"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/window"
)

// A user is kept until erased. endOfTime is later than the end of every row.
var (
	keptUntil = time.Date(9998, time.December, 31, 0, 0, 0, 0, time.UTC).Add(-window.MaxSkew)
	endOfTime = time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// keyPrefix begins the keys of all users. Recipients are in the same table, and
// their keys are hexadecimal.
const keyPrefix = "u"

// Store keeps all users in a table.
type Store struct {
	Table store.Table
	Keys  *secret.Keyring
}

func (s *Store) rows() row.Store[User] {
	return row.Store[User]{Table: s.Table, Keys: s.Keys, Codec: row.Codec[User]{
		Encode: User.encode, Decode: decode,
		KeepUntil: User.keepUntil,
	}}
}

// Key returns the key of a user's row. The name must be as [ParseName] returns it.
// A key is 128 bits of a keyed hash: no two users share a key, and a key reveals
// neither the name nor the directory.
func (s *Store) Key(directory Directory, name string) otp.UserKey {
	// No address holds a null byte, so no user has the same index as an address. No
	// directory holds one either, so it ends where the second null byte is. Users of
	// the main directory have the keys that they had before there were directories.
	text := "user\x00" + name
	if directory != client.MainDirectory {
		text = "user of\x00" + string(directory) + "\x00" + name
	}
	index := s.Keys.Index(text)
	return otp.UserKey(keyPrefix + hex.EncodeToString(index[:16]))
}

// LogID is the part of a key that names the user in the log.
func LogID(key otp.UserKey) string { return string(key[1:min(9, len(key))]) }

// Log puts the user on the request's log line. Load, Put, Change and Confirm do so
// themselves.
func Log(ctx context.Context, key otp.UserKey) { reqlog.Add(ctx, slog.String("user", LogID(key))) }

// errOtherUser: the row of a user holds another user. Keys have 128 bits, so the
// cause is a defect or a row that somebody planted. One person must not get what
// belongs to another.
var errOtherUser = errors.New("user: the row of this key holds another user")

// checkOwner returns an error if the row of the key holds another key's user.
func (s *Store) checkOwner(u User, key otp.UserKey) error {
	if u.Name == "" || s.Key(u.Directory, u.Name) == key {
		return nil
	}
	return problem.Unexpected(errOtherUser)
}

// Load reads a user. One round trip.
//
// Errors are of kind NotFound, StorageUnavailable or, for a row that cannot be
// read, Internal.
func (s *Store) Load(ctx context.Context, key otp.UserKey) (User, error) {
	Log(ctx, key)
	u, err := s.rows().Load(ctx, store.Key(key))
	if err == nil {
		err = s.checkOwner(u, key)
	}
	if err == nil && u.Name == "" {
		err = errNotFound()
	}
	if err != nil {
		return User{}, err
	}
	return u, nil
}

// Put lets decide turn the user (without a name if there is none) into a new one.
// What is kept, round trips and errors are those of [row.Store.Update]. decide
// must return the user of the key or an error; to remove the user, use Erase.
//
// If decide returns no error, a new user and a [User.Revised] one get a revision
// that was never used before. Beside an error, the old revision stays.
func (s *Store) Put(ctx context.Context, key otp.UserKey, decide func(old User) (User, error)) (User, error) {
	Log(ctx, key)
	return s.rows().Update(ctx, store.Key(key), func(old User) (User, error) {
		if err := s.checkOwner(old, key); err != nil {
			return old, row.Discard(err)
		}
		next, err := decide(old)
		if err := s.checkOwner(next, key); err != nil {
			return old, row.Discard(err)
		}
		switch {
		case next.Name == "" && err == nil:
			return old, row.Discard(problem.Unexpected(errUnkept))
		case next.Revision != [8]byte{}:
		case err == nil:
			_, _ = rand.Read(next.Revision[:]) // never fails: crypto/rand ends the process instead
		default:
			next.Revision = old.Revision
		}
		return next, err
	})
}

// Change is Put for a user that has to exist. If there is none, the error is of
// kind NotFound.
func (s *Store) Change(ctx context.Context, key otp.UserKey, decide func(old User) (User, error)) (User, error) {
	return s.Put(ctx, key, func(old User) (User, error) {
		if old.Name == "" {
			return old, row.Discard(errNotFound())
		}
		return decide(old)
	})
}

// Confirm marks the address as verified: a code that was sent there came back. It
// does nothing if the user has another address by now, or was erased. Round trips
// and errors are those of Change, without NotFound.
func (s *Store) Confirm(ctx context.Context, key otp.UserKey, address string) error {
	_, err := s.Change(ctx, key, func(old User) (User, error) {
		next := old
		next.PhoneVerified = old.PhoneVerified || address != "" && address == old.Phone
		next.EmailVerified = old.EmailVerified || address != "" && address == old.Email
		if next.PhoneVerified != old.PhoneVerified || next.EmailVerified != old.EmailVerified {
			next = next.Revised()
		}
		return next, nil
	})
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

// Erase removes the user, except what [User.Forgotten] says. If agree, which may run
// several times and must have no other effect, returns an error, the user stays, and
// Erase returns that error. Other errors are those of Load. Two round trips, one if the user stays.
func (s *Store) Erase(ctx context.Context, key otp.UserKey, now time.Time, agree func(User) error) error {
	return s.rows().Erase(ctx, store.Key(key), now, func(old User) (User, error) {
		err := s.checkOwner(old, key)
		if err == nil && old.Name == "" {
			err = errNotFound()
		}
		if err == nil {
			err = agree(old)
		}
		if err != nil {
			return old, row.Discard(err)
		}
		return old.Forgotten(now), nil
	})
}

// Remove overwrites the row of a key, whatever it holds, as if there were no user.
// It is for a row that cannot be read: see [row.ErrUnreadable]. Errors are of kind
// StorageUnavailable or Internal.
func (s *Store) Remove(ctx context.Context, key otp.UserKey, now time.Time) error {
	Log(ctx, key)
	return s.rows().Remove(ctx, store.Key(key), now)
}

// Each calls visit for every user of all directories, in the order of the table. It reads as many
// users at a time as there are workers. If a row cannot be read, visit gets the
// error of Load. An error that visit returns ends the listing. A user who is
// registered, changed or erased meanwhile is seen as before or after that.
func (s *Store) Each(ctx context.Context, workers int, visit func(key otp.UserKey, u User, err error) error) error {
	for cursor := ""; ; {
		page, err := s.Table.Expired(ctx, endOfTime, cursor)
		if err != nil {
			return err
		}
		if err := s.eachOf(ctx, workers, page.Rows, visit); err != nil {
			return err
		}
		if cursor = page.Next; cursor == "" {
			return ctx.Err()
		}
	}
}

// eachOf is Each for one page of the table.
func (s *Store) eachOf(ctx context.Context, workers int, rows []store.Ref, visit func(otp.UserKey, User, error) error) error {
	type loaded struct {
		User
		err error
	}
	var keys []otp.UserKey
	for _, r := range rows {
		if strings.HasPrefix(string(r.Key), keyPrefix) {
			keys = append(keys, otp.UserKey(r.Key))
		}
	}
	users := make([]loaded, len(keys))
	turns := make(chan int)
	var readers sync.WaitGroup
	for range workers {
		readers.Go(func() {
			for i := range turns {
				users[i].User, users[i].err = s.Load(ctx, keys[i])
			}
		})
	}
	for i := range keys {
		turns <- i
	}
	close(turns)
	readers.Wait()
	for i, u := range users {
		if problem.Is(u.err, problem.NotFound) {
			continue // erased
		}
		if err := visit(keys[i], u.User, u.err); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// decode reads a row. It returns a user without a name if the user was erased.
func decode(encoded []byte) (User, error) {
	if len(encoded) > 0 && encoded[0] == rowErased {
		return decodeForgotten(encoded)
	}
	return Decode(encoded)
}

// encode writes what decode reads.
func (u User) encode() ([]byte, error) {
	if u.Name == "" {
		return u.encodeForgotten()
	}
	return u.Encode()
}

func errNotFound() error {
	return &problem.Error{
		Kind:   problem.NotFound,
		Detail: "There is no user of this name. Register the user first. Alice and alice are two names. In a path, a name is ~ and the base64url form of its UTF-8, or percent-encoded once.",
	}
}
