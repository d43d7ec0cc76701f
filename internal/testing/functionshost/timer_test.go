package functionshost_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twofa/internal/testing/functionshost"
)

// reply is an environment that makes the handler give this answer to a timer.
func reply(status, contentType, body string) []string {
	return []string{storage, "TICK_STATUS=" + status, "TICK_TYPE=" + contentType, "TICK_BODY=" + body}
}

const goodReply = `{"Outputs": {}, "Logs": ["ten rows", "gone"], "ReturnValue": null}`

func TestTimerCall(t *testing.T) {
	t.Parallel()
	// The route prefix does not apply to timers.
	dir := newApp(t, files{"host.json": strings.Replace(hostJSON, `"routePrefix": ""`, `"routePrefix": "do"`, 1),
		"do/function.json": httpFunction("{*path}", "anonymous")})
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	h := start(t, functionshost.Options{Root: dir, Env: reply("200", "application/json", goodReply), Now: func() time.Time { return now }})
	type status struct{ Last, Next, LastUpdated string }
	for _, c := range []struct {
		name string
		functionshost.Timer
		want *status
	}{
		{"in time", functionshost.Timer{}, &status{"2026-05-04T02:02:01+00:00", "2026-05-04T04:02:01+00:00", "2026-05-04T02:02:01+00:00"}},
		{"no status", functionshost.Timer{NoStatus: true}, nil},
		{"past due", functionshost.Timer{PastDue: true, NoStatus: true}, nil},
		{"zoneless", functionshost.Timer{Zoneless: true}, &status{"0001-01-01T00:00:00", "2026-05-04T04:02:01", "0001-01-01T00:00:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := h.FireTimer(timeLimit(t), "tick", c.Timer); err != nil {
				t.Fatal(err)
			}
			_, text := call(t, http.MethodGet, h.URL()+"/do/ticks", nil, nil)
			got := decode[seen](t, text)
			if got.Method != http.MethodPost || got.URI != "/tick" || !got.Chunked {
				t.Errorf("called by %+v", got)
			}
			if h := got.Header; len(h) != 4 || h.Get("Content-Type") != "application/json; charset=utf-8" || h.Get("User-Agent") != "Azure-Functions-Host/4.1037.0.0" ||
				h.Get("X-Azure-Functions-HostVersion") != "4.1037.0.0" || len(h.Get("X-Azure-Functions-InvocationId")) != 36 {
				t.Errorf("headers %v", h)
			}
			envelope := decode[struct {
				Data map[string]struct {
					Schedule       struct{ AdjustForDST bool }
					ScheduleStatus *status
					IsPastDue      bool
				}
				Metadata struct {
					Sys struct{ MethodName, UtcNow, RandGuid string }
				}
			}](t, []byte(got.Body))
			// "clock" is the binding's name in function.json.
			timer, ok := envelope.Data["clock"]
			if !ok || !timer.Schedule.AdjustForDST || timer.IsPastDue != c.PastDue {
				t.Errorf("data in %s", got.Body)
			}
			if (timer.ScheduleStatus == nil) != (c.want == nil) || c.want != nil && *timer.ScheduleStatus != *c.want {
				t.Errorf("status %+v, want %+v", timer.ScheduleStatus, c.want)
			}
			sys := envelope.Metadata.Sys
			if sys.MethodName != "tick" || sys.UtcNow != "2026-05-04T03:02:01Z" || len(sys.RandGuid) != 36 {
				t.Errorf("metadata %+v", sys)
			}
		})
	}
	want := functionshost.Entry{Level: functionshost.Information, Stream: functionshost.Invocation, Text: "ten rows"}
	if got := awaitLine(t, h, "ten rows"); got != want {
		t.Errorf("logged %+v", got)
	}
}

func TestTimerReplies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		env  []string
		want string // part of the error, empty for none
	}{
		{"good", reply("200", "application/json; charset=utf-8", goodReply), ""},
		{"created", reply("201", "application/json", `{}`), ""},
		{"not 2xx", reply("500", "application/json", goodReply), "status is 500"},
		{"redirect", reply("302", "application/json", goodReply), "status is 302"},
		{"no JSON", reply("200", "application/json", "done"), "not the JSON object"},
		{"an array", reply("200", "application/json", "[]"), "not the JSON object"},
		{"a string", reply("200", "application/json", `"done"`), "not the JSON object"},
		{"logs that are not a list", reply("200", "application/json", `{"Logs": "done"}`), "not the JSON object"},
		{"two objects", reply("200", "application/json", `{} {}`), "not the JSON object"},
		{"text/json", reply("200", "text/json", `{}`), ""},
		{"guessed media type", reply("200", "", `{}`), "not JSON"},
		{"text/plain", reply("200", "text/plain", `{}`), "not JSON"},
		{"problem", reply("200", "application/problem+json", `{}`), "not JSON"},
		{"closed", reply("1", "", ""), "without an answer"},
		{"empty", reply("200", "application/json", ""), "hangs"},
		{"no content", reply("204", "", ""), "hangs"},
		{"blank", reply("200", "application/json", " \n"), "hangs"},
		{"null", reply("200", "application/json", " null\n"), "hangs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := functionshost.Options{Env: c.env}
			if c.want == "hangs" {
				o.FunctionTimeout = 1500 * time.Millisecond
			}
			h := startQuick(t, o)
			await(t, h, functionshost.Running)
			err := h.FireTimer(timeLimit(t), "tick", functionshost.Timer{})
			if c.want == "hangs" {
				awaitExits(t, h, 1)
				wantExits(t, h, 137)
				awaitLine(t, h, "exceeded functionTimeout")
				await(t, h, functionshost.Running)
			} else {
				wantExits(t, h)
			}
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, functionshost.ErrHangs) != (c.want == "hangs") {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			for _, e := range h.Logs() {
				if e.Stream == functionshost.Invocation {
					t.Errorf("Logs of a failed invocation were kept: %+v", e)
				}
			}
			if e := awaitLine(t, h, "(Failed)"); e.Level != functionshost.Error {
				t.Errorf("logged %+v", e)
			}
		})
	}
}

func TestUnknownTimer(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	for _, name := range []string{"echo", "unknown"} {
		err := h.FireTimer(timeLimit(t), name, functionshost.Timer{})
		if err == nil || !strings.Contains(err.Error(), "no such timer") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestTimerWaitsForTheHandler(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "gate")
	h := start(t, functionshost.Options{Env: append(reply("200", "application/json", goodReply), "HANDLER_GATE="+gate)})
	ctx := timeLimit(t)
	fired := make(chan error, 1)
	go func() { fired <- h.FireTimer(ctx, "tick", functionshost.Timer{}) }()
	select {
	case err := <-fired:
		t.Fatalf("fired before the handler was ready: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	touch(t, gate)
	if err := <-fired; err != nil {
		t.Error(err)
	}
}

func TestTimerTimeout(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "never")
	env := append(reply("200", "application/json", goodReply), "TICK_GATE="+gate)
	h := startQuick(t, functionshost.Options{Env: env, FunctionTimeout: 1500 * time.Millisecond})
	err := h.FireTimer(timeLimit(t), "tick", functionshost.Timer{})
	if err == nil || !strings.Contains(err.Error(), "exceeded functionTimeout") {
		t.Errorf("error %v", err)
	}
	h = start(t, functionshost.Options{Env: env})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := h.FireTimer(ctx, "tick", functionshost.Timer{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the error of the context", err)
	}
}
