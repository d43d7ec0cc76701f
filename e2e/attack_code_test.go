package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/delivery"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/functionshost"
	"twofa/otpsend"
)

// Attack 1. However many wrong codes come at once, at most as many are looked at
// as one verification allows, and then the right one is refused too.
func TestAttack01_AttemptRace(t *testing.T) {
	w := newWorld(t)
	p := w.pair()
	number := newNumber()
	id, code := w.start(p[0].client, number)
	replies := atOnce(500, func(i int) reply {
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
	// Each one that was told is another one: none was counted twice or not at all.
	slices.Sort(left)
	if distinct := slices.Compact(slices.Clone(left)); len(left) == 0 || len(left) > 5 || len(distinct) != len(left) || left[len(left)-1] > 4 {
		t.Errorf("the evaluated checks left %v; all: %v", left, count(replies))
	}
	// A process that could not write in time says 503, and then that check is
	// not spent. What is left is spent now.
	for range 5 {
		p[0].check(fields{"id": id, "code": wrong(code)})
	}
	for _, p := range p {
		want(t, p.check(fields{"id": id, "code": code}), "429 too_many_checks")
		want(t, p.check(fields{"to": number, "code": code}), "429 too_many_checks")
	}
}

// Attack 2, and R4. A new code does not bring new attempts for the day.
func TestAttack02_R4_ANewCodeNeverResetsTheFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pair(noPause, "TWOFA_MAX_SENDS=100", "TWOFA_MAX_SENDS_PER_DAY=100")
	number := newNumber()
	evaluated := 0
	var refused []string
	for round := range 20 {
		r := p[round%2].post("/api/otpsend", fields{"to": number})
		if r.String() == "429 too_many_checks" {
			refused = append(refused, r.text("type"))
			if after := r.number("retry_after"); after < 23*3600 || after > 24*3600 {
				t.Errorf("it may be tried again after %d s, want about a day", after)
			}
			continue
		}
		want(t, r, "201")
		for i := range 4 {
			switch r := p[i%2].check(fields{"id": r.text("id"), "code": wrong(w.code(number))}); r.String() {
			case "422 wrong_code":
				evaluated++
			case "429 too_many_checks":
			default:
				t.Errorf("answered %v", r)
			}
		}
	}
	if evaluated != 10 {
		t.Errorf("%d wrong codes were looked at, want the day's 10", evaluated)
	}
	// 4, 4 and 2 failures: the third message was the last.
	if n := len(w.messages(number)); n != 3 || len(refused) != 17 {
		t.Errorf("%d messages were sent and %d refused, want 3 and 17", n, len(refused))
	}
	want(t, p[0].check(fields{"to": number, "code": w.code(number)}), "429 too_many_checks")
	// And the person knows of it.
	if n := w.warnings(number); n != 1 {
		t.Errorf("%d warnings were sent, want 1", n)
	}
}

// Attack 3, and R3. A right code that comes a hundred times at once is accepted
// once.
func TestAttack03_R3_DoubleSpend(t *testing.T) {
	w := newWorld(t)
	p := w.pair(noPause)
	approved := 0
	for range 3 {
		number := newNumber()
		id, code := w.start(p[0].client, number)
		replies := atOnce(100, func(i int) reply {
			if i%4 < 2 {
				return p[i%2].check(fields{"to": number, "code": code})
			}
			return p[i%2].check(fields{"id": id, "code": code})
		})
		n := count(replies)
		approved += n["200"]
		// Where storage was too busy to say that the approval is kept, the one
		// that brought it about is told 503.
		if n["200"] > 1 || n["200"] == 0 && n["503 storage_unavailable"] == 0 || n["200"]+n["409 already_used"]+n["503 storage_unavailable"] != 100 {
			t.Errorf("100 right codes at once: %v", n)
		}
		for _, p := range p {
			want(t, p.check(fields{"id": id, "code": code}), "409 already_used")
		}
	}
	if approved == 0 {
		t.Error("no right code was accepted")
	}
}

// Attack 4. A used code stays used in whatever form it comes back.
func TestAttack04_R3_Reuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pair()
	number := newNumber()
	id, code := w.start(p[0].client, number)
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

// Attack 5, and R5. A code is good for its own address, purpose and context, all
// three of them, and for nothing else.
func TestAttack05_R5_OnlyTheDiagonalPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pair(noPause, longCodes, letters, "TWOFA_MAX_CHECKS=100", "TWOFA_MAX_FAILURES_PER_DAY=100",
		"TWOFA_MAX_SENDS=100", "TWOFA_MAX_SENDS_PER_DAY=100")
	type cell struct {
		number, purpose, payee string
	}
	var cells []cell
	addresses := []string{newNumber(), newNumber()}
	payees := []string{"", "Bakery", "bakery"}
	for _, number := range addresses {
		for _, purpose := range []string{"login", "pay"} {
			for _, payee := range payees {
				cells = append(cells, cell{number, purpose, payee})
			}
		}
	}
	request := func(c cell) fields {
		f := fields{"to": c.number, "purpose": c.purpose}
		if c.payee != "" {
			f["context"] = fields{"amount": "EUR 25.00", "payee": c.payee}
		}
		return f
	}
	// An address has one live verification of a purpose, so the contexts take turns.
	passed := 0
	for _, payee := range payees {
		ids, codes := make(map[cell]string), make(map[cell]string)
		for _, c := range cells {
			if c.payee == payee {
				r := p[0].post("/api/otpsend", request(c))
				want(t, r, "201")
				ids[c], codes[c] = r.text("id"), w.code(c.number)
			}
		}
		for made, code := range codes {
			for i, tried := range cells {
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
	if passed != len(cells) {
		t.Errorf("%d codes have passed, want %d", passed, len(cells))
	}
}

// R6. Five wrong tries a code, and no answer says what was wrong: the code, the
// context, or both.
func TestR6_WrongAnswersAreAllTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.process(noPause, "TWOFA_MAX_FAILURES_PER_DAY=100").client
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
		func(code string) fields { return fields{"code": "1", "context": context} },
	} {
		r := c.post("/api/otpsend", fields{"to": number, "context": context})
		want(t, r, "201")
		f := body(w.code(number))
		f["id"] = r.text("id")
		r = c.check(f)
		want(t, r, "422 wrong_code")
		answers, header = append(answers, r.body), append(header, fmt.Sprint(len(r.header), r.header.Get("Content-Length")))
	}
	if len(slices.Compact(answers)) != 1 || len(slices.Compact(header)) != 1 {
		t.Errorf("the answers differ: %q, %q", answers, header)
	}

	r := c.post("/api/otpsend", fields{"to": newNumber()})
	want(t, r, "201")
	for left := 4; left >= 0; left-- {
		again := c.check(fields{"id": r.text("id"), "code": "1"})
		want(t, again, "422 wrong_code")
		if again.number("checks_left") != left {
			t.Errorf("%d checks are left, want %d", again.number("checks_left"), left)
		}
	}
	want(t, c.check(fields{"id": r.text("id"), "code": "1"}), "429 too_many_checks")
}

// R1. Codes have six digits, each digit at each place, and do not repeat.
func TestR1_CodesAreSixRandomDigits(t *testing.T) {
	w := newWorld(t)
	c := w.process().client
	const n, some = 300, 10
	numbers := make([]string, n)
	for i := range numbers {
		numbers[i] = newNumber()
	}
	for few := range slices.Chunk(numbers, some) {
		for _, r := range atOnce(some, func(i int) reply { return c.post("/api/otpsend", fields{"to": few[i]}) }) {
			want(t, r, "201")
		}
	}
	var seen [6]map[rune]int
	for i := range seen {
		seen[i] = make(map[rune]int)
	}
	distinct := make(map[string]bool)
	for _, number := range numbers {
		code := w.code(number)
		distinct[code] = true
		if len(code) != 6 {
			t.Fatalf("the code is %q", code)
		}
		for i, digit := range code {
			seen[i][digit]++
		}
	}
	for i := range seen {
		// Among 300, a digit's absence at a place has a chance of 10^-14.
		if digits := slices.Sorted(maps.Keys(seen[i])); string(digits) != "0123456789" {
			t.Errorf("at place %d there are the digits %q", i, string(digits))
		}
	}
	if len(distinct) < n-5 { // 0.04 pairs are expected
		t.Errorf("%d codes have %d values", n, len(distinct))
	}
}

// otherClock is the service's own use case on another process's clock, with
// the same table and secret. What it sends comes back in codes.
func (w *world) otherClock(ahead time.Duration) (s *otpsend.Service, codes map[string]string) {
	codes = make(map[string]string)
	policy := otp.DefaultPolicy()
	policy.ResendAfter = 0
	carrier := &delivery.Carrier{
		Book: w.book(), Policy: policy, Workflow: []notify.Channel{notify.WhatsApp}, Log: slog.New(slog.DiscardHandler),
		Senders: map[notify.Channel]notify.Sender{notify.WhatsApp: sink(codes)},
		Now:     func() time.Time { return time.Now().Add(ahead) },
	}
	return &otpsend.Service{Carrier: carrier}, codes
}

// sink is a sender that keeps the codes by number.
type sink map[string]string

func (s sink) Send(_ context.Context, m notify.Message) error {
	s[m.To] = m.Code
	return nil
}

// R2. By the default settings a code is good for ten minutes and not a moment
// longer.
func TestR2_ACodeDiesAfterTenMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.process().client
	before := time.Now()
	r := c.post("/api/otpsend", fields{"to": newNumber()})
	want(t, r, "201")
	expires, err := time.Parse(time.RFC3339, r.text("expires_at"))
	if err != nil || expires.After(time.Now().Add(10*time.Minute)) || expires.Before(before.Add(10*time.Minute-time.Second)) {
		t.Errorf("a code of %v expires at %v (%v)", before, expires, err)
	}

	// Made by a process whose clock is behind, so that they expire about now.
	old, codes := w.otherClock(2*time.Second - 10*time.Minute)
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

// Attack 15. Two processes whose clocks are a minute apart agree about a code,
// and a clock that runs far ahead makes none that lives on.
func TestAttack15_ClocksApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.process(noPause).client
	for ahead, answer := range map[time.Duration]string{
		-time.Minute: "200",
		time.Minute:  "200",
		time.Hour:    "410 expired",
	} {
		number := newNumber()
		other, codes := w.otherClock(ahead)
		if _, _, err := other.Start(t.Context(), otpsend.Request{To: number}, ""); err != nil {
			t.Fatal(err)
		}
		if r := c.check(fields{"to": number, "code": codes[number]}); r.String() != answer {
			t.Errorf("a code from a clock %v ahead: %v, want %s", ahead, r, answer)
		}
		// The send is counted whatever the clocks say.
		if r := c.post("/api/otpsend", fields{"to": number}); r.number("sends_left") != 3 {
			t.Errorf("after a send from a clock %v ahead: %s", ahead, r.body)
		}
	}
}

