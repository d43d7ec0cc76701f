package azuretable

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/store"
	"twofa/internal/testing/azurite"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/storetest"
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
	s := openStore(t, local(func(req *http.Request) (*http.Response, error) {
		path = req.URL.Host + req.URL.Path
		return answer(req, 404, `{"odata.error":{"code":"TableNotFound"}}`), nil
	}))
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if want := "127.0.0.1:10002/devstoreaccount1/twofarecipients(PartitionKey='k',RowKey='r')"; path != want {
		t.Errorf("asked %s, want %s", path, want)
	}
}

func TestAddress(t *testing.T) {
	const key = "c2VjcmV0LWtleQ=="
	withKey := func(url string) address { return address{url: url, account: "acme", key: key} }
	portal := withKey("https://acme.table.core.windows.net")
	signed := func(url string) address { return address{url: url, signature: "sig=abc"} }
	for name, c := range map[string]struct {
		connection string
		want       address
	}{
		"from the portal":    {"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=" + key + ";EndpointSuffix=core.windows.net", portal},
		"with all endpoints": {"BlobEndpoint=https://acme.blob.core.windows.net/;TableEndpoint=https://acme.table.core.windows.net/;AccountName=acme;AccountKey=" + key, portal},
		"short":              {"AccountName=acme;AccountKey=" + key, portal},
		"spaces, lower case": {" accountname=acme ; accountkey=" + key + " ;; ", portal},
		"another cloud": {"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=" + key + ";EndpointSuffix=core.chinacloudapi.cn;",
			withKey("https://acme.table.core.chinacloudapi.cn")},
		"signature": {"TableEndpoint=https://acme.table.core.windows.net;SharedAccessSignature=?sv=2019-02-02&sig=abc%3D",
			address{url: "https://acme.table.core.windows.net", signature: "sv=2019-02-02&sig=abc%3D"}},
		"signature and name": {"AccountName=acme;SharedAccessSignature=sv=2019-02-02&sig=abc%3D",
			address{url: "https://acme.table.core.windows.net", account: "acme", signature: "sv=2019-02-02&sig=abc%3D"}},
		"signature, loopback":  {"TableEndpoint=http://127.0.0.1:10002/acme;SharedAccessSignature=sig=abc", signed("http://127.0.0.1:10002/acme")},
		"signature, localhost": {"TableEndpoint=http://localhost:10002/acme;SharedAccessSignature=sig=abc", signed("http://localhost:10002/acme")},
		"signature, IPv6":      {"TableEndpoint=http://[::1]:10002/acme;SharedAccessSignature=sig=abc", signed("http://[::1]:10002/acme")},
		"development storage":  {"UseDevelopmentStorage=true", address{url: "http://127.0.0.1:10002/devstoreaccount1", account: devAccount, key: devKey}},
		"development storage elsewhere": {"usedevelopmentstorage=True;DevelopmentStorageProxyUri=https://azurite",
			address{url: "https://azurite:10002/devstoreaccount1", account: devAccount, key: devKey}},
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

// These messages are logged, so they name the fault and quote nothing.
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
			t.Errorf("%s: the error quotes a value: %v", name, err)
		}
	}
}

// Everybody who sees a shared access signature can use it, so it is never sent over http.
func TestSignatureNeedsHTTPS(t *testing.T) {
	for _, s := range []string{
		"TableEndpoint=http://acme.example;SharedAccessSignature=sig=secret",
		"TableEndpoint=HTTP://acme.example;SharedAccessSignature=sig=secret",
		"TableEndpoint=http://10.0.0.1:10002/acme;SharedAccessSignature=?sig=secret",
		"TableEndpoint=http://localhost.example;SharedAccessSignature=sig=secret",
		"DefaultEndpointsProtocol=http;AccountName=acme;SharedAccessSignature=sig=secret",
	} {
		const want = "the connection string's SharedAccessSignature needs https"
		if err := (Options{ConnectionString: s}).CheckConnectionString(); err == nil || err.Error() != want {
			t.Errorf("%s: %v", s, err)
		}
		for _, allowed := range []bool{false, true} {
			if _, err := Open(Options{ConnectionString: s, TablePrefix: "twofa", AllowPlainHTTP: allowed}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Open with %s, plain http allowed %v: %v", s, allowed, err)
			}
		}
	}
}

// Whoever reads and changes what is sent can put an older row back: a code would work twice.
func TestR22_TheTableEndpointIsHTTPSOrOnThisMachine(t *testing.T) {
	const key = "AccountName=acme;AccountKey=c2VjcmV0"
	for s, private := range map[string]bool{
		"DefaultEndpointsProtocol=http;" + key:                                     false,
		"DefaultEndpointsProtocol=HTTP;" + key:                                     false,
		key + ";TableEndpoint=http://acme.table.core.windows.net":                  false,
		key + ";TableEndpoint=http://10.0.0.4:10002/acme":                          false,
		key + ";TableEndpoint=http://azurite:10002/acme":                           false,
		key + ";TableEndpoint=http://localhost.example:10002/acme":                 false,
		key + ";TableEndpoint=http://127.0.0.1.example/acme":                       false,
		key + ";TableEndpoint=http://2130706433/acme":                              false,
		key + ";TableEndpoint=http://0.0.0.0:10002/acme":                           false,
		key + ";TableEndpoint=http://[::ffff:10.0.0.4]/acme":                       false,
		"UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite":     false,
		"UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://192.168.0.7": false,
		"UseDevelopmentStorage=true":                                               true,
		"UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://127.0.0.2":   true,
		key + ";TableEndpoint=http://localhost:10002/acme":                         true,
		key + ";TableEndpoint=http://LOCALHOST:10002/acme":                         true,
		key + ";TableEndpoint=http://127.1.2.3:10002/acme":                         true,
		key + ";TableEndpoint=http://[::1]:10002/acme":                             true,
		key + ";TableEndpoint=http://[::ffff:127.0.0.1]/acme":                      true,
		key + ";TableEndpoint=https://10.0.0.4/acme":                               true,
	} {
		o := Options{ConnectionString: s, TablePrefix: "twofa"}
		checked := o.CheckConnectionString()
		_, opened := Open(o)
		for what, err := range map[string]error{"check": checked, "Open": opened} {
			if private != (err == nil) || err != nil && (!strings.Contains(err.Error(), "TWOFA_ALLOW_PLAIN_HTTP") || strings.Contains(err.Error(), "acme")) {
				t.Errorf("%s: %s: %v", what, s, err)
			}
		}
		o.AllowPlainHTTP = true
		if _, err := Open(o); err != nil || o.CheckConnectionString() != nil {
			t.Errorf("allowed: %s: %v, %v", s, err, o.CheckConnectionString())
		}
	}
}

