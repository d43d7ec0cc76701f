package birdtest

import (
	"fmt"
	"maps"
	"net/http"
	"time"
)

// Reply is what the double does with a valid request. The zero Reply accepts the message,
// like Accept.
type Reply struct {
	status   int
	body     *string
	refusal  refusal
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

// Accept accepts the message: 202 and its id. A message whose key was accepted before gets
// the same answer again, and is not sent again.
func Accept() Reply { return Reply{status: http.StatusAccepted, accepted: true} }

// Refuse answers with the status and an error in Bird's form, which quotes number and text.
// code is like "E01001", name like "ValidationError", param the field at fault ("": none).
func Refuse(status int, code, name, param string) Reply {
	return Reply{status: status, refusal: refusal{status, "", code, name, "", param}}
}

// Raw answers with exactly this body, like a proxy or a broken server.
func Raw(status int, body string) Reply { return Reply{status: status, body: &body} }

// Redirect answers 307, which asks for the same POST to another URL.
func Redirect(location string) Reply {
	return Raw(http.StatusTemporaryRedirect, "").With("Location", location)
}

// Hang never answers. It ends when the client or the double is closed.
func Hang() Reply { return Reply{ending: hang} }

// Drop closes the connection instead of answering.
func Drop() Reply { return Reply{ending: drop} }

// Cut accepts the message and closes the connection in the middle of the answer.
func Cut() Reply { return Reply{status: http.StatusAccepted, accepted: true, ending: cut} }

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

func (r Reply) serve(d *Double, w http.ResponseWriter, req *http.Request, call *Call, m Message) {
	if r.status == 0 && r.ending == complete { // the zero Reply, possibly with a pause or a header
		r.status, r.accepted = http.StatusAccepted, true
	}
	if r.accepted {
		m = d.accept(call, m)
	}
	if !d.pause(w, req, r) {
		panic(http.ErrAbortHandler) // net/http closes the connection and logs nothing
	}
	body := r.text(m)
	if r.ending == cut {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(r.status)
		_, _ = w.Write([]byte(body[:len(body)/2]))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	d.answer(w, call, r.status, body)
}

// pause waits as the reply says, and sets its headers. It returns false if there is no
// answer.
func (d *Double) pause(w http.ResponseWriter, req *http.Request, r Reply) bool {
	if (r.after > 0 || r.ending == hang) && !d.wait(req, r) || r.ending == drop {
		return false
	}
	for name, value := range r.header {
		w.Header().Set(name, value)
	}
	return true
}

// wait pauses. It reports whether the client is still there.
func (d *Double) wait(req *http.Request, r Reply) bool {
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

// text is the answer's body.
func (r Reply) text(m Message) string {
	switch {
	case r.body != nil:
		return *r.body
	case r.status >= 300 || r.status < 200:
		e := r.refusal
		e.text = fmt.Sprintf("refused %s%s to %s", m.Text, m.Variable, m.To)
		return e.body()
	}
	// As with Bird, the text of a one-time code is not given back.
	return mustJSON(map[string]any{"id": m.ID, "direction": "outbound", "status": "accepted", "to": m.To, "from": m.From, "text": "**REDACTED**",
		"metadata": m.Metadata, "created_at": m.Time.UTC().Format(time.RFC3339)})
}
