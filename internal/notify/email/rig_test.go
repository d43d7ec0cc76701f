package email

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/testing/smtptest"
)

// These may appear only in the mail.
const (
	to   = "canary.person@home.example"
	code = "739184"
	from = "login@acme.example"
)

func message() notify.Message {
	return notify.Message{To: to, Code: code, Brand: "Acme", ValidFor: 10 * time.Minute}
}

// texts passes all values on unchanged: the Sender must be safe with texts that remove
// nothing.
type texts func(notify.Message) (subject, text, html string)

func (f texts) Mail(m notify.Message) (subject, text, html string) { return f(m) }

func simple(m notify.Message) (subject, text, html string) {
	if m.Alert {
		return m.Brand + ": wrong codes", "Somebody has typed wrong codes.", "<p>Somebody has typed wrong codes.</p>"
	}
	return "Your " + m.Brand + " code", "Your code is " + m.Code + ".\n", "<p>Your code is <b>" + m.Code + "</b>.</p>\n"
}

// rig is a server and a Sender that is set up for it.
type rig struct {
	*smtptest.Server
	*Sender
	log *bytes.Buffer // read it after Send only
}

func newRig(tb testing.TB, kind smtptest.Options, change func(*Options)) *rig {
	tb.Helper()
	r := &rig{Server: smtptest.Start(tb, kind), log: new(bytes.Buffer)}
	o := Options{
		URL:           r.URL,
		From:          "Acme <" + from + ">",
		CodeInSubject: true,
		Texts:         texts(simple),
		RootCAs:       r.Roots,
		// Long, so that a slow machine does not cause failures. Tests of time-outs use
		// their own.
		Timeout: time.Minute,
		Logger:  slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	r.Sender = newSender(tb, o)
	return r
}

func newSender(tb testing.TB, o Options) *Sender {
	tb.Helper()
	s, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// send sends a message and returns the only mail that the server has taken, over one
// connection.
func (r *rig) send(tb testing.TB, m notify.Message) smtptest.Mail {
	tb.Helper()
	if err := r.Send(tb.Context(), m); err != nil {
		tb.Fatal(err)
	}
	mails := r.Mails()
	if len(mails) != 1 || r.Connections() != 1 {
		tb.Fatalf("%d mails over %d connections", len(mails), r.Connections())
	}
	return mails[0]
}

// expiring is a context whose deadline passes when the test decides.
type expiring struct {
	context.Context
	done chan struct{}
}

// expireAfter returns a context whose deadline has passed as soon as c receives.
func expireAfter(tb testing.TB, c <-chan struct{}) context.Context {
	x := expiring{tb.Context(), make(chan struct{})}
	go func() {
		select {
		case <-c:
			close(x.done)
		case <-tb.Context().Done():
		}
	}()
	return x
}

func (x expiring) Done() <-chan struct{} { return x.done }

func (x expiring) Err() error {
	select {
	case <-x.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// servers are the three kinds of server that a URL can name.
var servers = map[string]smtptest.Options{
	"STARTTLS":     {},
	"implicit TLS": {Security: smtptest.ImplicitTLS},
	"plain text":   {Security: smtptest.Plain},
}

func describe(f *notify.Failure) string {
	return fmt.Sprintf("%v, setting %q, code %d, may have sent %t, %q", f.Outcome, f.Setting, f.Code, f.MayHaveSent, f.Detail)
}
