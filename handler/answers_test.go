package handler_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"twofa/handler"
	"twofa/internal/notify"
	"twofa/internal/problem"
)

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	r.answer(func(context.Context, notify.Message) error { panic("what") })
	ids := make(map[string]bool)
	for name, res := range map[string]*response{
		"ready":     r.get("/"),
		"unknown":   r.get("/x"),
		"not clean": r.do("POST", "/api//otpsend", "", ""),
		"method":    r.do("PATCH", "/api/otpsend", "", ""),
		"status":    r.get("/api/otpsend/" + id),
		"refused":   r.check(id, wrong(code)),
		"approved":  r.check(id, code),
		"bad":       r.post("/api/otpsend", "?"),
		"panic":     r.post("/api/otpsend", object("to", bob)),
		"purge":     r.post("/purge", "{}"),
		"bad purge": r.post("/purge", "?"),
	} {
		want := typeJSON
		if res.status >= 400 {
			want = "application/problem+json"
		}
		for header, want := range map[string]string{
			"Content-Type": want, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Length": strconv.Itoa(len(res.body)),
		} {
			wantEqual(t, name+": "+header, res.header.Get(header), want)
		}
		if !json.Valid([]byte(res.body)) || !strings.HasSuffix(res.body, "}\n") {
			t.Errorf("%s: body %q", name, res.body)
		}
		requestID := res.header.Get("X-Request-Id")
		if requestID == "" || ids[requestID] {
			t.Errorf("%s: X-Request-Id %q is missing, or has come before", name, requestID)
		}
		ids[requestID] = true
	}
}

// The log and the answer have the id under which the host knows the request. A
// client cannot choose it, and none of the client's text gets into the log.
func TestRequestIDIsTheHostsInvocationID(t *testing.T) {
	const host, client = "5f6b2b8e-3a61-4d2a-9d0a-0f8d1c2b3a4d", "11111111-2222-3333-4444-555555555555"
	random := regexp.MustCompile("^[0-9a-f]{16}$")
	seen := make(map[string]bool)
	r := newRig(t)
	for _, tc := range []struct {
		lines []string
		want  string // "" for a random one
	}{
		{[]string{host}, host},
		{[]string{"ABCDEF0123456789"}, "ABCDEF0123456789"},
		{[]string{strings.Repeat("a", 64)}, strings.Repeat("a", 64)},
		{[]string{client + ", " + host}, ""},
		{nil, ""},
		{[]string{""}, ""},
		{[]string{strings.Repeat("a", 65)}, ""},
		{[]string{host + host}, ""},
		{[]string{"a b"}, ""},
		{[]string{"x\"},{\""}, ""},
		{[]string{"<script>"}, ""},
		{[]string{"ａ"}, ""},
	} {
		req := httptest.NewRequest("GET", "/nowhere", nil)
		req.Header["X-Ms-Invocation-Id"] = tc.lines
		got := r.serve(req).header.Get("X-Request-Id")
		if tc.want != "" && got != tc.want || tc.want == "" && !random.MatchString(got) || seen[got] && got != host {
			t.Errorf("%q: got %q, want %q", tc.lines, got, tc.want)
		}
		seen[got] = true
		wantEqual(t, "the logged id", r.lastLine()["request_id"], any(got))
	}

	// On its own, anybody can send the header.
	r.API.Guard = new(handler.Guard)
	r.handler = r.API.Handler()
	for _, name := range []string{"x-ms-invocation-id", "X-Azure-Functions-InvocationId"} {
		if got := r.do("GET", "http://localhost/nowhere", "", "", name, host).header.Get("X-Request-Id"); !random.MatchString(got) {
			t.Errorf("on its own, the service takes the id %s of a client", got)
		}
	}
}

// Fail closed: nothing is approved while the store does not answer. An approval
// that was stored all the same is not approved a second time.
func TestALostAnswerOfTheStoreApprovesNothing(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	r.loseAnswers()
	r.check(id, code).problem(503, problem.StorageUnavailable)
	r.Table.Break(nil)
	r.check(id, code).problem(409, problem.AlreadyUsed)
}

func TestALostAnswerOfTheStoreSendsNothing(t *testing.T) {
	r := newRig(t)
	r.loseAnswers()
	r.post("/api/otpsend", object("to", alice)).problem(503, problem.StorageUnavailable)
	wantEqual(t, "messages", r.Sent(), 0)
}

// A wrong code counts even if the store's answer to it was lost.
func TestAFailureThatWasNotAnsweredIsNotForgiven(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	r.loseAnswers()
	r.check(id, wrong(code)).problem(503, problem.StorageUnavailable)
	r.Table.Break(nil)
	wantEqual(t, "checks_left", r.check(id, wrong(code)).problem(422, problem.WrongCode).number("checks_left"), 3)
}

func TestExpiryIsExact(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	r.Advance(10*time.Minute - time.Nanosecond)
	r.check(id, wrong(code)).problem(422, problem.WrongCode) // WrongCode: it has not expired
	r.Advance(time.Nanosecond)
	r.check(id, code).problem(410, problem.Expired)
	r.Advance(-time.Minute) // a clock that steps back makes nothing valid again
	r.check(id, code).problem(410, problem.Expired)
}
