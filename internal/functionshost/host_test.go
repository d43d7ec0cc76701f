package functionshost_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"twofa/internal/functionshost"
)

func TestRequestsWaitForTheHandler(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "gate")
	h := start(t, functionshost.Options{Env: []string{storage, "HANDLER_GATE=" + gate}})
	answered := getLater(t, h.URL()+"/echo")
	select {
	case status := <-answered:
		t.Fatalf("answered with %d before the handler was ready", status)
	case <-time.After(200 * time.Millisecond):
	}
	if s := h.State(); s != functionshost.Starting {
		t.Errorf("state is %v", s)
	}
	touch(t, gate)
	if status := <-answered; status != http.StatusOK {
		t.Errorf("status %d after the handler was ready", status)
	}
	if s := h.State(); s != functionshost.Running {
		t.Errorf("state is %v", s)
	}
}

func TestAConnectionWithoutAnswerMeansReady(t *testing.T) {
	t.Parallel()
	// The handler hangs up on the first connection, which is the host's question,
	// and would hang up on a request if the host had not asked.
	h := start(t, functionshost.Options{Env: []string{storage, "HANDLER_FIRST=hangup"}})
	if status := get(t, h.URL()+"/echo"); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

func TestInitializationTimeout(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "never")
	h := start(t, functionshost.Options{
		Env:                   []string{storage, "HANDLER_GATE=" + gate},
		InitializationTimeout: 100 * time.Millisecond,
	})
	await(t, h, functionshost.Stopped)
	codes := exitCodes(h)
	if want := []int{-1, -1, -1}; !slices.Equal(codes, want) {
		t.Errorf("exits %v, want %v", codes, want)
	}
	if status := get(t, h.URL()+"/echo"); status != http.StatusServiceUnavailable {
		t.Errorf("status %d when stopped", status)
	}
}

func exitCodes(h *functionshost.Host) []int {
	var codes []int
	for _, e := range h.Exits() {
		codes = append(codes, e.Code)
	}
	return codes
}

func TestHandlersSurroundings(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{
		"host.json": strings.Replace(hostJSON, `"arguments": []`, `"arguments": ["--name=%NAME%", "%UNSET%", "plain"]`, 1),
	})
	h := start(t, functionshost.Options{Root: dir, Env: []string{storage, "NAME=value"}})
	_, text := call(t, http.MethodGet, h.URL()+"/do/about", nil, nil)
	got := decode[about](t, text)
	if want := []string{"--name=value", "", "plain"}; !slices.Equal(got.Args, want) {
		t.Errorf("arguments %q, want %q", got.Args, want)
	}
	if real, _ := filepath.EvalSymlinks(dir); got.Dir != real {
		t.Errorf("working directory %s, want %s", got.Dir, real)
	}
	env := make(map[string]string)
	for _, p := range got.Env {
		name, value, _ := strings.Cut(p, "=")
		env[name] = value
	}
	if env["NAME"] != "value" || env["AzureWebJobsStorage"] == "" {
		t.Errorf("app settings are missing: %q", got.Env)
	}
	if env["FUNCTIONS_APP_ROOT_PATH"] != dir {
		t.Errorf("root %q, want %q", env["FUNCTIONS_APP_ROOT_PATH"], dir)
	}
	if port := env["FUNCTIONS_CUSTOMHANDLER_PORT"]; port == "" || port != env["FUNCTIONS_HTTPWORKER_PORT"] {
		t.Errorf("ports %q", got.Env)
	}
	if id := env["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"]; len(id) != 36 || id != env["FUNCTIONS_HTTPWORKER_ID"] {
		t.Errorf("worker ids %q", got.Env)
	}
	if _, leaked := env["HOME"]; leaked {
		t.Errorf("the test's own environment came through: %q", got.Env)
	}
}

func TestNoEnvMeansTheTestsOwn(t *testing.T) {
	t.Setenv("INHERITED", "yes")
	h, err := functionshost.Start(t.Context(), functionshost.Options{Root: newApp(t, files{"tick/function.json": ""})})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	_, text := call(t, http.MethodGet, h.URL()+"/do/about", nil, nil)
	if got := decode[about](t, text); !slices.Contains(got.Env, "INHERITED=yes") {
		t.Errorf("environment %q", got.Env)
	}
}

func TestLocalSettings(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{"local.settings.json": `{"IsEncrypted": false,
		"Values": {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "ONLY_FILE": "file", "BOTH": "file", "EMPTY": "file"}}`})
	h := start(t, functionshost.Options{Root: dir, Mode: functionshost.CoreTools, Env: []string{"BOTH=environment", "EMPTY="}})
	_, text := call(t, http.MethodGet, h.URL()+"/do/about", nil, nil)
	got := decode[about](t, text)
	for _, want := range []string{"ONLY_FILE=file", "BOTH=environment", "EMPTY="} {
		if !slices.Contains(got.Env, want) {
			t.Errorf("no %s in %q", want, got.Env)
		}
	}
	// The file is not there in Azure, so in Cloud mode it must not help.
	_, err := functionshost.Start(t.Context(), functionshost.Options{Root: dir, Env: []string{}})
	if err == nil || !strings.Contains(err.Error(), "AzureWebJobsStorage") {
		t.Errorf("Cloud mode took local.settings.json: %v", err)
	}
}

