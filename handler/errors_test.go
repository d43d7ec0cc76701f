package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"twofa/handler"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/store"
)

// wire is the error table as clients were promised it.
var wire = map[problem.Kind]int{
	"invalid_request":        400,
	"wrong_code":             422,
	"not_found":              404,
	"already_used":           409,
	"not_yet_approved":       409,
	"idempotency_conflict":   409,
	"precondition_failed":    412,
	"forbidden":              403,
	"expired":                410,
	"canceled":               410,
	"denied":                 410,
	"too_many_checks":        429,
	"too_many_sends":         429,
	"resend_too_soon":        429,
	"destination_refused":    403,
	"undeliverable":          422,
	"provider_unavailable":   502,
	"provider_misconfigured": 502,
	"storage_unavailable":    503,
	"payload_too_large":      413,
	"unsupported_media_type": 415,
	"method_not_allowed":     405,
	"internal":               500,
}

// A kind that the domain knows and the edge does not would be answered as an
// internal error.
func TestEveryKindOfTheDomainHasItsStatus(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../internal/problem/problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	domain := make(map[problem.Kind]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || fmt.Sprint(spec.Type) != "Kind" {
			return true
		}
		for _, value := range spec.Values {
			text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			domain[problem.Kind(text)] = true
		}
		return true
	})
	table := handler.StatusOf()
	for kind, want := range wire {
		if table[kind] != want || !domain[kind] {
			t.Errorf("%s: status %d, want %d; in the domain: %t", kind, table[kind], want, domain[kind])
		}
	}
	if len(domain) != len(wire) || len(table) != len(wire) {
		t.Errorf("%d kinds in the domain, %d statuses, %d documented", len(domain), len(table), len(wire))
	}
}

// A problemCase reaches one row of the error table through the real router.
type problemCase struct {
	name string
	kind problem.Kind
	ask  func(*testing.T) (*service, *response)

	detail     string // a part of what mends it
	checksLeft int    // -1: none
	retryAfter int    // seconds; 0: none
	id         bool   // the answer names the verification
	allow      string
}

