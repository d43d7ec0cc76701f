// Package users is the use case behind the users function: it registers a
// person's addresses, authenticator apps and recovery codes under a name that the
// client app knows them by, tells what is registered, and erases it.
//
// It must never return or log a whole address, nor log a name, which may be one.
// A secret and recovery codes are returned once, when they are made, and never
// logged.
package users

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"time"

	"twofa/internal/address"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/user"
)

// Recipients is what this service remembers of addresses.
type Recipients interface {
	// Erase forgets an address, at the time now. One that is not known is no error.
	Erase(ctx context.Context, address string, now time.Time) error
	// CancelUser ends what is pending for a user (Directory.Key) at an address.
	CancelUser(ctx context.Context, address, user string, now time.Time) error
}

// Service keeps users. Its fields are set once, before the first call.
type Service struct {
	Directory  *user.Directory
	Recipients Recipients
	// Channels are those that this service sends over.
	Channels []string
	// Countries are the regions (ISO 3166-1 alpha-2) that may be sent to; nil
	// means all.
	Countries map[string]bool
	// Brand is the issuer of authenticator apps.
	Brand string
	Now   func() time.Time
}

// Request says all that there is to a user: what it leaves out is not kept.
type Request struct {
	// Name may repeat the name of the path, and is refused if it is another.
	Name     string   `json:"name"`
	Phone    string   `json:"phone"`
	Email    string   `json:"email"`
	Locale   string   `json:"locale"`
	Channels []string `json:"channels"`
}

// Answer is a user as its client sees it, the addresses masked.
type Answer struct {
	Name     string   `json:"name"`
	Phone    string   `json:"phone,omitempty"`
	Email    string   `json:"email,omitempty"`
	Locale   string   `json:"locale,omitempty"`
	Channels []string `json:"channels,omitempty"`
	Verified Verified `json:"verified"`
	// Authenticators is how many confirmed authenticator apps the user has.
	Authenticators    int       `json:"authenticators,omitzero"`
	RecoveryCodesLeft int       `json:"recovery_codes_left,omitzero"`
	UpdatedAt         time.Time `json:"updated_at"`
	// ETag is the entity tag of this state (RFC 9110, 8.8.3), in its quotes.
	ETag string `json:"-"`
}

// Verified tells of each address that the user has whether a code that was sent
// there came back.
type Verified struct {
	Phone *bool `json:"phone,omitempty"`
	Email *bool `json:"email,omitempty"`
}

// Put makes the user what the request says, and reports whether there was none.
// An address that stays keeps what is known of it; another one starts unverified.
// Where nothing changes nothing is written, and the ETag stays.
//
// Errors are of kind InvalidRequest, DestinationRefused, PreconditionFailed,
// StorageUnavailable or Internal. Two storage round trips, one where nothing
// changes. Where an address is not the user's any more, what is pending for the
// user is ended first: three more for each address of before, or two where there
// is nothing.
func (s *Service) Put(ctx context.Context, name string, req Request, cond Conditions) (Answer, bool, error) {
	faults := new(problem.Faults)
	want, phoned := s.read(name, req, faults)
	met := cond.read(faults)
	if err := faults.Err(); err != nil {
		return Answer{}, false, err
	}
	key := s.key(ctx, want.Name)
	if want.Phone != "" {
		if err := phoned.MayReach(s.Countries); err != nil {
			return Answer{}, false, err
		}
	}

	now := s.Now().UTC()
	_, _ = rand.Read(want.Revision[:]) // never fails: crypto/rand ends the process instead
	created := false
	var canceled []string
	change := func(old user.User, found bool) (user.User, error) {
		created = !found
		if err := met.by(old, found); err != nil {
			return user.User{}, err
		}
		if err := sameName(old, want.Name); found && err != nil {
			return user.User{}, err
		}
		if moved := gone(old, want, canceled); moved != "" {
			return user.User{}, &movedError{moved}
		}
		return merge(old, found, want, now), nil
	}
	// One round finds each address that is to go; a user has two.
	for range deleteRounds + 1 {
		kept, err := s.Directory.Change(ctx, key, change)
		moved, ok := errors.AsType[*movedError](err)
		if err != nil && !ok {
			return Answer{}, false, err
		}
		if err == nil {
			return s.answer(kept), created, nil
		}
		// First, so that a Put that fails in between can be repeated.
		if err := s.Recipients.CancelUser(ctx, moved.from, key, now); err != nil {
			return Answer{}, false, err
		}
		canceled = append(canceled, moved.from)
	}
	return Answer{}, false, errContended
}

// movedError: what is pending at this address was not ended yet.
type movedError struct{ from string }

func (*movedError) Error() string { return "users: an address is to go" }

// gone is an address, other than those, at which the user's verifications have to
// end: one that the user will not have any more, or one whose verifications may
// still go to such an address.
func gone(old, want user.User, but []string) string {
	stays := func(a string) bool { return a == want.Phone || a == want.Email }
	had := addresses(old)
	if !slices.ContainsFunc(had, func(a string) bool { return !stays(a) }) {
		return ""
	}
	for _, a := range had {
		if !slices.Contains(but, a) {
			return a
		}
	}
	return ""
}

