package azuretable

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/store"
	"twofa/internal/testing/azurite"
)

// A cold start must not wait for the service.
func TestOpenSendsNothing(t *testing.T) {
	o := options(t)
	o.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		t.Errorf("Open sent %s %s", req.Method, req.URL.Path)
		return nil, errLost
	})
	openStore(t, o)
	o.ConnectionString, o.ServiceURL = "", "https://example.invalid"
	openStore(t, o)
}

func TestTableNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"twofarecipients": true, "T0x": true, "a" + strings.Repeat("9", 62): true,
		"ab": false, "a" + strings.Repeat("9", 63): false, "1ab": false,
		"two-fa": false, "two_fa": false, "tables": false, "Tables": false,
		"a'b": false, "a/b": false, "äbc": false, "abc\n": false,
	} {
		half := len(name) / 2
		_, err := Open(Options{ConnectionString: "UseDevelopmentStorage=true", TablePrefix: name[:half], Table: name[half:]})
		if (err == nil) != ok {
			t.Errorf("table %q: %v", name, err)
		}
	}
}

func TestRequestPath(t *testing.T) {
	var path string
	s := openStore(t, Options{
		ConnectionString: "UseDevelopmentStorage=true", TablePrefix: "twofa",
		Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			path = req.URL.Host + req.URL.Path
			return answer(req, 404, `{"odata.error":{"code":"TableNotFound"}}`), nil
		}),
	})
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if want := "127.0.0.1:10002/devstoreaccount1/twofarecipients(PartitionKey='k',RowKey='r')"; path != want {
		t.Errorf("asked %s, want %s", path, want)
	}
}

func TestAddress(t *testing.T) {
	const key = "c2VjcmV0LWtleQ=="
	for name, c := range map[string]struct {
		connection string
		want       address
	}{
		"as the portal gives it": {
			"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=" + key + ";EndpointSuffix=core.windows.net",
			address{url: "https://acme.table.core.windows.net", account: "acme", key: key},
		},
		"another cloud": {
			"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=" + key + ";EndpointSuffix=core.chinacloudapi.cn;",
			address{url: "https://acme.table.core.chinacloudapi.cn", account: "acme", key: key},
		},
		"with all endpoints": {
			"BlobEndpoint=https://acme.blob.core.windows.net/;TableEndpoint=https://acme.table.core.windows.net/;AccountName=acme;AccountKey=" + key,
			address{url: "https://acme.table.core.windows.net", account: "acme", key: key},
		},
		"short": {
			"AccountName=acme;AccountKey=" + key,
			address{url: "https://acme.table.core.windows.net", account: "acme", key: key},
		},
		"spaces and small letters": {
			" accountname=acme ; accountkey=" + key + " ;; ",
			address{url: "https://acme.table.core.windows.net", account: "acme", key: key},
		},
		"signature": {
			"TableEndpoint=https://acme.table.core.windows.net;SharedAccessSignature=?sv=2019-02-02&sig=abc%3D",
			address{url: "https://acme.table.core.windows.net", signature: "sv=2019-02-02&sig=abc%3D"},
		},
		"signature and name": {
			"AccountName=acme;SharedAccessSignature=sv=2019-02-02&sig=abc%3D",
			address{url: "https://acme.table.core.windows.net", account: "acme", signature: "sv=2019-02-02&sig=abc%3D"},
		},
		"signature, on this machine": {
			"TableEndpoint=http://127.0.0.1:10002/acme;SharedAccessSignature=sig=abc",
			address{url: "http://127.0.0.1:10002/acme", signature: "sig=abc"},
		},
		"signature, on this machine by name": {
			"TableEndpoint=http://localhost:10002/acme;SharedAccessSignature=sig=abc",
			address{url: "http://localhost:10002/acme", signature: "sig=abc"},
		},
		"signature, on this machine by IPv6": {
			"TableEndpoint=http://[::1]:10002/acme;SharedAccessSignature=sig=abc",
			address{url: "http://[::1]:10002/acme", signature: "sig=abc"},
		},
		"key, without https": { // which is not sent
			"DefaultEndpointsProtocol=http;AccountName=acme;AccountKey=" + key,
			address{url: "http://acme.table.core.windows.net", account: "acme", key: key},
		},
		"development storage": {
			"UseDevelopmentStorage=true",
			address{url: "http://127.0.0.1:10002/devstoreaccount1", account: devAccount, key: devKey},
		},
		"development storage elsewhere": {
			"usedevelopmentstorage=True;DevelopmentStorageProxyUri=http://azurite",
			address{url: "http://azurite:10002/devstoreaccount1", account: devAccount, key: devKey},
		},
	} {
		got, err := parseAddress(Options{ConnectionString: c.connection})
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
		if _, err := Open(Options{ConnectionString: c.connection}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An operator sees these messages in a log, so they name the fault and quote
// nothing.
func TestBadOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"nothing":           {},
		"both":              {ConnectionString: "UseDevelopmentStorage=true", ServiceURL: "https://secret.example"},
		"no pairs":          {ConnectionString: "secret"},
		"no key":            {ConnectionString: "AccountName=secret"},
		"no name":           {ConnectionString: "AccountKey=secret"},
		"no endpoint":       {ConnectionString: "SharedAccessSignature=secret"},
		"key not base64":    {ConnectionString: "AccountName=acme;AccountKey=secret!"},
		"bad endpoint":      {ConnectionString: "AccountName=acme;AccountKey=c2VjcmV0;TableEndpoint=ftp://secret"},
		"bad protocol":      {ConnectionString: "AccountName=acme;AccountKey=c2VjcmV0;DefaultEndpointsProtocol=secret"},
		"bad name":          {ConnectionString: "AccountName=secret name;AccountKey=c2VjcmV0"},
		"endpoint, query":   {ConnectionString: "AccountName=acme;AccountKey=c2VjcmV0;TableEndpoint=https://a.example/?secret"},
		"bad proxy":         {ConnectionString: "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=secret"},
		"http identity":     {ServiceURL: "http://secret.example"},
		"no URL":            {ServiceURL: "secret"},
		"URL with password": {ServiceURL: "https://secret:secret@acme.example"},
	} {
		s, err := Open(o)
		if err == nil || s != nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error quotes its cause: %v", name, err)
		}
	}
}

