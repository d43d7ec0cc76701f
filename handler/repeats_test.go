package handler_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/handler"
	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	testrig "twofa/internal/testing/rig"
)

// The Functions host delivers a call without a body again if its connection broke, up to
// 40 times in all, with the same id.
const sameCall = "5f6b2b8e-3a61-4d2a-9d0a-0f8d1c2b3a4d"

// repeats is a service whose deliveries can die at any step: before each call of storage,
// and before and after each message.
type repeats struct {
	*rig
	senders map[channel.Channel]*testrig.Sender

	mu    sync.Mutex
	steps int
	sends int // the step before the last message
	at    int // the step at which the delivery dies; 0: at none
	id    string
	app   string // the id of a confirmed app of alice
}

func newRepeats(t *testing.T) *repeats {
	t.Helper()
	r := &repeats{rig: newRig(t).noPause(), senders: make(map[channel.Channel]*testrig.Sender)}
	r.API.Users.NotifyChanges = true
	r.put("/api/users/alice", object("phone", alice)).want(201)
	r.post("/api/otpsend", object("user", "alice", "purpose", "proof")).want(201)
	r.post("/api/otpverify", object("user", "alice", "purpose", "proof", "code", r.sender.Last().Code)).want(200)
	r.app = r.enrolled("{}").text("id")
	r.id, _ = r.start(alice)
	r.API.Send.Wait = func(_ context.Context, d time.Duration) { r.Advance(d) }
	for c, s := range r.Delivery.Senders {
		r.senders[c] = s.(*testrig.Sender)
		r.Delivery.Senders[c] = steppedSender{r.senders[c], r.step, r.beforeMessage}
	}
	r.Table.Before(func(testrig.Call) error { r.step(); return nil })
	return r
}

// step is one step of a delivery, which may be the one at which it dies.
func (r *repeats) step() {
	r.mu.Lock()
	r.steps++
	dies := r.steps == r.at
	r.mu.Unlock()
	if dies {
		runtime.Goexit() // nothing can recover from it, as from the end of the process
	}
}

func (r *repeats) beforeMessage() {
	r.mu.Lock()
	r.sends = r.steps + 1
	r.mu.Unlock()
	r.step()
}

type steppedSender struct {
	*testrig.Sender
	after, before func()
}

func (s steppedSender) Send(ctx context.Context, m notify.Message) error {
	s.before()
	err := s.Sender.Send(ctx, m)
	s.after()
	return err
}

// deliver delivers a call. It returns nil if the delivery died, as at step at.
func (r *repeats) deliver(at int, method, path, call string, header ...string) (res *response) {
	r.mu.Lock()
	r.steps, r.at = 0, at
	r.mu.Unlock()
	var done sync.WaitGroup
	done.Go(func() {
		req := httptest.NewRequest(method, path, nil)
		req.Header.Set("X-Ms-Invocation-Id", call)
		for pair := range slices.Chunk(header, 2) {
			req.Header.Set(pair[0], pair[1])
		}
		w := httptest.NewRecorder()
		r.handler.ServeHTTP(w, req)
		res = &response{t: r.TB, status: w.Code, header: w.Header(), body: w.Body.String()}
	})
	done.Wait()
	return res
}

// effect is all that is stored of what a call did, and the messages: what a person, a
// client or a limit can notice. It has no random values.
func (r *repeats) effect() string {
	r.TB.Helper()
	row := r.Recipient(alice)
	var b strings.Builder
	for _, v := range row.Verifications {
		fmt.Fprintf(&b, "%s %s, %d messages; ", v.Purpose, v.Status, len(v.Attempts))
	}
	fmt.Fprintf(&b, "%d sends, %d wrong codes, %d notices; ", len(row.Tally(otp.Caller{}).Sends), len(row.Tally(otp.Caller{}).Failures), len(row.Notices))
	keys := map[string]int{}
	for _, s := range r.senders {
		for _, m := range s.Sent() {
			keys[string(m.Notice)]++
		}
	}
	fmt.Fprintf(&b, "messages %v; ", keys)
	r.Table.Before(nil)
	defer r.Table.Before(func(testrig.Call) error { r.step(); return nil })
	if r.get("/api/users/alice").status == 404 {
		return b.String() + "no user"
	}
	u := r.Registered("alice")
	apps := map[bool]int{}
	for _, a := range u.TOTP.Authenticators {
		apps[a.Pending()]++
	}
	fmt.Fprintf(&b, "alice: apps %v, %d recovery codes, %d sets, %d changes", apps, u.Recovery.Left(), len(u.Recovery.Sets), len(u.Changes))
	return b.String()
}

