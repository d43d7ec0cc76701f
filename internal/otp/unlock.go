package otp

import (
	"fmt"
	"slices"
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// Unlock is one allowance more: see AddUnlock.
type Unlock struct {
	At   time.Time
	Call [16]byte `json:",omitzero"` // of Idempotency.Call, zero if unknown
}

// unlocked is the caller whose tally has the unlocks of this one: the client for its server, else nobody
// of the same origin, because all clients share those limits.
func (c Caller) unlocked() Caller {
	if c.Origin == OriginServer {
		return Caller{Client: c.Client}
	}
	return Caller{Origin: c.Origin}
}

// unlocksOf returns the allowances that a caller has in addition.
func (r Recipient) unlocksOf(c Caller) []Unlock { return r.Tally(c.unlocked()).Unlocks }

// untilAllowed is how long a caller is refused what the rules refuse for wait from now on.
// again is how long they refuse it at a later time: an unlock may end meanwhile, so that a
// rule that allowed it at first does not any more.
func (r Recipient) untilAllowed(c Caller, wait time.Duration, now time.Time, again func(t time.Time) time.Duration) time.Duration {
	if len(r.unlocksOf(c)) == 0 {
		return wait
	}
	for more := wait; more > 0; wait += more {
		more = again(now.Add(wait))
	}
	return wait
}

// AddUnlock gives a caller one allowance more of wrong codes and messages at an address for
// window.Day: a client's server, or with OriginTyped, as only the operator can, all who type
// the address. It deletes no event, and the limits that all callers share stay, as does that of a
// Network. All browsers that knew the address are forgotten. A call of the Functions host
// ([Idempotency].Call) counts once. left is how many more the caller has, if nobody else
// unlocks the address.
//
// The error is of kind TooManyChanges if the address had MaxUnlocksPerDay of all callers.
func AddUnlock(old Recipient, address string, c Caller, call [16]byte, now time.Time) (r Recipient, left int, err error) {
	r = old.Settle(now)
	if err := r.mayHold(address); err != nil {
		return r, 0, err
	}
	for _, t := range r.Tallies {
		if call != [16]byte{} && slices.ContainsFunc(t.Unlocks, func(u Unlock) bool { return u.Call == call }) {
			return r, r.unlocksLeft(c), nil
		}
	}
	all := allowance{counts: total, most: MaxUnlocksPerDay, window: window.Day}
	if wait := all.fullFor(r.events(unlocksAt, all.counts), now); wait > 0 {
		return r, 0, &problem.Error{
			Kind: problem.TooManyChanges, RetryAfter: wait, Err: r.usedBy(unlocksAt, all, now),
			Detail: fmt.Sprintf("This address was unlocked %d times within 24 hours. Nothing was changed.", MaxUnlocksPerDay),
		}
	}
	r.Address = address
	t := r.tally(c.unlocked())
	t.Unlocks = append(t.Unlocks, Unlock{At: window.Stamp(now), Call: call})
	r.renewEpoch(now)
	return r, r.unlocksLeft(c), nil
}

// unlocksLeft is how many more unlocks the caller has, as if no other caller existed.
func (r Recipient) unlocksLeft(c Caller) int { return MaxUnlocksPerDay - len(r.unlocksOf(c)) }

// renewEpoch makes all known browsers unknown.
func (r *Recipient) renewEpoch(now time.Time) {
	if !r.KnownAt.IsZero() {
		r.Epoch, r.Suspects = window.Later(window.Stamp(now), r.Epoch.Add(time.Millisecond)), nil
	}
}

// unlocksAt returns the times of the unlocks.
func unlocksAt(t Tally) (at []time.Time) {
	for _, u := range t.Unlocks {
		at = append(at, u.At)
	}
	return at
}
