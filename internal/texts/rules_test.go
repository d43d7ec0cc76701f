package texts

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/bidi"

	"twofa/internal/notify"
	"twofa/internal/otp"
)

// everything returns every text that the catalogue makes of a message, by name. It
// is also shown with and without amount, payee and the right to deny.
func everything(c *Catalogue, m notify.Message) map[string]string {
	all := make(map[string]string)
	add := func(name string, m notify.Message) {
		speech, mail := c.Speech(m), mailOf(c, m)
		all[name+"Chat"], all[name+"SMS"], all[name+"Ask"] = c.Chat(m), c.SMS(m), c.Ask(m)
		all[name+"Before"], all[name+"After"] = speech.Before, speech.After
		all[name+"Subject"], all[name+"Text"] = mail.Subject, mail.Text
		all[name+"DeniedReply"], all[name+"ConfirmedReply"] = c.DeniedReply(m), c.ConfirmedReply(m)
	}
	for name, canDeny := range map[string]bool{"": false, "denied ": true} {
		m.CanDeny = canDeny
		add(name+"payment ", m)
		code := m
		code.Amount, code.Payee = "", ""
		add(name+"login ", code)
		code.Purpose = "other"
		add(name+"other ", code)
	}
	alert := notify.Message{Alert: true, Brand: m.Brand, Locale: m.Locale}
	add("alert ", alert)
	alert.Recovered, alert.CodesLeft = true, 7
	add("recovery ", alert)
	add("event ", notify.Message{Alert: true, Event: notify.EventNewSignIn, Place: m.Payee, Device: m.Amount, Brand: m.Brand, Locale: m.Locale})
	return all
}

// No text has two stops, although a brand, an amount or a payee ends with one.
func TestNoDoubleStopAndNoDoubleSpace(t *testing.T) {
	c := load(t, Options{Origin: "accounts.example.com"})
	double := regexp.MustCompile(`[.。．।۔…!?！？؟]\x{2069}?[.。．।۔]`)
	long := strings.Repeat("Savings ", 20)
	for _, tag := range embeddedTags() {
		for _, value := range []string{"Shop Ltd.", "Yahoo!", "Who?", "本店。", "दुकान।", "دکان۔", "متجر.", "Shop", long, "Shop "} {
			m := inLanguage(tag, payment())
			m.Brand, m.Amount, m.Payee = value, value, value
			for name, text := range everything(c, m) {
				if double.MatchString(strings.ReplaceAll(text, "...", "~")) || strings.Contains(text, "~.") || strings.Contains(text, "  ") {
					t.Errorf("%s: %s of %q: %q", tag, name, value, text)
				}
				if strings.Contains(name, "Chat") && !strings.Contains(text, strings.TrimSpace(value)) && value != long {
					t.Errorf("%s: %s lacks %q: %q", tag, name, value, text)
				}
			}
		}
	}
}

// A cut does not double the price of an SMS.
func TestACutStaysInTheGSMAlphabet(t *testing.T) {
	c := load(t, Options{})
	for _, tag := range gsmLanguages(t) {
		m := inLanguage(tag, payment())
		m.Brand, m.Payee = strings.Repeat("Savings ", 20), strings.Repeat("Bike Shop ", 20)
		if text := c.SMS(m); !isGSM(text) || strings.Count(text, "...") != 2 {
			t.Errorf("%s: %q", tag, text)
		}
	}
}

// direction is the direction that a program gives to a text without other hints: that
// of its first strong character outside of isolates (UAX #9, P2 and P3).
func direction(text string) bidi.Class {
	isolates := 0
	for _, r := range text {
		p, _ := bidi.LookupRune(r)
		switch class := p.Class(); {
		case class == bidi.FSI:
			isolates++
		case class == bidi.PDI:
			isolates--
		case isolates == 0 && class == bidi.AL:
			return bidi.R
		case isolates == 0 && (class == bidi.L || class == bidi.R):
			return class
		}
	}
	return bidi.ON
}

