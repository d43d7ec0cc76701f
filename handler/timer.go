package handler

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"twofa/internal/problem"
	"twofa/internal/reqlog"
)

// maxEnvelope is the largest envelope in bytes that the host may send.
const maxEnvelope = 64 << 10

// invocation is what the Functions host posts for a timer. The rest of its
// envelope is not read: ScheduleStatus may be null, and its times may have no
// zone.
type invocation struct {
	Data struct {
		Timer jsontext.Value `json:"timer"`
	} `json:"Data"`
}

// pastDue reports, for the log, whether the timer fires late. It is false for a
// timer in a form that is not documented: that is no reason not to purge.
func (i invocation) pastDue() bool {
	var timer struct {
		IsPastDue bool `json:"IsPastDue"`
	}
	return json.Unmarshal(i.Data.Timer, &timer) == nil && timer.IsPastDue
}

// invocationResult is the reply that the host waits for. Without a body the host
// would wait until its functionTimeout. A timer has no outputs, which are {} then.
type invocationResult struct {
	Outputs     map[string]any `json:"Outputs"`
	Logs        []string       `json:"Logs"`
	ReturnValue any            `json:"ReturnValue"`
}

// timer runs the purge when the host's timer fires.
func (a *API) timer(r *http.Request) (answer, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxEnvelope+1))
	if err != nil {
		return answer{}, errIncompleteBody()
	}
	call, err := readInvocation(body)
	if err != nil {
		return answer{}, err
	}
	res, err := a.Purge.Run(r.Context())
	reqlog.Add(r.Context(), slog.Int("removed", res.Removed), slog.Int("changed", res.Changed),
		slog.Bool("done", res.Done), slog.Bool("past_due", call.pastDue()))
	if err != nil {
		return answer{}, &problem.Error{
			Kind: problem.StorageUnavailable, RetryAfter: time.Minute, Err: err,
			Detail: "Storage failed during the purge. The rows that were removed stay removed; the next run goes on from there.",
		}
	}
	summary := fmt.Sprintf("purge: removed %d rows, %d had changed, end of the table reached: %t", res.Removed, res.Changed, res.Done)
	return answer{status: http.StatusOK, body: invocationResult{Logs: []string{summary}}}, nil
}

// readInvocation reads the host's envelope.
func readInvocation(body []byte) (invocation, error) {
	if len(body) > maxEnvelope {
		return invocation{}, &problem.Error{Kind: problem.PayloadTooLarge, Detail: "An envelope is at most 64 KiB."}
	}
	var call invocation
	if !beginsObject(body) || json.Unmarshal(body, &call) != nil {
		return invocation{}, badBody("This is not the Functions host's envelope.")
	}
	return call, nil
}
