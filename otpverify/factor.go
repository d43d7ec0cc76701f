package otpverify

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/reqlog"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// The factors.
const (
	FactorMessage  = "message"
	FactorTOTP     = "totp"
	FactorRecovery = "recovery"
)

// readFactor checks the factor, and that nothing is asked of it that it cannot
// hold: no app's code is bound to an amount.
func readFactor(req Request, faults *problem.Faults) {
	switch req.Factor {
	case "", FactorMessage:
	case FactorTOTP, FactorRecovery:
		if !ofUserAlone(req) {
			faults.Add("factor", "Codes of authenticator apps and recovery codes belong to a user: give user and code, without id, to, purpose and context.")
		}
	default:
		faults.Add("factor", "A factor is message, totp or recovery.")
	}
}

// ofUserAlone reports whether a request names a user, and nothing that only a
// verification has.
func ofUserAlone(req Request) bool {
	return req.User != "" && req.Code != "" && req.ID == "" && req.To == "" && req.Purpose == "" && req.Context == (otp.Context{})
}

// checkTOTP accepts a code of one of the user's authenticator apps, once. Two
// storage round trips.
func (s *Service) checkTOTP(ctx context.Context, check otp.CheckRequest) (Answer, error) {
	now := s.Now()
	var app totp.Authenticator
	u, err := s.changeUser(ctx, check.User, func(u *user.User) (err error) {
		u.TOTP, app, err = totp.Check(u.TOTP, check.Code, now)
		return err
	})
	reqlog.Add(ctx, slog.String("factor", FactorTOTP))
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		Status: otp.Approved, Factor: FactorTOTP, User: u.Name,
		Authenticator: &Authenticator{ID: app.ID, Name: app.Name}, ApprovedAt: app.UsedAt.Truncate(time.Second),
	}, nil
}

// checkRecovery spends a recovery code, and tells the person. The slow hash is made
// before the change, which others may have to wait for; the change makes it again
// only if the set was replaced in between.
func (s *Service) checkRecovery(ctx context.Context, check otp.CheckRequest) (Answer, error) {
	now := s.Now()
	attempt := recovery.Attempt(check.Code, s.Users.Keys, now)
	before, err := s.Users.Load(ctx, check.User)
	if err != nil {
		return Answer{}, err
	}
	_, _, _ = attempt(before.Recovery) // remembers the hash
	left := 0
	var revision [8]byte
	_, _ = rand.Read(revision[:]) // never fails: crypto/rand ends the process instead
	u, err := s.changeUser(ctx, check.User, func(u *user.User) (err error) {
		if u.Recovery, left, err = attempt(u.Recovery); err == nil {
			u.Revision = revision // clients see how many codes a user has left
		}
		return err
	})
	reqlog.Add(ctx, slog.String("factor", FactorRecovery))
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		Status: otp.Approved, Factor: FactorRecovery, User: u.Name, RecoveryCodesLeft: &left,
		Alerted: s.Alerts.AlertUser(ctx, u, left), ApprovedAt: now.UTC().Truncate(time.Second),
	}, nil
}

// changeUser keeps what check makes of the user, also where it refuses: a wrong
// code is counted before it is answered.
func (s *Service) changeUser(ctx context.Context, key string, check func(*user.User) error) (user.User, error) {
	reqlog.Add(ctx, slog.String("user", key[1:9]))
	var refused error
	u, err := s.Users.Change(ctx, key, func(old user.User, found bool) (user.User, error) {
		if !found {
			return user.User{}, user.ErrNobody()
		}
		refused = check(&old)
		return old, nil
	})
	if err == nil {
		err = refused
	}
	return u, err
}
