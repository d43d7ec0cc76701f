package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/otpsend"
)

// Attack 1. However many wrong codes come at the same time, the service compares at most
// as many as one verification allows. After that, it refuses the right code too.
func TestAttack01_AttemptRace(t *testing.T) {
	rig := newRig(t)
	p := rig.pair()
	number := newNumber()
	id, code := rig.start(p[0].client, number)
	replies := concurrently(500, func(i int) reply {
		return p[i%2].check(fields{"id": id, "code": wrong(code)})
	})
	var left []int
	for _, r := range replies {
		switch r.String() {
		case "422 wrong_code":
			left = append(left, r.number("checks_left"))
		case "429 too_many_checks", "503 storage_unavailable":
		default:
			t.Errorf("answered %v: %s", r, r.body)
		}
	}
	// The answers have different numbers: no check was counted twice or not at all.
	slices.Sort(left)
	if distinct := slices.Compact(slices.Clone(left)); len(left) == 0 || len(left) > 5 || len(distinct) != len(left) || left[len(left)-1] > 4 {
		t.Errorf("the compared checks left %v; all answers: %v", left, count(replies))
	}
	// A process that could not write in time answers 503 and does not count the check.
	// These checks use up the rest.
	for range 5 {
		p[0].check(fields{"id": id, "code": wrong(code)})
	}
	for _, p := range p {
		want(t, p.check(fields{"id": id, "code": code}), "429 too_many_checks")
		want(t, p.check(fields{"to": number, "code": code}), "429 too_many_checks")
	}
}

// Attack 2, and R4. A new code does not give new checks for the day.
func TestAttack02_R4_ANewCodeDoesNotResetTheFailures(t *testing.T) {
	rig := newParallelRig(t)
	p := rig.pair(noPause, "TWOFA_MAX_SENDS=100", "TWOFA_MAX_SENDS_PER_DAY=100")
	number := newNumber()
	evaluated := 0
	var refused []string
	for round := range 20 {
		r := p[round%2].post("/api/otpsend", fields{"to": number})
		if r.String() == "429 too_many_checks" {
			refused = append(refused, r.text("type"))
			if after := r.number("retry_after"); after < 23*3600 || after > 24*3600 {
				t.Errorf("the client may try again after %d s, want about a day", after)
			}
			continue
		}
		want(t, r, "201")
		for i := range 4 {
			switch r := p[i%2].check(fields{"id": r.text("id"), "code": wrong(rig.code(number))}); r.String() {
			case "422 wrong_code":
				evaluated++
			case "429 too_many_checks":
			default:
				t.Errorf("answered %v", r)
			}
		}
	}
	if evaluated != 10 {
		t.Errorf("%d wrong codes were compared, want 10, the limit of a day", evaluated)
	}
	// 4, 4 and 2 failures: the third message was the last.
	if n := len(rig.sentCodes(number)); n != 3 || len(refused) != 17 {
		t.Errorf("%d messages were sent and %d refused, want 3 and 17", n, len(refused))
	}
	want(t, p[0].check(fields{"to": number, "code": rig.code(number)}), "429 too_many_checks")
	// The service has alerted the person.
	if n := rig.alerts(number); n != 1 {
		t.Errorf("%d alerts were sent, want 1", n)
	}
}

// Attack 3, and R3. A right code that comes a hundred times at the same time is accepted
// once.
func TestAttack03_R3_DoubleSpend(t *testing.T) {
	rig := newRig(t)
	p := rig.pair(noPause)
	approved := 0
	for range 3 {
		number := newNumber()
		id, code := rig.start(p[0].client, number)
		replies := concurrently(100, func(i int) reply {
			if i%4 < 2 {
				return p[i%2].check(fields{"to": number, "code": code})
			}
			return p[i%2].check(fields{"id": id, "code": code})
		})
		n := count(replies)
		approved += n["200"]
		// If storage was too busy to confirm that the approval is kept, the answer is 503
		// instead of the approval.
		if n["200"] > 1 || n["200"] == 0 && n["503 storage_unavailable"] == 0 || n["200"]+n["409 already_used"]+n["503 storage_unavailable"] != 100 {
			t.Errorf("answers to 100 right codes at the same time: %v", n)
		}
		for _, p := range p {
			want(t, p.check(fields{"id": id, "code": code}), "409 already_used")
		}
	}
	if approved == 0 {
		t.Error("no right code was accepted")
	}
}

