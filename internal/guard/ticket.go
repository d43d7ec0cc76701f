package guard

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/row"
)

// retryAfter is the pause that a client is told if the counters did not answer in time.
const retryAfter = 2 * time.Second

// Ticket is one send under the limits, from [Guard.Begin] to End, or one check of a code from
// [Guard.BeginCheck] on. A nil Ticket is one that no limit concerns. Its methods must not be
// called at the same time.
type Ticket struct {
	guard  *Guard
	late   bool            // it is written at its end, if it counts, and not when it is admitted
	ctx    context.Context // of the request
	now    time.Time
	cancel func() // ends the reads
	reads  sync.WaitGroup

	uses   []use
	places bool // it took a place of each counter

	decided bool
	err     error // before the decision: why there cannot be one
}

// use is one counter that concerns a send or a check.
type use struct {
	*counter
	rules []rule
	known *row.Loaded // the row that this process writes, as the ticket has read it; nil: not yet
	batch *batch      // in which the send, or its return, is written; nil: none
}

// enter finds the counters of the rules. Guard.mu is held.
func (t *Ticket) enter(rules []rule) {
	for _, r := range rules {
		c := t.guard.counter(r.rows)
		i := slices.IndexFunc(t.uses, func(u use) bool { return u.counter == c })
		if i < 0 {
			i, t.uses = len(t.uses), append(t.uses, use{counter: c})
			c.refs++
		}
		t.uses[i].rules = append(t.uses[i].rules, r)
	}
}

// takePlaces takes a place of each counter, and waits until there is one. It takes none
// before it can take all, so no two sends wait for each other. The error says why the
// send cannot be admitted.
func (t *Ticket) takePlaces() error {
	for {
		t.guard.mu.Lock()
		i := slices.IndexFunc(t.uses, func(u use) bool { return u.places >= maxUnwritten })
		if i < 0 {
			for _, u := range t.uses {
				u.counter.places++
			}
			t.places = true
			t.guard.mu.Unlock()
			return nil
		}
		refusal := t.check() // a flood of sends over a limit must not wait here
		freed := t.uses[i].freed
		t.guard.mu.Unlock()
		if refusal != nil {
			return refusal
		}
		select {
		case <-freed:
		case <-t.ctx.Done():
			return &problem.Error{
				Kind: problem.StorageUnavailable, RetryAfter: retryAfter, Err: errors.New("guard: other sends of a counter were not written in time"),
				Detail: "Storage did not answer in time. Nothing was done; try again.",
			}
		}
	}
}

// read starts to read all rows. It begins after the places were taken, so that what
// another process wrote before this one went on is seen: [Guard]'s bound relies on it.
func (t *Ticket) read() {
	ctx, cancel := context.WithCancel(t.ctx)
	t.cancel = cancel
	for j := range t.uses {
		u := &t.uses[j]
		for i, key := range u.rows {
			t.reads.Go(func() {
				state, loaded, err := t.guard.rows().LoadFor(ctx, key)
				t.guard.mu.Lock()
				defer t.guard.mu.Unlock()
				switch {
				case err == nil:
					if u.learn(i, state, t.now); i == u.own {
						u.known = &loaded
					}
				case errors.Is(err, row.ErrUnreadable): // the next write makes it anew
				case t.err == nil:
					t.err = err
				}
			})
		}
	}
}

// Admit waits for the reads, and reserves the send or the wrong code in this process. It then
// starts to write the counters of a send. It may be called again, as in a compare-and-swap
// transition that runs several times, and then gives the same answer. It waits for no write.
//
// The error is of kind TooManySends, or TooManyChecks for a check, with RetryAfter and the rule
// in its detail, or StorageUnavailable if a counter did not answer.
func (t *Ticket) Admit() error {
	if t == nil {
		return nil
	}
	if t.decided {
		return t.err
	}
	t.reads.Wait()
	t.guard.mu.Lock()
	defer t.guard.mu.Unlock()
	t.decided = true
	if t.err == nil {
		t.err = t.check()
	}
	for i := range t.uses {
		switch u := &t.uses[i]; {
		case t.err != nil:
		case t.late:
			u.held++
		default:
			t.count(u)
		}
	}
	return t.err
}

// count puts the ticket into the next write of a counter, which frees its place.
func (t *Ticket) count(u *use) {
	u.batch = t.guard.add(t.ctx, u.counter, count{minute: minuteOf(t.now), sent: 1}, 1, t.now)
	if t.late {
		u.batch.known = u.known // nothing is beside this write, so it is not to read the row again
	}
}

// check returns the refusal that lasts longest, nil if every rule allows the send.
func (t *Ticket) check() error {
	var longest time.Duration
	var reached rule
	for _, u := range t.uses {
		lists := append(u.lists(), minutes{{minute: minuteOf(t.now), sent: u.held}})
		for _, r := range u.rules {
			if r.kind == "" {
				continue
			}
			if wait := fullFor(r.limit, r.window, t.now, lists...); wait > longest {
				longest, reached = wait, r
			}
		}
	}
	if !t.late {
		t.warn(longest == 0)
	}
	if longest == 0 {
		return nil
	}
	return reached.refusal(longest)
}

// warn tells the operator how much of a limit is used, with one more if it is to be admitted.
func (t *Ticket) warn(admitted bool) {
	for _, u := range t.uses {
		for _, r := range u.rules {
			if r.warn == nil {
				continue
			}
			n := used(r.window, t.now, u.lists()...)
			if admitted {
				n++
			}
			r.warn(n, r.limit, t.now)
		}
	}
}

// End waits until the counters are written if the message was sent or the code was wrong, or
// else gives the reservation back. It has to be called once, also after a refusal or a panic. It
// never fails: if a counter could not be written, the request's log line says so (not_counted), and
// the send or the wrong code is kept in memory for the next write of that counter.
//
// End waits at most until the context of Begin ends. The write goes on then.
func (t *Ticket) End(counts bool) {
	if t == nil {
		return
	}
	t.cancel()
	t.reads.Wait()
	t.guard.mu.Lock()
	held := t.late && t.decided && t.err == nil
	for i := range t.uses {
		u := &t.uses[i]
		if held {
			u.held--
		}
		switch {
		case held && counts:
			t.count(u)
		case u.batch == nil && t.places: // nothing is written
			u.free(1)
		case u.batch != nil && !counts:
			u.batch = t.guard.add(t.ctx, u.counter, count{minute: minuteOf(t.now), returned: 1}, 0, t.now)
		}
	}
	if held && counts {
		t.warn(false)
	}
	t.guard.mu.Unlock()
	for _, u := range t.uses {
		if err := u.batch.wait(t.ctx); err != nil {
			reqlog.Add(t.ctx, slog.String("not_counted", err.Error()))
		}
	}
	t.guard.mu.Lock()
	defer t.guard.mu.Unlock()
	for _, u := range t.uses {
		u.refs--
		t.guard.leave(u.counter)
	}
}

// wait waits for the write, and returns its error. A nil batch is written.
func (b *batch) wait(ctx context.Context) error {
	if b == nil {
		return nil
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return errors.New("guard: the write of a counter goes on")
	}
}
