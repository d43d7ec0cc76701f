package functionshost_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"twofa/internal/testing/functionshost"
)

func TestExitCodeZeroIsFinal(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	exit(t, h, 0)
	await(t, h, functionshost.Exited)
	wantStatus(t, h.URL()+"/echo", http.StatusInternalServerError)
	if err := h.FireTimer(timeLimit(t), "tick", functionshost.Timer{}); err == nil {
		t.Error("the timer succeeded without a handler")
	}
	if pid := h.HandlerPID(); pid != 0 {
		t.Errorf("handler %d runs", pid)
	}
	if err := h.Kill(); err == nil {
		t.Error("killed a handler that does not run")
	}
	wantExits(t, h, 0)
}

func TestExitCode200Restarts(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	pids := make(map[int]bool)
	const rounds = 4 // more than the number of errors that stop the host
	for range rounds {
		await(t, h, functionshost.Running)
		pids[h.HandlerPID()] = true
		exit(t, h, 200)
		// The host notices the end of the process after the broken connection.
		awaitExits(t, h, len(pids))
	}
	wantStatus(t, h.URL()+"/echo", http.StatusOK)
	if len(pids) != rounds {
		t.Errorf("%d runs, want %d", len(pids), rounds)
	}
	for _, e := range h.Logs() {
		if strings.Contains(e.Text, "exited with code") {
			t.Errorf("a restart by exit code 200 was logged as an error: %q", e.Text)
		}
	}
}

// exit makes the handler end. The request has a body, so that the host does not repeat it.
func exit(t *testing.T, h *functionshost.Host, code int) {
	t.Helper()
	response, body := call(t, http.MethodPost, fmt.Sprintf("%s/do/exit?status=%d", h.URL(), code), strings.NewReader("x"), nil)
	if response.StatusCode != http.StatusInternalServerError || len(body) > 0 {
		t.Errorf("status %d %q", response.StatusCode, body)
	}
}

// A request without a body that ends the handler is delivered to each new one. The third death
// stops the host.
func TestARequestThatKillsStopsTheHost(t *testing.T) {
	t.Parallel()
	h := startBy(t, functionshost.StartPatient, functionshost.Options{})
	await(t, h, functionshost.Running)
	<-getLater(t, h.URL()+"/do/exit?status=1")
	await(t, h, functionshost.Stopped)
	wantExits(t, h, 1, 1, 1)
	wantRefused(t, h)
	if all := h.Invocations(); all[0].Deliveries < 3 {
		t.Errorf("%+v, want a delivery to each process", all)
	}
}

// awaitExits waits until n runs have ended.
func awaitExits(t *testing.T, h *functionshost.Host, n int) {
	t.Helper()
	ctx := timeLimit(t)
	for len(h.Exits()) < n {
		if ctx.Err() != nil {
			t.Fatalf("%d exits, want %d", len(h.Exits()), n)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestThirdErrorStopsTheHost(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	await(t, h, functionshost.Running)
	first := h.HandlerPID()
	get(t, h.URL()+"/do/say?err=an+error%0A")
	awaitLine(t, h, "an error")
	exit(t, h, 3)
	awaitExits(t, h, 1)
	if e := awaitLine(t, h, "exited with code 3"); e.Level != functionshost.Error || !strings.Contains(e.Text, "an error") {
		t.Errorf("logged %+v", e)
	}
	wantStatus(t, h.URL()+"/echo", http.StatusOK)
	if second := h.HandlerPID(); second == first || second == 0 {
		t.Errorf("handler %d after %d", second, first)
	}
	kill(t, h)
	wantStatus(t, h.URL()+"/echo", http.StatusOK)
	kill(t, h)
	if s := h.State(); s != functionshost.Stopped {
		t.Errorf("state %v after the third error", s)
	}
	wantRefused(t, h)
	awaitLine(t, h, "Shutting down Functions Host")
	wantExits(t, h, 3, 137, 137)
	if err := h.Wait(timeLimit(t), functionshost.Running); err == nil {
		t.Error("Wait returns no error for a state that the host cannot reach")
	}
}

func TestErrorsWithLongPausesDoNotStopTheHost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		gap  time.Duration
		want functionshost.State
	}{
		{30 * time.Minute, functionshost.Stopped},
		{30*time.Minute + time.Second, functionshost.Running},
	} {
		t.Run(c.gap.String(), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			now := time.Unix(0, 0)
			h := start(t, functionshost.Options{Now: func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return now
			}})
			for range 3 {
				await(t, h, functionshost.Running)
				kill(t, h)
				mu.Lock()
				now = now.Add(c.gap)
				mu.Unlock()
			}
			await(t, h, c.want)
		})
	}
}

func TestEarlyExit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code  string
		want  functionshost.State
		exits int
	}{
		{"0", functionshost.Exited, 1},
		{"1", functionshost.Stopped, 3},
	} {
		t.Run(c.code, func(t *testing.T) {
			t.Parallel()
			h := start(t, functionshost.Options{Env: []string{storage, "HANDLER_EXIT=" + c.code}})
			await(t, h, c.want)
			if n := len(h.Exits()); n != c.exits {
				t.Errorf("%d runs, want %d", n, c.exits)
			}
		})
	}
}

func TestKillFailsTheCurrentRequest(t *testing.T) {
	t.Parallel()
	h := startQuick(t, functionshost.Options{})
	ctx := timeLimit(t)
	answered := make(chan int, 1)
	go func() {
		r, _ := http.NewRequestWithContext(ctx, http.MethodPost, h.URL()+"/do/wait?for="+filepath.Join(os.TempDir(), "never"), strings.NewReader("x"))
		response, err := client.RoundTrip(r)
		if err != nil {
			answered <- 0
			return
		}
		_ = response.Body.Close()
		answered <- response.StatusCode
	}()
	awaitLine(t, h, "waiting")
	kill(t, h)
	if status := <-answered; status != http.StatusInternalServerError {
		t.Errorf("status %d", status)
	}
	wantStatus(t, h.URL()+"/echo", http.StatusOK)
	if all := h.Invocations(); all[0].Deliveries != 1 {
		t.Errorf("%+v, want 1 delivery", all)
	}
}

func TestAChildOfTheHandlerDoesNotDelayTheHost(t *testing.T) {
	t.Parallel()
	while := t.TempDir() // the child ends when this folder is removed
	h := start(t, functionshost.Options{})
	wantStatus(t, h.URL()+"/do/child?while="+while, http.StatusOK)
	killed := make(chan error, 1)
	go func() { killed <- h.Kill() }()
	select {
	case err := <-killed:
		if err != nil {
			t.Error(err)
		}
	case <-timeLimit(t).Done():
		t.Error("the host waits for the handler's child")
	}
}

func TestCloseSendsNoSIGTERM(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "mark")
	h := start(t, functionshost.Options{Env: []string{storage, "HANDLER_TERM_MARK=" + mark}})
	await(t, h, functionshost.Running)
	pid := h.HandlerPID()
	h.Close()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("handler %d still runs: %v", pid, err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the handler got SIGTERM")
	}
	wantExits(t, h)
}

func TestTheContextClosesTheHost(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	h, err := functionshost.Start(ctx, functionshost.Options{Root: newApp(t, nil), Env: []string{storage}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	await(t, h, functionshost.Running)
	cancel()
	await(t, h, functionshost.Stopped)
	if pid := h.HandlerPID(); pid != 0 {
		t.Errorf("handler %d still runs", pid)
	}
}
