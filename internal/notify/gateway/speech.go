package gateway

import (
	"encoding/xml"
	"strings"
	"unicode"
	"unicode/utf16"

	"twofa/internal/notify"
)

// Limits of what a call says, in characters, escapes included, unless noted. With them a document
// has fewer than 4,000 characters, which is Twilio's limit; Plivo reads 100 KB. A longer text is cut
// between words. A code is never cut: senders refuse a longer one.
const (
	MaxSpokenCode = 16 // bytes
	maxBefore     = 1200
	maxAgain      = 300
	maxAfter      = 500
)

// Speak returns the XML document by which a call says a text. begin is the tag before each text, end
// the tags after it, with the pause. The code is said one character at a time, so that no voice reads it
// as one large number.
func Speak(s notify.Speech, code, begin, end string) string {
	var b strings.Builder
	say := func(text string, limit int) {
		if text = escapeUpTo(text, limit); text != "" {
			b.WriteString(begin + text + end)
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

// escapeUpTo makes a text safe inside an XML element: it escapes it, replaces the
// characters that XML cannot hold, and turns each run of spaces into one space.
// The result has at most limit characters, counted in UTF-16 as Twilio may do. A
// longer text is cut after a whole word, unless that would drop half of it.
func escapeUpTo(text string, limit int) string {
	var b strings.Builder
	size := 0
	for _, r := range strings.Join(strings.Fields(text), " ") {
		before := b.Len()
		b.WriteString(EscapeXML(string(r)))
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

// EscapeXML escapes a text for an XML element. It replaces the characters that
// XML cannot hold.
func EscapeXML(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic(err) // writing to a Builder never fails
	}
	return b.String()
}
