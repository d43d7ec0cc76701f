package handler_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"twofa/handler"
	"twofa/internal/problem"
	"twofa/internal/window"
)

// envelopes is what the host posts, in all its forms.
var envelopes = []string{
	`{"Data": {"timer": {"Schedule": {"AdjustForDST": true}, "ScheduleStatus": {"Last": "2026-03-01T11:07:00+00:00", "LastUpdated": "2026-03-01T11:07:00+00:00", "Next": "2026-03-01T12:07:00+00:00"}, "IsPastDue": false}},
	  "Metadata": {"sys": {"MethodName": "purge", "UtcNow": "2026-03-01T12:07:00Z", "RandGuid": "5f6b2b8e-3a61-4d2a-9d0a-0f8d1c2b3a4d"}}}`,
	`{"Data": {"timer": {"ScheduleStatus": null, "IsPastDue": true}}, "Metadata": {}}`,
	`{"Data": {"timer": {"ScheduleStatus": {"Last": "0001-01-01T00:00:00", "LastUpdated": "0001-01-01T00:00:00", "Next": "2026-03-01T12:07:00"}}}}`,
	`{"Data": {"timer": {"IsPastDue": "no"}}}`, `{"Data": {"timer": "{\"IsPastDue\": false}"}}`, // not documented, but no reason not to purge
	" \r\n{}\n",
}

// The reply has to be a JSON object: without one the host waits until its
// functionTimeout.
func TestTheTimerIsAnsweredAsTheHostExpects(t *testing.T) {
	for _, envelope := range envelopes {
		r := newRig(t)
		r.start(alice)
		r.Advance(24*time.Hour + 10*time.Minute + window.MaxSkew)
		res := r.do("POST", "/purge", "application/json; charset=utf-8", envelope).want(200)
		wantBody(t, res, `{"Outputs": {}, "Logs": ["purge: removed 1 rows, 0 had changed, end of the table reached: true"], "ReturnValue": null}`)
		wantEqual(t, "rows", len(r.rows()), 0)
		line := r.lastLine()
		if line["function"] != "purge" || line["removed"] != 1.0 || line["changed"] != 0.0 || line["done"] != true ||
			line["past_due"] != strings.Contains(envelope, `"IsPastDue": true`) {
			t.Errorf("logged %v", line)
		}
	}
}

func TestTheTimerKeepsWhatIsStillNeeded(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	r.Advance(9 * time.Minute)
	r.post("/purge", envelopes[0]).want(200)
	r.check(id, code).want(200)
	r.Advance(23*time.Hour + 59*time.Minute)
	r.post("/purge", envelopes[0]).want(200)
	r.check(id, code).problem(409, problem.AlreadyUsed) // an approval is kept for a day
}

func TestABodyThatIsNoEnvelopePurgesNothing(t *testing.T) {
	r := newRig(t)
	r.start(alice)
	r.Advance(48 * time.Hour)
	big := `{"Data": {"x": "` + strings.Repeat("x", handler.MaxEnvelope) + `"}}`
	for _, body := range []string{"", "null", "[]", "1", `"x"`, "{", `{"Data": 1}`, `{"Data": {}, "Data": {}}`, "{}{}", "{\"\xff\": 1}"} {
		r.post("/purge", body).problem(400, problem.InvalidRequest)
	}
	r.post("/purge", big).problem(413, problem.PayloadTooLarge)
	r.get("/purge").problem(405, problem.MethodNotAllowed)
	wantEqual(t, "rows", len(r.rows()), 1)
}

// Anybody may call the service through a route of the host. The host marks such
// requests, and calls its timer without the marks.
func TestAttack33_ARoutedRequestDoesNotReachTheTimer(t *testing.T) {
	for _, name := range []string{"x-ms-invocation-id", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
		for _, value := range []string{"1", ""} {
			r := newRig(t)
			r.start(alice)
			r.Advance(48 * time.Hour)
			for _, path := range []string{"/purge", "/PURGE", "/purge/"} {
				r.do("POST", path, typeJSON, envelopes[0], name, value).problem(404, problem.NotFound)
			}
			wantEqual(t, "rows", len(r.rows()), 1)
		}
	}
}

// An envelope of the largest size passes.
func TestAnEnvelopeOfExactly64KiBIsRead(t *testing.T) {
	r := newRig(t)
	r.post("/purge", strings.Repeat(" ", handler.MaxEnvelope-2)+"{}").want(200)
	r.post("/purge", strings.Repeat(" ", handler.MaxEnvelope-1)+"{}").problem(413, problem.PayloadTooLarge)
}

// The host counts a failed invocation only if the answer says that it failed.
func TestAFailedPurgeIsAnsweredAsAFailure(t *testing.T) {
	r := newRig(t)
	r.failStore(fmt.Errorf("%w: %w", errStoreDown, context.DeadlineExceeded))
	r.post("/purge", envelopes[0]).problem(503, problem.StorageUnavailable)
	line := r.lastLine()
	if line["level"] != "ERROR" || !strings.Contains(fmt.Sprint(line["error"]), "OperationTimedOut") {
		t.Errorf("logged %v", line)
	}
}
