package twilio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/twiliotest"
)

// recipient and code are canaries: they must appear in the call and nowhere
// else.
const (
	recipient = "+14155550123"
	code      = "739184"
	// spokenCode is how the code is in wording's speech.
	spokenCode = "7 3 9 1 8 4 Again 7 3 9 1 8 4"
)

func message() notify.Message {
	return notify.Message{To: recipient, Code: code, Brand: "Acme", ValidFor: 10 * time.Minute}
}

// tracked is a message that Twilio is to report on, where withReports has set
// where.
func tracked() notify.Message {
	m := message()
	m.Verification, m.Attempt = verification, 2
	return m
}

const (
	verification = otp.ID("VE0123456789abcdef0123456789abcdef")
	ourURL       = "https://twofa.example"
)

func withReports(o *Options) { o.PublicURL = ourURL }

func alert() notify.Message {
	return notify.Message{To: recipient, Alert: true, Brand: "Acme"}
}

func options() Options {
	return Options{
		AccountSID:   twiliotest.AccountSID,
		AuthToken:    twiliotest.AuthToken,
		WhatsAppFrom: twiliotest.WhatsAppFrom,
		SMSFrom:      twiliotest.SMSFrom,
		VoiceFrom:    twiliotest.VoiceFrom,
		ContentSID:   twiliotest.ContentSID,
		Channels:     []notify.Channel{notify.WhatsApp, notify.SMS, notify.Call},
		Texts:        wording{},
	}
}

// wording is all that a message has, so that a test sees what gets lost.
type wording struct{}

func words(m notify.Message) string {
	text := m.Code + " is your " + m.Brand + " code"
	if m.Amount != "" {
		text += " to approve a payment of " + m.Amount + " to " + m.Payee
	}
	return text + fmt.Sprintf(". Valid for %d minutes. Do not share it with anyone.", int(m.ValidFor.Minutes()))
}

func (wording) Chat(m notify.Message) string {
	if m.Alert {
		return "Chat alert of " + m.Brand
	}
	return "Chat: " + words(m)
}

func (wording) SMS(m notify.Message) string {
	if m.Alert {
		return "SMS alert of " + m.Brand
	}
	return "SMS: " + words(m)
}

func (wording) Speech(m notify.Message) notify.Speech {
	if m.Alert {
		return notify.Speech{Language: "en-GB", Before: "Spoken alert of " + m.Brand, Again: "never", After: "never"}
	}
	return notify.Speech{Language: "en-GB", Before: "Your " + m.Brand + " code " + m.Amount + m.Payee, Again: "Again", After: "Goodbye"}
}

// channels are those of an Account.
var channels = []notify.Channel{notify.WhatsApp, notify.SMS, notify.Call}

// on is the sender of one of the account's channels.
func (a *Account) on(c notify.Channel) *sender { return a.senders[c].(*sender) }

// start starts a double on loopback and an Account with its own transport, of
// which it returns WhatsApp's sender.
func start(tb testing.TB, change func(*Options)) (*twiliotest.Server, *sender) {
	tb.Helper()
	server, a := startAccount(tb, change)
	return server, a.on(notify.WhatsApp)
}

func startAccount(tb testing.TB, change func(*Options)) (*twiliotest.Server, *Account) {
	tb.Helper()
	server := twiliotest.Start(twiliotest.Account{})
	tb.Cleanup(server.Close)
	o := options()
	o.BaseURL = server.URL
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	if tr, ok := a.transport.(*http.Transport); ok {
		tb.Cleanup(tr.CloseIdleConnections)
	}
	return server, a
}

// world is the same in a synctest bubble: the Account's real transport speaks
// HTTP with the double over pipes, and time is fake, so that time-outs and
// pauses are exact and cost nothing.
type world struct {
	*twiliotest.Double
	account *Account
	sender  *sender // WhatsApp's
	log     *bytes.Buffer

	conns   chan net.Conn
	closed  chan struct{}
	last    chan net.Conn // the double's end of each connection, as far as there is room
	dials   atomic.Int64
	refused atomic.Int64 // so many dials are refused
	stuck   atomic.Bool  // dials never end
}

// inBubble must be called inside synctest.Test.
func inBubble(t *testing.T, change func(*Options)) *world {
	t.Helper()
	w := &world{
		Double: twiliotest.New(twiliotest.Account{}),
		log:    new(bytes.Buffer),
		conns:  make(chan net.Conn),
		closed: make(chan struct{}),
		last:   make(chan net.Conn, 1),
	}
	transport := newTransport()
	transport.DialContext = w.dial
	o := options()
	o.BaseURL = "http://127.0.0.1:1"
	o.Transport = transport
	o.Logger = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if change != nil {
		change(&o)
	}
	var err error
	if w.account, err = New(o); err != nil {
		t.Fatal(err)
	}
	w.sender, _ = w.account.senders[notify.WhatsApp].(*sender)

	server := &http.Server{Handler: w.Double}
	go func() { _ = server.Serve(w) }()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		w.Double.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	w.dials.Add(1)
	if w.stuck.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if w.refused.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	select {
	case w.conns <- theirs:
		select {
		case w.last <- theirs:
		default:
		}
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *world) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.closed:
		return nil, io.EOF
	}
}

// Double also has a Close; the listener's must be its own.
func (w *world) Close() error { close(w.closed); return nil }

func (w *world) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// failure returns what Send failed with.
func failure(tb testing.TB, err error) *notify.Failure {
	tb.Helper()
	var f *notify.Failure
	if !errors.As(err, &f) {
		tb.Fatalf("Send returned %v, which is no *notify.Failure", err)
	}
	return f
}
