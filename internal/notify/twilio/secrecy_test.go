package twilio

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"twofa/internal/notify"
	"twofa/internal/testing/twiliotest"
)

// forms are the ways in which a secret may turn up: as it is, URL-encoded, and
// in base64 at each of the three places where it can begin.
func forms(secret string) []string {
	all := []string{secret, url.QueryEscape(secret)}
	for lead := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", lead) + secret))
		// The ends also depend on what stands beside the secret.
		all = append(all, encoded[(lead*8+5)/6:len(encoded)-4])
	}
	return all
}

// Nothing secret may leave through an error or a log, whatever the provider
// answers: its words quote the number and the text.
func TestNothingSecretInErrorsAndLogs(t *testing.T) {
	canaries := map[string]string{
		"number":        strings.TrimPrefix(recipient, "+"),
		"code":          code,
		"spoken code":   "<Say language=\"en-GB\">7</Say>",
		"auth token":    twiliotest.AuthToken,
		"API secret":    twiliotest.APISecret,
		"API key":       twiliotest.APIKey,
		"account":       twiliotest.AccountSID,
		"basic auth":    twiliotest.AccountSID + ":" + twiliotest.AuthToken,
		"amount":        "EUR 77.31",
		"payee":         "Canary Shop",
		"provider word": "canary-of-the-provider",
	}
	check := func(t *testing.T, where, text string) {
		t.Helper()
		for name, secret := range canaries {
			for _, form := range forms(secret) {
				if strings.Contains(text, form) {
					t.Errorf("%s holds the %s: %s", where, name, text)
				}
			}
		}
	}

	replies := map[string]twiliotest.Reply{
		"accepted":       twiliotest.Accept(),
		"failed":         twiliotest.AcceptFailed(63024),
		"hang":           twiliotest.Hang(),
		"drop":           twiliotest.Drop(),
		"cut":            twiliotest.Cut(),
		"redirect":       twiliotest.Redirect("https://canary-of-the-provider.test/?to=" + recipient),
		"throttle":       twiliotest.Refuse(429, 20429).With("Retry-After", "1"),
		"number as code": twiliotest.Raw(400, `{"code":14155550123,"message":"canary-of-the-provider"}`),
		"status text":    twiliotest.Raw(400, "canary-of-the-provider "+recipient),
		"broken header":  twiliotest.Raw(500, "canary-of-the-provider").With("Retry-After", "canary-of-the-provider"),
	}
	for _, status := range []int{400, 401, 403, 404, 500, 503} {
		replies[fmt.Sprint("error ", status)] = twiliotest.Refuse(status, 29999)
	}
	for _, m := range meanings {
		replies[fmt.Sprint("error ", m.code)] = twiliotest.Refuse(400, m.code)
	}

	var global bytes.Buffer           // net/http logs here on its own
	defer log.SetOutput(log.Writer()) // as it is now
	log.SetOutput(&global)

	withKey := func(o *Options) { o.APIKey, o.APISecret = twiliotest.APIKey, twiliotest.APISecret }
	withText := func(o *Options) { o.ContentSID = "" }
	for kind, k := range map[string]struct {
		change  func(*Options)
		channel notify.Channel
		alert   bool
	}{
		"token": {nil, notify.WhatsApp, false},
		"key":   {withKey, notify.WhatsApp, false},
		"text":  {withText, notify.WhatsApp, false},
		"alert": {nil, notify.WhatsApp, true},
		"SMS":   {withReports, notify.SMS, false},
		"call":  {withReports, notify.Call, false},
	} {
		for name, reply := range replies {
			t.Run(kind+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := inBubble(t, k.change)
					w.For(recipient, reply)
					sender, m := w.account.on(k.channel), tracked()
					switch {
					case k.alert:
						m = alert()
					case sender.ShowsContext():
						m.Amount, m.Payee = canaries["amount"], canaries["payee"]
					}
					err := sender.Send(t.Context(), m)
					if w.CallCount() == 0 {
						t.Fatal("the canaries never left: the test shows nothing")
					}
					for _, format := range []string{"%v", "%+v", "%#v", "%q"} {
						check(t, "the error in "+format, fmt.Sprintf(format, err))
					}
					for e := range everyError(err) {
						check(t, "a wrapped error", e.Error())
						check(t, "a wrapped error in %+v", fmt.Sprintf("%+v", e))
					}
					check(t, "the log", w.log.String())
				})
			})
		}
	}
	check(t, "the global log", global.String())
}

// everyError yields err and all that it wraps.
func everyError(err error) func(func(error) bool) {
	return func(yield func(error) bool) {
		for queue := []error{err}; len(queue) > 0; queue = queue[1:] {
			if queue[0] == nil {
				continue
			}
			if !yield(queue[0]) {
				return
			}
			switch e := queue[0].(type) {
			case interface{ Unwrap() error }:
				queue = append(queue, e.Unwrap())
			case interface{ Unwrap() []error }:
				queue = append(queue, e.Unwrap()...)
			}
		}
	}
}

// Options and Accounts end up in a log by accident; their secrets do not.
func TestPrintingHidesCredentials(t *testing.T) {
	o := options()
	o.APIKey, o.APISecret = twiliotest.APIKey, twiliotest.APISecret
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := NewWebhooks(ourURL, twiliotest.AuthToken)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		l := slog.New(h)
		l.Info("x", "options", o, "pointer", &o, "account", s, "sender", s.on(notify.SMS), "senders", s.Senders(), "hooks", hooks, "hook", *hooks, "nested", struct {
			O Options
			S *Account
		}{o, s})
	}
	for _, v := range []any{o, &o, s, s.on(notify.SMS), s.Senders(), hooks, *hooks, []Options{o}, map[string]*Account{"s": s}, struct{ O Options }{o}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			fmt.Fprintf(&out, format+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	for _, secret := range []string{twiliotest.AuthToken, twiliotest.APISecret} {
		for _, form := range append(forms(secret), fmt.Sprintf("%x", secret)) {
			if strings.Contains(out.String(), form) {
				t.Errorf("a secret is printed: %s", out.String())
			}
		}
	}
}

// A failure is a value: the caller may keep it, and its text is all there is.
func TestFailuresAreNotShared(t *testing.T) {
	server, s := start(t, nil)
	server.Next(twiliotest.Refuse(400, 63024), twiliotest.Refuse(400, 63024))
	first := failure(t, s.Send(t.Context(), message()))
	first.Reason, first.Detail = notify.Refused, "changed"
	if second := failure(t, s.Send(t.Context(), message())); second.Reason != notify.Undeliverable || second.Detail == "changed" {
		t.Errorf("got %+v", second)
	}
}
