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
	"time"
)

// pollInterval is the pause between two attempts to reach a starting handler.
const pollInterval = 25 * time.Millisecond

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
	cmd       *exec.Cmd
	address   string // host:port at which the handler listens
	transport *http.Transport
	stderr    []string // the last lines of its stderr, at most three

	gone    chan struct{} // closed when the process has ended and its output is logged
	code    int           // exit code, valid after gone
	handled chan struct{} // closed when the host has handled the end of the process
}

// startWorker starts the handler. Every run has its own connections: all runs listen on the
// same port, and connections to an ended run are broken.
func (a *app) startWorker(env environment, port int, j *journal) (*worker, error) {
	path, err := a.lookPath(env["PATH"])
	if err != nil {
		return nil, err
	}
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
		args = append(args, env.expand(arg))
	}
	w := &worker{
		cmd:       exec.Command(path, args...),
		address:   net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		transport: &http.Transport{DisableCompression: true}, // which would add a header
		gone:      make(chan struct{}),
		handled:   make(chan struct{}),
	}
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
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = w.cmd.Wait() // ProcessState has the exit code
		w.code = exitCode(w.cmd.ProcessState)
		stdout.flush()
		stderr.flush()
		w.transport.CloseIdleConnections()
		close(w.gone)
	}()
	return w, nil
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

// kill ends the handler by SIGKILL, as the platform does.
func (w *worker) kill() {
	_ = w.cmd.Process.Kill() // fails only if the process has ended already
}

// poll requests / until the handler accepts a connection. The handler's answer does not
// matter, nor whether there is one.
func (w *worker) poll(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.address+"/", nil)
	if err != nil {
		return err
	}
	for {
		response, err := w.transport.RoundTrip(request)
		if err == nil {
			return response.Body.Close()
		}
		if failed, ok := errors.AsType[*net.OpError](err); ctx.Err() == nil && (!ok || failed.Op != "dial") {
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
