package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"twofa/internal/testing/browser"
	"twofa/internal/testing/tooltest"
)

// judged is what a program that signed a person in prints: see tools/oidcjudge and
// tools/oidc-client.mjs.
type judged struct {
	IDToken            map[string]any `json:"id_token"`
	UserInfo           map[string]any `json:"userinfo"`
	Scope              string         `json:"scope"`
	RefreshToken       string         `json:"refresh_token"`
	Refresh            string         `json:"refresh"`
	Logout             string         `json:"logout"`
	State              string         `json:"state"`
	WrongVerifier      string         `json:"wrong_verifier"`
	WrongVerifierTries int            `json:"wrong_verifier_tries"`
	Replay             string         `json:"replay"`
	AfterReplay        string         `json:"after_replay"`
}

const allScopes = "openid phone profile"

// judge is such a program. It runs until the test ends.
type judge struct {
	t   *testing.T
	out *bufio.Reader
}

func startJudge(t *testing.T, source, program string, args ...string) judge {
	t.Helper()
	if _, err := os.Stat(filepath.Join("..", "tools", source)); err != nil { // also tells go test on what its cached result depends
		t.Fatal(err)
	}
	_, out := tooltest.Start(t, exec.Command(tooltest.Path(t, program), args...))
	return judge{t, out}
}

// openidClient is an app with openid-client, a certified library for Node.
func openidClient(t *testing.T, p *idp, app relyingParty, auth, mode, redirect string) judge {
	t.Helper()
	return startJudge(t, "oidc-client.mjs", "node", absolute(t, "tools/oidc-client.mjs"), p.issuer, app.id, app.secret, auth, mode, redirect, allScopes)
}

// goOIDC is an app with coreos/go-oidc and golang.org/x/oauth2.
func goOIDC(t *testing.T, p *idp, app relyingParty, redirect string) judge {
	t.Helper()
	return startJudge(t, "oidcjudge/main.go", "go", "-C", absolute(t, "tools"), "run", "./oidcjudge", p.issuer, app.id, app.secret, redirect, allScopes)
}

// line is the next line that it prints.
func (j judge) line() string {
	j.t.Helper()
	line, err := j.out.ReadString('\n')
	if err != nil {
		j.t.Fatal("it ended without a line")
	}
	return strings.TrimSpace(line)
}

// result is what it got when the person was back.
func (j judge) result() (r judged) {
	j.t.Helper()
	if line := j.line(); json.Unmarshal([]byte(line), &r) != nil {
		j.t.Fatalf("it prints %s", line)
	}
	return r
}

// wantClaims fails the test unless the claims are those of a person who typed a code that reached
// this number: the same in the ID token and in userinfo, and nothing of what was not asked for.
func (r judged) wantClaims(t *testing.T, number string) {
	t.Helper()
	for source, claims := range map[string]map[string]any{"ID token": r.IDToken, "userinfo": r.UserInfo} {
		if claims["phone_number"] != number || claims["phone_number_verified"] != true {
			t.Errorf("%s: phone_number %v, phone_number_verified %v", source, claims["phone_number"], claims["phone_number_verified"])
		}
		for _, name := range []string{"email", "email_verified"} {
			if v, found := claims[name]; found {
				t.Errorf("%s: %s %v", source, name, v)
			}
		}
		if name, _ := claims["preferred_username"].(string); name == "" || name != r.IDToken["preferred_username"] {
			t.Errorf("%s: preferred_username %v", source, claims["preferred_username"])
		}
	}
	if amr, _ := r.IDToken["amr"].([]any); !slices.Contains(amr, any("otp")) {
		t.Errorf("amr %v", r.IDToken["amr"])
	}
	for name, is := range map[string]func(any) bool{"auth_time": isNumber, "iat": isNumber, "exp": isNumber, "jti": isText, "aud": isText, "acr": isText, "at_hash": isText} {
		if !is(r.IDToken[name]) {
			t.Errorf("%s is %v", name, r.IDToken[name])
		}
	}
	if got := slices.Sorted(slices.Values(strings.Fields(r.Scope))); !slices.Equal(got, slices.Sorted(slices.Values(strings.Fields(allScopes)))) {
		t.Errorf("scope %q", r.Scope)
	}
}

func isNumber(v any) bool { _, ok := v.(float64); return ok }

func isText(v any) bool { text, ok := v.(string); return ok && text != "" }

