// Package guard limits how many messages are sent over many addresses: for one client
// address, for one client, and to all addresses that people typed. It also limits how many
// wrong codes strangers type at sign-ins from one client address. Its counters are rows of
// the service's table.
//
// The counters are approximate over several processes; see [Guard]. They come in addition
// to the exact limits of each recipient, and never loosen these. The package must never
// put an address into a key, a log or an error, and must never fail a send or a check because
// a counter could not be written.
package guard

import (
	"container/list"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"twofa/internal/clientip"
	"twofa/internal/problem"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/window"
)

// Limits are the operator's limits. 0: no limit.
type Limits struct {
	// PerIP and PerIPPerDay are how many messages a client may cause in an hour and in
	// 24 hours for one client address that its server gives.
	PerIP, PerIPPerDay int
	// PagePerIP and PagePerIPPerDay are the same for messages to addresses that people
	// typed, over all clients.
	PagePerIP, PagePerIPPerDay int
	// AnonymousPerDay is how many messages may go to addresses that people typed in 24
	// hours.
	AnonymousPerDay int
}

// MaxLimit is the largest value of a limit.
const MaxLimit = 1_000_000

// DefaultLimits are those in docs/settings.md.
func DefaultLimits() Limits {
	return Limits{PagePerIP: 20, PagePerIPPerDay: 100, AnonymousPerDay: 1000}
}

// Send is what the limits need to know of a message.
type Send struct {
	// Client is the id of the client, "" for the nameless one.
	Client string
	// MaxPerDay is how many messages the client may cause in 24 hours. 0: no limit.
	MaxPerDay int
	// Typed is true if a person typed the address that the message goes to, false if
	// the client's server gave it.
	Typed bool
	// Proven is true if the address was typed in a browser in which it was proven before:
	// the message does not count for AnonymousPerDay.
	Proven bool
	// Addr is the client address. The zero Addr: none was given, or it cannot be read.
	Addr netip.Addr
}

const (
	// maxUnwritten is how many sends of one counter a process may have admitted and not
	// yet written.
	maxUnwritten = 8
	// maxOwed is how many counters a process keeps that it could not write. After that
	// it forgets those that have waited longest.
	maxOwed = 10_000
	// shards is how many rows a counter has that many processes write. Each process
	// draws the one that it writes.
	shards = 4
	// perNetwork is how many times the limit of one address a /48 of IPv6 has.
	perNetwork = 5
)

// Guard holds the limits. Its exported fields are set once, before the first call. It is
// safe for concurrent use, and must not be copied.
//
// In one process the limits are exact. With n processes, at most limit + 8 (n-1) sends
// are admitted in a window: a process does not see what the others have admitted and not
// yet written, and that is at most 8 sends each. A send whose write failed is not among
// these 8. It is kept in memory for the next write of its counter, and lost if the
// process ends before that.
type Guard struct {
	Table  store.Table
	Keys   *secret.Keyring
	Limits Limits
	// Log gets a warning when half and when all of AnonymousPerDay is used, when AlarmWrong is
	// reached, and for each counter that cannot be read.
	Log *slog.Logger

	once  sync.Once
	shard int // the row of a sharded counter that this process writes

	mu       sync.Mutex // guards what follows, and all counters
	counters map[store.Key]*counter
	owed     list.List    // of *counter, the longest waiting first
	warned   [2]time.Time // when half and all of AnonymousPerDay were last reported
	alarmed  time.Time    // when AlarmWrong was last reported
}

// rule is one limit that a send or a check has to keep.
type rule struct {
	rows   []store.Key // of the counter
	limit  int
	window int64        // in minutes
	kind   problem.Kind // of the refusal; "": the rule refuses nothing
	detail string       // of the refusal; PERIOD stands for the window
	warn   func(used, limit int, now time.Time)
}

// The details of refusals.
const (
	byAddress = "This client address has reached its limit of messages in PERIOD. Try again later."
	byNetwork = "The network (/48) of this client address has reached its limit of messages in PERIOD. Try again later."
	byNobody  = "The request gave no client_ip that could be read, so it shares the limit of all such requests. They have reached their limit of messages in PERIOD. Give the person's address as client_ip."
	byClient  = "This client has reached its limit of messages in PERIOD. The operator can raise it (max_sends_per_day)."
	byAll     = "The service has reached its limit of messages to addresses that people typed in PERIOD. The operator can raise it (TWOFA_MAX_ANONYMOUS_SENDS_PER_DAY)."
)

// logged says in the log which limit refused a message or a check.
var logged = map[string]error{
	byAddress: errors.New("guard: the limit of a client address"),
	byNetwork: errors.New("guard: the limit of a network of client addresses"),
	byNobody:  errors.New("guard: the limit of requests without a client address"),
	byClient:  errors.New("guard: the client's max_sends_per_day"),
	byAll:     errors.New("guard: TWOFA_MAX_ANONYMOUS_SENDS_PER_DAY"),

	wrongByAddress: errors.New("guard: the wrong codes of a client address"),
	wrongByNetwork: errors.New("guard: the wrong codes of a network of client addresses"),
	wrongByNobody:  errors.New("guard: the wrong codes of requests without a client address"),
}

