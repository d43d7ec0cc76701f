package twilio

import (
	"encoding/xml"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"

	"pgregory.net/rapid"

	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/testing/fixture"
)

// spoken is the TwiML that Twilio reads.
type spoken struct {
	XMLName xml.Name `xml:"Response"`
	Say     []struct {
		Language string `xml:"language,attr"`
		Text     string `xml:",chardata"`
		Inner    string `xml:",innerxml"`
	}
	Pause []struct{}
}

func parse(t fixture.TB, twiml string) spoken {
	t.Helper()
	var s spoken
	if err := xml.Unmarshal([]byte(twiml), &s); err != nil {
		t.Fatalf("%v in %s", err, twiml)
	}
	return s
}

func TestTwiML(t *testing.T) {
	const hostile = `</Say><Dial>+1900</Dial> "A" & 'B' ]]> <!-- ` + "\x00\x1b\xff\n{{1}}"
	long := strings.Repeat("word & ", 1000)
	for name, tc := range map[string]struct {
		speech notify.Speech
		code   string
		want   []string
	}{
		"all":            {notify.Speech{Language: "de-DE", Before: "Ihr Code:", Again: "Noch einmal:", After: "Auf Wiederhören."}, "4z7", []string{"Ihr Code:", "4", "Z", "7", "Noch einmal:", "4", "Z", "7", "Auf Wiederhören."}},
		"code alone":     {notify.Speech{}, "12", []string{"1", "2", "1", "2"}},
		"blank parts":    {notify.Speech{Before: " ", Again: "\n", After: ""}, "12", []string{"1", "2", "1", "2"}},
		"code in groups": {notify.Speech{}, "1 2", []string{"1", "2", "1", "2"}},
		"alert":          {notify.Speech{Before: "Look out.", Again: "x", After: "y"}, "", []string{"Look out."}},
		"hostile": {notify.Speech{Before: hostile, Again: hostile, After: hostile}, "<&", []string{
			"</Say><Dial>+1900</Dial> \"A\" & 'B' ]]> <!-- \uFFFD\uFFFD\uFFFD {{1}}", "<", "&",
			"</Say><Dial>+1900</Dial> \"A\" & 'B' ]]> <!-- \uFFFD\uFFFD\uFFFD {{1}}", "<", "&",
			"</Say><Dial>+1900</Dial> \"A\" & 'B' ]]> <!-- \uFFFD\uFFFD\uFFFD {{1}}",
		}},
		"long": {notify.Speech{Before: long, Again: long, After: long}, "12", []string{
			strings.Repeat("word & ", 108) + "word &", "1", "2", strings.Repeat("word & ", 26) + "word &", "1", "2", strings.Repeat("word & ", 45) + "word",
		}},
		"long and without spaces": {notify.Speech{Before: strings.Repeat("語", 2000)}, "1", []string{strings.Repeat("語", 1200), "1", "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := parse(t, callTwiML(tc.speech, tc.code))
			var got []string
			for _, say := range s.Say {
				got = append(got, say.Text)
				if strings.Contains(say.Inner, "<") {
					t.Errorf("an element inside Say: %s", say.Inner)
				}
				if say.Language != tc.speech.Language {
					t.Errorf("language %q", say.Language)
				}
			}
			if strings.Join(got, "|") != strings.Join(tc.want, "|") {
				t.Errorf("says\n %q\nwant\n %q", got, tc.want)
			}
			if len(s.Pause) != len(s.Say) {
				t.Errorf("%d pauses for %d texts", len(s.Pause), len(s.Say))
			}
		})
	}
	for language, want := range map[string]string{
		"de-DE": "de-DE", "arb": "arb", "": "", `de"><Dial>`: "", "de DE": "", "de_DE": "", strings.Repeat("a", 17): "", "dé": "",
	} {
		if got := parse(t, callTwiML(notify.Speech{Language: language}, "1")).Say[0].Language; got != want {
			t.Errorf("language %q became %q", language, got)
		}
	}
}

// For all texts and codes that Send accepts, the TwiML is XML, short enough, and says
// the whole code twice.
func TestTwiMLProperty(t *testing.T) {
	text := rapid.OneOf(
		rapid.String(),
		rapid.StringN(0, 3000, -1),
		rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "bytes")) }),
		rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.SampledFrom([]string{`"`, "'&", "<>\t", "😀", "\x00", "a ", "&amp;"}).Draw(t, "unit"), rapid.IntRange(0, 3000).Draw(t, "times"))
		}),
	)
	rapid.Check(t, func(t *rapid.T) {
		speech := notify.Speech{Language: text.Draw(t, "language"), Before: text.Draw(t, "before"), Again: text.Draw(t, "again"), After: text.Draw(t, "after")}
		if rapid.Bool().Draw(t, "a language") {
			speech.Language = rapid.StringMatching(`[a-zA-Z-]{1,16}`).Draw(t, "tag")
		}
		code := rapid.OneOf(rapid.StringMatching(`[2-9A-HJ-NP-Z]{4,16}`), rapid.StringN(0, -1, gateway.MaxSpokenCode), rapid.SampledFrom([]string{`""""""""""""""""`, "\x00\x00\x00"})).Draw(t, "code")
		twiml := callTwiML(speech, code)
		if n := len(utf16.Encode([]rune(twiml))); n >= maxTwiML {
			t.Fatalf("%d characters", n)
		}
		s := parse(t, twiml)
		all := ""
		for _, say := range s.Say {
			if strings.Contains(say.Inner, "<") {
				t.Fatalf("an element inside Say: %s", say.Inner)
			}
			all += say.Text
		}
		want := ""
		for _, r := range code {
			if !unicode.IsSpace(r) {
				want += asXML(unicode.ToUpper(r))
			}
		}
		if n := strings.Count(all, want); want != "" && n < 2 && !strings.Contains(all, want+want) {
			t.Fatalf("the code %q is said %d times in %q", want, n, all)
		}
	})
}

// asXML is the character that an XML parser returns.
func asXML(r rune) string {
	if r == 0x09 || r == 0x0A || r == 0x0D || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 {
		return string(r)
	}
	return "\uFFFD"
}

func TestTwiMLIsNeverTooLong(t *testing.T) {
	worst := strings.Repeat(`"`, 5000)
	n := len(callTwiML(notify.Speech{Language: "aaaaaaaaaaaaaaaa", Before: worst, Again: worst, After: worst}, strings.Repeat(`"`, gateway.MaxSpokenCode)))
	if n >= maxTwiML {
		t.Errorf("%d characters", n)
	}
	t.Logf("%d characters at most", n)
}
