package receipt_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/otp"
	"twofa/internal/receipt"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/testing/tooltest"
	"twofa/otpsend"
)

// The tests of this file run the examples of docs/receipts.md against a service that
// listens on loopback.

const audience = "bank-web"

// service is a running service of which bank-web is a client.
type service struct {
	*rig.Rig
	url     string
	fetched atomic.Int64 // how often the key set was read
	strange atomic.Int64 // how often something else was asked for
}

func newService(t *testing.T) *service {
	t.Helper()
	s := new(service)
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/verify/jwks" && r.URL.RawQuery == "" && r.Method == "GET" {
			s.fetched.Add(1)
		} else {
			s.strange.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	s.Rig = rig.With(t, func(settings *config.Settings, _ *app.Parts) { settings.PublicURL = s.url }, channel.SMS)
	s.Policy(func(p *otp.Policy) { p.ResendAfter, p.MaxSends = 0, otp.MaxCounted })
	handler = s.API.Handler()
	return s
}

// approve returns the receipt of a code that was sent.
func (s *service) approve(purpose string) string {
	s.TB.Helper()
	ctx := client.With(s.Ctx(), client.Client{ID: audience, Directory: client.MainDirectory, Scopes: []client.Scope{"send", "check"}})
	started, _, err := s.Send.Start(ctx, otpsend.Request{To: fixture.Alice, Purpose: purpose}, "")
	if err != nil {
		s.TB.Fatal(err)
	}
	check := rig.ByID(started.ID, s.Code(started.ID))
	check.Receipt = true
	a, err := s.Verify.Check(ctx, check)
	if err != nil || a.Receipt == "" {
		s.TB.Fatalf("no receipt: %+v %v", a, err)
	}
	return a.Receipt
}

// restart gives the service another TWOFA_SECRET.
func (s *service) restart(setting string) {
	s.TB.Helper()
	s.Rotate(setting)
	signer := receipt.New(s.Keys, s.url, s.Now)
	s.Verify.Receipts, s.API.Pages.Receipts = signer, signer
}

// checker is a program with an example of docs/receipts.md. It reads questions from its
// standard input, and writes a line for each.
type checker struct {
	name string
	s    *service
	in   io.Writer
	out  *bufio.Scanner
}

type question struct {
	Receipt string  `json:"receipt"`
	Purpose string  `json:"purpose"`
	Now     float64 `json:"now"` // in Unix seconds
}

// check returns the subject of a receipt that the program accepts, or its error.
func (c checker) check(t *testing.T, text, purpose string, now time.Time) (subject, refusal string) {
	t.Helper()
	q, err := json.Marshal(question{text, purpose, float64(now.UnixMilli()) / 1000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c.in, "%s\n", q); err != nil || !c.out.Scan() {
		t.Fatalf("%s: the example does not answer: %v", c.name, err)
	}
	if subject, ok := strings.CutPrefix(c.out.Text(), "accepted "); ok {
		return subject, ""
	}
	return "", c.out.Text()
}

func (c checker) accepts(t *testing.T, what, text, purpose string, now time.Time) string {
	t.Helper()
	subject, refusal := c.check(t, text, purpose, now)
	if refusal != "" {
		t.Errorf("%s, %s: %s", c.name, what, refusal)
	}
	return subject
}

func (c checker) refuses(t *testing.T, what, text, purpose string, now time.Time) {
	t.Helper()
	subject, refusal := c.check(t, text, purpose, now)
	if refusal == "" {
		t.Errorf("%s, %s: accepted as %s", c.name, what, subject)
	}
	if strings.Contains(refusal, "DEFECT") {
		t.Errorf("%s, %s: the example itself fails: %s", c.name, what, refusal)
	}
}

// What the tests add to the examples: a clock, and the loop over questions.
const (
	goLoop = `package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

func main() {
	now := time.Time{}
	c := &Checker{Issuer: os.Getenv("TWOFA_PUBLIC_URL"), Audience: os.Getenv("TWOFA_CLIENT"), Now: func() time.Time { return now }}
	in := json.NewDecoder(os.Stdin)
	for {
		var q struct {
			Receipt, Purpose string
			Now              float64
		}
		if in.Decode(&q) != nil {
			return
		}
		now = time.UnixMilli(int64(q.Now * 1000))
		if claims, err := c.Check(q.Receipt, q.Purpose); err != nil {
			fmt.Println("refused:", err)
		} else {
			fmt.Println("accepted", claims["sub"])
		}
	}
}
`
	nodeLoop = `
import { createInterface } from 'node:readline';
let now = 0;
const Real = Date;
globalThis.Date = class extends Real {
  constructor(...args) { args.length ? super(...args) : super(now); }
  static now() { return now; }
};
for await (const line of createInterface({ input: process.stdin })) {
  const q = JSON.parse(line);
  now = q.now * 1000;
  try {
    const claims = await checkReceipt(q.receipt, q.purpose);
    console.log('accepted ' + claims.sub);
  } catch (err) {
    const defect = [ReferenceError, SyntaxError].some((e) => err instanceof e) ? 'DEFECT ' : '';
    console.log('refused: ' + defect + String(err.message).replaceAll('\n', ' '));
  }
}
`
	pythonLoop = `
import datetime
import sys
import jwt.api_jwt

NOW = 0


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(NOW, tz)


jwt.api_jwt.datetime = Clock
time.time = lambda: NOW
for line in sys.stdin:
    q = json.loads(line)
    NOW = q["now"]
    try:
        print("accepted", check_receipt(q["receipt"], q["purpose"])["sub"], flush=True)
    except jwt.PyJWTError as e:
        print("refused:", str(e).replace("\n", " "), flush=True)
    except Exception as e:
        print("refused: DEFECT", repr(e), flush=True)
`
)

// checkers starts the three examples, each for a service of its own.
func checkers(t *testing.T) []checker {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	modules, err := filepath.Abs("../../tools/node_modules")
	if err == nil {
		err = os.Symlink(modules, filepath.Join(dir, "node_modules"))
	}
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "checker")
	build := exec.Command("go", "build", "-o", program, write("main.go", goLoop),
		write("receipts.go", strings.Replace(tooltest.CodeBlock(t, "docs/receipts.md", "go", ""), "package receipts", "package main", 1)))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the example in Go: %v\n%s", err, out)
	}
	return []checker{
		start(t, "Go", program),
		start(t, "Node", tooltest.Path(t, "node"), write("check.mjs", tooltest.CodeBlock(t, "docs/receipts.md", "js", "")+nodeLoop)),
		start(t, "Python", "/usr/bin/python3", write("check.py", tooltest.CodeBlock(t, "docs/receipts.md", "python", "")+pythonLoop)),
	}
}

func start(t *testing.T, name string, args ...string) checker {
	t.Helper()
	s := newService(t)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "TWOFA_PUBLIC_URL="+s.url, "TWOFA_CLIENT="+audience, "no_proxy=127.0.0.1", "NO_PROXY=127.0.0.1")
	cmd.Stderr = os.Stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if errIn != nil || errOut != nil || cmd.Start() != nil {
		t.Fatalf("%s cannot be started: run make tools", name)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return checker{name, s, in, bufio.NewScanner(out)}
}
