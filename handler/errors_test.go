package handler_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
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

// wire is the error table that clients rely on (docs/errors.md).
var wire = map[problem.Kind]int{
	"invalid_request":        400,
	"wrong_code":             422,
	"not_found":              404,
	"already_used":           409,
	"not_yet_approved":       409,
	"idempotency_conflict":   409,
	"precondition_failed":    412,
	"unauthorized":           401,
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
	"too_many_changes":       429,
	"busy":                   503,
	"storage_unavailable":    503,
	"payload_too_large":      413,
	"unsupported_media_type": 415,
	"method_not_allowed":     405,
	"internal":               500,
}

// A kind without a status would be answered as an internal error.
func TestEveryKindHasItsStatus(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../internal/problem/problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[problem.Kind]bool)
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
			kinds[problem.Kind(text)] = true
		}
		return true
	})
	table := handler.StatusOf()
	for kind, want := range wire {
		if table[kind] != want || !kinds[kind] {
			t.Errorf("%s: status %d, want %d; in internal/problem: %t", kind, table[kind], want, kinds[kind])
		}
	}
	if len(kinds) != len(wire) || len(table) != len(wire) {
		t.Errorf("%d kinds in internal/problem, %d statuses, %d documented", len(kinds), len(table), len(wire))
	}
}

// A problemCase is a request whose answer is one row of the error table.
type problemCase struct {
	name string
	kind problem.Kind
	ask  func(*rig) *response

	detail     string // a part of the detail
	checksLeft *int   // nil: none
	retryAfter int    // seconds; 0: none
	id         bool   // the answer names the verification
	allow      string
}

// fullQueue takes all places in the queue of those who hash, and asks for one more.
func fullQueue(r *rig) *response {
	r.put("/api/users/alice", object("phone", alice)).want(201)
	for {
		place, err := r.API.Users.Hashing.Enter()
		if err != nil {
			break
		}
		defer place.Leave()
	}
	return r.post("/api/users/alice/recovery-codes", "")
}

