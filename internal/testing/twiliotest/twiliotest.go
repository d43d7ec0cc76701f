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
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"twofa/internal/channel"
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

// Call is a request that reached the double, good or bad.
type Call struct {
	Time   time.Time
	Method string
	Path   string
	Header http.Header // without Authorization
	Form   url.Values
	// Status and Code are those of the answer. Status is 0 if there is no answer (yet).
	Status, Code int
	// Accepted is true if the message would have been sent.
	Accepted bool
}

// Double is the API as an http.Handler. Start also starts a server for it.
type Double struct {
	account Account
	ended   chan struct{}
	end     func()

	mu       sync.Mutex
	next     []Reply
	always   map[recipient]Reply
	lookups  *Reply // nil: as it should be
	calls    []*Call
	accepted []Message
	sids     int
}

// New returns a double of account.
func New(account Account) *Double {
	ended := make(chan struct{})
	return &Double{
		account: account.withDefaults(),
		ended:   ended,
		end:     sync.OnceFunc(func() { close(ended) }),
		always:  make(map[recipient]Reply),
	}
}

// Next queues replies, one for each of the next valid requests. An invalid request is
// refused and uses no reply.
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
		calls[i].Header = c.Header.Clone()
		calls[i].Form = url.Values(http.Header(c.Form).Clone())
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
	messages := slices.Clone(d.accepted)
	for i := range messages {
		messages[i].Variables = maps.Clone(messages[i].Variables)
	}
	return messages
}

// Reset forgets calls, messages and scripted replies.
func (d *Double) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next, d.calls, d.accepted, d.lookups = nil, nil, nil, nil
	clear(d.always)
}

// Close ends the requests that hang.
func (d *Double) Close() { d.end() }

// ServeHTTP implements http.Handler.
func (d *Double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	read := d.lookup(r)
	form, formRefusal := readForm(r)
	header := r.Header.Clone()
	header.Del("Authorization")
	call := &Call{Time: time.Now(), Method: r.Method, Path: r.URL.Path, Header: header, Form: form}
	d.mu.Lock()
	d.calls = append(d.calls, call)
	d.mu.Unlock()

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
		d.answer(w, call, refusal.status, refusal.code, refusal.body())
		return
	}
	d.take(message).serve(d, w, r, call, message)
}

// maxBody is the longest body, in bytes: far more than a message of 1,600 characters needs.
const maxBody = 64 << 10

// readForm always reads the whole body, because only then the server notices that the
// client has closed the connection.
func readForm(r *http.Request) (url.Values, *refusal) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return nil, &refusal{http.StatusRequestEntityTooLarge, 20001, "the body is too long or was cut short"}
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, &refusal{http.StatusUnsupportedMediaType, 20001, "the content type is not application/x-www-form-urlencoded"}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, 20001, "the body is not a form"}
	}
	return form, nil
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
	number := strings.TrimPrefix(m.To, whatsAppPrefix)
	if r, ok := d.always[recipient{m.Channel, number}]; ok {
		return r
	}
	return d.always[recipient{"", number}]
}

// accept records m and returns it with its SID.
func (d *Double) accept(call *Call, m Message) Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sids++
	m.SID = m.sid(d.sids)
	m.Time = time.Now()
	d.accepted = append(d.accepted, m)
	call.Accepted = true
	return m
}

// answer records and writes a complete answer.
func (d *Double) answer(w http.ResponseWriter, call *Call, status, code int, body string) {
	d.mu.Lock()
	call.Status, call.Code = status, code
	d.mu.Unlock()
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="Twilio API"`)
	}
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
	// URL is for TWILIO_BASE_URL.
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
