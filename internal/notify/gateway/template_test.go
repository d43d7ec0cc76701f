package gateway

import (
	"strings"
	"testing"
)

// The template of a message is the one of its language.
func TestTemplateByLanguage(t *testing.T) {
	isName := func(s string) bool { return ConsistsOf(s, Lower+Digits+"_") && len(s) <= 512 }
	for _, tc := range []struct {
		setting string
		want    map[string]string // language=name by locale
	}{
		{"", map[string]string{"": "", "en": ""}},
		{"en_US=a", map[string]string{"": "en_US=a", "en-GB": "en_US=a", "de": "en_US=a", "!!": "en_US=a"}},
		{"de=b,en=a", map[string]string{"": "en=a", "de-AT": "de=b", "fr": "en=a"}},
		{"de=b,fr=c", map[string]string{"": "de=b", "en": "de=b", "fr-CA": "fr=c"}}, // without an English one, the first
		{"en=x,en-US=a,pt-BR=b_2", map[string]string{"": "en=x", "en-US": "en_US=a", "pt": "pt_BR=b_2", "pt-BR": "pt_BR=b_2"}},
		{" zh_TW = a , nb=c", map[string]string{"zh-HK": "zh_TW=a", "no": "nb=c", "": "zh_TW=a"}},
	} {
		templates, ok := ReadTemplates(tc.setting, isName)
		if !ok || templates.Exist() != (tc.setting != "") {
			t.Errorf("%q is read as %v, %t", tc.setting, templates, ok)
			continue
		}
		for locale, want := range tc.want {
			got, ok := templates.Of(locale)
			if text := got.Language + "=" + got.Name; ok != (want != "") || ok && text != want {
				t.Errorf("of %q, %q has %s, want %s", tc.setting, locale, text, want)
			}
		}
	}
	for _, setting := range []string{
		"a", "=a", "en=", "en=a,", "en=a,en=b", "pt-BR=a,pt_br=b", "german language=a", "en=A", "en=a b", "en=a-b", "en==a", "en=" + strings.Repeat("a", 513), "\xff=a",
	} {
		if _, ok := ReadTemplates(setting, isName); ok {
			t.Errorf("%q is accepted", setting)
		}
	}
}

func FuzzReadTemplates(f *testing.F) {
	for _, seed := range []string{"", "en_US=login_code,pt-BR=b", "en=a,en=b", " zh_TW = a ,", "=", "x=" + strings.Repeat("a", 600), "de=\xff"} {
		f.Add(seed, "de-AT")
	}
	f.Fuzz(func(t *testing.T, setting, locale string) {
		templates, ok := ReadTemplates(setting, func(s string) bool { return ConsistsOf(s, Lower) })
		if !ok {
			return
		}
		got, has := templates.Of(locale)
		if has != (setting != "") || has && (!strings.Contains(setting, got.Name) || !ConsistsOf(got.Name, Lower) || strings.ContainsAny(got.Language, "- ,=")) {
			t.Errorf("%q has %+v, %t for %q", setting, got, has, locale)
		}
	})
}
