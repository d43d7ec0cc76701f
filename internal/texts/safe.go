package texts

import (
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/bidi"
)

// plain makes a text from outside safe to stand inside a sentence: one line, no
// control characters, no invisible ones that reorder or hide text, at most
// limit characters.
func plain(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), unicode.In(r, unicode.Zl, unicode.Zp):
			return ' '
		case r == '\u200c' || r == '\u200d':
			return r // the joiners are part of how Persian and Indic names are spelt
		case unicode.Is(unicode.Cf, r):
			return -1 // bidi controls, zero-width space, tag characters
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")

	if runes := []rune(s); len(runes) > limit {
		s = strings.TrimRight(string(runes[:limit-1]), " ") + "…"
	}
	return s
}

// breakLinks puts a space where an app would otherwise see a link: in "://",
// after a dot that a letter follows, and in four numbers that make up an IPv4
// address. A visible space and not an invisible character, because the latter
// doubles the price of an SMS (UCS-2) and copies along. Amounts keep their dots,
// which digits follow.
func breakLinks(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		b.WriteRune(r)
		if i+1 == len(runes) {
			break
		}
		next := runes[i+1]
		switch {
		case r == ':':
			if next == '/' {
				b.WriteByte(' ')
			}
		case isDot(r):
			if unicode.IsLetter(next) || endsAddress(runes, i) {
				b.WriteByte(' ')
			}
		}
	}
	return b.String()
}

// isDot reports whether a domain name's labels are separated by r, or by what a
// browser makes of it: the ideographic, full-width, small and one-dot forms.
func isDot(r rune) bool { return strings.ContainsRune(".\u3002\uff0e\uff61\ufe52\u2024", r) }

// endsAddress reports whether the dot at i is the last of an IPv4 address: four
// numbers up to 255. A large amount such as 1.234.567.890 is none.
func endsAddress(runes []rune, i int) bool {
	isDigit := func(r rune) bool { return r >= '0' && r <= '9' }
	start, end := i, i+1
	for start > 0 && (isDigit(runes[start-1]) || isDot(runes[start-1])) {
		start--
	}
	for end < len(runes) && isDigit(runes[end]) {
		end++
	}
	numbers := strings.FieldsFunc(string(runes[start:end]), isDot)
	if end == i+1 || len(numbers) < 4 {
		return false
	}
	for _, number := range numbers[len(numbers)-4:] {
		if _, err := strconv.ParseUint(number, 10, 8); err != nil {
			return false
		}
	}
	return true
}

// The isolates (UAX #9): what stands between them cannot reorder what stands
// outside.
const (
	firstStrongIsolate    = "\u2068"
	popDirectionalIsolate = "\u2069"
)

// isolate wraps a value whose characters run against the text's direction. No
// other value needs it, and in an SMS of the GSM alphabet, which has no letter
// that runs from right to left, it would double the price.
func isolate(value string, rightToLeft bool) string {
	for _, r := range value {
		p, _ := bidi.LookupRune(r)
		against := false
		switch p.Class() {
		case bidi.R, bidi.AL:
			against = !rightToLeft
		case bidi.L, bidi.EN:
			against = rightToLeft
		case bidi.AN:
			against = true
		}
		if against {
			return firstStrongIsolate + value + popDirectionalIsolate
		}
	}
	return value
}

// placeholders returns the names between { and }, and false if a brace is left
// over.
func placeholders(text string) (names []string, ok bool) {
	for {
		before, rest, found := strings.Cut(text, "{")
		if strings.Contains(before, "}") {
			return nil, false
		}
		if !found {
			return names, true
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || strings.Contains(name, "{") {
			return nil, false
		}
		names, text = append(names, name), after
	}
}

// values are what placeholders stand for.
type values map[string]string

// expand puts values into a text, once: a value that looks like a placeholder
// stays as it is. What is no placeholder stays too.
func expand(text string, v values) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		value, known := v[name]
		if !closed || !known {
			b.WriteByte('{')
			text = rest
			continue
		}
		b.WriteString(value)
		text = after
	}
}
