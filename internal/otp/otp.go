// Package otp is the domain: what a recipient and a verification are, and how
// they change. It decides; it never reads, writes, sends or looks at a clock.
//
// A transition takes the old Recipient, a request, the Policy and now, and
// returns the new Recipient with an outcome or an *Error. The new Recipient is
// valid, and has to be kept, in either case: a refused check is a spent check.
// No transition changes its arguments, so one may run it again on a newer state.
package otp

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// Status is where a verification stands.
type Status string

// The statuses. Only Pending can change, and each change is final.
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

// MinResendLeft is what a code must have left to be sent again: with less, the
// message would come too late to be of use.
const MinResendLeft = time.Minute

// AlertPause is how long after one alert the address gets no other.
const AlertPause = time.Hour

// BlockedFor is how long an address is left alone that the provider blocks for
// fraud. It ends by itself: the provider may be wrong.
const BlockedFor = time.Hour

// GoodFor is how long the channel that last worked is remembered. People who
// sign in every few weeks still get their code by it at once.
const GoodFor = 90 * window.Day

// Bounds of what one recipient's row remembers.
const (
	MaxLive    = 4 // live verifications, one a purpose
	maxKept    = 8 // live and ended ones together
	MaxCounted = 100
)

// Policy is the rules that the operator sets: the limits of README's settings table.
type Policy struct {
	Shape             Shape
	TTL               time.Duration // 1 min to 24 h, whole seconds
	MaxChecks         int           // per verification, 1 to MaxCounted
	MaxFailuresPerDay int           // per address, 1 to MaxCounted
	MaxSends          int           // per address and SendWindow, 1 to MaxCounted
	MaxSendsPerDay    int           // per address, 1 to MaxCounted
	ResendAfter       time.Duration // pause between sends to one address, 0 to 1 h
}

// DefaultPolicy is what holds where the operator sets nothing.
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

// Context is what the person approves with the code, bound to it (PSD2 RTS
// art. 5). The zero Context is none.
type Context struct {
	Amount string `json:"amount"`
	Payee  string `json:"payee"`
}

// Verification is one code's life.
type Verification struct {
	ID      ID
	Purpose string
	// User is the key of the registered user that it was started for, "" where
	// the client gave an address. Unverified is true if the user's address was
	// then still to be proven.
	User       string
	Unverified bool
	// Other is the user's second address, for the channels of the workflow that
	// Recipient.Address is not for.
	Other  string
	Locale string // as the client asked for it
	// Workflow is the channels in the order in which they are tried, and
	// Attempts are the messages, oldest first. A verification by inbound message
	// has none.
	Workflow []string
	Attempts []Attempt

	Context   Context
	Nonce     [16]byte // random; the code is derived from it and ID
	Key       [4]byte  // names the secret that the code is derived from
	Shape     Shape    // as it was when the code was made
	TestCode  string   // the fixed code of a scripted test number, else ""
	Status    Status
	CreatedAt time.Time
	ExpiresAt time.Time // whole seconds; valid while now is before it
	EndedAt   time.Time // when Status left Pending, else zero
	Checks    int       // spent
	// Claimed is true when the client has fetched the approval of an inbound
	// verification.
	Claimed bool
}

// Recipient is all that the service remembers of one address.
type Recipient struct {
	Address       string // E.164 or an e-mail address; "" for a recipient that was never seen
	Verifications []Verification
	Sends         []time.Time // of the last Day, oldest first
	Failures      []time.Time // wrong codes of the last Day, oldest first
	AlertedAt     time.Time   // of the last alert
	BlockedUntil  time.Time   // by the provider, for fraud
	Good          Good
	Replays       []Replay // of the last Day, oldest first
}

// Good is the channel that last reached the person.
type Good struct {
	Channel string
	At      time.Time
}

// clone returns a copy that shares no slice with r that a transition changes.
func (r Recipient) clone() Recipient {
	r.Verifications = slices.Clone(r.Verifications)
	for i := range r.Verifications {
		r.Verifications[i].Attempts = slices.Clone(r.Verifications[i].Attempts)
	}
	r.Sends = slices.Clone(r.Sends)
	r.Failures = slices.Clone(r.Failures)
	r.Replays = slices.Clone(r.Replays)
	return r
}

