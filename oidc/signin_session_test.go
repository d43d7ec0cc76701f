package oidc_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/account"
	"twofa/internal/app"
	"twofa/internal/config"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
)

// in reports whether a browser is signed in.
func (p *person) in() bool {
	p.TB.Helper()
	p.authorize("own", "prompt", "none")
	switch {
	case p.app == nil:
		p.TB.Fatalf("prompt=none shows a page: %d %s", p.status, p.text())
	case p.app.Query().Get("code") != "":
		return true
	case p.app.Query().Get("error") != "login_required":
		p.TB.Fatalf("prompt=none: %s", p.app)
	}
	return false
}

// refused is the error that the app got.
func (p *person) refused() string { return p.back().Get("error") }

// Two sign-ins in one browser, begun one after the other and finished in the other order, each give the app what it
// asked for.
func TestAttack31_TwoTabs(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	first := s.person().authorize("web", "state", "state-one", "nonce", "nonce-one")
	second := s.person()
	second.http.Jar = first.http.Jar
	second.authorize("web", "state", "state-two", "nonce", "nonce-two")
	first.post("send", "address", annasNumber)
	s.Advance(time.Minute)
	one := s.codeTo(annasNumber)
	second.post("send", "address", annasNumber)
	two := s.codeTo(annasNumber)
	second.post("code", "code", one).sees("There is a problem") // of the other tab
	second.post("code", "code", two).sees("Acme")
	first.post("code", "code", one).sees("Acme")
	first.post("allow")
	second.post("allow")
	for name, p := range map[string]*person{"one": first, "two": second} {
		if q := p.back(); q.Get("state") != "state-"+name || q.Get("iss") != s.URL+"/oidc" {
			t.Errorf("%s: back with %v", name, q)
		}
		if claims := p.claims("web"); claims["nonce"] != "nonce-"+name {
			t.Errorf("%s: the nonce %v", name, claims["nonce"])
		}
	}
}

// The code of one browser is no code in another one's page, and an authorization code is no code of a page.
func TestAttack31_TheCodeOfAnotherBrowser(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	anna, eve := s.person().authorize("own").post("send", "address", annasNumber), s.person().authorize("own")
	code := s.codeTo(annasNumber)
	s.Advance(time.Minute)
	eve.post("send", "address", stranger).post("code", "code", code).sees("There is a problem") // silent
	s.give(stranger)
	s.Advance(time.Minute)
	eve = s.person().authorize("own").post("send", "address", stranger).post("code", "code", code).sees("There is a problem")
	if eve.in() {
		t.Error("signed in with the code of another browser")
	}
	s.Advance(time.Minute)
	given := anna.post("code", "code", code).back().Get("code")
	anna.authorize("own", "prompt", "login").post("send", "address", stranger).post("code", "code", given).sees("There is a problem")
}

// Without a page, an app gets a code only for a person who is signed in, and has consented to all that it asks for.
func TestAttack31_PromptNone(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	none := func(p *person, id, scope string, more ...string) string {
		p.authorize(id, append([]string{"prompt", "none", "scope", scope}, more...)...)
		if code := p.back().Get("code"); code != "" {
			return "code"
		}
		return p.refused()
	}
	p := s.person()
	for _, id := range []string{"web", "own", "spa"} {
		if got := none(p, id, "openid"); got != "login_required" {
			t.Errorf("nobody at %s: %s", id, got)
		}
	}
	p.authorize("own").proves(annasNumber)
	all := []string{"openid", "openid phone", "openid email", "openid profile", "openid phone email profile"}
	for _, scope := range all { // web is the second client
		if got := none(p, "web", scope); got != "consent_required" {
			t.Errorf("without consent to %s: %s", scope, got)
		}
		if got := none(p, "own", scope); got != "code" {
			t.Errorf("the operator's own app, %s: %s", scope, got)
		}
	}
	p.authorize("web", "scope", "openid phone").post("allow").back()
	for _, scope := range all {
		want := "consent_required"
		if scope == "openid" || scope == "openid phone" {
			want = "code"
		}
		if got := none(p, "web", scope); got != want {
			t.Errorf("after consent to phone, %s: %s", scope, got)
		}
	}
	p.authorize("web", "scope", "openid email").post("deny").back()
	if got := none(p, "web", "openid email"); got != "consent_required" {
		t.Errorf("after a refusal: %s", got)
	}
	if got := none(p, "web", "openid", "acr_values", "urn:twofa:acr:2"); got != "code" { // the account has nothing more
		t.Errorf("with acr 2: %s", got)
	}
	s.edit(annasNumber, func(u *user.User) { u.TOTP = anApp(s, 1) })
	if got := none(p, "web", "openid", "acr_values", "urn:twofa:acr:2"); got != "login_required" {
		t.Errorf("with acr 2 and an app: %s", got)
	}
	if got := none(s.person(), "web", "openid"); got != "login_required" {
		t.Errorf("another browser: %s", got)
	}
}

