package visit_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/capability"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/session"
	"twofa/internal/testing/fixture"
	"twofa/internal/texts"
	"twofa/internal/visit"
	"twofa/internal/web"
	"twofa/otpsend"
)

const clients = `[
	{"id": "bank", "secrets": ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"], "scopes": ["send"], "return_urls": ["https://bank.example/done"]},
	{"id": "shop", "secrets": ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"], "scopes": ["check"]}]`

// newSite is a site that sends over the channels. It stores and sends nothing.
func newSite(t testing.TB, workflow ...channel.Channel) *visit.Site {
	t.Helper()
	registry, faults := client.Load(clients)
	catalogue, err := texts.Load(texts.Options{})
	if len(faults) > 0 || err != nil {
		t.Fatal(faults, err)
	}
	return &visit.Site{
		Keys: fixture.Keys(t, 1), Clients: registry, Send: &otpsend.Service{Workflow: workflow}, Renderer: &web.Renderer{Texts: catalogue},
		Forms: func(*http.Request) error { return nil }, Now: fixture.NewClock().Now,
	}
}

// place ends with the reason alone.
var place = visit.Place{
	Kind: capability.Page, Path: "/oidc/signin", Scope: client.ScopeSend, Canceled: "canceled", Expired: visit.EndExpired,
	End: func(_ *visit.Visit, status int, reason string, problem error) web.Answer {
		return web.Answer{Status: status, Body: []byte(reason), Problem: problem}
	},
}

// tokenOf is the token of a session that the client has just begun.
func tokenOf(s *visit.Site, id, returnURL string) (t visit.Token) {
	c, _ := s.Clients.Client(id)
	t.Page = session.New(otp.Session{1}, c, session.Asked{ReturnURL: returnURL}, fixture.Noon)
	return t
}

