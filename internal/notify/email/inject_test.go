package email

import (
	"net/mail"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"twofa/internal/address"
	"twofa/internal/notify"
	"twofa/internal/testing/smtptest"
)

// hostile are parts of attacks on a mail.
var hostile = []string{
	"\r\n", "\n", "\r", "\x00", "\r\n.\r\n", "\n.\n", "\r.\r", "\r\n\r\n", "\nBcc: x@evil.example\n", "\r\nContent-Type: text/html\r\n",
	"\r\n.\r\nMAIL FROM:<x@evil.example>\r\n", "=?utf-8?q?=0d=0aBcc:_x@evil.example?=", "=?", "?=", "=0D=0A", "--", "\r\n--",
	"\u2028", "\u2029", "\u0085", "\u202e", "\u200b", "\u2066", "\u2067", "\u2068", "\u2069", "א", "٣", "\x7f", "\xff\xfe", "ä", "漢字", "😀", ".", "..", " ", "  ", "\t", "\v", "\f", "=", ",", ";", ":", "<", ">",
	`"`, `\`, "(", ")", "@", "x@evil.example", "<script>", "%0d%0a", "%s%n", strings.Repeat("x", 1100), strings.Repeat("x ", 600), strings.Repeat("é", 400),
}

func hostileText() *rapid.Generator[string] {
	piece := rapid.OneOf(rapid.SampledFrom(hostile), rapid.String())
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "pieces"), "")
	})
}

// For all texts, a mail goes to one person and has the usual header fields and two parts.
// The server itself checks lines, characters and fields.
func TestNothingGetsIntoTheHeader(t *testing.T) {
	var subject, text, html string
	r := newRig(t, smtptest.Options{Security: smtptest.Plain}, func(o *Options) {
		o.Texts = texts(func(notify.Message) (string, string, string) { return subject, text, html })
	})
	rapid.Check(t, func(rt *rapid.T) {
		subject = hostileText().Draw(rt, "subject")
		text, html = "T"+hostileText().Draw(rt, "text"), "H"+hostileText().Draw(rt, "html")
		m := message()
		m.Brand, m.Amount, m.Payee, m.Purpose, m.Locale = subject, subject, subject, subject, subject
		before := len(r.Mails())
		if err := r.Send(t.Context(), m); err != nil {
			rt.Fatalf("%v", err)
		}
		mails := r.Mails()
		if len(mails) != before+1 {
			rt.Fatalf("%d mails", len(mails)-before)
		}
		got := mails[before]
		if got.To != to || got.From != from || len(got.Header) != 9 {
			rt.Errorf("to %q from %q with %d fields", got.To, got.From, len(got.Header))
		}
		if strings.ContainsAny(got.Subject, "\r\n\x00\u2028\u2029\u0085\u202e") || utf8.RuneCountInString(got.Subject) > maxSubject {
			rt.Errorf("the subject is %q", got.Subject)
		}
		checkIsolates(rt, got.Subject)
		shown := headerText(got.Subject, maxSubject) // without isolates
		if !strings.HasPrefix(shown, code+" -") || strings.Contains(got.Subject, "=?") {
			rt.Errorf("the subject is %q", got.Subject)
		}
		if got.Text != lines(text) || got.HTML != lines(html) {
			rt.Errorf("the parts are %q and %q", got.Text, got.HTML)
		}
	})
}

// checkIsolates checks that isolates are closed and that no other character reorders or
// hides text.
func checkIsolates(t rapid.TB, text string) {
	t.Helper()
	open := 0
	for _, r := range text {
		switch {
		case string(r) == firstStrongIsolate:
			open++
		case string(r) == popDirectionalIsolate:
			open--
		case unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d':
			t.Errorf("holds %U: %q", r, text)
		}
		if open < 0 || open > 1 {
			break
		}
	}
	if open != 0 {
		t.Errorf("isolates that do not match: %q", text)
	}
}

// The same for the two addresses: an accepted address is the only one in its field.
func TestNothingGetsIntoAddresses(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{Security: smtptest.Plain})
	rapid.Check(t, func(rt *rapid.T) {
		local := rapid.StringMatching(`[a-zA-Z0-9.+=?_%'-]{1,12}`)
		around := rapid.OneOf(rapid.Just(""), rapid.Just(" "), rapid.SampledFrom(hostile))
		named := hostileText()
		if rapid.Bool().Draw(rt, "ordinary") { // so that some are accepted in every run
			around, named = rapid.Just(""), rapid.Just("Acme")
		}
		m := message()
		m.To = around.Draw(rt, "before") + local.Draw(rt, "to") + around.Draw(rt, "middle") + "@home.example" + around.Draw(rt, "after")
		name := named.Draw(rt, "name")
		s, err := New(Options{
			URL: server.URL, Texts: texts(simple),
			From: (&mail.Address{Name: name, Address: local.Draw(rt, "from") + "@acme.example"}).String(),
		})
		if err != nil {
			return
		}
		before := len(server.Mails())
		if s.Send(t.Context(), m) != nil {
			return
		}
		got := server.Mails()[before]
		if want, err := address.ParseEmail(m.To); err != nil || got.To != want.Text || strings.Count(got.To, "@") != 1 || strings.ContainsAny(got.To, " <>,;:\"") || len(got.Header) != 9 {
			rt.Errorf("%q went to %q with %d fields", m.To, got.To, len(got.Header))
		}
		list, err := got.Header.AddressList("From")
		if err != nil || *list[0] != s.from {
			rt.Errorf("%q went out from %v, %v", s.from, list, err)
		}
	})
	if len(server.Mails()) == 0 {
		t.Error("every address was refused, so this test shows nothing")
	}
}
