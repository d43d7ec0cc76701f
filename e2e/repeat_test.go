package e2e

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"twofa/internal/testing/functionshost"
	"twofa/internal/testing/twiliotest"
)

// onRequest is a fault for the nth request to storage from now on, from 1. reached is
// called by that request, before the fault. hit tells whether it came.
func onRequest(n int64, f fault, reached func()) (choose faults, hit *atomic.Bool) {
	var seen atomic.Int64
	hit = new(atomic.Bool)
	return func(*http.Request) fault {
		if seen.Add(1) != n {
			return fault{}
		}
		hit.Store(true)
		reached()
		return f
	}, hit
}

// hosted starts the binary as the Functions host starts it, and leaves the host's part
// to the test.
func (rig *rig) hosted(extra ...string) *process {
	rig.t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		rig.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		rig.t.Fatal(err)
	}
	return serve(rig.t, rig.env(append(extra, "FUNCTIONS_CUSTOMHANDLER_PORT="+port)...))
}

// deliver sends a request without a body, as the host does, and closes the connection
// when broken is closed, or when the answer begins.
func deliver(t *testing.T, p *process, method, path, invocation string, broken <-chan struct{}) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: h\r\nx-ms-invocation-id: %s\r\n\r\n", method, path, invocation)
	answered := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		answered <- err
	}()
	select {
	case <-broken:
	case err := <-answered:
		if err != nil {
			t.Errorf("there is neither the step nor an answer: %v", err)
		}
	}
}

// bodyless is a call without a body that changes something.
type bodyless struct {
	method string
	// prepare makes what the call changes, and returns the call's path.
	prepare func(rig *rig, c *client, number, user string) string
	// answers are what a repeat may be answered; the last one gets the first of them.
	answers []string
	check   func(t *testing.T, rig *rig, c *client, number, path string)
}

func startedID(rig *rig, c *client, number, _ string) string {
	id, _ := rig.start(c, number)
	return "/api/otpsend/" + id
}

func registered(rig *rig, c *client, number, user string) string {
	want(rig.t, c.do("PUT", userPath(user), "application/json", `{"phone": "`+number+`"}`), "201")
	return userPath(user)
}

var bodylessCalls = map[string]bodyless{
	"resend": {
		method: "POST", prepare: startedID, answers: []string{"200"},
		check: func(t *testing.T, rig *rig, c *client, number, path string) {
			if n := len(rig.sentCodes(number)); n != 2 {
				t.Errorf("%d messages were sent, want the first and one more", n)
			}
			wantFields(t, want(t, c.get(path), "200"), fields{"sends_left": 3})
		},
	},
	"cancel": {
		method: "DELETE", prepare: startedID, answers: []string{"200"},
		check: func(t *testing.T, _ *rig, c *client, _, path string) {
			wantFields(t, want(t, c.get(path), "200"), fields{"status": "canceled"})
		},
	},
	"erase a user": {
		method: "DELETE", prepare: registered, answers: []string{"404 not_found", "204"},
		check: func(t *testing.T, _ *rig, c *client, _, path string) { want(t, c.get(path), "404 not_found") },
	},
	"remove all apps": {
		method: "DELETE", answers: []string{"204", "404 not_found"},
		prepare: func(rig *rig, c *client, number, user string) string {
			registered(rig, c, number, user)
			enroll(rig.t, c, user)
			return userPath(user) + "/totp"
		},
		check: func(t *testing.T, _ *rig, c *client, _, path string) {
			if r := want(t, c.get(path), "200"); r.body != `{"authenticators":[]}`+"\n" {
				t.Errorf("the apps are %s", r.body)
			}
		},
	},
	"new recovery codes": {
		// If the first delivery still runs, one of the two has to give way.
		method: "POST", answers: []string{"201", "503 storage_unavailable"},
		prepare: func(rig *rig, c *client, number, user string) string {
			return registered(rig, c, number, user) + "/recovery-codes"
		},
		check: func(t *testing.T, _ *rig, c *client, _, path string) {
			if r := want(t, c.get(path), "200"); r.number("left") != 10 {
				t.Errorf("there are %d codes", r.number("left"))
			}
		},
	},
}

