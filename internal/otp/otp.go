// Package otp is the domain: what a recipient and a verification are, and how
// they change. It only decides: it never reads, writes, sends or looks at a clock.
//
// A transition takes the old Recipient, a request, the Policy and now. It returns
// the new Recipient with a result or an error, which is a [*problem.Error] or a
// [*Replay]. Keep the new Recipient also beside an error: a refused check is a
// spent check. No transition changes its arguments, so it may run again on a newer
// Recipient.
package otp

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/internal/window"
)

// Status is the state of a verification.
type Status string

// The statuses. Only Pending can change, and each change is final, except that an
// inbound verification whose approval was not fetched can still be exhausted or
// canceled.
const (
	Pending       Status = "pending"
	Approved      Status = "approved"
	Canceled      Status = "canceled"      // by the client
	Denied        Status = "denied"        // by the person
	Expired       Status = "expired"       // by time
	Exhausted     Status = "exhausted"     // by wrong codes
	Undeliverable Status = "undeliverable" // the provider cannot reach the address
)

// SendWindow is the window of Policy.MaxSends.
const SendWindow = 10 * time.Minute

// MinResendLeft is how long a code must still be valid to be sent again. A message
// with less would arrive too late.
const MinResendLeft = time.Minute

// AlertPause is how long an address gets no other alert after one.
const AlertPause = time.Hour

// BlockedFor is how long no message goes to an address that the provider blocks for
// fraud. The block ends by itself, because the provider may be wrong.
const BlockedFor = time.Hour

// PreferredFor is how long the preferred channel is remembered: long enough for
// people who sign in every few weeks.
const PreferredFor = 90 * window.Day

// Bounds of what a recipient remembers. See also maxSize.
const (
	MaxLive    = 4   // pending verifications of one caller, one for each purpose
	maxKept    = 8   // pending and ended verifications of one caller together
	MaxCounted = 100 // events that one client's settings allow
)

// Policy is the rules that the operator sets. See docs/settings.md.
type Policy struct {
	Shape             Shape
	TTL               time.Duration // 1 min to 24 h, whole seconds
	MaxChecks         int           // per verification, 1 to MaxCounted
	MaxFailuresPerDay int           // per address and client, 1 to MaxCounted
	MaxSends          int           // per address, client and SendWindow, 1 to MaxCounted
	MaxSendsPerDay    int           // per address and client, 1 to MaxCounted
	// Routes has the providers of each channel.
	Routes      channel.Routes
	ResendAfter time.Duration // pause between sends of one caller to one address, 0 to 1 h
}

// DefaultPolicy is the policy without any settings.
func DefaultPolicy() Policy {
	return Policy{
		Shape:             Shape{Length: 6, Alphabet: Digits},
		TTL:               10 * time.Minute,
		MaxChecks:         5,
		MaxFailuresPerDay: 10,
		MaxSends:          5,
		MaxSendsPerDay:    20,
		ResendAfter:       30 * time.Second,
	}
}

// Transaction is the payment that the person approves with the code. The code is
// bound to it (PSD2 RTS art. 5), in its one form. The zero Transaction is none.
type Transaction struct {
	Amount string `json:"amount"`
	Payee  string `json:"payee"`
}

// Verification is one code, from its start until it is forgotten.
type Verification struct {
	ID ID
	// Caller is who started it. Nobody else sees, checks, resends or cancels it.
	Caller
	Purpose string
	// User is the key of the registered user that the verification was started
	// for, "" if the client gave an address. Unverified is true if the user's
	// address was not yet proven at the start.
	User       UserKey
	Unverified bool
	// Other is the user's second address, for the channels that cannot use
	// Recipient.Address; "" if there is none.
	Other  string
	Locale string // as in the request, "" if the client named none
	// Workflow is the channels in the order in which they are tried. Attempts are
	// the messages, oldest first; a verification by inbound message has none.
	Workflow []channel.Channel
	Attempts []Attempt

	Transaction Transaction
	Nonce       [16]byte // random; the code is derived from it and ID
	Key         [4]byte  // names the secret that the code is derived from
	Shape       Shape    // as it was when the code was made
	TestCode    string   // the fixed code of a test number, else ""
	Status      Status
	CreatedAt   time.Time
	ExpiresAt   time.Time // whole seconds; valid while now is before it
	EndedAt     time.Time // when Status left Pending, zero before that
	Checks      int       // spent
	// Claimed is true when the client has fetched the approval of an inbound
	// verification.
	Claimed bool
}

