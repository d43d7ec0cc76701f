package otp_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

// The largest row that the rules allow: every list full, every text of the
// greatest length that the service accepts.
//
// A row has the messages of its last two days: a verification lives for a day at
// most, and is remembered for another one. At most MaxCounted are sent in each of
// the two days. In addition, each other channel of a verification can have one
// message in place of one that was not accepted. A verification of a test number
// has 32 messages, which do not count; a number may have been both.
func TestRow_LargestFitsTheStore(t *testing.T) {
	const verifications, replays, channels = 8, 64, 4
	attempts := 2*otp.MaxCounted + verifications*(channels-1) + verifications*32
	text := func(n int) string { return strings.Repeat("\xff", n) }
	times := make([]time.Time, otp.MaxCounted)
	r := otp.Recipient{
		Address: text(254), Sends: times, Failures: times, Preferred: otp.Preferred{Channel: "whatsapp"},
		Notices: make([]time.Time, otp.MaxNoticesPerDay), Messages: make([]otp.Message, otp.MaxMessages),
		Replays: slices.Repeat([]otp.Replay{{ID: newID(fixture.Alice, 1), Purpose: text(32), Channel: "whatsapp"}}, replays),
	}
	v := otp.Verification{
		ID: newID(fixture.Alice, 1), Purpose: text(32), User: otp.UserKey(text(64)), Other: text(254), Locale: text(35),
		Workflow:    []channel.Channel{"whatsapp", "sms", "call", "email"},
		Attempts:    slices.Repeat([]otp.Attempt{{Channel: "whatsapp", Status: otp.Queued}}, attempts/verifications),
		Transaction: otp.Transaction{Amount: text(4 * otp.MaxAmount), Payee: text(4 * otp.MaxPayee)},
		TestCode:    text(otp.MaxCodeLength), Shape: otp.DefaultPolicy().Shape, Status: otp.Pending,
	}
	r.Verifications = slices.Repeat([]otp.Verification{v}, verifications)
	// Some bytes are left for the seal around the row.
	n, most := len(mustEncode(t, r)), store.MaxData-1024
	t.Logf("the largest row has %d bytes of %d", n, store.MaxData)
	if n > most {
		t.Errorf("the largest row has %d bytes, want %d at most", n, most)
	}
}

// The row stays within that size under constant resends, starts and idempotency
// keys, with the highest limits, over two days.
func TestRow_FillsUpToABound(t *testing.T) {
	for _, testNumber := range []bool{false, true} {
		r := newRig(t, quiet())
		r.policy.MaxSends, r.policy.MaxSendsPerDay, r.policy.TTL = otp.MaxCounted, otp.MaxCounted, window.Day
		largest := 0
		try := func(n int, purpose string) {
			req := r.request(fixture.Alice, purpose, otp.Transaction{Amount: strings.Repeat("€", otp.MaxAmount), Payee: strings.Repeat("€", otp.MaxPayee)})
			req.Workflow, req.Other, req.Idempotency = []channel.Channel{"whatsapp", "sms", "call", "email"}, fixture.AliceMail, known(n)
			if testNumber {
				req.Scenario = otp.Scenario{Ending: otp.EndsDelivered, Code: fixed}
			}
			v, err := r.apply(req)
			for n := 0; err == nil && n < 10*otp.MaxCounted; n++ {
				err = r.resend(v, "whatsapp")
			}
			largest = max(largest, len(mustEncode(t, r.kept)))
		}
		for hour := range 48 {
			r.now = fixture.Noon.Add(time.Duration(hour) * time.Hour)
			for i, purpose := range []string{"a", "b", "c", "d"} {
				try(4*hour+i, purpose)
			}
		}
		t.Logf("test number %v: %d bytes", testNumber, largest)
		if largest > store.MaxData-1024 {
			t.Errorf("test number %v: the row had %d bytes, the store takes %d", testNumber, largest, store.MaxData)
		}
	}
}
