package texts

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"twofa/internal/notify"
	"twofa/internal/otp"
)

// longestApproval is the longest message that can approve, in bytes.
const longestApproval = 4096

// Approves reports whether a person's message approves what Ask(m) asks for. m is
// that of Ask, with the code. The message has to be
//
//   - the text of Ask, word for word;
//   - or the code, alone or among words that change nothing: those of the texts of
//     Ask without brand, amount and payee, and words for yes, in the locale's language
//     or in English.
//
// Any other word, a question mark, and a sign such as 🚫 or ~ make the message approve
// nothing: this is a list of what is harmless, because nobody can list all ways to say
// no. Capitals, punctuation, spaces and widths do not matter, and the code is read as
// [otp.ReadCode] reads it.
func (c *Catalogue) Approves(m notify.Message, text string) bool {
	if m.Code == "" || len(text) > longestApproval {
		return false
	}
	said, asked := readReply(text), readReply(c.Ask(m))
	if slices.Equal(said.words, asked.words) && slices.Equal(said.signs, asked.signs) {
		return true
	}
	rest, found := said.without(m.Code)
	if !found || said.asks || slices.ContainsFunc(said.signs, func(r rune) bool { return !strings.ContainsRune(harmlessSigns, r) }) {
		return false
	}
	if c.Denies(m.Locale, strings.Join(rest, " ")) {
		return false
	}
	harmless := c.harmlessWords(m.Locale)
	return !slices.ContainsFunc(rest, func(word string) bool { return !harmless[word] })
}

// DeniesWithCode reports whether a text that has m.Code in it means no: it begins with
// one of the phrases of Denies. It also reports true, whatever m.Code is, for a text
// that has only such phrases and one number that could be a code, because the code
// may be that of an earlier message. The text of Ask never means no.
func (c *Catalogue) DeniesWithCode(m notify.Message, text string) bool {
	if len(text) > longestApproval || m.Code != "" && c.Approves(m, text) {
		return false
	}
	said := readReply(text)
	if rest, found := said.without(m.Code); found && c.beginsWithDenial(m.Locale, rest) {
		return true
	}
	rest, found := said.withoutNumber()
	return found && c.Denies(m.Locale, strings.Join(rest, " "))
}

// beginsWithDenial reports whether the first of the words are a phrase that means no.
func (c *Catalogue) beginsWithDenial(locale string, words []string) bool {
	own, english := c.wording(locale).denies, c.wordings[English]().denies
	folded := strings.Fields(fold(strings.Join(words, " ")))
	for n := 1; n <= len(folded); n++ {
		if phrase := strings.Join(folded[:n], " "); own[phrase] || english[phrase] {
			return true
		}
		if n == longestPhrase {
			break
		}
	}
	return false
}

// longestPhrase is more words than a phrase that means no has.
const longestPhrase = 16

// harmlessWords are the words beside a code that do not change what it approves.
func (c *Catalogue) harmlessWords(locale string) map[string]bool {
	own, english := c.wording(locale), c.wordings[English]()
	if known, ok := c.harmless.Load(own.tag); ok {
		return known.(map[string]bool)
	}
	harmless := make(map[string]bool)
	for _, w := range []*wording{own, english} {
		for _, key := range []string{"ask_login", "ask_general", "ask_payment", "ask_code"} {
			for _, word := range readReply(placeholder.ReplaceAllString(w.texts[key], " ")).words {
				harmless[word] = true
			}
		}
		for _, word := range readReply(yes[w.tag]).words {
			harmless[word] = true
		}
	}
	for word := range harmless {
		if f := fold(word); own.denies[f] || english.denies[f] {
			delete(harmless, word)
		}
	}
	c.harmless.Store(own.tag, harmless) // nobody changes it any more
	return harmless
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// harmlessSigns change nothing beside a code: an approving hand or check mark, a thank
// you, the tones of a hand's skin, and the marks that people quote a code with.
const harmlessSigns = "👍👌✅✔☑🙏🏻🏼🏽🏾🏿`´^"

// reply is a person's message as it is compared.
type reply struct {
	// words are its words and numbers in order: letters in lower case, digits of any
	// script as ASCII. A word and a number without a space between them are two.
	words []string
	// signs are the signs that may change the meaning, such as emoji, in order.
	signs []rune
	asks  bool // it has a question mark
	// glued is true if a word and a number have nothing between them. A code of letters
	// and digits looks like that.
	glued bool
}

// numberSign is a sign for "number" before digits: it begins like a word for no.
var numberSign = regexp.MustCompile(`(?:№|\b[nN]\.?[ \x{a0}]?[º°])\.?\s*([0-9])`)

func readReply(text string) (said reply) {
	text = strings.Map(asciiDigit, strings.ToValidUTF8(text, "\ufffd"))
	text = numberSign.ReplaceAllString(text, " $1")
	for _, r := range text {
		if isSign(r) {
			said.signs = append(said.signs, r)
		}
	}
	var word strings.Builder
	digits := false
	end := func() {
		if word.Len() > 0 {
			said.words = append(said.words, norm.NFC.String(word.String()))
		}
		word.Reset()
	}
	for _, r := range norm.NFKC.String(text) {
		r = oneCase(asciiDigit(r))
		isDigit := '0' <= r && r <= '9'
		switch {
		case r == keycap, unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point), strings.ContainsRune("'’‘ʼ`´", r):
		case isDigit || unicode.IsLetter(r) || unicode.IsMark(r):
			if word.Len() > 0 && isDigit != digits {
				end()
				said.glued = true
			}
			digits = isDigit
			word.WriteRune(r)
		default:
			end()
			said.asks = said.asks || strings.ContainsRune(questions, r)
		}
	}
	end()
	return said
}

