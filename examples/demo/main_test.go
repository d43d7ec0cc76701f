package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// terminal keeps what was printed.
type terminal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *terminal) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *terminal) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// last returns the first group of the last match of the pattern, once there are n matches.
func (o *terminal) last(t *testing.T, pattern string, n int) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for range 200 {
		if m := re.FindAllStringSubmatch(o.String(), -1); len(m) >= n {
			return m[len(m)-1][1]
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%q was not printed %d times:\n%s", pattern, n, o)
	return ""
}

// wait returns the first group of the pattern, once it was printed.
func (o *terminal) wait(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for range 2400 {
		if m := re.FindStringSubmatch(o.String()); m != nil {
			return m[1]
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%q was not printed:\n%s", pattern, o)
	return ""
}

// A person opens an account, logs in with the code that the terminal shows, and ends the demo:
// then nothing is left of it.
func TestDemo(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("TWOFA_MESSENGER", "twilio") // must not reach the service
	ctx, end := context.WithCancel(t.Context())
	out, result := new(terminal), make(chan error, 1)
	go func() { result <- demo{root: "../..", out: out}.run(ctx) }()
	bank := out.wait(t, `The bank is at  (http://127\.0\.0\.1:\d+)`)

	jar, _ := cookiejar.New(nil)
	browser := http.Client{Jar: jar}
	post := func(path string, form url.Values) string {
		t.Helper()
		res, err := browser.PostForm(bank+path, form)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	post("/signup", url.Values{"name": {"alice"}, "password": {"correct horse battery"}, "contact": {"+14155550123"}})
	post("/login", url.Values{"name": {"alice"}, "password": {"correct horse battery"}, "way": {"own"}})
	code := out.wait(t, `(\d{6}) is your Acme Bank`)
	if body := post("/2fa", url.Values{"code": {code}}); !strings.Contains(body, "Hello, ") {
		t.Errorf("not logged in:\n%s", body)
	}
	post("/attack", url.Values{"name": {"alice"}, "step": {"passwords"}})
	out.wait(t, `(Acme Bank security alert: somebody tried to sign in)`)
	post("/logout", nil)
	post("/signup", url.Values{"name": {"bob"}, "password": {"correct horse battery"}, "contact": {"bob@example.com"}})
	post("/login", url.Values{"name": {"bob"}, "password": {"correct horse battery"}, "way": {"page"}})
	out.wait(t, `(http://127\.0\.0\.1:\d+/verify/link\?t=\S+)`)
	if strings.Contains(out.String(), `{"time"`) {
		t.Error("the terminal shows the log")
	}

	end()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if _, err := net.DialTimeout("tcp", strings.TrimPrefix(bank, "http://"), time.Second); err == nil {
		t.Error("the bank outlives the demo")
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// When one program ends, the other one ends too, and the demo says why.
func TestPrograms_OneEndsAll(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	out, log := new(terminal), new(terminal)
	p := programs{ended: make(chan error, 2), out: out, log: log}
	ctx, end := context.WithCancel(t.Context())
	p.start(ctx, script("lives", "echo '{\"line\": 1}'; exec sleep 600"), nil)
	log.wait(t, `(line)`)
	p.start(ctx, script("dies", "echo address in use >&2; exit 3"), nil)
	if err := p.answer(ctx, "http://127.0.0.1:0/"); err == nil || err.Error() != "dies: exit status 3" {
		t.Errorf("%v", err)
	}
	end()
	p.all.Wait() // hangs if a program lives on
	out.wait(t, `(address in use)`)
	if err := <-p.ended; !strings.HasPrefix(err.Error(), "lives: ") {
		t.Error(err)
	}
}

func TestFreePort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	if got, err := freePort(taken); err != nil || got == l.Addr().String() {
		t.Errorf("%s, %v", got, err)
	}
}

func TestCleanEnvironment(t *testing.T) {
	got := cleanEnvironment([]string{"PATH=x", "TWOFA_SECRET=x", "TWILIO_AUTH_TOKEN=x", "AzureWebJobsStorage__accountName=x", "FUNCTIONS_CUSTOMHANDLER_PORT=1", "BANK_HOST_KEY=x", "OAUTH2_PROXY_UPSTREAMS=x", "HOME=x"})
	if !slices.Equal(got, []string{"PATH=x", "HOME=x"}) {
		t.Error(got)
	}
}
