package texts

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestHas(t *testing.T) {
	c, err := Load(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for locale, want := range map[string]bool{
		"en": true, "de-AT": true, "pt_br": true, "iw": true, "nn": true, "yue": true,
		"": false, "ca": false, "et": false, "xx": false, "en" + strings.Repeat("-aaaaaaaa", 9): false,
	} {
		if got := c.Has(locale); got != want {
			t.Errorf("Has(%q) = %t", locale, got)
		}
	}
}

func TestPageTexts(t *testing.T) {
	c, err := Load(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct{ locale, key, value, want string }{
		{"en", "page_return", "Acme", "Continue to Acme"},
		{"en", "page_return", "{brand} <b>", "Continue to {brand} <b>"}, // a value is no text
		{"en", "page_return", "\u05d1\u05e0\u05e7", "Continue to \u2068\u05d1\u05e0\u05e7\u2069"},
		{"ca", "page_return", "Acme", "Continue to Acme"},
	} {
		p := c.Page(v.locale)
		if got := p.Text(v.key, map[string]string{"brand": v.value}); got != v.want || p.Tag != "en" || p.RightToLeft {
			t.Errorf("%s in %s is %q (%s), want %q", v.key, v.locale, got, p.Tag, v.want)
		}
	}
	if p := c.Page("ar-EG"); p.Tag != "ar" || !p.RightToLeft {
		t.Errorf("ar-EG is %s, from right to left: %t", p.Tag, p.RightToLeft)
	}
}

// The texts of pages fit into a window of 320 pixels.
func TestPageTextsAreShort(t *testing.T) {
	for _, tag := range embeddedTags() {
		w, _ := embedded(tag)
		for key := range pageKeys {
			most := 200
			switch {
			case strings.Contains(key, "_title"):
				most = 45
			case strings.HasPrefix(key, "page_by_"), strings.HasPrefix(key, "page_use_"), strings.HasPrefix(key, "page_add_"), strings.HasPrefix(key, "page_change_"),
				slices.Contains([]string{"page_send", "page_continue", "page_resend", "page_new_code", "page_second_send", "page_consent_allow", "page_signout", "page_signout_all", "page_erase",
					"page_signup_link", "page_signup_instead", "page_details_change", "page_details_create", "page_save"}, key):
				most = 40
			}
			text := w.texts[key]
			if n := utf8.RuneCountInString(text); n > most {
				t.Errorf("%s: %s has %d characters, at most %d fit", tag, key, n, most)
			}
			if !norm.NFC.IsNormalString(text) {
				t.Errorf("%s: %s is not in the form NFC", tag, key)
			}
		}
	}
}
