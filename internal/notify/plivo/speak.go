package plivo

import (
	"encoding/xml"
	"slices"
	"strings"
	"unicode"

	"twofa/internal/notify"
	"twofa/internal/texts"
)

// Limits of what a call says, in characters unless noted. Plivo reads 100 KB of XML
// at most. With these limits there is far less. A longer text is cut between words.
// A code is never cut: Send refuses a longer one.
const (
	maxXML        = 100 << 10 // bytes
	maxSpokenCode = 16        // bytes
	maxBefore     = 1200
	maxAgain      = 300
	maxAfter      = 500
)

// voice is how Plivo says a language. name is empty for Plivo's usual voice.
type voice struct{ language, name string }

// voices are Plivo's voices by the tags of notify.Speech. Plivo's own voices come
// first; the others are Amazon Polly's.
var voices = map[string]voice{
	"da-DK": {"da-DK", ""}, "de-DE": {"de-DE", ""}, "en-AU": {"en-AU", ""}, "en-GB": {"en-GB", ""}, "en-US": {"en-US", ""},
	"es-ES": {"es-ES", ""}, "es-US": {"es-US", ""}, "fr-CA": {"fr-CA", ""}, "fr-FR": {"fr-FR", ""}, "it-IT": {"it-IT", ""},
	"nl-NL": {"nl-NL", ""}, "pl-PL": {"pl-PL", ""}, "pt-BR": {"pt-BR", ""}, "pt-PT": {"pt-PT", "MAN"}, "ru-RU": {"ru-RU", ""},
	"sv-SE": {"sv-SE", ""},

	"ar-XA": {"arb", "Polly.Zeina"}, "arb": {"arb", "Polly.Zeina"}, "cmn-CN": {"cmn-CN", "Polly.Zhiyu"}, "cmn-TW": {"cmn-CN", "Polly.Zhiyu"},
	"en-IN": {"en-IN", "Polly.Raveena"}, "es-MX": {"es-MX", "Polly.Mia"}, "hi-IN": {"hi-IN", "Polly.Aditi"}, "ja-JP": {"ja-JP", "Polly.Mizuki"},
	"ko-KR": {"ko-KR", "Polly.Seoyeon"}, "nb-NO": {"nb-NO", "Polly.Liv"}, "ro-RO": {"ro-RO", "Polly.Carmen"}, "tr-TR": {"tr-TR", "Polly.Filiz"},
}

// Speech returns what a call for the message says, as the response to a request that
// Question has accepted. If Plivo has no voice for the language, the call
// speaks English. The body holds the code, so it must go to nobody but Plivo.
func (w *Webhooks) Speech(m notify.Message) (contentType string, body []byte) {
	speech := w.texts.Speech(m)
	if _, ok := voices[speech.Language]; !ok {
		m.Locale = texts.English
		speech = w.texts.Speech(m)
	}
	return "text/xml; charset=utf-8", []byte(speak(speech, m.Code))
}

// speak returns the XML of a call. The call says the code one character at a time,
// so that no voice reads it as one large number.
func speak(s notify.Speech, code string) string {
	var b strings.Builder
	open := "<Speak>"
	if v, ok := voices[s.Language]; ok {
		open = `<Speak language="` + v.language + `">`
		if v.name != "" {
			open = `<Speak voice="` + v.name + `" language="` + v.language + `">`
		}
	}
	say := func(text string, limit int) {
		if text = escape(text, limit); text != "" {
			b.WriteString(open + text + `</Speak><Wait length="1"/>`)
		}
	}
	spell := func() {
		for _, r := range code {
			// Some voices read a lower-case letter such as "a" as a word.
			say(string(unicode.ToUpper(r)), maxBefore)
		}
	}

	b.WriteString("<Response>")
	say(s.Before, maxBefore)
	if code != "" {
		spell()
		say(s.Again, maxAgain)
		spell()
		say(s.After, maxAfter)
	}
	b.WriteString("</Response>")
	return b.String()
}

// escape makes a text safe inside an XML element: it turns each run of spaces into
// one space, cuts the text to limit characters, escapes it, and replaces the
// characters that XML cannot hold. The text is cut after a whole word, unless that
// would drop half of it.
func escape(text string, limit int) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > limit {
		cut := runes[:limit]
		for i := range slices.Backward(cut) {
			if cut[i] == ' ' && i > limit/2 {
				cut = cut[:i]
				break
			}
		}
		text = string(cut)
	}
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		panic(err) // writing to a Builder never fails
	}
	return b.String()
}
