package plivo

import (
	"fmt"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/otp"
)

func TestParsePart(t *testing.T) {
	for info, want := range map[string]part{
		"1 of 2": {1, 2}, "2 of 2": {2, 2}, "64 of 64": {64, 64},
		"": {}, "1 of 1": {}, "0 of 2": {}, "3 of 2": {}, "1 of 65": {}, "1of2": {}, "1 of ": {}, "-1 of 2": {}, "1 of 2 of 3": {}, "001 of 002": {}, "a of b": {},
	} {
		got, ok := parsePart(info)
		if ok != (want != part{}) || ok && got != want {
			t.Errorf("%q is read as %v, %t", info, got, ok)
		}
	}
}

// Each part reports. The message is delivered when all parts are, and fails if one does.
func TestPartsOfAMessage(t *testing.T) {
	r, _ := newRig(t, nil)
	r.Send(t, channel.SMS, tracked())
	m := r.Accepted()[0]
	type said struct{ part, status string }
	for name, tc := range map[string]struct {
		said []said
		want []otp.DeliveryStatus
	}{
		"in order":      {[]said{{"1 of 3", "delivered"}, {"2 of 3", "delivered"}, {"3 of 3", "delivered"}}, []otp.DeliveryStatus{otp.Sent, otp.Sent, otp.Delivered}},
		"another order": {[]said{{"3 of 3", "delivered"}, {"1 of 3", "sent"}, {"1 of 3", "delivered"}, {"2 of 3", "delivered"}}, []otp.DeliveryStatus{otp.Sent, otp.Sent, otp.Sent, otp.Delivered}},
		"repeated":      {[]said{{"1 of 2", "delivered"}, {"1 of 2", "delivered"}, {"2 of 2", "delivered"}, {"2 of 2", "delivered"}}, []otp.DeliveryStatus{otp.Sent, otp.Sent, otp.Delivered, otp.Delivered}},
		"one fails":     {[]said{{"1 of 2", "failed"}, {"2 of 2", "delivered"}}, []otp.DeliveryStatus{otp.Failed, otp.Sent}},
		"the last fails": {[]said{{"1 of 2", "delivered"}, {"2 of 2", "undelivered"}, {"1 of 2", "delivered"}},
			[]otp.DeliveryStatus{otp.Sent, otp.Failed, otp.Sent}},
		"one part alone": {[]said{{"1 of 1", "delivered"}}, []otp.DeliveryStatus{otp.Delivered}},
		"an odd part":    {[]said{{"first", "delivered"}}, []otp.DeliveryStatus{otp.Delivered}},
	} {
		hooks := webhooks(t)
		for i, s := range tc.said {
			got, err := hooks.report(t, r.Double, m, s.status, 0, "PartInfo", s.part, "MessageUUID", fmt.Sprintf("5b40a428-bfc7-4daf-9d06-%012d", i))
			if err != nil || got.Status != tc.want[i] || (got.Failure != nil) != (got.Status == otp.Failed) {
				t.Errorf("%s, report %d: %+v, %v, want %s", name, i, got, err, tc.want[i])
			}
		}
	}
}

// A tally forgets the oldest message, and never takes a part of one for a part of another.
func TestTallyIsBounded(t *testing.T) {
	var parts tally
	last := part{2, 2}
	for i := range 3 * maxMessages {
		if got := parts.status(fmt.Sprint(i), part{1, 2}, otp.Delivered); got != otp.Sent {
			t.Fatalf("message %d is %s", i, got)
		}
	}
	if len(parts.seen) != maxMessages || len(parts.order) != maxMessages {
		t.Errorf("remembers %d and %d messages", len(parts.seen), len(parts.order))
	}
	if got := parts.status(fmt.Sprint(3*maxMessages-1), last, otp.Delivered); got != otp.Delivered {
		t.Errorf("the newest message is %s", got)
	}
	if got := parts.status("0", last, otp.Delivered); got != otp.Sent {
		t.Errorf("a forgotten message is %s", got)
	}
	var long tally
	for n := range maxParts {
		if got := long.status("a", part{n + 1, maxParts}, otp.Delivered); (got == otp.Delivered) != (n+1 == maxParts) {
			t.Errorf("after part %d it is %s", n+1, got)
		}
	}
}
