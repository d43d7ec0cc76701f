package email

import (
	"fmt"
	"maps"
	"net/textproto"
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/smtptest"
)

// Errors and logs hold no secret, whatever the server does: its words quote the address
// and the user.
func TestNothingSecretInErrorsAndLogs(t *testing.T) {
	secrets := notifytest.Secrets{
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
	global := notifytest.GlobalLog(t)

	actions := map[string]smtptest.Action{
		"proceed": {}, "hang": smtptest.Hang(), "drop": smtptest.Drop(), "garble": smtptest.Garble(), "flood": smtptest.Flood(),
		"550": smtptest.Refuse(550, "5.1.1"), "535": smtptest.Refuse(535, "5.7.8"), "421": smtptest.Refuse(421, "4.3.2"),
	}
	steps := []smtptest.Step{smtptest.Greeting, smtptest.Auth, smtptest.MailFrom, smtptest.Recipient, smtptest.End}
	kinds := map[string]smtptest.Options{
		"wrong name": {Certificate: smtptest.WrongName}, "expired": {Certificate: smtptest.Expired},
		"unknown": {Certificate: smtptest.UnknownAuthority}, "no STARTTLS": {NoSTARTTLS: true}, "no mechanism": {Mechanisms: []string{"X"}},
	}
	maps.Copy(kinds, servers)
	try := func(t *testing.T, kind smtptest.Options, step smtptest.Step, action smtptest.Action) {
		r := newRig(t, kind, func(o *Options) {
			o.Texts = texts(func(m notify.Message) (string, string, string) { return m.Code + m.Amount, m.Code + m.Payee, m.Code })
		})
		r.On(step, action)
		m := message()
		m.Amount, m.Payee = secrets["amount"], secrets["payee"]
		err := r.Send(expireAfter(t, r.Hung()), m)
		if r.Connections() == 0 {
			t.Fatal("there was no connection, so this test shows nothing")
		}
		secrets.CheckError(t, err)
		if !strings.Contains(r.log.String(), "conversation ended") {
			t.Error("nothing was logged, so this test shows nothing")
		}
		secrets.Check(t, "the log", r.log.String())
	}
	for server, kind := range kinds {
		for name, action := range actions {
			for _, step := range steps {
				t.Run(fmt.Sprintf("%s/%s/%d", server, name, step), func(t *testing.T) { try(t, kind, step, action) })
			}
		}
	}
	secrets.Check(t, "the global log", global.String())
}

// Options and Senders may be logged by mistake. Their password must not.
func TestPrintingHidesThePassword(t *testing.T) {
	o := options()
	s := newSender(t, o)
	printed := notifytest.Print(t, o, &o, s, []Options{o}, map[string]*Sender{"s": s}, struct{ O Options }{o}, struct {
		O Options
		S *Sender
	}{o, s})
	notifytest.Secrets{"password": "s3cret-canary"}.Check(t, "the output", printed)
}

// An enhanced code is logged, so nothing else may be read as one.
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

// If the server neither accepts nor refuses the mail, it may have been sent.
func TestUnexpectedAnswers(t *testing.T) {
	for at := greeting; at <= final; at++ {
		c := conversation{s: new(Sender), at: at, link: new(link), whole: at == final}
		f := c.judge(&textproto.Error{Code: 354, Msg: smtptest.Words})
		if f.Outcome != otp.OutcomeUnavailable || f.Code != 354 || f.MayHaveSent != (at == final) || f.Detail == "" {
			t.Errorf("at %s: %s", at, describe(f))
		}
	}
}
