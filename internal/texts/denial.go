package texts

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// longestReply is the longest reply that can mean no, in bytes.
const longestReply = 200

// Denies reports whether a person's reply means no, in the locale's language or
// in English. The whole reply has to consist of such words: "no, it wasn't me"
// means no, "no problem, 123456" does not. Capitals, accents, punctuation, widths,
// spaces and emoji do not matter.
func (c *Catalogue) Denies(locale, text string) bool {
	if len(text) > longestReply {
		return false
	}
	words := strings.Fields(fold(text))
	if len(words) == 0 {
		return false
	}
	own, english := c.wording(locale).denies, c.wordings[English]().denies
	// reachable[n]: the first n words are a sequence of phrases.
	reachable := make([]bool, len(words)+1)
	reachable[0] = true
	for from := range words {
		if !reachable[from] {
			continue
		}
		for to := from + 1; to <= len(words); to++ {
			if phrase := strings.Join(words[from:to], " "); own[phrase] || english[phrase] {
				reachable[to] = true
			}
		}
	}
	return reachable[len(words)]
}

// sameLetter maps letters that people type instead of each other. Unicode
// normalisation does not make them equal.
var sameLetter = map[rune]rune{
	'ı': 'i', 'ø': 'o', 'đ': 'd', 'ł': 'l', 'ς': 'σ',
	'ي': 'ی', 'ى': 'ی', 'ك': 'ک', 'ہ': 'ه',
}

// cyrillic maps Latin letters to Cyrillic ones of the same form, because people type
// them in Cyrillic words: the Ukrainian "Нi" with a Latin i.
var cyrillic = map[rune]rune{'a': 'а', 'c': 'с', 'e': 'е', 'i': 'і', 'o': 'о', 'p': 'р', 'x': 'х', 'y': 'у'}

// fold makes replies equal that mean the same to a person: it keeps letters and
// digits, in lower case, in one width and without accents, and puts one space
// between words. A letter that stands three times or more counts once: "nooo".
func fold(s string) string {
	var b strings.Builder
	space := false
	for _, r := range norm.NFKD.String(strings.ToValidUTF8(s, " ")) {
		r = unicode.ToLower(r)
		if same, ok := sameLetter[r]; ok {
			r = same
		}
		switch {
		case isAccent(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r), unicode.Is(unicode.Me, r),
			strings.ContainsRune("'’‘ʼ`´", r):
			continue // removed without a space
		case unicode.IsLetter(r), unicode.IsMark(r), unicode.IsNumber(r):
			if space && b.Len() > 0 {
				b.WriteByte(' ')
			}
			space = false
			b.WriteRune(r)
		default:
			space = true
		}
	}
	words := strings.Split(b.String(), " ")
	for i, word := range words {
		words[i] = foldWord(word)
	}
	return strings.Join(words, " ")
}

// foldWord replaces Latin letters in a Cyrillic word, and shortens runs of a letter.
func foldWord(word string) string {
	runes := []rune(word)
	if slices.ContainsFunc(runes, func(r rune) bool { return unicode.Is(unicode.Cyrillic, r) }) {
		for i, r := range runes {
			if same, ok := cyrillic[r]; ok {
				runes[i] = same
			}
		}
	}
	kept := runes[:0]
	for start := 0; start < len(runes); {
		end := start + 1
		for end < len(runes) && runes[end] == runes[start] {
			end++
		}
		if end-start > 2 && unicode.IsLetter(runes[start]) {
			kept = append(kept, runes[start])
		} else {
			kept = append(kept, runes[start:end]...)
		}
		start = end
	}
	return string(kept)
}

// isAccent reports whether a mark is one that people leave out: the accents of
// Latin, Greek and Cyrillic letters, Hebrew points, Arabic vowel signs and the
// stroke that stretches Arabic words. The marks of other scripts are kept.
func isAccent(r rune) bool {
	return r >= 0x0300 && r <= 0x036f ||
		r >= 0x0591 && r <= 0x05bd || strings.ContainsRune("\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7", r) ||
		r >= 0x064b && r <= 0x065f || r == 0x0670 || r == 0x0640
}