// Recipient is what the service remembers of one address.
type Recipient struct {
	Address       string // E.164 or an e-mail address; "" if nothing is remembered, or after an erasure
	Verifications []Verification
	Tallies       []Tally     // one a caller for whom something is counted
	BlockedUntil  time.Time   // zero if the provider does not block the address
	Preferred     []Preferred // one a client
	Notices       []time.Time `json:",omitempty"` // notices and alerts of the last Day, oldest first
	NoticeCall    [16]byte    `json:",omitzero"`  // of Idempotency.Call: the call of the last notice that was counted, zero if unknown
	Events        []Event     `json:",omitempty"` // alerts that clients asked for within the last Day, oldest first; each is in Notices, too
	Messages      []Message   `json:",omitempty"` // the person's own that had an effect within the last Day, oldest first
	Replays       []Replay    // of the last Day, oldest first
	// KnownAt is when a browser last proved the address, zero if none did within KnownFor.
	KnownAt time.Time `json:",omitzero"`
	// Epoch is the time from which on a browser has to prove the address again: one that
	// proved it before is not known any more. Zero if there is none.
	Epoch time.Time `json:",omitzero"`
	// Suspects are the known browsers from which wrong codes came.
	Suspects []Suspect `json:",omitempty"`
}

// Preferred is the route over which a client last reached the person.
type Preferred struct {
	Client   string
	Channel  channel.Channel
	Provider string
	// Alone is true if the workflow had this channel only: it then prefers a provider, and no
	// channel.
	Alone bool
	At    time.Time
}

func (p Preferred) route() channel.Route {
	return channel.Route{Channel: p.Channel, Provider: p.Provider}
}

// clone returns a copy that shares no slice with r that a transition changes.
func (r Recipient) clone() Recipient {
	r.Verifications = slices.Clone(r.Verifications)
	for i := range r.Verifications {
		r.Verifications[i].Attempts = slices.Clone(r.Verifications[i].Attempts)
	}
	r.Tallies = slices.Clone(r.Tallies)
	for i := range r.Tallies {
		r.Tallies[i] = r.Tallies[i].clone()
	}
	r.Preferred = slices.Clone(r.Preferred)
	r.Notices = slices.Clone(r.Notices)
	r.Events = slices.Clone(r.Events)
	r.Suspects = slices.Clone(r.Suspects)
	r.Messages = slices.Clone(r.Messages)
	r.Replays = slices.Clone(r.Replays)
	return r
}

