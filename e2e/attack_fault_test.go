package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"twofa/internal/testing/twiliotest"
)

// once makes a fault of the first write only.
func once(f fault) func() faults { return func() faults { return onFirstWrite(f, nil) } }

func always(f faults) func() faults { return func() faults { return f } }

// onceTooLate delays the answer to the first write for longer than the service
// waits for one answer of storage.
func onceTooLate() faults {
	stall := make(chan struct{})
	time.AfterFunc(2*time.Second, func() { close(stall) })
	return onFirstWrite(fault{stall: stall}, nil)
}

// downAfterWrite forwards one write, loses its answer, and loses all later requests.
func downAfterWrite() faults {
	var mu sync.Mutex
	down := false
	return func(r *http.Request) fault {
		mu.Lock()
		defer mu.Unlock()
		if down {
			return fault{lose: true, drop: true}
		}
		down = isWrite(r)
		return fault{drop: down}
	}
}

var storageFaults = map[string]struct {
	faults   func() faults
	answered bool // the service finds out what happened, despite the fault
	applied  bool // storage has kept the change
}{
	"a lost answer":              {once(fault{drop: true}), true, true},
	"a lost request":             {once(fault{lose: true, drop: true}), true, true},
	"503 once":                   {once(fault{lose: true, status: 503}), true, true},
	"503 for an applied write":   {once(fault{status: 503}), true, true},
	"500 for an applied write":   {once(fault{status: 500}), true, true},
	"412 once":                   {once(fault{lose: true, status: 412}), true, true},
	"an answer that is too late": {onceTooLate, true, true},

	"no connection at all":           {always(onAll(fault{lose: true, drop: true})), false, false},
	"503 to everything":              {always(onAll(fault{lose: true, status: 503})), false, false},
	"503 to all writes":              {always(onWrites(fault{lose: true, status: 503})), false, false},
	"412 to all writes":              {always(onWrites(fault{lose: true, status: 412})), false, false},
	"writes are forbidden":           {always(onWrites(fault{lose: true, status: 403})), false, false},
	"empty rows":                     {always(onReads(fault{lose: true, status: 200})), false, false},
	"a 404 that is not storage's":    {always(onReads(fault{lose: true, status: 404})), false, false},
	"down right after the change":    {downAfterWrite, false, true},
	"answers to all writes are lost": {always(onWrites(fault{drop: true})), true, true},
	"a 200 that is not storage's":    {always(onWrites(fault{lose: true, status: 200})), false, false},
}

// eachTry runs a parallel subtest with a right code and one with a wrong code.
func eachTry(t *testing.T, name string, f func(t *testing.T, right bool)) {
	for _, right := range []bool{true, false} {
		t.Run(fmt.Sprintf("%s, right %t", name, right), func(t *testing.T) {
			t.Parallel()
			f(t, right)
		})
	}
}

// tryOf returns the code or another one.
func tryOf(code string, right bool) string {
	if right {
		return code
	}
	return wrong(code)
}

// Attack 16, and R16. Whatever storage does, the service approves a code only if
// the approval is kept, and only once. A failure that was answered is counted.
func TestAttack16_R16_StorageFaults(t *testing.T) {
	t.Parallel()
	for name, c := range storageFaults {
		eachTry(t, name, func(t *testing.T, right bool) {
			rig := newRig(t)
			proxy, p, direct := rig.proxied()
			id, code := rig.start(direct.client, newNumber())

			proxy.set(c.faults())
			r := p.check(fields{"id": id, "code": tryOf(code, right)})
			proxy.set(nil)
			switch {
			case !c.answered:
				if want(t, r, "503 storage_unavailable"); r.header.Get("Retry-After") == "" {
					t.Error("there is no Retry-After")
				}
			case right:
				want(t, r, "200")
			default:
				want(t, r, "422 wrong_code")
			}

			expected := fields{"checks_left": 5}
			if c.applied && right {
				expected = fields{"status": "approved"}
			} else if c.applied {
				expected = fields{"checks_left": 4}
			}
			for _, p := range []*process{p, direct} {
				looked := want(t, p.status(id), "200")
				wantFields(t, looked, expected)
				if looked.text("status") == "approved" && expected["status"] != "approved" {
					t.Errorf("approved without a right code: %s", looked.body)
				}
			}
			if !c.applied || !right {
				want(t, p.check(fields{"id": id, "code": code}), "200")
			}
			want(t, direct.check(fields{"id": id, "code": code}), "409 already_used")
			want(t, p.check(fields{"id": id, "code": code}), "409 already_used")
		})
	}
}

