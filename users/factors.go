package users

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"strings"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/qr"
	"twofa/internal/recovery"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// EnrollRequest asks for an authenticator app. All of it is optional.
type EnrollRequest struct {
	// Name is what the person calls it, "Authenticator" and a number if not given.
	Name string `json:"name"`
	// Issuer is who the app shows that the code is for; the brand if not given.
	Issuer    string         `json:"issuer"`
	Algorithm totp.Algorithm `json:"algorithm"`
	Digits    Whole          `json:"digits"`
	Period    Whole          `json:"period"`
	// URI brings a secret that an app has already: otpauth:// or the export of
	// Google Authenticator, otpauth-migration://.
	URI string `json:"uri"`
}

// ConfirmRequest proves that the app has the secret.
type ConfirmRequest struct {
	Code string `json:"code"`
}

// RenameRequest names an authenticator app anew.
type RenameRequest struct {
	Name string `json:"name"`
}

// Enrollment is what the person has to get into the app. It is told once.
type Enrollment struct {
	Authenticator
	Secret    string    `json:"secret"` // base32 (RFC 4648), without padding
	URI       string    `json:"uri"`
	QRPNG     string    `json:"qr_png"` // a data URL
	QRSVG     string    `json:"qr_svg"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Authenticator is one app as its client sees it.
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
}

// Authenticators is all apps of a user.
type Authenticators struct {
	Authenticators []Authenticator `json:"authenticators"`
}

func show(a totp.Authenticator) Authenticator {
	s := Authenticator{
		ID: a.ID, Name: a.Name, Status: "confirmed", Algorithm: a.Algorithm, Digits: a.Digits, Period: a.Period,
		CreatedAt: a.CreatedAt.Truncate(time.Second), ConfirmedAt: a.ConfirmedAt.Truncate(time.Second), UsedAt: a.UsedAt.Truncate(time.Second),
	}
	if a.Pending() {
		s.Status = "pending"
	}
	return s
}

// Enroll makes an authenticator app, or takes one over, that is pending until
// Confirm. It takes the place of an earlier pending one. Two storage round trips.
//
// Errors are of kind InvalidRequest, NotFound, StorageUnavailable or Internal.
func (s *Service) Enroll(ctx context.Context, name string, req EnrollRequest) (Enrollment, error) {
	faults := new(problem.Faults)
	name = checkName(name, faults)
	a := s.readEnrollment(req, faults)
	issuer := strings.TrimSpace(req.Issuer)
	if issuer == "" {
		issuer = s.Brand
	}
	checkIssuer(issuer, faults)
	if err := faults.Err(); err != nil {
		return Enrollment{}, err
	}
	e, err := picture(a, issuer, name)
	if err != nil {
		return Enrollment{}, err
	}
	now := s.Now()
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	a.ID = totp.NewID(random)
	kept, err := s.changeUser(ctx, name, func(u user.User) (_ user.User, err error) {
		if req.Name == "" {
			a.Name = freeName(u.TOTP.Settle(now))
		}
		u.TOTP, err = totp.Enroll(u.TOTP, a, now)
		return u, err
	})
	if err != nil {
		return Enrollment{}, err
	}
	a = kept.TOTP.Authenticators[len(kept.TOTP.Authenticators)-1]
	e.Authenticator, e.ExpiresAt = show(a), a.CreatedAt.Add(totp.PendingFor).Truncate(time.Second)
	return e, nil
}

// freeName is a name that no authenticator of the user has.
func freeName(s totp.State) string {
	for n := 1; ; n++ {
		name := "Authenticator"
		if n > 1 {
			name += " " + string(rune('0'+n)) // there are MaxAuthenticators at most
		}
		taken := false
		for _, a := range s.Authenticators {
			taken = taken || !a.Pending() && strings.EqualFold(a.Name, name)
		}
		if !taken {
			return name
		}
	}
}

// picture is what the app reads, in all forms.
func picture(a totp.Authenticator, issuer, account string) (e Enrollment, err error) {
	e.Secret = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(a.Secret)
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

// Confirm proves the pending authenticator app by its first code, which is spent
// by that. Two storage round trips.
//
// Errors are of kind InvalidRequest, NotFound, WrongCode, StorageUnavailable or
// Internal. The tenth wrong code ends the pending one.
func (s *Service) Confirm(ctx context.Context, name string, req ConfirmRequest) (Authenticator, error) {
	faults := new(problem.Faults)
	name = checkName(name, faults)
	code, ok := otp.ReadCode(req.Code)
	if !ok {
		faults.Add("code", "The code that the app shows is missing, or has characters that no code has.")
	}
	if err := faults.Err(); err != nil {
		return Authenticator{}, err
	}
	now := s.Now()
	var proven totp.Authenticator
	_, err := s.changeUser(ctx, name, func(u user.User) (_ user.User, err error) {
		u.TOTP, proven, err = totp.Confirm(u.TOTP, code, now)
		return u, err
	})
	if err != nil {
		return Authenticator{}, err
	}
	return show(proven), nil
}

// ListAuthenticators lists the user's apps. One storage round trip.
func (s *Service) ListAuthenticators(ctx context.Context, name string) (Authenticators, error) {
	name, bad := user.ParseName(name)
	if bad != nil {
		return Authenticators{}, bad
	}
	u, err := s.load(ctx, s.key(ctx, name), name)
	if err != nil {
		return Authenticators{}, err
	}
	list := Authenticators{Authenticators: []Authenticator{}}
	for _, a := range u.TOTP.Settle(s.Now()).Authenticators {
		list.Authenticators = append(list.Authenticators, show(a))
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
	now := s.Now()
	var renamed totp.Authenticator
	_, err := s.changeUser(ctx, name, func(u user.User) (_ user.User, err error) {
		u.TOTP, renamed, err = totp.Rename(u.TOTP, id, req.Name, now)
		return u, err
	})
	if err != nil {
		return Authenticator{}, err
	}
	return show(renamed), nil
}

// RemoveAuthenticator takes away one of the user's apps, or all of them for the
// id "". Two storage round trips.
func (s *Service) RemoveAuthenticator(ctx context.Context, name, id string) error {
	faults := new(problem.Faults)
	name = checkName(name, faults)
	if id != "" {
		checkID(id, faults)
	}
	if err := faults.Err(); err != nil {
		return err
	}
	now := s.Now()
	_, err := s.changeUser(ctx, name, func(u user.User) (_ user.User, err error) {
		if id == "" {
			u.TOTP = totp.RemoveAll(u.TOTP, now)
		} else {
			u.TOTP, _, err = totp.Remove(u.TOTP, id, now)
		}
		return u, err
	})
	return err
}

// RecoveryCodes is a new set. It is told once.
type RecoveryCodes struct {
	Codes  []string  `json:"codes"`
	MadeAt time.Time `json:"made_at"`
}

// RecoveryState is what is left of a set.
type RecoveryState struct {
	Left   int       `json:"left"`
	MadeAt time.Time `json:"made_at,omitzero"`
}

// MakeRecoveryCodes makes a new set, by which the old one is dead. Three storage
// round trips, and some tenths of a second of work, because the codes are hashed
// slowly.
func (s *Service) MakeRecoveryCodes(ctx context.Context, name string) (RecoveryCodes, error) {
	name, bad := user.ParseName(name)
	if bad != nil {
		return RecoveryCodes{}, bad
	}
	if _, err := s.load(ctx, s.key(ctx, name), name); err != nil {
		return RecoveryCodes{}, err // before the work
	}
	now := s.Now()
	codes, fresh, err := recovery.New(rand.Reader, s.Directory.Keys, now)
	if err != nil {
		return RecoveryCodes{}, err
	}
	_, err = s.changeUser(ctx, name, func(u user.User) (user.User, error) {
		u.Recovery = u.Recovery.Replace(fresh)
		return u, nil
	})
	if err != nil {
		return RecoveryCodes{}, err
	}
	return RecoveryCodes{Codes: codes, MadeAt: fresh.MadeAt.Truncate(time.Second)}, nil
}

// LeftRecoveryCodes says how many are left. One storage round trip.
func (s *Service) LeftRecoveryCodes(ctx context.Context, name string) (RecoveryState, error) {
	name, bad := user.ParseName(name)
	if bad != nil {
		return RecoveryState{}, bad
	}
	u, err := s.load(ctx, s.key(ctx, name), name)
	if err != nil {
		return RecoveryState{}, err
	}
	return RecoveryState{Left: s.codesLeft(u), MadeAt: u.Recovery.MadeAt.Truncate(time.Second)}, nil
}

// codesLeft is how many recovery codes are good: none, if the secret that they
// were made with is gone.
func (s *Service) codesLeft(u user.User) int {
	if !u.Recovery.Alive(s.Directory.Keys) {
		return 0
	}
	return u.Recovery.Left()
}

// changeUser changes a user that has to be there, and keeps what decide returns
// also beside an error: a wrong code is counted. The user's revision changes with
// it, because what a client sees of the user may.
func (s *Service) changeUser(ctx context.Context, name string, decide func(user.User) (user.User, error)) (user.User, error) {
	var revision [8]byte
	_, _ = rand.Read(revision[:])
	var refused error
	kept, err := s.Directory.Change(ctx, s.key(ctx, name), func(old user.User, found bool) (next user.User, err error) {
		if !found {
			return user.User{}, user.ErrNobody()
		}
		if err := sameName(old, name); err != nil {
			return user.User{}, err
		}
		next, refused = decide(old)
		if refused == nil {
			next.Revision = revision
		}
		return next, nil
	})
	if err != nil {
		return user.User{}, err
	}
	return kept, refused
}
