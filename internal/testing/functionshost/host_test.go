package functionshost_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/testing/functionshost"
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

func TestInitializationTimeout(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "never")
	h := start(t, functionshost.Options{
		Env:                   []string{storage, "HANDLER_GATE=" + gate},
		InitializationTimeout: 100 * time.Millisecond,
	})
	await(t, h, functionshost.Stopped)
	wantExits(t, h, -1, -1, -1)
	wantRefused(t, h)
}

func TestEnvironmentOfTheHandler(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{
		"host.json": strings.Replace(hostJSON, `"arguments": []`, `"arguments": ["--name=%NAME%", "%UNSET%", "a b", "", "plain"]`, 1),
	})
	h := start(t, functionshost.Options{Root: dir, Env: []string{storage, "NAME=value"}})
	_, text := call(t, http.MethodGet, h.URL()+"/do/about", nil, nil)
	got := decode[about](t, text)
	if want := []string{"--name=value", "a", "b", "plain"}; !slices.Equal(got.Args, want) {
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
		t.Errorf("the handler has got the test's own environment: %q", got.Env)
	}
}

func TestWorkingDirectory(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{"host.json": strings.Replace(hostJSON, `"arguments": []`, `"workingDirectory": "do"`, 1)})
	h := start(t, functionshost.Options{Root: dir})
	_, text := call(t, http.MethodGet, h.URL()+"/do/about", nil, nil)
	want, err := filepath.EvalSymlinks(filepath.Join(dir, "do"))
	if got := decode[about](t, text); err != nil || got.Dir != want {
		t.Errorf("working directory %s, want %s, %v", got.Dir, want, err)
	}
}

func TestNoEnvMeansTheEnvironmentOfTheTest(t *testing.T) {
	t.Setenv("INHERITED", "yes")
	dir := newApp(t, files{"tick/function.json": ""})
	for _, c := range []struct {
		env  []string
		want bool
	}{{nil, true}, {[]string{}, false}} {
		h, err := functionshost.Start(t.Context(), functionshost.Options{Root: dir, Env: c.env})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		_, text := call(t, http.MethodGet, h.URL()+"/do/about", nil, nil)
		if got := decode[about](t, text); slices.Contains(got.Env, "INHERITED=yes") != c.want {
			t.Errorf("environment %q for %#v", got.Env, c.env)
		}
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
	// Azure does not have the file, so Cloud mode must not read it.
	_, err := functionshost.Start(t.Context(), functionshost.Options{Root: dir, Env: []string{}})
	if err == nil || !strings.Contains(err.Error(), "AzureWebJobsStorage") {
		t.Errorf("Cloud mode has read local.settings.json: %v", err)
	}
}

func TestExecutableInPath(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	linkHandler(t, filepath.Join(bin, "elsewhere"))
	dir := newApp(t, files{"host.json": strings.Replace(hostJSON, `"handler"`, `"elsewhere"`, 1)})
	h := start(t, functionshost.Options{Root: dir, Env: []string{storage, "PATH=/nowhere:" + bin}})
	wantStatus(t, h.URL()+"/echo", http.StatusOK)
}

// A file that is missing or not executable does not fail the start. The first request waits
// until functionTimeout, and then the host stops.
func TestHandlerThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	plain := newApp(t, files{"host.json": strings.Replace(hostJSON, `"handler"`, `"plain"`, 1), "plain": "no program"})
	missing := newApp(t, files{"host.json": strings.Replace(hostJSON, `"handler"`, `"elsewhere"`, 1)})
	for name, root := range map[string]string{"not executable": plain, "missing": missing} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startQuick(t, functionshost.Options{
				Root: root, Env: []string{storage, "PATH=/nowhere"}, FunctionTimeout: 100 * time.Millisecond, InitializationTimeout: time.Millisecond,
			})
			awaitLine(t, h, "Failed to start the handler")
			if s := h.State(); s != functionshost.Starting {
				t.Errorf("state %v before the first request", s)
			}
			if status := <-getLater(t, h.URL()+"/echo"); status != 0 && status != http.StatusInternalServerError {
				t.Errorf("status %d", status)
			}
			await(t, h, functionshost.Stopped)
			awaitLine(t, h, "without a handler")
			wantRefused(t, h)
			wantExits(t, h)
		})
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

func TestLastLineWithoutALineEndIsLogged(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	get(t, h.URL()+"/do/say?out=unfinished")
	kill(t, h)
	awaitLine(t, h, "unfinished")
}
