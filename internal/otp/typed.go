package otp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"twofa/internal/digit"
	"twofa/internal/problem"
)

// MaxTyped is the greatest length in bytes of a text that is searched for a code: a
// whole message has up to 2,000.
const MaxTyped = 4096

// Typed is a text that a person typed or pasted where a code is expected. It may be
// the code alone, in any spelling that [ReadCode] reads, in quotation marks, or with a
// stop behind it; the code behind a prefix (G-482913, Acme: 482913); or a whole
// message.
//
// A text is never cut to fit: the code is the whole text, or a number or word that
// stands alone in it. Nothing is chosen among several.
type Typed struct {
	whole   string   // the whole text as a code, as ReadCode returns it; "" if it cannot be one
	numbers []string // of MinCodeLength to MaxCodeLength digits, which stand alone in the text
	words   []string // the same for symbols of Alphanumeric, upper case as in messages
}

// ReadTyped reads a text. It reports false for a text that cannot be a code of any
// shape, nor a recovery code.
func ReadTyped(text string) (Typed, bool) {
	if len(text) > MaxTyped || !utf8.ValidString(text) {
		return Typed{}, false
	}
	folded, ok := fold(text)
	if !ok {
		return Typed{}, false
	}
	t := Typed{whole: wholeCode(folded)}
	for _, n := range findNumbers(folded) {
		t.numbers = addNew(t.numbers, n)
	}
	for _, w := range findWords(folded) {
		t.words = addNew(t.words, w)
	}
	return t, t.whole != "" || len(t.numbers)+len(t.words) > 0
}

// Whole is the whole text as a code, as [ReadCode] returns it, "" if it has other
// characters than one.
func (t Typed) Whole() string { return t.whole }

// Alone reports whether no part of the text could be a code on its own.
func (t Typed) Alone() bool { return len(t.numbers)+len(t.words) == 0 }

// ErrForm is in the error for a text that holds no code of the right shape: nothing was
// compared. ErrSeveral wraps it, for a text that holds more than one.
var (
	ErrForm    = errors.New("otp: the text is no code of this shape")
	ErrSeveral = fmt.Errorf("%w, but more than one", ErrForm)
)

// malformed is an InvalidRequest for the field code.
func malformed(why error, format string, args ...any) *problem.Error {
	err := problem.Invalid("code", format, args...)
	err.Err = why
	return err
}

// As returns the code that the text holds, if it holds exactly one of these shapes.
// The whole text comes first; what is found within it only counts if the whole text is
// no code. The error is of kind InvalidRequest with the field code, and wraps ErrForm.
// It does not quote the text.
func (t Typed) As(shapes ...Shape) (string, *problem.Error) {
	var found []string
	for _, s := range shapes {
		if s.Fits(t.whole) {
			return t.whole, nil
		}
		candidates := t.numbers
		if s.Alphabet == Alphanumeric {
			candidates = t.words
		}
		for _, c := range candidates {
			if s.Fits(c) {
				found = addNew(found, c)
			}
		}
	}
	what := describe(shapes)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", malformed(ErrSeveral, "The code has %s, and this text has more than one such part. Give the code alone. No try was spent.", what)
	case t.whole != "" && strings.Trim(t.whole, digits) == "":
		return "", malformed(ErrForm, "The code has %s; this has %s. No try was spent.", what, count(len(t.whole), "digit"))
	}
	return "", malformed(ErrForm, "The code has %s, and this text has no such part that stands alone. No try was spent.", what)
}