// problemCases is every row, some of them in more than one way.
var problemCases = []problemCase{
	{name: "not JSON", kind: problem.InvalidRequest, checksLeft: -1, detail: "one object", ask: asking("POST", "/api/otpsend", typeJSON, `{"to": "`)},
	{name: "bad fields", kind: problem.InvalidRequest, checksLeft: -1, detail: "errors", ask: asking("POST", "/api/otpsend", typeJSON, `{}`)},
	{name: "the provider knows no such number", kind: problem.InvalidRequest, checksLeft: -1, detail: "errors", id: true,
		ask: sending(&notify.Failure{Reason: notify.InvalidAddress})},
	{name: "wrong code", kind: problem.WrongCode, checksLeft: 4, detail: "not right", ask: func(t *testing.T) (*service, *response) {
		s := newService(t)
		id, code := s.start(alice)
		return s, s.check(id, wrong(code))
	}},
	{name: "the last wrong code", kind: problem.WrongCode, checksLeft: 0, detail: "not right", ask: func(t *testing.T) (*service, *response) {
		s := newService(t)
		id, code := s.start(alice)
		for range 4 {
			s.check(id, wrong(code)).problem(422, problem.WrongCode)
		}
		return s, s.check(id, wrong(code))
	}},
	{name: "no such id", kind: problem.NotFound, checksLeft: -1, detail: "no such verification", ask: asking("GET", "/api/otpsend/VE0123456789abcdef0123456789abcdef", "", "")},
	{name: "no such id to check", kind: problem.NotFound, checksLeft: -1, detail: "no such verification",
		ask: asking("POST", "/api/otpverify", typeJSON, `{"id": "VE0123456789abcdef0123456789abcdef", "code": "123456"}`)},
	{name: "no verification of the address", kind: problem.NotFound, checksLeft: -1, detail: "no such verification",
		ask: asking("POST", "/api/otpverify", typeJSON, `{"to": "+14155550123", "code": "123456"}`)},
	{name: "no verification of the purpose", kind: problem.NotFound, checksLeft: -1, detail: "no such verification", ask: func(t *testing.T) (*service, *response) {
		s := newService(t)
		_, code := s.start(alice)
		return s, s.post("/api/otpverify", object("to", alice, "purpose", "payment", "code", code))
	}},
	{name: "no such path", kind: problem.NotFound, checksLeft: -1, detail: "/api/otpsend", ask: asking("GET", "/api/otp-send", "", "")},
	{name: "used", kind: problem.AlreadyUsed, checksLeft: -1, detail: "works once", ask: ended(func(s *service, id, code string) { s.check(id, code).want(200) })},
	{name: "the person has not written", kind: problem.NotYetApproved, checksLeft: -1, retryAfter: 2, detail: "has not come", ask: func(t *testing.T) (*service, *response) {
		s := newService(t)
		id := s.post("/api/otpsend", object("to", alice, "channel", "inbound")).want(201).text("id")
		return s, s.post("/api/otpverify", object("id", id))
	}},
	{name: "another request with the key", kind: problem.IdempotencyConflict, checksLeft: -1, detail: "new key", ask: func(t *testing.T) (*service, *response) {
		s := newService(t)
		s.do("POST", "/api/otpsend", typeJSON, object("to", alice), "Idempotency-Key", "k").want(201)
		return s, s.do("POST", "/api/otpsend", typeJSON, object("to", alice, "purpose", "payment"), "Idempotency-Key", "k")
	}},
	{name: "another state of the user", kind: problem.PreconditionFailed, checksLeft: -1, detail: "read the user again", ask: func(t *testing.T) (*service, *response) {
		s := newService(t)
		s.do("PUT", "/api/users/alice", typeJSON, object("phone", alice)).want(201)
		return s, s.do("PUT", "/api/users/alice", typeJSON, object("phone", bob), "If-Match", `"0123456789abcdef"`)
	}},
	{name: "an unsigned callback", kind: problem.Forbidden, checksLeft: -1, detail: "TWOFA_PUBLIC_URL", ask: asking("POST", "/hooks/twilio/status", typeForm, "MessageStatus=delivered")},
	{name: "no such user", kind: problem.NotFound, checksLeft: -1, detail: "no user", ask: asking("POST", "/api/otpsend", typeJSON, `{"user": "nobody"}`)},
	{name: "expired", kind: problem.Expired, checksLeft: -1, detail: "Start a new", ask: ended(func(s *service, id, code string) { s.clock.advance(10 * time.Minute) })},
	{name: "canceled", kind: problem.Canceled, checksLeft: -1, detail: "Start a new", ask: ended(func(s *service, id, code string) { s.do("DELETE", "/api/otpsend/"+id, "", "").want(200) })},
	{name: "replaced", kind: problem.Canceled, checksLeft: -1, detail: "Start a new", ask: ended(func(s *service, id, code string) {
		s.clock.advance(time.Minute)
		s.start(alice)
	})},
	{name: "denied", kind: problem.Denied, checksLeft: -1, detail: "not them", ask: ended(func(s *service, id, code string) {
		s.edit(alice, func(r *otp.Recipient) {
			r.Verifications[0].Status, r.Verifications[0].EndedAt = otp.Denied, s.clock.Now()
		})
	})},
	{name: "undeliverable before", kind: problem.Undeliverable, checksLeft: -1, detail: "could not be delivered", ask: ended(func(s *service, id, code string) {
		s.edit(alice, func(r *otp.Recipient) {
			r.Verifications[0].Status, r.Verifications[0].EndedAt = otp.Undeliverable, s.clock.Now()
		})
	})},
	{name: "checks spent", kind: problem.TooManyChecks, checksLeft: 0, detail: "Start a new", ask: ended(func(s *service, id, code string) {
		for range 5 {
			s.check(id, wrong(code)).problem(422, problem.WrongCode)
		}
	})},
	{name: "too many failures of the address", kind: problem.TooManyChecks, checksLeft: 0, retryAfter: 24*60*60 - 60, detail: "24 hours", ask: failedTenTimes(func(s *service, id, code string) *response {
		return s.check(id, code)
	})},
	{name: "too many failures for another message", kind: problem.TooManyChecks, checksLeft: 0, retryAfter: 24*60*60 - 60, detail: "new code does not help", ask: failedTenTimes(func(s *service, id, code string) *response {
		return s.post("/api/otpsend", object("to", alice))
	})},
	{name: "too many messages in 10 minutes", kind: problem.TooManySends, checksLeft: -1, retryAfter: 7 * 60, detail: "10 minutes", ask: func(t *testing.T) (*service, *response) {
		s := newService(t, noPause)
		for range 5 {
			s.start(alice)
		}
		s.clock.advance(3 * time.Minute)
		return s, s.post("/api/otpsend", object("to", alice))
	}},
	{name: "too many messages in 24 hours", kind: problem.TooManySends, checksLeft: -1, retryAfter: 24*60*60 - 20*30*60, detail: "24 hours", ask: func(t *testing.T) (*service, *response) {
		s := newService(t)
		for range 20 {
			s.start(alice)
			s.clock.advance(30 * time.Minute)
		}
		return s, s.post("/api/otpsend", object("to", alice))
	}},
	{name: "too many purposes", kind: problem.TooManySends, checksLeft: -1, retryAfter: 10 * 60, detail: "4 other purposes", ask: func(t *testing.T) (*service, *response) {
		s := newService(t, noPause)
		for _, purpose := range []string{"a", "b", "c", "d"} {
			s.post("/api/otpsend", object("to", alice, "purpose", purpose)).want(201)
		}
		return s, s.post("/api/otpsend", object("to", alice, "purpose", "e"))
	}},
	{name: "too soon to start", kind: problem.ResendTooSoon, checksLeft: -1, retryAfter: 21, detail: "Give it time", ask: func(t *testing.T) (*service, *response) {
		s := newService(t)
		s.start(alice)
		s.clock.advance(9*time.Second + time.Millisecond) // 20.999 s to go, rounded up
		return s, s.post("/api/otpsend", object("to", alice, "purpose", "payment"))
	}},
	{name: "too soon to resend", kind: problem.ResendTooSoon, checksLeft: -1, retryAfter: 1, detail: "Give it time", ask: func(t *testing.T) (*service, *response) {
		s := newService(t)
		id, _ := s.start(alice)
		s.clock.advance(30*time.Second - time.Millisecond)
		return s, s.do("POST", "/api/otpsend/"+id, "", "")
	}},
	{name: "premium rate", kind: problem.DestinationRefused, checksLeft: -1, detail: "cost extra", ask: asking("POST", "/api/otpsend", typeJSON, `{"to": "+19005550123"}`)},
	{name: "country", kind: problem.DestinationRefused, checksLeft: -1, detail: "(FR)", ask: asking("POST", "/api/otpsend", typeJSON, `{"to": "+33612345678"}`)},
	{name: "the provider blocks the address", kind: problem.DestinationRefused, checksLeft: -1, retryAfter: 3600, detail: "blocks", id: true, ask: sending(&notify.Failure{Reason: notify.Refused})},
	{name: "the provider cannot reach the address", kind: problem.Undeliverable, checksLeft: -1, detail: "over any channel", id: true, ask: sending(&notify.Failure{Reason: notify.Undeliverable})},
	{name: "the provider refuses our settings", kind: problem.ProviderMisconfigured, checksLeft: -1, detail: "operator's log", id: true,
		ask: sending(&notify.Failure{Reason: notify.Misconfigured, Setting: "TWILIO_AUTH_TOKEN"})},
	{name: "the provider did not take it", kind: problem.ProviderUnavailable, checksLeft: -1, retryAfter: 30, detail: "did not take", id: true, ask: sending(&notify.Failure{Reason: notify.Unavailable})},
	{name: "the provider asks for a pause", kind: problem.ProviderUnavailable, checksLeft: -1, retryAfter: 91, detail: "did not take", id: true,
		ask: sending(&notify.Failure{Reason: notify.Unavailable, RetryAfter: 90*time.Second + 1})},
	{name: "the provider did not confirm", kind: problem.ProviderUnavailable, checksLeft: -1, retryAfter: 30, detail: "may arrive", id: true,
		ask: sending(fmt.Errorf("%w: %w", &notify.Failure{Reason: notify.Unavailable, MayHaveSent: true}, context.DeadlineExceeded))},
	{name: "a sender outside of its contract", kind: problem.ProviderUnavailable, checksLeft: -1, retryAfter: 30, id: true, ask: sending(errors.New("what"))},
	{name: "a reason that is not known", kind: problem.ProviderUnavailable, checksLeft: -1, retryAfter: 30, id: true, ask: sending(&notify.Failure{Reason: 99})},
	{name: "storage at the start", kind: problem.StorageUnavailable, checksLeft: -1, retryAfter: 2, detail: "try again",
		ask: broken(errStore, func(s *service, id, code string) *response { return s.post("/api/otpsend", object("to", bob)) })},
	{name: "storage at the check", kind: problem.StorageUnavailable, checksLeft: -1, retryAfter: 2, detail: "Nothing was approved",
		ask: broken(errStore, func(s *service, id, code string) *response { return s.check(id, code) })},
	{name: "storage at the resend", kind: problem.StorageUnavailable, checksLeft: -1, retryAfter: 2, detail: "try again",
		ask: broken(errStore, func(s *service, id, code string) *response { return s.do("POST", "/api/otpsend/"+id, "", "") })},
	{name: "storage at the status", kind: problem.StorageUnavailable, checksLeft: -1, retryAfter: 2, detail: "try again",
		ask: broken(errStore, func(s *service, id, code string) *response { return s.do("GET", "/api/otpsend/"+id, "", "") })},
	{name: "storage at the cancel", kind: problem.StorageUnavailable, checksLeft: -1, retryAfter: 2, detail: "try again",
		ask: broken(errStore, func(s *service, id, code string) *response { return s.do("DELETE", "/api/otpsend/"+id, "", "") })},
	{name: "storage at the purge", kind: problem.StorageUnavailable, checksLeft: -1, retryAfter: 60, detail: "goes on",
		ask: broken(errStore, func(s *service, id, code string) *response { return s.post("/purge", `{}`) })},
	{name: "a store outside of its contract", kind: problem.Internal, checksLeft: -1, detail: "request id",
		ask: broken(errors.New("what"), func(s *service, id, code string) *response { return s.check(id, code) })},
	{name: "our own mistake in the store's use", kind: problem.Internal, checksLeft: -1, detail: "request id",
		ask: broken(store.ErrInvalid, func(s *service, id, code string) *response { return s.post("/api/otpsend", object("to", bob)) })},
	{name: "a row of two addresses", kind: problem.Internal, checksLeft: -1, detail: "request id", ask: func(t *testing.T) (*service, *response) {
		s := newService(t, noPause)
		s.start(alice)
		s.edit(alice, func(r *otp.Recipient) { r.Address = bob })
		return s, s.post("/api/otpsend", object("to", alice))
	}},
	{name: "a panic", kind: problem.Internal, checksLeft: -1, detail: "request id", ask: func(t *testing.T) (*service, *response) {
		s := newService(t)
		s.sender.answer = func(context.Context, notify.Message) error { panic("what") }
		return s, s.post("/api/otpsend", object("to", alice))
	}},
	{name: "a body over 16 KiB", kind: problem.PayloadTooLarge, checksLeft: -1, detail: "16 KiB", ask: asking("POST", "/api/otpsend", typeJSON, strings.Repeat(" ", handler.MaxBody+1))},
	{name: "no content type", kind: problem.UnsupportedMediaType, checksLeft: -1, detail: "Send Content-Type: application/json", ask: asking("POST", "/api/otpverify", "", "{}")},
	{name: "a method that a path does not have", kind: problem.MethodNotAllowed, checksLeft: -1, detail: "POST", allow: "POST", ask: asking("GET", "/api/otpverify", "", "")},
	{name: "a method that an id does not have", kind: problem.MethodNotAllowed, checksLeft: -1, detail: "DELETE, GET, HEAD, POST", allow: "DELETE, GET, HEAD, POST",
		ask: asking("PUT", "/api/otpsend/VE0123456789abcdef0123456789abcdef", typeJSON, "{}")},
}