// problemCases has each row of the table at least once.
var problemCases = []problemCase{
	{name: "not JSON", kind: problem.InvalidRequest, detail: "one object", ask: asking("POST", "/api/otpsend", typeJSON, `{"to": "`)},
	{name: "bad fields", kind: problem.InvalidRequest, detail: "to: Give to (a phone number", ask: asking("POST", "/api/otpsend", typeJSON, `{}`)},
	{name: "the provider does not know the number", kind: problem.InvalidRequest, detail: "to: The provider says that this is not a valid number.", id: true, ask: sending(&notify.Failure{Outcome: otp.OutcomeInvalidAddress})},
	{name: "all places in the queue are taken", kind: problem.Busy, detail: "try again", retryAfter: 3, ask: fullQueue},
	{name: "the eleventh change of a day", kind: problem.TooManyChanges, detail: "24 hours", retryAfter: 86400, ask: func(r *rig) *response {
		r.put("/api/users/alice", object("email", "0@example.com")).want(201)
		for i := range 10 {
			r.put("/api/users/alice", object("email", fmt.Sprint(i+1, "@example.com"))).want(200)
		}
		return r.put("/api/users/alice", object("email", "11@example.com"))
	}},
	{name: "wrong code", kind: problem.WrongCode, checksLeft: new(4), detail: "not right", ask: func(r *rig) *response {
		id, code := r.start(alice)
		return r.check(id, wrong(code))
	}},
	{name: "the last wrong code", kind: problem.WrongCode, checksLeft: new(0), detail: "not right", ask: func(r *rig) *response {
		id, code := r.start(alice)
		for range 4 {
			r.check(id, wrong(code)).problem(422, problem.WrongCode)
		}
		return r.check(id, wrong(code))
	}},
	{name: "no such id", kind: problem.NotFound, detail: "no such verification", ask: asking("GET", "/api/otpsend/VE0123456789abcdef0123456789abcdef", "", "")},
	{name: "no such id to check", kind: problem.NotFound, detail: "no such verification",
		ask: asking("POST", "/api/otpverify", typeJSON, `{"id": "VE0123456789abcdef0123456789abcdef", "code": "123456"}`)},
	{name: "no verification of the address", kind: problem.NotFound, detail: "no such verification", ask: asking("POST", "/api/otpverify", typeJSON, `{"to": "+14155550123", "code": "123456"}`)},
	{name: "no verification of the purpose", kind: problem.NotFound, detail: "no such verification", ask: func(r *rig) *response {
		_, code := r.start(alice)
		return r.post("/api/otpverify", object("to", alice, "purpose", "payment", "code", code))
	}},
	{name: "no such path", kind: problem.NotFound, detail: "/api/otpsend", ask: asking("GET", "/api/otp-send", "", "")},
	{name: "used", kind: problem.AlreadyUsed, detail: "works once", ask: ended(func(r *rig, id, code string) { r.check(id, code).want(200) })},
	{name: "the person's message has not come", kind: problem.NotYetApproved, retryAfter: 2, detail: "has not arrived", ask: func(r *rig) *response {
		id := r.post("/api/otpsend", object("to", alice, "channel", "inbound")).want(201).text("id")
		return r.post("/api/otpverify", object("id", id))
	}},
	{name: "another request with the key", kind: problem.IdempotencyConflict, detail: "new key", ask: func(r *rig) *response {
		r.do("POST", "/api/otpsend", typeJSON, object("to", alice), "Idempotency-Key", "k").want(201)
		return r.do("POST", "/api/otpsend", typeJSON, object("to", alice, "purpose", "payment"), "Idempotency-Key", "k")
	}},
	{name: "the user has changed", kind: problem.PreconditionFailed, detail: "Read the user again", ask: func(r *rig) *response {
		r.put("/api/users/alice", object("phone", alice)).want(201)
		return r.put("/api/users/alice", object("phone", bob), "If-Match", `"0123456789abcdef"`)
	}},
	{name: "no credentials", kind: problem.Unauthorized, detail: "has none", ask: func(r *rig) *response { return r.withClients(entry("a", "send")).post("/api/otpsend", "{}") }},
	{name: "a wrong secret", kind: problem.Unauthorized, detail: "is not right. Send one Authorization header", ask: func(r *rig) *response {
		return r.withClients(entry("a", "send")).do("POST", "/api/otpsend", typeJSON, "{}", "Authorization", basic("a", "wrong"))
	}},
	{name: "out of scope", kind: problem.Forbidden, detail: "does not have the scope check", ask: func(r *rig) *response {
		return r.withClients(entry("a", "send")).as("a", "POST", "/api/otpverify", typeJSON, "{}")
	}},
	{name: "an unsigned callback", kind: problem.Forbidden, detail: "TWOFA_PUBLIC_URL", ask: asking("POST", "/hooks/twilio/status", typeForm, "MessageStatus=delivered")},
	{name: "no such user", kind: problem.NotFound, detail: "no user", ask: asking("POST", "/api/otpsend", typeJSON, `{"user": "nobody"}`)},
	{name: "expired", kind: problem.Expired, detail: "Start a new", ask: ended(func(r *rig, id, code string) { r.Advance(10 * time.Minute) })},
	{name: "canceled", kind: problem.Canceled, detail: "Start a new", ask: ended(func(r *rig, id, code string) { r.delete("/api/otpsend/" + id).want(200) })},
	{name: "replaced", kind: problem.Canceled, detail: "Start a new", ask: ended(func(r *rig, id, code string) {
		r.Advance(time.Minute)
		r.start(alice)
	})},
	{name: "denied", kind: problem.Denied, detail: "not them", ask: ended(setStatus(otp.Denied))},
	{name: "undeliverable before", kind: problem.Undeliverable, detail: "could not be delivered", ask: ended(setStatus(otp.Undeliverable))},
	{name: "checks spent", kind: problem.TooManyChecks, checksLeft: new(0), detail: "Start a new", ask: ended(func(r *rig, id, code string) {
		for range 5 {
			r.check(id, wrong(code)).problem(422, problem.WrongCode)
		}
	})},
	{name: "too many failures of the address", kind: problem.TooManyChecks, checksLeft: new(0), retryAfter: 24*60*60 - 60, detail: "24 hours",
		ask: failedTenTimes(func(r *rig, id, code string) *response { return r.check(id, code) })},
	{name: "too many failures for another message", kind: problem.TooManyChecks, checksLeft: new(0), retryAfter: 24*60*60 - 60, detail: "new code does not end the wait",
		ask: failedTenTimes(func(r *rig, id, code string) *response { return r.post("/api/otpsend", object("to", alice)) })},
	{name: "too many messages in 10 minutes", kind: problem.TooManySends, retryAfter: 7 * 60, detail: "10 minutes", ask: func(r *rig) *response {
		r.noPause()
		for range 5 {
			r.start(alice)
		}
		r.Advance(3 * time.Minute)
		return r.post("/api/otpsend", object("to", alice))
	}},
	{name: "too many messages in 24 hours", kind: problem.TooManySends, retryAfter: 24*60*60 - 20*30*60, detail: "24 hours", ask: func(r *rig) *response {
		for range 20 {
			r.start(alice)
			r.Advance(30 * time.Minute)
		}
		return r.post("/api/otpsend", object("to", alice))
	}},
	{name: "too many purposes", kind: problem.TooManySends, retryAfter: 10 * 60, detail: "4 other purposes", ask: func(r *rig) *response {
		r.noPause()
		for _, purpose := range []string{"a", "b", "c", "d"} {
			r.post("/api/otpsend", object("to", alice, "purpose", purpose)).want(201)
		}
		return r.post("/api/otpsend", object("to", alice, "purpose", "e"))
	}},
	{name: "too soon to start", kind: problem.ResendTooSoon, retryAfter: 21, detail: "Give it time", ask: func(r *rig) *response {
		r.start(alice)
		r.Advance(9*time.Second + time.Millisecond) // 20.999 s to go, rounded up
		return r.post("/api/otpsend", object("to", alice, "purpose", "payment"))
	}},
	{name: "too soon to resend", kind: problem.ResendTooSoon, retryAfter: 1, detail: "Give it time", ask: func(r *rig) *response {
		id, _ := r.start(alice)
		r.Advance(30*time.Second - time.Millisecond)
		return r.do("POST", "/api/otpsend/"+id, "", "")
	}},
	{name: "premium rate", kind: problem.DestinationRefused, detail: "cost extra", ask: asking("POST", "/api/otpsend", typeJSON, `{"to": "+19005550123"}`)},
	{name: "country", kind: problem.DestinationRefused, detail: "(FR)", ask: asking("POST", "/api/otpsend", typeJSON, `{"to": "+33612345678"}`)},
	{name: "the provider blocks the address", kind: problem.DestinationRefused, retryAfter: 3600, detail: "blocks", id: true, ask: sending(&notify.Failure{Outcome: otp.OutcomeRefused})},
	{name: "the provider cannot reach the address", kind: problem.Undeliverable, detail: "over any channel", id: true, ask: sending(&notify.Failure{Outcome: otp.OutcomeUndeliverable})},
	{name: "the provider refuses our settings", kind: problem.ProviderMisconfigured, detail: "log names the setting", id: true,
		ask: sending(&notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: "TWILIO_AUTH_TOKEN"})},
	{name: "the provider did not accept the message", kind: problem.ProviderUnavailable, retryAfter: 30, detail: "did not accept", id: true, ask: sending(&notify.Failure{Outcome: otp.OutcomeUnavailable})},
	{name: "the provider asks for a pause", kind: problem.ProviderUnavailable, retryAfter: 91, detail: "did not accept", id: true,
		ask: sending(&notify.Failure{Outcome: otp.OutcomeUnavailable, RetryAfter: 90*time.Second + 1})},
	{name: "the provider did not confirm", kind: problem.ProviderUnavailable, retryAfter: 30, detail: "may arrive", id: true,
		ask: sending(fmt.Errorf("%w: %w", &notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: true}, context.DeadlineExceeded))},
	{name: "a sender that breaks its contract", kind: problem.ProviderUnavailable, retryAfter: 30, id: true, ask: sending(errors.New("what"))},
	{name: "an unknown outcome", kind: problem.ProviderUnavailable, retryAfter: 30, id: true, ask: sending(&notify.Failure{Outcome: 99})},
	{name: "storage at the start", kind: problem.StorageUnavailable, retryAfter: 2, detail: "try again",
		ask: broken(errStoreDown, func(r *rig, id, code string) *response { return r.post("/api/otpsend", object("to", bob)) })},
	{name: "storage at the check", kind: problem.StorageUnavailable, retryAfter: 2, detail: "Nothing was approved",
		ask: broken(errStoreDown, func(r *rig, id, code string) *response { return r.check(id, code) })},
	{name: "storage at the resend", kind: problem.StorageUnavailable, retryAfter: 2, detail: "try again",
		ask: broken(errStoreDown, func(r *rig, id, code string) *response { return r.do("POST", "/api/otpsend/"+id, "", "") })},
	{name: "storage at the status", kind: problem.StorageUnavailable, retryAfter: 2, detail: "try again",
		ask: broken(errStoreDown, func(r *rig, id, code string) *response { return r.get("/api/otpsend/" + id) })},
	{name: "storage at the cancel", kind: problem.StorageUnavailable, retryAfter: 2, detail: "try again",
		ask: broken(errStoreDown, func(r *rig, id, code string) *response { return r.delete("/api/otpsend/" + id) })},
	{name: "storage at the purge", kind: problem.StorageUnavailable, retryAfter: 60, detail: "goes on", ask: broken(errStoreDown, func(r *rig, id, code string) *response { return r.post("/purge", `{}`) })},
	{name: "a store that breaks its contract", kind: problem.Internal, detail: "request id", ask: broken(errors.New("what"), func(r *rig, id, code string) *response { return r.check(id, code) })},
	{name: "a wrong use of the store", kind: problem.Internal, detail: "request id",
		ask: broken(store.ErrInvalid, func(r *rig, id, code string) *response { return r.post("/api/otpsend", object("to", bob)) })},
	{name: "a row of two addresses", kind: problem.Internal, detail: "request id", ask: func(r *rig) *response {
		r.noPause()
		r.start(alice)
		r.edit(alice, func(row *otp.Recipient) { row.Address = bob })
		return r.post("/api/otpsend", object("to", alice))
	}},
	{name: "a panic", kind: problem.Internal, detail: "request id", ask: func(r *rig) *response {
		r.answer(func(context.Context, notify.Message) error { panic("what") })
		return r.post("/api/otpsend", object("to", alice))
	}},
	{name: "a body over 16 KiB", kind: problem.PayloadTooLarge, detail: "16 KiB", ask: asking("POST", "/api/otpsend", typeJSON, strings.Repeat(" ", handler.MaxBody+1))},
	{name: "no content type", kind: problem.UnsupportedMediaType, detail: "Send Content-Type: application/json", ask: asking("POST", "/api/otpverify", "", "{}")},
	{name: "a method that a path does not have", kind: problem.MethodNotAllowed, detail: "POST", allow: "POST", ask: asking("GET", "/api/otpverify", "", "")},
	{name: "a method that an id does not have", kind: problem.MethodNotAllowed, detail: "DELETE, GET, HEAD, POST", allow: "DELETE, GET, HEAD, POST",
		ask: asking("PUT", "/api/otpsend/VE0123456789abcdef0123456789abcdef", typeJSON, "{}")},
}

