package otp

import (
	"cmp"
	"slices"
	"time"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/internal/window"
)

// DeliveryStatus is how far the delivery of a message is.
type DeliveryStatus string

// The delivery statuses, in the order in which one replaces another: a late or
// repeated report never replaces a later status. A failed message may still turn
// out to be delivered; a delivered one cannot fail.
const (
	Queued    DeliveryStatus = "queued"    // handed to the provider
	Sent      DeliveryStatus = "sent"      // on its way; a call that rings
	Failed    DeliveryStatus = "failed"    // it will not arrive
	Delivered DeliveryStatus = "delivered" // it is on the phone; the call was answered
	Read      DeliveryStatus = "read"      // it was opened
)

// deliveryStatuses fixes the order.
var deliveryStatuses = []DeliveryStatus{Queued, Sent, Failed, Delivered, Read}

func (s DeliveryStatus) rank() int { return slices.Index(deliveryStatuses, s) }

// Attempt is one message of a verification.
type Attempt struct {
	Channel channel.Channel
	// Provider is the name of who sends it: see [channel.Route].
	Provider string
	At       time.Time
	Status   DeliveryStatus
	// Error is the provider's number for a failure, 0 if there is none.
	Error int
	// Asked is how often the provider has asked what the call says, at most MaxAsked. Call is a
	// hash of its id of the call. Both are for providers that ask.
	Asked int
	Call  MessageHash
	// Refused is true if the provider, which has a name, refuses the account.
	Refused bool
	// MayRecover is true for a failure that has other reasons than the address:
	// the provider was busy, or our settings are wrong. The channel may work later.
	MayRecover bool
}

// Next says which message may follow one that failed.
type Next uint8

// The messages that may follow.
const (
	// NextChannel: over any other channel.
	NextChannel Next = iota
	// NextCall: a call, because the number gets no texts (a landline, a filter).
	// If the workflow has no call: over any other channel.
	NextCall
	// NextAddress: over a channel to the other kind of address only. There is no
	// such number. If MayRecover is true, the provider refuses the account itself: over
	// another provider, or to the other kind of address.
	NextAddress
	// NextNone: none, and no other message for BlockedFor either. The provider
	// blocks the address for fraud.
	NextNone
)

// Progress is news of one message.
type Progress struct {
	ID      ID
	Attempt int // from 1
	Status  DeliveryStatus
	// Provider is who reports it, "" for the service itself. News of another provider's message
	// is not believed.
	Provider string
	// Down are providers that now fail for everybody: their routes come last.
	Down []string
	// Asks is true for a report on a call whose provider asks what the call says. If it never
	// did, nobody has heard the code: Delivered then counts as Failed.
	Asks bool
	// The fields below are for Failed. See [Attempt] for Error and MayRecover.
	Error      int
	MayRecover bool
	Next       Next
	// Unsent is true if the provider never accepted the message. The message that
	// follows then needs no send of its own.
	Unsent bool
}

// Follow stores the status of a message. If the message failed and no other one is
// on its way, Follow begins the next route: begun is then true, and the last of the
// verification's attempts is the message to send. A failure that is the provider's is followed
// by the next provider of the channel, one of the address by the next channel of the workflow.
// No route is begun twice.
//
// A status that is not later than the stored one changes nothing, so that at most
// one message follows another. All limits on messages hold for a message that
// follows, except the pause. A code with less than MinResendLeft is not sent.
func Follow(old Recipient, g Progress, p Policy, now time.Time) (r Recipient, v Verification, begun bool, err error) {
	r = old.Settle(now)
	if v, err = r.Find(g.ID); err != nil {
		return r, v, false, err
	}
	if g.Attempt < 1 || g.Attempt > len(v.Attempts) || !v.Attempts[g.Attempt-1].isOf(g.Provider) {
		return r, v, false, errNotFound()
	}
	a := &v.Attempts[g.Attempt-1]
	if g.Asks && a.Asked == 0 && g.Status == Delivered {
		g.Status, g.MayRecover = Failed, true
	}
	if g.Status.rank() <= a.Status.rank() {
		return r, v, false, nil
	}
	a.Status, a.Error, a.MayRecover, a.Refused = g.Status, 0, false, false
	switch g.Status {
	case Delivered, Read:
		r.prefer(v, a.Route(), now)
	case Failed:
		a.Error, a.MayRecover = g.Error, g.MayRecover
		a.Refused = g.MayRecover && g.Next == NextAddress && a.Provider != ""
		if g.Next == NextNone {
			r.BlockedUntil = window.Later(r.BlockedUntil, window.Stamp(now.Add(BlockedFor)))
		}
		if v.Status == Pending {
			begun = r.fallBack(&v, *a, g, p, now)
		}
	}
	r.put(v)
	return r, v, begun, nil
}

