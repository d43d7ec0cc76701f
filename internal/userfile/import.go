// Package userfile imports users from CSV files, and exports them.
//
// Its reports and errors must never quote a file: they name a line by its number,
// and a user by [user.LogID].
package userfile

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

	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/internal/row"
	"twofa/internal/store"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// Import reads users from a file. Its fields are set once, before Run.
type Import struct {
	Users *user.Store
	// Directory is the one that the users of the file belong to.
	Directory user.Directory
	// Channels are those of the service.
	Channels []channel.Channel
	// Countries are the regions (ISO 3166-1 alpha-2) that may be sent to; nil
	// means all.
	Countries map[string]bool
	Now       func() time.Time
	// Workers is how many users are written at a time.
	Workers int
	// Batch runs fn with a table that writes everything in one transaction; nil if
	// the store cannot do so. With Batch, one worker is enough, and BatchSize is
	// the largest number of lines in a transaction.
	Batch     func(ctx context.Context, fn func(store.Table) error) error
	BatchSize int
	// RetryAfter is the pause after the first failure of the store. Each further
	// pause is twice as long.
	RetryAfter time.Duration
	// Report is called for each line that was skipped, or that contradicts an
	// earlier line, in the order of the lines.
	Report func(line int, text string)

	mu    sync.Mutex
	tally Tally
}

// Tally counts lines. Read is the sum of the next four.
type Tally struct {
	Read, Created, Changed, Unchanged, Skipped int
	// Contradictions are lines with other data than an earlier line about the same
	// user.
	Contradictions int
	// Line is a line of the file, from 1: it and all lines before it are done.
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

// result is the outcome of a line.
type result struct {
	line
	did outcome
}

type outcome int

const (
	abandoned outcome = iota // not tried, or unknown whether it was written
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
	slots   chan struct{} // each line holds one from when it is read until it is reported
	lines   chan line
	results chan result
	unread  error // why the rest of the file cannot be read; set before lines is closed
	gap     bool  // a line was abandoned; the lines after it are not reported
}

// Run reads the file and writes its users. A line is a user, or a further
// authenticator app of a user. A line is written as a whole or not at all.
// Importing the same file again changes nothing, so a Run that ended early can be
// repeated.
//
// The file may have any length: Run holds a bounded number of lines at a time. It
// writes lines about the same user in their order. When ctx ends, Run finishes
// the writes that it has begun, and returns the context's cause; it does not wait
// for a Read of the file. Any other error says why Run stopped, and quotes nothing
// of the file.
func (im *Import) Run(ctx context.Context, file io.Reader) error {
	records, err := newRecordReader(file)
	if err != nil {
		return err
	}
	window := 8 * im.Workers
	if im.Batch != nil {
		window = 2 * im.BatchSize
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r := &importing{
		Import: im, ctx: ctx, fail: fail,
		slots: make(chan struct{}, window), lines: make(chan line), results: make(chan result, window),
	}
	_, _ = rand.Read(r.mark[:]) // never fails: crypto/rand ends the process instead

	// No queue is ever full: each has room for all lines that are held.
	queues := make([]chan line, im.Workers)
	var writers, reporter sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan line, window)
		writers.Go(func() { r.writeAll(queues[i]) })
	}
	reporter.Go(r.reportAll)
	go r.readAll(records)
	whole := r.dispatch(queues)
	for _, q := range queues {
		close(q)
	}
	writers.Wait()
	close(r.results)
	reporter.Wait()
	if whole && !r.gap {
		return r.unread
	}
	return context.Cause(ctx)
}

// readAll reads the file until its end, or until it cannot go on, and then closes
// lines.
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
		l := r.readLine(rec)
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

// dispatch passes lines to the writers. It returns true when there are no more
// lines, and false when the run was ended.
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
			default: // all lines about a user go to the same writer
				queues[maphash.String(seed, l.want.Name)%uint64(len(queues))] <- l
			}
		}
	}
}

