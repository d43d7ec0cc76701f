package texts

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"twofa/internal/notify"
)

func FuzzLanguage(f *testing.F) {
	for _, seed := range []string{"", "de", "zh-Hant-HK", "sr-Latn", "i-klingon", "x-a", "de_DE", "en-u-rg-gbzzzz", "und-Arab", "a-", "-", "zh-cmn-hans-cn", "\xff"} {
		f.Add(seed)
	}
	c := load(f, Options{})
	f.Fuzz(func(t *testing.T, locale string) {
		tag := c.Language(locale)
		if _, known := c.wordings[tag]; !known {
			t.Fatalf("Language(%q) = %q", locale, tag)
		}
		if again := c.Language(tag); again != tag {
			t.Fatalf("Language(%q) = %q, Language(%q) = %q", locale, tag, tag, again)
		}
		m := notify.Message{Code: "482913", Brand: "Acme", Purpose: "login", Locale: locale, ValidFor: time.Minute}
		if chat := c.Chat(m); !strings.HasPrefix(chat, "482913 ") || !strings.Contains(chat, "Acme") {
			t.Fatalf("Chat for %q: %q", locale, chat)
		}
	})
}

func FuzzDenies(f *testing.F) {
	for _, seed := range []string{"no", "NO!", "no problem", "Nein, das war ich nicht", "いいえ", "n\u0303o", "\xff", "İ", "ＮＯ", "🏳️‍🌈 no"} {
		f.Add("de", seed)
	}
	c := load(f, Options{})
	f.Fuzz(func(t *testing.T, locale, text string) {
		folded := fold(text)
		if again := fold(folded); again != folded {
			t.Fatalf("fold(%q) = %q, then %q", text, folded, again)
		}
		if !utf8.ValidString(folded) {
			t.Fatalf("fold(%q) = %q", text, folded)
		}
		if !c.Denies(locale, text) {
			return
		}
		if strings.ContainsAny(folded, "0123456789") || len(text) > longestReply {
			t.Fatalf("Denies(%q, %q)", locale, text)
		}
		if len(text)+3 <= longestReply && !c.Denies(locale, " "+text+"! ") {
			t.Fatalf("Denies(%q, %q), but not with an exclamation mark", locale, text)
		}
	})
}

func FuzzExpand(f *testing.F) {
	f.Add("{code} of {brand}", "{brand}", "}{")
	f.Add("{{code}}{", "x", "{code}")
	f.Add("}{code", "\xff", "")
	f.Add("{brand}. {code}", "482913", "Shop Ltd.")
	f.Fuzz(func(t *testing.T, text, code, brand string) {
		got := expand(text, values{"code": code, "brand": brand})
		names, ok := placeholders(text)
		if !ok {
			return
		}
		// The length of the result is known: each placeholder is replaced once, and the
		// values are not expanded. A stop after a value that ends a sentence is left out.
		ends := func(value string) bool {
			last, _ := utf8.DecodeLastRuneInString(strings.TrimSuffix(value, popDirectionalIsolate))
			return strings.ContainsRune(sentenceEnds, last)
		}
		if ends(code) || ends(brand) {
			return
		}
		want := len(text)
		for _, name := range names {
			switch name {
			case "code":
				want += len(code) - len("{code}")
			case "brand":
				want += len(brand) - len("{brand}")
			}
		}
		if len(got) != want {
			t.Fatalf("expand(%q) with %q and %q = %q", text, code, brand, got)
		}
	})
}