func TestExecutableInPath(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	linkHandler(t, filepath.Join(bin, "elsewhere"))
	dir := newApp(t, files{"host.json": strings.Replace(hostJSON, `"handler"`, `"elsewhere"`, 1)})
	h := start(t, functionshost.Options{Root: dir, Env: []string{storage, "PATH=/nowhere:" + bin}})
	if status := get(t, h.URL()+"/echo"); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	_, err := functionshost.Start(t.Context(), functionshost.Options{Root: dir, Env: []string{storage, "PATH=/nowhere"}})
	if err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("started what is nowhere: %v", err)
	}
}

func TestLogLevels(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var logged []functionshost.Entry
	h := start(t, functionshost.Options{Log: func(e functionshost.Entry) {
		mu.Lock()
		defer mu.Unlock()
		logged = append(logged, e)
	}})
	get(t, h.URL()+"/do/say?out=first+error%0Asecond%0A&err=a+Warning+sign%0D%0Afatal%0A")
	for _, want := range []functionshost.Entry{
		{functionshost.Information, functionshost.Stdout, "first error"},
		{functionshost.Information, functionshost.Stdout, "second"},
		{functionshost.Warning, functionshost.Stderr, "a Warning sign"},
		{functionshost.Error, functionshost.Stderr, "fatal"},
	} {
		if got := awaitLine(t, h, want.Text); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	h.Close()
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(logged, h.Logs()) {
		t.Errorf("Log got %q, Logs returns %q", logged, h.Logs())
	}
}

func TestALastLineWithoutEndIsLogged(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	get(t, h.URL()+"/do/say?out=unfinished")
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitLine(t, h, "unfinished")
}

func TestExitCodeZeroIsFinal(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	if status := get(t, h.URL()+"/do/exit?status=0"); status != http.StatusInternalServerError {
		t.Errorf("status %d of the request during which the handler went away", status)
	}
	await(t, h, functionshost.Exited)
	if status := get(t, h.URL()+"/echo"); status != http.StatusInternalServerError {
		t.Errorf("status %d without a handler", status)
	}
	if err := h.FireTimer(timeLimit(t), "tick", functionshost.Timer{}); err == nil {
		t.Error("the timer succeeded without a handler")
	}
	if pid := h.HandlerPID(); pid != 0 {
		t.Errorf("handler %d runs", pid)
	}
	if err := h.Kill(); err == nil {
		t.Error("killed a handler that is not there")
	}
	if codes := exitCodes(h); !slices.Equal(codes, []int{0}) {
		t.Errorf("exits %v", codes)
	}
}

func TestExitCode200Restarts(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	pids := make(map[int]bool)
	const rounds = 4 // more than the errors that stop the host
	for range rounds {
		await(t, h, functionshost.Running)
		pids[h.HandlerPID()] = true
		get(t, h.URL()+"/do/exit?status=200")
		// The end of the process reaches the host a moment after the broken connection.
		awaitExits(t, h, len(pids))
	}
	if status := get(t, h.URL()+"/echo"); status != http.StatusOK {
		t.Errorf("status %d after restarts", status)
	}
	if len(pids) != rounds {
		t.Errorf("%d runs, want %d", len(pids), rounds)
	}
	for _, e := range h.Logs() {
		if strings.Contains(e.Text, "exited with code") {
			t.Errorf("a wanted restart was logged as an error: %q", e.Text)
		}
	}
}

// awaitExits waits until the host has seen n runs end.
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
	get(t, h.URL()+"/do/say?err=last+words%0A")
	awaitLine(t, h, "last words")
	get(t, h.URL()+"/do/exit?status=3")
	awaitExits(t, h, 1)
	if e := awaitLine(t, h, "exited with code 3"); e.Level != functionshost.Error || !strings.Contains(e.Text, "last words") {
		t.Errorf("logged %+v", e)
	}
	if status := get(t, h.URL()+"/echo"); status != http.StatusOK {
		t.Errorf("status %d after the first error", status)
	}
	if second := h.HandlerPID(); second == first || second == 0 {
		t.Errorf("handler %d after %d", second, first)
	}
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	if status := get(t, h.URL()+"/echo"); status != http.StatusOK {
		t.Errorf("status %d after the second error", status)
	}
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	if s := h.State(); s != functionshost.Stopped {
		t.Errorf("state %v after the third error", s)
	}
	if status := get(t, h.URL()+"/echo"); status != http.StatusServiceUnavailable {
		t.Errorf("status %d after the third error", status)
	}
	if codes := exitCodes(h); !slices.Equal(codes, []int{3, 137, 137}) {
		t.Errorf("exits %v", codes)
	}
	if err := h.Wait(timeLimit(t), functionshost.Running); err == nil {
		t.Error("waiting for what can't come")
	}
}

func TestErrorsFarApartDoNotStopTheHost(t *testing.T) {
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
				if err := h.Kill(); err != nil {
					t.Fatal(err)
				}
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

func TestKillFailsTheRequestUnderWay(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	answered := getLater(t, h.URL()+"/do/wait?for="+filepath.Join(t.TempDir(), "never"))
	awaitLine(t, h, "waiting")
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	if status := <-answered; status != http.StatusInternalServerError {
		t.Errorf("status %d", status)
	}
}

func TestCloseKillsWithoutASignalToTheHandler(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "mark")
	h := start(t, functionshost.Options{Env: []string{storage, "HANDLER_TERM_MARK=" + mark}})
	await(t, h, functionshost.Running)
	pid := h.HandlerPID()
	h.Close()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("handler %d is still there: %v", pid, err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the handler got SIGTERM")
	}
	if codes := exitCodes(h); len(codes) > 0 {
		t.Errorf("exits %v, want none", codes)
	}
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
		t.Errorf("handler %d is still there", pid)
	}
}
