package plivo

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
	"twofa/internal/otp"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/plivotest"
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
		if f := r.failure(t, channel.WhatsApp, message()); !f.MayHaveSent || calls != 2 {
			t.Errorf("got %+v after %d calls", f, calls)
		}
	})
}

// The URL and the Host header that a proxy or a virtual host would see.
func TestBaseURLReplacesSchemeAndHost(t *testing.T) {
	for base, want := range map[string]string{
		"":                            "https api.plivo.com api.plivo.com",
		"https://proxy.example:8443/": "https proxy.example:8443 proxy.example:8443",
		"http://127.0.0.1:9":          "http 127.0.0.1:9 127.0.0.1:9",
	} {
		o := options()
		o.BaseURL = base
		var got, path string
		o.Transport = notifytest.RoundTripper(func(r *http.Request) (*http.Response, error) {
			host := cmp.Or(r.Host, r.URL.Host) // the Host header that net/http sends
			got, path = fmt.Sprint(r.URL.Scheme, " ", r.URL.Host, " ", host), r.URL.RequestURI()
			return &http.Response{StatusCode: http.StatusAccepted, Body: io.NopCloser(strings.NewReader(`{"message_uuid":["5b40a428-bfc7-4daf-9d06-726c558bf3b8"]}`))}, nil
		})
		(&rig{Account: newAccount(t, o)}).send(t, channel.WhatsApp, message())
		if got != want || path != "/v1/Account/"+plivotest.AuthID+"/Message/" {
			t.Errorf("%q: calls go to %s%s", base, got, path)
		}
	}
}

// If a response is not read to its end, its Close or the end of the try's context has to
// release the connection. Otherwise all sends would hang at the transport's limit.
func TestLongResponsesDoNotLeakConnections(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
		r.For(recipient, plivotest.Raw(http.StatusBadRequest, strings.Repeat("x", 2*gateway.MaxBody)))
		for i := range gateway.NewTransport().MaxConnsPerHost + 2 {
			f := r.failure(t, channel.WhatsApp, message())
			if f.Outcome != otp.OutcomeUnavailable || f.Detail != "refused with status 400" {
				t.Fatalf("send %d: got %+v", i, f)
			}
		}
	})
}

// Over HTTP/2, net/http repeats a POST after errors after which it does not over
// HTTP/1.1.
func TestHTTP1Only(t *testing.T) {
	var protocol string
	double := plivotest.New(plivotest.Account{})
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
