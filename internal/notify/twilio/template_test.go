package twilio

import (
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/twiliotest"
)

// sidOf is a template's SID that ends with a letter or digit of its own.
func sidOf(last string) string { return "HX" + strings.Repeat("0", 31) + last }

// The template of a message is the one of its language.
func TestTemplateByLanguage(t *testing.T) {
	a, b, c := sidOf("a"), sidOf("b"), sidOf("c")
	for _, tc := range []struct {
		setting string
		want    map[string]string // the template by locale
	}{
		{"", map[string]string{"": "", "en": "", "de": ""}},
		{a, map[string]string{"": a, "en": a, "de-AT": a, "!!": a}},
		{"en=" + a + ",de=" + b, map[string]string{"": a, "en-GB": a, "de": b, "de-AT": b, "de_CH": b, "fr": a, "!!": a, "et": a}},
		{"de=" + b + ",en=" + a, map[string]string{"": a, "fr": a, "de": b}},
		// Without an English one, the first is for all others.
		{"de=" + b + ",fr=" + c, map[string]string{"": b, "en": b, "fr-CA": c, "it": b}},
		// A template without a language is for all others, wherever it stands.
		{"en=" + a + "," + b, map[string]string{"": b, "en": a, "fr": b}},
		{b + ",en=" + a, map[string]string{"": b, "en": a, "fr": b}},
		{"pt-BR=" + a + ",pt-PT=" + b + "," + c, map[string]string{"pt": a, "pt-BR": a, "pt-PT": b, "pt-AO": b, "es": c}},
		{"pt_br = " + a + " , zh-hant=" + b + ",nb=" + c, map[string]string{"pt-PT": a, "pt-AO": a, "zh-TW": b, "zh-HK": b, "yue": b, "no": c, "nn-NO": c, "": a}},
		{"es=" + a + ",es-MX=" + b, map[string]string{"es-MX": b, "es": a, "es-ES": a, "fr": a}},
		// An old tag is read as the usual one, and a script of its own is not that of all readers.
		{"iw=" + a + "," + b, map[string]string{"he": a, "he-IL": a, "en": b}},
		{"no=" + a + "," + b, map[string]string{"nb-NO": a, "no": a, "nn": a, "da": b}},
		{"de-Cyrl=" + a + "," + b, map[string]string{"de": b, "de-Cyrl": a}},
	} {
		templates, ok := readTemplates(tc.setting)
		if !ok || templates.exist() != (tc.setting != "") {
			t.Errorf("%q is read as %v, %t", tc.setting, templates, ok)
			continue
		}
		for locale, want := range tc.want {
			if got := templates.sid(locale); got != want {
				t.Errorf("of %q, %q has %s, want %s", tc.setting, locale, got, want)
			}
		}
	}
}

// A code has the code's template of its language, an alert the alert's.
func TestMessagesHaveTheTemplateOfTheirLanguage(t *testing.T) {
	byLanguage := func(o *Options) {
		o.ContentSID = "en=" + twiliotest.ContentSID + ",de=" + twiliotest.AlertContentSID
		o.AlertContentSID = "de=" + twiliotest.ContentSID + "," + twiliotest.AlertContentSID
	}
	for _, tc := range []struct{ locale, code, alert string }{
		{"de-AT", twiliotest.AlertContentSID, twiliotest.ContentSID},
		{"en", twiliotest.ContentSID, twiliotest.AlertContentSID},
		{"", twiliotest.ContentSID, twiliotest.AlertContentSID},
		{"fr", twiliotest.ContentSID, twiliotest.AlertContentSID},
	} {
		t.Run("locale "+tc.locale, func(t *testing.T) {
			inBubble(t, byLanguage, func(t *testing.T, r *rig, _ *notifytest.Pipes) {
				code, warning := message(), alert()
				code.Locale, warning.Locale = tc.locale, tc.locale
				r.Send(t, channel.WhatsApp, code)
				r.Send(t, channel.WhatsApp, warning)
				accepted := r.Accepted()
				if len(accepted) != 2 || accepted[0].ContentSID != tc.code || accepted[1].ContentSID != tc.alert {
					t.Errorf("accepted %+v", accepted)
				}
				if accepted[0].Variables["1"] != code.Code || accepted[1].Variables["1"] != warning.Brand {
					t.Errorf("variables %v, %v", accepted[0].Variables, accepted[1].Variables)
				}
				if r.sender(channel.WhatsApp).ShowsTransaction() {
					t.Error("a template shows amount and payee")
				}
			})
		})
	}
}

// Whatever the setting is, each template that is chosen is one that the setting has.
func FuzzReadTemplates(f *testing.F) {
	a, b := sidOf("a"), sidOf("b")
	for _, seed := range []string{"", a, "en=" + a + ",de=" + b, a + ",de=" + b, "en=" + a + ",en=" + b, "=" + a, ",", "x-private=" + a, "und=" + a, "en==" + a, "\xff=" + a} {
		f.Add(seed, "de-AT")
	}
	f.Fuzz(func(t *testing.T, setting, locale string) {
		templates, ok := readTemplates(setting)
		if !ok {
			if templates.exist() {
				t.Fatalf("%q is refused, and has templates", setting)
			}
			return
		}
		sid := templates.sid(locale)
		if (sid == "") != (setting == "") || sid != "" && (!isSID("HX", sid) || !strings.Contains(setting, sid)) {
			t.Fatalf("of %q, %q has %q", setting, locale, sid)
		}
	})
}
