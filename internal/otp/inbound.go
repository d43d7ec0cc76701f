package otp

import (
	"crypto/sha256"
	"slices"
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
// ExpiresAt. Amount and payee have to be those of the start. A wrong one is answered
// and counted as Check does with a wrong code, before and after the person's message
// has arrived. A question with the right ones costs nothing.
func Claim(old Recipient, req CheckRequest, p Policy, now time.Time) (Recipient, Verification, error) {
	r := old.Settle(now)
	v, err := r.choose(req)
	switch {
	case err != nil:
		return r, v, err
	case !v.Inbound():
		return r, v, problem.Invalid("code", "The code is missing.")
	case v.Status != Pending && v.Status != Approved, v.Claimed:
		return r, v, r.unusable(v, p, now)
	case !now.Before(v.ExpiresAt):
		// The client that started it stopped asking long ago: this is another one.
		return r, v, &problem.Error{Kind: problem.Expired, Detail: "The person's message arrived, but the approval was not fetched in time. Start a new verification."}
	case req.Addresses != nil && r.moved(v, req.Addresses):
		return r.cancelMoved(v, now)
	}
	if err := r.mayTry(&v, p, now); err != nil {
		return r, v, err
	}
	right := sameTransaction(req.Transaction, v.Transaction)
	switch {
	case !right:
		err := r.wrong(&v, CheckRequest{}, p, now)
		return r, v, err
	case v.Status == Pending:
		return r, v, &problem.Error{Kind: problem.NotYetApproved, RetryAfter: pollPause, Detail: "The person's message has not arrived yet."}
	case v.User != "" && req.Addresses == nil:
		return r, v, ErrNeedsUser
	}
	v.Claimed = true
	r.put(v)
	return r, v, nil
}

// MaxMessages is how many messages of the person a recipient remembers, the newest
// ones.
const MaxMessages = 16

// MessageHash is a hash of the provider's id of a person's message. The zero
// MessageHash is that of a message without an id.
type MessageHash [8]byte

// NewMessageHash returns the hash of an id, the zero MessageHash for "". Rows are
// sealed, so it needs no key.
func NewMessageHash(id string) (h MessageHash) {
	if id != "" {
		sum := sha256.Sum256([]byte(id))
		copy(h[:], sum[:])
	}
	return h
}

// Message is a message of the person that had an effect.
type Message struct {
	Hash MessageHash
	At   time.Time
}

// HadEffect reports whether a message of the person has had an effect on the recipient
// within window.Day.
func HadEffect(r Recipient, message MessageHash, now time.Time) bool {
	return message != (MessageHash{}) && slices.ContainsFunc(r.Settle(now).Messages, func(m Message) bool { return m.Hash == message })
}

// Once makes a transition that a message of the person causes, and remembers the
// message. A message that has had an effect within window.Day has none again: it
// changes nothing and returns a NotFound error, as a message that means nothing does.
func Once(old Recipient, message MessageHash, now time.Time, t func(Recipient) (Recipient, Verification, error)) (Recipient, Verification, error) {
	if HadEffect(old, message, now) {
		return old.Settle(now), Verification{}, errNotFound()
	}
	r, v, err := t(old)
	if err != nil || message == (MessageHash{}) {
		return r, v, err
	}
	r = r.clone()
	r.Messages = append(r.Messages, Message{Hash: message, At: window.Stamp(now)})
	r.Messages = r.Messages[max(0, len(r.Messages)-MaxMessages):]
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
