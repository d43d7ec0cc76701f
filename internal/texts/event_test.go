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

// event is an alert of an event as the service sends it.
func event(what notify.Event) notify.Message {
	return notify.Message{Alert: true, Event: what, Brand: "Acme"}
}

// shownOf returns a message on each channel that is one text.
func shownOf(c *Catalogue, m notify.Message) map[string]string {
	return map[string]string{
		"Chat": c.Chat(m), "SMS": c.SMS(m), "Speech": c.Speech(m).Before, "Mail": strings.TrimSuffix(mailOf(c, m).Text, "\n"),
	}
}

// Every event has a sentence, and no other one begins so. An SMS can have its own.
func TestEveryEventHasAKey(t *testing.T) {
	want := []string{"event_device", "event_not_you", "event_place"}
	for _, what := range notify.Events {
		want = append(want, eventPrefix+string(what))
	}
	slices.Sort(want)
	got := slices.Sorted(maps.Keys(keys))
	got = slices.DeleteFunc(got, func(key string) bool { return !strings.HasPrefix(key, eventPrefix) })
	if !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
	for _, key := range want {
		if !slices.Contains(inSMS, key) || !isOptional(key) {
			t.Errorf("%s: an SMS can have its own: %v, older files may lack it: %v", key, slices.Contains(inSMS, key), isOptional(key))
		}
	}
}

// The texts that a person gets.
func TestEvents(t *testing.T) {
	c := load(t, Options{Origin: "accounts.example.com", AppHash: "FA+9qCX9VSu"})
	for _, tc := range []struct {
		locale        string
		what          notify.Event
		place, device string
		want          string // the same on every channel
	}{
		{"en", notify.EventWrongPassword, "", "", "Acme security alert: somebody tried to sign in to your account with a wrong password. If this wasn't you, contact us right away."},
		{"en", notify.EventNewSignIn, "Berlin", "Firefox on Linux", "Acme security alert: your account was just used to sign in on a new device. Place: Berlin. Device: Firefox on Linux. If this wasn't you, contact us right away."},
		{"en", notify.EventOther, "St. Gallen", "", "Acme security alert: there was unusual activity in your account. Place: St. Gallen. If this wasn't you, contact us right away."},
		{"en", notify.EventOther, "", "Yahoo!", "Acme security alert: there was unusual activity in your account. Device: Yahoo! If this wasn't you, contact us right away."},
		{"en", notify.EventOther, " \u200b ", "\u2060", "Acme security alert: there was unusual activity in your account. If this wasn't you, contact us right away."},
		{"en", notify.EventOther, "{device}", "{brand}", "Acme security alert: there was unusual activity in your account. Place: {device}. Device: {brand}. If this wasn't you, contact us right away."},
		{"zh-CN", notify.EventNewSignIn, "柏林", "", "Acme 安全提醒：刚刚有人在新设备上登录了您的账户。地点：柏林。如非本人操作，请联系我们。"},
		{"th", notify.EventNewSignIn, "Berlin", "iPhone", "การแจ้งเตือนความปลอดภัยจาก Acme: เพิ่งมีการเข้าสู่ระบบบัญชีของคุณบนอุปกรณ์ใหม่ สถานที่: Berlin อุปกรณ์: iPhone หากไม่ใช่คุณ โปรดติดต่อเรา"},
	} {
		m := inLanguage(tc.locale, event(tc.what))
		m.Place, m.Device = tc.place, tc.device
		for name, got := range shownOf(c, m) {
			if got != tc.want {
				t.Errorf("%s\n got %q\nwant %q", name, got, tc.want)
			}
		}
	}
}

// In every language and on every channel, each event has a text of its own in that
// language, with the brand once. It has a place and a device if they are known, and no
// code, digit, link, address or second line.
func TestEveryLanguageHasEveryEvent(t *testing.T) {
	c := load(t, Options{Origin: "accounts.example.com", AppHash: "FA+9qCX9VSu"})
	for _, tag := range embeddedTags() {
		w, _ := embedded(tag)
		seen := make(map[string]notify.Event) // from a text to its event
		spoken := !slices.Contains([]string{"fa", "ur"}, tag)
		for _, what := range notify.Events {
			m := inLanguage(tag, event(what))
			m.CanDeny = true // no effect
			if key := eventPrefix + string(what); tag != English && w.texts[key] == c.wordings[English]().texts[key] {
				t.Errorf("%s: %s is English", tag, key)
			}
			for name, text := range shownOf(c, m) {
				if strings.Count(text, "Acme") != 1 || strings.ContainsAny(text, "{}@#\n\u2026/") || strings.ContainsFunc(text, unicode.IsDigit) || len([]rune(text)) > 200 {
					t.Errorf("%s: %s: %s: %q", tag, what, name, text)
				}
				if other, ok := seen[text]; ok && other != what && (name != "Speech" || spoken) {
					t.Errorf("%s: %s and %s have one text: %q", tag, what, other, text)
				}
				seen[text] = what
			}
			m.Place, m.Device = "Zürich", "Pixel"
			for name, text := range shownOf(c, m) {
				place, device := strings.Index(text, "Zürich"), strings.Index(text, "Pixel")
				if place < 0 || device < place || strings.Count(text, "Zürich") != 1 || strings.Count(text, "Pixel") != 1 || strings.Contains(text, "{") {
					t.Errorf("%s: %s: %s: %q", tag, what, name, text)
				}
				if w.rightToLeft && name != "Speech" && !strings.Contains(text, "\u2068Zürich\u2069") {
					t.Errorf("%s: %s: the place is not isolated: %q", tag, name, text)
				}
				if name == "Speech" && strings.ContainsAny(text, "\u2068\u2069") {
					t.Errorf("%s: isolates are spoken: %q", tag, text)
				}
			}
			mail, speech := mailOf(c, m), c.Speech(m)
			if speech.Again != "" || speech.After != "" || !slices.Contains(voices, speech.Language) {
				t.Errorf("%s: %s: %+v", tag, what, speech)
			}
			if mail.Subject != mailOf(c, inLanguage(tag, notice(notify.NoticeAddress))).Subject || strings.Count(mail.HTML, "<p ") != 1 ||
				!strings.Contains(html.UnescapeString(mail.HTML), ">"+strings.TrimSuffix(mail.Text, "\n")+"</p>") || !strings.Contains(mail.HTML, `lang="`+tag+`"`) {
				t.Errorf("%s: %s: the mail %+v", tag, what, mail)
			}
		}
	}
}

