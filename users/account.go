package users

import (
	"context"

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
func (s *Service) ChangeAccount(ctx context.Context, key otp.UserKey, decide func(user.User) (user.User, error)) (changed user.User, err error) {
	n := s.notices(ctx, s.Now())
	err = n.repeat(ctx, func() (err error) {
		changed, err = s.Users.Change(ctx, key, func(old user.User) (user.User, error) {
			next, err := decide(old)
			if err != nil {
				return old, row.Discard(err)
			}
			what := notify.NoticeAddress
			if next.Account.Epoch == old.Account.Epoch { // nothing has changed
				what = ""
			}
			return n.permit(old, signin.InStep(next), what)
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
