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

// maxBody is how many bytes of a response are read. A Message resource has about
// 3 KiB.
const maxBody = 64 << 10

// newTransport makes the transport that all senders of an Account share, so that
// they reuse connections and one Account cannot use up the sockets of the process.
func newTransport() *http.Transport {
	// HTTP/1.1 only. net/http repeats a POST if nothing had been written, and
	// over HTTP/2 also after some errors of the server. Only Send may decide
	// whether and when to repeat.
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

// call is the twilio-go client of one try. twilio-go does not support contexts,
// so each try has a client of its own, whose transport uses the try's context.
type call struct {
	*client.Client
	x *exchange
}

// SendRequest implements client.BaseClient.
func (c call) SendRequest(method, rawURL string, data url.Values, headers map[string]any, body ...byte) (*http.Response, error) {
	bound := *c.Client // SendRequest changes nothing that the copies share
	bound.HTTPClient = &http.Client{Transport: c.x}
	return bound.SendRequest(method, rawURL, data, headers, body...)
}

// exchange is the transport of one try. It records what twilio-go does not
// report: whether there was a connection, the actual status, and Retry-After.
//
// It never logs and adds no header, in particular no Idempotency-Key: Twilio
// ignores that header, and net/http would repeat the POST because of it.
type exchange struct {
	ctx  context.Context
	base *url.URL
	next http.RoundTripper

	// Written by net/http's goroutines, which may outlive the try.
	wanted, connected atomic.Bool

	status     int // 0 until a response has begun
	retryAfter string
}

var errNotAPI = errors.New("not a response of the API")

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
		// A redirected request would carry the code to another host, and
		// twilio-go treats 3xx as success.
		return nil, errNotAPI
	}

	// twilio-go never closes the body of an error response, so the body is read
	// here. It is read to the end, because net/http reuses a connection only
	// then. If the body is cut short, what has arrived is passed on: the status
	// already says whether the message was accepted.
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxBody))
	res.Body = io.NopCloser(bytes.NewReader(body))
	res.ContentLength = int64(len(body))
	return res, nil
}

// neverConnected reports whether it is certain that there was no connection, so
// that nothing can have been sent. It is false for a transport without tracing.
func (x *exchange) neverConnected() bool { return x.wanted.Load() && !x.connected.Load() }