func asking(method, path, contentType, body string) func(*testing.T) (*service, *response) {
	return func(t *testing.T) (*service, *response) {
		s := newService(t)
		return s, s.do(method, path, contentType, body)
	}
}

// sending starts a verification whose message the provider does not take.
func sending(failure error) func(*testing.T) (*service, *response) {
	return func(t *testing.T) (*service, *response) {
		s := newService(t)
		s.sender.fail(failure)
		return s, s.post("/api/otpsend", object("to", alice))
	}
}

// ended checks the right code of a verification that has ended.
func ended(end func(s *service, id, code string)) func(*testing.T) (*service, *response) {
	return func(t *testing.T) (*service, *response) {
		s := newService(t)
		id, code := s.start(alice)
		end(s, id, code)
		return s, s.check(id, code)
	}
}

// failedTenTimes asks a minute after the address's daily failures were spent,
// with a third verification pending.
func failedTenTimes(ask func(s *service, id, code string) *response) func(*testing.T) (*service, *response) {
	return func(t *testing.T) (*service, *response) {
		s := newService(t, noPause, func(p *otp.Policy) { p.MaxChecks = 10 })
		id, code := s.start(alice)
		pending := s.post("/api/otpsend", object("to", alice, "purpose", "payment")).want(201).text("id")
		right := s.sender.last().Code
		for range 10 {
			s.check(id, wrong(code)).problem(422, problem.WrongCode)
		}
		s.clock.advance(time.Minute)
		return s, ask(s, pending, right)
	}
}

