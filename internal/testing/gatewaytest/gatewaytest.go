// Package gatewaytest is the conformance suite of the messengers over a provider's HTTP
// API, and the harness of their tests. It holds what is the same of all of them: the loop
// of tries, time limits, connections, hostile answers, secrecy, refused messages.
//
// It knows no provider. The tests of a messenger's package hold what is its own: bodies,
// error tables, signatures. This package must never be part of the product.
package gatewaytest

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
	"twofa/internal/testing/doubletest"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/notifytest"
)

// Recipient and Code may appear only in the API call.
const (
	Recipient    = fixture.Alice
	Code         = "739184"
	Verification = otp.ID("VE0123456789abcdef0123456789abcdef")
)

// Message is a message with a code.
func Message() notify.Message {
	return notify.Message{To: Recipient, Code: Code, Brand: "Acme", ValidFor: 10 * time.Minute}
}

// Tracked is a message on which the provider has to report.
func Tracked() notify.Message {
	m := Message()
	m.Verification, m.Attempt = Verification, 2
	return m
}

// Alert is a message without a code.
func Alert() notify.Message { return notify.Message{To: Recipient, Alert: true, Brand: "Acme"} }

// Reply is what a double does with a valid request.
type Reply = doubletest.Reply

// Double is what the suite needs of a provider's double.
type Double interface {
	http.Handler
	Next(...Reply)
	For(number string, r Reply)
	Calls() []doubletest.Call
	CallCount() int
	AcceptedCount() int
	Close()
}

// Sent is a message that a double has accepted.
type Sent struct {
	ID      string
	Channel channel.Channel
	To      string // E.164
	// HasCode is true if Code reaches the person in the form of the channel.
	HasCode bool
}

// Settings are the options that every messenger has.
type Settings struct {
	BaseURL               string
	Transport             http.RoundTripper // nil: the messenger's own
	Logger                *slog.Logger
	Timeout, TotalTimeout time.Duration // 0: the default
}

// Case is a reply and the failure that it leads to, on every channel.
type Case struct {
	Reply   Reply
	Failure notify.Failure
}

// Messenger is what differs between the messengers. All its channels can be sent over.
type Messenger struct {
	Name     string // of the provider
	Channels []channel.Channel
	// Repeatable is true if the provider recognizes the repetition of a call.
	Repeatable bool
	// Once are the channels on which no try follows one that may have sent the message.
	Once []channel.Channel
	// NewDouble returns a double, and the function that returns what it has accepted.
	NewDouble func() (Double, func() []Sent)
	// Open returns senders with WhatsApp templates for codes, but none for alerts.
	Open func(testing.TB, Settings) notify.Senders

	// BaseVariable and TemplateVariable are the names of settings.
	BaseVariable, TemplateVariable string
	// Host, Path and Authorization are those of a WhatsApp message's request.
	Host, Path, Authorization string
	// Success accepts a WhatsApp message.
	Success doubletest.Answer

	Refuse       func(status int) Reply // with an error that the provider does not document
	Throttled    Case                   // status 429
	Broken       Case                   // status 500
	Refused      Case                   // status 400
	Unauthorized Case                   // status 401

	Hostile notifytest.Hostile // Success, Forever and MayAccept
	Secrecy Secrecy
}

// Run checks everything that all messengers have in common.
func (m Messenger) Run(t *testing.T) {
	t.Run("Attack18_Tries", m.tries)
	t.Run("Time", m.time)
	t.Run("Cancellation", m.cancellation)
	t.Run("RepetitionsAreLogged", m.repetitionsAreLogged)
	t.Run("OnlySendRepeats", m.onlySendRepeats)
	t.Run("ConnectionsAreReusedAfterErrors", m.connectionsAreReused)
	t.Run("AConnectionClosedWhileIdle", m.closedWhileIdle)
	t.Run("LongResponsesDoNotLeakConnections", m.longResponses)
	t.Run("WithoutEvidenceAFailureIsAmbiguous", m.withoutEvidence)
	t.Run("BaseURLReplacesSchemeAndHost", m.baseURL)
	t.Run("HTTP1Only", m.http1Only)
	t.Run("RedirectIsNotFollowed", m.redirectIsNotFollowed)
	t.Run("TheContextEndsACallOnLoopback", m.contextOnLoopback)
	t.Run("NoListener", m.noListener)
	t.Run("ConcurrentSends", m.concurrentSends)
	t.Run("OneConnectionForConsecutiveMessages", m.oneConnection)
	t.Run("RefusedBeforeAnyCall", m.refusedBeforeAnyCall)
	t.Run("FailuresAfterACall", m.failuresAfterACall)
	t.Run("FailuresAreNotShared", m.failuresAreNotShared)
	t.Run("Attack21_NothingSecretInErrorsAndLogs", m.nothingSecret)
	t.Run("Attack29_AHostileProvider", m.hostile)
}

