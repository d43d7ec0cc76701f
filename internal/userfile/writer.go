package userfile

import (
	"context"
	"hash/maphash"
	"io"
	"sync"
	"time"

	"twofa/internal/store"
)

// Writer writes the lines of a file to a store, several at a time. Its fields are set
// once, before Run.
type Writer struct {
	// Workers is how many lines are written at a time.
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
func (w *Writer) Tally() Tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tally
}

// tries is how often a write is tried while the store is unavailable.
const tries = 6

// line is a row that was checked.
type line struct {
	number int    // of the row's first line in the file, from 1
	seq    int    // counts rows from 0, without gaps
	fault  string // why the line is skipped; "" if it is not
	// contradicts is true if an earlier line has other data about the same user.
	contradicts bool
	// key is what the line is about: lines with the same key are written in their order.
	key string
	// write writes the line. fault says why it is skipped. The error is the store's: then it
	// is unknown what was written, and it does no harm to write the line again.
	write func(ctx context.Context, t store.Table) (did outcome, fault string, err error)
}

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

// importing is one run.
type importing struct {
	*Writer
	ctx     context.Context
	fail    context.CancelCauseFunc
	table   store.Table
	slots   chan struct{} // each line holds one from when it is read until it is reported
	lines   chan line
	results chan result
	unread  error // why the rest of the file cannot be read; set before lines is closed
	gap     bool  // a line was abandoned; the lines after it are not reported
}

// window is how many lines are held at a time.
func (w *Writer) window() int {
	if w.Batch != nil {
		return 2 * w.BatchSize
	}
	return 8 * w.Workers
}

// run reads the file and writes its lines to the table, or with Batch to that of a
// transaction. check makes a line of a row, and all checks that need no store. A line is
// written as a whole or not at all.
//
// The file may have any length: run holds a bounded number of lines at a time. When ctx
// ends, run finishes the writes that it has begun, and returns the context's cause; it
// does not wait for a Read of the file. Any other error says why run stopped, and quotes
// nothing of the file.
func (w *Writer) run(ctx context.Context, file io.Reader, columns Columns, table store.Table, check func(Row) line) error {
	rows, err := NewRows(file, columns)
	if err != nil {
		return err
	}
	window := w.window()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r := &importing{
		Writer: w, ctx: ctx, fail: fail, table: table,
		slots: make(chan struct{}, window), lines: make(chan line), results: make(chan result, window),
	}

	// No queue is ever full: each has room for all lines that are held.
	queues := make([]chan line, w.Workers)
	var writers, reporter sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan line, window)
		writers.Go(func() { r.writeAll(queues[i]) })
	}
	reporter.Go(r.reportAll)
	go r.readAll(rows, check)
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
func (r *importing) readAll(rows *Rows, check func(Row) line) {
	for seq := 0; ; seq++ {
		select {
		case r.slots <- struct{}{}:
		case <-r.ctx.Done():
			return
		}
		row, err := rows.Next()
		if err != nil {
			if err != io.EOF {
				r.unread = err
			}
			close(r.lines)
			return
		}
		l := line{fault: row.Fault}
		if l.fault == "" {
			l = check(row)
		}
		l.number, l.seq = row.Line, seq
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
			default: // all lines of a key go to the same writer
				queues[maphash.String(seed, l.key)%uint64(len(queues))] <- l
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
	all := func(t store.Table) error {
		for i, l := range batch {
			did, fault, err := l.write(ctx, t)
			if err != nil {
				return err
			}
			l.fault = fault
			results[i] = result{l, did}
		}
		return nil
	}
	if r.Batch == nil {
		return all(r.table)
	}
	return r.Batch(ctx, all)
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
