package oidc_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/account"
	"twofa/internal/client"
	"twofa/internal/grant"
	"twofa/internal/oidckeys"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/texts"
	"twofa/internal/web"
	"twofa/oidc"
)

const (
	issuer   = "https://2fa.example/oidc"
	callback = "https://app.example/callback"
	loggedIn = otp.UserKey("u0001") // the account of most tests
	nonce    = "nonce-canary"
	secretOf = "0123456789abcdef-secret-of-"
)

// The verifier and the challenge of RFC 7636, appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// clientsOf are the apps of the tests: web and other keep secrets, legacy has no PKCE, spa and phone are public, and
// api signs nobody in.
var clients = sync.OnceValue(func() *client.Registry {
	secrets := func(id string) string {
		sum := sha256.Sum256([]byte(secretOf + id))
		return `"secrets": ["sha256:` + hex.EncodeToString(sum[:]) + `"]`
	}
	r, faults := client.Load(`[
		{"id": "web", "scopes": ["signin"], ` + secrets("web") + `, "redirect_uris": ["` + callback + `", "https://app.example/cb?a=1&b=%20"], "post_logout_redirect_uris": ["https://app.example/bye", "https://app.example/bye?x=1"], "origins": ["https://app.example"], "brand": "Acme"},
		{"id": "other", "scopes": ["signin"], ` + secrets("other") + `, "redirect_uris": ["https://other.example/callback"], "post_logout_redirect_uris": ["https://other.example/bye"], "origins": ["https://other.example"]},
		{"id": "legacy", "scopes": ["signin"], ` + secrets("legacy") + `, "redirect_uris": ["https://legacy.example/callback"], "pkce": false, "sector": "shared"},
		{"id": "spa", "public": true, "scopes": ["signin"], "redirect_uris": ["https://spa.example/callback"], "origins": ["https://spa.example"], "sector": "shared"},
		{"id": "phone", "public": true, "scopes": ["signin"], "redirect_uris": ["com.example.app:/callback", "http://127.0.0.1/cb", "http://[::1]/cb"], "post_logout_redirect_uris": ["com.example.app:/bye"]},
		{"id": "api", "scopes": ["send"], ` + secrets("api") + `, "redirect_uris": ["https://api.example/callback"], "post_logout_redirect_uris": ["https://api.example/bye"]}]`)
	if len(faults) > 0 {
		panic(strings.Join(faults, "\n"))
	}
	return r
})

// pool are keys for the tests: to make one takes long.
var pool = sync.OnceValue(func() (keys []*rsa.PrivateKey) {
	for range 4 {
		key, err := rsa.GenerateKey(rand.Reader, oidckeys.Bits)
		if err != nil {
			panic(err)
		}
		keys = append(keys, key)
	}
	return keys
})

// people are the accounts of a test.
type people struct {
	mu  sync.Mutex
	all map[otp.UserKey]account.State
	err error
}

func (p *people) Person(_ context.Context, key otp.UserKey) (account.State, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return account.State{}, p.err
	}
	s, ok := p.all[key]
	if !ok {
		return account.State{}, &problem.Error{Kind: problem.NotFound}
	}
	return s, nil
}

// alice has all that an account can have.
func alice() account.State {
	return account.State{Seed: [32]byte{1}, Name: "Alice", Addresses: []account.Address{
		{Text: fixture.Alice, ProvenAt: fixture.Noon}, {Text: fixture.AliceMail, ProvenAt: fixture.Noon},
	}}
}

type harness struct {
	*testing.T
	*oidc.Provider
	clock  *fixture.Clock
	table  *rig.Table
	people *people
}

