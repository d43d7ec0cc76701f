// Package plivotest is a test double of Plivo's Message API, for WhatsApp and SMS, of its
// Call API, and of its Account API, on loopback. It is for tests and local trials. It is at least as strict as
// Plivo. It also refuses mistakes that Plivo ignores: an unknown or repeated parameter, a
// query string, several recipients, a number with a plus, a text that Plivo would log, and
// a code in a URL. Its replies can be scripted, including lost connections.
//
// It must never be part of a production binary. It makes requests only when a test calls
// Callback or Answer.
package plivotest

import (
	"fmt"
	"net/http"
	"time"

	"twofa/internal/channel"
	"twofa/internal/testing/doubletest"
)

// The double's default account. The values have the form of real ones, but are invented.
const (
	AuthID        = "MA" + "QWERTY0123456789ZX"
	AuthToken     = "Zk7Q" + "p2Xw9Lm4Rt6Yv8Bn1Cs3Df5Gh0JkTe2Va4Ux"
	WhatsAppFrom  = "+14155238886"
	SMSFrom       = "+15005550006"
	CallFrom      = "+12025550143"
	PowerpackUUID = "5ec2e770-c4a1-4b0d-9e8f-7a6b5c4d3e2f"
	Template      = "login_code"
	Language      = "en_US"
	AlertTemplate = "login_alert"
)

// Account has the credentials, senders and templates of a double. Empty fields: the
// constants of this package.
type Account struct {
	AuthID, AuthToken string
	WhatsAppFrom      string // E.164
	SMSFrom           string // E.164, a short code or a name
	CallFrom          string // E.164
	PowerpackUUID     string
	// Template is an authentication template with a copy-code button, AlertTemplate a
	// template without a button. Each has one variable and exists in every language.
	Template, AlertTemplate string
	// What the account says of itself. Empty: it is "standard" and "prepaid", and has
	// credit.
	Type, BillingMode, Credits string
	AutoRecharge               bool
}

func (a Account) withDefaults() Account {
	for _, f := range []struct {
		field *string
		value string
	}{
		{&a.AuthID, AuthID},
		{&a.AuthToken, AuthToken},
		{&a.WhatsAppFrom, WhatsAppFrom},
		{&a.SMSFrom, SMSFrom},
		{&a.CallFrom, CallFrom},
		{&a.PowerpackUUID, PowerpackUUID},
		{&a.Template, Template},
		{&a.AlertTemplate, AlertTemplate},
	} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
	return a
}

// Call is a request that reached the double, good or bad. It has a Body.
type Call = doubletest.Call

// Message is a message or a call that the double has accepted.
type Message struct {
	Channel          channel.Channel
	UUID             string // of the message, for a call its request
	To, From         string // digits; From may be a name. Empty with a powerpack
	PowerpackUUID    string
	Text             string        // empty with a template and for a call
	Template         string        // its name. Empty without a template
	Language         string        // of the template
	Variable         string        // of the template
	CopiedCode       string        // what the template's button copies
	Expiry           time.Duration // 0: none
	DLT              [3]string     // entity, template, category
	URL              string        // for reports. Empty: none
	AnswerURL        string        // calls only
	Ringing, Longest time.Duration // calls only
	Time             time.Time
}

// Double is the API as an http.Handler. Start also starts a server for it.
type Double struct {
	*doubletest.Core[Message]
	account Account
}

// New returns a double of account.
func New(account Account) *Double {
	return &Double{doubletest.New(doubletest.Provider[Message]{
		ContentType: "application/json",
		Realm:       "Plivo",
		Recipient:   func(m Message) (channel.Channel, string) { return m.Channel, "+" + m.To },
		Accept: func(m *Message, n int, now time.Time) {
			m.UUID, m.Time = fmt.Sprintf("5b40a428-bfc7-4daf-9d06-%012x", n), now
		},
		Answer: answerTo,
	}), account.withDefaults()}
}

// ServeHTTP implements http.Handler.
func (d *Double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, body, fault := doubletest.ReadObject(r)
	call := d.Record(r, nil, body)
	if isAccount(r) {
		d.serveAccount(w, r, call)
		return
	}
	resource, refusal := d.checkRequest(r)
	if refusal == nil && fault != nil {
		_, refusal = bad("%v", fault)
	}
	var message Message
	if refusal == nil {
		message, refusal = resource(body)
	}
	if refusal != nil {
		d.Write(w, call, refusal.answer())
		return
	}
	d.Serve(w, r, call, message, d.Accept)
}

// Server is a Double that listens on a free port of 127.0.0.1. Its URL is for PLIVO_BASE_URL.
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
