package users

import (
	"context"
	"time"

	"twofa/internal/enroll"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/row"
	"twofa/internal/signin"
	"twofa/internal/user"
)

// ChangeAccount makes a change of the addresses of an account of sign-in. If it raises the account's epoch, it is
// counted, and all addresses that were proven before are told. An error of decide, which may run several times, leaves the
// account as it is. Two round trips, and two for each address that is told.
//
// Errors are those of decide, or of kind NotFound, TooManyChanges, StorageUnavailable or Internal.
func (s *Service) ChangeAccount(ctx context.Context, key otp.UserKey, decide func(user.User) (user.User, error)) (user.User, error) {
	return s.changeAccount(ctx, key, func(old user.User, _ time.Time) (user.User, notify.Notice, error) {
		next, err := decide(old)
		if err != nil || next.Account.Epoch == old.Account.Epoch { // nothing has changed
			return next, "", err
		}
		return signin.InStep(next), notify.NoticeAddress, nil
	})
}

// EnrollAccount makes the changes of a draft to the authenticator apps and recovery codes of an account of sign-in. permit
// returns the user whose account has changed, or an error, which leaves it as it is; it is not asked if the draft has taken
// effect before. The change is counted, and the person is told. Errors and round trips are those of ChangeAccount; the error may also be
// one of enroll.Draft.Apply.
func (s *Service) EnrollAccount(ctx context.Context, d enroll.Draft, permit func(user.User) (user.User, error)) (user.User, error) {
	return s.changeAccount(ctx, d.User, func(old user.User, now time.Time) (user.User, notify.Notice, error) {
		next, c, err := d.Apply(old, now)
		what := told(c)
		if err != nil || what == "" {
			return next, what, err
		}
		permitted, err := permit(old)
		next.Account = permitted.Account
		return next, what, err
	})
}

// changeAccount makes a change of an account. decide returns what the person has to be told, "" for nothing.
func (s *Service) changeAccount(ctx context.Context, key otp.UserKey, decide func(user.User, time.Time) (user.User, notify.Notice, error)) (changed user.User, err error) {
	n := s.notices(ctx, s.Now())
	err = n.repeat(ctx, func() (err error) {
		changed, err = s.Users.Change(ctx, key, func(old user.User) (user.User, error) {
			next, what, err := decide(old, n.now)
			if err != nil {
				return old, row.Discard(err)
			}
			return n.permit(old, next, what)
		})
		return err
	})
	if err == nil {
		n.send(ctx)
	}
	return changed, err
}

// EraseAccount erases an account of sign-in and what is kept of its addresses for the client's directory, and
// tells these. An error of agree, which may run several times, leaves it as it is.
func (s *Service) EraseAccount(ctx context.Context, accounts *signin.Accounts, key otp.UserKey, agree func(user.User) error) error {
	now := s.Now()
	u, err := accounts.Load(ctx, key, now)
	if err != nil {
		return err
	}
	return s.erase(ctx, key, u, now, agree, accounts.Erase)
}
