package handler

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"twofa/internal/testing/fixture"
)

// A route that has an endpoint for OPTIONS answers preflights itself, and names the method.
// One that has none refuses them, as any other method.
func TestMethods_OptionsIsAnsweredOnlyByItsOwnEndpoint(t *testing.T) {
	t.Parallel()
	a := &API{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return fixture.Noon }}
	says := func(status int, allowed string) access {
		return access{endpoint: func(*http.Request) (answer, error) {
			return answer{status: status, header: map[string]string{"Access-Control-Allow-Origin": allowed}}, nil
		}}
	}
	own := a.methods(route{"/oidc/token", "oidc", byMethod{"POST": says(200, "https://a.example"), "OPTIONS": says(204, "https://a.example")}})
	none := a.methods(route{"/oidc/signin", "oidc", byMethod{"GET": says(200, ""), "POST": says(200, "")}})
	for _, tc := range []struct {
		name, method  string
		route         http.Handler
		status        int
		allow, origin string // headers
	}{
		{"its own endpoint", "OPTIONS", own, 204, "", "https://a.example"},
		{"another method beside it", "POST", own, 200, "", "https://a.example"},
		{"a method without an endpoint", "GET", own, 405, "OPTIONS, POST", ""},
		{"HEAD without GET", "HEAD", own, 405, "OPTIONS, POST", ""},
		{"no endpoint", "OPTIONS", none, 405, "GET, HEAD, POST", ""},
		{"HEAD with GET", "HEAD", none, 200, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r, w := httptest.NewRequest(tc.method, "/", nil), httptest.NewRecorder()
			r.Header.Set("Origin", "https://a.example")
			r.Header.Set("Access-Control-Request-Method", "POST")
			tc.route.ServeHTTP(w, r)
			if w.Code != tc.status || w.Header().Get("Allow") != tc.allow || w.Header().Get("Access-Control-Allow-Origin") != tc.origin {
				t.Errorf("%d %v", w.Code, w.Header())
			}
			if w.Code == 204 && w.Body.Len() > 0 {
				t.Errorf("a body: %s", w.Body)
			}
		})
	}
}

// On its own, a page of another site reaches the four paths of sign-in that are for it, in their
// one spelling, and nothing else. No path is reached under a foreign host name.
func TestAttack31_OnlyProtocolPathsTakeRequestsOfOtherSites(t *testing.T) {
	t.Parallel()
	a := &API{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return fixture.Noon }, Guard: &Guard{PublicURL: "https://twofa.example.com"}}
	guarded := a.protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	status := func(method, host, path string) int {
		r, w := httptest.NewRequest(method, path, nil), httptest.NewRecorder()
		r.Host = host
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		guarded.ServeHTTP(w, r)
		return w.Code
	}
	for path, reached := range map[string]bool{
		"/oidc/token": true, "/oidc/token?x=1": true, "/oidc/userinfo": true, "/oidc/authorize": true, "/oidc/end-session": true,
		"/oidc/token/": false, "/oidc/token/x": false, "/OIDC/token": false, "/oidc//token": false, "/oidc/x/../token": false,
		"/oidc/signin": false, "/oidc/consent": false, "/oidc/link": false, "/oidc/account/app": false, "/oidc/jwks": false, "/oidc": false,
		"/api/otpsend": false, "/verify/check/send": false, "/": false,
	} {
		want := http.StatusForbidden
		if reached {
			want = http.StatusTeapot
		}
		if got := status("POST", "twofa.example.com", path); got != want {
			t.Errorf("POST %s: %d, want %d", path, got, want)
		}
		if got := status("PUT", "twofa.example.com", path); got != http.StatusForbidden {
			t.Errorf("PUT %s: %d", path, got)
		}
		if got := status("POST", "evil.example", path); got != http.StatusForbidden {
			t.Errorf("POST %s under a foreign name: %d", path, got)
		}
		if got := status("OPTIONS", "twofa.example.com", path); got != http.StatusTeapot {
			t.Errorf("OPTIONS %s: %d", path, got)
		}
	}
}

// Discovery is found in the spellings that the host takes for the function's. The last segment has one
// spelling.
func TestFoldRoute_Discovery(t *testing.T) {
	t.Parallel()
	says := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	mux := http.NewServeMux()
	mux.Handle("/oidc/.well-known/openid-configuration", says(http.StatusOK))
	mux.Handle("/", says(http.StatusNotFound))
	folded := foldRoute(mux, says(http.StatusNotFound))
	for path, want := range map[string]int{
		"/oidc/.well-known/openid-configuration": 200, "/OIDC/.Well-Known/openid-configuration": 200, "/oidc/.well-known/openid-configuration/": 200,
		"/oidc/%2Ewell-known/openid-configuration": 200, "/oidc/.well-known/openid-configuration?x=1": 200,
		"/oidc/.well-known/OpenID-Configuration": 404, "/oidc/.well-known": 404, "/oidc/.well-known/": 404, "/oidc/.well-known/openid-configuration/oidc": 404,
		"/oidc/.well-known/.well-known/openid-configuration": 404, "/oidc/.well-known/../token": 404, "/oidc//.well-known/openid-configuration": 404,
		"/oidc/.well-known%2Fopenid-configuration": 404, "/oidc/.well-knownx/openid-configuration": 404, "/.well-known/openid-configuration": 404,
	} {
		w := httptest.NewRecorder()
		folded.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}