// merge is the user as wanted, with what stays of the old one.
func merge(old user.User, found bool, want user.User, now time.Time) user.User {
	if !found {
		want.CreatedAt, want.UpdatedAt = now, now
		return want
	}
	if want.Phone == old.Phone && want.Email == old.Email && want.Locale == old.Locale && slices.Equal(want.Channels, old.Channels) {
		return old
	}
	want.PhoneVerified = old.PhoneVerified && want.Phone == old.Phone
	want.EmailVerified = old.EmailVerified && want.Email == old.Email
	want.CreatedAt, want.UpdatedAt = old.CreatedAt, now
	want.TOTP, want.Recovery = old.TOTP, old.Recovery
	return want
}

// Get looks a user up. Errors are of kind InvalidRequest, NotFound,
// StorageUnavailable or Internal. One storage round trip.
func (s *Service) Get(ctx context.Context, name string) (Answer, error) {
	name, bad := user.ParseName(name)
	if bad != nil {
		return Answer{}, bad
	}
	u, err := s.load(ctx, s.key(ctx, name), name)
	if err != nil {
		return Answer{}, err
	}
	return s.answer(u), nil
}

// deleteRounds bounds how often a Delete begins again because the user was given
// another address meanwhile.
const deleteRounds = 3

// Delete erases the user, and before that what is remembered of both addresses,
// so that a Delete that failed on its way can be repeated. Three storage round
// trips, and those of Recipients.Erase for each address.
//
// Errors are of kind InvalidRequest, NotFound, PreconditionFailed,
// StorageUnavailable or Internal. Conditions are judged where there is a user
// (RFC 9110, 13.2.1).
func (s *Service) Delete(ctx context.Context, name string, cond Conditions) error {
	faults := new(problem.Faults)
	name = checkName(name, faults)
	met := cond.read(faults)
	if err := faults.Err(); err != nil {
		return err
	}
	key := s.key(ctx, name)
	now, err := s.load(ctx, key, name)
	if err != nil {
		return err
	}
	var forgotten []string
	for range deleteRounds {
		if err := met.by(now, true); err != nil {
			return err
		}
		for _, a := range addresses(now) {
			if slices.Contains(forgotten, a) {
				continue
			}
			if err := s.Recipients.Erase(ctx, a, s.Now()); err != nil {
				return err
			}
			forgotten = append(forgotten, a)
		}
		_, err := s.Directory.Erase(ctx, key, s.Now(), func(u user.User) error {
			now = u
			if err := met.by(u, true); err != nil {
				return err
			}
			for _, a := range addresses(u) {
				if !slices.Contains(forgotten, a) {
					return errMoved
				}
			}
			return nil
		})
		if !errors.Is(err, errMoved) {
			return err
		}
	}
	return errContended
}

// errContended: the user was given other addresses again and again meanwhile.
var errContended = &problem.Error{
	Kind: problem.StorageUnavailable, RetryAfter: time.Second,
	Detail: "The user was changed again and again meanwhile, and this request has changed nothing. Try again.",
}

// errMoved: the user has an address by now that was not forgotten yet.
var errMoved = errors.New("users: another address was registered meanwhile")

func addresses(u user.User) []string {
	return slices.DeleteFunc([]string{u.Phone, u.Email}, func(a string) bool { return a == "" })
}

// key is where the user lies. A part of it names the user in the log.
func (s *Service) key(ctx context.Context, name string) string {
	key := s.Directory.Key(name)
	reqlog.Add(ctx, slog.String("user", key[1:9]))
	return key
}

func (s *Service) load(ctx context.Context, key, name string) (user.User, error) {
	u, err := s.Directory.Load(ctx, key)
	if err == nil {
		err = sameName(u, name)
	}
	return u, err
}

// sameName returns an error for a user who lies where another name's belongs.
// That cannot be, as a key has 128 bits; but if it were, one person would get
// what is another's.
func sameName(u user.User, name string) error {
	if u.Name == name {
		return nil
	}
	return &problem.Error{Kind: problem.Internal, Err: errors.New("users: the row of this name holds another user")}
}

func (s *Service) answer(u user.User) Answer {
	a := Answer{
		Name: u.Name, Locale: u.Locale, Channels: u.Channels,
		UpdatedAt: u.UpdatedAt.Truncate(time.Second),
		ETag:      `"` + tag(u) + `"`,

		RecoveryCodesLeft: s.codesLeft(u),
	}
	for _, authenticator := range u.TOTP.Authenticators {
		if !authenticator.Pending() {
			a.Authenticators++
		}
	}
	if u.Phone != "" {
		a.Phone, a.Verified.Phone = address.Mask(u.Phone), &u.PhoneVerified
	}
	if u.Email != "" {
		a.Email, a.Verified.Email = address.Mask(u.Email), &u.EmailVerified
	}
	return a
}

// tag is the opaque part of a user's entity tag.
func tag(u user.User) string { return hex.EncodeToString(u.Revision[:]) }
