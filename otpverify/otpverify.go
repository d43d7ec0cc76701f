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
	"slices"
	"time"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/enroll"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/receipt"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
	"twofa/internal/row"
	"twofa/internal/session"
	"twofa/internal/totp"
	"twofa/internal/turn"
	"twofa/internal/user"
)

// Service checks codes. Its fields are set once, before the first call.
type Service struct {
	Recipients *recipient.Store
	Users      *user.Store
	Policy     otp.Policy
	Alerts     Alerter
	// Receipts is nil without TWOFA_PUBLIC_URL.
	Receipts *receipt.Signer
	Sessions *session.Store
	// Enrollments makes what was done on enrolment pages take effect.
	Enrollments Enroller
	// Hashing is the queue of those who hash recovery codes.
	Hashing *turn.Queue
	Now     func() time.Time
}

// Alerter warns people.
type Alerter interface {
	// Alert warns the person that wrong codes were tried until none were left,
	// and reports whether the warning is on its way. A silent one is counted and not sent.
	Alert(ctx context.Context, r otp.Recipient, v otp.Verification, silent bool) bool
	// AlertUser tells the user that a recovery code was used, and how many are
	// left, and reports whether the message is on its way.
	AlertUser(ctx context.Context, u user.User, codesLeft int) bool
}

// Enroller makes what a person did on an enrolment page take effect.
type Enroller interface {
	// ApplyDraft makes the changes of the draft of a session. It may be called again.
	ApplyDraft(ctx context.Context, id otp.Session, d enroll.Draft) (enroll.Applied, error)
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
	// Origin is that of the start: see [otp.ReadOrigin]. By To or User, it tells two
	// verifications apart; beside an ID it may be left out.
	Origin string `json:"origin"`
	// Receipt asks for a receipt of the approval.
	Receipt YesNo `json:"receipt"`
	// Session, State and Result fetch the approval of a page session, once. Only Receipt may
	// be given beside them.
	Session string `json:"session"`
	State   string `json:"state"`
	Result  string `json:"result"`
}

// StatusEnrolled is the status of an Answer that is no approval: what a person did on an
// enrolment page has taken effect.
const StatusEnrolled otp.Status = "enrolled"

// Answer is an approval, or says what an enrolment has changed. There is no other answer
// without an error.
type Answer struct {
	// ID, To and Channel are set for FactorMessage, and so is Purpose, also of every approval of a
	// page.
	ID      otp.ID          `json:"id,omitempty"`
	Status  otp.Status      `json:"status"`
	To      string          `json:"to,omitempty"`
	Channel channel.Channel `json:"channel,omitempty"`
	Purpose string          `json:"purpose,omitempty"`
	// PhoneNumber or Email is set for the approval of a page session: the address that was
	// proven, if the client may know it.
	PhoneNumber string `json:"phone_number,omitempty"`
	Email       string `json:"email,omitempty"`
	// Transaction is what the code was bound to, in its one form.
	Transaction otp.Transaction `json:"context,omitzero"`
	// Factor and User are set for the other factors. Authenticator is set for
	// FactorTOTP, RecoveryCodesLeft and Alerted for FactorRecovery.
	Factor            string         `json:"factor,omitempty"`
	User              string         `json:"user,omitempty"`
	Authenticator     *Authenticator `json:"authenticator,omitempty"`
	RecoveryCodesLeft *int           `json:"recovery_codes_left,omitempty"`
	Alerted           bool           `json:"alerted,omitzero"`
	// Test is true for a test number: nobody has proven anything.
	Test       bool      `json:"test,omitzero"`
	ApprovedAt time.Time `json:"approved_at,omitzero"` // zero for StatusEnrolled
	// Receipt is set if the request asks for one, but not for a test number unless the
	// client may have its receipts.
	Receipt string `json:"receipt,omitempty"`

	// Applied is what has changed, for StatusEnrolled. nil: the answer is an approval.
	*enroll.Applied

	// says is what the receipt will say. Check removes it.
	says *receipt.Approval
}

