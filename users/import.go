package users

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// Import takes users in from a file. Its fields are set once, before Run.
//
// It never tells what is in the file: a line is known by its number.
type Import struct {
	Users *Service
	// Workers is how many users are written at a time.
	Workers int
	// Together runs fn with a table that writes all at once, if the store can; nil
	// if it cannot. Then one worker is enough, and Batch is how many lines it
	// writes at once.
	Together func(ctx context.Context, fn func(store.Table) error) error
	Batch    int
	// RetryAfter is the pause after the first failure of the store; each further
	// one takes double.
	RetryAfter time.Duration
	// Report is told of each line that was skipped, or that contradicts an earlier
	// one, in the order of the lines.
	Report func(line int, text string)

	mu    sync.Mutex
	tally Tally
}

// Tally counts lines. Read is the sum of the next four.
type Tally struct {
	Read, Created, Changed, Unchanged, Skipped int
	// Contradictions are lines that say something else than an earlier line about
	// the same user.
	Contradictions int
	// Line is the last line of the file up to which all is done.
	Line int
}

// Tally may be called while Run goes on.
func (im *Import) Tally() Tally {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.tally
}

// tries is how often a write is tried while the store is unavailable.
const tries = 6

// result is what became of a line.
type result struct {
	line
	did outcome
}

type outcome int

const (
	abandoned outcome = iota // not tried, or not known
	created
	changed
	unchanged
	skipped
)

// importing is one Run.
type importing struct {
	*Import
	ctx     context.Context
	fail    context.CancelCauseFunc
	mark    [4]byte       // begins the ids of this run's authenticators
	slots   chan struct{} // one is held by each line from its reading until it is told of
	lines   chan line
	results chan result
	unread  error // why the rest of the file cannot be read; set before lines is closed
	gap     bool  // a line was abandoned; what comes behind it is not told
}

// Run reads the file and writes its users. A line is a user, or one more
// authenticator app of one; it is taken whole or not at all. To run the same file
// again changes nothing, so that a Run that has ended early can be repeated.
//
// The file may be of any length: a bounded number of lines is under way at a
// time. Lines about one user are written in their order. When ctx ends, what has
// begun is finished, and Run returns the context's cause; a Read that is under way
// then is left to itself. Any other error says why it could not go on, and quotes
// nothing of the file.
func (im *Import) Run(ctx context.Context, file io.Reader) error {
	records, err := newRecordReader(file)
	if err != nil {
		return err
	}
	window := 8 * im.Workers
	if im.Together != nil {
		window = 2 * im.Batch
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r := &importing{
		Import: im, ctx: ctx, fail: fail,
		slots: make(chan struct{}, window), lines: make(chan line), results: make(chan result, window),
	}
	_, _ = rand.Read(r.mark[:]) // never fails: crypto/rand ends the process instead

	// No queue can ever be full, as each has room for all lines under way.
	queues := make([]chan line, im.Workers)
	var writers, telling sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan line, window)
		writers.Go(func() { r.writeAll(queues[i]) })
	}
	telling.Go(r.tellAll)
	go r.readAll(records)
	whole := r.dispatch(queues)
	for _, q := range queues {
		close(q)
	}
	writers.Wait()
	close(r.results)
	telling.Wait()
	if whole && !r.gap {
		return r.unread
	}
	return context.Cause(ctx)
}

// readAll reads until the end, or as far as it can, and closes lines there.
func (r *importing) readAll(records *recordReader) {
	known := newMemory()
	for seq := 0; ; seq++ {
		select {
		case r.slots <- struct{}{}:
		case <-r.ctx.Done():
			return
		}
		rec, err := records.next()
		if err != nil {
			if err != io.EOF {
				r.unread = err
			}
			close(r.lines)
			return
		}
		l := r.Users.readLine(rec)
		l.seq = seq
		if l.fault == "" {
			l.contradicts = known.contradicts(l.want)
		}
		select {
		case r.lines <- l:
		case <-r.ctx.Done():
			return
		}
	}
}

// dispatch hands lines to the writers until no more are wanted, or there are none,
// which it reports.
func (r *importing) dispatch(queues []chan line) bool {
	seed := maphash.MakeSeed()
	for {
		select {
		case <-r.ctx.Done():
			return false
		case l, ok := <-r.lines:
			switch {
			case !ok:
				return true
			case l.fault != "":
				r.results <- result{l, skipped}
			default: // all lines about one user go to one writer
				queues[maphash.String(seed, l.want.Name)%uint64(len(queues))] <- l
			}
		}
	}
}

// writeAll writes what comes, as much at a time as is there.
func (r *importing) writeAll(queue <-chan line) {
	for l := range queue {
		batch := []line{l}
		for r.Together != nil && len(batch) < r.Batch && len(queue) > 0 {
			batch = append(batch, <-queue)
		}
		results := make([]result, len(batch))
		err := r.persist(func() error { return r.write(batch, results) })
		if err != nil {
			r.fail(err)
		}
		for i, done := range results {
			if err != nil {
				done = result{line: batch[i]}
			}
			r.results <- done
		}
	}
}

