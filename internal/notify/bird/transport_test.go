package bird

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify/gateway"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/notifytest"
)

// If the transport does not say whether there was a connection, the failure counts as
// ambiguous.
func TestWithoutEvidenceAFailureIsAmbiguous(t *testing.T) {
	calls := 0
	unknown := notifytest.RoundTripper(func(*http.Request) (*http.Response, error) {
		calls++
		return nil, errors.New("no such host")
	})
	inBubble(t, func(o *Options) { o.Transport = unknown }, func(t *testing.T, r *rig, _ *notifytest.Pipes) {
		if f := r.failure(t, channel.WhatsApp, message()); !f.MayHaveSent || calls != 3 {
			t.Errorf("got %+v after %d calls", f, calls)
		}
	})
}

// The URL and the Host header that a proxy or a virtual host would see, and the key.
func TestBaseURLReplacesSchemeAndHost(t *testing.T) {
	for base, want := range map[string]string{
		"":                            "https eu1.platform.bird.com eu1.platform.bird.com",
		"https://proxy.example:8443/": "https proxy.example:8443 proxy.example:8443",
		"http://127.0.0.1:9":          "http 127.0.0.1:9 127.0.0.1:9",
	} {
		o := options()
		o.BaseURL = base
		var got, path, authorization string
		o.Transport = notifytest.RoundTripper(func(r *http.Request) (*http.Response, error) {
			host := cmp.Or(r.Host, r.URL.Host) // the Host header that net/http sends
			got, path = fmt.Sprint(r.URL.Scheme, " ", r.URL.Host, " ", host), r.URL.RequestURI()
			authorization = r.Header.Get("Authorization")
			if r.GetBody != nil {
				t.Error("net/http can repeat the POST")
			}
			return &http.Response{StatusCode: http.StatusAccepted, Body: io.NopCloser(strings.NewReader(`{"id":"wam_1"}`))}, nil
		})
		(&rig{Account: newAccount(t, o)}).send(t, channel.WhatsApp, message())
		if got != want || path != "/v1/whatsapp/messages" || authorization != "Bearer "+birdtest.APIKey {
			t.Errorf("%q: calls go to %s%s", base, got, path)
		}
	}
}

// Over HTTP/2, net/http repeats a POST after errors after which it does not over HTTP/1.1.
func TestHTTP1Only(t *testing.T) {
	var protocol string
	double := birdtest.New(birdtest.Account{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol = r.Proto
		double.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()

	transport := gateway.NewTransport()
	defer transport.CloseIdleConnections()
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	transport.TLSClientConfig.NextProtos = nil
	o := options()
	o.BaseURL, o.Transport = server.URL, transport
	(&rig{Account: newAccount(t, o)}).send(t, channel.WhatsApp, message())
	if protocol != "HTTP/1.1" {
		t.Errorf("used %s", protocol)
	}
}
