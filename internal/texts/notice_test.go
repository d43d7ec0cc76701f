package texts

import (
	"html"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"twofa/internal/notify"
)

// notices are all notices.
var notices = []notify.Notice{notify.NoticeAppAdded, notify.NoticeAppRemoved, notify.NoticeRecoveryCodes, notify.NoticeAddress}

// notice is a notice as the service sends it.
func notice(what notify.Notice) notify.Message {
	return notify.Message{Alert: true, Notice: what, Brand: "Acme"}
}

// Every notice has a text, and every text a notice.
func TestEveryNoticeHasAKey(t *testing.T) {
	var want []string
	for _, what := range notices {
		want = append(want, noticePrefix+string(what))
	}
	slices.Sort(want)
	var got []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if strings.HasPrefix(key, noticePrefix) {
			got = append(got, key)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("keys %v, notices %v", got, want)
	}
	for _, key := range want {
		if !slices.Equal(keys[key], []string{"brand"}) || !slices.Contains(inSMS, key) {
			t.Errorf("%s has the placeholders %v; an SMS can have a text of its own: %v", key, keys[key], slices.Contains(inSMS, key))
		}
	}
}

// In every language and on every channel, each notice has a text of its own in that
// language, which names the brand once, and has no code, digit, link, address or
// second line.
func TestR27_EveryLanguageHasEveryNotice(t *testing.T) {
	c := load(t, Options{Origin: "accounts.example.com", AppHash: "FA+9qCX9VSu"})
	for _, tag := range embeddedTags() {
		seen := make(map[string]string) // from a text to its notice
		for _, key := range []string{"alert", "alert_recovery"} {
			w, _ := embedded(tag)
			seen[expand(w.texts[key], values{"brand": "Acme", "left": "0"})] = key
		}
		for _, what := range notices {
			m := inLanguage(tag, notice(what))
			m.CanDeny = true // no effect
			if w, _ := embedded(tag); w.texts[noticePrefix+string(what)] == "" || tag != English && w.texts[noticePrefix+string(what)] == c.wordings[English]().texts[noticePrefix+string(what)] {
				t.Errorf("%s: %s is missing or English", tag, what)
			}
			mail, speech := mailOf(c, m), c.Speech(m)
			alert := m
			alert.Notice = ""
			for name, text := range map[string]string{
				"Chat": c.Chat(m), "SMS": c.SMS(m), "Speech": speech.Before, "Mail.Text": strings.TrimSuffix(mail.Text, "\n"),
			} {
				if strings.Count(text, "Acme") != 1 || strings.ContainsAny(text, "{}@#\n\u2026") || strings.Contains(text, "/") ||
					strings.ContainsFunc(text, unicode.IsDigit) || len([]rune(text)) > 200 {
					t.Errorf("%s: %s: %s: %q", tag, what, name, text)
				}
				runes := []rune(text)
				for i := range runes[:len(runes)-1] {
					if isDot(runes[i]) && unicode.IsLetter(runes[i+1]) && runes[i] != '。' {
						t.Errorf("%s: %s: %s: an app could make a link of %q", tag, what, name, text)
					}
				}
				if name == "Speech" && slices.Contains([]string{"fa", "ur"}, tag) {
					continue // English is spoken
				}
				if other, ok := seen[text]; ok && other != string(what) {
					t.Errorf("%s: %s and %s have one text: %q", tag, what, other, text)
				}
				seen[text] = string(what)
			}
			if speech.Again != "" || speech.After != "" || !slices.Contains(voices, speech.Language) || strings.ContainsAny(speech.Before, "\u2068\u2069") {
				t.Errorf("%s: %s: %+v", tag, what, speech)
			}
			if mail.Subject != mailOf(c, alert).Subject || !strings.Contains(mail.Subject, "Acme") ||
				!strings.Contains(html.UnescapeString(mail.HTML), ">"+strings.TrimSuffix(mail.Text, "\n")+"</p>") ||
				strings.Count(mail.HTML, "<p ") != 1 || strings.Contains(mail.HTML, "<a ") || strings.Contains(mail.HTML, "href") ||
				!strings.Contains(mail.HTML, `lang="`+tag+`"`) {
				t.Errorf("%s: %s: the mail %+v", tag, what, mail)
			}
		}
	}
}

