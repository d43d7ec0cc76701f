package oidc_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
)

// cookie is the last cookie of the browser whose name begins so, after twofa-.
func (p *person) cookie(prefix string) (found *http.Cookie) {
	p.TB.Helper()
	u, _ := url.Parse(p.URL)
	for _, c := range p.http.Jar.Cookies(u) {
		if strings.HasPrefix(c.Name, "twofa-"+prefix) {
			found = c
		}
	}
	if found == nil {
		p.TB.Fatalf("no cookie %s", prefix)
	}
	return found
}

// puts puts a cookie into the browser, as somebody who can write cookies there.
func (p *person) puts(name, value string) *person {
	u, _ := url.Parse(p.URL)
	p.http.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
	return p
}

// withForm sends a form of the service that no page shows.
func (p *person) withForm(path string, fields ...string) *person {
	p.TB.Helper()
	form := url.Values{"once": {rand.Text()}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return p.do(p.posted(path, form))
}

// t is the page in the forms of the page.
func (p *person) t() string {
	p.TB.Helper()
	found := formToken.FindStringSubmatch(p.body)
	if found == nil {
		p.TB.Fatalf("%d %s has no form: %s", p.status, p.where(), p.text())
	}
	return found[1]
}

// signedIn is a person who is signed in in a browser, and has consented to nothing.
func (s *service) signedIn(address string) *person {
	s.TB.Helper()
	p := s.person().authorize("own").proves(address)
	p.back()
	return p
}

// A stranger spends what strangers have at Anna's number. Her own browser, in which she has proven it, still signs
// her in, by a message and by her app.
func TestAttack22_AStrangerLocksNoKnownBrowser(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	anna := s.signedIn(annasNumber)
	s.edit(annasNumber, func(u *user.User) { u.TOTP = anApp(s, 1) })
	s.Advance(day)
	sent, wrongs := s.Sent(), 0
	for i := range 8 {
		g := s.guesses(annasNumber, wrong)
		g.networks = fmt.Sprintf("203.0.%d.9", i)
		g.authorize("own").post("send", "address", annasNumber)
		for range 5 {
			if strings.Contains(g.body, `name="code"`) {
				g.post("code", "code", wrong(g))
				wrongs++
			}
		}
		s.Advance(time.Minute)
	}
	if n := s.Sent() - sent; n > 6 || wrongs < 10 { // with one warning
		t.Errorf("%d messages and %d wrong codes", n, wrongs)
	}
	s.person().authorize("own").post("send", "address", annasNumber).sees("Too many")
	anna.authorize("own", "prompt", "login").proves(annasNumber).back()
	s.Advance(time.Minute)
	anna.authorize("own", "prompt", "login").post("send", "address", annasNumber).post("help")
	anna.open(anna.link("/signin/app")).post("app", "code", s.appCode(1)).back()
	if claims := anna.claims("own"); fmt.Sprint(claims["amr"]) != "[otp]" || claims["acr"] != "urn:twofa:acr:1" {
		t.Errorf("signed in with an app: %v", claims)
	}
}

// link is the address of the page's link that has such a path.
func (p *person) link(path string) string {
	p.TB.Helper()
	for n := range p.page().Descendants() {
		if n.Data == "a" && strings.Contains(attr(n, "href"), path) {
			return attr(n, "href")
		}
	}
	p.TB.Fatalf("%d %s has no link to %s: %s", p.status, p.where(), path, p.text())
	return ""
}

// crossSite are the headers of a form that another site sends, or that is no browser's.
var crossSite = map[string][]string{
	"cross-site":                {"Sec-Fetch-Site", "cross-site"},
	"same-site":                 {"Sec-Fetch-Site", "same-site"},
	"typed":                     {"Sec-Fetch-Site", "none"},
	"a foreign origin":          {"Origin", "https://evil.example"},
	"a foreign origin, as ours": {"Origin", "https://evil.example", "Sec-Fetch-Site", "same-origin"},
	"a sandbox":                 {"Origin", "null"},
	"a sandbox of another site": {"Origin", "null", "Sec-Fetch-Site", "cross-site"},
	"nothing":                   nil,
}

// No form of another site has an effect, and none reads or writes anything.
func TestAttack30_CrossSiteForms(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	anna := s.signedIn(annasNumber)
	anna.authorize("web", "prompt", "login")
	_, first := anna.form("send")
	anna.post("send", "address", annasNumber)
	page, code := anna.t(), s.codeTo(annasNumber)
	anna.open("/oidc/end-session?client_id=web&post_logout_redirect_uri=" + url.QueryEscape("https://app.example/bye"))
	logout := anna.t()
	s.give(annasMail)
	mail := s.person().authorize("own").post("send", "address", annasMail)
	u, _ := url.Parse(s.Sender(channel.Email).Last().Link)
	link := u.Query().Get("t")
	_ = mail

	forms := map[string]url.Values{"/oidc/end-session/confirm": {"t": {logout}}, "/oidc/link": {"t": {link}}}
	for _, name := range []string{"send", "new", "resend", "more", "help", "code", "app", "recovery", "cancel", "allow", "deny"} {
		forms["/oidc/signin/"+name] = url.Values{"t": {page}, "request": {first.Get("request")}, "address": {annasNumber}, "code": {code}, "id": {"phone"}}
	}
	a := s.account(annasNumber).Account
	for _, name := range []string{"phone", "email", "remove", "undo", "signout", "everywhere", "erase", "erased"} {
		forms["/oidc/account/"+name] = url.Values{"t": {""}, "id": {a.Ref(annasNumber)}}
	}
	for path, form := range forms {
		form.Set("once", rand.Text())
		for site, headers := range crossSite {
			r := anna.posted(path, form)
			r.Header.Del("Sec-Fetch-Site")
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			sent := s.Sent()
			s.Table.Break(nil)
			anna.do(r)
			if n := s.Table.Calls(); n != 0 || s.Sent() != sent || anna.status != http.StatusBadRequest || anna.app != nil || len(anna.header["Set-Cookie"]) > 0 {
				t.Errorf("%s from %s: status %d, %d storage calls, %d messages", path, site, anna.status, n, s.Sent()-sent)
			}
			if anna.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s from %s: readable", path, site)
			}
		}
	}
	s.Table.Break(nil)
	for path := range forms { // a link in a mail, or an image on another site
		if !strings.HasPrefix(path, "/oidc/account/") { // these lead to the account's page
			anna.open(path + "?t=" + page)
		}
	}
	anna.open("/oidc/signin/code?t=" + page + "&code=" + code)
	if n := s.Table.Calls(); n > 0 {
		t.Errorf("GETs of forms: %d storage calls", n)
	}
	anna.open("/oidc/signin?t="+page).post("code", "code", code).sees("Acme") // all of them were right, but for where they came from
	anna.open("/oidc/account").sees("Your account")
}

