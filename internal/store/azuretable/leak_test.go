package azuretable

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/storetest"
)

// leakRig returns a store with faults, and the values that its errors must not contain: the
// account's key, the host of the service, and the row's key. Empty key: the account's own.
func leakRig(t *testing.T, key string, disturb roundTripper) (s *Store, secrets []string) {
	t.Helper()
	o := options(t)
	a, err := parseAddress(o)
	if err != nil {
		t.Fatal(err)
	}
	key = cmp.Or(key, a.key)
	u, err := url.Parse(a.url)
	if err != nil {
		t.Fatal(err)
	}
	o.ConnectionString = strings.Replace(o.ConnectionString, a.key, key, 1)
	o.Timeout = 300 * time.Millisecond
	o.Transport = disturb
	raw, _ := base64.StdEncoding.DecodeString(key)
	return openStore(t, o), []string{
		key, url.QueryEscape(key), string(raw), u.Host, u.Port(), "127.0.0.1", a.account, "http:", "https:",
		o.TablePrefix, "canaryrow", "SharedKey", "PartitionKey", `W/"`, "canary",
	}
}

func TestErrorsLeakNothing(t *testing.T) {
	next := newTransport("http://")
	t.Cleanup(next.CloseIdleConnections)
	// Proxies may quote the request in their answers.
	echo := func(req *http.Request) string {
		return fmt.Sprintf("%s %s %s %s canary", req.Method, req.URL, req.Header.Get("Authorization"), req.Host)
	}
	fault := func(status int) roundTripper {
		return func(req *http.Request) (*http.Response, error) {
			body, _ := json.Marshal(map[string]any{"odata.error": map[string]any{"code": echo(req), "message": map[string]string{"value": echo(req)}}})
			return answer(req, status, string(body), "x-ms-error-code", echo(req), "Location", req.URL.String()), nil
		}
	}
	faults := map[string]roundTripper{
		"reset": func(req *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: req.Method, URL: req.URL.String(), Err: errors.New(echo(req))}
		},
		"hang": func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, fmt.Errorf("%s: %w", echo(req), req.Context().Err())
		},
		"refused connection": func(req *http.Request) (*http.Response, error) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			l.Close()
			req = req.Clone(req.Context())
			req.URL.Host = l.Addr().String()
			return next.RoundTrip(req)
		},
		"unknown host": func(req *http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: echo(req), Name: req.URL.Host, Server: "127.0.0.1:53", IsNotFound: true}}
		},
		"TLS": func(req *http.Request) (*http.Response, error) {
			return nil, &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"canary"}}, Host: req.URL.Host}}
		},
		"garbage": func(req *http.Request) (*http.Response, error) {
			return answer(req, 200, echo(req), "ETag", echo(req)), nil
		},
		"conflicts": func(req *http.Request) (*http.Response, error) {
			if isWrite(req) {
				return fault(412)(req)
			}
			return answer(req, 404, `{"odata.error":{"code":"ResourceNotFound"}}`), nil
		},
		"writes fail": func(req *http.Request) (*http.Response, error) {
			if isWrite(req) || strings.HasSuffix(req.URL.Path, "/Tables") {
				return fault(500)(req)
			}
			return answer(req, 404, `{"odata.error":{"code":"TableNotFound"}}`), nil
		},
	}
	for _, status := range []int{202, 301, 400, 401, 403, 404, 408, 409, 412, 413, 429, 500, 501, 503, 999} {
		faults[fmt.Sprint(status)] = fault(status)
	}
	check := func(t *testing.T, s *Store, secrets []string) {
		const key = "canaryrow"
		_, get := s.Get(t.Context(), key)
		update := s.Update(t.Context(), key, storetest.Append("x"))
		page, expired := s.Expired(t.Context(), fixture.Noon, "")
		_, del := s.Delete(t.Context(), store.Ref{Key: key, Version: `W/"canary"`})
		_, cursor := s.Expired(t.Context(), fixture.Noon, "canary")
		_, version := s.Delete(t.Context(), store.Ref{Key: key, Version: "canary"})
		_, badKey := s.Get(t.Context(), "canary canary")
		if len(page.Rows) > 0 {
			t.Errorf("Expired returned rows: %v", page.Rows)
		}
		failed := 0
		for _, err := range []error{get, update, expired, del, cursor, version, badKey} {
			if err == nil {
				continue
			}
			failed++
			if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrInvalid) {
				t.Errorf("an error of an unknown kind: %v", err)
			}
			var re *azcore.ResponseError
			if errors.As(err, &re) {
				t.Errorf("the error wraps the SDK's error: %T", err)
			}
			text := fmt.Sprintf("%v %+v %#v %q", err, err, err, err)
			for _, secret := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%q is in the error %v", secret, err)
				}
			}
		}
		if failed < 5 {
			t.Errorf("only %d of 7 calls failed, so this test shows nothing", failed)
		}
	}
	for name, disturb := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, secrets := leakRig(t, "", disturb)
			check(t, s, secrets)
		})
	}
	t.Run("wrong key", func(t *testing.T) {
		s, secrets := leakRig(t, "d3Jvbmcta2V5LWNhbmFyeQ==", next.RoundTrip)
		check(t, s, secrets)
	})
}
