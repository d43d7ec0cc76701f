package e2e

import (
	"net/url"
	"strings"
	"sync"
	"testing"

	"twofa/internal/otp"
	"twofa/internal/testing/functionshost"
)

// Attack 7. A number has one limit of messages, for all purposes, spellings and processes
// together.
func TestAttack07_OneNumberHasOneLimit(t *testing.T) {
	rig := newRig(t)
	p := rig.pair(noPause)
	number := newNumber()
	spellings := []string{number, typedNumber(number), " " + number[:2] + "." + number[2:] + " "}
	purposes := []string{"login", "pay", "a", "b", "c", "d"}
	unsure := 0
	burst := func() (sent int) {
		for _, r := range concurrently(60, func(i int) reply {
			return p[i%2].post("/api/otpsend", fields{"to": spellings[i%3], "purpose": purposes[i%6]})
		}) {
			switch r.String() {
			case "201":
				sent++
			case "429 too_many_sends":
			case "503 storage_unavailable":
				unsure++ // perhaps counted, but not sent
			default:
				t.Errorf("answered %v: %s", r, r.body)
			}
		}
		return sent
	}
	sent := burst()
	sent += burst()
	if n := len(rig.sentCodes(number)); n != sent || n > 5 || n+unsure < 5 {
		t.Errorf("%d messages reached the number and %d were answered (%d unsure), want 5", n, sent, unsure)
	}
	for _, p := range p {
		want(t, p.post("/api/otpsend", fields{"to": number}), "429 too_many_sends")
	}
	rig.wantRows(1)
	want(t, p[0].post("/api/otpsend", fields{"to": newNumber()}), "201") // others are not affected
}

// Attack 8. A spelling of a number leads to the one row of the number, or it is refused.
func TestAttack08_Spellings(t *testing.T) {
	rig := newParallelRig(t)
	c := rig.process(noPause, "TWOFA_MAX_SENDS=100", "TWOFA_MAX_SENDS_PER_DAY=100").client
	const us, uk = "+14155550123", "+442079460123"
	for _, s := range []struct {
		number   string
		accepted []string
		refused  []string
	}{
		{us, []string{
			us, "+1 (415) 555-0123", "+1 415 555 0123", "+1-415-555-0123", "+1.415.555.0123", "  +14155550123  ", "+1415555 01 23",
			"tel:+14155550123", "+14155550123\n", "＋14155550123", "+１４１５５５５０１２３", "+1\u00a0415 555 0123", "+1415\u200b5550123",
		}, []string{
			"14155550123", "4155550123", "0014155550123", "011 1 415 555 0123", "+14155550123;ext=1", "tel:+14155550123;ext=1", "+14155550123x1",
			"+14155550123,1", "++14155550123", "+1+4155550123", "+1415555O123", "+1415555012", "+141555501234",
			"+14155550123\x00", "whatsapp:+14155550123", "\u202e+14155550123", "", "+",
		}},
		{uk, []string{uk, "+44 20 7946 0123", "+44(20)79460123"}, []string{"+44 (0)20 7946 0123", "+4402079460123", "020 7946 0123"}},
	} {
		kept := rig.recipients()
		for _, spelling := range s.accepted {
			r := c.post("/api/otpsend", fields{"to": spelling})
			if r.String() != "201" {
				t.Errorf("%q: %v: %s", spelling, r, r.body)
				continue
			}
			if row, err := kept.LoadID(t.Context(), otp.Owner{}, otp.ID(r.text("id"))); err != nil || row.Address != s.number {
				t.Errorf("%q: not in the row of %s, %v", spelling, s.number, err)
			}
		}
		if n := len(rig.sentCodes(s.number)); n != len(s.accepted) {
			t.Errorf("%d spellings of %s, and %d messages reached it", len(s.accepted), s.number, n)
		}
		for _, spelling := range s.refused {
			if r := c.post("/api/otpsend", fields{"to": spelling}); r.String() != "400 invalid_request" {
				t.Errorf("%q: %v", spelling, r)
			}
		}
		if n := len(rig.sentCodes(s.number)); n != len(s.accepted) {
			t.Errorf("%d messages reached %s", n, s.number)
		}
	}
	rig.wantRows(2)
}

