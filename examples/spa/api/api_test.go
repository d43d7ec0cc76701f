package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A token that was just issued to this app signs its person in. No other one does.
func TestSignIn_OnlyWithAnIDTokenForThisApp(t *testing.T) {
	a := newApp(t)
	i, now := a.issuer, time.Now()
	good := i.token(nil)
	parts := strings.Split(good, ".")
	other := strings.Replace(string(decoded(t, parts[1])), `"sub":"5b1f"`, `"sub":"0000"`, 1)
	public, err := x509.MarshalPKIXPublicKey(&pool()[0].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for what, token := range map[string]string{
		"empty":                      "",
		"no JWT":                     "abc",
		"not signed":                 i.sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "one", i.claims(), nil),
		"not signed, and says RS256": parts[0] + "." + parts[1] + ".",
		"signed with the public key": i.sign(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), "one", i.claims(), nil),
		"signed by another key":      i.sign(jwt.SigningMethodRS256, pool()[1], "one", i.claims(), nil),
		"signed by an unknown key":   i.sign(jwt.SigningMethodRS256, pool()[1], "two", i.claims(), nil),
		"signed with RS512":          i.sign(jwt.SigningMethodRS512, pool()[0], "one", i.claims(), nil),
		"with a critical header":     i.sign(jwt.SigningMethodRS256, pool()[0], "one", i.claims(), map[string]any{"crit": []string{"x"}, "x": 1}),
		"changed":                    parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(other)) + "." + parts[2],
		"of another issuer":          i.token(jwt.MapClaims{"iss": i.url + "2"}),
		"of no issuer":               i.token(jwt.MapClaims{"iss": nil}),
		"for another app":            i.token(jwt.MapClaims{"aud": "shop"}),
		"for another app, and ours":  i.token(jwt.MapClaims{"aud": []string{"shop", "notes"}, "azp": "shop"}),
		"for nobody":                 i.token(jwt.MapClaims{"aud": nil}),
		"over":                       i.token(jwt.MapClaims{"exp": now.Add(-time.Minute).Unix()}),
		"without an end":             i.token(jwt.MapClaims{"exp": nil}),
		"six minutes old":            i.token(jwt.MapClaims{"iat": now.Add(-6 * time.Minute).Unix()}),
		"of the future":              i.token(jwt.MapClaims{"iat": now.Add(time.Minute).Unix()}),
		"without a time":             i.token(jwt.MapClaims{"iat": nil}),
		"of nobody":                  i.token(jwt.MapClaims{"sub": nil}),
		"without an id":              i.token(jwt.MapClaims{"jti": nil}),
	} {
		if a.signs(token) != "" {
			t.Errorf("a token signs in that is %s", what)
		}
	}
	a.wants(a.call(http.MethodPost, "/api/session", "", "Authorization", "-"), http.StatusUnauthorized, "sign in again")

	cookie := a.signs(good)
	a.wants(a.call(http.MethodGet, "/api/session", "", "cookie", cookie), http.StatusOK, `"person":{"sub":"5b1f","phone_number":"+14155550123","phone_number_verified":true,"auth_time":`)
	if a.signs(good) != "" {
		t.Error("a token signs in twice")
	}
}

