package shown_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"twofa/internal/notify"
	"twofa/internal/shown"

	"golang.org/x/text/unicode/norm"
)

// hidden are the characters that reorder, hide or break text, beside the spaces that
// the form folds.
func hidden(r rune) bool {
	joiner := r == '\u200c' || r == '\u200d'
	space := r != ' ' && unicode.IsSpace(r)
	return space || !joiner && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Co, unicode.Zl, unicode.Zp,
		unicode.Bidi_Control, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"", " ", "EUR 25.00", "1\u202f234,50\u00a0€", "\u200f1,234.50\u00a0\u200f₪", "Cafe\u0301", "Café", "\u200e", "Acme\u202ex",
		"a\n@evil.example #123456", "{\u200b{1}\u200d}", "می\u200cخواهم", "അവന്\u200d", "\U0001F469\u200d\U0001F373", "❤\ufe0f",
		"क\u0316\u094d\u200d\u094d", "a" + strings.Repeat("\u0301", 40), "\xff", "\u3164", "\u2800x\u3164", "葛\U000E0100", "\u20c1 5",
		"क\u200c\u0316\u094d\u200d\u093c", "A\u030a", "\u212b", "x\u034fy\u1160", "\U0001F3F4\U000E0067\U000E007F",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		form, fault := shown.Read(text, len(text))
		if form != shown.Form(text) {
			t.Fatalf("%q: Read and Form differ", text)
		}
		if again := shown.Form(form); again != form {
			t.Fatalf("%q has the form %q, whose form is %q", text, form, again)
		}
		if fault != "" {
			return
		}
		if (form == "") != (text == "") || !utf8.ValidString(form) || strings.TrimSpace(form) != form || strings.Contains(form, "  ") {
			t.Fatalf("%q is shown as %q", text, form)
		}
		if i := strings.IndexFunc(form, hidden); i >= 0 {
			t.Fatalf("%q is shown as %q, with %q", text, form, form[i:])
		}
		if got := notify.OneLine(form, len(text)+3); got != form {
			t.Fatalf("%q is bound as %q, but a message has %q", text, form, got)
		}
		if text != "" && !strings.ContainsFunc(form, func(r rune) bool { return r > ' ' && !unicode.Is(unicode.M, r) && r != '\u200c' && r != '\u200d' }) {
			t.Fatalf("%q is shown as %q, which nobody sees", text, form)
		}
		// Other normal forms of the text are the same text, and so is the text with
		// other spaces and with marks that show nothing.
		for name, other := range map[string]string{
			"NFD": norm.NFD.String(text), "no-break spaces": strings.ReplaceAll(text, " ", "\u202f"), "marks": "\u200e " + text + "\u00a0\u200f",
		} {
			if got := shown.Form(other); got != form {
				t.Fatalf("%q is shown as %q, but with %s as %q", text, form, name, got)
			}
		}
	})
}