// Settle returns the recipient as of now. It marks expired verifications, so that
// a clock that steps back cannot make them valid again, and drops what no rule
// needs any more. A time in the future is kept up to MaxSkew ahead, because our
// clock may be behind; a later one is set to that. So a time that a broken clock
// wrote is forgotten after MaxSkew and its usual window.
func (r Recipient) Settle(now time.Time) Recipient {
	r = r.clone()
	latest := window.Latest(now)
	for i := range r.Tallies {
		r.Tallies[i] = r.Tallies[i].settle(now)
	}
	r.Tallies = slices.DeleteFunc(r.Tallies, Tally.isEmpty)
	r.Notices = window.Settle(r.Notices, now)
	r.Events = settleEvents(r.Events, now)
	if r.BlockedUntil = window.Earlier(r.BlockedUntil, latest.Add(BlockedFor)); !now.Before(r.BlockedUntil) {
		r.BlockedUntil = time.Time{}
	}
	for i := range r.Preferred {
		r.Preferred[i].At = window.Earlier(r.Preferred[i].At, latest)
	}
	r.Preferred = slices.DeleteFunc(r.Preferred, func(p Preferred) bool { return now.Sub(p.At) >= PreferredFor })
	if r.KnownAt = window.Earlier(r.KnownAt, latest); now.Sub(r.KnownAt) >= KnownFor {
		r.KnownAt, r.Epoch, r.Suspects = time.Time{}, time.Time{}, nil
	}
	r.Suspects = settleSuspects(r.Suspects, now)
	r.Messages = slices.DeleteFunc(r.Messages, func(m Message) bool { return now.Sub(m.At) >= window.Day })
	for i := range r.Messages {
		r.Messages[i].At = window.Earlier(r.Messages[i].At, latest)
	}
	r.Replays = slices.DeleteFunc(r.Replays, func(p Replay) bool { return now.Sub(p.At) >= window.Day })
	for i := range r.Replays {
		r.Replays[i].At = window.Earlier(r.Replays[i].At, latest)
	}
	for i := range r.Verifications {
		v := &r.Verifications[i]
		if v.Status == Pending && (!now.Before(v.ExpiresAt) || v.CreatedAt.After(latest)) {
			v.Status, v.EndedAt = Expired, v.ExpiresAt
		}
		v.EndedAt = window.Earlier(v.EndedAt, latest)
	}
	r.Verifications = slices.DeleteFunc(r.Verifications, func(v Verification) bool {
		return v.Status != Pending && now.Sub(v.EndedAt) >= window.Day
	})
	if len(r.Verifications)+len(r.Tallies)+len(r.Preferred)+len(r.Notices)+len(r.Events)+len(r.Messages)+len(r.Replays) == 0 &&
		r.BlockedUntil.IsZero() && r.KnownAt.IsZero() {
		return Recipient{} // nothing is remembered: any address may use the row
	}
	return r
}

// KeepUntil is from when on nothing in the recipient is needed any more. It is zero
// for the zero Recipient.
func (r Recipient) KeepUntil() time.Time {
	var until time.Time
	for _, v := range r.Verifications {
		end := v.EndedAt
		if v.Status == Pending {
			end = v.ExpiresAt
		}
		until = window.Later(until, end.Add(window.Day))
	}
	for _, t := range r.Tallies {
		until = window.Later(until, t.keepUntil())
	}
	for _, t := range r.Notices {
		until = window.Later(until, t.Add(window.Day))
	}
	for _, e := range r.Events {
		until = window.Later(until, e.At.Add(window.Day))
	}
	for _, m := range r.Messages {
		until = window.Later(until, m.At.Add(window.Day))
	}
	for _, p := range r.Replays {
		until = window.Later(until, p.At.Add(window.Day))
	}
	for _, p := range r.Preferred {
		until = window.Later(until, p.At.Add(PreferredFor))
	}
	if !r.KnownAt.IsZero() {
		until = window.Later(until, r.KnownAt.Add(KnownFor))
	}
	return window.Later(until, r.BlockedUntil)
}

// Find returns the verification of that id, or a NotFound error. It is for what no client
// asks: see FindOf.
func (r Recipient) Find(id ID) (Verification, error) {
	for _, v := range r.Verifications {
		if v.ID == id {
			return v, nil
		}
	}
	return Verification{}, errNotFound()
}

// FindOf is Find for an owner: another one's verification is not found.
func (r Recipient) FindOf(o Owner, id ID) (Verification, error) {
	v, err := r.Find(id)
	if err != nil || v.Owner() != o {
		return Verification{}, errNotFound()
	}
	return v, nil
}

