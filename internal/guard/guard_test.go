package guard_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"twofa/internal/guard"
	"twofa/internal/store"
	"twofa/internal/window"
)

const aDay = window.Day + time.Minute // how long a send at a whole minute counts

func TestNoLimitCostsNothing(t *testing.T) {
	t.Parallel()
	m := newTable()
	for name, tc := range map[string]struct {
		limits guard.Limits
		send   guard.Send
	}{
		"all off":                        {guard.Limits{}, typedFromHome},
		"of a server, by default":        {guard.DefaultLimits(), guard.Send{Client: "shop", Addr: home}},
		"of a server, without client_ip": {guard.Limits{PerIP: 1, PerIPPerDay: 1}, guard.Send{Client: "shop"}},
	} {
		p := newProcess(t, m, tc.limits)
		if ticket := p.Begin(context.Background(), tc.send, noon); ticket != nil {
			t.Errorf("%s: a ticket was made", name)
		}
		p.mustSend(3, tc.send, noon)
	}
	var none *guard.Guard
	ticket := none.Begin(context.Background(), typedFromHome, noon)
	if err := ticket.Admit(); err != nil {
		t.Error(err)
	}
	ticket.End(true)
	if len(m.rows) > 0 {
		t.Errorf("%d rows were written", len(m.rows))
	}
}

// Each limit alone: the send that exceeds it is refused until the first one does not count
// any more, and is admitted then.
func TestEachLimitHolds(t *testing.T) {
	t.Parallel()
	server := guard.Send{Client: "shop", Addr: home}
	for name, tc := range map[string]struct {
		limits guard.Limits
		send   guard.Send
		most   int
		wait   time.Duration
		text   string
	}{
		"server, hour":         {guard.Limits{PerIP: 3}, server, 3, 61 * time.Minute, "This client address has reached its limit of messages in one hour"},
		"server, day":          {guard.Limits{PerIPPerDay: 3}, server, 3, aDay, "This client address has reached its limit of messages in 24 hours"},
		"typed, hour":          {guard.Limits{PagePerIP: 3}, typedFromHome, 3, 61 * time.Minute, "This client address has reached its limit of messages in one hour"},
		"typed, day":           {guard.Limits{PagePerIPPerDay: 3}, typedFromHome, 3, aDay, "in 24 hours"},
		"typed, no address":    {guard.Limits{PagePerIP: 3}, guard.Send{Typed: true}, 3, 61 * time.Minute, "gave no client_ip that could be read, so it shares the limit of all such requests"},
		"a client's day":       {guard.Limits{}, guard.Send{Client: "shop", MaxPerDay: 3}, 3, aDay, "This client has reached its limit of messages in 24 hours"},
		"a client's, typed":    {guard.Limits{}, guard.Send{Client: "shop", MaxPerDay: 3, Typed: true}, 3, aDay, "max_sends_per_day"},
		"all typed":            {guard.Limits{AnonymousPerDay: 3}, guard.Send{Typed: true}, 3, aDay, "TWOFA_MAX_ANONYMOUS_SENDS_PER_DAY"},
		"the longer of both":   {guard.Limits{PagePerIP: 3, PagePerIPPerDay: 3}, typedFromHome, 3, aDay, "in 24 hours"},
		"the hour comes first": {guard.Limits{PagePerIP: 3, PagePerIPPerDay: 4}, typedFromHome, 3, 61 * time.Minute, "in one hour"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newTable()
			p := newProcess(t, m, tc.limits)
			p.mustSend(tc.most, tc.send, noon)
			p.refused(tc.send, noon, tc.wait, tc.text)
			// Another process, which has seen nothing of this.
			other := newProcess(t, m, tc.limits)
			other.refused(tc.send, noon.Add(tc.wait-1), 1, tc.text)
			other.mustSend(1, tc.send, noon.Add(tc.wait))
			p.idle()
			other.idle()
		})
	}
}

