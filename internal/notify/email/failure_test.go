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
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/smtptest"
)

// expected is the expected failure.
type expected struct {
	outcome otp.Outcome
	setting string
	code    int
	detail  string // a part of Detail
}

func (o expected) check(t *testing.T, err error) {
	t.Helper()
	f := notifytest.Failure(t, err)
	if f.Outcome != o.outcome || f.Setting != o.setting || f.Code != o.code || !strings.Contains(f.Detail, o.detail) ||
		f.MayHaveSent || f.Next != otp.NextChannel || f.Detail == "" {
		t.Errorf("got %s; want %+v", describe(f), o)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Error("the error wraps a context error")
	}
}

// wantNothingSent checks that no password and no mail was sent.
func (r *rig) wantNothingSent(t *testing.T) {
	t.Helper()
	if r.Logins() != 0 || len(r.Mails()) != 0 {
		t.Errorf("%d logins, %d mails, want none", r.Logins(), len(r.Mails()))
	}
}

const theURL, theFrom = "TWOFA_SMTP_URL", "TWOFA_EMAIL_FROM"

// What each answer at each step has to lead to.
func TestRefusals(t *testing.T) {
	const open = true
	for _, tc := range []struct {
		step     smtptest.Step
		code     int
		enhanced string
		open     bool // the URL has no user
		outcome  otp.Outcome
		setting  string
	}{
		{smtptest.Greeting, 421, "", false, otp.OutcomeUnavailable, ""},
		{smtptest.Greeting, 421, "4.3.2", false, otp.OutcomeUnavailable, ""},
		{smtptest.Greeting, 554, "5.7.1", false, otp.OutcomeUnavailable, ""},

		{smtptest.Auth, 535, "5.7.8", false, otp.OutcomeMisconfigured, theURL},
		{smtptest.Auth, 535, "5.7.139", false, otp.OutcomeMisconfigured, theURL},
		{smtptest.Auth, 530, "", false, otp.OutcomeMisconfigured, theURL},
		{smtptest.Auth, 504, "5.5.4", false, otp.OutcomeMisconfigured, theURL},
		{smtptest.Auth, 454, "4.7.0", false, otp.OutcomeUnavailable, ""},
		{smtptest.Auth, 421, "4.7.0", false, otp.OutcomeUnavailable, ""},

		{smtptest.MailFrom, 550, "5.7.1", false, otp.OutcomeMisconfigured, theFrom},
		{smtptest.MailFrom, 553, "5.1.8", false, otp.OutcomeMisconfigured, theFrom},
		{smtptest.MailFrom, 501, "", false, otp.OutcomeMisconfigured, theFrom},
		{smtptest.MailFrom, 530, "5.7.0", false, otp.OutcomeMisconfigured, theURL},
		{smtptest.MailFrom, 530, "5.7.57", true, otp.OutcomeMisconfigured, theURL},
		{smtptest.MailFrom, 550, "5.7.57", false, otp.OutcomeMisconfigured, theURL},
		{smtptest.MailFrom, 503, "5.5.1", false, otp.OutcomeMisconfigured, theFrom},
		{smtptest.MailFrom, 503, "5.5.1", open, otp.OutcomeMisconfigured, theURL},
		{smtptest.MailFrom, 451, "4.3.0", false, otp.OutcomeUnavailable, ""},
		{smtptest.MailFrom, 452, "", false, otp.OutcomeUnavailable, ""},

		{smtptest.Recipient, 550, "", false, otp.OutcomeUndeliverable, ""},
		{smtptest.Recipient, 550, "5.1.1", false, otp.OutcomeUndeliverable, ""},
		{smtptest.Recipient, 551, "5.1.6", false, otp.OutcomeUndeliverable, ""},
		{smtptest.Recipient, 550, "5.4.5", false, otp.OutcomeUnavailable, ""},
		{smtptest.Recipient, 550, "5.2.1", false, otp.OutcomeUndeliverable, ""},
		{smtptest.Recipient, 552, "5.2.2", false, otp.OutcomeUndeliverable, ""},
		{smtptest.Recipient, 553, "5.1.3", false, otp.OutcomeUndeliverable, ""},
		{smtptest.Recipient, 554, "5.7.1", false, otp.OutcomeUndeliverable, ""},
		{smtptest.Recipient, 501, "5.1.3", false, otp.OutcomeUndeliverable, ""},
		{smtptest.Recipient, 554, "5.7.1", open, otp.OutcomeMisconfigured, theURL},
		{smtptest.Recipient, 550, "5.1.1", open, otp.OutcomeUndeliverable, ""},
		{smtptest.Recipient, 530, "", false, otp.OutcomeMisconfigured, theURL},
		{smtptest.Recipient, 550, "5.7.60", false, otp.OutcomeMisconfigured, theFrom},
		{smtptest.Recipient, 550, "5.1.7", false, otp.OutcomeMisconfigured, theFrom},
		{smtptest.Recipient, 502, "5.5.1", false, otp.OutcomeUnavailable, ""},
		{smtptest.Recipient, 450, "4.2.1", false, otp.OutcomeUnavailable, ""},
		{smtptest.Recipient, 421, "", false, otp.OutcomeUnavailable, ""},

		{smtptest.End, 554, "", false, otp.OutcomeMisconfigured, theFrom},
		{smtptest.End, 554, "5.2.252", false, otp.OutcomeMisconfigured, theFrom},
		{smtptest.End, 550, "5.7.26", false, otp.OutcomeMisconfigured, theFrom},
		{smtptest.End, 550, "5.7.60", false, otp.OutcomeMisconfigured, theFrom},
		{smtptest.End, 550, "5.1.1", false, otp.OutcomeUndeliverable, ""},
		{smtptest.End, 552, "", false, otp.OutcomeUndeliverable, ""},
		{smtptest.End, 552, "5.2.3", false, otp.OutcomeMisconfigured, theFrom},
		{smtptest.End, 552, "5.3.4", false, otp.OutcomeMisconfigured, theFrom},
		{smtptest.End, 552, "5.2.2", false, otp.OutcomeUndeliverable, ""},
		{smtptest.End, 451, "4.7.1", false, otp.OutcomeUnavailable, ""},
	} {
		t.Run(fmt.Sprintf("step %d, %d %s, open %t", tc.step, tc.code, tc.enhanced, tc.open), func(t *testing.T) {
			r := newRig(t, smtptest.Options{Security: smtptest.Plain, Open: tc.open}, nil)
			r.On(tc.step, smtptest.Refuse(tc.code, tc.enhanced))
			err := r.Send(t.Context(), message())
			want := tc.enhanced
			if tc.step == smtptest.Greeting && want == "" {
				want = "greeting"
			}
			expected{tc.outcome, tc.setting, tc.code, want}.check(t, err)
			if len(r.Mails()) != 0 || r.Connections() != 1 {
				t.Errorf("%d mails over %d connections", len(r.Mails()), r.Connections())
			}
		})
	}
}

