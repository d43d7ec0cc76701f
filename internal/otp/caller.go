package otp

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// One address may have many callers. What one of them could use to learn of another, or
// to hinder another, is kept apart by client and origin. This file has what is counted
// for each caller, and the limits on it; docs/clients.md has them as a table.

// Origin says where a client has an address from. Rows hold its number: append only.
type Origin uint8

// The origins.
const (
	// OriginServer: the client's server knows the address, for example from the account
	// of a person whose password was right.
	OriginServer Origin = iota
	// OriginTyped: somebody typed the address into a form that is open to strangers.
	OriginTyped
	// OriginKnown: somebody typed the address on a page, in a browser in which it was proven
	// before. See [Browser].
	OriginKnown
)

var originNames = []string{"server", "typed", "known"}

// String names the origin in requests and logs.
func (o Origin) String() string {
	if int(o) < len(originNames) {
		return originNames[o]
	}
	return fmt.Sprintf("Origin(%d)", uint8(o))
}

// ReadOrigin reads the origin that a client gives, OriginServer for "". A client cannot
// give OriginKnown. It adds a fault for anything else.
func ReadOrigin(text string, faults *problem.Faults) Origin {
	switch text {
	case "", originNames[OriginServer]:
		return OriginServer
	case originNames[OriginTyped]:
		return OriginTyped
	}
	faults.Add("origin", "An origin is server (the default: your server knows the address) or typed (a person typed it into your form, which anybody can open).")
	return OriginServer
}

// Network stands for the network of the internet from which an address was typed: a hash
// of its /24 or /48. The zero Network is unknown; all unknown ones count as one.
type Network [4]byte

// NewNetwork returns the Network of a prefix, the zero Network for an invalid one. Rows
// are sealed, so it needs no key.
func NewNetwork(p netip.Prefix) (n Network) {
	if p.IsValid() {
		sum := sha256.Sum256([]byte(p.Masked().String()))
		copy(n[:], sum[:])
	}
	return n
}

// Caller is who asks for something at an address.
type Caller struct {
	Client string // the client's id, "" for the nameless client
	Origin Origin
	// Network is set for OriginTyped only. It tells senders apart, not callers: see is.
	Network Network `json:",omitzero"`
	// Session tells verifications apart, and not what is counted: see counted.
	Session Session `json:",omitzero"`
}

// is reports whether two callers are one: what they do is not kept apart.
func (c Caller) is(other Caller) bool { return c.Client == other.Client && c.Origin == other.Origin }

// Tally is what is counted for one caller at one address.
type Tally struct {
	Caller
	Sends     []time.Time // of the last Day, oldest first
	Failures  []time.Time // wrong codes of the last Day, oldest first
	AlertedAt time.Time   // of the last alert of wrong codes, zero if there was none for AlertPause
	Unlocks   []Unlock    `json:",omitempty"` // of the last Day, oldest first
}

// The limits at one address and in window.Day that no setting raises. A setting that is
// lower holds for them, too.
const (
	MaxTypedFailuresPerDay = 10 // wrong codes, OriginTyped, all clients together
	MaxTypedSendsPerDay    = 5  // messages, OriginTyped, all clients together
	MaxNetworkSendsPerDay  = 2  // of these, from one Network
	MaxKnownFailuresPerDay = 10 // wrong codes, OriginKnown, all clients together
	MaxKnownSendsPerDay    = 10 // messages, OriginKnown, all clients together
	MaxUnlocksPerDay       = 3  // all callers together

	maxTotalFailures = 90
)

// KnownFor is how long a browser is known at most.
const KnownFor = 90 * window.Day

// TotalFailuresPerDay is how many wrong codes all callers together have at one address,
// but for known browsers: three times the limit of one client, and at most 90. But it is
// never less than what one client and strangers have together, so that strangers cannot
// use up what a client's server has left.
func (p Policy) TotalFailuresPerDay() int {
	return max(p.MaxFailuresPerDay+min(p.MaxFailuresPerDay, MaxTypedFailuresPerDay), min(3*p.MaxFailuresPerDay, maxTotalFailures))
}

// TotalSendsPerDay is how many messages all callers together have at one address, but for
// known browsers.
func (p Policy) TotalSendsPerDay() int { return 2 * p.MaxSendsPerDay }

// allowance is one limit and the tallies whose events count for it.
type allowance struct {
	counts func(Tally) bool
	// most is the limit, and window what it holds for.
	most   int
	window time.Duration
	// unlocked adds most once more for each of these.
	unlocked []Unlock
	shared   bool // other callers can use it up
	// unknown is true for the network of requests that name none.
	unknown bool
}

