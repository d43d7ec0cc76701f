package guard_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/guard"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
)

const anHour = 61 * time.Minute // how long a wrong code at a whole minute counts

// check runs one check from its begin to its end.
func (p *process) check(addr netip.Addr, wrong bool, now time.Time) error {
	ticket := p.BeginCheck(context.Background(), addr, now)
	err := ticket.Admit()
	ticket.End(err == nil && wrong)
	return err
}

// mustCheck makes n checks.
func (p *process) mustCheck(n int, addr netip.Addr, wrong bool, now time.Time) {
	p.t.Helper()
	for i := range n {
		if err := p.check(addr, wrong, now); err != nil {
			p.t.Fatalf("check %d of %d: %v", i+1, n, err)
		}
	}
}

// refusedCheck wants a refusal that lasts that long and whose detail has the text.
func (p *process) refusedCheck(addr netip.Addr, now time.Time, wait time.Duration, text string) {
	p.t.Helper()
	e := fixture.Problem(p.t, p.check(addr, false, now), problem.TooManyChecks)
	if e.RetryAfter != wait || !strings.Contains(e.Detail, text) || e.Err == nil {
		p.t.Errorf("refused for %v with %q and for the log %v; want %v and %q", e.RetryAfter, e.Detail, e.Err, wait, text)
	}
}

// numbered is client address i.
func numbered(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}) }

// An address has 30 wrong codes in an hour, whatever the operator's limits of messages are.
// Right codes do not count.
func TestAttack22_WrongCodesOfAnAddressAreLimited(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		addr netip.Addr
		text string
	}{
		"IPv4":       {home, "Too many wrong codes came from this client address in one hour"},
		"IPv6":       {home6, "Too many wrong codes came from this client address in one hour"},
		"no address": {netip.Addr{}, "cannot be read, so it shares the limit of all such requests"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newTable()
			p := newProcess(t, m, guard.Limits{PagePerIP: 1})
			p.mustCheck(100, tc.addr, false, noon)
			p.mustCheck(guard.MaxWrongPerIP-1, tc.addr, true, noon)
			p.mustCheck(100, tc.addr, false, noon)
			p.mustCheck(1, tc.addr, true, noon)
			p.refusedCheck(tc.addr, noon, anHour, tc.text)
			other := newProcess(t, m, guard.Limits{})
			other.refusedCheck(tc.addr, noon.Add(anHour-1), 1, tc.text)
			other.mustCheck(1, tc.addr, true, noon.Add(anHour))
			p.mustSend(1, guard.Send{Typed: true, Addr: tc.addr}, noon) // messages have limits of their own
			p.idle()
			other.idle()
		})
	}
	var none *guard.Guard
	ticket := none.BeginCheck(context.Background(), home, noon)
	if err := ticket.Admit(); err != nil {
		t.Error(err)
	}
	ticket.End(true)
}

// A /64 is one address, and a /48 has five times as many wrong codes.
func TestAttack22_WhoSharesTheWrongCodes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		one, other string
		shared     bool
	}{
		"another address":           {"203.0.113.9", "203.0.113.8", false},
		"IPv4 in IPv6":              {"203.0.113.9", "::ffff:203.0.113.9", true},
		"one /64":                   {"2001:db8:1:2::1", "2001:db8:1:2:ffff::2", true},
		"another /64":               {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		"with a zone":               {"2001:db8:1:2::1", "2001:db8:1:2::1%eth0", true},
		"no address and an address": {"", "203.0.113.9", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess(t, newTable(), guard.Limits{})
			one, _ := netip.ParseAddr(tc.one)
			p.mustCheck(guard.MaxWrongPerIP, one, true, noon)
			if refused := p.check(netip.MustParseAddr(tc.other), true, noon) != nil; refused != tc.shared {
				t.Errorf("refused: %t, want %t", refused, tc.shared)
			}
		})
	}
	p := newProcess(t, newTable(), guard.Limits{})
	in := func(net byte) netip.Addr {
		a := home6.As16()
		a[7] = net
		return netip.AddrFrom16(a)
	}
	for net := range byte(5) {
		p.mustCheck(guard.MaxWrongPerIP, in(net), true, noon)
	}
	p.refusedCheck(in(5), noon, anHour, "the network (/48) of this client address")
	p.mustCheck(1, netip.MustParseAddr("2001:db8:2::1"), true, noon)
}

// In one process, never more than 30 wrong codes of an address are compared in an hour, with
// any number of checks under way. One that is given back leaves its place.
func TestAttack22_OneProcessNeverComparesMore_Property(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := newProcess(t, newTable(), guard.Limits{})
		now := noon.Add(time.Duration(rapid.IntRange(0, 59).Draw(rt, "seconds")) * time.Second)
		var open []*guard.Ticket // admitted
		var wrong []time.Time
		began := make(map[*guard.Ticket]time.Time)
		within := func() (n int) {
			for _, at := range wrong {
				if now.Sub(at) < anHour {
					n++
				}
			}
			return n
		}
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			switch step := rapid.IntRange(0, 9).Draw(rt, "step"); {
			case step < 6 && len(open) < guard.MaxUnwritten:
				ticket := p.BeginCheck(context.Background(), home, now)
				if err := ticket.Admit(); err != nil {
					if within()+len(open) < guard.MaxWrongPerIP {
						rt.Fatalf("refused after %d wrong codes, with %d checks under way: %v", within(), len(open), err)
					}
					ticket.End(false)
					continue
				}
				open, began[ticket] = append(open, ticket), now
			case step < 9 && len(open) > 0:
				isWrong := rapid.IntRange(0, 4).Draw(rt, "wrong") > 0
				if open[0].End(isWrong); isWrong {
					wrong = append(wrong, began[open[0]])
				}
				open = open[1:]
			case len(open) == 0: // a check is over long before the minutes matter
				now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(rt, "pause")) * time.Second)
			}
			for i, at := range wrong {
				if i >= guard.MaxWrongPerIP && at.Sub(wrong[i-guard.MaxWrongPerIP]) < time.Hour {
					rt.Fatalf("31 wrong codes within %v", at.Sub(wrong[i-guard.MaxWrongPerIP]))
				}
			}
		}
		for _, ticket := range open {
			ticket.End(false)
		}
		p.idle()
	})
}

