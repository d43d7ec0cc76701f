package texts

import (
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// The GSM 7 bit default alphabet and its extension table, whose characters take
// two septets (3GPP TS 23.038, 6.2.1).
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡" +
		"ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtended = "\f^{}\\[~]|€"
)

// septets counts the septets of a text. It returns false if a character is not in the GSM
// alphabet.
func septets(text string) (n int, ok bool) {
	for _, r := range text {
		switch {
		case strings.ContainsRune(gsmBasic, r):
			n++
		case strings.ContainsRune(gsmExtended, r):
			n += 2
		default:
			return 0, false
		}
	}
	return n, true
}

// segments is the number of segments that an SMS is billed for: a single one has 160
// septets or 70 units of UCS-2, several have 153 or 67 each.
func segments(text string) int {
	n, ok := septets(text)
	one, each := 160, 153
	if !ok {
		n, one, each = len(utf16.Encode([]rune(text))), 70, 67
	}
	if n <= one {
		return 1
	}
	return (n + each - 1) / each
}

func TestSeptets(t *testing.T) {
	if n := len([]rune(gsmBasic)); n != 127 { // 128 without the escape
		t.Errorf("the alphabet has %d characters", n)
	}
	for text, want := range map[string]int{"": 0, "abc": 3, "€5": 3, "[x]": 5, "Grüße, ñ": 8} {
		if n, ok := septets(text); n != want || !ok {
			t.Errorf("septets(%q) = %d, %v", text, n, ok)
		}
	}
	for _, text := range []string{"ó", "ç", "…", "’", "ş", "α", "\u2068", "\u00a0"} {
		if _, ok := septets(text); ok {
			t.Errorf("%q is not in the GSM alphabet", text)
		}
	}
}

// gsmLanguages are the languages whose SMS texts are in the GSM alphabet.
func gsmLanguages(t *testing.T) (tags []string) {
	t.Helper()
	for _, tag := range embeddedTags() {
		w, _ := embedded(tag)
		all := w.texts["denied"] + w.texts["confirmed"]
		for _, key := range inSMS {
			all += w.sms(key)
		}
		if _, ok := septets(all); ok {
			tags = append(tags, tag)
		}
	}
	return tags
}

// A single letter such as the Spanish ó would double the price of a language's messages.
func TestLanguagesInTheGSMAlphabet(t *testing.T) {
	want := strings.Fields("da de en es fi fr id it nb nl sv")
	if got := gsmLanguages(t); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestSegmentsOfAnSMS(t *testing.T) {
	const host = "accounts.example.com" // 20 characters
	c := load(t, Options{Origin: host})
	gsm := gsmLanguages(t)
	for _, tag := range embeddedTags() {
		for _, canDeny := range []bool{true, false} {
			m := inLanguage(tag, login())
			m.Brand, m.CanDeny = "Acme Savings", canDeny
			other, pay, alert := m, m, m
			other.Purpose = "other"
			pay.Amount, pay.Payee = "EUR 25.00", "Bike Shop"
			alert.Alert, alert.Code = true, ""
			recovery := alert
			recovery.Recovered, recovery.CodesLeft = true, 10

			most := 2
			if slices.Contains(gsm, tag) {
				most = 1
			}
			for _, tc := range []struct {
				name string
				text string
				most int
			}{
				{"login", c.SMS(m), most}, {"other", c.SMS(other), most},
				{"payment", c.SMS(pay), 2}, {"alert", c.SMS(alert), 2}, {"alert of a recovery code", c.SMS(recovery), most},
				{"denied", c.DeniedReply(m), most}, {"confirmed", c.ConfirmedReply(m), 1},
			} {
				if n := segments(tc.text); n > tc.most {
					t.Errorf("%s: %s takes %d segments (%d characters): %q", tag, tc.name, n, len([]rune(tc.text)), tc.text)
				}
			}
		}
	}
}

// A browser reads the code from the last line, on that host only.
func TestR13LastLineIsExactlyHostAndCode(t *testing.T) {
	for _, tc := range []struct {
		o    Options
		want []string // the lines after the text
	}{
		{Options{}, nil},
		{Options{Origin: "example.com"}, []string{"@example.com #482913"}},
		{Options{AppHash: "FA+9qCX9VSu"}, []string{"FA+9qCX9VSu"}},
		{Options{Origin: "example.com", AppHash: "FA+9qCX9VSu"}, []string{"FA+9qCX9VSu", "@example.com #482913"}},
	} {
		c := load(t, tc.o)
		for _, tag := range embeddedTags() {
			m := inLanguage(tag, payment())
			m.Payee, m.Brand = "Shop\n@evil.test #1", "A\r\n@evil.test #2"
			if lines := strings.Split(c.SMS(m), "\n"); !slices.Equal(lines[1:], tc.want) {
				t.Errorf("%s: %q", tag, lines)
			}
			m.Alert, m.Code = true, ""
			for _, m.Recovered = range []bool{false, true} {
				if text := c.SMS(m); strings.Contains(text, "\n") {
					t.Errorf("%s: an alert has a second line: %q", tag, text)
				}
			}
		}
	}
}

// docs returns docs/texts.md.
func docs(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/texts.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// docs/texts.md lists the languages, with the price of a sign-in in each.
func TestDocsNameEveryLanguage(t *testing.T) {
	_, list, _ := strings.Cut(docs(t), "## Languages")
	for _, tag := range embeddedTags() {
		if !strings.Contains(list, "`"+tag+"`") {
			t.Errorf("docs/texts.md does not list %s", tag)
		}
	}
	_, table, _ := strings.Cut(docs(t), "| placeholders |")
	table, rest, _ := strings.Cut(table, "Placeholders that a row has")
	shorter, _, _ := strings.Cut(rest, "makes a shorter text")
	for key, names := range keys {
		_, row, found := strings.Cut(table, "`"+key+"`")
		if !found {
			t.Errorf("docs/texts.md does not explain %s", key)
			continue
		}
		row, _, _ = strings.Cut(row, "\n")
		for _, name := range names {
			if !strings.Contains(row, "`{"+name+"}`") {
				t.Errorf("docs/texts.md does not name {%s} of %s", name, key)
			}
		}
		if strings.Contains(shorter, "`"+key+"`") != slices.Contains(inSMS, key) {
			t.Errorf("docs/texts.md is wrong about sms_%s", key)
		}
	}
}

// The examples in docs/texts.md load, and the second one saves a segment.
func TestExamplesInTheDocs(t *testing.T) {
	parts := strings.Split(docs(t), "```")
	if len(parts) != 5 {
		t.Fatalf("%d parts, want two examples and the text around them", len(parts))
	}
	example := func(i int) string { return strings.TrimPrefix(parts[i], "json\n") }
	c := load(t, Options{Origin: "accounts.example.com", Dir: folder(t, map[string]string{"en.json": example(1), "pt-BR.json": example(3)})})
	m := login()
	if got, want := c.SMS(m), "482913 is the code that opens your Acme account. Valid for 10 min. We never ask for it.\n@accounts.example.com #482913"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	m.Locale, m.Brand, m.CanDeny = "pt-BR", "Acme Savings", true
	if got := c.SMS(m); segments(got) != 1 {
		t.Errorf("%d segments: %q", segments(got), got)
	}
}
