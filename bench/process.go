package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// binaries are the paths of the built programs.
type binaries struct {
	dir                                   string
	twofa, bare, yardstick, tableServer   string
	twofaProbe, bareProbe, yardstickProbe string
}

// build builds all programs: the service exactly as it ships, and once more with package probe,
// which an overlay adds.
func build(ctx context.Context, root, dir string) (binaries, error) {
	b := binaries{dir: dir}
	overlays := map[string]string{}
	for _, main := range []string{".", "bench/cmd/bareserver", "bench/cmd/yardstick"} {
		overlays[filepath.Join(root, main, "probe_overlay.go")] = filepath.Join(dir, "probe_overlay.go")
	}
	text, err := json.Marshal(map[string]any{"Replace": overlays})
	if err != nil {
		return b, err
	}
	overlay := filepath.Join(dir, "overlay.json")
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "probe_overlay.go"), []byte("package main\n\nimport _ \"twofa/bench/probe\"\n"), 0o600),
		os.WriteFile(overlay, text, 0o600))
	if err != nil {
		return b, err
	}
	for _, p := range []struct {
		out   *string
		name  string
		main  string
		probe bool
	}{
		{&b.twofa, "twofa", ".", false},
		{&b.bare, "bareserver", "./bench/cmd/bareserver", false},
		{&b.yardstick, "yardstick", "./bench/cmd/yardstick", false},
		{&b.tableServer, "tableserver", "./bench/cmd/tableserver", false},
		{&b.twofaProbe, "twofa.probe", ".", true},
		{&b.bareProbe, "bareserver.probe", "./bench/cmd/bareserver", true},
		{&b.yardstickProbe, "yardstick.probe", "./bench/cmd/yardstick", true},
	} {
		*p.out = filepath.Join(dir, p.name)
		args := []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", *p.out}
		if p.probe {
			args = append(args, "-overlay", overlay)
		}
		cmd := exec.CommandContext(ctx, "go", append(args, p.main)...)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return b, fmt.Errorf("go build %s: %w\n%s", p.main, err, out)
		}
	}
	return b, nil
}

// process is a running server.
type process struct {
	cmd   *exec.Cmd
	addr  string
	probe string // the probe's address, "" if there is none
	fault *lines // the beginning of stderr
}

// launch starts a program and does not wait. The program's standard output goes through a pipe,
// as under the Functions host, and is discarded.
func launch(path, addr, probe string, env []string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(path, args...), addr: addr, probe: probe, fault: new(lines)}
	p.cmd.Env = append(env, "PATH="+os.Getenv("PATH"))
	if probe != "" {
		p.cmd.Env = append(p.cmd.Env, "BENCH_PROBE_ADDR="+probe)
	}
	p.cmd.Stdout, p.cmd.Stderr = struct{ io.Writer }{io.Discard}, p.fault
	return p, p.cmd.Start()
}

// serve starts a program and waits until it answers.
func serve(path, addr, probe string, env []string, args ...string) (*process, error) {
	p, err := launch(path, addr, probe, env, args...)
	if err == nil {
		err = p.awaitAnswer()
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(path), err, p.fault)
	}
	return p, nil
}

// awaitAnswer sends requests until the process answers 200.
func (p *process) awaitAnswer() error {
	request := []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Microsecond) {
		c, err := dial(p.addr)
		if err != nil {
			continue
		}
		status, _, err := c.do(request)
		c.Close()
		if err == nil && status == http.StatusOK {
			return nil
		}
	}
	return errors.New("no answer within 10 s")
}

// stop ends the process and waits for its end.
func (p *process) stop() {
	if p == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	ended := time.AfterFunc(3*time.Second, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	ended.Stop()
}

// cpu returns the CPU time of the process so far, in user mode and in the kernel: the sum over
// its threads, which Go does not end.
func (p *process) cpu() (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		return 0, errors.Join(errors.New("no /proc/<pid>/task/<tid>/schedstat: this needs Linux"), err)
	}
	var total time.Duration
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		var ns int64 // the first of three numbers
		if _, err := fmt.Sscan(string(text), &ns); err != nil {
			return 0, err
		}
		total += time.Duration(ns)
	}
	return total, nil
}

// memory returns a value of /proc/<pid>/status, like VmRSS or VmHWM, in bytes.
func (p *process) memory(name string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return float64(kib) * 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc/%d/status", name, p.cmd.Process.Pid)
}

// allocs returns how many objects and bytes the process has allocated so far. It needs a probe.
func (p *process) allocs() (objects, size float64, err error) {
	text, err := fetch(http.MethodGet, "http://"+p.probe+"/allocs")
	if err == nil {
		_, err = fmt.Sscan(text, &objects, &size)
	}
	return objects, size, err
}

func fetch(method, address string) (string, error) {
	req, err := http.NewRequest(method, address, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", address, resp.Status, text)
	}
	return string(text), err
}

// freeAddr returns a loopback address on which no process listens.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// lines keeps the first 4096 bytes that a process writes to standard error.
type lines struct {
	mu   sync.Mutex
	text []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.text) < 4096 {
		l.text = append(l.text, p...)
	}
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
