package email

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/mail"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/smtptest"
)

func TestSends(t *testing.T) {
	for name, kind := range servers {
		for _, mechanisms := range [][]string{{"PLAIN"}, {"LOGIN"}, {"CRAM-MD5"}, {"XOAUTH2", "LOGIN"}, nil} {
			t.Run(fmt.Sprint(name, mechanisms), func(t *testing.T) {
				kind.Mechanisms = mechanisms
				r := newRig(t, kind, nil)
				before := time.Now().Truncate(time.Second)
				m := r.send(t, message())
				if m.From != from || m.To != to || m.User != smtptest.User || m.TLS != (kind.Security != smtptest.Plain) {
					t.Errorf("the envelope: %q to %q by %q, TLS %t", m.From, m.To, m.User, m.TLS)
				}
				if m.Subject != code+" - Your Acme code" || m.Text != "Your code is "+code+".\n" || m.HTML != "<p>Your code is <b>"+code+"</b>.</p>\n" {
					t.Errorf("got %q, %q, %q", m.Subject, m.Text, m.HTML)
				}
				if list, err := m.Header.AddressList("From"); err != nil || *list[0] != (mail.Address{Name: "Acme", Address: from}) {
					t.Errorf("From: %v, %v", list, err)
				}
				if date, err := m.Header.Date(); err != nil || date.Before(before) || date.After(time.Now()) {
					t.Errorf("Date: %v, %v", date, err)
				}
			})
		}
	}
}

// The header has exactly these fields, so none that joins a mail to an earlier one, and
// names neither the software nor the host.
func TestHeaderFields(t *testing.T) {
	r := newRig(t, smtptest.Options{}, nil)
	for range 2 {
		if err := r.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
	}
	mails := r.Mails()
	m := mails[0]
	want := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To", "X-Entity-Ref-Id"}
	if got := slices.Sorted(maps.Keys(m.Header)); !slices.Equal(got, want) {
		t.Errorf("the fields are %v", got)
	}
	if got := m.Header.Get("Auto-Submitted"); got != "auto-generated" {
		t.Errorf("Auto-Submitted: %s", got)
	}
	id := m.Header.Get("Message-Id")
	if !strings.HasSuffix(id, "@acme.example>") || len(id) < len("<@acme.example>")+22 || id == mails[1].Header.Get("Message-Id") {
		t.Errorf("Message-Id: %s, then %s", id, mails[1].Header.Get("Message-Id"))
	}
	if ref := m.Header.Get("X-Entity-Ref-Id"); len(ref) < 22 || ref == mails[1].Header.Get("X-Entity-Ref-Id") {
		t.Errorf("X-Entity-Ref-ID: %s, then %s", ref, mails[1].Header.Get("X-Entity-Ref-Id"))
	}
	if m.Hello != "acme.example" {
		t.Errorf("introduced itself as %s", m.Hello)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"go-mail", "twofa", host} {
		if strings.Contains(strings.ToLower(m.Raw), strings.ToLower(word)) {
			t.Errorf("the mail names %s:\n%s", word, m.Raw)
		}
	}
}

