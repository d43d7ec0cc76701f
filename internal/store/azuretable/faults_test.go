package azuretable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/storetest"
)

func TestOverloadedRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	storetest.Put(t, r.clean, "k", "x", fixture.Noon)
	reads := 0
	r.disturb = func(req *http.Request) (*http.Response, error) {
		if reads++; reads <= 2 {
			return answer(req, 503, "", "Retry-After", "1"), nil
		}
		return r.next.RoundTrip(req)
	}
	ctx, trips := store.WithTrips(t.Context())
	began := time.Now()
	row, err := r.faulty.Get(ctx, "k")
	if err != nil || string(row.Data) != "x" {
		t.Errorf("Get: %q, %v", row.Data, err)
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("took %v, want 2 seconds or more because the service asked twice for one second", took)
	}
	if trips.Load() != 3 {
		t.Errorf("%d round trips, want 3: repetitions count", trips.Load())
	}
}

func TestOverloadedWrite(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, r *rig, before string) {
		writes := 0
		r.onWrite(func(req *http.Request) (*http.Response, error) {
			if writes++; writes == 1 {
				return answer(req, 503, "", "Retry-After", "1"), nil
			}
			return r.next.RoundTrip(req)
		})
		began := time.Now()
		r.wantUpdate(t, t.Context(), before)
		if took := time.Since(began); took < time.Second {
			t.Errorf("took %v, want a second or more because the service asked for it", took)
		}
	})
}

// If the service asks for more time than is left, it gets no further requests.
func TestOverloadedTooLong(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, before string) {
		writes := 0
		r.onWrite(func(req *http.Request) (*http.Response, error) {
			writes++
			return answer(req, 503, `{"odata.error":{"code":"ServerBusy"}}`, "Retry-After", "30"), nil
		})
		began := time.Now()
		err := r.update(t, t.Context(), r.faulty, storetest.Append("new"))
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "ServerBusy") {
			t.Errorf("update: %v, want ErrUnavailable and the reason", err)
		}
		if took := time.Since(began); took > 2*time.Second || writes != 1 {
			t.Errorf("%d writes in %v, want 1 without a pause", writes, took)
		}
		r.wantData(t, before)
	})
}

// Another writer is always first.
func TestConflictStorm(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, r *rig, before string) {
		r.onWrite(func(req *http.Request) (*http.Response, error) {
			if before == "" {
				return answer(req, 409, `{"odata.error":{"code":"EntityAlreadyExists"}}`), nil
			}
			return answer(req, 412, `{"odata.error":{"code":"UpdateConditionNotSatisfied"}}`), nil
		})
		began := time.Now()
		ctx, trips := store.WithTrips(t.Context())
		var n numbered
		err := r.update(t, ctx, r.faulty, n.fn)
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("update: %v, want ErrUnavailable", err)
		}
		if took := time.Since(began); took > defaultTimeout+time.Second {
			t.Errorf("took %v", took)
		}
		if trips.Load() > 2*maxAttempts || n.calls > maxAttempts || n.calls < 2 {
			t.Errorf("%d round trips and %d calls of fn, want several, at most %d attempts", trips.Load(), n.calls, maxAttempts)
		}
		r.wantData(t, before)
	})
}

// calls are the methods of a store, each on the row k.
var calls = map[string]func(context.Context, *Store) error{
	"Get": func(ctx context.Context, s *Store) error {
		_, err := s.Get(ctx, "k")
		return err
	},
	"Update": func(ctx context.Context, s *Store) error {
		return s.Update(ctx, "k", storetest.Append("new"))
	},
	"UpdateFrom": func(ctx context.Context, s *Store) error {
		return s.UpdateFrom(ctx, "k", store.Row{}, storetest.Append("new"))
	},
	"Expired": func(ctx context.Context, s *Store) error {
		_, err := s.Expired(ctx, fixture.Noon, "")
		return err
	},
	"Delete": func(ctx context.Context, s *Store) error {
		_, err := s.Delete(ctx, store.Ref{Key: "k", Version: `W/"x"`})
		return err
	},
}