// Spend counts a message of the caller that goes to this address for a verification in the row of
// the person's other address. The limits hold, except the pause, which was checked
// in the other row.
func Spend(old Recipient, address string, c Caller, p Policy, now time.Time) (Recipient, error) {
	r := old.Settle(now)
	if err := r.mayHold(address); err != nil {
		return r, err
	}
	if err := r.mayFollow(c, false, p, now); err != nil {
		return r, err
	}
	r.Address = address
	r.countSend(c, now)
	return r, nil
}

// fallBack begins the next message of v and reports true. If v has no message to
// begin and none can arrive any more, it ends v.
func (r *Recipient) fallBack(v *Verification, failed Attempt, g Progress, p Policy, now time.Time) bool {
	following, ok := v.step(failed, g.Next, p.Routes, g.Down)
	if slices.ContainsFunc(v.Attempts, func(a Attempt) bool { return a.Status != Failed }) {
		// Another message is on its way, or was delivered. A client has asked for this one all
		// the same: the same channel may take it over another provider.
		if !ok || !g.Unsent || following.Channel != failed.Channel {
			return false
		}
	}
	if !ok {
		if !slices.ContainsFunc(v.Attempts, func(a Attempt) bool { return a.MayRecover }) {
			v.Status, v.EndedAt = Undeliverable, window.Stamp(now)
		}
		return false
	}
	if v.ExpiresAt.Sub(now) < MinResendLeft {
		return false
	}
	// What follows at a sign-in is not counted: the next start would tell that there was a message that failed.
	free := g.Unsent || v.Purpose == SignInPurpose
	if r.mayFollow(v.Caller, free, p, now) != nil {
		return false
	}
	if !free {
		r.countSend(v.Caller, now)
	}
	v.attempt(following, now)
	return true
}

// isOf reports whether news of the message may come from a provider. "" is the service itself,
// which knows whom it asked.
func (a Attempt) isOf(provider string) bool {
	return provider == "" || provider == cmp.Or(a.Provider, channel.Twilio)
}

// wentOver reports whether the message went over the route, also if its provider had no name then.
func (a Attempt) wentOver(route channel.Route) bool {
	return a.Channel == route.Channel && a.isOf(cmp.Or(route.Provider, channel.Twilio))
}

// Route is the route of a message.
func (a Attempt) Route() channel.Route {
	return channel.Route{Channel: a.Channel, Provider: a.Provider}
}

// step is the next route after a message that failed: those of its channel first, if the failure
// is the provider's, then those of the workflow's other channels. A channel over which a message
// has failed because of the address is not tried over another provider, and a provider that has
// refused the account is not tried again.
func (v Verification) step(failed Attempt, next Next, all channel.Routes, down []string) (channel.Route, bool) {
	if next == NextNone {
		return channel.Route{}, false
	}
	workflow := v.Workflow
	if failed.MayRecover { // also if a client has asked for a channel outside the workflow
		isFailed := func(c channel.Channel) bool { return c == failed.Channel }
		workflow = append([]channel.Channel{failed.Channel}, slices.DeleteFunc(slices.Clone(workflow), isFailed)...)
	}
	return v.untried(workflow, next, all, down, func(route channel.Route) bool {
		otherAccount := failed.MayRecover && route.Provider != failed.Provider
		return !v.closed(route.Channel) && !v.refusedBy(route.Provider) && (next != NextAddress || otherAccount || !sameAddress(route.Channel, failed.Channel))
	})
}

