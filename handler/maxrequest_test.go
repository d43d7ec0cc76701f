package handler_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"twofa/handler"
	"twofa/internal/deadline"
	"twofa/internal/otp"
)

// functionTimeout reads how long the host gives a call, with all its deliveries.
func functionTimeout(t *testing.T) time.Duration {
	t.Helper()
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
	return at.Sub(at.Truncate(24 * time.Hour))
}

// The host kills the process at functionTimeout, and everything else in it with the late
// call. The longest call, of two deliveries, has to be over well before.
func TestTheLongestCallEndsWellBeforeTheHostKillsTheProcess(t *testing.T) {
	limit := functionTimeout(t)
	if deadline.Margin < 10*time.Second || deadline.Call+deadline.Margin > limit {
		t.Errorf("a call can take %v, with a margin of %v; the host gives it %v", deadline.Call, deadline.Margin, limit)
	}
	if deadline.Call < 2*deadline.Longest+1870*time.Millisecond { // the pauses that were seen on the host
		t.Errorf("a call of two deliveries can take longer than %v", deadline.Call)
	}
	if deadline.Longest < handler.RequestTimeout+deadline.Uninterrupted+deadline.Writing || handler.RequestTimeout != deadline.Request {
		t.Errorf("the server closes a connection after %v, but the answer may come after %v", deadline.Longest, handler.RequestTimeout)
	}
	if deadline.Reading+5*time.Second > deadline.Request {
		t.Errorf("a body that comes after %v leaves nothing of %v for the work", deadline.Reading, deadline.Request)
	}
}

// A request that is under way blocks its idempotency key for otp.MaxRequest. No start or
// resend may take longer: its repetition would be a second one. And a repetition that
// waits for so long has to have time left to answer.
func TestNoRequestTakesLongerThanItsIdempotencyKeyIsBlocked(t *testing.T) {
	if deadline.Sending+time.Second > otp.MaxRequest {
		t.Errorf("a request can take %v, its key is blocked for %v", deadline.Sending, otp.MaxRequest)
	}
	if otp.MaxRequest+2*time.Second > handler.RequestTimeout {
		t.Errorf("a repetition waits for up to %v, and has %v in all", otp.MaxRequest, handler.RequestTimeout)
	}
}

// After its budget, the purge writes the cursor, which takes a storage call.
func TestTheSweepEndsWithinARequest(t *testing.T) {
	r := newRig(t)
	if budget := r.API.Purge.Budget; budget <= 0 || budget+deadline.Storage >= handler.RequestTimeout {
		t.Errorf("the purge may take %v and a storage call (%v), a request %v", budget, deadline.Storage, handler.RequestTimeout)
	}
}