// A right-to-left message is shown from the right, also if its code has letters, and
// a left-to-right one from the left. The code is the same if it is copied.
func TestMessagesKeepTheirDirection(t *testing.T) {
	c := load(t, Options{Origin: "accounts.example.com", AppHash: "FA+9qCX9VSu"})
	for _, tag := range embeddedTags() {
		want := bidi.L
		if slices.Contains([]string{"ar", "fa", "he", "ur"}, tag) {
			want = bidi.R
		}
		for _, code := range []string{"482913", "K7M4PQ", "7K4MPQ", "2345678A", "k7m4"} {
			m := inLanguage(tag, payment())
			m.Code = code
			for name, text := range everything(c, m) {
				isSpeech := strings.HasSuffix(name, "Before") || strings.HasSuffix(name, "After")
				if isSpeech && (tag == "fa" || tag == "ur") {
					continue // English is spoken
				}
				if text != "" && direction(text) != want {
					t.Errorf("%s: %s with the code %s has the other direction: %q", tag, name, code, text)
				}
				if strings.Count(text, rightToLeftMark) > 1 || strings.Contains(text, rightToLeftMark) && code == "482913" {
					t.Errorf("%s: %s with the code %s has a mark that it does not need: %q", tag, name, code, text)
				}
			}
			for _, text := range []string{c.Chat(m), c.SMS(m)} {
				first, _, _ := strings.Cut(text, " ")
				if read, ok := otp.ReadCode(first); !ok || read != strings.ToUpper(code) {
					t.Errorf("%s: the code %s is read as %q", tag, code, read)
				}
			}
			if text := c.SMS(m); !strings.HasSuffix(text, "\nFA+9qCX9VSu\n@accounts.example.com #"+code) {
				t.Errorf("%s: the last lines are wrong: %q", tag, text)
			}
		}
	}
}

// The sender of mails removes isolates from a subject, so there are none.
func TestSubjectsHaveNoIsolates(t *testing.T) {
	c := load(t, Options{})
	for _, tag := range embeddedTags() {
		for _, brand := range []string{"Acme 5", "חנות 5", "متجر"} {
			for _, m := range []notify.Message{login(), recovered()} {
				m.Brand = brand
				if subject := mailOf(c, inLanguage(tag, m)).Subject; subject != notify.OneLine(subject, 200) || !strings.Contains(subject, brand) {
					t.Errorf("%s: %q", tag, subject)
				}
			}
		}
	}
}