// Settle returns the recipient as it stands at now: expired verifications are
// marked (so that a clock that steps back cannot revive them), and what no rule
// needs any more is dropped. An event in the future keeps its time, which is
// true where our clock lags, up to MaxSkew ahead: it counts, and is forgotten
// within Day and MaxSkew, whatever wrote it.
func (r Recipient) Settle(now time.Time) Recipient {
	r = r.clone()
	latest := window.Latest(now)
	r.Sends = window.Settle(r.Sends, now)
	r.Failures = window.Settle(r.Failures, now)
	if r.AlertedAt = window.Earlier(r.AlertedAt, latest); now.Sub(r.AlertedAt) >= AlertPause {
		r.AlertedAt = time.Time{}
	}
	if r.BlockedUntil = window.Earlier(r.BlockedUntil, latest.Add(BlockedFor)); !now.Before(r.BlockedUntil) {
		r.BlockedUntil = time.Time{}
	}
	if r.Good.At = window.Earlier(r.Good.At, latest); now.Sub(r.Good.At) >= GoodFor {
		r.Good = Good{}
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
	if len(r.Verifications)+len(r.Sends)+len(r.Failures)+len(r.Replays) == 0 &&
		r.AlertedAt.IsZero() && r.BlockedUntil.IsZero() && r.Good == (Good{}) {
		return Recipient{} // nothing is remembered: the row is anybody's
	}
	return r
}

// KeepUntil is when the recipient's row becomes worthless: no verification and
// no window reaches beyond it.
func (r Recipient) KeepUntil() time.Time {
	var until time.Time
	for _, v := range r.Verifications {
		end := v.EndedAt
		if v.Status == Pending {
			end = v.ExpiresAt
		}
		until = window.Later(until, end.Add(window.Day))
	}
	for _, t := range r.Sends {
		until = window.Later(until, t.Add(window.Day))
	}
	for _, t := range r.Failures {
		until = window.Later(until, t.Add(window.Day))
	}
	for _, p := range r.Replays {
		until = window.Later(until, p.At.Add(window.Day))
	}
	if !r.AlertedAt.IsZero() {
		until = window.Later(until, r.AlertedAt.Add(AlertPause))
	}
	if !r.Good.At.IsZero() {
		until = window.Later(until, r.Good.At.Add(GoodFor))
	}
	return window.Later(until, r.BlockedUntil)
}

// Find returns the verification of that id, or a NotFound error.
func (r Recipient) Find(id ID) (Verification, error) {
	for _, v := range r.Verifications {
		if v.ID == id {
			return v, nil
		}
	}
	return Verification{}, errNotFound()
}

// Latest returns the newest verification of a purpose and a user (of none, for
// ""), live or ended, or a NotFound error.
func (r Recipient) Latest(purpose, user string) (Verification, error) {
	for _, v := range slices.Backward(r.Verifications) {
		if v.Purpose == purpose && v.User == user {
			return v, nil
		}
	}
	return Verification{}, errNotFound()
}

func errNotFound() *problem.Error {
	return &problem.Error{Kind: problem.NotFound, Detail: "There is no such verification. It may be over a day old, replaced by a newer one, or started for another purpose."}
}

// put replaces the verification with v's id.
func (r *Recipient) put(v Verification) {
	for i := range r.Verifications {
		if r.Verifications[i].ID == v.ID {
			r.Verifications[i] = v
		}
	}
}

// ChecksLeft is how many more wrong codes the verification can take: what is
// left of its own checks or of the address's day, whichever is less. Zero for
// one that has ended.
func (r Recipient) ChecksLeft(v Verification, p Policy) int {
	if v.Status != Pending {
		return 0
	}
	return max(0, min(p.MaxChecks-v.Checks, p.MaxFailuresPerDay-len(r.Failures)))
}

// SendsLeft is how many more messages may go to the address within its present
// windows. r has to be settled.
func (r Recipient) SendsLeft(p Policy, now time.Time) int {
	return max(0, min(p.MaxSends-len(recent(r.Sends, now)), p.MaxSendsPerDay-len(r.Sends)))
}

// ResendAfter is from when on the next message may go to the address, as far as
// the pause is concerned. A send in the future counts as of its own time, which
// is when ours, too, lets the next one go. It is zero for an address that was
// never sent to. r has to be settled.
func (r Recipient) ResendAfter(p Policy) time.Time {
	if len(r.Sends) == 0 {
		return time.Time{}
	}
	return r.Sends[len(r.Sends)-1].Add(p.ResendAfter)
}

// recent is the part of the sends that lies in SendWindow.
func recent(sends []time.Time, now time.Time) []time.Time {
	i := 0
	for i < len(sends) && now.Sub(sends[i]) >= SendWindow {
		i++
	}
	return sends[i:]
}

// live returns an error unless v can still be used. Its recipient has to be
// settled.
func (v Verification) live() *problem.Error {
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
		return &problem.Error{Kind: problem.Expired, Detail: "The code is over its time. Start a new verification."}
	case Exhausted:
		return &problem.Error{Kind: problem.TooManyChecks, Detail: "The checks of this verification are spent. Start a new one.", ChecksLeft: left(0)}
	case Undeliverable:
		return &problem.Error{Kind: problem.Undeliverable, Detail: "The message could not be delivered to this address."}
	}
	return &problem.Error{Kind: problem.Internal, Detail: "The verification is in an unknown state.", Err: fmt.Errorf("otp: status %q", v.Status)}
}

func left(n int) *int { return &n }

// errRowTaken: two addresses share a row key (64 bits of a keyed hash; about
// one chance in 10^7 among ten million addresses). Neither may act for the other.
var errRowTaken = errors.New("otp: the row belongs to another address")
