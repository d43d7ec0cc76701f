package twilio

import (
	"encoding/xml"
	"strings"
	"unicode"
	"unicode/utf16"

	"twofa/internal/notify"
)

// Limits of what a call says, in characters unless noted. Twilio accepts 4,000
// characters of TwiML (error 32018). With these limits there are always fewer,
// markup and escapes included. A longer text is cut between words. A code is
// never cut: Send refuses a longer one.
const (
	maxTwiML      = 4000
	maxSpokenCode = 16 // bytes
	maxBefore     = 1200
	maxAgain      = 300
	maxAfter      = 500
	maxLanguage   = 16
)

// callTwiML returns the TwiML of a call. The call says the code one character at
// a time, so that no voice reads it as one large number.
func callTwiML(s notify.Speech, code string) string {
	var b strings.Builder
	open := "<Say>"
	if s.Language != "" && len(s.Language) <= maxLanguage && isAlphanumeric(strings.ReplaceAll(s.Language, "-", "")) {
		open = `<Say language="` + s.Language + `">`
	}
	say := func(text string, limit int) {
		if text = escape(text, limit); text != "" {
			b.WriteString(open + text + "</Say><Pause/>")
		}
	}
	spell := func() {
		for _, r := range code {
			// Some voices read a lower-case letter such as "a" as a word.
			say(string(unicode.ToUpper(r)), maxBefore)
		}
	}

	b.WriteString("<Response>")
	say(s.Before, maxBefore)
	if code != "" {
		spell()
		say(s.Again, maxAgain)
		spell()
		say(s.After, maxAfter)
	}
	b.WriteString("</Response>")
	return b.String()
}

// escape makes a text safe inside an XML element: it escapes it, replaces the
// characters that XML cannot hold, and turns each run of spaces into one space.
// The result has at most limit characters, counted in UTF-16 as Twilio may do. A
// longer text is cut after a whole word, unless that would drop half of it.
func escape(text string, limit int) string {
	var b strings.Builder
	size := 0
	for _, r := range strings.Join(strings.Fields(text), " ") {
		before := b.Len()
		b.WriteString(escapeText(string(r)))
		for _, e := range b.String()[before:] {
			size += utf16.RuneLen(e)
		}
		if size > limit {
			cut := b.String()[:before]
			if i := strings.LastIndexByte(cut, ' '); i > before/2 {
				cut = cut[:i]
			}
			return cut
		}
	}
	return b.String()
}

// escapeText escapes a text for an XML element. It replaces the characters that
// XML cannot hold.
func escapeText(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic(err) // writing to a Builder never fails
	}
	return b.String()
}
