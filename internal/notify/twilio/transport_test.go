package twilio

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"twofa/internal/notify"
	"twofa/internal/testing/twiliotest"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A transport that does not tell whether it had a connection is not believed to
// have had none.
func TestWithoutEvidenceAFailureIsAmbiguous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		w := inBubble(t, func(o *Options) {
			o.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
				calls++
				return nil, errors.New("no such host")
			})
		})
		f := failure(t, w.sender.Send(t.Context(), message()))
		if !f.MayHaveSent || calls != 2 {
			t.Errorf("got %+v after %d calls", f, calls)
		}
	})
}

// What a proxy or a virtual host would see.
func TestBaseURLReplacesSchemeAndHost(t *testing.T) {
	for base, want := range map[string]string{
		"":                            "https api.twilio.com api.twilio.com",
		"https://proxy.example:8443/": "https proxy.example:8443 proxy.example:8443",
		"http://127.0.0.1:9":          "http 127.0.0.1:9 127.0.0.1:9",
	} {
		o := options()
		o.BaseURL = base
		var got, path string
		o.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			host := r.Host // what is sent; empty means that of the URL
			if host == "" {
				host = r.URL.Host
			}
			got, path = fmt.Sprint(r.URL.Scheme, " ", r.URL.Host, " ", host), r.URL.RequestURI()
			return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody}, nil
		})
		a, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.on(notify.WhatsApp).Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
		if got != want || path != "/2010-04-01/Accounts/"+twiliotest.AccountSID+"/Messages.json" {
			t.Errorf("%q: calls go to %s%s", base, got, path)
		}
	}
}

// An answer that is not read to its end must give its connection back, by its
// Close or by the end of the try's context: past the transport's bound all
// sends would wait for ever.
func TestEndlessAnswersDoNotLeakConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := inBubble(t, nil)
		w.For(recipient, twiliotest.Raw(http.StatusBadRequest, strings.Repeat("x", 2*maxBody)))
		for i := range newTransport().MaxConnsPerHost + 2 {
			f := failure(t, w.sender.Send(t.Context(), message()))
			if f.Reason != notify.Unavailable || f.Detail != "refused with status 400" {
				t.Fatalf("send %d: got %+v", i, f)
			}
		}
	})
}

// net/http repeats a POST over HTTP/2 after errors where it would not over
// HTTP/1.1.
func TestHTTP1Only(t *testing.T) {
	var protocol string
	double := twiliotest.New(twiliotest.Account{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol = r.Proto
		double.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()

	transport := newTransport()
	defer transport.CloseIdleConnections()
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	transport.TLSClientConfig.NextProtos = nil
	o := options()
	o.BaseURL, o.Transport = server.URL, transport
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.on(notify.WhatsApp).Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if protocol != "HTTP/1.1" {
		t.Errorf("spoke %s", protocol)
	}
}
