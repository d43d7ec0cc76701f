package otp

import (
	"errors"
	"slices"
	"strings"
	"time"

	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/internal/window"
)

// StartRequest asks for a new verification. Its fields have been checked.
type StartRequest struct {
	ID          ID
	Nonce       [16]byte // random
	Key         [4]byte  // the current secret
	Address     string   // E.164 or an e-mail address: the recipient's
	Purpose     string
	Transaction Transaction
	Workflow    []channel.Channel // one channel or more, none twice; or channel.Inbound alone
	User        UserKey
	Unverified  bool
	Other       string
	Locale      string
	Idempotency
	Scenario Scenario
}

// Start makes a new verification and spends a send. It cancels a pending one of the
// same purpose: only the newest code of a purpose is valid.
//
// The preferred channel comes first in the workflow. For a repetition, Start returns
// old itself, which needs no write, the first request's verification (zero if it is
// forgotten) and a [*Replay] as the error.
func Start(old Recipient, req StartRequest, p Policy, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	if v, err := r.replayed(req.Idempotency, now); err != nil {
		return old, v, err
	}
	if err := r.mayHold(req.Address); err != nil {
		return r, Verification{}, err
	}
	r.Address = req.Address
	if err := r.maySend(p, now); err != nil && !req.Scenario.set() {
		return r, Verification{}, err
	}
	if wait, full := r.otherPurposes(req.Purpose, now); full {
		return r, Verification{}, &problem.Error{
			Kind: problem.TooManySends, RetryAfter: wait,
			Detail: "This address has verifications pending for 4 other purposes. Finish or cancel one of them.",
		}
	}
	r.endPending(Canceled, now, func(v Verification) bool { return v.Purpose == req.Purpose })
	v := Verification{
		ID: req.ID, Purpose: req.Purpose, User: req.User, Unverified: req.Unverified, Other: req.Other,
		Locale: req.Locale, Workflow: r.preferredFirst(req.Workflow), Transaction: req.Transaction,
		Nonce: req.Nonce, Key: req.Key, Shape: p.Shape,
		Status: Pending, CreatedAt: window.Stamp(now),
		// Rounded down to whole seconds, which is what a client is told.
		ExpiresAt: now.UTC().Add(p.TTL).Truncate(time.Second),
	}
	if req.Scenario.set() {
		req.Scenario.play(&v, p, now)
	} else {
		if !v.Inbound() {
			v.attempt(v.Workflow[0], now)
		}
		// An inbound one spends a send, too: each start cancels the code that the
		// person may have, so the number of starts has to be limited.
		r.Sends = window.Record(r.Sends, now)
	}
	r.Verifications = append(r.Verifications, v)
	r.forgetEnded()
	r.remember(req.Idempotency, v, p, now)
	return r, v, nil
}

// otherPurposes reports whether MaxLive verifications of other purposes are
// pending, and how long until the first of them expires.
func (r Recipient) otherPurposes(purpose string, now time.Time) (wait time.Duration, full bool) {
	n := 0
	for _, v := range r.Verifications {
		if v.Status == Pending && v.Purpose != purpose {
			if left := v.ExpiresAt.Sub(now); n == 0 || left < wait {
				wait = left
			}
			n++
		}
	}
	return wait, n >= MaxLive
}

// forgetEnded drops the oldest ended verifications beyond maxKept.
func (r *Recipient) forgetEnded() {
	for len(r.Verifications) > maxKept {
		i := slices.IndexFunc(r.Verifications, func(v Verification) bool { return v.Status != Pending })
		r.Verifications = slices.Delete(r.Verifications, i, i+1)
	}
}

// maySend returns an error unless one more message may go to the address. The error
// is that of the rule that refuses it for the longest time: after its RetryAfter no
// rule refuses it.
func (r Recipient) maySend(p Policy, now time.Time) *problem.Error {
	return longest(append(r.sendRules(p, now), &problem.Error{
		Kind: problem.ResendTooSoon, RetryAfter: window.FullFor(r.Sends, 1, p.ResendAfter, now),
		Detail: "A message went to this address a moment ago. Give it time to arrive.",
	}))
}