// Each invalid certificate is refused before anything secret is sent, and the failure
// names its fault.
func TestCertificates(t *testing.T) {
	for way, security := range map[string]smtptest.Security{"STARTTLS": smtptest.STARTTLS, "implicit": smtptest.ImplicitTLS} {
		for kind, detail := range map[smtptest.Certificate]string{
			smtptest.WrongName:        "is for another host name",
			smtptest.Expired:          "has expired",
			smtptest.UnknownAuthority: "is from an authority that this system does not trust",
		} {
			t.Run(way+" "+detail, func(t *testing.T) {
				r := newRig(t, smtptest.Options{Security: security, Certificate: kind}, nil)
				expected{otp.OutcomeMisconfigured, theURL, 0, detail}.check(t, r.Send(t.Context(), message()))
				r.wantNothingSent(t)
			})
		}
	}
}

// Without Options.RootCAs the system's roots are used, which do not include the test's.
func TestSystemRootsAreTheDefault(t *testing.T) {
	r := newRig(t, smtptest.Options{}, func(o *Options) { o.RootCAs = nil })
	expected{otp.OutcomeMisconfigured, theURL, 0, "is from an authority"}.check(t, r.Send(t.Context(), message()))
}

func TestOtherCertificateFaults(t *testing.T) {
	if got := setUpFault(startTLS, x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}); got != "the server's certificate is not valid" {
		t.Errorf("got %q", got)
	}
}