// left is how many more events the allowance has.
func (a allowance) left(events []time.Time, now time.Time) int {
	return max(0, a.limit(now)-within(events, a.window, now))
}

// limit is how many events the allowance has at a time.
func (a allowance) limit(t time.Time) int {
	n := 1
	for _, u := range a.unlocked {
		if t.Sub(u.At) < window.Day {
			n++
		}
	}
	return n * a.most
}

// fullFor is how long the allowance is used up, 0 if it is not. If unlocks end before that,
// it may be used up again then: see untilAllowed.
func (a allowance) fullFor(events []time.Time, now time.Time) time.Duration {
	return window.FullFor(events, a.limit(now), a.window, now)
}

// within is how many of the events a window that ends at now holds. An event in the
// future counts as of now.
func within(events []time.Time, length time.Duration, now time.Time) int {
	i := 0
	for i < len(events) && now.Sub(events[i]) >= length {
		i++
	}
	return len(events) - i
}

func (c Caller) own(t Tally) bool { return c.is(t.Caller) }

// shares counts those who share the caller's limits: the client itself for a server, else
// all clients with the same origin.
func (c Caller) shares(t Tally) bool {
	return c.Origin == t.Origin && (c.Origin != OriginServer || c.Client == t.Client)
}

// total counts what all callers share, but for known browsers.
func total(t Tally) bool { return t.Origin != OriginKnown }

// failureLimits are the limits on wrong codes of a caller.
func (r Recipient) failureLimits(c Caller, p Policy) []allowance {
	a := allowance{counts: c.shares, most: p.MaxFailuresPerDay, window: window.Day, unlocked: r.unlocksOf(c)}
	switch c.Origin {
	case OriginTyped:
		a.most, a.shared = min(a.most, MaxTypedFailuresPerDay), true
	case OriginKnown:
		a.most, a.shared = min(a.most, MaxKnownFailuresPerDay), true
		return []allowance{a}
	}
	return []allowance{a, {counts: total, most: p.TotalFailuresPerDay(), window: window.Day, shared: true}}
}

// sendLimits are the limits on messages of a caller.
func (r Recipient) sendLimits(c Caller, p Policy) []allowance {
	day := allowance{counts: c.shares, most: p.MaxSendsPerDay, window: window.Day, unlocked: r.unlocksOf(c)}
	soon := allowance{counts: c.shares, most: p.MaxSends, window: SendWindow}
	switch c.Origin {
	case OriginTyped:
		day.most, day.shared, soon.shared = min(day.most, MaxTypedSendsPerDay), true, true
	case OriginKnown:
		day.most, day.shared, soon.shared = min(day.most, MaxKnownSendsPerDay), true, true
		return []allowance{day, soon}
	}
	limits := []allowance{
		day, soon,
		{counts: total, most: p.TotalSendsPerDay(), window: window.Day, shared: true},
		{counts: total, most: 2 * p.MaxSends, window: SendWindow, shared: true},
	}
	if c.Origin == OriginTyped {
		network := func(t Tally) bool { return t.Origin == OriginTyped && t.Network == c.Network }
		limits = append(limits, allowance{counts: network, most: min(p.MaxSendsPerDay, MaxNetworkSendsPerDay), window: window.Day, shared: true, unknown: c.Network == Network{}})
	}
	return limits
}

// Tally returns what is counted for a caller, a Tally without events if nothing is.
func (r Recipient) Tally(c Caller) Tally {
	c = c.counted()
	for _, t := range r.Tallies {
		if t.Caller == c {
			return t
		}
	}
	return Tally{Caller: c}
}

// tally returns the caller's tally, to be changed in place.
func (r *Recipient) tally(c Caller) *Tally {
	c = c.counted()
	i := slices.IndexFunc(r.Tallies, func(t Tally) bool { return t.Caller == c })
	if i < 0 {
		i = len(r.Tallies)
		r.Tallies = append(r.Tallies, Tally{Caller: c})
	}
	return &r.Tallies[i]
}

func sendsOf(t Tally) []time.Time    { return t.Sends }
func failuresOf(t Tally) []time.Time { return t.Failures }

