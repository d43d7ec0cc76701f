package oidc_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
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
	codes, set, err := recovery.New(recovery.Slow, rand.Reader, s.Keys, s.Now())
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
		for n := range p.page.Descendants() {
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
	browser := s.person()
	browser.open(s.Sender(channel.Email).Last().Link).post("link").sees(s.codeTo(annasMail)[:3])
	if browser.open(s.Sender(channel.Email).Last().Link).post("link"); strings.Contains(browser.text(), s.codeTo(annasMail)[:3]) || browser.app != nil {
		t.Error("another browser is shown the code twice")
	}
	p.open(s.Sender(channel.Email).Last().Link).post("link").back()
	if !p.in() || browser.in() {
		t.Error("not the browser that has asked is signed in")
	}
}

// Many requests over two processes exchange a code once. What it gave ends, because all but one of them are thieves.
func TestAttack31_FiftyExchangesOfOneCode(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.another()
	s.give(annasNumber)
	p := s.signedIn(annasNumber).authorize("own")
	code := p.back().Get("code")
	var mu sync.Mutex
	var tokens []string
	statuses := map[int]int{}
	rig.AtOnce(rig.Times(50, func(int) {
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {asks("own").Get("redirect_uri")}, "code_verifier": {verifier}}
		r, _ := http.NewRequest(http.MethodPost, s.URL+"/oidc/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("own", secretOf+"web")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		var fields map[string]any
		_ = json.NewDecoder(res.Body).Decode(&fields)
		mu.Lock()
		defer mu.Unlock()
		if statuses[res.StatusCode]++; fields["access_token"] != nil {
			tokens = append(tokens, fmt.Sprint(fields["access_token"]))
			s.Secret("an access token", fmt.Sprint(fields["access_token"]))
		}
	})...)
	if len(tokens) != 1 || statuses[http.StatusOK] != 1 || statuses[http.StatusBadRequest] != 49 {
		t.Errorf("%d sets of tokens, statuses %v", len(tokens), statuses)
	}
	r, _ := http.NewRequest(http.MethodGet, s.URL+"/oidc/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+tokens[0])
	if res, err := http.DefaultClient.Do(r); err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the token lives: %v %v", res, err)
	}
}

// Two people who hold one address that was given, at once and over two processes, get one account.
func TestR23_TwoFirstSignInsMakeOneAccount(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.another()
	s.give(annasNumber, annasMail)
	var people []*person
	for range 4 {
		people = append(people, s.person().authorize("own").post("send", "address", annasNumber))
		s.Advance(time.Minute)
	}
	codes := []string{}
	for _, m := range s.Sender(channel.WhatsApp).Sent() {
		codes = append(codes, m.Code)
	}
	rig.AtOnce(rig.Times(len(people), func(i int) { people[i].post("code", "code", codes[i]) })...)
	subjects := map[any]int{}
	for _, p := range people {
		subjects[p.claims("own")["sub"]]++
	}
	u := s.account(annasNumber)
	if len(subjects) != 1 || len(u.Account.Sessions) != len(people) || len(u.Account.Addresses) != 2 {
		t.Errorf("%d subjects, %d sessions, %+v", len(subjects), len(u.Account.Sessions), u.Account.Addresses)
	}
}

// Two accounts that claim one new address at once: one gets it.
func TestR23_TwoClaimsOfOneAddress(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.another()
	s.give(annasNumber)
	s.give(stranger)
	var people []*person
	for _, number := range []string{annasNumber, stranger} {
		people = append(people, s.signedIn(number).open("/oidc/account").post("email").post("send", "address", annasMail))
		s.Advance(time.Minute)
	}
	mails := s.Sender(channel.Email).Sent()
	rig.AtOnce(rig.Times(2, func(i int) { people[i].post("code", "code", mails[i].Code) })...)
	owners := 0
	for _, number := range []string{annasNumber, stranger} {
		if s.account(number).Account.Email() == annasMail {
			owners++
		}
	}
	if owners != 1 {
		t.Errorf("%d accounts have the address", owners)
	}
	s.account(annasMail)
}

// A sign-in that runs beside an erasure gives nobody tokens of an account that is gone.
func TestR23_ASignInBesideAnErasure(t *testing.T) {
	t.Parallel()
	for n := range 12 {
		s := newService(t)
		s.another()
		s.give(annasNumber)
		s.signedIn(annasNumber)
		s.Advance(time.Minute)
		anna := s.signedIn(annasNumber).open("/oidc/account").post("erase")
		s.Advance(time.Minute)
		p := s.person().authorize("own").post("send", "address", annasNumber)
		code := s.codeTo(annasNumber)
		if n == 0 {
			anna.post("erased")
			p.post("code", "code", code)
		} else {
			rig.AtOnce(func() { anna.post("erased").sees("is deleted") }, func() { p.post("code", "code", code) })
		}
		if p.app != nil {
			if n == 0 {
				t.Error("a code of an account that is gone")
			}
			p.goneFor("own")
		}
		if p.in() {
			t.Error("signed in to an account that is gone")
		}
	}
}

// goneFor fails the test if the code that the browser brought gives tokens.
func (p *person) goneFor(id string) {
	p.TB.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {p.back().Get("code")}, "redirect_uri": {asks(id).Get("redirect_uri")}, "code_verifier": {verifier}}
	r, _ := http.NewRequest(http.MethodPost, p.URL+"/oidc/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(id, secretOf+"web")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.TB.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		p.TB.Errorf("tokens of an account that is gone: %d", res.StatusCode)
	}
}

