package handler_test

import (
	"testing"

	"twofa/handler"
	"twofa/internal/otp"
)

// A request that is under way blocks its idempotency key for otp.MaxRequest. No request
// may take longer: its repetition would be a second one.
func TestNoRequestTakesLongerThanItsIdempotencyKeyIsBlocked(t *testing.T) {
	if handler.RequestTimeout >= otp.MaxRequest {
		t.Errorf("a request can take %v, its key is blocked for %v", handler.RequestTimeout, otp.MaxRequest)
	}
}
