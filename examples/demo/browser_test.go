package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"twofa/internal/testing/browser"
)

func TestMain(m *testing.M) {
	code := m.Run()
	browser.Close()
	os.Exit(code)
}

// A person opens the address that the terminal shows, opens an account, and logs in with the
// code that the terminal shows.
func TestDemo_APersonLogsIn(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	shown, ended := new(terminal), make(chan error, 1)
	go func() { ended <- demo{root: "../..", out: shown}.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	address := shown.wait(t, `The bank is at\s+(http://127\.0\.0\.1:\d+)`)
	b := browser.New(t, browser.Options{Width: 390})
	b.Open(address + "/signup")
	b.Type("#name", "alice")
	b.Type("#password", "correct horse battery")
	b.Type("#contact", "+14155550123")
	b.Submit("button.main")
	b.Type("#name", "alice")
	b.Type("#password", "correct horse battery")
	b.Submit("button.main")
	if h1 := b.Text("h1"); h1 != "Check WhatsApp" {
		t.Fatalf("the page is %q", h1)
	}
	service := strings.SplitN(b.URL(), "/verify", 2)[0]
	b.Type("#code", shown.wait(t, `(\d{6}) is your Acme Bank sign-in code`))
	b.Click("button.main")
	b.WaitURL(address)
	b.WaitText("Hello, alice")
	b.NoSurprises(address, service)
}