// broken asks with a store that fails.
func broken(fault error, ask func(s *service, id, code string) *response) func(*testing.T) (*service, *response) {
	return func(t *testing.T) (*service, *response) {
		s := newService(t, noPause)
		id, code := s.start(alice)
		s.table.before = func() error { return fault }
		return s, ask(s, id, code)
	}
}

func TestErrorTable(t *testing.T) {
	reached := make(map[problem.Kind]bool)
	for _, tc := range problemCases {
		reached[tc.kind] = true
		t.Run(string(tc.kind)+"/"+tc.name, func(t *testing.T) {
			s, res := tc.ask(t)
			res.problem(wire[tc.kind], tc.kind)
			if res.number("status") != res.status || res.text("title") == "" {
				t.Errorf("status or title: %s", res.body)
			}
			if detail := res.text("detail"); detail == "" || !strings.Contains(detail, tc.detail) {
				t.Errorf("detail %q, want something with %q", detail, tc.detail)
			}
			if got := res.number("checks_left"); got != tc.checksLeft {
				t.Errorf("checks_left %d, want %d", got, tc.checksLeft)
			}
			wantRetryAfter(t, res, tc.retryAfter)
			if got := res.header.Get("Allow"); got != tc.allow {
				t.Errorf("Allow %q, want %q", got, tc.allow)
			}
			if got := res.text("id"); (got != "") != tc.id || tc.id && !idShape.MatchString(got) {
				t.Errorf("id %q", got)
			}
			known := map[string]bool{"type": true, "title": true, "status": true, "detail": true, "checks_left": true, "retry_after": true, "errors": true, "id": true, "alerted": true}
			for name := range res.object() {
				if !known[name] {
					t.Errorf("an undocumented member %s: %s", name, res.body)
				}
			}
			if got := s.lastLine()["outcome"]; got != string(tc.kind) {
				t.Errorf("logged as %v", got)
			}
		})
	}
	for kind := range wire {
		if !reached[kind] {
			t.Errorf("no case reaches %s", kind)
		}
	}
}

