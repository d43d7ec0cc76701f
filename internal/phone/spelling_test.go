package phone

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

// Attack 8: however a number is pasted, it is one number.
func TestAttack8_PastedNumbersAreOneNumber(t *testing.T) {
	t.Parallel()
	const want = "+14155550132"
	for _, in := range []string{
		// Marks before and around.
		"\ufeff+14155550132", "\u200e+14155550132", "\u200f+14155550132", "\u202a+14155550132\u202c", "\u202d+1 415 555-0132\u202c",
		"\u2066+14155550132\u2069", "\u2068+14155550132\u2069", "\u061c+14155550132", "\u200b+14155550132\u200b",
		// Marks inside.
		"+1\u200b415\u200c555\u200d0132", "+\u200e14155550132", "+1415\u00ad555\u00ad0132", "+1\u2060415\ufeff5550132", "+1\ufe0f4155550132",
		// Spaces, line ends.
		"+1\u00a0415\u00a0555\u00a00132", "+1\u202f415\u202f555\u202f0132", "+1\u2009415\u2007555\u30000132", "+14155550132\n", "+14155550132\r\n",
		"\r\n\t+14155550132\t", "+14155550132\u2028", "+14155550132\u0085", "\u00a0+14155550132\u00a0",
		// Dashes, dots, parentheses.
		"+1-415-555-0132", "+1\u2010415\u2011555\u20120132", "+1\u2013415\u2014555\u20150132", "+1\u2212415\u2212555\u22120132",
		"+1\uff0d415\ufe63555\uff0d0132", "+1\u30fc415\u30fc555\u30fc0132", "+1\u00b7415\u00b7555\u00b70132", "+1.415.555.0132", "+1\uff0e415\uff0e555\uff0e0132",
		"+1 (415) 555-0132", "+1\uff08415\uff09555-0132", "(+1) 415 555 0132", "\uff08+1\uff09415 555 0132",
		// Digits and pluses of other scripts.
		"+\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff13\uff12", "\uff0b14155550132", "\ufe6214155550132",
		"+\u0661\u0664\u0661\u0665\u0665\u0665\u0665\u0660\u0661\u0663\u0662", "+\u06f1\u06f4\u06f1\u06f5\u06f5\u06f5\u06f5\u06f0\u06f1\u06f3\u06f2",
		"+\u0967\u096a\u0967\u096b\u096b\u096b\u096b\u0966\u0967\u0969\u0968", "+1415555013\u0be8", "+1 \U0001d7d2155550132",
		// URIs.
		"tel:+14155550132", "tel:+1-415-555-0132", "TEL:+1(415)555.0132", " tel:+14155550132\n", "tel: +1 415 555 0132", "\ufefftel:+14155550132",
	} {
		if got, err := Parse(in); err != nil || got.E164 != want {
			t.Errorf("Parse(%+q) = %q, %v", in, got.E164, err)
		}
	}
}

// Attack 8: what could be read in two ways, or hides digits, is refused.
func TestAttack8_UnclearNumbersAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		want error
	}{
		{"\u202e+14155550132", ErrNoPlus},    // shown in reverse
		{"+1415\u202e5550132", ErrCharacter}, // in part
		{"+14155550132\u202e", ErrCharacter}, // and behind
		{"14155550132+", ErrNoPlus},          // typed in a field that is written from right to left
		{"+1415\t5550132", ErrCharacter},     // two cells
		{"+14155550132\n+14155550133", ErrCharacter},
		{"+1415555\u2028 0132", ErrCharacter},
		{"+14155550132/33", ErrCharacter}, // two numbers
		{"+1415~5550132", ErrCharacter},
		{"+1415555013\u00b2", ErrCharacter}, // a footnote
		{"+1415555013\u2461", ErrCharacter}, // a digit in a circle
		{"+1415555013\u0969\u20e3", ErrCharacter},
		{"+141555501\u4e00", ErrLetters}, // a Chinese number word
		{"+141555501O2", ErrLetters},
		{"+14155550132 \uff45xt 5", ErrLetters},
		{"+1415555\x80", ErrCharacter},
		{"+1415555\ufffd", ErrCharacter},
		{"+14155550132\x00", ErrCharacter},
		{"((+1) 4155550132", ErrNoPlus},
		{"-+14155550132", ErrNoPlus},
		{"++14155550132", ErrCharacter},
		{"+\uff0b14155550132", ErrCharacter},
		{"tel:", ErrNoPlus},
		{"tel:tel:+14155550132", ErrNoPlus},
		{"tel:4155550132", ErrNoPlus},
		{"tel:+1-415-555-0132;ext=5", ErrExtension},
		{"tel:+1-415-555-0132;isub=5", ErrExtension},
		{"tel:+1-415-555-0132;phone-context=example.com", ErrExtension},
		{"tel:7042;phone-context=example.com", ErrExtension},
		{"tel:555-0132;phone-context=+1-415", ErrExtension},
		{"sms:+14155550132", ErrNoPlus},
		{"whatsapp:+14155550132", ErrNoPlus},
	} {
		if got, err := Parse(tc.in); !errors.Is(err, tc.want) || got != (Number{}) {
			t.Errorf("Parse(%+q) = %q, %v; want %v", tc.in, got.E164, err, tc.want)
		}
	}
}