// No page can be framed, kept, sniffed, or tells where it was; and its forms lead to nobody but the app that asked.
func TestAttack30_HeadersOfEveryPage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber, annasMail)
	pages := map[string]bool{}
	to := "" // where forms may lead beside the service
	p := s.person()
	see := func(r *http.Request, res *http.Response, _ string) {
		html := strings.HasPrefix(res.Header.Get("Content-Type"), "text/html")
		for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"} {
			if got := res.Header.Get(name); got != want && (html || name != "X-Frame-Options") {
				t.Errorf("%s %s: %s is %q", r.Method, r.URL.Path, name, got)
			}
		}
		if !html {
			return
		}
		pages[r.Method+" "+r.URL.Path] = true
		csp := res.Header.Get("Content-Security-Policy")
		_, action, _ := strings.Cut(csp, "; form-action 'self'")
		if !strings.Contains(csp, "frame-ancestors 'none'; ") || !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") || strings.TrimSpace(action) != to {
			t.Errorf("%s %s: %s, want forms that lead to %q", r.Method, r.URL.Path, csp, to)
		}
	}
	p.each = see
	to = "https://app.example"
	p.authorize("web", "acr_values", "urn:twofa:acr:2").post("send", "address", annasNumber).post("code", "code", "1").post("help")
	p.open(p.link("/signin/address"))
	p.open("/oidc/signin?t="+p.t()).post("code", "code", s.codeTo(annasNumber))
	p.post("deny").authorize("web").post("allow").back()
	p.authorize("web", "prompt", "consent").post("deny").back()
	p.authorize("web", "prompt", "login", "response_mode", "form_post")
	p.open("/oidc/signin/app?t=" + p.t())
	p.open("/oidc/signin/recovery?t=" + p.t())
	for _, screen := range []string{"second", "consent"} {
		p.open("/oidc/signin/" + screen + "?t=" + p.t())
		p.authorize("web", "prompt", "login")
	}
	p.authorize("web", "prompt", "none", "response_mode", "form_post")
	for _, path := range []string{"/oidc/end-session?client_id=web&post_logout_redirect_uri=" + url.QueryEscape("https://app.example/bye")} {
		p.open(path)
	}
	to = ""
	for _, path := range []string{
		"/oidc/authorize", "/oidc/authorize?client_id=nobody&redirect_uri=https://evil.example/", "/oidc/authorize?" + asks("web", "redirect_uri", "https://app.example/callback/").Encode(),
		"/oidc/signin", "/oidc/signin?t=x", "/oidc/signin/end", "/oidc/signin/send", "/oidc/link", "/oidc/link?t=x", "/oidc/account", "/oidc/account/erase",
		"/oidc/end-session", "/oidc/end-session?client_id=web", "/oidc/end-session?client_id=web&post_logout_redirect_uri=https://evil.example/", "/oidc/end-session/confirm",
	} {
		p.open(path)
	}
	p.open("/oidc/account").post("email").post("send", "address", "anna.other@example.com").post("help")
	p.open("/oidc/account").post("erase")
	p.open("/oidc/account").post("signout")
	p.open("/oidc/account?client_id=own").post("send", "address", annasNumber)
	p.withForm("/oidc/signin/code", "t", "x")
	p.withForm("/oidc/account/erase")
	s.Table.Break(rig.FaultFrom(1, rig.Down))
	p.open("/oidc/account")
	to = "https://own.example"
	p.authorize("own", "prompt", "login").post("send", "address", annasNumber)
	s.Table.Break(nil)
	if len(pages) < 20 {
		t.Errorf("only %d pages: %v", len(pages), pages)
	}
}

