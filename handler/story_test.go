package handler_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"twofa/internal/problem"
)

var idShape = regexp.MustCompile(`^VE[0-9a-f]{32}$`)

// wantBody compares a whole body, so that a member that appears or vanishes is
// seen. "*" stands for any text.
func wantBody(t *testing.T, got *response, want string) {
	t.Helper()
	var w map[string]any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	g := got.object()
	for name, value := range w {
		if value == "*" && g[name] != nil && g[name] != "" {
			w[name] = g[name]
		}
	}
	if fmt.Sprint(g) != fmt.Sprint(w) { // maps print in order
		t.Errorf("body\n got %v\nwant %v", g, w)
	}
}

func TestACodeIsSentApprovedOnceAndNeverAgain(t *testing.T) {
	encodings := []struct {
		name, contentType string
		encode            func(...string) string
	}{
		{"JSON", typeJSON, object},
		{"form", typeForm, form},
		{"JSON with a charset", "Application/JSON; charset=UTF-8", object},
		{"form with a charset", typeForm + `; charset="utf-8"`, form},
	}
	for _, enc := range encodings {
		t.Run(enc.name, func(t *testing.T) {
			s := newService(t)
			s.clock.advance(300 * time.Millisecond) // answers are in whole seconds

			started := s.do("POST", "/api/otpsend", enc.contentType, enc.encode("to", "+1 (415) 555-0123", "locale", "en", "client_ip", "203.0.113.9")).want(201)
			wantBody(t, started, `{"id": "*", "status": "pending", "to": "+1******0123", "channel": "whatsapp", "purpose": "login",
				"expires_at": "2026-03-01T12:10:00Z", "resend_after": "2026-03-01T12:00:31Z", "sends_left": 4, "checks_left": 5}`)
			id := started.text("id")
			if !idShape.MatchString(id) {
				t.Errorf("id %q", id)
			}
			m := s.sender.last()
			if m.To != alice || m.Brand != "Acme" || len(m.Code) != 6 || m.ValidFor != 10*time.Minute {
				t.Errorf("the sender was given %+v", m)
			}

			refused := s.do("POST", "/api/otpverify", enc.contentType, enc.encode("id", id, "code", wrong(m.Code))).problem(422, problem.WrongCode)
			if refused.number("checks_left") != 4 {
				t.Errorf("checks_left: %s", refused.body)
			}
			approved := s.do("POST", "/api/otpverify", enc.contentType, enc.encode("id", id, "code", m.Code)).want(200)
			wantBody(t, approved, `{"id": "`+id+`", "status": "approved", "to": "+1******0123", "channel": "whatsapp", "purpose": "login",
				"approved_at": "2026-03-01T12:00:00Z"}`)

			for _, again := range []string{m.Code, m.Code[:3] + " " + m.Code[3:], m.Code[:3] + "-" + m.Code[3:], script(m.Code, '０'), script(m.Code, '٠')} {
				s.do("POST", "/api/otpverify", enc.contentType, enc.encode("id", id, "code", again)).problem(409, problem.AlreadyUsed)
				s.do("POST", "/api/otpverify", enc.contentType, enc.encode("to", alice, "code", again)).problem(409, problem.AlreadyUsed)
			}
			status := s.do("GET", "/api/otpsend/"+id, "", "").want(200)
			wantBody(t, status, `{"id": "`+id+`", "status": "approved", "to": "+1******0123", "channel": "whatsapp", "purpose": "login",
				"expires_at": "2026-03-01T12:10:00Z", "approved_at": "2026-03-01T12:00:00Z", "sends_left": 0, "checks_left": 0,
				"delivery": {"status": "queued", "attempts": [{"channel": "whatsapp", "at": "2026-03-01T12:00:00Z", "status": "queued"}]}}`)
			if n := s.sender.calls(); n != 1 {
				t.Errorf("%d messages, want 1", n)
			}
		})
	}
}

// script writes digits in another script, whose zero is given.
func script(code string, zero rune) string {
	return strings.Map(func(r rune) rune { return r - '0' + zero }, code)
}

