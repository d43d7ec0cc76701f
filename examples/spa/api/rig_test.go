package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"twofa/internal/testing/browser"
	"twofa/internal/testing/tooltest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	browser.Close()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// built is what the tests of the whole app need: the service and the page, built once from the sources that are here.
var built struct {
	sync.Once
	dir string
	err error
}

// build returns the folder with the binary twofa and the folder page.
func build(t *testing.T) string {
	t.Helper()
	npm(t)
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "twofa-spa-"); built.err != nil {
			return
		}
		service := exec.Command("go", "build", "-o", filepath.Join(built.dir, "twofa"), "twofa")
		page := exec.Command("npm", "run", "--silent", "build", "--", "--logLevel", "warn", "--outDir", filepath.Join(built.dir, "page"))
		page.Dir = ".."
		for _, cmd := range []*exec.Cmd{service, page} {
			if out, err := cmd.CombinedOutput(); err != nil {
				built.err = errors.Join(built.err, fmt.Errorf("%s: %w\n%s", cmd, err, out))
			}
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

// npm fails the test if npm or the packages of the page are missing. It also tells go test on which files the test
// depends, so that a cached result is not used after a change of the page.
func npm(t *testing.T) {
	t.Helper()
	_ = tooltest.Path(t, "npm")
	if _, err := os.Stat("../node_modules/.package-lock.json"); err != nil {
		t.Fatal("examples/spa/node_modules is missing: run make tools")
	}
	for _, name := range []string{"../src", "../public", "../index.html", "../package.json", "../package-lock.json", "../tsconfig.json", "../vite.config.ts"} {
		err := filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			_, err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// output is what a program has written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// world is the app and the built service, both on loopback.
type world struct {
	t       *testing.T
	app     string // the app's origin
	service string // the service's origin
	console *output
	log     *output // of the API
	env     []string
	process *exec.Cmd
	// How far the clocks of the API go ahead: for tokens, and for sessions.
	tokensAhead, sessionsAhead atomic.Int64
}

// newWorld adds an account for each address, as an operator does, and then starts the service and the API.
func newWorld(t *testing.T, accounts ...string) *world {
	t.Helper()
	dir, data := build(t), t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	w := &world{t: t, service: "http://" + address, console: new(output), log: new(output)}
	var handler http.Handler
	app := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(app.Close)
	// At localhost, the service at 127.0.0.1 is another site for the browser, as it is for most apps.
	w.app = strings.Replace(app.URL, "127.0.0.1", "localhost", 1)
	w.env = []string{
		"TWOFA_ADDR=" + address, "TWOFA_PUBLIC_URL=" + w.service, "TWOFA_DATA_DIR=" + data, "TWOFA_COUNTRIES=*", "TWOFA_CHANNELS=whatsapp,email",
		"TWOFA_SIGNUP=open",
		"TWOFA_CLIENTS=[" + w.client() + "]",
	}
	for _, a := range accounts { // before it serves: the embedded store has one process at a time
		add := exec.Command(filepath.Join(dir, "twofa"), "accounts", "add", a)
		add.Env = w.env
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("accounts add %s: %v\n%s", a, err, out)
		}
	}
	w.start()
	issuer := w.service + "/oidc"
	var tok *tokens
	for range 400 { // until the service answers
		if tok, err = newTokens(t.Context(), issuer, "notes"); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("%v; the service says %s", err, w.console)
	}
	api, err := newServer(w.app, tok, os.DirFS(filepath.Join(dir, "page")), slog.New(slog.NewTextHandler(w.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	tok.now = func() time.Time { return time.Now().Add(time.Duration(w.tokensAhead.Load())) }
	api.now = func() time.Time { return time.Now().Add(time.Duration(w.sessionsAhead.Load())) }
	handler = api.handler()
	return w
}

// client is the entry in TWOFA_CLIENTS that README.md shows, with the app's own origin.
func (w *world) client() string {
	return strings.ReplaceAll(tooltest.CodeBlock(w.t, "examples/spa/README.md", "json", `"notes"`), "http://127.0.0.1:7090", w.app)
}

// start starts the service. It ends with the test, or with stop.
func (w *world) start() {
	w.t.Helper()
	w.process = exec.Command(filepath.Join(built.dir, "twofa"))
	w.process.Env, w.process.Stdout, w.process.Stderr = w.env, w.console, w.console
	// The kernel kills the process if the test process ends for whatever reason.
	w.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := w.process.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.stop)
}

// stop kills the service.
func (w *world) stop() {
	if w.process.ProcessState == nil {
		_ = w.process.Process.Kill() // fails only if it has ended
		_ = w.process.Wait()
	}
}

// message returns the first group of a pattern in the last message to an address, once there is one that was not in before.
func (w *world) message(address, pattern, before string) string {
	w.t.Helper()
	re := regexp.MustCompile(pattern)
	for range 400 {
		_, text, found := cutLast(strings.TrimPrefix(w.console.String(), before), "│ To "+address+" ")
		if m := re.FindStringSubmatch(text); found && m != nil {
			return m[1]
		}
		time.Sleep(25 * time.Millisecond)
	}
	w.t.Fatalf("no message to %s: %s", address, w.console)
	return ""
}

func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}
