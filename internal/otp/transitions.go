package otp

import (
	"slices"
	"time"

	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/internal/window"
)

// StartRequest asks for a new verification. Its fields have been checked.
type StartRequest struct {
	ID ID
	Caller
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
	Browser  Browser // for OriginKnown
	// Down are providers that now fail for everybody.
	Down []string
	// Silent: nothing will be sent, so it does not matter what the provider said of earlier messages.
	Silent bool
}

// Start makes a new verification and spends a send. It cancels a pending one of the
// same caller and purpose: only the newest code of a purpose is valid.
//
// The preferred channel comes first in the workflow. For a repetition, Start returns
// old itself, which needs no write, the first request's verification (zero if it is
// forgotten) and a [*Replay] as the error.
func Start(old Recipient, req StartRequest, p Policy, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	if v, err := r.replayed(req.Caller, req.Idempotency, now); err != nil {
		return old, v, err
	}
	if err := r.mayHold(req.Address); err != nil {
		return r, Verification{}, err
	}
	if req.Origin == OriginKnown && !r.knows(req.Browser, now) {
		return old, Verification{}, ErrNotKnown
	}
	r.Address = req.Address
	if err := r.unblocked(req.Silent).maySend(req.Caller, p, now); err != nil && !req.Scenario.set() {
		return r, Verification{}, err
	}
	if wait, full := r.otherPurposes(req.Caller, req.Purpose, now); full {
		return r, Verification{}, &problem.Error{
			Kind: problem.TooManySends, RetryAfter: wait,
			Detail: "This address has verifications pending for 4 other purposes. Finish or cancel one of them.",
		}
	}
	r.endPending(Canceled, now, func(v Verification) bool { return v.same(req.Caller) && v.Purpose == req.Purpose })
	v := Verification{
		ID: req.ID, Caller: req.Caller, Purpose: req.Purpose, User: req.User, Unverified: req.Unverified, Other: req.Other,
		Locale: req.Locale, Workflow: r.preferredFirst(req.Client, req.Workflow), Transaction: req.Transaction,
		Nonce: req.Nonce, Key: req.Key, Shape: p.Shape,
		Status: Pending, CreatedAt: window.Stamp(now),
		// Rounded down to whole seconds, which is what a client is told.
		ExpiresAt: now.UTC().Add(p.TTL).Truncate(time.Second),
	}
	if req.Scenario.set() {
		req.Scenario.play(&v, p, now)
	} else {
		if !v.Inbound() {
			v.attempt(r.first(req.Client, v.Workflow[0], p.Routes, req.Down), now)
		}
		// An inbound one spends a send, too: each start cancels the code that the
		// person may have, so the number of starts has to be limited.
		r.countSend(req.Caller, now)
	}
	r.Verifications = append(r.Verifications, v)
	r.forgetEnded(req.Caller, now)
	r.remember(req.Idempotency, v, p, now)
	if wait, fits := r.makeRoom(v.ID, now); !fits {
		return old.Settle(now), Verification{}, errNoRoom(wait)
	}
	return r, v, nil
}

// countSend counts a message of the caller.
func (r *Recipient) countSend(c Caller, now time.Time) {
	t := r.tally(c)
	t.Sends = window.Record(t.Sends, now)
}

// countFailure counts a wrong code of the caller, and returns its time as it is kept.
func (r *Recipient) countFailure(c Caller, now time.Time) time.Time {
	t := r.tally(c)
	t.Failures = window.Record(t.Failures, now)
	return t.Failures[len(t.Failures)-1]
}

// otherPurposes reports whether MaxLive verifications of the caller's other purposes are
// pending, and how long until the first of them expires.
func (r Recipient) otherPurposes(c Caller, purpose string, now time.Time) (wait time.Duration, full bool) {
	wait, n := r.firstExpiry(now, func(v Verification) bool { return v.same(c) && v.Purpose != purpose })
	return wait, n >= MaxLive
}

// firstExpiry is how long until the first of the pending verifications that match expires,
// and how many there are.
func (r Recipient) firstExpiry(now time.Time, match func(Verification) bool) (wait time.Duration, n int) {
	for _, v := range r.Verifications {
		if v.Status == Pending && match(v) {
			if left := v.ExpiresAt.Sub(now); n == 0 || left < wait {
				wait = left
			}
			n++
		}
	}
	return wait, n
}

// forgetEnded drops the caller's oldest ended verifications beyond maxKept. It keeps an
// approval that may still be fetched.
func (r *Recipient) forgetEnded(c Caller, now time.Time) {
	for n := r.kept(c); n > maxKept; n-- {
		i := slices.IndexFunc(r.Verifications, func(v Verification) bool { return v.is(c) && v.mayForget(now) })
		if i < 0 {
			return
		}
		r.Verifications = slices.Delete(r.Verifications, i, i+1)
	}
}

