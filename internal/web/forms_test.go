package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"twofa/internal/web"
)

func TestSameOrigin(t *testing.T) {
	const own = "https://2fa.bank.example"
	for _, c := range []struct {
		site, origin string
		ok           bool
	}{
		{"same-origin", "null", true}, // what a browser sends for our own form
		{"same-origin", own, true},
		{"same-origin", "https://evil.example", false}, // its Host is not ours
		{"same-site", own, false},
		{"cross-site", own, false},
		{"none", own, false},
		{"Same-Origin", own, false},
		{"", own, true},
		{"", "HTTPS://2FA.bank.example", true},
		{"", own + ":443", false},
		{"", "http://2fa.bank.example", false},
		{"", own + ".evil.example", false},
		{"", "https://evil.example", false},
		{"", "null", false},
		{"", "", false},
		{"", "%zz", false},
	} {
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:7071/verify/check/code", nil)
		r.Host = "host.internal" // the Functions host's
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if err := web.SameOrigin(own + "/")(r); (err == nil) != c.ok {
			t.Errorf("Sec-Fetch-Site %q, Origin %q: %v, want ok = %t", c.site, c.origin, err, c.ok)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("Origin", "http://")
	for _, publicURL := range []string{"", "://", "x"} {
		if web.SameOrigin(publicURL)(r) == nil {
			t.Errorf("without a public address (%q) every form is ours", publicURL)
		}
	}
}

func TestCookies(t *testing.T) {
	for _, plain := range []bool{false, true} {
		c := web.Cookies{Plain: plain}
		cookie := c.New("session-1", "value", 30*time.Minute)
		want := "__Host-twofa-session-1=value; Path=/; Max-Age=1800; HttpOnly; Secure; SameSite=Lax"
		if plain {
			want = "twofa-session-1=value; Path=/; Max-Age=1800; HttpOnly; SameSite=Lax"
		}
		if cookie.String() != want {
			t.Errorf("the cookie is %s, want %s", cookie, want)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if got := c.Value(r, "session-1"); got != "" {
			t.Errorf("without a cookie its value is %q", got)
		}
		r.AddCookie(cookie)
		if got := c.Value(r, "session-1"); got != "value" {
			t.Errorf("the value is %q", got)
		}
		if got := (web.Cookies{Plain: !plain}).Value(r, "session-1"); got != "" {
			t.Error("a cookie counts under the other name")
		}
		r.AddCookie(c.New("session-1", "other", time.Minute)) // somebody set another one
		if got := c.Value(r, "session-1"); got != "" {
			t.Errorf("of two cookies, %q counts", got)
		}
	}
}

func TestHeaders(t *testing.T) {
	h := web.Headers()
	csp := map[string]string{}
	for directive := range strings.SplitSeq(h["Content-Security-Policy"], "; ") {
		name, value, _ := strings.Cut(directive, " ")
		csp[name] = value
	}
	for name, want := range map[string]string{
		"default-src": "'none'", "style-src": "'self'", "script-src": "'self'", "form-action": "'self'",
		"base-uri": "'none'", "frame-ancestors": "'none'", "img-src": "'self' data:",
	} {
		if csp[name] != want {
			t.Errorf("%s is %q, want %q", name, csp[name], want)
		}
	}
	for name, want := range map[string]string{
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Cross-Origin-Opener-Policy": "same-origin", "Vary": "Accept-Language", "Content-Type": "text/html; charset=utf-8",
	} {
		if h[name] != want {
			t.Errorf("%s is %q, want %q", name, h[name], want)
		}
	}
	if p := h["Permissions-Policy"]; !strings.Contains(p, "otp-credentials=(self)") || strings.Count(p, "(self)") != 1 || strings.Contains(p, "*") {
		t.Errorf("Permissions-Policy: %s", p)
	}
	h["Referrer-Policy"] = "changed"
	if web.Headers()["Referrer-Policy"] != "no-referrer" {
		t.Error("the headers of two pages are one map")
	}
}

// What a form may lead to is added to form-action, and nothing else of the policy can change.
func TestHeaders_FormActions(t *testing.T) {
	csp := func(sources ...string) string { return web.Headers(sources...)["Content-Security-Policy"] }
	none := csp()
	for _, source := range []string{"https://app.example", "http://127.0.0.1:8080", "com.example.app:", "http:"} {
		if got := csp(source); got != none+" "+source {
			t.Errorf("%s: %s", source, got)
		}
	}
	if got := csp("https://a.example", "", "https://b.example"); got != none+" https://a.example https://b.example" {
		t.Error(got)
	}
	for _, bad := range []string{
		"", "*", "https:; script-src *", "https://a.example; script-src *", "https://a.example script-src", "https://a.example, default-src *", "https://a.example\r\nX: y", "https://a.example\n",
		"'unsafe-inline'", "https://*.example", "https://a.example/path", "https://a.example:", "//a.example", "a.example", "https://\u00e9.example",
	} {
		if got := csp(bad); got != none {
			t.Errorf("%q: %s", bad, got)
		}
	}
	if !strings.HasSuffix(none, "; form-action 'self'") {
		t.Errorf("the policy does not end with form-action: %s", none)
	}
}