func TestWrongKindOfServer(t *testing.T) {
	swap := func(from, to string) func(*Options) {
		return func(o *Options) { o.URL = strings.Replace(o.URL, from, to, 1) }
	}
	for _, tc := range []struct {
		name   string
		kind   smtptest.Options
		change func(*Options)
		detail string
	}{
		// As if an attacker had removed STARTTLS from the conversation. The server would
		// accept a password in plain text.
		{"no STARTTLS", smtptest.Options{NoSTARTTLS: true}, nil, "offers no STARTTLS"},
		{"implicit TLS for a server with STARTTLS", smtptest.Options{}, swap("smtp://", "smtps://"), "has no implicit TLS"},
		{"no authentication", smtptest.Options{Mechanisms: []string{}}, nil, "offers no authentication"},
		{"unknown mechanisms", smtptest.Options{Mechanisms: []string{"XOAUTH2", "GSSAPI"}}, nil, "none of the mechanisms PLAIN"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, tc.kind, tc.change)
			expected{otp.OutcomeMisconfigured, theURL, 0, tc.detail}.check(t, r.Send(t.Context(), message()))
			r.wantNothingSent(t)
		})
	}
}

func TestWrongPassword(t *testing.T) {
	r := newRig(t, smtptest.Options{}, func(o *Options) { o.URL = strings.Replace(o.URL, "c4a1@", "c4a2@", 1) })
	expected{otp.OutcomeMisconfigured, theURL, 535, "user or password is refused"}.check(t, r.Send(t.Context(), message()))
}

func TestNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	for _, url := range []string{"smtp://" + address, "smtps://" + address, "smtp://" + address + "?tls=off"} {
		s := newSender(t, Options{URL: url, From: from, Texts: texts(simple)})
		expected{otp.OutcomeUnavailable, "", 0, "no connection"}.check(t, s.Send(t.Context(), message()))
	}
}

// The server hangs, closes the connection, or answers with something else than SMTP. Only
// after the whole mail was written is it unknown whether the mail was sent.
func TestLostConversations(t *testing.T) {
	for server, kind := range servers {
		for name, action := range map[string]smtptest.Action{
			"hang": smtptest.Hang(), "drop": smtptest.Drop(), "garble": smtptest.Garble(), "flood": smtptest.Flood(),
		} {
			for _, step := range []smtptest.Step{smtptest.Greeting, smtptest.Auth, smtptest.MailFrom, smtptest.Recipient, smtptest.End} {
				t.Run(fmt.Sprintf("%s, %s at %d", server, name, step), func(t *testing.T) {
					r := newRig(t, kind, nil)
					r.On(step, action)
					err := r.Send(expireAfter(t, r.Hung()), message())
					f := notifytest.Failure(t, err)
					if f.Outcome != otp.OutcomeUnavailable || f.Setting != "" || f.Next != otp.NextChannel || f.Detail == "" {
						t.Errorf("got %s", describe(f))
					}
					if f.MayHaveSent != (step == smtptest.End) {
						t.Errorf("may have sent: %t", f.MayHaveSent)
					}
					if errors.Is(err, context.DeadlineExceeded) != (name == "hang") {
						t.Errorf("got %v", err)
					}
					if step != smtptest.End && len(r.Mails()) != 0 {
						t.Error("a mail was sent")
					}
					if n := r.Connections(); n != 1 {
						t.Errorf("%d connections: tried again", n)
					}
				})
			}
		}
	}
}

