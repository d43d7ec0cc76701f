package otpverify

import (
	"context"
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

// readFactor notes a fault if the factor is unknown, or if the request names
// something that the factor does not have: no app's code is bound to an amount.
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

// ofUserAlone reports whether a request names a user and a code, and nothing that
// only a verification has.
func ofUserAlone(req Request) bool {
	return req.User != "" && req.Code != "" && req.ID == "" && req.To == "" && req.Purpose == "" && req.Transaction == (otp.Transaction{})
}

// checkTOTP approves a code of one of the user's authenticator apps, once, as
// [totp.Check] decides. Two storage round trips.
func (s *Service) checkTOTP(ctx context.Context, check otp.CheckRequest) (Answer, error) {
	now := s.Now()
	var app totp.Authenticator
	u, err := s.Users.Change(ctx, check.User, func(u user.User) (_ user.User, err error) {
		u.TOTP, app, err = totp.Check(u.TOTP, check.Code, now)
		return u, err
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

// checkRecovery approves a recovery code, once, and alerts the person. The slow hash
// is made before the change, because other changes may have to wait for this one. The
// change makes the hash again only if the set of codes was replaced in between.
func (s *Service) checkRecovery(ctx context.Context, check otp.CheckRequest) (Answer, error) {
	now := s.Now()
	attempt := recovery.Attempt(check.Code, s.Users.Keys, now)
	before, err := s.Users.Load(ctx, check.User)
	if err != nil {
		return Answer{}, err
	}
	_, _, _ = attempt(before.Recovery) // remembers the hash
	left := 0
	u, err := s.Users.Change(ctx, check.User, func(u user.User) (_ user.User, err error) {
		u.Recovery, left, err = attempt(u.Recovery)
		if err == nil {
			u = u.Revised() // clients see how many codes are left
		}
		return u, err
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
