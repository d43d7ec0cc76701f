package azuretable

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/store"
)

// identityEndpoint is an endpoint for tokens, which the Functions host names in the
// environment. It returns how many tokens were requested.
func identityEndpoint(t *testing.T, handler http.HandlerFunc) *atomic.Int64 {
	t.Helper()
	var asked atomic.Int64
	identity := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		handler(w, r)
	}))
	t.Cleanup(identity.Close)
	t.Setenv("IDENTITY_ENDPOINT", identity.URL)
	t.Setenv("IDENTITY_HEADER", "header")
	return &asked
}

func writeToken(w http.ResponseWriter) {
	fmt.Fprintf(w, `{"access_token":"canary-token","expires_on":"%d","resource":"https://storage.azure.com","token_type":"Bearer"}`,
		time.Now().Add(24*time.Hour).Unix())
}

// slowly writes a token after a delay.
func slowly(delay time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(delay):
			writeToken(w)
		case <-r.Context().Done():
		}
	}
}

// identityOptions are for a store with the managed identity of that ID. The SDK caches
// tokens for the whole process, so most tests need a new ID.
func identityOptions(clientID string, transport roundTripper) Options {
	return Options{
		ServiceURL: "https://acme.table.core.windows.net/", ClientID: clientID, TablePrefix: "twofa", Transport: transport,
	}
}

func newID() string { return newMark() + newMark() }

// unauthorized fails a test if a request has no token.
func unauthorized(t *testing.T) roundTripper {
	return func(*http.Request) (*http.Response, error) {
		t.Errorf("sent a request without a token")
		return nil, errLost
	}
}

// With a managed identity, requests carry a token for storage from the endpoint that the
// Functions host names. The token is requested once.
func TestManagedIdentity(t *testing.T) {
	// There is only one system-assigned identity, whose token may be cached already.
	for _, clientID := range []string{"", newID()} {
		asked := identityEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if r.Header.Get("X-IDENTITY-HEADER") != "header" || q.Get("resource") != "https://storage.azure.com" || q.Get("client_id") != clientID {
				t.Errorf("asked for a token with %v", q)
			}
			writeToken(w)
		})
		s := openStore(t, identityOptions(clientID, func(req *http.Request) (*http.Response, error) {
			if got := req.Header.Get("Authorization"); got != "Bearer canary-token" {
				t.Errorf("Authorization is %q", got)
			}
			if req.URL.Host != "acme.table.core.windows.net" || !strings.HasPrefix(req.URL.Path, "/twofarecipients") {
				t.Errorf("asked %s", req.URL)
			}
			return answer(req, 404, `{"odata.error":{"code":"ResourceNotFound"}}`), nil
		}))
		if asked.Load() != 0 {
			t.Error("Open asked for a token")
		}
		for range 3 {
			ctx, trips := store.WithTrips(t.Context())
			if _, err := s.Get(ctx, "k"); !errors.Is(err, store.ErrNotFound) || trips.Load() != 1 {
				t.Errorf("Get: %v in %d round trips, want ErrNotFound in 1", err, trips.Load())
			}
		}
		if n := asked.Load(); n > 1 || n == 0 && clientID != "" {
			t.Errorf("asked %d times for a token, want once", n)
		}
	}
}

// Without an identity there is no token. The error is ErrUnavailable and says so.
func TestNoManagedIdentity(t *testing.T) {
	identityEndpoint(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"invalid_request","error_description":"canary-description"}`, http.StatusBadRequest)
	})
	_, err := openStore(t, identityOptions(newID(), unauthorized(t))).Get(t.Context(), "k")
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "managed identity") || strings.Contains(err.Error(), "canary") {
		t.Errorf("Get: %v, want ErrUnavailable that names the managed identity", err)
	}
}

// At a cold start a token takes longer than the time limit of one request. The first call,
// whether it reads or writes, waits for the token.
func TestSlowToken(t *testing.T) {
	const delay = tryTimeout + 500*time.Millisecond
	for _, name := range []string{"Get", "Update", "Expired", "Delete"} {
		t.Run(name, func(t *testing.T) {
			asked := identityEndpoint(t, slowly(delay))
			s := openStore(t, identityOptions(newID(), func(req *http.Request) (*http.Response, error) {
				switch {
				case req.Header.Get("Authorization") != "Bearer canary-token":
					t.Error("sent a request without a token")
				case req.Method != http.MethodGet:
					return answer(req, 204, ""), nil
				case !strings.Contains(req.URL.Path, "PartitionKey="):
					return answer(req, 200, `{"value":[]}`), nil
				}
				return answer(req, 404, `{"odata.error":{"code":"ResourceNotFound"}}`), nil
			}))
			began := time.Now()
			err := calls[name](t.Context(), s)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%v", err)
			}
			if took := time.Since(began); took < delay || took > delay+2*time.Second || asked.Load() != 1 {
				t.Errorf("took %v and %d requests for a token, want %v and one", took, asked.Load(), delay)
			}
		})
	}
}

// While there is no token, all calls that wait for it end in time.
func TestTokenThatNeverComes(t *testing.T) {
	const limit = 400 * time.Millisecond
	identityEndpoint(t, slowly(time.Minute))
	o := identityOptions(newID(), unauthorized(t))
	o.Timeout = limit
	s := openStore(t, o)
	began := time.Now()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Get: %v, want ErrUnavailable because of the deadline", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > limit+2*time.Second {
		t.Errorf("took %v, want about %v", took, limit)
	}
}
