package functionshost_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"twofa/internal/testing/functionshost"
)

// The test binary is also the handler: the host starts the test binary with the variable of
// the port.
func TestMain(m *testing.M) {
	if port := os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"); port != "" {
		os.Exit(handlerMain(port))
	}
	os.Exit(m.Run())
}

// seen describes a request as the handler got it.
type seen struct {
	Method, URI, Host, Body string
	Header                  http.Header
	Length                  int64
	Chunked                 bool
}

// about describes the handler's process.
type about struct {
	Env  []string
	Args []string
	Dir  string
}

// handlerMain is the handler. Variables control what it does before it listens. The path of a
// request controls its answer.
func handlerMain(port string) int {
	if name := os.Getenv("HANDLER_IDLE"); name != "" {
		for exists(name) {
			time.Sleep(5 * time.Millisecond)
		}
		return 0
	}
	if mark := os.Getenv("HANDLER_TERM_MARK"); mark != "" {
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		go func() {
			<-terminated
			_ = os.WriteFile(mark, nil, 0o600)
			os.Exit(1)
		}()
	}
	if code := os.Getenv("HANDLER_EXIT"); code != "" {
		n, _ := strconv.Atoi(code)
		return n
	}
	awaitFile(context.Background(), os.Getenv("HANDLER_GATE"))
	l, err := net.Listen("tcp4", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if how := os.Getenv("HANDLER_RAW"); how != "" {
		return serveRaw(l, how)
	}
	err = http.Serve(l, http.HandlerFunc(handle))
	fmt.Fprintln(os.Stderr, err)
	return 1
}

var ticks struct {
	sync.Mutex
	last seen
}

func handle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Arrived", r.RequestURI)
	if r.URL.Path == "/do/early" {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if r.URL.Path == "/do/first" {
		first := make([]byte, len("first"))
		_, _ = io.ReadFull(r.Body, first)
		_ = os.WriteFile(r.URL.Query().Get("for"), nil, 0o600)
		rest, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s%s", first, rest)
		return
	}
	body, _ := io.ReadAll(r.Body)
	if os.Getenv("HANDLER_PLAIN") != "" {
		return
	}
	request := seen{r.Method, r.RequestURI, r.Host, string(body), r.Header, r.ContentLength, len(r.TransferEncoding) > 0}
	q := r.URL.Query()
	switch r.URL.Path {
	case "/":
		w.WriteHeader(http.StatusTeapot) // any answer means ready
	case "/do/exit":
		code, _ := strconv.Atoi(q.Get("status"))
		os.Exit(code)
	case "/do/say":
		fmt.Fprint(os.Stdout, q.Get("out"))
		fmt.Fprint(os.Stderr, q.Get("err"))
	case "/do/wait":
		fmt.Println("waiting")
		if awaitFile(r.Context(), q.Get("for")) {
			fmt.Println("finished")
		} else {
			fmt.Println("canceled")
		}
	case "/do/child":
		// The child inherits the output of this process and lives longer.
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "HANDLER_IDLE="+q.Get("while"))
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	case "/do/redirect":
		http.Redirect(w, r, "/do/elsewhere", http.StatusSeeOther)
	case "/do/count":
		fmt.Fprint(w, len(body))
	case "/do/headers":
		w.WriteHeader(http.StatusEarlyHints)
		for name, value := range map[string]string{
			"Www-Authenticate": "Basic", "Alt-Svc": "h3", "Keep-Alive": "x", "Upgrade": "x",
		} {
			w.Header().Set(name, value)
		}
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header()["Content-Type"] = nil
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, "text")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Late", "x")
	case "/do/stream":
		fmt.Fprint(w, "first")
		_ = http.NewResponseController(w).Flush()
		awaitFile(r.Context(), q.Get("for"))
		fmt.Fprint(w, " second")
	case "/do/break":
		fmt.Fprint(w, "first")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "/do/about":
		dir, _ := os.Getwd()
		_ = json.NewEncoder(w).Encode(about{os.Environ(), os.Args[1:], dir})
	case "/do/ticks":
		ticks.Lock()
		defer ticks.Unlock()
		_ = json.NewEncoder(w).Encode(ticks.last)
	case "/tick":
		awaitFile(r.Context(), os.Getenv("TICK_GATE"))
		ticks.Lock()
		ticks.last = request
		ticks.Unlock()
		if t := os.Getenv("TICK_TYPE"); t != "" {
			w.Header().Set("Content-Type", t)
		}
		status, _ := strconv.Atoi(os.Getenv("TICK_STATUS"))
		if status == 1 {
			panic(http.ErrAbortHandler) // close the connection
		}
		w.WriteHeader(status)
		fmt.Fprint(w, os.Getenv("TICK_BODY"))
	default:
		_ = json.NewEncoder(w).Encode(request)
	}
}

