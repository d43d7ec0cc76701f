package users

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"twofa/internal/client"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/qr"
	"twofa/internal/row"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// EnrollRequest asks for an authenticator app. All fields are optional.
type EnrollRequest struct {
	// Name is the person's name for the app. Empty: see [totp.FreeName].
	Name string `json:"name"`
	// Issuer is the name that the app shows for the service. Empty: the client's brand,
	// or that of the service.
	Issuer    string         `json:"issuer"`
	Algorithm totp.Algorithm `json:"algorithm"`
	Digits    Whole          `json:"digits"`
	Period    Whole          `json:"period"`
	// URI has a secret that an app has already: otpauth://, or an export of
	// Google Authenticator, otpauth-migration://. Empty: a new secret.
	URI string `json:"uri"`
}

// ConfirmRequest proves that the app has the secret.
type ConfirmRequest struct {
	Code string `json:"code"`
}

// RenameRequest gives an authenticator app another name.
type RenameRequest struct {
	Name string `json:"name"`
}

// Enrollment is what the person has to enter into the app, in all forms. No later
// answer has it again.
type Enrollment struct {
	Authenticator
	Secret    string    `json:"secret"` // base32 (RFC 4648), without padding
	URI       string    `json:"uri"`
	QRPNG     string    `json:"qr_png"` // a data URL
	QRSVG     string    `json:"qr_svg"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Authenticator is an app as clients see it.
type Authenticator struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Status      string         `json:"status"` // pending or confirmed
	Algorithm   totp.Algorithm `json:"algorithm"`
	Digits      int            `json:"digits"`
	Period      int            `json:"period"`
	CreatedAt   time.Time      `json:"created_at"`
	ConfirmedAt time.Time      `json:"confirmed_at,omitzero"`
	UsedAt      time.Time      `json:"used_at,omitzero"`
	// Notified is true if a notice of the confirmation is on its way to the user.
	Notified bool `json:"notified,omitzero"`
}

// Authenticators is all apps of a user.
type Authenticators struct {
	Authenticators []Authenticator `json:"authenticators"`
}

func showApp(a totp.Authenticator) Authenticator {
	s := Authenticator{
		ID: a.ID, Name: a.Name, Status: "confirmed", Algorithm: a.Algorithm, Digits: a.Digits, Period: a.Period,
		CreatedAt: a.CreatedAt.Truncate(time.Second), ConfirmedAt: a.ConfirmedAt.Truncate(time.Second), UsedAt: a.UsedAt.Truncate(time.Second),
	}
	if a.Pending() {
		s.Status = "pending"
	}
	return s
}

// Enroll adds an authenticator app, with a new secret or one that an app has
// already. It is pending until Confirm, and replaces an earlier pending one. Two
// storage round trips.
//
// Errors are of kind InvalidRequest, NotFound, StorageUnavailable or Internal.
func (s *Service) Enroll(ctx context.Context, name string, req EnrollRequest) (Enrollment, error) {
	faults := new(problem.Faults)
	name = checkName(name, faults)
	a := readEnrollment(req, faults)
	issuer := readIssuer(strings.TrimSpace(req.Issuer), faults)
	if issuer == "" {
		issuer = cmp.Or(client.From(ctx).Brand, s.Brand)
	}
	if err := faults.Err(); err != nil {
		return Enrollment{}, err
	}
	e, err := draw(a, issuer, name)
	if err != nil {
		return Enrollment{}, err
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	a.ID = totp.NewID(random)
	e.Authenticator, err = s.changeApps(ctx, name, "", func(old totp.State, now time.Time) (totp.State, totp.Authenticator, error) {
		if req.Name == "" {
			a.Name = totp.FreeName(old.Settle(now).Confirmed(), totp.DefaultName)
		}
		next, err := totp.Enroll(old, a, now)
		if err != nil {
			return next, a, err
		}
		return next, next.Authenticators[len(next.Authenticators)-1], nil
	})
	if err != nil {
		return Enrollment{}, err
	}
	e.ExpiresAt = e.CreatedAt.Add(totp.PendingFor)
	return e, nil
}

// draw returns the secret of an authenticator in all the forms that an app reads.
func draw(a totp.Authenticator, issuer, account string) (e Enrollment, err error) {
	e.Secret = a.Base32()
	e.URI = a.URI(issuer, account)
	png, err := qr.PNG(e.URI)
	if err == nil {
		e.QRSVG, err = qr.SVG(e.URI, issuer)
	}
	if err != nil {
		return e, problem.Invalid("issuer", "The user's name and the issuer together are too long for a QR code; give a shorter issuer.")
	}
	e.QRPNG = "data:image/png;base64," + base64.StdEncoding.EncodeToString(png)
	return e, nil
}

// Confirm confirms the pending authenticator app by its first code, which no check
// accepts again, and tells the user. Two storage round trips, three more if the user
// is told.
//
// Errors are of kind InvalidRequest, NotFound, WrongCode, TooManyChanges,
// StorageUnavailable or Internal. The tenth wrong code removes the pending app.
func (s *Service) Confirm(ctx context.Context, name string, req ConfirmRequest) (Authenticator, error) {
	faults := new(problem.Faults)
	name = checkName(name, faults)
	if !totp.Readable(req.Code) {
		faults.Add("code", "The code that the app shows is missing, or this text holds none: a code has 6 or 8 digits, and stands alone. No try was spent.")
	}
	if err := faults.Err(); err != nil {
		return Authenticator{}, err
	}
	return s.changeApps(ctx, name, notify.NoticeAppAdded, func(old totp.State, now time.Time) (totp.State, totp.Authenticator, error) {
		next, a, err := totp.Confirm(old, req.Code, now)
		if errors.Is(err, otp.ErrForm) { // nothing was compared, and the row stays as it is
			err = row.Discard(err)
		}
		return next, a, err
	})
}

// ListAuthenticators lists the user's apps. One storage round trip.
func (s *Service) ListAuthenticators(ctx context.Context, name string) (Authenticators, error) {
	u, err := s.load(ctx, name)
	if err != nil {
		return Authenticators{}, err
	}
	list := Authenticators{Authenticators: []Authenticator{}}
	for _, a := range u.TOTP.Settle(s.Now()).Authenticators {
		list.Authenticators = append(list.Authenticators, showApp(a))
	}
	return list, nil
}

// RenameAuthenticator gives one of the user's apps another name. Two storage
// round trips.
func (s *Service) RenameAuthenticator(ctx context.Context, name, id string, req RenameRequest) (Authenticator, error) {
	faults := new(problem.Faults)
	name = checkName(name, faults)
	checkID(id, faults)
	if err := faults.Err(); err != nil {
		return Authenticator{}, err
	}
	return s.changeApps(ctx, name, "", func(old totp.State, now time.Time) (totp.State, totp.Authenticator, error) {
		return totp.Rename(old, id, req.Name, now)
	})
}

// RemoveAuthenticator removes the user's app with that id, or all apps if the id
// is "", and tells the user if an app was confirmed. Two storage round trips, three
// more if the user is told.
func (s *Service) RemoveAuthenticator(ctx context.Context, name, id string) error {
	faults := new(problem.Faults)
	name = checkName(name, faults)
	if id != "" {
		checkID(id, faults)
	}
	if err := faults.Err(); err != nil {
		return err
	}
	_, err := s.changeApps(ctx, name, notify.NoticeAppRemoved, func(old totp.State, now time.Time) (totp.State, totp.Authenticator, error) {
		if id == "" {
			return totp.RemoveAll(old, now), totp.Authenticator{}, nil
		}
		return totp.Remove(old, id, now)
	})
	return err
}

// RecoveryCodes is a new set. No later answer has it again.
type RecoveryCodes struct {
	Codes  []string  `json:"codes"`
	MadeAt time.Time `json:"made_at"`
	// Notified is true if a notice of the new codes is on its way to the user.
	Notified bool `json:"notified,omitzero"`
}

// RecoveryState says how many codes of a set are left. MadeAt is zero if there is
// no set.
type RecoveryState struct {
	Left   int       `json:"left"`
	MadeAt time.Time `json:"made_at,omitzero"`
}

// MakeRecoveryCodes makes a new set. No check accepts a code of the old one any
// more. The set is counted before it is hashed, so that no user causes more than
// [recovery.MaxSetsPerDay] times the work. Four storage round trips, three more if
// the user is told, and some tenths of a second of work, because the codes are hashed
// slowly.
//
// The Functions host may deliver one call several times: each delivery makes a set, the
// last one's is kept, and all count and are told as one change. A delivery that finds
// that a later one has begun is refused with StorageUnavailable; nobody waits for its
// answer.
//
// Errors are of kind InvalidRequest, NotFound, TooManyChanges, Busy,
// StorageUnavailable or Internal.
func (s *Service) MakeRecoveryCodes(ctx context.Context, name string) (RecoveryCodes, error) {
	name, err := user.ParseName(name)
	if err != nil {
		return RecoveryCodes{}, err
	}
	place, err := s.Hashing.Enter()
	if err != nil {
		return RecoveryCodes{}, err
	}
	defer place.Leave()
	n := s.notices(ctx, s.Now())
	err = s.change(ctx, name, n, func(u user.User) (_ user.User, _ notify.Notice, err error) {
		if !u.Call.Is(n.call.ID) {
			u.Recovery, err = u.Recovery.CountSet(n.now)
		}
		if err != nil {
			return u, "", row.Discard(err)
		}
		return u, notify.NoticeRecoveryCodes, nil
	})
	if err != nil {
		return RecoveryCodes{}, err
	}
	codes, fresh, err := s.newCodes(ctx, place, n.now)
	if err != nil {
		return RecoveryCodes{}, err
	}
	// The change was counted before, and its notices, too.
	told := false
	_, err = s.Users.Change(ctx, s.key(ctx, name), func(u user.User) (user.User, error) {
		if told = false; u.Call.Is(n.call.ID) {
			if u.Call.Delivery != n.call.Delivery {
				return u, row.Discard(errDeliveredAgain)
			}
			told, u.Call.Told = u.Call.Told, true
		}
		u.Recovery = u.Recovery.Replace(fresh)
		return u.Revised(), nil
	})
	if err != nil {
		return RecoveryCodes{}, err
	}
	made := RecoveryCodes{Codes: codes, MadeAt: fresh.MadeAt.Truncate(time.Second)}
	if !told {
		made.Notified = n.send(ctx)
	}
	return made, nil
}

// errDeliveredAgain: a later delivery of the same call has begun, and its codes count.
var errDeliveredAgain = &problem.Error{
	Kind: problem.StorageUnavailable, RetryAfter: time.Second,
	Detail: "The host has delivered this request again meanwhile, and the codes of the later delivery count. Make new recovery codes.",
}

// LeftRecoveryCodes says how many codes are left. One storage round trip.
func (s *Service) LeftRecoveryCodes(ctx context.Context, name string) (RecoveryState, error) {
	u, err := s.load(ctx, name)
	if err != nil {
		return RecoveryState{}, err
	}
	return RecoveryState{Left: s.CodesLeft(u), MadeAt: u.Recovery.MadeAt.Truncate(time.Second)}, nil
}

// CodesLeft returns how many recovery codes can be used: none if the secret that
// made them was removed.
func (s *Service) CodesLeft(u user.User) int {
	if !u.Recovery.Alive(s.Users.Keys) {
		return 0
	}
	return u.Recovery.Left()
}

// changeApps makes a transition of the user's authenticators, and returns the one
// that it is about. If the confirmed apps are others afterwards, the user is told
// what. name is as user.ParseName returns it.
func (s *Service) changeApps(ctx context.Context, name string, what notify.Notice, transition func(old totp.State, now time.Time) (totp.State, totp.Authenticator, error)) (Authenticator, error) {
	n := s.notices(ctx, s.Now())
	var a totp.Authenticator
	err := s.change(ctx, name, n, func(u user.User) (_ user.User, _ notify.Notice, err error) {
		before := len(u.TOTP.Confirmed())
		u.TOTP, a, err = transition(u.TOTP, n.now)
		if len(u.TOTP.Confirmed()) == before {
			return u, "", err
		}
		return u, what, err
	})
	if err != nil {
		return Authenticator{}, err
	}
	shown := showApp(a)
	shown.Notified = n.send(ctx)
	return shown, nil
}

// change changes a user's factors, and counts the change and its notices. decide
// returns what the user has to be told, "" for nothing. The caller sends the notices
// afterwards. name is as user.ParseName returns it.
func (s *Service) change(ctx context.Context, name string, n *notices, decide func(user.User) (user.User, notify.Notice, error)) error {
	return n.repeat(ctx, func() error {
		_, err := s.Users.Change(ctx, s.key(ctx, name), func(old user.User) (user.User, error) {
			next, what, err := decide(old)
			if err != nil {
				n.to = nil
				return next.Revised(), err
			}
			next, err = n.permit(old, next, what)
			return next.Revised(), err
		})
		return err
	})
}
