package texts

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
)

// noBrand is shown if the brand has no visible characters. It is the default of
// TWOFA_BRAND.
const noBrand = "twofa"

// englishVoice is the voice if no other one is set. Every account has it.
const englishVoice = "en-US"

// subject says which sentences a message consists of.
type subject struct {
	kind   string // login, payment or general
	values values
	parts  []string // the keys amount and payee, if the message has them
	valid  string   // the key of the sentence that says how long the code is valid
}

// subjectOf makes the values from outside safe and chooses the sentences. If
// isolated is true, which it is except for speech, it puts isolates around values
// that need them.
func (w *wording) subjectOf(m notify.Message, isolated bool) subject {
	wrap := func(s string) string {
		if isolated {
			return isolate(s, w.rightToLeft)
		}
		return s
	}
	brand := cmp.Or(notify.OneLine(m.Brand, notify.MaxBrand), noBrand)
	valid, n := w.validity(m.ValidFor)
	s := subject{kind: "general", valid: valid, values: values{
		"code":    m.Code,
		"brand":   wrap(brand),
		"minutes": strconv.Itoa(n),
		"hours":   strconv.Itoa(n),
		"left":    strconv.Itoa(m.CodesLeft),
	}}
	if m.Purpose == "login" {
		s.kind = "login"
	}
	for name, value := range map[string]string{"place": m.Place, "device": m.Device} {
		s.values[name] = wrap(breakLinks(notify.OneLine(value, notify.MaxDetail)))
	}
	for _, part := range []struct{ key, value string }{
		{"amount", notify.OneLine(m.Amount, otp.MaxAmount)},
		{"payee", notify.OneLine(m.Payee, otp.MaxPayee)},
	} {
		if part.value == "" {
			continue
		}
		s.kind = "payment"
		s.parts = append(s.parts, part.key)
		s.values[part.key] = wrap(breakLinks(part.value))
	}
	return s
}

// validity returns the key of the sentence about the validity, and its number of
// minutes or hours, rounded down. Whole hours, and everything from two hours, are
// shown in hours. An operator's own language may lack the keys for hours.
func (w *wording) validity(d time.Duration) (key string, n int) {
	minutes := max(1, int(d/time.Minute))
	hours := minutes / 60
	switch {
	case minutes == 60:
		key, n = "valid_hour", 1
	case hours >= 2:
		key, n = "valid_hours", hours
	}
	if w.texts[key] == "" {
		return "valid", minutes
	}
	return key, n
}

// codeFirst is the code as it begins a message. In a right-to-left language, a code
// with letters would make the whole message left-to-right, so a right-to-left mark
// stands before it. [otp.ReadCode] drops the mark if a person copies it.
func (w *wording) codeFirst(code string) string {
	if w.rightToLeft && strings.ContainsAny(code, latin) {
		return rightToLeftMark + code
	}
	return code
}

// Chat is the message for WhatsApp and the console: one line that begins with the
// code, because a lock screen and a notification show only the beginning. If
// m.Alert is set, Chat is the warning.
func (c *Catalogue) Chat(m notify.Message) string {
	w := c.wordingFor(m)
	s := w.subjectOf(m, true)
	if m.Alert {
		return s.alert(m, w.chat)
	}
	s.values["code"] = w.codeFirst(m.Code)
	line := expand(w.chat("code_"+s.kind), s.values)
	for _, key := range append(s.parts, s.valid, "secret", w.ifNotYou(m, s)) {
		line = join(line, expand(w.chat(key), s.values))
	}
	return line
}

// SMS is the message as a text message, shorter than Chat. It always has the code,
// amount and payee, and "deny" if the person can deny, else "secret". It has
// "secret" beside "deny", and the validity, if they need no further segment. If
// Options.Origin is set, the last line is exactly `@host #code`, the form that
// browsers look for. Options.AppHash is on a line of its own before it. An alert
// has no code and neither line.
func (c *Catalogue) SMS(m notify.Message) string {
	w := c.wordingFor(m)
	s := w.subjectOf(m, true)
	if m.Alert {
		return s.alert(m, w.sms)
	}
	s.values["code"] = w.codeFirst(m.Code)
	end := ""
	if c.appHash != "" {
		end += "\n" + c.appHash
	}
	if c.origin != "" {
		end += "\n@" + c.origin + " #" + m.Code
	}
	// text has the sentences in the order of Chat.
	text := func(valid, secret, deny bool) string {
		line := w.addTransaction(expand(w.sms("code_"+s.kind), s.values), s, w.sms)
		for _, part := range []struct {
			key  string
			want bool
		}{{s.valid, valid}, {"secret", secret}, {"deny", deny}} {
			if part.want {
				line = join(line, expand(w.sms(part.key), s.values))
			}
		}
		return line + end
	}
	secret, valid := !m.CanDeny, false
	most := segments(text(valid, secret, m.CanDeny))
	secret = secret || segments(text(valid, true, m.CanDeny)) <= most
	valid = segments(text(true, secret, m.CanDeny)) <= most
	return text(valid, secret, m.CanDeny)
}

