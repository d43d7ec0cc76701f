package guard_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/guard"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
)

var (
	noon  = fixture.Noon
	home  = netip.MustParseAddr("203.0.113.9")
	home6 = netip.MustParseAddr("2001:db8:1:2::9")

	typedFromHome = guard.Send{Client: "shop", Typed: true, Addr: home}
)

// table is a store in memory whose calls take time and fail as a test says.
type table struct {
	latency time.Duration
	answers time.Duration // how long the answer to a write takes after the write

	mu     sync.Mutex
	rows   map[store.Key]store.Row
	writes map[store.Key]int
	fail   func(method string, key store.Key) error
	enter  func(method string, key store.Key) // runs before each call, without a lock

}

func newTable() *table {
	return &table{rows: make(map[store.Key]store.Row), writes: make(map[store.Key]int)}
}

// set changes what calls do from now on.
func (m *table) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *table) begin(ctx context.Context, method string, key store.Key) error {
	m.mu.Lock()
	fail, enter := m.fail, m.enter
	m.mu.Unlock()
	if enter != nil {
		enter(method, key)
	}
	if fail != nil {
		if err := fail(method, key); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

// trip counts a round trip and takes its time, at most until the context ends.
func (m *table) trip(ctx context.Context, takes time.Duration) error {
	store.CountTrip(ctx)
	if takes == 0 {
		return nil
	}
	select {
	case <-time.After(takes):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
}

func (m *table) Get(ctx context.Context, key store.Key) (store.Row, error) {
	if err := m.begin(ctx, "Get", key); err != nil {
		return store.Row{}, err
	}
	m.mu.Lock()
	row, ok := m.rows[key]
	m.mu.Unlock()
	if err := m.trip(ctx, m.latency); err != nil { // what was read is old when the answer arrives
		return store.Row{}, err
	}
	if !ok {
		return store.Row{}, store.ErrNotFound
	}
	if len(row.Data) == 0 {
		return store.Row{}, store.ErrDamaged
	}
	return row, nil
}

func (m *table) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	return m.update(ctx, key, nil, fn)
}

func (m *table) UpdateFrom(ctx context.Context, key store.Key, known store.Row, fn func([]byte) (store.Row, error)) error {
	return m.update(ctx, key, &known, fn)
}

func (m *table) update(ctx context.Context, key store.Key, known *store.Row, fn func([]byte) (store.Row, error)) error {
	if err := m.begin(ctx, "Update", key); err != nil {
		return err
	}
	for ; ; known = nil {
		m.mu.Lock()
		old, seen := m.rows[key].Data, m.writes[key]
		m.mu.Unlock()
		if known != nil {
			if !bytes.Equal(known.Data, old) {
				seen = -1 // the write will be refused
			}
			old = known.Data
		} else if err := m.trip(ctx, m.latency); err != nil {
			return err
		}
		row, err := fn(old)
		if err == store.SkipWrite {
			return nil
		}
		if err == nil {
			err = store.CheckRow(key, row)
		}
		if err != nil {
			return err
		}
		m.mu.Lock()
		first := m.writes[key] == seen
		if first {
			m.rows[key] = row
			m.writes[key]++
		}
		takes := m.latency + m.answers
		m.mu.Unlock()
		if err := m.trip(ctx, takes); err != nil { // others see the write before
			return err
		}
		if first {
			return nil
		}
	}
}

func (m *table) Expired(context.Context, time.Time, string) (store.Page, error) {
	panic("not used")
}
func (m *table) Delete(context.Context, store.Ref) (bool, error) { panic("not used") }
func (m *table) Close() error                                    { return nil }

// process is one process: a guard and its log.
type process struct {
	*guard.Guard
	t   testing.TB
	log *bytes.Buffer
	mu  sync.Mutex
}

func (p *process) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(line)
}

func newProcess(t testing.TB, on store.Table, limits guard.Limits) *process {
	p := &process{t: t, log: new(bytes.Buffer)}
	p.Guard = &guard.Guard{Table: on, Keys: fixture.Keys(t, 1), Limits: limits, Log: slog.New(slog.NewTextHandler(p, nil))}
	return p
}

// send runs one send from its begin to its end.
func (p *process) send(s guard.Send, now time.Time) error {
	ticket := p.Begin(context.Background(), s, now)
	err := ticket.Admit()
	ticket.End(err == nil)
	return err
}

// mustSend sends n times.
func (p *process) mustSend(n int, s guard.Send, now time.Time) {
	p.t.Helper()
	for i := range n {
		if err := p.send(s, now); err != nil {
			p.t.Fatalf("send %d of %d: %v", i+1, n, err)
		}
	}
}

// refused wants a refusal that lasts that long and whose detail has the text.
func (p *process) refused(s guard.Send, now time.Time, wait time.Duration, text string) {
	p.t.Helper()
	e := fixture.Problem(p.t, p.send(s, now), problem.TooManySends)
	if e.RetryAfter != wait || !strings.Contains(e.Detail, text) || e.Err == nil {
		p.t.Errorf("refused for %v with %q and for the log %v; want %v and %q", e.RetryAfter, e.Detail, e.Err, wait, text)
	}
}

// room is how many sends are admitted, at most most. They are given back.
func (p *process) room(s guard.Send, now time.Time, most int) (n int) {
	var tickets []*guard.Ticket
	for n < most {
		ticket := p.Begin(context.Background(), s, now)
		tickets = append(tickets, ticket)
		if ticket.Admit() != nil {
			break
		}
		n++
	}
	for _, ticket := range tickets {
		ticket.End(false)
	}
	return n
}

// idle wants nothing in memory.
func (p *process) idle() {
	p.t.Helper()
	if all, owed := p.Remembered(); all != 0 || owed != 0 {
		p.t.Errorf("%d counters are in memory, %d owed, although nothing is under way", all, owed)
	}
}
