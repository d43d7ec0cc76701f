package plivo

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
)

// maxBody is how many bytes of a response are read. Plivo's answers have less than
// 1 KiB.
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
		DisableCompression:     true, // a small answer cannot become a large one
	}
}

// exchange is one API call and what came of it.
type exchange struct {
	status     int // 0 until a response has begun
	retryAfter string
	body       []byte // at most maxBody bytes
	err        error  // why there is no whole response
	// neverConnected is true if it is certain that there was no connection, so that
	// nothing can have been sent. It is false for a transport without tracing.
	neverConnected bool
}

// post makes one API call, at most for the account's time-out. It follows no
// redirect: a redirected request would carry the code to another host. It adds no
// Idempotency-Key: Plivo ignores that header, and net/http would repeat the POST
// because of it.
func (a *Account) post(ctx context.Context, resource string, body []byte) exchange {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	// Written by net/http's goroutines, which may outlive the try.
	var wanted, connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { wanted.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	address := url.URL{Scheme: a.base.Scheme, Host: a.base.Host, Path: "/v1/Account/" + a.credentials.id + "/" + resource + "/"}
	req, err := http.NewRequestWithContext(traced, http.MethodPost, address.String(), bytes.NewReader(body))
	if err != nil {
		return exchange{err: err, neverConnected: true}
	}
	req.SetBasicAuth(a.credentials.id, a.credentials.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "twofa")

	res, err := a.transport.RoundTrip(req)
	if err != nil {
		return exchange{err: err, neverConnected: wanted.Load() && !connected.Load()}
	}
	defer res.Body.Close()
	// The body is read to its end, because net/http reuses a connection only then.
	x := exchange{status: res.StatusCode, retryAfter: res.Header.Get("Retry-After")}
	x.body, x.err = io.ReadAll(io.LimitReader(res.Body, maxBody))
	return x
}