// Who sees a shared access signature can use it, so it doesn't go over the
// network in the clear.
func TestSignatureNeedsHTTPS(t *testing.T) {
	for _, s := range []string{
		"TableEndpoint=http://acme.example;SharedAccessSignature=sig=secret",
		"TableEndpoint=HTTP://acme.example;SharedAccessSignature=sig=secret",
		"TableEndpoint=http://10.0.0.1:10002/acme;SharedAccessSignature=?sig=secret",
		"TableEndpoint=http://localhost.example;SharedAccessSignature=sig=secret",
		"DefaultEndpointsProtocol=http;AccountName=acme;SharedAccessSignature=sig=secret",
	} {
		const want = "the connection string's SharedAccessSignature needs https"
		if err := CheckConnectionString(s); err == nil || err.Error() != want {
			t.Errorf("%s: %v", s, err)
		}
		if _, err := Open(Options{ConnectionString: s, TablePrefix: "twofa"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open with %s: %v", s, err)
		}
	}
}

// Bursts of 64 updates use the connections of the bursts before.
func TestConnections(t *testing.T) {
	const concurrent, rounds = 64, 8
	s := openStore(t, options(t))
	var dials atomic.Int64
	transport := s.client.transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return dial(ctx, network, addr)
	}
	for range rounds {
		var wg sync.WaitGroup
		for i := range concurrent {
			wg.Go(func() {
				if err := s.Update(t.Context(), store.Key(fmt.Sprintf("k%d", i)), appending("x")); err != nil {
					t.Errorf("Update: %v", err)
				}
			})
		}
		wg.Wait()
	}
	if n := dials.Load(); n == 0 || n > 2*concurrent {
		t.Errorf("%d connections for %d bursts of %d, want at most twice as many as one burst", n, rounds, concurrent)
	}
}

// The limits of our own transport: they are what keeps it from running into
// connections that the other side closes.
func TestIdleConnections(t *testing.T) {
	for serviceURL, below := range map[string]time.Duration{
		"http://127.0.0.1:10002/devstoreaccount1": 5 * time.Second, // Azurite's
		"https://acme.table.core.windows.net":     4 * time.Minute, // the load balancer's
	} {
		tr := newTransport(serviceURL)
		if tr.IdleConnTimeout <= 0 || tr.IdleConnTimeout >= below {
			t.Errorf("%s: idle connections are kept for %v, want less than %v", serviceURL, tr.IdleConnTimeout, below)
		}
		if tr.MaxIdleConnsPerHost < 64 {
			t.Errorf("%s: %d idle connections are kept, want 64 or more", serviceURL, tr.MaxIdleConnsPerHost)
		}
	}
}

