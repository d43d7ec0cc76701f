package bird

import (
	"bytes"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/notifytest"
)

// recipient and code may appear only in the API call.
const (
	recipient = fixture.Alice
	code      = "739184"
)

func message() notify.Message {
	return notify.Message{To: recipient, Code: code, Brand: "Acme", ValidFor: 10 * time.Minute}
}

// tracked is a message on which Bird has to report.
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
		APIKey:           birdtest.APIKey,
		WhatsAppFrom:     birdtest.WhatsAppFrom,
		SMSFrom:          birdtest.SMSFrom,
		WhatsAppTemplate: birdtest.Language + "=" + birdtest.Template,
		WebhookSecret:    birdtest.WebhookSecret,
		PublicURL:        ourURL,
		Channels:         channels,
		Texts:            notifytest.Texts{},
	}
}

// Changes of the options.
func withText(o *Options) { o.WhatsAppTemplate = "" }
func withManaged(o *Options) {
	o.WhatsAppFrom, o.WhatsAppTemplate = "", birdtest.Language+"="+birdtest.Managed
}

// channels are those of an Account.
var channels = []channel.Channel{channel.WhatsApp, channel.SMS}

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
	*birdtest.Double
	*Account
	log *bytes.Buffer
}

// newRig starts the double on loopback. The Account has its own transport.
func newRig(tb testing.TB, change func(*Options)) (*rig, *birdtest.Server) {
	tb.Helper()
	server := birdtest.Start(birdtest.Account{})
	tb.Cleanup(server.Close)
	r := openRig(tb, server.Double, server.URL, nil, change)
	if tr, ok := r.transport.(*http.Transport); ok {
		tb.Cleanup(tr.CloseIdleConnections)
	}
	return r, server
}

func openRig(tb testing.TB, double *birdtest.Double, base string, transport http.RoundTripper, change func(*Options)) *rig {
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

// inBubble runs a test in a synctest bubble: the Account's real transport speaks HTTP with
// the double over pipes. Time is fake, so time-outs and pauses are exact and take no time.
func inBubble(t *testing.T, change func(*Options), test func(t *testing.T, r *rig, p *notifytest.Pipes)) {
	synctest.Test(t, func(t *testing.T) {
		transport := gateway.NewTransport()
		r := openRig(t, birdtest.New(birdtest.Account{}), "http://127.0.0.1:1", transport, change)
		test(t, r, notifytest.ServeOnPipes(t, transport, r.Double, r.Double.Close))
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
