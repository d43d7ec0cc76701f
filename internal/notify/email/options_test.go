package email

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"

	"pgregory.net/rapid"
)

func options() Options {
	return Options{URL: "smtps://user:s3cret-canary@mail.example", From: from, Texts: texts(simple)}
}

func TestOptions(t *testing.T) {
	type change = func(*Options)
	setURL := func(s string) change { return func(o *Options) { o.URL = s } }
	setFrom := func(s string) change { return func(o *Options) { o.From = s } }
	for _, tc := range []struct {
		name   string
		change change
		want   []string // the faults name these. Empty: no fault
	}{
		{"implicit TLS", func(*Options) {}, nil},
		{"with its port", setURL("smtps://user:pw@mail.example:465"), nil},
		{"STARTTLS", setURL("smtp://user:pw@mail.example"), nil},
		{"another port", setURL("smtp://user:pw@mail.example:2525"), nil},
		{"a slash at the end", setURL("smtp://user:pw@mail.example/"), nil},
		{"capitals", setURL("SMTPS://user:pw@Mail.Example"), nil},
		{"no user", setURL("smtp://relay.internal"), nil},
		{"an address", setURL("smtps://user:pw@192.0.2.1"), nil},
		{"an IPv6 address", setURL("smtps://user:pw@[2001:db8::1]:465"), nil},
		{"an address as user", setURL("smtps://a%40b.example:pw@mail.example"), nil},
		{"an at sign as it is", setURL("smtps://a@b.example:pw@mail.example"), nil},
		{"a debugging server", setURL("smtp://127.0.0.1:1025?tls=off"), nil},
		{"and by its name", setURL("smtp://localhost:1025?tls=off"), nil},
		{"and by IPv6", setURL("smtp://[::1]:1025?tls=off"), nil},

		{"no URL", setURL(""), []string{theURL}},
		{"plain text elsewhere", setURL("smtp://user:canary@mail.example?tls=off"), []string{theURL}},
		{"plain text to a private address", setURL("smtp://10.0.0.1?tls=off"), []string{theURL}},
		{"a name that begins like loopback", setURL("smtp://127.0.0.1.evil.example?tls=off"), []string{theURL}},
		{"smtps without TLS", setURL("smtps://127.0.0.1?tls=off"), []string{theURL}},
		{"another query", setURL("smtp://127.0.0.1?tls=no"), []string{theURL}},
		{"the query twice", setURL("smtp://127.0.0.1?tls=off&tls=off"), []string{theURL}},
		{"verification off", setURL("smtps://mail.example?insecure=1"), []string{theURL}},
		{"another scheme", setURL("https://user:canary@mail.example"), []string{theURL}},
		{"no scheme", setURL("mail.example:465"), []string{theURL}},
		{"a path", setURL("smtps://mail.example/x"), []string{theURL}},
		{"no host", setURL("smtps://user:canary@"), []string{theURL}},
		{"an invalid host", setURL("smtps://user:canary@mail_server"), []string{theURL}},
		{"a dot at the end", setURL("smtps://user:canary@mail.example."), []string{theURL}},
		{"a zone", setURL("smtps://[fe80::1%25eth0]"), []string{theURL}},
		{"port 0", setURL("smtps://mail.example:0"), []string{theURL}},
		{"port too large", setURL("smtps://mail.example:65536"), []string{theURL}},
		{"no password", setURL("smtps://canary@mail.example"), []string{theURL}},
		{"an empty password", setURL("smtps://canary:@mail.example"), []string{theURL}},
		{"no user, but a password", setURL("smtps://:canary@mail.example"), []string{theURL}},
		{"/ in the password", setURL("smtps://user:canary/x@mail.example"), []string{theURL}},
		{"/ after digits in the password", setURL("smtps://user:12/canary@mail.example"), []string{theURL}},
		{"# in the password", setURL("smtps://user:12#canary@mail.example"), []string{theURL}},
		{"? in the password", setURL("smtps://user:12?canary@mail.example"), []string{theURL}},
		{"% in the password", setURL("smtps://user:canary%zz@mail.example"), []string{theURL}},
		{"NUL in the password", setURL("smtps://user:canary%00@mail.example"), []string{theURL}},
		{"line end in the user", setURL("smtps://canary%0d%0a:pw@mail.example"), []string{theURL}},
		{"no UTF-8 in the password", setURL("smtps://user:canary%ff@mail.example"), []string{theURL}},
		{"a line end", setURL("smtps://user:canary@mail.example\n"), []string{theURL}},

		{"no sender", setFrom(""), []string{theFrom}},
		{"a name alone", setFrom("Canary"), []string{theFrom}},
		{"a comma without quotes", setFrom("Canary, Inc. <" + from + ">"), []string{theFrom}},
		{"two senders", setFrom(from + ", canary@acme.example"), []string{theFrom}},
		{"a group", setFrom("Canary: " + from + ";"), []string{theFrom}},
		{"a comment", setFrom(from + " (Canary)"), []string{theFrom}},
		{"a quoted mailbox", setFrom(`"canary x"@acme.example`), []string{theFrom}},
		{"an umlaut in the domain", setFrom("canary@äcme.example"), []string{theFrom}},
		{"no dot in the domain", setFrom("canary@localhost"), []string{theFrom}},
		{"a header", setFrom("Canary <" + from + ">\r\nBcc: x@evil.example"), []string{theFrom}},
		{"a line end in the name", setFrom("=?utf-8?q?canary=0d=0aBcc:_x?= <" + from + ">"), []string{theFrom}},
		{"a bidi control in the name", setFrom("Canary\u202e <" + from + ">"), []string{theFrom}},
		{"a long name", setFrom(strings.Repeat("canary ", 20) + "<" + from + ">"), []string{theFrom}},

		{"no texts", func(o *Options) { o.Texts = nil }, []string{"Texts"}},
		{"a negative time-out", func(o *Options) { o.Timeout = -time.Second }, []string{"time-out"}},
		{"all at once", func(o *Options) { *o = Options{URL: "canary", From: "canary"} }, []string{theURL, theFrom, "Texts"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options()
			tc.change(&o)
			s, err := New(o)
			if len(tc.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || s != nil {
				t.Fatalf("no fault; want %v", tc.want)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tc.want) {
				t.Errorf("%d faults: %v", len(lines), err)
			}
			for i, name := range tc.want {
				if i < len(lines) && !strings.Contains(lines[i], name) {
					t.Errorf("%q does not name %s", lines[i], name)
				}
			}
			for _, fault := range o.Faults() {
				if !strings.HasPrefix(fault, theURL+" ") && !strings.HasPrefix(fault, theFrom+" ") {
					t.Errorf("%q does not begin with a variable", fault)
				}
			}
			if strings.Contains(strings.ToLower(err.Error()), "canary") {
				t.Errorf("the error quotes a value: %s", err)
			}
		})
	}
}

// A URL can hold every user and password, and they are used unchanged.
func TestCredentialsInURLs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		printable := rapid.StringMatching(`[ -~äöü€]{1,40}`)
		user, password := printable.Draw(t, "user"), printable.Draw(t, "password")
		u := url.URL{Scheme: "smtps", Host: "mail.example", User: url.UserPassword(user, password)}
		s, c, err := parseURL(u.String())
		if err != nil {
			t.Fatal(err)
		}
		if c.user != user || c.password != password || s != (server{"mail.example", "mail.example:465", implicitTLS}) {
			t.Errorf("got %+v, %+v", s, c)
		}
	})
}

