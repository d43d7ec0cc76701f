package handler_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/handler"
	"twofa/internal/notify"
	"twofa/internal/problem"
	"twofa/internal/store"
)

// The client's patience is not ours: a message that is paid for is sent to the
// end, and its answer is there for whoever asks for the status.
func TestAClientThatHangsUpDoesNotCutOffASend(t *testing.T) {
	s := newService(t)
	ctx, hangUp := context.WithCancel(context.Background())
	s.sender.answer = func(sending context.Context, _ notify.Message) error {
		hangUp()
		if ctx.Err() == nil {
			t.Error("the client is still there")
		}
		return sending.Err()
	}
	r := httptest.NewRequest("POST", "/api/otpsend", strings.NewReader(object("to", alice))).WithContext(ctx)
	r.Header.Set("Content-Type", typeJSON)
	id := s.serve(r).want(201).text("id")

	// Nor does it leave a check half counted.
	gone := httptest.NewRequest("POST", "/api/otpverify", strings.NewReader(object("id", id, "code", wrong(s.sender.last().Code)))).WithContext(ctx)
	gone.Header.Set("Content-Type", typeJSON)
	s.serve(gone).problem(422, problem.WrongCode)
}

// deadlineTable notes the deadline that each call has.
type deadlineTable struct {
	store.Table
	seen *[]time.Time
}

func (d deadlineTable) note(ctx context.Context) {
	deadline, _ := ctx.Deadline()
	*d.seen = append(*d.seen, deadline)
}

func (d deadlineTable) Get(ctx context.Context, key store.Key) (store.Row, error) {
	d.note(ctx)
	return d.Table.Get(ctx, key)
}

func (d deadlineTable) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	d.note(ctx)
	return d.Table.Update(ctx, key, fn)
}

func TestEveryCallOfARequestHasItsDeadline(t *testing.T) {
	s := newService(t)
	var seen []time.Time
	s.table.Table = deadlineTable{s.table.Table, &seen}
	s.sender.answer = func(ctx context.Context, _ notify.Message) error {
		deadline, _ := ctx.Deadline()
		seen = append(seen, deadline)
		return nil
	}
	begun := time.Now()
	id, code := s.start(alice)
	s.check(id, wrong(code)).problem(422, problem.WrongCode)
	s.do("GET", "/api/otpsend/"+id, "", "").want(200)
	s.do("DELETE", "/api/otpsend/"+id, "", "").want(200)
	latest := time.Now().Add(handler.RequestTimeout)
	if len(seen) != 5 {
		t.Errorf("%d calls, want 5", len(seen))
	}
	for i, deadline := range seen {
		if deadline.Before(begun.Add(handler.RequestTimeout)) || deadline.After(latest) {
			t.Errorf("call %d has the deadline %v, want %v after the request", i, deadline, handler.RequestTimeout)
		}
	}
}

// The host ends an invocation at functionTimeout with a 500 of its own; the
// answer has to be ours.
func TestTheDeadlineIsWellBeforeTheHosts(t *testing.T) {
	text, err := os.ReadFile("../host.json")
	if err != nil {
		t.Fatal(err)
	}
	var host struct{ FunctionTimeout string }
	if err := json.Unmarshal(text, &host); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.TimeOnly, host.FunctionTimeout)
	if err != nil {
		t.Fatalf("functionTimeout %q: %v", host.FunctionTimeout, err)
	}
	limit := at.Sub(at.Truncate(24 * time.Hour))
	if handler.RequestTimeout+5*time.Second > limit {
		t.Errorf("a request may take %v, the host gives it %v", handler.RequestTimeout, limit)
	}
}

// What a request costs is a promise: in round trips to storage and in messages.
func TestCosts(t *testing.T) {
	s := newService(t, noPause)
	id, code := s.start(alice)
	other := s.post("/api/otpsend", object("to", alice, "purpose", "payment")).want(201).text("id")
	for _, tc := range []struct {
		name            string
		ask             func() *response
		status          int
		trips, messages int
	}{
		{"start", func() *response { return s.post("/api/otpsend", object("to", bob)) }, 201, 2, 1},
		{"start of a known address", func() *response { return s.post("/api/otpsend", object("to", bob)) }, 201, 2, 1},
		{"resend", func() *response { return s.do("POST", "/api/otpsend/"+id, "", "") }, 200, 2, 1},
		{"status", func() *response { return s.do("GET", "/api/otpsend/"+id, "", "") }, 200, 1, 0},
		{"wrong check", func() *response { return s.check(id, wrong(code)) }, 422, 2, 0},
		{"right check", func() *response { return s.check(id, code) }, 200, 2, 0},
		{"used check", func() *response { return s.check(id, code) }, 409, 1, 0},
		{"cancel", func() *response { return s.do("DELETE", "/api/otpsend/"+other, "", "") }, 200, 2, 0},
		{"cancel again", func() *response { return s.do("DELETE", "/api/otpsend/"+other, "", "") }, 200, 1, 0},
		{"unknown address", func() *response { return s.post("/api/otpverify", object("to", "+14155550199", "code", code)) }, 404, 1, 0},
		{"bad request", func() *response { return s.post("/api/otpsend", `{}`) }, 400, 0, 0},
		{"refused number", func() *response { return s.post("/api/otpsend", object("to", "+19005550123")) }, 403, 0, 0},
	} {
		before := s.sender.calls()
		if res := tc.ask(); res.status != tc.status {
			t.Fatalf("%s: %d %s", tc.name, res.status, res.body)
		}
		if got := s.lastLine()["storage_trips"]; got != float64(tc.trips) {
			t.Errorf("%s: %v storage trips, want %d", tc.name, got, tc.trips)
		}
		if got := s.sender.calls() - before; got != tc.messages {
			t.Errorf("%s: %d messages, want %d", tc.name, got, tc.messages)
		}
	}
}

func TestARequestIsOneLineOfTheLog(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	s.check(id, wrong(code))
	s.do("GET", "/api/otpsend/"+id, "", "")
	s.post("/api/otpverify", "?")
	s.table.before = func() error { return errStore }
	s.check(id, code)
	lines := s.lines()
	if len(lines) != 5 {
		t.Fatalf("%d lines for 5 requests", len(lines))
	}
	base := []string{"time", "level", "msg", "request_id", "function", "method", "status", "outcome", "ms", "storage_trips"}
	all := []string{"country", "to", "channel", "verification", "state"}
	for i, want := range []struct {
		more                     []string
		level, function, outcome string
	}{
		{all, "INFO", "otpsend", "ok"},
		{all, "INFO", "otpverify", "wrong_code"},
		{all, "INFO", "otpsend", "ok"},
		{nil, "INFO", "otpverify", "invalid_request"},
		{[]string{"error"}, "ERROR", "otpverify", "storage_unavailable"},
	} {
		line := lines[i]
		if line["level"] != want.level || line["function"] != want.function || line["outcome"] != want.outcome {
			t.Errorf("line %d: %v, want %s %s %s", i, line, want.level, want.function, want.outcome)
		}
		for name := range line {
			if !slices.Contains(base, name) && !slices.Contains(want.more, name) {
				t.Errorf("line %d says %s, which it should not: %v", i, name, line)
			}
		}
		for _, name := range append(slices.Clone(base), want.more...) {
			if _, ok := line[name]; !ok {
				t.Errorf("line %d does not say %s: %v", i, name, line)
			}
		}
	}
	for _, line := range lines[:3] {
		if line["country"] != "US" || line["channel"] != "whatsapp" || line["to"] != "+1******0123" || line["verification"] != id || line["state"] != "pending" {
			t.Errorf("logged %v", line)
		}
	}
}
