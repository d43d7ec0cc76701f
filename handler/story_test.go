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

// wantBody compares a whole body, so that no member is missing or new. "*" stands
// for any text.
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
	if fmt.Sprint(g) != fmt.Sprint(w) { // maps are printed sorted
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
			r := newRig(t)
			r.Advance(300 * time.Millisecond) // answers are in whole seconds

			started := r.do("POST", "/api/otpsend", enc.contentType, enc.encode("to", "+1 (415) 555-0123", "locale", "en", "client_ip", "203.0.113.9")).want(201)
			wantBody(t, started, `{"id": "*", "status": "pending", "to": "+1******0123", "channel": "whatsapp", "purpose": "login",
				"expires_at": "2026-03-01T12:10:00Z", "resend_after": "2026-03-01T12:00:31Z", "sends_left": 4, "checks_left": 5}`)
			id := started.text("id")
			if !idShape.MatchString(id) {
				t.Errorf("id %q", id)
			}
			m := r.sender.Last()
			if m.To != alice || m.Brand != "Acme" || len(m.Code) != 6 || m.ValidFor != 10*time.Minute {
				t.Errorf("the sender was given %+v", m)
			}

			refused := r.do("POST", "/api/otpverify", enc.contentType, enc.encode("id", id, "code", wrong(m.Code))).problem(422, problem.WrongCode)
			wantEqual(t, "checks_left", refused.number("checks_left"), 4)
			approved := r.do("POST", "/api/otpverify", enc.contentType, enc.encode("id", id, "code", m.Code)).want(200)
			wantBody(t, approved, `{"id": "`+id+`", "status": "approved", "to": "+1******0123", "channel": "whatsapp", "purpose": "login",
				"approved_at": "2026-03-01T12:00:00Z"}`)

			for _, again := range []string{m.Code, m.Code[:3] + " " + m.Code[3:], m.Code[:3] + "-" + m.Code[3:], script(m.Code, '０'), script(m.Code, '٠')} {
				r.do("POST", "/api/otpverify", enc.contentType, enc.encode("id", id, "code", again)).problem(409, problem.AlreadyUsed)
				r.do("POST", "/api/otpverify", enc.contentType, enc.encode("to", alice, "code", again)).problem(409, problem.AlreadyUsed)
			}
			status := r.get("/api/otpsend/" + id).want(200)
			wantBody(t, status, `{"id": "`+id+`", "status": "approved", "to": "+1******0123", "channel": "whatsapp", "purpose": "login",
				"expires_at": "2026-03-01T12:10:00Z", "approved_at": "2026-03-01T12:00:00Z", "sends_left": 0, "checks_left": 0,
				"delivery": {"status": "queued", "attempts": [{"channel": "whatsapp", "at": "2026-03-01T12:00:00Z", "status": "queued"}]}}`)
			wantEqual(t, "messages", r.Sent(), 1)
		})
	}
}

// script writes the digits of a code in another script, which begins at zero.
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
		r := newRig(t).noPause()
		r.post("/api/otpsend", object("to", alice, "purpose", "payment")).want(201)
		code := r.sender.Last().Code
		r.start(alice) // another purpose
		res := r.post("/api/otpverify", object("to", "+1 415-555-0123", "purpose", "payment", "code", write(code))).want(200)
		wantEqual(t, "purpose", res.text("purpose"), "payment")
	}
}

func TestContextIsShownAndBound(t *testing.T) {
	const start = `{"to": "+14155550123", "context": {"amount": "EUR 25.00", "payee": "Acme"}}`
	check := func(id, code, context string) string {
		return `{"id": "` + id + `", "code": "` + code + `"` + context + `}`
	}
	r := newRig(t)
	id := r.post("/api/otpsend", start).want(201).text("id")
	m := r.sender.Last()
	if m.Amount != "EUR 25.00" || m.Payee != "Acme" {
		t.Errorf("the sender was given %+v", m)
	}
	for _, context := range []string{
		``, `, "context": {}`, `, "context": {"amount": "EUR 25.00"}`, `, "context": {"payee": "Acme"}`,
	} {
		r.post("/api/otpverify", check(id, m.Code, context)).problem(422, problem.WrongCode)
	}
	r.post("/api/otpverify", check(id, m.Code, `, "context": {"payee": "Acme", "amount": "EUR 25.00"}`)).want(200)

	// The same fields as a form.
	r = newRig(t)
	id = r.postForm("/api/otpsend", form("to", alice, "context.amount", "EUR 25.00", "context.payee", "Acme")).want(201).text("id")
	m = r.sender.Last()
	r.postForm("/api/otpverify", form("id", id, "code", m.Code, "context.amount", "EUR 25.01", "context.payee", "Acme")).problem(422, problem.WrongCode)
	r.postForm("/api/otpverify", form("id", id, "code", m.Code, "context.amount", "EUR 25.00", "context.payee", "Acme")).want(200)
}