// The service accepts the connection and never answers. Each call ends at the store's own
// limit or at the context's deadline, whichever is earlier.
func TestHang(t *testing.T) {
	const limit = 400 * time.Millisecond
	for name, c := range map[string]struct{ own, context time.Duration }{
		"own limit": {limit, time.Minute},
		"context":   {time.Minute, limit},
	} {
		for _, onlyWrites := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, only writes %v", name, onlyWrites), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, c.own)
				storetest.Put(t, r.clean, "k", "old", fixture.Noon)
				r.disturb = func(req *http.Request) (*http.Response, error) {
					if onlyWrites && isRead(req) {
						return r.next.RoundTrip(req)
					}
					<-req.Context().Done()
					return nil, req.Context().Err()
				}
				for what, call := range calls {
					if onlyWrites && (what == "Get" || what == "Expired") {
						continue
					}
					ctx, cancel := context.WithTimeout(t.Context(), c.context)
					began := time.Now()
					err := call(ctx, r.faulty)
					took := time.Since(began)
					cancel()
					if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%s: %v, want ErrUnavailable because of the deadline", what, err)
					}
					if took < limit/2 || took > limit+2*time.Second {
						t.Errorf("%s took %v, want about %v", what, took, limit)
					}
				}
				r.wantData(t, "old")
			})
		}
	}
}

// The error tells an operator what is wrong with the connection to the service.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // the aborted handshakes
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	next := newTransport("https://")
	defer next.CloseIdleConnections()
	dial := func(err error) roundTripper {
		return func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		}
	}

	for name, c := range map[string]struct {
		url       string
		transport http.RoundTripper
		want      string
	}{
		"refused":           {closed.URL, next, "read: no connection"},
		"dial timeout":      {"https://acme.example", dial(context.DeadlineExceeded), "read: no connection"},
		"unknown host":      {"https://acme.example", dial(&net.DNSError{Err: "no such host", Name: "acme.example", IsNotFound: true}), "read: no such host"},
		"no name server":    {"https://acme.example", dial(&net.DNSError{Err: "server misbehaving", Name: "acme.example"}), "read: no connection"},
		"unknown authority": {secure.URL, next, "read: TLS"},
		"no TLS":            {strings.Replace(plain.URL, "http:", "https:", 1), next, "read: TLS"},
		"cut off": {"https://acme.example", roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "read", Net: "tcp", Err: errLost}
		}), "read: no usable answer"},
	} {
		s := openStore(t, Options{
			ConnectionString: "AccountName=acme;AccountKey=c2VjcmV0;TableEndpoint=" + c.url, TablePrefix: "twofa", Transport: c.transport,
		})
		_, err := s.Get(t.Context(), "k")
		if !errors.Is(err, store.ErrUnavailable) || err.Error() != store.ErrUnavailable.Error()+": "+c.want {
			t.Errorf("%s: %v, want ErrUnavailable and %q", name, err, c.want)
		}
	}
}

// The search for expired rows may take longer than any other request, up to a limit.
func TestSlowList(t *testing.T) {
	for _, c := range []struct{ delay, want time.Duration }{{6 * time.Second, 6 * time.Second}, {time.Minute, listTimeout}} {
		synctest.Test(t, func(t *testing.T) {
			s := openStore(t, local(func(req *http.Request) (*http.Response, error) {
				select {
				case <-time.After(c.delay):
					return answer(req, 200, `{"value":[{"PartitionKey":"k","RowKey":"r","odata.etag":"W/\"x\""}]}`), nil
				case <-req.Context().Done():
					return nil, req.Context().Err()
				}
			}))
			began := time.Now()
			page, err := s.Expired(t.Context(), fixture.Noon, "")
			if took := time.Since(began); took != c.want {
				t.Errorf("took %v, want %v", took, c.want)
			}
			if c.delay == c.want && (err != nil || len(page.Rows) != 1) || c.delay != c.want && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("after %v: %v, %v", c.delay, page, err)
			}
		})
	}
}

// If the service refuses a continuation token, the cursor is invalid. The sweep then starts
// again, instead of failing each time.
func TestRefusedContinuation(t *testing.T) {
	s := openStore(t, local(func(req *http.Request) (*http.Response, error) {
		return answer(req, 400, `{"odata.error":{"code":"InvalidInput"}}`), nil
	}))
	if _, err := s.Expired(t.Context(), fixture.Noon, cursor{"1!4!YWJj", "1!4!cg--"}.encode()); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("with a cursor: %v, want ErrInvalid", err)
	}
	if _, err := s.Expired(t.Context(), fixture.Noon, ""); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "InvalidInput") {
		t.Errorf("from the beginning: %v, want ErrUnavailable with the code", err)
	}
}