// refusal is the error of a rule whose window is full for that time.
func (r rule) refusal(wait time.Duration) *problem.Error {
	period := "24 hours"
	if r.window == hour {
		period = "one hour"
	}
	return &problem.Error{
		Kind: r.kind, RetryAfter: wait, Err: logged[r.detail],
		Detail: strings.Replace(r.detail, "PERIOD", period, 1),
	}
}

// rules returns the rules that the send has to keep.
func (g *Guard) rules(s Send) (rules []rule) {
	l := perAddress{owner: "client\x00" + s.Client, hour: g.Limits.PerIP, day: g.Limits.PerIPPerDay, kind: problem.TooManySends, address: byAddress, network: byNetwork}
	if s.Typed {
		l.owner, l.hour, l.day, l.nobody = "typed", g.Limits.PagePerIP, g.Limits.PagePerIPPerDay, byNobody
	}
	rules = g.addressRules(l, s.Addr)
	if s.MaxPerDay > 0 {
		rules = append(rules, rule{rows: g.sharded("client", s.Client), limit: s.MaxPerDay, window: day, kind: problem.TooManySends, detail: byClient})
	}
	if s.Typed && !s.Proven && g.Limits.AnonymousPerDay > 0 {
		rules = append(rules, rule{rows: g.sharded("typed"), limit: g.Limits.AnonymousPerDay, window: day, kind: problem.TooManySends, detail: byAll, warn: g.warn})
	}
	return rules
}

// perAddress is what is allowed for one client address, in an hour and in 24 hours (0: any
// number), and how it is refused.
type perAddress struct {
	owner     string // with whom the address does not share what it has
	hour, day int
	kind      problem.Kind
	// The details of refusals. Without nobody, requests without an address have no limit.
	address, network, nobody string
}

// addressRules returns the rules that a request from a client address has to keep.
func (g *Guard) addressRules(l perAddress, addr netip.Addr) (rules []rule) {
	add := func(detail string, times int, of string) {
		rows := []store.Key{g.key("address", l.owner, of)}
		if l.hour > 0 {
			rules = append(rules, rule{rows: rows, limit: times * l.hour, window: hour, kind: l.kind, detail: detail})
		}
		if l.day > 0 {
			rules = append(rules, rule{rows: rows, limit: times * l.day, window: day, kind: l.kind, detail: detail})
		}
	}
	from := clientip.Client{Addr: addr.Unmap()}
	switch {
	case l.hour == 0 && l.day == 0:
	case from.Addr.IsValid():
		add(l.address, 1, from.Subscriber().String())
		if from.Addr.Is6() {
			add(l.network, perNetwork, from.Network().String())
		}
	case l.nobody != "":
		add(l.nobody, 1, "")
	}
	return rules
}

// key returns the key of a counter's row: 128 bits of a keyed hash. No part may hold a
// null byte.
func (g *Guard) key(parts ...string) store.Key {
	// No recipient or user has the same index: an address holds no null byte, and the
	// index of a user begins with user and a null byte.
	index := g.Keys.Index("guard\x00" + strings.Join(parts, "\x00"))
	return store.Key(keyPrefix + hex.EncodeToString(index[:16]))
}

// sharded returns the keys of the rows of a sharded counter.
func (g *Guard) sharded(parts ...string) (keys []store.Key) {
	for i := range shards {
		keys = append(keys, g.key(append(parts, "shard "+strconv.Itoa(i))...))
	}
	return keys
}

func (g *Guard) setUp() {
	g.counters = make(map[store.Key]*counter)
	g.shard = rand.N(shards)
}

// Begin starts to read the counters of a send, all at the same time, and returns at once,
// unless 8 sends of one of the counters are under way in this process and not written: it
// then waits for one of them. So the caller must not hold a lock or a transaction of the
// table. now is the time by which the request is judged.
//
// The ticket is nil, and costs nothing, if no limit concerns the send. A nil Guard has no
// limits.
func (g *Guard) Begin(ctx context.Context, s Send, now time.Time) *Ticket {
	if g == nil {
		return nil
	}
	return g.begin(&Ticket{guard: g, ctx: ctx, now: now}, g.rules(s))
}

// begin begins a ticket under the rules, nil if there are none.
func (g *Guard) begin(t *Ticket, rules []rule) *Ticket {
	if len(rules) == 0 {
		return nil
	}
	g.once.Do(g.setUp)
	t.cancel = func() {}
	g.mu.Lock()
	t.enter(rules)
	g.mu.Unlock()
	if t.err = t.takePlaces(); t.err == nil {
		t.read()
	}
	return t
}

// warn logs that half or all of AnonymousPerDay is used, each at most once in 24 hours.
func (g *Guard) warn(used, limit int, now time.Time) {
	for i, percent := range []int{50, 100} {
		if used*100 < limit*percent || !g.warned[i].IsZero() && now.Sub(g.warned[i]) < window.Day {
			continue
		}
		g.warned[i] = now
		g.Log.Warn("messages to addresses that people typed have used this part of their limit in 24 hours; at 100 percent, none is sent",
			"setting", "TWOFA_MAX_ANONYMOUS_SENDS_PER_DAY", "percent", percent, "limit", limit)
	}
}
