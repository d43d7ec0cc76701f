package otpverify

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/receipt"
	"twofa/internal/recovery"
	"twofa/internal/reqlog"
	"twofa/internal/row"
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

// isRecovery reports whether a text without a factor is a recovery code: it is longer
// than all other codes, and no other code stands alone in it.
func isRecovery(text string) bool {
	typed, _ := otp.ReadTyped(text)
	return recovery.Fits(typed.Whole()) || len(typed.Whole()) > otp.MaxCodeLength && typed.Alone()
}

// checkTOTP approves a code of one of the user's authenticator apps, once, as
// [totp.Check] decides. Two storage round trips.
func (s *Service) checkTOTP(ctx context.Context, check otp.CheckRequest) (Answer, error) {
	a, _, err := s.tryTOTP(ctx, check)
	reqlog.Add(ctx, slog.String("factor", FactorTOTP))
	return a, err
}

// tryTOTP is checkTOTP without its entry in the log line. Beside an error of kind
// WrongCode, it returns the time at which the wrong code is counted.
func (s *Service) tryTOTP(ctx context.Context, check otp.CheckRequest) (a Answer, counted time.Time, err error) {
	now := s.Now()
	var app totp.Authenticator
	u, err := s.Users.Change(ctx, check.User, func(u user.User) (_ user.User, err error) {
		u.TOTP, app, err = totp.Check(u.TOTP, check.Code, now)
		if isMalformed(err) {
			err = row.Discard(err)
		}
		return u, err
	})
	if problem.Is(err, problem.WrongCode) {
		counted = u.TOTP.Failures[len(u.TOTP.Failures)-1]
	}
	if err != nil {
		return Answer{}, counted, err
	}
	return Answer{
		Status: otp.Approved, Factor: FactorTOTP, User: u.Name,
		Authenticator: &Authenticator{ID: app.ID, Name: app.Name}, ApprovedAt: app.UsedAt.Truncate(time.Second),
		says: &receipt.Approval{Client: check.Client, User: check.User},
	}, time.Time{}, nil
}

// checkBoth checks a code that may be an app's or that of a message. It asks the apps
// first, so that a right code of an app is approved beside a pending message and
// spends none of its tries. A wrong code of an app is stored before the message is
// asked: if it were only compared, requests at the same time could try more codes than
// the limit of the apps allows. It is given back if the message approves the code.
//
// So a wrong code spends one try of the apps and one of the message, and a factor that
// has no tries left compares nothing. The answer is the message's if a verification is
// pending, else the apps'.
func (s *Service) checkBoth(ctx context.Context, check otp.CheckRequest) (Answer, error) {
	a, counted, refused := s.tryTOTP(ctx, check)
	if refused == nil || !problem.Is(refused, problem.WrongCode, problem.TooManyChecks, problem.NotFound) {
		reqlog.Add(ctx, slog.String("factor", FactorTOTP))
		return a, refused
	}
	a, err := s.checkMessage(ctx, check)
	if problem.Is(err, nothingToCheck...) || isMalformed(err) {
		reqlog.Add(ctx, slog.String("factor", FactorTOTP))
		return Answer{}, refused
	}
	if err == nil && !counted.IsZero() {
		s.giveBackTOTP(ctx, check.User, counted)
	}
	if wrong, ok := errors.AsType[*problem.Error](err); ok && wrong.Kind == problem.WrongCode && wrong.RetryAfter == 0 && errors.Is(refused, totp.ErrUsed) {
		used, _ := errors.AsType[*problem.Error](refused)
		wrong.Detail, wrong.RetryAfter = used.Detail, used.RetryAfter // the person has to wait for the app
	}
	return a, err
}

// giveBackTOTP takes back a wrong code of the apps that was the code of a message. If
// that fails, the apps have one wrong code too many for a day. Two storage round
// trips.
func (s *Service) giveBackTOTP(ctx context.Context, key otp.UserKey, counted time.Time) {
	now := s.Now()
	_, err := s.Users.Change(ctx, key, func(u user.User) (user.User, error) {
		u.TOTP = totp.GiveBack(u.TOTP, counted, now)
		return u, nil
	})
	if err != nil {
		reqlog.Add(ctx, slog.String("not_given_back", err.Error()))
	}
}

// checkRecovery approves a recovery code, once, and alerts the person. The slow hash
// is made before the change, because other changes may have to wait for this one. The
// change makes the hash again only if the set of codes was replaced in between.
func (s *Service) checkRecovery(ctx context.Context, check otp.CheckRequest) (Answer, error) {
	now := s.Now()
	hash := recovery.InTurn(func(work func()) error { return s.Hashing.Do(ctx, work) })
	typed, _ := otp.ReadTyped(check.Code)
	attempt := recovery.Attempt(hash, typed.Whole(), s.Users.Keys, now)
	before, err := s.Users.Load(ctx, check.User)
	if err != nil {
		return Answer{}, err
	}
	if _, _, err := attempt(before.Recovery); problem.Is(err, problem.Busy) { // else it remembers the hash
		return Answer{}, err
	}
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
		says: &receipt.Approval{Client: check.Client, User: check.User, Recovery: true},
	}, nil
}
