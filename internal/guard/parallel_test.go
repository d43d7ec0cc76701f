package guard_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"twofa/internal/guard"
	"twofa/internal/store"
	"twofa/internal/store/azuretable"
	"twofa/internal/testing/azurite"
	"twofa/internal/testing/rig"
)

// parallel runs n sends of each process at the same time, and returns how many were
// admitted.
func parallel(n int, s guard.Send, processes ...*process) int {
	var wg sync.WaitGroup
	var admitted atomic.Int64
	start := make(chan struct{})
	for _, p := range processes {
		for range n {
			wg.Go(func() {
				<-start
				if p.send(s, noon) == nil {
					admitted.Add(1)
				}
			})
		}
	}
	close(start)
	wg.Wait()
	return int(admitted.Load())
}

func TestOneProcessIsExact(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		limits guard.Limits
		send   guard.Send
	}{
		"by address": {guard.Limits{PagePerIP: 100}, typedFromHome},
		"by client":  {guard.Limits{}, guard.Send{Client: "shop", MaxPerDay: 100}},
		"all":        {guard.Limits{PagePerIP: 100, AnonymousPerDay: 100}, guard.Send{Client: "shop", MaxPerDay: 100, Typed: true, Addr: home6}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newTable()
			p := newProcess(t, m, tc.limits)
			if n := parallel(500, tc.send, p); n != 100 {
				t.Errorf("%d of 500 were admitted, want 100", n)
			}
			if n := newProcess(t, m, tc.limits).room(tc.send, noon, 5); n != 0 {
				t.Errorf("another process still admits %d", n)
			}
			p.idle()
		})
	}
}

// Sends that are given back at any moment leave their room, and no more.
func TestGivingBackIsExact(t *testing.T) {
	t.Parallel()
	m := newTable()
	const limit = 60
	limits := guard.Limits{PagePerIP: limit, AnonymousPerDay: limit}
	p := newProcess(t, m, limits)
	var sent atomic.Int64
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			ticket := p.Begin(context.Background(), typedFromHome, noon)
			ok := i%3 != 0 && ticket.Admit() == nil && i%3 == 1
			if ok && sent.Add(1) > limit {
				t.Error("more than the limit is sent")
			}
			ticket.End(ok)
		})
	}
	wg.Wait()
	p.idle()
	for name, q := range map[string]*process{"this": p, "another": newProcess(t, m, limits)} {
		if room, want := q.room(typedFromHome, noon, limit+1), limit-int(sent.Load()); room != want {
			t.Errorf("%s process has room for %d, want %d", name, room, want)
		}
	}
}

// A process never has more than 8 sends of a counter that are admitted and not written.
// Those that wait meanwhile are written together.
func TestAtMostEightSendsAreUnwritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTable()
		p := newProcess(t, m, guard.Limits{PagePerIP: 100})
		m.latency = time.Millisecond
		disk := make(chan struct{})
		var writes atomic.Int64
		m.enter = func(method string, _ store.Key) {
			if method == "Update" {
				writes.Add(1)
				<-disk
			}
		}
		var admitted atomic.Int64
		for range 20 {
			go func() {
				ticket := p.Begin(context.Background(), typedFromHome, noon)
				if ticket.Admit() == nil {
					admitted.Add(1)
				}
				ticket.End(true)
			}()
		}
		time.Sleep(time.Second)
		if n := admitted.Load(); n != 8 {
			t.Errorf("%d sends are admitted and not written, want 8", n)
		}
		close(disk)
		time.Sleep(time.Second)
		if n := admitted.Load(); n != 20 {
			t.Errorf("%d sends were admitted in the end, want 20", n)
		}
		if n := writes.Load(); n > 6 {
			t.Errorf("%d writes for 20 sends: those that wait must be written together", n)
		}
		p.idle()
	})
}