// An app that says who it means gets nobody else, with and without a page.
func TestAttack31_HintOfAnotherPerson(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	s.give(stranger)
	hints := map[string]string{}
	people := map[string]*person{"anna": s.signedIn(annasNumber), "eve": s.signedIn(stranger)}
	for name, p := range people {
		p.authorize("web").post("allow")
		hints[name] = fmt.Sprint(p.exchanges("web")["id_token"])
		hints[name+" at own"] = fmt.Sprint(p.authorize("own").exchanges("own")["id_token"])
	}
	cut := hints["anna"][:len(hints["anna"])-3]
	for hint, want := range map[string]string{hints["anna"]: "", hints["eve"]: "login_required", hints["anna at own"]: "login_required", cut: "login_required", "x": "login_required"} {
		if got := people["anna"].authorize("web", "prompt", "none", "id_token_hint", hint).back().Get("error"); got != want {
			t.Errorf("prompt=none: %q, want %q", got, want)
		}
	}
	s.Advance(time.Minute)
	people["anna"].authorize("web", "id_token_hint", hints["anna"]).back()
	if got := people["anna"].authorize("web", "id_token_hint", hints["eve"]).sees("Sign in").proves(annasNumber).refused(); got != "login_required" {
		t.Errorf("another person signs in: %q", got)
	}
	s.Advance(time.Minute)
	people["anna"].authorize("web", "id_token_hint", hints["eve"]).proves(stranger).back() // who it means
	for _, hint := range []string{cut, hints["anna at own"]} {                             // it says nothing about anybody whom this client knows
		if got := people["eve"].authorize("web", "id_token_hint", hint).back().Get("error"); got != "" {
			t.Errorf("a hint that cannot be read, or is another client's: %q", got)
		}
	}
}

// A session is as old as its proof: max_age counts from there, and a new proof is asked for when an app wants one.
func TestSignIn_AgeOfASession(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber)
	at := s.Now()
	s.Advance(10 * time.Minute)
	for changes, asked := range map[[2]string]bool{{"max_age", "601"}: false, {"max_age", "600"}: true, {"max_age", "0"}: true, {"prompt", "login"}: true, {"prompt", "select_account"}: true, {"max_age", "2147483647"}: false} {
		p.authorize("own", changes[:]...)
		if asked == (p.app != nil) {
			t.Errorf("%v: asked %t", changes, p.app == nil)
		}
		if !asked {
			if claims := p.claims("own"); claims["auth_time"] != float64(at.Unix()) {
				t.Errorf("%v: auth_time %v", changes, claims["auth_time"])
			}
		}
		if got := p.authorize("own", append(changes[:], "prompt", "none")...).back().Get("error") != ""; changes[0] == "max_age" && got != asked {
			t.Errorf("%v without a page: refused %t", changes, got)
		}
	}
	p.authorize("own", "prompt", "login").proves(annasNumber)
	if claims := p.claims("own"); claims["auth_time"] != float64(s.Now().Unix()) {
		t.Errorf("after prompt=login: auth_time %v", claims["auth_time"])
	}
	if p.authorize("own", "max_age", "60").app == nil {
		t.Error("a new proof is not enough for max_age")
	}
	p.authorize("web").post("allow").back()
	p.authorize("web").back()
	p.authorize("web", "prompt", "consent").sees("would like to know").post("allow").back()
}

