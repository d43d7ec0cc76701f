package guard

import (
	"container/list"
	"context"
	"errors"
	"time"

	"twofa/internal/row"
	"twofa/internal/store"
)

// counter is what this process knows of a counter. It exists while sends of the counter
// are under way or could not be written. Guard.mu guards it.
type counter struct {
	rows []store.Key
	own  int // index of the row that this process writes
	refs int // tickets
	// places is how many sends are under way and not written: at most maxUnwritten.
	places int
	held   uint32        // tickets that are admitted and not written before their end
	freed  chan struct{} // closed, and replaced, when a place gets free

	known []minutes // the newest state of each row that was seen
	// late is the newest state of the own row that was read during a write. It may hold
	// that write, which must not count twice, so it becomes known after the write.
	late    minutes
	writing bool
	flight  *batch // which is being written; nil: none
	next    *batch // which is written after that; nil: none
	owed    minutes
	owing   *list.Element // in Guard.owed, if there is anything owed
}

// batch is the sends, of any number of requests, that one write adds to a row.
type batch struct {
	ctx    context.Context // of the first of these requests, without its end
	now    time.Time       // the latest of these requests
	counts minutes
	places int
	known  *row.Loaded   // the row as one of the requests has read it; nil: none has
	done   chan struct{} // closed after the write
	err    error         // of the write; read it after done
}

// counter returns the counter with these rows.
func (g *Guard) counter(rows []store.Key) *counter {
	c := g.counters[rows[0]]
	if c == nil {
		c = &counter{rows: rows, freed: make(chan struct{}), known: make([]minutes, len(rows))}
		if len(rows) > 1 {
			c.own = g.shard
		}
		g.counters[rows[0]] = c
	}
	return c
}

// leave forgets a counter that no send needs, except what is owed.
func (g *Guard) leave(c *counter) {
	if c.refs > 0 || c.writing {
		return
	}
	if c.known = make([]minutes, len(c.rows)); c.owing == nil {
		delete(g.counters, c.rows[0])
	}
}

// owe keeps counts that could not be written. If too many counters are owed, it forgets
// the one that has waited longest.
func (g *Guard) owe(c *counter, counts minutes) {
	c.owed = c.owed.plus(counts)
	if c.owing == nil {
		c.owing = g.owed.PushBack(c)
	}
	if g.owed.Len() > maxOwed {
		oldest := g.owed.Front().Value.(*counter)
		g.takeOwed(oldest)
		g.leave(oldest)
	}
}

// takeOwed returns what is owed, which then is not owed any more.
func (g *Guard) takeOwed(c *counter) minutes {
	owed := c.owed
	if c.owing != nil {
		g.owed.Remove(c.owing)
	}
	c.owed, c.owing = nil, nil
	return owed
}

// learn takes note of the state of row i.
func (c *counter) learn(i int, state minutes, now time.Time) {
	if i == c.own && c.flight != nil {
		c.late = c.late.newest(state)
		return
	}
	c.known[i] = c.known[i].newest(state).visible(now)
}

// lists returns all that counts, each send once, but for what is held.
func (c *counter) lists() []minutes {
	lists := append([]minutes{c.owed}, c.known...)
	for _, b := range []*batch{c.flight, c.next} {
		if b != nil {
			lists = append(lists, b.counts)
		}
	}
	return lists
}

// free frees places.
func (c *counter) free(places int) {
	if places > 0 {
		c.places -= places
		close(c.freed)
		c.freed = make(chan struct{})
	}
}

// add puts counts into the next batch, and sees that it is written.
func (g *Guard) add(ctx context.Context, c *counter, n count, places int, now time.Time) *batch {
	if c.next == nil {
		c.next = &batch{ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
	}
	b := c.next
	b.counts, b.places = b.counts.plus(minutes{n}), b.places+places
	if now.After(b.now) {
		b.now = now
	}
	if !c.writing {
		c.writing = true
		go g.write(c)
	}
	return b
}

// write writes batches until there is none.
func (g *Guard) write(c *counter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c.next != nil {
		b := c.next
		b.counts = b.counts.plus(g.takeOwed(c))
		c.flight, c.next = b, nil
		g.mu.Unlock()
		state, err := g.put(b, c.rows[c.own])
		g.mu.Lock()

		late := c.late
		c.flight, c.late = nil, nil
		if err == nil {
			c.learn(c.own, state, b.now)
		} else {
			g.owe(c, b.counts) // if it was written all the same, it counts twice
		}
		c.learn(c.own, late, b.now)
		c.free(b.places)
		b.err = err
		close(b.done)
	}
	c.writing = false
	g.leave(c)
}

// put adds a batch to a row, and returns the state of the row. A row that cannot be read
// begins at zero: it must not stop all messages.
func (g *Guard) put(b *batch, key store.Key) (minutes, error) {
	rows := g.rows()
	addBatch := func(old minutes) (minutes, error) { return old.plus(b.counts).settle(b.now), nil }
	var state minutes
	var err error
	if b.known != nil {
		state, err = rows.UpdateFrom(b.ctx, key, *b.known, addBatch)
	} else {
		state, err = rows.Update(b.ctx, key, addBatch)
	}
	if !errors.Is(err, row.ErrUnreadable) {
		return state, err
	}
	g.Log.Warn("a counter over many addresses cannot be read, and begins at zero (docs/runbooks/damaged-rows.md)", "row", string(key), "error", err.Error())
	if err := rows.Remove(b.ctx, key, b.now); err != nil {
		return nil, err
	}
	return rows.Update(b.ctx, key, addBatch)
}
