package birdtest

import (
	"fmt"
	"net/http"

	"twofa/internal/channel"
)

// kept is what the double keeps of an Idempotency-Key.
type kept struct {
	request string // path and body
	running bool
	message Message // that was accepted. ID "": none
}

// begin lets a request with a key begin. It refuses one while another with the key is
// running, and one that differs from the first.
func (d *Double) begin(key, request string) *refusal {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[key]
	switch {
	case k == nil:
		d.keys[key] = &kept{request: request, running: true}
	case k.running:
		return &refusal{http.StatusConflict, "conflict_error", "E01004", "RequestInProgress", "the key " + key + " is in use", ""}
	case k.request != request:
		return &refusal{http.StatusConflict, "conflict_error", "E01005", "IdempotencyKeyReuse", "the key " + key + " was used for " + k.request, ""}
	default:
		k.running = true
	}
	return nil
}

// finish ends a request with a key. The key of a request that was not executed is forgotten.
func (d *Double) finish(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.keys[key]; k != nil {
		if k.running = false; k.message.ID == "" {
			delete(d.keys, key)
		}
	}
}

// accept records m, unless its key has been accepted before. It returns the message that
// was accepted.
func (d *Double) accept(call *Call, m Message) Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[m.Key]
	if k != nil && k.message.ID != "" {
		return k.message
	}
	m = d.Accept(call, m)
	if k != nil { // nil after Reset
		k.message = m
	}
	return m
}

// id is the id of the nth message.
func (m Message) id(n int) string {
	prefix := map[channel.Channel]string{channel.SMS: "sms", channel.WhatsApp: "wam"}[m.Channel]
	return fmt.Sprintf("%s_01krdgeqcxet5s7t%010x", prefix, n)
}
