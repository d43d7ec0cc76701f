package pages_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/store"
	"twofa/internal/testing/browser"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
)

func TestMain(m *testing.M) {
	code := m.Run()
	browser.Close()
	os.Exit(code)
}

// state is what the app keeps in its cookie.
const state = "0123456789abcdefghijklmnopqrstuv"

// site is the service on loopback, and an app that uses it.
type site struct {
	*rig.Rig
	URL    string
	app    *httptest.Server
	client client.Client

	fetched atomic.Int64 // the storage trips of fetches

	mu       sync.Mutex
	returned []url.Values // with what browsers came back to the app
}

// clients are the entries of the clients: two with an app, and one without pages.
const clients = `[
	{"id": "bank", "secrets": ["sha256:%[2]s"], "scopes": ["send", "check", "users"], "brand": "Acme Bank", "color": "#0b5fff", "return_urls": ["%[1]s/2fa/done", "%[1]s/pay?x=1"]},
	{"id": "shop", "secrets": ["sha256:%[2]s"], "scopes": ["send", "check"], "brand": "Shop", "return_urls": ["%[1]s/shop"]}]`

// newSite serves the pages over WhatsApp, SMS, calls and e-mail.
func newSite(t testing.TB, change ...func(*config.Settings)) *site {
	t.Helper()
	s := &site{}
	s.app = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.noReferer(r)
		if r.URL.Path == "/favicon.ico" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		s.mu.Lock()
		s.returned = append(s.returned, r.URL.Query())
		s.mu.Unlock()
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>The app</title><link rel="icon" href="data:,"><h1>Back at the app</h1>`)
	}))
	t.Cleanup(s.app.Close)
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.noReferer(r)
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	registry := s.load(clients)
	s.Rig = rig.With(t, func(settings *config.Settings, p *app.Parts) {
		settings.PublicURL, settings.Clients, settings.MagicLinks, settings.NotifyChanges = s.URL, registry, true, true
		settings.Countries = map[string]bool{"US": true, "DE": true, "IN": true}
		for _, f := range change {
			f(settings)
		}
	}, channel.WhatsApp, channel.SMS, channel.Call, channel.Email)
	s.client, _ = registry.Client("bank")
	handler = s.API.Handler()
	return s
}

// load reads entries of clients, with the app's origin and the hash of a secret.
func (s *site) load(entries string) *client.Registry {
	registry, faults := client.Load(fmt.Sprintf(entries, s.app.URL, fmt.Sprintf("%x", sha256.Sum256([]byte("secret")))))
	if len(faults) > 0 {
		panic(fmt.Sprint(faults))
	}
	return registry
}

// codeTo is the code of the last message to an address.
func (s *site) codeTo(address string) (code string) {
	for _, m := range s.Sender(channel.WhatsApp).Sent() {
		if m.To == address {
			code = m.Code
		}
	}
	return code
}

// noReferer fails the test if a browser tells where it came from: the address of a page holds
// t.
func (s *site) noReferer(r *http.Request) {
	if referer := r.Referer(); referer != "" {
		s.TB.Errorf("%s %s has the Referer %s", r.Method, r.URL.Path, referer)
	}
}

// begin begins a session for the bank, and returns the page's address.
func (s *site) begin(req otpsend.Request) otpsend.PageAnswer {
	s.TB.Helper()
	return s.beginAs("bank", req)
}

func (s *site) beginAs(id string, req otpsend.Request) otpsend.PageAnswer {
	s.TB.Helper()
	c, _ := s.API.Clients.Client(id)
	if req.Page.ReturnURL == "" {
		req.Page.ReturnURL = c.ReturnURLs[0]
	}
	if req.Page.State == "" {
		req.Page.State = state
	}
	a, _, err := s.Send.StartPage(client.With(s.Ctx(), c), req, "")
	if err != nil {
		s.TB.Fatalf("the session does not begin: %v", err)
	}
	return a
}

// fetch asks for the approval as an app does.
func (s *site) fetch(id string, req otpverify.Request) (otpverify.Answer, error) {
	c, _ := s.API.Clients.Client(id)
	ctx, trips := store.WithTrips(client.With(s.Ctx(), c))
	defer func() { s.fetched.Add(trips.Load()) }()
	return s.Verify.Check(ctx, req)
}

// back is with what a browser last came back to the app.
func (s *site) back() url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.returned) == 0 {
		return nil
	}
	return s.returned[len(s.returned)-1]
}

// code is the code of the last message over a channel.
func (s *site) code(c channel.Channel) string { return s.Sender(c).Last().Code }

// visitor is a browser without a screen.
type visitor struct {
	*site
	http *http.Client
	page page
}

// page is what a visitor sees.
type page struct {
	address string
	status  int
	header  http.Header
	body    string
}

func (s *site) visitor() *visitor {
	jar, _ := cookiejar.New(nil)
	v := &visitor{site: s}
	v.http = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return v
}

func (v *visitor) do(req *http.Request) {
	v.TB.Helper()
	res, err := v.http.Do(req)
	if err != nil {
		v.TB.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.TB.Fatal(err)
	}
	v.page = page{req.URL.String(), res.StatusCode, res.Header, string(body)}
}

// open gets a page.
func (v *visitor) open(address string) *visitor {
	v.TB.Helper()
	if strings.HasPrefix(address, "/") {
		address = v.URL + address
	}
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		v.TB.Fatal(err)
	}
	v.do(req)
	return v
}

// cookies are the cookies of the service, and give adds one.
func (v *visitor) cookies() []*http.Cookie {
	u, _ := url.Parse(v.URL)
	return v.http.Jar.Cookies(u)
}

func (v *visitor) give(c *http.Cookie) {
	u, _ := url.Parse(v.URL)
	v.http.Jar.SetCookies(u, []*http.Cookie{c})
}

var hidden = regexp.MustCompile(`<form [^>]*action="/verify/(?:check/|enroll/|link)(\w*)"[^>]*><input type="hidden" name="t" value="([^"]*)"><input type="hidden" name="once" value="([^"]*)">`)

// form returns the hidden fields of a form of the page.
func (v *visitor) form(action string) url.Values {
	v.TB.Helper()
	for _, m := range hidden.FindAllStringSubmatch(v.page.body, -1) {
		if m[1] == action {
			return url.Values{"t": {m[2]}, "once": {m[3]}}
		}
	}
	v.TB.Fatalf("the page %d has no form %s:\n%s", v.page.status, action, v.text())
	return nil
}

// post sends a form as a browser does, and follows the redirect to the next page of the
// service. The fields are names and values in turn.
func (v *visitor) post(action string, fields ...string) *visitor {
	v.TB.Helper()
	form := v.form(action)
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return v.send(action, form)
}

func (v *visitor) send(action string, form url.Values) *visitor {
	v.TB.Helper()
	v.submit(action, form)
	if v.page.status == http.StatusSeeOther {
		v.open(v.page.header.Get("Location"))
	}
	return v
}

// submit is send without following the redirect.
func (v *visitor) submit(action string, form url.Values) {
	v.TB.Helper()
	v.do(v.posted(v.base()+action, form))
}

// posted is the request in which a browser sends a form of the service's own page.
func (s *site) posted(path string, form url.Values) *http.Request {
	req, err := http.NewRequest(http.MethodPost, s.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		panic(err) // tests also call it in goroutines, where Fatal must not be called
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return req
}

// base is the begin of the paths of the forms of the page that was opened last.
func (v *visitor) base() string {
	switch u, _ := url.Parse(v.page.address); {
	case strings.HasPrefix(u.Path, "/verify/enroll"):
		return "/verify/enroll/"
	case strings.HasPrefix(u.Path, "/verify/link"):
		return "/verify/link"
	}
	return "/verify/check/"
}

var tags = regexp.MustCompile(`(?s)<script.*?</script>|<select.*?</select>|<[^>]*>`)

// text is the text of the page.
func (v *visitor) text() string {
	text := tags.ReplaceAllString(v.page.body, "\n")
	text = strings.NewReplacer("&#39;", "'", "&#43;", "+", "&amp;", "&").Replace(text)
	return strings.Join(strings.Fields(text), " ")
}

// sees fails the test unless the page has the texts.
func (v *visitor) sees(texts ...string) *visitor {
	v.TB.Helper()
	for _, want := range texts {
		if !strings.Contains(v.text(), want) {
			v.TB.Fatalf("the page %d does not say %q: %s", v.page.status, want, v.text())
		}
	}
	return v
}

var refresh = regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]*)"`)

// returns is the address to which the page goes on by itself.
func (v *visitor) returns() url.Values {
	v.TB.Helper()
	m := refresh.FindStringSubmatch(v.page.body)
	if m == nil {
		v.TB.Fatalf("the page %d does not go on: %s", v.page.status, v.text())
	}
	u, err := url.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
	if err != nil {
		v.TB.Fatal(err)
	}
	return u.Query()
}

// alice's number as she types it in the United States.
const typed = "(415) 555-0123"

// wrong is a code that is not the last one.
func (s *site) wrong() string {
	if s.code(channel.WhatsApp) == "000000" {
		return "000001"
	}
	return "000000"
}

var tripsInLog = regexp.MustCompile(`\btrips=(\d+)`)

// trips are all storage round trips of requests until now, and those of fetches.
func (s *site) trips() (n int) {
	for _, line := range s.Logged("trips=") {
		for _, m := range tripsInLog.FindAllStringSubmatch(line, -1) {
			k, _ := strconv.Atoi(m[1])
			n += k
		}
	}
	return n + int(s.fetched.Load())
}