// wantRetryAfter checks that body and header say the same, and what.
func wantRetryAfter(t *testing.T, res *response, want int) {
	t.Helper()
	header, member := res.header.Get("Retry-After"), res.number("retry_after")
	if want == 0 {
		if header != "" || member != -1 {
			t.Errorf("Retry-After %q, retry_after %d, want none", header, member)
		}
		return
	}
	if header != strconv.Itoa(want) || member != want {
		t.Errorf("Retry-After %q, retry_after %d, want %d", header, member, want)
	}
}

// What is said of a pause is true: the same request is taken after it, and not
// before.
func TestRetryAfterIsExact(t *testing.T) {
	for _, tc := range problemCases {
		if tc.kind != problem.TooManySends && tc.kind != problem.ResendTooSoon || tc.name == "too many purposes" {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			s, res := tc.ask(t)
			wait := time.Duration(res.number("retry_after")) * time.Second
			s.clock.advance(wait - time.Second)
			if again := s.post("/api/otpsend", object("to", alice)); again.status != 429 {
				t.Errorf("a second before: %d %s", again.status, again.body)
			}
			s.clock.advance(time.Second)
			s.post("/api/otpsend", object("to", alice)).want(201)
		})
	}
}

// The headers that every answer has, whatever it is.
func TestEveryAnswerHasItsHeaders(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	s.sender.answer = func(context.Context, notify.Message) error { panic("what") }
	ids := make(map[string]bool)
	for name, res := range map[string]*response{
		"ready":     s.do("GET", "/", "", ""),
		"unknown":   s.do("GET", "/x", "", ""),
		"not clean": s.do("POST", "/api//otpsend", "", ""),
		"method":    s.do("PATCH", "/api/otpsend", "", ""),
		"status":    s.do("GET", "/api/otpsend/"+id, "", ""),
		"refused":   s.check(id, wrong(code)),
		"approved":  s.check(id, code),
		"bad":       s.post("/api/otpsend", "?"),
		"panic":     s.post("/api/otpsend", object("to", bob)),
		"purge":     s.post("/purge", "{}"),
		"bad purge": s.post("/purge", "?"),
	} {
		want := typeJSON
		if res.status >= 400 {
			want = "application/problem+json"
		}
		if got := res.header.Get("Content-Type"); got != want {
			t.Errorf("%s: Content-Type %q, want %q", name, got, want)
		}
		if got := res.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", name, got)
		}
		if got := res.header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", name, got)
		}
		if got := res.header.Get("Content-Length"); got != strconv.Itoa(len(res.body)) {
			t.Errorf("%s: Content-Length %s for %d bytes", name, got, len(res.body))
		}
		if !json.Valid([]byte(res.body)) || !strings.HasSuffix(res.body, "}\n") {
			t.Errorf("%s: body %q", name, res.body)
		}
		requestID := res.header.Get("X-Request-Id")
		if requestID == "" || ids[requestID] {
			t.Errorf("%s: X-Request-Id %q is missing or not its own", name, requestID)
		}
		ids[requestID] = true
	}
}