// Whatever marks, separators and digits a number is written with, its digits are read, and
// reading the result changes nothing.
func TestAttack8_EverySpellingIsReadAsItsDigits(t *testing.T) {
	t.Parallel()
	var zeros []rune // of each script
	for _, rng := range unicode.Nd.R16 {
		for r := rune(rng.Lo); r <= rune(rng.Hi); r += 10 {
			zeros = append(zeros, r)
		}
	}
	for _, rng := range unicode.Nd.R32 {
		for r := rune(rng.Lo); r <= rune(rng.Hi); r += 10 {
			zeros = append(zeros, r)
		}
	}
	var invisible []string
	for r := range rune(0x10000) {
		if IsInvisible(r) {
			invisible = append(invisible, string(r))
		}
	}
	separators := append([]string{"", "", "", " ", "-", ".", "\u00a0", "\u202f", "\u2011", "\u2013", "\u2212", "\uff0d", "\u00b7"}, invisible...)
	rapid.Check(t, func(t *rapid.T) {
		e164 := rapid.SampledFrom([]string{
			"+14155550132", "+442079460958", "+390212345678", "+5491123456789", "+819012345678", "+522221234567", "+3780549886377", "+919876543210",
		}).Draw(t, "number")
		zero := rapid.SampledFrom(zeros).Draw(t, "script")
		edges := rapid.SampledFrom(append([]string{"\n", "\r\n", "\t", " ", "\u3000", ""}, invisible...))
		spelled := edges.Draw(t, "before") + rapid.SampledFrom([]string{"+", "\uff0b", "tel:+", "(+"}).Draw(t, "plus")
		for _, digit := range e164[1:] {
			spelled += string(zero+digit-'0') + rapid.SampledFrom(separators).Draw(t, "separator")
		}
		spelled += edges.Draw(t, "after")
		got, err := Parse(spelled)
		if err != nil || got.E164 != e164 {
			t.Fatalf("Parse(%+q) = %q, %v; want %q", spelled, got.E164, err, e164)
		}
		if again, err := Parse(got.E164); err != nil || again != got {
			t.Fatalf("Parse(%q) = %#v, %v; want %#v", got.E164, again, err, got)
		}
	})
}

// The invisible characters that people's programs add are dropped. Those that belong to
// letters, or that reverse the order, are not.
func TestIsInvisible(t *testing.T) {
	t.Parallel()
	for _, r := range "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u2060\u2063\u2064\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff" {
		if !IsInvisible(r) {
			t.Errorf("%U is not invisible", r)
		}
	}
	for _, r := range "\x00 0+a\u00a0\u2010\u2028\u202e\u202f\u20e3\u0600\u06dd\u3000\ufffd" {
		if IsInvisible(r) {
			t.Errorf("%U is invisible", r)
		}
	}
}

// An unknown range is named as such, with what to do.
func TestUnknownRangeSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := Parse("+1 999 555 0123")
	for _, part := range []string{"this version does not know the range", "check for a wrong digit", "TWOFA_EXTRA_NUMBERS"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
}