// Attack 4. A used code is refused in every form in which people can write it.
func TestAttack04_R3_Reuse(t *testing.T) {
	rig := newParallelRig(t)
	p := rig.pair()
	number := newNumber()
	id, code := rig.start(p[0].client, number)
	want(t, p[0].check(fields{"id": id, "code": code}), "200")
	digits := func(zero rune) string {
		return strings.Map(func(r rune) rune { return r - '0' + zero }, code)
	}
	for name, again := range map[string]string{
		"the same":      code,
		"with spaces":   " " + code[:3] + " " + code[3:] + " ",
		"with a hyphen": code[:3] + "-" + code[3:],
		"full width":    digits('０'),
		"Arabic digits": digits('٠'),
		"Devanagari":    digits('०'),
	} {
		for _, p := range p {
			for _, body := range []fields{{"id": id, "code": again}, {"to": number, "code": again}} {
				if r := p.check(body); r.String() != "409 already_used" {
					t.Errorf("%s: answered %v", name, r)
				}
			}
		}
	}
}

// Attack 5, and R5. A code passes only for its own address, purpose and transaction.
func TestAttack05_R5_OnlyTheOwnTargetPasses(t *testing.T) {
	rig := newParallelRig(t)
	p := rig.pair(noPause, longCodes, letters, "TWOFA_MAX_CHECKS=100", "TWOFA_MAX_FAILURES_PER_DAY=100",
		"TWOFA_MAX_SENDS=100", "TWOFA_MAX_SENDS_PER_DAY=100")
	type target struct {
		number, purpose, payee string
	}
	var targets []target
	addresses := []string{newNumber(), newNumber()}
	payees := []string{"", "Bakery", "bakery"}
	for _, number := range addresses {
		for _, purpose := range []string{"login", "pay"} {
			for _, payee := range payees {
				targets = append(targets, target{number, purpose, payee})
			}
		}
	}
	request := func(c target) fields {
		f := fields{"to": c.number, "purpose": c.purpose}
		if c.payee != "" {
			f["context"] = fields{"amount": "EUR 25.00", "payee": c.payee}
		}
		return f
	}
	// An address has at most one pending verification of a purpose, so the payees take
	// turns.
	passed := 0
	for _, payee := range payees {
		ids, codes := make(map[target]string), make(map[target]string)
		for _, c := range targets {
			if c.payee == payee {
				r := want(t, p[0].post("/api/otpsend", request(c)), "201")
				ids[c], codes[c] = r.text("id"), rig.code(c.number)
			}
		}
		for made, code := range codes {
			for i, tried := range targets {
				if tried == made {
					continue
				}
				body := request(tried)
				body["code"] = code
				if r := p[i%2].check(body); r.String() != "422 wrong_code" && r.String() != "409 already_used" {
					t.Errorf("the code of %v for %v: %v", made, tried, r)
				}
				if id := ids[tried]; id != "" {
					body = fields{"id": id, "code": code}
					if context, ok := request(tried)["context"]; ok {
						body["context"] = context
					}
					if r := p[i%2].check(body); r.String() != "422 wrong_code" && r.String() != "409 already_used" {
						t.Errorf("the code of %v for the id of %v: %v", made, tried, r)
					}
				}
			}
			body := request(made)
			body["code"] = code
			want(t, p[passed%2].check(body), "200")
			passed++
		}
	}
	if passed != len(targets) {
		t.Errorf("%d codes passed, want %d", passed, len(targets))
	}
}

// R6. A code has five checks, and no answer tells what was wrong: the code, the
// transaction, or both.
func TestR6_WrongAnswersAreAllTheSame(t *testing.T) {
	rig := newParallelRig(t)
	c := rig.process(noPause, "TWOFA_MAX_FAILURES_PER_DAY=100").client
	number := newNumber()
	context := fields{"amount": "EUR 25.00", "payee": "Bakery"}
	other := fields{"amount": "EUR 25.01", "payee": "Bakery"}
	var answers []string
	var header []string
	for _, body := range []func(code string) fields{
		func(code string) fields { return fields{"code": wrong(code), "context": context} },
		func(code string) fields { return fields{"code": code, "context": other} },
		func(code string) fields { return fields{"code": code} },
		func(code string) fields { return fields{"code": wrong(code), "context": other} },
		func(code string) fields { return fields{"code": "G-" + wrong(code), "context": context} },
	} {
		r := want(t, c.post("/api/otpsend", fields{"to": number, "context": context}), "201")
		f := body(rig.code(number))
		f["id"] = r.text("id")
		r = want(t, c.check(f), "422 wrong_code")
		answers, header = append(answers, r.body), append(header, fmt.Sprint(len(r.header), r.header.Get("Content-Length")))
	}
	if len(slices.Compact(answers)) != 1 || len(slices.Compact(header)) != 1 {
		t.Errorf("the answers differ: %q, %q", answers, header)
	}

	number = newNumber()
	r := want(t, c.post("/api/otpsend", fields{"to": number}), "201")
	code := rig.code(number)
	for i := 1; i < len(code); i++ { // a field that checks at each key
		want(t, c.check(fields{"id": r.text("id"), "code": code[:i]}), "400 invalid_request")
	}
	for left := 4; left >= 0; left-- {
		wantFields(t, want(t, c.check(fields{"id": r.text("id"), "code": wrong(code)}), "422 wrong_code"), fields{"checks_left": left})
	}
	want(t, c.check(fields{"id": r.text("id"), "code": code}), "429 too_many_checks")
}

