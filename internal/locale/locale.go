// Package locale reads what programs write for a person's language: BCP 47 tags, and the
// names of POSIX, Java and Apple, which are close to them.
//
// It must never return a character that is not a letter or digit of ASCII or a hyphen:
// tags are stored, and choose files and templates.
package locale

import (
	"strings"
	"unicode"

	"golang.org/x/text/language"

	"twofa/internal/phone"
)

// Max is the longest tag that Read returns, in bytes. It is the length that every program
// has to support (RFC 5646, 4.4.1).
const Max = 35

// Read returns the longest beginning of a locale that has the form of a BCP 47 tag and at
// most Max bytes, in the usual case (RFC 5646, 2.1.1): "en-US" for en_us. It returns ""
// if the locale does not begin with a language of two or three letters: no longer one is
// registered. C and POSIX, which are the default, do not.
//
// Parts may be separated by hyphens or underscores. The encoding and the modifier of a
// POSIX name are left out (de_DE.UTF-8, ca_ES@euro), and of a list, as of Accept-Language
// or LANGUAGE, the first element is read.
//
// whole is false if anything else was left out.
func Read(text string) (tag string, whole bool) {
	if text == "" {
		return "", true
	}
	text = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Pd, r) || r == '_' {
			return '-'
		}
		return r
	}, strings.Trim(phone.Trim(text), `"'`))
	head, tail := text, ""
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '-' && !isAlphanumeric(r) }); i >= 0 {
		head, tail = text[:i], text[i:]
	}
	whole = tail == "" || strings.ContainsRune(".@,;:", rune(tail[0]))
	if head == "C" || head == "POSIX" {
		return "", whole
	}
	parts := strings.Split(head, "-")
	kept := form(parts)
	return canonical(kept), whole && len(kept) == len(parts)
}

// form returns the longest beginning of a tag's parts that has the form of a tag.
func form(parts []string) []string {
	if n := len(parts[0]); n < 2 || n > 3 || strings.ContainsAny(parts[0], "0123456789") {
		return nil
	}
	size, n := 0, 0
	private := false // after x, every part is private use
	for i, p := range parts {
		size += len(p) + min(i, 1) // and a hyphen
		if len(p) < 1 || len(p) > 8 || size > Max {
			break
		}
		if len(p) == 1 && !private {
			private = p == "x" || p == "X"
			continue // a singleton does not end a tag: something follows it
		}
		n = i + 1
	}
	return parts[:n]
}

// canonical writes a tag in the case that RFC 5646, 2.1.1 recommends.
func canonical(parts []string) string {
	var b strings.Builder
	afterSingleton := false
	for i, p := range parts {
		p = strings.ToLower(p)
		if i > 0 {
			b.WriteByte('-')
			switch {
			case afterSingleton:
			case len(p) == 2:
				p = strings.ToUpper(p)
			case len(p) == 4:
				p = strings.ToUpper(p[:1]) + p[1:]
			}
		}
		afterSingleton = afterSingleton || len(p) == 1
		b.WriteString(p)
	}
	return b.String()
}

// IsKnown reports whether a tag that Read returned begins with a language of the registry
// (RFC 5646, 3) that people speak: not "und" or "xx".
func IsKnown(tag string) bool {
	first, _, _ := strings.Cut(tag, "-")
	base, err := language.ParseBase(first)
	if err != nil {
		return false
	}
	switch base.String() {
	case "und", "mul", "mis", "zxx":
		return false
	}
	return true
}

func isAlphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z'
}
