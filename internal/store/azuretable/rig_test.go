package azuretable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"twofa/internal/store"
)

// What the tests of faults have in common: they disturb the connection to a real
// Azurite, and look at what is stored through one that is not disturbed.

var epoch = time.Date(2031, time.March, 4, 5, 6, 7, 0, time.UTC)

var errLost = errors.New("connection reset by a test")

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func isWrite(req *http.Request) bool {
	return req.Method == http.MethodPut || req.Method == http.MethodPost && !strings.HasSuffix(req.URL.Path, "/Tables")
}

func isRead(req *http.Request) bool { return req.Method == http.MethodGet }

// answer makes a response that the service didn't send.
func answer(req *http.Request, status int, body string, header ...string) *http.Response {
	resp := &http.Response{
		StatusCode: status, Status: http.StatusText(status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

// copyOf returns a request that can be sent later and in another context.
func copyOf(req *http.Request) *http.Request {
	c := req.Clone(context.WithoutCancel(req.Context()))
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			panic(err)
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		c.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c
}

// deliver sends a request and says with what status it was answered.
func deliver(t *testing.T, next http.RoundTripper, req *http.Request) int {
	t.Helper()
	resp, err := next.RoundTrip(req)
	if err != nil {
		t.Errorf("test: can't reach Azurite: %v", err)
		return 0
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// rig is a table, a store without faults on it, and one with faults.
type rig struct {
	options Options
	next    http.RoundTripper // to Azurite
	clean   *Store
	faulty  *Store
	// disturb stands between the faulty store and Azurite.
	disturb roundTripper
}

func newRig(t *testing.T, timeout time.Duration) *rig {
	t.Helper()
	o := options(t)
	o.Timeout = timeout
	next := newTransport("http://")
	t.Cleanup(next.CloseIdleConnections)
	r := &rig{options: o, next: next, disturb: next.RoundTrip}
	r.clean = openStore(t, o)
	o.Transport = roundTripper(func(req *http.Request) (*http.Response, error) { return r.disturb(req) })
	r.faulty = openStore(t, o)
	r.append(t, "bystander", "x") // makes the table
	return r
}

// append adds to a row behind the faulty store's back.
func (r *rig) append(t *testing.T, key store.Key, s string) {
	t.Helper()
	if err := r.clean.Update(t.Context(), key, appending(s)); err != nil {
		t.Errorf("Update: %v", err)
	}
}

func appending(s string) func([]byte) (store.Row, error) {
	return func(old []byte) (store.Row, error) {
		return store.Row{Data: append(bytes.Clone(old), s...), KeepUntil: epoch}, nil
	}
}

// data returns what is stored, "" for no row.
func (r *rig) data(t *testing.T, key store.Key) string {
	t.Helper()
	row, err := r.clean.Get(t.Context(), key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	return string(row.Data)
}

// numbered appends the number of its call, so that the stored row tells which
// call's result was written.
type numbered struct{ calls int }

func (n *numbered) fn(old []byte) (store.Row, error) {
	n.calls++
	return store.Row{Data: fmt.Appendf(bytes.Clone(old), "(%d)", n.calls), KeepUntil: epoch}, nil
}

// bothWays runs the test on a row that is not there and on one that is, which
// are written by different requests.
func bothWays(t *testing.T, test func(t *testing.T, r *rig, before string)) {
	for name, before := range map[string]string{"insert": "", "replace": "old"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 0)
			if before != "" {
				r.append(t, "k", before)
			}
			test(t, r, before)
		})
	}
}
