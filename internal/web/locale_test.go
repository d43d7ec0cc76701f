package web_test

import (
	"strings"
	"testing"

	"twofa/internal/phone"
	"twofa/internal/web"
)

func TestLocale(t *testing.T) {
	r := renderer(t)
	for _, c := range []struct{ query, session, accept, want string }{
		{"", "", "", ""},
		{"ui_locales=tlh+de-AT+fr&locale=es", "it", "pl", "de-AT"},
		{"locale=es&t=x", "it", "pl", "es"},
		{"t=x", "it", "pl", "it"},
		{"locale=pt_br", "", "", "pt-BR"},
		{"", "", "pl;q=0.5, hi-IN;q=0.9", "hi-IN"},
		{"", "", "ca, es;q=0.8", "es"},            // there are no texts in Catalan
		{"", "", "ca", "ca"},                      // nothing better is known
		{"locale=ca", "", "de", "de"},             // a text that can be read is better than none
		{"locale=%zz", "", "de", "de"},            // what cannot be read is left out
		{"locale=<script>", "", "de", "de"},       //
		{"locale=xx", "und", "*, de;q=0.1", "de"}, //
		{"", "", strings.Repeat("fr,", 40), ""},   // too many
		{"", "", "de-" + strings.Repeat("a", 2000), ""},
		{"ui_locales=" + strings.Repeat("a", 2000), "de", "", "de"},
		{"ui_locales=" + strings.Repeat("xx+", 40) + "fr", "de", "", "de"},
		{"", "", "de-DE-u-co-phonebk", "de-DE-u-co-phonebk"},
		{"", "", "nn, en;q=0.5", "nn"}, // its readers can read nb
	} {
		if got := r.Locale(c.query, c.session, c.accept); got != c.want {
			t.Errorf("Locale(%.60q, %q, %.60q) = %q, want %q", c.query, c.session, c.accept, got, c.want)
		}
	}
}

func TestCountry(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                 "",
		"de-AT, de;q=0.9, en-US;q=0.8":     "AT",
		"de, en-GB;q=0.8":                  "GB", // a region that is named is better than a likely one
		"hi":                               "IN",
		"de":                               "DE",
		"en":                               "US",
		"es-419, es;q=0.9":                 "ES",
		"en-AQ":                            "", // Antarctica has no numbers
		"*":                                "",
		"zh-Hant":                          "TW",
		"de-ZZ":                            "",
		"x;q=":                             "",
		strings.Repeat("de-DE,", 33):       "",
		"de-DE" + strings.Repeat(" ", 2e3): "",
	} {
		if got := web.Country(accept); got != want {
			t.Errorf("Country(%.40q) = %q, want %q", accept, got, want)
		}
	}
}

func FuzzLocale(f *testing.F) {
	r := renderer(f)
	f.Add("ui_locales=de+fr", "en", "de-AT, *;q=0.1")
	f.Add("locale=%00", "\x00", "a-b-c;q=1;q=2,,")
	f.Fuzz(func(t *testing.T, query, session, accept string) {
		if tag := r.Locale(query, session, accept); len(tag) > 35 || strings.ContainsAny(tag, "<>\"'& \n\x00") {
			t.Errorf("the locale is %q", tag)
		}
		if c := web.Country(accept); c != "" && !phone.IsRegion(c) {
			t.Errorf("the country is %q", c)
		}
	})
}