// describe says what codes of the shapes look like: "6 digits", "6 or 8 digits".
func describe(shapes []Shape) string {
	var parts []string
	for _, s := range shapes {
		part := count(s.Length, "digit")
		if s.Alphabet == Alphanumeric {
			part = fmt.Sprintf("%d letters and digits, without 0, O, 1 and I", s.Length)
		}
		parts = addNew(parts, part)
	}
	for i := range len(parts) - 1 { // 6 or 8 digits
		if strings.HasSuffix(parts[i+1], " digits") {
			parts[i] = strings.TrimSuffix(parts[i], " digits")
		}
	}
	return strings.Join(parts, " or ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func addNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// fold brings a text to fewer characters: line breaks become \n, other spaces a space,
// dashes a hyphen, digits of any script and full-width letters ASCII. What is invisible
// is dropped. It reports false for control characters, which no message has.
func fold(text string) ([]rune, bool) {
	folded := make([]rune, 0, len(text))
	for _, r := range text {
		switch {
		case r == '\n' || r == '\r' || r == '\v' || r == '\f' || r == '\u0085' || r == '\u2028' || r == '\u2029':
			r = '\n'
		case unicode.IsSpace(r):
			r = ' '
		case unicode.IsControl(r):
			return nil, false
		case unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) || r == keycap:
			continue
		case unicode.Is(unicode.Pd, r) || r == '\u2212':
			r = '-'
		case r >= 'Ａ' && r <= 'Ｚ':
			r += 'A' - 'Ａ'
		case r >= 'ａ' && r <= 'ｚ':
			r += 'a' - 'ａ'
		default:
			if d, ok := digit.Value(r); ok {
				r = '0' + rune(d)
			}
		}
		folded = append(folded, r)
	}
	return folded, true
}

// keycap draws a key around a digit.
const keycap = '\u20e3'

// around is what may stand around a code that is quoted or emphasized.
const around = " \n\"'`´«»‹›“”„‟‘’‚‛「」『』()[]{}<>*_~"

// wholeCode reads the whole text as one code: ASCII digits and letters between spaces
// and hyphens, after quotation marks and a stop at the end. Digits may have dots
// between them, but not as an amount has: 482.913, not 1234.56.
func wholeCode(folded []rune) string {
	text := strings.Trim(string(folded), around)
	text = strings.Trim(strings.TrimRight(text, ".,;:!。．、，"), around)
	if strings.Contains(text, ".") {
		if strings.Trim(text, digits+" -.\n") != "" || isDecimal(text) {
			return ""
		}
		text = strings.ReplaceAll(text, ".", "")
	}
	code, ok := ReadCode(strings.Map(func(r rune) rune {
		if r == ' ' || r == '\n' || r == '-' {
			return -1
		}
		return r
	}, text))
	if !ok {
		return ""
	}
	return code
}

// isDecimal reports whether a number has one dot and at most two digits behind it, or
// dots that do not stand between digits.
func isDecimal(text string) bool {
	parts := strings.Split(text, ".")
	if slices.ContainsFunc(parts, func(p string) bool { return p == "" || strings.Trim(p, digits) != "" }) {
		return true
	}
	return len(parts) == 2 && len(parts[1]) <= 2
}

// group is digits that follow each other in a text, at [from, to).
type group struct{ from, to int }

// findNumbers returns the numbers that stand alone in a text and could be a code:
// digits, in groups with one space or hyphen between them at most. It takes all that
// is written together as one number, and leaves out what has the marks of an amount, a
// date, a time, a telephone number or an address.
func findNumbers(text []rune) (numbers []string) {
	var chain []group
	for i := 0; i < len(text); {
		if !isDigit(text[i]) {
			i++
			continue
		}
		g := group{from: i, to: i}
		for g.to < len(text) && isDigit(text[g.to]) {
			g.to++
		}
		i = g.to
		if n := len(chain); n > 0 && !together(text, chain[n-1], g) {
			numbers = appendNumber(numbers, text, chain)
			chain = nil
		}
		chain = append(chain, g)
	}
	return appendNumber(numbers, text, chain)
}

// together reports whether two groups of digits, one after the other, are parts of one
// number.
func together(text []rune, a, b group) bool {
	gap := text[a.to:b.from]
	switch {
	case len(gap) > 3:
		return false
	case slices.ContainsFunc(gap, func(r rune) bool {
		return r == '\n' || unicode.IsLetter(r) || unicode.IsMark(r) || r > unicode.MaxASCII && !strings.ContainsRune("’·•٫٬", r)
	}):
		return false
	case len(gap) > 1 && strings.ContainsRune(".,:;!?", gap[0]) && gap[1] == ' ': // the end of a sentence or a label
		return false
	case len(gap) > 1 && gap[0] == ' ' && strings.ContainsRune("#*\"'`([<", gap[1]): // the begin of something
		return false
	case string(gap) == " ": // Bank24 482913, 482913 10min
		return !inWord(text, a) && !inWord(text, b)
	}
	return true
}

// inWord reports whether letters stand directly before or behind digits. Scripts that
// write no spaces between words do not count.
func inWord(text []rune, g group) bool {
	before := g.from - 1
	for unicode.IsMark(at(text, before)) { // belongs to the letter before it
		before--
	}
	return isWordRune(at(text, before)) || isWordRune(at(text, g.to)) || unicode.IsMark(at(text, g.to))
}

// appendNumber appends the number that the groups are, if it could be a code.
func appendNumber(numbers []string, text []rune, chain []group) []string {
	var b strings.Builder
	for i, g := range chain {
		b.WriteString(string(text[g.from:g.to]))
		if inWord(text, g) {
			return numbers
		}
		if i > 0 {
			if gap := string(text[chain[i-1].to:g.from]); gap != " " && gap != "-" {
				return numbers
			}
		}
	}
	if b.Len() < MinCodeLength || b.Len() > MaxCodeLength {
		return numbers
	}
	first, last := chain[0].from, chain[len(chain)-1].to
	if isMoney(text, first, last) || partOfAddress(text, first, last) {
		return numbers
	}
	return append(numbers, b.String())
}

// partOfAddress reports whether the characters before and behind [from, to) are those
// of a telephone number, a URL, an e-mail address, or of a longer name.
func partOfAddress(text []rune, from, to int) bool {
	before, behind := at(text, from-1), at(text, to)
	switch {
	case strings.ContainsRune("+/\\=&@%", before), strings.ContainsRune("/\\=&@%", behind):
		return true
	case (before == '.' || before == ',') && isWordRune(at(text, from-2)): // example.482913
		return true
	case strings.ContainsRune(".-_", behind) && isWordRune(at(text, to+1)): // 482913.example
		return true
	}
	return before == '(' && at(text, from-2) == '+' || before == '-' && longPrefix(text, from-2)
}

// longPrefix reports whether the word that ends at i, before a hyphen, is itself part of
// something with hyphens or digits, as in AB-12-C.
func longPrefix(text []rune, i int) bool {
	for isWordRune(at(text, i)) {
		i--
	}
	return isDigit(at(text, i)) || at(text, i) == '-'
}

// currencies are the codes (ISO 4217) that are seen beside amounts without decimals,
// and the most frequent others.
const currencies = " AED AUD BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JPY KES KRW KZT MXN MYR NGN NOK NZD PHP PKR PLN PYG RON RUB SAR SEK SGD THB TRY TWD UAH USD VND XAF XOF ZAR RS RP FT KR "

// isMoney reports whether a currency stands beside the number at [from, to).
func isMoney(text []rune, from, to int) bool {
	before, behind := from-1, to
	if at(text, before) == ' ' {
		before--
	}
	if at(text, behind) == ' ' {
		behind++
	}
	for _, r := range []rune{at(text, before), at(text, behind)} {
		if unicode.Is(unicode.Sc, r) || strings.ContainsRune("円元원", r) {
			return true
		}
	}
	begin, end := before, behind
	for isWordRune(at(text, begin)) {
		begin--
	}
	for isWordRune(at(text, end)) {
		end++
	}
	for _, word := range []string{string(text[begin+1 : max(begin, before)+1]), string(text[min(behind, end):end])} {
		if word != "" && strings.Contains(currencies, " "+strings.ToUpper(word)+" ") {
			return true
		}
	}
	return false
}

// findWords returns the words of a text that have the form of an alphanumeric code as
// messages show it: upper case, with nothing attached but a prefix such as G-. Words of
// a language look like codes, so As takes one only if there is no other.
func findWords(text []rune) (words []string) {
	for i := 0; i < len(text); {
		if !isWordRune(text[i]) && !isDigit(text[i]) {
			i++
			continue
		}
		from := i
		for i < len(text) && (isWordRune(text[i]) || isDigit(text[i]) || unicode.IsMark(text[i])) {
			i++
		}
		word := string(text[from:i])
		if len(word) < MinCodeLength || len(word) > MaxCodeLength || strings.Trim(word, alphanumeric) != "" || attached(text, from, i) {
			continue
		}
		words = append(words, word)
	}
	return words
}

// attached reports whether a word is part of something longer than a word with a
// prefix.
func attached(text []rune, from, to int) bool {
	behind := at(text, to)
	if behind == '-' || partOfAddress(text, from, to) || strings.ContainsRune("._'’+:", behind) && (isWordRune(at(text, to+1)) || isDigit(at(text, to+1))) {
		return true
	}
	return strings.ContainsRune("._'’", at(text, from-1)) && (isWordRune(at(text, from-2)) || isDigit(at(text, from-2)))
}

// at returns the character at i, a line break beyond the ends.
func at(text []rune, i int) rune {
	if i < 0 || i >= len(text) {
		return '\n'
	}
	return text[i]
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// isWordRune reports whether a character is part of a word in a script that puts spaces
// between words, or a number that is no decimal digit, such as ².
func isWordRune(r rune) bool {
	return unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Nl, unicode.No)
}
