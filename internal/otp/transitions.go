package otp

import (
	"slices"
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// StartRequest asks for a new verification. Its fields have been checked.
type StartRequest struct {
	ID         ID
	Nonce      [16]byte // random
	Key        [4]byte  // the current secret
	Address    string   // E.164 or an e-mail address: whose row this is
	Purpose    string
	Context    Context
	Workflow   []string // one channel or more, each of them once; or ChannelInbound alone
	User       string
	Unverified bool
	Other      string
	Locale     string
	Idempotency
	Script Script
}

// Start makes a new verification and spends a send. A live one of the same
// purpose is canceled by it: a code belongs to the request that made it.
//
// The channel that last reached the person comes first in the workflow.
func Start(old Recipient, req StartRequest, p Policy, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	if r.Address != "" && r.Address != req.Address {
		return r, Verification{}, &problem.Error{Kind: problem.Internal, Detail: "This address cannot be used.", Err: errRowTaken}
	}
	r.Address = req.Address
	if err := r.maySend(p, now); err != nil && !req.Script.on() {
		return r, Verification{}, err
	}
	if wait, full := r.otherPurposes(req.Purpose, now); full {
		return r, Verification{}, &problem.Error{
			Kind: problem.TooManySends, RetryAfter: wait,
			Detail: "This address has verifications pending for 4 other purposes. Finish or cancel one of them.",
		}
	}
	for i := range r.Verifications {
		if v := &r.Verifications[i]; v.Status == Pending && v.Purpose == req.Purpose {
			v.Status, v.EndedAt = Canceled, window.Stamp(now)
		}
	}
	v := Verification{
		ID: req.ID, Purpose: req.Purpose, User: req.User, Unverified: req.Unverified, Other: req.Other,
		Locale: req.Locale, Workflow: r.bestFirst(req.Workflow), Context: req.Context,
		Nonce: req.Nonce, Key: req.Key, Shape: p.Shape,
		Status: Pending, CreatedAt: window.Stamp(now),
		// Rounded down, so that the time a client reads is the exact one.
		ExpiresAt: now.UTC().Add(p.TTL).Truncate(time.Second),
	}
	if req.Script.on() {
		req.Script.play(&v, p, now)
	} else {
		if !v.Inbound() {
			v.attempt(v.Workflow[0], now)
		}
		// An inbound one spends a send, too: its start cancels the code that
		// the person may hold, and so may not be had without limit.
		r.Sends = window.Record(r.Sends, now)
	}
	r.Verifications = append(r.Verifications, v)
	r.forgetEnded()
	r.remember(req.Idempotency, v, p, now)
	return r, v, nil
}

// otherPurposes reports whether MaxLive verifications of other purposes are
// pending, and how long until the first of them ends.
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

// maySend returns an error unless the address may be sent one more message. Of
// the rules that refuse it, the one that does so for longest is told: after its
// RetryAfter, all of them are over.
func (r Recipient) maySend(p Policy, now time.Time) *problem.Error {
	return longest(append(r.sendRules(p, now), &problem.Error{
		Kind: problem.ResendTooSoon, RetryAfter: window.FullFor(r.Sends, 1, p.ResendAfter, now),
		Detail: "A message went to this address a moment ago. Give it time to arrive.",
	}))
}

// mayFollow returns an error unless another message may follow one that failed.
// The pause is for messages that may still arrive.
func (r Recipient) mayFollow(p Policy, now time.Time) *problem.Error {
	return longest(r.sendRules(p, now))
}

func (r Recipient) sendRules(p Policy, now time.Time) []*problem.Error {
	return []*problem.Error{
		tooManyFailures(window.FullFor(r.Failures, p.MaxFailuresPerDay, window.Day, now)), // a code that cannot be checked is not sent
		{
			Kind: problem.TooManySends, RetryAfter: window.FullFor(r.Sends, p.MaxSendsPerDay, window.Day, now),
			Detail: "This address has had its messages for 24 hours.",
		},
		{
			Kind: problem.TooManySends, RetryAfter: window.FullFor(r.Sends, p.MaxSends, SendWindow, now),
			Detail: "This address has had its messages for 10 minutes.",
		},
		{
			Kind: problem.DestinationRefused, RetryAfter: max(0, r.BlockedUntil.Sub(now)),
			Detail: "The provider blocked the last message to this address as fraud. It is left alone for a while.",
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

func tooManyFailures(wait time.Duration) *problem.Error {
	return &problem.Error{
		Kind: problem.TooManyChecks, RetryAfter: wait, ChecksLeft: left(0),
		Detail: "Too many wrong codes for this address within 24 hours. A new code does not help before they are over.",
	}
}

// ResendRequest asks for the code once more.
type ResendRequest struct {
	ID ID
	// Channel may be any that the service has for the address; ChannelNext is the
	// next of the workflow, and "" the one of the last message unless that failed.
	Channel string
	Idempotency
}

// Resend spends another send on a pending verification. The code stays the
// same, and so does its expiry; so one with less than MinResendLeft is refused.
func Resend(old Recipient, req ResendRequest, p Policy, now time.Time) (Recipient, Verification, error) {
	r, v, err := pending(old, req.ID, now)
	if err != nil {
		return r, v, err
	}
	if v.ExpiresAt.Sub(now) < MinResendLeft {
		return r, v, &problem.Error{Kind: problem.Expired, Detail: "The code is about to expire. Start a new verification."}
	}
	channel, refused := v.resendChannel(req.Channel)
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
	v.attempt(channel, now)
	if v.TestCode != "" {
		v.Attempts[len(v.Attempts)-1].Status = Delivered
	} else {
		r.Sends = window.Record(r.Sends, now)
	}
	r.put(v)
	r.remember(req.Idempotency, v, p, now)
	return r, v, nil
}

// Cancel ends a pending verification on the client's behalf. Canceling one that
// is canceled is no error: the answer may have been lost.
func Cancel(old Recipient, id ID, now time.Time) (Recipient, Verification, error) {
	r, v, err := end(old, id, Canceled, now)
	if v.Status == Canceled {
		return r, v, nil
	}
	return r, v, err
}

// CancelUser ends what is pending for a user: the address is not theirs any more.
func CancelUser(old Recipient, user string, now time.Time) Recipient {
	r := old.Settle(now)
	for i := range r.Verifications {
		if v := &r.Verifications[i]; v.Status == Pending && v.User == user {
			v.Status, v.EndedAt = Canceled, window.Stamp(now)
		}
	}
	return r
}

// Forgotten is what is left of a recipient when a person is erased: no address and
// nothing that was said, but the times that the limits need for a day. Otherwise
// an erasure would give new tries to whoever guesses, and new messages to whoever
// bothers somebody.
func (r Recipient) Forgotten() Recipient {
	return Recipient{Sends: r.Sends, Failures: r.Failures, AlertedAt: r.AlertedAt, BlockedUntil: r.BlockedUntil}
}

func end(old Recipient, id ID, status Status, now time.Time) (Recipient, Verification, error) {
	r, v, err := pending(old, id, now)
	if err != nil {
		return r, v, err
	}
	v.Status, v.EndedAt = status, window.Stamp(now)
	r.put(v)
	return r, v, nil
}

// pending settles the recipient and finds a verification that is still usable.
func pending(old Recipient, id ID, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	v, err := r.Find(id)
	if err != nil {
		return r, v, err
	}
	if err := v.live(); err != nil {
		return r, v, err
	}
	return r, v, nil
}

// CheckRequest asks whether a code is right.
type CheckRequest struct {
	// ID names the verification; "" means the newest one of Purpose.
	ID ID
	// Purpose and Address have to be the verification's own where they are
	// given: a code for signing in pays nothing.
	Purpose string
	Address string
	// User has to be whom it was started for: a verification of a user is not
	// found by the address alone, nor one of an address by its user.
	User string
	// Code is as ReadCode returned it.
	Code    string
	Context Context
}

// Check spends one check, and approves the verification if the code and the
// context are right. Which of the two was wrong is not told.
func Check(old Recipient, req CheckRequest, keys Keys, p Policy, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	v, err := r.choose(req)
	if err != nil {
		return r, v, err
	}
	if v.Inbound() {
		return r, v, problem.Invalid("code", "This verification is approved by the person's own message. Give its id without a code.")
	}
	if err := v.live(); err != nil {
		return r, v, err
	}
	if wait := window.FullFor(r.Failures, p.MaxFailuresPerDay, window.Day, now); wait > 0 {
		return r, v, tooManyFailures(wait)
	}
	if v.Checks >= p.MaxChecks { // the operator lowered the limit meanwhile
		v.Status, v.EndedAt = Exhausted, window.Stamp(now)
		r.put(v)
		return r, v, v.live()
	}
	code, ok := v.Code(keys)
	if !ok {
		return r, v, &problem.Error{Kind: problem.Expired, Detail: "The secret that made this code was taken out of service. Start a new verification."}
	}

	v.Checks++
	right := equal(req.Code, code)
	right = equal(req.Context.Amount, v.Context.Amount) && right
	right = equal(req.Context.Payee, v.Context.Payee) && right
	if right {
		v.Status, v.EndedAt = Approved, window.Stamp(now)
		r.put(v)
		r.worked(v, v.arrivedBy(), now)
		return r, v, nil
	}
	r.Failures = window.Record(r.Failures, now)
	remaining := r.ChecksLeft(v, p)
	if v.Checks >= p.MaxChecks {
		v.Status, v.EndedAt = Exhausted, window.Stamp(now)
	}
	r.put(v)
	alert := r.alert(v, remaining, now)
	return r, v, &problem.Error{Kind: problem.WrongCode, ChecksLeft: &remaining, Alerted: alert, Detail: "The code is not right."}
}

// alert reports whether the person is to be warned, because this wrong code was
// the last that the verification or the address's day could take, and notes it.
// An address that the provider blocks is sent nothing, no warning either.
func (r *Recipient) alert(v Verification, remaining int, now time.Time) bool {
	if remaining > 0 || !r.AlertedAt.IsZero() || !r.BlockedUntil.IsZero() || v.TestCode != "" {
		return false
	}
	r.AlertedAt = window.Stamp(now)
	return true
}

// choose finds the verification that a check means.
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
