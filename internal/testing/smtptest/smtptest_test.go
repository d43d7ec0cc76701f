package smtptest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/smtp"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"testing"
)

// These tests use another SMTP client than the product does.

const (
	sender    = "login@acme.example"
	recipient = "person@home.example"
	good      = "Date: Fri, 21 Nov 2025 09:00:00 +0000\r\n" +
		"From: =?utf-8?q?Gro=C3=9Fe?= Bank <login@acme.example>\r\n" +
		"To: <person@home.example>\r\n" +
		"Subject: =?utf-8?q?739184_=E2=80=93_Acme?=\r\n" +
		"Message-ID: <x@acme.example>\r\n" +
		"MIME-Version: 1.0\r\n" +
		"Content-Type: multipart/alternative; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=B6=C3=9Fe\r\n" +
		"--b\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+eDwvYj4=\r\n--b--\r\n"
)

// talk sends one mail to the server at the URL.
func talk(s *Server, raw string) error {
	u, err := url.Parse(s.URL)
	if err != nil {
		return err
	}
	config := &tls.Config{ServerName: "127.0.0.1", RootCAs: s.Roots}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	if u.Scheme == "smtps" {
		conn = tls.Client(conn, config)
	}
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		return err
	}
	if err := c.Hello("acme.example"); err != nil {
		return err
	}
	if u.Scheme == "smtp" && u.RawQuery == "" {
		if err := c.StartTLS(config); err != nil {
			return err
		}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		if err := c.Auth(smtp.PlainAuth("", u.User.Username(), password, "127.0.0.1")); err != nil {
			return err
		}
	}
	// Not c.Mail, which asks for SMTPUTF8 if the server offers it.
	if err := c.Text.PrintfLine("MAIL FROM:<%s>", sender); err != nil {
		return err
	}
	if _, _, err := c.Text.ReadResponse(250); err != nil {
		return err
	}
	if err := c.Rcpt(recipient); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(raw)); err != nil {
		return err
	}
	return w.Close()
}

func TestStoresMails(t *testing.T) {
	for _, o := range []Options{{}, {Security: ImplicitTLS}, {Security: Plain}, {Open: true}, {Security: Plain, Open: true}} {
		s := Start(t, o)
		if err := talk(s, good); err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		mails := s.Mails()
		if len(mails) != 1 || s.Connections() != 1 {
			t.Fatalf("%+v: %d mails over %d connections", o, len(mails), s.Connections())
		}
		m := mails[0]
		if m.From != sender || m.To != recipient || m.Hello != "acme.example" || m.Raw != good ||
			m.TLS != (o.Security != Plain) || (m.User == User) == o.Open || (s.Logins() == 1) == o.Open {
			t.Errorf("%+v: got %+v", o, m)
		}
		if m.Subject != "739184 – Acme" || m.Text != "Größe" || m.HTML != "<b>x</b>" || m.Header.Get("Message-Id") != "<x@acme.example>" {
			t.Errorf("%+v: read %q, %q, %q", o, m.Subject, m.Text, m.HTML)
		}
	}
}

// The server requires and checks the password.
func TestAuthenticates(t *testing.T) {
	s := Start(t, Options{})
	for _, tc := range []struct {
		name, url string
		code      int
	}{
		{"nobody", strings.Replace(s.URL, url.UserPassword(User, Password).String()+"@", "", 1), 530},
		{"another password", strings.Replace(s.URL, "c4a1@", "c4a2@", 1), 535},
		{"another user", strings.Replace(s.URL, "mailer", "nailer", 1), 535},
	} {
		if tc.url == s.URL {
			t.Fatalf("%s: the URL has not changed", tc.name)
		}
		other := &Server{URL: tc.url, Roots: s.Roots}
		var reply *textproto.Error
		if err := talk(other, good); !errors.As(err, &reply) || reply.Code != tc.code {
			t.Errorf("%s: %v, want %d", tc.name, err, tc.code)
		}
	}
	if len(s.Mails()) != 0 {
		t.Error("a mail was accepted")
	}
}

func TestCertificatesToRefuse(t *testing.T) {
	for kind, is := range map[Certificate]func(error) bool{
		WrongName: func(err error) bool { return errors.As(err, new(x509.HostnameError)) },
		Expired: func(err error) bool {
			var e x509.CertificateInvalidError
			return errors.As(err, &e) && e.Reason == x509.Expired
		},
		UnknownAuthority: func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) },
	} {
		for _, security := range []Security{STARTTLS, ImplicitTLS} {
			if err := talk(Start(t, Options{Security: security, Certificate: kind}), good); !is(err) {
				t.Errorf("certificate %d, security %d: %v", kind, security, err)
			}
		}
	}
}

func TestRootsFile(t *testing.T) {
	s := Start(t, Options{})
	b, err := os.ReadFile(s.RootsFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) || !pool.Equal(s.Roots) {
		t.Error("the file has other roots")
	}
}

