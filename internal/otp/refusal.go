package otp

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"twofa/internal/problem"
)

// This file has the refusals whose answer has to say more than the kind: until when
// nothing helps, which other request would find the verification, and that a newer code
// was sent.

// refusal is the refusal of the rule that refuses for the longest time, nil if none does.
// Its RetryAfter is when no rule refuses any more. rules are those at a time.
func (r Recipient) refusal(c Caller, now time.Time, rules func(t time.Time) []*problem.Error) *problem.Error {
	most := longest(rules(now))
	if most == nil {
		return nil
	}
	most.RetryAfter = r.untilAllowed(c, most.RetryAfter, now, func(t time.Time) time.Duration {
		if again := longest(rules(t)); again != nil {
			return again.RetryAfter
		}
		return 0
	})
	return most
}

func longest(rules []*problem.Error) *problem.Error {
	var most *problem.Error
	for _, rule := range rules {
		if rule != nil && rule.RetryAfter > 0 && (most == nil || rule.RetryAfter > most.RetryAfter) {
			most = rule
		}
	}
	return most
}

// lockedFor is how long wrong codes let nothing be sent or checked for a caller, 0 if
// they do. r has to be settled.
func (r Recipient) lockedFor(c Caller, p Policy, now time.Time) (allowance, time.Duration) {
	limits := r.failureLimits(c, p)
	a, wait := r.longestFull(failuresOf, limits, now)
	return a, r.untilAllowed(c, wait, now, func(t time.Time) time.Duration {
		_, more := r.longestFull(failuresOf, limits, t)
		return more
	})
}

// lockedByOwn is lockedFor as if no other caller existed.
func (r Recipient) lockedByOwn(c Caller, p Policy, now time.Time) time.Duration {
	r.Tallies = slices.Clone(r.Tallies)
	for i, t := range r.Tallies {
		if !c.own(t) {
			r.Tallies[i] = Tally{Caller: t.Caller, Unlocks: t.Unlocks} // perhaps one for all who type the address
		}
	}
	_, wait := r.lockedFor(c, p, now)
	return wait
}

// tooManyFailures is the refusal of a start and of a check while an address is locked
// for the caller, nil if it is not. It shows no counter that other callers changed.
func (r Recipient) tooManyFailures(c Caller, p Policy, now time.Time) *problem.Error {
	a, wait := r.lockedFor(c, p, now)
	switch {
	case wait == 0:
		return nil
	case a.shared:
		return &problem.Error{
			Kind: problem.TooManyChecks, RetryAfter: wait, Err: r.usedBy(failuresOf, a, now),
			Detail: "There were too many wrong codes for this address within 24 hours; not only this client's count. " + locked(wait, now),
		}
	}
	return &problem.Error{
		Kind: problem.TooManyChecks, RetryAfter: wait, ChecksLeft: left(0),
		Detail: "There were too many wrong codes for this address within 24 hours. " + locked(wait, now),
	}
}

// locked says until when an address is locked, in whole seconds, rounded up.
func locked(wait time.Duration, now time.Time) string {
	until := now.Add(wait + time.Second - 1).UTC().Truncate(time.Second)
	return fmt.Sprintf("No code is checked for it or sent to it until %s; a new code does not end the wait.", until.Format(time.RFC3339))
}

// unusable returns an error unless v is pending. It does not advise a new start while
// the address is locked, which would refuse it.
func (r Recipient) unusable(v Verification, p Policy, now time.Time) *problem.Error {
	err, lock := v.mayUse(), r.tooManyFailures(v.Caller, p, now)
	if err == nil || lock == nil {
		return err
	}
	switch v.Status {
	case Exhausted:
		return lock
	case Canceled, Expired:
		ended, _, _ := strings.Cut(err.Detail, ". ")
		err.RetryAfter, err.Detail = lock.RetryAfter, ended+". "+lock.Detail
	}
	return err
}

// hiddenBy returns a NotFound error if a check finds own, the newest verification of
// its purpose and user (zero: none), although newer, the newest of the purpose, was
// started in the other way: own is an older sign-in, whose end would mislead. A
// canceled one says itself that a newer start replaced it.
func hiddenBy(newer, own Verification) *problem.Error {
	if newer.ID == "" || own.Status == Pending || own.Status == Canceled {
		return nil
	}
	if newer.User == "" {
		return &problem.Error{Kind: problem.NotFound, Detail: "There is no newer verification of this user: the newest one of the address and purpose was started without the user. Check it by to or by id."}
	}
	return &problem.Error{Kind: problem.NotFound, Detail: "There is no such verification by to: the newest one of this address and purpose was started for a user. Check it by user or by id."}
}

// isReplaced reports whether a wrong code is that of an earlier message, which a start
// for the same purpose, user and transaction has replaced by v, and which would not have
// expired. Such a code is of no use to anybody. It always compares the codes of all
// verifications of the recipient, so that the time it takes does not tell which matched.
func (r Recipient) isReplaced(v Verification, code string, t Transaction, keys Keys, now time.Time) bool {
	found := false
	for _, old := range r.Verifications {
		want, ok := old.Code(keys)
		match := equal(code, want) && ok
		sameStart := old.ID != v.ID && old.same(v.Caller) && old.Purpose == v.Purpose && old.User == v.User && sameTransaction(old.Transaction, v.Transaction)
		live := old.Status == Canceled && !old.Inbound() && old.TestCode == "" && now.Before(old.ExpiresAt) && !old.CreatedAt.After(v.CreatedAt)
		found = match && sameStart && live || found
	}
	return sameTransaction(t, v.Transaction) && found
}