// Authenticator names the app whose code was approved.
type Authenticator struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Check spends one check. It returns an Answer if, and only if, the code is right
// and this call is the one that used it. A text that cannot be the code by its form, or
// that could be several, spends nothing and changes nothing: see [otp.Typed].
//
// If the request names only a user and a code, without a factor, a text that is
// longer than all other codes is a recovery code. A code of the form that one of the
// user's authenticator apps has is tried at the apps first, and then, if it is wrong
// there, at the user's pending verification of the default purpose: see checkBoth.
// Any other code belongs to that verification. A request that names anything else is
// about a message.
//
// Storage round trips: two; three by a user's name, five if the user has two
// addresses; two more for the first approval of a user's address, and for an alert.
// The approval by id of a verification that was started for a user costs one more. If
// the code went to the user's second address, a wrong code costs two more and a right
// one four, and by id one more for each. An authenticator app's code costs two if the
// request names the factor, else three. If it is wrong at the apps, the search for a
// message is added, and two more if that approves. A recovery code costs three, and two more
// for the alert. An ID of the former form costs one more: see [recipient.Store.ChangeID].
func (s *Service) Check(ctx context.Context, req Request) (Answer, error) {
	if req.ofPage() {
		return s.fetch(ctx, req)
	}
	check, err := s.read(ctx, req)
	if err != nil {
		return Answer{}, err
	}
	a, err := s.checkFactor(ctx, req, check)
	if err == nil && bool(req.Receipt) {
		a.Receipt = s.sign(ctx, *a.says)
	}
	a.says = nil
	return a, err
}

// checkFactor is Check without the receipt.
func (s *Service) checkFactor(ctx context.Context, req Request, check otp.CheckRequest) (Answer, error) {
	switch {
	case req.Factor == FactorTOTP:
		return s.checkTOTP(ctx, check)
	case req.Factor == FactorRecovery, req.Factor == "" && ofUserAlone(req) && isRecovery(check.Code):
		return s.checkRecovery(ctx, check)
	}
	u, err := s.user(ctx, &check)
	if err != nil {
		return Answer{}, err
	}
	if req.Factor != "" || !ofUserAlone(req) {
		return s.checkMessage(ctx, check)
	}
	a, err := s.checkAny(ctx, check, u.TOTP.Confirmed())
	if isMalformed(err) { // alike for all users: it says nothing about their factors
		err = problem.Invalid("code", "%s", noForm)
	}
	return a, err
}

const noForm = "This text is not exactly one code of a form that could be meant. Give the code alone, as the message or the app shows it. No try was spent."

// isMalformed reports whether a text was refused by its form, so that nothing was
// compared.
func isMalformed(err error) bool { return errors.Is(err, otp.ErrForm) }

// checkAny checks the code of a user who may have apps and a pending verification. One
// text is one code: what could be read as different codes of the two is refused.
func (s *Service) checkAny(ctx context.Context, check otp.CheckRequest, apps []totp.Authenticator) (Answer, error) {
	if len(apps) == 0 {
		return s.checkMessage(ctx, check)
	}
	typed, _ := otp.ReadTyped(check.Code)
	shapes := []otp.Shape{s.Policy.Shape}
	for _, a := range apps {
		shapes = append(shapes, a.Shape())
	}
	code, malformed := typed.As(shapes...)
	switch {
	case malformed == nil:
		check.Code = code
	case errors.Is(malformed, otp.ErrSeveral):
		return Answer{}, malformed
	}
	if slices.ContainsFunc(apps, func(a totp.Authenticator) bool { return a.Shape().Fits(code) }) {
		return s.checkBoth(ctx, check)
	}
	a, err := s.checkMessage(ctx, check)
	if problem.Is(err, nothingToCheck...) {
		return s.checkTOTP(ctx, check)
	}
	return a, err
}

