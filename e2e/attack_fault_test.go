package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"twofa/internal/testing/twiliotest"
)

// once gives the first write that verdict and passes on everything else.
func once(v verdict) func() judgement {
	return func() judgement {
		var first sync.Once
		return func(r *http.Request) (judged verdict) {
			if isWrite(r) {
				first.Do(func() { judged = v })
			}
			return judged
		}
	}
}

func always(j judgement) func() judgement { return func() judgement { return j } }

// reads gives all reads the same verdict, and passes writes on.
func reads(v verdict) judgement {
	return func(r *http.Request) verdict {
		if isWrite(r) {
			return verdict{}
		}
		return v
	}
}

// late is longer than the service waits for one answer of storage.
func late() <-chan struct{} {
	ch := make(chan struct{})
	time.AfterFunc(2*time.Second, func() { close(ch) })
	return ch
}

// afterWrites applies writes, loses their answers, and is dead from then on.
func afterWrites() judgement {
	var mu sync.Mutex
	dead := false
	return func(r *http.Request) verdict {
		mu.Lock()
		defer mu.Unlock()
		if dead {
			return verdict{lose: true, drop: true}
		}
		dead = isWrite(r)
		return verdict{drop: dead}
	}
}

var storageFaults = map[string]struct {
	fault    func() judgement
	answered bool // the service finds out what happened, in spite of it
	applied  bool // storage has kept the change
}{
	"a lost answer":              {once(verdict{drop: true}), true, true},
	"a lost request":             {once(verdict{lose: true, drop: true}), true, true},
	"503 once":                   {once(verdict{lose: true, status: 503}), true, true},
	"503 for what was applied":   {once(verdict{status: 503}), true, true},
	"500 for what was applied":   {once(verdict{status: 500}), true, true},
	"412 once":                   {once(verdict{lose: true, status: 412}), true, true},
	"an answer that is too late": {func() judgement { return once(verdict{stall: late()})() }, true, true},

	"no connection at all":            {always(everything(verdict{lose: true, drop: true})), false, false},
	"503 to everything":               {always(everything(verdict{lose: true, status: 503})), false, false},
	"503 to all writes":               {always(writes(verdict{lose: true, status: 503})), false, false},
	"a storm of 412":                  {always(writes(verdict{lose: true, status: 412})), false, false},
	"writes are forbidden":            {always(writes(verdict{lose: true, status: 403})), false, false},
	"empty rows":                      {always(reads(verdict{lose: true, status: 200})), false, false},
	"a 404 that is not storage's":     {always(reads(verdict{lose: true, status: 404})), false, false},
	"gone right after the change":     {afterWrites, false, true},
	"answers of all writes are lost":  {always(writes(verdict{drop: true})), true, true},
	"a success that is not storage's": {always(writes(verdict{lose: true, status: 200})), false, false},
}

// Attack 16, and R16. Whatever storage does, a code is never approved without
// the approval being kept, never twice, and a failure that was answered counts.
func TestAttack16_R16_StorageFaults(t *testing.T) {
	t.Parallel()
	for name, c := range storageFaults {
		for _, right := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, right %t", name, right), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				proxy := newStorageProxy(t, w.storage)
				p, direct := w.process("TWOFA_TABLES_CONNECTION="+proxy.connection), w.process()
				id, code := w.start(direct.client, newNumber())
				try := wrong(code)
				if right {
					try = code
				}

				proxy.set(c.fault())
				r := p.check(fields{"id": id, "code": try})
				proxy.set(nil)
				switch {
				case !c.answered:
					want(t, r, "503 storage_unavailable")
					if r.header.Get("Retry-After") == "" {
						t.Error("there is no Retry-After")
					}
				case right:
					want(t, r, "200")
				default:
					want(t, r, "422 wrong_code")
				}

				for _, p := range []*process{p, direct} {
					spent := 0
					if c.applied && !right {
						spent = 1
					}
					looked := p.status(id)
					want(t, looked, "200")
					approved := c.applied && right
					if got := looked.text("status") == "approved"; got != approved || !approved && looked.number("checks_left") != 5-spent {
						t.Errorf("afterwards it is %s", looked.body)
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
}

// Persist before you send: without a kept row there is no message.
func TestAttack16_NoMessageWithoutARow(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"no connection at all", "503 to all writes", "a storm of 412", "gone right after the change"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			proxy := newStorageProxy(t, w.storage)
			p := w.process("TWOFA_TABLES_CONNECTION="+proxy.connection, noPause)
			number := newNumber()
			w.start(p.client, newNumber()) // makes the table
			proxy.set(storageFaults[name].fault())
			r := p.post("/api/otpsend", fields{"to": number})
			proxy.set(nil)
			want(t, r, "503 storage_unavailable")
			if codes := w.codes(number); len(codes) != 0 {
				t.Errorf("%d messages were sent", len(codes))
			}
			id, code := w.start(p.client, number)
			want(t, p.check(fields{"id": id, "code": code}), "200")
		})
	}
}

