package locale_test

import (
	"regexp"
	"strings"
	"testing"

	"golang.org/x/text/language"
	"pgregory.net/rapid"

	"twofa/internal/locale"
)

func TestRead_TakesTheLongestBeginningThatIsATag(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		// Tags, in any case and with either separator.
		"en": "en", "EN": "en", "en-us": "en-US", "en_US": "en-US", "EN_us": "en-US", "zh-hant-hk": "zh-Hant-HK", "zh_Hans_CN": "zh-Hans-CN", "es-419": "es-419",
		"fil-PH": "fil-PH", "de-CH-1996": "de-CH-1996", "sl-rozaj-biske": "sl-rozaj-biske", "zh-cmn-Hans-CN": "zh-cmn-Hans-CN", "sr-Latn-RS": "sr-Latn-RS",
		"zh-Hant-HK-x-private": "zh-Hant-HK-x-private", "en-US-u-CA-gregory": "en-US-u-ca-gregory", "th-TH-u-ca-buddhist-nu-thai": "th-TH-u-ca-buddhist-nu-thai", "en-x-a-b": "en-x-a-b",
		// POSIX, Apple, Java, ICU.
		"de_DE.UTF-8": "de-DE", "de_DE@euro": "de-DE", "ca_ES.ISO-8859-15@euro": "ca-ES", "sr_RS@latin": "sr-RS", "en_US_POSIX": "en-US-posix", "en_US@calendar=gregorian": "en-US",
		"zh-Hans_CN": "zh-Hans-CN", "no_NO_NY": "no-NO-NY", "iw_IL": "iw-IL", "C": "", "C.UTF-8": "", "POSIX": "",
		// Whole headers and lists.
		"fr-CH, fr;q=0.9, en;q=0.8, *;q=0.5": "fr-CH", "de;q=0.7": "de", "pt_BR:pt:en": "pt-BR", "ja,en": "ja",
		// As people paste and programs quote.
		" en-GB\n": "en-GB", "\ufeffen-GB": "en-GB", `"nl-NL"`: "nl-NL", "'nl'": "nl", "en\u2011US": "en-US", "en\u2013US": "en-US", "\u200een-US\u200f": "en-US",
		"": "",
	} {
		if got, whole := locale.Read(text); got != want || !whole {
			t.Errorf("%q is read as %q, %t, want %q, true", text, got, whole, want)
		}
	}
	for text, want := range map[string]string{
		"zh_TW_#Hant": "zh-TW", "th_TH_TH_#u-nu-thai": "th-TH-TH", "en-": "en", "en--US": "en", "en-US-": "en-US", "en US": "en", "en/US": "en", "en-verylongpart": "en",
		"zh-Hant-HK-x": "zh-Hant-HK", "en-u": "en", "en-a-b-c": "en", "en-US-x-privateuse-abcdefgh-ijklmnop": "en-US",
		"de-CH-1996-u-co-phonebk-x-verylong-more-andmore": "de-CH-1996-u-co-phonebk-x-verylong", "en" + strings.Repeat("-x", 17): "en-x" + strings.Repeat("-x", 15),
		"en-\u202eSU": "en", "en\nBcc: x": "en", "en\x00": "en", "en{{1}}": "en",
		"?": "", "-": "", "_": "", "e": "", "x-private": "", "i-klingon": "", "english": "", "Deutsch": "", "garbage": "", "garbage_in": "", "undefined": "", "null": "", "[object Object]": "",
		"_US": "", "1": "", "12": "", "d3": "", "de1": "", "root": "", "*": "", "$LANG": "", "日本語": "", "\u0435\u043d": "", "\xff\xfe": "", "+14155550123": "", strings.Repeat("a", 5000): "",
	} {
		if got, whole := locale.Read(text); got != want || whole {
			t.Errorf("%q is read as %q, %t, want %q, false", text, got, whole, want)
		}
	}
}

var tagForm = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{1,8})*$`)

// wantTag fails unless a tag has the form that is stored, and is read as itself.
func wantTag(t interface{ Fatalf(string, ...any) }, text, tag string) {
	if tag == "" {
		return
	}
	again, whole := locale.Read(tag)
	if !tagForm.MatchString(tag) || len(tag) > locale.Max || again != tag || !whole {
		t.Fatalf("%q is read as %q, and that as %q, %t", text, tag, again, whole)
	}
}

func TestRead_EveryTagIsReadInEverySpelling(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tag := rapid.StringMatching(`[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2}|-[0-9]{3})?(-[a-z]{5,8}){0,2}`).Draw(t, "tag")
		other := strings.ReplaceAll(rapid.SampledFrom([]string{tag, strings.ToUpper(tag), strings.ToLower(tag)}).Draw(t, "case"), "-", rapid.SampledFrom([]string{"-", "_", "\u2010"}).Draw(t, "separator"))
		other += rapid.SampledFrom([]string{"", ".UTF-8", "@euro", ", en;q=0.5", ";q=1", " "}).Draw(t, "suffix")
		if got, whole := locale.Read(other); got != tag || !whole {
			t.Fatalf("%q is read as %q, %t, want %q", other, got, whole, tag)
		}
		wantTag(t, tag, tag)
	})
}

func TestIsKnown(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]bool{"en": true, "de-DE": true, "no": true, "iw-IL": true, "yue": true, "tlh": true, "": false, "und": false, "und-DE": false, "xx": false, "zz-ZZ": false, "mul": false, "zxx": false} {
		if got := locale.IsKnown(tag); got != want {
			t.Errorf("%q: %t", tag, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"en_US", "zh-Hant-HK-x-private", "de_DE.UTF-8@euro", "C", "fr-CH, fr;q=0.9", "en-x", "\ufeffen", "en\u2011US", "en-a-b-c-d", "\xff", "x-y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tag, _ := locale.Read(text)
		wantTag(t, text, tag)
		_, _ = language.Parse(tag) // must not panic
		locale.IsKnown(tag)
	})
}
