package texts

import (
	"sync"

	"golang.org/x/text/language"
)

// regionalVoices are the voices of a language by its embedded voice, which comes
// first. All are on Twilio's list of voices for <Say>.
var regionalVoices = map[string][]regionalVoice{
	"en-US":  {{"en-US", "en-US"}, {"en-CA", "en-US"}, {"en-PH", "en-US"}, {"en-GB", "en-GB"}, {"en-AU", "en-AU"}, {"en-IN", "en-IN"}},
	"es-ES":  {{"es-ES", "es-ES"}, {"es-419", "es-US"}},
	"fr-FR":  {{"fr-FR", "fr-FR"}, {"fr-CA", "fr-CA"}},
	"cmn-TW": {{"zh-TW", "cmn-TW"}, {"zh-HK", "yue-HK"}, {"zh-MO", "yue-HK"}},
}

// regionalVoice is the voice for a region. The library chooses the nearest region:
// it knows that New Zealand's English is nearer to Australia's than to America's.
type regionalVoice struct{ locale, voice string }

// voiceMatchers are built on first use.
var voiceMatchers = func() map[string]func() language.Matcher {
	matchers := make(map[string]func() language.Matcher, len(regionalVoices))
	for voice, regional := range regionalVoices {
		matchers[voice] = sync.OnceValue(func() language.Matcher {
			tags := make([]language.Tag, len(regional))
			for i, v := range regional {
				tags[i] = language.MustParse(v.locale)
			}
			return language.NewMatcher(tags)
		})
	}
	return matchers
}()

// regionalVoice returns the tag of the voice for a locale's region.
func (w *wording) regionalVoice(locale string) string {
	match, ok := voiceMatchers[w.voice]
	tag, parsed := parseLocale(locale)
	if !ok || !parsed || w.ownVoice {
		return w.voice
	}
	if base, _ := tag.Base(); base.String() == "yue" {
		return "yue-HK" // reached for traditional characters only, which Cantonese readers get
	}
	_, i, confidence := match().Match(tag)
	if confidence == language.No {
		return w.voice
	}
	return regionalVoices[w.voice][i].voice
}
