package email

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/smtptest"
)

// outcome is what a failure has to say.
type outcome struct {
	reason  notify.Reason
	setting string
	code    int
	detail  string // is part of it
}

func (o outcome) check(t *testing.T, err error) {
	t.Helper()
	f := failure(t, err)
	if f.Reason != o.reason || f.Setting != o.setting || f.Code != o.code || !strings.Contains(f.Detail, o.detail) ||
		f.MayHaveSent || f.Next != otp.NextChannel || f.Detail == "" {
		t.Errorf("got %s; want %+v", describe(f), o)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Error("blames the context")
	}
}

// Each answer at each step, and what it has to lead to.
func TestRefusals(t *testing.T) {
	const (
		theURL, theFrom = "TWOFA_SMTP_URL", "TWOFA_EMAIL_FROM"
		open            = true
	)
	for _, tc := range []struct {
		step     smtptest.Step
		code     int
		enhanced string
		open     bool // the URL has no user
		reason   notify.Reason
		setting  string
	}{
		{smtptest.Greeting, 421, "", false, notify.Unavailable, ""},
		{smtptest.Greeting, 421, "4.3.2", false, notify.Unavailable, ""},
		{smtptest.Greeting, 554, "5.7.1", false, notify.Unavailable, ""},

		{smtptest.Auth, 535, "5.7.8", false, notify.Misconfigured, theURL},
		{smtptest.Auth, 535, "5.7.139", false, notify.Misconfigured, theURL},
		{smtptest.Auth, 530, "", false, notify.Misconfigured, theURL},
		{smtptest.Auth, 504, "5.5.4", false, notify.Misconfigured, theURL},
		{smtptest.Auth, 454, "4.7.0", false, notify.Unavailable, ""},
		{smtptest.Auth, 421, "4.7.0", false, notify.Unavailable, ""},

		{smtptest.MailFrom, 550, "5.7.1", false, notify.Misconfigured, theFrom},
		{smtptest.MailFrom, 553, "5.1.8", false, notify.Misconfigured, theFrom},
		{smtptest.MailFrom, 501, "", false, notify.Misconfigured, theFrom},
		{smtptest.MailFrom, 530, "5.7.0", false, notify.Misconfigured, theURL},
		{smtptest.MailFrom, 530, "5.7.57", true, notify.Misconfigured, theURL},
		{smtptest.MailFrom, 550, "5.7.57", false, notify.Misconfigured, theURL},
		{smtptest.MailFrom, 503, "5.5.1", false, notify.Misconfigured, theFrom},
		{smtptest.MailFrom, 503, "5.5.1", open, notify.Misconfigured, theURL},
		{smtptest.MailFrom, 451, "4.3.0", false, notify.Unavailable, ""},
		{smtptest.MailFrom, 452, "", false, notify.Unavailable, ""},

		{smtptest.Recipient, 550, "", false, notify.Undeliverable, ""},
		{smtptest.Recipient, 550, "5.1.1", false, notify.Undeliverable, ""},
		{smtptest.Recipient, 551, "5.1.6", false, notify.Undeliverable, ""},
		{smtptest.Recipient, 552, "5.2.2", false, notify.Undeliverable, ""},
		{smtptest.Recipient, 553, "5.1.3", false, notify.Undeliverable, ""},
		{smtptest.Recipient, 554, "5.7.1", false, notify.Undeliverable, ""},
		{smtptest.Recipient, 501, "5.1.3", false, notify.Undeliverable, ""},
		{smtptest.Recipient, 554, "5.7.1", open, notify.Misconfigured, theURL},
		{smtptest.Recipient, 550, "5.1.1", open, notify.Undeliverable, ""},
		{smtptest.Recipient, 530, "", false, notify.Misconfigured, theURL},
		{smtptest.Recipient, 550, "5.7.60", false, notify.Misconfigured, theFrom},
		{smtptest.Recipient, 550, "5.1.7", false, notify.Misconfigured, theFrom},
		{smtptest.Recipient, 502, "5.5.1", false, notify.Unavailable, ""},
		{smtptest.Recipient, 450, "4.2.1", false, notify.Unavailable, ""},
		{smtptest.Recipient, 421, "", false, notify.Unavailable, ""},

		{smtptest.End, 554, "", false, notify.Misconfigured, theFrom},
		{smtptest.End, 554, "5.2.252", false, notify.Misconfigured, theFrom},
		{smtptest.End, 550, "5.7.26", false, notify.Misconfigured, theFrom},
		{smtptest.End, 550, "5.7.60", false, notify.Misconfigured, theFrom},
		{smtptest.End, 550, "5.1.1", false, notify.Undeliverable, ""},
		{smtptest.End, 552, "5.2.2", false, notify.Undeliverable, ""},
		{smtptest.End, 451, "4.7.1", false, notify.Unavailable, ""},
	} {
		t.Run(fmt.Sprintf("step %d, %d %s, open %t", tc.step, tc.code, tc.enhanced, tc.open), func(t *testing.T) {
			server, s, _ := start(t, smtptest.Options{Security: smtptest.Plain, Open: tc.open}, nil)
			server.On(tc.step, smtptest.Refuse(tc.code, tc.enhanced))
			err := s.Send(t.Context(), message())
			want := tc.enhanced
			if tc.step == smtptest.Greeting && want == "" {
				want = "greeting"
			}
			outcome{tc.reason, tc.setting, tc.code, want}.check(t, err)
			if len(server.Mails()) != 0 || server.Connections() != 1 {
				t.Errorf("%d mails over %d connections", len(server.Mails()), server.Connections())
			}
		})
	}
}

