package otp

import (
	"slices"
	"strings"
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// The channels that the domain itself has to know. All others it takes as they
// come.
const (
	ChannelCall    = "call"    // for numbers that get no texts
	ChannelEmail   = "email"   // needs an e-mail address, all others a number
	ChannelInbound = "inbound" // the person writes to us; nothing is sent
	ChannelNext    = "next"    // asks for the next channel of the workflow
)

// DeliveryStatus is how far a message has come.
type DeliveryStatus string

// The delivery statuses, in the order in which one replaces another: a report
// that comes late or twice never takes a message back. A message that failed
// can still turn out to have been delivered; one that was delivered cannot fail.
const (
	Queued    DeliveryStatus = "queued"    // handed to the provider
	Sent      DeliveryStatus = "sent"      // on its way; a call that rings
	Failed    DeliveryStatus = "failed"    // it will not arrive
	Delivered DeliveryStatus = "delivered" // it is on the phone; the call was answered
	Read      DeliveryStatus = "read"      // it was opened
)

// deliveryStatuses fixes the order, and the number of each in a row. Append only.
var deliveryStatuses = []DeliveryStatus{Queued, Sent, Failed, Delivered, Read}

func (s DeliveryStatus) rank() int { return slices.Index(deliveryStatuses, s) }

// Attempt is one message of a verification.
type Attempt struct {
	Channel string
	At      time.Time
	Status  DeliveryStatus
	// Error is the provider's number for a failure, 0 if there is none.
	Error int
	// MayRecover is true for a failure that is not the address's: the provider
	// was busy, or our settings are wrong. The channel may work later.
	MayRecover bool
}

// Next says what may follow a message that failed.
type Next uint8

// What may follow.
const (
	// NextChannel: any other channel may work.
	NextChannel Next = iota
	// NextCall: a call rather than anything else, for a number that gets no
	// texts (a landline, a filter); without a call in the workflow any other
	// channel.
	NextCall
	// NextAddress: no other channel to the same kind of address (there is no
	// such number, or the account itself is refused).
	NextAddress
	// NextNone: nothing at all, and no other message for a while either: the
	// provider takes it for fraud.
	NextNone
)

// Progress is news of one message.
type Progress struct {
	ID      ID
	Attempt int // from 1
	Status  DeliveryStatus
	// What follows is for Failed.
	Error      int
	MayRecover bool
	Next       Next
	// Unsent is true if the provider never took the message: what follows it
	// takes its place, and spends no other send.
	Unsent bool
}

// Follow notes how far a message has come. Where it failed and no other one is
// on its way, the next channel of the workflow is tried: begun is then true, and
// the last of the verification's attempts is the message to send.
//
// News that is older than what is known, or the same, changes nothing, so that a
// message is followed by one other at most. What follows keeps to the limits of
// all messages but the pause, and a code without MinResendLeft is not sent.
func Follow(old Recipient, g Progress, p Policy, now time.Time) (r Recipient, v Verification, begun bool, err error) {
	r = old.Settle(now)
	if v, err = r.Find(g.ID); err != nil {
		return r, v, false, err
	}
	if g.Attempt < 1 || g.Attempt > len(v.Attempts) {
		return r, v, false, errNotFound()
	}
	a := &v.Attempts[g.Attempt-1]
	if g.Status.rank() <= a.Status.rank() {
		return r, v, false, nil
	}
	a.Status, a.Error, a.MayRecover = g.Status, 0, false
	switch g.Status {
	case Delivered, Read:
		r.worked(v, a.Channel, now)
	case Failed:
		a.Error, a.MayRecover = g.Error, g.MayRecover
		if g.Next == NextNone {
			r.BlockedUntil = window.Later(r.BlockedUntil, window.Stamp(now.Add(BlockedFor)))
		}
		if v.Status == Pending {
			begun = r.fallBack(&v, a.Channel, g, p, now)
		}
	}
	r.put(v)
	return r, v, begun, nil
}

// Spend counts a message that goes to this address for a verification in the
// row of a person's other one. The limits hold, but not the pause, which the
// other row has kept.
func Spend(old Recipient, address string, p Policy, now time.Time) (Recipient, error) {
	r := old.Settle(now)
	if r.Address != "" && r.Address != address {
		return r, &problem.Error{Kind: problem.Internal, Detail: "This address cannot be used.", Err: errRowTaken}
	}
	if err := r.mayFollow(p, now); err != nil {
		return r, err
	}
	r.Address = address
	r.Sends = window.Record(r.Sends, now)
	return r, nil
}

// fallBack begins the next message of v, if there is to be one, or ends v, if
// nothing can arrive any more.
func (r *Recipient) fallBack(v *Verification, failed string, g Progress, p Policy, now time.Time) bool {
	if slices.ContainsFunc(v.Attempts, func(a Attempt) bool { return a.Status != Failed }) {
		return false // another message is on its way, or was delivered
	}
	channel, ok := v.step(failed, g.Next)
	if !ok {
		if !slices.ContainsFunc(v.Attempts, func(a Attempt) bool { return a.MayRecover }) {
			v.Status, v.EndedAt = Undeliverable, window.Stamp(now)
		}
		return false
	}
	if v.ExpiresAt.Sub(now) < MinResendLeft {
		return false
	}
	judged := *r
	if g.Unsent {
		judged.Sends = nil // it has the send of the other one; the other rules hold
	}
	if judged.mayFollow(p, now) != nil {
		return false
	}
	if !g.Unsent {
		r.Sends = window.Record(r.Sends, now)
	}
	v.attempt(channel, now)
	return true
}

// step is the next channel of the workflow after one that failed.
func (v Verification) step(failed string, next Next) (channel string, ok bool) {
	if next == NextNone {
		return "", false
	}
	for _, c := range v.Workflow {
		switch {
		case v.tried(c), next == NextAddress && sameAddress(c, failed):
		case !ok, next == NextCall && c == ChannelCall:
			channel, ok = c, true
		}
	}
	return channel, ok
}

func (v Verification) tried(channel string) bool {
	return slices.ContainsFunc(v.Attempts, func(a Attempt) bool { return a.Channel == channel })
}

// sameAddress reports whether two channels go to the same address of a person.
func sameAddress(a, b string) bool { return (a == ChannelEmail) == (b == ChannelEmail) }

// attempt adds a message that is about to be sent.
func (v *Verification) attempt(channel string, now time.Time) {
	v.Attempts = append(v.Attempts, Attempt{Channel: channel, At: window.Stamp(now), Status: Queued})
}

// resendChannel is what a client's resend goes over.
func (v Verification) resendChannel(asked string) (string, *problem.Error) {
	if v.Inbound() {
		return "", problem.Invalid("channel", "This verification waits for the person's own message; there is nothing to resend.")
	}
	last := v.Attempts[len(v.Attempts)-1]
	next, more := v.step(last.Channel, NextChannel)
	switch {
	case asked == ChannelNext && !more:
		return "", problem.Invalid("channel", "Every channel of the workflow has been tried. Name one of them to use it again.")
	case asked == ChannelNext, asked == "" && last.Status == Failed && more:
		return next, nil
	case asked == "":
		return last.Channel, nil
	}
	return asked, nil
}

// Inbound reports whether the verification waits for a message of the person.
func (v Verification) Inbound() bool { return len(v.Workflow) == 1 && v.Workflow[0] == ChannelInbound }

// Channel is the one of the last message.
func (v Verification) Channel() string {
	if n := len(v.Attempts); n > 0 {
		return v.Attempts[n-1].Channel
	}
	if len(v.Workflow) > 0 {
		return v.Workflow[0]
	}
	return ""
}

// AddressFor is where a channel reaches the person, "" if there is no address
// for it.
func (r Recipient) AddressFor(v Verification, channel string) string {
	if IsEmail(r.Address) == (channel == ChannelEmail) {
		return r.Address
	}
	return v.Other
}

// IsEmail reports whether an address is an e-mail address.
func IsEmail(address string) bool { return strings.Contains(address, "@") }

// bestFirst is the workflow with the channel that last reached the person in
// front, if it is in it.
func (r Recipient) bestFirst(workflow []string) []string {
	i := slices.Index(workflow, r.Good.Channel)
	if i <= 0 {
		return workflow
	}
	return append([]string{r.Good.Channel}, slices.Delete(slices.Clone(workflow), i, i+1)...)
}

// worked remembers the channel for the next time. Where there was no choice
// there is nothing to remember, nor of a test number, where each verification
// has to go as the first one did.
func (r *Recipient) worked(v Verification, channel string, now time.Time) {
	if len(v.Workflow) > 1 && channel != "" && v.TestCode == "" {
		r.Good = Good{Channel: channel, At: window.Later(window.Stamp(now), r.Good.At)}
	}
}

// arrivedBy is the channel over which the code most likely came: the last that
// was delivered, else the last that did not fail.
func (v Verification) arrivedBy() (channel string) {
	for _, a := range v.Attempts {
		if a.Status.rank() >= Delivered.rank() {
			channel = a.Channel
		}
	}
	for i := len(v.Attempts) - 1; channel == "" && i >= 0; i-- {
		if v.Attempts[i].Status != Failed {
			channel = v.Attempts[i].Channel
		}
	}
	return channel
}

// Proven is the address that an approval of v proves to be the person's: the
// one that all messages went to that may have arrived. It is "" if the code may
// have come by two ways.
func (r Recipient) Proven(v Verification) string {
	proven := ""
	if v.TestCode != "" {
		return "" // nothing was sent, and others know the code
	}
	if v.Inbound() {
		proven = r.Address
	}
	for _, a := range v.Attempts {
		to := r.AddressFor(v, a.Channel)
		switch {
		case a.Status == Failed:
		case proven == "":
			proven = to
		case proven != to:
			return ""
		}
	}
	return proven
}
