package handler_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/handler"
	"twofa/internal/app"
	"twofa/internal/deadline"
	"twofa/internal/notify"
	"twofa/internal/problem"
	"twofa/internal/store"
)

// A message that has begun is sent to its end, and the client can still ask for
// the verification's status.
func TestAClientThatHangsUpDoesNotCutOffASend(t *testing.T) {
	r := newRig(t)
	ctx, hangUp := context.WithCancel(context.Background())
	r.answer(func(sending context.Context, _ notify.Message) error {
		hangUp()
		if ctx.Err() == nil {
			t.Error("the client did not hang up")
		}
		return sending.Err()
	})
	req := httptest.NewRequest("POST", "/api/otpsend", strings.NewReader(object("to", alice))).WithContext(ctx)
	req.Header.Set("Content-Type", typeJSON)
	id := r.serve(req).want(201).text("id")

	// A check is counted as well.
	gone := httptest.NewRequest("POST", "/api/otpverify", strings.NewReader(object("id", id, "code", wrong(r.sender.Last().Code)))).WithContext(ctx)
	gone.Header.Set("Content-Type", typeJSON)
	r.serve(gone).problem(422, problem.WrongCode)
}

// deadlines are the deadlines of calls, in order.
type deadlines []time.Time

func (d *deadlines) add(ctx context.Context) {
	deadline, _ := ctx.Deadline()
	*d = append(*d, deadline)
}

// deadlineTable notes the deadline of each call.
type deadlineTable struct {
	store.Table
	seen *deadlines
}

func (d deadlineTable) Get(ctx context.Context, key store.Key) (store.Row, error) {
	d.seen.add(ctx)
	return d.Table.Get(ctx, key)
}

func (d deadlineTable) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	d.seen.add(ctx)
	return d.Table.Update(ctx, key, fn)
}

func (d deadlineTable) UpdateFrom(ctx context.Context, key store.Key, known store.Row, fn func([]byte) (store.Row, error)) error {
	d.seen.add(ctx)
	return d.Table.UpdateFrom(ctx, key, known, fn)
}

func TestEveryCallOfARequestHasItsDeadline(t *testing.T) {
	var seen deadlines
	r := newRig(t, func(p *app.Parts) { p.Table = deadlineTable{p.Table, &seen} })
	r.answer(func(ctx context.Context, _ notify.Message) error {
		seen.add(ctx)
		return nil
	})
	begun := time.Now()
	id, code := r.start(alice)
	r.check(id, wrong(code)).problem(422, problem.WrongCode)
	r.get("/api/otpsend/" + id).want(200)
	r.delete("/api/otpsend/" + id).want(200)
	ended := time.Now()
	wantEqual(t, "calls", len(seen), 5)
	for i, at := range seen {
		limit := handler.RequestTimeout
		if i < 2 { // of the start, which has to have ended when it no longer counts as under way
			limit = deadline.Sending
		}
		if at.Before(begun.Add(limit)) || at.After(ended.Add(limit)) {
			t.Errorf("call %d has the deadline %v, want %v after the request", i, at, limit)
		}
	}
}

// Each request has a fixed cost in storage round trips and messages.
func TestCosts(t *testing.T) {
	r := newRig(t).noPause()
	id, code := r.start(alice)
	other := r.post("/api/otpsend", object("to", alice, "purpose", "payment")).want(201).text("id")
	for _, tc := range []struct {
		name            string
		ask             func() *response
		status          int
		trips, messages int
	}{
		{"start", func() *response { return r.post("/api/otpsend", object("to", bob)) }, 201, 2, 1},
		{"start of a known address", func() *response { return r.post("/api/otpsend", object("to", bob)) }, 201, 2, 1},
		{"resend", func() *response { return r.do("POST", "/api/otpsend/"+id, "", "") }, 200, 2, 1},
		{"status", func() *response { return r.get("/api/otpsend/" + id) }, 200, 1, 0},
		{"wrong check", func() *response { return r.check(id, wrong(code)) }, 422, 2, 0},
		{"right check", func() *response { return r.check(id, code) }, 200, 2, 0},
		{"used check", func() *response { return r.check(id, code) }, 409, 1, 0},
		{"cancel", func() *response { return r.delete("/api/otpsend/" + other) }, 200, 2, 0},
		{"cancel again", func() *response { return r.delete("/api/otpsend/" + other) }, 200, 1, 0},
		{"unknown address", func() *response { return r.post("/api/otpverify", object("to", "+14155550199", "code", code)) }, 404, 1, 0},
		{"bad request", func() *response { return r.post("/api/otpsend", `{}`) }, 400, 0, 0},
		{"refused number", func() *response { return r.post("/api/otpsend", object("to", "+19005550123")) }, 403, 0, 0},
	} {
		before := r.Sent()
		if res := tc.ask(); res.status != tc.status {
			t.Fatalf("%s: %d %s", tc.name, res.status, res.body)
		}
		wantEqual(t, tc.name+": storage trips", r.lastLine()["trips"], any(float64(tc.trips)))
		wantEqual(t, tc.name+": messages", r.Sent()-before, tc.messages)
	}
}

func TestARequestIsOneLineOfTheLog(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	r.check(id, wrong(code))
	r.get("/api/otpsend/" + id)
	r.post("/api/otpverify", "?")
	r.failStore(errStoreDown)
	r.check(id, code)
	lines := r.lines()
	if len(lines) != 5 {
		t.Fatalf("%d lines for 5 requests", len(lines))
	}
	base := []string{"time", "level", "msg", "request_id", "function", "operation", "method", "status", "outcome", "ms", "trips", "version"}
	all := []string{"country", "to", "channel", "verification", "state", "purpose"}
	for i, want := range []struct {
		more                     []string
		level, function, outcome string
	}{
		{append([]string{"provider", "provider_ms", "sent"}, all...), "INFO", "otpsend", "ok"},
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
				t.Errorf("line %d must not have %s: %v", i, name, line)
			}
		}
		for _, name := range append(slices.Clone(base), want.more...) {
			if _, ok := line[name]; !ok {
				t.Errorf("line %d does not have %s: %v", i, name, line)
			}
		}
	}
	for _, line := range lines[:3] {
		wantEqual(t, "version", line["version"], any(app.Version()))
		if line["country"] != "US" || line["channel"] != "whatsapp" || line["to"] != "+1******0123" || line["verification"] != id || line["state"] != "pending" {
			t.Errorf("logged %v", line)
		}
	}
}