// unrepeated are calls that change something without a body. again is the status of a
// further delivery after one that was answered.
var unrepeated = []struct {
	name, method, path string
	status, again      int
	kind               notify.Notice // of the notice
}{
	{"resend", "POST", "/api/otpsend/{id}", 200, 200, ""},
	{"cancel", "DELETE", "/api/otpsend/{id}", 200, 200, ""},
	{"erase", "DELETE", "/api/users/alice", 204, 404, notify.NoticeAddress},
	{"enroll", "POST", "/api/users/alice/totp", 201, 201, ""},
	{"remove all apps", "DELETE", "/api/users/alice/totp", 204, 204, notify.NoticeAppRemoved},
	{"remove an app", "DELETE", "/api/users/alice/totp/{app}", 204, 404, notify.NoticeAppRemoved},
	{"make codes", "POST", "/api/users/alice/recovery-codes", 201, 201, notify.NoticeRecoveryCodes},
}

func (r *repeats) fill(path string) string {
	return strings.NewReplacer("{id}", r.id, "{app}", r.app).Replace(path)
}

// further is how often a call is delivered again. A set of recovery codes takes
// 0.4 s.
func further(name string, n int) int {
	if name == "make codes" {
		return min(n, 2)
	}
	return n
}

// The answer to each delivery is lost.
func TestAttack34_ACallThatIsDeliveredManyTimesHasOneEffect(t *testing.T) {
	for _, c := range unrepeated {
		for _, n := range []int{9, 39} {
			if n == 39 && c.name == "make codes" {
				continue
			}
			t.Run(fmt.Sprintf("%s, %d times again", c.name, n), func(t *testing.T) {
				t.Parallel()
				r := newRepeats(t)
				path := r.fill(c.path)
				wantEqual(t, "the first status", r.deliver(0, c.method, path, sameCall).status, c.status)
				once := r.effect()
				for range further(c.name, n) {
					wantEqual(t, "a further status", r.deliver(0, c.method, path, sameCall).status, c.again)
				}
				wantEqual(t, "the effect", r.effect(), once)
			})
		}
	}
}

// The process dies at each step of the first delivery. A message whose delivery died
// before the provider got it is never sent blindly again, so it is missing.
func TestAttack34_TheProcessDiesAtAnyStepAndTheCallIsDeliveredAgain(t *testing.T) {
	for _, c := range unrepeated {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRepeats(t)
			r.deliver(0, c.method, r.fill(c.path), sameCall)
			once, steps := r.effect(), r.steps
			beforeMessage := r.sends
			if steps == 0 {
				t.Fatal("no steps")
			}
			for at := 1; at <= steps; at++ {
				for _, n := range []int{9, 39} {
					if n == 39 && c.name == "make codes" {
						continue
					}
					r := newRepeats(t)
					path := r.fill(c.path)
					if res := r.deliver(at, c.method, path, sameCall); res != nil {
						t.Fatalf("step %d: answered %d", at, res.status)
					}
					for range further(c.name, n) {
						if res := r.deliver(0, c.method, path, sameCall); res.status != c.status && res.status != c.again {
							t.Errorf("step %d: a further delivery is answered %d %s", at, res.status, res.body)
						}
					}
					untold := strings.Replace(once, fmt.Sprintf(" %s:1", c.kind), "", 1)
					if c.name == "resend" {
						untold = strings.Replace(once, "messages map[:3", "messages map[:2", 1)
					}
					want := once
					if at == beforeMessage {
						want = untold
					}
					if got := r.effect(); got != want {
						t.Errorf("step %d of %d, %d times again:\ngot  %s\nwant %s", at, steps, n, got, want)
					}
				}
			}
		})
	}
}

// The connection breaks, but the process lives: the first delivery stops at each step,
// the second one comes, and the first one goes on while the second one waits.
func TestAttack34_ADeliveryWaitsForTheFirstOfTheSameCall(t *testing.T) {
	for _, header := range [][]string{nil, {"Idempotency-Key", "key"}} {
		for message := range 2 { // before and after the provider has it
			r := newRepeats(t)
			path := r.fill("/api/otpsend/{id}")
			reached, goOn, ended := make(chan bool), make(chan bool), make(chan *response, 1)
			r.Table.Before(nil)
			stop := sync.OnceFunc(func() { reached <- true; <-goOn })
			n := 0
			step := func() {
				if n++; n == message+1 {
					stop()
				}
			}
			r.Delivery.Senders[channel.WhatsApp] = steppedSender{r.senders[channel.WhatsApp], step, step}
			go func() { ended <- r.deliver(0, "POST", path, sameCall, header...) }()
			<-reached
			waited := 0
			var first *response
			r.API.Send.Wait = func(context.Context, time.Duration) {
				if waited++; waited == 3 {
					goOn <- true
					first = <-ended
				}
			}
			// A client that repeats its request is another call.
			if header != nil {
				r.deliver(0, "POST", path, "6f6b2b8e", header...).problem(409, problem.IdempotencyConflict)
			}
			second := r.deliver(0, "POST", path, sameCall, header...).want(200)
			if first == nil || first.status != 200 || first.body != second.body || second.header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("%v: answered %+v, and then %+v", header, first, second)
			}
			wantEqual(t, "looks", waited, 3)
			wantEqual(t, "messages", len(r.senders[channel.WhatsApp].Sent()), 3)
			wantEqual(t, "sends", len(r.Recipient(alice).Tally(otp.Caller{}).Sends), 3)
		}
	}
}

