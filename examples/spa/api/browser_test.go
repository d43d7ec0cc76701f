package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	"twofa/internal/testing/browser"
	"twofa/internal/testing/fixture"
)

// visitor is a person in a browser.
type visitor struct {
	*browser.Browser
	t    *testing.T
	w    *world
	name string // of the pictures
}

func (w *world) visitor(t *testing.T, name string, o browser.Options) *visitor {
	t.Helper()
	return &visitor{browser.New(t, o), t, w, name}
}

// looks checks a page of the app: it is accessible and fits, and its heading is its title. With SHOTS, a picture is
// written to that folder.
func (v *visitor) looks(name, title string) {
	v.t.Helper()
	v.WaitUntil("the page "+title, `document.title === "`+title+` – Acme Notes"`)
	if got := v.Text("h1"); got != title {
		v.t.Errorf("the heading of %q is %q", title, got)
	}
	v.Axe()
	v.NoHorizontalScroll()
	v.TargetSizes()
	if folder := os.Getenv("SHOTS"); folder != "" {
		v.Screenshot(filepath.Join(folder, v.name+"-"+name+".png"))
	}
}

// atHeading fails the test unless the heading has the focus, so that a screen reader says where the person is.
func (v *visitor) atHeading(title string) {
	v.t.Helper()
	v.WaitUntil("the focus at "+title, `document.activeElement.tagName === "H1"`)
	if got := v.Focused(); got != "h1 "+title {
		v.t.Errorf("the focus is at %q", got)
	}
}

// press presses the button with that text.
func (v *visitor) press(text string) {
	v.t.Helper()
	find := `[...document.querySelectorAll("button, a")].find(e => e.innerText === "` + text + `")`
	v.WaitUntil("the button "+text, `document.readyState === "complete" && `+find)
	browser.Eval[bool](v.Browser, `(() => { for (const e of document.querySelectorAll("[data-press]")) delete e.dataset.press; `+find+`.dataset.press = "yes"; return true; })()`)
	v.Click("[data-press]")
}

// leaves presses a button that leads away, and waits until the browser is back at the app.
func (v *visitor) leaves(text string) {
	v.t.Helper()
	browser.Eval[bool](v.Browser, `(document.documentElement.dataset.old = "yes") !== ""`)
	v.press(text)
	v.WaitUntil("the app again", `location.origin === "`+v.w.app+`" && document.readyState === "complete" && !document.documentElement.dataset.old`)
}

// proves types the address and the code on the pages of the service, and agrees to what the app gets.
func (v *visitor) proves(address string) {
	v.t.Helper()
	v.WaitURL(v.w.service)
	before := v.w.console.String()
	v.Type("[name=address]", address)
	v.Submit("main button.main")
	v.Type("[name=code]", v.w.message(address, `\b(\d{6})\b`, before))
	v.Submit("main button.main")
	if strings.HasPrefix(v.URL(), v.w.service) {
		v.Click("main button.main") // agrees
	}
	v.WaitURL(v.w.app)
}

// signIn signs a person in who is at the first page.
func (v *visitor) signIn(address string) {
	v.t.Helper()
	v.press("Sign in")
	v.proves(address)
	v.WaitText("Your notes")
}

// A person signs in by number, sees what the API knows, writes a note, and signs out: on a phone, in light and dark.
func TestSpa_InABrowser(t *testing.T) {
	t.Parallel()
	people := map[string]string{"light": fixture.Alice, "dark": fixture.Bob}
	w := newWorld(t, fixture.Alice, fixture.Bob)
	for name, o := range map[string]browser.Options{"light": {Width: 390}, "dark": {Width: 320, Dark: true}} {
		t.Run(name, func(t *testing.T) {
			v, number := w.visitor(t, name, o), people[name]
			v.Open(w.app)
			v.looks("1-home", "Notes that are yours")
			v.signIn(number)
			v.atHeading("Your notes")
			v.looks("2-notes", "Your notes")

			v.press("Save the note")
			v.WaitText("The note was not saved. Two fields need a change:")
			if got := v.Focused(); !strings.HasPrefix(got, "input#") || !strings.HasSuffix(got, " Title") {
				t.Errorf("after an error, the focus is at %q", got)
			}
			v.looks("3-error", "Your notes")
			v.Type("[name=title]", "Groceries")
			v.Type("[name=text]", "Bread, milk, and apples")
			v.press("Save the note")
			v.WaitText("“Groceries” was saved.")
			v.looks("4-saved", "Your notes")

			v.press("Profile")
			v.atHeading("Your profile")
			for _, claim := range []string{number + " verified", "one factor", "user-"} {
				v.WaitText(claim)
			}
			v.Click("summary")
			v.WaitText(`"phone_number_verified": true`)
			v.looks("5-profile", "Your profile")

			v.Reload()
			v.WaitText(number) // the session is a cookie
			v.keepsNoToken()
			v.press("Your account")
			v.WaitURL(w.service + "/oidc/account")
			v.WaitText(number)
			v.Back()
			v.leaves("Sign out")
			v.looks("6-out", "You are signed out")
			if slices.ContainsFunc(v.Cookies(), func(c *network.Cookie) bool { return c.Name == "notes-session" }) {
				t.Error("the cookie is still there")
			}
			v.press("Sign in")
			v.WaitURL(w.service)
			v.WaitUntil("the first page of the sign-in", `document.querySelector("[name=address]")`) // the provider's session has ended, too
			v.NoSurprises(w.app, w.service)
		})
	}
}