// mayFollow is maySend for a message that follows a failed one: the pause does not
// hold, because it is for messages that may still arrive.
func (r Recipient) mayFollow(p Policy, now time.Time) *problem.Error {
	return longest(r.sendRules(p, now))
}

func (r Recipient) sendRules(p Policy, now time.Time) []*problem.Error {
	return []*problem.Error{
		tooManyFailures(r.lockedFor(p, now), now), // a code that cannot be checked is not sent
		{
			Kind: problem.TooManySends, RetryAfter: window.FullFor(r.Sends, p.MaxSendsPerDay, window.Day, now),
			Detail: "This address has reached its limit of messages in 24 hours.",
		},
		{
			Kind: problem.TooManySends, RetryAfter: window.FullFor(r.Sends, p.MaxSends, SendWindow, now),
			Detail: "This address has reached its limit of messages in 10 minutes.",
		},
		{
			Kind: problem.DestinationRefused, RetryAfter: max(0, r.BlockedUntil.Sub(now)),
			Detail: "The provider blocked the last message to this address as fraud. Nothing is sent to it for a while.",
		},
	}
}

func longest(rules []*problem.Error) *problem.Error {
	var most *problem.Error
	for _, rule := range rules {
		if rule.RetryAfter > 0 && (most == nil || rule.RetryAfter > most.RetryAfter) {
			most = rule
		}
	}
	return most
}

// ResendRequest asks for the code once more.
type ResendRequest struct {
	ID ID
	// Channel may be any channel of the service that fits the address, or
	// channel.Next: the next one of the workflow. "": the channel of the last
	// message, or the next one if that failed.
	Channel channel.Channel
	Idempotency
}

// Resend spends another send on a pending verification. The code and its expiry
// stay the same, so that a code with less than MinResendLeft is refused. For a
// repetition, Resend returns what [Start] does.
func Resend(old Recipient, req ResendRequest, p Policy, now time.Time) (Recipient, Verification, error) {
	if v, err := old.Settle(now).replayed(req.Idempotency, now); err != nil {
		return old, v, err
	}
	r, v, err := pending(old, req.ID, now)
	if err != nil {
		if refused := r.unusable(v, p, now); v.ID != "" && refused != nil {
			err = refused
		}
		return r, v, err
	}
	if v.ExpiresAt.Sub(now) < MinResendLeft {
		return r, v, &problem.Error{Kind: problem.Expired, Detail: "The code is about to expire. Start a new verification."}
	}
	by, refused := v.resendChannel(req.Channel)
	if refused != nil {
		return r, v, refused
	}
	limit := r.maySend(p, now)
	if v.TestCode != "" {
		limit = v.mayPlay(now)
	}
	if limit != nil {
		return r, v, limit
	}
	v.attempt(by, now)
	if v.TestCode != "" {
		v.Attempts[len(v.Attempts)-1].Status = Delivered
	} else {
		r.Sends = window.Record(r.Sends, now)
	}
	r.put(v)
	r.remember(req.Idempotency, v, p, now)
	return r, v, nil
}

// Cancel ends a pending verification for the client. Canceling one that is
// canceled is no error: the first answer may have been lost.
func Cancel(old Recipient, id ID, now time.Time) (Recipient, Verification, error) {
	r, v, err := pending(old, id, now)
	switch {
	case v.Status == Canceled:
		return r, v, nil
	case err != nil:
		return r, v, err
	}
	v.Status, v.EndedAt = Canceled, window.Stamp(now)
	r.put(v)
	return r, v, nil
}

// CancelUser ends the pending verifications of a user: the address is no longer the
// user's.
func CancelUser(old Recipient, user UserKey, now time.Time) Recipient {
	r := old.Settle(now)
	r.endPending(Canceled, now, func(v Verification) bool { return v.User == user })
	return r
}

