package plivo

import (
	"encoding/xml"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/plivotest"
	"twofa/internal/texts"
)

// spoken is the XML that Plivo reads.
type spoken struct {
	XMLName xml.Name `xml:"Response"`
	Speak   []struct {
		Voice    string `xml:"voice,attr"`
		Language string `xml:"language,attr"`
		Text     string `xml:",chardata"`
		Inner    string `xml:",innerxml"`
	}
	Wait []struct {
		Length string `xml:"length,attr"`
	}
}

func parse(t fixture.TB, document string) spoken {
	t.Helper()
	var s spoken
	if err := xml.Unmarshal([]byte(document), &s); err != nil {
		t.Fatalf("%v in %s", err, document)
	}
	return s
}

func TestSpeak(t *testing.T) {
	const hostile = `</Speak><Dial>1900</Dial> "A" & 'B' ]]> <!-- ` + "\x00\x1b\xff\n{{1}}"
	const harmless = "</Speak><Dial>1900</Dial> \"A\" & 'B' ]]> <!-- \uFFFD\uFFFD\uFFFD {{1}}"
	long := strings.Repeat("word & ", 1000)
	for name, tc := range map[string]struct {
		speech notify.Speech
		code   string
		want   []string
	}{
		"all":            {notify.Speech{Language: "de-DE", Before: "Ihr Code:", Again: "Noch einmal:", After: "Auf Wiederhören."}, "4z7", []string{"Ihr Code:", "4", "Z", "7", "Noch einmal:", "4", "Z", "7", "Auf Wiederhören."}},
		"code alone":     {notify.Speech{Language: "en-US"}, "12", []string{"1", "2", "1", "2"}},
		"blank parts":    {notify.Speech{Language: "en-US", Before: " ", Again: "\n", After: ""}, "12", []string{"1", "2", "1", "2"}},
		"code in groups": {notify.Speech{Language: "en-US"}, "1 2", []string{"1", "2", "1", "2"}},
		"alert":          {notify.Speech{Language: "en-US", Before: "Look out.", Again: "x", After: "y"}, "", []string{"Look out."}},
		"hostile":        {notify.Speech{Language: "en-US", Before: hostile, Again: hostile, After: hostile}, "<&", []string{harmless, "<", "&", harmless, "<", "&", harmless}},
		"long": {notify.Speech{Language: "en-US", Before: long, Again: long, After: long}, "12", []string{
			strings.Repeat("word & ", 108) + "word &", "1", "2", strings.Repeat("word & ", 26) + "word &", "1", "2", strings.Repeat("word & ", 45) + "word",
		}},
		"long and without spaces": {notify.Speech{Language: "en-US", Before: strings.Repeat("語", 2000)}, "1", []string{strings.Repeat("語", 1200), "1", "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := parse(t, speak(tc.speech, tc.code))
			var got []string
			for _, say := range s.Speak {
				got = append(got, say.Text)
				if strings.Contains(say.Inner, "<") {
					t.Errorf("an element inside Speak: %s", say.Inner)
				}
				if say.Language != tc.speech.Language || say.Voice != "" {
					t.Errorf("language %q, voice %q", say.Language, say.Voice)
				}
			}
			if strings.Join(got, "|") != strings.Join(tc.want, "|") {
				t.Errorf("says\n %q\nwant\n %q", got, tc.want)
			}
			if len(s.Wait) != len(s.Speak) || s.Wait[0].Length != "1" {
				t.Errorf("%v pauses for %d texts", s.Wait, len(s.Speak))
			}
		})
	}
	for language, want := range map[string][2]string{
		"en-GB": {"en-GB", ""}, "pt-PT": {"pt-PT", "MAN"}, "hi-IN": {"hi-IN", "Polly.Aditi"}, "ar-XA": {"arb", "Polly.Zeina"}, "cmn-TW": {"cmn-CN", "Polly.Zhiyu"},
		"": {}, "xx-XX": {}, "de-de": {}, `de"><Dial>`: {},
	} {
		if got := parse(t, speak(notify.Speech{Language: language}, "1")).Speak[0]; got.Language != want[0] || got.Voice != want[1] {
			t.Errorf("language %q became %+v", language, got)
		}
	}
}

// For all texts and codes that Send accepts, the document is what the double accepts, short
// enough, and says the whole code twice.
func TestSpeakProperty(t *testing.T) {
	text := rapid.OneOf(
		rapid.String(),
		rapid.StringN(0, 3000, -1),
		rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.SampledFrom([]string{`"`, "'&", "<>\t", "😀", "\x00", "a ", "&amp;"}).Draw(t, "unit"), rapid.IntRange(0, 3000).Draw(t, "times"))
		}),
	)
	rapid.Check(t, func(t *rapid.T) {
		speech := notify.Speech{Language: text.Draw(t, "language"), Before: text.Draw(t, "before"), Again: text.Draw(t, "again"), After: text.Draw(t, "after")}
		code := rapid.StringMatching(`[2-9A-HJ-NP-Z]{4,16}`).Draw(t, "code")
		document := speak(speech, code)
		said, ok := plivotest.Spoken(document)
		if !ok || len(document) > maxXML/2 {
			t.Fatalf("%d bytes, a document: %t", len(document), ok)
		}
		want := strings.Join(strings.Split(strings.ToUpper(code), ""), " ")
		if strings.Count(said, want) < 2 {
			t.Fatalf("the code %q is not said twice in %q", want, said)
		}
	})
	worst := strings.Repeat(`"`, 5000)
	if n := len(speak(notify.Speech{Language: "cmn-CN", Before: worst, Again: worst, After: worst}, strings.Repeat(`"`, gateway.MaxSpokenCode))); n > maxXML/2 {
		t.Errorf("%d bytes", n)
	}
}

// If Plivo has no voice for a language, the call speaks English instead of reading the
// text in a foreign voice.
func TestAnswerInALanguageWithoutAVoice(t *testing.T) {
	hooks := webhooks(t)
	m := tracked()
	m.Locale = "xx"
	contentType, body := hooks.Speech(m)
	if got := parse(t, string(body)).Speak[0]; contentType != "text/xml; charset=utf-8" || got.Language != "en-GB" {
		t.Errorf("%s, %+v", contentType, got)
	}
	// The real texts: each language has its own voice or English.
	catalogue, err := texts.Load(texts.Options{})
	if err != nil {
		t.Fatal(err)
	}
	hooks = webhooks(t, func(o *Options) { o.Texts = catalogue })
	for locale, want := range map[string]string{"de": "de-DE", "pt-PT": "pt-PT", "en-AU": "en-AU", "hi": "hi-IN", "fi": "en-US", "he": "en-US", "zh-HK": "en-US", "zh-TW": "cmn-CN", "": "en-US"} {
		m.Locale = locale
		_, body := hooks.Speech(m)
		if got := parse(t, string(body)).Speak[0]; got.Language != want {
			t.Errorf("%s: %+v, want %s", locale, got, want)
		}
	}
}
