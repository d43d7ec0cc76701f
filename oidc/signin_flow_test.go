package oidc_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/otp"
	"twofa/internal/recovery"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
)

// recycled is an account whose number was not used for so long that somebody else may have it. It has an app.
func recycled(t *testing.T) *service {
	t.Helper()
	s := newService(t)
	s.give(annasNumber)
	s.signedIn(annasNumber)
	s.edit(annasNumber, func(u *user.User) { u.TOTP = anApp(s, 1) })
	s.Advance(longAgo)
	return s
}

// A number that has got a new owner does not open an account that has another factor, and does with it.
func TestR23_ARecycledNumber(t *testing.T) {
	t.Parallel()
	s := recycled(t)
	eve := s.person().authorize("own").proves(annasNumber).sees("Confirm")
	if eve.app != nil || eve.in() || eve.open("/oidc/account").status != http.StatusForbidden {
		t.Error("the number alone signs in")
	}
	s.Advance(time.Minute)
	eve = s.person().authorize("own").proves(annasNumber)
	eve.open(eve.link("/signin/app")).post("app", "code", "000000").sees("There is a problem")
	eve.open("/oidc/signin/consent?t=" + eve.t())
	eve.withForm("/oidc/signin/allow", "t", eve.t0("/signin/app", annasNumber))
	if eve.app != nil {
		t.Errorf("consent without a second proof gives %s", eve.app)
	}
	s.Advance(day)
	anna := s.person().authorize("own").proves(annasNumber)
	anna.open(anna.link("/signin/app")).post("app", "code", s.appCode(1)).back()
	if claims := anna.claims("own"); fmt.Sprint(claims["amr"]) != "[otp mfa]" || claims["acr"] != "urn:twofa:acr:2" {
		t.Errorf("%v", claims)
	}
	s.Advance(time.Minute)
	s.person().authorize("own").proves(annasNumber).back() // it was used, and so it is Anna's still
}

// t0 is the page of a sign-in of its own, as far as the link.
func (p *person) t0(path, address string) string {
	p.Advance(time.Minute)
	p.authorize("own").proves(address)
	u, _ := url.Parse(p.link(path))
	return u.Query().Get("t")
}

// A recycled number without another factor is all that the account has.
func TestSignIn_AStaleNumberThatIsAllThereIs(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	s.signedIn(annasNumber)
	s.Advance(longAgo)
	s.signedIn(annasNumber)
}

// A code of an app works once, for its own account, and beside a proof or in a known browser only.
func TestSignIn_App(t *testing.T) {
	t.Parallel()
	s := recycled(t)
	s.give(stranger)
	s.signedIn(stranger)
	s.edit(stranger, func(u *user.User) { u.TOTP = anApp(s, 2) })

	anna := s.person().authorize("own").proves(annasNumber)
	anna.open(anna.link("/signin/app"))
	anna.post("app", "code", s.appCode(2)).sees("There is a problem") // another account's
	code := s.appCode(1)
	anna.post("app", "code", code).back()
	s.Advance(time.Minute)

	// In this browser the number was proven. The app alone suffices.
	anna.authorize("own", "prompt", "login").post("send", "address", annasNumber).post("help")
	anna.open(anna.link("/signin/app"))
	anna.post("app", "code", code).sees("There is a problem") // it was used
	anna.post("app", "code", s.appCode(1)).back()
	if claims := anna.claims("own"); claims["acr"] != "urn:twofa:acr:1" {
		t.Errorf("%v", claims)
	}
	s.Advance(time.Minute)

	// In another browser nobody learns that there is an app, and its code is nothing.
	eve := s.person().authorize("own").post("send", "address", annasNumber).post("help")
	if strings.Contains(eve.body, "/signin/app") {
		t.Error("the app is offered to a stranger")
	}
	page := eve.t()
	if eve.withForm("/oidc/signin/app", "t", page, "code", s.appCode(1)); eve.app != nil || eve.status != http.StatusBadRequest {
		t.Errorf("an app's code without a proof: %d", eve.status)
	}
	// A browser that knows another number does not help.
	s.Advance(time.Minute)
	other := s.signedIn(stranger)
	s.Advance(time.Minute)
	other.authorize("own", "prompt", "login").post("send", "address", annasNumber)
	if other.withForm("/oidc/signin/app", "t", other.t(), "code", s.appCode(1)); other.app != nil || other.status != http.StatusBadRequest {
		t.Errorf("an app's code in a browser that knows another number: %d", other.status)
	}
}