// Attack 7. One number has one cap, whatever the purpose, the spelling and the
// process.
func TestAttack07_OneNumberHasOneCap(t *testing.T) {
	w := newWorld(t)
	p := w.pair(noPause)
	number := newNumber()
	spellings := []string{number, spaced(number), " " + number[:2] + "." + number[2:] + " "}
	purposes := []string{"login", "pay", "a", "b", "c", "d"}
	unsure := 0
	burst := func() (sent int) {
		for _, r := range atOnce(60, func(i int) reply {
			return p[i%2].post("/api/otpsend", fields{"to": spellings[i%3], "purpose": purposes[i%6]})
		}) {
			switch r.String() {
			case "201":
				sent++
			case "429 too_many_sends":
			case "503 storage_unavailable":
				unsure++ // perhaps counted, certainly not sent
			default:
				t.Errorf("answered %v: %s", r, r.body)
			}
		}
		return sent
	}
	sent := burst()
	sent += burst()
	if n := len(w.messages(number)); n != sent || n > 5 || n+unsure < 5 {
		t.Errorf("%d messages reached the number and %d were answered (%d unsure), want 5", n, sent, unsure)
	}
	for _, p := range p {
		want(t, p.post("/api/otpsend", fields{"to": number}), "429 too_many_sends")
	}
	if n := w.rows(); n != 1 {
		t.Errorf("the number has %d rows", n)
	}
	want(t, p[0].post("/api/otpsend", fields{"to": newNumber()}), "201") // others are not affected
}