// oneCase returns the letter in lower case, also the Greek and the Turkish one that
// have two of it.
func oneCase(r rune) rune {
	switch r = unicode.ToLower(r); r {
	case 'ς':
		return 'σ'
	case 'ı':
		return 'i'
	}
	return r
}

// questions are the signs that make a text a question.
const questions = questionMarks + "¿‽՞፧"

// asciiDigit returns the ASCII digit of a decimal digit of any script, and other
// characters as they are.
func asciiDigit(r rune) rune {
	if r > unicode.MaxASCII && unicode.Is(unicode.Nd, r) {
		if code, ok := otp.ReadCode(string(r)); ok {
			return rune(code[0])
		}
	}
	return r
}

// keycap draws a key around a digit.
const keycap = '\u20e3'

// isSign reports whether a character that is no part of a word may change the meaning:
// a symbol, a number that is no decimal digit, a character that could not be read, and
// a mark that encloses what it stands on. Marks that strike out are parts of words here,
// which are then other words.
func isSign(r rune) bool {
	if r == keycap || r <= unicode.MaxASCII && !unicode.IsSymbol(r) {
		return false
	}
	return unicode.In(r, unicode.S, unicode.No, unicode.Nl, unicode.Me, unicode.Co, unicode.Cn) || 0x20d0 <= r && r <= 0x20ff
}

// without returns the words without the code, which may be written in groups. found is
// false if the words do not have it.
func (s reply) without(code string) (rest []string, found bool) {
	code = strings.ToLower(code)
	for i := 0; i < len(s.words); i++ {
		if n := groupsOf(s.words[i:], code); n > 0 {
			found = true
			i += n - 1
			continue
		}
		rest = append(rest, s.words[i])
	}
	return rest, found
}

// groupsOf returns how many of the first words are the code together, 0 if none are.
func groupsOf(words []string, code string) int {
	if code == "" {
		return 0
	}
	for i, word := range words {
		var ok bool
		if code, ok = strings.CutPrefix(code, word); !ok {
			return 0
		}
		if code == "" {
			return i + 1
		}
	}
	return 0
}

// withoutNumber returns the words without their number. found is false unless there is
// exactly one that stands alone, in groups or not, with as many digits as a code can
// have.
func (s reply) withoutNumber() (rest []string, found bool) {
	isNumber := func(word string) bool { return word[0] >= '0' && word[0] <= '9' }
	first := slices.IndexFunc(s.words, isNumber)
	if first < 0 || s.glued {
		return s.words, false
	}
	end, digits := first, 0
	for end < len(s.words) && isNumber(s.words[end]) {
		digits += len(s.words[end])
		end++
	}
	rest = slices.Concat(s.words[:first], s.words[end:])
	return rest, digits >= otp.MinCodeLength && digits <= otp.MaxCodeLength && !slices.ContainsFunc(rest, isNumber)
}

// yes is the words for yes, by language. A word that is written like a word for no is
// none of them, also if only the accents differ. The English ones count in every
// language.
var yes = map[string]string{
	"ar": "نعم أجل موافق", "bn": "হ্যাঁ জি", "cs": "ano", "da": "ja", "de": "ja jawohl", "el": "ναι",
	"en": "yes y yeah yep ok okay sure approve approved confirm confirmed accept accepted please thanks thank you",
	"es": "sí si vale claro", "fa": "بله آره", "fi": "kyllä joo", "fr": "oui d'accord", "he": "כן", "hi": "हाँ जी haan",
	"hu": "igen", "id": "ya iya oke", "it": "sì si", "ja": "はい", "ko": "네 예", "nb": "ja", "nl": "ja", "pl": "tak",
	"pt-BR": "sim", "pt-PT": "sim", "ro": "da", "ru": "да", "sv": "ja", "th": "ใช่ ครับ ค่ะ", "tr": "evet tamam", "uk": "так",
	"ur": "جی ہاں", "vi": "đúng vâng", "zh-Hans": "是 是的 好 同意", "zh-Hant": "是 是的 好 同意",
}
