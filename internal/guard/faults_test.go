package guard_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twofa/internal/guard"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
)

var errDown = fmt.Errorf("%w: down", store.ErrUnavailable)

// down lets calls of a method fail, "" for none.
func (m *table) down(method string) {
	m.set(func() {
		m.fail = func(called string, _ store.Key) error {
			if called == method {
				return errDown
			}
			return nil
		}
	})
}

// logged runs one send, and returns the request's log line.
func (p *process) logged(s guard.Send, now time.Time) (line []slog.Attr, err error) {
	ctx, attrs := reqlog.With(context.Background())
	ticket := p.Begin(ctx, s, now)
	err = ticket.Admit()
	ticket.End(err == nil)
	return attrs.Attrs(), err
}

func hasKey(line []slog.Attr, key string) bool {
	return slices.ContainsFunc(line, func(a slog.Attr) bool { return a.Key == key })
}

func TestAStorageThatDoesNotAnswerSendsNothing(t *testing.T) {
	t.Parallel()
	m := newTable()
	p := newProcess(t, m, guard.Limits{PagePerIP: 1})
	m.down("Get")
	for range 2 {
		fixture.Problem(t, p.send(typedFromHome, noon), problem.StorageUnavailable)
	}
	m.down("")
	p.idle()
	p.mustSend(1, typedFromHome, noon)
}

// A write that fails fails no send, and is on its request's log line. The send counts in
// this process, and in all when the counter is written next.
func TestAFailedWriteIsKeptForTheNextOne(t *testing.T) {
	t.Parallel()
	m := newTable()
	limits := guard.Limits{PagePerIP: 3}
	p := newProcess(t, m, limits)
	m.down("Update")
	for range 2 {
		line, err := p.logged(typedFromHome, noon)
		if err != nil || !hasKey(line, "not_counted") {
			t.Fatalf("%v; the log line: %v", err, line)
		}
	}
	m.down("")
	if all, owed := p.Remembered(); all != 1 || owed != 1 {
		t.Fatalf("%d counters in memory, %d owed; want the one", all, owed)
	}
	if n := newProcess(t, m, limits).room(typedFromHome, noon, 5); n != 3 {
		t.Errorf("another process has room for %d", n)
	}
	if line, err := p.logged(typedFromHome, noon); err != nil || hasKey(line, "not_counted") {
		t.Errorf("%v; the log line: %v", err, line)
	}
	p.idle()
	p.refused(typedFromHome, noon, 61*time.Minute, "")
	newProcess(t, m, limits).refused(typedFromHome, noon, 61*time.Minute, "")
}

// A process that dies loses at most the sends that it had not written.
func TestAProcessThatDiesLosesWhatItHadNotWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTable()
		limits := guard.Limits{PagePerIP: 30}
		p := newProcess(t, m, limits)
		p.mustSend(10, typedFromHome, noon)
		died := make(chan struct{})
		m.set(func() {
			m.enter = func(method string, _ store.Key) {
				if method == "Update" {
					<-died
				}
			}
			m.fail = func(method string, _ store.Key) error {
				if method == "Update" {
					return errDown
				}
				return nil
			}
		})
		admitted := 0
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			ticket := p.Begin(ctx, typedFromHome, noon)
			if ticket.Admit() == nil {
				admitted++
			}
			ticket.End(true) // the context ends before the write
			cancel()
		}
		if admitted != guard.MaxUnwritten {
			t.Errorf("%d sends were admitted without a write, want %d", admitted, guard.MaxUnwritten)
		}
		close(died)
		synctest.Wait()
		m.set(func() { m.enter, m.fail = nil, nil })
		if n := newProcess(t, m, limits).room(typedFromHome, noon, 8); n != 8 {
			t.Errorf("another process has room for %d sends", n)
		}
		newProcess(t, m, limits).mustSend(20, typedFromHome, noon)
	})
}

// A request that ends does not end the write of its counters.
func TestTheWriteGoesOnAfterTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTable()
		m.latency = time.Second
		p := newProcess(t, m, guard.Limits{PagePerIP: 1})
		ctx, line := reqlog.With(t.Context())
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		ticket := p.Begin(ctx, typedFromHome, noon)
		if err := ticket.Admit(); err != nil {
			t.Fatal(err)
		}
		ticket.End(true)
		if !hasKey(line.Attrs(), "not_counted") {
			t.Errorf("the log line: %v", line.Attrs())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		p.idle()
		newProcess(t, m, guard.Limits{PagePerIP: 1}).refused(typedFromHome, noon, 61*time.Minute, "")
	})
}