// Attack 8. A number has one row however it is spelled, or it is refused.
func TestAttack08_Spellings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.process(noPause, "TWOFA_MAX_SENDS=100", "TWOFA_MAX_SENDS_PER_DAY=100").client
	const us, uk = "+14155550123", "+442079460123"
	for _, s := range []struct {
		number   string
		accepted []string
		refused  []string
	}{
		{us, []string{
			us, "+1 (415) 555-0123", "+1 415 555 0123", "+1-415-555-0123", "+1.415.555.0123", "  +14155550123  ", "+1415555 01 23",
		}, []string{
			"14155550123", "4155550123", "0014155550123", "011 1 415 555 0123", "tel:+14155550123", "+14155550123;ext=1", "+14155550123x1",
			"+14155550123,1", "++14155550123", "+1+4155550123", "+1415555O123", "+1415555012", "+141555501234", "+14155550123\n",
			"+14155550123\x00", "whatsapp:+14155550123", "＋14155550123", "+１４１５５５５０１２３", "+1\u00a0415 555 0123", "+1415\u200b5550123", "", "+",
		}},
		{uk, []string{uk, "+44 20 7946 0123", "+44(20)79460123"}, []string{"+44 (0)20 7946 0123", "+4402079460123", "020 7946 0123"}},
	} {
		rows := make(map[string]bool)
		for _, spelling := range s.accepted {
			r := c.post("/api/otpsend", fields{"to": spelling})
			if r.String() != "201" {
				t.Errorf("%q: %v: %s", spelling, r, r.body)
				continue
			}
			rows[r.text("id")[:len("VE")+16]] = true
		}
		if len(rows) != 1 || len(w.messages(s.number)) != len(s.accepted) {
			t.Errorf("%d spellings of %s have the rows %v, and %d messages reached it", len(s.accepted), s.number, rows, len(w.messages(s.number)))
		}
		for _, spelling := range s.refused {
			if r := c.post("/api/otpsend", fields{"to": spelling}); r.String() != "400 invalid_request" {
				t.Errorf("%q: %v", spelling, r)
			}
		}
		if n := len(w.messages(s.number)); n != len(s.accepted) {
			t.Errorf("%d messages reached %s", n, s.number)
		}
	}
	if n := w.rows(); n != 2 {
		t.Errorf("two numbers have %d rows", n)
	}
}