// keepsNoToken fails the test if the storage of the page has a token, or the page can read the cookie.
func (v *visitor) keepsNoToken() {
	v.t.Helper()
	if found := browser.Eval[string](v.Browser, `JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie])`); found != `[[],[],""]` {
		v.t.Errorf("the page keeps %s", found)
	}
	if !slices.ContainsFunc(v.Cookies(), func(c *network.Cookie) bool {
		return c.Name == "notes-session" && c.HTTPOnly && c.SameSite == network.CookieSameSiteStrict
	}) {
		v.t.Errorf("the cookies are %v", v.Cookies())
	}
}

// tabTo presses Tab until the focus is at something whose name has a text.
func (v *visitor) tabTo(text string) {
	v.t.Helper()
	var seen []string
	for range 25 {
		v.Press(browser.Tab)
		at := v.Focused()
		if strings.Contains(at, text) {
			return
		}
		seen = append(seen, at)
	}
	v.t.Fatalf("Tab does not reach %q, only %q", text, seen)
}

// A person does everything with the keyboard alone, and always sees where the focus is.
func TestSpa_KeyboardAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fixture.Alice)
	v := w.visitor(t, "keyboard", browser.Options{Width: 390})
	enter := func(name string) {
		t.Helper()
		v.tabTo(name)
		if browser.Eval[string](v.Browser, `getComputedStyle(document.activeElement).outlineStyle`) == "none" {
			t.Errorf("the focus at %s is not to be seen", v.Focused())
		}
		v.Press(browser.Enter)
	}
	v.Open(w.app)
	v.WaitText("Notes that are yours")
	enter("Sign in")
	v.WaitURL(w.service)
	v.WaitUntil("the field", `document.querySelector("[name=address]")`)
	if !strings.Contains(v.Focused(), "input") {
		v.tabTo("input")
	}
	v.Press(fixture.Alice)
	v.Press(browser.Enter)
	v.WaitUntil("the field for the code", `document.readyState === "complete" && document.querySelector("[name=code]")`)
	if !strings.Contains(v.Focused(), "input") {
		v.tabTo("input")
	}
	v.Press(w.message(fixture.Alice, `\b(\d{6})\b`, ""))
	v.Press(browser.Enter)
	v.WaitUntil("consent", `document.readyState === "complete" && !document.querySelector("[name=code]")`)
	enter("button")
	v.WaitURL(w.app)
	v.atHeading("Your notes")
	v.tabTo("Title")
	v.Press(browser.Enter) // sends the empty form
	v.WaitText("Two fields need a change")
	v.Press("Groceries")
	v.tabTo("Text")
	v.Press("Bread")
	enter("Save the note")
	v.WaitText("“Groceries” was saved.")
	if got := v.Focused(); !strings.HasSuffix(got, " Title") {
		t.Errorf("after the note was saved, the focus is at %q", got)
	}
	enter("Delete")
	v.WaitText("“Groceries” was deleted.")
	if got := v.Focused(); got != "h2#saved Saved notes" {
		t.Errorf("after the note was deleted, the focus is at %q", got)
	}
	v.Reload()
	v.WaitText("You have no notes yet.")
	enter("Profile")
	v.atHeading("Your profile")
	v.tabTo("The answer of the API")
	v.Press(browser.Enter)
	v.WaitText(`"acr"`)
	v.Back()
	v.atHeading("Your notes")
	for _, got := range []string{"Profile", "Your account"} {
		v.Reload()
		v.WaitText("Saved notes")
		v.tabTo(got)
	}
	enter("Sign out")
	v.WaitURL(w.app + "/signed-out")
	v.NoSurprises(w.app, w.service)
}

// The link of a mail opens in another tab of the browser. The sign-in ends there.
func TestSpa_LinkOfAMail(t *testing.T) {
	t.Parallel()
	const mail = "ann@example.com"
	w := newWorld(t, mail)
	v := w.visitor(t, "mail", browser.Options{Width: 390})
	v.Open(w.app + "/profile")
	v.looks("1-home", "Sign in to go on")
	v.press("Sign in")
	v.WaitURL(w.service)
	v.Type("[name=address]", mail)
	v.Submit("main button.main")
	tab := &visitor{v.NewTab(browser.Options{Width: 390}), t, w, "tab"}
	tab.Open(w.message(mail, `(http\S+/link\?\S+)`, ""))
	for range 3 { // the button of the link, and the consent
		if strings.HasPrefix(tab.URL(), w.service) {
			tab.Submit("main button.main")
		}
	}
	tab.WaitURL(w.app + "/profile")
	tab.WaitText(mail + " verified")
	tab.NoSurprises(w.app, w.service)
}

