package texts

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
)

// breakLinks inserts a space where an app would otherwise make a link: in "://",
// after a dot before a letter, and before the last number of an IPv4 address. It
// inserts a visible space, because an invisible character doubles the price of an
// SMS (UCS-2) and is copied with the text. The dots in amounts are before digits
// and stay.
func breakLinks(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		b.WriteRune(r)
		if i+1 == len(runes) {
			break
		}
		next := runes[i+1]
		if r == ':' && next == '/' || isDot(r) && (unicode.IsLetter(next) || endsAddress(runes, i)) {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// isDot reports whether r is a dot, or one of the characters that a browser reads
// as a dot in a domain name: the ideographic, full-width, small and one-dot forms.
func isDot(r rune) bool { return strings.ContainsRune(".\u3002\uff0e\uff61\ufe52\u2024", r) }

// endsAddress reports whether the dot at i is the last one of an IPv4 address: four
// numbers up to 255. A large amount such as 1.234.567.890 is not an address.
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

// The isolates (UAX #9): text between them cannot reorder the text outside. A mark
// has a direction, as a letter has, and is invisible.
const (
	firstStrongIsolate    = "\u2068"
	popDirectionalIsolate = "\u2069"
	rightToLeftMark       = "\u200f"
)

// isolate puts isolates around a value that has characters of the other direction.
// Other values do not need them, and they would double the price of an SMS in the
// GSM alphabet, which has no right-to-left letters.
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
			return firstStrongIsolate + holdNumbers(value) + popDirectionalIsolate
		}
	}
	return value
}

// holdNumbers puts a no-break space between two digits of a value with right-to-left
// letters or digits. Around a plain space, the groups of 1 234 would change places
// (UAX #9, W4). Such a value is UCS-2 in an SMS anyway.
func holdNumbers(value string) string {
	rightToLeft := func(r rune) bool {
		p, _ := bidi.LookupRune(r)
		return p.Class() == bidi.R || p.Class() == bidi.AL || p.Class() == bidi.AN
	}
	if !strings.ContainsFunc(value, rightToLeft) {
		return value
	}
	runes := []rune(value)
	for i, r := range runes {
		if r == ' ' && i > 0 && i+1 < len(runes) && unicode.IsDigit(runes[i-1]) && unicode.IsDigit(runes[i+1]) {
			runes[i] = '\u00a0'
		}
	}
	return string(runes)
}

// placeholders returns the names between { and }. ok is false if a brace has no
// counterpart.
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

// values are the values of the placeholders, by name.
type values map[string]string

// The characters that end a sentence, and the stops, of which a text must not show
// one after another: "Payee: Shop Ltd..".
const (
	stops        = ".。．।۔"
	sentenceEnds = stops + "…!?！？؟"
)

// afterValue is the text after a placeholder. If the value ends a sentence itself, as
// "Shop Ltd." does, the stop after it is left out.
func afterValue(value, after string) string {
	value = strings.TrimSuffix(value, popDirectionalIsolate)
	last, _ := utf8.DecodeLastRuneInString(value)
	first, size := utf8.DecodeRuneInString(after)
	if strings.ContainsRune(sentenceEnds, last) && strings.ContainsRune(stops, first) {
		return after[size:]
	}
	return after
}

// expand replaces the placeholders in a text by their values. It does not expand
// the values themselves, and leaves unknown placeholders as they are.
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
		text = afterValue(value, after)
	}
}
