package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
)

const password = "correct horse battery"

// town is the bank and the real service, both on loopback.
type town struct {
	*rig.Rig
	bank    *bank
	handler http.Handler // of the bank
	url     string       // of the bank
	service string       // of twofa
	log     bytes.Buffer

	mu     sync.Mutex
	calls  []apiCall
	alerts []apiCall // which come when they come
	// fault takes a call of the bank's out of the service's hands, if it returns true.
	fault func(w http.ResponseWriter, r *http.Request) bool
}

// apiCall is a call of the bank to the API.
type apiCall struct {
	method, path, key, user, pass string
	body                          map[string]any
}

func newTown(t *testing.T) *town {
	t.Helper()
	w := new(town)
	var service http.Handler
	w.url = listen(t, func(rw http.ResponseWriter, r *http.Request) { w.handler.ServeHTTP(rw, r) })
	w.service = listen(t, func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") && w.record(t, rw, r) {
			return
		}
		service.ServeHTTP(rw, r)
	})
	registry, faults := client.Load(fmt.Sprintf(`[{"id": "bank", "secrets": ["sha256:%x"], "scopes": ["send", "check", "users", "alerts"], "brand": "Acme Bank", "color": "#0b5fff",
		"return_urls": ["%[2]s/2fa/done", "%[2]s/pay/done", "%[2]s/security/proven", "%[2]s/security/done"]}]`, sha256.Sum256([]byte("secret")), w.url))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	w.Rig = rig.With(t, func(s *config.Settings, _ *app.Parts) {
		s.PublicURL, s.Clients, s.NotifyChanges = w.service, registry, true
	}, channel.WhatsApp, channel.Email)
	service = w.API.Handler()
	log := slog.New(slog.NewTextHandler(lockedWriter{w}, nil))
	api := newTwofa(w.service, log)
	api.id, api.secret = "bank", "secret"
	w.bank = newBank(api, w.url, log)
	w.bank.sessions.now, w.bank.demo = w.Now, true
	w.serve(w.bank)
	t.Cleanup(w.noSecretsInTheLog)
	t.Cleanup(w.bank.warnings.Wait)
	return w
}

// serve puts a bank at the address of the bank.
func (w *town) serve(b *bank) { w.handler = b.handler() }

// listen serves on loopback. A browser's request that names the page it comes from fails the
// test: that address may have a result in it.
func listen(t *testing.T, f http.HandlerFunc) (origin string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if referer := r.Referer(); referer != "" && strings.Contains(r.UserAgent(), "Mozilla") {
			t.Errorf("%s %s has a Referer", r.Method, r.URL.Path)
		}
		f(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

type lockedWriter struct{ *town }

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

func (w *town) record(t *testing.T, rw http.ResponseWriter, r *http.Request) (done bool) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	c := apiCall{method: r.Method, path: r.URL.Path, key: r.Header.Get("Idempotency-Key")}
	c.user, c.pass, _ = r.BasicAuth()
	_ = json.Unmarshal(text, &c.body) // nil for an empty one
	w.mu.Lock()
	if strings.HasSuffix(c.path, "/alerts") {
		w.alerts = append(w.alerts, c)
	} else {
		w.calls = append(w.calls, c)
	}
	fault := w.fault
	w.mu.Unlock()
	return fault != nil && fault(rw, r)
}

// last returns the last n calls.
func (w *town) last(n int) []apiCall {
	w.TB.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.calls) < n {
		w.TB.Fatalf("%d calls to twofa", len(w.calls))
	}
	return w.calls[len(w.calls)-n:]
}

// lastOf returns the last n calls of a path.
func (w *town) lastOf(n int, path string) (list []apiCall) {
	w.TB.Helper()
	for _, c := range w.last(w.count()) {
		if c.path == path {
			list = append(list, c)
		}
	}
	if len(list) < n {
		w.TB.Fatalf("%d calls of %s", len(list), path)
	}
	return list[len(list)-n:]
}

// warned returns the alerts that the bank has asked for, once none is on its way.
func (w *town) warned() []apiCall {
	w.bank.warnings.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.alerts)
}

func (w *town) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls)
}

func (w *town) setFault(f func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

func (w *town) noSecretsInTheLog() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, secret := range []string{"alice", "YWxpY2U", password, fixture.Alice, "secret", "000000"} {
		if strings.Contains(w.log.String(), secret) {
			w.TB.Errorf("the bank's log has %q:\n%s", secret, w.log.String())
		}
	}
}

// customer is a browser without a screen.
type customer struct {
	*town
	http   *http.Client
	agent  string // User-Agent
	status int
	at     string
	header http.Header
	body   string
}

func (w *town) customer() *customer {
	jar, _ := cookiejar.New(nil)
	return &customer{town: w, http: &http.Client{Jar: jar, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		req.Header.Del("Referer") // as browsers do under the bank's policy
		return nil
	}}}
}

