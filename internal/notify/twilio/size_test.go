package twilio

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/problem"
)

// A body over the limit is called too large, and never forged, whatever else the request
// lacks: the operator would look for a fault of the auth token.
func TestALargeBodyIsNotCalledForged(t *testing.T) {
	t.Parallel()
	hooks := webhooks(t)
	const formType = "application/x-www-form-urlencoded"
	for name, change := range map[string]func(*http.Request){
		"no content type":          func(r *http.Request) { r.Header.Del("Content-Type") },
		"JSON":                     func(r *http.Request) { r.Header.Set("Content-Type", "application/json") },
		"multipart":                func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") },
		"a malformed content type": func(r *http.Request) { r.Header.Set("Content-Type", formType+"; x") },
		"no signature":             func(r *http.Request) { r.Header.Del(signatureHeader) },
		"two signatures":           func(r *http.Request) { r.Header.Add(signatureHeader, "x") },
		"another method":           func(r *http.Request) { r.Method = http.MethodPut },
		"nothing wrong":            func(*http.Request) {},
	} {
		for path, call := range map[string]func(*http.Request) error{
			StatusPath:  func(r *http.Request) error { _, err := hooks.Report(r); return err },
			InboundPath: func(r *http.Request) error { _, err := hooks.Inbound(r); return err },
		} {
			for size, tooLarge := range map[int]bool{gateway.MaxWebhook: false, gateway.MaxWebhook + 1: true, 20 << 10: true, 1 << 20: true} {
				for _, length := range []int64{int64(size), -1} { // -1: not known before the body ends
					body := "Body=" + strings.Repeat("x", size-len("Body="))
					r := httptest.NewRequest("POST", path, io.NopCloser(strings.NewReader(body)))
					r.ContentLength = length
					r.Header.Set("Content-Type", formType)
					r.Header.Set(signatureHeader, "x")
					change(r)
					err := call(r)
					if tooLarge != problem.Is(err, problem.PayloadTooLarge) || !tooLarge && err != notify.ErrForged {
						t.Errorf("%s, %s, %d bytes of %d: %v", name, path, size, length, err)
					}
				}
			}
		}
	}
}
