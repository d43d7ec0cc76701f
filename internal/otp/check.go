package otp

import (
	"errors"
	"slices"
	"strings"
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// CheckRequest asks whether a code is right.
type CheckRequest struct {
	// Caller asks. AnyOrigin finds a verification of the client whatever its origin is; it
	// needs an ID.
	Caller
	AnyOrigin bool
	// ID names the verification; "" means the caller's newest one of Purpose.
	ID ID
	// Purpose and Address have to be those of the verification, unless they are "":
	// a code for a sign-in must not approve a payment.
	Purpose string
	Address string
	// User has to be that of the verification: one of a user is not found by the
	// address alone, and one of an address is not found by its user. With an ID, it
	// may be "".
	User UserKey
	// Code is the text that the person typed, as [ReadTyped] reads it.
	Code string
	// Link is the message (from 1) of ID whose link the person followed instead of typing the
	// code, which is "" then. 0: the code was typed.
	Link        int
	Transaction Transaction
	// Addresses are those that the user of the verification has now. nil: not known.
	// They are not needed for a verification that has no user.
	Addresses []string
	// Reserved is the wrong code that was reserved in the row of the second address,
	// nil if none was. See [NeedsReservationError].
	Reserved *Reservation
	// Browser is the id of the known browser that a wrong code of an OriginKnown counts for.
	Browser [8]byte
	// Proves is the id of the browser that is known from now on: its wrong codes are forgotten.
	Proves [8]byte
	// Remember lets the browser be known from now on, if the code is right and was sent to
	// the recipient's address.
	Remember bool
	// Silent: no code is right, because the code was never sent (see Silent of
	// otpsend.FromPage). Whoever knows it, as that of a test number, is answered as with a wrong one.
	Silent bool
}

// ErrNeedsUser is returned by [Check] and [Claim] instead of an approval if
// CheckRequest.Addresses are needed, but not known. Nothing is changed.
var ErrNeedsUser = errors.New("otp: the addresses of the user are needed")

// Check spends one check. It approves the verification if the code and the
// transaction are right; the error does not say which of the two is wrong. It does say
// if the code is that of an earlier message that was replaced (Error.Replaced).
//
// A text that holds no code of the verification's shape, or more than one, spends
// nothing: Check returns old itself and an InvalidRequest for the field code.
//
// If a message went to an address that is not the user's any more, Check cancels the
// verification. If a message went to the second address, whose wrong codes are
// counted in a row of its own, Check needs a reservation there: without one it
// changes nothing and returns a [*NeedsReservationError].
func Check(old Recipient, req CheckRequest, keys Keys, p Policy, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	v, err := r.choose(req)
	if err != nil {
		return r, v, err
	}
	if req.Link < 0 || req.Link > len(v.Attempts) {
		return r, v, errNotFound()
	}
	if v.Inbound() {
		return r, v, problem.Invalid("code", "This verification is approved by the person's own message. Give its id without a code.")
	}
	hidden, reveal := v.Conceal(now)
	if err := r.unusable(v, p, now); err != nil {
		return r, v, err
	}
	typed := ""
	if req.Link == 0 {
		var malformed *problem.Error
		if typed, malformed = v.read(req.Code); malformed != nil {
			return old, v, malformed
		}
	}
	if req.Addresses != nil && r.moved(v, req.Addresses) {
		return r.cancelMoved(v, now)
	}
	if err := r.mayTry(&v, p, now); err != nil {
		return r, v, err
	}
	if to := r.second(v); to != "" && (req.Reserved == nil || req.Reserved.Address != to) {
		return r, v, &NeedsReservationError{Address: to, Caller: v.Caller}
	}
	code, ok := v.Code(keys)
	if !ok {
		return r, v, &problem.Error{Kind: problem.Expired, Detail: "The secret that made this code is not in use any more. Start a new verification."}
	}

	right := req.Link > 0 || equal(typed, code)
	right = sameTransaction(req.Transaction, v.Transaction) && right && !req.Silent && !hidden
	switch {
	case !right:
		replaced := r.isReplaced(v, typed, req.Transaction, keys, now)
		err := r.wrong(&v, req, p, now)
		reveal(&v)
		r.put(v)
		if replaced {
			err.Replaced = true
			err.Detail = strings.Replace(err.Detail, notRight, "This code is out of an earlier message, and a newer code was sent since. Use that one.", 1)
		}
		return r, v, err
	case v.User != "" && req.Addresses == nil:
		return r, v, ErrNeedsUser
	}
	v.Checks++
	v.Status, v.EndedAt = Approved, window.Stamp(now)
	r.put(v)
	told := v.Through(req.Link)
	r.prefer(v, told.likelyRoute(), now)
	if req.Remember && r.Proven(told) == r.Address {
		r.KnownAt = window.Later(r.KnownAt, window.Stamp(now))
		r.Suspects = slices.DeleteFunc(r.Suspects, func(s Suspect) bool { return s.ID == req.Proves })
	}
	return r, v, nil
}

// Usable returns the verification with the id, unless its code cannot be used any more.
func (r Recipient) Usable(own Owner, id ID, p Policy, now time.Time) (Verification, error) {
	r = r.Settle(now)
	v, err := r.FindOf(own, id)
	if err != nil {
		return v, err
	}
	if err := r.unusable(v, p, now); err != nil {
		return v, err
	}
	if err := r.tooManyFailures(v.Caller, p, now); err != nil {
		return v, err
	}
	return v, nil
}

// read returns the code that a text holds. It has the shape that the code had when it
// was made, also if the settings have changed.
func (v Verification) read(text string) (string, *problem.Error) {
	typed, _ := ReadTyped(text)
	if !v.Shape.Valid() || v.TestCode != "" && !v.Shape.Fits(v.TestCode) {
		return typed.Whole(), nil
	}
	return typed.As(v.Shape)
}

// mayTry returns an error unless one more code or context may be compared. It ends a
// verification that has no checks left, because the operator lowered the limit
// meanwhile.
func (r *Recipient) mayTry(v *Verification, p Policy, now time.Time) error {
	if err := r.tooManyFailures(v.Caller, p, now); err != nil {
		return err
	}
	if v.Checks >= p.MaxChecks {
		v.Status, v.EndedAt = Exhausted, window.Stamp(now)
		r.put(*v)
		return v.mayUse()
	}
	return nil
}

// wrong spends a check and counts a wrong code, and returns the error that answers
// it. The error asks to alert the person (see [Alert]) if this was the last wrong
// code that the verification, or one of its addresses on this day, allowed. If an
// address is locked from now on, it says for how long.
func (r *Recipient) wrong(v *Verification, req CheckRequest, p Policy, now time.Time) *problem.Error {
	v.Checks++
	r.countFailure(v.Caller, now)
	if v.Origin == OriginKnown {
		r.suspect(req.Browser, now)
	}
	reserved := req.Reserved
	limits := r.failureLimits(v.Caller, p)
	remaining := max(0, min(p.MaxChecks-v.Checks, r.ownLeft(v.Caller, failuresOf, limits, now)))
	wait, detail := r.lockedByOwn(v.Caller, p, now), notRight
	if reserved != nil {
		remaining, wait = min(remaining, reserved.Left), max(wait, reserved.Wait)
	}
	if wait > 0 {
		detail += " It was the last try of this address. " + locked(wait, now)
	}
	if v.Checks >= p.MaxChecks {
		v.Status, v.EndedAt = Exhausted, window.Stamp(now)
	}
	r.put(*v)
	return &problem.Error{Kind: problem.WrongCode, ChecksLeft: &remaining, RetryAfter: wait, Alerted: remaining == 0 && v.TestCode == "", Detail: detail}
}

const notRight = "The code is not right."

// moved reports whether a message of v went to an address that is none of these. For
// a verification by inbound message, that is the address that the message comes from.
func (r Recipient) moved(v Verification, addresses []string) bool {
	if v.User == "" {
		return false
	}
	used := []string{}
	if v.Inbound() {
		used = append(used, r.Address)
	}
	for _, a := range v.Attempts {
		used = append(used, r.AddressFor(v, a.Channel))
	}
	return slices.ContainsFunc(used, func(a string) bool { return !slices.Contains(addresses, a) })
}

// cancelMoved cancels a verification of a user whose address has changed, or who is
// gone.
func (r Recipient) cancelMoved(v Verification, now time.Time) (Recipient, Verification, error) {
	v.Status, v.EndedAt = Canceled, window.Stamp(now)
	r.put(v)
	return r, v, &problem.Error{Kind: problem.Canceled, Detail: "The user's address has changed since the start, or the user was erased. Start a new verification."}
}

// choose finds the verification of a check.
func (r Recipient) choose(req CheckRequest) (Verification, error) {
	if req.Address != "" && req.Address != r.Address {
		return Verification{}, errNotFound()
	}
	if req.ID == "" {
		return r.Latest(req.Caller, req.Purpose, req.User)
	}
	v, err := r.FindOf(req.Owner(), req.ID)
	if err == nil && (!req.AnyOrigin && req.Origin != v.Origin || req.Purpose != "" && req.Purpose != v.Purpose || req.User != "" && req.User != v.User) {
		return Verification{}, errNotFound()
	}
	return v, err
}