func decoded(t *testing.T, part string) []byte {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A new key of the issuer is read when a token names it. Unknown names do not make the API ask all the time.
func TestSignIn_ReadsNewKeys(t *testing.T) {
	a := newApp(t)
	now := time.Now()
	a.tokens.now = func() time.Time { return now }
	if a.signs(a.issuer.token(nil)) == "" {
		t.Fatal("refused")
	}
	fresh := func() string { return a.issuer.sign(jwt.SigningMethodRS256, pool()[1], "two", a.issuer.claims(), nil) }
	for range 10 {
		_ = a.signs(fresh())
	}
	a.issuer.change(func() {
		if a.issuer.reads != 1 {
			t.Errorf("the keys were read %d times", a.issuer.reads)
		}
		a.issuer.keys["two"] = pool()[1]
	})
	now = now.Add(readAgain)
	if a.signs(fresh()) == "" {
		t.Error("the new key is not known")
	}
	// While the issuer does not answer, the keys that are known go on, and others are no fault of the token.
	a.issuer.change(func() { a.issuer.down = true })
	now = now.Add(readAgain)
	if a.signs(fresh()) == "" {
		t.Error("a known key does not work while the issuer is down")
	}
	for range 2 {
		w := a.call(http.MethodPost, "/api/session", "", "Authorization", "Bearer "+a.issuer.sign(jwt.SigningMethodRS256, pool()[1], "three", a.issuer.claims(), nil))
		a.wants(w, http.StatusServiceUnavailable, "try again")
	}
}

func TestNewTokens_Refuses(t *testing.T) {
	i := newIssuer(t)
	for what, change := range map[string]func(){
		"the document of another issuer":  func() { i.document["issuer"] = i.url + "/" },
		"keys over plain http":            func() { i.document["jwks_uri"] = "http://twofa.example.com/jwks" },
		"an issuer that does not answer":  func() { i.down = true },
		"no address of the issuer's keys": func() { i.document["jwks_uri"] = "" },
	} {
		i.change(func() { i.down, i.document = false, map[string]string{"issuer": i.url, "jwks_uri": i.url + "/jwks"} })
		i.change(change)
		if _, err := newTokens(t.Context(), i.url, "notes"); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

// A short key is not used, whoever signs with it.
func TestSignIn_NoShortKeys(t *testing.T) {
	a := newApp(t)
	short := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Rsh(pool()[1].N, 1024), E: 65537}}
	a.issuer.change(func() { a.issuer.keys["short"] = short })
	if _, err := a.tokens.key(t.Context(), "short"); err == nil {
		t.Error("a key of 1024 bits is taken")
	}
}

// The session is a cookie that no script and no other site can use, and it ends.
func TestSession(t *testing.T) {
	a := newApp(t)
	first := a.call(http.MethodPost, "/api/session", "", "Authorization", "Bearer "+a.issuer.token(nil))
	c := first.Result().Cookies()[0]
	if c.Name != "__Host-notes-session" || len(c.Value) < 52 || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 8*3600 {
		t.Errorf("the cookie is %v", c)
	}
	a.origin = "http://127.0.0.1:7090"
	if c := a.cookie("x", lifetime); c.Name != "notes-session" || c.Secure || !c.HttpOnly {
		t.Errorf("on loopback, the cookie is %v", c)
	}
	a.origin = ownOrigin
	for _, id := range []string{"", "x", c.Value + "x"} {
		a.wants(a.call(http.MethodGet, "/api/session", "", "cookie", id), http.StatusOK, `{"person":null}`)
	}

	// A second sign-in in the same browser ends the first session.
	second := a.signs(a.issuer.token(jwt.MapClaims{"sub": "77aa"}), "cookie", c.Value)
	a.wants(a.call(http.MethodGet, "/api/session", "", "cookie", c.Value), http.StatusOK, `{"person":null}`)
	a.wants(a.call(http.MethodGet, "/api/session", "", "cookie", second), http.StatusOK, `"sub":"77aa"`)

	a.now = func() time.Time { return time.Now().Add(lifetime + time.Second) }
	a.wants(a.call(http.MethodGet, "/api/session", "", "cookie", second), http.StatusOK, `{"person":null}`)
	a.wants(a.call(http.MethodGet, "/api/notes", "", "cookie", second), http.StatusUnauthorized, "sign in")
	if a.sessions.begin("", "new", session{end: a.now().Add(lifetime)}, a.now()); len(a.sessions.all) != 1 {
		t.Errorf("%d sessions are kept", len(a.sessions.all))
	}
}

// A sign-out ends the session at once, and gives the hint for the provider. The hint signs nobody in.
func TestSignOut(t *testing.T) {
	a := newApp(t)
	token := a.issuer.token(nil)
	cookie := a.signs(token)
	w := a.call(http.MethodDelete, "/api/session", "", "cookie", cookie)
	var hint struct {
		IDToken string `json:"id_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &hint); err != nil || hint.IDToken != token {
		t.Errorf("the answer is %d %s", w.Code, w.Body)
	}
	if c := w.Result().Cookies(); len(c) != 1 || c[0].Name != "__Host-notes-session" || c[0].MaxAge >= 0 || c[0].Value != "" {
		t.Errorf("the cookies are %v", c)
	}
	a.wants(a.call(http.MethodGet, "/api/session", "", "cookie", cookie), http.StatusOK, `{"person":null}`)
	if a.signs(hint.IDToken) != "" {
		t.Error("the hint signs in")
	}
	a.wants(a.call(http.MethodDelete, "/api/session", "", "cookie", cookie), http.StatusOK, "{}")
}

// No page of another site changes anything, also if the browser sends the cookie.
func TestOtherSitesChangeNothing(t *testing.T) {
	a := newApp(t)
	cookie := a.signs(a.issuer.token(nil))
	for _, call := range [][2]string{{"POST", "/api/session"}, {"DELETE", "/api/session"}, {"POST", "/api/notes"}, {"DELETE", "/api/notes/x"}} {
		for _, header := range [][]string{
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
			{"Sec-Fetch-Site", "-", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "-", "Origin", "null"},
		} {
			header = append(header, "cookie", cookie, "Authorization", "Bearer "+a.issuer.token(nil))
			if w := a.call(call[0], call[1], `{"title":"a","text":"b"}`, header...); w.Code != http.StatusForbidden {
				t.Errorf("%s %s with %q is answered %d", call[0], call[1], header[:4], w.Code)
			}
		}
	}
	a.wants(a.call(http.MethodGet, "/api/notes", "", "cookie", cookie), http.StatusOK, `{"notes":[]}`)

	// Behind a proxy, the host is another one, and an old browser says only where the page comes from.
	a.wants(a.call(http.MethodPost, "/api/notes", `{"title":"a","text":"b"}`, "cookie", cookie, "Sec-Fetch-Site", "-", "Origin", ownOrigin), http.StatusCreated, `"title":"a"`)
	// A form can send other types of content, never JSON.
	a.wants(a.call(http.MethodPost, "/api/notes", `{"title":"c","text":"d"}`, "cookie", cookie, "Content-Type", "text/plain"), http.StatusUnsupportedMediaType, "application/json")
	if w := a.call(http.MethodGet, "/api/session", "", "Origin", "https://evil.example"); w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Error("another site may read the answer")
	}
}

// Notes are checked as on the page, and belong to one person.
func TestNotes(t *testing.T) {
	a := newApp(t)
	ann, bob := a.signs(a.issuer.token(nil)), a.signs(a.issuer.token(jwt.MapClaims{"sub": "77aa"}))
	add := func(cookie, title, text string, status int, want string) {
		t.Helper()
		body, err := json.Marshal(map[string]string{"title": title, "text": text})
		if err != nil {
			t.Fatal(err)
		}
		a.wants(a.call(http.MethodPost, "/api/notes", string(body), "cookie", cookie), status, want)
	}
	add("", "a", "b", http.StatusUnauthorized, "sign in")
	add(ann, "  ", "", http.StatusUnprocessableEntity, `{"faults":{"text":"missing","title":"missing"}}`)
	add(ann, strings.Repeat("ä", maxTitle+1), strings.Repeat("x", maxText+1), http.StatusUnprocessableEntity, `{"faults":{"text":"too_long","title":"too_long"}}`)
	add(ann, strings.Repeat("ä", maxTitle), strings.Repeat("x", maxText), http.StatusCreated, `"made_at"`)
	add(ann, " Groceries ", " Bread ", http.StatusCreated, `"title":"Groceries","text":"Bread"`)
	add(ann, "GROCERIES", "Milk", http.StatusUnprocessableEntity, `{"faults":{"title":"taken"}}`)
	add(bob, "Groceries", "Milk", http.StatusCreated, `"text":"Milk"`)
	for n := range maxNotes - 2 {
		add(ann, fmt.Sprint("note ", n), "x", http.StatusCreated, "")
	}
	add(ann, "one more", "x", http.StatusUnprocessableEntity, `{"faults":{"title":"too_many"}}`)
	for _, body := range []string{"", "[]", `{"title":1}`, `{"title":"` + strings.Repeat("x", maxBody) + `"}`} {
		a.wants(a.call(http.MethodPost, "/api/notes", body, "cookie", ann), http.StatusBadRequest, "send an object")
	}

	var list struct{ Notes []note }
	w := a.call(http.MethodGet, "/api/notes", "", "cookie", bob)
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Notes) != 1 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	path := "/api/notes/" + list.Notes[0].ID
	a.wants(a.call(http.MethodDelete, path, "", "cookie", ann), http.StatusNoContent, "") // not hers
	a.wants(a.call(http.MethodGet, "/api/notes", "", "cookie", bob), http.StatusOK, "Milk")
	a.wants(a.call(http.MethodDelete, path, ""), http.StatusUnauthorized, "")
	a.wants(a.call(http.MethodDelete, path, "", "cookie", bob), http.StatusNoContent, "")
	a.wants(a.call(http.MethodGet, "/api/notes", "", "cookie", bob), http.StatusOK, `{"notes":[]}`)
}

// Every answer has the headers that keep other sites and injected scripts out.
func TestHeaders(t *testing.T) {
	a := newApp(t)
	issuer := strings.TrimSuffix(a.issuer.url, "/oidc")
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' " + issuer + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	for path, cache := range map[string]string{
		"/": "no-cache", "/callback": "no-cache", "/notes": "no-cache", "/assets/index-1.js": "public, max-age=31536000, immutable", "/icon.svg": "public, max-age=3600",
		"/api/config": "no-store", "/api/session": "no-store", "/api/notes": "no-store", "/nowhere": "no-store", "/assets/gone.js": "no-store",
	} {
		h := a.call(http.MethodGet, path, "").Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000", "Cache-Control": cache,
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	a.wants(a.call(http.MethodGet, "/api/config", ""), http.StatusOK, `{"client_id":"notes","issuer":"`+a.issuer.url+`"}`)
}

// The page's routes are index.html, and nothing else is.
func TestFiles(t *testing.T) {
	a := newApp(t)
	source, err := os.ReadFile("../src/router.tsx")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`paths = \[(.*)\] as const`).FindSubmatch(source)
	for _, m := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(string(list[1]), -1) {
		w := a.call(http.MethodGet, m[1]+"?code=c1&state=s1", "")
		a.wants(w, http.StatusOK, indexPage)
		if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("%s: Content-Type is %q", m[1], got)
		}
	}
	for _, path := range []string{"/nowhere", "/notes/1", "/index.html", "/secret.txt", "/assets/", "/assets/gone.js", "/assets/..%2fsecret.txt", "/assets/%2e%2e%2fsecret.txt", "/api/", "/api/nothing"} {
		if w := a.call(http.MethodGet, path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s is answered %d %s", path, w.Code, w.Body)
		}
	}
	a.wants(a.call(http.MethodGet, "/assets/index-1.js", ""), http.StatusOK, "export {}")
	a.wants(a.call(http.MethodPost, "/notes", ""), http.StatusMethodNotAllowed, "")
}

// The limits of the page are those of the API.
func TestLimitsAreThoseOfThePage(t *testing.T) {
	words, err := os.ReadFile("../src/words.ts")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{fmt.Sprintf("{ title: %d, text: %d }", maxTitle, maxText), fmt.Sprintf("You have %d notes", maxNotes)} {
		if !strings.Contains(string(words), want) {
			t.Errorf("src/words.ts does not have %s", want)
		}
	}
}

func TestRun_RefusesBadFlags(t *testing.T) {
	issuer := newIssuer(t)
	files := t.TempDir()
	if err := os.WriteFile(filepath.Join(files, "index.html"), []byte(indexPage), 0o600); err != nil {
		t.Fatal(err)
	}
	good := []string{"-addr", "127.0.0.1:0", "-issuer", issuer.url, "-files", files}
	for want, args := range map[string][]string{
		"-url: ":                     {"-url", "http://notes.example.com"},
		"-url: give an origin":       {"-url", "https://notes.example.com/app"},
		"-issuer: ":                  {"-issuer", "http://twofa.example.com/oidc"},
		"npm run build makes it":     {"-files", t.TempDir()},
		"the issuer calls itself":    {"-issuer", strings.Replace(issuer.url, "127.0.0.1", "localhost", 1)},
		"missing port in address":    {"-addr", "127.0.0.1"},
		"the discovery document of ": {"-issuer", issuer.url + "2"},
	} {
		if err := run(t.Context(), append(good[:len(good):len(good)], args...)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// npm test runs the unit tests of the page.
func TestPage_UnitTests(t *testing.T) {
	t.Parallel()
	npm(t)
	cmd := exec.Command("npm", "test", "--silent")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("npm test: %v\n%s", err, out)
	}
}