// A recovery code works once beside a proof, and the person is told that it was used.
func TestSignIn_Recovery(t *testing.T) {
	t.Parallel()
	s := recycled(t)
	codes, set, err := recovery.New(recovery.Slow, rand.Reader, s.Keys, s.Now().Add(-2*day))
	if err != nil {
		t.Fatal(err)
	}
	s.edit(annasNumber, func(u *user.User) { u.TOTP, u.Recovery = u.TOTP.Forgotten(s.Now()), set })
	s.Secret("a recovery code", codes[0])
	anna := s.person().authorize("own").proves(annasNumber)
	anna.open(anna.link("/signin/recovery")).post("recovery", "code", codes[0]).back()
	if claims := anna.claims("own"); fmt.Sprint(claims["amr"]) != "[otp mfa]" {
		t.Errorf("%v", claims)
	}
	told := false
	for _, c := range []channel.Channel{channel.WhatsApp, channel.SMS} {
		for _, m := range s.Sender(c).Sent() {
			told = told || m.Recovered && m.To == annasNumber && m.CodesLeft == len(codes)-1
		}
	}
	if !told {
		t.Error("nobody is told that a recovery code was used")
	}
	s.Advance(longAgo)
	anna = s.person().authorize("own").proves(annasNumber)
	anna.open(anna.link("/signin/recovery")).post("recovery", "code", codes[0]).sees("There is a problem")
	if anna.in() {
		t.Error("a recovery code works twice")
	}
}

// A test number is nobody's identity, unless the client takes it for one.
func TestR29_TestNumbersSignNobodyIn(t *testing.T) {
	t.Parallel()
	const number, code = "+491711234500", "424242"
	s := newService(t, func(c *config.Settings) {
		c.TestNumbers = otp.TestNumbers{Scenarios: map[string]otp.Scenario{number: {Ending: otp.EndsDelivered, Code: code}}, Until: fixture.Noon.Add(day)}
		c.Clients = clientsOf(t, strings.Replace(apps, `"public": true`, `"test_numbers": true, "public": true`, 1))
	})
	s.Secret("a code", code)
	s.give(number)
	if p := s.person().authorize("own").post("send", "address", number).post("code", "code", code).sees("There is a problem"); p.in() {
		t.Error("a test number signs in")
	}
	test := s.person().authorize("spa").post("send", "address", number).post("code", "code", code)
	if test.claims("spa")["phone_number"] != number {
		t.Error("a client that takes test numbers gets nobody")
	}
	if test.in() {
		t.Error("its session signs in to a client that takes none")
	}
	s.give(annasMail)
	anna := s.signedIn(annasMail).open("/oidc/account").post("phone").post("send", "address", number).post("code", "code", code).sees("There is a problem")
	if a := anna.open("/oidc/account"); strings.Contains(a.text(), number) || s.account(annasMail).Account.Phone() != "" {
		t.Error("a test number is an address of an account")
	}
}

// Whoever has a number that the operator has mistyped does not learn the person's e-mail, and opens nothing with it.
func TestR23_AMistypedNumber(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(stranger, annasMail)
	eve := s.signedIn(stranger)
	eve.authorize("web").sees("Not in your account").post("allow")
	claims := eve.claims("web")
	if claims["email"] != nil || strings.Contains(eve.open("/oidc/account").text(), "@") {
		t.Errorf("the e-mail is shown: %v, %s", claims, eve.text())
	}
	anna := s.person().authorize("own").post("send", "address", annasMail)
	if s.codeTo(annasMail) != "" || anna.app != nil {
		t.Error("an address that was given opens an account that another one has made")
	}
}

// A page on which an address is added gives no code to an app.
func TestSignIn_ThePageOfANewAddressSignsNobodyIn(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasMail)
	s.give(annasNumber)
	s.edit(annasNumber, func(u *user.User) { u.TOTP = anApp(s, 1) })
	p := s.signedIn(annasNumber) // this browser knows the number
	s.Advance(time.Minute)
	p.open("/oidc/account").post("signout")
	p.authorize("own").proves(annasMail).back()
	s.Advance(time.Minute)
	p.open("/oidc/account").post("phone").post("send", "address", annasNumber)
	page := p.t()
	p.post("help")
	if strings.Contains(p.body, "/signin/app") {
		t.Error("an app is offered")
	}
	for _, form := range []string{"app", "allow", "deny", "cancel"} {
		if p.withForm("/oidc/signin/"+form, "t", page, "code", s.appCode(1)); p.app != nil || strings.Contains(p.at, "code=") || strings.Contains(p.header.Get("Location"), "code=") {
			t.Errorf("%s gives a code: %s", form, p.at)
		}
		if q := p.asSame().open("/oidc/account"); !strings.Contains(q.text(), annasMail) {
			t.Errorf("%s signs in to another account", form)
		}
	}
}

