package oidc_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"twofa/internal/testing/tooltest"
)

// backEnd is a running example of docs/id-tokens.md.
type backEnd struct {
	t   *testing.T
	url string
}

// The examples of docs/id-tokens.md give a session for the ID token of a whole sign-in, and for no other one.
func TestIDTokens_DocumentedBackEnds(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Advance(time.Since(s.Now()) - 30*time.Minute) // the examples have the clock of the machine
	s.give(annasNumber)
	anna := s.person()
	token := func() string {
		t.Helper()
		p := anna.authorize("web")
		if p.app == nil {
			p.proves(annasNumber)
		}
		if p.app == nil {
			p.post("allow")
		}
		return fmt.Sprint(p.exchanges("web")["id_token"])
	}
	late := token()
	s.Advance(30 * time.Minute)
	fresh := token()
	ends := s.backEnds(t)
	refused := forgeries(t, s.URL+"/oidc", fresh)
	refused["given half an hour ago"] = late
	for name, b := range ends {
		for what, forged := range refused {
			if cookie := b.signIn(forged); cookie != nil {
				t.Errorf("%s: signs in with an ID token that is %s", name, what)
			}
		}
		if first := b.session(fresh); first != nil && b.call(http.MethodGet, "/me", first) != "200 "+fmt.Sprint(payload(t, fresh)["sub"]) {
			t.Errorf("%s: the session is of somebody else", name)
		}
	}
	if _, err := s.API.SignIn.Provider.Keys.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	s.Advance(time.Second)
	other := token()
	for name, b := range ends {
		var cookie *http.Cookie
		for range 50 { // the keys are read again once in a second
			if cookie = b.signIn(other); cookie != nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if cookie == nil {
			t.Fatalf("%s: the ID token of the next key gives no session", name)
		}
		b.call(http.MethodDelete, "/session", cookie)
		if got := b.call(http.MethodGet, "/me", cookie); !strings.HasPrefix(got, "401") {
			t.Errorf("%s: after the sign-out: %s", name, got)
		}
	}
}

// forgeries are made of an ID token that is valid. The keys that sign are all known to the test.
func forgeries(t *testing.T, issuer, valid string) map[string]string {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(valid, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	var own *rsa.PrivateKey
	for _, key := range pool() {
		if _, err := jwt.Parse(valid, func(*jwt.Token) (any, error) { return &key.PublicKey, nil }); err == nil {
			own = key
		}
	}
	other := pool()[0]
	if other == own {
		other = pool()[1]
	}
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		claims := maps.Clone(parsed.Claims.(jwt.MapClaims))
		change(claims)
		made := jwt.NewWithClaims(method, claims)
		made.Header["kid"] = parsed.Header["kid"]
		text, err := made.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	set := func(name string, value any) string {
		return sign(jwt.SigningMethodRS256, own, func(c jwt.MapClaims) { c[name] = value })
	}
	without := func(name string) string {
		return sign(jwt.SigningMethodRS256, own, func(c jwt.MapClaims) { delete(c, name) })
	}
	same := func(jwt.MapClaims) {}
	public, err := x509.MarshalPKIXPublicKey(&own.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(valid, ".")
	return map[string]string{
		"empty":                     "",
		"no JWT":                    "abc",
		"not signed":                sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same),
		"signed with a public key":  sign(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), same),
		"signed by another":         sign(jwt.SigningMethodRS256, other, same),
		"signed with RS512":         sign(jwt.SigningMethodRS512, own, same),
		"changed":                   parts[0] + "." + base64.RawURLEncoding.EncodeToString(changed(t, parsed)) + "." + parts[2],
		"of another issuer":         set("iss", issuer+"2"),
		"of the service's receipts": set("iss", strings.TrimSuffix(issuer, "/oidc")),
		"for another app":           set("aud", "own"),
		"over":                      set("exp", time.Now().Add(-time.Hour).Unix()),
		"without an end":            without("exp"),
		"without an issuer":         without("iss"),
		"for nobody":                without("aud"),
		"without a time":            without("iat"),
		"of nobody":                 without("sub"),
	}
}

// changed are the claims of a token with another person.
func changed(t *testing.T, token *jwt.Token) []byte {
	t.Helper()
	claims := maps.Clone(token.Claims.(jwt.MapClaims))
	claims["sub"] = strings.Repeat("0", 48)
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// backEnds starts the examples.
func (s *service) backEnds(t *testing.T) map[string]backEnd {
	t.Helper()
	dir := t.TempDir()
	write := func(language, name string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tooltest.CodeBlock(t, "docs/id-tokens.md", language, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tools := filepath.Join(tooltest.Root(t), "tools")
	if err := os.Symlink(filepath.Join(tools, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	if out, err := exec.Command("go", "-C", tools, "build", "-o", program, write("go", "main.go")).CombinedOutput(); err != nil {
		t.Fatalf("the example in Go: %v\n%s", err, out)
	}
	return map[string]backEnd{
		"Go":     s.backEnd(t, "127.0.9.1", program),
		"Node":   s.backEnd(t, "127.0.9.2", tooltest.Path(t, "node"), write("js", "main.mjs")),
		"Python": s.backEnd(t, "127.0.9.3", tooltest.Path(t, "/usr/bin/python3"), write("python", "main.py")),
	}
}

// backEnd starts a program at a host of loopback that it alone uses, and waits until it answers.
func (s *service) backEnd(t *testing.T, host string, command ...string) backEnd {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "ISSUER="+s.URL+"/oidc", "CLIENT=web", "ADDR="+at, "no_proxy=127.0.0.1", "NO_PROXY=127.0.0.1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", command, &stderr)
		}
	})
	for range 300 {
		if res, err := http.Get("http://" + at + "/me"); err == nil {
			_ = res.Body.Close()
			return backEnd{t, "http://" + at}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s does not answer", command)
	return backEnd{}
}

// signIn is the cookie for an ID token, nil without one.
func (b backEnd) signIn(token string) *http.Cookie {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, b.url+"/session", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = res.Body.Close()
	if cookies := res.Cookies(); len(cookies) == 1 && res.StatusCode == http.StatusNoContent {
		return cookies[0]
	}
	if res.StatusCode != http.StatusUnauthorized {
		b.t.Errorf("%s: answered %s", b.url, res.Status)
	}
	return nil
}

// session is the cookie for an ID token that is valid.
func (b backEnd) session(token string) *http.Cookie {
	b.t.Helper()
	c := b.signIn(token)
	if c == nil || c.Name != "__Host-session" || len(c.Value) < 26 || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.MaxAge != 8*3600 {
		b.t.Errorf("%s: the cookie is %v", b.url, c)
	}
	return c
}

// call is the status and the text of an answer.
func (b backEnd) call(method, path string, cookie *http.Cookie) string {
	b.t.Helper()
	r, err := http.NewRequest(method, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie.Name+"="+cookie.Value)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, text)
}