// writeAll writes the lines of a queue: all that wait, up to BatchSize, at a time.
func (r *importing) writeAll(queue <-chan line) {
	for l := range queue {
		batch := []line{l}
		for r.Batch != nil && len(batch) < r.BatchSize && len(queue) > 0 {
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

// persist repeats a write that failed, unless the run has ended.
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

// write writes a batch. An error is the store's: then it is unknown what was
// written, and it does no harm to write the batch again.
func (r *importing) write(batch []line, results []result) error {
	ctx := context.WithoutCancel(r.ctx) // a write that has begun is finished
	all := func(users *user.Store) error {
		for i, l := range batch {
			var err error
			if results[i], err = r.writeOne(ctx, users, l); err != nil {
				return err
			}
		}
		return nil
	}
	if r.Batch == nil {
		return all(r.Users)
	}
	return r.Batch(ctx, func(t store.Table) error {
		return all(&user.Store{Table: t, Keys: r.Users.Keys})
	})
}

// writeOne gives the user the data of the line. Two storage round trips, one if
// nothing changes.
func (r *importing) writeOne(ctx context.Context, users *user.Store, l line) (result, error) {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	l.app.ID = totp.NewID([8]byte(append(r.mark[:], random[:]...)))
	now := r.Now().UTC()
	var did outcome
	_, err := users.Put(ctx, users.Key(r.Directory, l.want.Name), func(old user.User) (next user.User, err error) {
		next = old.Update(l.want, now)
		if l.contradicts {
			next.TOTP = r.removeImported(next.TOTP)
		}
		if len(l.app.Secret) > 0 {
			if next.TOTP, err = addApp(next.TOTP, l.app, now); err != nil {
				return old, row.Discard(err)
			}
		}
		switch {
		case old.Name == "":
			did = created
		case next.Revision != old.Revision, !sameApps(old.TOTP, next.TOTP):
			did, next = changed, next.Revised()
		default:
			did = unchanged
		}
		return next, nil
	})
	if e, ok := errors.AsType[*problem.Error](err); ok && e.Kind != problem.StorageUnavailable {
		l.fault = reason(e)
		return result{l, skipped}, nil
	}
	return result{l, did}, err
}

// sameApps reports whether both states have the same authenticators.
func sameApps(old, next totp.State) bool {
	return slices.EqualFunc(old.Authenticators, next.Authenticators, func(a, b totp.Authenticator) bool { return a.ID == b.ID })
}

// removeImported removes the authenticators that earlier lines of this run have
// added. An authenticator of which a code was accepted since then stays, so that
// its last step is not forgotten.
func (r *importing) removeImported(s totp.State) totp.State {
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

// addApp adds an authenticator that another system has confirmed. If the user has
// an authenticator with this secret already, that one stays as it is, with its
// last step. A pending one is replaced, which confirms it.
func addApp(s totp.State, a totp.Authenticator, now time.Time) (totp.State, error) {
	for _, b := range s.Authenticators {
		switch {
		case !totp.SameSecret(a.Secret, b.Secret):
		case b.Pending():
			s, _, _ = totp.Remove(s, b.ID, now) // fails if it has expired, which removes it too
		case a.Options != b.Options:
			return s, problem.Invalid("secret", "The user has this secret already, with another algorithm, digits or period.")
		default:
			return s, nil
		}
	}
	if a.Name == "" {
		a.Name = totp.FreeName(s.Settle(now).Authenticators, totp.DefaultName)
	}
	return totp.Import(s, a, now)
}

// contradiction is the report of a line with other data than an earlier line.
const contradiction = "an earlier line says something else about this user; this line counts"

// reportAll counts and reports the outcomes of the lines, in their order.
func (r *importing) reportAll() {
	early := make(map[int]result) // results before their turn
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
				r.report(res)
			}
			<-r.slots
		}
	}
}

func (r *importing) report(res result) {
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
