package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twofa/internal/testing/browser"
	"twofa/internal/testing/tooltest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	browser.Close()
	os.Exit(code)
}

// running is a demo and a browser that has the bank's first page.
type running struct {
	*browser.Browser
	t        *testing.T
	terminal *terminal
	bank     string
}

func start(t *testing.T, d demo) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	shown, ended := new(terminal), make(chan error, 1)
	d.root, d.out = "../..", shown
	go func() { ended <- d.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &running{browser.New(t, browser.Options{Width: 390}), t, shown, shown.wait(t, `The bank is at\s+(http://127\.0\.0\.1:\d+)`)}
}

const password = "correct horse battery"

// signUp opens an account, after which the bank asks for the password.
func (r *running) signUp(contact string) {
	r.t.Helper()
	r.Open(r.bank + "/signup")
	r.Type("#name", "alice")
	r.Type("#password", password)
	r.Type("#contact", contact)
	r.Submit("button.main")
}

// logIn gives the password, after which twofa's page asks for a code.
func (r *running) logIn() {
	r.t.Helper()
	r.Open(r.bank + "/login")
	r.Type("#name", "alice")
	r.Type("#password", password)
	r.Submit("button.main")
}

// in waits until the person is logged in.
func (r *running) in() {
	r.t.Helper()
	r.WaitURL(r.bank)
	r.WaitText("Hello, alice")
}

func (r *running) logOut() {
	r.t.Helper()
	r.Submit("form[action='/logout'] button")
}

// A person opens the address that the terminal shows, opens an account, and logs in with the
// code that the terminal shows.
func TestDemo_APersonLogsIn(t *testing.T) {
	r := start(t, demo{})
	r.signUp("+14155550123")
	r.logIn()
	if h1 := r.Text("h1"); h1 != "Check WhatsApp" {
		t.Fatalf("the page is %q", h1)
	}
	service := strings.SplitN(r.URL(), "/verify", 2)[0]
	r.Type("#code", r.terminal.wait(t, `(\d{6}) is your Acme Bank sign-in code`))
	r.Click("button.main")
	r.in()
	r.NoSurprises(r.bank, service)
}

// The main job: a person enrolls an authenticator app from the QR code on the screen, signs in
// with it, signs in by the link in a mail that the terminal shows, approves a payment whose
// amount and payee the message names, and is warned when somebody guesses.
func TestDemo_TheMainJob(t *testing.T) {
	r := start(t, demo{settings: []string{"TWOFA_RESEND_AFTER=0s"}})
	r.signUp("alice@example.com")
	r.logIn()
	r.Type("#code", r.terminal.last(t, `(\d{6}) is your Acme Bank sign-in code`, 1))
	r.Click("button.main")
	r.in()

	r.Open(r.bank + "/security")
	r.Submit("button.main")
	r.Submit("button.main") // twofa's introduction
	picture := filepath.Join(t.TempDir(), "screen.png")
	r.Screenshot(picture)
	png, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	uri := tooltest.ReadQR(t, png)
	r.Type("#code", tooltest.AppCode(t, uri, time.Now()))
	r.Type("#name", "My phone")
	r.Submit("button.main")
	r.Click("form.save button")
	r.WaitURL(r.bank)
	r.WaitText("Added: My phone.")
	r.terminal.wait(t, `(Acme Bank: an authenticator app was added to your account)`)

	r.Open(r.bank)
	r.logOut()
	r.logIn()
	r.Submit("button.strong") // "Didn't get the code?"
	r.Submit(`a[href^="/verify/check/app"]`)
	r.Type("#code", tooltest.AppCode(t, uri, time.Now().Add(30*time.Second))) // the next one: a code works once
	r.Click("button.main")
	r.in()

	r.logOut()
	r.logIn()
	tab := &running{r.NewTab(browser.Options{Width: 390}), t, r.terminal, r.bank}
	tab.Open(r.terminal.last(t, `(http://127\.0\.0\.1:\d+/verify/link\?t=\S+)`, 3))
	tab.Click("button.main")
	tab.in()

	tab.Type("#amount", "25.50")
	tab.Type("#payee", "Bike Shop")
	tab.Submit("form[action='/pay'] button.main")
	message := r.terminal.last(t, `(\d{6} is your Acme Bank code to approve a payment\..*)`, 1)
	if !strings.Contains(message, "25.50") || !strings.Contains(message, "Bike Shop") {
		t.Errorf("the message is %q", message)
	}
	tab.Type("#code", message[:6])
	tab.Click("button.main")
	tab.WaitURL(r.bank)
	tab.WaitText("You paid € 25.50 to Bike Shop.")

	stranger := browser.New(t, browser.Options{Width: 390})
	stranger.Open(r.bank + "/attack")
	stranger.Type("#name", "alice")
	stranger.Submit("button[value=passwords]")
	r.terminal.wait(t, `(Acme Bank security alert: somebody tried to sign in to your account with a wrong password)`)
}