// Attack 10. Nothing that a client writes becomes part of a key or a filter.
func TestAttack10_HostileKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.process(noPause)
	_, hosted := w.host(nil, noPause)
	number := newNumber()
	id, code := w.start(p.client, number)
	rows, calls := w.rows(), w.twilio.CallCount()

	hostile := []string{
		"'", "''", `"`, "' or 1 eq 1", "' or PartitionKey ne '", "r')", "PartitionKey eq 'a'", "*", "../" + id, "/", `\`, "#", "?", "%00", "%2f",
		"\x00", id + "\x00", "\r\nIf-Match: *", "é", "\u202e", "𝟏", strings.ToUpper(id), strings.ToLower(id), id[:33], id + "0", "VE" + strings.Repeat("g", 32),
		"VE" + strings.Repeat("'", 32), "VEpurgecursor", strings.Repeat("x", 3000), "$filter=1", "<script>", "{{1}}", "%s%n", " " + id, id + " ",
	}
	// The host itself drops a space at the end of a path: then it is the id.
	trimmed := func(name, s string) bool { return name != "direct" && s == id+" " }
	for name, c := range map[string]*client{"direct": p.client, "through the host": hosted} {
		for _, s := range hostile {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				if trimmed(name, s) {
					continue
				}
				r := c.do(method, "/api/otpsend/"+url.PathEscape(s), "", "")
				// The host itself refuses what it can't take for a path (400, 404).
				if r.status != 400 && r.status != 404 && r.status != 405 {
					t.Errorf("%s, %s id %q: %v: %s", name, method, s, r, r.body)
				}
			}
			for field, body := range map[string]fields{
				"id":      {"id": s, "code": code},
				"purpose": {"to": number, "purpose": s, "code": code},
				"to":      {"to": s, "code": code},
			} {
				if r := c.check(body); r.String() != "400 invalid_request" {
					t.Errorf("%s, check by %s %q: %v", name, field, s, r)
				}
			}
			for field, body := range map[string]fields{
				"purpose": {"to": number, "purpose": s},
				"to":      {"to": s},
				"channel": {"to": number, "channel": s},
			} {
				if r := c.post("/api/otpsend", body); r.String() != "400 invalid_request" {
					t.Errorf("%s, start with %s %q: %v", name, field, s, r)
				}
			}
		}
	}
	if n, m := w.rows(), w.twilio.CallCount(); n != rows || m != calls {
		t.Errorf("there are %d rows and %d calls, want %d and %d", n, m, rows, calls)
	}
	r := p.status(id)
	if r.text("status") != "pending" || r.number("checks_left") != 5 {
		t.Errorf("the verification has changed: %s", r.body)
	}
	want(t, p.check(fields{"id": id, "code": code}), "200")
}

// Attack 14. Bad bodies are refused before anything happens, under the host too.
func TestAttack14_Bodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h, c := w.host(nil, noPause)
	number := newNumber()
	id, code := w.start(c, number)
	calls := w.twilio.CallCount()
	const jsonType, formType = "application/json", "application/x-www-form-urlencoded"
	good := `{"id": "` + id + `", "code": "` + code + `"}`
	shown := `{"to": "` + newNumber() + `", "context": {"payee": "Bakery"}}` // would be sent if it could be read
	for name, b := range map[string]struct{ contentType, body, answer string }{
		"17 KiB":            {jsonType, good[:len(good)-1] + strings.Repeat(" ", 17<<10) + "}", "413 payload_too_large"},
		"16 KiB and one":    {jsonType, good + strings.Repeat(" ", 16<<10+1-len(good)), "413 payload_too_large"},
		"a big form":        {formType, "code=" + strings.Repeat("1", 17<<10), "413 payload_too_large"},
		"deep nesting":      {jsonType, strings.Repeat(`{"context":`, 1300) + "1" + strings.Repeat("}", 1300), "400 invalid_request"},
		"deep lists":        {jsonType, `{"code":` + strings.Repeat("[", 8000), "400 invalid_request"},
		"a name twice":      {jsonType, `{"code": "1", ` + good[1:], "400 invalid_request"},
		"a form's twice":    {formType, "id=" + id + "&code=" + code + "&code=" + code, "400 invalid_request"},
		"trailing data":     {jsonType, good + "{}", "400 invalid_request"},
		"trailing text":     {jsonType, good + "x", "400 invalid_request"},
		"invalid UTF-8":     {jsonType, strings.Replace(shown, "Bakery", "\xff", 1), "400 invalid_request"},
		"half a surrogate":  {jsonType, strings.Replace(shown, "Bakery", `\ud800`, 1), "400 invalid_request"},
		"a byte order mark": {jsonType, "\ufeff" + good, "400 invalid_request"},
		"a list":            {jsonType, "[" + good + "]", "400 invalid_request"},
		"a number":          {jsonType, strings.Replace(good, `"`+code+`"`, "1"+code[1:], 1), "400 invalid_request"},
		"null":              {jsonType, "null", "400 invalid_request"},
		"a null code":       {jsonType, strings.Replace(good, `"`+code+`"`, "null", 1), "400 invalid_request"},
		"an unknown name":   {jsonType, `{"approved": true, ` + good[1:], "400 invalid_request"},
		"another case":      {jsonType, strings.Replace(good, `"code"`, `"Code"`, 1), "400 invalid_request"},
		"UTF-16":            {jsonType + "; charset=utf-16", good, "415 unsupported_media_type"},
		"plain text":        {"text/plain", good, "415 unsupported_media_type"},
		"no type":           {"", good, "415 unsupported_media_type"},
		"a multipart form":  {"multipart/form-data; boundary=x", "--x--", "415 unsupported_media_type"},
		"nothing":           {jsonType, "", "400 invalid_request"},
	} {
		for _, path := range []string{"/api/otpverify", "/api/otpsend"} {
			if r := c.do("POST", path, b.contentType, b.body); r.String() != b.answer {
				t.Errorf("%s to %s: %v, want %s", name, path, r, b.answer)
			}
		}
	}
	if n := w.twilio.CallCount(); n != calls {
		t.Errorf("the provider was called %d times more", n-calls)
	}
	if len(h.Exits()) != 0 {
		t.Errorf("the handler has ended: %v", h.Exits())
	}
	full := good + strings.Repeat(" ", 16<<10-len(good)) // exactly 16 KiB
	want(t, c.do("POST", "/api/otpverify", jsonType, full), "200")
}

// The service answers many at once without mixing them up: each code is good for
// the number that it went to.
func TestManyAtOnceThroughTwoHosts(t *testing.T) {
	w := newWorld(t)
	_, a := w.host(nil)
	_, b := w.host(func(o *functionshost.Options) { o.ReverseRoutes = true })
	clients := [2]*client{a, b}
	var mu sync.Mutex
	ids := make(map[string]string)
	atOnce(20, func(i int) reply {
		number := newNumber()
		r := clients[i%2].post("/api/otpsend", fields{"to": number})
		mu.Lock()
		defer mu.Unlock()
		ids[number] = r.text("id")
		return r
	})
	for number, id := range ids {
		if r := clients[len(id)%2].check(fields{"id": id, "code": w.code(number)}); r.String() != "200" {
			t.Errorf("%s: %v", id, r)
		}
	}
	if len(ids) != 20 {
		t.Errorf("%d verifications", len(ids))
	}
}