func TestScript(t *testing.T) {
	for _, step := range []Step{Greeting, Auth, MailFrom, Recipient, End} {
		s := Start(t, Options{})
		s.On(step, Refuse(451, "4.3.2"))
		var reply *textproto.Error
		if err := talk(s, good); !errors.As(err, &reply) || reply.Code != 451 || !strings.Contains(reply.Msg, "4.3.2") || !strings.Contains(reply.Msg, Words) {
			t.Errorf("step %d: refused with %v", step, err)
		}
		for name, action := range map[string]Action{"drop": Drop(), "garble": Garble()} {
			s.On(step, action)
			if err := talk(s, good); err == nil || errors.As(err, &reply) && reply.Code/100 == 2 {
				t.Errorf("step %d: %s: %v", step, name, err)
			}
		}
		if kept := len(s.Mails()); kept != map[bool]int{true: 2}[step == End] {
			t.Errorf("step %d: %d mails", step, kept)
		}
		s.On(step, Action{})
		if err := talk(s, good); err != nil {
			t.Errorf("step %d: the normal behaviour is not restored: %v", step, err)
		}
	}
}

// A test can use the exact words of another server.
func TestAnswersInGivenWords(t *testing.T) {
	s := Start(t, Options{})
	s.On(Recipient, Answer(550, "5.1.1 no <%s> here\n5.1.1 see the help"))
	var reply *textproto.Error
	if err := talk(s, good); !errors.As(err, &reply) || reply.Code != 550 || reply.Msg != "5.1.1 no <"+recipient+"> here\n5.1.1 see the help" {
		t.Errorf("refused with %v", err)
	}
	if len(s.Mails()) != 0 {
		t.Error("a mail was stored")
	}
}

// The server ends with the test although a client hangs.
func TestHangs(t *testing.T) {
	for _, step := range []Step{Greeting, Auth, MailFrom, Recipient, Content, End} {
		ended := make(chan error, 1)
		t.Run("", func(t *testing.T) {
			s := Start(t, Options{})
			s.On(step, Hang())
			go func() { ended <- talk(s, good) }()
			select {
			case <-s.Hung():
			case err := <-ended:
				t.Fatalf("ended before it hung: %v", err)
			}
		})
		if t.Failed() {
			return
		}
		if err := <-ended; err == nil {
			t.Errorf("step %d: the mail was accepted", step)
		}
	}
}

// The server refuses mails that another server might not accept.
func TestStrictness(t *testing.T) {
	if _, err := parse([]byte(good), recipient); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"no date":                  {"Date: Fri, 21 Nov 2025 09:00:00 +0000\r\n", ""},
		"an invalid date":          {"Fri, 21 Nov 2025 09:00:00 +0000", "today"},
		"no sender":                {"From:", "X-From:"},
		"two senders":              {"<login@acme.example>", "<login@acme.example>, b@acme.example"},
		"the sender twice":         {"To:", "From: <x@acme.example>\r\nTo:"},
		"another recipient":        {"To: <person", "To: <nobody"},
		"two recipients":           {"<person@home.example>", "<person@home.example>, x@home.example"},
		"a named recipient":        {"To: <", "To: Me <"},
		"no id":                    {"<x@acme.example>", "x"},
		"a field twice":            {"MIME-Version: 1.0\r\n", "MIME-Version: 1.0\r\nX: 1\r\nX: 2\r\n"},
		"a bare LF":                {"MIME-Version: 1.0\r\n", "MIME-Version: 1.0\n"},
		"a bare CR":                {"MIME-Version: 1.0\r\n", "MIME-Version: 1.0\rX: y\r\n"},
		"eight bits":               {"Acme?=", "Acme?= ä"},
		"NUL":                      {"Acme?=", "Acme?= \x00"},
		"a blank line":             {"MIME-Version: 1.0\r\n", "MIME-Version: 1.0\r\n \r\n"},
		"a long line":              {"MIME-Version: 1.0\r\n", "MIME-Version: 1.0\r\nX: " + strings.Repeat("x", 996) + "\r\n"},
		"no HTML":                  {"text/html", "text/plain"},
		"no text":                  {"text/plain", "text/html"},
		"another charset":          {"text/plain; charset=UTF-8", "text/plain; charset=latin1"},
		"an encoding of its own":   {"quoted-printable", "x-own"},
		"bytes that are no UTF-8":  {"Gr=C3=B6", "Gr=C3"},
		"a third part":             {"--b--", "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--"},
		"mixed, not alternative":   {"multipart/alternative", "multipart/mixed"},
		"a subject of another set": {"Subject: =?utf-8?q?", "Subject: =?x-none?q?"},
	} {
		raw := strings.Replace(good, change[0], change[1], 1)
		if raw == good {
			t.Fatalf("%s: nothing changed", name)
		}
		if _, err := parse([]byte(raw), recipient); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
