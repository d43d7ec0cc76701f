package functionshost

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pollInterval is the pause between two attempts to reach a starting handler.
const pollInterval = 28 * time.Millisecond

// environment is a set of environment variables.
type environment map[string]string

func newEnvironment(pairs []string) environment {
	env := make(environment)
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		env[name] = value
	}
	return env
}

// addLocalSettings adds the Values of local.settings.json, if the file exists. Variables
// that are already set keep their values.
func (env environment) addLocalSettings(root string) error {
	var file struct {
		IsEncrypted bool
		Values      map[string]string
	}
	err := readJSON(filepath.Join(root, "local.settings.json"), &file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && file.IsEncrypted {
		err = errors.New("local.settings.json: encrypted settings are not covered by this stand-in")
	}
	if err != nil {
		return err
	}
	for name, value := range file.Values {
		if _, set := env[name]; !set {
			env[name] = value
		}
	}
	return nil
}

func (env environment) list() []string {
	var pairs []string
	for name, value := range env {
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return pairs
}

var variable = regexp.MustCompile(`%([^%]+)%`)

// expand replaces every %NAME% by the variable's value, or by an empty text if there is none.
func (env environment) expand(s string) string {
	return variable.ReplaceAllStringFunc(s, func(m string) string {
		return env[strings.Trim(m, "%")]
	})
}

// worker is one run of the handler.
type worker struct {
	cmd     *exec.Cmd
	address string   // host:port at which the handler listens
	stderr  []string // the last lines of its stderr, at most three
	kill    func()   // ends the handler by SIGKILL, as the platform does

	timedOut atomic.Bool     // killed at functionTimeout, which is no error of the handler
	lost     context.Context // ends when what is in flight is lost
	lose     func()

	gone    chan struct{} // closed when the process has ended and its output is logged
	code    int           // exit code, valid after gone
	handled chan struct{} // closed when the host has handled the end of the process
}

// startWorker starts the handler. If that fails, it returns a run without a process, which
// never becomes ready.
func (a *app) startWorker(env environment, port int, j *journal) *worker {
	env["FUNCTIONS_APP_ROOT_PATH"] = a.root
	for _, name := range []string{"FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT"} {
		env[name] = strconv.Itoa(port)
	}
	id := newUUID()
	for _, name := range []string{"FUNCTIONS_CUSTOMHANDLER_WORKER_ID", "FUNCTIONS_HTTPWORKER_ID"} {
		env[name] = id
	}
	var args []string
	for _, arg := range a.arguments {
		args = append(args, strings.Fields(env.expand(arg))...)
	}
	path, err := a.lookPath(env["PATH"])
	w := &worker{
		cmd:     exec.Command(path, args...),
		address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		gone:    make(chan struct{}),
		handled: make(chan struct{}),
	}
	w.lost, w.lose = context.WithCancel(context.Background())
	stdout := &lineWriter{line: j.stdoutLine}
	stderr := &lineWriter{line: func(line string) {
		w.stderr = append(w.stderr[max(len(w.stderr)-2, 0):], line)
		j.stderrLine(line)
	}}
	w.cmd.Env, w.cmd.Dir = env.list(), a.workDir
	w.cmd.Stdout, w.cmd.Stderr = stdout, stderr
	w.cmd.SysProcAttr = processAttributes()
	// Do not wait for a child of the handler that still has its output open.
	w.cmd.WaitDelay = time.Second
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		j.host(Error, "Failed to start the handler: %v", err)
		w.cmd.Process = nil
		w.kill = sync.OnceFunc(func() { close(w.gone) })
		return w
	}
	w.kill = func() { _ = w.cmd.Process.Kill() } // fails only if the process has ended already
	go func() {
		_ = w.cmd.Wait() // ProcessState has the exit code
		w.code = exitCode(w.cmd.ProcessState)
		stdout.flush()
		stderr.flush()
		close(w.gone)
	}()
	return w
}

// pid returns the process id, or 0 if no process could be started.
func (w *worker) pid() int {
	if w.cmd.Process == nil {
		return 0
	}
	return w.cmd.Process.Pid
}

// exitCode returns 128 plus the signal's number for a signal, as .NET does.
func exitCode(s *os.ProcessState) int {
	if code := s.ExitCode(); code >= 0 {
		return code
	}
	return 128 + signalNumber(s)
}

// lookPath finds the handler in the app's root, or else in PATH.
func (a *app) lookPath(path string) (string, error) {
	candidates := []string{filepath.Join(a.root, a.executable)}
	if filepath.IsAbs(a.executable) {
		candidates = []string{a.executable}
	} else if !strings.ContainsRune(a.executable, filepath.Separator) {
		for _, dir := range filepath.SplitList(path) {
			candidates = append(candidates, filepath.Join(dir, a.executable))
		}
	}
	for _, c := range candidates {
		if info, err := os.Stat(c); err == nil && info.Mode().IsRegular() {
			// Without an exec bit the start fails. The host does not search further.
			return c, nil
		}
	}
	return "", fmt.Errorf("defaultExecutablePath %s: no such file in %s or in PATH", a.executable, a.root)
}

// poll requests / until the handler answers. Any answer counts.
func (w *worker) poll(ctx context.Context) error {
	c := &call{method: http.MethodGet, target: "/", delivered: new(atomic.Int32)}
	for {
		if answer, err := c.exchange(ctx, w.address); err == nil {
			answer.close()
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}

// freePort picks a port for the handler. The host cannot reserve the port until the handler
// listens. So the port is below the ephemeral range, from which outgoing connections get
// their ports.
func freePort() (int, error) {
	var lastErr error
	for range 100 {
		port := 12000 + rand.IntN(20000)
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
		lastErr = err
	}
	return 0, fmt.Errorf("no free port: %w", lastErr)
}
