// Package shown brings a text from outside that people will read, such as an amount, a
// payee or the service's name, to its one form, and says whether it may be shown.
//
// Formatters write one text in several ways: with a no-break space or a plain one, with
// direction marks or without, é as one character or as two. All of them have one form.
// What a code is bound to is the form, and so is what the person sees: whatever is left
// out of the form is never shown. The package must never let a character through that
// reorders, hides or breaks a line of a message.
package shown

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Form returns the one form of a text. It is the text
//
//   - in NFC (UAX #15);
//   - with plain spaces instead of spaces of other kinds and blank letters, one between
//     two words, and none at the ends;
//   - without characters that show nothing: direction marks, byte order marks, soft
//     hyphens, zero-width spaces, variation selectors, and joiners where no script and
//     no emoji needs one.
//
// Form keeps what [Read] refuses, and text that is not valid UTF-8 as it is. The form of
// a form is the form itself.
func Form(text string) string {
	if !utf8.ValidString(text) {
		return text
	}
	text = norm.NFC.String(keepJoiners(strings.Map(fold, text)))
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }) // line breaks stay, and are refused
	return strings.Join(words, " ")
}

// Read returns the form of a text, and why it must not be shown. fault is "" if it may
// be, and for the text "". most is the length of the longest form in characters. A form
// without a fault has something that can be seen, and only printable characters and
// joiners.
func Read(text string, most int) (form, fault string) {
	form = Form(text)
	switch {
	case text == "":
	case !utf8.ValidString(text):
		fault = "A text has to be valid UTF-8."
	case utf8.RuneCountInString(form) > most:
		fault = fmt.Sprintf("At most %d characters are shown.", most)
	case strings.ContainsFunc(form, refused):
		fault = "Only printable characters on one line are shown: no line breaks, no control characters, no embeddings that change the direction, no pile of accents."
	case !strings.ContainsFunc(form, visible):
		fault = "A text is shown only if it has something visible."
	}
	return form, fault
}

// fold returns the character's form: -1 if the form leaves it out.
func fold(r rune) rune {
	switch {
	case r < 0x80:
		return r
	case r == '\u2800', r == '\u3164', r == '\uffa0', unicode.Is(unicode.Zs, r): // the empty Braille cell and the Hangul fillers look like spaces
		return ' '
	case strings.ContainsRune("\u00ad\u061c\u180e\u200b\u200e\u200f\u2060\ufeff", r),
		unicode.Is(unicode.Variation_Selector, r),
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && unicode.IsPrint(r):
		return -1
	}
	return r
}

// The blocks in which later versions of Unicode than Go's add currency signs and emoji,
// and never anything that is invisible or reorders text.
var (
	currencySigns = &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0x20a0, Hi: 0x20cf, Stride: 1}}}
	pictures      = &unicode.RangeTable{R32: []unicode.Range32{{Lo: 0x1f300, Hi: 0x1faff, Stride: 1}}}
)

// refused reports whether a form with the character must not be shown. A default
// ignorable one is in a form only where NFC has put it: after 30 marks in a row.
func refused(r rune) bool {
	if isJoiner(r) || unicode.In(r, currencySigns, pictures) {
		return false
	}
	return !unicode.IsPrint(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// visible reports whether a character of a form can be seen on its own. Spaces, joiners
// and marks cannot.
func visible(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S, currencySigns, pictures)
}