// No byte of the answer may tell which part of a check was wrong.
func TestAWrongContextIsAnsweredAsAWrongCode(t *testing.T) {
	answer := func(code func(string) string, context string) *response {
		r := newRig(t)
		id := r.post("/api/otpsend", `{"to": "+14155550123", "context": {"amount": "1"}}`).want(201).text("id")
		res := r.do("POST", "/api/otpverify", typeJSON, `{"id": "`+id+`", "code": "`+code(r.sender.Last().Code)+`", "context": {"amount": "`+context+`"}}`,
			"x-ms-invocation-id", "00000000-0000-0000-0000-000000000001")
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

func TestResendSendsTheSameCodeAndKeepsTheDeadline(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	r.Advance(30 * time.Second)
	res := r.do("POST", "/api/otpsend/"+id, "", "").want(200) // the body is optional
	wantBody(t, res, `{"id": "`+id+`", "status": "pending", "to": "+1******0123", "channel": "whatsapp", "purpose": "login",
		"expires_at": "2026-03-01T12:10:00Z", "resend_after": "2026-03-01T12:01:00Z", "sends_left": 3, "checks_left": 5}`)
	if m := r.sender.Last(); m.Code != code || m.ValidFor != 9*time.Minute+30*time.Second || r.Sent() != 2 {
		t.Errorf("the sender was given %+v as message %d; the code was %s", m, r.Sent(), code)
	}
	r.Advance(30 * time.Second)
	r.post("/api/otpsend/"+id, `{"channel": "whatsapp"}`).want(200)
	r.Advance(30 * time.Second)
	r.post("/api/otpsend/"+id, `{}`).want(200)
	if m := r.sender.Last(); m.Code != code || r.Sent() != 4 {
		t.Errorf("message %d has the code %s, want %s", r.Sent(), m.Code, code)
	}
}

func TestCancelEndsTheCodeAndMayBeRepeated(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	for range 2 {
		res := r.delete("/api/otpsend/" + id).want(200)
		wantBody(t, res, `{"id": "`+id+`", "status": "canceled", "to": "+1******0123", "channel": "whatsapp", "purpose": "login",
			"expires_at": "2026-03-01T12:10:00Z", "sends_left": 0, "checks_left": 0}`)
	}
	r.check(id, code).problem(410, problem.Canceled)
}

func TestCancelDoesNotUndoAnApproval(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	r.check(id, code).want(200)
	r.delete("/api/otpsend/"+id).problem(409, problem.AlreadyUsed)
	wantEqual(t, "status", r.get("/api/otpsend/"+id).want(200).text("status"), "approved")
}

func TestStatusChangesNothing(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	r.check(id, wrong(code)).problem(422, problem.WrongCode)
	before := fmt.Sprint(r.rows())
	for range 10 {
		res := r.get("/api/otpsend/" + id).want(200)
		if res.text("status") != "pending" || res.number("checks_left") != 4 || res.number("sends_left") != 4 {
			t.Errorf("status: %s", res.body)
		}
	}
	wantEqual(t, "rows", fmt.Sprint(r.rows()), before)
}

// The host matches the first two segments of a path in any case, and with a slash
// at the end. It forwards the path as the client wrote it.
func TestRoutesAreMatchedAsTheHostMatchesThem(t *testing.T) {
	r := newRig(t).noPause()
	for _, path := range []string{"/api/otpsend", "/API/OtpSend", "/api/otpsend/", "/Api/OTPSEND/", "/api/otpsend?code=functionkey"} {
		id := r.post(path, object("to", alice)).want(201).text("id")
		code := r.sender.Last().Code
		r.get("/API/OTPSEND/" + id).want(200)
		r.get("/api/otpsend/" + id + "/").want(200)
		r.post("/aPi/oTpVeRiFy/", object("id", id, "code", wrong(code))).problem(422, problem.WrongCode)
		r.post("/API/otpverify", object("id", id, "code", code)).want(200)
		r.Advance(11 * time.Minute) // the limit on messages counts 10 minutes
	}
	r.get("/api/otpsend/ve"+strings.Repeat("0", 32)).problem(400, problem.InvalidRequest).wantFields("id")
	r.get("/api/otpsend/VE"+strings.Repeat("A", 32)).problem(400, problem.InvalidRequest).wantFields("id")
}

// Each unknown path is answered with 404. A path that is not clean is not
// redirected.
func TestUnknownPathsAreNotFound(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{
		"/api", "/api/", "/api/otp", "/api/otpsend/a/b", "/api/otpverify/x", "/purge/x", "/verify",
		"//api/otpsend", "/api//otpsend", "/api/./otpsend", "/api/x/../otpsend", "/api/otpsend//", "/api%2Fotpsend/x/y", "/%2e%2e/api/otpsend",
		"/admin/host/status", "/favicon.ico",
	} {
		for _, method := range []string{"GET", "POST", "PROPFIND"} {
			r.do(method, path, typeJSON, object("to", alice)).problem(404, problem.NotFound)
		}
	}
	wantEqual(t, "messages and rows", r.Sent()+len(r.rows()), 0)
}

func TestReadinessTouchesNothingAndIsNotLogged(t *testing.T) {
	r := newRig(t)
	r.panicStore("the store was touched")
	r.get("/").want(200)
	wantEqual(t, "the log", r.log.String(), "")
	r.do("POST", "/", typeJSON, "{}").problem(405, problem.MethodNotAllowed)
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	r := newRig(t)
	id, _ := r.start(alice)
	server := httptest.NewServer(r.handler)
	defer server.Close()
	for path, want := range map[string]int{"/": 200, "/api/otpsend/" + id: 200, "/api/otpverify": 405, "/nowhere": 404} {
		res, err := http.Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		wantEqual(t, "HEAD "+path, res.StatusCode, want)
	}
}