// Each broken certificate is refused, before anything is said, and told apart.
func TestCertificates(t *testing.T) {
	for way, security := range map[string]smtptest.Security{"STARTTLS": smtptest.STARTTLS, "implicit": smtptest.ImplicitTLS} {
		for kind, detail := range map[smtptest.Certificate]string{
			smtptest.WrongName:        "is for another host name",
			smtptest.Expired:          "has expired",
			smtptest.UnknownAuthority: "is from an authority that this system does not trust",
		} {
			t.Run(way+" "+detail, func(t *testing.T) {
				server, s, _ := start(t, smtptest.Options{Security: security, Certificate: kind}, nil)
				err := s.Send(t.Context(), message())
				outcome{notify.Misconfigured, "TWOFA_SMTP_URL", 0, detail}.check(t, err)
				if server.Logins() != 0 || len(server.Mails()) != 0 {
					t.Error("something was said all the same")
				}
			})
		}
	}
}

// Without roots of its own a Sender trusts the system's, and they do not know a
// test.
func TestSystemRootsAreTheDefault(t *testing.T) {
	_, s, _ := start(t, smtptest.Options{}, func(o *Options) { o.RootCAs = nil })
	outcome{notify.Misconfigured, "TWOFA_SMTP_URL", 0, "is from an authority"}.check(t, s.Send(t.Context(), message()))
}

func TestOtherCertificateFaults(t *testing.T) {
	if got := setUpFault(startTLS, x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}); got != "the server's certificate is not valid" {
		t.Errorf("got %q", got)
	}
}

// Whoever takes STARTTLS out of the conversation gets nothing, although the
// server would take a password in plain text.
func TestNothingInPlainText(t *testing.T) {
	server, s, _ := start(t, smtptest.Options{NoSTARTTLS: true}, nil)
	err := s.Send(t.Context(), message())
	outcome{notify.Misconfigured, "TWOFA_SMTP_URL", 0, "offers no STARTTLS"}.check(t, err)
	if server.Logins() != 0 || len(server.Mails()) != 0 {
		t.Error("something was said in plain text")
	}
}

func TestWrongKindOfServer(t *testing.T) {
	const theURL = "TWOFA_SMTP_URL"
	swap := func(from, to string) func(*Options) {
		return func(o *Options) { o.URL = strings.Replace(o.URL, from, to, 1) }
	}
	for _, tc := range []struct {
		name   string
		kind   smtptest.Options
		change func(*Options)
		detail string
	}{
		{"TLS from the start, where the server waits for STARTTLS", smtptest.Options{}, swap("smtp://", "smtps://"), "does not speak TLS from the start"},
		{"no authentication", smtptest.Options{Mechanisms: []string{}}, nil, "takes no user and password"},
		{"none that we know", smtptest.Options{Mechanisms: []string{"XOAUTH2", "GSSAPI"}}, nil, "knows none of PLAIN"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server, s, _ := start(t, tc.kind, tc.change)
			outcome{notify.Misconfigured, theURL, 0, tc.detail}.check(t, s.Send(t.Context(), message()))
			if server.Logins() != 0 || len(server.Mails()) != 0 {
				t.Error("something was said all the same")
			}
		})
	}
}

func TestWrongPassword(t *testing.T) {
	_, s, _ := start(t, smtptest.Options{}, func(o *Options) { o.URL = strings.Replace(o.URL, "c4a1@", "c4a2@", 1) })
	outcome{notify.Misconfigured, "TWOFA_SMTP_URL", 535, "user or password is refused"}.check(t, s.Send(t.Context(), message()))
}

func TestNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	for _, url := range []string{"smtp://" + address, "smtps://" + address, "smtp://" + address + "?tls=off"} {
		s, err := New(Options{URL: url, From: from, Texts: texts(simple)})
		if err != nil {
			t.Fatal(err)
		}
		outcome{notify.Unavailable, "", 0, "no connection"}.check(t, s.Send(t.Context(), message()))
	}
}