// The host delivers a call without a body again if its connection broke: here it breaks
// at each step of the call. However often the host repeats it, it has one effect.
func TestAttack34_ACallThatIsDeliveredAgainHasOneEffect(t *testing.T) {
	for name, call := range bodylessCalls {
		t.Run(name, func(t *testing.T) {
			rig := newParallelRig(t)
			proxy := rig.proxy()
			p := rig.hosted(proxy.setting, noPause)
			reached := true
			step := int64(0)
			for reached {
				step++
				number := newNumber()
				path := call.prepare(rig, p.client, number, fmt.Sprintf("eve %d", step))
				invocation := fmt.Sprintf("5f6b2b8e-3a61-4d2a-9d0a-%012x", step)
				broken := make(chan struct{})
				choose, hit := onRequest(step, fault{}, func() { close(broken) })
				proxy.set(choose)
				deliver(t, p, call.method, path, invocation, broken)
				again := p.with("x-ms-invocation-id", invocation)
				allowed, repeats := call.answers, 9
				if step == 2 {
					repeats = 39
				}
				for n := range repeats {
					if n == repeats-1 {
						allowed = allowed[:1] // nothing else is under way any more
					}
					if r := again.do(call.method, path, "", ""); !slices.Contains(allowed, r.String()) {
						t.Fatalf("step %d: a repeat is answered %v: %s", step, r, r.body)
					}
				}
				call.check(t, rig, p.client, number, path)
				reached = hit.Load()
			}
			if step < 3 {
				t.Errorf("the call has only %d steps", step-1)
			}
		})
	}
}

// The process dies at each step of a resend without a body, before or after storage has
// done that step, and the host delivers the call again to the next process: there is at
// most one message, and the send stays counted.
func TestAttack17_TheProcessDiesInAResend(t *testing.T) {
	for step := int64(1); step <= 4; step++ {
		for name, f := range map[string]fault{"before": {lose: true, drop: true}, "after": {drop: true}} {
			t.Run(fmt.Sprintf("%s step %d", name, step), func(t *testing.T) {
				rig := newParallelRig(t)
				proxy := rig.proxy()
				h, c := rig.host(nil, proxy.setting, noPause)
				number := newNumber()
				id, code := rig.start(c, number)
				var killed atomic.Bool
				choose, hit := onRequest(step, f, func() {
					killed.Store(h.Kill() == nil)
				})
				proxy.set(choose)
				want(t, c.do("POST", "/api/otpsend/"+id, "", ""), "200")
				if !hit.Load() || !killed.Load() {
					t.Fatalf("the resend has fewer steps (%t, %t)", hit.Load(), killed.Load())
				}
				if calls := h.Invocations(); calls[len(calls)-1].Deliveries < 2 {
					t.Error("the call was not delivered again")
				}
				if n := len(rig.sentCodes(number)); n > 2 {
					t.Errorf("%d messages were sent, want at most the first and one more", n)
				}
				wantFields(t, want(t, c.status(id), "200"), fields{"sends_left": 3, "status": "pending"})
				want(t, c.check(fields{"id": id, "code": code}), "200")
			})
		}
	}
}

// The process dies while the provider has the message.
func TestAttack17_TheProcessDiesWhileTheProviderIsCalled(t *testing.T) {
	rig := newParallelRig(t)
	h, c := rig.host(nil, noPause)
	number := newNumber()
	id, code := rig.start(c, number)
	rig.twilio.For(number, twiliotest.Hang())
	calls := rig.twilio.CallCount()
	answer := inBackground(func() reply { return c.do("POST", "/api/otpsend/"+id, "", "") })
	waitFor(t, "the call of the provider", func() bool { return rig.twilio.CallCount() == calls+1 })
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	want(t, <-answer, "200")
	rig.wantCalls(calls + 1)
	wantFields(t, want(t, c.status(id), "200"), fields{"sends_left": 3})
	want(t, c.check(fields{"id": id, "code": code}), "200")
}

// functionTimeout passes while storage hangs: the host kills the process. What was
// written stays counted, and the service goes on.
func TestAttack17_FunctionTimeoutPassesWhileStorageHangs(t *testing.T) {
	for name, written := range map[string]bool{"before the write": false, "after the write": true} {
		t.Run(name, func(t *testing.T) {
			rig := newParallelRig(t)
			proxy := rig.proxy()
			h, c := rig.host(func(o *functionshost.Options) { o.FunctionTimeout = 3 * time.Second }, proxy.setting, noPause)
			number := newNumber()
			id, code := rig.start(c, number)
			never := make(chan struct{})
			defer close(never)
			left := 5
			if written {
				left = 4
			}
			var hanging atomic.Bool
			proxy.set(func(r *http.Request) fault {
				switch {
				case isWrite(r) && !hanging.Swap(true):
					return fault{lose: !written, drop: true, stall: never}
				case hanging.Load():
					return fault{lose: true, drop: true, stall: never}
				}
				return fault{}
			})
			want(t, c.check(fields{"id": id, "code": wrong(code)}), "500")
			waitFor(t, "the handler's end", func() bool { return len(h.Exits()) == 1 })
			if got := h.Exits()[0].Code; got != 128+int(syscall.SIGKILL) {
				t.Errorf("the handler ended with %d", got)
			}
			proxy.set(nil)
			wantFields(t, want(t, c.status(id), "200"), fields{"checks_left": left})
			want(t, c.check(fields{"id": id, "code": code}), "200")
		})
	}
}