// The service keeps the row before it sends: without a row there is no message.
func TestAttack16_NoMessageWithoutARow(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"no connection at all", "503 to all writes", "412 to all writes", "down right after the change"} {
		t.Run(name, func(t *testing.T) {
			rig := newParallelRig(t)
			proxy := rig.proxy()
			p := rig.process(proxy.setting, noPause)
			number := newNumber()
			rig.start(p.client, newNumber()) // creates the table
			proxy.set(storageFaults[name].faults())
			r := p.post("/api/otpsend", fields{"to": number})
			proxy.set(nil)
			want(t, r, "503 storage_unavailable")
			if codes := rig.calledCodes(number); len(codes) != 0 {
				t.Errorf("%d messages were sent", len(codes))
			}
			id, code := rig.start(p.client, number)
			want(t, p.check(fields{"id": id, "code": code}), "200")
		})
	}
}

// Attack 16 again, with many requests to two processes and random faults.
func TestAttack16_ManyRequestsAndRandomFaults(t *testing.T) {
	rig := newRig(t)
	proxy := rig.proxy()
	p := rig.pair(proxy.setting)
	const verifications, tries = 10, 8
	var ids, codes [verifications]string
	for i := range ids {
		ids[i], codes[i] = rig.start(p[0].client, newNumber())
	}
	choices := []fault{{drop: true}, {lose: true, drop: true}, {lose: true, status: 503}, {status: 503}, {lose: true, status: 412}}
	proxy.set(func(*http.Request) fault {
		if rand.IntN(3) == 0 {
			return choices[rand.IntN(len(choices))]
		}
		return fault{}
	})
	replies := concurrently(verifications*tries, func(i int) reply {
		return p[i%2].check(fields{"id": ids[i/tries], "code": tryOf(codes[i/tries], i%tries >= 3)})
	})
	proxy.set(nil)
	for i, id := range ids {
		n := count(replies[i*tries : (i+1)*tries])
		looked := want(t, p[0].status(id), "200")
		left, approved := looked.number("checks_left"), looked.text("status") == "approved"
		if n["200"] > 1 || n["200"] == 1 && !approved {
			t.Errorf("the verification is %s after %v", looked.body, n)
		}
		if !approved && left > 5-n["422 wrong_code"] {
			t.Errorf("%d checks are left after %v", left, n)
		}
		more := count(concurrently(6, func(j int) reply { return p[j%2].check(fields{"id": id, "code": codes[i]}) }))
		if n["200"]+more["200"] > 1 || approved && more["200"] > 0 {
			t.Errorf("approved %d times: %v, then %v", n["200"]+more["200"], n, more)
		}
	}
	t.Log(count(replies))
}

// killPoints are the moments around a write at which a process is killed.
var killPoints = map[string]struct {
	fault   func(release <-chan struct{}) fault
	applied bool // storage keeps the write
}{
	"before the write":               {func(c <-chan struct{}) fault { return fault{hold: c, lose: true, drop: true} }, false},
	"while the write is on its way":  {func(c <-chan struct{}) fault { return fault{hold: c} }, true},
	"before the answer from storage": {func(c <-chan struct{}) fault { return fault{stall: c} }, true},
	"after a lost answer":            {func(<-chan struct{}) fault { return fault{drop: true} }, true},
}

// killAround has a process check a code and kills the process at that point of its
// write. It returns whether storage has kept the write, which changed has to
// report.
func killAround(t *testing.T, point string, proxy *storageProxy, p *process, body fields, changed func() bool) (applied bool) {
	t.Helper()
	release, seen := make(chan struct{}), make(chan struct{})
	proxy.set(onFirstWrite(killPoints[point].fault(release), seen))
	answer := inBackground(func() reply { return p.check(body) })
	<-seen
	p.kill()
	close(release)
	if r := <-answer; r.err == nil && point != "after a lost answer" {
		t.Errorf("a killed process has answered %v", r)
	}
	if applied = killPoints[point].applied; applied {
		waitFor(t, "the write", changed)
	} else if changed() {
		t.Error("a write that never reached storage has had an effect")
	}
	return applied
}

