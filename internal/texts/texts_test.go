package texts

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
)

func load(t testing.TB, o Options) *Catalogue {
	t.Helper()
	c, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func login() notify.Message {
	return notify.Message{Code: "482913", Brand: "Acme", Purpose: "login", ValidFor: 10 * time.Minute}
}

func payment() notify.Message {
	m := login()
	m.Purpose, m.Amount, m.Payee = "payment", "EUR 25.00", "Bike Shop"
	return m
}

// recovered is the alert that a recovery code was used.
func recovered() notify.Message {
	return notify.Message{Alert: true, Recovered: true, CodesLeft: 7, Brand: "Acme"}
}

// inLanguage is a message in another language.
func inLanguage(tag string, m notify.Message) notify.Message {
	m.Locale = tag
	return m
}

func TestEveryLanguageIsThere(t *testing.T) {
	want := strings.Fields(`ar bn cs da de el en es fa fi fr he hi hu id it ja ko nb nl pl pt-BR pt-PT
		ro ru sv th tr uk ur vi zh-Hans zh-Hant`)
	if got := embeddedTags(); !slices.Equal(got, want) {
		t.Errorf("languages\n got %v\nwant %v", got, want)
	}
}

// Every embedded text has exactly its placeholders, and no key is missing or unknown. An
// operator's file has to pass the same checks.
func TestEmbeddedFilesHaveNoFault(t *testing.T) {
	for _, tag := range embeddedTags() {
		w, faults := embedded(tag)
		if len(faults) > 0 {
			t.Errorf("%v", faults)
		}
		if want := slices.Contains([]string{"ar", "fa", "he", "ur"}, tag); w.rightToLeft != want {
			t.Errorf("%s: right to left is %v", tag, w.rightToLeft)
		}
		// No letter follows an amount or a payee directly: together they could look like a
		// link.
		for _, key := range []string{"amount", "payee", "sms_amount", "sms_payee", "event_place", "event_device"} {
			if text, ok := w.texts[key]; ok && !slices.Contains([]string{"", ".", "。", "।", "۔"}, text[strings.Index(text, "}")+1:]) {
				t.Errorf("%s: %s: %q continues after the value", tag, key, text)
			}
		}
	}
}

func TestLanguage(t *testing.T) {
	c := load(t, Options{})
	for locale, want := range map[string]string{
		"": "en", "en": "en", "en-GB": "en", "und": "en", "x-private": "en", "i-klingon": "en", "tlh": "en", "!!": "en",
		"zz": "en", "-": "en", "de-": "de", "0": "en", strings.Repeat("de-", 40): "en", "\xff\xfe": "en", "de\x00": "en",
		"de": "de", "DE": "de", "de_DE": "de", "de-CH-1996": "de", "no-NO-NY": "nb", "th-TH-TH": "th", "zh-TW-Hant": "zh-Hant", "de-x": "de", "xx-DE": "en", "de-Latn-AT": "de",
		"zh": "zh-Hans", "zh-CN": "zh-Hans", "zh-SG": "zh-Hans", "cmn": "zh-Hans", "zh-Hans-HK": "zh-Hans",
		"zh-TW": "zh-Hant", "zh-HK": "zh-Hant", "zh-MO": "zh-Hant", "zh-Hant-CN": "zh-Hant", "yue": "zh-Hant", "yue-HK": "zh-Hant",
		"pt": "pt-BR", "pt-BR": "pt-BR", "pt-PT": "pt-PT", "pt-AO": "pt-PT", "pt-MZ": "pt-PT",
		"no": "nb", "nn": "nb", "nb-NO": "nb", "nn-NO": "nb", "iw": "he", "iw-IL": "he", "in": "id", "mo": "ro",
		"es-419": "es", "fr-CA": "fr", "ar-EG": "ar", "arb": "ar", "ur-PK": "ur", "fa-AF": "fa",
		// Not all readers of these languages can read another script or language.
		"sr-Latn": "en", "sr": "en", "zh-Latn": "en", "de-Cyrl": "en", "hi-Latn": "en", "ur-Deva": "en", "et": "en", "az": "en", "be": "en", "ca": "en",
	} {
		if got := c.Language(locale); got != want {
			t.Errorf("Language(%q) = %q, want %q", locale, got, want)
		}
	}
}

func TestChat(t *testing.T) {
	c := load(t, Options{Origin: "example.com", AppHash: "FA+9qCX9VSu"})
	for _, tc := range []struct {
		name   string
		change func(*notify.Message)
		want   string
	}{
		{"login", func(m *notify.Message) {},
			"482913 is your Acme sign-in code. Expires in 10 min. Don't share it with anyone. We'll never ask for it. Not you? Ignore this message."},
		{"login that can be denied", func(m *notify.Message) { m.CanDeny = true },
			"482913 is your Acme sign-in code. Expires in 10 min. Don't share it with anyone. We'll never ask for it. Not you? Reply NO."},
		{"another purpose", func(m *notify.Message) { m.Purpose = "change-address" },
			"482913 is your Acme verification code. Expires in 10 min. Don't share it with anyone. We'll never ask for it. Not you? Ignore this message."},
		{"amount and payee", func(m *notify.Message) { m.Amount, m.Payee = "EUR 25.00", "Bike Shop" },
			"482913 is your Acme code to approve a payment. Amount: EUR 25.00. Payee: Bike Shop. Expires in 10 min. Don't share it with anyone. We'll never ask for it. Not your payment? Contact us right away."},
		{"amount", func(m *notify.Message) { m.Amount = "EUR 25.00" },
			"482913 is your Acme code to approve a payment. Amount: EUR 25.00. Expires in 10 min. Don't share it with anyone. We'll never ask for it. Not your payment? Contact us right away."},
		{"payee", func(m *notify.Message) { m.Payee = "Bike Shop" },
			"482913 is your Acme code to approve a payment. Payee: Bike Shop. Expires in 10 min. Don't share it with anyone. We'll never ask for it. Not your payment? Contact us right away."},
		{"no brand", func(m *notify.Message) { m.Brand = " \u200b " },
			"482913 is your twofa sign-in code. Expires in 10 min. Don't share it with anyone. We'll never ask for it. Not you? Ignore this message."},
		{"minutes round down", func(m *notify.Message) { m.ValidFor -= time.Nanosecond },
			"482913 is your Acme sign-in code. Expires in 9 min. Don't share it with anyone. We'll never ask for it. Not you? Ignore this message."},
		{"at least one minute", func(m *notify.Message) { m.ValidFor = -time.Hour },
			"482913 is your Acme sign-in code. Expires in 1 min. Don't share it with anyone. We'll never ask for it. Not you? Ignore this message."},
		{"payment that can be denied", func(m *notify.Message) { m.Amount, m.CanDeny = "EUR 25.00", true },
			"482913 is your Acme code to approve a payment. Amount: EUR 25.00. Expires in 10 min. Don't share it with anyone. We'll never ask for it. Not you? Reply NO."},
		{"values that end with a stop", func(m *notify.Message) { m.Amount, m.Payee = "25,00 Kč.", "Bike Shop Ltd." },
			"482913 is your Acme code to approve a payment. Amount: 25,00 Kč. Payee: Bike Shop Ltd. Expires in 10 min. Don't share it with anyone. We'll never ask for it. Not your payment? Contact us right away."},
		{"alert", func(m *notify.Message) { m.Alert, m.Code = true, "" },
			"Acme security alert: too many incorrect codes were entered for your account. If this wasn't you, contact us right away."},
		{"alert of a recovery code", func(m *notify.Message) { *m = recovered() },
			"Acme security alert: a recovery code was just used to sign in to your account. Recovery codes left: 7. If this wasn't you, contact us right away."},
		{"alert of the last recovery code", func(m *notify.Message) { *m = recovered(); m.CodesLeft = 0 },
			"Acme security alert: a recovery code was just used to sign in to your account. Recovery codes left: 0. If this wasn't you, contact us right away."},
		{"no alert", func(m *notify.Message) { m.Recovered = true },
			"482913 is your Acme sign-in code. Expires in 10 min. Don't share it with anyone. We'll never ask for it. Not you? Ignore this message."},
		{"German", func(m *notify.Message) { m.Locale, m.CanDeny = "de-AT", true },
			"482913 ist Ihr Code für die Anmeldung bei Acme. Gültig für 10 Min. Geben Sie ihn an niemanden weiter. Waren Sie das nicht? Antworten Sie mit NEIN."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := login()
			tc.change(&m)
			if got := c.Chat(m); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func TestAskAndReplies(t *testing.T) {
	c := load(t, Options{})
	other := login()
	other.Purpose = "other"
	for _, tc := range []struct{ got, want string }{ // all in English
		{c.Ask(login()), "I approve this sign-in to Acme. Code: 482913"},
		{c.Ask(other), "I approve this request from Acme. Code: 482913"},
		{c.Ask(payment()), "I approve this payment with Acme. Amount: EUR 25.00. Payee: Bike Shop. Code: 482913"},
		{c.DeniedReply(notify.Message{Brand: "Acme"}), "Acme: thank you for letting us know. We've stopped this request, and the code no longer works."},
		{c.ConfirmedReply(notify.Message{Brand: "Acme"}), "Acme: thank you. We have received your approval."},
	} {
		if tc.got != tc.want {
			t.Errorf("got  %q\nwant %q", tc.got, tc.want)
		}
	}
}

// In every language, each message names the brand, the amount and the payee.
func TestEveryLanguageNamesWhatIsApproved(t *testing.T) {
	c := load(t, Options{Origin: "example.com"})
	for _, tag := range embeddedTags() {
		m := inLanguage(tag, payment())
		mail, speech := mailOf(c, m), c.Speech(m)
		for name, text := range map[string]string{
			"Chat": c.Chat(m), "SMS": c.SMS(m), "Speech": speech.Before, "Mail.Text": mail.Text, "Mail.HTML": mail.HTML, "Ask": c.Ask(m),
		} {
			for _, part := range []string{"Acme", "EUR 25.00", "Bike Shop"} {
				if !strings.Contains(text, part) && !(part == "Acme" && strings.HasPrefix(name, "Mail")) {
					t.Errorf("%s: %s does not name %s: %q", tag, name, part, text)
				}
			}
		}
		if !strings.Contains(mail.Subject, "Acme") {
			t.Errorf("%s: the subject does not name the brand: %q", tag, mail.Subject)
		}
		if ask := c.Ask(m); !strings.HasSuffix(ask, "482913") {
			t.Errorf("%s: Ask does not end with the code: %q", tag, ask)
		}
		if chat := c.Chat(m); !strings.HasPrefix(chat, "482913 ") {
			t.Errorf("%s: Chat does not begin with the code: %q", tag, chat)
		}
		alert := inLanguage(tag, notify.Message{Alert: true, Brand: "Acme"})
		for name, text := range map[string]string{
			"Chat": c.Chat(alert), "SMS": c.SMS(alert), "Speech": c.Speech(alert).Before, "Mail.Text": mailOf(c, alert).Text,
			"DeniedReply": c.DeniedReply(alert), "ConfirmedReply": c.ConfirmedReply(alert),
		} {
			if !strings.Contains(text, "Acme") || strings.ContainsAny(text, "{}@#") {
				t.Errorf("%s: the alert's %s: %q", tag, name, text)
			}
		}
	}
}

// In every language and on every channel, the alert about a recovery code has a text of
// its own, which says how many codes are left.
func TestEveryLanguageHasAnAlertAboutRecoveryCodes(t *testing.T) {
	c := load(t, Options{Origin: "example.com"})
	for _, tag := range embeddedTags() {
		m := inLanguage(tag, recovered())
		other := m
		other.Recovered = false
		mail, otherMail := mailOf(c, m), mailOf(c, other)
		for name, texts := range map[string][2]string{
			"Chat": {c.Chat(m), c.Chat(other)}, "SMS": {c.SMS(m), c.SMS(other)},
			"Speech": {c.Speech(m).Before, c.Speech(other).Before}, "Mail.Text": {mail.Text, otherMail.Text},
		} {
			text := texts[0]
			if !strings.Contains(text, "Acme") || strings.Count(text, "7") != 1 || strings.ContainsAny(text, "{}@#") {
				t.Errorf("%s: the alert's %s: %q", tag, name, text)
			}
			if text == texts[1] || strings.Contains(texts[1], "7") {
				t.Errorf("%s: %s has the same text for both alerts: %q", tag, name, text)
			}
		}
		if mail.Subject != otherMail.Subject || !strings.Contains(html.UnescapeString(mail.HTML), ">"+strings.TrimSpace(mail.Text)+"</p>") {
			t.Errorf("%s: the alert's mail: %q", tag, mail)
		}
	}
}

// In these languages a voice reads a number before a full stop as an ordinal ("seventh").
func TestNoOrdinalIsSpoken(t *testing.T) {
	c := load(t, Options{})
	for _, tag := range strings.Fields("cs da de fi hu nb pl tr") {
		if s := c.Speech(inLanguage(tag, recovered())); strings.Contains(s.Before, "7.") {
			t.Errorf("%s: %q", tag, s.Before)
		}
	}
}

func TestSpeech(t *testing.T) {
	c := load(t, Options{})
	want := notify.Speech{
		Language: "en-US", Before: "Hello. This is an automated call from Acme. We received a request to sign in to your Acme account. Your code is:",
		Again: "Again, your code is:", After: "Never share this code with anyone. If you didn't request it, just hang up. Goodbye.",
	}
	if got := c.Speech(login()); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, locale := range []string{"fa", "ur-PK", "tlh", "ca-GB"} { // the provider has no voice for them
		if got := c.Speech(inLanguage(locale, login())); got != want {
			t.Errorf("%s: got %q\nwant %q", locale, got, want)
		}
	}
	for _, tag := range embeddedTags() {
		m := inLanguage(tag, payment())
		s := c.Speech(m)
		all := s.Before + s.Again + s.After
		if strings.Contains(all, m.Code) || strings.ContainsAny(all, "{}\u2068\u2069") {
			t.Errorf("%s: %q", tag, s)
		}
		if s.Again == "" || s.After == "" || !slices.Contains(voices, s.Language) {
			t.Errorf("%s: %q", tag, s)
		}
		m.Alert = true
		for _, m.Recovered = range []bool{false, true} {
			if s := c.Speech(m); s.Before == "" || s.Again != "" || s.After != "" || strings.ContainsAny(s.Before, "{}\u2068\u2069") {
				t.Errorf("%s: an alert has Before only: %q", tag, s)
			}
		}
	}
}

// voices are the tags of Twilio's <Say> that the catalogue may use: the part of Twilio's
// list of voices that is needed. Persian and Urdu are not on that list.
var voices = strings.Fields(`ar-XA bn-IN cmn-CN cmn-TW cs-CZ da-DK de-DE el-GR en-US es-ES fi-FI fr-FR he-IL hi-IN hu-HU id-ID
	it-IT ja-JP ko-KR nb-NO nl-NL pl-PL pt-BR pt-PT ro-RO ru-RU sv-SE th-TH tr-TR uk-UA vi-VN
	en-AU en-GB en-IN es-US fr-CA yue-HK`)

func TestMail(t *testing.T) {
	c := load(t, Options{})
	m := payment()
	m.Brand = `Ben & <Jerry>`
	mail := mailOf(c, m)
	if want := "Your Ben & <Jerry> code"; mail.Subject != want {
		t.Errorf("subject %q, want %q", mail.Subject, want)
	}
	if want := `A payment with Ben & <Jerry> is waiting for your approval.

Amount: EUR 25.00.

Payee: Bike Shop.

Your code is:

482913

Expires in 10 min. Don't share it with anyone. We'll never ask for it.

Not your payment? Contact us right away.
`; mail.Text != want {
		t.Errorf("text\n%s\nwant\n%s", mail.Text, want)
	}
	for _, want := range []string{`<html lang="en" dir="ltr">`, "<title>Your Ben &amp; &lt;Jerry&gt; code</title>", ">482913</span></p>", ">Payee: Bike Shop.</p>"} {
		if !strings.Contains(mail.HTML, want) {
			t.Errorf("the HTML lacks %s:\n%s", want, mail.HTML)
		}
	}
	m.Locale = "ar"
	if html := mailOf(c, m).HTML; !strings.Contains(html, `<html lang="ar" dir="rtl">`) || !strings.Contains(html, `<span dir="ltr" `) {
		t.Errorf("Arabic HTML:\n%s", html)
	}
	m.Alert, m.Code = true, ""
	if mail := mailOf(c, m); strings.Contains(mail.HTML, "font-size:32px") || strings.Contains(mail.Text, "\n\n") {
		t.Errorf("an alert has one sentence and no code: %q", mail)
	}
}

// Mail servers log subjects.
func TestR10NoCodeInASubject(t *testing.T) {
	c := load(t, Options{})
	for _, tag := range embeddedTags() {
		m := inLanguage(tag, payment())
		if mail := mailOf(c, m); strings.Contains(mail.Subject, m.Code) {
			t.Errorf("%s: %q", tag, mail.Subject)
		}
	}
}

func ExampleCatalogue_SMS() {
	c, err := Load(Options{Origin: "accounts.example.com", AppHash: "FA+9qCX9VSu"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.SMS(notify.Message{Code: "482913", Brand: "Acme", Purpose: "login", ValidFor: 10 * time.Minute, CanDeny: true}))
	// Output:
	// 482913 is your Acme sign-in code. Expires in 10 min. Don't share it with anyone. Not you? Reply NO.
	// FA+9qCX9VSu
	// @accounts.example.com #482913
}

// mail is the result of Mail as one value.
type mail struct{ Subject, Text, HTML string }

func mailOf(c *Catalogue, m notify.Message) mail {
	subject, text, html := c.Mail(m)
	return mail{subject, text, html}
}