// A page of one browser is of no use in another one, nor are its cookies for another page.
func TestAttack30_APageWithTheCookieOfAnother(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	anna := s.person().authorize("own").post("send", "address", annasNumber)
	eve := s.person().authorize("own").post("send", "address", stranger)
	name, code := anna.cookie("session-").Name, s.codeTo(annasNumber)
	for what, q := range map[string]*person{
		"no cookie":                         s.person(),
		"a cookie of another page":          s.person().puts(eve.cookie("session-").Name, eve.cookie("session-").Value),
		"the value of another page's":       s.person().puts(name, eve.cookie("session-").Value),
		"a cookie that was changed":         s.person().puts(name, anna.cookie("session-").Value[:100]),
		"the cookie of a browser as page's": s.person().puts(name, "x"),
	} {
		for _, form := range []string{"code", "send", "resend", "new", "help", "cancel", "allow"} {
			s.Table.Break(nil)
			q.withForm("/oidc/signin/"+form, "t", anna.t(), "code", code, "address", stranger)
			if q.status != http.StatusForbidden || q.app != nil || s.Table.Calls() > 0 {
				t.Errorf("%s, %s: status %d, %d storage calls", what, form, q.status, s.Table.Calls())
			}
		}
		q.open("/oidc/signin?t=" + anna.t()) // which gives this browser a cookie of its own
		q.withForm("/oidc/signin/code", "t", anna.t(), "code", code)
		if q.app != nil || !strings.HasSuffix(q.where(), "/end") {
			t.Errorf("%s, after a look: %d %s", what, q.status, q.where())
		}
	}
	anna.post("code", "code", code).back()
}

// An attacker begins a sign-in and brings a victim to finish it. The attacker's browser is signed in to nothing, and
// the victim's browser only to what the victim has proven.
func TestAttack30_SessionFixation(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)

	eve, anna := s.person().authorize("web"), s.person()
	page, request := eve.t(), eve.requestField()
	anna.open("/oidc/signin?t=" + page) // a link of the attacker's
	if strings.Contains(anna.body, `name="request"`) {
		t.Error("the page brings a request along")
	}
	anna.post("send", "address", annasNumber)
	if anna.status != http.StatusBadRequest || s.Sent() > 0 {
		t.Errorf("a sign-in that an attacker has begun: status %d", anna.status)
	}
	// Even if a form of the attacker's could be sent by the victim's browser, it is the victim's then.
	anna.withForm("/oidc/signin/send", "t", page, "request", request, "address", annasNumber).post("code", "code", s.codeTo(annasNumber)).sees("Acme")
	eve.withForm("/oidc/signin/code", "t", page, "code", s.codeTo(annasNumber))
	eve.withForm("/oidc/signin/allow", "t", page)
	if eve.app != nil || eve.open("/oidc/account").status != http.StatusForbidden {
		t.Errorf("the attacker is signed in: %s", eve.text())
	}

	eve = s.person().authorize("own").post("send", "address", annasNumber) // bound to the attacker's browser
	s.Advance(time.Minute)
	anna = s.person()
	anna.open(strings.TrimPrefix(eve.at, s.URL))
	anna.post("code", "code", s.codeTo(annasNumber))
	if anna.app != nil || !strings.HasSuffix(anna.where(), "/end") {
		t.Errorf("the victim's code in the attacker's sign-in: %d %s", anna.status, anna.where())
	}
	eve.post("help").post("resend")
	if eve.app != nil || eve.open("/oidc/account").status != http.StatusForbidden {
		t.Error("the attacker is signed in")
	}
}