// events returns the events of the tallies that count, oldest first.
func (r Recipient) events(of func(Tally) []time.Time, counts func(Tally) bool) (all []time.Time) {
	lists := 0
	for _, t := range r.Tallies {
		if list := of(t); len(list) > 0 && counts(t) {
			if lists++; lists == 1 {
				all = list // most addresses have one caller
			} else {
				all = slices.Concat(all, list)
			}
		}
	}
	if lists > 1 {
		slices.SortFunc(all, time.Time.Compare)
	}
	return all
}

// longestFull returns the allowance that is used up for the longest time, and that time;
// false if none is used up. Of two equal ones it is the first.
func (r Recipient) longestFull(of func(Tally) []time.Time, limits []allowance, now time.Time) (most allowance, wait time.Duration) {
	for _, a := range limits {
		if w := a.fullFor(r.events(of, a.counts), now); w > wait {
			most, wait = a, w
		}
	}
	return most, wait
}

// ownLeft is how many more events the limits allow the caller, as if no other caller
// existed: what others did is not shown.
func (r Recipient) ownLeft(c Caller, of func(Tally) []time.Time, limits []allowance, now time.Time) int {
	left := MaxCounted * (1 + MaxUnlocksPerDay)
	for _, a := range limits {
		own := func(t Tally) bool { return c.own(t) && a.counts(t) }
		left = min(left, a.left(r.events(of, own), now))
	}
	return left
}

// SharedLimitError is in the refusal of a limit that several callers have used up.
type SharedLimitError struct{ By string }

// Error implements error. It names who used the limit up, for the log.
func (e *SharedLimitError) Error() string {
	return "otp: a limit that callers share was used up by " + e.By
}

// usedBy says who caused the events that count for an allowance, most first.
func (r Recipient) usedBy(of func(Tally) []time.Time, a allowance, now time.Time) *SharedLimitError {
	type use struct {
		name string
		n    int
	}
	var uses []use
	for _, t := range r.Tallies {
		n := within(of(t), a.window, now)
		if n == 0 || !a.counts(t) {
			continue
		}
		name := cmp.Or(t.Client, "(nameless)") + " " + t.Origin.String()
		i := slices.IndexFunc(uses, func(u use) bool { return u.name == name })
		if i < 0 { // a client has a tally for each network
			i, uses = len(uses), append(uses, use{name: name})
		}
		uses[i].n += n
	}
	slices.SortStableFunc(uses, func(a, b use) int { return b.n - a.n })
	var parts []string
	for _, u := range uses[:min(len(uses), 5)] {
		parts = append(parts, fmt.Sprintf("%s %d", u.name, u.n))
	}
	return &SharedLimitError{By: strings.Join(parts, ", ")}
}

// alertedAt is when the caller's wrong codes were last alerted.
func (r Recipient) alertedAt(c Caller) (last time.Time) {
	for _, t := range r.Tallies {
		if c.own(t) {
			last = window.Later(last, t.AlertedAt)
		}
	}
	return last
}

// settle returns the tally as of now. It changes the lists in place.
func (t Tally) settle(now time.Time) Tally {
	t.Sends, t.Failures = window.Settle(t.Sends, now), window.Settle(t.Failures, now)
	if t.AlertedAt = window.Earlier(t.AlertedAt, window.Latest(now)); now.Sub(t.AlertedAt) >= AlertPause {
		t.AlertedAt = time.Time{}
	}
	t.Unlocks = slices.DeleteFunc(t.Unlocks, func(u Unlock) bool { return now.Sub(u.At) >= window.Day })
	for i := range t.Unlocks {
		t.Unlocks[i].At = window.Earlier(t.Unlocks[i].At, window.Latest(now))
	}
	return t
}

// isEmpty reports whether the tally counts nothing any more.
func (t Tally) isEmpty() bool {
	return len(t.Sends)+len(t.Failures)+len(t.Unlocks) == 0 && t.AlertedAt.IsZero()
}

// keepUntil is from when on the tally counts nothing.
func (t Tally) keepUntil() (until time.Time) {
	for _, e := range slices.Concat(t.Sends, t.Failures) {
		until = window.Later(until, e.Add(window.Day))
	}
	for _, u := range t.Unlocks {
		until = window.Later(until, u.At.Add(window.Day))
	}
	if !t.AlertedAt.IsZero() {
		until = window.Later(until, t.AlertedAt.Add(AlertPause))
	}
	return until
}

func (t Tally) clone() Tally {
	t.Sends, t.Failures, t.Unlocks = slices.Clone(t.Sends), slices.Clone(t.Failures), slices.Clone(t.Unlocks)
	return t
}