// A mail whose last byte was not written has not been sent, and no further command may
// complete it.
func TestCutInTheMiddleOfTheMail(t *testing.T) {
	long := strings.Repeat("All work and no play. ", 8<<20/22) // more than the sockets' buffers hold
	for _, server := range []string{"plain text", "STARTTLS"} {
		t.Run(server, func(t *testing.T) {
			r := newRig(t, servers[server], func(o *Options) {
				o.Texts = texts(func(notify.Message) (string, string, string) { return "s", long, "" })
			})
			r.On(smtptest.Content, smtptest.Hang())
			err := r.Send(expireAfter(t, r.Hung()), message())
			if f := notifytest.Failure(t, err); f.Outcome != otp.OutcomeUnavailable || f.MayHaveSent || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v: %s", err, describe(f))
			}
		})
	}
}

// cutOff is a connection on which all writes fail after the command DATA.
type cutOff struct {
	net.Conn
	waiting bool
}

func (d *cutOff) Write(p []byte) (int, error) {
	if d.waiting {
		d.Conn.Close() // otherwise both sides would wait for each other
		return 0, errors.New("broken pipe")
	}
	d.waiting = string(p) == "DATA\r\n"
	return d.Conn.Write(p)
}

// A short mail and its final dot are written at once. If that write fails, nothing was
// sent.
func TestCutAtTheLastByte(t *testing.T) {
	r := newRig(t, smtptest.Options{Security: smtptest.Plain, Open: true}, nil)
	conn, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c := conversation{s: r.Sender, link: &link{Conn: &cutOff{Conn: conn}, left: maxFromServer}}
	client, err := c.introduce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = c.deliver(client, to, []byte("Subject: x\r\n\r\nx\r\n"))
	if f := c.judge(err); c.at != final || f.Outcome != otp.OutcomeUnavailable || f.MayHaveSent {
		t.Errorf("at %s: %v, %s", c.at, err, describe(f))
	}
}

func TestDroppedBeforeTheMailWasRead(t *testing.T) {
	r := newRig(t, smtptest.Options{}, nil)
	r.On(smtptest.Content, smtptest.Drop())
	// MayHaveSent is not checked: the last byte may or may not be written before the
	// client notices the end of the connection.
	if f := notifytest.Failure(t, r.Send(t.Context(), message())); f.Outcome != otp.OutcomeUnavailable {
		t.Errorf("got %s", describe(f))
	}
	if len(r.Mails()) != 0 {
		t.Error("a mail was sent")
	}
}

func TestEndsWithTheContext(t *testing.T) {
	check := func(err, want error) {
		t.Helper()
		if f := notifytest.Failure(t, err); f.Outcome != otp.OutcomeUnavailable || f.MayHaveSent || !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	r := newRig(t, smtptest.Options{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // before Send
	check(r.Send(ctx, message()), context.Canceled)
	if r.Connections() != 0 {
		t.Error("Send has connected")
	}

	r.On(smtptest.Recipient, smtptest.Hang())
	ctx, cancel = context.WithCancel(t.Context())
	go func() { <-r.Hung(); cancel() }()
	check(r.Send(ctx, message()), context.Canceled)

	r = newRig(t, smtptest.Options{}, func(o *Options) { o.Timeout = 20 * time.Millisecond })
	r.On(smtptest.Greeting, smtptest.Hang())
	check(r.Send(t.Context(), message()), context.DeadlineExceeded)
}

// After a refused password the library waits for more data until ctx ends. The refusal
// counts, not the end of ctx.
func TestARefusalIsTheServers(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ended(ctx, fmt.Errorf("auth: %w", &textproto.Error{Code: 535})); err != nil {
		t.Errorf("got the context's error: %v", err)
	}
}

// 250 is the usual answer for an accepted mail, but every 2xx means the same.
func TestEverySuccessCode(t *testing.T) {
	r := newRig(t, smtptest.Options{Security: smtptest.Plain}, nil)
	r.On(smtptest.End, smtptest.Refuse(252, "2.0.0"))
	if err := r.Send(t.Context(), message()); err != nil {
		t.Errorf("got %v", err)
	}
}
