package otp

import (
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// Notices and alerts have a limit of their own. They never count as messages with a
// code, so that nobody can keep codes from a person by causing notices.

// MaxNoticesPerDay is how many notices and alerts go to one address within
// window.Day.
const MaxNoticesPerDay = 10

// NotifyOnce is Notify for a call of the Functions host ([Idempotency].Call), of which
// all deliveries count once. Zero: every notice counts.
func NotifyOnce(old Recipient, address string, call [16]byte, now time.Time) (Recipient, error) {
	if r := old.Settle(now); call != [16]byte{} && call == r.NoticeCall && r.mayHold(address) == nil {
		return r, nil // counted, and kept also if the address was erased meanwhile
	}
	r, err := Notify(old, address, now)
	if err == nil {
		r.NoticeCall = call
	}
	return r, err
}

// Notify counts a notice to the address. The error is of kind TooManyChanges if the
// address has had MaxNoticesPerDay notices and alerts within window.Day.
func Notify(old Recipient, address string, now time.Time) (Recipient, error) {
	r := old.Settle(now)
	if err := r.mayHold(address); err != nil {
		return r, err
	}
	if wait := window.FullFor(r.Notices, MaxNoticesPerDay, window.Day, now); wait > 0 {
		return r, &problem.Error{
			Kind: problem.TooManyChanges, RetryAfter: wait,
			Detail: "This person's address has reached its limit of notices in 24 hours, and no change is made without a notice.",
		}
	}
	r.Address = address
	r.Notices = window.Record(r.Notices, now)
	return r, nil
}

// AlertUsed counts an alert that a recovery code was used, as Notify does. The error
// is of kind DestinationRefused if the provider blocks the address for fraud.
func AlertUsed(old Recipient, address string, now time.Time) (Recipient, error) {
	r := old.Settle(now)
	if wait := r.BlockedUntil.Sub(now); wait > 0 {
		return r, &problem.Error{Kind: problem.DestinationRefused, RetryAfter: wait, Detail: "The provider blocks this address as fraud."}
	}
	return Notify(r, address, now)
}

// Alert counts an alert of the caller's wrong codes. Errors are those of AlertUsed, and of
// kind TooManyChanges if the caller's wrong codes were alerted within AlertPause.
func Alert(old Recipient, address string, c Caller, now time.Time) (Recipient, error) {
	r := old.Settle(now)
	if last := r.alertedAt(c); !last.IsZero() {
		return r, &problem.Error{
			Kind: problem.TooManyChanges, RetryAfter: last.Add(AlertPause).Sub(now),
			Detail: "This address had an alert of wrong codes within the last hour.",
		}
	}
	r, err := AlertUsed(r, address, now)
	if err == nil {
		r.tally(c).AlertedAt = window.Stamp(now)
	}
	return r, err
}
