package otp

import (
	"fmt"
	"slices"
	"time"

	"twofa/internal/channel"
	"twofa/internal/deadline"
	"twofa/internal/problem"
	"twofa/internal/window"
)

// Idempotency identifies a repeated request: Key is a hash of its Idempotency-Key,
// Body one of all its contents. The zero Idempotency is none.
//
// Call is a hash of the Functions host's id of the call, zero if there is none. It is
// the same for all deliveries of one call, and differs if a client repeats a request.
type Idempotency struct {
	Key  [16]byte
	Body [16]byte
	Call [16]byte `json:",omitzero"`
}

// isOf reports whether p answered a request with the same key and contents.
func (i Idempotency) isOf(p Replay) bool { return i.Key == p.Key && i.Body == p.Body }

// Outcome is how the sending of a message, or of all messages of a request,
// ended.
type Outcome uint8

// The outcomes. Rows hold their numbers: append only.
const (
	// OutcomeSent: a provider accepted the message.
	OutcomeSent Outcome = iota
	// OutcomeInvalidAddress: the provider says that there is no such address.
	OutcomeInvalidAddress
	// OutcomeUndeliverable: the channel does not reach this address; another one
	// may.
	OutcomeUndeliverable
	// OutcomeRefused: the provider blocks this destination (fraud, pumping). No
	// other channel may be tried.
	OutcomeRefused
	// OutcomeMisconfigured: the provider refuses the operator's settings.
	OutcomeMisconfigured
	// OutcomeUnavailable: the provider did not accept the message, after what is
	// safe to retry.
	OutcomeUnavailable
	// OutcomeUnclear: it is unknown whether the provider accepted the message.
	OutcomeUnclear
)

var outcomeNames = []string{"sent", "invalid_address", "undeliverable", "refused", "misconfigured", "unavailable", "unclear"}

// String names the outcome in logs.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// Replay is the answer to an earlier request. [Start] and [Resend] return it as
// their error for a repetition: nothing is sent, and the client gets the first
// answer again.
type Replay struct {
	Idempotency
	Caller                Caller
	At                    time.Time
	ID                    ID
	Purpose               string
	Channel               channel.Channel
	ExpiresAt             time.Time
	ResendAfter           time.Time
	SendsLeft, ChecksLeft int
	Outcome               Outcome
	RetryAfter            time.Duration // whole seconds
	// UnderWay is true until the sending has ended. If the process died before, it
	// stays true, and counts for MaxRequest only.
	UnderWay bool `json:",omitempty"`
}

// MaxRequest is longer than any start or resend can take: see package deadline.
const MaxRequest = deadline.UnderWay

// UnderWayError is the error of [Start] and [Resend] for another delivery of the
// Functions host's call that is under way: nothing is changed. Unlike a client's
// repetition, which is refused, the delivery has to wait and to ask again, because
// nobody repeats it. Left is how long the first delivery can still be under way.
type UnderWayError struct{ Left time.Duration }

// Error implements error.
func (*UnderWayError) Error() string { return "otp: another delivery of the call is under way" }

// Error implements error.
func (*Replay) Error() string { return "otp: the request is a repetition" }

// maxReplays bounds the answers that a recipient remembers for one caller. Only limits far
// above the defaults allow more in a day; the oldest are forgotten first.
const maxReplays = 64

// replayed returns a *Replay if the request is a repetition, an IdempotencyConflict
// if its key was used for another request or if the first request is under way, and
// else nil. If what is under way is another delivery of the same call, the error is an
// *UnderWayError. Beside a *Replay it returns the verification, zero if that is
// forgotten.
func (r Recipient) replayed(c Caller, i Idempotency, now time.Time) (Verification, error) {
	for _, p := range r.Replays {
		switch {
		case i == (Idempotency{}) || p.Key != i.Key || !p.Caller.is(c):
		case p.Body != i.Body:
			return Verification{}, &problem.Error{Kind: problem.IdempotencyConflict, Detail: "This Idempotency-Key came with another request within 24 hours. Use a new key for a new request."}
		case p.UnderWay && now.Sub(p.At) < MaxRequest && i.Call != [16]byte{} && i.Call == p.Call:
			return Verification{}, &UnderWayError{Left: min(MaxRequest, MaxRequest-now.Sub(p.At))} // another clock may be ahead
		case p.UnderWay && now.Sub(p.At) < MaxRequest:
			return Verification{}, &problem.Error{
				Kind: problem.IdempotencyConflict, RetryAfter: min(pollPause, MaxRequest-now.Sub(p.At)),
				Detail: "The first request with this Idempotency-Key is not finished. Repeat the request with the same key after the pause to get its answer.",
			}
		default:
			v, _ := r.Find(p.ID)
			return v, &p
		}
	}
	return Verification{}, nil
}

// remember keeps the answer to the request, which is under way if messages have to be
// sent, or if its outcome is yet to be stored: see [Conclude].
func (r *Recipient) remember(i Idempotency, v Verification, p Policy, now time.Time) {
	if i == (Idempotency{}) {
		return
	}
	r.Replays = append(r.Replays, Replay{
		Idempotency: i, Caller: v.Caller, At: window.Stamp(now), ID: v.ID, Purpose: v.Purpose, Channel: v.Channel(), ExpiresAt: v.ExpiresAt,
		ResendAfter: r.ResendAfter(v.Caller, p), SendsLeft: r.SendsLeft(v.Caller, p, now), ChecksLeft: r.ChecksLeft(v, p, now),
		UnderWay: v.TestCode == "" && !v.Inbound() || v.Status == Undeliverable,
	})
	n, own := 0, func(p Replay) bool { return p.Caller.is(v.Caller) }
	for _, p := range r.Replays {
		if own(p) {
			n++
		}
	}
	for ; n > maxReplays; n-- {
		oldest := slices.IndexFunc(r.Replays, own)
		r.Replays = slices.Delete(r.Replays, oldest, oldest+1)
	}
}

// remembered returns the answer to the caller's request, to be changed in place. nil:
// there is none, or the request has no key.
func (r *Recipient) remembered(c Caller, i Idempotency) *Replay {
	if i == (Idempotency{}) {
		return nil
	}
	for k := range r.Replays {
		if i.isOf(r.Replays[k]) && r.Replays[k].Caller.is(c) {
			return &r.Replays[k]
		}
	}
	return nil
}

// Continue puts the channel of the next message of a request into its remembered
// answer. The request stays under way.
func Continue(old Recipient, i Idempotency, v Verification) Recipient {
	r := old.clone()
	if p := r.remembered(v.Caller, i); p != nil {
		p.Channel = v.Channel()
	}
	return r
}

// Conclude puts the result of a request's sending into its remembered answer, and
// ends that the request is under way. It does nothing for a request without a key.
func Conclude(old Recipient, i Idempotency, v Verification, outcome Outcome, retryAfter time.Duration) Recipient {
	r := old.clone()
	if p := r.remembered(v.Caller, i); p != nil {
		// Rounded up, as in every answer: never tell a client to return too early.
		p.Channel, p.Outcome, p.RetryAfter = v.Channel(), outcome, (retryAfter + time.Second - 1).Truncate(time.Second)
		p.UnderWay = false
	}
	return r
}

// Forget drops the remembered answer of a request, so that its repetition counts as
// a new request: a limit refused the request before anything was sent.
func Forget(old Recipient, i Idempotency, v Verification) Recipient {
	r := old.clone()
	r.Replays = slices.DeleteFunc(r.Replays, func(p Replay) bool { return i != (Idempotency{}) && i.isOf(p) && p.Caller.is(v.Caller) })
	return r
}
