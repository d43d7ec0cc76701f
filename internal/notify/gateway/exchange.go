package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
)

// MaxBody is how many bytes of a response are read. Answers of providers have about
// 1 KiB, and the longest about 3 KiB.
const MaxBody = 64 << 10

// NewTransport makes a transport for all senders of an account, so that they reuse
// connections and one account cannot use up the sockets of the process.
func NewTransport() *http.Transport {
	// HTTP/1.1 only. net/http repeats a POST if nothing had been written, and
	// over HTTP/2 also after some errors of the server. Only Send may decide
	// whether and when to repeat.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: DefaultTimeout, KeepAlive: 15 * time.Second}).DialContext,
		Protocols:              &protocols,
		TLSHandshakeTimeout:    DefaultTimeout,
		MaxConnsPerHost:        64,
		MaxIdleConns:           16,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // a small answer cannot become a large one
	}
}

// Evidence shows whether there was a connection for a request. The zero value has none.
type Evidence struct {
	// Written by net/http's goroutines, which may outlive the request.
	wanted, connected atomic.Bool
}

// Trace returns a context for the request.
func (e *Evidence) Trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { e.wanted.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { e.connected.Store(true) },
	})
}

// NeverConnected reports whether it is certain that there was no connection, so that
// nothing can have been sent. It is false for a transport without tracing.
func (e *Evidence) NeverConnected() bool { return e.wanted.Load() && !e.connected.Load() }

// Exchange is one API call and what came of it.
type Exchange struct {
	Status         int    // 0 until a response has begun
	RetryAfter     string // the header
	Body           []byte // at most MaxBody bytes
	Err            error  // why there is no whole response
	NeverConnected bool   // see Evidence
}

// NewRequest makes a request to a path below base. body is JSON; nil: there is none.
func NewRequest(ctx context.Context, method string, base *url.URL, path string, body []byte) *http.Request {
	req := &http.Request{
		Method: method,
		URL:    &url.URL{Scheme: base.Scheme, Host: base.Host, Path: path},
		Header: http.Header{"Accept": {"application/json"}, "User-Agent": {"twofa"}},
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Body, _ = req.GetBody() // it never fails
	}
	return req.WithContext(ctx)
}

// SetIdempotencyKey makes the provider recognize a repetition of the request. net/http
// would then repeat a lost POST itself, without a pause and unseen by Send. It cannot do
// that if it cannot read the body again.
func SetIdempotencyKey(req *http.Request, key string) {
	req.Header.Set("Idempotency-Key", key)
	req.GetBody = nil
}

// Do sends a request and reads the answer. It follows no redirect: a redirected request
// would carry the code to another host.
func Do(transport http.RoundTripper, req *http.Request) Exchange {
	var evidence Evidence
	res, err := transport.RoundTrip(req.WithContext(evidence.Trace(req.Context())))
	if err != nil {
		return Exchange{Err: err, NeverConnected: evidence.NeverConnected()}
	}
	defer res.Body.Close()
	// The body is read to its end, because net/http reuses a connection only then.
	x := Exchange{Status: res.StatusCode, RetryAfter: res.Header.Get("Retry-After")}
	x.Body, x.Err = io.ReadAll(io.LimitReader(res.Body, MaxBody))
	return x
}

// Outcome is what an exchange means with any provider, until the provider's package has
// read the answer: a success (2xx) is ambiguous, because it may be a proxy's own page,
// and a refusal (4xx) has no known reason and is not tried again.
func (x Exchange) Outcome() Outcome {
	f := &notify.Failure{Outcome: otp.OutcomeUnavailable, RetryAfter: retryAfter(x.RetryAfter, time.Now())}
	o := Outcome{Failure: f}
	for _, ended := range []error{context.DeadlineExceeded, context.Canceled} {
		if o.Ended == nil && errors.Is(x.Err, ended) {
			o.Ended = ended
		}
	}
	switch {
	case x.Status == 0 && x.NeverConnected:
		o.Again, f.Detail = true, "no connection"
	case x.Status == 0:
		o.Again, f.MayHaveSent, f.Detail = true, true, "no answer"
	case x.Status >= 200 && x.Status < 300:
		// If it counted as success, the person could wait in vain. If Send tried again,
		// it could send twice.
		f.MayHaveSent, f.Detail = true, "unexpected success "+strconv.Itoa(x.Status)
	case x.Status >= 300 && x.Status < 400:
		f.Detail = "redirect refused"
	case x.Status >= 400 && x.Status < 500:
		f.Detail = "refused with status " + strconv.Itoa(x.Status)
	default: // 5xx, and statuses that HTTP does not define
		o.Again, f.MayHaveSent, f.Detail = true, true, "server error "+strconv.Itoa(x.Status)
	}
	return o
}

// retryAfter reads the header Retry-After in both forms (RFC 9110, 10.2.3), rounded up
// to whole seconds and at most a day. It returns 0 for a missing or invalid header.
func retryAfter(header string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	seconds, err := strconv.ParseUint(header, 10, 32)
	d := time.Duration(seconds) * time.Second
	if err != nil {
		at, err := http.ParseTime(header)
		if err != nil {
			return 0
		}
		d = (at.Sub(now) + time.Second - 1).Truncate(time.Second)
	}
	return min(max(d, 0), most)
}