// Attack 17. The process is killed at each step around the write of a check.
func TestAttack17_KilledAroundTheWrite(t *testing.T) {
	t.Parallel()
	for point := range killPoints {
		eachTry(t, point, func(t *testing.T, right bool) {
			rig := newRig(t)
			proxy, p, other := rig.proxied()
			id, code := rig.start(other.client, newNumber())
			applied := killAround(t, point, proxy, p, fields{"id": id, "code": tryOf(code, right)}, func() bool {
				r := other.status(id)
				return r.text("status") == "approved" || r.number("checks_left") == 4
			})
			if !applied || !right {
				want(t, other.check(fields{"id": id, "code": code}), "200")
			}
			want(t, other.check(fields{"id": id, "code": code}), "409 already_used")
		})
	}
}

// Attack 17. A failure that was answered is kept, whenever the process is killed.
func TestAttack17_NoAnsweredFailureIsLost(t *testing.T) {
	rig := newParallelRig(t)
	other := rig.process("TWOFA_MAX_CHECKS=100", "TWOFA_MAX_FAILURES_PER_DAY=100")
	for range 5 {
		p := rig.process("TWOFA_MAX_CHECKS=100", "TWOFA_MAX_FAILURES_PER_DAY=100")
		id, code := rig.start(other.client, newNumber())
		var failures sync.WaitGroup
		var mu sync.Mutex
		answered, unsure := 0, 0
		for range 3 {
			failures.Go(func() {
				for range 30 { // together fewer than the limit
					r := p.check(fields{"id": id, "code": wrong(code)})
					mu.Lock()
					if r.String() == "422 wrong_code" {
						answered++
					} else {
						unsure++ // storage was too busy, or the process was killed
					}
					mu.Unlock()
					if r.err != nil {
						return
					}
				}
			})
		}
		time.Sleep(time.Duration(20+rand.IntN(100)) * time.Millisecond)
		p.kill()
		failures.Wait()
		r := other.status(id)
		if spent := 100 - r.number("checks_left"); spent < answered || spent > answered+unsure {
			t.Errorf("%d failures were answered and %d are counted", answered, spent)
		}
		want(t, other.check(fields{"id": id, "code": code}), "200")
	}
}

// Attack 17. If the handler is killed while the provider hangs, the send is counted,
// and the code, which may have arrived, works once.
func TestAttack17_KilledWhileTheProviderHangs(t *testing.T) {
	rig := newParallelRig(t)
	h, c := rig.host(nil)
	number := newNumber()
	rig.twilio.For(number, twiliotest.Hang().Accepting())
	answer := inBackground(func() reply { return c.post("/api/otpsend", fields{"to": number}) })
	waitFor(t, "the call of the provider", func() bool { return len(rig.sentCodes(number)) == 1 })
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	want(t, <-answer, "500")
	rig.twilio.For(number, twiliotest.Accept())
	want(t, c.post("/api/otpsend", fields{"to": number}), "429 resend_too_soon")
	code := rig.code(number)
	want(t, c.check(fields{"to": number, "code": wrong(code)}), "422 wrong_code")
	n := count(concurrently(10, func(int) reply { return c.check(fields{"to": number, "code": code}) }))
	if n["200"] != 1 {
		t.Errorf("the answers to the right code are %v", n)
	}
}

// Attack 17, with the embedded store: what was answered is on the disk.
func TestAttack17_KilledWithTheEmbeddedStore(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := standalone(t, dir)
	restart := func() {
		t.Helper()
		p.kill()
		p = standalone(t, dir)
	}
	r := want(t, p.post("/api/otpsend", fields{"to": newNumber()}), "201")
	id, code := r.text("id"), p.printed(1)
	restart()
	for left := 4; left >= 2; left-- {
		wantFields(t, want(t, p.check(fields{"id": id, "code": wrong(code)}), "422 wrong_code"), fields{"checks_left": left})
		restart()
	}
	want(t, p.check(fields{"id": id, "code": code}), "200")
	restart()
	want(t, p.check(fields{"id": id, "code": code}), "409 already_used")
}