// Latest returns the caller's newest verification of a purpose and a user ("": none),
// pending or ended. The error is of kind NotFound if there is none, and if that one has
// ended and a newer one was started with a user instead of without, or the other way
// round.
func (r Recipient) Latest(c Caller, purpose string, user UserKey) (Verification, error) {
	var newer, own Verification
	for _, v := range slices.Backward(r.Verifications) {
		switch {
		case v.Purpose != purpose || !v.same(c):
		case v.User == user:
			own = v
		case newer.ID == "" && (v.User == "" || user == ""):
			newer = v
		}
		if own.ID != "" {
			break
		}
	}
	if err := hiddenBy(newer, own); err != nil {
		return Verification{}, err
	}
	if own.ID == "" {
		return own, errNotFound()
	}
	return own, nil
}

func errNotFound() *problem.Error {
	return &problem.Error{Kind: problem.NotFound, Detail: "There is no such verification. It may be over a day old, replaced by a newer one, or started for another purpose."}
}

// put replaces the verification that has the id of v.
func (r *Recipient) put(v Verification) {
	for i := range r.Verifications {
		if r.Verifications[i].ID == v.ID {
			r.Verifications[i] = v
		}
	}
}

// ChecksLeft is how many more wrong codes the verification allows: the rest of its
// own checks, or the rest of its caller at the address on this day if that is less. It is
// 0 for a verification that has ended. r has to be settled.
func (r Recipient) ChecksLeft(v Verification, p Policy, now time.Time) int {
	if v.Status != Pending {
		return 0
	}
	return max(0, min(p.MaxChecks-v.Checks, r.ownLeft(v.Caller, failuresOf, r.failureLimits(v.Caller, p), now)))
}

// SendsLeft is how many more messages the caller may send to the address within the
// current windows. r has to be settled.
func (r Recipient) SendsLeft(c Caller, p Policy, now time.Time) int {
	return r.ownLeft(c, sendsOf, r.sendLimits(c, p), now)
}

// ResendAfter is the end of the pause after the caller's last message: the next message
// may go to the address from then on, if no other rule refuses it. A send in the future
// counts as of its own time, so that the answer does not change while the clock
// comes up to it. It is zero if no send is remembered. r has to be settled.
func (r Recipient) ResendAfter(c Caller, p Policy) time.Time {
	sends := r.events(sendsOf, c.own)
	if len(sends) == 0 {
		return time.Time{}
	}
	return sends[len(sends)-1].Add(p.ResendAfter)
}

// mayUse returns an error unless v is pending. Its recipient has to be settled.
func (v Verification) mayUse() *problem.Error {
	switch v.Status {
	case Pending:
		return nil
	case Approved:
		return &problem.Error{Kind: problem.AlreadyUsed, Detail: "This verification was approved before. A code works once."}
	case Canceled:
		return &problem.Error{Kind: problem.Canceled, Detail: "This verification was canceled. Start a new one."}
	case Denied:
		return &problem.Error{Kind: problem.Denied, Detail: "The person who got the code says that it was not them."}
	case Expired:
		return &problem.Error{Kind: problem.Expired, Detail: "The code has expired. Start a new verification."}
	case Exhausted:
		return &problem.Error{Kind: problem.TooManyChecks, Detail: "This verification has no checks left. Start a new one.", ChecksLeft: left(0)}
	case Undeliverable:
		return &problem.Error{Kind: problem.Undeliverable, Detail: "The message could not be delivered to this address."}
	}
	return &problem.Error{Kind: problem.Internal, Detail: "The verification is in an unknown state.", Err: fmt.Errorf("otp: status %q", v.Status)}
}

func left(n int) *int { return &n }

// errRowTaken: two addresses share a row key (64 bits of a keyed hash; the chance is
// about 1 in 10^7 for ten million addresses). One must not act for the other.
var errRowTaken = errors.New("otp: the row belongs to another address")

// mayHold returns an error if the row holds another address than that.
func (r Recipient) mayHold(address string) error {
	if r.Address == "" || r.Address == address {
		return nil
	}
	return &problem.Error{Kind: problem.Internal, Detail: "This address cannot be used.", Err: errRowTaken}
}