func (s *Service) checkMessage(ctx context.Context, check otp.CheckRequest) (Answer, error) {
	r, v, err := s.checkIn(ctx, check)
	if refused, ok := errors.AsType[*problem.Error](err); ok && refused.Alerted {
		refused.Alerted = s.Alerts.Alert(ctx, r, v, check.Silent)
	}
	if err != nil {
		return Answer{}, err
	}
	reqlog.Add(ctx, reqlog.Milliseconds("age_ms", v.EndedAt.Sub(v.CreatedAt)))
	v = v.Through(check.Link)
	s.confirm(ctx, r, v)
	return approval(ctx, r, v), nil
}

// approval is the answer of an approved verification.
func approval(ctx context.Context, r otp.Recipient, v otp.Verification) Answer {
	return Answer{
		ID: v.ID, Status: v.Status, To: address.Mask(r.AddressFor(v, v.Channel())), Channel: v.Channel(),
		Purpose: v.Purpose, Transaction: v.Transaction.Form(), says: saysOf(ctx, r, v), Test: v.TestCode != "", ApprovedAt: v.EndedAt.Truncate(time.Second),
	}
}

// checkIn chooses the row and makes the check there. A user with two addresses has
// two rows: the check is made on the newest verification that is pending, and if
// none is, on the newest of all, whose refusal says why.
func (s *Service) checkIn(ctx context.Context, check otp.CheckRequest) (otp.Recipient, otp.Verification, error) {
	if check.ID != "" {
		return s.check(ctx, "", check)
	}
	addresses := check.Addresses
	if check.Address != "" {
		addresses = []string{check.Address}
	}
	if len(addresses) == 0 { // a user without an address: nothing may be approved
		_, err := otp.Recipient{}.Latest(check.Caller, check.Purpose, check.User)
		return otp.Recipient{}, otp.Verification{}, err
	}
	key, newest, in := s.Recipients.Key(addresses[0]), otp.Verification{}, otp.Recipient{}
	for i := 0; len(addresses) > 1 && i < len(addresses); i++ {
		k := s.Recipients.Key(addresses[i])
		r, err := s.Recipients.Load(ctx, k)
		if err != nil {
			return otp.Recipient{}, otp.Verification{}, err
		}
		v, err := r.Settle(s.Now()).Latest(check.Caller, check.Purpose, check.User)
		if err == nil && (newest.ID == "" || newer(v, newest)) {
			key, newest, in = k, v, r
		}
	}
	if newest.ID != "" {
		// Decided on the row that was read, which may have changed: it only tells
		// whether a reservation will be needed.
		_, _, err := s.decide(in, check, s.Now())
		if needed, ok := errors.AsType[*otp.NeedsReservationError](err); ok {
			if err := s.reserve(ctx, needed, &check); err != nil {
				return otp.Recipient{}, otp.Verification{}, err
			}
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

// check makes the check in one row, after what that needs of other rows: the user's
// present addresses, and a reserved wrong code of the second address. The reservation
// is given back unless a wrong code was stored, or may have been.
func (s *Service) check(ctx context.Context, key otp.RowKey, check otp.CheckRequest) (r otp.Recipient, v otp.Verification, err error) {
	now := s.Now()
	decide := func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		r, v, err := s.decide(old, check, now)
		if isMalformed(err) || problem.Is(err, problem.NotFound) {
			// Nothing of the caller's was found. A write would tell that there is a row.
			return old, v, row.Discard(err)
		}
		if errors.Is(err, otp.ErrNeedsUser) {
			// Read between the read and the write of this row, so that the refusal is
			// decided before an approval is stored. Nothing else is changed.
			if check.Addresses, err = s.addressesOf(ctx, v.User); err != nil {
				return old, v, row.Discard(err)
			}
			r, v, err = s.decide(old, check, now)
		}
		if _, ok := errors.AsType[*otp.NeedsReservationError](err); ok {
			return old, v, row.Discard(err)
		}
		return r, v, err
	}
	for {
		if check.ID != "" {
			r, v, err = s.Recipients.ChangeID(ctx, check.Owner(), check.ID, decide)
		} else {
			r, v, err = s.Recipients.Change(ctx, key, decide)
		}
		needed, ok := errors.AsType[*otp.NeedsReservationError](err)
		if !ok || check.Reserved != nil { // a verification has one second address: not twice
			break
		}
		if err := s.reserve(ctx, needed, &check); err != nil {
			return otp.Recipient{}, otp.Verification{}, err
		}
	}
	if check.Reserved != nil && !problem.Is(err, problem.WrongCode, problem.StorageUnavailable, problem.Internal) {
		s.giveBack(ctx, *check.Reserved)
	}
	return r, v, err
}

// decide is the transition of a check.
func (s *Service) decide(old otp.Recipient, check otp.CheckRequest, now time.Time) (otp.Recipient, otp.Verification, error) {
	if check.Code == "" && check.Link == 0 {
		return otp.Claim(old, check, s.Policy, now)
	}
	return otp.Check(old, check, s.Recipients.Keys, s.Policy, now)
}

// reserve counts a wrong code of the second address before a code is compared. Two
// storage round trips.
func (s *Service) reserve(ctx context.Context, needed *otp.NeedsReservationError, check *otp.CheckRequest) error {
	now, reserved, to := s.Now(), otp.Reservation{}, needed.Address
	_, _, err := s.Recipients.Change(ctx, s.Recipients.Key(to), func(r otp.Recipient) (_ otp.Recipient, _ otp.Verification, err error) {
		r, reserved, err = otp.Reserve(r, to, needed.Caller, s.Policy, now)
		return r, otp.Verification{}, err
	})
	if err == nil {
		check.Reserved = &reserved
	}
	return err
}

// giveBack takes a reservation back. If that fails, the second address has one wrong
// code too many for a day. Two storage round trips.
func (s *Service) giveBack(ctx context.Context, reserved otp.Reservation) {
	now := s.Now()
	_, _, err := s.Recipients.Change(ctx, s.Recipients.Key(reserved.Address), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		return otp.GiveBack(r, reserved, now), otp.Verification{}, nil
	})
	if err != nil {
		reqlog.Add(ctx, slog.String("not_given_back", err.Error()))
	}
}

// addressesOf returns the addresses that a user has now, an empty list if there is no
// such user. One round trip.
func (s *Service) addressesOf(ctx context.Context, key otp.UserKey) ([]string, error) {
	u, err := s.Users.Load(ctx, key)
	if err != nil && !problem.Is(err, problem.NotFound) {
		return nil, err
	}
	return u.Addresses(), nil
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
func (s *Service) read(ctx context.Context, req Request) (check otp.CheckRequest, err error) {
	faults := new(problem.Faults)
	_, ok := otp.ReadTyped(req.Code)
	switch {
	case req.Code == "" && req.ID == "":
		faults.Add("code", "The code is missing.")
	case req.Code != "" && !ok:
		faults.Add("code", "This text holds no code, or is too long: a code is made of digits or letters, and stands alone. No try was spent.")
	}
	caller := otp.Caller{Client: client.From(ctx).ID, Origin: otp.ReadOrigin(req.Origin, faults)}
	check = otp.CheckRequest{Caller: caller, Purpose: otp.CheckPurpose(req.Purpose, faults), Code: req.Code, Transaction: req.Transaction}
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
		check.User = s.Users.Key(user.DirectoryOf(ctx), name)
	}
	if req.ID != "" {
		id, err := otp.ParseID(req.ID)
		faults.AddAll(err)
		check.ID, check.AnyOrigin = id, req.Origin == ""
		if req.Purpose == "" {
			check.Purpose = "" // with an id, any purpose
		}
	}
	readFactor(req, faults)
	s.readReceipt(req, faults)
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

// user loads the user that the request names, and puts the user's addresses into the
// check. It returns the zero User for a request by id or address.
func (s *Service) user(ctx context.Context, check *otp.CheckRequest) (user.User, error) {
	if check.ID != "" || check.Address != "" {
		return user.User{}, nil
	}
	u, err := s.Users.Load(ctx, check.User)
	if err != nil {
		return user.User{}, err
	}
	check.Addresses = u.Addresses()
	return u, nil
}
