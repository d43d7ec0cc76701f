package gatewaytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/testing/doubletest"
	"twofa/internal/testing/notifytest"
)

// onlySendRepeats checks what follows if a reused connection dies when the request was
// written. net/http must not repeat it by itself: it knows no pause and no limit of time,
// and Send would not know of it.
func (m Messenger) onlySendRepeats(t *testing.T) {
	for _, c := range m.Channels {
		m.inBubble(t, nil, func(t *testing.T, b bench, p *notifytest.Pipes) {
			b.Send(t, c, Tracked()) // now there is a connection to reuse
			synctest.Wait()
			b.Double.Next(doubletest.Drop())
			began, next := time.Now(), Tracked()
			next.Attempt++
			if m.isOnce(c) {
				_ = b.Try(t, c, next)
				b.WantCalls(t, 2, 1)
				return
			}
			b.Send(t, c, next)
			b.WantCalls(t, 3, 2)
			if took := time.Since(began); took < gateway.FirstPause/2 || strings.Count(b.Log.String(), "trying again") != 1 {
				t.Errorf("%s: after %v: %s", c, took, b.Log)
			}
			if n := p.Dials.Load(); n != 2 {
				t.Errorf("%s: %d connections", c, n)
			}
		})
	}
}

// connectionsAreReused checks that a refusal does not cost a connection.
func (m Messenger) connectionsAreReused(t *testing.T) {
	for name, reply := range map[string]Reply{
		"502 without JSON": doubletest.Raw(http.StatusBadGateway, "<html>"+strings.Repeat("bad gateway ", 1000)),
		"400":              m.Refused.Reply,
		"403 without JSON": doubletest.Raw(http.StatusForbidden, "<html>"),
		"200 without JSON": doubletest.Raw(http.StatusOK, "<html>"),
		"redirect":         doubletest.Redirect("/"),
		"accepted":         doubletest.Accept(),
	} {
		t.Run(name, func(t *testing.T) {
			m.inBubble(t, nil, func(t *testing.T, b bench, p *notifytest.Pipes) {
				b.Double.For(Recipient, reply)
				for b.Double.CallCount() < 50 {
					_ = b.Try(t, channel.WhatsApp, Message())
				}
				if n := p.Dials.Load(); n != 1 {
					t.Errorf("%d connections for %d calls", n, b.Double.CallCount())
				}
			})
		})
	}
}

// closedWhileIdle checks that a connection that the provider has closed leads neither to an
// error nor to a second message. That happens if the host freezes the process between
// requests.
func (m Messenger) closedWhileIdle(t *testing.T) {
	m.inBubble(t, nil, func(t *testing.T, b bench, p *notifytest.Pipes) {
		for range 3 {
			b.Send(t, channel.WhatsApp, Message())
			synctest.Wait() // until the connection is idle
			if err := (<-p.Last).Close(); err != nil {
				t.Fatal(err)
			}
		}
		b.WantCalls(t, 3, 3)
		if n := p.Dials.Load(); n != 3 {
			t.Errorf("%d connections, want 3", n)
		}
	})
}

// longResponses checks that a response that is not read to its end releases its connection.
// Otherwise all sends would hang at the transport's limit.
func (m Messenger) longResponses(t *testing.T) {
	m.inBubble(t, nil, func(t *testing.T, b bench, _ *notifytest.Pipes) {
		b.Double.For(Recipient, doubletest.Raw(http.StatusBadRequest, strings.Repeat("x", 2*gateway.MaxBody)))
		for i := range gateway.NewTransport().MaxConnsPerHost + 2 {
			f := b.Failure(t, channel.WhatsApp, Message())
			if f.Outcome != otp.OutcomeUnavailable || f.Detail != "refused with status 400" {
				t.Fatalf("send %d: got %+v", i, f)
			}
		}
	})
}

// withoutEvidence checks that a failure counts as ambiguous if the transport does not say
// whether there was a connection.
func (m Messenger) withoutEvidence(t *testing.T) {
	calls, want := 0, 2
	if m.Repeatable {
		want = 3
	}
	unknown := notifytest.RoundTripper(func(*http.Request) (*http.Response, error) {
		calls++
		return nil, errors.New("no such host")
	})
	m.inBubble(t, func(s *Settings) { s.Transport = unknown }, func(t *testing.T, b bench, _ *notifytest.Pipes) {
		if f := b.Failure(t, channel.WhatsApp, Message()); !f.MayHaveSent || calls != want {
			t.Errorf("got %+v after %d calls", f, calls)
		}
	})
}

