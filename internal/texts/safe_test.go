package texts

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"twofa/internal/notify"
)

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

// hostile texts have characters that reorder, hide, link or end text.
var hostile = rapid.StringOf(rapid.OneOf(
	rapid.Rune(),
	rapid.SampledFrom([]rune("\r\n\t\x00\x1b\u0085\u2028\u2029\u202a\u202e\u2066\u2069\u200b\u200e\ufeff.:/@#ab{}1אب٣")),
))

var withoutLinks = strings.NewReplacer(":", "", ".", "", "\u3002", "", "\uff0e", "", "\uff61", "", "\ufe52", "", "\u2024", "")

// For all values from outside and in every language, a message keeps its lines, begins
// and ends correctly, is short, and has nothing that reorders or hides text or that an
// app would turn into a link.
func TestAttack9NothingFromOutsideChangesAMessage(t *testing.T) {
	c := load(t, Options{Origin: "example.com", AppHash: "FA+9qCX9VSu"})
	tags := embeddedTags()
	rapid.Check(t, func(t *rapid.T) {
		m := login()
		m.Locale = rapid.SampledFrom(tags).Draw(t, "locale")
		m.CanDeny = rapid.Bool().Draw(t, "canDeny")
		m.Alert = rapid.Bool().Draw(t, "alert")
		m.Recovered, m.CodesLeft = rapid.Bool().Draw(t, "recovered"), rapid.IntRange(0, 10).Draw(t, "codesLeft")
		m.Notice = rapid.SampledFrom(append(notices, "")).Draw(t, "notice")
		m.Event = rapid.SampledFrom(append(slices.Clone(notify.Events), "", "")).Draw(t, "event")
		m.Place, m.Device = hostile.Draw(t, "place"), hostile.Draw(t, "device")
		m.Brand = withoutLinks.Replace(hostile.Draw(t, "brand")) // set by the operator
		m.Amount, m.Payee = hostile.Draw(t, "amount"), hostile.Draw(t, "payee")
		m.Purpose = rapid.SampledFrom([]string{"login", "x", ""}).Draw(t, "purpose")

		sms := c.SMS(m)
		if !m.Alert {
			rest, ok := strings.CutSuffix(sms, "\nFA+9qCX9VSu\n@example.com #482913")
			if !ok {
				t.Fatalf("the last lines are wrong: %q", sms)
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
		paragraphs := strings.Split(strings.TrimSuffix(mail.Text, "\n"), "\n\n")
		for _, text := range append(paragraphs, sms, c.Chat(m), c.Ask(m), c.DeniedReply(m), c.ConfirmedReply(m), speech.Before, mail.Subject) {
			checkShown(t, text)
		}
		if n := strings.Count(mail.HTML, "<p "); n != len(paragraphs) {
			t.Fatalf("%d paragraphs of text, %d of HTML: %s", len(paragraphs), n, mail.HTML)
		}
	})
}

// checkShown checks that a text is one short line in which all isolates are closed and
// nothing looks like a link.
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
		t.Fatalf("an isolate is not closed: %q", text)
	}
}

// A value with characters of the other direction cannot reorder the number of minutes or
// the text after it.
func TestValuesOfTheOtherDirectionAreIsolated(t *testing.T) {
	c := load(t, Options{Origin: "example.com"})
	m := payment()
	m.Payee = "חנות 5"
	if got := c.Chat(m); !strings.Contains(got, "Payee: \u2068חנות 5\u2069. Expires in 10 min.") {
		t.Errorf("%q", got)
	}
	m.Locale = "he"
	if got := c.SMS(m); !strings.Contains(got, "\u2068EUR 25.00\u2069") || strings.ContainsAny(got[strings.Index(got, "\n"):]+got[:7], "\u2068\u2069") {
		t.Errorf("%q", got)
	}
	m = recovered()
	m.Brand = "חנות 5"
	if got := c.Chat(m); !strings.HasPrefix(got, "\u2068חנות 5\u2069 security alert: ") {
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

// The groups of a number keep their places beside right-to-left letters and digits.
func TestGroupsOfANumberKeepTheirPlaces(t *testing.T) {
	for amount, want := range map[string]string{
		"1 234 567,50 د.م.": "\u20681\u00a0234\u00a0567,50 د. م.\u2069",
		"٢ ٤٥٠ ر.س.":        "\u2068٢\u00a0٤٥٠ ر. س.\u2069",
		"1 234 ₪ שקל":       "\u20681\u00a0234 ₪ שקל\u2069",
		"١ ٢٣٤":             "\u2068١\u00a0٢٣٤\u2069",
		"ریال ۱ ۲۳۴":        "\u2068ریال ۱\u00a0۲۳۴\u2069",
		"1 234,50 EUR":      "\u20681 234,50 EUR\u2069",
	} {
		for _, locale := range []string{"ar", "he", "fa"} {
			m := payment()
			m.Locale, m.Amount = locale, amount
			if got := load(t, Options{}).Chat(m); !strings.Contains(got, want) {
				t.Errorf("%s: %+q, want %+q in it", locale, got, want)
			}
		}
	}
}