// kept is how many verifications of the caller are kept.
func (r Recipient) kept(c Caller) (n int) {
	for _, v := range r.Verifications {
		if v.is(c) {
			n++
		}
	}
	return n
}

// mayForget reports whether v has ended, and nobody can fetch its approval any more.
func (v Verification) mayForget(now time.Time) bool {
	waits := v.Inbound() && v.Status == Approved && !v.Claimed && now.Before(v.ExpiresAt)
	return v.Status != Pending && !waits
}

// maySend returns an error unless the caller may send one more message to the address.
// The error is that of the rule that refuses it for the longest time: after its
// RetryAfter no rule refuses it.
func (r Recipient) maySend(c Caller, p Policy, now time.Time) *problem.Error {
	return r.refusal(c, now, func(t time.Time) []*problem.Error {
		return append(r.sendRules(c, p, t), r.countingRule(c, p, t), &problem.Error{
			Kind: problem.ResendTooSoon, RetryAfter: window.FullFor(r.events(sendsOf, c.own), 1, p.ResendAfter, t),
			Detail: "A message went to this address a moment ago. Give it time to arrive.",
		})
	})
}

// mayFollow is maySend for a message that follows a failed one: the pause does not
// hold, because it is for messages that may still arrive. If the failed one was never
// accepted (unsent), no send is spent, and the limits on their number do not hold.
func (r Recipient) mayFollow(c Caller, unsent bool, p Policy, now time.Time) *problem.Error {
	return r.refusal(c, now, func(t time.Time) []*problem.Error {
		rules := r.sendRules(c, p, t)
		if !unsent {
			rules = append(rules, r.countingRule(c, p, t))
		}
		return rules
	})
}

// countingRule is the rule on the number of messages.
func (r Recipient) countingRule(c Caller, p Policy, now time.Time) *problem.Error {
	a, wait := r.longestFull(sendsOf, r.sendLimits(c, p), now)
	e := &problem.Error{Kind: problem.TooManySends, RetryAfter: wait}
	switch {
	case wait == 0:
	case a.unknown:
		e.Detail = "Requests without a client_ip that can be read count as one network, which has 2 messages a day to one address that a person typed. Give the person's address as client_ip."
		e.Err = r.usedBy(sendsOf, a, now)
	case a.shared:
		e.Detail = "This address has had too many messages for now; not only this client's count."
		e.Err = r.usedBy(sendsOf, a, now)
	case a.window == SendWindow:
		e.Detail = "This address has reached its limit of messages in 10 minutes."
	default:
		e.Detail = "This address has reached its limit of messages in 24 hours."
	}
	return e
}

// sendRules are the rules that no count of messages is for.
func (r Recipient) sendRules(c Caller, p Policy, now time.Time) []*problem.Error {
	return []*problem.Error{
		r.tooManyFailures(c, p, now), // a code that cannot be checked is not sent
		{
			Kind: problem.DestinationRefused, RetryAfter: max(0, r.BlockedUntil.Sub(now)),
			Detail: "The provider blocked the last message to this address as fraud. Nothing is sent to it for a while.",
		},
	}
}

// ResendRequest asks for the code once more.
type ResendRequest struct {
	ID     ID
	Owner         // has to be the one that started it
	Origin Origin // has to be that of the start, unless AnyOrigin
	// AnyOrigin finds a verification of the client whatever its origin is.
	AnyOrigin bool
	// Channel may be any channel of the service that fits the address, or
	// channel.Next: the next one of the workflow. "": the channel of the last
	// message, or the next one if that failed.
	Channel channel.Channel
	// Down are providers that now fail for everybody.
	Down []string
	// Silent: nothing will be sent. See Silent of [StartRequest] and [Verification.Conceal].
	Silent bool
	Idempotency
}

