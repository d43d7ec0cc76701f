package email

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/testing/smtptest"
)

// These are canaries: they must appear in the mail and nowhere else.
const (
	to   = "canary.person@home.example"
	code = "739184"
	from = "login@acme.example"
)

func message() notify.Message {
	return notify.Message{To: to, Code: code, Brand: "Acme", ValidFor: 10 * time.Minute}
}

// texts says little, and hands everything on as it is: the sender has to stand
// texts that neutralise nothing.
type texts func(notify.Message) (subject, text, html string)

func (f texts) Mail(m notify.Message) (subject, text, html string) { return f(m) }

func simple(m notify.Message) (subject, text, html string) {
	if m.Alert {
		return m.Brand + ": wrong codes", "Somebody has typed wrong codes.", "<p>Somebody has typed wrong codes.</p>"
	}
	return m.Code + " – " + m.Brand, "Your code is " + m.Code + ".\n", "<p>Your code is <b>" + m.Code + "</b>.</p>\n"
}

// start starts a server and a Sender that is set to it.
func start(tb testing.TB, kind smtptest.Options, change func(*Options)) (*smtptest.Server, *Sender, *logs) {
	tb.Helper()
	server := smtptest.Start(tb, kind)
	log := new(logs)
	o := Options{
		URL:     server.URL,
		From:    "Acme <" + from + ">",
		Texts:   texts(simple),
		RootCAs: server.Roots,
		// Long, so that a busy machine cannot make a failure of it. Tests that
		// want an end bring their own.
		Timeout: time.Minute,
		Logger:  slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return server, s, log
}

// logs is a log in memory.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// failure returns what Send failed with.
func failure(tb testing.TB, err error) *notify.Failure {
	tb.Helper()
	var f *notify.Failure
	if !errors.As(err, &f) {
		tb.Fatalf("Send returned %v, which is no *notify.Failure", err)
	}
	return f
}

// expiring is a context whose deadline passes when the test wants it.
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

// one returns the only mail that the server has taken, over one connection.
func one(tb testing.TB, server *smtptest.Server) smtptest.Mail {
	tb.Helper()
	mails := server.Mails()
	if len(mails) != 1 || server.Connections() != 1 {
		tb.Fatalf("%d mails over %d connections", len(mails), server.Connections())
	}
	return mails[0]
}

// ways are the three kinds of server that a URL can name.
var ways = map[string]smtptest.Options{
	"STARTTLS":     {},
	"implicit TLS": {Security: smtptest.ImplicitTLS},
	"plain text":   {Security: smtptest.Plain},
}

func describe(f *notify.Failure) string {
	return fmt.Sprintf("%v, setting %q, code %d, may have sent %t, %q", f.Reason, f.Setting, f.Code, f.MayHaveSent, f.Detail)
}
