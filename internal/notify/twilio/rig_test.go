package twilio

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/twiliotest"
)

// recipient and code may appear only in the API call.
const (
	recipient = fixture.Alice
	code      = "739184"
	// spokenCode is the code in the speech of testTexts.
	spokenCode = "7 3 9 1 8 4 Again 7 3 9 1 8 4"
)

func message() notify.Message {
	return notify.Message{To: recipient, Code: code, Brand: "Acme", ValidFor: 10 * time.Minute}
}

// tracked is a message on which Twilio has to report, if withReports is used.
func tracked() notify.Message {
	m := message()
	m.Verification, m.Attempt = verification, 2
	return m
}

const (
	verification = otp.ID("VE0123456789abcdef0123456789abcdef")
	ourURL       = "https://twofa.example"
)

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
		Channels:     channels,
		Texts:        testTexts{},
	}
}

// Changes of the options.
func withReports(o *Options) { o.PublicURL = ourURL }
func withKey(o *Options)     { o.APIKey, o.APISecret = twiliotest.APIKey, twiliotest.APISecret }
func withService(o *Options) {
	o.WhatsAppFrom, o.SMSFrom, o.MessagingServiceSID = "", "", twiliotest.MessagingServiceSID
}

// testTexts shows all values of a message, so that a test notices a lost one.
type testTexts struct{}

func (testTexts) text(kind string, m notify.Message) string {
	if m.Alert {
		return kind + " " + alertName(m) + " of " + m.Brand
	}
	text := kind + ": " + m.Code + " is your " + m.Brand + " code"
	if m.Amount != "" {
		text += " to approve a payment of " + m.Amount + " to " + m.Payee
	}
	return text + fmt.Sprintf(". Valid for %d minutes. Do not share it with anyone.", int(m.ValidFor.Minutes()))
}

func alertName(m notify.Message) string {
	if m.Event != "" {
		return "event " + string(m.Event) + " in " + m.Place
	}
	if m.Notice != "" {
		return "notice " + string(m.Notice)
	}
	return "alert"
}

func (t testTexts) Chat(m notify.Message) string { return t.text("Chat", m) }

func (t testTexts) SMS(m notify.Message) string { return t.text("SMS", m) }

func (testTexts) Speech(m notify.Message) notify.Speech {
	if m.Alert {
		return notify.Speech{Language: "en-GB", Before: "Spoken " + alertName(m) + " of " + m.Brand, Again: "never", After: "never"}
	}
	return notify.Speech{Language: "en-GB", Before: "Your " + m.Brand + " code " + m.Amount + m.Payee, Again: "Again", After: "Goodbye"}
}

// channels are those of an Account.
var channels = []channel.Channel{channel.WhatsApp, channel.SMS, channel.Call}

func newAccount(tb testing.TB, o Options) *Account {
	tb.Helper()
	a, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// sender is the sender of a channel.
func (a *Account) sender(c channel.Channel) *sender { return a.senders[c].(*sender) }

// rig is an Account and the double that it calls.
type rig struct {
	*twiliotest.Double
	*Account
	log *bytes.Buffer
}

// newRig starts the double on loopback. The Account has its own transport.
func newRig(tb testing.TB, change func(*Options)) (*rig, *twiliotest.Server) {
	tb.Helper()
	server := twiliotest.Start(twiliotest.Account{})
	tb.Cleanup(server.Close)
	r := openRig(tb, server.Double, server.URL, nil, change)
	if tr, ok := r.transport.(*http.Transport); ok {
		tb.Cleanup(tr.CloseIdleConnections)
	}
	return r, server
}

func openRig(tb testing.TB, double *twiliotest.Double, base string, transport http.RoundTripper, change func(*Options)) *rig {
	tb.Helper()
	r := &rig{Double: double, log: new(bytes.Buffer)}
	o := options()
	o.BaseURL, o.Transport = base, transport
	o.Logger = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if change != nil {
		change(&o)
	}
	r.Account = newAccount(tb, o)
	return r
}

// inBubble runs a test in a synctest bubble: the Account's real transport speaks
// HTTP with the double over pipes. Time is fake, so time-outs and pauses are exact
// and take no time.
func inBubble(t *testing.T, change func(*Options), test func(t *testing.T, r *rig, p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{}), last: make(chan net.Conn, 1)}
		transport := gateway.NewTransport()
		transport.DialContext = p.dial
		r := openRig(t, twiliotest.New(twiliotest.Account{}), "http://127.0.0.1:1", transport, change)
		server := &http.Server{Handler: r.Double}
		go func() { _ = server.Serve(p) }()
		t.Cleanup(func() {
			transport.CloseIdleConnections()
			r.Double.Close()
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		})
		test(t, r, p)
	})
}

// send sends a message. It ends the test if that fails.
func (r *rig) send(tb testing.TB, c channel.Channel, m notify.Message) {
	tb.Helper()
	if err := r.sender(c).Send(tb.Context(), m); err != nil {
		tb.Fatal(err)
	}
}

// failure sends a message, which has to fail.
func (r *rig) failure(tb testing.TB, c channel.Channel, m notify.Message) *notify.Failure {
	tb.Helper()
	return notifytest.Failure(tb, r.sender(c).Send(tb.Context(), m))
}

// wantCalls checks how many API calls and how many accepted messages there were.
func (r *rig) wantCalls(tb testing.TB, calls, accepted int) {
	tb.Helper()
	if n, m := r.CallCount(), len(r.Accepted()); n != calls || m != accepted {
		tb.Errorf("%d calls and %d messages, want %d and %d", n, m, calls, accepted)
	}
}

// pipes are the connections to the double in a bubble. They implement net.Listener.
type pipes struct {
	conns   chan net.Conn
	closed  chan struct{}
	last    chan net.Conn // the double's end of the first connection that was not received yet
	dials   atomic.Int64
	refused atomic.Int64 // so many dials are refused
	stuck   atomic.Bool  // dials never end
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.dials.Add(1)
	if p.stuck.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if p.refused.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		select {
		case p.last <- theirs:
		default:
		}
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, io.EOF
	}
}

func (p *pipes) Close() error { close(p.closed); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
