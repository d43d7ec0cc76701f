package user

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"twofa/internal/problem"

	"golang.org/x/text/unicode/norm"
)

// MaxName is the longest name in characters.
const MaxName = 128

// ParseName reads a user's name and returns its normal form: NFC (UAX #15), with
// the case kept. It refuses a name that could arrive as another name:
//
//   - A name is part of a path, and the Functions host decodes a path once more
//     than the client has encoded it. A % and two hexadecimal digits would arrive
//     as the character that they stand for: %41dmin as Admin.
//   - The host ends a path at a ? or #, takes a \ for a /, and resolves the segments . and .. of it.
//   - A singleton's normal form is another single character: the Kelvin sign becomes
//     the letter K. Client apps that compare characters take the two for two users.
//   - A later Unicode version may change the form of an unassigned character, and
//     an invisible character makes two names look alike.
//
// The error is of kind InvalidRequest with the field user. It does not quote the
// name.
func ParseName(name string) (string, error) {
	fault := func(message string) (string, error) { return "", problem.Invalid("user", "%s", message) }
	if name == "" {
		return fault("The user's name is missing.")
	}
	if !utf8.ValidString(name) {
		return fault("A user's name has to be valid UTF-8.")
	}
	if hasSingleton(name) {
		return fault("A user's name has a character that Unicode takes for another single character, such as the Kelvin sign for the letter K. Write the other character: it looks the same.")
	}
	name = norm.NFC.String(name)
	switch {
	case utf8.RuneCountInString(name) > MaxName:
		return fault("A user's name has at most 128 characters.")
	case name == "." || name == "..":
		return fault("The names . and .. mean a place in a path, so they cannot name a user.")
	case strings.ContainsAny(name, `/\?#`):
		return fault(`A user's name has none of / \ ? and #: they would end or change the path that it is part of.`)
	case strings.ContainsFunc(name, isInvisible):
		return fault("A user's name has only characters that can be seen, and plain spaces: no line breaks, control, direction, joining or unassigned characters.")
	case name[0] == ' ' || name[len(name)-1] == ' ':
		return fault("A user's name has no space at its beginning or end.")
	case hasEscape(name):
		return fault("A user's name must not have a % before two hexadecimal digits: a path is decoded once more on its way, so another name would arrive. If the name has no such %, it was percent-encoded twice: encode it once.")
	}
	return name, nil
}

// hasSingleton reports whether the normal form of one of the characters is another
// single character. A character that is put together, as e and an accent, is none.
func hasSingleton(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool {
		form := []rune(norm.NFC.String(string(r)))
		return len(form) == 1 && form[0] != r
	})
}

// isInvisible reports whether a character is not printable, or is printed as
// nothing. The normal form puts such a character (U+034F) into a sequence of over
// 30 marks, so ParseName refuses that sequence, too.
func isInvisible(r rune) bool {
	return !unicode.IsPrint(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// hasEscape reports whether the name has a percent escape.
func hasEscape(name string) bool {
	for i := 0; i+2 < len(name); i++ {
		if name[i] == '%' && isHex(name[i+1]) && isHex(name[i+2]) {
			return true
		}
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}
