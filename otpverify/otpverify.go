// Package otpverify is the use case behind the otpverify function: it checks a
// code, once.
//
// It spends the attempt, or the approval, before it answers. Where it cannot
// tell that this was kept, it approves nothing. It must never log a code.
package otpverify

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"twofa/internal/address"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
	"twofa/internal/user"
)

// Service checks codes. Its fields are set once, before the first call.
type Service struct {
	Book   *recipient.Book
	Users  *user.Directory
	Policy otp.Policy
	Alerts Alerter
	Now    func() time.Time
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

// Request names a verification, by its id or by the address or user and the
// purpose that it was started with, and a code as the person typed it. With an
// id the others may be given too, and have to be the verification's own. Context
// has to be exactly as it was at the start. Without a code it asks whether the
// person's own message has approved a verification over the channel inbound.
//
// Factor says what the code is: FactorMessage, a code that was sent; FactorTOTP,
// one that an authenticator app shows; FactorRecovery. The latter two belong to
// User alone. Without a factor, Check decides.
type Request struct {
	ID      string      `json:"id"`
	To      string      `json:"to"`
	User    string      `json:"user"`
	Purpose string      `json:"purpose"`
	Code    string      `json:"code"`
	Factor  string      `json:"factor"`
	Context otp.Context `json:"context"`
}

// Answer is an approval. There is no other answer without an error.
type Answer struct {
	// ID, To, Channel and Purpose are those of a verification.
	ID      otp.ID     `json:"id,omitempty"`
	Status  otp.Status `json:"status"`
	To      string     `json:"to,omitempty"`
	Channel string     `json:"channel,omitempty"`
	Purpose string     `json:"purpose,omitempty"`
	// Factor and User are there for the factors that need no message.
	Factor            string         `json:"factor,omitempty"`
	User              string         `json:"user,omitempty"`
	Authenticator     *Authenticator `json:"authenticator,omitempty"`
	RecoveryCodesLeft *int           `json:"recovery_codes_left,omitempty"`
	Alerted           bool           `json:"alerted,omitzero"`
	ApprovedAt        time.Time      `json:"approved_at"`
}

// Authenticator names the app whose code it was.
type Authenticator struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Check spends one check and returns an Answer if, and only if, the code is
// right and this call is the one that used it. Two storage round trips, three by
// a user's name, five if that user has two addresses; two more for the first
// approval of a user's address. An authenticator app's code costs two, if the
// request names the factor; else the messages are looked through first. A
// recovery code costs three, and the message that tells of it two.
//
// Without a factor, a code of a user that is longer than any other is a recovery
// code.
// Any other is that of the user's pending verification, if there is one of the
// purpose. Else it is an authenticator app's, if the user has one, and the
// request names nothing that only a verification has.
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
	rows, apps, err := s.rows(ctx, check)
	if err != nil {
		return Answer{}, err
	}
	a, err := s.checkMessage(ctx, rows, check)
	if over(err) && apps && req.Factor == "" && ofUserAlone(req) {
		return s.checkTOTP(ctx, check)
	}
	return a, err
}