// Attack 10. No text of a client becomes part of a key or of a filter.
func TestAttack10_HostileKeys(t *testing.T) {
	rig := newParallelRig(t)
	p := rig.process(noPause)
	_, hosted := rig.host(nil, noPause)
	number := newNumber()
	id, code := rig.start(p.client, number)
	rows, calls := rig.rows(), rig.twilio.CallCount()

	hostile := []string{
		"'", "''", `"`, "' or 1 eq 1", "' or PartitionKey ne '", "r')", "PartitionKey eq 'a'", "*", "../" + id, "/", `\`, "#", "?", "%00", "%2f",
		"\x00", id + "\x00", "\r\nIf-Match: *", "é", "\u202e", "𝟏", strings.ToUpper(id), strings.ToLower(id), id[:33], id + "0", "VE" + strings.Repeat("g", 32),
		"VE" + strings.Repeat("'", 32), "VEpurgecursor", strings.Repeat("x", 3000), "$filter=1", "<script>", "{{1}}", "%s%n", " " + id, id + " ",
	}
	// The host drops a space at the end of a path. What is left is the id.
	trimmed := func(name, s string) bool { return name != "direct" && s == id+" " }
	for name, c := range map[string]*client{"direct": p.client, "through the host": hosted} {
		for _, s := range hostile {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				if trimmed(name, s) {
					continue
				}
				r := c.do(method, "/api/otpsend/"+url.PathEscape(s), "", "")
				// The host itself refuses what cannot be a path (400, 404).
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
	if n, m := rig.rows(), rig.twilio.CallCount(); n != rows || m != calls {
		t.Errorf("there are %d rows and %d calls, want %d and %d", n, m, rows, calls)
	}
	wantFields(t, p.status(id), fields{"status": "pending", "checks_left": 5})
	want(t, p.check(fields{"id": id, "code": code}), "200")
}

// Attack 14. A bad body is refused before it has an effect, under the host too.
func TestAttack14_Bodies(t *testing.T) {
	rig := newParallelRig(t)
	h, c := rig.host(nil, noPause)
	number := newNumber()
	id, code := rig.start(c, number)
	calls := rig.twilio.CallCount()
	const jsonType, formType = "application/json", "application/x-www-form-urlencoded"
	good := `{"id": "` + id + `", "code": "` + code + `"}`
	shown := `{"to": "` + newNumber() + `", "context": {"payee": "Bakery"}}` // without its fault, this would send a message
	for name, b := range map[string]struct{ contentType, body, answer string }{
		"17 KiB":            {jsonType, good[:len(good)-1] + strings.Repeat(" ", 17<<10) + "}", "413 payload_too_large"},
		"16 KiB and one":    {jsonType, good + strings.Repeat(" ", 16<<10+1-len(good)), "413 payload_too_large"},
		"a big form":        {formType, "code=" + strings.Repeat("1", 17<<10), "413 payload_too_large"},
		"deep nesting":      {jsonType, strings.Repeat(`{"context":`, 1300) + "1" + strings.Repeat("}", 1300), "400 invalid_request"},
		"deep lists":        {jsonType, `{"code":` + strings.Repeat("[", 8000), "400 invalid_request"},
		"a name twice":      {jsonType, `{"code": "1", ` + good[1:], "400 invalid_request"},
		"a form name twice": {formType, "id=" + id + "&code=" + code + "&code=" + code, "400 invalid_request"},
		"trailing data":     {jsonType, good + "{}", "400 invalid_request"},
		"trailing text":     {jsonType, good + "x", "400 invalid_request"},
		"invalid UTF-8":     {jsonType, strings.Replace(shown, "Bakery", "\xff", 1), "400 invalid_request"},
		"half a surrogate":  {jsonType, strings.Replace(shown, "Bakery", `\ud800`, 1), "400 invalid_request"},
		"a mark inside":     {jsonType, "{\ufeff" + good[1:], "400 invalid_request"},
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
	rig.wantCalls(calls)
	if len(h.Exits()) != 0 {
		t.Errorf("the handler has ended: %v", h.Exits())
	}
	full := good + strings.Repeat(" ", 16<<10-len(good)) // exactly 16 KiB
	want(t, c.do("POST", "/api/otpverify", jsonType, full), "200")
}

// Requests at the same time through two hosts do not mix: each code passes for the
// number to which it was sent.
func TestManyRequestsThroughTwoHosts(t *testing.T) {
	rig := newRig(t)
	_, a := rig.host(nil)
	_, b := rig.host(func(o *functionshost.Options) { o.ReverseRoutes = true })
	clients := [2]*client{a, b}
	var mu sync.Mutex
	ids := make(map[string]string)
	concurrently(20, func(i int) reply {
		number := newNumber()
		r := clients[i%2].post("/api/otpsend", fields{"to": number})
		mu.Lock()
		defer mu.Unlock()
		ids[number] = r.text("id")
		return r
	})
	for number, id := range ids {
		if r := clients[len(id)%2].check(fields{"id": id, "code": rig.code(number)}); r.String() != "200" {
			t.Errorf("%s: %v", id, r)
		}
	}
	if len(ids) != 20 {
		t.Errorf("%d verifications", len(ids))
	}
}
