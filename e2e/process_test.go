package e2e

import (
	"encoding/json"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is the binary, run without a host.
type process struct {
	*client
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *output
	gone           chan struct{}
}

// launch starts the binary with that environment and nothing else.
func launch(t *testing.T, env []string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary), stdout: newOutput(), stderr: newOutput(), gone: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir = env, t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	// The kernel ends it with the test process, however that ends.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState says all that matters
		close(p.gone)
	}()
	t.Cleanup(p.kill)
	return p
}

// ready waits until the process listens.
func (p *process) ready() {
	p.t.Helper()
	line := p.stdout.await(p.t, p.gone, `"msg":"listening"`)
	var said struct{ Address string }
	if err := json.Unmarshal([]byte(line), &said); err != nil {
		p.t.Fatalf("%s: %v", line, err)
	}
	p.client = newClient(p.t, "http://"+said.Address)
}

// kill ends the process by SIGKILL and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only if it has ended already
	<-p.gone
}

// exit waits for the process to end by itself and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.gone:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		p.t.Fatalf("the process goes on running; it said %s%s", p.stdout, p.stderr)
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

// await returns the first whole line, past or to come, with that part.
func (o *output) await(t *testing.T, gone <-chan struct{}, part string) string {
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
		case <-gone:
			t.Fatalf("the process ended before it wrote %q: %s", part, text)
		case <-deadline:
			t.Fatalf("no line with %q: %s", part, text)
		}
	}
}