// Attack 16 again, with many requests over two processes and faults by chance.
func TestAttack16_StormOverTwoProcesses(t *testing.T) {
	w := newWorld(t)
	proxy := newStorageProxy(t, w.storage)
	var p [2]*process
	for i := range p {
		p[i] = w.process("TWOFA_TABLES_CONNECTION=" + proxy.connection)
	}
	const verifications, tries = 10, 8
	var ids, codes [verifications]string
	for i := range ids {
		ids[i], codes[i] = w.start(p[0].client, newNumber())
	}
	verdicts := []verdict{{drop: true}, {lose: true, drop: true}, {lose: true, status: 503}, {status: 503}, {lose: true, status: 412}}
	proxy.set(func(*http.Request) verdict {
		if rand.IntN(3) == 0 {
			return verdicts[rand.IntN(len(verdicts))]
		}
		return verdict{}
	})
	replies := atOnce(verifications*tries, func(i int) reply {
		id, code := ids[i/tries], codes[i/tries]
		if i%tries < 3 {
			return p[i%2].check(fields{"id": id, "code": wrong(code)})
		}
		return p[i%2].check(fields{"id": id, "code": code})
	})
	proxy.set(nil)
	for i, id := range ids {
		n := count(replies[i*tries : (i+1)*tries])
		looked := p[0].status(id)
		want(t, looked, "200")
		left, approved := looked.number("checks_left"), looked.text("status") == "approved"
		if n["200"] > 1 || n["200"] == 1 && !approved {
			t.Errorf("it is %s after %v", looked.body, n)
		}
		if !approved && left > 5-n["422 wrong_code"] {
			t.Errorf("%d checks are left after %v", left, n)
		}
		more := count(atOnce(6, func(j int) reply { return p[j%2].check(fields{"id": id, "code": codes[i]}) }))
		if n["200"]+more["200"] > 1 || approved && more["200"] > 0 {
			t.Errorf("approved %d times: %v, then %v", n["200"]+more["200"], n, more)
		}
	}
	t.Log(count(replies))
}

// Attack 17. The handler is killed around the write of a check, at each step.
func TestAttack17_KilledAroundTheWrite(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verdict func(release <-chan struct{}) verdict
		applied bool
	}{
		"before the write":          {func(c <-chan struct{}) verdict { return verdict{hold: c, lose: true, drop: true} }, false},
		"with the write on its way": {func(c <-chan struct{}) verdict { return verdict{hold: c} }, true},
		"before storage's answer":   {func(c <-chan struct{}) verdict { return verdict{stall: c} }, true},
		"after a lost answer":       {func(<-chan struct{}) verdict { return verdict{drop: true} }, true},
	} {
		for _, right := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, right %t", name, right), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				proxy := newStorageProxy(t, w.storage)
				p, other := w.process("TWOFA_TABLES_CONNECTION="+proxy.connection), w.process()
				id, code := w.start(other.client, newNumber())
				try := wrong(code)
				if right {
					try = code
				}
				release := make(chan struct{})
				come := proxy.onNextWrite(c.verdict(release))
				answer := make(chan reply, 1)
				go func() { answer <- p.check(fields{"id": id, "code": try}) }()
				<-come
				p.kill()
				close(release)
				if r := <-answer; r.err == nil && name != "after a lost answer" {
					t.Errorf("a killed process has answered %v", r)
				}

				changed := func() bool {
					r := other.status(id)
					return r.text("status") == "approved" || r.number("checks_left") == 4
				}
				if c.applied {
					waitFor(t, "the write", changed)
				} else if changed() {
					t.Error("a write that never reached storage has had an effect")
				}
				if c.applied && right {
					want(t, other.check(fields{"id": id, "code": code}), "409 already_used")
					return
				}
				want(t, other.check(fields{"id": id, "code": code}), "200")
				want(t, other.check(fields{"id": id, "code": code}), "409 already_used")
			})
		}
	}
}