// Every route and method, without a body: ten deliveries have the effect of one.
func TestAttack34_EveryRouteWithoutABodyIsRepeatable(t *testing.T) {
	for _, path := range []string{
		"/", "/api/otpsend", "/api/otpsend/{id}", "/api/otpverify", "/api/users/alice", "/api/users/alice/totp", "/api/users/alice/totp/confirm",
		"/api/users/alice/totp/{app}", "/api/users/alice/recovery-codes", "/hooks/twilio/status", "/hooks/twilio/inbound", "/verify/jwks", "/health", "/purge", "/nothing",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			if method == "POST" && strings.HasSuffix(path, "/recovery-codes") {
				continue // above, with fewer deliveries
			}
			t.Run(method+" "+path, func(t *testing.T) {
				t.Parallel()
				r := newRepeats(t)
				first := r.deliver(0, method, r.fill(path), sameCall)
				once := r.effect()
				for range 9 {
					if again := r.deliver(0, method, r.fill(path), sameCall); again.status != first.status && (method != "DELETE" || again.status != 404) {
						t.Errorf("answered %d, and then %d %s", first.status, again.status, again.body)
					}
				}
				wantEqual(t, "the effect", r.effect(), once)
			})
		}
	}
}

// Other calls are other requests, and so are calls of a client who names a key of its own.
func TestACallOfTheHostIsNoIdempotencyKeyOfAClient(t *testing.T) {
	r := newRepeats(t)
	path := r.fill("/api/otpsend/{id}")
	messages := func() int { return len(r.senders[channel.WhatsApp].Sent()) }
	before := messages()
	for i, header := range [][]string{{"Idempotency-Key", sameCall}, nil, {"Idempotency-Key", "key"}} {
		for range 2 {
			r.deliver(0, "POST", path, sameCall, header...).want(200)
			wantEqual(t, "messages", messages()-before, i+1)
		}
	}
	r.Advance(10 * time.Minute)
	r.id, _ = r.start(alice)
	path, before = r.fill("/api/otpsend/{id}"), messages()
	for i := range 3 {
		r.deliver(0, "POST", path, fmt.Sprintf("%s-%d", sameCall, i)).want(200)
		wantEqual(t, "messages of other calls", messages()-before, i+1)
	}
}

// On its own, anybody can send the header.
func TestWithoutTheHostItsHeaderIsNotBelieved(t *testing.T) {
	r := newRepeats(t)
	r.API.Guard = &handler.Guard{}
	r.handler = r.API.Handler()
	for i := range 2 {
		r.do("POST", "http://localhost"+r.fill("/api/otpsend/{id}"), "", "", "X-Ms-Invocation-Id", sameCall).want(200)
		wantEqual(t, "sends", len(r.Recipient(alice).Tally(otp.Caller{}).Sends), 3+i)
	}
}

// The codes of the last delivery are the ones that the client gets. A first delivery whose
// connection broke must not replace them when it goes on.
func TestAttack34_AnEarlierDeliveryDoesNotReplaceTheCodesOfTheLastOne(t *testing.T) {
	r := newRepeats(t)
	const path = "/api/users/alice/recovery-codes"
	reached, goOn, ended := make(chan bool), make(chan bool), make(chan *response, 1)
	r.deliver(0, "POST", path, "0").want(201)
	steps := 0 // the last call of storage replaces the codes; the notice follows
	stopAt := r.sends - 1
	var once sync.Once
	r.Table.Before(func(testrig.Call) error {
		if steps++; steps == stopAt {
			once.Do(func() { reached <- true; <-goOn })
		}
		return nil
	})
	go func() { ended <- r.deliver(0, "POST", path, sameCall) }()
	<-reached
	second := r.deliver(0, "POST", path, sameCall).want(201)
	goOn <- true
	(<-ended).problem(503, problem.StorageUnavailable)
	code, _ := second.object()["codes"].([]any)[0].(string)
	r.checkFactor("recovery", code).want(200)
	wantEqual(t, "changes, with the app", len(r.Registered("alice").Changes), 3)
	wantEqual(t, "sets", len(r.Registered("alice").Recovery.Sets), 2)
}
