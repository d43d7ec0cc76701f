package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer is a provider with keys of the test, and nothing but a discovery document and a key set.
type issuer struct {
	t   *testing.T
	url string

	mu       sync.Mutex
	keys     map[string]*rsa.PrivateKey // those that are published
	document map[string]string
	down     bool
	reads    int // of the keys
}

// pool has two keys. They are made once, because that takes long.
var pool = sync.OnceValue(func() (keys [2]*rsa.PrivateKey) {
	for i := range keys {
		keys[i], _ = rsa.GenerateKey(rand.Reader, 2048) // fails for bad sizes only
	}
	return keys
})

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, keys: map[string]*rsa.PrivateKey{"one": pool()[0]}}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url = server.URL + "/oidc"
	i.document = map[string]string{"issuer": i.url, "jwks_uri": i.url + "/jwks"}
	return i
}

// ServeHTTP implements http.Handler.
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.down:
		http.Error(w, "down", http.StatusBadGateway)
	case r.URL.Path == "/oidc/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(i.document)
	case r.URL.Path == "/oidc/jwks":
		i.reads++
		keys := []map[string]string{{"kty": "EC", "kid": "other", "crv": "P-256"}}
		for id, key := range i.keys {
			keys = append(keys, map[string]string{
				"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id,
				"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
			})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	default:
		http.NotFound(w, r)
	}
}

// change changes what the issuer answers.
func (i *issuer) change(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

// claims are those of a token that was issued now.
func (i *issuer) claims() jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{
		"iss": i.url, "aud": "notes", "sub": "5b1f", "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "auth_time": now.Unix(),
		"phone_number": "+14155550123", "phone_number_verified": true, "amr": []string{"otp"}, "acr": "urn:twofa:acr:1", "nonce": "n1",
	}
}

// token signs claims, with changes to the good ones. A value of nil removes a claim.
func (i *issuer) token(changes jwt.MapClaims) string {
	claims := i.claims()
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return i.sign(jwt.SigningMethodRS256, pool()[0], "one", claims, nil)
}

func (i *issuer) sign(method jwt.SigningMethod, key any, id string, claims jwt.MapClaims, header map[string]any) string {
	i.t.Helper()
	made := jwt.NewWithClaims(method, claims)
	made.Header["kid"] = id
	maps.Copy(made.Header, header)
	text, err := made.SignedString(key)
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

// app is the API with a page that is one line, for an issuer of the test.
type app struct {
	*server
	t      *testing.T
	issuer *issuer
	http   http.Handler
}

const (
	ownOrigin = "https://notes.example.com"
	indexPage = "<!doctype html><title>Acme Notes</title>"
)

func newApp(t *testing.T) *app {
	t.Helper()
	i := newIssuer(t)
	tokens, err := newTokens(t.Context(), i.url, "notes")
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"index.html":        {Data: []byte(indexPage)},
		"icon.svg":          {Data: []byte("<svg/>")},
		"assets/index-1.js": {Data: []byte("export {}")},
		"secret.txt":        {Data: []byte("not the page's")},
	}
	s, err := newServer(ownOrigin, tokens, files, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return &app{s, t, i, s.handler()}
}

// call makes a request of the app's own page. Header is alternately names and values; a name that is "cookie" has the value of the
// session's cookie, and "-" in place of a value removes the header.
func (a *app) call(method, path, body string, header ...string) *httptest.ResponseRecorder {
	a.t.Helper()
	r := httptest.NewRequest(method, ownOrigin+path, strings.NewReader(body))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Content-Type", "application/json")
	for n := 0; n < len(header); n += 2 {
		switch name, value := header[n], header[n+1]; {
		case name == "cookie":
			r.AddCookie(&http.Cookie{Name: "__Host-notes-session", Value: value})
		case value == "-":
			r.Header.Del(name)
		default:
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	a.http.ServeHTTP(w, r)
	return w
}

// signs signs a person in with a token, and returns the value of the cookie, "" if the token is refused.
func (a *app) signs(token string, header ...string) string {
	a.t.Helper()
	w := a.call(http.MethodPost, "/api/session", "", append([]string{"Authorization", "Bearer " + token}, header...)...)
	cookies := w.Result().Cookies()
	switch {
	case w.Code == http.StatusOK && len(cookies) == 1:
		return cookies[0].Value
	case w.Code != http.StatusUnauthorized || len(cookies) > 0:
		a.t.Errorf("the answer to a token is %d with the cookies %v", w.Code, cookies)
	}
	return ""
}

// wants fails the test unless an answer has this status, and this JSON or text in it.
func (a *app) wants(w *httptest.ResponseRecorder, status int, text string) {
	a.t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), text) {
		a.t.Errorf("the answer is %d %s, want %d with %s", w.Code, w.Body, status, text)
	}
}
