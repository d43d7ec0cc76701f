package otp

import (
	"slices"
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// Idempotency is what makes a repeated request known: hashes of the key that
// its client gave it and of all that it asks for. The zero value is none.
type Idempotency struct {
	Key  [16]byte
	Body [16]byte
}

// Outcome is how the sending of a request ended.
type Outcome uint8

// The outcomes.
const (
	OutcomeSent Outcome = iota
	OutcomeInvalidAddress
	OutcomeUndeliverable
	OutcomeRefused
	OutcomeMisconfigured
	OutcomeUnavailable // the provider did not take the message
	OutcomeUnclear     // it may have
)

// Replay is what an answer said, for a client that repeats its request.
type Replay struct {
	Idempotency
	At                    time.Time
	ID                    ID
	Purpose               string
	Channel               string
	ExpiresAt             time.Time
	ResendAfter           time.Time
	SendsLeft, ChecksLeft int
	Outcome               Outcome
	RetryAfter            time.Duration // whole seconds
}

// maxReplays bounds what a row remembers. More answers than this in a day need
// limits far above the default ones; the oldest are forgotten first.
const maxReplays = 64

// Replayed returns what a request with that key was answered. It reports false
// for one that is new, and returns an IdempotencyConflict if the key was used
// for another request.
func (r Recipient) Replayed(i Idempotency) (Replay, bool, error) {
	for _, p := range r.Replays {
		switch {
		case i == (Idempotency{}) || p.Key != i.Key:
		case p.Body != i.Body:
			return Replay{}, false, &problem.Error{Kind: problem.IdempotencyConflict, Detail: "This Idempotency-Key came with another request within 24 hours. Use a new key for a new request."}
		default:
			return p, true, nil
		}
	}
	return Replay{}, false, nil
}

// remember keeps what the request is about to be answered.
func (r *Recipient) remember(i Idempotency, v Verification, p Policy, now time.Time) {
	if i == (Idempotency{}) {
		return
	}
	r.Replays = append(r.Replays, Replay{
		Idempotency: i, At: window.Stamp(now), ID: v.ID, Purpose: v.Purpose, Channel: v.Channel(), ExpiresAt: v.ExpiresAt,
		ResendAfter: r.ResendAfter(p), SendsLeft: r.SendsLeft(p, now), ChecksLeft: r.ChecksLeft(v, p),
	})
	if n := len(r.Replays) - maxReplays; n > 0 {
		r.Replays = append([]Replay(nil), r.Replays[n:]...)
	}
}

// Conclude changes what a request is remembered to have been answered, because
// its sending ended otherwise than begun. It does nothing for one without a key.
func Conclude(old Recipient, i Idempotency, v Verification, outcome Outcome, retryAfter time.Duration) Recipient {
	r := old.clone()
	for k := range r.Replays {
		if p := &r.Replays[k]; i != (Idempotency{}) && p.Idempotency == i {
			// Rounded up, as in every answer: who waits until then is not too soon.
			p.Channel, p.Outcome, p.RetryAfter = v.Channel(), outcome, (retryAfter + time.Second - 1).Truncate(time.Second)
		}
	}
	return r
}

// Forget drops what a request is remembered for, so that its repetition is
// judged anew: as where a limit refuses it before anything begins.
func Forget(old Recipient, i Idempotency) Recipient {
	r := old.clone()
	r.Replays = slices.DeleteFunc(r.Replays, func(p Replay) bool { return i != (Idempotency{}) && p.Idempotency == i })
	return r
}
