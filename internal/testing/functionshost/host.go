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
	"time"
)

// Mode is where the host runs.
type Mode int

const (
	// Cloud is Azure: keys are enforced, local.settings.json is not looked at.
	Cloud Mode = iota
	// CoreTools is `func start` on a developer's machine: no keys, and the Values of
	// local.settings.json are app settings, except where a variable is set already.
	CoreTools
)

// Options say what to start. Only Root is required.
type Options struct {
	// Root is the app's folder: host.json, the function folders, the handler.
	Root string
	// Mode is Cloud or CoreTools.
	Mode Mode
	// Env is the host's environment ("NAME=value"), app settings included, which the
	// handler inherits. Nil means the test's own, an empty slice means none.
	Env []string
	// Keys are the app's keys; Start makes those that are empty. See Host.Keys.
	Keys Keys
	// ReverseRoutes matches routes against the order of loading, to show that an app
	// does not depend on that order.
	ReverseRoutes bool
	// Edge adds to each request what Azure's front end adds. See addEdge.
	Edge bool
	// InitializationTimeout and FunctionTimeout replace those of host.json if they
	// are not zero. The real host accepts none under a second.
	InitializationTimeout, FunctionTimeout time.Duration
	// Log is called for every log entry, one at a time and in order, never after
	// Close. It must not call Close.
	Log func(Entry)
	// Now is the clock of the restart rule, by default time.Now.
	Now func() time.Time
}

// State is what the host does at the moment.
type State int

const (
	// Starting: the handler does not answer yet, for the first time or after a
	// restart. Requests wait.
	Starting State = iota
	// Running: the handler answers.
	Running
	// Exited: the handler ended with exit code 0. It is not started again, and every
	// call fails with status 500.
	Exited
	// Stopped: the host gave up after the handler's third error, or was closed. Every
	// call fails with status 503, which stands for the platform's own answer.
	Stopped
)

func (s State) String() string {
	return [...]string{"starting", "running", "exited", "stopped"}[s]
}

// Exit is the end of one run of the handler.
type Exit struct {
	PID int
	// Code is the exit code; after a signal it is 128 and the signal's number (137
	// for SIGKILL). It is -1 if the host killed a handler that did not get ready.
	Code int
}

// Host is a running stand-in for the Functions host. Its methods may be called
// from several goroutines.
type Host struct {
	options Options
	app     *app
	env     environment
	port    int // the handler's, the same for all its runs
	keys    Keys
	journal *journal
	server  *http.Server
	url     string

	ctx        context.Context // ends when the host is closed
	cancel     context.CancelFunc
	closing    sync.Once
	supervised chan struct{} // closed when the last run is over
	failures   []time.Time   // the errors that the restart rule counts; supervise's own

	mu      sync.Mutex
	state   State
	worker  *worker // the latest run
	exits   []Exit
	changed chan struct{} // closed and replaced with every change of the above
}

// Start reads the app, starts its handler and serves its functions on a free port
// of 127.0.0.1. It does not wait for the handler to be ready: requests do (see
// Wait). The host is closed when ctx ends; closing it earlier, or again, is fine.
//
// An error means that the app's files are at fault (all faults are reported
// together), a timer lacks its storage, or the executable can't be started.
func Start(ctx context.Context, o Options) (*Host, error) {
	h, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("functionshost: %w", err)
	}
	return h, nil
}

func start(ctx context.Context, o Options) (*Host, error) {
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
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &Host{
		options: o, app: a, env: env, port: port,
		keys:       o.Keys.complete(a.functions),
		journal:    newJournal(o.Log),
		url:        "http://" + listener.Addr().String(),
		supervised: make(chan struct{}),
		changed:    make(chan struct{}),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if h.worker, err = a.startWorker(env, port, h.journal); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	go h.supervise(h.worker)
	h.server = &http.Server{Handler: http.HandlerFunc(h.serve), ReadHeaderTimeout: time.Minute}
	go func() { _ = h.server.Serve(listener) }() // ends with ErrServerClosed, by Close
	unhook := context.AfterFunc(ctx, h.Close)
	context.AfterFunc(h.ctx, func() { unhook() })
	return h, nil
}

// Close stops the host and kills the handler (SIGKILL; the platform sends no
// SIGTERM), whatever it is doing. It returns when both are gone.
func (h *Host) Close() {
	h.closing.Do(func() {
		h.cancel()
		_ = h.server.Close() // nothing is left to do about it
		<-h.supervised
		h.journal.close()
	})
}

// URL is the host's own address, without a slash at the end.
func (h *Host) URL() string { return h.url }

// Keys returns the app's keys, those included that Start made.
func (h *Host) Keys() Keys { return h.keys }

// State returns what the host does at the moment.
func (h *Host) State() State {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// Exits lists how the runs of the handler ended, oldest first. The run that Close
// ends is not among them.
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
		return h.worker.cmd.Process.Pid
	}
}

// Wait returns when the host is in the wanted state. It returns an error when ctx
// ends before, or when that state can't come any more.
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
			return fmt.Errorf("functionshost: the host is %s, not %s: %w", state, want, ctx.Err())
		}
	}
}

// Kill ends the handler by SIGKILL, as the kernel does when memory runs out. It
// returns when the host has taken notice, which counts as an error of the
// handler: the host starts it again, or stops if it was the third error.
func (h *Host) Kill() error {
	h.mu.Lock()
	w := h.worker
	h.mu.Unlock()
	select {
	case <-w.gone:
		return errors.New("functionshost: no handler is running")
	default:
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

// set changes the state under the lock and wakes who waits.
func (h *Host) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
	close(h.changed)
	h.changed = make(chan struct{})
}
