package otp_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/store"
	"twofa/internal/window"
)

// The largest row that the rules let come about: every list full, every text as
// long as the service takes it.
//
// The messages of a row are of its last two days: a verification lives for a day
// at most, and is remembered for another one. In each of the two at most
// MaxCounted are sent; one more for each other channel of a verification takes
// the place of one that was never sent. Those of a test number, which counts
// none, are 32 a verification; a number may have been both.
func TestRow_LargestFitsTheStore(t *testing.T) {
	const verifications, replays, channels = 8, 64, 4
	attempts := 2*otp.MaxCounted + verifications*(channels-1) + verifications*32
	text := func(n int) string { return strings.Repeat("\xff", n) }
	times := make([]time.Time, otp.MaxCounted)
	r := otp.Recipient{
		Address: text(254), Sends: times, Failures: times, Good: otp.Good{Channel: "whatsapp"},
		Replays: slices.Repeat([]otp.Replay{{ID: newID(alice, 1), Purpose: text(32), Channel: "whatsapp"}}, replays),
	}
	v := otp.Verification{
		ID: newID(alice, 1), Purpose: text(32), User: text(64), Other: text(254), Locale: text(35),
		Workflow: []string{"whatsapp", "sms", "call", "email"},
		Attempts: slices.Repeat([]otp.Attempt{{Channel: "whatsapp", Status: otp.Queued}}, attempts/verifications),
		Context:  otp.Context{Amount: text(4 * otp.MaxAmount), Payee: text(4 * otp.MaxPayee)},
		TestCode: text(otp.MaxCodeLength), Shape: otp.DefaultPolicy().Shape, Status: otp.Pending,
	}
	r.Verifications = slices.Repeat([]otp.Verification{v}, verifications)
	// Some bytes are left for the seal around the row.
	n, most := len(mustEncode(t, r)), store.MaxData-1024
	t.Logf("the largest row has %d bytes of %d", n, store.MaxData)
	if n > most {
		t.Errorf("the largest row has %d bytes, want %d at most", n, most)
	}
}

// And the rules do keep to it: without an end of resends, starts and keys, at
// limits as high as they can be set, over two days.
func TestRow_FillsUpToABound(t *testing.T) {
	for _, scripted := range []bool{false, true} {
		b := newBench(t, quiet())
		b.p.MaxSends, b.p.MaxSendsPerDay, b.p.TTL = otp.MaxCounted, otp.MaxCounted, window.Day
		largest := 0
		try := func(n int, purpose string) {
			req := b.request(alice, purpose, otp.Context{Amount: strings.Repeat("€", otp.MaxAmount), Payee: strings.Repeat("€", otp.MaxPayee)})
			req.Workflow, req.Other, req.Idempotency = []string{"whatsapp", "sms", "call", "email"}, aliceEmail, known(n)
			if scripted {
				req.Script = otp.Script{Ending: otp.EndsDelivered, Code: fixed}
			}
			r, v, err := otp.Start(b.r, req, b.p, b.now)
			b.r = r
			for n := 0; err == nil && n < 10*otp.MaxCounted; n++ {
				err = b.resend(v, "whatsapp")
			}
			largest = max(largest, len(mustEncode(t, b.r)))
		}
		for hour := range 48 {
			b.now = noon.Add(time.Duration(hour) * time.Hour)
			for i, purpose := range []string{"a", "b", "c", "d"} {
				try(4*hour+i, purpose)
			}
		}
		t.Logf("scripted %v: %d bytes", scripted, largest)
		if largest > store.MaxData-1024 {
			t.Errorf("scripted %v: the row had %d bytes, the store takes %d", scripted, largest, store.MaxData)
		}
	}
}
