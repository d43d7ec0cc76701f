package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/notifytest"
)

func TestOutcomes(t *testing.T) {
	text := errors.New("canary")
	for _, tc := range []struct {
		x           Exchange
		again       bool
		mayHaveSent bool
		ended       error
		detail      string
	}{
		{Exchange{Err: text, NeverConnected: true}, true, false, nil, "no connection"},
		{Exchange{Err: text}, true, true, nil, "no answer"},
		{Exchange{Err: fmt.Errorf("canary: %w", context.DeadlineExceeded)}, true, true, context.DeadlineExceeded, "no answer"},
		{Exchange{Err: fmt.Errorf("canary: %w", context.Canceled)}, true, true, context.Canceled, "no answer"},
		{Exchange{Status: 101}, true, true, nil, "server error 101"},
		{Exchange{Status: 200}, false, true, nil, "unexpected success 200"},
		{Exchange{Status: 299, Err: text}, false, true, nil, "unexpected success 299"},
		{Exchange{Status: 307}, false, false, nil, "redirect refused"},
		{Exchange{Status: 400, Body: []byte("canary")}, false, false, nil, "refused with status 400"},
		{Exchange{Status: 499, Err: context.DeadlineExceeded}, false, false, context.DeadlineExceeded, "refused with status 499"},
		{Exchange{Status: 500}, true, true, nil, "server error 500"},
		{Exchange{Status: 999}, true, true, nil, "server error 999"},
	} {
		o := tc.x.Outcome()
		want := notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: tc.mayHaveSent, Detail: tc.detail}
		if *o.Failure != want || o.Again != tc.again || o.Ended != tc.ended {
			t.Errorf("%+v: got %+v and %+v", tc.x, o, *o.Failure)
		}
	}
	if f := (Exchange{Status: 429, RetryAfter: "7"}).Outcome().Failure; f.RetryAfter != 7*time.Second {
		t.Errorf("the pause is %v", f.RetryAfter)
	}
}

// One request is written, with the body and the headers, and the answer is read up to the
// limit. A redirect is not followed.
func TestDo(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, fmt.Sprint(r.Method, " ", r.URL, " ", r.Header["Content-Type"], " ", r.ContentLength, " ", string(body)))
		w.Header().Set("Location", "/elsewhere")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTemporaryRedirect)
		_, _ = io.WriteString(w, strings.Repeat("x", 2*MaxBody))
	}))
	defer server.Close()
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := NewTransport()
	defer transport.CloseIdleConnections()
	for _, req := range []*http.Request{
		NewRequest(t.Context(), http.MethodPost, base, "/a b/", []byte(`{"a":1}`)),
		NewRequest(t.Context(), http.MethodGet, base, "/c", nil),
	} {
		x := Do(transport, req)
		if x.Status != http.StatusTemporaryRedirect || x.RetryAfter != "7" || len(x.Body) != MaxBody || x.Err != nil || x.NeverConnected {
			t.Errorf("%d, %q, %d bytes, %v, never connected: %t", x.Status, x.RetryAfter, len(x.Body), x.Err, x.NeverConnected)
		}
	}
	if want := `[POST /a%20b/ [application/json] 7 {"a":1} GET /c [] 0 ]`; fmt.Sprint(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// Only a transport that has been watched can show that there was no connection.
func TestEvidence(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	server.Close() // nobody listens
	transport := NewTransport()
	defer transport.CloseIdleConnections()
	silent := notifytest.RoundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("no such host") })
	for _, tc := range []struct {
		transport http.RoundTripper
		want      bool
	}{{transport, true}, {silent, false}} {
		x := Do(tc.transport, NewRequest(t.Context(), http.MethodPost, base, "/", []byte("{}")))
		if x.Err == nil || x.Status != 0 || x.NeverConnected != tc.want {
			t.Errorf("%T: got %+v", tc.transport, x)
		}
	}
}

// net/http repeats a POST with an Idempotency-Key if a connection that it reuses dies. Send
// must be the only one that repeats.
func TestSetIdempotencyKey(t *testing.T) {
	for name, tc := range map[string]struct {
		set  func(*http.Request)
		seen int64 // requests with a key
	}{
		"the header alone":  {func(r *http.Request) { r.Header.Set("Idempotency-Key", "k") }, 2}, // else this test shows nothing
		"SetIdempotencyKey": {func(r *http.Request) { SetIdempotencyKey(r, "k") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			base, seen := dyingServer(t)
			transport := NewTransport()
			defer transport.CloseIdleConnections()
			if x := Do(transport, NewRequest(t.Context(), http.MethodPost, base, "/", []byte("{}"))); x.Err != nil || x.Status != http.StatusOK {
				t.Fatalf("the first request: %+v", x)
			}
			req := NewRequest(t.Context(), http.MethodPost, base, "/", []byte("{}"))
			tc.set(req)
			x := Do(transport, req)
			if n := seen.Load(); n != tc.seen || (x.Err == nil) != (n == 2) || x.NeverConnected {
				t.Errorf("%d requests, %+v", n, x)
			}
		})
	}
}

// dyingServer closes a connection when the first request with an Idempotency-Key has
// arrived, and answers all others. It counts the requests that have one.
func dyingServer(t *testing.T) (base *url.URL, seen *atomic.Int64) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	seen = new(atomic.Int64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				reader := bufio.NewReader(conn)
				for range 2 {
					req, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					if req.Header.Get("Idempotency-Key") != "" {
						if seen.Add(1) == 1 {
							return
						}
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			}()
		}
	}()
	return &url.URL{Scheme: "http", Host: listener.Addr().String()}, seen
}

func TestRetryAfter(t *testing.T) {
	now := fixture.Noon.Add(500 * time.Millisecond)
	for header, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"1.5":                           0,
		"7 ":                            0,
		"86400":                         24 * time.Hour,
		"86401":                         24 * time.Hour,
		"99999999999999999999":          0,
		"Sun, 01 Mar 2026 12:00:02 GMT": 2 * time.Second, // 1.5 s, rounded up
		"Sun, 01 Mar 2026 12:00:00 GMT": 0,
		"Sat, 28 Feb 2026 12:00:00 GMT": 0,
		"Sun, 01 Mar 2099 12:00:00 GMT": 24 * time.Hour,
		"tomorrow":                      0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: got %v, want %v", header, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "7", "-1", "Sun, 01 Mar 2026 12:00:02 GMT", "99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if d := retryAfter(header, fixture.Noon); d < 0 || d > 24*time.Hour || d%time.Second != 0 {
			t.Errorf("%q: %v", header, d)
		}
	})
}
