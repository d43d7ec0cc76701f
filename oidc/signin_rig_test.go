package oidc_test

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"twofa/handler"
	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/signin"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
)

const (
	annasNumber = "+491711234567"
	annasMail   = "anna@example.com"
	stranger    = "+491711234599"
)

// service is the whole service on loopback, with an account of Anna's.
type service struct {
	*rig.Rig
	URL string

	settings config.Settings
	parts    app.Parts
	turn     atomic.Int64
	people   atomic.Int64

	mu       sync.Mutex
	handlers []http.Handler // of the processes, which take turns
	waited   []time.Duration
	busy     atomic.Int64 // requests whose handlers have not returned
}

// idle waits until all requests are on the log: the answer comes before its line.
func (s *service) idle() {
	for s.busy.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// theState is the parameter state of the apps.
const theState = "state-canary /+&=%"

// apps are web, which asks for consent, own, which does not, and spa.
const apps = `[
	{"id": "web", "secrets": ["sha256:%[1]s"], "scopes": ["signin"], "redirect_uris": ["https://app.example/callback"], "post_logout_redirect_uris": ["https://app.example/bye"], "brand": "Acme"},
	{"id": "own", "secrets": ["sha256:%[1]s"], "scopes": ["signin"], "redirect_uris": ["https://own.example/callback"], "consent": "implied", "brand": "Own"},
	{"id": "spa", "public": true, "scopes": ["signin"], "redirect_uris": ["https://spa.example/callback"], "consent": "implied"}]`

func newService(t testing.TB, change ...func(*config.Settings)) *service {
	t.Helper()
	s := &service{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.busy.Add(1)
		defer s.busy.Add(-1)
		s.mu.Lock()
		h := s.handlers[int(s.turn.Add(1))%len(s.handlers)]
		s.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	s.Rig = rig.With(t, func(settings *config.Settings, parts *app.Parts) {
		settings.PublicURL, settings.Clients, settings.MagicLinks, settings.NotifyChanges = s.URL, clientsOf(t, apps), true, true
		settings.ClientIPHeader = "X-Forwarded-For"
		settings.SignIn = config.SignIn{Session: time.Hour, StaleAddress: 90 * 24 * time.Hour}
		for _, f := range change {
			f(settings)
		}
		s.settings, s.parts = *settings, *parts
	}, channel.WhatsApp, channel.SMS, channel.Email)
	for _, secret := range []string{annasNumber, annasMail, stranger, theState, nonce, verifier, secretOf + "web"} {
		s.Secret("a secret of the test", secret)
	}
	s.serve(s.API)
	return s
}

// serve adds a process that serves the requests.
func (s *service) serve(api *handler.API) {
	var made atomic.Int64
	api.SignIn.Provider.Keys.Generate = func() (*rsa.PrivateKey, error) { return pool()[int(made.Add(1))%len(pool())], nil } // to make one takes long
	api.SignIn.Wait = func(_ context.Context, d time.Duration) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waited = append(s.waited, d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers = append(s.handlers, api.Handler())
}

// another starts a second process of the service, which takes turns with the first one.
func (s *service) another() {
	api := app.New(s.settings, s.parts)
	s.serve(api)
}

// restart starts the service again, after a change of its settings.
func (s *service) restart(change func(*config.Settings, *app.Parts)) {
	change(&s.settings, &s.parts)
	s.API = app.New(s.settings, s.parts)
	s.mu.Lock()
	s.handlers = nil
	s.mu.Unlock()
	s.serve(s.API)
}

// clientsOf reads the clients of the apps.
func clientsOf(t testing.TB, list string) *client.Registry {
	t.Helper()
	registry, faults := client.Load(fmt.Sprintf(list, fmt.Sprintf("%x", sha256.Sum256([]byte(secretOf+"web")))))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return registry
}

// give adds an account, as the operator's command does.
func (s *service) give(addresses ...string) {
	s.TB.Helper()
	g := signin.Given{}
	for _, a := range addresses {
		if strings.Contains(a, "@") {
			g.Email = a
		} else {
			g.Phone = a
		}
	}
	if _, err := s.API.SignIn.Accounts.Give(s.Ctx(), g, s.Now()); err != nil {
		s.TB.Fatal(err)
	}
}

// account is the account that an address opens.
func (s *service) account(address string) user.User {
	s.TB.Helper()
	u, ok, err := s.API.SignIn.Accounts.Find(s.Ctx(), address, s.Now())
	if err != nil || !ok {
		s.TB.Fatalf("no account: %v", err)
	}
	return u
}

// person is somebody with a browser.
type person struct {
	*service
	http *http.Client
	// Where the browser is, and what it shows.
	at     string
	status int
	header http.Header
	body   string
	// app is where the browser left the service to, nil if it did not.
	app *url.URL
	// networks is the header X-Forwarded-For: everybody is in a network of their own.
	networks string
	// agent is the header User-Agent.
	agent string
	// each sees every answer.
	each func(*http.Request, *http.Response, string)
}

func (s *service) person() *person {
	jar, _ := cookiejar.New(nil)
	p := &person{service: s, networks: fmt.Sprintf("203.0.%d.9", s.people.Add(1)%256)}
	p.http = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return p
}

// asIn is somebody with a copy of all cookies of a browser.
func (p *person) asIn() *person {
	q := p.person()
	u, _ := url.Parse(p.URL)
	q.http.Jar.SetCookies(u, p.http.Jar.Cookies(u))
	return q
}

// do follows redirects within the service.
func (p *person) do(r *http.Request) *person {
	p.TB.Helper()
	for range 10 {
		r.Header.Set("X-Forwarded-For", p.networks)
		r.Header.Set("User-Agent", p.agent)
		res, err := p.http.Do(r)
		if err != nil {
			p.TB.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		p.at, p.status, p.header, p.body, p.app = r.URL.String(), res.StatusCode, res.Header, string(body), nil
		p.hide(r, res)
		if p.each != nil {
			p.each(r, res, p.body)
		}
		to := res.Header.Get("Location")
		if res.StatusCode != http.StatusSeeOther {
			return p
		}
		u, err := r.URL.Parse(to)
		if err != nil {
			p.TB.Fatal(err)
		}
		if !strings.HasPrefix(u.String(), p.URL) {
			p.app = u
			return p
		}
		if r, err = http.NewRequest(http.MethodGet, u.String(), nil); err != nil {
			p.TB.Fatal(err)
		}
	}
	p.TB.Fatal("the browser goes round in circles")
	return p
}

// hide makes secrets of what a browser is given, and of what it sends.
func (p *person) hide(r *http.Request, res *http.Response) {
	for _, c := range res.Cookies() {
		p.Secret("a cookie", c.Value)
	}
	if t := r.URL.Query().Get("t"); len(t) > 100 {
		p.Secret("a page token", t)
	}
	if u, err := url.Parse(res.Header.Get("Location")); err == nil {
		p.Secret("a page token", u.Query().Get("t"))
		p.Secret("an authorization code", u.Query().Get("code"))
	}
}

// page is the page that the browser shows.
func (p *person) page() *html.Node {
	p.TB.Helper()
	page, err := html.Parse(strings.NewReader(p.body))
	if err != nil {
		p.TB.Fatal(err)
	}
	return page
}

func (p *person) open(path string) *person {
	p.TB.Helper()
	if !strings.HasPrefix(path, "http") {
		path = p.URL + path
	}
	r, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		p.TB.Fatal(err)
	}
	return p.do(r)
}

// asks is the request of a client, with changes: names and values in turn. An empty value removes a parameter.
func asks(id string, changes ...string) url.Values {
	uri := map[string]string{"web": "https://app.example/callback", "own": "https://own.example/callback", "spa": "https://spa.example/callback"}[id]
	q := url.Values{"response_type": {"code"}, "client_id": {id}, "redirect_uri": {uri}, "scope": {"openid phone email"}, "state": {theState}, "nonce": {nonce},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			q.Del(changes[i])
		}
	}
	return q
}

// authorize sends the browser to the service, as an app does.
func (p *person) authorize(id string, changes ...string) *person {
	p.TB.Helper()
	return p.open("/oidc/authorize?" + asks(id, changes...).Encode())
}

// form returns the action and the fields of the form whose action ends so.
func (p *person) form(action string) (string, url.Values) {
	p.TB.Helper()
	for n := range p.page().Descendants() {
		if n.Data == "form" && strings.HasSuffix(attr(n, "action"), "/"+action) {
			fields := url.Values{}
			for i := range n.Descendants() {
				if i.Data == "input" && attr(i, "type") == "hidden" {
					fields.Set(attr(i, "name"), attr(i, "value"))
				}
			}
			return attr(n, "action"), fields
		}
	}
	p.TB.Fatalf("%d %s has no form %s: %s", p.status, p.where(), action, p.text())
	return "", nil
}

// where is the path of the page.
func (p *person) where() string {
	path, _, _ := strings.Cut(p.at, "?")
	return strings.TrimPrefix(path, p.URL)
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// posted is the request in which the browser sends a form.
func (p *person) posted(action string, fields url.Values) *http.Request {
	r, err := http.NewRequest(http.MethodPost, p.URL+action, strings.NewReader(fields.Encode()))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// post fills a form in and sends it. The fields are names and values in turn.
func (p *person) post(action string, fields ...string) *person {
	p.TB.Helper()
	path, form := p.form(action)
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return p.do(p.posted(path, form))
}

// text is what the page says.
func (p *person) text() string {
	var words []string
	for n := range p.page().Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "option" {
			words = append(words, strings.Fields(n.Data)...)
		}
	}
	return strings.Join(words, " ")
}

func (p *person) sees(texts ...string) *person {
	p.TB.Helper()
	for _, want := range texts {
		if !strings.Contains(p.text(), want) {
			p.TB.Fatalf("%d %s does not say %q: %s", p.status, p.where(), want, p.text())
		}
	}
	return p
}

// back is what the browser brings to the app.
func (p *person) back() url.Values {
	p.TB.Helper()
	if p.app == nil {
		p.TB.Fatalf("%d %s: the browser is not back at the app: %s", p.status, p.where(), p.text())
	}
	return p.app.Query()
}

// codeTo is the last code that was sent to an address, "" if there is none.
func (s *service) codeTo(address string) (code string) {
	for _, c := range []channel.Channel{channel.WhatsApp, channel.SMS, channel.Email} {
		for _, m := range s.Sender(c).Sent() {
			if m.To == address && m.Code != "" {
				code = m.Code
			}
		}
	}
	return code
}

// told reports whether a notice went to an address.
func (s *service) told(address string) bool { return s.lastNotice(address) != "" }

// lastNotice is the last notice that went to an address, "" if none did.
func (s *service) lastNotice(address string) (last notify.Notice) {
	for _, c := range []channel.Channel{channel.WhatsApp, channel.SMS, channel.Email} {
		for _, m := range s.Sender(c).Sent() {
			if m.To == address && m.Notice != "" {
				last = m.Notice
			}
		}
	}
	return last
}

// proves types an address and its code.
func (p *person) proves(address string) *person {
	p.TB.Helper()
	return p.post("send", "address", address).post("code", "code", p.codeTo(address))
}

// exchanges is what the app gets for the code that the browser brought.
func (p *person) exchanges(id string) map[string]any {
	p.TB.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {p.back().Get("code")}, "redirect_uri": {asks(id).Get("redirect_uri")}, "code_verifier": {verifier}, "client_id": {id}}
	r, err := http.NewRequest(http.MethodPost, p.URL+"/oidc/token", strings.NewReader(form.Encode()))
	if err != nil {
		p.TB.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id != "spa" {
		r.SetBasicAuth(id, secretOf+"web")
	}
	given := p.json(r)
	p.Secret("an access token", fmt.Sprint(given["access_token"]))
	p.Secret("an ID token", fmt.Sprint(given["id_token"]))
	return given
}

// claims are those of userinfo for the code that the browser brought.
func (p *person) claims(id string) map[string]any {
	p.TB.Helper()
	given := p.exchanges(id)
	r, err := http.NewRequest(http.MethodGet, p.URL+"/oidc/userinfo", nil)
	if err != nil {
		p.TB.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+fmt.Sprint(given["access_token"]))
	claims := p.json(r)
	maps.Copy(claims, payload(p.TB, fmt.Sprint(given["id_token"])))
	return claims
}

func (p *person) json(r *http.Request) (fields map[string]any) {
	p.TB.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.TB.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&fields); err != nil || res.StatusCode != http.StatusOK {
		p.TB.Fatalf("%s: %d %v %v", r.URL.Path, res.StatusCode, fields, err)
	}
	return fields
}