// Resend spends another send on a pending verification. The code and its expiry
// stay the same, so that a code with less than MinResendLeft is refused. For a
// repetition, Resend returns what [Start] does.
func Resend(old Recipient, req ResendRequest, p Policy, now time.Time) (Recipient, Verification, error) {
	settled := old.Settle(now)
	if caller, known := settled.callerOf(req.Owner, req.ID); known {
		if v, err := settled.replayed(caller, req.Idempotency, now); err != nil {
			return old, v, err
		}
	}
	r, v, err := pending(old, req.Owner, req.ID, now)
	reveal := func(*Verification) {}
	if req.Silent && v.ID != "" {
		var hidden bool
		if hidden, reveal = v.Conceal(now); hidden {
			err = nil
			if ended := v.mayUse(); ended != nil {
				err = ended
			}
		}
	}
	if v.ID != "" && !req.AnyOrigin && v.Origin != req.Origin {
		return r, Verification{}, errNotFound()
	}
	if err != nil {
		if refused := r.unusable(v, p, now); v.ID != "" && refused != nil {
			err = refused
		}
		return r, v, err
	}
	if v.ExpiresAt.Sub(now) < MinResendLeft {
		return r, v, &problem.Error{Kind: problem.Expired, Detail: "The code is about to expire. Start a new verification."}
	}
	by, refused := r.resendRoute(v, req.Channel, p.Routes, req.Down)
	if refused != nil {
		return r, v, refused
	}
	limit := r.unblocked(req.Silent).maySend(v.Caller, p, now)
	if v.TestCode != "" {
		limit = v.mayPlay(now)
	}
	if limit != nil {
		return r, v, limit
	}
	before := v
	v.attempt(by, now)
	if v.TestCode != "" {
		v.Attempts[len(v.Attempts)-1].Status = Delivered
	} else {
		r.countSend(v.Caller, now)
	}
	reveal(&v)
	r.put(v)
	r.remember(req.Idempotency, v, p, now)
	if wait, fits := r.makeRoom(v.ID, now); !fits {
		return settled, before, errNoRoom(wait)
	}
	return r, v, nil
}

// unblocked is the recipient for a message that is not sent: what the provider said of earlier ones
// does not count.
func (r Recipient) unblocked(silent bool) Recipient {
	if silent {
		r.BlockedUntil = time.Time{}
	}
	return r
}

// Conceal makes a verification of SignInPurpose that ended because its message could not be delivered, or
// because the person denied it, as it would be if no message had been sent. hidden is true if it did. reveal
// takes that back, unless the verification has ended since in another way.
func (v *Verification) Conceal(now time.Time) (hidden bool, reveal func(*Verification)) {
	status, at := v.Status, v.EndedAt
	if v.Purpose != SignInPurpose || status != Undeliverable && status != Denied {
		return false, func(*Verification) {}
	}
	if v.Status, v.EndedAt = Pending, (time.Time{}); !now.Before(v.ExpiresAt) {
		v.Status, v.EndedAt = Expired, v.ExpiresAt
	}
	return true, func(v *Verification) {
		if v.Status == Pending {
			v.Status, v.EndedAt = status, at
		}
	}
}

// callerOf returns the caller of an owner's verification, also of one that only an answer
// which is kept for repetitions names.
func (r Recipient) callerOf(o Owner, id ID) (Caller, bool) {
	if v, err := r.FindOf(o, id); err == nil {
		return v.Caller, true
	}
	for _, p := range r.Replays {
		if p.ID == id && p.Caller.Owner() == o {
			return p.Caller, true
		}
	}
	return Caller{}, false
}

// Cancel ends a pending verification for its owner. Canceling one that is
// canceled is no error: the first answer may have been lost.
func Cancel(old Recipient, o Owner, id ID, now time.Time) (Recipient, Verification, error) {
	r, v, err := pending(old, o, id, now)
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

// Forgotten is what is left of a recipient after an erasure for the clients that belong
// to it: what other clients keep, with the address, the times that the limits need for a
// day, and the hashes of the person's last messages. Without the latter an erasure would
// give new tries to an attacker who guesses codes, new messages to one who floods an
// address, and a second effect to a repeated message. Browsers that knew the address are
// forgotten.
func (r Recipient) Forgotten(belongs func(client string) bool, now time.Time) Recipient {
	r = r.clone()
	r.Verifications = slices.DeleteFunc(r.Verifications, func(v Verification) bool { return belongs(v.Client) })
	r.Replays = slices.DeleteFunc(r.Replays, func(p Replay) bool { return belongs(p.Caller.Client) })
	r.Preferred = slices.DeleteFunc(r.Preferred, func(p Preferred) bool { return belongs(p.Client) })
	if len(r.Verifications)+len(r.Replays)+len(r.Preferred) == 0 {
		r.Address = ""
	}
	r.renewEpoch(now)
	return r
}

// Kept reports whether an erasure for the clients that belong to it changes nothing: all
// that is kept is of other clients. See Forgotten.
func (r Recipient) Kept(belongs func(client string) bool) bool {
	var clients []string
	for _, v := range r.Verifications {
		clients = append(clients, v.Client)
	}
	for _, p := range r.Replays {
		clients = append(clients, p.Caller.Client)
	}
	for _, p := range r.Preferred {
		clients = append(clients, p.Client)
	}
	return len(clients) > 0 && r.KnownAt.IsZero() && !slices.ContainsFunc(clients, belongs)
}

// pending settles the recipient and finds a pending verification of the owner.
func pending(old Recipient, o Owner, id ID, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	v, err := r.FindOf(o, id)
	if err != nil {
		return r, v, err
	}
	if err := v.mayUse(); err != nil {
		return r, v, err // not the nil *problem.Error, which would be an error
	}
	return r, v, nil
}
