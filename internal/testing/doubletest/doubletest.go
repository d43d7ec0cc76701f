// Package doubletest is what the test doubles of the messengers' APIs have in common:
// scripted replies, the record of requests and messages, a server on loopback, and the
// reading of JSON bodies.
//
// It knows no provider. Each double judges its requests and words its answers itself. It
// must never be part of a production binary.
package doubletest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"twofa/internal/channel"
)

// Call is a request that reached a double, good or bad.
type Call struct {
	Time   time.Time
	Method string
	Path   string
	Header http.Header    // without Authorization
	Form   url.Values     // nil if the API takes JSON, or if the body is no form
	Body   map[string]any // nil if the API takes forms, or if the body is not JSON
	// Status and Code are those of the answer. Status is 0 if there is no answer (yet).
	// Code is 0 if the provider has no error numbers.
	Status, Code int
	// Accepted is true if the message would have been sent. It is false for a repetition
	// that the provider recognizes.
	Accepted bool
}

// Answer is a complete answer.
type Answer struct {
	Status, Code int // Code is the error number of the provider, 0: none
	Body         string
}

// Provider is what differs between the doubles.
type Provider[M any] struct {
	ContentType string // of all answers
	Realm       string // of the header WWW-Authenticate. Empty: there is none
	// Recipient returns the channel of a message and its number (E.164).
	Recipient func(M) (channel.Channel, string)
	// Accept completes the nth message (from 1) that the double accepts with its id and time.
	Accept func(m *M, n int, now time.Time)
	// Answer words the answer to a message. The reply has no body of its own. Its Status is
	// 0 if it accepts the message.
	Answer func(Reply, M) Answer
}

// Core has the script and the record of a double. The double of a provider embeds it.
type Core[M any] struct {
	provider Provider[M]
	ended    chan struct{}
	end      func()

	mu       sync.Mutex
	next     []Reply
	always   map[recipient]Reply
	reading  *Reply
	calls    []*Call
	accepted []M
	serial   int
}

// recipient is the target of a reply. Empty channel: all channels.
type recipient struct {
	channel channel.Channel
	number  string
}

// New returns a core with an empty script.
func New[M any](p Provider[M]) *Core[M] {
	ended := make(chan struct{})
	return &Core[M]{
		provider: p,
		ended:    ended,
		end:      sync.OnceFunc(func() { close(ended) }),
		always:   make(map[recipient]Reply),
	}
}

// Next queues replies, one for each of the next valid requests. A request that the double
// refuses uses no reply.
func (d *Core[M]) Next(replies ...Reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = append(d.next, replies...)
}

// For sets the reply to all valid requests for a number (E.164) on every channel. Replies
// of Next are used first.
func (d *Core[M]) For(number string, r Reply) { d.ForChannel("", number, r) }

// ForChannel sets the reply for one channel. It has priority over a reply of For.
func (d *Core[M]) ForChannel(c channel.Channel, number string, r Reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.always[recipient{c, number}] = r
}

// OnRead sets the reply to all requests that read a resource. See Read.
func (d *Core[M]) OnRead(r Reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reading = &r
}

// Calls returns the requests so far, in order of arrival.
func (d *Core[M]) Calls() []Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := make([]Call, len(d.calls))
	for i, c := range d.calls {
		calls[i] = *c
		calls[i].Header, calls[i].Body = c.Header.Clone(), maps.Clone(c.Body)
		calls[i].Form = url.Values(http.Header(c.Form).Clone())
	}
	return calls
}

// CallCount is len(Calls()).
func (d *Core[M]) CallCount() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.calls)
}

// Accepted returns the messages that would have been sent, in order.
func (d *Core[M]) Accepted() []M {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.accepted)
}

// AcceptedCount is len(Accepted()).
func (d *Core[M]) AcceptedCount() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.accepted)
}

// Reset forgets calls, messages and scripted replies.
func (d *Core[M]) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next, d.reading, d.calls, d.accepted = nil, nil, nil, nil
	clear(d.always)
}

// Close ends the requests that hang.
func (d *Core[M]) Close() { d.end() }

// Serial returns a number that the double has not used yet.
func (d *Core[M]) Serial() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.serial++
	return d.serial
}

// Record records a request. The caller has read its body.
func (d *Core[M]) Record(r *http.Request, form url.Values, body map[string]any) *Call {
	header := r.Header.Clone()
	header.Del("Authorization")
	call := &Call{Time: time.Now(), Method: r.Method, Path: r.URL.Path, Header: header, Form: form, Body: body}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, call)
	return call
}

// Accept records m as the message of a call and returns it complete.
func (d *Core[M]) Accept(call *Call, m M) M {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.serial++
	d.provider.Accept(&m, d.serial, time.Now())
	d.accepted = append(d.accepted, m)
	call.Accepted = true
	return m
}

// Serve answers the valid request of a message as the script says. accept is Accept, or a
// function of the provider's double that calls it at most once for a message.
func (d *Core[M]) Serve(w http.ResponseWriter, req *http.Request, call *Call, m M, accept func(*Call, M) M) {
	r := d.take(m)
	if r.accepts() {
		m = accept(call, m)
	}
	d.play(w, req, call, r, func() Answer { return d.provider.Answer(r, m) })
}

// Read answers a request that reads a resource, if there is a reply for it. It reports
// whether there is. text words the answer if the reply has no body.
func (d *Core[M]) Read(w http.ResponseWriter, req *http.Request, call *Call, text func(Reply) Answer) bool {
	d.mu.Lock()
	r := d.reading
	d.mu.Unlock()
	if r != nil {
		d.play(w, req, call, *r, func() Answer { return text(*r) })
	}
	return r != nil
}

// take returns the reply for a message.
func (d *Core[M]) take(m M) Reply {
	c, number := d.provider.Recipient(m)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.next) > 0 {
		r := d.next[0]
		d.next = d.next[1:]
		return r
	}
	if r, ok := d.always[recipient{c, number}]; ok {
		return r
	}
	return d.always[recipient{"", number}]
}

// Write records and writes a complete answer.
func (d *Core[M]) Write(w http.ResponseWriter, call *Call, a Answer) {
	d.mu.Lock()
	call.Status, call.Code = a.Status, a.Code
	d.mu.Unlock()
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", d.provider.ContentType)
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(a.Body)))
	if a.Status == http.StatusUnauthorized && d.provider.Realm != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="`+d.provider.Realm+`"`)
	}
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body) // fails if the client has closed the connection
}
