package otp

import (
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// In a verification by inbound message, the client shows the person a text with
// the code. The person sends the text from the address that is to be verified, and
// the provider's report of that message approves the verification. The code is no
// secret, so that no check of it is ever accepted.

// Confirm approves the pending inbound verification whose code is one of those in
// a message from the address. It changes nothing and returns a NotFound error if
// there is none.
func Confirm(old Recipient, codes []string, keys Keys, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	for _, v := range r.Verifications {
		code, ok := v.Code(keys)
		if v.Status != Pending || !v.Inbound() || !ok {
			continue
		}
		for _, c := range codes {
			if equal(c, code) {
				v.Status, v.EndedAt = Approved, window.Stamp(now)
				r.put(v)
				return r, v, nil
			}
		}
	}
	return r, Verification{}, errNotFound()
}

// Claim fetches the approval of an inbound verification, once, and before
// ExpiresAt. Amount and payee have to be those of the start; the error does not say
// which of them is wrong.
func Claim(old Recipient, req CheckRequest, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	v, err := r.choose(req)
	switch {
	case err != nil:
		return r, v, err
	case !v.Inbound():
		return r, v, problem.Invalid("code", "The code is missing.")
	case req.Transaction != v.Transaction:
		return r, v, &problem.Error{Kind: problem.WrongCode, Detail: "The context differs from the one at the start."}
	case v.Status == Pending:
		return r, v, &problem.Error{Kind: problem.NotYetApproved, RetryAfter: pollPause, Detail: "The person's message has not arrived yet."}
	case v.Status != Approved, v.Claimed:
		return r, v, v.mayUse()
	case !now.Before(v.ExpiresAt):
		// The client that started it stopped asking long ago: this is another one.
		return r, v, &problem.Error{Kind: problem.Expired, Detail: "The person's message arrived, but the approval was not fetched in time. Start a new verification."}
	}
	v.Claimed = true
	r.put(v)
	return r, v, nil
}

// pollPause is how long a client waits before it asks again for an inbound message.
const pollPause = 2 * time.Second

// Deny ends every pending verification, because the person says that they did not
// ask for a code. It returns the newest one, or a NotFound error if none is pending.
func Deny(old Recipient, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	newest := r.endPending(Denied, now, func(Verification) bool { return true })
	if newest.ID == "" {
		return r, newest, errNotFound()
	}
	return r, newest, nil
}