// What one send uses up is gone for the sends that share its counter, and for no other.
func TestWhoSharesALimit(t *testing.T) {
	t.Parallel()
	parse := netip.MustParseAddr
	server := func(client, addr string) guard.Send { return guard.Send{Client: client, Addr: parse(addr)} }
	typed := func(client, addr string) guard.Send {
		s := server(client, addr)
		s.Typed = true
		return s
	}
	each := guard.Limits{PerIP: 1, PagePerIP: 1}
	for name, tc := range map[string]struct {
		limits     guard.Limits
		one, other guard.Send
		shared     bool
	}{
		"one address":                    {each, server("a", "203.0.113.9"), server("a", "203.0.113.9"), true},
		"another address":                {each, server("a", "203.0.113.9"), server("a", "203.0.113.8"), false},
		"another client":                 {each, server("a", "203.0.113.9"), server("b", "203.0.113.9"), false},
		"typed, another client":          {each, typed("a", "203.0.113.9"), typed("b", "203.0.113.9"), true},
		"typed and of a server":          {each, typed("a", "203.0.113.9"), server("a", "203.0.113.9"), false},
		"a client named typed":           {each, typed("a", "203.0.113.9"), server("typed", "203.0.113.9"), false},
		"IPv4 in IPv6":                   {each, server("a", "203.0.113.9"), server("a", "::ffff:203.0.113.9"), true},
		"one /64":                        {each, typed("a", "2001:db8:1:2::1"), typed("a", "2001:db8:1:2:ffff::2"), true},
		"another /64 of a /48":           {each, typed("a", "2001:db8:1:2::1"), typed("a", "2001:db8:1:3::1"), false},
		"with a zone":                    {each, typed("a", "2001:db8:1:2::1"), typed("a", "2001:db8:1:2::1%eth0"), true},
		"no address and an address":      {each, guard.Send{Typed: true}, typed("a", "203.0.113.9"), false},
		"no address, another client":     {each, guard.Send{Typed: true, Client: "a"}, guard.Send{Typed: true, Client: "b"}, true},
		"a client's day, other address":  {guard.Limits{}, guard.Send{Client: "a", MaxPerDay: 1}, guard.Send{Client: "a", MaxPerDay: 1, Typed: true, Addr: home}, true},
		"a client's day, another client": {guard.Limits{}, guard.Send{Client: "a", MaxPerDay: 1}, guard.Send{Client: "b", MaxPerDay: 1}, false},
		"all typed":                      {guard.Limits{AnonymousPerDay: 1}, typed("a", "203.0.113.9"), typed("b", "2001:db8::1"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess(t, newTable(), tc.limits)
			p.mustSend(1, tc.one, noon)
			if refused := p.send(tc.other, noon) != nil; refused != tc.shared {
				t.Errorf("refused: %t, want %t", refused, tc.shared)
			}
		})
	}
}

// A /48 has five times the limit of a /64.
func TestANetworkOfIPv6HasALimit(t *testing.T) {
	t.Parallel()
	p := newProcess(t, newTable(), guard.Limits{PagePerIP: 2})
	in := func(net byte) guard.Send {
		a := home6.As16()
		a[7] = net
		return guard.Send{Typed: true, Addr: netip.AddrFrom16(a)}
	}
	for net := range byte(5) {
		p.mustSend(2, in(net), noon)
		if net < 4 {
			p.refused(in(net), noon, 61*time.Minute, "This client address")
		}
	}
	p.refused(in(5), noon, 61*time.Minute, "The network (/48) of this client address")
	p.mustSend(1, guard.Send{Typed: true, Addr: netip.MustParseAddr("2001:db8:2::1")}, noon)
}

// A limit frees sends as they leave the window, not all at once.
func TestTheWindowSlides(t *testing.T) {
	t.Parallel()
	p := newProcess(t, newTable(), guard.Limits{PagePerIP: 3})
	for i := range 3 {
		p.mustSend(1, typedFromHome, noon.Add(time.Duration(i)*10*time.Minute))
	}
	p.refused(typedFromHome, noon.Add(30*time.Minute), 31*time.Minute, "")
	p.mustSend(1, typedFromHome, noon.Add(61*time.Minute))
	p.refused(typedFromHome, noon.Add(61*time.Minute), 10*time.Minute, "")
}

func TestAdmitAnswersTheSameAgain(t *testing.T) {
	t.Parallel()
	m := newTable()
	p := newProcess(t, m, guard.Limits{PagePerIP: 1})
	first, second := p.Begin(context.Background(), typedFromHome, noon), p.Begin(context.Background(), typedFromHome, noon)
	for range 3 {
		if err := first.Admit(); err != nil {
			t.Fatal(err)
		}
	}
	refusal := second.Admit()
	first.End(false)
	if again := second.Admit(); refusal == nil || again != refusal {
		t.Errorf("first %v, then %v", refusal, again)
	}
	second.End(false)
	p.mustSend(1, typedFromHome, noon)
}

// Neither the keys nor the data of the rows reveal an address or a client.
func TestRowsRevealNothing(t *testing.T) {
	t.Parallel()
	m := newTable()
	p := newProcess(t, m, guard.Limits{PagePerIP: 5, AnonymousPerDay: 5})
	all := guard.Send{Client: "canary-client", MaxPerDay: 5, Typed: true, Addr: home6}
	p.mustSend(1, all, noon)
	if len(m.rows) != 4 {
		t.Fatalf("%d rows were written, want those of /64, /48, the client and all typed", len(m.rows))
	}
	for key, row := range m.rows {
		if !key.Valid() || !strings.HasPrefix(string(key), "g") || len(key) != 33 {
			t.Errorf("key %s", key)
		}
		addr := home6.As16()
		for _, canary := range [][]byte{[]byte("canary"), []byte("2001:db8"), addr[:6], []byte(hex.EncodeToString(addr[:6]))} {
			if bytes.Contains(row.Data, canary) || bytes.Contains([]byte(key), canary) {
				t.Errorf("the row %s holds %q", key, canary)
			}
		}
		if until := noon.Add(aDay + window.MaxSkew); !row.KeepUntil.Equal(until) {
			t.Errorf("kept until %v, want %v", row.KeepUntil, until)
		}
	}
}

