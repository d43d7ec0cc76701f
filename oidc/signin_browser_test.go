package oidc_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/testing/browser"
)

func TestMain(m *testing.M) {
	code := m.Run()
	browser.Close()
	os.Exit(code)
}

// A person signs in in a browser, with and without script, in light and dark: all screens are accessible, and the
// browser lets the last form lead to the app.
func TestSignIn_InABrowser(t *testing.T) {
	for _, o := range []struct {
		locale string
		browser.Options
	}{{"en", browser.Options{Width: 390}}, {"de", browser.Options{Width: 320, Dark: true}}, {"ar", browser.Options{Width: 390, NoScript: true}}} {
		t.Run(o.locale, func(t *testing.T) {
			app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprint(w, `<!doctype html><html lang="en"><title>app</title><link rel="icon" href="data:,"><h1>Back at the app</h1>`)
			}))
			t.Cleanup(app.Close)
			s := newService(t, func(settings *config.Settings) {
				registry, faults := client.Load(fmt.Sprintf(`[{"id": "web", "public": true, "scopes": ["signin"], "redirect_uris": [%q], "brand": "Acme"}]`, app.URL+"/callback"))
				if len(faults) > 0 {
					t.Fatal(faults)
				}
				settings.Clients = registry
			})
			s.give(annasNumber)
			q := asks("web", "redirect_uri", app.URL+"/callback", "ui_locales", o.locale, "scope", "openid phone email profile")
			b := browser.New(t, o.Options)
			shot := func(name string) {
				t.Helper()
				if !o.NoScript {
					b.Axe()
				}
				b.NoHorizontalScroll()
				if dir := os.Getenv("SHOTS"); dir != "" {
					b.Screenshot(dir + "/" + o.locale + "-" + name + ".png")
				}
			}
			b.Open(s.URL + "/oidc/authorize?" + q.Encode())
			shot("1-address")
			b.Type("#address", annasNumber)
			b.Submit("button.main")
			shot("2-code")
			b.Click(".links button.strong")
			b.WaitURL(s.URL + "/oidc/signin/help")
			shot("3-help")
			b.Click("a[href*='/oidc/signin?']")
			b.WaitURL(s.URL + "/oidc/signin?")
			b.Type("#code", s.codeTo(annasNumber))
			b.Submit("button.main")
			shot("4-consent")
			b.Submit("button.main")
			b.WaitURL(app.URL + "/callback")
			u, _ := url.Parse(b.URL())
			if u.Query().Get("code") == "" || u.Query().Get("state") != theState {
				t.Errorf("back with %v", u.Query())
			}
			b.Open(s.URL + "/oidc/account?ui_locales=" + o.locale)
			shot("5-account")
			s.Advance(time.Minute)
			b.Submit("form[action$='/email'] button")
			shot("6-add")
			b.NoSurprises(s.URL, app.URL)
		})
	}
}
