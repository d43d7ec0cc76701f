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
// the case kept. It refuses a name that looks the same as another name:
//
//   - A singleton's normal form is another single character: the Kelvin sign becomes
//     the letter K. Client apps that compare characters take the two for two users.
//   - A later Unicode version may change the form of an unassigned character, and
//     an invisible character makes two names look alike. So does a space at the end.
//
// A name may hold any other character. How it stands in the path of a request is not
// its concern: see handler.
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
	case strings.ContainsFunc(name, isInvisible):
		return fault("A user's name has only characters that can be seen, and plain spaces: no line breaks, control, direction, joining or unassigned characters.")
	case name[0] == ' ' || name[len(name)-1] == ' ':
		return fault("A user's name has no space at its beginning or end.")
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