// The answer is not from the service, or not complete. It must not count as a row, nor as
// the absence of one: counted failures would be lost.
func TestGarbage(t *testing.T) {
	const good = `{"PartitionKey":"k","RowKey":"r","Data":"b2xk","Mark":"0123456789abcdef","KeepUntil":"5"}`
	const etag = `W/"x"`
	for name, c := range map[string]struct {
		status     int
		body, etag string
	}{
		"html":            {200, "<html>", etag},
		"empty":           {200, "", etag},
		"empty object":    {200, "{}", etag},
		"null":            {200, "null", etag},
		"cut off":         {200, good[:30], etag},
		"no etag":         {200, good, ""},
		"wildcard etag":   {200, good, "*"},
		"another row":     {200, strings.Replace(good, `"k"`, `"j"`, 1), etag},
		"another row key": {200, strings.Replace(good, `"r"`, `"s"`, 1), etag},
		"no key":          {200, strings.Replace(good, `"PartitionKey":"k",`, "", 1), etag},
		"a key of a list": {200, strings.Replace(good, `"k"`, `["k"]`, 1), etag},
		"no content":      {204, "", etag},
		"redirect":        {307, "", etag},
		"a proxy's 404":   {404, "<html>", ""},
		"a strange 404":   {404, `{"odata.error":{"code":"NoSuchHost"}}`, ""},
		"forbidden":       {403, `{"odata.error":{"code":"AuthenticationFailed"}}`, ""},
		"being deleted":   {409, `{"odata.error":{"code":"TableBeingDeleted"}}`, ""},
		"not a status":    {999, good, etag},
		"a list, no rows": {200, `{"value":[]}`, etag},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 0)
			storetest.Put(t, r.clean, "k", "old", fixture.Noon)
			r.disturb = func(req *http.Request) (*http.Response, error) {
				if isRead(req) {
					return answer(req, c.status, c.body, "ETag", c.etag, "Location", "http://127.0.0.1:1/"), nil
				}
				t.Errorf("sent %s after an invalid answer", req.Method)
				return r.next.RoundTrip(req)
			}
			row, err := r.faulty.Get(t.Context(), "k")
			if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) || row.Data != nil {
				t.Errorf("Get: %q, %v, want ErrUnavailable", row.Data, err)
			}
			err = r.faulty.Update(t.Context(), "k", func([]byte) (store.Row, error) {
				t.Error("Update called fn")
				return store.Row{}, store.SkipWrite
			})
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Update: %v, want ErrUnavailable", err)
			}
			r.wantData(t, "old")
		})
	}
}

func TestGarbageInList(t *testing.T) {
	r := newRig(t, 0)
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"html":          {200, "<html>"},
		"cut off":       {200, `{"value":[{"PartitionKey":"a",`},
		"no key":        {200, `{"value":[{"odata.etag":"W/\"x\""}]}`},
		"no etag":       {200, `{"value":[{"PartitionKey":"a","RowKey":"r"}]}`},
		"wildcard etag": {200, `{"value":[{"PartitionKey":"a","RowKey":"r","odata.etag":"*"}]}`},
		"a proxy's 404": {404, "<html>"},
		"forbidden":     {403, ""},
	} {
		r.disturb = func(req *http.Request) (*http.Response, error) {
			return answer(req, c.status, c.body), nil
		}
		page, err := r.faulty.Expired(t.Context(), fixture.Noon, "")
		if !errors.Is(err, store.ErrUnavailable) || page.Rows != nil || page.Next != "" {
			t.Errorf("%s: %v, %v, want ErrUnavailable", name, page, err)
		}
	}
}

// A permanently refused write is not tried again.
func TestRefused(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, before string) {
		for status, code := range map[int]string{
			400: "InvalidInput", 401: "NoAuthenticationInformation", 403: "AuthorizationPermissionMismatch",
			404: "AccountNotFound", 409: "TableBeingDeleted", 413: "RequestBodyTooLarge",
		} {
			writes := 0
			r.onWrite(func(req *http.Request) (*http.Response, error) {
				writes++
				return answer(req, status, fmt.Sprintf(`{"odata.error":{"code":%q}}`, code)), nil
			})
			err := r.update(t, t.Context(), r.faulty, storetest.Append("new"))
			if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), code) || writes != 1 {
				t.Errorf("%d: %v after %d writes, want ErrUnavailable with the code after one", status, err, writes)
			}
		}
		r.wantData(t, before)
	})
}