// openid-client signs people in, each time with another way to authenticate: the whole flow, a
// second time in the same browser, and the logout.
func TestSignIn_OpenIDClient(t *testing.T) {
	t.Parallel()
	type way struct{ auth, mode, person, redirect string }
	var ways []way
	var people []string
	var apps []relyingParty
	for i, w := range []way{{auth: "client_secret_basic", mode: "query"}, {auth: "client_secret_post", mode: "form_post"}, {auth: "none", mode: "query"}} {
		at := "http://" + freeAddressOf(t, 11+i)
		w.person, w.redirect = newNumber(), at+"/callback"
		party := newRelyingParty
		if w.auth == "none" {
			party = newPublicParty
		}
		ways, people = append(ways, w), append(people, w.person)
		apps = append(apps, party(w.auth, fmt.Sprintf(`"redirect_uris": [%q], "post_logout_redirect_uris": [%q]`, w.redirect, at+"/bye")))
	}
	p := newIDP(t, people, apps...)
	for i, w := range ways {
		t.Run(w.auth, func(t *testing.T) {
			t.Parallel()
			j, v := openidClient(t, p, apps[i], w.auth, w.mode, w.redirect), newVisitor(t)
			begin := j.line()
			if pages := p.signIn(v, begin, w.person); pages < 2 || !strings.HasPrefix(v.at.String(), w.redirect) {
				t.Fatalf("after %d pages the person is at %s", pages, v.at)
			}
			r := j.result()
			r.wantClaims(t, w.person)
			if r.Refresh != "unsupported_grant_type" || r.RefreshToken != "" {
				t.Errorf("the grant refresh_token is answered %q, the tokens have %q", r.Refresh, r.RefreshToken)
			}
			if f := p.asksFor(newVisitor(t), begin); f != "address" {
				t.Errorf("another browser is asked for %q", f)
			}
			if f := p.asksFor(v, begin); f != "" {
				t.Errorf("the same browser is asked for %q", f)
			}
			p.signIn(v, r.Logout, "") // may ask whether to sign out
			if got := v.at.String(); got != strings.Replace(w.redirect, "/callback", "/bye", 1)+"?state="+url.QueryEscape(r.State) {
				t.Errorf("after the logout, the person is at %s", got)
			}
			if f := p.asksFor(v, begin); f != "address" {
				t.Errorf("after the logout, the person is asked for %q", f)
			}
		})
	}
}

// asksFor opens an address of the service, and returns the field that its page has, "" if it has
// none or if the person is back at the app.
func (p *idp) asksFor(v *visitor, address string) string {
	v.t.Helper()
	if v.get(address); !strings.HasPrefix(p.issuer, "http://"+v.at.Host+"/") || goesOn.MatchString(v.body) {
		return ""
	}
	return strings.Join(mainForm(v).fields, " ")
}

// x/oauth2 sends a code with a wrong verifier as Basic and again as post. The code still works, and
// a used one ends what it gave.
func TestSignIn_GoOIDC(t *testing.T) {
	t.Parallel()
	number, redirect := newNumber(), "http://"+freeAddressOf(t, 14)+"/callback"
	app := newRelyingParty("go", fmt.Sprintf(`"redirect_uris": [%q]`, redirect))
	p := newIDP(t, []string{number}, app)
	j := goOIDC(t, p, app, redirect)
	p.signIn(newVisitor(t), j.line(), number)
	r := j.result()
	r.wantClaims(t, number)
	if r.WrongVerifier != "invalid_grant" || r.WrongVerifierTries != 2 {
		t.Errorf("a wrong verifier is answered %q in %d tries", r.WrongVerifier, r.WrongVerifierTries)
	}
	if r.Replay != "invalid_grant" || !strings.HasPrefix(r.AfterReplay, "401 ") {
		t.Errorf("a used code is answered %q; the access token then gets %q", r.Replay, r.AfterReplay)
	}
}

// spa serves the page that uses oidc-client-ts. It is at localhost, so that the service, at
// 127.0.0.1, is another site for the browser, as it is for most apps.
func spa(t *testing.T) (origin string) {
	t.Helper()
	mux := http.NewServeMux()
	for _, path := range []string{"/{$}", "/callback", "/silent", "/bye"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/spa/page.html") })
	}
	mux.HandleFunc("GET /oidc-client-ts.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "../tools/node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js")
	})
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

