package functionshost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Mode is where the host runs.
type Mode int

const (
	// Cloud is Azure: keys are required, local.settings.json is not read.
	Cloud Mode = iota
	// CoreTools is `func start` on a developer's machine: no keys are required, and the
	// Values of local.settings.json are app settings unless a variable is already set.
	CoreTools
)

// Options are the options of Start. Only Root is required.
type Options struct {
	// Root is the app's folder: host.json, the function folders, the handler.
	Root string
	// Mode is Cloud or CoreTools.
	Mode Mode
	// Env is the host's environment ("NAME=value"), app settings included, which the
	// handler inherits. nil: the test's own environment. Empty: none.
	Env []string
	// Keys are the app's keys. Start generates the empty ones. See [Host.Keys].
	Keys Keys
	// ReverseRoutes matches routes in the reverse order of loading, to show that an app does
	// not depend on that order.
	ReverseRoutes bool
	// Edge plays Azure's front end before the host. It decodes the path, %2F too, and turns
	// backslashes into slashes. It appends the client's address to X-Forwarded-For, and sets
	// client-ip, DISGUISED-HOST, X-ARR-LOG-ID and X-Forwarded-Proto. From these the host's
	// X-Forwarded-Host is DISGUISED-HOST, and its X-Forwarded-Proto is https.
	Edge bool
	// InitializationTimeout and FunctionTimeout replace the values of host.json. 0: do not
	// replace. The real host accepts no value below a second.
	InitializationTimeout, FunctionTimeout time.Duration
	// Log is called for every log entry, one at a time, in order, and never after Close. It
	// must not call Close. nil: not called.
	Log func(Entry)
	// Now is the clock of the restart rule. nil: time.Now.
	Now func() time.Time
}

// State is the state of the host.
type State int

const (
	// Starting: the handler does not answer yet, after the start or a restart. Requests
	// wait, and their waiting counts into functionTimeout.
	Starting State = iota
	// Running: the handler answers.
	Running
	// Exited: the handler ended with exit code 0. The host does not start it again, and every
	// call fails with status 500.
	Exited
	// Stopped: the handler failed for the third time, a request waited until functionTimeout
	// for a handler that could not be started, or the host was closed. Connections are refused.
	Stopped
)

func (s State) String() string {
	return [...]string{"starting", "running", "exited", "stopped"}[s]
}

// Exit is the end of one run of the handler.
type Exit struct {
	PID int
	// Code is the exit code. After a signal, it is 128 plus the signal's number (137 for
	// SIGKILL). It is -1 if the host killed a handler that did not become ready.
	Code int
}

// Host is a running stand-in for the Functions host. It is safe for concurrent use.
type Host struct {
	options Options
	app     *app
	env     environment
	port    int // the handler's port, the same for all runs
	keys    Keys
	journal *journal
	server  *http.Server
	url     string
	timing  timing
	tries   atomic.Int64 // how often a request was tried to be sent to the handler

	ctx        context.Context // ends when the host is closed
	cancel     context.CancelFunc
	closing    sync.Once
	supervised chan struct{} // closed when the last run is over
	failures   []time.Time   // the errors that the restart rule counts; used by supervise only

	mu      sync.Mutex
	state   State
	worker  *worker // the latest run
	exits   []Exit
	changed chan struct{} // closed and replaced when state, worker or exits change

	invocations []*invocation
}

// timing holds durations, and a size, that the package's own tests shorten.
type timing struct {
	grace   time.Duration   // from functionTimeout to the end of the handler
	restart time.Duration   // from the handler's end to its next start
	pauses  []time.Duration // between the tries to send a request
	body    int64           // the limit of a body in bytes
}

// realTiming is the host's: ten tries in 1.87 s.
var realTiming = timing{
	grace: 2 * time.Second, restart: 100 * time.Millisecond, body: 100 << 20,
	pauses: []time.Duration{
		50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 250 * time.Millisecond, 250 * time.Millisecond,
		250 * time.Millisecond, 250 * time.Millisecond, 250 * time.Millisecond, 250 * time.Millisecond,
	},
}

