package oidc_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"twofa/internal/account"
	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/signin"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// textOf is the words below a node.
func textOf(n *html.Node) string {
	var words []string
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			words = append(words, strings.Fields(d.Data)...)
		}
	}
	return strings.Join(words, " ")
}

// element is the first element of the page with a name, and an attribute of that value.
func (p *person) element(name, attribute, value string) *html.Node {
	p.TB.Helper()
	for n := range p.page().Descendants() {
		if n.Data == name && n.Type == html.ElementNode && attr(n, attribute) == value {
			return n
		}
	}
	p.TB.Fatalf("%d %s has no %s: %s", p.status, p.where(), name, p.text())
	return nil
}

// key is the secret of the app that the page shows.
func (p *person) key() string {
	p.TB.Helper()
	key := strings.ReplaceAll(textOf(p.element("p", "class", "key")), " ", "")
	p.Secret("the secret of an app", key)
	return key
}

// changesFactors makes a change on the page for apps and codes of the account: removes an app, or makes codes.
func (p *person) changesFactors(what string) {
	p.TB.Helper()
	p.open("/oidc/account").post("factors")
	switch what {
	case "remove":
		p.post("remove")
	case "codes":
		if strings.Contains(p.body, `class="key"`) {
			p.open(p.link("/oidc/account/factors?"))
		}
		p.post("codes").post("kept")
	}
	p.post("save").sees("Your change is saved")
}

// A person sets up an authenticator app and recovery codes on the page of their account, signs in with them, and is told.
func TestAccount_Factors(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber)
	s.Advance(time.Minute)
	other := s.signedIn(annasNumber)
	p.open("/oidc/account").sees("Authenticator apps: 0", "You have no recovery codes").post("factors").sees("Scan the QR code")
	key := p.key()
	if uri := p.link("otpauth:"); !strings.Contains(uri, "Acme:%2B491711234567") {
		t.Errorf("the app shows %s", uri)
	}
	code := func() string { return codeOf(t, key, s.Now()) }
	p.post("app", "code", "000000", "name", "My phone").sees("isn't right")
	p.post("app", "code", code(), "name", "My phone").sees("My phone", "The app works", "Save")
	if s.told(annasNumber) || len(s.account(annasNumber).TOTP.Confirmed()) > 0 || !other.in() {
		t.Error("something has changed before the person has saved")
	}
	p.post("codes").sees("Your new recovery codes")
	recovery := textOf(p.element("li", "", ""))
	s.Secret("a recovery code", recovery)
	p.post("kept").post("save").sees("Your change is saved", "Authenticator apps: 1", "Codes left: 10")
	if what := s.lastNotice(annasNumber); what != notify.NoticeAppAdded.And(notify.NoticeRecoveryCodes) {
		t.Errorf("told %q", what)
	}
	if other.in() || !p.in() {
		t.Error("the other browser stays signed in, or this one does not")
	}
	s.Advance(25 * time.Hour)
	p.authorize("own", "prompt", "login", "acr_values", "urn:twofa:acr:2").proves(annasNumber).sees("One more step")
	p.open(p.link("/oidc/signin/app")).post("app", "code", code())
	if claims := p.claims("own"); claims["acr"] != "urn:twofa:acr:2" {
		t.Errorf("with the app: %v", claims)
	}
	s.Advance(time.Hour)
	p.authorize("own", "prompt", "login", "acr_values", "urn:twofa:acr:2").proves(annasNumber)
	p.open(p.link("/oidc/signin/recovery")).post("recovery", "code", recovery)
	p.back()
	p.open("/oidc/account").sees("Codes left: 9")
	p.changesFactors("remove")
	p.sees("Authenticator apps: 0")
	if what := s.lastNotice(annasNumber); what != notify.NoticeAppRemoved {
		t.Errorf("told %q", what)
	}
}

// Without a fresh proof, in another browser, after the session has ended, or for another person, nothing is set up.
func TestAttack41_Factors(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber)
	s.Advance(5 * time.Minute)
	p.open("/oidc/account").post("factors").sees("Sign in")
	p = s.signedIn(annasNumber)
	p.open("/oidc/account").post("factors")
	page := p.t()
	s.Advance(time.Minute)
	for what, q := range map[string]*person{"a stranger": s.person(), "the person in another browser": s.signedIn(annasNumber)} {
		for _, form := range []string{"begin", "app", "codes", "save", "add", "cancel"} {
			if q.withForm("/oidc/account/factors/"+form, "t", page, "code", "123456"); q.status != http.StatusForbidden {
				t.Errorf("%s: %s: %d %s", what, form, q.status, q.text())
			}
		}
		if q.open("/oidc/account/factors/app?t=" + page); strings.Contains(q.body, `class="key"`) {
			t.Errorf("%s sees the secret", what)
		}
	}
	key := p.key()
	s.Advance(10 * time.Minute) // to scan and to look for a pen takes long
	p.post("app", "code", codeOf(t, key, s.Now()))
	p.asSame().open("/oidc/account").post("signout")
	if p.post("save"); p.status != http.StatusForbidden || len(s.account(annasNumber).TOTP.Confirmed()) > 0 {
		t.Errorf("saved after the person has signed out: %d", p.status)
	}
	s.Advance(time.Minute)
	if reload := s.signedIn(annasNumber).open("/oidc/account/factors/save").status; reload != http.StatusBadRequest {
		t.Errorf("a look at a form: %d", reload)
	}
}