// A page with oidc-client-ts signs a person in, on a phone. Its renewal in a frame gets an error
// that it understands, never a page.
func TestSignIn_BrowserClient(t *testing.T) {
	t.Parallel()
	const mainButton = "main button.main"
	number, app := newNumber(), spa(t)
	party := newPublicParty("spa", fmt.Sprintf(`"redirect_uris": [%q, %q], "post_logout_redirect_uris": [%q], "origins": [%q]`, app+"/callback", app+"/silent", app+"/bye", app))
	p := newIDP(t, []string{number}, party)
	b := browser.New(t, browser.Options{Width: 390})
	renewal := func() string {
		b.Click("#renew")
		b.WaitUntil("the end of the renewal", `document.getElementById("outcome").textContent !== ""`)
		return b.Text("#outcome")
	}
	b.Open(app + "/?client=spa&issuer=" + url.QueryEscape(p.issuer))
	if got := renewal(); got != "login_required" {
		t.Errorf("a renewal before the sign-in: %s", got)
	}
	b.Click("#in")
	b.WaitURL(p.url)
	b.WaitUntil("the first page", `document.readyState === "complete"`)
	shot(t, b, "1address")
	b.Type("[name=address]", number)
	b.Submit(mainButton)
	shot(t, b, "2code")
	b.Type("[name=code]", p.code(number))
	b.Click(mainButton)
	b.WaitUntil("the app or another page", "location.href.startsWith("+quoted(app)+`) || !document.querySelector("[name=code]")`)
	if strings.HasPrefix(b.URL(), p.url) { // asks for consent
		shot(t, b, "3consent")
		b.Click(mainButton)
	}
	b.WaitURL(app)
	b.WaitText(`"phone_number":"` + number + `"`)
	shot(t, b, "4app")
	var user struct{ Profile map[string]any }
	if err := json.Unmarshal([]byte(b.Text("#user")), &user); err != nil || user.Profile["phone_number_verified"] != true || !isText(user.Profile["preferred_username"]) {
		t.Errorf("the user is %s", b.Text("#user"))
	}
	if got := renewal(); got != "login_required" {
		t.Errorf("a renewal after the sign-in: %s", got)
	}
	b.Click("#out")
	b.WaitUntil("the app or a question", "location.href.startsWith("+quoted(app+"/bye")+`) || document.querySelector("`+mainButton+`")`)
	if strings.HasPrefix(b.URL(), p.url) {
		b.Click(mainButton)
	}
	b.WaitURL(app + "/bye")
	b.WaitText("done")
	b.Click("#in")
	b.WaitURL(p.url)
	b.WaitUntil("the first page again", `document.querySelector("[name=address]")`)
	b.NoSurprises(p.url, app)
}

func quoted(text string) string { return fmt.Sprintf("%q", text) }

// shot writes a picture into the folder SHOTS, for people who look at them.
func shot(t *testing.T, b *browser.Browser, name string) {
	t.Helper()
	if dir := os.Getenv("SHOTS"); dir != "" {
		b.Screenshot(filepath.Join(dir, "signin-"+name+".png"))
	}
}

// oauth2-proxy with the settings of docs/signin.md signs people in: by number, and by e-mail. What
// the document has for other hosts is put at loopback, and nothing else is added.
func TestSignIn_OAuth2Proxy(t *testing.T) {
	t.Parallel()
	number, mail := newNumber(), "ann@example.com"
	for _, by := range []struct{ name, person, scope, claim string }{
		{"number", number, "openid profile phone", "sub"},
		{"e-mail", mail, "openid profile email", "email"},
	} {
		t.Run(by.name, func(t *testing.T) {
			t.Parallel()
			secret, hash := newSecret()
			own := "http://" + freeAddressOf(t, 15+len(by.name)%2)
			entry := strings.NewReplacer("https://intranet.example.com", own, "sha256:…", hash).Replace(tooltest.CodeBlock(t, "docs/signin.md", "json", `"intranet"`))
			p := newIDP(t, []string{by.person}, relyingParty{"intranet", secret, entry})
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, strings.Join([]string{r.Header.Get("X-Forwarded-User"), r.Header.Get("X-Forwarded-Email"), r.Header.Get("X-Forwarded-Preferred-Username")}, "\n"))
			}))
			t.Cleanup(upstream.Close)
			config := strings.NewReplacer("https://twofa.example.com/oidc", p.issuer, "https://intranet.example.com", own, "http://127.0.0.1:8080", upstream.URL,
				"THE-SECRET", secret, "COOKIE-SECRET", randomHex(16), "openid profile phone", by.scope, `oidc_email_claim = "sub"`, `oidc_email_claim = "`+by.claim+`"`,
			).Replace(tooltest.CodeBlock(t, "docs/signin.md", "toml", "oidc_issuer_url"))
			path := filepath.Join(t.TempDir(), "oauth2-proxy.cfg")
			writeFile(t, path, config)
			serveAt(t, own+"/ping", nil, []string{absolute(t, "bin/oauth2-proxy"), "--config=" + path, "--http-address=" + strings.TrimPrefix(own, "http://"), "--cookie-secure=false"})

			v := newVisitor(t)
			if v.get(own + "/reports"); v.status != http.StatusForbidden {
				t.Fatalf("without a sign-in: %d %s", v.status, v.body)
			}
			if p.signIn(v, own+"/oauth2/start?rd=/reports", by.person); v.at.Path != "/reports" || v.status != http.StatusOK {
				t.Fatalf("after the sign-in: %d at %s: %s", v.status, v.at, v.body)
			}
			user, email, name := strings.Split(v.body, "\n")[0], strings.Split(v.body, "\n")[1], strings.Split(v.body, "\n")[2]
			if user == "" || name == "" || by.claim == "sub" && email != user || by.claim == "email" && email != mail {
				t.Errorf("the upstream sees %q", v.body)
			}
		})
	}
}