// Speech is the message as a call says it, without the code. If the provider has
// no voice for the language, the message is in English.
func (c *Catalogue) Speech(m notify.Message) notify.Speech {
	w, voice := c.speaker(m)
	s := w.subjectOf(m, false)
	delete(s.values, "code")
	if m.Alert {
		return notify.Speech{Language: voice, Before: s.alert(m, w.text)}
	}
	before := join(expand(w.texts["speech_hello"], s.values), expand(w.texts["intro_"+s.kind], s.values))
	before = w.addTransaction(before, s, w.text)
	return notify.Speech{
		Language: voice,
		Before:   join(before, w.texts["code_is"]),
		Again:    w.texts["speech_again"],
		After:    w.texts["speech_after"],
	}
}

// speaker returns the texts for a call and the tag of the voice.
func (c *Catalogue) speaker(m notify.Message) (*wording, string) {
	if w := c.wordingFor(m); w.voice != "" {
		return w, w.regionalVoice(m.Locale)
	}
	w := c.wordings[English]()
	return w, cmp.Or(w.voice, englishVoice)
}

// Ask is the text that a person sends to the service to approve something. It says
// what it approves and ends with the code.
func (c *Catalogue) Ask(m notify.Message) string {
	w := c.wording(m.Locale)
	s := w.subjectOf(m, true)
	line := w.addTransaction(expand(w.texts["ask_"+s.kind], s.values), s, w.text)
	return join(line, expand(w.texts["ask_code"], s.values))
}

// DeniedReply confirms to a person that their no has arrived. It reads only Brand
// and Locale of m.
func (c *Catalogue) DeniedReply(m notify.Message) string { return c.reply("denied", m) }

// ConfirmedReply confirms to a person that the text of Ask has arrived and has
// approved what it names. It reads only Brand and Locale of m.
func (c *Catalogue) ConfirmedReply(m notify.Message) string { return c.reply("confirmed", m) }

// UnknownSenderReply tells a person that the provider did not report their number, so
// that their message has no effect. It is in English, because no number means no known
// language. It reads only Brand of m.
func (c *Catalogue) UnknownSenderReply(m notify.Message) string {
	return expand(unknownSender, c.wordings[English]().subjectOf(m, true).values)
}

const unknownSender = "{brand}: we received your message without your phone number, so nothing was approved or stopped. Please choose another way to verify."

func (c *Catalogue) reply(key string, m notify.Message) string {
	w := c.wording(m.Locale)
	return expand(w.texts[key], w.subjectOf(m, true).values)
}

// addTransaction adds the sentences that name amount and payee. text returns the
// text of a key.
func (w *wording) addTransaction(line string, s subject, text func(key string) string) string {
	for _, key := range s.parts {
		line = join(line, expand(text(key), s.values))
	}
	return line
}

// ifNotYou is the key of the sentence that says what to do if the person did not
// request the code. No message says to ignore a payment that the person does not
// know.
func (w *wording) ifNotYou(m notify.Message, s subject) string {
	switch {
	case m.CanDeny:
		return "deny"
	case s.kind == "payment":
		return "ignore_payment"
	}
	return "ignore"
}

// alertKeys are the keys of an alert's sentences, in order.
func alertKeys(m notify.Message) []string {
	switch {
	case m.Event != "":
		keys := []string{eventPrefix + string(m.Event)}
		if notify.OneLine(m.Place, notify.MaxDetail) != "" {
			keys = append(keys, "event_place")
		}
		if notify.OneLine(m.Device, notify.MaxDetail) != "" {
			keys = append(keys, "event_device")
		}
		return append(keys, "event_not_you")
	case m.Notice != "":
		var keys []string
		for _, part := range m.Notice.Parts() {
			keys = append(keys, noticePrefix+string(part))
		}
		return keys
	case m.Recovered:
		return []string{"alert_recovery"}
	}
	return []string{"alert"}
}

// alert is the text of an alert. text returns the text of a key.
func (s subject) alert(m notify.Message, text func(key string) string) (line string) {
	for i, key := range alertKeys(m) {
		if sentence := expand(text(key), s.values); i == 0 {
			line = sentence
		} else {
			line = join(line, sentence)
		}
	}
	return line
}

// wordingFor returns the texts for a message: English ones for an alert of which the
// language lacks a sentence.
func (c *Catalogue) wordingFor(m notify.Message) *wording {
	w := c.wording(m.Locale)
	lacks := func(key string) bool { return w.texts[key] == "" }
	if m.Alert && slices.ContainsFunc(alertKeys(m), lacks) {
		return c.wordings[English]()
	}
	return w
}

// join appends one sentence to another, with a space between them. Chinese and
// Japanese punctuation marks need no space after them. An empty b is no sentence.
func join(a, b string) string {
	if b == "" {
		return a
	}
	for _, stop := range []string{"。", "：", "！", "？"} {
		if strings.HasSuffix(a, stop) {
			return a + b
		}
	}
	return a + " " + b
}