// Saving takes as long as the page lives: the proof has to be fresh when the person begins.
func TestAccount_FactorsTakeTheirTime(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber).open("/oidc/account").post("factors")
	key := p.key()
	s.Advance(9 * time.Minute)
	p.post("app", "code", codeOf(t, key, s.Now()))
	s.Advance(9 * time.Minute)
	page := p.t()
	p.post("save").sees("Your change is saved")
	if p.withForm("/oidc/account/factors/save", "t", page); len(s.account(annasNumber).TOTP.Confirmed()) != 1 {
		t.Error("saved twice")
	}
	s.Advance(time.Minute)
	p.open("/oidc/account").post("email").sees("Sign in") // the session's proof is not fresh any more
}

// A new app within a day opens nothing without something that was held: who has stolen a session gets no account with it.
func TestAttack41_ANewAppIsNoProofYet(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber)
	s.edit(annasNumber, func(u *user.User) {
		u.TOTP = anApp(s, 1)
		u.TOTP.Authenticators[0].ConfirmedAt = s.Now()
	})
	s.Advance(2 * time.Hour)
	p.authorize("own").post("send", "address", annasNumber).post("help")
	p.open(p.link("/oidc/signin/app")).post("app", "code", s.appCode(1))
	if p.app != nil {
		t.Error("a new app alone signs in in a known browser")
	}
	s.Advance(day)
	p.authorize("own").post("send", "address", annasNumber).post("help")
	p.open(p.link("/oidc/signin/app")).post("app", "code", s.appCode(1))
	if p.app == nil {
		t.Error("an app of a day does not sign in in a known browser: " + p.text())
	}
}

// A person changes their name, and sees and ends what apps may know and which browsers are known.
func TestAccount_Profile(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.person().authorize("web", "scope", "openid profile").proves(annasNumber).post("allow")
	p.back()
	p.open("/oidc/account").post("name").post("named", "name", "x\u202e").sees("Enter your name").post("named", "name", " Anna  Able ").sees("Your change is saved", "Anna Able")
	if p.authorize("web", "scope", "openid profile").claims("web")["name"] != "Anna Able" {
		t.Error("the app gets another name")
	}
	if s.told(annasNumber) {
		t.Error("a notice of a name")
	}
	other := s.signedIn(annasNumber)
	p.open("/oidc/account").sees("Apps that you use with this account", "Acme").post("withdraw")
	p.authorize("web", "scope", "openid profile").sees("would like to know who you are").post("deny")
	if n := strings.Count(p.open("/oidc/account").body, "/oidc/account/forget"); n != 2 {
		t.Errorf("%d browsers: %s", n, p.text())
	}
	for n := range p.page().Descendants() {
		if n.Data == "li" && strings.Contains(textOf(n), "Own · ") {
			for i := range n.Descendants() {
				if attr(i, "name") == "id" {
					p.post("forget", "id", attr(i, "value"))
				}
			}
			break
		}
	}
	if other.in() || !p.in() {
		t.Error("the wrong browser was removed")
	}
	other.authorize("own").post("send", "address", annasNumber).post("help")
	if strings.Contains(other.body, "/oidc/signin/app") {
		t.Error("a browser that was removed is known")
	}
	if p.open("/oidc/account").post("forget"); p.status != http.StatusForbidden || p.in() {
		t.Error("this browser was removed, and is signed in")
	}
}

// The browsers of an account have the names that people know, and never a text of the browser's own.
func TestAccount_BrowserLabels(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	for header, want := range map[string]string{
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36":                   "Chrome, Android",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1": "Safari, iOS",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0":           "Edge, Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14.7; rv:132.0) Gecko/20100101 Firefox/132.0":                                                     "Firefox, macOS",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36":        "Samsung Internet, Android",
		"Your bank: call +1 900 555 (now) https://evil.example":                                                                                   "Unknown browser",
		"":                                    "Unknown browser",
		strings.Repeat("Mozilla/5.0 (", 4000): "Unknown browser",
	} {
		s.Advance(day)
		p := s.person()
		p.agent = header
		p.authorize("own").proves(annasNumber).back()
		if p.open("/oidc/account").sees(want); strings.Contains(p.text(), "evil") {
			t.Errorf("%q: %s", header, p.text())
		}
	}
}