// A session ends exactly when its lifetime is over.
func TestAttack41_ASessionExpires(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber)
	copied := p.asIn()
	s.Advance(time.Hour - time.Nanosecond)
	if !copied.in() {
		t.Error("ended before its time")
	}
	s.Advance(time.Nanosecond)
	if copied.in() || copied.open("/oidc/account").status != http.StatusForbidden {
		t.Error("lives longer than an hour")
	}
	s.restart(func(c *config.Settings, _ *app.Parts) { c.SignIn.Session = 2 * time.Hour })
	if !copied.in() {
		t.Error("not with another setting")
	}
	s.restart(func(c *config.Settings, _ *app.Parts) { c.SignIn.Session = 0 })
	if copied.in() {
		t.Error("lives although sessions are off")
	}
}

// With sessions off, no browser stays signed in, and one sign-in gives one code.
func TestAttack41_WithoutSessions(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *config.Settings) { c.SignIn.Session = 0 })
	s.give(annasNumber)
	p := s.person().authorize("own").proves(annasNumber)
	page, code := "", p.back().Get("code")
	if p.in() || code == "" || p.open("/oidc/account").status != http.StatusForbidden {
		t.Error("the browser stays signed in")
	}
	s.Advance(time.Minute)
	p.authorize("web").proves(annasNumber).sees("would like to know")
	consent := p.at
	page = p.t()
	p.post("allow")
	if p.claims("web")["phone_number"] != annasNumber {
		t.Error("no claims")
	}
	for _, form := range []string{"allow", "code"} { // somebody comes back to the page
		if p.withForm("/oidc/signin/"+form, "t", page, "code", s.codeTo(annasNumber)); p.app != nil {
			t.Errorf("%s gives another code: %s", form, p.app)
		}
	}
	if p.open(consent); strings.Contains(p.text(), "would like to know") {
		t.Error("the consent is shown again")
	}
	if p.open("/oidc/account").status != http.StatusForbidden {
		t.Error("the account is open")
	}
	s.Advance(time.Minute)
	p.authorize("web", "prompt", "consent").proves(annasNumber)
	s.edit(annasNumber, func(u *user.User) { u.Account = u.Account.SignOut() })
	if p.post("allow"); p.app != nil {
		t.Errorf("the account was changed, and consent gives %s", p.app)
	}
}