// The whole way with a POST of the request, an answer by form_post, and another language.
func TestSignIn_PostedRequestAndAnswer(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	posts := func(p *person, changes ...string) *person {
		r := p.posted("/oidc/authorize", asks("web", append(changes, "response_mode", "form_post")...))
		r.Header.Set("Sec-Fetch-Site", "cross-site") // an app's page
		return p.do(r)
	}
	p := posts(s.person(), "ui_locales", "de", "login_hint", annasNumber)
	if !strings.Contains(p.body, `lang="de"`) || !strings.Contains(p.body, `value="`+strings.Replace(annasNumber, "+", "&#43;", 1)+`"`) {
		t.Errorf("ui_locales and login_hint of a POST: %s", p.text())
	}
	p.post("send", "address", annasNumber)
	if !strings.Contains(p.body, `lang="de"`) || s.Sender(channel.WhatsApp).Last().Locale != "de" {
		t.Errorf("the language is lost: %s, of the message %q", p.text(), s.Sender(channel.WhatsApp).Last().Locale)
	}
	p.post("code", "code", s.codeTo(annasNumber)).post("allow")
	for i := range 2 { // with and without a page between
		if i > 0 {
			posts(p)
		}
		path, form := "", url.Values{}
		for n := range p.page().Descendants() {
			if n.Data == "form" {
				path = attr(n, "action")
			}
			if n.Data == "input" {
				form.Set(attr(n, "name"), attr(n, "value"))
			}
		}
		s.Secret("an authorization code", form.Get("code"))
		if p.app != nil || path != "https://app.example/callback" || form.Get("state") != theState || form.Get("iss") != s.URL+"/oidc" || len(form) != 3 {
			t.Errorf("the answer is a form to %q with %v", path, form)
		}
		p.app = &url.URL{RawQuery: form.Encode()}
		if claims := p.claims("web"); claims["phone_number"] != annasNumber || claims["nonce"] != nonce {
			t.Errorf("%v", claims)
		}
	}
	long := strings.Repeat(`"`, 4<<10)
	if q := p.authorize("web", "prompt", "login", "state", long, "nonce", strings.Repeat(`"`, 512)).back(); q.Get("error") != "invalid_request" || q.Get("state") != long {
		t.Errorf("a request that is too long: %s", q.Get("error"))
	}
}

// Scanners follow the link of a mail as often as they like. The person's button signs in, with all that the app asks
// for after it.
func TestAttack12_LinksOfASignIn(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasMail)
	p := s.person().authorize("web").post("send", "address", annasMail)
	link := s.Sender(channel.Email).Last().Link
	s.Table.Break(nil)
	for _, q := range []*person{s.person(), p.asIn()} {
		for i := range 20 {
			r, _ := http.NewRequest([]string{http.MethodGet, http.MethodHead}[i%2], link, nil)
			if q.do(r); q.status != http.StatusOK || q.app != nil || len(q.header["Set-Cookie"]) > 0 || strings.Contains(q.body, s.codeTo(annasMail)) {
				t.Fatalf("%s of a link: %d", r.Method, q.status)
			}
		}
	}
	if n := s.Table.Calls(); n > 0 {
		t.Errorf("%d storage calls", n)
	}
	p.open(link).post("link").sees("would like to know").post("allow")
	if p.claims("web")["email"] != annasMail {
		t.Error("the link does not sign in")
	}
	other := s.person().open(link).post("link") // after that
	if other.app != nil || strings.Contains(other.text(), s.codeTo(annasMail)[:3]) {
		t.Errorf("a link that was used: %s", other.text())
	}

	s.Advance(time.Minute)
	p.authorize("own", "prompt", "login").post("send", "address", annasMail)
	old := s.Sender(channel.Email).Last().Link
	s.Advance(time.Minute)
	p.post("help").post("resend")
	again := s.Sender(channel.Email).Last().Link
	p.open("/oidc/signin/address" + p.at[strings.Index(p.at, "?"):])
	s.Advance(time.Minute)
	p.networks = "198.51.100.9"
	p.post("send", "address", annasMail)
	if s.Sender(channel.Email).Last().Link == again {
		t.Fatalf("no new code: %s", p.text())
	}
	for _, link := range []string{old, again} {
		if p.open(link).post("link"); p.app != nil || p.status != http.StatusGone {
			t.Errorf("a link of a code that was replaced: %d, to %v", p.status, p.app)
		}
	}
	last := s.Sender(channel.Email).Last().Link
	s.give("other@example.com")
	q := s.person().authorize("own").post("send", "address", "other@example.com")
	of := s.Sender(channel.Email).Last().Link
	q.open("/oidc/signin/address"+q.at[strings.Index(q.at, "?"):]).post("send", "address", "nobody@example.com")
	if q.open(of).post("link"); q.app != nil || q.status != http.StatusGone {
		t.Errorf("the link of an address that was changed: %d, to %v", q.status, q.app)
	}
	browser := s.person()
	browser.open(last).post("link").sees(s.codeTo(annasMail)[:3])
	if browser.open(last).post("link"); strings.Contains(browser.text(), s.codeTo(annasMail)[:3]) || browser.app != nil {
		t.Error("another browser is shown the code twice")
	}
	p.open(last).post("link").back()
	if !p.in() || browser.in() {
		t.Error("not the browser that has asked is signed in")
	}
}