// The table is not there, or goes away while it is used.
func TestMissingTable(t *testing.T) {
	s := openStore(t, options(t))
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	if ok, err := s.Delete(t.Context(), store.Ref{Key: "k", Version: `W/"x"`}); ok || err != nil {
		t.Errorf("Delete: %v, %v, want false", ok, err)
	}
	if err := s.Update(t.Context(), "k", func([]byte) (store.Row, error) { return store.Row{}, store.SkipWrite }); err != nil {
		t.Errorf("Update that skips: %v", err)
	}
	if page, err := s.Expired(t.Context(), epoch, ""); err != nil || len(page.Rows) != 0 {
		t.Errorf("Expired: %v, %v", page, err)
	}
	for _, when := range []string{"at first", "after it was deleted"} {
		ctx, trips := store.WithTrips(t.Context())
		if err := s.Update(ctx, "k", appending("x")); err != nil {
			t.Fatalf("Update %s: %v", when, err)
		}
		if trips.Load() != 3 {
			t.Errorf("Update %s took %d round trips, want 3: read, make the table, insert", when, trips.Load())
		}
		if row, err := s.Get(t.Context(), "k"); err != nil || string(row.Data) != "x" {
			t.Errorf("Get %s: %q, %v", when, row.Data, err)
		}
		if when == "at first" {
			if _, err := s.client.writes.Delete(t.Context(), nil); err != nil {
				t.Fatal("test: can't delete the table")
			}
		}
	}
	// Between the reading and the writing.
	gone := false
	err := s.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
		if !gone {
			gone = true
			if _, err := s.client.writes.Delete(t.Context(), nil); err != nil {
				t.Error("test: can't delete the table")
			}
		}
		return appending("y")(old)
	})
	if row, getErr := s.Get(t.Context(), "k"); err != nil || getErr != nil || string(row.Data) != "y" {
		t.Errorf("Update: %v; Get: %q, %v", err, row.Data, getErr)
	}
}

// With a managed identity, requests carry a token for storage that comes from
// the endpoint that the Functions host names. It is asked for once.
func TestManagedIdentity(t *testing.T) {
	// The SDK keeps tokens for the whole process, so each run takes an identity
	// of its own, and the system's, of which there is one, may be known already.
	for _, clientID := range []string{"", newMark() + newMark()} {
		var asked atomic.Int64
		identity := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			q := r.URL.Query()
			if r.Header.Get("X-IDENTITY-HEADER") != "header" || q.Get("resource") != "https://storage.azure.com" || q.Get("client_id") != clientID {
				t.Errorf("asked for a token with %v", q)
			}
			fmt.Fprintf(w, `{"access_token":"canary-token","expires_on":"%d","resource":"https://storage.azure.com","token_type":"Bearer"}`,
				time.Now().Add(24*time.Hour).Unix())
		}))
		defer identity.Close()
		t.Setenv("IDENTITY_ENDPOINT", identity.URL)
		t.Setenv("IDENTITY_HEADER", "header")

		s := openStore(t, Options{
			ServiceURL: "https://acme.table.core.windows.net/", ClientID: clientID, TablePrefix: "twofa",
			Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				if got := req.Header.Get("Authorization"); got != "Bearer canary-token" {
					t.Errorf("Authorization is %q", got)
				}
				if req.URL.Host != "acme.table.core.windows.net" || !strings.HasPrefix(req.URL.Path, "/twofarecipients") {
					t.Errorf("asked %s", req.URL)
				}
				return answer(req, 404, `{"odata.error":{"code":"ResourceNotFound"}}`), nil
			}),
		})
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

// Without an identity there is no token: that is unavailable, and says so.
func TestNoManagedIdentity(t *testing.T) {
	identity := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, `{"error":"invalid_request","error_description":"canary-description"}`, http.StatusBadRequest)
	}))
	defer identity.Close()
	t.Setenv("IDENTITY_ENDPOINT", identity.URL)
	t.Setenv("IDENTITY_HEADER", "header")
	s := openStore(t, Options{
		ServiceURL: "https://acme.table.core.windows.net", ClientID: newMark() + newMark(), TablePrefix: "twofa",
		Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			t.Errorf("sent a request without a token")
			return nil, errLost
		}),
	})
	_, err := s.Get(t.Context(), "k")
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "managed identity") || strings.Contains(err.Error(), "canary") {
		t.Errorf("Get: %v, want ErrUnavailable that names the managed identity", err)
	}
}

