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

// What the host posts, in the forms that it has.
var envelopes = []string{
	`{"Data": {"timer": {"Schedule": {"AdjustForDST": true}, "ScheduleStatus": {"Last": "2026-03-01T11:07:00+00:00", "LastUpdated": "2026-03-01T11:07:00+00:00", "Next": "2026-03-01T12:07:00+00:00"}, "IsPastDue": false}},
	  "Metadata": {"sys": {"MethodName": "purge", "UtcNow": "2026-03-01T12:07:00Z", "RandGuid": "5f6b2b8e-3a61-4d2a-9d0a-0f8d1c2b3a4d"}}}`,
	`{"Data": {"timer": {"ScheduleStatus": null, "IsPastDue": true}}, "Metadata": {}}`,
	`{"Data": {"timer": {"ScheduleStatus": {"Last": "0001-01-01T00:00:00", "LastUpdated": "0001-01-01T00:00:00", "Next": "2026-03-01T12:07:00"}}}}`,
	`{"Data": {"timer": {"IsPastDue": "no"}}}`, `{"Data": {"timer": "{\"IsPastDue\": false}"}}`, // undocumented, and no reason not to purge
	" \r\n{}\n",
}

// The reply has to be a JSON object: the host waits for one until its
// functionTimeout.
func TestTheTimerIsAnsweredAsTheHostExpects(t *testing.T) {
	for _, envelope := range envelopes {
		s := newService(t)
		s.start(alice)
		s.clock.advance(24*time.Hour + 10*time.Minute + window.MaxSkew)
		res := s.do("POST", "/purge", "application/json; charset=utf-8", envelope).want(200)
		wantBody(t, res, `{"Outputs": {}, "Logs": ["purge: removed 1 rows, 0 had changed, end of the table reached: true"], "ReturnValue": null}`)
		if rows := s.rows(); len(rows) != 0 {
			t.Errorf("left %v", rows)
		}
		line := s.lastLine()
		if line["function"] != "purge" || line["removed"] != 1.0 || line["changed"] != 0.0 || line["done"] != true ||
			line["past_due"] != strings.Contains(envelope, `"IsPastDue": true`) {
			t.Errorf("logged %v", line)
		}
	}
}

func TestTheTimerKeepsWhatIsStillNeeded(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	s.clock.advance(9 * time.Minute)
	s.post("/purge", envelopes[0]).want(200)
	s.check(id, code).want(200)
	s.clock.advance(23*time.Hour + 59*time.Minute)
	s.post("/purge", envelopes[0]).want(200)
	s.check(id, code).problem(409, problem.AlreadyUsed) // remembered for a day
}

func TestWhatIsNoEnvelopeSweepsNothing(t *testing.T) {
	s := newService(t)
	s.start(alice)
	s.clock.advance(48 * time.Hour)
	big := `{"Data": {"x": "` + strings.Repeat("x", handler.MaxEnvelope) + `"}}`
	for _, body := range []string{"", "null", "[]", "1", `"x"`, "{", `{"Data": 1}`, `{"Data": {}, "Data": {}}`, "{}{}", "{\"\xff\": 1}"} {
		s.post("/purge", body).problem(400, problem.InvalidRequest)
	}
	s.post("/purge", big).problem(413, problem.PayloadTooLarge)
	s.do("GET", "/purge", "", "").problem(405, problem.MethodNotAllowed)
	if n := len(s.rows()); n != 1 {
		t.Errorf("%d rows, want the one that was there", n)
	}
}

// An envelope of the largest size passes.
func TestAnEnvelopeOfExactly64KiBIsRead(t *testing.T) {
	s := newService(t)
	s.post("/purge", strings.Repeat(" ", handler.MaxEnvelope-2)+"{}").want(200)
	s.post("/purge", strings.Repeat(" ", handler.MaxEnvelope-1)+"{}").problem(413, problem.PayloadTooLarge)
}

// The host counts a failed invocation only if the answer says that it failed.
func TestThePurgeFailsLoudly(t *testing.T) {
	s := newService(t)
	s.table.before = func() error { return fmt.Errorf("%w: %w", errStore, context.DeadlineExceeded) }
	s.post("/purge", envelopes[0]).problem(503, problem.StorageUnavailable)
	line := s.lastLine()
	if line["level"] != "ERROR" || !strings.Contains(fmt.Sprint(line["error"]), "OperationTimedOut") {
		t.Errorf("logged %v", line)
	}
}
