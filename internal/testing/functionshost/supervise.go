package functionshost

import (
	"context"
	"strings"
	"time"
)

const (
	exitRestart = 200 // the exit code by which a handler asks to be started again
	errorLimit  = 3
	// errorGap: a longer pause between two errors clears the count.
	errorGap = 30 * time.Minute
)

// supervise sees to the handler's runs, one after the other.
func (h *Host) supervise(w *worker) {
	defer close(h.supervised)
	for {
		next := h.watch(w)
		exit := Exit{w.cmd.Process.Pid, w.code}
		if next == Starting && h.ctx.Err() == nil {
			again, err := h.app.startWorker(h.env, h.port, h.journal)
			if err != nil {
				h.journal.host(Error, "Failed to start the handler: %v", err)
				next = Stopped
			} else {
				h.set(func() { h.worker, h.state, h.exits = again, Starting, append(h.exits, exit) })
				close(w.handled)
				w = again
				continue
			}
		}
		h.set(func() {
			h.state = next
			if h.ctx.Err() == nil {
				h.exits = append(h.exits, exit)
			}
		})
		close(w.handled)
		return
	}
}

// watch returns when one run of the handler is over, with the state that follows:
// Starting if there is to be another one.
func (h *Host) watch(w *worker) State {
	ctx, cancel := context.WithTimeout(h.ctx, h.app.initTimeout)
	defer cancel()
	polled := make(chan error, 1)
	go func() { polled <- w.poll(ctx) }()
	for {
		select {
		case <-h.ctx.Done():
			w.kill()
			<-w.gone
			return Stopped
		case <-w.gone:
			return h.after(w)
		case err := <-polled:
			if err == nil {
				h.set(func() { h.state = Running })
				continue
			}
			if h.ctx.Err() != nil {
				continue
			}
			w.kill()
			<-w.gone
			w.code = -1 // the end that the host itself brought about says nothing
			h.journal.host(Error, "The handler did not answer within %v", h.app.initTimeout)
			return h.countError()
		}
	}
}

// after applies the rules for exit codes.
func (h *Host) after(w *worker) State {
	switch w.code {
	case 0:
		h.journal.host(Warning, "The handler exited with code 0 and is not started again")
		return Exited
	case exitRestart:
		h.journal.host(Information, "Language Worker Process exited and needs to be restarted.")
		return Starting
	default:
		h.journal.host(Error, "%s exited with code %d: %s", h.app.executable, w.code, strings.Join(w.stderr, ","))
		return h.countError()
	}
}

// countError returns Stopped if this error of the handler was one too many.
func (h *Host) countError() State {
	now := h.options.Now()
	if n := len(h.failures); n > 0 && now.Sub(h.failures[n-1]) > errorGap {
		h.failures = nil
	}
	h.failures = append(h.failures, now)
	if len(h.failures) < errorLimit {
		return Starting
	}
	h.journal.host(Error, "Exceeded http worker restart retry count. Shutting down Functions Host")
	return Stopped
}
