// Package birdtest is a test double of Bird's platform API for SMS and WhatsApp messages, on
// loopback. It is for tests and local trials. It is at least as strict as Bird's schema. It
// also refuses mistakes that Bird ignores: an unknown or repeated parameter, a query string, a
// request without an Idempotency-Key, a code or a number in the metadata. It keeps the answer
// of each key, as Bird does. Its replies can be scripted, including lost connections.
//
// It must never be part of a production binary. It makes requests only when a test calls
// Callback.
package birdtest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"twofa/internal/channel"
)

// The double's default account. The values have the form of real ones, but are invented.
const (
	APIKey        = "bk_eu1_" + "Zk7Qp2Xw9Lm4Rt6Yv8Bn1Cs3Df5Gh0Jk"
	WhatsAppFrom  = "+14155238886"
	SMSFrom       = "+15005550006"
	Template      = "login_code"
	Managed       = "bird_otp" // one of Bird's own templates
	AlertTemplate = "login_alert"
	Language      = "en"
	WebhookSecret = "whsec_" + "c2VjcmV0LW9mLXRoZS13ZWJob29rLTAxMjM0NTY3ODk="
)

// Account has the credentials, senders and templates of a double. Empty fields: the
// constants of this package.
type Account struct {
	APIKey       string
	WhatsAppFrom string // E.164
	SMSFrom      string // E.164, a short code or a name
	// Template is an authentication template with a copy-code button, AlertTemplate a
	// template without a button. Each has one variable and exists in every language.
	Template, AlertTemplate string
	WebhookSecret           string
}

func (a Account) withDefaults() Account {
	for _, f := range []struct {
		field *string
		value string
	}{
		{&a.APIKey, APIKey},
		{&a.WhatsAppFrom, WhatsAppFrom},
		{&a.SMSFrom, SMSFrom},
		{&a.Template, Template},
		{&a.AlertTemplate, AlertTemplate},
		{&a.WebhookSecret, WebhookSecret},
	} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
	return a
}

// Call is a request that reached the double, good or bad.
type Call struct {
	Time   time.Time
	Method string
	Path   string
	Header http.Header    // without Authorization
	Body   map[string]any // nil if it is not JSON
	// Status is that of the answer, 0 if there is no answer (yet).
	Status int
	// Accepted is true if the message would have been sent. It is false for a repetition.
	Accepted bool
}

// Message is a message that the double has accepted.
type Message struct {
	Channel    channel.Channel
	ID         string
	To, From   string // E.164; From may be a name. Empty with a template of Bird's own
	Text       string // empty with a template
	Template   string // its handle or id. Empty without a template
	Language   string // of the template
	Variable   string // of the template
	CopiedCode string // what the template's button copies
	Metadata   map[string]string
	Key        string // the Idempotency-Key
	Time       time.Time
}

// Double is the API as an http.Handler. Start also starts a server for it.
type Double struct {
	account Account
	ended   chan struct{}
	end     func()

	mu       sync.Mutex
	next     []Reply
	always   map[recipient]Reply
	calls    []*Call
	accepted []Message
	keys     map[string]*kept
	serial   int

	onWorkspace *Reply
}

// New returns a double of account.
func New(account Account) *Double {
	ended := make(chan struct{})
	return &Double{
		account: account.withDefaults(),
		ended:   ended,
		end:     sync.OnceFunc(func() { close(ended) }),
		always:  make(map[recipient]Reply),
		keys:    make(map[string]*kept),
	}
}

// Next queues replies, one for each of the next valid requests. An invalid request is
// refused and uses no reply, and neither does one that its Idempotency-Key refuses.
func (d *Double) Next(replies ...Reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = append(d.next, replies...)
}

// For sets the reply to all valid requests for a number (E.164) on every channel. Replies
// of Next are used first.
func (d *Double) For(number string, r Reply) { d.ForChannel("", number, r) }

// ForChannel sets the reply for one channel. It has priority over a reply of For.
func (d *Double) ForChannel(c channel.Channel, number string, r Reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.always[recipient{c, number}] = r
}

// recipient is the target of a reply. Empty channel: all channels.
type recipient struct {
	channel channel.Channel
	number  string
}

// Calls returns the requests so far, in order of arrival.
func (d *Double) Calls() []Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := make([]Call, len(d.calls))
	for i, c := range d.calls {
		calls[i] = *c
		calls[i].Header, calls[i].Body = c.Header.Clone(), maps.Clone(c.Body)
	}
	return calls
}

// CallCount is len(Calls()).
func (d *Double) CallCount() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.calls)
}

// Accepted returns the messages that would have been sent, in order.
func (d *Double) Accepted() []Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.accepted)
}

// Reset forgets calls, messages, keys and scripted replies.
func (d *Double) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next, d.calls, d.accepted, d.onWorkspace = nil, nil, nil, nil
	clear(d.always)
	clear(d.keys)
}

// Close ends the requests that hang.
func (d *Double) Close() { d.end() }

// ServeHTTP implements http.Handler.
func (d *Double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, body, bodyRefusal := readBody(r)
	header := r.Header.Clone()
	header.Del("Authorization")
	call := &Call{Time: time.Now(), Method: r.Method, Path: r.URL.Path, Header: header, Body: body}
	d.mu.Lock()
	d.calls = append(d.calls, call)
	d.mu.Unlock()

	read, refusal := d.checkRequest(r)
	if refusal == nil && read == nil {
		d.serveWorkspace(w, r, call)
		return
	}
	if refusal == nil {
		refusal = bodyRefusal
	}
	var message Message
	if refusal == nil {
		message, refusal = read(body)
	}
	if refusal == nil {
		message.Key = r.Header.Get("Idempotency-Key")
		refusal = d.begin(message.Key, r.URL.Path+" "+string(raw))
	}
	if refusal != nil {
		d.answer(w, call, refusal.status, refusal.body())
		return
	}
	defer d.finish(message.Key)
	d.take(message).serve(d, w, r, call, message)
}

// take returns the reply for a message.
func (d *Double) take(m Message) Reply {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.next) > 0 {
		r := d.next[0]
		d.next = d.next[1:]
		return r
	}
	if r, ok := d.always[recipient{m.Channel, m.To}]; ok {
		return r
	}
	return d.always[recipient{"", m.To}]
}

// answer records and writes a complete answer.
func (d *Double) answer(w http.ResponseWriter, call *Call, status int, body string) {
	d.mu.Lock()
	call.Status = status
	d.mu.Unlock()
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // fails if the client has closed the connection
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of simple values can always be encoded
	}
	return string(b)
}

// Server is a Double that listens on a free port of 127.0.0.1.
type Server struct {
	*Double
	// URL is for BIRD_BASE_URL.
	URL string

	server      *httptest.Server
	connections atomic.Int64
}

// Start starts a server; the caller closes it.
func Start(account Account) *Server {
	s := &Server{Double: New(account)}
	s.server = httptest.NewUnstartedServer(s.Double)
	// Set before Start: httptest then calls this hook in addition to its own.
	s.server.Config.ConnState = s.countConnections
	s.server.Start()
	s.URL = s.server.URL
	return s
}

// Close ends the requests that hang and stops the server.
func (s *Server) Close() {
	s.Double.Close()
	s.server.Close()
}

// Connections is how many connections the server has accepted.
func (s *Server) Connections() int { return int(s.connections.Load()) }

func (s *Server) countConnections(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.connections.Add(1)
	}
}
