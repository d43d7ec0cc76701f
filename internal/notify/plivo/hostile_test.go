package plivo

import (
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify/gateway"
	"twofa/internal/testing/notifytest"
)

// The server at PLIVO_BASE_URL is broken, or not Plivo. A send ends in time, reads and
// keeps little, and makes at most two tries.
func TestAttack29_AHostileProvider(t *testing.T) {
	notifytest.Hostile{
		Success: "HTTP/1.1 202 Accepted\r\n\r\n" + `{"message_uuid":["`, Forever: "5b", MayAccept: false, MaxBody: gateway.MaxBody, Tries: 2,
		Send: func(t *testing.T, base string, timeout, total time.Duration) error {
			o := options()
			o.BaseURL, o.Timeout, o.TotalTimeout = base, timeout, total
			return newAccount(t, o).sender(channel.WhatsApp).Send(t.Context(), message())
		},
	}.Check(t)
}
