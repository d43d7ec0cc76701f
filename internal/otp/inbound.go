package otp

import (
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// A verification by inbound message turns things round: the client shows the
// person a text with the code, the person sends it from the address that is to
// be verified, and what the provider tells of that approves. The code is no
// secret then, so that no check of it is ever accepted.

// Confirm approves the pending inbound verification whose code is among those
// that a message from the address has. Other messages change nothing: a
// NotFound error says so.
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

// Claim fetches the approval of an inbound verification, once, and not after the
// time that a code would have had. Amount and payee
// have to be those that it was started with; which was wrong is not told.
func Claim(old Recipient, req CheckRequest, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	v, err := r.choose(req)
	switch {
	case err != nil:
		return r, v, err
	case !v.Inbound():
		return r, v, problem.Invalid("code", "The code is missing.")
	case req.Context != v.Context:
		return r, v, &problem.Error{Kind: problem.WrongCode, Detail: "The context is not the one of the start."}
	case v.Status == Pending:
		return r, v, &problem.Error{Kind: problem.NotYetApproved, RetryAfter: pollPause, Detail: "The person's message has not come yet."}
	case v.Status != Approved, v.Claimed:
		return r, v, v.live()
	case !now.Before(v.ExpiresAt):
		// The client has long given up; whoever asks now is another.
		return r, v, &problem.Error{Kind: problem.Expired, Detail: "The person's message came, but the approval was not fetched in time. Start a new verification."}
	}
	v.Claimed = true
	r.put(v)
	return r, v, nil
}

// pollPause is how soon it is worth asking again for an inbound message.
const pollPause = 2 * time.Second

// Deny ends every pending verification on the person's word that it was not
// them, and returns the newest. It is a NotFound error if none is pending.
func Deny(old Recipient, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	var newest Verification
	for i := range r.Verifications {
		if v := &r.Verifications[i]; v.Status == Pending {
			v.Status, v.EndedAt = Denied, window.Stamp(now)
			newest = *v
		}
	}
	if newest.ID == "" {
		return r, newest, errNotFound()
	}
	return r, newest, nil
}
