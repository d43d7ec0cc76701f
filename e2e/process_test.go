package e2e

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is the binary, run without a host.
type process struct {
	*client        // nil until the process listens
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *output
	exited         chan struct{} // closed when the process has ended
}

// start starts the binary in a folder, with that environment and nothing else.
func start(t *testing.T, dir string, env []string, stdin io.Reader, args ...string) *process {
	t.Helper()
	return startProgram(t, dir, env, stdin, binary, args...)
}

// startProgram is start for another program.
func startProgram(t *testing.T, dir string, env []string, stdin io.Reader, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(path, args...), stdout: newOutput(), stderr: newOutput(), exited: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdin = env, dir, stdin
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	// The kernel kills the process if the test process ends for whatever reason.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState has all that the tests need
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

// serve starts the service in an empty folder and waits until it listens.
func serve(t *testing.T, env []string) *process {
	t.Helper()
	p := start(t, t.TempDir(), env, nil)
	line := p.stdout.await(t, p.exited, `"msg":"listening"`)
	var logged struct{ Address string }
	if err := json.Unmarshal([]byte(line), &logged); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	p.client = newClient(t, "http://"+logged.Address)
	return p
}

// kill ends the process by SIGKILL and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only if the process has ended already
	<-p.exited
}

// signal sends a signal.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits until the process ends by itself and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		p.t.Fatalf("the process does not end; its output is %s%s", p.stdout, p.stderr)
		return 0
	}
}

// output collects what a process writes.
type output struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // closed and replaced with every write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await returns the first whole line that contains part. It waits for the line if
// it is not there yet. It ends the test if the process exits first.
func (o *output) await(t *testing.T, exited <-chan struct{}, part string) string {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		o.mu.Lock()
		text, changed := o.text.String(), o.changed
		o.mu.Unlock()
		for line := range strings.Lines(text) {
			if strings.Contains(line, part) && strings.HasSuffix(line, "\n") {
				return line
			}
		}
		select {
		case <-changed:
		case <-exited:
			t.Fatalf("the process ended before it wrote %q: %s", part, text)
		case <-deadline:
			t.Fatalf("no line with %q: %s", part, text)
		}
	}
}

// waitFor waits until happened returns true.
func waitFor(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