func (c *customer) do(req *http.Request) *customer {
	c.TB.Helper()
	res, err := c.http.Do(req)
	if err != nil {
		c.TB.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.TB.Fatal(err)
	}
	c.status, c.at, c.header, c.body = res.StatusCode, res.Request.URL.String(), res.Header, html.UnescapeString(string(body))
	return c
}

func (c *customer) request(method, address string, form url.Values) *http.Request {
	c.TB.Helper()
	if strings.HasPrefix(address, "/") {
		address = c.town.url + address
	}
	req, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		c.TB.Fatal(err)
	}
	req.Header.Set("User-Agent", c.agent)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return req
}

func (c *customer) get(address string) *customer {
	c.TB.Helper()
	return c.do(c.request(http.MethodGet, address, nil))
}

func (c *customer) post(address string, fields ...string) *customer {
	c.TB.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return c.do(c.request(http.MethodPost, address, form))
}

func (c *customer) sees(want string) *customer {
	c.TB.Helper()
	if !strings.Contains(c.body, want) {
		c.TB.Fatalf("the page %d %s does not say %q:\n%s", c.status, c.at, want, c.body)
	}
	return c
}

func (c *customer) isIn(want bool) *customer {
	c.TB.Helper()
	if c.get("/"); strings.Contains(c.body, "Hello, ") != want {
		c.TB.Fatalf("signed in: %v", !want)
	}
	return c
}

// origin is the bank's, for cookies.
func (c *customer) origin() *url.URL {
	u, err := url.Parse(c.town.url)
	if err != nil {
		c.TB.Fatal(err)
	}
	return u
}

func (c *customer) cookie(name string) string {
	for _, k := range c.http.Jar.Cookies(c.origin()) {
		if k.Name == name {
			return k.Value
		}
	}
	return ""
}

func (c *customer) setCookie(name, value string) {
	c.http.Jar.SetCookies(c.origin(), []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

var onceField = regexp.MustCompile(`name="once" value="([^"]*)"`)

// once is the name of the form that the customer sees.
func (c *customer) once() string {
	c.TB.Helper()
	m := onceField.FindStringSubmatch(c.body)
	if m == nil {
		c.TB.Fatalf("no form at %s:\n%s", c.at, c.body)
	}
	return m[1]
}

func (c *customer) signUp() *customer {
	c.TB.Helper()
	return c.post("/signup", "name", "alice", "password", password, "contact", fixture.Alice).sees("Your account is open")
}

// logIn gives the right password, and goes on in that way.
func (c *customer) logIn(way string) *customer {
	c.TB.Helper()
	c.get("/login")
	return c.post("/login", "name", "alice", "password", password, "way", way, "once", c.once())
}

// sent are the messages with codes.
func (w *town) sent() []notify.Message {
	return slices.DeleteFunc(w.Sender(channel.WhatsApp).Sent(), func(m notify.Message) bool { return m.Code == "" })
}

// texts are the alerts and notices as people read them, without those of wrong codes.
func (w *town) texts() (texts []string) {
	w.bank.warnings.Wait()
	for _, m := range w.Sender(channel.WhatsApp).Sent() {
		if m.Code == "" && m.Event != "" {
			texts = append(texts, string(m.Event)+" "+m.Device)
		}
	}
	return texts
}

func (w *town) code() string {
	w.TB.Helper()
	sent := w.sent()
	if len(sent) == 0 {
		w.TB.Fatal("no code was sent")
	}
	return sent[len(sent)-1].Code
}

func (w *town) messages() int { return len(w.sent()) }

var (
	pageForm = regexp.MustCompile(`action="(/verify/check/code)"[^>]*><input type="hidden" name="t" value="([^"]*)"><input type="hidden" name="once" value="([^"]*)">`)
	goesOn   = regexp.MustCompile(`content="0;url=([^"]*)"`)
)

// finishPage types the code on twofa's page, and returns the address to which that goes on.
func (c *customer) finishPage() *url.URL {
	c.TB.Helper()
	m := pageForm.FindStringSubmatch(c.body)
	if m == nil {
		c.TB.Fatalf("no form for a code at %s:\n%s", c.at, c.body)
	}
	c.post(c.service+m[1], "t", m[2], "once", m[3], "code", c.code())
	return c.goesOn()
}

// goesOn is where a page of twofa sends the browser.
func (c *customer) goesOn() *url.URL {
	c.TB.Helper()
	next := goesOn.FindStringSubmatch(c.body)
	if next == nil {
		c.TB.Fatalf("the page does not go on:\n%s", c.body)
	}
	done, err := url.Parse(next[1])
	if err != nil {
		c.TB.Fatal(err)
	}
	return done
}
