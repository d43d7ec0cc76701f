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
	"net/http"
	"sync"
	"time"

	"twofa/internal/channel"
	"twofa/internal/testing/doubletest"
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

// Call is a request that reached the double, good or bad. It has a Body.
type Call = doubletest.Call

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

// Double is the API as an http.Handler. Start also starts a server for it. A request that
// its Idempotency-Key refuses uses no scripted reply.
type Double struct {
	*doubletest.Core[Message]
	account Account

	mu   sync.Mutex
	keys map[string]*kept
}

// New returns a double of account.
func New(account Account) *Double {
	return &Double{
		Core: doubletest.New(doubletest.Provider[Message]{
			ContentType: "application/json",
			Recipient:   func(m Message) (channel.Channel, string) { return m.Channel, m.To },
			Accept:      func(m *Message, n int, now time.Time) { m.ID, m.Time = m.id(n), now },
			Answer:      answerTo,
		}),
		account: account.withDefaults(),
		keys:    make(map[string]*kept),
	}
}

// Reset forgets calls, messages, keys and scripted replies.
func (d *Double) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Core.Reset()
	clear(d.keys)
}

// ServeHTTP implements http.Handler.
func (d *Double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, body, fault := doubletest.ReadObject(r)
	call := d.Record(r, nil, body)
	read, refusal := d.checkRequest(r)
	if refusal == nil && read == nil {
		d.serveWorkspace(w, r, call)
		return
	}
	if refusal == nil && fault != nil {
		refusal = malformed(fault)
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
		d.Write(w, call, refusal.answer())
		return
	}
	defer d.finish(message.Key)
	d.Serve(w, r, call, message, d.accept)
}

// Server is a Double that listens on a free port of 127.0.0.1. Its URL is for BIRD_BASE_URL.
type Server struct {
	*Double
	*doubletest.Server
}

// Start starts a server; the caller closes it.
func Start(account Account) *Server {
	d := New(account)
	return &Server{d, doubletest.Start(d)}
}

// Close ends the requests that hang and stops the server.
func (s *Server) Close() {
	s.Double.Close()
	s.Server.Close()
}