func TestMessagesOfEachKind(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(*notify.Message)
		outcome otp.Outcome
	}{
		{"code", func(*notify.Message) {}, otp.OutcomeSent},
		{"alert", func(m *notify.Message) { *m = notify.Message{To: to, Brand: "Acme", Alert: true} }, otp.OutcomeSent},
		{"notice", func(m *notify.Message) {
			*m = notify.Message{To: to, Brand: "Acme", Alert: true, Notice: notify.NoticeAppAdded}
		}, otp.OutcomeSent},
		{"context", func(m *notify.Message) { m.Amount, m.Payee = "EUR 25.00", "Shop" }, otp.OutcomeSent},
		{"address in capitals", func(m *notify.Message) { m.To = " " + strings.ToUpper(to) + " " }, otp.OutcomeSent},

		{"no code", func(m *notify.Message) { m.Code = "" }, otp.OutcomeUnavailable},
		{"expired", func(m *notify.Message) { m.ValidFor = 0 }, otp.OutcomeUnavailable},
		{"long expired", func(m *notify.Message) { m.ValidFor = -time.Second }, otp.OutcomeUnavailable},
		{"no address", func(m *notify.Message) { m.To = "" }, otp.OutcomeInvalidAddress},
		{"a number", func(m *notify.Message) { m.To = "+14155550123" }, otp.OutcomeInvalidAddress},
		{"display name", func(m *notify.Message) { m.To = "Me <" + to + ">" }, otp.OutcomeInvalidAddress},
		{"two addresses", func(m *notify.Message) { m.To = to + ", x@evil.example" }, otp.OutcomeInvalidAddress},
		{"header after the address", func(m *notify.Message) { m.To = to + "\r\nBcc: x@evil.example" }, otp.OutcomeInvalidAddress},
		{"command after the address", func(m *notify.Message) { m.To = to + ">\nDATA" }, otp.OutcomeInvalidAddress},
		{"parameter after the address", func(m *notify.Message) { m.To = to + "> NOTIFY=NEVER" }, otp.OutcomeInvalidAddress},
		{"NUL", func(m *notify.Message) { m.To = "a\x00" + to }, otp.OutcomeInvalidAddress},
		{"umlaut", func(m *notify.Message) { m.To = "ä" + to }, otp.OutcomeInvalidAddress},
		{"alert without an address", func(m *notify.Message) { m.To, m.Alert = "", true }, otp.OutcomeInvalidAddress},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, smtptest.Options{Security: smtptest.Plain}, nil)
			m := message()
			tc.change(&m)
			err := r.Send(t.Context(), m)
			if tc.outcome == otp.OutcomeSent {
				if mails := r.Mails(); err != nil || len(mails) != 1 || r.Connections() != 1 || mails[0].To != to {
					t.Errorf("%v, sent %+v", err, mails)
				}
				return
			}
			f := notifytest.Failure(t, err)
			if f.Outcome != tc.outcome || f.MayHaveSent || f.Next != otp.NextChannel || f.Detail == "" {
				t.Errorf("got %s", describe(f))
			}
			if r.Connections() != 0 {
				t.Error("Send has connected")
			}
		})
	}
}

func TestFromAsItIsWritten(t *testing.T) {
	for _, tc := range []struct{ setting, name, address string }{
		{from, "", from},
		{"Acme <" + from + ">", "Acme", from},
		{"Acme Inc. <" + from + ">", "Acme Inc.", from},
		{`"Acme, \"the\" Shop" <` + from + ">", `Acme, "the" Shop`, from},
		{"Große Bank ﷼ <" + from + ">", "Große Bank ﷼", from},
		{"=?utf-8?q?Gro=C3=9Fe_Bank?= <" + from + ">", "Große Bank", from},
		{strings.Repeat("ä", 100) + " <" + from + ">", strings.Repeat("ä", 100), from},
		{"Acme <Login.Team@ACME.example>", "Acme", "Login.Team@ACME.example"},
	} {
		t.Run(tc.setting, func(t *testing.T) {
			r := newRig(t, smtptest.Options{Security: smtptest.Plain}, func(o *Options) { o.From = tc.setting })
			m := r.send(t, message())
			if list, err := m.Header.AddressList("From"); err != nil || *list[0] != (mail.Address{Name: tc.name, Address: tc.address}) {
				t.Errorf("From: %v, %v", list, err)
			}
			if m.From != tc.address || m.Hello != "acme.example" || !strings.HasSuffix(m.Header.Get("Message-Id"), "@acme.example>") {
				t.Errorf("envelope %s, hello %s, id %s", m.From, m.Hello, m.Header.Get("Message-Id"))
			}
		})
	}
}

// recorder keeps what is written to a connection.
type recorder struct {
	net.Conn
	sent bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.sent.Write(p)
	return r.Conn.Write(p)
}

