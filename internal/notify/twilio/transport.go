package twilio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/twilio/twilio-go/client"
)

// maxBody bounds what is read of an answer. A Message resource is about 3 KiB.
const maxBody = 64 << 10

// newTransport is the transport that all senders of an Account share, so that
// they reuse connections and one Account cannot take all sockets of the process.
func newTransport() *http.Transport {
	// HTTP/1.1 only. net/http sends a POST again by itself where nothing had
	// been written, and over HTTP/2 also after some errors of the peer; whether
	// and when to repeat is decided in Send alone.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: defaultTimeout, KeepAlive: 15 * time.Second}).DialContext,
		Protocols:              &protocols,
		TLSHandshakeTimeout:    defaultTimeout,
		MaxConnsPerHost:        64,
		MaxIdleConns:           16,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// call is the twilio-go client of one try. twilio-go has no contexts, so the
// try brings its own client, whose transport is bound to ctx.
type call struct {
	*client.Client
	x *exchange
}

// SendRequest implements client.BaseClient.
func (c call) SendRequest(method, rawURL string, data url.Values, headers map[string]any, body ...byte) (*http.Response, error) {
	bound := *c.Client // shares nothing that SendRequest changes
	bound.HTTPClient = &http.Client{Transport: c.x}
	return bound.SendRequest(method, rawURL, data, headers, body...)
}

// exchange is the transport of one try and remembers what twilio-go drops:
// whether a connection was had, the true status, Retry-After.
//
// It never logs and adds no header. In particular no Idempotency-Key, which
// Twilio ignores and which would make net/http repeat the POST.
type exchange struct {
	ctx  context.Context
	base *url.URL
	next http.RoundTripper

	// Written by net/http's goroutines, which may outlive the try.
	wanted, connected atomic.Bool

	status     int // 0 until an answer has begun
	retryAfter string
}

var errNoAnswer = errors.New("not an answer of the API")

// RoundTrip implements http.RoundTripper.
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(httptrace.WithClientTrace(x.ctx, &httptrace.ClientTrace{
		GetConn: func(string) { x.wanted.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { x.connected.Store(true) },
	}))
	out.URL.Scheme, out.URL.Host, out.Host = x.base.Scheme, x.base.Host, ""

	res, err := x.next.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	x.status, x.retryAfter = res.StatusCode, res.Header.Get("Retry-After")
	if res.StatusCode < 200 || res.StatusCode >= 300 && res.StatusCode < 400 {
		// A redirect would carry the code, and twilio-go takes 3xx for success.
		return nil, errNoAnswer
	}

	// Read here, because twilio-go never closes the body of an error, and in
	// full, because net/http reuses only a connection whose answer was read to
	// the end. A body that is cut short is passed on as far as it came: the
	// status already says what became of the message.
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxBody))
	res.Body = io.NopCloser(bytes.NewReader(body))
	res.ContentLength = int64(len(body))
	return res, nil
}

// neverConnected reports that no connection was had, so that nothing can have
// been sent. It wants positive evidence: with a transport that does not trace,
// it is false.
func (x *exchange) neverConnected() bool { return x.wanted.Load() && !x.connected.Load() }
