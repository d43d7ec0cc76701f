package handler_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/problem"
	"twofa/internal/signin"
	"twofa/internal/testing/fixture"
)

const (
	publicURL = "https://twofa.example.com"
	// The app's own: what it sends, and of which the log must have nothing.
	appState    = "canary-state-of-the-app"
	appNonce    = "canary-nonce-of-the-app"
	appVerifier = "canary-verifier-of-the-app-0123456789abcdefghijk"
)

// challengeOf is the challenge of a verifier (RFC 7636, 4.2).
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// withSignIn makes a service that signs alice in to the app web, which she has to allow.
func withSignIn(t *testing.T, change ...func(*config.Settings)) *rig {
	t.Helper()
	registry, faults := client.Load("[" + strings.TrimSuffix(entry("web", "signin"), "}") + `, "post_logout_redirect_uris": ["https://app.example/bye"]}]`)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	r := newRigWith(t, func(s *config.Settings, _ *app.Parts) {
		s.PublicURL, s.Clients, s.MagicLinks, s.NotifyChanges = publicURL, registry, true, true
		s.Channels = []channel.Channel{channel.WhatsApp, channel.Email}
		s.SignIn = config.SignIn{Session: time.Hour, StaleAddress: 90 * 24 * time.Hour}
		for _, f := range change {
			f(s)
		}
	})
	if r.API.SignIn != nil {
		r.API.SignIn.Wait = func(context.Context, time.Duration) {}
		if _, err := r.API.SignIn.Accounts.Give(r.Ctx(), signin.Given{Phone: alice, Email: fixture.AliceMail}, r.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return r.noPause()
}

// tab is a page of a browser.
type tab struct {
	r       *rig
	cookies map[string]string
	*response
}

func (r *rig) tab() *tab { return &tab{r: r, cookies: make(map[string]string)} }

// cookie is the header with the cookies.
func (b *tab) cookie() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		all = append(all, name+"="+b.cookies[name])
	}
	return strings.Join(all, "; ")
}

// send sends a request, and follows redirects within the service.
func (b *tab) send(method, path, contentType, body string) *tab {
	b.r.TB.Helper()
	for range 5 {
		b.response = b.r.do(method, strings.TrimPrefix(path, publicURL), contentType, body, "Cookie", b.cookie(), "Sec-Fetch-Site", "same-origin")
		for _, c := range (&http.Response{Header: b.header}).Cookies() {
			b.cookies[c.Name] = c.Value
		}
		method, path, contentType, body = "GET", b.header.Get("Location"), "", ""
		if b.status != http.StatusSeeOther || strings.HasPrefix(path, "https://app.example") {
			return b
		}
	}
	b.r.TB.Fatal("the browser goes round in circles")
	return b
}

func (b *tab) open(path string) *tab {
	b.r.TB.Helper()
	return b.send("GET", path, "", "")
}

// authorize comes from the app.
func (b *tab) authorize(changes ...string) *tab {
	b.r.TB.Helper()
	q := url.Values{"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {"https://app.example/callback"}, "scope": {"openid phone"}, "state": {appState}, "nonce": {appNonce},
		"code_challenge": {challengeOf(appVerifier)}, "code_challenge_method": {"S256"}}
	for pair := range slices.Chunk(changes, 2) {
		q.Set(pair[0], pair[1])
	}
	return b.open("/oidc/authorize?" + q.Encode())
}

// submit fills in the form whose action ends so, and sends it.
func (b *tab) submit(action string, fields ...string) *tab {
	b.r.TB.Helper()
	root, err := html.Parse(strings.NewReader(b.body))
	if err != nil {
		b.r.TB.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Data != "form" || !strings.HasSuffix(attributeOf(n, "action"), "/"+action) {
			continue
		}
		values := url.Values{}
		for i := range n.Descendants() {
			if i.Data == "input" && attributeOf(i, "type") == "hidden" {
				values.Set(attributeOf(i, "name"), attributeOf(i, "value"))
			}
		}
		for pair := range slices.Chunk(fields, 2) {
			values.Set(pair[0], pair[1])
		}
		return b.send("POST", attributeOf(n, "action"), typeForm, values.Encode())
	}
	b.r.TB.Fatalf("no form %s: %d %s", action, b.status, b.body)
	return b
}

