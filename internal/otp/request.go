package otp

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"twofa/internal/problem"
)

// DefaultPurpose is the purpose of a request that names none.
const DefaultPurpose = "login"

// MaxAmount and MaxPayee bound the texts of a [Transaction] in characters. A
// character has at most 4 bytes, so that both fit in the 255 bytes that a row has
// for a text.
const (
	MaxAmount = 40
	MaxPayee  = 60
)

// CheckPurpose returns the purpose, DefaultPurpose for "". It adds a fault if the
// purpose is not valid.
func CheckPurpose(purpose string, faults *problem.Faults) string {
	if purpose == "" {
		return DefaultPurpose
	}
	for _, c := range purpose {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' || len(purpose) > 32 {
			faults.Add("purpose", "A purpose is 1 to 32 characters of a-z, 0-9, _ and -.")
			break
		}
	}
	return purpose
}

// CheckLocale adds a fault unless the locale is "" or has the form of a BCP 47 tag:
// parts of 1 to 8 letters and digits between hyphens, the first one of 2 letters or
// more.
func CheckLocale(locale string, faults *problem.Faults) {
	ok := len(locale) <= maxLocale
	for i, part := range strings.Split(locale, "-") {
		ok = ok && len(part) >= 1 && len(part) <= 8 && (i > 0 || len(part) >= 2)
		for _, c := range []byte(part) {
			digit := c >= '0' && c <= '9'
			letter := c|0x20 >= 'a' && c|0x20 <= 'z'
			ok = ok && (letter || digit && i > 0)
		}
	}
	if locale != "" && !ok {
		faults.Add("locale", "A locale is a language tag (BCP 47) like en or pt-BR.")
	}
}

// maxLocale is the length that every program has to support (RFC 5646, 4.4.1).
const maxLocale = 35

// Check adds a fault for a text that must not be shown. The texts become part of a
// message that the service signs with its name, so they must not look like more
// than an amount and a payee, and the person has to see all that the code is bound
// to.
func (t Transaction) Check(faults *problem.Faults) {
	checkText("context.amount", t.Amount, MaxAmount, faults)
	checkText("context.payee", t.Payee, MaxPayee, faults)
}

func checkText(field, text string, most int, faults *problem.Faults) {
	switch {
	case text == "":
	case utf8.RuneCountInString(text) > most:
		faults.Add(field, "At most %d characters are shown.", most)
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && !joiner(r) }):
		faults.Add(field, "Only printable characters on one line are shown: no line breaks, control or direction characters.")
	case strings.Contains(text, "{{"), strings.Contains(text, "}}"), strings.Contains(text, "://"),
		strings.Contains(strings.ToLower(text), "www."):
		faults.Add(field, "Links and template placeholders are not shown.")
	case strayJoiner(text):
		faults.Add(field, "Joiners (U+200C, U+200D) are shown only inside a word, one at a time.")
	case text != strings.Join(strings.Fields(text), " "), !strings.ContainsFunc(text, visible):
		faults.Add(field, "A text is shown only if it has something visible, and single spaces only between its words.")
	}
}

// joiner reports the zero-width non-joiner and joiner, which the spelling of
// Persian and Indic names needs.
func joiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

// strayJoiner reports a joiner that is not between letters, marks or digits. No
// spelling needs it there, and it could hide a link, for example beside a dot.
func strayJoiner(text string) bool {
	runes := []rune(text)
	inWord := func(i int) bool {
		return i >= 0 && i < len(runes) && unicode.In(runes[i], unicode.L, unicode.M, unicode.N)
	}
	for i, r := range runes {
		if joiner(r) && !(inWord(i-1) && inWord(i+1)) {
			return true
		}
	}
	return false
}

// visible reports whether a character can be seen on its own. Spaces, joiners,
// marks and some printable characters cannot.
func visible(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) &&
		!unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && r != '\u2800' // the empty Braille cell
}