func TestACodeIsReadLenientlyAndFoundByAddressAndPurpose(t *testing.T) {
	for _, write := range []func(string) string{
		func(c string) string { return c },
		func(c string) string { return " " + c[:3] + " " + c[3:] + "\n" },
		func(c string) string { return c[:3] + "-" + c[3:] },
		func(c string) string { return script(c, '０') },
	} {
		s := newService(t, noPause)
		s.post("/api/otpsend", object("to", alice, "purpose", "payment")).want(201)
		code := s.sender.last().Code
		s.start(alice) // another purpose
		res := s.post("/api/otpverify", object("to", "+1 415-555-0123", "purpose", "payment", "code", write(code))).want(200)
		if res.text("purpose") != "payment" {
			t.Errorf("approved %s", res.body)
		}
	}
}

func TestContextIsShownAndBound(t *testing.T) {
	const start = `{"to": "+14155550123", "context": {"amount": "EUR 25.00", "payee": "Acme"}}`
	check := func(id, code, context string) string {
		return `{"id": "` + id + `", "code": "` + code + `"` + context + `}`
	}
	s := newService(t)
	id := s.post("/api/otpsend", start).want(201).text("id")
	m := s.sender.last()
	if m.Amount != "EUR 25.00" || m.Payee != "Acme" {
		t.Errorf("the sender was given %+v", m)
	}
	for _, context := range []string{
		``, `, "context": {}`, `, "context": {"amount": "EUR 25.00"}`, `, "context": {"payee": "Acme"}`,
	} {
		s.post("/api/otpverify", check(id, m.Code, context)).problem(422, problem.WrongCode)
	}
	s.post("/api/otpverify", check(id, m.Code, `, "context": {"payee": "Acme", "amount": "EUR 25.00"}`)).want(200)

	// The same as a form.
	s = newService(t)
	id = s.do("POST", "/api/otpsend", typeForm, form("to", alice, "context.amount", "EUR 25.00", "context.payee", "Acme")).want(201).text("id")
	m = s.sender.last()
	s.do("POST", "/api/otpverify", typeForm, form("id", id, "code", m.Code, "context.amount", "EUR 25.01", "context.payee", "Acme")).problem(422, problem.WrongCode)
	s.do("POST", "/api/otpverify", typeForm, form("id", id, "code", m.Code, "context.amount", "EUR 25.00", "context.payee", "Acme")).want(200)
}

// Which part of a check was wrong must not be told, by no byte of the answer.
func TestAWrongContextIsAnsweredAsAWrongCode(t *testing.T) {
	answer := func(code func(string) string, context string) *response {
		s := newService(t)
		id := s.post("/api/otpsend", `{"to": "+14155550123", "context": {"amount": "1"}}`).want(201).text("id")
		res := s.do("POST", "/api/otpverify", typeJSON, `{"id": "`+id+`", "code": "`+code(s.sender.last().Code)+`", "context": {"amount": "`+context+`"}}`,
			"X-Azure-Functions-InvocationId", "00000000-0000-0000-0000-000000000001")
		return res.problem(422, problem.WrongCode)
	}
	same := func(code string) string { return code }
	wrongCode, wrongContext, both := answer(wrong, "1"), answer(same, "2"), answer(wrong, "2")
	for _, other := range []*response{wrongContext, both} {
		if other.body != wrongCode.body || fmt.Sprint(other.header) != fmt.Sprint(wrongCode.header) {
			t.Errorf("wrong code:    %v %s\nwrong context: %v %s", wrongCode.header, wrongCode.body, other.header, other.body)
		}
	}
}

func TestResendSendsTheSameCodeAndMovesNoDeadline(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	s.clock.advance(30 * time.Second)
	res := s.do("POST", "/api/otpsend/"+id, "", "").want(200) // a resend may say nothing
	wantBody(t, res, `{"id": "`+id+`", "status": "pending", "to": "+1******0123", "channel": "whatsapp", "purpose": "login",
		"expires_at": "2026-03-01T12:10:00Z", "resend_after": "2026-03-01T12:01:00Z", "sends_left": 3, "checks_left": 5}`)
	if m := s.sender.last(); m.Code != code || m.ValidFor != 9*time.Minute+30*time.Second || s.sender.calls() != 2 {
		t.Errorf("the sender was given %+v as message %d; the code was %s", m, s.sender.calls(), code)
	}
	s.clock.advance(30 * time.Second)
	s.post("/api/otpsend/"+id, `{"channel": "whatsapp"}`).want(200)
	s.clock.advance(30 * time.Second)
	s.post("/api/otpsend/"+id, `{}`).want(200)
	if m := s.sender.last(); m.Code != code || s.sender.calls() != 4 {
		t.Errorf("message %d has the code %s, want %s", s.sender.calls(), m.Code, code)
	}
}