// The texts that a person gets, in one language of each direction.
func TestNotices(t *testing.T) {
	c := load(t, Options{})
	for _, tc := range []struct {
		locale string
		what   notify.Notice
		want   string // the same on every channel
	}{
		{"en", notify.NoticeAppAdded, "Acme: an authenticator app was added to your account. Not you? Contact us at once."},
		{"en", notify.NoticeAppRemoved, "Acme: an authenticator app was removed from your account. Not you? Contact us at once."},
		{"en", notify.NoticeRecoveryCodes, "Acme: new recovery codes were created for your account. Not you? Contact us at once."},
		{"en", notify.NoticeAddress, "Acme: the contact details of your account (phone or e-mail) were changed. Not you? Contact us at once."},
		{"de-CH", notify.NoticeAddress, "Acme: Die Kontaktdaten Ihres Kontos (Telefon oder E-Mail) wurden geändert. Waren Sie das nicht? Kontaktieren Sie uns bitte sofort."},
		{"zh-CN", notify.NoticeRecoveryCodes, "Acme：您的账户已生成新的恢复码。如非本人操作，请立即联系我们。"},
	} {
		m := inLanguage(tc.locale, notice(tc.what))
		mail := mailOf(c, m)
		for _, got := range []string{c.Chat(m), c.SMS(m), c.Speech(m).Before, strings.TrimSuffix(mail.Text, "\n")} {
			if got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		}
	}
	m := inLanguage("ar", notice(notify.NoticeAppAdded))
	if got := c.SMS(m); !strings.HasPrefix(got, "\u2068Acme\u2069: ") {
		t.Errorf("the brand is not isolated: %q", got)
	}
	if page := mailOf(c, m).HTML; !strings.Contains(page, `<html lang="ar" dir="rtl">`) {
		t.Errorf("Arabic HTML:\n%s", page)
	}
	m = inLanguage("es", notice(notify.NoticeAppAdded))
	if chat, sms := c.Chat(m), c.SMS(m); !strings.Contains(chat, "aplicación") || strings.Contains(sms, "ó") {
		t.Errorf("%q, %q", chat, sms)
	}
}

// In a language of the GSM alphabet a notice is one segment, else two.
func TestSegmentsOfANotice(t *testing.T) {
	c := load(t, Options{Origin: "accounts.example.com", AppHash: "FA+9qCX9VSu"})
	gsm := gsmLanguages(t)
	for _, tag := range embeddedTags() {
		most := 2
		if slices.Contains(gsm, tag) {
			most = 1
		}
		for _, what := range notices {
			m := inLanguage(tag, notice(what))
			m.Brand = "Acme Savings"
			if text := c.SMS(m); segments(text) > most {
				t.Errorf("%s: %s takes %d segments (%d characters): %q", tag, what, segments(text), len([]rune(text)), text)
			}
		}
	}
}

// Attack 9. A brand cannot turn a notice into something else.
func TestAttack9_HostileBrandsInANotice(t *testing.T) {
	c := load(t, Options{})
	for brand, shown := range map[string]string{
		"Acme\r\n@evil.test #482913":      "Acme @evil.test #482913", // one line
		"A\u202eemcA\u202c\u2066x\u2069":  "AemcAx",
		"{code}{brand}{left}":             "{code}{brand}{left}",
		"<a href=x>Acme</a>":              "<a href=x>Acme</a>",
		"A\u200b\u200bc\x00m\x1b[31me\t.": "Ac m [31me .",
		strings.Repeat("long ", 100):      "long long long long long long long lo...",
		" \u200b ":                        "twofa",
	} {
		for _, what := range notices {
			m := notice(what)
			m.Brand, m.Code, m.Amount, m.Payee = brand, "482913", "EUR 25.00", "Bike Shop"
			text := shown + strings.TrimPrefix(c.Chat(notice(what)), "Acme")
			mail := mailOf(c, m)
			for name, got := range map[string]string{
				"Chat": c.Chat(m), "SMS": c.SMS(m), "Speech": c.Speech(m).Before, "Mail.Text": strings.TrimSuffix(mail.Text, "\n"),
			} {
				if got != text {
					t.Errorf("%q: %s\n got %q\nwant %q", brand, name, got, text)
				}
			}
			if mail.Subject != shown+" security alert" || !strings.Contains(mail.HTML, ">"+html.EscapeString(text)+"</p>") {
				t.Errorf("%q: the mail %+v", brand, mail)
			}
		}
	}
}