// Start reads the app, starts its handler and serves its functions on a free port of
// 127.0.0.1. It does not wait until the handler is ready; requests do (see [Host.Wait]).
// The host is closed when ctx ends. It may be closed earlier, and more than once.
//
// Start returns an error if the app's files have faults (it reports all faults together) or if
// there is no storage for a timer. An executable that is missing or cannot be started does not
// fail the start: the first request waits until functionTimeout, and then the host stops.
func Start(ctx context.Context, o Options) (*Host, error) {
	h, err := start(ctx, o, realTiming)
	if err != nil {
		return nil, fmt.Errorf("functionshost: %w", err)
	}
	return h, nil
}

func start(ctx context.Context, o Options, t timing) (*Host, error) {
	a, err := load(o.Root)
	if err != nil {
		return nil, err
	}
	env := newEnvironment(o.Env)
	if o.Env == nil {
		env = newEnvironment(os.Environ())
	}
	if o.Mode == CoreTools {
		if err := env.addLocalSettings(a.root); err != nil {
			return nil, err
		}
	}
	if err := a.checkStorage(env); err != nil {
		return nil, err
	}
	if o.InitializationTimeout > 0 {
		a.initTimeout = o.InitializationTimeout
	}
	if o.FunctionTimeout > 0 {
		a.functionTimeout = o.FunctionTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &Host{
		options: o, app: a, env: env, port: port,
		keys:       o.Keys.complete(a.functions),
		journal:    newJournal(o.Log),
		url:        "http://" + l.Addr().String(),
		supervised: make(chan struct{}),
		changed:    make(chan struct{}),
		timing:     t,
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.server = newServer(h.serve)
	h.worker = a.startWorker(env, port, h.journal)
	go h.supervise(h.worker)
	go func() { _ = h.server.Serve(listener{l}) }() // ends with ErrServerClosed, by stop
	unhook := context.AfterFunc(ctx, h.Close)
	context.AfterFunc(h.ctx, func() { unhook() })
	return h, nil
}

// Close stops the host and kills the handler at once, by SIGKILL, because the platform sends
// no SIGTERM. It returns when both have ended.
func (h *Host) Close() {
	h.closing.Do(func() {
		h.cancel()
		<-h.supervised
		_ = h.server.Close() // an error would have no consequence
		h.journal.close()
	})
}

// URL returns the host's address, without a slash at the end.
func (h *Host) URL() string { return h.url }

// Keys returns the app's keys, including the keys that Start has generated.
func (h *Host) Keys() Keys { return h.keys }

// State returns the present state.
func (h *Host) State() State {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// Exits lists the ends of the handler's runs, oldest first, without the run that Close has
// ended.
func (h *Host) Exits() []Exit {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.exits)
}

// HandlerPID returns the process id of the handler, or 0 if it does not run.
func (h *Host) HandlerPID() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.worker.gone:
		return 0
	default:
		return h.worker.pid()
	}
}

// Wait waits until the host is in the wanted state. It returns an error if ctx ends first, or
// if the host can no longer reach that state.
func (h *Host) Wait(ctx context.Context, want State) error {
	for {
		h.mu.Lock()
		state, changed := h.state, h.changed
		h.mu.Unlock()
		if state == want {
			return nil
		}
		if state == Exited || state == Stopped {
			return fmt.Errorf("functionshost: the host is %s, not %s", state, want)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("functionshost: the host is %s, not %s: %w", state, want, context.Cause(ctx))
		}
	}
}

// Kill ends the handler by SIGKILL, as the kernel does when memory runs out. The host counts
// that as an error of the handler, and starts the handler again or, after the third error,
// stops. Kill returns when the host has done so.
func (h *Host) Kill() error {
	h.mu.Lock()
	w := h.worker
	h.mu.Unlock()
	if h.HandlerPID() == 0 {
		return errors.New("functionshost: no handler is running")
	}
	w.kill()
	<-w.handled
	return nil
}

// ready waits until the handler answers and returns its run.
func (h *Host) ready(ctx context.Context) (*worker, error) {
	if err := h.Wait(ctx, Running); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.worker, nil
}

// set changes the state under the lock and wakes all goroutines that wait for a change.
func (h *Host) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
	close(h.changed)
	h.changed = make(chan struct{})
}