// baseURL checks the URL and the Host header that a proxy or a virtual host would see, and
// the credentials.
func (m Messenger) baseURL(t *testing.T) {
	for base, want := range map[string]string{
		"":                            "https " + m.Host + " " + m.Host,
		"https://proxy.example:8443/": "https proxy.example:8443 proxy.example:8443",
		"http://127.0.0.1:9":          "http 127.0.0.1:9 127.0.0.1:9",
	} {
		var got, path, authorization string
		transport := notifytest.RoundTripper(func(r *http.Request) (*http.Response, error) {
			host := cmp.Or(r.Host, r.URL.Host) // the Host header that net/http sends
			got, path = fmt.Sprint(r.URL.Scheme, " ", r.URL.Host, " ", host), r.URL.RequestURI()
			authorization = r.Header.Get("Authorization")
			if m.Repeatable && r.GetBody != nil {
				t.Error("net/http can repeat the POST")
			}
			return &http.Response{StatusCode: m.Success.Status, Body: io.NopCloser(strings.NewReader(m.Success.Body))}, nil
		})
		b := m.newBench(t, Settings{BaseURL: base, Transport: transport}, nil, m.Open)
		b.Send(t, channel.WhatsApp, Message())
		if got != want || path != m.Path || authorization != m.Authorization {
			t.Errorf("%q: calls go to %s%s", base, got, path)
		}
	}
}

// http1Only checks the protocol. Over HTTP/2, net/http repeats a POST after errors after
// which it does not over HTTP/1.1.
func (m Messenger) http1Only(t *testing.T) {
	var protocol string
	double, _ := m.NewDouble()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol = r.Proto
		double.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()

	transport := gateway.NewTransport()
	defer transport.CloseIdleConnections()
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	transport.TLSClientConfig.NextProtos = nil
	b := m.newBench(t, Settings{BaseURL: server.URL, Transport: transport}, nil, m.Open)
	b.Send(t, channel.WhatsApp, Message())
	if protocol != "HTTP/1.1" {
		t.Errorf("used %s", protocol)
	}
}

// redirectIsNotFollowed checks that a redirect's target sees neither code nor credentials.
func (m Messenger) redirectIsNotFollowed(t *testing.T) {
	b, _ := m.onLoopback(t, nil)
	other, target := m.onLoopback(t, nil)
	b.Double.Next(doubletest.Redirect(target.URL + m.Path))
	f := b.Failure(t, channel.WhatsApp, Message())
	if f.Outcome != otp.OutcomeMisconfigured || f.Setting != m.BaseVariable || f.MayHaveSent || f.Unasked {
		t.Errorf("got %+v", f)
	}
	b.WantCalls(t, 1, 0)
	other.WantCalls(t, 0, 0)
}

// contextOnLoopback checks that the end of the context ends a call that hangs, over real
// sockets too. Deadlines are tested in the bubble, where a busy machine cannot disturb them.
func (m Messenger) contextOnLoopback(t *testing.T) {
	b, _ := m.onLoopback(t, func(s *Settings) { s.Timeout, s.TotalTimeout = time.Hour, time.Hour })
	b.Double.For(Recipient, doubletest.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for b.Double.CallCount() == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	err := b.senders[channel.WhatsApp].Send(ctx, Message())
	if f := notifytest.Failure(t, err); !f.MayHaveSent || f.Unasked || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v (%+v)", err, f)
	}
	b.WantCalls(t, 1, 0)
}

// noListener checks that nothing was sent if nobody listens on the port.
func (m Messenger) noListener(t *testing.T) {
	// There is too little time for a repetition. The bubble tests that without waiting.
	b, server := m.onLoopback(t, func(s *Settings) { s.TotalTimeout = 2 * time.Second })
	server.Close()
	f := b.Failure(t, channel.WhatsApp, Message())
	if f.Outcome != otp.OutcomeUnavailable || f.MayHaveSent || f.Unasked || f.Detail != "no connection" {
		t.Errorf("got %+v", f)
	}
}

// concurrentSends checks that messages do not mix.
func (m Messenger) concurrentSends(t *testing.T) {
	const n = 32
	b, _ := m.onLoopback(t, nil)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			message := Tracked()
			message.Attempt = i + 1
			if err := b.Try(t, channel.WhatsApp, message); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	for _, sent := range b.sent() {
		seen[sent.ID] = true
	}
	if got := b.Double.AcceptedCount(); got != n || len(seen) != n {
		t.Errorf("%d messages with %d ids, want %d", got, len(seen), n)
	}
}

// oneConnection checks that the messenger's own transport reuses its connection, over real
// sockets too.
func (m Messenger) oneConnection(t *testing.T) {
	b, server := m.onLoopback(t, nil)
	b.Double.Next(m.Refused.Reply, doubletest.Raw(400, "<html>"))
	if !m.Repeatable { // otherwise this answer leads to another call
		b.Double.Next(doubletest.Raw(200, ""))
	}
	for range 20 {
		_ = b.Try(t, channel.WhatsApp, Message())
	}
	if calls, n := b.Double.CallCount(), server.Connections(); calls != 20 || n != 1 {
		t.Errorf("%d connections for %d calls", n, calls)
	}
}
