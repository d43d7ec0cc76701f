package doubletest

import (
	"fmt"
	"maps"
	"net/http"
	"time"
)

// Reply is what a double does with a valid request. The zero Reply accepts the message,
// like Accept.
type Reply struct {
	// Status is that of the answer. 0: the provider's own status of an accepted message.
	Status int
	// Error is what the provider's double knows of the error in the answer.
	Error any

	body     *string
	header   map[string]string
	accepted bool
	after    time.Duration
	ending   ending
}

type ending int

const (
	complete ending = iota
	hang
	drop
	cut
)

// Accept accepts the message: the provider's success and the id of the message.
func Accept() Reply { return Reply{} }

// Raw answers with exactly this body, like a proxy or a broken server.
func Raw(status int, body string) Reply { return Reply{Status: status, body: &body} }

// Redirect answers 307, which asks for the same POST to another URL.
func Redirect(location string) Reply {
	return Raw(http.StatusTemporaryRedirect, "").With("Location", location)
}

// Hang never answers. It ends when the client or the double is closed.
func Hang() Reply { return Reply{ending: hang} }

// Drop closes the connection instead of answering.
func Drop() Reply { return Reply{ending: drop} }

// Cut accepts the message and closes the connection in the middle of the answer.
func Cut() Reply { return Reply{accepted: true, ending: cut} }

// With adds a header to the answer, for example Retry-After.
func (r Reply) With(name, value string) Reply {
	r.header = maps.Clone(r.header)
	if r.header == nil {
		r.header = make(map[string]string)
	}
	r.header[name] = value
	return r
}

// Accepting makes a reply for a message that is nevertheless sent. Because of such replies,
// time-outs and server errors are ambiguous.
func (r Reply) Accepting() Reply {
	r.accepted = true
	return r
}

// After makes the reply wait first.
func (r Reply) After(pause time.Duration) Reply {
	r.after = pause
	return r
}

// accepts reports whether the message is sent.
func (r Reply) accepts() bool { return r.accepted || r.Status == 0 && r.ending == complete }

// play does what a reply says. text words the answer if the reply has no body.
func (d *Core[M]) play(w http.ResponseWriter, req *http.Request, call *Call, r Reply, text func() Answer) {
	if (r.after > 0 || r.ending == hang) && !d.wait(req, r) || r.ending == drop {
		panic(http.ErrAbortHandler) // net/http closes the connection and logs nothing
	}
	for name, value := range r.header {
		w.Header().Set(name, value)
	}
	a := Answer{Status: r.Status}
	if r.body != nil {
		a.Body = *r.body
	} else {
		a = text()
	}
	if r.ending == cut {
		w.Header().Set("Content-Length", fmt.Sprint(len(a.Body)))
		w.WriteHeader(a.Status)
		_, _ = w.Write([]byte(a.Body[:len(a.Body)/2]))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	d.Write(w, call, a)
}

// wait pauses. It reports whether the client is still there.
func (d *Core[M]) wait(req *http.Request, r Reply) bool {
	var timer <-chan time.Time // nil if it hangs: no end
	if r.ending != hang {
		t := time.NewTimer(r.after)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-timer:
		return true
	case <-req.Context().Done():
	case <-d.ended:
	}
	return false
}