func (p *person) requestField() string {
	p.TB.Helper()
	_, form := p.form("send")
	return form.Get("request")
}

// The first form of a sign-in carries the request of its own page, and of no other.
func TestAttack30_TheRequestOfAnotherPage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	eve := s.person()
	own := eve.authorize("own").requestField()
	web := eve.authorize("web").requestField()
	eve.authorize("own")
	for what, request := range map[string]string{"none": "", "of another page": own, "of another client": web, "cut": own[:len(own)-2], "a page": eve.t(), "a cookie": eve.cookie("session-").Value} {
		for _, form := range []string{"send", "cancel", "allow", "code", "help"} {
			s.Table.Break(nil)
			eve.withForm("/oidc/signin/"+form, "t", eve.t(), "request", request, "address", annasNumber)
			if eve.status != http.StatusBadRequest || eve.app != nil || s.Sent() > 0 {
				t.Errorf("%s, %s: status %d, %v", what, form, eve.status, eve.app)
			}
			eve.authorize("own")
		}
	}
	eve.proves(annasNumber).back()
}

// Each kind of what a browser holds opens as no other kind.
func TestAttack30_OneKindOfCapabilityAsAnother(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasMail)
	p := s.signedIn(annasMail)
	s.Advance(time.Minute)
	p.authorize("own", "prompt", "login")
	request := p.requestField()
	p.post("send", "address", annasMail)
	link, _ := url.Parse(s.Sender(channel.Email).Last().Link)
	held := map[string]string{
		"page": p.t(), "request": request, "link": link.Query().Get("t"), "session": p.cookie("session-").Value, "known": p.cookie("known").Value, "account": p.cookie("account").Value,
	}
	session := p.cookie("session-").Name
	held["logout"] = p.open("/oidc/end-session").t()
	for kind, value := range held {
		at := func(place string) *person { // a browser that holds this for everything
			q := s.person()
			if place != "session" {
				q.puts(session, held["session"])
			}
			return q
		}
		for place, refused := range map[string]func(q *person) bool{
			"page": func(q *person) bool { return q.open("/oidc/signin?t="+value).status == http.StatusBadRequest },
			"page of a form": func(q *person) bool {
				return q.withForm("/oidc/signin/help", "t", value).status == http.StatusBadRequest
			},
			"link":          func(q *person) bool { return q.open("/oidc/link?t="+value).status == http.StatusBadRequest },
			"link's button": func(q *person) bool { return q.withForm("/oidc/link", "t", value).status == http.StatusBadRequest },
			"logout": func(q *person) bool {
				return q.withForm("/oidc/end-session/confirm", "t", value).status == http.StatusBadRequest
			},
			"request": func(q *person) bool {
				q.authorize("own")
				return q.withForm("/oidc/signin/send", "t", q.t(), "request", value, "address", annasMail).status == http.StatusBadRequest
			},
			"account": func(q *person) bool {
				return q.puts("twofa-account", value).open("/oidc/account").status == http.StatusForbidden
			},
			"session": func(q *person) bool {
				return q.puts(session, value).withForm("/oidc/signin/help", "t", held["page"]).status == http.StatusForbidden
			},
			"verify page":      func(q *person) bool { return q.open("/verify/check?t="+value).status == http.StatusBadRequest },
			"verify enrolment": func(q *person) bool { return q.open("/verify/enroll?t="+value).status == http.StatusBadRequest },
			"verify link":      func(q *person) bool { return q.open("/verify/link?t="+value).status == http.StatusBadRequest },
		} {
			own := strings.HasPrefix(place, kind) && place != "request" // a request is refused on another page, too
			if refused(at(place)) == own {
				t.Errorf("%s as %s: accepted %t", kind, place, !own)
			}
		}
	}
	for kind, value := range held {
		s.Advance(day) // one message more
		q := s.person().puts("twofa-known", value).puts("twofa-account", held["account"]).authorize("own", "prompt", "login").post("send", "address", annasMail).post("help")
		if strings.Contains(q.body, "/oidc/signin/app") != (kind == "known") {
			t.Errorf("%s as the cookie of a known browser", kind)
		}
	}
}