// A process writes one row of a sharded counter, and reads all.
func TestShardsCountTogether(t *testing.T) {
	t.Parallel()
	m := newTable()
	send := guard.Send{Client: "shop", MaxPerDay: guard.Shards}
	for i := range guard.Shards {
		p := newProcess(t, m, guard.Limits{})
		p.Shard(i)
		p.mustSend(1, send, noon)
	}
	if len(m.rows) != guard.Shards {
		t.Errorf("%d rows, want %d", len(m.rows), guard.Shards)
	}
	newProcess(t, m, guard.Limits{}).refused(send, noon, aDay, "This client")
}

// A process draws its row at random, so that many processes spread.
func TestProcessesDrawDifferentShards(t *testing.T) {
	t.Parallel()
	m := newTable()
	for range 100 {
		newProcess(t, m, guard.Limits{}).mustSend(1, guard.Send{Client: "shop", MaxPerDay: 1000}, noon)
	}
	if len(m.rows) != guard.Shards {
		t.Errorf("100 processes write %d rows", len(m.rows))
	}
}

// The warnings of the limit on typed addresses come once each.
func TestHalfAndAllOfAnonymousSendsAreReported(t *testing.T) {
	t.Parallel()
	p := newProcess(t, newTable(), guard.Limits{AnonymousPerDay: 10})
	want := func(half, all int) {
		t.Helper()
		log := p.log.String()
		if h, a := strings.Count(log, "percent=50"), strings.Count(log, "percent=100"); h != half || a != all {
			t.Fatalf("%d warnings at half, %d at all; want %d and %d:\n%s", h, a, half, all, log)
		}
	}
	send := guard.Send{Typed: true, Addr: home}
	p.mustSend(4, send, noon)
	want(0, 0)
	p.mustSend(1, send, noon)
	want(1, 0)
	p.mustSend(4, send, noon)
	want(1, 0)
	p.mustSend(1, send, noon)
	want(1, 1)
	p.refused(send, noon, aDay, "")
	want(1, 1)
	p.mustSend(10, send, noon.Add(aDay)) // the next day
	want(2, 2)
	if !strings.Contains(p.log.String(), "setting=TWOFA_MAX_ANONYMOUS_SENDS_PER_DAY") || strings.Contains(p.log.String(), home.String()) {
		t.Errorf("the log: %s", p.log)
	}
	// A process that admits nothing reports it, too: it may be the only one left.
	other := newProcess(t, p.Table, guard.Limits{AnonymousPerDay: 10})
	other.refused(send, noon.Add(aDay), aDay, "")
	if !strings.Contains(other.log.String(), "percent=100") {
		t.Errorf("the log of the other process: %s", other.log)
	}
}

// Clocks of several processes differ by up to MaxSkew. What a clock further ahead wrote
// does not count until a write sets it to at most MaxSkew ahead, so no limit lasts longer.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	limits := guard.Limits{PagePerIPPerDay: 3}
	m := newTable()
	newProcess(t, m, limits).mustSend(2, typedFromHome, noon.Add(window.MaxSkew))
	p := newProcess(t, m, limits)
	p.mustSend(1, typedFromHome, noon)
	p.refused(typedFromHome, noon, aDay, "") // until the own send, the oldest, is over

	m = newTable()
	newProcess(t, m, limits).mustSend(3, typedFromHome, noon.AddDate(10, 0, 0))
	p = newProcess(t, m, limits)
	p.mustSend(1, typedFromHome, noon)
	p.refused(typedFromHome, noon, aDay+window.MaxSkew, "")
	p.mustSend(1, typedFromHome, noon.Add(aDay+window.MaxSkew))
}

// A row that cannot be read begins at zero: no person must wait for the operator. The log
// names it once.
func TestACounterThatCannotBeReadBeginsAtZero(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{"damaged": {}, "not sealed": []byte("canary canary canary"), "sealed with another secret": nil} {
		m := newTable()
		p := newProcess(t, m, guard.Limits{PagePerIP: 2})
		key := p.RowKeys(typedFromHome)[0]
		if data == nil {
			data = make([]byte, 64)
			for i := range data {
				data[i] = byte(rand.IntN(256))
			}
		}
		m.rows[key] = store.Row{Data: data, KeepUntil: noon.Add(time.Hour)}
		p.mustSend(2, typedFromHome, noon)
		p.refused(typedFromHome, noon, 61*time.Minute, "")
		log := p.log.String()
		if strings.Count(log, "row="+string(key)) != 1 || strings.Contains(log, "canary") {
			t.Errorf("%s: the log: %s", name, log)
		}
		p.idle()
	}
}