// endPending ends the pending verifications that match, and returns the newest of
// them, zero if there are none.
func (r *Recipient) endPending(status Status, now time.Time, match func(Verification) bool) (newest Verification) {
	for i := range r.Verifications {
		if v := &r.Verifications[i]; v.Status == Pending && match(*v) {
			v.Status, v.EndedAt = status, window.Stamp(now)
			newest = *v
		}
	}
	return newest
}

// Forgotten is what is left of a recipient after an erasure: only the times that the
// limits need for a day, and the hashes of the person's last messages. Without them
// an erasure would give new tries to an attacker who guesses codes, new messages to
// one who floods an address, and a second effect to a repeated message.
func (r Recipient) Forgotten() Recipient {
	return Recipient{
		Sends: r.Sends, Failures: r.Failures, AlertedAt: r.AlertedAt, BlockedUntil: r.BlockedUntil,
		Notices: r.Notices, NoticeCall: r.NoticeCall, Messages: r.Messages,
	}
}

// pending settles the recipient and finds a pending verification.
func pending(old Recipient, id ID, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	v, err := r.Find(id)
	if err != nil {
		return r, v, err
	}
	if err := v.mayUse(); err != nil {
		return r, v, err // not the nil *problem.Error, which would be an error
	}
	return r, v, nil
}

// CheckRequest asks whether a code is right.
type CheckRequest struct {
	// ID names the verification; "" means the newest one of Purpose.
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
	Code        string
	Transaction Transaction
	// Addresses are those that the user of the verification has now. nil: not known.
	// They are not needed for a verification that has no user.
	Addresses []string
	// Reserved is the wrong code that was reserved in the row of the second address,
	// nil if none was. See [NeedsReservationError].
	Reserved *Reservation
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
	if v.Inbound() {
		return r, v, problem.Invalid("code", "This verification is approved by the person's own message. Give its id without a code.")
	}
	if err := r.unusable(v, p, now); err != nil {
		return r, v, err
	}
	typed, malformed := v.read(req.Code)
	if malformed != nil {
		return old, v, malformed
	}
	if req.Addresses != nil && r.moved(v, req.Addresses) {
		return r.cancelMoved(v, now)
	}
	if err := r.mayTry(&v, p, now); err != nil {
		return r, v, err
	}
	if to := r.second(v); to != "" && (req.Reserved == nil || req.Reserved.Address != to) {
		return r, v, &NeedsReservationError{Address: to}
	}
	code, ok := v.Code(keys)
	if !ok {
		return r, v, &problem.Error{Kind: problem.Expired, Detail: "The secret that made this code is not in use any more. Start a new verification."}
	}

	right := equal(typed, code)
	right = sameTransaction(req.Transaction, v.Transaction) && right
	switch {
	case !right:
		replaced := r.isReplaced(v, typed, req.Transaction, keys, now)
		err := r.wrong(&v, req.Reserved, p, now)
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
	r.prefer(v, v.likelyChannel(), now)
	return r, v, nil
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
	if wait := r.lockedFor(p, now); wait > 0 {
		return tooManyFailures(wait, now)
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
func (r *Recipient) wrong(v *Verification, reserved *Reservation, p Policy, now time.Time) *problem.Error {
	v.Checks++
	r.Failures = window.Record(r.Failures, now)
	remaining := max(0, min(p.MaxChecks-v.Checks, p.MaxFailuresPerDay-len(r.Failures)))
	wait, detail := r.lockedFor(p, now), notRight
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
		return r.Latest(req.Purpose, req.User)
	}
	v, err := r.Find(req.ID)
	if err == nil && (req.Purpose != "" && req.Purpose != v.Purpose || req.User != "" && req.User != v.User) {
		return Verification{}, errNotFound()
	}
	return v, err
}