// After a sign-out, in this browser or everywhere, or a change of the account, no page of a sign-in that was open gives
// a code, neither by the code that was typed there, nor by consent, nor by another proof.
func TestAttack41_PagesOfASignInThatIsOver(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		here bool // the browser's own session alone ends
		by   func(s *service, anna *person)
	}{
		"signed out":             {true, func(s *service, p *person) { p.asSame().open("/oidc/account").post("signout") }},
		"signed out by the app":  {true, func(s *service, p *person) { p.asSame().open("/oidc/end-session").post("confirm") }},
		"signed out everywhere":  {false, func(s *service, _ *person) { s.signedIn(annasNumber).open("/oidc/account").post("everywhere") }},
		"an address was removed": {false, func(s *service, _ *person) { s.signedIn(annasNumber).open("/oidc/account").post("remove") }},
		"an address was added": {false, func(s *service, _ *person) {
			s.signedIn(annasNumber).open("/oidc/account").post("phone").proves(stranger)
		}},
		"erased": {false, func(s *service, _ *person) {
			s.signedIn(annasNumber).open("/oidc/account").post("erase").post("erased")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			s.give(annasNumber, annasMail)
			s.signedIn(annasNumber).open("/oidc/account").post("email").proves(annasMail)
			s.Advance(2 * day)
			asked := s.person().authorize("own").post("send", "address", annasMail) // five messages a day for strangers
			code := s.codeTo(annasMail)
			s.Advance(time.Minute)
			halfway := s.person().authorize("own", "acr_values", "urn:twofa:acr:2").proves(annasMail).sees("Confirm")
			s.Advance(time.Minute)
			consents := s.person().authorize("web").proves(annasMail).sees("would like to know")
			page, typed := consents.t(), s.codeTo(annasMail)
			s.Advance(time.Minute)
			end.by(s, consents)
			s.Advance(time.Minute)
			if consents.post("allow"); consents.app != nil {
				t.Errorf("consent gives %s", consents.app)
			}
			if consents.withForm("/oidc/signin/code", "t", page, "code", typed); consents.app != nil || strings.Contains(consents.text(), "would like") {
				t.Errorf("the code that was typed gives %v", consents.text())
			}
			if consents.in() {
				t.Error("signed in")
			}
			if end.here {
				return
			}
			if asked.post("code", "code", code); asked.app != nil {
				t.Errorf("a code that was asked for before gives %s", asked.app)
			}
			if halfway.post("more"); halfway.app != nil || strings.Contains(halfway.text(), "Enter the code") {
				t.Errorf("a proof from before counts: %s", halfway.text())
			}
			if asked.in() || halfway.in() {
				t.Error("signed in")
			}
		})
	}
}

// asSame is another tab of the browser.
func (p *person) asSame() *person {
	q := p.person()
	q.http.Jar = p.http.Jar
	return q
}

// The page of a sign-in that has gone well goes on if its answer was lost, as long as the person is signed in.
func TestSignIn_AFormAgain(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.person().authorize("web").post("send", "address", annasNumber)
	page, code := p.t(), s.codeTo(annasNumber)
	for range 3 {
		p.withForm("/oidc/signin/code", "t", page, "code", code).sees("would like to know")
	}
	consent := p.t()
	for range 3 {
		if p.withForm("/oidc/signin/allow", "t", consent).back().Get("code") == "" {
			t.Error("no code for the form again")
		}
	}
	if p.withForm("/oidc/signin/code", "t", page, "code", "000000").back().Get("code") == "" {
		t.Error("no code for the first form again")
	}
	if n := len(s.account(annasNumber).Account.Browsers); n != 1 {
		t.Errorf("%d sessions", n)
	}
	s.Advance(time.Minute)
	p.open("/oidc/signin/address?t="+page).post("send", "address", stranger).post("code", "code", code).sees("There is a problem") // the page begins anew
}

// A copy of a session's cookie dies with the session, whatever ends it.
func TestAttack41_ACopiedCookie(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *service, p *person){
		"signed out":            func(s *service, p *person) { p.open("/oidc/account").post("signout").sees("signed out") },
		"signed out by an app":  func(s *service, p *person) { p.open("/oidc/end-session").post("confirm").sees("signed out") },
		"signed out everywhere": func(s *service, p *person) { p.open("/oidc/account").post("everywhere").sees("signed out") },
		"replaced":              func(s *service, p *person) { p.open("/oidc/account").post("phone").proves(stranger).sees(stranger) },
		"removed":               func(s *service, p *person) { p.open("/oidc/account").post("remove").sees("Undo") },
		"undone": func(s *service, p *person) {
			s.signedIn(annasNumber).open("/oidc/account").post("remove").post("undo")
		},
		"erased": func(s *service, p *person) { p.open("/oidc/account").post("erase").post("erased").sees("is deleted") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			s.give(annasNumber)
			s.signedIn(annasNumber).open("/oidc/account").post("email").proves(annasMail)
			s.Advance(2 * day)
			p := s.signedIn(annasNumber)
			other := p.asIn()
			copied := p.cookie("account").Value
			if !other.in() {
				t.Fatal("a copied cookie is not signed in before")
			}
			s.Advance(time.Minute)
			end(s, p)
			for range 2 {
				if other.puts("twofa-account", copied).in() || other.open("/oidc/account").status != http.StatusForbidden {
					t.Error("the copy is signed in")
				}
				if other.post0("/oidc/account/phone").status != http.StatusForbidden {
					t.Error("the copy changes the account")
				}
				s.Advance(-30 * time.Second) // another process's clock
			}
		})
	}
}