// slowIdentity is an endpoint that answers with a token after a while, and says
// how often it was asked.
func slowIdentity(t *testing.T, delay time.Duration) *atomic.Int64 {
	t.Helper()
	var asked atomic.Int64
	identity := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
		fmt.Fprintf(w, `{"access_token":"token","expires_on":"%d","resource":"https://storage.azure.com","token_type":"Bearer"}`,
			time.Now().Add(24*time.Hour).Unix())
	}))
	t.Cleanup(identity.Close)
	t.Setenv("IDENTITY_ENDPOINT", identity.URL)
	t.Setenv("IDENTITY_HEADER", "header")
	return &asked
}

// At a cold start a token takes longer than one try has. Whatever comes first,
// a read or a write, waits for it.
func TestSlowToken(t *testing.T) {
	const delay = tryTimeout + 500*time.Millisecond
	for _, name := range []string{"Get", "Update", "Expired", "Delete"} {
		t.Run(name, func(t *testing.T) {
			asked := slowIdentity(t, delay)
			s := openStore(t, Options{
				ServiceURL: "https://acme.table.core.windows.net", ClientID: newMark() + newMark(), TablePrefix: "twofa",
				Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
					switch {
					case req.Header.Get("Authorization") != "Bearer token":
						t.Error("sent a request without a token")
					case req.Method != http.MethodGet:
						return answer(req, 204, ""), nil
					case !strings.Contains(req.URL.Path, "PartitionKey="):
						return answer(req, 200, `{"value":[]}`), nil
					}
					return answer(req, 404, `{"odata.error":{"code":"ResourceNotFound"}}`), nil
				}),
			})
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

// While there is no token, calls end in time, however many wait for it.
func TestTokenThatNeverComes(t *testing.T) {
	const limit = 400 * time.Millisecond
	slowIdentity(t, time.Minute)
	s := openStore(t, Options{
		ServiceURL: "https://acme.table.core.windows.net", ClientID: newMark() + newMark(), TablePrefix: "twofa", Timeout: limit,
		Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			t.Errorf("sent a request without a token")
			return nil, errLost
		}),
	})
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

// Each shared Azurite has a key of its own, so a store with another key is
// refused: the tests do sign their requests.
func TestWrongKey(t *testing.T) {
	o := options(t)
	a, err := parseAddress(o)
	if err != nil {
		t.Fatal(err)
	}
	o.ConnectionString = strings.Replace(azurite.Shared(t), a.key, devKey, 1)
	s := openStore(t, o)
	if err := s.Update(t.Context(), "k", appending("x")); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "403") {
		t.Errorf("Update: %v, want ErrUnavailable with status 403", err)
	}
}

// The service's continuation token has two parts, of which the second may be
// missing. Both are handed back to it as they came. (Azurite does with the first.)
func TestContinuation(t *testing.T) {
	for _, rowToken := range []string{"1!4!cg--", ""} {
		var query []string
		o := Options{
			ConnectionString: "UseDevelopmentStorage=true", TablePrefix: "twofa",
			Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				q := req.URL.Query()
				query = append(query, q.Get("NextPartitionKey")+" "+q.Get("NextRowKey"))
				if got, want := q.Get("$filter"), "KeepUntil le 1930367167L"; got != want {
					t.Errorf("filter %q, want %q", got, want)
				}
				if q.Has("NextPartitionKey") {
					return answer(req, 200, `{"value":[]}`), nil
				}
				return answer(req, 200, `{"value":[]}`,
					"x-ms-continuation-NextPartitionKey", "1!16!&=+ ", "x-ms-continuation-NextRowKey", rowToken), nil
			}),
		}
		page, err := openStore(t, o).Expired(t.Context(), epoch, "")
		if err != nil || page.Next == "" {
			t.Fatalf("Expired: %v, %v, want a cursor", page, err)
		}
		page, err = openStore(t, o).Expired(t.Context(), epoch, page.Next)
		if err != nil || page.Next != "" {
			t.Fatalf("Expired: %v, %v, want the end", page, err)
		}
		if len(query) != 2 || query[0] != " " || query[1] != "1!16!&=+  "+rowToken {
			t.Errorf("continued with %q", query)
		}
	}
}