// has reports whether the messenger sends over a channel.
func (m Messenger) has(c channel.Channel) bool {
	for _, own := range m.Channels {
		if own == c {
			return true
		}
	}
	return false
}

// Rig is a messenger's senders, and the double that they call.
type Rig struct {
	Double  Double
	Log     *bytes.Buffer
	senders notify.Senders
}

// NewRig makes a rig. open gets the settings, with the logger of the rig.
func NewRig(d Double, s Settings, open func(Settings) notify.Senders) *Rig {
	r := &Rig{Double: d, Log: new(bytes.Buffer)}
	s.Logger = slog.New(slog.NewTextHandler(r.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.senders = open(s)
	return r
}

// Try sends a message over a channel.
func (r *Rig) Try(tb testing.TB, c channel.Channel, m notify.Message) error {
	tb.Helper()
	return r.senders[c].Send(tb.Context(), m)
}

// Send sends a message. It ends the test if that fails.
func (r *Rig) Send(tb testing.TB, c channel.Channel, m notify.Message) {
	tb.Helper()
	if err := r.Try(tb, c, m); err != nil {
		tb.Fatal(err)
	}
}

// Failure sends a message, which has to fail.
func (r *Rig) Failure(tb testing.TB, c channel.Channel, m notify.Message) *notify.Failure {
	tb.Helper()
	return notifytest.Failure(tb, r.Try(tb, c, m))
}

// WantCalls checks how many API calls and how many accepted messages there were.
func (r *Rig) WantCalls(tb testing.TB, calls, accepted int) {
	tb.Helper()
	if n, m := r.Double.CallCount(), r.Double.AcceptedCount(); n != calls || m != accepted {
		tb.Errorf("%d calls and %d messages, want %d and %d", n, m, calls, accepted)
	}
}

// InBubble runs a test in a synctest bubble: a messenger's real transport, which open gets in
// its settings, speaks HTTP with the double over pipes. Time is fake, so time-outs and
// pauses are exact and take no time.
func InBubble[R any](t *testing.T, open func(*testing.T, Settings) (R, Double), test func(*testing.T, R, *notifytest.Pipes)) {
	synctest.Test(t, func(t *testing.T) {
		transport := gateway.NewTransport()
		r, double := open(t, Settings{BaseURL: "http://127.0.0.1:1", Transport: transport})
		test(t, r, notifytest.ServeOnPipes(t, transport, double, double.Close))
	})
}

// bench is a rig of the suite.
type bench struct {
	*Rig
	sent func() []Sent
}

func (m Messenger) newBench(tb testing.TB, s Settings, change func(*Settings), open func(testing.TB, Settings) notify.Senders) bench {
	double, sent := m.NewDouble()
	if change != nil {
		change(&s)
	}
	return bench{NewRig(double, s, func(s Settings) notify.Senders { return open(tb, s) }), sent}
}

// inBubble runs a test with settings that change has changed.
func (m Messenger) inBubble(t *testing.T, change func(*Settings), test func(*testing.T, bench, *notifytest.Pipes)) {
	InBubble(t, func(t *testing.T, s Settings) (bench, Double) {
		b := m.newBench(t, s, change, m.Open)
		return b, b.Double
	}, test)
}

// onLoopback starts a double on loopback. The messenger has its own transport.
func (m Messenger) onLoopback(t *testing.T, change func(*Settings)) (bench, *doubletest.Server) {
	double, sent := m.NewDouble()
	server := doubletest.Start(double)
	t.Cleanup(func() { double.Close(); server.Close() })
	s := Settings{BaseURL: server.URL}
	if change != nil {
		change(&s)
	}
	return bench{NewRig(double, s, func(s Settings) notify.Senders { return m.Open(t, s) }), sent}, server
}
