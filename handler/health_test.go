package handler_test

import (
	"strings"
	"testing"
	"time"

	"twofa/handler"
	"twofa/internal/app"
	"twofa/internal/problem"
	testrig "twofa/internal/testing/rig"
)

func wantHealth(t *testing.T, res *response, status int, storage string) {
	t.Helper()
	wantBody(t, res.want(status), `{"version": "`+app.Version()+`", "storage": "`+storage+`"}`)
}

func TestHealthOverHTTP(t *testing.T) {
	t.Parallel()
	for where, guard := range map[string]*handler.Guard{"under the host": nil, "on its own": {Hosts: []string{"example.com"}}} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.API.Guard = guard
			r.handler = r.API.Handler()
			rows := len(r.rows())
			wantHealth(t, r.get("/health"), 200, "ok")
			wantHealth(t, r.get("/Health/"), 200, "ok")
			wantEqual(t, "HEAD", r.do("HEAD", "/health", "", "").status, 200)
			wantEqual(t, "lines for healthy answers", r.log.String(), "")

			r.failStore(errStoreDown)
			wantHealth(t, r.get("/health"), 200, "ok") // still known
			r.Advance(10 * time.Second)
			wantHealth(t, r.get("/health"), 503, "unavailable")
			wantHealth(t, r.get("/health"), 503, "unavailable")
			r.failStore(nil)
			r.Advance(10 * time.Second)
			wantHealth(t, r.get("/health"), 200, "ok")
			if lines := r.lines(); len(lines) != 2 || lines[0]["level"] != "ERROR" || lines[1]["level"] != "INFO" || lines[0]["msg"] == "request" {
				t.Errorf("logged %v, want one line for each change", lines)
			}
			wantEqual(t, "rows", len(r.rows()), rows)

			for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
				res := r.do(method, "/health", "", "", "X-Ms-Invocation-Id", "0").problem(405, problem.MethodNotAllowed)
				wantEqual(t, "Allow", res.header.Get("Allow"), "GET, HEAD")
			}
			r.get("/health/x").problem(404, problem.NotFound)
		})
	}
}

// A monitor makes one round trip, reads one row and writes none.
func TestHealthReadsOneRowThatIsNobodys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start(alice)
	var calls []string
	r.Table.Before(func(c testrig.Call) error {
		calls = append(calls, c.Method+" "+string(c.Ref.Key))
		return nil
	})
	for range 5 {
		r.get("/health").want(200)
	}
	wantEqual(t, "calls of storage", strings.Join(calls, ", "), "Get health")
	for _, row := range r.rows() {
		if row.Key == "health" {
			t.Error("there is a row of that key")
		}
	}
}

func TestHealthSurvivesAPanicOfTheStore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.panicStore("canary")
	wantHealth(t, r.get("/health"), 503, "unavailable")
	if strings.Contains(r.log.String(), "canary") {
		t.Errorf("logged %s", r.log)
	}
}

// A page of another site, or a rebound name, learns nothing from a service on its own.
func TestHealthIsBehindTheGuard(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.API.Guard = new(handler.Guard)
	r.handler = r.API.Handler()
	r.get("/health").problem(403, problem.Forbidden)
	wantHealth(t, r.get("http://127.0.0.1:7071/health"), 200, "ok")
}