// untried is the first route of the channels over which no message went, and which may be taken.
// With NextCall, a call comes first. Routes whose provider is down come last.
func (v Verification) untried(channels []channel.Channel, next Next, all channel.Routes, down []string, may func(channel.Route) bool) (found channel.Route, ok bool) {
	best := 0
	for _, c := range channels {
		for _, route := range all.Of(c) {
			if !may(route) || slices.ContainsFunc(v.Attempts, func(a Attempt) bool { return a.wentOver(route) }) {
				continue
			}
			rank := 1
			if next == NextCall && c == channel.Call {
				rank = 2
			}
			if !slices.Contains(down, route.Provider) {
				rank += 2
			}
			if rank > best {
				found, ok, best = route, true, rank
			}
		}
	}
	return found, ok
}

// closed reports whether a message over the channel has failed because of the address.
func (v Verification) closed(c channel.Channel) bool {
	return slices.ContainsFunc(v.Attempts, func(a Attempt) bool { return a.Channel == c && a.Status == Failed && !a.MayRecover })
}

// refusedBy reports whether the provider has refused the account.
func (v Verification) refusedBy(provider string) bool {
	return slices.ContainsFunc(v.Attempts, func(a Attempt) bool { return a.Refused && a.Provider == provider })
}

func (v Verification) tried(c channel.Channel) bool {
	return slices.ContainsFunc(v.Attempts, func(a Attempt) bool { return a.Channel == c })
}

// sameAddress reports whether two channels use the same address of a person.
func sameAddress(a, b channel.Channel) bool { return a.NeedsEmail() == b.NeedsEmail() }

// attempt adds a message that is about to be sent.
func (v *Verification) attempt(by channel.Route, now time.Time) {
	v.Attempts = append(v.Attempts, Attempt{Channel: by.Channel, Provider: by.Provider, At: window.Stamp(now), Status: Queued})
}

// first is the route over which a channel is used first: that over which the client last reached
// the person, else the first one whose provider is not down. If all are down, it is the first.
func (r Recipient) first(client string, c channel.Channel, all channel.Routes, down []string) channel.Route {
	routes := all.Of(c)
	if p := r.preferredBy(client).route(); p.Channel == c && all.Has(p) {
		routes = append([]channel.Route{p}, routes...)
	}
	for _, route := range routes {
		if !slices.Contains(down, route.Provider) {
			return route
		}
	}
	return routes[0]
}

// resendRoute chooses the route of a resend that a client asked for. A channel goes the same way
// again, unless nothing was heard of its last message, or that failed for a reason of the provider's:
// then it goes over a provider that has not been tried, if there is one.
func (r Recipient) resendRoute(v Verification, asked channel.Channel, all channel.Routes, down []string) (channel.Route, *problem.Error) {
	if v.Inbound() {
		return channel.Route{}, problem.Invalid("channel", "This verification waits for the person's own message; there is nothing to resend.")
	}
	last := v.Attempts[len(v.Attempts)-1]
	switch asked {
	case channel.Next:
		next, more := v.untried(v.Workflow, NextChannel, all, down, func(route channel.Route) bool { return !v.tried(route.Channel) })
		if !more {
			return next, problem.Invalid("channel", "Every channel of the workflow has been tried. Name one of them to use it again.")
		}
		return next, nil
	case "":
		if next, more := v.step(last, NextChannel, all, down); more && last.Status == Failed {
			return next, nil
		}
		asked = last.Channel
	}
	if asked != last.Channel {
		return r.first(v.Client, asked, all, down), nil
	}
	if last.Status == Queued || last.Status == Failed && last.MayRecover {
		if other, more := v.untried([]channel.Channel{asked}, NextChannel, all, down, func(channel.Route) bool { return true }); more {
			return other, nil
		}
	}
	if last.Status != Failed && all.Has(last.Route()) && !slices.Contains(down, last.Provider) {
		return last.Route(), nil
	}
	return r.first(v.Client, asked, all, down), nil
}

// Inbound reports whether the verification waits for a message of the person.
func (v Verification) Inbound() bool { return len(v.Workflow) == 1 && v.Workflow[0] == channel.Inbound }

