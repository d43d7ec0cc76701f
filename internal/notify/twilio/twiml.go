package twilio

import (
	"encoding/xml"
	"strings"
	"unicode"
	"unicode/utf16"

	"twofa/internal/notify"
)

// Bounds of what a call says. Twilio takes 4,000 characters of TwiML (error
// 32018); with these, markup and escapes included, there are always fewer. A
// text that is longer is cut between words. A code is never cut: Send refuses
// one that is longer than this.
const (
	maxTwiML      = 4000
	maxSpokenCode = 16 // bytes
	maxBefore     = 1200
	maxAgain      = 300
	maxAfter      = 500
	maxLanguage   = 16
)

// callTwiML is what a call does: it says the speech and the code in it, one
// character at a time, so that no voice reads a number in millions.
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
			// A voice reads a small letter as a word where it is one.
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

// escape makes a text safe inside an element of XML: escaped, characters that
// XML cannot hold replaced, spaces made single. It has at most limit characters
// as Twilio may count them (UTF-16); if it would have more, it ends with a whole
// word where one ends near.
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

// escapeText escapes for an element of XML, where it also replaces what XML
// cannot hold.
func escapeText(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic(err) // a Builder takes everything
	}
	return b.String()
}