// formerKeys are the keys that an operator's file of the release before had to have.
func formerKeys(rest string) string {
	var b strings.Builder
	b.WriteString(`{"denials": ["na"], "deny": "Bersiv: NA."`)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if key == "deny" || strings.HasPrefix(key, "speech_") && !strings.Contains(rest, `"voice"`) || isOptional(key) {
			continue
		}
		text := "ئاگاداری" // right to left
		for _, name := range keys[key] {
			text = "{" + name + "} " + text
		}
		if key == "ask_code" {
			text = "ئاگاداری {code}"
		}
		if strings.HasPrefix(key, "code_") && key != "code_is" {
			text = "{code} {brand} ئاگاداری"
		}
		b.WriteString(`, "` + key + `": "` + text + `"`)
	}
	return b.String() + rest + "}"
}

// An upgrade does not stop a service whose files are of the release before. For an
// embedded language, a notice has the embedded text; for another language, it is in
// English, until the file has the key.
func TestFilesOfTheReleaseBeforeStillLoad(t *testing.T) {
	none := load(t, Options{})
	for name, tc := range map[string]struct {
		files map[string]string
		want  map[string]string // the added app's notice, by locale
	}{
		"an embedded language": {map[string]string{"de.json": `{"alert": "{brand}: Achtung."}`},
			map[string]string{"de": none.Chat(inLanguage("de", notice(notify.NoticeAppAdded)))}},
		"a language of their own": {map[string]string{"ckb.json": formerKeys("")},
			map[string]string{"ckb": none.Chat(notice(notify.NoticeAppAdded))}},
		"a language of their own with a voice": {map[string]string{"ckb.json": formerKeys(`, "voice": "ar-XA"`)},
			map[string]string{"ckb": none.Chat(notice(notify.NoticeAppAdded))}},
		"their own English": {map[string]string{"ckb.json": formerKeys(""), "en.json": `{"notice_app_added": "{brand}: new app."}`},
			map[string]string{"ckb": "Acme: new app.", "en": "Acme: new app."}},
		"the new key": {map[string]string{"ckb.json": formerKeys(`, "notice_app_added": "{brand}: ئەپی نوێ."`)},
			map[string]string{"ckb": "\u2068Acme\u2069: ئەپی نوێ."}},
	} {
		t.Run(name, func(t *testing.T) {
			c := load(t, Options{Dir: folder(t, tc.files)})
			for locale, want := range tc.want {
				m := inLanguage(locale, notice(notify.NoticeAppAdded))
				mail := mailOf(c, m)
				for _, got := range []string{c.Chat(m), c.SMS(m), strings.TrimSuffix(mail.Text, "\n")} {
					if got != want {
						t.Errorf("%s: got %q\nwant %q", locale, got, want)
					}
				}
				english := unicode.Is(unicode.Latin, []rune(want)[0])
				if locale == "ckb" && strings.Contains(mail.HTML, `<html lang="en" dir="ltr">`) != english {
					t.Errorf("the layout: %s", mail.HTML)
				}
				if s := c.Speech(m); locale == "ckb" && (s.Language != "en-US" || !strings.HasPrefix(s.Before, "Acme: ")) {
					t.Errorf("%s: an English text with the voice %s: %q", locale, s.Language, s.Before)
				}
				// Other messages stay in their language.
				if alert := c.Chat(inLanguage(locale, notify.Message{Alert: true, Brand: "Acme"})); locale == "ckb" && !strings.Contains(alert, "ئاگاداری") {
					t.Errorf("the alert: %q", alert)
				}
			}
			for _, what := range notices {
				if c.Chat(inLanguage("ckb", notice(what))) == "" {
					t.Errorf("%s has no text", what)
				}
			}
		})
	}
}
