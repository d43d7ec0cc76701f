package guard

import (
	"context"
	"net/netip"
	"time"

	"twofa/internal/problem"
)

const (
	// MaxWrongPerIP is how many wrong codes a client address may type in an hour, over all
	// sign-ins. A /64 of IPv6 is one address, and a /48 has five times as many.
	MaxWrongPerIP = 30
	// AlarmWrong is how many wrong codes of all client addresses together, in an hour, are
	// reported in the log. They refuse nothing, else an attacker could keep all people out.
	AlarmWrong = 500
)

// The details of refused checks.
const (
	wrongByAddress = "Too many wrong codes came from this client address in PERIOD. Try again later."
	wrongByNetwork = "Too many wrong codes came from the network (/48) of this client address in PERIOD. Try again later."
	wrongByNobody  = "The client address of this request cannot be read, so it shares the limit of all such requests. Too many wrong codes came with them in PERIOD. Try again later."
)

// BeginCheck begins the check of a code that a person types at a sign-in, unless the address was
// proven in that browser before. The zero Addr: the client address is not known. Admit has to be
// called before anything is compared, and reserves one wrong code. End(true) counts it. End(false)
// gives it back, because the code was right or nothing was compared.
//
// As Begin, it starts to read the counters and returns at once, unless 8 checks of one counter are
// under way. Begin it beside the first thing that the request reads: Admit then waits for nothing. A
// right code writes nothing. End(true) waits for one round trip, which writes what Begin has read, or
// for two more if it was written since.
//
// The error of Admit is of kind TooManyChecks, with RetryAfter, or StorageUnavailable.
func (g *Guard) BeginCheck(ctx context.Context, addr netip.Addr, now time.Time) *Ticket {
	if g == nil {
		return nil
	}
	return g.begin(&Ticket{guard: g, ctx: ctx, now: now, late: true}, g.checkRules(addr))
}

// checkRules returns the rules that a check has to keep.
func (g *Guard) checkRules(addr netip.Addr) []rule {
	l := perAddress{
		owner: "wrong", hour: MaxWrongPerIP, kind: problem.TooManyChecks,
		address: wrongByAddress, network: wrongByNetwork, nobody: wrongByNobody,
	}
	return append(g.addressRules(l, addr), rule{rows: g.sharded("wrong"), limit: AlarmWrong, window: hour, warn: g.alarm})
}

// alarm logs that AlarmWrong is reached, at most once in an hour.
func (g *Guard) alarm(used, limit int, now time.Time) {
	if used < limit || !g.alarmed.IsZero() && now.Sub(g.alarmed) < time.Hour {
		return
	}
	g.alarmed = now
	g.Log.Warn("many wrong codes were typed at sign-ins in one hour, over all client addresses: somebody may be guessing", "wrong_codes", used, "threshold", limit)
}