func attributeOf(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// code is the code that the browser has brought to the app.
func (b *tab) code() string {
	b.r.TB.Helper()
	u, err := url.Parse(b.header.Get("Location"))
	if err != nil || u.Query().Get("code") == "" {
		b.r.TB.Fatalf("the browser is not at the app with a code: %d %s %s", b.status, b.header.Get("Location"), b.body)
	}
	return u.Query().Get("code")
}

// exchange is what the app gets for a code.
func (r *rig) exchange(code string) *response {
	r.TB.Helper()
	form := form("grant_type", "authorization_code", "code", code, "redirect_uri", "https://app.example/callback", "code_verifier", appVerifier)
	return r.as("web", "POST", "/oidc/token", typeForm, form)
}

// signedIn is a browser in which alice has signed in and agreed.
func (r *rig) signedIn() *tab {
	r.TB.Helper()
	b := r.tab().authorize().submit("send", "address", alice)
	b.submit("code", "code", r.sender.Last().Code).submit("allow").code()
	return b
}

// signInRoutes has every route of sign-in, and its status without parameters, cookies and body.
var signInRoutes = map[string]int{
	"GET /oidc/.well-known/openid-configuration": 200, "GET /oidc/jwks": 200,
	"GET /oidc/authorize": 400, "POST /oidc/authorize": 400, "POST /oidc/token": 400, "OPTIONS /oidc/token": 204,
	"GET /oidc/userinfo": 401, "POST /oidc/userinfo": 401, "OPTIONS /oidc/userinfo": 204,
	"GET /oidc/end-session": 200, "POST /oidc/end-session": 400, "GET /oidc/end-session/confirm": 400, "POST /oidc/end-session/confirm": 400,
	"GET /oidc/signin": 400, "GET /oidc/signin/address": 400, "GET /oidc/signin/second": 400, "GET /oidc/signin/consent": 400, "GET /oidc/signin/end": 400,
	"GET /oidc/signin/help": 400, "POST /oidc/signin/help": 400, "GET /oidc/signin/app": 400, "POST /oidc/signin/app": 400, "GET /oidc/signin/recovery": 400, "POST /oidc/signin/recovery": 400,
	"GET /oidc/signin/send": 400, "POST /oidc/signin/send": 400, "GET /oidc/signin/new": 400, "POST /oidc/signin/new": 400, "GET /oidc/signin/more": 400, "POST /oidc/signin/more": 400,
	"GET /oidc/signin/resend": 400, "POST /oidc/signin/resend": 400, "GET /oidc/signin/code": 400, "POST /oidc/signin/code": 400, "GET /oidc/signin/cancel": 400, "POST /oidc/signin/cancel": 400,
	"GET /oidc/signin/allow": 400, "POST /oidc/signin/allow": 400, "GET /oidc/signin/deny": 400, "POST /oidc/signin/deny": 400, "GET /oidc/link": 400, "POST /oidc/link": 400,
	"GET /oidc/signin/join": 400, "POST /oidc/signin/join": 400, "GET /oidc/signin/signup": 400, "POST /oidc/signin/signup": 400, "GET /oidc/signin/details": 400, "POST /oidc/signin/details": 400,
	"GET /oidc/account/name": 303, "POST /oidc/account/name": 400, "GET /oidc/account/named": 303, "POST /oidc/account/named": 400, "GET /oidc/account/forget": 303, "POST /oidc/account/forget": 400, "GET /oidc/account/withdraw": 303, "POST /oidc/account/withdraw": 400,
	"GET /oidc/account/factors": 303, "POST /oidc/account/factors": 400, "GET /oidc/account/factors/end": 400, "GET /oidc/account/factors/app": 400, "POST /oidc/account/factors/app": 400, "GET /oidc/account/factors/begin": 400, "POST /oidc/account/factors/begin": 400, "GET /oidc/account/factors/add": 400, "POST /oidc/account/factors/add": 400,
	"GET /oidc/account/factors/remove": 400, "POST /oidc/account/factors/remove": 400, "GET /oidc/account/factors/keep": 400, "POST /oidc/account/factors/keep": 400, "GET /oidc/account/factors/codes": 400, "POST /oidc/account/factors/codes": 400,
	"GET /oidc/account/factors/kept": 400, "POST /oidc/account/factors/kept": 400, "GET /oidc/account/factors/save": 400, "POST /oidc/account/factors/save": 400, "GET /oidc/account/factors/cancel": 400, "POST /oidc/account/factors/cancel": 400,
	"GET /oidc/account": 403, "GET /oidc/account/phone": 303, "POST /oidc/account/phone": 400, "GET /oidc/account/email": 303, "POST /oidc/account/email": 400,
	"GET /oidc/account/remove": 303, "POST /oidc/account/remove": 400, "GET /oidc/account/undo": 303, "POST /oidc/account/undo": 400,
	"GET /oidc/account/signout": 303, "POST /oidc/account/signout": 400, "GET /oidc/account/everywhere": 303, "POST /oidc/account/everywhere": 400,
	"GET /oidc/account/erase": 303, "POST /oidc/account/erase": 400, "GET /oidc/account/erased": 303, "POST /oidc/account/erased": 400,
}

// split is the method and the path of a route.
func split(route string) (method, path string) {
	method, path, _ = strings.Cut(route, " ")
	return method, path
}

// What is below /oidc/ asks for no credentials of a client but at the token endpoint, and ignores them.
func TestRoutesOfSignInWithoutCredentials(t *testing.T) {
	t.Parallel()
	r := withSignIn(t)
	for route, status := range signInRoutes {
		method, path := split(route)
		wantEqual(t, route, r.do(method, path, "", "").status, status)
		if line := r.lastLine(); line["function"] != "oidc" {
			t.Errorf("%s is logged as of %v", route, line["function"])
		}
		wantEqual(t, route+", with credentials", r.do(method, path, "", "", "Authorization", basic("web", "wrong")).status, status)
	}
}

// Sign-in needs clients and the public address. Without one of them there is nothing below /oidc/.
func TestSignIn_NeedsClientsAndTheAddress(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*config.Settings){
		"without clients":          func(s *config.Settings) { s.Clients = nil },
		"without TWOFA_PUBLIC_URL": func(s *config.Settings) { s.PublicURL = "" },
		"without both":             func(s *config.Settings) { s.Clients, s.PublicURL = nil, "" },
	} {
		r := withSignIn(t, change)
		for name := range r.API.Routes() {
			if strings.Contains(name, "/oidc") {
				t.Errorf("%s: there is %s", what, name)
			}
		}
		for route := range signInRoutes {
			_, path := split(route)
			for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
				if got := r.do(method, path, "", "").status; got != http.StatusNotFound {
					t.Errorf("%s: %s %s: %d", what, method, path, got)
				}
			}
		}
		r.get("/oidc/.well-known/openid-configuration").problem(404, problem.NotFound)
	}
}

