package email

import (
	"cmp"
	"context"
	"net"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/check"
	"twofa/internal/testing/smtptest"
)

// checkOptions are the options for a server.
func checkOptions(s *smtptest.Server) Options {
	return Options{URL: s.URL, From: from, RootCAs: s.Roots}
}

// wantFinding checks the only finding, and that it holds nothing from outside.
func wantFinding(t *testing.T, found []check.Finding, result check.Result, text string) {
	t.Helper()
	if len(found) != 1 || found[0].Result != result || found[0].Name != "smtp" || found[0].Setting != urlVariable || !strings.Contains(found[0].Text, text) {
		t.Fatalf("found %+v, want %s with %q", found, result, text)
	}
	for _, c := range []string{smtptest.Words, smtptest.User, smtptest.Password, url.QueryEscape(smtptest.Password), "canary", "127.0.0.1", "acme"} {
		if strings.Contains(found[0].Text, c) {
			t.Errorf("%q is in %q", c, found[0].Text)
		}
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	wrongPassword := func(o *Options) { o.URL = strings.Replace(o.URL, "5ec", "canary", 1) }
	for name, tc := range map[string]struct {
		kind   smtptest.Options
		step   smtptest.Step
		action smtptest.Action
		change func(*Options)
		result check.Result
		text   string
	}{
		"STARTTLS":         {result: check.OK, text: "accepts the user and the password"},
		"implicit TLS":     {kind: smtptest.Options{Security: smtptest.ImplicitTLS}, result: check.OK, text: "accepts the user"},
		"plain text":       {kind: smtptest.Options{Security: smtptest.Plain}, result: check.OK, text: "accepts the user"},
		"no password":      {kind: smtptest.Options{Open: true}, result: check.OK, text: "asks for no password"},
		"wrong password":   {change: wrongPassword, text: "user or password is refused"},
		"no STARTTLS":      {kind: smtptest.Options{NoSTARTTLS: true}, text: "no STARTTLS"},
		"no mechanism":     {kind: smtptest.Options{Mechanisms: []string{"XOAUTH2"}}, text: "none of the mechanisms"},
		"wrong name":       {kind: smtptest.Options{Certificate: smtptest.WrongName}, text: "another host name"},
		"expired":          {kind: smtptest.Options{Certificate: smtptest.Expired}, text: "expired"},
		"unknown CA":       {kind: smtptest.Options{Certificate: smtptest.UnknownAuthority}, text: "does not trust"},
		"busy":             {step: smtptest.Greeting, action: smtptest.Refuse(421, "4.3.2"), text: "Try again later"},
		"refused":          {step: smtptest.Greeting, action: smtptest.Refuse(554, "5.7.1"), text: "Check host and port"},
		"auth for later":   {step: smtptest.Auth, action: smtptest.Refuse(454, "4.7.0"), text: "Try again later"},
		"foreign greeting": {step: smtptest.Greeting, action: smtptest.Garble(), text: "does not work"},
		"dropped":          {step: smtptest.Greeting, action: smtptest.Drop(), text: "does not work"},
		"endless":          {step: smtptest.Greeting, action: smtptest.Flood(), text: "does not work"},
		"endless auth":     {step: smtptest.Auth, action: smtptest.Flood(), text: "does not work"},
	} {
		t.Run(name, func(t *testing.T) {
			server := smtptest.Start(t, tc.kind)
			server.On(tc.step, tc.action)
			o := checkOptions(server)
			if tc.change != nil {
				tc.change(&o)
			}
			wantFinding(t, o.Check(t.Context()), cmp.Or(tc.result, check.Failed), tc.text)
			if len(server.Mails()) != 0 || server.Connections() != 1 {
				t.Errorf("%d mails, %d connections", len(server.Mails()), server.Connections())
			}
		})
	}
}

// No sender and no recipient is named: a server could count them.
func TestCheckNamesNobody(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	server.On(smtptest.MailFrom, smtptest.Refuse(550, ""))
	wantFinding(t, checkOptions(server).Check(t.Context()), check.OK, "accepts")
}

func TestCheckWithoutAConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{URL: "smtp://canary:canary@" + listener.Addr().String(), From: from}
	listener.Close()
	wantFinding(t, o.Check(t.Context()), check.Failed, "no connection. Check host and port")
}

// A server that hangs ends with the context, at any step.
func TestCheckEndsWithTheContext(t *testing.T) {
	for _, step := range []smtptest.Step{smtptest.Greeting, smtptest.Auth} {
		server := smtptest.Start(t, smtptest.Options{})
		server.On(step, smtptest.Hang())
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-server.Hung(); cancel() }()
		wantFinding(t, checkOptions(server).Check(ctx), check.Failed, "before the check was stopped")
	}
}