func TestAttack22_WrongCodesAtOnce(t *testing.T) {
	t.Parallel()
	for processes, most := range []int{1: guard.MaxWrongPerIP, 2: guard.MaxWrongPerIP + guard.MaxUnwritten} {
		if processes == 0 {
			continue
		}
		m := newTable()
		var compared atomic.Int64
		var wg sync.WaitGroup
		for range processes {
			p := newProcess(t, m, guard.Limits{})
			for i := range 300 {
				wg.Go(func() {
					ticket := p.BeginCheck(context.Background(), home, noon)
					wrong := ticket.Admit() == nil && i%3 > 0
					if wrong {
						compared.Add(1)
					}
					ticket.End(wrong)
				})
			}
		}
		wg.Wait()
		if n := int(compared.Load()); n > most || n == 0 {
			t.Errorf("%d processes have compared %d wrong codes, at most %d may be", processes, n, most)
		}
		for err := error(nil); err == nil; { // what was refused at the same time left its place
			err = newProcess(t, m, guard.Limits{}).check(home, true, noon)
		}
		newProcess(t, m, guard.Limits{}).refusedCheck(home, noon, anHour, "")
	}
}

// What counts is told from what is given back, and not lost by a failure of storage.
func TestAttack22_WrongCodesWhileStorageFails(t *testing.T) {
	t.Parallel()
	m := newTable()
	p := newProcess(t, m, guard.Limits{})
	m.down("Get")
	fixture.Problem(t, p.check(home, true, noon), problem.StorageUnavailable)
	p.idle()
	m.down("Update")
	p.mustCheck(guard.MaxWrongPerIP, home, true, noon)
	p.refusedCheck(home, noon, anHour, "")
	m.down("")
	p.mustCheck(1, numbered(1), true, noon)
	newProcess(t, m, guard.Limits{}).mustCheck(1, home, false, noon) // not written yet
	p.refusedCheck(home, noon, anHour, "")
}

// Many wrong codes over all addresses are reported once in an hour, without an address.
func TestAttack22_TheAlarmOfWrongCodes(t *testing.T) {
	t.Parallel()
	m := newTable()
	p := newProcess(t, m, guard.Limits{})
	want := func(p *process, alarms int) {
		t.Helper()
		if n := strings.Count(p.log.String(), "level=WARN"); n != alarms {
			t.Fatalf("%d alarms, want %d:\n%s", n, alarms, p.log)
		}
	}
	for i := range guard.AlarmWrong - 1 {
		p.mustCheck(1, numbered(i), true, noon)
	}
	p.mustCheck(50, numbered(1000), false, noon)
	want(p, 0)
	p.mustCheck(1, numbered(1000), true, noon)
	want(p, 1)
	p.mustCheck(guard.MaxWrongPerIP, numbered(1001), true, noon.Add(time.Hour-1))
	p.refusedCheck(numbered(1001), noon.Add(time.Hour-1), anHour-59*time.Second-999999999, "")
	want(p, 1)
	if log := p.log.String(); !strings.Contains(log, fmt.Sprintf("wrong_codes=%d threshold=%[1]d", guard.AlarmWrong)) || strings.Contains(log, "198.51") {
		t.Errorf("the log: %s", log)
	}
	p.mustCheck(1, numbered(1002), true, noon.Add(time.Hour))
	want(p, 2)
	p.mustCheck(1, numbered(1003), true, noon.Add(3*time.Hour)) // the flood is over
	want(p, 2)
	other := newProcess(t, m, guard.Limits{}) // has seen none of them
	other.mustCheck(1, numbered(1004), true, noon.Add(time.Hour))
	want(other, 1)
}

// A right code writes nothing. The counters of a wrong one are written in one round trip, after the
// check. The reads run beside what the request reads first.
func TestChecksCostOneMoreTripInSequence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTable()
		m.latency = time.Millisecond
		p := newProcess(t, m, guard.Limits{})
		for _, tc := range []struct {
			addr  netip.Addr
			wrong bool
			trips int64
			took  time.Duration
		}{
			{home, false, 1 + 4, time.Millisecond},
			{home6, false, 2 + 4, time.Millisecond},
			{home, true, 1 + 4 + 2, 2 * time.Millisecond},
			{home6, true, 2 + 4 + 3, 2 * time.Millisecond},
		} {
			ctx, trips := store.WithTrips(context.Background())
			began := time.Now()
			ticket := p.BeginCheck(ctx, tc.addr, noon)
			if _, err := m.Get(context.Background(), "session"); !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
			if err := ticket.Admit(); err != nil {
				t.Fatal(err)
			}
			ticket.End(tc.wrong)
			if took := time.Since(began); took != tc.took || trips.Load() != tc.trips {
				t.Errorf("%v, wrong %t: %v and %d round trips, want %v and %d", tc.addr, tc.wrong, took, trips.Load(), tc.took, tc.trips)
			}
		}
	})
}