// person is the account of alice, and how many messages were sent. What an app has not fetched is not part of it.
func (r *rig) person() string {
	r.TB.Helper()
	u, ok, err := r.API.SignIn.Accounts.Find(r.Ctx(), alice, r.Now())
	if err != nil || !ok {
		return fmt.Sprintf("no account, %v", err)
	}
	return fmt.Sprintf("%+v, %d messages", u.Account, r.Sent())
}

// Every route of sign-in, without a body, in the browser of a person who is signed in: ten deliveries of a call have the effect of
// one. An authorization request gives each delivery a code of its own, of which the app gets the last one.
func TestAttack34_SignInWithoutABodyIsRepeatable(t *testing.T) {
	t.Parallel()
	r := &repeats{rig: withSignIn(t)}
	b := r.signedIn()
	token := r.exchange(b.authorize().code()).want(200)
	query := map[string]string{
		"/oidc/authorize":   "?" + url.Values{"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {"https://app.example/callback"}, "scope": {"openid phone"}, "code_challenge": {challengeOf(appVerifier)}, "code_challenge_method": {"S256"}}.Encode(),
		"/oidc/end-session": "?" + url.Values{"id_token_hint": {token.text("id_token")}, "post_logout_redirect_uri": {"https://app.example/bye"}}.Encode(),
	}
	routes := slices.Sorted(maps.Keys(signInRoutes))
	routes = append(slices.DeleteFunc(routes, func(route string) bool { return route == "GET /oidc/end-session" }), "GET /oidc/end-session") // it signs out
	for _, route := range routes {
		method, path := split(route)
		before := r.person()
		first := r.deliver(0, method, path+query[path], sameCall, "Cookie", b.cookie())
		once := r.person()
		if signsOut := route == "GET /oidc/end-session"; signsOut == (once == before) {
			t.Errorf("%s: %s, and then %s", route, before, once)
		}
		for range 9 {
			again := r.deliver(0, method, path+query[path], sameCall, "Cookie", b.cookie())
			if again.status != first.status || path == "/oidc/end-session" && again.header.Get("Location") != first.header.Get("Location") {
				t.Errorf("%s: answered %d, and then %d %s", route, first.status, again.status, again.header.Get("Location"))
			}
			if path == "/oidc/authorize" && method == "GET" {
				b.response = again
			}
		}
		wantEqual(t, route+": the effect", r.person(), once)
		if route == "GET /oidc/authorize" {
			r.exchange(b.code()).want(200)
		}
	}
}
