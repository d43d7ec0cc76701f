package oidc_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/signin"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/texts"
)

// memory is a table for one caller at a time, so that a benchmark measures the service and no storage.
type memory struct {
	store.Table
	rows  map[store.Key][]byte
	trips int
}

func (m *memory) Get(_ context.Context, key store.Key) (store.Row, error) {
	m.trips++
	if m.rows[key] == nil {
		return store.Row{}, store.ErrNotFound
	}
	return store.Row{Data: m.rows[key], Version: "1"}, nil
}

func (m *memory) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	m.trips++
	return m.UpdateFrom(ctx, key, store.Row{}, fn)
}

func (m *memory) UpdateFrom(_ context.Context, key store.Key, _ store.Row, fn func([]byte) (store.Row, error)) error {
	row, err := fn(m.rows[key])
	if err == store.SkipWrite {
		return nil
	}
	if err == nil {
		m.trips++
		m.rows[key] = row.Data
	}
	return err
}

// lastCode is a messenger that keeps the last code.
type lastCode struct{ code string }

func (s *lastCode) Send(_ context.Context, m notify.Message) error {
	s.code = m.Code
	return nil
}

// signInBench is the service, and a browser. Its timer runs while the service answers.
type signInBench struct {
	*testing.B
	handler http.Handler
	cookies map[string]string
	page    string
}

// call is a request, and the answer's address, or else its body.
func (b *signInBench) call(method, path, form string, header ...string) string {
	r := httptest.NewRequest(method, strings.TrimPrefix(path, "https://twofa.example.com"), strings.NewReader(form))
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if len(header) > 0 {
		r.Header.Set("Authorization", header[0])
	}
	w := httptest.NewRecorder()
	b.StartTimer()
	b.handler.ServeHTTP(w, r)
	b.StopTimer()
	if w.Code != http.StatusOK && w.Code != http.StatusSeeOther {
		b.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	if to := w.Header().Get("Location"); to != "" {
		return to
	}
	return w.Body.String()
}

var hiddenField = regexp.MustCompile(`name="(t|once|request)" value="([^"]*)"`)

// submit sends the form of a page, and loads the page to which that leads, but for the app's.
func (b *signInBench) submit(action string, fields ...string) {
	_, form, found := strings.Cut(b.page, `action="/oidc/signin/`+action+`"`)
	if !found {
		b.Fatalf("no form %s: %s", action, b.page)
	}
	form, _, _ = strings.Cut(form, "</form>")
	values := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(form, -1) {
		values.Set(m[1], m[2])
	}
	for i := 0; i+1 < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	if b.page = b.call(http.MethodPost, "/oidc/signin/"+action, values.Encode()); strings.HasPrefix(b.page, "/") {
		b.page = b.call(http.MethodGet, b.page, "")
	}
}

// tokens are what the app does with the code that the browser has brought.
func (b *signInBench) tokens() {
	u, err := url.Parse(b.page)
	if err != nil || u.Query().Get("code") == "" {
		b.Fatalf("no code: %s", b.page)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {"https://app.example/callback"}, "code_verifier": {verifier}, "client_id": {"web"}, "client_secret": {secretOf + "web"}}
	var given struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(b.call(http.MethodPost, "/oidc/token", form.Encode())), &given); err != nil {
		b.Fatal(err)
	}
	b.call(http.MethodGet, "/oidc/userinfo", "", "Bearer "+given.Access)
}

// BenchmarkSignIn measures what a whole sign-in costs the service, from the app's request to userinfo, and what the next one in the
// same browser costs: neither connections, nor storage, nor the provider. trips are those of the storage.
func BenchmarkSignIn(b *testing.B) {
	clients, faults := client.Load(fmt.Sprintf(apps, fmt.Sprintf("%x", sha256.Sum256([]byte(secretOf+"web")))))
	catalogue, err := texts.Load(texts.Options{})
	if len(faults) > 0 || err != nil {
		b.Fatal(faults, err)
	}
	table, sender, clock := &memory{rows: make(map[store.Key][]byte)}, new(lastCode), fixture.NewClock()
	api := app.New(
		config.Settings{
			UnderHost: true, Policy: otp.DefaultPolicy(), Channels: []channel.Channel{channel.WhatsApp}, Brand: "Acme", Clients: clients, PublicURL: "https://twofa.example.com",
			SignIn: config.SignIn{Session: time.Hour, StaleAddress: 90 * 24 * time.Hour},
		},
		app.Parts{
			Table: table, Keys: fixture.Keys(b, 1), Now: clock.Now, Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Texts: catalogue, Catalogue: catalogue,
			Messenger: app.Messenger{Senders: notify.Senders{channel.WhatsApp: sender}},
		})
	api.SignIn.Wait = func(context.Context, time.Duration) {}
	if _, err := api.SignIn.Accounts.Give(b.Context(), signin.Given{Phone: annasNumber}, clock.Now()); err != nil {
		b.Fatal(err)
	}
	v := &signInBench{handler: api.Handler()}
	authorize := func(changes ...string) {
		v.page = v.call(http.MethodGet, "/oidc/authorize?"+asks("web", changes...).Encode(), "")
	}
	whole := func() {
		clock.Advance(24 * time.Hour) // the limits are those of a day
		v.cookies = make(map[string]string)
		authorize("prompt", "consent")
		v.submit("send", "address", annasNumber)
		v.submit("code", "code", sender.code)
		v.submit("allow")
		v.tokens()
	}
	next := func() { authorize(); v.tokens() }
	for _, measured := range []struct {
		name string
		f    func()
	}{{"the whole", whole}, {"the next", next}} {
		b.Run(measured.name, func(b *testing.B) {
			b.StopTimer()
			v.B = b
			whole()
			table.trips = 0
			b.ReportAllocs()
			b.StartTimer()
			n := 0
			for b.Loop() {
				b.StopTimer()
				measured.f()
				n++
				b.StartTimer()
			}
			b.ReportMetric(float64(table.trips)/float64(n), "trips")
		})
	}
}