// A read that ends while a write of the same row is under way may hold that write. It
// counts once, and what other processes wrote counts from the end of the write on.
func TestAReadDuringAWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTable()
		m.latency, m.answers = time.Millisecond, 20*time.Millisecond
		limits := guard.Limits{PagePerIP: 4}
		p := newProcess(t, m, limits)
		begin := func() *guard.Ticket {
			ticket := p.Begin(t.Context(), typedFromHome, noon)
			time.Sleep(5 * time.Millisecond) // the reads have ended
			return ticket
		}
		first := begin()
		if err := first.Admit(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond) // the row has the first send, and the process does not know it
		for i := range 3 {
			ticket := begin()
			if err := ticket.Admit(); err != nil {
				t.Errorf("send %d of 4: %v", i+2, err)
			}
			defer ticket.End(true)
		}
		first.End(true)
	})
	synctest.Test(t, func(t *testing.T) {
		m := newTable()
		m.latency, m.answers = time.Millisecond, 50*time.Millisecond
		limits := guard.Limits{PagePerIP: 3}
		p := newProcess(t, m, limits)
		first := p.Begin(t.Context(), typedFromHome, noon)
		if err := first.Admit(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // the row has the first send
		m.set(func() { m.answers = 0 })
		newProcess(t, m, limits).mustSend(1, typedFromHome, noon)
		second, third := p.Begin(t.Context(), typedFromHome, noon), p.Begin(t.Context(), typedFromHome, noon)
		time.Sleep(5 * time.Millisecond) // they have read both, during the write
		first.End(true)
		if err := second.Admit(); err != nil {
			t.Error(err)
		}
		if third.Admit() == nil {
			t.Error("the send of the other process was forgotten")
		}
		second.End(true)
		third.End(false)
	})
}

// The stated error is reached, and not exceeded: a process that has read before another
// one used up the limit admits 8 more, and no ninth.
func TestTheStatedErrorOfTwoProcesses(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]guard.Send{"by address": {Typed: true, Addr: home, Client: "shop"}, "by client": {Client: "shop", MaxPerDay: 30}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newTable()
				limits := guard.Limits{PagePerIP: 30}
				slow, fast := newProcess(t, m, limits), newProcess(t, m, limits)
				var tickets []*guard.Ticket
				for range guard.MaxUnwritten {
					tickets = append(tickets, slow.Begin(context.Background(), send, noon))
				}
				ninth := make(chan error, 1)
				go func() { ninth <- slow.send(send, noon) }()
				synctest.Wait()
				fast.mustSend(30, send, noon)
				// The first admission starts a write, from whose row the process learns of the others. It must
				// not end before all are admitted.
				m.set(func() { m.latency = time.Millisecond })
				for _, ticket := range tickets {
					if err := ticket.Admit(); err != nil {
						t.Errorf("%v: the process could not know", err)
					}
				}
				for _, ticket := range tickets {
					ticket.End(true)
				}
				if <-ninth == nil {
					t.Error("the ninth send was admitted")
				}
			})
		})
	}
}

// With any timing of several processes, the total is between the limit and the stated
// error.
func TestManyProcessesStayWithinTheStatedError(t *testing.T) {
	t.Parallel()
	const limit, processes, each = 40, 3, 60
	for name, send := range map[string]guard.Send{"by address": {Typed: true, Addr: home}, "by client": {Client: "shop", MaxPerDay: limit}} {
		for seed := range uint64(20) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				random := rand.New(rand.NewPCG(seed, 1))
				pause := func() {
					mu.Lock()
					d := time.Duration(random.IntN(20)) * time.Millisecond
					mu.Unlock()
					time.Sleep(d)
				}
				m := newTable()
				m.latency = time.Millisecond
				m.enter = func(string, store.Key) { pause() }
				var admitted atomic.Int64
				var wg sync.WaitGroup
				for range processes {
					p := newProcess(t, m, guard.Limits{PagePerIP: limit})
					for range each {
						wg.Go(func() {
							pause()
							ticket := p.Begin(context.Background(), send, noon)
							pause()
							err := ticket.Admit()
							if err == nil {
								admitted.Add(1)
							}
							ticket.End(err == nil)
						})
					}
				}
				wg.Wait()
				if n := admitted.Load(); n < limit || n > limit+guard.MaxUnwritten*(processes-1) {
					t.Errorf("%s, seed %d: %d admitted, want %d to %d", name, seed, n, limit, limit+guard.MaxUnwritten*(processes-1))
				}
			})
		}
	}
}

