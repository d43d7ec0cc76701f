package functionshost

import (
	"context"
	"strings"
	"time"
)

const (
	exitRestart = 200 // with this exit code a handler asks for a restart
	errorLimit  = 3
	// errorGap: after a longer pause between two errors, the count starts again.
	errorGap = 30 * time.Minute
)

// supervise watches the handler's runs, one after the other, and restarts the handler.
func (h *Host) supervise(w *worker) {
	defer close(h.supervised)
	for {
		next := h.watch(w)
		if next == Stopped {
			_ = h.server.Close() // the process of the host ends: connections are refused
		}
		h.set(func() {
			h.state = next
			if h.ctx.Err() == nil && w.pid() != 0 {
				h.exits = append(h.exits, Exit{w.pid(), w.code})
			}
		})
		if next == Starting {
			select {
			case <-time.After(h.timing.restart):
			case <-h.ctx.Done():
			}
			again := h.app.startWorker(h.env, h.port, h.journal)
			h.set(func() { h.worker = again })
			close(w.handled)
			w = again
			continue
		}
		close(w.handled)
		return
	}
}

// watch waits for the end of a run and returns the next state: Starting if the handler has to
// be started again.
func (h *Host) watch(w *worker) State {
	ctx, cancel := context.WithTimeout(h.ctx, h.app.initTimeout)
	defer cancel()
	polled := make(chan error, 1)
	if w.pid() != 0 {
		go func() { polled <- w.poll(ctx) }()
	}
	for {
		select {
		case <-h.ctx.Done():
			w.kill()
			<-w.gone
			return Stopped
		case <-w.gone:
			return h.nextState(w)
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
			w.code = -1 // the host has killed the handler, so the exit code has no meaning
			h.journal.host(Error, "The handler did not answer within %v", h.app.initTimeout)
			return h.countError()
		}
	}
}

// nextState applies the rules for exit codes.
func (h *Host) nextState(w *worker) State {
	switch {
	case w.pid() == 0:
		h.journal.host(Error, "%v without a handler. Shutting down Functions Host", errFunctionTimeout)
		return Stopped
	case w.timedOut.Load():
		h.journal.host(Error, "%v: the handler was killed and is started again", errFunctionTimeout)
		return Starting
	}
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

// countError counts an error of the handler and returns the next state.
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
