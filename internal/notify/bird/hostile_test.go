package bird

import (
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify/gateway"
	"twofa/internal/testing/notifytest"
)

// The server at BIRD_BASE_URL is broken, or not Bird. A send ends in time, reads and keeps
// little, and makes at most three tries.
func TestAttack29_AHostileProvider(t *testing.T) {
	notifytest.Hostile{
		Success: "HTTP/1.1 202 Accepted\r\n\r\n" + `{"id":"wam_`, Forever: "5b", MaxBody: gateway.MaxBody, Tries: gateway.MaxTries,
		Send: func(t *testing.T, base string, timeout, total time.Duration) error {
			o := options()
			o.BaseURL, o.Timeout, o.TotalTimeout = base, timeout, total
			return newAccount(t, o).sender(channel.WhatsApp).Send(t.Context(), message())
		},
	}.Check(t)
}
