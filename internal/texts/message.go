package texts

import (
	"strconv"
	"strings"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
)

// noBrand stands where a brand has nothing that can be shown. It is the default
// of TWOFA_BRAND.
const noBrand = "twofa"

// englishVoice is the voice that speech falls back to. Every account has it.
const englishVoice = "en-US"

// subject says which of the sentences a message is made of.
type subject struct {
	kind   string // login, payment or general
	values values
	parts  []string // amount and payee, as keys, where the message has them
}

// subjectOf makes what comes from outside safe and finds the sentences for it.
// Values are wrapped in isolates where that is needed, except in speech.
func (w *wording) subjectOf(m notify.Message, isolated bool) subject {
	wrap := func(s string) string {
		if isolated {
			return isolate(s, w.rightToLeft)
		}
		return s
	}
	brand := plain(m.Brand, notify.MaxBrand)
	if brand == "" {
		brand = noBrand
	}
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
		{"amount", plain(m.Amount, otp.MaxAmount)},
		{"payee", plain(m.Payee, otp.MaxPayee)},
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

// Chat is the message as WhatsApp and the console show it: one line, the code
// first, because a lock screen and a notification show only the beginning. For
// m.Alert it is the warning.
func (c *Catalogue) Chat(m notify.Message) string {
	w := c.wording(m.Locale)
	s := w.subjectOf(m, true)
	if m.Alert {
		return expand(w.texts[alertKey(m)], s.values)
	}
	line := expand(w.texts["code_"+s.kind], s.values)
	line = w.context(line, s)
	line = join(line, expand(w.texts["valid"], s.values))
	line = join(line, w.texts["secret"])
	return join(line, w.texts[ifNotYou(m)])
}

// SMS is the message as a text message, shorter than Chat. Where there is an
// origin its last line is exactly `@host #code`, the form that browsers look
// for; Android's hash has a line of its own before it. An alert has neither: it
// has no code.
func (c *Catalogue) SMS(m notify.Message) string {
	w := c.wording(m.Locale)
	s := w.subjectOf(m, true)
	if m.Alert {
		return expand(w.sms(alertKey(m)), s.values)
	}
	text := expand(w.sms("code_"+s.kind), s.values)
	for _, key := range s.parts {
		text = join(text, expand(w.sms(key), s.values))
	}
	if len(s.parts) == 0 { // what a payment is for needs the room
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

// Speech is the message as a call says it. The code is not in it. A language
// for which the provider has no voice is spoken in English.
func (c *Catalogue) Speech(m notify.Message) notify.Speech {
	w, voice := c.speaker(m.Locale)
	s := w.subjectOf(m, false)
	delete(s.values, "code")
	if m.Alert {
		return notify.Speech{Language: voice, Before: expand(w.texts[alertKey(m)], s.values)}
	}
	before := expand(w.texts["speech_hello"], s.values)
	before = join(before, expand(w.texts["intro_"+s.kind], s.values))
	before = w.context(before, s)
	return notify.Speech{
		Language: voice,
		Before:   join(before, w.texts["code_is"]),
		Again:    w.texts["speech_again"],
		After:    w.texts["speech_after"],
	}
}

// speaker returns the texts for a call, and the tag of the voice.
func (c *Catalogue) speaker(locale string) (*wording, string) {
	if w := c.wording(locale); w.voice != "" {
		return w, w.voice
	}
	w := c.wordings[English]()
	if w.voice != "" {
		return w, w.voice
	}
	return w, englishVoice
}

// Ask is the text that a person sends to us to approve: what it approves, and
// at its end the code.
func (c *Catalogue) Ask(m notify.Message) string {
	w := c.wording(m.Locale)
	s := w.subjectOf(m, true)
	line := w.context(expand(w.texts["ask_"+s.kind], s.values), s)
	return join(line, expand(w.texts["ask_code"], s.values))
}

// DeniedReply acknowledges that a person has said no. Of m it reads Brand and
// Locale.
func (c *Catalogue) DeniedReply(m notify.Message) string { return c.reply("denied", m) }

// ConfirmedReply acknowledges that the text of Ask has arrived and approved
// what it names. Of m it reads Brand and Locale.
func (c *Catalogue) ConfirmedReply(m notify.Message) string { return c.reply("confirmed", m) }

func (c *Catalogue) reply(key string, m notify.Message) string {
	w := c.wording(m.Locale)
	return expand(w.texts[key], w.subjectOf(m, true).values)
}

// context adds the sentences that name amount and payee.
func (w *wording) context(line string, s subject) string {
	for _, key := range s.parts {
		line = join(line, expand(w.texts[key], s.values))
	}
	return line
}

// ifNotYou is the key of what to do if the person did not start this.
func ifNotYou(m notify.Message) string {
	if m.CanDeny {
		return "deny"
	}
	return "ignore"
}

// alertKey is the key of what an alert warns of.
func alertKey(m notify.Message) string {
	if m.Recovered {
		return "alert_recovery"
	}
	return "alert"
}

// join sets one sentence behind another. Chinese and Japanese full stops bring
// their own space along.
func join(a, b string) string {
	for _, stop := range []string{"。", "：", "！", "？"} {
		if strings.HasSuffix(a, stop) {
			return a + b
		}
	}
	return a + " " + b
}
