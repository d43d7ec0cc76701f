// Package twiliotest is a test double of Twilio's Messages API, for WhatsApp and SMS, and
// of its Calls API, on loopback. It is for tests and local trials. It is at least as strict
// as Twilio. It also refuses mistakes that Twilio ignores: an unknown or repeated
// parameter, a query string, a Body together with a ContentSid, and TwiML that is not XML.
// Its replies can be scripted, including lost connections.
//
// It must never be part of a production binary. It makes requests only when a test calls
// Callback or Inbound.
package twiliotest

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"twofa/internal/channel"
	"twofa/internal/testing/doubletest"
)

// The double's default account. The values have the form of real ones, but are invented.
const (
	AccountSID          = "AC" + "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
	AuthToken           = "5ec2e7" + "70c4a1b0d9e8f7a6b5c4d3e2f1"
	APIKey              = "SK" + "1f2e3d4c5b6a79880716253443526170"
	APISecret           = "Kq7Zp2" + "Xw9Lm4Rt6Yv8Bn1Cs3Df5Gh0Jk"
	WhatsAppFrom        = "+14155238886"
	SMSFrom             = "+15005550006"
	VoiceFrom           = "+12025550143"
	MessagingServiceSID = "MG" + "9f8e7d6c5b4a39281706f5e4d3c2b1a0"
	ContentSID          = "HX" + "00112233445566778899aabbccddeeff"
	AlertContentSID     = "HX" + "ffeeddccbbaa99887766554433221100"
)

// Account has the credentials, senders and templates of a double. Empty fields: the
// constants of this package.
type Account struct {
	AccountSID, AuthToken string
	APIKey, APISecret     string
	WhatsAppFrom          string // E.164, without "whatsapp:"
	SMSFrom               string // E.164, a short code or a name
	VoiceFrom             string // E.164
	MessagingServiceSID   string // has a sender of WhatsApp and one of SMS
	ContentSID            string // an authentication template: one variable, "1"
	AlertContentSID       string // another template with one variable, "1"
	// Status and Type are those of the account. Empty: active and Full.
	Status, Type string
	// MainKey lets the API key read the account, which keys of the type Standard may not.
	MainKey bool
}

func (a Account) withDefaults() Account {
	for _, f := range []struct {
		field *string
		value string
	}{
		{&a.AccountSID, AccountSID},
		{&a.AuthToken, AuthToken},
		{&a.APIKey, APIKey},
		{&a.APISecret, APISecret},
		{&a.WhatsAppFrom, WhatsAppFrom},
		{&a.SMSFrom, SMSFrom},
		{&a.VoiceFrom, VoiceFrom},
		{&a.MessagingServiceSID, MessagingServiceSID},
		{&a.ContentSID, ContentSID},
		{&a.AlertContentSID, AlertContentSID},
	} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
	return a
}

// Call is a request that reached the double, good or bad. It has a Form.
type Call = doubletest.Call

// Double is the API as an http.Handler. Start also starts a server for it.
type Double struct {
	*doubletest.Core[Message]
	account Account
}

// New returns a double of account.
func New(account Account) *Double {
	d := &Double{account: account.withDefaults()}
	d.Core = doubletest.New(doubletest.Provider[Message]{
		ContentType: "application/json;charset=utf-8",
		Realm:       "Twilio API",
		Recipient:   func(m Message) (channel.Channel, string) { return m.Channel, strings.TrimPrefix(m.To, whatsAppPrefix) },
		Accept:      func(m *Message, n int, now time.Time) { m.SID, m.Time = m.sid(n), now },
		Answer:      d.answerTo,
	})
	return d
}

// Accepted returns the messages that would have been sent, in order.
func (d *Double) Accepted() []Message {
	messages := d.Core.Accepted()
	for i := range messages {
		messages[i].Variables = maps.Clone(messages[i].Variables)
	}
	return messages
}

// ServeHTTP implements http.Handler.
func (d *Double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	read := d.lookup(r)
	form, formRefusal := readForm(r)
	call := d.Record(r, form, nil)
	if read != "" {
		d.serveLookup(w, r, call, read)
		return
	}
	resource, refusal := d.checkRequest(r)
	if refusal == nil {
		refusal = formRefusal
	}
	var message Message
	if refusal == nil {
		message, refusal = resource(form)
	}
	if refusal != nil {
		d.Write(w, call, refusal.answer())
		return
	}
	d.Serve(w, r, call, message, d.Accept)
}

// readForm always reads the whole body.
func readForm(r *http.Request) (url.Values, *refusal) {
	body, err := doubletest.ReadBody(r)
	switch {
	case err != nil:
		return nil, &refusal{http.StatusRequestEntityTooLarge, 20001, err.Error()}
	case !doubletest.HasMediaType(r, "application/x-www-form-urlencoded"):
		return nil, &refusal{http.StatusUnsupportedMediaType, 20001, "the content type is not application/x-www-form-urlencoded"}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, 20001, "the body is not a form"}
	}
	return form, nil
}

// Server is a Double that listens on a free port of 127.0.0.1. Its URL is for TWILIO_BASE_URL.
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