// Attack 17. What was answered is kept, whenever the kill comes.
func TestAttack17_NoAnsweredFailureIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.process("TWOFA_MAX_CHECKS=100", "TWOFA_MAX_FAILURES_PER_DAY=100")
	for range 5 {
		p := w.process("TWOFA_MAX_CHECKS=100", "TWOFA_MAX_FAILURES_PER_DAY=100")
		id, code := w.start(other.client, newNumber())
		var failures sync.WaitGroup
		var mu sync.Mutex
		answered, unsure := 0, 0
		for range 3 {
			failures.Go(func() {
				for range 30 { // together less than the limit
					r := p.check(fields{"id": id, "code": wrong(code)})
					mu.Lock()
					if r.String() == "422 wrong_code" {
						answered++
					} else {
						unsure++ // storage was too busy, or the end has come
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

// Attack 17. A handler that dies while the provider hangs has counted the send,
// and the code that may have gone out works once.
func TestAttack17_KilledWhileTheProviderHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h, c := w.host(nil)
	number := newNumber()
	w.twilio.For(number, twiliotest.Hang().Accepting())
	answer := make(chan reply, 1)
	go func() { answer <- c.post("/api/otpsend", fields{"to": number}) }()
	waitFor(t, "the call of the provider", func() bool { return len(w.messages(number)) == 1 })
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	want(t, <-answer, "500")
	w.twilio.For(number, twiliotest.Accept())
	want(t, c.post("/api/otpsend", fields{"to": number}), "429 resend_too_soon")
	code := w.code(number)
	want(t, c.check(fields{"to": number, "code": wrong(code)}), "422 wrong_code")
	n := count(atOnce(10, func(int) reply { return c.check(fields{"to": number, "code": code}) }))
	if n["200"] != 1 {
		t.Errorf("the code was accepted so: %v", n)
	}
}

// Attack 17, with the embedded store: what was answered is on the disk.
func TestAttack17_KilledWithTheEmbeddedStore(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := alone(t, dir)
	restart := func() {
		t.Helper()
		p.kill()
		p = alone(t, dir)
	}
	r := p.post("/api/otpsend", fields{"to": newNumber()})
	want(t, r, "201")
	id, code := r.text("id"), p.printed(1)
	restart()
	for left := 4; left >= 2; left-- {
		r := p.check(fields{"id": id, "code": wrong(code)})
		want(t, r, "422 wrong_code")
		if r.number("checks_left") != left {
			t.Errorf("%d checks are left, want %d", r.number("checks_left"), left)
		}
		restart()
	}
	want(t, p.check(fields{"id": id, "code": code}), "200")
	restart()
	want(t, p.check(fields{"id": id, "code": code}), "409 already_used")
}

// Attack 18. Whatever the provider does, the person gets at most one message too
// many, it has the same code, and the client learns what to do.
func TestAttack18_ProviderFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	elsewhere := twiliotest.Start(twiliotest.Account{})
	t.Cleanup(elsewhere.Close)
	p := w.process(noPause)
	tests := map[string]struct {
		reply    twiliotest.Reply
		answer   string
		calls    int  // at most
		messages int  // at most
		resend   bool // brings the code after all
	}{
		"time-out":             {twiliotest.Hang(), "502 provider_unavailable", 2, 0, true},
		"time-out, but sent":   {twiliotest.Hang().Accepting(), "502 provider_unavailable", 2, 2, true},
		"429":                  {twiliotest.Refuse(429, 20429).With("Retry-After", "1"), "502 provider_unavailable", 3, 0, true},
		"429 for a minute":     {twiliotest.Refuse(429, 20429).With("Retry-After", "60"), "502 provider_unavailable", 1, 0, true},
		"500":                  {twiliotest.Refuse(500, 20500), "502 provider_unavailable", 2, 0, true},
		"500, but sent":        {twiliotest.Refuse(500, 20500).Accepting(), "502 provider_unavailable", 2, 2, true},
		"503 without a word":   {twiliotest.Raw(503, ""), "502 provider_unavailable", 2, 0, true},
		"a lost connection":    {twiliotest.Drop(), "502 provider_unavailable", 2, 0, true},
		"a lost answer":        {twiliotest.Drop().Accepting(), "502 provider_unavailable", 2, 2, true},
		"half an answer":       {twiliotest.Cut(), "201", 1, 1, true},
		"garbage":              {twiliotest.Raw(200, "<html>hello</html>"), "502 provider_unavailable", 1, 0, true},
		"garbage, but sent":    {twiliotest.Raw(200, "}{").Accepting(), "502 provider_unavailable", 1, 1, true},
		"400 in nobody's form": {twiliotest.Raw(400, "no"), "502 provider_unavailable", 1, 0, true},
		"wrong credentials":    {twiliotest.Refuse(401, 20003), "502 provider_misconfigured", 1, 0, true},
		"elsewhere":            {twiliotest.Redirect(elsewhere.URL), "502 provider_misconfigured", 1, 0, true},
		"not a number":         {twiliotest.Refuse(400, 21211), "400 invalid_request", 1, 0, false},
		"not on WhatsApp":      {twiliotest.Refuse(400, 63003), "422 undeliverable", 1, 0, false},
		"failed at once":       {twiliotest.AcceptFailed(63024), "422 undeliverable", 1, 0, false},
		"blocked as pumping":   {twiliotest.Refuse(403, 30450), "403 destination_refused", 1, 0, false},
	}
	names := make([]string, 0, len(tests))
	numbers := make(map[string]string)
	for name, c := range tests {
		names = append(names, name)
		numbers[name] = newNumber()
		w.twilio.For(numbers[name], c.reply)
	}
	// All at once, as some of them take the time-outs of the service.
	replies := atOnce(len(names), func(i int) reply { return p.post("/api/otpsend", fields{"to": numbers[names[i]]}) })
	for i, name := range names {
		c, r, number := tests[name], replies[i], numbers[name]
		t.Run(name, func(t *testing.T) {
			want(t, r, c.answer)
			codes, messages := w.codes(number), w.messages(number)
			if len(codes) > c.calls || len(messages) > c.messages || len(slices.Compact(slices.Clone(codes))) != 1 {
				t.Errorf("%d calls and %d messages with the codes %v, want at most %d and %d with one code", len(codes), len(messages), codes, c.calls, c.messages)
			}
			if name == "429 for a minute" && (r.number("retry_after") < 60 || r.header.Get("Retry-After") == "") {
				t.Errorf("it may be tried again after %d s", r.number("retry_after"))
			}
			id, code := r.text("id"), codes[0]
			w.twilio.For(number, twiliotest.Accept())
			resent := p.do("POST", "/api/otpsend/"+id, "", "")
			if !c.resend {
				if resent.String() != "422 undeliverable" {
					t.Errorf("resent, it answers %v", resent)
				}
				return
			}
			want(t, resent, "200")
			if again := w.code(number); again != code {
				t.Errorf("the resend brought %s, want %s", again, code)
			}
			want(t, p.check(fields{"id": id, "code": code}), "200")
		})
	}
	if n := elsewhere.CallCount(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}