func TestCancelKillsTheCodeAndMayBeRepeated(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	for range 2 {
		res := s.do("DELETE", "/api/otpsend/"+id, "", "").want(200)
		wantBody(t, res, `{"id": "`+id+`", "status": "canceled", "to": "+1******0123", "channel": "whatsapp", "purpose": "login",
			"expires_at": "2026-03-01T12:10:00Z", "sends_left": 0, "checks_left": 0}`)
	}
	s.check(id, code).problem(410, problem.Canceled)
}

func TestCancelDoesNotTakeBackAnApproval(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	s.check(id, code).want(200)
	s.do("DELETE", "/api/otpsend/"+id, "", "").problem(409, problem.AlreadyUsed)
	if got := s.do("GET", "/api/otpsend/"+id, "", "").want(200).text("status"); got != "approved" {
		t.Errorf("status %s", got)
	}
}

func TestStatusChangesNothing(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	s.check(id, wrong(code)).problem(422, problem.WrongCode)
	before := s.rows()
	for range 10 {
		res := s.do("GET", "/api/otpsend/"+id, "", "").want(200)
		if res.text("status") != "pending" || res.number("checks_left") != 4 || res.number("sends_left") != 4 {
			t.Errorf("status: %s", res.body)
		}
	}
	if after := s.rows(); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("rows before %v, after %v", before, after)
	}
}

// The first two segments of a path are the function's; the host matches them in
// any case, and with a slash behind, and forwards them as they came.
func TestRoutesAreMatchedAsTheHostMatchesThem(t *testing.T) {
	s := newService(t, noPause)
	for _, path := range []string{"/api/otpsend", "/API/OtpSend", "/api/otpsend/", "/Api/OTPSEND/", "/api/otpsend?code=functionkey"} {
		id := s.post(path, object("to", alice)).want(201).text("id")
		code := s.sender.last().Code
		s.do("GET", "/API/OTPSEND/"+id, "", "").want(200)
		s.do("GET", "/api/otpsend/"+id+"/", "", "").want(200)
		s.post("/aPi/oTpVeRiFy/", object("id", id, "code", wrong(code))).problem(422, problem.WrongCode)
		s.post("/API/otpverify", object("id", id, "code", code)).want(200)
		s.clock.advance(11 * time.Minute) // out of the window of sends
	}
	s.do("GET", "/api/otpsend/ve"+strings.Repeat("0", 32), "", "").problem(400, problem.InvalidRequest).wantFields("id")
	s.do("GET", "/api/otpsend/VE"+strings.Repeat("A", 32), "", "").problem(400, problem.InvalidRequest).wantFields("id")
}

// Not even a path that is not clean is redirected, and none goes unanswered.
func TestUnknownPathsAreNotFound(t *testing.T) {
	s := newService(t)
	for _, path := range []string{
		"/api", "/api/", "/api/otp", "/api/otpsend/a/b", "/api/otpverify/x", "/purge/x", "/otpsend", "/verify",
		"//api/otpsend", "/api//otpsend", "/api/./otpsend", "/api/x/../otpsend", "/api/otpsend//", "/api%2Fotpsend/x/y", "/%2e%2e/api/otpsend",
		"/admin/host/status", "/favicon.ico",
	} {
		for _, method := range []string{"GET", "POST", "PROPFIND"} {
			s.do(method, path, typeJSON, object("to", alice)).problem(404, problem.NotFound)
		}
	}
	if n := s.sender.calls(); n != 0 || len(s.rows()) != 0 {
		t.Errorf("%d messages, rows %v", n, s.rows())
	}
}

func TestReadinessTouchesNothingAndIsNotLogged(t *testing.T) {
	s := newService(t)
	s.table.before = func() error { panic("the store was touched") }
	s.do("GET", "/", "", "").want(200)
	if s.log.String() != "" {
		t.Errorf("logged: %s", s.log)
	}
	s.do("POST", "/", typeJSON, "{}").problem(405, problem.MethodNotAllowed)
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	s := newService(t)
	id, _ := s.start(alice)
	server := httptest.NewServer(s.handler)
	defer server.Close()
	for path, want := range map[string]int{"/": 200, "/api/otpsend/" + id: 200, "/api/otpverify": 405, "/nowhere": 404} {
		res, err := http.Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("HEAD %s: %d, want %d", path, res.StatusCode, want)
		}
	}
}