// post0 sends a form of the account.
func (p *person) post0(path string) *person { return p.withForm(path, "t", "") }

// An account has 20 sessions. One more ends the oldest.
func TestAttack41_TwentySessions(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *config.Settings) { c.SignIn.Session = 30 * day })
	s.give(annasNumber)
	var browsers []*person
	anna := s.signedIn(annasNumber) // a known browser
	s.edit(annasNumber, func(u *user.User) { u.Account.Browsers = nil })
	for i := range account.MaxBrowsers + 1 {
		if n := len(s.account(annasNumber).Account.Browsers); n != min(i, account.MaxBrowsers) {
			t.Errorf("%d sessions after %d", n, i)
		}
		s.Advance(3 * time.Hour)
		next := anna.asIn() // a known browser, and not the session of another one
		u, _ := url.Parse(s.URL)
		next.http.Jar.SetCookies(u, []*http.Cookie{{Name: "twofa-account", Path: "/", MaxAge: -1}})
		next.authorize("own", "prompt", "login").proves(annasNumber).back()
		browsers = append(browsers, next)
	}
	anna = browsers[len(browsers)-1]
	for i, b := range browsers {
		if b.in() != (i > 0) {
			t.Errorf("session %d: signed in %t", i, i == 0)
		}
	}
	if body := anna.open("/oidc/account").body; strings.Count(body, "/oidc/account/forget") != account.MaxBrowsers || strings.Contains(body, "Signed out") {
		t.Error("not all sessions are shown: " + anna.text())
	}
	s.Advance(30*day - 90*time.Minute)
	if body := anna.open("/oidc/account").body; strings.Count(body, "Signed out") != account.MaxBrowsers-1 { // those that have ended
		t.Error("sessions that have ended are shown as if they lived: " + anna.text())
	}
}

// After a secret was stolen and marked, nothing that was made with it opens. Accounts do, and people stay who they are.
func TestAttack36_SignIn(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber)
	before := p.authorize("web").post("allow").claims("web")
	s.Advance(time.Minute)
	first := s.person().authorize("own")
	asked := s.person().authorize("own").post("send", "address", annasNumber)
	code := s.codeTo(annasNumber)
	p.open("/oidc/end-session")
	logout := p.t()

	s.Advance(day)
	s.Rotate(fixture.Secret(2) + ",index:" + fixture.Secret(1))
	s.restart(func(_ *config.Settings, parts *app.Parts) { parts.Keys = s.Keys })
	if p.in() || p.open("/oidc/account").status != http.StatusForbidden {
		t.Error("a session from before lives")
	}
	if p.withForm("/oidc/end-session/confirm", "t", logout).status != http.StatusBadRequest {
		t.Error("a logout from before is confirmed")
	}
	if first.post("send", "address", annasNumber).status != http.StatusBadRequest || asked.post("code", "code", code).status != http.StatusBadRequest {
		t.Error("a page from before goes on")
	}
	sent := s.Sent()
	s.Advance(time.Minute)
	known := p.authorize("web")
	known.post("send", "address", annasNumber).post("help")
	if strings.Contains(known.body, "/oidc/signin/app") {
		t.Error("the browser is known still")
	}
	known.open("/oidc/signin?t="+known.t()).post("code", "code", s.codeTo(annasNumber))
	after := known.claims("web") // the consent is there, too
	if s.Sent() == sent || after["sub"] != before["sub"] || after["phone_number"] != annasNumber {
		t.Errorf("%v, before %v", after, before)
	}
}
