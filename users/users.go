// Package users is the use case of the users function. It registers a person's
// addresses, authenticator apps and recovery codes under a name, returns what is
// registered, and erases it. The client app chooses the name. The users are those of
// the client's directory: users of another directory do not exist for it.
//
// It must never return or log a whole address, or log a name, which may be an
// address. It returns a secret or recovery codes only once, when they are made, and
// must never log them.
package users

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"time"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/row"
	"twofa/internal/session"
	"twofa/internal/turn"
	"twofa/internal/user"
)

// Recipients is the store of recipients.
type Recipients interface {
	// Erase removes what the clients of a directory keep of an address, at the time now. An
	// unknown address is no error.
	Erase(ctx context.Context, address, directory string, now time.Time) error
	// Unlock gives a caller one allowance more at an address: see [otp.AddUnlock].
	Unlock(ctx context.Context, address string, c otp.Caller, call [16]byte, now time.Time) (left int, err error)
	// CancelUser cancels the pending verifications of a user at an address.
	CancelUser(ctx context.Context, address string, user otp.UserKey, now time.Time) error
}

// Service keeps users. Its fields are set once, before the first call.
type Service struct {
	Users      *user.Store
	Recipients Recipients
	// Channels are those that this service sends over.
	Channels []channel.Channel
	// Countries are the regions (ISO 3166-1 alpha-2) that may be sent to. nil: all. The
	// client may have fewer.
	Countries map[string]bool
	// Brand is the issuer of authenticator apps, unless the client has its own brand.
	Brand string
	// Hashing is the queue of those who hash recovery codes.
	Hashing *turn.Queue
	// Pages is where people reach the enrolment page.
	Pages session.Site
	// NotifyChanges makes the service tell a user's verified addresses about changes
	// of factors and addresses. It needs a Notifier.
	NotifyChanges bool
	Notifier      Notifier
	Now           func() time.Time
}

// Request is a user's whole profile: what it leaves out is removed.
type Request struct {
	// Name may repeat the name of the path. Another name is refused.
	Name     string            `json:"name"`
	Phone    string            `json:"phone"`
	Email    string            `json:"email"`
	Locale   string            `json:"locale"`
	Channels []channel.Channel `json:"channels"`
}

// Answer is a user as clients see it, with masked addresses.
type Answer struct {
	Name     string            `json:"name"`
	Phone    string            `json:"phone,omitempty"`
	Email    string            `json:"email,omitempty"`
	Locale   string            `json:"locale,omitempty"`
	Channels []channel.Channel `json:"channels,omitempty"`
	Verified Verified          `json:"verified"`
	// Authenticators is how many confirmed authenticator apps the user has.
	Authenticators    int       `json:"authenticators,omitzero"`
	RecoveryCodesLeft int       `json:"recovery_codes_left,omitzero"`
	UpdatedAt         time.Time `json:"updated_at"`
	// Notified is true if a notice of the change of an address is on its way to an
	// address that was verified before.
	Notified bool `json:"notified,omitzero"`
	// ETag is the entity tag of this state (RFC 9110, 8.8.3), with its quotes.
	ETag string `json:"-"`
}

// Verified says for each address of the user whether a code that was sent there came
// back. nil: the user has no such address.
type Verified struct {
	Phone *bool `json:"phone,omitempty"`
	Email *bool `json:"email,omitempty"`
}

// Put registers a user, or replaces the profile, and reports whether the user is
// new. An address that stays remains verified; another address is not verified. If
// nothing changes, Put writes nothing and the ETag stays.
//
// Errors are of kind InvalidRequest, DestinationRefused, PreconditionFailed,
// TooManyChanges, StorageUnavailable or Internal. Two storage round trips, one if
// nothing changes. If an address of the user changes, the addresses that were
// verified before are told: one more round trip, and two for each of them. If the
// user loses an address, Put first cancels the user's pending verifications: three
// more round trips for each old address, or two if nothing is pending there.
func (s *Service) Put(ctx context.Context, name string, req Request, cond Conditions) (Answer, bool, error) {
	faults := new(problem.Faults)
	want, number := s.read(ctx, name, req, faults)
	met := cond.read(faults)
	if err := faults.Err(); err != nil {
		return Answer{}, false, err
	}
	key, now := s.key(ctx, want.Name), s.Now().UTC()
	user.Log(ctx, key)
	if want.Phone != "" {
		if err := number.MayReach(s.Countries, client.From(ctx).Countries); err != nil {
			reqlog.Add(ctx, slog.String("country", number.Number.Region))
			return Answer{}, false, err
		}
	}

	created := false
	var canceled []string
	n := s.notices(ctx, now)
	change := func(old user.User) (user.User, error) {
		created = old.Name == ""
		if err := met.check(old); err != nil {
			return old, row.Discard(err)
		}
		next, err := n.permit(old, old.Update(want, now), addressNotice(old, want))
		if err != nil {
			return old, err
		}
		if from := toCancel(old, want, canceled); from != "" {
			return old, row.Discard(&cancelError{from})
		}
		return next, nil
	}
	// A round counts all notices, or finds one address; a user has two addresses.
	for range maxRounds + 2 {
		kept, err := s.Users.Put(ctx, key, change)
		if err == nil {
			a := s.answer(kept)
			a.Notified = n.send(ctx)
			return a, created, nil
		}
		if counted, failed := n.count(ctx, err); failed != nil {
			return Answer{}, false, failed
		} else if counted {
			continue
		}
		address, err := s.cancel(ctx, err, key, now)
		if err != nil {
			return Answer{}, false, err
		}
		canceled = append(canceled, address)
	}
	return Answer{}, false, errContended
}

