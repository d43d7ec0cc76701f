package functionshost

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Level is the level at which the host logs a line.
type Level string

// The levels in use.
const (
	Information Level = "Information"
	Warning     Level = "Warning"
	Error       Level = "Error"
)

// Stream is the source of a log line.
type Stream string

// The streams.
const (
	Stdout     Stream = "stdout"     // a line that the handler wrote
	Stderr     Stream = "stderr"     // a line that the handler wrote
	Invocation Stream = "invocation" // an element of Logs in the reply to a timer
	FromHost   Stream = "host"       // a message of the host itself
)

// Entry is one line of the host's log.
type Entry struct {
	Level  Level
	Stream Stream
	Text   string
}

// journal collects the entries in order.
type journal struct {
	// callback is called for one entry at a time, in order, under emitting.
	callback func(Entry)
	emitting sync.Mutex

	mu      sync.Mutex
	entries []Entry
	changed chan struct{} // closed and replaced with every entry
}

func newJournal(callback func(Entry)) *journal {
	return &journal{callback: callback, changed: make(chan struct{})}
}

func (j *journal) add(level Level, stream Stream, text string) {
	e := Entry{level, stream, text}
	j.emitting.Lock()
	defer j.emitting.Unlock()
	j.mu.Lock()
	j.entries = append(j.entries, e)
	close(j.changed)
	j.changed = make(chan struct{})
	j.mu.Unlock()
	if j.callback != nil {
		j.callback(e)
	}
}

// close ends the calls of callback.
func (j *journal) close() {
	j.emitting.Lock()
	defer j.emitting.Unlock()
	j.callback = nil
}

func (j *journal) host(level Level, format string, args ...any) {
	j.add(level, FromHost, fmt.Sprintf(format, args...))
}

// Logs returns all entries so far.
func (h *Host) Logs() []Entry {
	h.journal.mu.Lock()
	defer h.journal.mu.Unlock()
	return slices.Clone(h.journal.entries)
}

// AwaitLog returns the first entry for which match is true, and waits for it if necessary. The
// handler's output may reach the host after the handler's answer to the same request, so a
// test has to wait for a log line.
func (h *Host) AwaitLog(ctx context.Context, match func(Entry) bool) (Entry, error) {
	for seen := 0; ; {
		h.journal.mu.Lock()
		entries, changed := h.journal.entries[seen:], h.journal.changed
		h.journal.mu.Unlock()
		if i := slices.IndexFunc(entries, match); i >= 0 {
			return entries[i], nil
		}
		seen += len(entries)
		select {
		case <-changed:
		case <-ctx.Done():
			return Entry{}, fmt.Errorf("functionshost: no such log entry: %w", ctx.Err())
		}
	}
}

// stdoutLine and stderrLine apply the host's rules for the output of a handler.
func (j *journal) stdoutLine(line string) {
	j.add(Information, Stdout, line)
}

func (j *journal) stderrLine(line string) {
	level := Error
	if strings.Contains(strings.ToLower(line), "warn") {
		level = Warning
	}
	j.add(level, Stderr, line)
}

// lineWriter calls line for each line that is written to it, without the line end.
type lineWriter struct {
	line    func(string)
	pending []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.pending = append(w.pending, p...)
	for {
		line, rest, found := bytes.Cut(w.pending, []byte("\n"))
		if !found {
			return len(p), nil
		}
		w.line(strings.TrimSuffix(string(line), "\r"))
		w.pending = rest
	}
}

// flush calls line for a last line without a line end.
func (w *lineWriter) flush() {
	if len(w.pending) > 0 {
		w.line(string(w.pending))
		w.pending = nil
	}
}