// Nothing that identifies a person, or lets anybody in, is in the log, wherever it is put. The rig looks for it when the
// test ends.
func TestR10_SignInLogsNoSecrets(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber, annasMail)
	canary := func(name string) string {
		text := "canary-" + name + "-" + rand.Text()
		s.Secret("what was sent as "+name, text)
		return text
	}
	p := s.person()
	for _, name := range []string{"client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "prompt", "max_age", "login_hint", "id_token_hint", "ui_locales", "acr_values", "request", "request_uri", "response_mode", "unknown"} {
		p.authorize("own", name, canary(name))
		p.authorize("own", name, canary(name), "prompt", "none")
		p.open("/oidc/end-session?" + name + "=" + canary(name) + "&post_logout_redirect_uri=" + canary("uri"))
	}
	for _, path := range []string{"/oidc/signin", "/oidc/signin/consent", "/oidc/link", "/oidc/account", "/oidc/" + canary("path"), "/oidc/signin/" + canary("path")} {
		p.open(path + "?t=" + canary("t") + "&client_id=" + canary("client"))
	}
	p.authorize("own", "login_hint", annasNumber).post("send", "address", canary("address"))
	p.post("send", "address", "+49171"+"1234567890123").post("send", "address", annasNumber)
	for _, form := range []string{"code", "app", "recovery", "more", "resend"} {
		p.withForm("/oidc/signin/"+form, "t", p.tOf("own"), "request", canary("request"), "code", canary("code"), "id", canary("id"), "channel", canary("channel"), canary("field"), "x")
	}
	s.Advance(time.Minute)
	p = s.person().authorize("own").proves(annasNumber)
	given := p.back()
	for _, form := range []url.Values{
		{"grant_type": {canary("grant")}, "client_id": {"own"}, "client_secret": {canary("secret")}},
		{"grant_type": {"authorization_code"}, "code": {given.Get("code")}, "client_id": {"own"}, "client_secret": {canary("secret")}},
		{"grant_type": {"authorization_code"}, "code": {given.Get("code")}, "client_id": {"own"}, "client_secret": {secretOf + "web"}, "code_verifier": {canary("verifier")}, "redirect_uri": {canary("uri")}},
		{"grant_type": {"authorization_code"}, "code": {canary("code")}, "client_id": {canary("client")}},
		{"access_token": {canary("token")}},
	} {
		for _, path := range []string{"/oidc/token", "/oidc/userinfo"} {
			p.do(p.posted(path, form))
			r := p.posted(path, form)
			r.Header.Set("Authorization", "Bearer "+canary("bearer"))
			p.do(r)
			r = p.posted(path, form)
			r.SetBasicAuth(canary("id"), canary("secret"))
			p.do(r)
		}
	}
	p.authorize("own").claims("own")
	s.Table.Break(rig.FaultFrom(2, rig.Down))
	p.authorize("own", "prompt", "login").post("send", "address", annasNumber)
	s.Table.Break(nil)
	if n := len(s.Logged("msg=request", "function=oidc")); n < 100 {
		t.Errorf("%d lines in the log", n)
	}
}

// tOf is the page of a sign-in that begins.
func (p *person) tOf(id string) string {
	p.TB.Helper()
	return p.asSame().authorize(id).t()
}