// In a language of the GSM alphabet an event without details is one segment, else two.
func TestSegmentsOfAnEvent(t *testing.T) {
	c := load(t, Options{Origin: "accounts.example.com", AppHash: "FA+9qCX9VSu"})
	gsm := gsmLanguages(t)
	for _, tag := range embeddedTags() {
		most := 2
		if slices.Contains(gsm, tag) {
			most = 1
		}
		for _, what := range notify.Events {
			m := inLanguage(tag, event(what))
			m.Brand = "Acme Savings"
			if text := c.SMS(m); segments(text) > most {
				t.Errorf("%s: %s takes %d segments (%d characters): %q", tag, what, segments(text), len([]rune(text)), text)
			}
			m.Place, m.Device = "Berlin", "Firefox on Linux"
			if text := c.SMS(m); segments(text) > most+1 {
				t.Errorf("%s: %s with details takes %d segments: %q", tag, what, segments(text), text)
			}
		}
	}
}

// A file of the release before has no texts for events, and one may have some of them.
// A message is never half in English, and never lacks what is known.
func TestAnEventOfAnOlderFileIsEnglish(t *testing.T) {
	full := event(notify.EventOther)
	full.Place = "Berlin"
	english := load(t, Options{}).Chat(full)
	own := `, "event_other": "{brand}: ئاگاداری.", "event_not_you": "تۆ نیت؟"`
	for name, tc := range map[string]struct{ keys, bare, full string }{
		"no keys":                 {"", load(t, Options{}).Chat(event(notify.EventOther)), english},
		"without the place's key": {own, "\u2068Acme\u2069: ئاگاداری. تۆ نیت؟", english},
		"with it":                 {own + `, "event_place": "شوێن: {place}."`, "\u2068Acme\u2069: ئاگاداری. تۆ نیت؟", "\u2068Acme\u2069: ئاگاداری. شوێن: \u2068Berlin\u2069. تۆ نیت؟"},
	} {
		c := load(t, Options{Dir: folder(t, map[string]string{"ckb.json": formerKeys(tc.keys)})})
		if got := c.Chat(inLanguage("ckb", event(notify.EventOther))); got != tc.bare {
			t.Errorf("%s: got %q\nwant %q", name, got, tc.bare)
		}
		if got := c.SMS(inLanguage("ckb", full)); got != tc.full {
			t.Errorf("%s: got %q\nwant %q", name, got, tc.full)
		}
	}
}

// Attack 9. A place and a device cannot turn an event into something else, although the
// use case refuses such texts before.
func TestAttack9_HostileDetailsOfAnEvent(t *testing.T) {
	c := load(t, Options{})
	for value, shown := range map[string]string{
		"Rome\r\n@evil.test #482913":      "Rome @evil. test #482913",
		"https://evil.test/x":             "https: //evil. test/x",
		"R\u202eemo\u202c\u2066x\u2069":   "Remox",
		"<a href=x>Rome</a>":              "<a href=x>Rome</a>",
		"{{1}}":                           "{{1}}",
		strings.Repeat("long ", 100):      "long long long long long long long lo...",
		"Rome\u2028\u0000\u001b[31m Rome": "Rome [31m Rome",
	} {
		m := event(notify.EventNewSignIn)
		m.Place, m.Device, m.Code = value, value, "482913"
		want := "Acme security alert: your account was just used to sign in on a new device. Place: " + shown + ". Device: " + shown + ". If this wasn't you, contact us right away."
		want = strings.ReplaceAll(want, "....", "...")
		for name, got := range shownOf(c, m) {
			if got != want {
				t.Errorf("%q: %s\n got %q\nwant %q", value, name, got, want)
			}
		}
		if page := mailOf(c, m).HTML; !strings.Contains(page, ">"+html.EscapeString(want)+"</p>") {
			t.Errorf("%q: %s", value, page)
		}
	}
}