// The host's invocation id ties our answer and log line to the host's own; a
// client's text must not get into either.
func TestRequestIDIsTheHostsInvocationID(t *testing.T) {
	s := newService(t)
	for id, taken := range map[string]bool{
		"5f6b2b8e-3a61-4d2a-9d0a-0f8d1c2b3a4d": true,
		"ABCDEF0123456789":                     true,
		strings.Repeat("a", 64):                true,
		strings.Repeat("a", 65):                false,
		"":                                     false,
		"a b":                                  false,
		"x\"},{\"":                             false,
		"ａ":                                    false,
	} {
		r := httptest.NewRequest("GET", "/nowhere", nil)
		r.Header["X-Azure-Functions-Invocationid"] = []string{id}
		got := s.serve(r).header.Get("X-Request-Id")
		if (got == id) != taken || got == "" {
			t.Errorf("id %q was answered as %q", id, got)
		}
		if s.lastLine()["request_id"] != got {
			t.Errorf("answered %q, logged %v", got, s.lastLine()["request_id"])
		}
	}
}

// Fail closed: while storage cannot say, nothing is approved, and what is
// written all the same is never approved a second time.
func TestALostAnswerOfTheStoreApprovesNothing(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	s.table.lost = true
	s.check(id, code).problem(503, problem.StorageUnavailable)
	s.table.lost = false
	s.check(id, code).problem(409, problem.AlreadyUsed)
}

func TestALostAnswerOfTheStoreSendsNothing(t *testing.T) {
	s := newService(t)
	s.table.lost = true
	s.post("/api/otpsend", object("to", alice)).problem(503, problem.StorageUnavailable)
	if n := s.sender.calls(); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

// A failure that was answered stays counted, even where the one before it was
// not answered.
func TestAFailureThatWasNotAnsweredIsNotForgiven(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	s.table.lost = true
	s.check(id, wrong(code)).problem(503, problem.StorageUnavailable)
	s.table.lost = false
	if got := s.check(id, wrong(code)).problem(422, problem.WrongCode).number("checks_left"); got != 3 {
		t.Errorf("checks_left %d, want 3", got)
	}
}

func TestExpiryIsExact(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	s.clock.advance(10*time.Minute - time.Nanosecond)
	s.check(id, wrong(code)).problem(422, problem.WrongCode) // looked at, so it still lives
	s.clock.advance(time.Nanosecond)
	s.check(id, code).problem(410, problem.Expired)
	s.clock.advance(-time.Minute) // a clock that steps back revives nothing
	s.check(id, code).problem(410, problem.Expired)
}
