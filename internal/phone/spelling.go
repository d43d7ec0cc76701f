package phone

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"twofa/internal/digit"
)

// maxInput is the longest spelling of a number in bytes: 15 digits of another
// script take 60 bytes, and separators and invisible characters the rest.
const maxInput = 256

// maxDigits is the length of the longest number, calling code included (ITU-T
// E.164, 6.2.1).
const maxDigits = 15

// IsInvisible reports whether a character shows nothing and does not change what
// the characters around it are or how they are ordered: a direction mark or
// embedding, a byte order mark, a zero-width or joining character, a soft hyphen, a
// variation selector. U+202E, which reverses the digits on the screen, is none.
func IsInvisible(r rune) bool {
	switch {
	case r < 0xad:
		return false
	case r == 0xad, r == 0x34f, r == 0x61c, r == 0x180e, r == 0xfeff:
		return true
	}
	return 0x200b <= r && r <= 0x200f || 0x202a <= r && r <= 0x202d || 0x2060 <= r && r <= 0x206f || 0xfe00 <= r && r <= 0xfe0f
}

// Trim drops what may surround an address that was pasted: spaces of all kinds,
// line ends, and invisible characters.
func Trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || IsInvisible(r) })
}

// A spelling is a number as it was typed, taken apart.
type spelling struct {
	buf [1 + maxDigits + 1]byte // + and the digits; room for one digit too many
	n   int
	// zeroAt is the index in buf of a 0 that is alone in parentheses; 0: there is none.
	zeroAt int
}

func (s *spelling) e164() []byte { return s.buf[:s.n] }

// read takes a typed number apart. Its errors are ErrNoPlus, ErrExtension,
// ErrLetters, ErrCharacter and ErrTooLong.
func (s *spelling) read(text string) error {
	if len(text) > maxInput {
		return ErrTooLong
	}
	text = Trim(text)
	if rest, ok := cutScheme(text); ok {
		text = Trim(rest)
		if strings.ContainsAny(text, ";?") { // of a number without a +, too
			return ErrExtension
		}
	}
	bracket := -1 // where the digits in parentheses begin
	for i, r := range text {
		switch {
		case IsInvisible(r):
		case s.n == 0 && isOpening(r) && bracket < 0:
			bracket = 1
		case s.n == 0 && IsPlus(r):
			s.buf[0], s.n = '+', 1
		case s.n == 0:
			return ErrNoPlus
		case isOpening(r):
			bracket = s.n
		case isClosing(r):
			if s.n == bracket+1 && s.buf[bracket] == '0' {
				s.zeroAt = bracket
			}
		case isSeparator(r):
		default:
			digit, ok := digit.Value(r)
			if !ok {
				return characterError(text[i:], s.n > 1)
			}
			if s.n == len(s.buf) {
				return ErrTooLong
			}
			s.buf[s.n] = '0' + digit
			s.n++
		}
	}
	if s.n == 0 {
		return ErrNoPlus
	}
	return nil
}

// Dialed returns the digits of a number as people dial it in a country or abroad: without +,
// perhaps with a prefix such as 0 or 00. It reads what [Parse] reads after the +. The error is
// one of this package's errors; it says nothing about whether there is such a number.
func Dialed(text string) (digits string, err error) {
	var s spelling
	if err := s.read("+" + Trim(text)); err != nil {
		return "", err
	}
	return string(s.buf[1:s.n]), nil
}

// IsPlus reports whether a character is a plus sign in front of a number.
func IsPlus(r rune) bool { return r == '+' || r == '\uff0b' || r == '\ufe62' }

// cutScheme cuts the scheme of a URI of a number (RFC 3966).
func cutScheme(text string) (rest string, ok bool) {
	const scheme = "tel:"
	if len(text) < len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme) {
		return text, false
	}
	return text[len(scheme):], true
}

func isOpening(r rune) bool { return r == '(' || r == '\uff08' }
func isClosing(r rune) bool { return r == ')' || r == '\uff09' }

// isSeparator reports whether a character may stand between digits: a space, a
// hyphen, a dash, a minus or a dot. A tab and a line end may not: what is behind
// them is most likely something else.
func isSeparator(r rune) bool {
	switch r {
	case ' ', '-', '.':
		return true
	case '\u2212', '\u30fc', '\uff70': // minus; the sign that Japanese keyboards have in the place of a hyphen
		return true
	case '\u00b7', '\u2022', '\u2024', '\uff0e': // middle dot, bullet, one dot leader, full-width dot
		return true
	}
	return r > unicode.MaxASCII && unicode.In(r, unicode.Zs, unicode.Pd)
}

// characterError returns the fault of a number. rest begins with the first
// character that is not allowed.
func characterError(rest string, afterDigits bool) error {
	r, _ := utf8.DecodeRuneInString(rest)
	switch {
	case afterDigits && (strings.ContainsRune(";,#xX", r) || len(rest) > 2 && strings.EqualFold(rest[:3], "ext")):
		return ErrExtension
	case unicode.IsLetter(r):
		return ErrLetters
	default:
		return ErrCharacter
	}
}