// No address that the client does not have gets a browser, whoever asks for it and however.
func TestAttack30_NoOpenRedirect(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber)
	evil := url.QueryEscape("https://evil.example/?x=")
	bye := url.QueryEscape("https://app.example/bye")
	hint := fmt.Sprint(p.authorize("own").exchanges("own")["id_token"]) // own has no address after a logout
	for _, path := range []string{
		"/oidc/authorize?" + asks("own", "redirect_uri", "https://evil.example/").Encode(),
		"/oidc/authorize?" + asks("own", "redirect_uri", "https://app.example/callback").Encode(), // another client's
		"/oidc/authorize?" + asks("own", "redirect_uri", "https://own.example/callback?next=https://evil.example/").Encode(),
		"/oidc/authorize?" + asks("own", "redirect_uri", "https://own.example/callback#").Encode(),
		"/oidc/authorize?" + asks("own").Encode() + "&redirect_uri=" + evil,
		"/oidc/authorize?" + asks("own").Encode() + "&client_id=web",
		"/oidc/authorize?" + asks("own", "redirect_uri", "//evil.example/").Encode(),
		"/oidc/authorize?" + asks("own", "redirect_uri", "javascript:alert(1)").Encode(),
		"/oidc/end-session?post_logout_redirect_uri=" + evil,
		"/oidc/end-session?client_id=web&post_logout_redirect_uri=" + evil,
		"/oidc/end-session?client_id=own&post_logout_redirect_uri=" + bye,
		"/oidc/end-session?id_token_hint=" + hint[:len(hint)-2] + "&client_id=own&post_logout_redirect_uri=" + bye,
		"/oidc/account?client_id=own&redirect_uri=" + evil + "&return_url=" + evil,
		"/oidc/signin?t=" + evil, "/oidc/signin/end?t=" + evil, "//evil.example/oidc/authorize", "/oidc//evil.example",
	} {
		p.open(path)
		if to := p.header.Get("Location"); p.app != nil || to != "" || strings.Contains(p.header.Get("Content-Security-Policy"), "evil") || strings.Contains(p.body, `href="https://evil`) {
			t.Errorf("%s leads to %q", path, to)
		}
	}
	p.open("/oidc/end-session?id_token_hint=" + hint + "&post_logout_redirect_uri=" + bye).sees("You're signed out") // of another client
	if p.app != nil {
		t.Errorf("a logout leads to another client's %s", p.app)
	}
}

// A browser that is on its way goes to no address that was taken from the client meanwhile.
func TestAttack30_AnAddressThatTheClientHasNoMore(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	anna := s.signedIn(annasNumber)
	first := s.person().authorize("web")
	sent := s.person().authorize("web")
	s.Advance(time.Minute)
	sent.post("send", "address", annasNumber)
	anna.open("/oidc/end-session?client_id=web&post_logout_redirect_uri=" + url.QueryEscape("https://app.example/bye")).sees("Sign out")
	s.restart(func(c *config.Settings, _ *app.Parts) {
		c.Clients = clientsOf(t, strings.NewReplacer("https://app.example/callback", "https://app.example/new", "https://app.example/bye", "https://app.example/new").Replace(apps))
	})
	for what, p := range map[string]*person{
		"the first form": first.post("send", "address", annasNumber), "a code": sent.post("code", "code", s.codeTo(annasNumber)),
		"a logout": anna.post("confirm"),
	} {
		if p.app != nil || p.status != http.StatusBadRequest {
			t.Errorf("%s: %d, to %v", what, p.status, p.app)
		}
	}
}

// Another site signs nobody out without their will: a form that it sends comes without cookies, and must not end a
// session that it does not show.
func TestAttack30_LogoutByAnotherSite(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	anna := s.signedIn(annasNumber)
	for _, form := range []url.Values{{}, {"client_id": {"own"}}, {"client_id": {"web"}, "post_logout_redirect_uri": {"https://app.example/bye"}, "state": {theState}}} {
		r := anna.posted("/oidc/end-session", form)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		without := s.person().do(r)
		if without.header.Get("Set-Cookie") != "" {
			t.Errorf("%v: ends a session that the browser has not shown", form)
		}
		if !strings.Contains(without.at, "/oidc/end-session?") {
			t.Errorf("%v: answered without the cookie", form)
		}
		r = anna.posted("/oidc/end-session", form)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://evil.example")
		if anna.do(r).sees("Sign out?"); !anna.asSame().in() {
			t.Errorf("%v: signed out without a question", form)
		}
	}
	if anna.post("confirm"); anna.app == nil || anna.app.Query().Get("state") != theState || anna.in() {
		t.Errorf("the person's own click: %d, to %v", anna.status, anna.app)
	}
}
