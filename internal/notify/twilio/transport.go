package twilio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/twilio/twilio-go/client"

	"twofa/internal/notify/gateway"
)

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

	gateway.Evidence

	status     int // 0 until a response has begun
	retryAfter string
}

var errNotAPI = errors.New("not a response of the API")

// RoundTrip implements http.RoundTripper.
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(x.Trace(x.ctx))
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
	body, _ := io.ReadAll(io.LimitReader(res.Body, gateway.MaxBody))
	res.Body = io.NopCloser(bytes.NewReader(body))
	res.ContentLength = int64(len(body))
	return res, nil
}
