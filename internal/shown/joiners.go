package shown

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	nonJoiner = '\u200c'
	joiner    = '\u200d'
)

func isJoiner(r rune) bool { return r == nonJoiner || r == joiner }

// joining are the scripts in which a joiner changes the shape of the letters beside it,
// so that names are misspelled without it (Unicode Standard, 23.2).
var joining = []*unicode.RangeTable{
	unicode.Adlam, unicode.Arabic, unicode.Balinese, unicode.Bengali, unicode.Chakma, unicode.Devanagari, unicode.Gujarati,
	unicode.Gurmukhi, unicode.Hanifi_Rohingya, unicode.Javanese, unicode.Kannada, unicode.Khmer, unicode.Malayalam,
	unicode.Mandaic, unicode.Meetei_Mayek, unicode.Mongolian, unicode.Myanmar, unicode.Newa, unicode.Nko, unicode.Oriya,
	unicode.Phags_Pa, unicode.Sinhala, unicode.Sundanese, unicode.Syriac, unicode.Tamil, unicode.Telugu, unicode.Tibetan,
}

// keepJoiners leaves out the joiners that change nothing which a person sees. They
// would make two payees look alike. It keeps one joiner in each of these places:
//
//   - between letters or marks of a joining script, as in Persian می‌خواهم;
//   - a U+200D after a virama, also at the end of a word, as in Malayalam അവന്‍;
//   - a U+200D between emoji, as in 👩‍🍳.
func keepJoiners(text string) string {
	if !strings.ContainsFunc(text, isJoiner) {
		return text
	}
	runes := []rune(text)
	kept := make([]rune, 0, len(runes))
	var base rune   // the last character that is no mark
	virama := false // whether there is a virama between the marks of base
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		if !isJoiner(r) {
			kept = append(kept, r)
			if !unicode.Is(unicode.M, r) {
				base, virama = r, false
			} else if norm.NFC.PropertiesString(string(r)).CCC() == 9 { // the class of viramas
				virama = true
			}
			continue
		}
		end := i + 1
		for end < len(runes) && isJoiner(runes[end]) {
			end++
		}
		var next rune
		if end < len(runes) {
			next = runes[end]
		}
		for ; i < end; i++ {
			if joins(base, virama, runes[i], next) {
				kept = append(kept, runes[i])
				base, virama = runes[i], false
				break
			}
		}
		i = end - 1
	}
	return string(kept)
}

// joins reports whether a joiner may change the shape of what is beside it.
func joins(base rune, virama bool, r, next rune) bool {
	letter := unicode.Is(unicode.L, base) && unicode.In(base, joining...)
	switch {
	case letter && (unicode.Is(unicode.M, next) || unicode.Is(unicode.L, next) && unicode.In(next, joining...)):
		return true // any mark, because NFC may change their order
	case letter && virama && r == joiner:
		return true
	}
	return r == joiner && isEmoji(base) && isEmoji(next)
}

// isEmoji reports whether a character may be a part of an emoji of several: a picture, a
// skin colour, or an arrow.
func isEmoji(r rune) bool {
	return r >= 0x2190 && unicode.Is(unicode.So, r) || unicode.Is(pictures, r) || r == '\u2194'
}
