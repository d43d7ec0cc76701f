package texts

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/notify"
)

func TestSegments(t *testing.T) {
	if n := len([]rune(gsmBasic)); n != 127 { // 128 without the escape
		t.Errorf("the alphabet has %d characters", n)
	}
	for _, text := range []string{"ó", "ç", "…", "’", "ş", "α", "\u2068", "\u00a0", "\u200f", "\u00fa"} {
		if isGSM(text) {
			t.Errorf("%q is not in the GSM alphabet", text)
		}
	}
	for _, tc := range []struct {
		text string
		want int
	}{
		{"", 1}, {strings.Repeat("a", 160), 1}, {strings.Repeat("a", 161), 2}, {strings.Repeat("ü", 306), 2}, {strings.Repeat("a", 307), 3},
		{strings.Repeat("€", 80), 1}, {strings.Repeat("a", 159) + "€", 2}, {strings.Repeat("a", 158) + "[", 1},
		// A character of two septets is not split: 152 septets are used, then 154.
		{strings.Repeat("a", 152) + "€" + strings.Repeat("a", 152), 3}, {strings.Repeat("a", 151) + "€" + strings.Repeat("a", 153), 2},
		{strings.Repeat("ó", 70), 1}, {strings.Repeat("ó", 71), 2}, {strings.Repeat("ó", 134), 2}, {strings.Repeat("ó", 135), 3},
		{"ó" + strings.Repeat("a", 69), 1}, {"ó" + strings.Repeat("€", 69), 1}, {strings.Repeat("ó", 69) + "🙂", 2},
		{strings.Repeat("🙂", 35), 1}, {strings.Repeat("🙂", 36), 2}, {strings.Repeat("🙂", 66), 2}, {strings.Repeat("🙂", 67), 3},
	} {
		if got := segments(tc.text); got != tc.want {
			t.Errorf("%d segments, want %d: %q", got, tc.want, tc.text)
		}
	}
}

func isGSM(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return septets(r) == 0 })
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
		if isGSM(all) {
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

// In every language, a sign-in that can be denied also says to share the code with
// nobody, within the segments that it takes anyway. The validity is there if it fits.
func TestAnSMSKeepsSecretAndDeny(t *testing.T) {
	c := load(t, Options{Origin: "accounts.example.com"})
	withValidity := strings.Fields("ar bn da en es fi fr he id it ja ko nb nl sv zh-Hans zh-Hant")
	for _, tag := range embeddedTags() {
		m := inLanguage(tag, login())
		m.Brand, m.CanDeny = "Acme Savings", true
		w, _ := embedded(tag)
		sms := c.SMS(m)
		if !strings.Contains(sms, w.sms("secret")) || !strings.Contains(sms, w.sms("deny")) {
			t.Errorf("%s: %q", tag, sms)
		}
		valid := expand(w.sms("valid"), values{"minutes": "10"})
		if has := strings.Contains(sms, valid); has != slices.Contains(withValidity, tag) {
			t.Errorf("%s: the validity is there: %v: %q", tag, has, sms)
		}
		m.CanDeny = false
		if sms := c.SMS(m); !strings.Contains(sms, w.sms("secret")) || strings.Contains(sms, w.sms("deny")) {
			t.Errorf("%s: without a way to deny: %q", tag, sms)
		}
	}
}

// For all brands and payees, an SMS has every sentence that it must have, in the order
// of a chat message, and each other one exactly if it needs no further segment.
func TestAnSMSFillsItsSegments(t *testing.T) {
	c := load(t, Options{Origin: "accounts.example.com"})
	tags := embeddedTags()
	rapid.Check(t, func(t *rapid.T) {
		m := inLanguage(rapid.SampledFrom(tags).Draw(t, "locale"), login())
		m.Brand = strings.Repeat("x", rapid.IntRange(1, 40).Draw(t, "brand"))
		m.Payee = strings.Repeat(rapid.SampledFrom([]string{"y", "ó", "א"}).Draw(t, "letter"), rapid.IntRange(0, 60).Draw(t, "payee"))
		m.CanDeny = rapid.Bool().Draw(t, "canDeny")
		m.ValidFor = rapid.SampledFrom([]time.Duration{10 * time.Minute, time.Hour, 5 * time.Hour}).Draw(t, "validFor")
		w := c.wording(m.Locale)
		s := w.subjectOf(m, true)
		sentence := func(key string) string { return expand(w.sms(key), s.values) }

		line, end, cut := strings.Cut(c.SMS(m), "\n")
		if !cut || end != "@accounts.example.com #482913" {
			t.Fatalf("the last line is %q", end)
		}
		must, optional := append([]string{"code_" + s.kind}, s.parts...), []string{"secret", s.valid}
		if m.CanDeny {
			must = append(must, "deny")
		} else {
			must, optional = append(must, "secret"), optional[1:]
		}
		least, from := "", 0
		for i, key := range must {
			at := strings.Index(line[from:], sentence(key))
			if at < 0 {
				t.Fatalf("%s is missing or not in order: %q", key, line)
			}
			if from += at; i == 0 {
				least = sentence(key)
			} else {
				least = join(least, sentence(key))
			}
		}
		most := segments(least + "\n" + end)
		if segments(line+"\n"+end) != most {
			t.Fatalf("%d segments, %d are enough: %q", segments(line+"\n"+end), most, line)
		}
		for _, key := range optional {
			longer := join(least, sentence(key))
			fits := segments(longer+"\n"+end) <= most
			if strings.Contains(line, sentence(key)) != fits {
				t.Fatalf("%s fits: %v, but: %q", key, fits, line)
			}
			if fits {
				least = longer
			}
		}
	})
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

// The table of languages in docs/texts.md has the true numbers, voices and words.
func TestTableOfLanguages(t *testing.T) {
	c := load(t, Options{Origin: "accounts.example.com"})
	gsm := gsmLanguages(t)
	_, table, _ := strings.Cut(docs(t), "## Languages")
	for _, tag := range embeddedTags() {
		_, row, _ := strings.Cut(table, "| `"+tag+"` | ")
		row, _, _ = strings.Cut(row, "\n")
		most := func(m notify.Message) string {
			m = inLanguage(tag, m)
			m.Brand = "Acme Savings"
			without := segments(c.SMS(m))
			m.CanDeny = true
			return strconv.Itoa(max(without, segments(c.SMS(m))))
		}
		w, _ := embedded(tag)
		alphabet, voice := "UCS-2", cmp.Or(w.voice, "none, English is spoken")
		if slices.Contains(gsm, tag) {
			alphabet = "GSM"
		}
		for _, v := range regionalVoices[w.voice] {
			if !strings.Contains(voice, v.voice) {
				voice += ", " + v.voice
			}
		}
		cells := strings.Split(row, " | ")
		want := []string{alphabet, most(login()), most(payment()), voice}
		if len(cells) != 6 || !slices.Equal(cells[1:5], want) || fold(cells[5]) != fold(w.denials[0]) {
			t.Errorf("%s: %q, want %q and %q", tag, cells, want, w.denials[0])
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
	if got, want := c.SMS(m), "482913 is the code that opens your Acme account. Expires in 10 min. We never ask for it.\n@accounts.example.com #482913"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	m.Locale, m.Brand, m.CanDeny = "pt-BR", "Acme Savings", true
	if got := c.SMS(m); segments(got) != 1 {
		t.Errorf("%d segments: %q", segments(got), got)
	}
}