// A server that falls silent, is lost, or says what is no SMTP. Only after the
// whole mail was handed over is it unknown whether it was sent.
func TestLostConversations(t *testing.T) {
	for way, kind := range ways {
		for name, action := range map[string]smtptest.Action{
			"hang": smtptest.Hang(), "drop": smtptest.Drop(), "garble": smtptest.Garble(), "flood": smtptest.Flood(),
		} {
			for _, step := range []smtptest.Step{smtptest.Greeting, smtptest.Auth, smtptest.MailFrom, smtptest.Recipient, smtptest.End} {
				t.Run(fmt.Sprintf("%s, %s at %d", way, name, step), func(t *testing.T) {
					server, s, _ := start(t, kind, nil)
					server.On(step, action)
					err := s.Send(expireAfter(t, server.Hung()), message())
					f := failure(t, err)
					if f.Reason != notify.Unavailable || f.Setting != "" || f.Next != otp.NextChannel || f.Detail == "" {
						t.Errorf("got %s", describe(f))
					}
					if f.MayHaveSent != (step == smtptest.End) {
						t.Errorf("may have sent: %t", f.MayHaveSent)
					}
					if errors.Is(err, context.DeadlineExceeded) != (name == "hang") {
						t.Errorf("got %v", err)
					}
					if step != smtptest.End && len(server.Mails()) != 0 {
						t.Error("a mail went out")
					}
					if n := server.Connections(); n != 1 {
						t.Errorf("%d connections: tried again", n)
					}
				})
			}
		}
	}
}

// Half a mail is none: what the server did not take to its last byte has not
// been sent, and must not be completed by a farewell.
func TestCutInTheMiddleOfTheMail(t *testing.T) {
	long := strings.Repeat("All work and no play. ", 8<<20/22) // more than the sockets hold
	for _, way := range []string{"plain text", "STARTTLS"} {
		t.Run(way, func(t *testing.T) {
			kind := ways[way]
			server, s, _ := start(t, kind, func(o *Options) {
				o.Texts = texts(func(notify.Message) (string, string, string) { return "s", long, "" })
			})
			server.On(smtptest.Content, smtptest.Hang())
			err := s.Send(expireAfter(t, server.Hung()), message())
			if f := failure(t, err); f.Reason != notify.Unavailable || f.MayHaveSent || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v: %s", err, describe(f))
			}
		})
	}
}

// deaf fails to write from the moment that the server waits for the mail.
type deaf struct {
	net.Conn
	waiting bool
}

func (d *deaf) Write(p []byte) (int, error) {
	if d.waiting {
		d.Conn.Close() // or both sides would wait for ever
		return 0, errors.New("broken pipe")
	}
	d.waiting = string(p) == "DATA\r\n"
	return d.Conn.Write(p)
}

// A short mail leaves in one piece, together with its final dot. If that piece
// does not leave, nothing was sent.
func TestCutAtTheLastByte(t *testing.T) {
	server, s, _ := start(t, smtptest.Options{Security: smtptest.Plain, Open: true}, nil)
	conn, err := net.Dial("tcp", server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c := conversation{s: s, link: &link{Conn: &deaf{Conn: conn}, left: maxFromServer}}
	client, err := c.introduce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = c.deliver(client, to, []byte("Subject: x\r\n\r\nx\r\n"))
	if f := c.judge(err); c.at != final || f.Reason != notify.Unavailable || f.MayHaveSent {
		t.Errorf("at %s: %v, %s", c.at, err, describe(f))
	}
}

func TestDroppedBeforeTheMailWasRead(t *testing.T) {
	server, s, _ := start(t, smtptest.Options{}, nil)
	server.On(smtptest.Content, smtptest.Drop())
	// Whether the last byte left before the news of the end came is chance.
	if f := failure(t, s.Send(t.Context(), message())); f.Reason != notify.Unavailable {
		t.Errorf("got %s", describe(f))
	}
	if len(server.Mails()) != 0 {
		t.Error("a mail went out")
	}
}

func TestEndsWithTheContext(t *testing.T) {
	t.Run("over before", func(t *testing.T) {
		server, s, _ := start(t, smtptest.Options{}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := s.Send(ctx, message())
		if f := failure(t, err); f.Reason != notify.Unavailable || f.MayHaveSent || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if server.Connections() != 0 {
			t.Error("the server was called")
		}
	})
	t.Run("canceled", func(t *testing.T) {
		server, s, _ := start(t, smtptest.Options{}, nil)
		server.On(smtptest.Recipient, smtptest.Hang())
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-server.Hung(); cancel() }()
		err := s.Send(ctx, message())
		if f := failure(t, err); f.Reason != notify.Unavailable || f.MayHaveSent || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("its own time-out", func(t *testing.T) {
		server, s, _ := start(t, smtptest.Options{}, func(o *Options) { o.Timeout = 20 * time.Millisecond })
		server.On(smtptest.Greeting, smtptest.Hang())
		err := s.Send(t.Context(), message())
		if f := failure(t, err); f.Reason != notify.Unavailable || f.MayHaveSent || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a refusal is the server's", func(t *testing.T) {
		// The library waits for more after a refused password, until ctx ends.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := ended(ctx, fmt.Errorf("auth: %w", &textproto.Error{Code: 535})); err != nil {
			t.Errorf("blames the context: %v", err)
		}
	})
}

// The code for a mail that was taken is 250, and any other 2xx says the same.
func TestAnySuccessIsOne(t *testing.T) {
	server, s, _ := start(t, smtptest.Options{Security: smtptest.Plain}, nil)
	server.On(smtptest.End, smtptest.Refuse(252, "2.0.0"))
	if err := s.Send(t.Context(), message()); err != nil {
		t.Errorf("got %v", err)
	}
}
