package otp

import (
	"slices"
	"time"

	"twofa/internal/channel"
	"twofa/internal/problem"
)

// Some providers of calls do not take what a call says with the order of the call: when the person
// has answered, they ask the service for it. What they ask for holds the code, so it is given out
// for that call only, soon after it was placed, and a few times.
const (
	// MaxAsked is how often a provider may ask what one call says: it repeats a question whose
	// answer it did not get.
	MaxAsked = 3
	// AskedWithin is how long after the call was placed it may ask. The clocks of two processes
	// may differ by as much.
	AskedWithin = time.Minute
)

// Question is a provider's question what a call says.
type Question struct {
	ID       ID
	Attempt  int // from 1
	Provider string
	// To are the spellings of the number that was called, in E.164.
	To []string
	// Call is a hash of the provider's id of the call.
	Call MessageHash
}

// Answer counts a question of a provider what a call says, and returns the verification whose code
// the call says. It changes nothing and returns an error of kind NotFound if there is no such call,
// and of kind Forbidden if the question comes too often or too late, or is about another call.
func Answer(old Recipient, q Question, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	v, err := r.Find(q.ID)
	if err != nil {
		return r, v, err
	}
	if q.Attempt < 1 || q.Attempt > len(v.Attempts) || v.Status != Pending {
		return r, v, errNotFound()
	}
	a := &v.Attempts[q.Attempt-1]
	switch {
	case a.Channel != channel.Call || !a.isOf(q.Provider) || !slices.Contains(q.To, r.AddressFor(v, channel.Call)):
		return r, v, errNotFound()
	case a.Asked > 0 && a.Call != q.Call:
		return r, v, errNotAnswered("The question is about another call.")
	case a.Status != Queued && a.Status != Sent:
		return r, v, errNotAnswered("The call has ended.")
	case now.Sub(a.At).Abs() > AskedWithin:
		return r, v, errNotAnswered("The call was placed too long ago.")
	case a.Asked >= MaxAsked:
		return r, v, errNotAnswered("The question was answered before.")
	}
	a.Asked++
	a.Call = q.Call
	r.put(v)
	return r, v, nil
}

func errNotAnswered(detail string) *problem.Error {
	return &problem.Error{Kind: problem.Forbidden, Detail: detail}
}