func TestDefaults(t *testing.T) {
	for text, want := range map[string]server{
		"smtps://mail.example":          {"mail.example", "mail.example:465", implicitTLS},
		"smtp://mail.example":           {"mail.example", "mail.example:587", startTLS},
		"smtp://[::1]?tls=off":          {"::1", "[::1]:587", plainText},
		"smtp://127.0.0.1:1025?tls=off": {"127.0.0.1", "127.0.0.1:1025", plainText},
	} {
		o := options()
		o.URL = text
		s := newSender(t, o)
		if s.server != want || s.credentials != nil || s.timeout != 10*time.Second {
			t.Errorf("%s: %+v, %v", text, s.server, s.timeout)
		}
		if (s.tls == nil) != (want.security == plainText) {
			t.Errorf("%s: TLS %v", text, s.tls)
		}
	}
}

// An accepted URL leads to TLS or to loopback.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{
		"smtps://user:password@mail.example:465", "smtp://user:password@mail.example", "smtp://127.0.0.1:1025?tls=off",
		"smtp://localhost.example?tls=off", "smtps://user:12/34@mail.example", "smtp://[::1]:25?tls=off", "smtp://[::1%25lo]",
		"smtps://a%0a:b@mail.example", "smtp://evil@127.0.0.1?tls=off@mail.example", "SMTP://x?tls=off", "smtp:opaque",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, c, err := parseURL(text)
		if err != nil {
			if s != (server{}) || c != nil {
				t.Errorf("%q gives %+v and an error", text, s)
			}
			return
		}
		if s.host == "" || strings.ContainsAny(s.host, " \r\n/@") {
			t.Errorf("%q: host %q", text, s.host)
		}
		if s.security == plainText && s.host != "localhost" && s.host != "::1" && !strings.HasPrefix(s.host, "127.") &&
			!notify.IsLoopback(s.host) {
			t.Errorf("%q: plain text to %q", text, s.host)
		}
		if c != nil && (c.user == "" || c.password == "" || strings.ContainsAny(c.user+c.password, "\x00\r\n")) {
			t.Errorf("%q: %q", text, fmt.Sprint(*c))
		}
	})
}

// An accepted sender is one address, and its header is one line.
func FuzzFrom(f *testing.F) {
	for _, seed := range []string{
		from, "Acme <" + from + ">", `"Acme, Inc." <` + from + ">", "=?utf-8?q?a=0d=0a?= <" + from + ">", "A: " + from + ";",
		from + " (x)", "Ä <" + from + ">", "<" + from + ">", "a\u202eb <" + from + ">", "=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?= <" + from + ">",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseFrom(text)
		if err != nil {
			return
		}
		if h := a.String(); strings.ContainsAny(h, "\r\n\x00") || strings.Contains(a.Name, "=?") {
			t.Errorf("%q: header %q", text, h)
		}
		again, err := parseFrom(a.String())
		if err != nil || again != a {
			t.Errorf("%q gives %+v, and that %+v, %v", text, a, again, err)
		}
	})
}
