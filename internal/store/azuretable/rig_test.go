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
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/storetest"
)

// The tests of faults make a connection to a real Azurite fail, and read the stored rows
// through another connection.

var errLost = errors.New("connection reset by a test")

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func isWrite(req *http.Request) bool {
	return req.Method == http.MethodPut || req.Method == http.MethodPost && !strings.HasSuffix(req.URL.Path, "/Tables")
}

func isRead(req *http.Request) bool { return req.Method == http.MethodGet }

// answer makes a response that the service did not send.
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

// copyOf returns a request that can be sent later and with another context.
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

// local are options for a service that transport plays.
func local(transport roundTripper) Options {
	return Options{ConnectionString: "UseDevelopmentStorage=true", TablePrefix: "twofa", Transport: transport}
}

// rig is a table with two stores: one without faults, and one with faults.
type rig struct {
	options Options
	next    http.RoundTripper // to Azurite
	clean   *Store
	faulty  *Store
	// disturb handles the requests of the faulty store.
	disturb roundTripper
	// from makes update call UpdateFrom instead of Update.
	from bool
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
	storetest.Put(t, r.clean, "bystander", "x", fixture.Noon) // creates the table
	return r
}

// onWrite makes f handle the writes of the faulty store. Other requests have no faults.
func (r *rig) onWrite(f roundTripper) {
	r.disturb = func(req *http.Request) (*http.Response, error) {
		if isWrite(req) {
			return f(req)
		}
		return r.next.RoundTrip(req)
	}
}

// deliver sends a request to Azurite and returns the status of the answer.
func (r *rig) deliver(t *testing.T, req *http.Request) int {
	t.Helper()
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		t.Errorf("test: no answer from Azurite: %v", err)
		return 0
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// delete deletes the row k through the store without faults.
func (r *rig) delete(t *testing.T) {
	t.Helper()
	e, f := r.clean.client.get(t.Context(), "k")
	if f != nil {
		t.Errorf("get: %+v", f)
	}
	if ok, err := r.clean.Delete(t.Context(), store.Ref{Key: "k", Version: e.etag}); !ok {
		t.Errorf("Delete: %v", err)
	}
}

// wantData checks the stored data of the row k. Empty: there must be no row.
func (r *rig) wantData(t *testing.T, want string) {
	t.Helper()
	if got := storetest.Data(t, r.clean, "k"); got != want {
		t.Errorf("stored %q, want %q", got, want)
	}
}

// update calls Update of the row k, or UpdateFrom with the row as it is stored.
func (r *rig) update(t *testing.T, ctx context.Context, s *Store, fn storetest.Change) error {
	t.Helper()
	if !r.from {
		return s.Update(ctx, "k", fn)
	}
	known, err := r.clean.Get(t.Context(), "k")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return s.UpdateFrom(ctx, "k", known, fn)
}

// wantUpdate updates the row k, which has to write the result of its first call of
// fn after before, without a second call.
func (r *rig) wantUpdate(t *testing.T, ctx context.Context, before string) {
	t.Helper()
	var n numbered
	if err := r.update(t, ctx, r.faulty, n.fn); err != nil {
		t.Fatalf("update: %v, want success", err)
	}
	if n.calls != 1 {
		t.Errorf("fn was called %d times, want once", n.calls)
	}
	r.wantData(t, before+"(1)")
}

// numbered appends the number of its call, so that the stored row shows whose result was
// written.
type numbered struct{ calls int }

func (n *numbered) fn(old []byte) (store.Row, error) {
	n.calls++
	return storetest.Append(fmt.Sprintf("(%d)", n.calls))(old)
}

// bothWays runs a test with an insert and with a replacement of the row k, which use
// different requests, and each with Update and with UpdateFrom. before is the data of the row before the test. Empty: no row.
func bothWays(t *testing.T, test func(t *testing.T, r *rig, before string)) {
	for name, before := range map[string]string{"insert": "", "replace": "old"} {
		for method, from := range map[string]bool{"Update": false, "UpdateFrom": true} {
			t.Run(name+" "+method, func(t *testing.T) {
				r := newRig(t, 0)
				r.from = from
				if before != "" {
					storetest.Put(t, r.clean, "k", before, fixture.Noon)
				}
				test(t, r, before)
			})
		}
	}
}
