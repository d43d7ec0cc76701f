package plivo

import (
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/texts"
)

// maxXML is how much XML Plivo reads, in bytes. What gateway.Speak makes is far shorter.
const maxXML = 100 << 10

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

// speak returns the XML of a call.
func speak(s notify.Speech, code string) string {
	begin := "<Speak>"
	if v, ok := voices[s.Language]; ok {
		begin = `<Speak language="` + v.language + `">`
		if v.name != "" {
			begin = `<Speak voice="` + v.name + `" language="` + v.language + `">`
		}
	}
	return gateway.Speak(s, code, begin, `</Speak><Wait length="1"/>`)
}