// Two processes on one real table.
func TestTwoProcessesOnTableStorage(t *testing.T) {
	t.Parallel()
	const limit = 100
	for name, tc := range map[string]struct {
		limits guard.Limits
		send   guard.Send
	}{
		"by address": {guard.Limits{PagePerIP: limit}, typedFromHome},
		"by client":  {guard.Limits{}, guard.Send{Client: "shop", MaxPerDay: limit}},
	} {
		t.Run(name, func(t *testing.T) {
			table, err := azuretable.Open(azuretable.Options{ConnectionString: azurite.Shared(t), TablePrefix: fmt.Sprintf("guard%x", rand.Uint64())})
			if err != nil {
				t.Fatal(err)
			}
			defer table.Close()
			n := parallel(200, tc.send, newProcess(t, table, tc.limits), newProcess(t, table, tc.limits))
			t.Logf("%d admitted", n)
			if n < limit || n > limit+guard.MaxUnwritten {
				t.Errorf("%d admitted, want %d to %d", n, limit, limit+guard.MaxUnwritten)
			}
			newProcess(t, table, tc.limits).refused(tc.send, noon, map[bool]time.Duration{true: 61 * time.Minute, false: aDay}[tc.send.Typed], "")
		})
	}
}

// The counters cost one more round trip in sequence: read beside the recipient's row, and
// read and written beside the recipient's write.
func TestOneMoreTripInSequence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTable()
		m.latency = time.Millisecond
		p := newProcess(t, m, guard.DefaultLimits())
		for _, tc := range []struct {
			send  guard.Send
			trips int64
			took  time.Duration
		}{
			{guard.Send{Client: "shop", Addr: home}, 2, 2 * time.Millisecond},                                               // no limit concerns it
			{guard.Send{Client: "shop", MaxPerDay: 9}, 2 + 4 + 2, 3 * time.Millisecond},                                     // a client's limit
			{guard.Send{Client: "shop", MaxPerDay: 9, Typed: true, Addr: home6}, 2 + 2 + 4 + 4 + 4*2, 3 * time.Millisecond}, // /64, /48, client, all typed
		} {
			ctx, trips := store.WithTrips(context.Background())
			began := time.Now()
			ticket := p.Begin(ctx, tc.send, noon)
			err := m.Update(ctx, "recipient", func([]byte) (store.Row, error) {
				return store.Row{Data: []byte("x"), KeepUntil: noon}, ticket.Admit()
			})
			if err != nil {
				t.Fatal(err)
			}
			ticket.End(true)
			if took := time.Since(began); took != tc.took || trips.Load() != tc.trips {
				t.Errorf("%+v: %v and %d round trips, want %v and %d", tc.send, took, trips.Load(), tc.took, tc.trips)
			}
		}
	})
}

// Many sends of one counter on the embedded store, whose transactions exclude each other:
// Admit is called within one, so it must not wait for a write.
func TestAdmitWaitsForNoWriteOfTheEmbeddedStore(t *testing.T) {
	t.Parallel()
	bolt := rig.Open(t)
	p := newProcess(t, bolt, guard.Limits{PagePerIP: 1000})
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
			defer cancel()
			ticket := p.Begin(ctx, typedFromHome, noon)
			err := bolt.Update(ctx, "k", func([]byte) (store.Row, error) {
				return store.Row{Data: []byte("x"), KeepUntil: noon}, ticket.Admit()
			})
			if err != nil {
				t.Error(err)
			}
			ticket.End(err == nil)
		})
	}
	wg.Wait()
	p.idle()
}