// awaitFile waits until a file exists or ctx ends, and reports whether the file exists. With
// an empty name it does not wait.
func awaitFile(ctx context.Context, name string) bool {
	for name != "" {
		if exists(name) {
			break
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
	return true
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

const hostJSON = `{"version": "2.0", "extensions": {"http": {"routePrefix": ""}},
	"customHandler": {"description": {"defaultExecutablePath": "handler", "arguments": []}, "enableProxyingHttpRequest": true}}`

// httpFunction is the text of a function.json.
func httpFunction(route, level string, methods ...string) string {
	list, _ := json.Marshal(methods)
	if methods == nil {
		list = []byte(`null`)
	}
	return fmt.Sprintf(`{"bindings": [{"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": %q, "methods": %s, "route": %q},
		{"type": "http", "direction": "out", "name": "res"}]}`, level, list, route)
}

const timerFunction = `{"bindings": [{"type": "timerTrigger", "direction": "in", "name": "clock", "schedule": "0 7 * * * *"}]}`

type files map[string]string

// newApp makes an app whose handler is this test binary. extra adds or replaces files; an empty
// text removes a file.
func newApp(t *testing.T, extra files) string {
	t.Helper()
	dir := t.TempDir()
	all := files{
		"host.json":          hostJSON,
		"do/function.json":   httpFunction("do/{*path}", "anonymous"),
		"echo/function.json": httpFunction("echo/{*path}", "anonymous"),
		"tick/function.json": timerFunction,
	}
	for name, text := range extra {
		all[name] = text
	}
	for name, text := range all {
		if text == "" {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	linkHandler(t, filepath.Join(dir, "handler"))
	return dir
}

func linkHandler(t *testing.T, name string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, name); err != nil {
		t.Fatal(err)
	}
}

// storage is the setting that a timer needs.
const storage = "AzureWebJobsStorage=UseDevelopmentStorage=true"

// start starts the app, with storage unless an environment is given.
func start(t *testing.T, o functionshost.Options) *functionshost.Host {
	t.Helper()
	return startBy(t, functionshost.Start, o)
}

// startQuick is start with short pauses.
func startQuick(t *testing.T, o functionshost.Options) *functionshost.Host {
	t.Helper()
	return startBy(t, functionshost.StartQuick, o)
}

func startBy(t *testing.T, by func(context.Context, functionshost.Options) (*functionshost.Host, error), o functionshost.Options) *functionshost.Host {
	t.Helper()
	if o.Root == "" {
		o.Root = newApp(t, nil)
	}
	if o.Env == nil {
		o.Env = []string{storage}
	}
	h, err := by(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Close()
		if t.Failed() {
			t.Logf("host log: %q", h.Logs())
		}
	})
	return h
}

// client follows no redirects and adds no Accept-Encoding.
var client = &http.Transport{DisableCompression: true}

// call sends a request and returns the answer and its body. It does not change the URL.
func call(t *testing.T, method, url string, body io.Reader, header http.Header) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(timeLimit(t), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	response, err := client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, text
}

// get sends a GET request and returns the status.
func get(t *testing.T, url string) int {
	t.Helper()
	response, _ := call(t, http.MethodGet, url, nil, nil)
	return response.StatusCode
}

// wantStatus fails the test unless a GET request has that status.
func wantStatus(t *testing.T, url string, want int) {
	t.Helper()
	if status := get(t, url); status != want {
		t.Errorf("%s: status %d, want %d", url, status, want)
	}
}

// wantRefused fails the test unless the host refuses connections. A process that another test is
// starting may hold a copy of the host's socket for a moment.
func wantRefused(t *testing.T, h *functionshost.Host) {
	t.Helper()
	for ctx := timeLimit(t); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp4", strings.TrimPrefix(h.URL(), "http://"))
		if err != nil {
			return
		}
		_ = c.Close()
		if ctx.Err() != nil {
			t.Fatal("the stopped host accepts connections")
		}
	}
}

// wantExits fails the test unless the ended runs have these exit codes.
func wantExits(t *testing.T, h *functionshost.Host, want ...int) {
	t.Helper()
	var codes []int
	for _, e := range h.Exits() {
		codes = append(codes, e.Code)
	}
	if !slices.Equal(codes, want) {
		t.Errorf("the exit codes are %v, want %v", codes, want)
	}
}

func kill(t *testing.T, h *functionshost.Host) {
	t.Helper()
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
}

// getLater sends a GET request in the background. The status of a failed request is 0, because only
// the test's own goroutine may end the test.
func getLater(t *testing.T, url string) <-chan int {
	t.Helper()
	r, err := http.NewRequestWithContext(timeLimit(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	status := make(chan int, 1)
	go func() {
		response, err := client.RoundTrip(r)
		if err != nil {
			status <- 0
			return
		}
		_ = response.Body.Close()
		status <- response.StatusCode
	}()
	return status
}

// callEcho returns the request as the handler got it.
func callEcho(t *testing.T, method, url string, body io.Reader, header http.Header) seen {
	t.Helper()
	response, text := call(t, method, url, body, header)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: status %d", method, url, response.StatusCode)
	}
	return decode[seen](t, text)
}

func decode[T any](t *testing.T, text []byte) T {
	t.Helper()
	var v T
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return v
}

// timeLimit returns a context that ends after a minute.
func timeLimit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func await(t *testing.T, h *functionshost.Host, want functionshost.State) {
	t.Helper()
	if err := h.Wait(timeLimit(t), want); err != nil {
		t.Fatal(err)
	}
}

// awaitLine waits for a log entry that contains part.
func awaitLine(t *testing.T, h *functionshost.Host, part string) functionshost.Entry {
	t.Helper()
	e, err := h.AwaitLog(timeLimit(t), func(e functionshost.Entry) bool { return strings.Contains(e.Text, part) })
	if err != nil {
		t.Fatalf("%v: %q in %q", err, part, h.Logs())
	}
	return e
}

func touch(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