// persist repeats what failed for want of the store, and does nothing any more
// once the run has ended.
func (r *importing) persist(try func() error) error {
	pause := r.RetryAfter
	for attempt := 1; ; attempt++ {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		err := try()
		if err == nil || attempt == tries {
			return err
		}
		select {
		case <-time.After(pause):
		case <-r.ctx.Done():
		}
		pause *= 2
	}
}

// write writes a batch. The error is of the store; of what was written nothing is
// known then, and it does no harm to write it again.
func (r *importing) write(batch []line, results []result) error {
	ctx := context.WithoutCancel(r.ctx) // what has begun is finished
	all := func(d *user.Directory) error {
		for i, l := range batch {
			var err error
			if results[i], err = r.writeOne(ctx, d, l); err != nil {
				return err
			}
		}
		return nil
	}
	if r.Together == nil {
		return all(r.Users.Directory)
	}
	return r.Together(ctx, func(t store.Table) error {
		return all(&user.Directory{Table: t, Keys: r.Users.Directory.Keys})
	})
}

// writeOne makes the user what the line says. Two storage round trips, one where
// nothing changes.
func (r *importing) writeOne(ctx context.Context, d *user.Directory, l line) (result, error) {
	var random [4]byte
	_, _ = rand.Read(random[:])
	_, _ = rand.Read(l.want.Revision[:])
	l.app.ID = totp.NewID([8]byte(append(r.mark[:], random[:]...)))
	now := r.Users.Now().UTC()
	var did outcome
	_, err := d.Change(ctx, d.Key(l.want.Name), func(old user.User, found bool) (next user.User, err error) {
		did = unchanged
		if err := sameName(old, l.want.Name); found && err != nil {
			return user.User{}, err
		}
		next = merge(old, found, l.want, now)
		if l.contradicts {
			next.TOTP = r.forget(next.TOTP)
		}
		if len(l.app.Secret) > 0 {
			if next.TOTP, err = bring(next.TOTP, l.app, now); err != nil {
				return user.User{}, err
			}
		}
		switch {
		case !found:
			did = created
		case next.Revision != old.Revision, otherApps(old.TOTP, next.TOTP):
			did, next.Revision = changed, l.want.Revision
		}
		return next, nil
	})
	if e, ok := errors.AsType[*problem.Error](err); ok && e.Kind != problem.StorageUnavailable {
		l.fault = reason(e)
		return result{l, skipped}, nil
	}
	return result{l, did}, err
}

// otherApps reports whether the authenticators are other ones.
func otherApps(old, next totp.State) bool {
	return !slices.EqualFunc(old.Authenticators, next.Authenticators, func(a, b totp.Authenticator) bool { return a.ID == b.ID })
}

// forget takes away what an earlier line of this run has brought, unless a code of
// it was accepted since: that must not be forgotten.
func (r *importing) forget(s totp.State) totp.State {
	prefix := totp.NewID([8]byte(append(r.mark[:], 0, 0, 0, 0)))[:len("TA")+hex.EncodedLen(len(r.mark))]
	var kept []totp.Authenticator
	for _, a := range s.Authenticators {
		if a.Step > 0 || !strings.HasPrefix(a.ID, prefix) {
			kept = append(kept, a)
		}
	}
	s.Authenticators = kept
	return s
}

// bring adds an authenticator that another system has confirmed. One with this
// secret that is there already stays as it is, its last step with it; a pending
// one is confirmed by this.
func bring(s totp.State, a totp.Authenticator, now time.Time) (totp.State, error) {
	for _, b := range s.Authenticators {
		switch {
		case !sameSecret(a.Secret, b.Secret):
		case b.Pending():
			s, _, _ = totp.Remove(s, b.ID, now) // fails if it is over its time, and gone too
		case a.Options != b.Options:
			return s, problem.Invalid("secret", "The user has this secret already, with another algorithm, digits or period.")
		default:
			return s, nil
		}
	}
	if a.Name == "" {
		taken := totp.State{Authenticators: append([]totp.Authenticator(nil), s.Settle(now).Authenticators...)}
		for i := range taken.Authenticators {
			taken.Authenticators[i].ConfirmedAt = now // freeName looks at confirmed ones only
		}
		a.Name = freeName(taken)
	}
	return totp.Import(s, a, now)
}

// contradiction is what is told of a line that says otherwise than an earlier one.
const contradiction = "an earlier line says something else about this user; this line counts"

// tellAll counts what became of the lines, and tells of them in their order.
func (r *importing) tellAll() {
	early := make(map[int]result) // came before their turn
	next := 0
	for res := range r.results {
		early[res.seq] = res
		for {
			res, ok := early[next]
			if !ok {
				break
			}
			delete(early, next)
			next++
			r.gap = r.gap || res.did == abandoned
			if !r.gap {
				r.tell(res)
			}
			<-r.slots
		}
	}
}

func (r *importing) tell(res result) {
	if res.contradicts {
		r.Report(res.number, contradiction)
	}
	if res.did == skipped {
		r.Report(res.number, "skipped: "+res.fault)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.tally
	t.Read++
	t.Line = res.number
	if res.contradicts {
		t.Contradictions++
	}
	switch res.did {
	case created:
		t.Created++
	case changed:
		t.Changed++
	case unchanged:
		t.Unchanged++
	case skipped:
		t.Skipped++
	}
}
