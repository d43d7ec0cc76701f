package otp

import (
	"slices"
	"time"
)

// A verification lies in one row, but its code may have gone to the person's second
// address, whose limits are in a row of its own. So one wrong code is reserved there
// before a code is compared, and given back if the code was right.

// NeedsReservationError is returned by [Check] if the code went to a second address
// too: a wrong code of the caller has to be reserved there by [Reserve] first.
type NeedsReservationError struct {
	Address string
	Caller  Caller
}

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
	Caller
	At   time.Time // as it stands in Tally.Failures
	Left int       // how many more wrong codes the address allows the caller on this day
	// Wait is how long the address is locked if the code is wrong, 0 if it is not.
	Wait time.Duration
}

// Reserve counts a wrong code of the caller at the address. The error is of kind
// TooManyChecks if the address allows no more on this day.
func Reserve(old Recipient, address string, c Caller, p Policy, now time.Time) (Recipient, Reservation, error) {
	r := old.Settle(now)
	if err := r.mayHold(address); err != nil {
		return r, Reservation{}, err
	}
	if err := r.tooManyFailures(c, p, now); err != nil {
		return r, Reservation{}, err
	}
	r.Address = address
	at := r.countFailure(c, now)
	return r, Reservation{
		Address: address, Caller: c, At: at, Left: r.ownLeft(c, failuresOf, r.failureLimits(c, p), now), Wait: r.lockedByOwn(c, p, now),
	}, nil
}

// GiveBack takes a reservation back: no wrong code was compared.
func GiveBack(old Recipient, reserved Reservation, now time.Time) Recipient {
	r := old.Settle(now)
	k := slices.IndexFunc(r.Tallies, func(t Tally) bool { return t.Caller == reserved.counted() })
	if k < 0 || r.Address != reserved.Address {
		return r
	}
	t := &r.Tallies[k]
	if i := slices.IndexFunc(t.Failures, reserved.At.Equal); i >= 0 {
		t.Failures = slices.Delete(t.Failures, i, i+1)
	}
	return r
}
