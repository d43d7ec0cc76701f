// Package otpverify is the use case behind the otpverify function: it checks a
// code, once.
//
// It stores the check, or the approval, before it answers. If it is unknown whether
// that was stored, it approves nothing. It must never log a code.
package otpverify

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
	"twofa/internal/user"
)

// Service checks codes. Its fields are set once, before the first call.
type Service struct {
	Recipients *recipient.Store
	Users      *user.Store
	Policy     otp.Policy
	Alerts     Alerter
	Now        func() time.Time
}

// Alerter warns people.
type Alerter interface {
	// Alert warns the person that wrong codes were tried until none were left,
	// and reports whether the warning is on its way.
	Alert(ctx context.Context, r otp.Recipient, v otp.Verification) bool
	// AlertUser tells the user that a recovery code was used, and how many are
	// left, and reports whether the message is on its way.
	AlertUser(ctx context.Context, u user.User, codesLeft int) bool
}

// Request names a verification and a code as the person typed it.
//
// The verification is named by ID, or by To or User and the Purpose of its start. If
// others are given beside ID, they have to be the verification's own. Transaction has
// to be exactly the one of the start. A Request without a Code asks whether the
// person's own message has approved an inbound verification.
//
// Factor says what the code is: FactorMessage, a code that was sent; FactorTOTP, a
// code of an authenticator app; FactorRecovery, a recovery code. The latter two
// belong to a user: only User and Code are given. Without a Factor, Check decides.
type Request struct {
	ID          string          `json:"id"`
	To          string          `json:"to"`
	User        string          `json:"user"`
	Purpose     string          `json:"purpose"`
	Code        string          `json:"code"`
	Factor      string          `json:"factor"`
	Transaction otp.Transaction `json:"context"`
}

// Answer is an approval. There is no other answer without an error.
type Answer struct {
	// ID, To, Channel and Purpose are set for FactorMessage.
	ID      otp.ID          `json:"id,omitempty"`
	Status  otp.Status      `json:"status"`
	To      string          `json:"to,omitempty"`
	Channel channel.Channel `json:"channel,omitempty"`
	Purpose string          `json:"purpose,omitempty"`
	// Factor and User are set for the other factors. Authenticator is set for
	// FactorTOTP, RecoveryCodesLeft and Alerted for FactorRecovery.
	Factor            string         `json:"factor,omitempty"`
	User              string         `json:"user,omitempty"`
	Authenticator     *Authenticator `json:"authenticator,omitempty"`
	RecoveryCodesLeft *int           `json:"recovery_codes_left,omitempty"`
	Alerted           bool           `json:"alerted,omitzero"`
	ApprovedAt        time.Time      `json:"approved_at"`
}

// Authenticator names the app whose code was approved.
type Authenticator struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Check spends one check. It returns an Answer if, and only if, the code is right
// and this call is the one that used it.
//
// If the request names only a user and a code, without a factor, a code that is
// longer than all others is a recovery code. Any other code belongs to the user's
// pending verification of the default purpose. If there is none, it belongs to the
// user's authenticator app, if there is one. A request that names anything else is
// about a message.
//
// Storage round trips: two; three by a user's name, five if the user has two
// addresses; two more for the first approval of a user's address. An authenticator
// app's code costs two if the request names the factor, else two more than the
// search for a message. A recovery code costs three, and two more for the alert.
func (s *Service) Check(ctx context.Context, req Request) (Answer, error) {
	check, err := s.read(req)
	if err != nil {
		return Answer{}, err
	}
	switch {
	case req.Factor == FactorTOTP:
		return s.checkTOTP(ctx, check)
	case req.Factor == FactorRecovery, req.Factor == "" && ofUserAlone(req) && len(check.Code) > otp.MaxCodeLength:
		return s.checkRecovery(ctx, check)
	}
	keys, apps, err := s.rows(ctx, check)
	if err != nil {
		return Answer{}, err
	}
	a, err := s.checkMessage(ctx, keys, check)
	if problem.Is(err, nothingToCheck...) && apps && req.Factor == "" && ofUserAlone(req) {
		return s.checkTOTP(ctx, check)
	}
	return a, err
}

func (s *Service) checkMessage(ctx context.Context, keys []otp.RowKey, check otp.CheckRequest) (Answer, error) {
	r, v, err := s.checkIn(ctx, keys, check)
	if refused, ok := errors.AsType[*problem.Error](err); ok && refused.Alerted {
		refused.Alerted = s.Alerts.Alert(ctx, r, v)
	}
	if err != nil {
		return Answer{}, err
	}
	s.confirm(ctx, r, v)
	return Answer{
		ID: v.ID, Status: v.Status, To: address.Mask(r.AddressFor(v, v.Channel())), Channel: v.Channel(),
		Purpose: v.Purpose, ApprovedAt: v.EndedAt.Truncate(time.Second),
	}, nil
}