// R1. Codes have six digits, have every digit at every place, and do not repeat.
func TestR1_CodesAreSixRandomDigits(t *testing.T) {
	rig := newRig(t)
	c := rig.process().client
	const n, some = 300, 10
	numbers := make([]string, n)
	for i := range numbers {
		numbers[i] = newNumber()
	}
	for few := range slices.Chunk(numbers, some) {
		for _, r := range concurrently(some, func(i int) reply { return c.post("/api/otpsend", fields{"to": few[i]}) }) {
			want(t, r, "201")
		}
	}
	var seen [6]map[rune]int
	for i := range seen {
		seen[i] = make(map[rune]int)
	}
	distinct := make(map[string]bool)
	for _, number := range numbers {
		code := rig.code(number)
		distinct[code] = true
		if len(code) != 6 {
			t.Fatalf("the code is %q", code)
		}
		for i, digit := range code {
			seen[i][digit]++
		}
	}
	for i := range seen {
		// The chance that a digit is missing at a place among 300 codes is 10^-14.
		if digits := slices.Sorted(maps.Keys(seen[i])); string(digits) != "0123456789" {
			t.Errorf("place %d has the digits %q only", i, string(digits))
		}
	}
	if len(distinct) < n-5 { // 0.04 pairs are expected
		t.Errorf("%d codes have only %d values", n, len(distinct))
	}
}

// R2. By the default settings, a code is valid for exactly ten minutes.
func TestR2_ACodeExpiresAfterTenMinutes(t *testing.T) {
	rig := newParallelRig(t)
	c := rig.process().client
	before := time.Now()
	r := want(t, c.post("/api/otpsend", fields{"to": newNumber()}), "201")
	expires, err := time.Parse(time.RFC3339, r.text("expires_at"))
	if err != nil || expires.After(time.Now().Add(10*time.Minute)) || expires.Before(before.Add(10*time.Minute-time.Second)) {
		t.Errorf("a code of %v expires at %v (%v)", before, expires, err)
	}

	// Two codes from a process whose clock is behind, so that they expire in two seconds.
	old, codes := rig.withClock(2*time.Second - 10*time.Minute)
	used, late := newNumber(), newNumber()
	for _, number := range []string{used, late} {
		a, _, err := old.Start(t.Context(), otpsend.Request{To: number}, "")
		if err != nil {
			t.Fatal(err)
		}
		expires = a.ExpiresAt
	}
	want(t, c.check(fields{"to": used, "code": codes[used]}), "200")
	time.Sleep(time.Until(expires))
	want(t, c.check(fields{"to": late, "code": codes[late]}), "410 expired")
}

// Attack 15. Two processes whose clocks differ by a minute agree about a code, and a clock
// that is far ahead makes no code that stays valid for longer.
func TestAttack15_ClocksDiffer(t *testing.T) {
	rig := newParallelRig(t)
	c := rig.process(noPause).client
	for ahead, answer := range map[time.Duration]string{
		-time.Minute: "200",
		time.Minute:  "200",
		time.Hour:    "410 expired",
	} {
		number := newNumber()
		other, codes := rig.withClock(ahead)
		if _, _, err := other.Start(t.Context(), otpsend.Request{To: number}, ""); err != nil {
			t.Fatal(err)
		}
		if r := c.check(fields{"to": number, "code": codes[number]}); r.String() != answer {
			t.Errorf("a code from a clock %v ahead: %v, want %s", ahead, r, answer)
		}
		// The send is counted, whatever the clocks show.
		wantFields(t, c.post("/api/otpsend", fields{"to": number}), fields{"sends_left": 3})
	}
}