// A person cancels, and is back with a sentence and a way on.
func TestSpa_Cancels(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fixture.Alice)
	v := w.visitor(t, "canceled", browser.Options{Width: 390})
	v.Open(w.app)
	v.press("Sign in")
	v.WaitURL(w.service)
	v.press("Cancel")
	v.WaitURL(w.app + "/callback")
	v.looks("1", "You canceled the sign-in")
	v.atHeading("You canceled the sign-in")
	v.signIn(fixture.Alice)
	v.NoSurprises(w.app, w.service)
}

// New people sign up on the way to the app: by number, by the code of a mail, by its link in another tab, and by its link in
// another browser, which shows the code.
func TestSpa_SignsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, address := range map[string]string{"number": fixture.Alice, "code": "code@example.com", "link": "link@example.com", "other": "other@example.com"} {
		t.Run(name, func(t *testing.T) {
			v := w.visitor(t, "signup-"+name, browser.Options{Width: 390})
			v.Open(w.app)
			v.press("Create an account")
			v.WaitURL(w.service)
			if !slices.ContainsFunc(v.Requests(), func(r browser.Request) bool {
				return strings.HasPrefix(r.URL, w.service+"/oidc/authorize?") && strings.Contains(r.URL, "prompt=create") && strings.Contains(r.URL, "nonce=") && strings.Contains(r.URL, "code_challenge_method=S256")
			}) {
				t.Errorf("the requests are %v", v.Requests())
			}
			v.Type("#name", "Anna Able")
			v.Type("#address", address)
			v.Submit("main button.main")
			v.WaitText(address)
			before := w.console.String()
			v.Submit("main button.main")
			code := w.message(address, `\b(\d{6})\b`, before)
			if name == "link" || name == "other" {
				link := w.message(address, `(http://\S+/oidc/link\?t=\S+)`, before)
				if name == "link" {
					v = &visitor{v.NewTab(browser.Options{Width: 390}), t, w, "signup-link"}
					v.Open(link)
					v.Submit("main button.main")
				} else {
					other := w.visitor(t, "signup-link", browser.Options{Width: 390})
					other.Open(link)
					other.Submit("main button.main")
					code = other.Text(".shown")
				}
			}
			if name != "link" {
				v.Type("#code", code)
				v.Submit("main button.main")
			}
			v.Click("main button.main") // agrees
			v.WaitURL(w.app)
			v.WaitText("Your notes")
			v.press("Profile")
			v.WaitText("Anna Able")
			v.WaitText(address)
			v.NoSurprises(w.app, w.service)
		})
	}
}

// What can go wrong is said in words, and the person can go on.
func TestSpa_Errors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fixture.Alice)
	v := w.visitor(t, "wrong", browser.Options{Width: 320})

	v.Open(w.app + "/callback?code=old&state=unknown")
	v.looks("1-over", "This sign-in is over")

	// The API refuses the ID token: its clock says that it came too late.
	w.tokensAhead.Store(int64(10 * time.Minute))
	v.press("Sign in")
	v.proves(fixture.Alice)
	v.looks("2-refused", "Acme Notes did not accept the sign-in")
	w.tokensAhead.Store(0)
	v.leaves("Sign in") // the provider has a session: no code
	v.WaitText("Your notes")
	v.Open(w.app + "/callback?code=old&state=unknown") // from the history
	v.WaitText("Your notes")

	// The session of the API is over while the person types.
	w.sessionsAhead.Store(int64(lifetime))
	v.Type("[name=title]", "Groceries")
	v.Type("[name=text]", "Bread")
	v.press("Save the note")
	v.WaitText("Your session has ended")
	v.looks("3-ended", "Your notes")
	w.sessionsAhead.Store(0)
	v.leaves("Sign in")
	v.WaitUntil("what was typed", `(document.querySelector("[name=text]") || {}).value === "Bread"`)
	v.press("Save the note")
	v.WaitText("“Groceries” was saved.")

	// The API knows what the page does not.
	v.Type("[name=title]", "groceries")
	v.Type("[name=text]", "Milk")
	v.press("Save the note")
	v.WaitText("You have a note with this title. Choose another title.")
	if got := v.Attribute("[name=title]", "aria-invalid"); got != "true" || v.Value("[name=text]") != "Milk" {
		t.Errorf("aria-invalid is %q, and the text is %q", got, v.Value("[name=text]"))
	}
	v.looks("4-taken", "Your notes")

	// The provider is down.
	w.stop()
	v = w.visitor(t, "down", browser.Options{Width: 320}) // keeps no discovery document
	v.Open(w.app)
	v.press("Create an account")
	v.WaitText("The sign-in service cannot be reached")
	v.looks("1", "Notes that are yours")
	if got := v.Focused(); got != "button Create an account" {
		t.Errorf("the focus is at %q", got)
	}
}
