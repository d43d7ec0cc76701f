package email

import (
	"fmt"
	"maps"
	"net/mail"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/smtptest"
)

func TestSends(t *testing.T) {
	for way, kind := range ways {
		for _, mechanisms := range [][]string{{"PLAIN"}, {"LOGIN"}, {"CRAM-MD5"}, {"XOAUTH2", "LOGIN"}, nil} {
			t.Run(fmt.Sprint(way, mechanisms), func(t *testing.T) {
				kind.Mechanisms = mechanisms
				server, s, _ := start(t, kind, nil)
				before := time.Now().Truncate(time.Second)
				if err := s.Send(t.Context(), message()); err != nil {
					t.Fatal(err)
				}
				m := one(t, server)
				if m.From != from || m.To != to || m.User != smtptest.User || m.TLS != (kind.Security != smtptest.Plain) {
					t.Errorf("the envelope: %q to %q by %q, TLS %t", m.From, m.To, m.User, m.TLS)
				}
				if m.Subject != code+" – Acme" || m.Text != "Your code is "+code+".\n" || m.HTML != "<p>Your code is <b>"+code+"</b>.</p>\n" {
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

// The header is this and nothing else: no software, no machine, no tracking.
func TestHeaderHasNothingTooMuch(t *testing.T) {
	server, s, _ := start(t, smtptest.Options{}, nil)
	for range 2 {
		if err := s.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
	}
	mails := server.Mails()
	m := mails[0]
	want := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
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
		name   string
		change func(*notify.Message)
		reason notify.Reason // 0: sent
	}{
		{"code", func(*notify.Message) {}, 0},
		{"alert", func(m *notify.Message) { *m = notify.Message{To: to, Brand: "Acme", Alert: true} }, 0},
		{"context", func(m *notify.Message) { m.Amount, m.Payee = "EUR 25.00", "Shop" }, 0},
		{"address in capitals", func(m *notify.Message) { m.To = " " + strings.ToUpper(to) + " " }, 0},

		{"no code", func(m *notify.Message) { m.Code = "" }, notify.Unavailable},
		{"expired", func(m *notify.Message) { m.ValidFor = 0 }, notify.Unavailable},
		{"long expired", func(m *notify.Message) { m.ValidFor = -time.Second }, notify.Unavailable},
		{"no address", func(m *notify.Message) { m.To = "" }, notify.InvalidAddress},
		{"a number", func(m *notify.Message) { m.To = "+14155550123" }, notify.InvalidAddress},
		{"display name", func(m *notify.Message) { m.To = "Me <" + to + ">" }, notify.InvalidAddress},
		{"two addresses", func(m *notify.Message) { m.To = to + ", x@evil.example" }, notify.InvalidAddress},
		{"header after the address", func(m *notify.Message) { m.To = to + "\r\nBcc: x@evil.example" }, notify.InvalidAddress},
		{"command after the address", func(m *notify.Message) { m.To = to + ">\nDATA" }, notify.InvalidAddress},
		{"parameter after the address", func(m *notify.Message) { m.To = to + "> NOTIFY=NEVER" }, notify.InvalidAddress},
		{"NUL", func(m *notify.Message) { m.To = "a\x00" + to }, notify.InvalidAddress},
		{"umlaut", func(m *notify.Message) { m.To = "ä" + to }, notify.InvalidAddress},
		{"alert without an address", func(m *notify.Message) { m.To, m.Alert = "", true }, notify.InvalidAddress},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server, s, _ := start(t, smtptest.Options{Security: smtptest.Plain}, nil)
			m := message()
			tc.change(&m)
			err := s.Send(t.Context(), m)
			if tc.reason == 0 {
				if err != nil {
					t.Fatal(err)
				}
				if got := one(t, server); got.To != to {
					t.Errorf("sent to %q", got.To)
				}
				return
			}
			f := failure(t, err)
			if f.Reason != tc.reason || f.MayHaveSent || f.Next != otp.NextChannel || f.Detail == "" {
				t.Errorf("got %s", describe(f))
			}
			if server.Connections() != 0 {
				t.Error("the server was called")
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
			server, s, _ := start(t, smtptest.Options{Security: smtptest.Plain}, func(o *Options) { o.From = tc.setting })
			if err := s.Send(t.Context(), message()); err != nil {
				t.Fatal(err)
			}
			m := one(t, server)
			if list, err := m.Header.AddressList("From"); err != nil || *list[0] != (mail.Address{Name: tc.name, Address: tc.address}) {
				t.Errorf("From: %v, %v", list, err)
			}
			if m.From != tc.address || m.Hello != "acme.example" || !strings.HasSuffix(m.Header.Get("Message-Id"), "@acme.example>") {
				t.Errorf("envelope %s, hello %s, id %s", m.From, m.Hello, m.Header.Get("Message-Id"))
			}
		})
	}
}

// An operator's relay may know us by our address alone.
func TestWithoutAUser(t *testing.T) {
	server, s, _ := start(t, smtptest.Options{Open: true}, nil)
	if err := s.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if m := one(t, server); m.User != "" || !m.TLS || server.Logins() != 0 {
		t.Errorf("user %q, TLS %t, %d logins", m.User, m.TLS, server.Logins())
	}
}

func TestTextAlone(t *testing.T) {
	server, s, _ := start(t, smtptest.Options{Security: smtptest.Plain}, func(o *Options) {
		o.Texts = texts(func(m notify.Message) (string, string, string) { return "s", "Größe: " + m.Code + "\n", "" })
	})
	if err := s.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if m := one(t, server); m.Text != "Größe: "+code+"\n" || m.HTML != "" {
		t.Errorf("got %q, %q", m.Text, m.HTML)
	}
}

func TestNothingIsSentWithoutAText(t *testing.T) {
	server, s, _ := start(t, smtptest.Options{Security: smtptest.Plain}, func(o *Options) {
		o.Texts = texts(func(notify.Message) (string, string, string) { return "s", "", "<p>x</p>" })
	})
	if f := failure(t, s.Send(t.Context(), message())); f.Reason != notify.Unavailable || f.MayHaveSent {
		t.Errorf("got %s", describe(f))
	}
	if server.Connections() != 0 {
		t.Error("the server was called")
	}
}

func TestManyAtOnce(t *testing.T) {
	const n = 20
	server, s, _ := start(t, smtptest.Options{}, nil)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			m := message()
			m.To, m.Code = fmt.Sprintf("p%d@home.example", i), fmt.Sprint(100000+i)
			if err := s.Send(t.Context(), m); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, m := range server.Mails() {
		seen[m.To] = true
		var i int
		if _, err := fmt.Sscanf(m.To, "p%d@home.example", &i); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("Your code is %d.\n", 100000+i); m.Text != want {
			t.Errorf("%s got %q", m.To, m.Text)
		}
	}
	if len(seen) != n || server.Connections() != n {
		t.Errorf("%d different mails over %d connections", len(seen), server.Connections())
	}
}

func TestShowsContext(t *testing.T) {
	var s notify.ContextShower = new(Sender)
	if !s.ShowsContext() {
		t.Error("amount and payee are thought to be lost")
	}
}