// French has a no-break space before some marks. The GSM alphabet of an SMS lacks it.
func TestFrenchSpaces(t *testing.T) {
	own := load(t, Options{Dir: folder(t, map[string]string{"en.json": `{"alert": "{brand} : attention !"}`})})
	c := load(t, Options{Origin: "accounts.example.com"})
	m := inLanguage("fr-BE", payment())
	m.Payee = "Qui ? Moi : toi"
	for name, text := range everything(c, m) {
		shown := !strings.HasSuffix(name, "SMS") && !strings.HasSuffix(name, "Ask") && !strings.HasSuffix(name, "Reply") &&
			!strings.HasSuffix(name, "Before") && !strings.HasSuffix(name, "After") && !strings.HasSuffix(name, "Subject")
		ordinary := strings.Contains(strings.ReplaceAll(text, m.Payee, ""), " :") || strings.Contains(strings.ReplaceAll(text, m.Payee, ""), " ?")
		if noBreak := strings.Contains(text, "\u00a0"); shown && ordinary || !shown && noBreak {
			t.Errorf("%s: %q", name, text)
		}
	}
	want := "482913 est votre code Acme pour autoriser un paiement. Montant\u00a0: EUR 25.00. Bénéficiaire\u00a0: Qui ? Moi : toi. " +
		"Valable 10 min. Ne le communiquez à personne. Ce paiement n'est pas le vôtre\u00a0? Contactez-nous immédiatement."
	if got := c.Chat(m); got != want { // values stay as they are
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := own.Chat(notify.Message{Alert: true, Brand: "Acme", Locale: "en"}); got != "Acme : attention !" {
		t.Errorf("English has French spaces: %q", got)
	}
}

func TestValidity(t *testing.T) {
	c := load(t, Options{Dir: folder(t, map[string]string{"ckb.json": formerKeys("")})})
	for d, want := range map[time.Duration]string{
		0: "Expires in 1 min.", 59 * time.Second: "Expires in 1 min.", 10 * time.Minute: "Expires in 10 min.", 59*time.Minute + 59*time.Second: "Expires in 59 min.",
		time.Hour: "Expires in 1 hour.", time.Hour + 59*time.Second: "Expires in 1 hour.", 61 * time.Minute: "Expires in 61 min.", 119 * time.Minute: "Expires in 119 min.",
		2 * time.Hour: "Expires in 2 hours.", 179 * time.Minute: "Expires in 2 hours.", 24*time.Hour - 1: "Expires in 23 hours.", 24 * time.Hour: "Expires in 24 hours.",
	} {
		m := login()
		m.ValidFor = d
		if chat, sms, mail := c.Chat(m), c.SMS(m), mailOf(c, m).Text; !strings.Contains(chat, " "+want) || !strings.Contains(sms, " "+want) || !strings.Contains(mail, want) {
			t.Errorf("%v: %q, %q", d, chat, sms)
		}
	}
	for _, tag := range embeddedTags() {
		m := inLanguage(tag, login())
		texts := make(map[string]bool)
		for _, m.ValidFor = range []time.Duration{time.Minute, time.Hour, 2 * time.Hour, 24 * time.Hour} {
			chat := c.Chat(m)
			if strings.Contains(chat, "60") || strings.Contains(chat, "120") || strings.Contains(chat, "1440") || texts[chat] {
				t.Errorf("%s: %v is not shown in hours: %q", tag, m.ValidFor, chat)
			}
			texts[chat] = true
		}
	}
	// A file of the release before has no text for hours: the minutes stay.
	m := inLanguage("ckb", login())
	m.ValidFor = 3 * time.Hour
	if got := c.Chat(m); !strings.Contains(got, "180") {
		t.Errorf("%q", got)
	}
}

// Nobody is told to ignore a payment that they do not know.
func TestNoMessageSaysToIgnoreAPayment(t *testing.T) {
	c := load(t, Options{Dir: folder(t, map[string]string{"ckb.json": formerKeys("")})})
	for _, tag := range append(embeddedTags(), "ckb") {
		w := c.wording(tag)
		m := inLanguage(tag, payment())
		for name, text := range map[string]string{"Chat": c.Chat(m), "Mail": mailOf(c, m).Text, "SMS": c.SMS(m)} {
			if name != "SMS" && tag != "ckb" && strings.Contains(text, w.chat("ignore")) || strings.HasSuffix(text, "\n\n\n") || strings.HasSuffix(text, " ") {
				t.Errorf("%s: %s: %q", tag, name, text)
			}
			if name != "SMS" && tag != "ckb" && !strings.Contains(text, w.chat("ignore_payment")) {
				t.Errorf("%s: %s does not say whom to tell: %q", tag, name, text)
			}
		}
		if m.Amount, m.Payee = "", ""; !strings.Contains(c.Chat(m), w.chat("ignore")) {
			t.Errorf("%s: a login says nothing: %q", tag, c.Chat(m))
		}
	}
	// "ckb" has one text for every key: without ignore_payment there is one sentence less.
	m := inLanguage("ckb", payment())
	without := strings.Count(c.Chat(m), "ئاگاداری")
	m.CanDeny = true
	m.Locale = "ckb"
	if with := strings.Count(strings.ReplaceAll(c.Chat(m), "Bersiv: NA.", "ئاگاداری"), "ئاگاداری"); with != without+1 {
		t.Errorf("%d sentences with a denial, %d without", with, without)
	}
}

// The embedded files have every key, also those that an operator's file may lack.
func TestEmbeddedFilesHaveEveryKey(t *testing.T) {
	for _, tag := range embeddedTags() {
		w, _ := embedded(tag)
		for key := range keys {
			if w.texts[key] == "" && !(strings.HasPrefix(key, "speech_") && w.voice == "") {
				t.Errorf("%s lacks %s", tag, key)
			}
			isUnit := strings.HasPrefix(key, "page_wait_") // several languages have "min." and "h", too
			if en, _ := embedded(English); tag != English && !isUnit && w.texts[key] == en.texts[key] && len(en.texts[key]) > len("Code: {code}") {
				t.Errorf("%s: %s is English: %q", tag, key, w.texts[key])
			}
		}
	}
}

func TestVoiceOfARegion(t *testing.T) {
	c := load(t, Options{})
	for locale, want := range map[string]string{
		"": "en-US", "en": "en-US", "en-US": "en-US", "en-CA": "en-US", "en-PH": "en-US", "en-GB": "en-GB", "en_IE": "en-GB", "en-ZA": "en-GB",
		"en-AU": "en-AU", "en-IN": "en-IN", "en-Latn-GB": "en-GB", "en-Cyrl-GB": "en-US",
		"es": "es-ES", "es-ES": "es-ES", "es-MX": "es-US", "es-419": "es-US", "es-US": "es-US", "es-AR": "es-US",
		"fr": "fr-FR", "fr-BE": "fr-FR", "fr-CH": "fr-FR", "fr-CA": "fr-CA",
		"zh-TW": "cmn-TW", "zh-Hant": "cmn-TW", "zh-HK": "yue-HK", "zh-MO": "yue-HK", "yue": "yue-HK", "yue-HK": "yue-HK", "zh-CN": "cmn-CN", "zh-Hans-HK": "cmn-CN",
		"uk": "uk-UA", "uk-UA": "uk-UA", "pt": "pt-BR", "pt-AO": "pt-PT", "de-AT": "de-DE", "nn": "nb-NO",
		"fa-IR": "en-US", "ur-IN": "en-US", "ca-ES": "en-US", "et": "en-US", "cy-GB": "en-GB", // a Welsh reader gets English words
	} {
		if got := c.Speech(inLanguage(locale, login())).Language; got != want {
			t.Errorf("%q has the voice %s, want %s", locale, got, want)
		}
	}
	for _, regional := range regionalVoices {
		for _, v := range regional {
			if !slices.Contains(voices, v.voice) {
				t.Errorf("%s is not on the list", v.voice)
			}
		}
	}
	// An operator's voice is used in every region.
	own := load(t, Options{Dir: folder(t, map[string]string{"es.json": `{"voice": "es-ES"}`, "fr.json": `{"code_is": "Code :"}`})})
	if got := own.Speech(inLanguage("es-MX", login())).Language; got != "es-ES" {
		t.Errorf("the operator's voice is replaced by %s", got)
	}
	if got := own.Speech(inLanguage("fr-CA", login())).Language; got != "fr-CA" {
		t.Errorf("a file without a voice changes it to %s", got)
	}
}

func TestMatcher(t *testing.T) {
	for _, tc := range []struct {
		names string
		want  map[string]string
	}{
		{"de en pt-BR zh-Hant", map[string]string{
			"de": "de", "de-AT": "de", "de_CH": "de", "en": "en", "en-GB": "en", "pt-BR": "pt-BR", "pt-PT": "pt-BR", "pt": "pt-BR", "zh-HK": "zh-Hant", "yue": "zh-Hant",
			"": "", "fr": "", "et": "", "x-private": "", "!!": "", "de-Cyrl": "", "und": "",
		}},
		{"es es-MX nb", map[string]string{"es-MX": "es-MX", "es": "es", "es-ES": "es", "es-AR": "es-MX", "nn": "nb", "no": "nb", "en": ""}},
		{"pt-PT pt-BR", map[string]string{"pt": "pt-BR", "pt-AO": "pt-PT"}},
		{"", map[string]string{"en": "", "": ""}},
	} {
		match := Matcher(strings.Fields(tc.names))
		for locale, want := range tc.want {
			if got := match(locale); got != want {
				t.Errorf("of %q, %q has %q, want %q", tc.names, locale, got, want)
			}
		}
	}
}
