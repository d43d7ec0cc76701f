package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"twofa/internal/testing/tooltest"
)

// A new person signs up on the way to the page of React by mail, adds a number, signs in by it together with a code to the
// mail, because the number alone does not count within a day, and sees the verified claims. The codes are in the terminal.
func TestDemo_Notes(t *testing.T) {
	if _, err := os.Stat("../spa/node_modules/.package-lock.json"); err != nil {
		t.Fatal("examples/spa/node_modules is missing: run make tools")
	}
	r := start(t, demo{npm: tooltest.Path(t, "npm")})
	notes := r.terminal.wait(t, `Acme Notes is at\s+(http://127\.0\.0\.1:\d+)`)
	const mail, number = "anna@example.com", "+14155550123"
	to := func(address string, n int) string { // the n-th code to an address
		return r.terminal.last(t, `To `+regexp.QuoteMeta(address)+` over [^\0]*?(\d{6}) is your Acme Notes`, n)
	}
	r.terminal.wait(t, `(Create an account there with any number or mail address\.)`)
	r.Open(notes)
	r.WaitText("Notes that are yours")
	r.click("Create an account")
	r.WaitUntil("the sign-up", `document.readyState === "complete" && document.querySelector("[name=name]")`)
	service := strings.SplitN(r.URL(), "/oidc/", 2)[0]
	r.Type("#name", "Anna Able")
	r.Type("#address", mail)
	r.Submit("main button.main")
	r.WaitText("Is everything right?")
	r.Submit("main button.main")
	r.Type("#code", to(mail, 1))
	r.Submit("main button.main")
	r.Click("main button.main") // consent
	r.WaitURL(notes)
	r.WaitText("You have no notes yet.")

	r.Open(service + "/oidc/account")
	r.Submit("form[action$='/phone'] button")
	r.Type("#address", number)
	r.Submit("main button.main")
	r.Type("#code", to(number, 1))
	r.Submit("main button.main")
	r.WaitText("Can't be used alone to sign in until tomorrow.")
	r.Submit("form[action$='/signout'] button")

	r.Open(notes)
	r.click("Sign out")
	r.WaitURL(notes + "/signed-out")
	r.click("Sign in")
	r.WaitUntil("the sign-in", `document.readyState === "complete" && document.querySelector("[name=address]")`)
	r.Type("#address", number)
	r.Submit("main button.main")
	r.Type("#code", to(number, 2))
	r.Submit("main button.main")
	r.WaitText("One more step")
	r.Submit("form[action$='/more'] button")
	r.Type("#code", to(mail, 2))
	r.Submit("main button.main")
	r.WaitURL(notes)
	r.WaitText("You have no notes yet.")
	r.click("Profile")
	for _, claim := range []string{"Anna Able", mail, number, "verified"} {
		r.WaitText(claim)
	}
	r.NoSurprises(r.bank, notes, service)
}

// click clicks on the link or the button with that text, once it is there.
func (r *running) click(text string) {
	r.t.Helper()
	r.WaitUntil("the page has "+text, `(() => { const e = [...document.querySelectorAll("a, button")].find(e => e.textContent.trim() === `+strconv.Quote(text)+`); e && e.click(); return !!e })()`)
}

// Without Node, or if the page cannot be built, everything else runs, and one line says why.
func TestDemo_WithoutNotes(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "npm")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho >&2\necho the disk is full >&2\necho more >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for npm, want := range map[string]string{
		filepath.Join(t.TempDir(), "gone"): `(it needs Node 20 or newer, and \S*gone is not installed)\.\n\n`,
		broken:                             `(npm \w+ failed in examples/spa \(exit status 1\): the disk is full)\.\n\n`,
	} {
		r := start(t, demo{npm: npm})
		r.terminal.wait(t, `  Acme Notes is not started: `+want)
		r.Open(r.bank)
		r.WaitText("Acme Bank")
		if strings.Contains(r.terminal.String(), "Acme Notes is at") {
			t.Errorf("the terminal shows:\n%s", r.terminal)
		}
	}
}

// The folder of the packages is not taken for the right one after the lock file has changed.
func TestDemo_LoadsPackagesAgain(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	spa := filepath.Join(root, "examples", "spa")
	if err := os.MkdirAll(filepath.Join(spa, "node_modules"), 0o700); err != nil {
		t.Fatal(err)
	}
	said := filepath.Join(dir, "said")
	npm := filepath.Join(dir, "npm")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(npm, "#!/bin/sh\necho $1 >> "+said+"\n")
	build := func(want string) {
		t.Helper()
		write(said, "")
		if err := (demo{root: root, npm: npm}).buildPage(context.Background(), filepath.Join(dir, "page")); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(said); err != nil || strings.Join(strings.Fields(string(got)), " ") != want {
			t.Errorf("npm was called with %q, want %q", got, want)
		}
	}
	write(filepath.Join(spa, "package-lock.json"), "{}")
	build("ci run")
	write(filepath.Join(spa, "node_modules", ".package-lock.json"), "{}")
	build("run")
	later := filepath.Join(spa, "package-lock.json")
	info, err := os.Stat(filepath.Join(spa, "node_modules", ".package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	if at := info.ModTime().Add(1e9); os.Chtimes(later, at, at) != nil {
		t.Fatal("the time of the lock file cannot be changed")
	}
	build("ci run")
}