// Japanese providers have issued addresses whose dots RFC 5322 allows in quotes only. They
// are in quotes in the envelope and in the header, and stay as they are otherwise.
func TestLocalPartsWithDots(t *testing.T) {
	for address, quoted := range map[string]string{
		"a..b@docomo.ne.jp": `<"a..b"@docomo.ne.jp>`, "ab.@ezweb.ne.jp": `<"ab."@ezweb.ne.jp>`, ".ab@docomo.ne.jp": `<".ab"@docomo.ne.jp>`,
		"a.-.b_..@ezweb.ne.jp": `<"a.-.b_.."@ezweb.ne.jp>`, "...@docomo.ne.jp": `<"..."@docomo.ne.jp>`, "a.b@docomo.ne.jp": "<a.b@docomo.ne.jp>",
	} {
		r := newRig(t, smtptest.Options{Security: smtptest.Plain}, nil)
		raw, err := r.compose(address, message())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", r.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		seen := &recorder{Conn: conn}
		c := conversation{s: r.Sender, link: &link{Conn: seen, left: maxFromServer}}
		client, err := c.introduce(t.Context())
		if err == nil {
			err = errors.Join(c.authenticate(client), c.deliver(client, address, raw))
		}
		if err != nil {
			t.Fatalf("%s: at %s: %v", address, c.at, err)
		}
		if m := r.Mails()[0]; m.To != address || m.Header.Get("To") != quoted || !strings.Contains(seen.sent.String(), "\r\nRCPT TO:"+quoted+"\r\n") {
			t.Errorf("%s went to %s, with the field %s, by\n%s", address, m.To, m.Header.Get("To"), seen.sent.String())
		}
	}
}

// An operator's relay may identify the service by its IP address only.
func TestWithoutAUser(t *testing.T) {
	r := newRig(t, smtptest.Options{Open: true}, nil)
	if m := r.send(t, message()); m.User != "" || !m.TLS || r.Logins() != 0 {
		t.Errorf("user %q, TLS %t, %d logins", m.User, m.TLS, r.Logins())
	}
}

func TestTextAlone(t *testing.T) {
	r := newRig(t, smtptest.Options{Security: smtptest.Plain}, func(o *Options) {
		o.Texts = texts(func(m notify.Message) (string, string, string) { return "s", "Größe: " + m.Code + "\n", "" })
	})
	if m := r.send(t, message()); m.Text != "Größe: "+code+"\n" || m.HTML != "" {
		t.Errorf("got %q, %q", m.Text, m.HTML)
	}
}

func TestNothingIsSentWithoutAText(t *testing.T) {
	r := newRig(t, smtptest.Options{Security: smtptest.Plain}, func(o *Options) {
		o.Texts = texts(func(notify.Message) (string, string, string) { return "s", "", "<p>x</p>" })
	})
	if f := notifytest.Failure(t, r.Send(t.Context(), message())); f.Outcome != otp.OutcomeUnavailable || f.MayHaveSent {
		t.Errorf("got %s", describe(f))
	}
	if r.Connections() != 0 {
		t.Error("Send has connected")
	}
}

func TestManyAtOnce(t *testing.T) {
	const n = 20
	r := newRig(t, smtptest.Options{}, nil)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			m := message()
			m.To, m.Code = fmt.Sprintf("p%d@home.example", i), fmt.Sprint(100000+i)
			if err := r.Send(t.Context(), m); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, m := range r.Mails() {
		seen[m.To] = true
		var i int
		if _, err := fmt.Sscanf(m.To, "p%d@home.example", &i); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("Your code is %d.\n", 100000+i); m.Text != want {
			t.Errorf("%s got %q", m.To, m.Text)
		}
	}
	if len(seen) != n || r.Connections() != n {
		t.Errorf("%d different mails over %d connections", len(seen), r.Connections())
	}
}

func TestShowsTransaction(t *testing.T) {
	if !(notify.Senders{channel.Email: new(Sender)}).ShowsTransaction(channel.Email) {
		t.Error("amount and payee are not shown")
	}
}
