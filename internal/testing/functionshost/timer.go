package functionshost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync/atomic"
	"time"
)

// ErrHangs is in the errors of FireTimer for replies with status 204 or with an empty body, white
// space or null. After such a reply, the host does not end the invocation before
// functionTimeout, and then kills the handler.
var ErrHangs = errors.New("the host hangs on this reply until functionTimeout")

// Timer varies the content of a timer call. The zero value is a call in time that has the
// status of the schedule, whose times have a zone.
type Timer struct {
	// NoStatus sends null as ScheduleStatus, as the host does for a schedule without a monitor.
	NoStatus bool
	// Zoneless writes the times of the status without a zone, and Last and LastUpdated as
	// 0001-01-01T00:00:00, as before the first run. time.Time does not parse such times.
	Zoneless bool
	// PastDue reports that the call is late.
	PastDue bool
}

// envelope returns the body that the host sends for a timer.
func (t Timer) envelope(f *function, now time.Time) ([]byte, error) {
	now = now.UTC().Truncate(time.Millisecond)
	layout, last := "2006-01-02T15:04:05.999999999-07:00", now.Add(-time.Hour)
	if t.Zoneless {
		layout, last = "2006-01-02T15:04:05.999999999", time.Time{}
	}
	var status any
	if !t.NoStatus {
		status = map[string]string{
			"Last": last.Format(layout), "Next": now.Add(time.Hour).Format(layout), "LastUpdated": last.Format(layout),
		}
	}
	return json.Marshal(map[string]any{
		"Data": map[string]any{f.trigger: map[string]any{
			"Schedule": map[string]bool{"AdjustForDST": true}, "ScheduleStatus": status, "IsPastDue": t.PastDue,
		}},
		"Metadata": map[string]any{"sys": map[string]string{
			"MethodName": f.name,
			"UtcNow":     now.Format(time.RFC3339Nano),
			"RandGuid":   newUUID(),
		}},
	})
}

// FireTimer calls the timer function of that name once and returns when the host ends the
// invocation. Like a request, it waits until the handler is ready. It returns an error if the
// host counts the invocation as failed. For a reply on which the host hangs, that error wraps
// [ErrHangs] and comes when functionTimeout is over and the handler is killed.
func (h *Host) FireTimer(ctx context.Context, name string, t Timer) error {
	if err := h.fireTimer(ctx, name, t); err != nil {
		err = fmt.Errorf("functionshost: timer %s: %w", name, err)
		h.journal.host(Error, "Executed 'Functions.%s' (Failed): %v", name, err)
		return err
	}
	return nil
}

func (h *Host) fireTimer(ctx context.Context, name string, t Timer) error {
	f := h.app.function(name)
	if f == nil || !f.timer {
		return errors.New("there is no such timer function")
	}
	body, err := t.envelope(f, h.options.Now())
	if err != nil {
		return err
	}
	ctx, cancel := h.limit(ctx)
	defer cancel(nil)
	worker, err := h.ready(ctx)
	if err != nil {
		return err
	}
	defer context.AfterFunc(worker.lost, func() { cancel(errLost) })()
	// A timer's path has no route prefix.
	c := &call{
		method: http.MethodPost, target: "/" + f.name, kind: withBody, stream: bytes.NewReader(body), delivered: new(atomic.Int32),
		header: http.Header{
			"Content-Type":                   {"application/json; charset=utf-8"},
			"User-Agent":                     {"Azure-Functions-Host/" + hostVersion},
			"X-Azure-Functions-HostVersion":  {hostVersion},
			"X-Azure-Functions-InvocationId": {newUUID()},
		},
	}
	answer, err := c.exchange(ctx, worker.address)
	if err != nil {
		return err
	}
	defer answer.close()
	if body, err = io.ReadAll(answer.Body); err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	err = h.readResult(answer, body)
	if errors.Is(err, ErrHangs) {
		<-ctx.Done()
		err = errors.Join(err, context.Cause(ctx))
	}
	return err
}

// readResult applies the host's rules for a reply to a trigger other than HTTP.
func (h *Host) readResult(answer *reply, body []byte) error {
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("the reply's status is %d, not 2xx", answer.StatusCode)
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 || bytes.Equal(body, []byte("null")) {
		return fmt.Errorf("the reply's body is empty or null: %w", ErrHangs)
	}
	// The host chooses a reader by media type. It has none for text/plain, which net/http
	// guesses for JSON.
	switch media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); media {
	case "application/json", "text/json":
	default:
		return fmt.Errorf("the reply's content type is %q, not JSON", answer.Header.Get("Content-Type"))
	}
	var result struct {
		Outputs     map[string]any
		Logs        []string
		ReturnValue any
	}
	if err := json.Unmarshal(body, &result); err != nil {
		return fmt.Errorf("the reply is not the JSON object that the host expects: %w", err)
	}
	for _, line := range result.Logs {
		h.journal.add(Information, Invocation, line)
	}
	return nil
}
