package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"twofa/internal/testing/browser"
	"twofa/internal/testing/tooltest"
)

// A known person signs in by number, with the code that the terminal shows, to an app that nobody here wrote, configured from
// docs/signin.md alone: make demo ACCOUNT=+14155550123.
func TestDemo_SignIn(t *testing.T) {
	const number = "+14155550123"
	_ = tooltest.Path(t, "../../bin/oauth2-proxy")
	t.Setenv("OAUTH2_PROXY_UPSTREAMS", "http://127.0.0.1:1") // must not reach oauth2-proxy
	ctx, end := context.WithCancel(t.Context())
	out, result := new(terminal), make(chan error, 1)
	go func() { result <- demo{root: "../..", out: out, account: "+1 415 555 0123"}.run(ctx) }()
	app := ""
	t.Cleanup(func() {
		end()
		if err := <-result; err != nil {
			t.Error(err)
		}
		if _, err := net.DialTimeout("tcp", strings.TrimPrefix(app, "http://"), time.Second); err == nil {
			t.Error("oauth2-proxy outlives the demo")
		}
	})
	app = out.wait(t, `The intranet is at\s+(http://127\.0\.0\.1:\d+)`)

	b := browser.New(t, browser.Options{Width: 390})
	b.Open(app + "/")
	b.Submit("form[action='/oauth2/start'] button") // oauth2-proxy's own page
	b.WaitText("Acme Intranet")
	service := strings.SplitN(b.URL(), "/oidc/", 2)[0]
	b.Type("[name=address]", "+14155550199") // has no account
	b.Submit("main button.main")
	b.WaitText("If +1******0199 has an account")
	b.Open(app + "/oauth2/start?rd=/")
	b.Type("[name=address]", number)
	b.Submit("main button.main")
	b.Type("[name=code]", out.wait(t, `To \+14155550123 over whatsapp[^\0]*?(\d{6}) is your Acme Intranet`))
	b.Submit("main button.main")
	b.WaitText("Acme Intranet")
	b.Click("main button.main") // consent
	b.WaitURL(app)
	b.WaitText("You are signed in")
	b.WaitText("phone_number\t" + number)
	for _, claim := range []string{"sub\t", "preferred_username\tuser-", "acr\turn:twofa:acr:1", "iss\t" + service + "/oidc", "X-Forwarded-Preferred-Username\tuser-"} {
		b.WaitText(claim)
	}
	if strings.Contains(out.String(), "+14155550199 over") || strings.Contains(out.String(), "oauthproxy") {
		t.Errorf("the terminal shows:\n%s", out)
	}
}