// A change that is saved twice, by a double click, is made once, and the person is back at the account.
func TestAccount_FactorsSavedTwice(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber).open("/oidc/account").post("factors")
	p.post("app", "code", codeOf(t, p.key(), s.Now()))
	path, form := p.form("save")
	for i := range 3 {
		p.do(p.posted(path, form))
		if p.where() != "/oidc/account" || p.status != http.StatusOK || len(s.account(annasNumber).TOTP.Confirmed()) != 1 {
			t.Errorf("click %d: %d %s %s", i, p.status, p.where(), p.text())
		}
	}
}

// A proof that the person makes after they have begun to set up an app is as good as the one of before.
func TestAccount_FactorsWithAFresherProof(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber).open("/oidc/account").post("factors")
	s.Advance(5 * time.Minute)
	p.post("app", "code", codeOf(t, p.key(), s.Now()))
	p.asSame().authorize("own", "prompt", "login").proves(annasNumber).back() // another app, in another tab
	p.post("save").sees("Your change is saved", "Authenticator apps: 1")
}

// A reload of the page for apps and codes is the account.
func TestAccount_FactorsReload(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber)
	s.Advance(10 * time.Minute)
	p.open("/oidc/account").post("factors").sees("Sign in")
	for _, path := range []string{"/oidc/account/factors", "/oidc/account/name"} {
		if p.open(path); p.status != http.StatusOK || p.where() != "/oidc/account" {
			t.Errorf("%s: %d %s %s", path, p.status, p.where(), p.text())
		}
	}
}

// The largest account can be stored, and read: all browsers, all consents, all apps, and the longest of each text.
func TestAccount_TheLargest(t *testing.T) {
	t.Parallel()
	s := remembering(t)
	label := func(n int) string { return strings.Repeat("y", n) }
	mail := strings.Repeat("x", 64) + "@" + label(63) + "." + label(63) + "." + label(57) + ".com"
	if len(mail) != 254 {
		t.Fatalf("a mail of %d bytes", len(mail))
	}
	id := func(i int) string { return fmt.Sprintf("%s%04d", strings.Repeat("c", 60), i) }
	s.give(annasNumber, mail)
	s.signedIn(annasNumber)
	s.edit(annasNumber, func(u *user.User) {
		a := u.Account
		for i := range a.Addresses {
			a.Addresses[i].ProvenAt, a.Addresses[i].UnlockedAt, a.Addresses[i].Test = s.Now(), s.Now(), true
		}
		for i := range account.MaxBrowsers {
			at := s.Now().Add(time.Duration(i)*time.Millisecond + 123*time.Microsecond)
			proofs := []account.Proof{
				{Kind: account.Phone, Address: annasNumber, Channel: channel.WhatsApp, At: at, Test: true}, {Kind: account.Email, Address: mail, Channel: channel.Email, At: at},
				{Kind: account.App, At: at, Since: at}, {Kind: account.Recovery, At: at, Since: at},
			}
			in := account.Entry{Proofs: proofs, Client: id(i), ID: account.NewSessionID(), Label: "Samsung Internet, HarmonyOS", Strong: true}
			a = a.SignIn(in, s.Now())
			in.Before, in.ID, in.Trust = in.ID, account.NewSessionID(), true // a browser with an id of before
			a = a.SignIn(in, s.Now())
		}
		for i := range account.MaxConsents {
			a = a.Consent(id(i), []string{"openid", "phone", "email", "profile"}, s.Now())
		}
		a.Name = strings.Repeat("\U0001F600", signin.MaxName)
		u.Account = a
		u.TOTP = totp.State{}
		for i := range byte(totp.MaxAuthenticators) {
			app := anApp(s, 10+i).Authenticators[0]
			app.Name = strings.Repeat("\U0001F600", totp.MaxName)
			u.TOTP.Authenticators = append(u.TOTP.Authenticators, app)
		}
	})
	u := s.account(mail)
	if a := u.Account; len(a.Browsers) != account.MaxBrowsers || len(a.Consents) != account.MaxConsents || a.Email() != mail || len(a.Name) != 4*signin.MaxName || len(u.TOTP.Confirmed()) != totp.MaxAuthenticators {
		t.Errorf("read: %d browsers, %d consents, %d apps, mail %q", len(a.Browsers), len(a.Consents), len(u.TOTP.Confirmed()), a.Email())
	}
	for _, b := range u.Account.Browsers {
		if !b.Strong || b.TrustedAt.IsZero() || len(b.Proofs) != 4 {
			t.Fatalf("a browser is read as %+v", b)
		}
	}
	s.Advance(time.Minute)
	p := s.signedIn(annasNumber) // it can be changed
	if body := p.open("/oidc/account").body; strings.Count(body, "/oidc/account/forget") != account.MaxBrowsers {
		t.Errorf("the page shows %d browsers", strings.Count(body, "/oidc/account/forget"))
	}
}
