package oidc_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/testing/browser"
)

func TestMain(m *testing.M) {
	code := m.Run()
	browser.Close()
	os.Exit(code)
}

// visitor is a person with a real browser.
type visitor struct {
	*browser.Browser
	*service
	t      *testing.T
	o      tried
	appURL string // of the app that they come from
}

// tried is a browser in which the screens are tried out.
type tried struct {
	locale string
	browser.Options
}

// inBrowsers runs a test in three languages, with and without script, in light and dark.
func inBrowsers(t *testing.T, change func(*config.Settings), f func(v visitor)) {
	for _, o := range []tried{{"en", browser.Options{Width: 390}}, {"de", browser.Options{Width: 320, Dark: true}}, {"ar", browser.Options{Width: 390, NoScript: true}}} {
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
				settings.Pages.Terms, settings.Pages.Privacy = "https://acme.example/terms", "https://acme.example/privacy"
				change(settings)
			})
			f(visitor{browser.New(t, o.Options), s, t, o, app.URL})
		})
	}
}

// comes is a person whom the app sends to the service.
func (v visitor) comes(changes ...string) {
	v.t.Helper()
	q := asks("web", append([]string{"redirect_uri", v.appURL + "/callback", "ui_locales", v.o.locale, "scope", "openid phone email profile"}, changes...)...)
	v.Browser.Open(v.service.URL + "/oidc/authorize?" + q.Encode())
}

// shot looks at a screen: whether it is accessible, and at its picture.
func (v visitor) shot(name string) {
	v.t.Helper()
	if !v.o.NoScript {
		v.Axe()
	}
	v.NoHorizontalScroll()
	if dir := os.Getenv("SHOTS"); dir != "" {
		v.Screenshot(dir + "/" + v.o.locale + "-" + name + ".png")
	}
}

// in waits until the person is back at the app with a code.
func (v visitor) in() {
	v.t.Helper()
	v.WaitURL(v.appURL + "/callback")
	u, _ := url.Parse(v.Browser.URL())
	if u.Query().Get("code") == "" || u.Query().Get("state") != theState {
		v.t.Errorf("back with %v", u.Query())
	}
	v.NoSurprises(v.service.URL, v.appURL)
}

// keyOf is the secret in the address that opens an app.
func keyOf(t *testing.T, uri string) string {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil || u.Query().Get("secret") == "" {
		t.Fatalf("no secret in %s: %v", uri, err)
	}
	return u.Query().Get("secret")
}

// A new person signs up in a browser, by number, by the code of a mail, and by its link in this browser and in another one,
// signs in again in the same way, and looks at the account.
func TestSignUp_InABrowser(t *testing.T) {
	inBrowsers(t, func(c *config.Settings) { c.SignIn.SignUp, c.SignIn.RememberDevice = true, 30*day }, func(v visitor) {
		v.comes()
		v.shot("a1-sign-in")
		v.Submit("form[action$='/join'] button")
		v.shot("a2-sign-up")
		v.Submit("button.main")
		v.shot("a3-no-name")
		v.Type("#name", "Anna Able")
		v.Type("#address", annasNumber)
		v.Submit("button.main")
		v.shot("a4-details")
		v.Submit("button.main")
		v.shot("a5-code")
		v.Type("#code", v.codeTo(annasNumber))
		v.Submit("button.main")
		v.Submit("button.main") // consent
		v.in()

		v.Browser.Open(v.service.URL + "/oidc/account?ui_locales=" + v.o.locale)
		v.shot("a6-account")
		v.Submit("form[action$='/name'] button")
		v.shot("a7-name")
		v.Type("#name", "Anna Able of Acme")
		v.Submit("button.main")
		v.WaitText("Anna Able of Acme")
		v.Submit("form[action$='/factors'] button")
		v.shot("a8-factors")
		v.Type("#code", codeOf(v.t, keyOf(v.t, v.Attribute("a[href^='otpauth:']", "href")), v.Now()))
		v.Submit("button.main")
		v.Submit("form[action$='/codes'] button")
		v.Submit("form[action$='/kept'] button")
		v.shot("a9-save")
		v.Submit("form.save button")
		v.shot("a10-account")
		v.Submit("form[action$='/everywhere'] button")

		// by mail: the code, the link here, the link in another browser, and a scanner before all of them
		for i, address := range []string{"code@example.com", "link@example.com", "other@example.com"} {
			for _, signUp := range []bool{true, false} {
				v.Advance(time.Hour)
				if signUp {
					v.comes("prompt", "create")
					v.Type("#name", "Bob")
					v.Type("#address", address)
					v.Submit("button.main")
				} else {
					v.comes()
					v.Type("#address", address)
				}
				v.Submit("button.main")
				link, code := v.Sender(channel.Email).Last().Link, v.codeTo(address)
				v.person().open(link) // a scanner
				switch i {
				case 1:
					v.Browser.Open(link)
					v.shot("b1-link")
					v.Submit("button.main")
				case 2:
					other := browser.New(v.t, v.o.Options)
					other.Open(link)
					other.Submit("button.main")
					code = other.Text(".shown")
					fallthrough
				default:
					v.Type("#code", code)
					v.Submit("button.main")
				}
				if signUp {
					v.Submit("button.main") // consent
				}
				v.in()
				if v.account(address).Account.Email() != address {
					v.t.Errorf("no account of %s", address)
				}
				v.Browser.Open(v.service.URL + "/oidc/account")
				v.Submit("form[action$='/everywhere'] button")
			}
		}

		// in a known browser, with a second thing, on a device that is remembered
		v.Advance(25 * time.Hour)
		v.comes("acr_values", "urn:twofa:acr:2")
		v.Type("#address", annasNumber)
		v.Submit("button.main")
		v.Type("#code", v.codeTo(annasNumber))
		v.Submit("button.main")
		v.shot("c1-second")
		v.Submit("a[href*='/signin/recovery']")
		v.shot("c2-remember")
	})
}

// A person signs in in a browser, with and without script, in light and dark: all screens are accessible, and the
// browser lets the last form lead to the app.
func TestSignIn_InABrowser(t *testing.T) {
	inBrowsers(t, func(*config.Settings) {}, func(v visitor) {
		s, b, shot := v.service, v.Browser, v.shot
		s.give(annasNumber)
		v.comes()
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
		v.in()
		b.Open(s.URL + "/oidc/account?ui_locales=" + v.o.locale)
		shot("5-account")
		s.Advance(time.Minute)
		b.Submit("form[action$='/email'] button")
		shot("6-add")
		b.NoSurprises(s.URL, v.appURL)
	})
}
