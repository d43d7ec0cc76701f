package texts

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"twofa/internal/notify"
)

func TestPlain(t *testing.T) {
	long := strings.Repeat("x", 10<<10)
	for _, tc := range []struct{ name, in, want string }{
		{"a line of its own", "Shop\r\n\u2028@evil.test #1", "Shop @evil.test #1"},
		{"bidi and zero-width are dropped", "A\u202eB\u2066C\u200bD\U000E0041", "ABCD"},
		{"joiners of a name stay", "می\u200cخواهم", "می\u200cخواهم"},
		{"terminal escapes and invalid UTF-8", "A\x1b[31m\x00\xff\u009bB", "A [31m \uFFFD B"},
		{"spaces", "\u00a0 A\t\u3000B ", "A B"},
		{"10 KB", long, strings.Repeat("x", notify.MaxBrand-1) + "…"},
		{"exactly the limit is not cut", strings.Repeat("é", notify.MaxBrand), strings.Repeat("é", notify.MaxBrand)},
	} {
		if got := plain(tc.in, notify.MaxBrand); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestBreakLinks(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"https://evil.test/a?b": "https: //evil. test/a?b",
		"wa。me wa．me wa｡me":     "wa。 me wa． me wa｡ me",
		"wa․me wa﹒me":           "wa․ me wa﹒ me",
		"EUR 25.00":             "EUR 25.00",
		"IDR 1.234.567.890":     "IDR 1.234.567.890",
		"10.0.0.1":              "10.0.0. 1",
		"pay 1.10.0.0.1/x now":  "pay 1.10.0. 0. 1/x now",
		"1.2.3.":                "1.2.3.",
		"No.5":                  "No.5",
		"a@b.test.":             "a@b. test.",
	} {
		if got := breakLinks(in); got != want {
			t.Errorf("breakLinks(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestIsolate(t *testing.T) {
	for _, tc := range []struct {
		value       string
		rightToLeft bool
		want        bool
	}{
		{"Acme", false, false}, {"EUR 25.00", false, false}, {"パン屋", false, false}, {"חנות 5", false, true}, {"متجر", false, true},
		{"Acme", true, true}, {"25.00 €", true, true}, {"متجر", true, false}, {"חנות", true, false}, {"متجر 5", true, true},
		{"٢٥", false, true}, {"٢٥", true, true}, {"", true, false}, {"!?", true, false},
	} {
		got := isolate(tc.value, tc.rightToLeft)
		if want := map[bool]string{false: tc.value, true: "\u2068" + tc.value + "\u2069"}[tc.want]; got != want {
			t.Errorf("isolate(%q, %v) = %q", tc.value, tc.rightToLeft, got)
		}
	}
}

func TestExpand(t *testing.T) {
	v := values{"a": "{b}", "b": "{a}"}
	for in, want := range map[string]string{
		"": "", "{a}{b}": "{b}{a}", "{c} {a}": "{c} {b}", "{": "{", "}": "}", "{a": "{a", "{{a}}": "{{b}}", "{}": "{}", "x{a}y": "x{b}y",
	} {
		if got := expand(in, v); got != want {
			t.Errorf("expand(%q) = %q, want %q", in, got, want)
		}
	}
}

// hostile texts are made of what moves, hides, links or ends something.
var hostile = rapid.StringOf(rapid.OneOf(
	rapid.Rune(),
	rapid.SampledFrom([]rune("\r\n\t\x00\x1b\u0085\u2028\u2029\u202a\u202e\u2066\u2069\u200b\u200e\ufeff.:/@#ab{}1אب٣")),
))

var withoutLinks = strings.NewReplacer(":", "", ".", "", "\u3002", "", "\uff0e", "", "\uff61", "", "\ufe52", "", "\u2024", "")

// Whatever the free texts hold, in every language: a message keeps its lines,
// begins and ends as it should, is short, and shows nothing that moves or hides
// text or that an app would turn into a link.
func TestAttack9NothingFromOutsideChangesAMessage(t *testing.T) {
	c := load(t, Options{Origin: "example.com", AppHash: "FA+9qCX9VSu"})
	tags := embeddedTags()
	rapid.Check(t, func(t *rapid.T) {
		m := login()
		m.Locale = rapid.SampledFrom(tags).Draw(t, "locale")
		m.CanDeny = rapid.Bool().Draw(t, "canDeny")
		m.Alert = rapid.Bool().Draw(t, "alert")
		m.Recovered, m.CodesLeft = rapid.Bool().Draw(t, "recovered"), rapid.IntRange(0, 10).Draw(t, "codesLeft")
		m.Brand = withoutLinks.Replace(hostile.Draw(t, "brand")) // the operator's own word
		m.Amount, m.Payee = hostile.Draw(t, "amount"), hostile.Draw(t, "payee")
		m.Purpose = rapid.SampledFrom([]string{"login", "x", ""}).Draw(t, "purpose")

		sms := c.SMS(m)
		if !m.Alert {
			rest, ok := strings.CutSuffix(sms, "\nFA+9qCX9VSu\n@example.com #482913")
			if !ok {
				t.Fatalf("the last lines are not ours: %q", sms)
			}
			sms = rest
			if chat := c.Chat(m); !strings.HasPrefix(sms, "482913 ") || !strings.HasPrefix(chat, "482913 ") {
				t.Fatalf("does not begin with the code: %q, %q", sms, chat)
			}
			if ask := c.Ask(m); !strings.HasSuffix(ask, "482913") {
				t.Fatalf("does not end with the code: %q", ask)
			}
		}
		speech, mail := c.Speech(m), mailOf(c, m)
		checkShown(t, sms)
		checkShown(t, c.Chat(m))
		checkShown(t, c.Ask(m))
		checkShown(t, c.DeniedReply(m))
		checkShown(t, c.ConfirmedReply(m))
		checkShown(t, speech.Before)
		checkShown(t, mail.Subject)
		paragraphs := strings.Split(strings.TrimSuffix(mail.Text, "\n"), "\n\n")
		for _, paragraph := range paragraphs {
			checkShown(t, paragraph)
		}
		if n := strings.Count(mail.HTML, "<p "); n != len(paragraphs) {
			t.Fatalf("%d paragraphs of text, %d of HTML: %s", len(paragraphs), n, mail.HTML)
		}
	})
}

// checkShown fails unless a text is one short line in which every isolate is
// closed and nothing looks like a link.
func checkShown(t *rapid.T, text string) {
	t.Helper()
	if n := utf8.RuneCountInString(text); n > 500 || !utf8.ValidString(text) {
		t.Fatalf("%d characters: %q", n, text)
	}
	if strings.Contains(text, "://") {
		t.Fatalf("holds a link: %q", text)
	}
	open := 0
	runes := []rune(text)
	for i, r := range runes {
		switch {
		case r == '\u2068':
			open++
		case r == '\u2069':
			open--
		case unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || r == '\u200b' || r == '\ufeff':
			t.Fatalf("holds %U: %q", r, text)
		}
		if open < 0 || open > 1 {
			t.Fatalf("isolates that do not match: %q", text)
		}
		if strings.ContainsRune(".\uff0e\uff61", r) && i+1 < len(runes) && unicode.IsLetter(runes[i+1]) {
			t.Fatalf("a dot between letters, which apps turn into a link: %q", text)
		}
	}
	if open != 0 {
		t.Fatalf("an isolate stays open: %q", text)
	}
}

// A value whose characters run the other way cannot move the number of minutes
// or what comes after it.
func TestValuesOfTheOtherDirectionAreIsolated(t *testing.T) {
	c := load(t, Options{Origin: "example.com"})
	m := payment()
	m.Payee = "חנות 5"
	if got := c.Chat(m); !strings.Contains(got, "Payee: \u2068חנות 5\u2069. Valid for 10 min.") {
		t.Errorf("%q", got)
	}
	m.Locale = "he"
	if got := c.SMS(m); !strings.Contains(got, "\u2068EUR 25.00\u2069") || strings.ContainsAny(got[strings.Index(got, "\n"):]+got[:7], "\u2068\u2069") {
		t.Errorf("%q", got)
	}
	m = recovered()
	m.Brand = "חנות 5"
	if got := c.Chat(m); !strings.HasPrefix(got, "Security alert from \u2068חנות 5\u2069: ") {
		t.Errorf("%q", got)
	}
	for _, m.Locale = range []string{"ar", "fa", "he", "ur"} {
		m.Brand = "Acme 5"
		for _, got := range []string{c.Chat(m), c.SMS(m)} {
			if strings.Count(got, "\u2068Acme 5\u2069") != 1 || !strings.Contains(got, " 7") { // the number follows the text's direction
				t.Errorf("%s: %q", m.Locale, got)
			}
		}
	}
}
