package plivo

import (
	"strconv"
	"strings"
	"sync"

	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
)

const (
	// maxParts is the most parts of a message: 1,600 characters have 24 in UCS-2.
	maxParts = 64
	// maxMessages is how many messages a tally remembers.
	maxMessages = 4096
)

// part is the place of a part in its message: number (from 1) of count.
type part struct{ number, count int }

// parsePart reads a PartInfo, such as "2 of 3". ok is false if it has another form
// or there is only one part.
func parsePart(info string) (p part, ok bool) {
	number, count, _ := strings.Cut(info, " of ")
	if len(number) > 2 || len(count) > 2 || !gateway.ConsistsOf(number, gateway.Digits) || !gateway.ConsistsOf(count, gateway.Digits) {
		return part{}, false
	}
	p.number, _ = strconv.Atoi(number)
	p.count, _ = strconv.Atoi(count)
	return p, p.number >= 1 && p.number <= p.count && p.count > 1 && p.count <= maxParts
}

// tally remembers which parts of long messages have arrived. Each part has reports
// of its own, but the message is delivered only when all of its parts are.
//
// It is only in this process's memory: if other processes get some of the reports,
// or the message is forgotten, the message stays sent. It is never called delivered
// too early. The zero value is ready for use.
type tally struct {
	mu    sync.Mutex
	seen  map[string]uint64 // bit n-1 stands for part n
	order []string          // the keys of seen, the oldest first
}

// status is what the report on one part says of the whole message: a failed part
// fails it, and a delivered part delivers it if it is the last one missing. message
// is the same for all parts.
func (t *tally) status(message string, p part, said otp.DeliveryStatus) otp.DeliveryStatus {
	if said != otp.Delivered && said != otp.Read {
		return said
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.seen[message]; !known {
		if t.seen == nil {
			t.seen = make(map[string]uint64)
		}
		if len(t.order) == maxMessages {
			delete(t.seen, t.order[0])
			t.order = t.order[1:]
		}
		t.order = append(t.order, message)
	}
	t.seen[message] |= 1 << (p.number - 1)
	if t.seen[message] != 1<<p.count-1 {
		return otp.Sent
	}
	return said
}