func begin(t *testing.T, s *visit.Site, token visit.Token) *visit.Visit {
	t.Helper()
	v, err := s.Begin(httptest.NewRequest(http.MethodGet, "/oidc/authorize", nil), place, token)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// opened is what a path or the answer to a form carries.
func opened(t *testing.T, s *visit.Site, location string) visit.Token {
	t.Helper()
	v, err := s.Enter(httptest.NewRequest(http.MethodGet, location, nil), place, parse(t, location).Query().Get("t"))
	if err != nil {
		t.Fatal(err)
	}
	return v.Token
}

func parse(t *testing.T, location string) *url.URL {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A session that begins with the request has forms whose t opens, with the package's own part.
func TestBegin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := tokenOf(s, "bank", "")
	token.FormAction, token.More = "https://app.example", []byte(`{"proven":true}`)
	v := begin(t, s, token)
	if v.Client.ID != "bank" || client.From(v.Ctx).ID != "bank" || !v.Browser.IsZero() {
		t.Errorf("%+v", v)
	}
	form := v.Form("send")
	if got := opened(t, s, "/oidc/signin?t="+form.Token); form.Action != "/oidc/signin/send" || got.FormAction != token.FormAction || string(got.More) != string(token.More) {
		t.Errorf("%+v: %+v", form, got)
	}
	if err := v.GiveSession(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/oidc/signin/send", nil)
	for _, c := range v.Redirect(visit.ScreenMain, visit.View{}, nil).Cookies {
		r.AddCookie(c)
	}
	if v, err := s.Enter(r, place, form.Token); err != nil || v.Browser.IsZero() {
		t.Errorf("the browser has no session: %v", err)
	}

	token.More = []byte(`"` + strings.Repeat("x", capability.Max) + `"`)
	if _, err := s.Begin(r, place, token); err != capability.ErrSize {
		t.Errorf("too much: %v", err)
	}
	s.Clients = nil
	if v, err := s.Begin(r, place, tokenOf(newSite(t), "bank", "")); err == nil || v.Client.ID != "" {
		t.Errorf("without clients: %v", err)
	}
}

// What the package of a place keeps in t stays there, and what the last form said does not.
func TestToken_MoreStays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := tokenOf(s, "bank", "")
	token.FormAction, token.More = "https://app.example", []byte(`{"proven":true}`)
	v := begin(t, s, token)
	long := visit.View{Typed: strings.Repeat("x", capability.Max)} // too long for t
	for location, view := range map[string]visit.View{
		v.Redirect("code", visit.View{Notice: "page_sent_again"}, nil).Header["Location"]: {Notice: "page_sent_again"},
		v.Redirect(visit.ScreenMain, long, nil).Header["Location"]:                        {},
		v.Path("help"): {},
	} {
		if got := opened(t, s, location); got.FormAction != token.FormAction || string(got.More) != string(token.More) || got.View != view {
			t.Errorf("%s: %+v", parse(t, location).Path, got)
		}
	}
}

// The forms of a page may lead to what t says, and else to this service alone.
func TestAnswer_FormAction(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for source, want := range map[string]string{"": "form-action 'self'", "https://app.example": "form-action 'self' https://app.example"} {
		token := tokenOf(s, "bank", "")
		token.FormAction = source
		v := begin(t, s, token)
		for _, a := range []web.Answer{v.Answer(http.StatusOK, v.AddressScreen()), v.Redirect(visit.ScreenMain, visit.View{}, nil)} {
			if csp := a.Header["Content-Security-Policy"]; !strings.HasSuffix(csp, want) {
				t.Errorf("%d: %s, want %s", a.Status, csp, want)
			}
		}
	}
}

// Enter refuses what is not of the place, or of a client that has such pages no more.
func TestEnter(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	returns, link := place, place
	returns.Returns, link.Kind = true, capability.Link
	noClients := newSite(t)
	noClients.Clients = nil
	const done = "https://bank.example/done"
	gone := tokenOf(s, "bank", done)
	gone.Client = "gone"
	for name, tc := range map[string]struct {
		site  *visit.Site
		at    visit.Place
		token visit.Token
		ok    bool
	}{
		"a page":                                  {s, place, tokenOf(s, "bank", ""), true},
		"a page with a return address":            {s, returns, tokenOf(s, "bank", done), true},
		"a page without one":                      {s, returns, tokenOf(s, "bank", ""), false},
		"an address that the client has not":      {s, returns, tokenOf(s, "bank", done+"/"), false},
		"a page as a link":                        {s, link, tokenOf(s, "bank", done), false},
		"a client without the scope":              {s, place, tokenOf(s, "shop", ""), false},
		"a client that is gone":                   {s, place, gone, false},
		"a service that has lost its clients":     {noClients, place, tokenOf(s, "bank", ""), false},
		"a page of another version of the layout": {s, place, visit.Token{Link: session.Link{Page: session.Page{Client: "bank", Directory: "main"}}}, false},
	} {
		text, err := capability.Seal(s.Keys, capability.Page, tc.token)
		if err != nil {
			t.Fatal(err)
		}
		v, err := tc.site.Enter(httptest.NewRequest(http.MethodGet, "/", nil), tc.at, text)
		if v == nil || (err == nil) != tc.ok || (v.Client.ID == "bank") != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Some screens are the same in every place.
func TestGet(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := tokenOf(s, "bank", "")
	old, canceled := token, token
	old.ExpiresAt = fixture.Noon.Unix()
	canceled.View.End = "canceled"
	other := token
	other.View = visit.View{End: "done", Result: "result", Browser: session.HashOf("other"), Until: fixture.Noon.Unix() + 1}
	late := other
	late.View.Until--
	for name, tc := range map[string]struct {
		screen string
		token  visit.Token
		status int
		body   string
	}{
		"a page":                      {visit.ScreenMain, token, http.StatusOK, "shown"},
		"one of a session that ended": {visit.ScreenMain, old, http.StatusGone, visit.EndExpired},
		"the address of a form":       {visit.ScreenNone, token, http.StatusBadRequest, visit.EndLink},
		"an end":                      {visit.ScreenEnd, canceled, http.StatusOK, "canceled"},
		"an end without a reason":     {visit.ScreenEnd, token, http.StatusBadRequest, visit.EndLink},
		"a result of another browser": {visit.ScreenEnd, other, http.StatusForbidden, visit.EndBrowser},
		"a result that came too late": {visit.ScreenEnd, late, http.StatusGone, visit.EndExpired},
	} {
		text, _ := capability.Seal(s.Keys, capability.Page, tc.token)
		a := s.Get(place, tc.screen, func(*visit.Visit) web.Answer { return web.Answer{Status: http.StatusOK, Body: []byte("shown")} })(
			httptest.NewRequest(http.MethodGet, "/?t="+text, nil))
		if a.Status != tc.status || string(a.Body) != tc.body {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}

func TestReadAddress(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		workflow       []channel.Channel
		typed, country string
		to, fault      string
		view           visit.View
	}{
		"a number":             {[]channel.Channel{channel.SMS}, "(415) 555-0123", "US", fixture.Alice, "", visit.View{Typed: "(415) 555-0123", Country: "US"}},
		"an address":           {[]channel.Channel{channel.Email}, fixture.AliceMail, "", fixture.AliceMail, "", visit.View{Typed: fixture.AliceMail}},
		"a number, mail only":  {[]channel.Channel{channel.Email}, fixture.Alice, "US", "", "page_error_email", visit.View{Typed: fixture.Alice, Country: "US"}},
		"an address, SMS only": {[]channel.Channel{channel.SMS}, fixture.AliceMail, "", "", "page_error_phone", visit.View{Typed: fixture.AliceMail}},
		"no country":           {[]channel.Channel{channel.SMS}, "(415) 555-0123", "XX", "", "page_error_country", visit.View{Typed: "(415) 555-0123"}},
		"much too long":        {[]channel.Channel{channel.SMS}, strings.Repeat("1", web.MaxTypedAddress+1), "", "", "page_error_phone", visit.View{}},
	} {
		s := newSite(t, tc.workflow...)
		v := begin(t, s, tokenOf(s, "bank", ""))
		to, w, err := v.ReadAddress(url.Values{"address": {tc.typed}, "country": {tc.country}})
		fault := ""
		if w.Fault != nil {
			fault, w.Fault = w.Fault.Key, nil
		}
		if to != tc.to || fault != tc.fault || w != tc.view || (err == nil) != (tc.fault == "") {
			t.Errorf("%s: %q, %+v, %s, %v", name, to, w, fault, err)
		}
		if err != nil && len(tc.typed) > 0 && strings.Contains(err.Error(), tc.typed) {
			t.Errorf("%s: the error has the address: %v", name, err)
		}
	}
}