func (s *Service) checkMessage(ctx context.Context, rows []string, check otp.CheckRequest) (Answer, error) {
	r, v, err := s.checkIn(ctx, rows, check)
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

// checkIn checks in the row that has the verification which is meant. A user with
// two addresses has two rows: then it is the newest one that is pending, or else
// the newest of all, which tells why none is.
func (s *Service) checkIn(ctx context.Context, rows []string, check otp.CheckRequest) (otp.Recipient, otp.Verification, error) {
	if len(rows) == 0 { // no such user can be registered, and yet nothing may be approved
		_, err := otp.Recipient{}.Latest(check.Purpose, check.User)
		return otp.Recipient{}, otp.Verification{}, err
	}
	row, newest := rows[0], otp.Verification{}
	for i := 0; len(rows) > 1 && i < len(rows); i++ {
		r, err := s.Book.Load(ctx, rows[i])
		if err != nil {
			return otp.Recipient{}, otp.Verification{}, err
		}
		v, err := r.Settle(s.Now()).Latest(check.Purpose, check.User)
		if err == nil && (newest.ID == "" || newer(v, newest)) {
			row, newest = rows[i], v
		}
	}
	return s.check(ctx, row, check)
}

// newer reports whether v rather than w is meant by a code that just came.
func newer(v, w otp.Verification) bool {
	if (v.Status == otp.Pending) != (w.Status == otp.Pending) {
		return v.Status == otp.Pending
	}
	return v.CreatedAt.After(w.CreatedAt)
}

// over reports whether a check found nothing that was still to be checked.
func over(err error) bool {
	for _, kind := range []problem.Kind{
		problem.NotFound, problem.AlreadyUsed, problem.Expired, problem.Canceled, problem.Denied, problem.Undeliverable, problem.TooManyChecks,
	} {
		if isKind(err, kind) {
			return true
		}
	}
	return false
}

func isKind(err error, kind problem.Kind) bool {
	e, ok := errors.AsType[*problem.Error](err)
	return ok && e.Kind == kind
}

func (s *Service) check(ctx context.Context, rowKey string, check otp.CheckRequest) (otp.Recipient, otp.Verification, error) {
	now := s.Now()
	r, v, err := s.Book.Change(ctx, rowKey, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		if check.Code == "" {
			return otp.Claim(old, check, now)
		}
		return otp.Check(old, check, s.Book.Keys, s.Policy, now)
	})
	reqlog.Verification(ctx, r, v)
	return r, v, err
}

// confirm notes that the user's address was proven. The approval is kept and
// holds without it; the next one notes it then.
func (s *Service) confirm(ctx context.Context, r otp.Recipient, v otp.Verification) {
	proven := r.Proven(v)
	if !v.Unverified || proven == "" {
		return
	}
	if err := s.Users.Confirm(ctx, v.User, proven); err != nil {
		reqlog.Add(ctx, slog.String("not_confirmed", err.Error()))
	}
}

// read checks the fields, all of them.
func (s *Service) read(req Request) (check otp.CheckRequest, err error) {
	faults := new(problem.Faults)
	code, ok := otp.ReadCode(req.Code)
	switch {
	case req.Code == "" && req.ID == "":
		faults.Add("code", "The code is missing.")
	case req.Code != "" && !ok:
		faults.Add("code", "A code is made of digits or letters; this has other characters or is too long.")
	}
	check = otp.CheckRequest{Purpose: otp.CheckPurpose(req.Purpose, faults), Code: code, Context: req.Context}
	if req.To != "" {
		a, err := address.Parse(req.To)
		if err != nil {
			faults.Add("to", "%s", err)
		}
		check.Address = a.Text
	}
	if req.User != "" {
		name, bad := user.ParseName(req.User)
		if bad != nil {
			faults.AddAll(bad)
		}
		check.User = s.Users.Key(name)
	}
	if req.ID != "" {
		id, bad := otp.ParseID(req.ID)
		if bad != nil {
			faults.AddAll(bad)
		}
		check.ID = id
		if req.Purpose == "" {
			check.Purpose = "" // an id needs no default: any purpose is meant
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

// rows is where the verification can lie, most likely place first, and whether
// the user has authenticator apps.
func (s *Service) rows(ctx context.Context, check otp.CheckRequest) (rows []string, apps bool, err error) {
	switch {
	case check.ID != "":
		return []string{check.ID.RowKey()}, false, nil
	case check.Address != "":
		return []string{s.Book.RowKey(check.Address)}, false, nil
	}
	u, err := s.Users.Load(ctx, check.User)
	if err != nil {
		return nil, false, err
	}
	for _, a := range []string{u.Phone, u.Email} {
		if a != "" {
			rows = append(rows, s.Book.RowKey(a))
		}
	}
	for _, a := range u.TOTP.Authenticators {
		apps = apps || !a.Pending()
	}
	return rows, apps, nil
}