// A send that came to nothing does not count: given back before, during and after the
// write, or after a failed one.
func TestASendThatIsGivenBackDoesNotCount(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]time.Duration{"before the write": 0, "during the write": 50 * time.Millisecond, "after the write": 5 * time.Second} {
		for _, fails := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, fails: %t", name, fails), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := newTable()
					m.latency = 100 * time.Millisecond
					p := newProcess(t, m, guard.Limits{PagePerIP: 2})
					other := p.Begin(t.Context(), typedFromHome, noon)
					ticket := p.Begin(t.Context(), typedFromHome, noon)
					if err := other.Admit(); err != nil {
						t.Fatal(err)
					}
					if name == "before the write" {
						time.Sleep(50 * time.Millisecond) // the other send is being written
					}
					if err := ticket.Admit(); err != nil {
						t.Fatal(err)
					}
					if fails {
						m.down("Update")
					}
					time.Sleep(when)
					if fails {
						m.down("")
					}
					ticket.End(false)
					other.End(true)
					if n := p.room(typedFromHome, noon, 3); n != 1 {
						t.Errorf("this process has room for %d, want 1", n)
					}
					synctest.Wait()
					if n := newProcess(t, m, guard.Limits{PagePerIP: 2}).room(typedFromHome, noon, 3); n != 1 {
						t.Errorf("another process has room for %d, want 1", n)
					}
					p.idle()
				})
			})
		}
	}
}

// A send that is not admitted, such as a repetition, leaves nothing behind.
func TestATicketThatIsNotUsedLeavesNothing(t *testing.T) {
	t.Parallel()
	m := newTable()
	p := newProcess(t, m, guard.Limits{PagePerIP: 1})
	for range 3 * guard.MaxUnwritten {
		p.Begin(context.Background(), typedFromHome, noon).End(false)
	}
	p.idle()
	if len(m.rows) > 0 {
		t.Errorf("%d rows were written", len(m.rows))
	}
}

// While 8 sends are under way, another one waits for a place, at most until its context
// ends.
func TestBeginWaitsForAPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, newTable(), guard.Limits{PagePerIP: 100})
		var tickets []*guard.Ticket
		for range guard.MaxUnwritten {
			tickets = append(tickets, p.Begin(t.Context(), typedFromHome, noon))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late := p.Begin(ctx, typedFromHome, noon)
		fixture.Problem(t, late.Admit(), problem.StorageUnavailable)
		late.End(false)
		next := make(chan error)
		go func() { next <- p.send(typedFromHome, noon) }()
		synctest.Wait()
		select {
		case <-next:
			t.Error("a ninth send did not wait")
		default:
		}
		tickets[0].End(false)
		if err := <-next; err != nil {
			t.Error(err)
		}
		for _, ticket := range tickets[1:] {
			ticket.End(false)
		}
		p.idle()
	})
}

// A flood of sends over the limit does not wait for the places of others.
func TestBeginDoesNotWaitOverTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, newTable(), guard.Limits{PagePerIP: guard.MaxUnwritten})
		p.mustSend(guard.MaxUnwritten-1, typedFromHome, noon)
		var tickets []*guard.Ticket
		for range guard.MaxUnwritten {
			tickets = append(tickets, p.Begin(t.Context(), typedFromHome, noon))
		}
		if err := tickets[0].Admit(); err != nil {
			t.Fatal(err)
		}
		tickets[0].End(true)
		tickets[0] = p.Begin(t.Context(), typedFromHome, noon)
		p.refused(typedFromHome, noon, 61*time.Minute, "") // would wait for ever
		for _, ticket := range tickets {
			ticket.End(false)
		}
		p.idle()
	})
}

// What cannot be written is bounded: the counters that have waited longest are forgotten.
func TestCountersThatCannotBeWrittenAreBounded(t *testing.T) {
	t.Parallel()
	m := newTable()
	p := newProcess(t, m, guard.Limits{PagePerIP: 1})
	m.down("Update")
	from := func(i int) guard.Send {
		return guard.Send{Typed: true, Addr: netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})}
	}
	for i := range guard.MaxOwed + 5 {
		p.mustSend(1, from(i), noon)
	}
	if all, owed := p.Remembered(); all != guard.MaxOwed || owed != guard.MaxOwed {
		t.Errorf("%d counters in memory, %d owed; want %d", all, owed, guard.MaxOwed)
	}
	p.refused(from(5), noon, 61*time.Minute, "")
	p.mustSend(1, from(4), noon)
}

func TestErrorsRevealNothing(t *testing.T) {
	t.Parallel()
	m := newTable()
	p := newProcess(t, m, guard.Limits{PagePerIP: 1})
	m.down("Update")
	line, err := p.logged(typedFromHome, noon)
	if err != nil {
		t.Fatal(err)
	}
	refusal := fixture.Problem(t, p.send(typedFromHome, noon), problem.TooManySends)
	for _, text := range []string{fmt.Sprint(line), refusal.Error(), refusal.Detail, p.log.String()} {
		if strings.Contains(text, "203.0") || strings.Contains(text, "shop") {
			t.Errorf("%q names an address or a client", text)
		}
	}
}