// Bursts of 64 updates reuse the connections of earlier bursts.
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
				if err := s.Update(t.Context(), store.Key(fmt.Sprintf("k%d", i)), storetest.Append("x")); err != nil {
					t.Errorf("Update: %v", err)
				}
			})
		}
		wg.Wait()
	}
	if n := dials.Load(); n == 0 || n > 2*concurrent {
		t.Errorf("%d connections for %d bursts of %d, want at most two per update of a burst", n, rounds, concurrent)
	}
}

// These limits of the transport make sure that it does not use connections that the other
// side is closing.
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

// The table does not exist yet, or is deleted while it is used.
func TestMissingTable(t *testing.T) {
	s := openStore(t, options(t))
	deleteTable := func() {
		t.Helper()
		if _, err := s.client.writes.Delete(t.Context(), nil); err != nil {
			t.Error("test: the table cannot be deleted")
		}
	}
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	if ok, err := s.Delete(t.Context(), store.Ref{Key: "k", Version: `W/"x"`}); ok || err != nil {
		t.Errorf("Delete: %v, %v, want false", ok, err)
	}
	if err := s.Update(t.Context(), "k", func([]byte) (store.Row, error) { return store.Row{}, store.SkipWrite }); err != nil {
		t.Errorf("Update that skips: %v", err)
	}
	if page, err := s.Expired(t.Context(), fixture.Noon, ""); err != nil || len(page.Rows) != 0 {
		t.Errorf("Expired: %v, %v", page, err)
	}
	for _, when := range []string{"at first", "after it was deleted"} {
		ctx, trips := store.WithTrips(t.Context())
		if err := s.Update(ctx, "k", storetest.Append("x")); err != nil {
			t.Fatalf("Update %s: %v", when, err)
		}
		if trips.Load() != 3 {
			t.Errorf("Update %s took %d round trips, want 3: read, create the table, insert", when, trips.Load())
		}
		if row, err := s.Get(t.Context(), "k"); err != nil || string(row.Data) != "x" {
			t.Errorf("Get %s: %q, %v", when, row.Data, err)
		}
		if when == "at first" {
			deleteTable()
		}
	}
	// The table is deleted between the read and the write.
	var once sync.Once
	err := s.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
		once.Do(deleteTable)
		return storetest.Append("y")(old)
	})
	if row, getErr := s.Get(t.Context(), "k"); err != nil || getErr != nil || string(row.Data) != "y" {
		t.Errorf("Update: %v; Get: %q, %v", err, row.Data, getErr)
	}
}

// Each shared Azurite has its own key and refuses a store with another key. So the tests do
// sign their requests.
func TestWrongKey(t *testing.T) {
	o := options(t)
	a, err := parseAddress(o)
	if err != nil {
		t.Fatal(err)
	}
	o.ConnectionString = strings.Replace(azurite.Shared(t), a.key, devKey, 1)
	s := openStore(t, o)
	if err := s.Update(t.Context(), "k", storetest.Append("x")); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "403") {
		t.Errorf("Update: %v, want ErrUnavailable with status 403", err)
	}
}

// The service's continuation token has two parts. The second one may be missing. Both are
// sent back unchanged. (Azurite uses only the first one.)
func TestContinuation(t *testing.T) {
	for _, rowToken := range []string{"1!4!cg--", ""} {
		var query []string
		o := local(func(req *http.Request) (*http.Response, error) {
			q := req.URL.Query()
			query = append(query, q.Get("NextPartitionKey")+" "+q.Get("NextRowKey"))
			if got, want := q.Get("$filter"), "KeepUntil le 1772366400L"; got != want {
				t.Errorf("filter %q, want %q", got, want)
			}
			if q.Has("NextPartitionKey") {
				return answer(req, 200, `{"value":[]}`), nil
			}
			return answer(req, 200, `{"value":[]}`,
				"x-ms-continuation-NextPartitionKey", "1!16!&=+ ", "x-ms-continuation-NextRowKey", rowToken), nil
		})
		page, err := openStore(t, o).Expired(t.Context(), fixture.Noon, "")
		if err != nil || page.Next == "" {
			t.Fatalf("Expired: %v, %v, want a cursor", page, err)
		}
		page, err = openStore(t, o).Expired(t.Context(), fixture.Noon, page.Next)
		if err != nil || page.Next != "" {
			t.Fatalf("Expired: %v, %v, want the end", page, err)
		}
		if len(query) != 2 || query[0] != " " || query[1] != "1!16!&=+  "+rowToken {
			t.Errorf("continued with %q", query)
		}
	}
}