// Whatever call to storage fails in a sign-in, and whether it took effect or not: no app gets a code without a proof
// and the person's consent, no page tells more than that something went wrong, and the person gets in with a few
// more clicks.
func TestAttack16_StorageFaultsOfASignIn(t *testing.T) {
	t.Parallel()
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		for n := 1; ; n++ {
			s := newService(t)
			s.give(annasNumber)
			s.Table.Break(rig.FaultAt(n, fault))
			p := s.person()
			see := func(r *http.Request, res *http.Response, body string) {
				if res.StatusCode == http.StatusInternalServerError || strings.Contains(body, "oidc:") || strings.Contains(body, "store") {
					t.Errorf("fault %d at call %d: %s %s: %d %s", fault, n, r.Method, r.URL.Path, res.StatusCode, body)
				}
			}
			p.each = see
			calls := p.insists(t, fmt.Sprint(fault, " at call ", n))
			if calls < n {
				break
			}
		}
	}
}

// insists signs in to web, and tries again where something fails. It returns how many calls there were.
func (p *person) insists(t *testing.T, what string) (calls int) {
	t.Helper()
	proven, allowed := false, false
	p.authorize("web")
	for range 12 {
		switch {
		case p.app != nil && p.app.Query().Get("code") != "":
			if !proven || !allowed {
				t.Fatalf("%s: a code without a proof or consent", what)
			}
			calls = p.Table.Calls()
			p.Table.Break(nil)
			if claims := p.claims("web"); claims["phone_number"] != annasNumber {
				t.Errorf("%s: %v", what, claims)
			}
			return calls
		case p.app != nil && p.app.Query().Get("error") != "temporarily_unavailable":
			t.Fatalf("%s: %s", what, p.app)
		case p.app != nil: // the app tries again
			p.Advance(time.Minute)
			p.authorize("web")
		case strings.Contains(p.body, `action="/oidc/signin/allow"`):
			allowed = true
			p.post("allow")
		case strings.Contains(p.body, `name="code"`) && p.codeTo(annasNumber) != "":
			proven = true
			p.post("code", "code", p.codeTo(annasNumber))
		case strings.Contains(p.body, `action="/oidc/signin/new"`):
			p.Advance(time.Minute)
			p.post("new")
		case strings.Contains(p.body, `action="/oidc/signin/help"`):
			p.post("help")
		case strings.Contains(p.body, `action="/oidc/signin/resend"`):
			p.Advance(time.Minute)
			p.post("resend")
		case strings.Contains(p.body, `name="address"`):
			p.Advance(time.Minute)
			p.post("send", "address", annasNumber)
		default: // an end, from which only the app leads on
			p.Advance(time.Minute)
			p.authorize("web")
		}
	}
	t.Fatalf("%s: the person cannot go on: %d %s %s", what, p.status, p.where(), p.text())
	return 0
}

// The first form of a sign-in, which alone has the app's request, can be sent again after a fault of storage, or
// leads back to the app.
func TestAttack16_TheFirstForm(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 2; n++ {
		s := newService(t)
		s.give(annasNumber)
		p := s.person().authorize("own")
		s.Table.Break(rig.FaultAt(n, rig.Down))
		p.post("send", "address", annasNumber).sees("There is a problem")
		if p.status != http.StatusServiceUnavailable {
			t.Errorf("call %d: status %d", n, p.status)
		}
		p.proves(annasNumber).back()
		for _, form := range []string{"allow", "deny"} {
			p.authorize("web")
			s.Table.Break(rig.FaultAt(n, rig.Down))
			if q := p.post(form).back(); q.Get("error") != "temporarily_unavailable" || q.Get("state") != theState {
				t.Errorf("call %d, %s: %v", n, form, q)
			}
		}
	}
}

// No fault of storage gives a code, or changes an account, without what that needs.
func TestAttack16_StorageIsDown(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	anna := s.signedIn(annasNumber)
	s.Advance(time.Minute)
	p := s.person().authorize("own").post("send", "address", annasNumber)
	code, page := s.codeTo(annasNumber), p.t()
	before := s.account(annasNumber)
	s.Table.Break(rig.FaultFrom(1, rig.Down))
	for _, form := range []string{"send", "new", "resend", "more", "help", "code", "app", "recovery", "allow", "cancel", "deny"} {
		if p.withForm("/oidc/signin/"+form, "t", page, "code", code, "address", annasNumber); p.app != nil && p.app.Query().Get("code") != "" || p.status >= 500 && p.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d, to %v", form, p.status, p.app)
		}
	}
	for _, form := range []string{"phone", "email", "remove", "undo", "signout", "everywhere", "erase", "erased"} {
		if anna.withForm("/oidc/account/"+form, "t", ""); anna.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", form, anna.status)
		}
	}
	for _, prompt := range []string{"none", "login", ""} {
		if got := anna.authorize("own", "prompt", prompt).back(); got.Get("error") != "temporarily_unavailable" || got.Get("state") != theState {
			t.Errorf("prompt %q: %v", prompt, got)
		}
	}
	s.Table.Break(nil)
	if after := s.account(annasNumber); after.Revision != before.Revision || len(after.Account.Sessions) != len(before.Account.Sessions) {
		t.Error("the account was changed")
	}
	p.open("/oidc/signin?t="+page).post("code", "code", code).back()
}