func asking(method, path, contentType, body string) func(*rig) *response {
	return func(r *rig) *response { return r.do(method, path, contentType, body) }
}

// sending starts a verification whose message fails.
func sending(failure error) func(*rig) *response {
	return func(r *rig) *response {
		r.sender.Always(failure)
		return r.post("/api/otpsend", object("to", alice))
	}
}

// ended checks the right code of a verification that has ended.
func ended(end func(r *rig, id, code string)) func(*rig) *response {
	return func(r *rig) *response {
		id, code := r.start(alice)
		end(r, id, code)
		return r.check(id, code)
	}
}

func setStatus(status otp.Status) func(r *rig, id, code string) {
	return func(r *rig, id, code string) {
		r.edit(alice, func(row *otp.Recipient) {
			row.Verifications[0].Status, row.Verifications[0].EndedAt = status, r.Now()
		})
	}
}

// failedTenTimes asks with a second verification that is pending, one minute
// after the address has had all wrong codes of a day.
func failedTenTimes(ask func(r *rig, id, code string) *response) func(*rig) *response {
	return func(r *rig) *response {
		r.noPause().Policy(func(p *otp.Policy) { p.MaxChecks = 10 })
		id, code := r.start(alice)
		pending := r.post("/api/otpsend", object("to", alice, "purpose", "payment")).want(201).text("id")
		right := r.sender.Last().Code
		for range 10 {
			r.check(id, wrong(code)).problem(422, problem.WrongCode)
		}
		r.Advance(time.Minute)
		return ask(r, pending, right)
	}
}

