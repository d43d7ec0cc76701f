package email

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/testing/smtptest"
)

// forms are the ways in which a secret may turn up: as it is, URL-encoded, and
// in base64 at each of the three places where it can begin.
func forms(secret string) []string {
	all := []string{secret, url.QueryEscape(secret), url.PathEscape(secret)}
	for lead := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", lead) + secret))
		// The ends also depend on what stands beside the secret.
		all = append(all, encoded[(lead*8+5)/6:len(encoded)-4])
	}
	return all
}

// Nothing secret may leave through an error or a log, whatever the server does:
// its words quote the address and the user.
func TestNothingSecretInErrorsAndLogs(t *testing.T) {
	canaries := map[string]string{
		"address":       to,
		"local part":    "canary.person",
		"code":          code,
		"user":          smtptest.User,
		"password":      smtptest.Password,
		"sender":        from,
		"amount":        "EUR 77.31",
		"payee":         "Canary Shop",
		"server's word": smtptest.Words,
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
	var global bytes.Buffer
	defer log.SetOutput(log.Writer()) // as it is now
	log.SetOutput(&global)

	actions := map[string]smtptest.Action{
		"proceed": {}, "hang": smtptest.Hang(), "drop": smtptest.Drop(), "garble": smtptest.Garble(), "flood": smtptest.Flood(),
		"550": smtptest.Refuse(550, "5.1.1"), "535": smtptest.Refuse(535, "5.7.8"), "421": smtptest.Refuse(421, "4.3.2"),
	}
	steps := []smtptest.Step{smtptest.Greeting, smtptest.Auth, smtptest.MailFrom, smtptest.Recipient, smtptest.End}
	kinds := map[string]smtptest.Options{
		"wrong name": {Certificate: smtptest.WrongName}, "expired": {Certificate: smtptest.Expired},
		"unknown": {Certificate: smtptest.UnknownAuthority}, "no STARTTLS": {NoSTARTTLS: true}, "no mechanism": {Mechanisms: []string{"X"}},
	}
	for name, kind := range ways {
		kinds[name] = kind
	}
	try := func(t *testing.T, kind smtptest.Options, step smtptest.Step, action smtptest.Action) {
		server, s, log := start(t, kind, func(o *Options) {
			o.Texts = texts(func(m notify.Message) (string, string, string) { return m.Code + m.Amount, m.Code + m.Payee, m.Code })
		})
		server.On(step, action)
		m := message()
		m.Amount, m.Payee = canaries["amount"], canaries["payee"]
		err := s.Send(expireAfter(t, server.Hung()), m)
		if server.Connections() == 0 {
			t.Fatal("the server was not called: the test shows nothing")
		}
		if err != nil {
			for _, format := range []string{"%v", "%+v", "%#v", "%q"} {
				check(t, "the error in "+format, fmt.Sprintf(format, err))
			}
			for e := range everyError(err) {
				check(t, "a wrapped error", fmt.Sprintf("%v %+v", e, e))
			}
		}
		if !strings.Contains(log.String(), "conversation over") {
			t.Error("nothing was logged: the test shows nothing")
		}
		check(t, "the log", log.String())
	}
	for way, kind := range kinds {
		for name, action := range actions {
			for _, step := range steps {
				t.Run(fmt.Sprintf("%s/%s/%d", way, name, step), func(t *testing.T) { try(t, kind, step, action) })
			}
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

// Options and Senders end up in a log by accident; their password does not.
func TestPrintingHidesThePassword(t *testing.T) {
	o := options()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "options", o, "pointer", &o, "sender", s, "nested", struct {
			O Options
			S *Sender
		}{o, s})
	}
	for _, v := range []any{o, &o, s, []Options{o}, map[string]*Sender{"s": s}, struct{ O Options }{o}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			fmt.Fprintf(&out, format+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	for _, form := range append(forms("s3cret-canary"), fmt.Sprintf("%x", "s3cret-canary")) {
		if strings.Contains(out.String(), form) {
			t.Errorf("the password is printed: %s", out.String())
		}
	}
}

// An enhanced code goes into the log, so nothing else may pass for one.
func TestEnhancedCode(t *testing.T) {
	for text, want := range map[string]status{
		"5.1.1 no such user":       {5, 1, 1},
		"5.7.139 Authentication":   {5, 7, 139},
		"5.1.1":                    {5, 1, 1},
		"no such user":             {},
		"":                         {},
		"4.1.1 of another class":   {},
		"5.8.1 no such subject":    {},
		"5.739184.1":               {},
		"5.7.739184":               {},
		"5.07.1":                   {},
		"5.7.+1":                   {},
		"5.7.-1":                   {},
		"5.7.1.2":                  {},
		"5.7":                      {},
		"5.7.1,":                   {},
		"<5.7.1>":                  {},
		"canary@home.example x.y":  {},
		"5.1.1\nsecond line":       {},
		"5.1.1 first\n5.1.1 again": {5, 1, 1},
	} {
		if got := enhancedCode(&textproto.Error{Code: 550, Msg: text}); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func FuzzEnhancedCode(f *testing.F) {
	f.Add(550, "5.1.1 x")
	f.Add(421, "4.7.999")
	f.Add(550, "5..1")
	f.Fuzz(func(t *testing.T, number int, text string) {
		got := enhancedCode(&textproto.Error{Code: number, Msg: text})
		if got == (status{}) {
			return
		}
		if s := got.String(); !strings.HasPrefix(text, s) || len(s) > len("5.7.999") || got.class != number/100 {
			t.Errorf("%d %q gives %s", number, text, s)
		}
	})
}

// An answer that is neither yes nor no to the mail leaves open what became of it.
func TestUnexpectedAnswers(t *testing.T) {
	for at := greeting; at <= final; at++ {
		c := conversation{s: new(Sender), at: at, link: new(link), whole: at == final}
		f := c.judge(&textproto.Error{Code: 354, Msg: smtptest.Words})
		if f.Reason != notify.Unavailable || f.Code != 354 || f.MayHaveSent != (at == final) || f.Detail == "" {
			t.Errorf("at %s: %s", at, describe(f))
		}
	}
}
