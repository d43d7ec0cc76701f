package otp

import (
	"fmt"
	"strings"
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// This file has the refusals whose answer has to say more than the kind: until when
// nothing helps, which other request would find the verification, and that a newer code
// was sent.

// lockedFor is how long the wrong codes of the address let nothing be sent or checked,
// 0 if they do. r has to be settled.
func (r Recipient) lockedFor(p Policy, now time.Time) time.Duration {
	return window.FullFor(r.Failures, p.MaxFailuresPerDay, window.Day, now)
}

// tooManyFailures is the refusal of a start and of a check while an address is locked.
func tooManyFailures(wait time.Duration, now time.Time) *problem.Error {
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
	err, wait := v.mayUse(), r.lockedFor(p, now)
	if err == nil || wait == 0 {
		return err
	}
	switch v.Status {
	case Exhausted:
		return tooManyFailures(wait, now)
	case Canceled, Expired:
		ended, _, _ := strings.Cut(err.Detail, ". ")
		err.RetryAfter, err.Detail = wait, ended+". There were too many wrong codes for this address within 24 hours. "+locked(wait, now)
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
		sameStart := old.ID != v.ID && old.Purpose == v.Purpose && old.User == v.User && sameTransaction(old.Transaction, v.Transaction)
		live := old.Status == Canceled && !old.Inbound() && old.TestCode == "" && now.Before(old.ExpiresAt) && !old.CreatedAt.After(v.CreatedAt)
		found = match && sameStart && live || found
	}
	return sameTransaction(t, v.Transaction) && found
}