// broken asks while the store fails, with a verification that is pending.
func broken(fault error, ask func(r *rig, id, code string) *response) func(*rig) *response {
	return func(r *rig) *response {
		r.noPause()
		id, code := r.start(alice)
		r.failStore(fault)
		return ask(r, id, code)
	}
}

func TestErrorTable(t *testing.T) {
	reached := make(map[problem.Kind]bool)
	for _, tc := range problemCases {
		reached[tc.kind] = true
		t.Run(string(tc.kind)+"/"+tc.name, func(t *testing.T) {
			r := newRig(t)
			res := tc.ask(r)
			res.problem(wire[tc.kind], tc.kind)
			if res.number("status") != res.status || res.text("title") == "" {
				t.Errorf("status or title: %s", res.body)
			}
			if detail := res.text("detail"); detail == "" || !strings.Contains(detail, tc.detail) {
				t.Errorf("detail %q, want something with %q", detail, tc.detail)
			}
			left := -1
			if tc.checksLeft != nil {
				left = *tc.checksLeft
			}
			wantEqual(t, "checks_left", res.number("checks_left"), left)
			wantRetryAfter(t, res, tc.retryAfter)
			wantEqual(t, "Allow", res.header.Get("Allow"), tc.allow)
			if got := res.text("id"); (got != "") != tc.id || tc.id && !idShape.MatchString(got) {
				t.Errorf("id %q", got)
			}
			known := map[string]bool{"type": true, "title": true, "status": true, "detail": true, "checks_left": true, "retry_after": true, "errors": true, "id": true, "alerted": true, "replaced": true}
			for name := range res.object() {
				if !known[name] {
					t.Errorf("an undocumented member %s: %s", name, res.body)
				}
			}
			wantEqual(t, "the logged outcome", r.lastLine()["outcome"], any(string(tc.kind)))
		})
	}
	for kind := range wire {
		if !reached[kind] {
			t.Errorf("no case reaches %s", kind)
		}
	}
}

// wantRetryAfter checks the header and the member of the body; 0: neither.
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

// The pause in an answer is exact: the same request succeeds after it, and not
// one second earlier.
func TestRetryAfterIsExact(t *testing.T) {
	for _, tc := range problemCases {
		if tc.kind != problem.TooManySends && tc.kind != problem.ResendTooSoon || tc.name == "too many purposes" {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			res := tc.ask(r)
			wait := time.Duration(res.number("retry_after")) * time.Second
			r.Advance(wait - time.Second)
			if again := r.post("/api/otpsend", object("to", alice)); again.status != 429 {
				t.Errorf("a second before: %d %s", again.status, again.body)
			}
			r.Advance(time.Second)
			r.post("/api/otpsend", object("to", alice)).want(201)
		})
	}
}
