package otp

import (
	"slices"
	"time"

	"twofa/internal/window"
)

// A verification lies in one row, but its code may have gone to the person's second
// address, whose limits are in a row of its own. So one wrong code is reserved there
// before a code is compared, and given back if the code was right.

// NeedsReservationError is returned by [Check] if the code went to a second address
// too: a wrong code has to be reserved there by [Reserve] first.
type NeedsReservationError struct{ Address string }

// Error implements error.
func (*NeedsReservationError) Error() string {
	return "otp: a wrong code has to be reserved for the second address"
}

// second is the second address of v if a message went there that did not fail, else
// "".
func (r Recipient) second(v Verification) string {
	for _, a := range v.Attempts {
		if to := r.AddressFor(v, a.Channel); a.Status != Failed && to != r.Address {
			return to
		}
	}
	return ""
}

// Reservation is a wrong code that is counted in the row of an address before a code
// is compared.
type Reservation struct {
	Address string
	At      time.Time // as it stands in Recipient.Failures
	Left    int       // how many more wrong codes the address allows on this day
	// Wait is how long the address is locked if the code is wrong, 0 if it is not.
	Wait time.Duration
}

// Reserve counts a wrong code of the address. The error is of kind TooManyChecks if
// the address allows no more on this day.
func Reserve(old Recipient, address string, p Policy, now time.Time) (Recipient, Reservation, error) {
	r := old.Settle(now)
	if err := r.mayHold(address); err != nil {
		return r, Reservation{}, err
	}
	if wait := r.lockedFor(p, now); wait > 0 {
		return r, Reservation{}, tooManyFailures(wait, now)
	}
	r.Address = address
	r.Failures = window.Record(r.Failures, now)
	return r, Reservation{
		Address: address, At: r.Failures[len(r.Failures)-1], Left: max(0, p.MaxFailuresPerDay-len(r.Failures)), Wait: r.lockedFor(p, now),
	}, nil
}

// GiveBack takes a reservation back: no wrong code was compared.
func GiveBack(old Recipient, reserved Reservation, now time.Time) Recipient {
	r := old.Settle(now)
	if i := slices.IndexFunc(r.Failures, reserved.At.Equal); i >= 0 && r.Address == reserved.Address {
		r.Failures = slices.Delete(r.Failures, i, i+1)
	}
	return r
}