// Channel is the channel of the last message. Before the first message, it is the
// first channel of the workflow.
func (v Verification) Channel() channel.Channel {
	if n := len(v.Attempts); n > 0 {
		return v.Attempts[n-1].Channel
	}
	if len(v.Workflow) > 0 {
		return v.Workflow[0]
	}
	return ""
}

// AddressFor is the person's address for a channel, "" if there is none.
func (r Recipient) AddressFor(v Verification, c channel.Channel) string {
	if address.IsEmail(r.Address) == c.NeedsEmail() {
		return r.Address
	}
	return v.Other
}

// PreferredBy is the channel over which the client last reached the person, "" if it is
// not known.
func (r Recipient) PreferredBy(client string) channel.Channel {
	if p := r.preferredBy(client); !p.Alone {
		return p.Channel
	}
	return ""
}

func (r Recipient) preferredBy(client string) Preferred {
	for _, p := range r.Preferred {
		if p.Client == client {
			return p
		}
	}
	return Preferred{}
}

// preferredFirst is the workflow with the client's preferred channel first, if the
// workflow has it.
func (r Recipient) preferredFirst(client string, workflow []channel.Channel) []channel.Channel {
	preferred := r.PreferredBy(client)
	i := slices.Index(workflow, preferred)
	if i <= 0 {
		return workflow
	}
	return append([]channel.Channel{preferred}, slices.Delete(slices.Clone(workflow), i, i+1)...)
}

// maxPreferred bounds the list of preferred channels. The oldest is forgotten first.
const maxPreferred = 32

// prefer makes a route the preferred one of the client, because it reached the person.
// It does nothing for a test number, whose verifications all have to go the same way, and if there
// was nothing to choose. A workflow of one channel chooses a provider only.
func (r *Recipient) prefer(v Verification, by channel.Route, now time.Time) {
	if by.Channel == "" || v.TestCode != "" {
		return
	}
	alone, before := len(v.Workflow) < 2, r.PreferredBy(v.Client)
	if alone && (by.Provider == "" || before != "" && before != by.Channel) {
		return
	}
	next := Preferred{Client: v.Client, Channel: by.Channel, Provider: by.Provider, Alone: alone && before == "", At: window.Stamp(now)}
	for i, p := range r.Preferred {
		if p.Client == v.Client {
			next.At = window.Later(next.At, p.At)
			r.Preferred[i] = next
			return
		}
	}
	if r.Preferred = append(r.Preferred, next); len(r.Preferred) > maxPreferred {
		oldest := 0
		for i, p := range r.Preferred {
			if p.At.Before(r.Preferred[oldest].At) {
				oldest = i
			}
		}
		r.Preferred = slices.Delete(r.Preferred, oldest, oldest+1)
	}
}

// likelyRoute is the route over which the code most likely came: the last one that delivered
// it, else the last one that did not fail, else none.
func (v Verification) likelyRoute() (by channel.Route) {
	for _, a := range v.Attempts {
		if a.Status.rank() >= Delivered.rank() {
			by = a.Route()
		}
	}
	for i := len(v.Attempts) - 1; by.Channel == "" && i >= 0; i-- {
		if v.Attempts[i].Status != Failed {
			by = v.Attempts[i].Route()
		}
	}
	return by
}

// Through returns the verification as if the message n (from 1) were the only one, which has
// arrived: the person has followed its link. n is 0 for a code that was typed.
func (v Verification) Through(n int) Verification {
	if n > 0 {
		a := v.Attempts[n-1]
		if a.Status == Failed { // as the provider wrongly said
			a.Status = Sent
		}
		v.Attempts = []Attempt{a}
	}
	return v
}

// Proven is the address that belongs to the person if v is approved: the address of all messages
// that may have been read. It is "" if those went to two addresses. A mail that failed proves
// nothing, and may have been read all the same: who runs a mail server can read a mail and then
// refuse it.
func (r Recipient) Proven(v Verification) string {
	proven := ""
	if v.TestCode != "" {
		return "" // nothing was sent, and other people know the code
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
	for _, a := range v.Attempts {
		if a.Status == Failed && a.Channel.NeedsEmail() && r.AddressFor(v, a.Channel) != proven {
			return ""
		}
	}
	return proven
}