// newHarness is a provider over a real table.
func newHarness(t *testing.T) *harness {
	t.Helper()
	catalogue, err := texts.Load(texts.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{T: t, clock: fixture.NewClock(), table: &rig.Table{Table: rig.Open(t)}, people: &people{all: map[otp.UserKey]account.State{loggedIn: alice()}}}
	h.Provider = h.process()
	h.Renderer = &web.Renderer{Texts: catalogue}
	return h
}

// process is one more process of the service.
func (h *harness) process() *oidc.Provider {
	var n atomic.Int64
	return &oidc.Provider{
		Issuer: issuer, Clients: clients(), People: h.people, Now: h.clock.Now,
		Look:   func(c client.Client) web.Look { return web.Look{Brand: c.Brand} },
		Grants: &grant.Store{Table: h.table, Keys: fixture.Keys(h, 1), Now: h.clock.Now},
		Keys: &oidckeys.Store{Table: h.table, Keys: fixture.Keys(h, 1), Now: h.clock.Now, Generate: func() (*rsa.PrivateKey, error) {
			return pool()[int(n.Add(1)-1)%len(pool())], nil
		}},
	}
}

// asked is a right authorization request of a client.
func asked(id string) url.Values {
	c, ok := clients().Client(id)
	if !ok {
		panic("no client " + id)
	}
	return url.Values{
		"client_id": {id}, "redirect_uri": {c.RedirectURIs[0]}, "response_type": {"code"}, "scope": {"openid phone email profile"}, "state": {"a state/+&=%?"}, "nonce": {nonce},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
}

// read reads a request that has to be right.
func (h *harness) read(form url.Values) (oidc.Request, client.Client) {
	h.Helper()
	r, c, err := oidc.ReadRequest(form, clients())
	if err != nil {
		h.Fatal(err)
	}
	return r, c
}

// code issues a code for a request, as a sign-in does.
func (h *harness) code(form url.Values) string {
	h.Helper()
	r, _ := h.read(form)
	g := r.Grant()
	g.Account, g.AuthTime, g.AMR, g.ACR = loggedIn, h.clock.Now().Add(-time.Minute), []string{"otp", "sms"}, oidc.ACR1
	code, err := h.Grants.Issue(h.Context(), g)
	if err != nil {
		h.Fatal(err)
	}
	return code
}

// exchange is the right token request for a code of a right request of a client.
func exchange(id, code string) url.Values {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {asked(id).Get("redirect_uri")}, "code_verifier": {verifier}, "client_id": {id}}
	if c, _ := clients().Client(id); !c.Public {
		form.Set("client_secret", secretOf+id)
	}
	return form
}

// posted is a request with a form, and headers as pairs.
func posted(form url.Values, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/oidc/x", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func got(header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/oidc/x", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// body is the JSON of an answer, which nobody may keep.
func (h *harness) body(a web.Answer) (fields map[string]any) {
	h.Helper()
	if a.Header["Content-Type"] != "application/json" || a.Header["Cache-Control"] != "no-store" || json.Unmarshal(a.Body, &fields) != nil {
		h.Fatalf("status %d, %v: %s", a.Status, a.Header, a.Body)
	}
	return fields
}

// tokens is the answer to a token request that has to be right.
func (h *harness) tokens(r *http.Request) map[string]any {
	h.Helper()
	a := h.Token(r)
	fields := h.body(a)
	if a.Status != http.StatusOK || a.Problem != nil {
		h.Fatalf("status %d, %v: %s", a.Status, a.Problem, a.Body)
	}
	return fields
}

// refused fails the test unless an answer has a status and an error.
func (h *harness) refused(what string, a web.Answer, status int, code string) {
	h.Helper()
	fields := h.body(a)
	description, _ := fields["error_description"].(string)
	if a.Status != status || fields["error"] != code || description == "" || a.Problem == nil || len(fields) != 2 {
		h.Errorf("%s: status %d, %s, problem %v, want %d %s", what, a.Status, a.Body, a.Problem, status, code)
	}
	for _, r := range description {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			h.Errorf("%s: the description %q has a character that RFC 6749 forbids", what, description)
		}
	}
}

// lives reports whether an access token is valid.
func (h *harness) lives(token any) bool {
	text, _ := token.(string)
	return h.Userinfo(got("Authorization", "Bearer "+text)).Status == http.StatusOK
}
