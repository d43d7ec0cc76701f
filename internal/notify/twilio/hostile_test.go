package twilio

import (
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify/gateway"
	"twofa/internal/testing/notifytest"
)

// The server at TWILIO_BASE_URL is broken, or not Twilio. A send ends in time, reads and
// keeps little, and makes at most two tries.
func TestAttack29_AHostileProvider(t *testing.T) {
	notifytest.Hostile{
		Success: "HTTP/1.1 201 Created\r\n\r\n" + `{"sid":"`, Forever: "SM", MayAccept: true, MaxBody: gateway.MaxBody, Tries: 2,
		Send: func(t *testing.T, base string, timeout, total time.Duration) error {
			o := options()
			o.BaseURL, o.Timeout, o.TotalTimeout = base, timeout, total
			return newAccount(t, o).sender(channel.WhatsApp).Send(t.Context(), message())
		},
	}.Check(t)
}