// checkIn chooses the row and makes the check there. A user with two addresses has
// two rows: the check is made on the newest verification that is pending, and if
// none is, on the newest of all, whose refusal says why.
func (s *Service) checkIn(ctx context.Context, keys []otp.RowKey, check otp.CheckRequest) (otp.Recipient, otp.Verification, error) {
	if len(keys) == 0 { // a user without an address: nothing may be approved
		_, err := otp.Recipient{}.Latest(check.Purpose, check.User)
		return otp.Recipient{}, otp.Verification{}, err
	}
	key, newest := keys[0], otp.Verification{}
	for i := 0; len(keys) > 1 && i < len(keys); i++ {
		r, err := s.Recipients.Load(ctx, keys[i])
		if err != nil {
			return otp.Recipient{}, otp.Verification{}, err
		}
		v, err := r.Settle(s.Now()).Latest(check.Purpose, check.User)
		if err == nil && (newest.ID == "" || newer(v, newest)) {
			key, newest = keys[i], v
		}
	}
	return s.check(ctx, key, check)
}

// newer reports whether a code is checked on v rather than on w.
func newer(v, w otp.Verification) bool {
	if (v.Status == otp.Pending) != (w.Status == otp.Pending) {
		return v.Status == otp.Pending
	}
	return v.CreatedAt.After(w.CreatedAt)
}

// nothingToCheck lists the kinds of a check that found no pending verification.
var nothingToCheck = []problem.Kind{
	problem.NotFound, problem.AlreadyUsed, problem.Expired, problem.Canceled, problem.Denied, problem.Undeliverable, problem.TooManyChecks,
}

func (s *Service) check(ctx context.Context, key otp.RowKey, check otp.CheckRequest) (otp.Recipient, otp.Verification, error) {
	now := s.Now()
	return s.Recipients.Change(ctx, key, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		if check.Code == "" {
			return otp.Claim(old, check, now)
		}
		return otp.Check(old, check, s.Recipients.Keys, s.Policy, now)
	})
}

// confirm stores that the user's address is verified. If that fails, the approval,
// which is stored, holds, and the next approval verifies the address.
func (s *Service) confirm(ctx context.Context, r otp.Recipient, v otp.Verification) {
	proven := r.Proven(v)
	if !v.Unverified || proven == "" {
		return
	}
	if err := s.Users.Confirm(ctx, v.User, proven); err != nil {
		reqlog.Add(ctx, slog.String("not_confirmed", err.Error()))
	}
}

// read checks all fields of the request.
func (s *Service) read(req Request) (check otp.CheckRequest, err error) {
	faults := new(problem.Faults)
	code, ok := otp.ReadCode(req.Code)
	switch {
	case req.Code == "" && req.ID == "":
		faults.Add("code", "The code is missing.")
	case req.Code != "" && !ok:
		faults.Add("code", "A code is made of digits or letters; this has other characters or is too long.")
	}
	check = otp.CheckRequest{Purpose: otp.CheckPurpose(req.Purpose, faults), Code: code, Transaction: req.Transaction}
	if req.To != "" {
		a, err := address.Parse(req.To)
		if err != nil {
			faults.Add("to", "%s", err)
		}
		check.Address = a.Text
	}
	if req.User != "" {
		name, err := user.ParseName(req.User)
		faults.AddAll(err)
		check.User = s.Users.Key(name)
	}
	if req.ID != "" {
		id, err := otp.ParseID(req.ID)
		faults.AddAll(err)
		check.ID = id
		if req.Purpose == "" {
			check.Purpose = "" // with an id, any purpose
		}
	}
	readFactor(req, faults)
	switch {
	case req.To != "" && req.User != "":
		faults.Add("user", "Give either to or user.")
	case req.ID == "" && req.To == "" && req.User == "":
		faults.Add("id", "Give the id of the verification, or to or user, and purpose, as at the start.")
	}
	if err := faults.Err(); err != nil {
		return otp.CheckRequest{}, err
	}
	return check, nil
}

// rows returns the keys of the rows in which the verification can be, the most
// likely one first, and whether the user has authenticator apps.
func (s *Service) rows(ctx context.Context, check otp.CheckRequest) (keys []otp.RowKey, apps bool, err error) {
	switch {
	case check.ID != "":
		return []otp.RowKey{check.ID.RowKey()}, false, nil
	case check.Address != "":
		return []otp.RowKey{s.Recipients.Key(check.Address)}, false, nil
	}
	u, err := s.Users.Load(ctx, check.User)
	if err != nil {
		return nil, false, err
	}
	for _, a := range []string{u.Phone, u.Email} {
		if a != "" {
			keys = append(keys, s.Recipients.Key(a))
		}
	}
	for _, a := range u.TOTP.Authenticators {
		apps = apps || !a.Pending()
	}
	return keys, apps, nil
}