// cancel cancels the verifications of a cancelError, before the change, so that a Put
// that fails in between can be repeated. It returns the address. It returns any other
// err as it is.
func (s *Service) cancel(ctx context.Context, err error, key otp.UserKey, now time.Time) (address string, _ error) {
	cancel, ok := errors.AsType[*cancelError](err)
	if !ok {
		return "", err
	}
	return cancel.address, s.Recipients.CancelUser(ctx, cancel.address, key, now)
}

// cancelError: verifications at this address have to be canceled first.
type cancelError struct{ address string }

func (*cancelError) Error() string { return "users: verifications have to be canceled first" }

// toCancel returns an address at which the user's verifications have to be canceled
// and are not yet, "" if there is none. If the user loses an address, these are all
// old addresses: a verification at one may still send to the other.
func toCancel(old, want user.User, canceled []string) string {
	had := old.Addresses()
	if !slices.ContainsFunc(had, func(a string) bool { return a != want.Phone && a != want.Email }) {
		return ""
	}
	for _, a := range had {
		if !slices.Contains(canceled, a) {
			return a
		}
	}
	return ""
}

// Get returns a user. Errors are of kind InvalidRequest, NotFound,
// StorageUnavailable or Internal. One storage round trip.
func (s *Service) Get(ctx context.Context, name string) (Answer, error) {
	u, err := s.load(ctx, name)
	if err != nil {
		return Answer{}, err
	}
	return s.answer(u), nil
}

// maxRounds limits how often a Delete begins again because the user got another
// address meanwhile.
const maxRounds = 3

// Delete erases the user. Before that, it erases what is kept of both addresses, so
// that a Delete that failed in between can be repeated. The verified addresses are
// told. Three storage round trips, those of Recipients.Erase for each address, and
// two for each verified address.
//
// A row that cannot be read is removed, too. What it said is not known, so nothing is
// erased at the user's addresses, and nobody is told.
//
// Errors are of kind InvalidRequest, NotFound, PreconditionFailed, TooManyChanges,
// StorageUnavailable or Internal. If there is no user, the error is NotFound,
// whatever the conditions are (RFC 9110, 13.2.1).
func (s *Service) Delete(ctx context.Context, name string, cond Conditions) error {
	faults := new(problem.Faults)
	name = checkName(name, faults)
	met := cond.read(faults)
	if err := faults.Err(); err != nil {
		return err
	}
	key := s.key(ctx, name)
	now := s.Now()
	u, err := s.Users.Load(ctx, key)
	if unreadable(err) {
		if err := met.checkUnreadable(); err != nil {
			return err
		}
		return s.Users.Remove(ctx, key, now)
	}
	if err != nil {
		return err
	}
	return s.erase(ctx, key, u, now, met.check, s.Users.Erase)
}

// eraser removes a user, if agree has no objection: see user.Store.Erase.
type eraser func(ctx context.Context, key otp.UserKey, now time.Time, agree func(user.User) error) error

// erase erases what is kept of the addresses of a user who was loaded, and then the user.
func (s *Service) erase(ctx context.Context, key otp.UserKey, u user.User, now time.Time, agree func(user.User) error, remove eraser) error {
	n := s.notices(ctx, now)
	var erased []string
	isKept := func(a string) bool { return !slices.Contains(erased, a) }
	for range maxRounds {
		if err := agree(u); err != nil {
			return err
		}
		if _, err := n.count(ctx, n.mayTell(u, notify.NoticeAddress)); err != nil {
			return err
		}
		for _, a := range slices.DeleteFunc(u.Addresses(), func(a string) bool { return !isKept(a) }) {
			if err := s.Recipients.Erase(ctx, a, client.From(ctx).Directory, now); err != nil {
				return err
			}
			erased = append(erased, a)
		}
		err := remove(ctx, key, now, func(current user.User) error {
			u = current
			if err := agree(u); err != nil {
				return err
			}
			if slices.ContainsFunc(u.Addresses(), isKept) || n.mayTell(u, notify.NoticeAddress) != nil {
				return errNewAddress
			}
			return nil
		})
		if err == nil {
			n.send(ctx)
		}
		if !errors.Is(err, errNewAddress) {
			return err
		}
	}
	return errContended
}

// errContended: other requests changed the user's addresses again and again.
var errContended = &problem.Error{
	Kind: problem.StorageUnavailable, RetryAfter: time.Second,
	Detail: "Other requests have changed the user again and again meanwhile, and this request has changed nothing. Try again.",
}

// errNewAddress: the user has got an address that was not erased yet, or whose notice
// was not counted yet.
var errNewAddress = errors.New("users: another address was registered meanwhile")

// load returns the user with the name of a path.
func (s *Service) load(ctx context.Context, name string) (user.User, error) {
	name, err := user.ParseName(name)
	if err != nil {
		return user.User{}, err
	}
	return s.Users.Load(ctx, s.key(ctx, name))
}

// key returns the key of a user of the client's directory.
func (s *Service) key(ctx context.Context, name string) otp.UserKey {
	return s.Users.Key(user.DirectoryOf(ctx), name)
}

func (s *Service) answer(u user.User) Answer {
	a := Answer{
		Name: u.Name, Locale: u.Locale, Channels: u.Channels,
		UpdatedAt:      u.UpdatedAt.Truncate(time.Second),
		ETag:           `"` + tag(u) + `"`,
		Authenticators: len(u.TOTP.Confirmed()), RecoveryCodesLeft: s.CodesLeft(u),
	}
	if u.Phone != "" {
		a.Phone, a.Verified.Phone = address.Mask(u.Phone), &u.PhoneVerified
	}
	if u.Email != "" {
		a.Email, a.Verified.Email = address.Mask(u.Email), &u.EmailVerified
	}
	return a
}

// tag returns the opaque part of a user's entity tag.
func tag(u user.User) string { return hex.EncodeToString(u.Revision[:]) }
