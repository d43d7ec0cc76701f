package texts

import (
	"cmp"
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
	s := subject{kind: "general", values: values{
		"code":    m.Code,
		"brand":   wrap(brand),
		"minutes": strconv.Itoa(max(1, int(m.ValidFor/time.Minute))),
		"left":    strconv.Itoa(m.CodesLeft),
	}}
	if m.Purpose == "login" {
		s.kind = "login"
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

// Chat is the message for WhatsApp and the console: one line that begins with the
// code, because a lock screen and a notification show only the beginning. If
// m.Alert is set, Chat is the warning.
func (c *Catalogue) Chat(m notify.Message) string {
	w := c.wordingFor(m)
	s := w.subjectOf(m, true)
	if m.Alert {
		return expand(w.texts[alertKey(m)], s.values)
	}
	line := w.addTransaction(expand(w.texts["code_"+s.kind], s.values), s)
	line = join(line, expand(w.texts["valid"], s.values))
	line = join(line, w.texts["secret"])
	return join(line, w.texts[ifNotYou(m)])
}

// SMS is the message as a text message, shorter than Chat. If Options.Origin is
// set, the last line is exactly `@host #code`, the form that browsers look for.
// Options.AppHash is on a line of its own before it. An alert has no code and
// neither line.
func (c *Catalogue) SMS(m notify.Message) string {
	w := c.wordingFor(m)
	s := w.subjectOf(m, true)
	if m.Alert {
		return expand(w.sms(alertKey(m)), s.values)
	}
	text := expand(w.sms("code_"+s.kind), s.values)
	for _, key := range s.parts {
		text = join(text, expand(w.sms(key), s.values))
	}
	if len(s.parts) == 0 { // the details of a payment need the space
		text = join(text, expand(w.sms("valid"), s.values))
	}
	if m.CanDeny {
		text = join(text, w.sms("deny"))
	} else {
		text = join(text, w.sms("secret"))
	}
	if c.appHash != "" {
		text += "\n" + c.appHash
	}
	if c.origin != "" {
		text += "\n@" + c.origin + " #" + m.Code
	}
	return text
}

// Speech is the message as a call says it, without the code. If the provider has
// no voice for the language, the message is in English.
func (c *Catalogue) Speech(m notify.Message) notify.Speech {
	w, voice := c.speaker(m)
	s := w.subjectOf(m, false)
	delete(s.values, "code")
	if m.Alert {
		return notify.Speech{Language: voice, Before: expand(w.texts[alertKey(m)], s.values)}
	}
	before := join(expand(w.texts["speech_hello"], s.values), expand(w.texts["intro_"+s.kind], s.values))
	before = w.addTransaction(before, s)
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
		return w, w.voice
	}
	w := c.wordings[English]()
	return w, cmp.Or(w.voice, englishVoice)
}

// Ask is the text that a person sends to the service to approve something. It says
// what it approves and ends with the code.
func (c *Catalogue) Ask(m notify.Message) string {
	w := c.wording(m.Locale)
	s := w.subjectOf(m, true)
	line := w.addTransaction(expand(w.texts["ask_"+s.kind], s.values), s)
	return join(line, expand(w.texts["ask_code"], s.values))
}

// DeniedReply confirms to a person that their no has arrived. It reads only Brand
// and Locale of m.
func (c *Catalogue) DeniedReply(m notify.Message) string { return c.reply("denied", m) }

// ConfirmedReply confirms to a person that the text of Ask has arrived and has
// approved what it names. It reads only Brand and Locale of m.
func (c *Catalogue) ConfirmedReply(m notify.Message) string { return c.reply("confirmed", m) }

func (c *Catalogue) reply(key string, m notify.Message) string {
	w := c.wording(m.Locale)
	return expand(w.texts[key], w.subjectOf(m, true).values)
}

// addTransaction adds the sentences that name amount and payee.
func (w *wording) addTransaction(line string, s subject) string {
	for _, key := range s.parts {
		line = join(line, expand(w.texts[key], s.values))
	}
	return line
}

// ifNotYou is the key of the sentence that says what to do if the person did not
// request the code.
func ifNotYou(m notify.Message) string {
	if m.CanDeny {
		return "deny"
	}
	return "ignore"
}

// alertKey is the key of an alert's text.
func alertKey(m notify.Message) string {
	switch {
	case m.Notice != "":
		return noticePrefix + string(m.Notice)
	case m.Recovered:
		return "alert_recovery"
	}
	return "alert"
}

// wordingFor returns the texts for a message: English ones for a notice that the
// language has no text for.
func (c *Catalogue) wordingFor(m notify.Message) *wording {
	w := c.wording(m.Locale)
	if m.Alert && w.texts[alertKey(m)] == "" {
		return c.wordings[English]()
	}
	return w
}

// join appends one sentence to another, with a space between them. Chinese and
// Japanese punctuation marks need no space after them.
func join(a, b string) string {
	for _, stop := range []string{"。", "：", "！", "？"} {
		if strings.HasSuffix(a, stop) {
			return a + b
		}
	}
	return a + " " + b
}
