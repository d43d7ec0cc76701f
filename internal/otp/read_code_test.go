package otp_test

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"twofa/internal/otp"
)

func TestReadCode(t *testing.T) {
	for _, tc := range []struct{ name, typed, want string }{
		{"as it is", "012345", "012345"},
		{"spaces around and inside", "  123 456\t", "123456"},
		{"a line break from pasting", "123456\r\n", "123456"},
		{"hyphen", "123-456", "123456"},
		{"en dash and em dash", "12–34—56", "123456"},
		{"non-breaking hyphen", "123\u2011456", "123456"},
		{"minus sign", "123\u2212456", "123456"},
		{"full-width hyphen", "123\uff0d456", "123456"},
		{"no-break space", "123\u00a0456", "123456"},
		{"narrow no-break space", "123\u202f456", "123456"},
		{"ideographic space", "123\u3000456", "123456"},
		{"zero-width space", "123\u200b456", "123456"},
		{"full-width digits", "０１２３４５６７８９", "0123456789"},
		{"Arabic-Indic digits", "٠١٢٣٤٥٦٧٨٩", "0123456789"},
		{"extended Arabic-Indic digits", "۰۱۲۳۴۵۶۷۸۹", "0123456789"},
		{"Devanagari digits", "०१२३४५६७८९", "0123456789"},
		{"Bengali digits", "০১২৩৪৫৬৭৮৯", "0123456789"},
		{"mathematical bold digits", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗", "0123456789"},
		{"mixed scripts", "1٢३４5", "12345"},
		{"lower case", "abcxyz", "ABCXYZ"},
		{"full-width letters", "ＡＺａｚ", "AZAZ"},
		{"every byte that is looked at", strings.Repeat(" ", otp.MaxTypedCode-6) + "123456", "123456"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, ok := otp.ReadCode(tc.typed); !ok || got != tc.want {
				t.Errorf("%q: got %q, %v; want %q", tc.typed, got, ok, tc.want)
			}
		})
	}
}

func TestReadCode_RefusesWhatIsNoCode(t *testing.T) {
	for name, typed := range map[string]string{
		"nothing":                             "",
		"only spaces and hyphens":             " -\u00a0– ",
		"too long":                            strings.Repeat(" ", otp.MaxTypedCode-5) + "123456",
		"a plus":                              "+123456",
		"a dot":                               "123.456",
		"an underscore":                       "123_456",
		"NUL":                                 "123456\x00",
		"an umlaut":                           "ÄBCDEF",
		"long s, which upper-cases to S":      "ſBCDEF",
		"dotless i, which upper-cases to I":   "ıBCDEF",
		"Kelvin sign, which lower-cases to k": "\u212aBCDEF",
		"Cyrillic letters that look Latin":    "АВС123",
		"superscript two":                     "12345²",
		"Roman numeral":                       "12345Ⅷ",
		"circled digit":                       "12345①",
		"a combining accent":                  "12345\u0301",
		"broken UTF-8":                        "12345\xff",
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := otp.ReadCode(typed); ok {
				t.Errorf("%q: got %q, want a refusal", typed, got)
			}
		})
	}
}

// Go's Unicode tables may be newer than the list: what they add has to be ten
// digits side by side as well.
func TestReadCode_EveryDecimalDigitOfUnicode(t *testing.T) {
	f, err := os.Open("testdata/digits.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var r rune
		var value int
		if _, err := fmt.Sscanf(lines.Text(), "%X %d", &r, &value); err != nil {
			t.Fatal(err)
		}
		n++
		if got, ok := otp.ReadCode(string(r)); !ok || got != fmt.Sprint(value) {
			t.Errorf("%U: got %q, %v; want %d", r, got, ok, value)
		}
	}
	if n < 600 {
		t.Errorf("only %d digits in the list", n)
	}
	ranges := slices.Clone(unicode.Nd.R32)
	for _, rng := range unicode.Nd.R16 {
		ranges = append(ranges, unicode.Range32{Lo: uint32(rng.Lo), Hi: uint32(rng.Hi), Stride: uint32(rng.Stride)})
	}
	for _, rng := range ranges {
		if rng.Stride != 1 || (rng.Hi-rng.Lo+1)%10 != 0 {
			t.Errorf("the range %+v does not consist of tens", rng)
		}
	}
}

// Spaces, hyphens, upper and lower case and the digits of other scripts do not
// change the code that is read.
func TestReadCode_ReadsEveryAllowedSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.StringMatching(`[0-9A-Z]{4,10}`).Draw(t, "code")
		if got, ok := otp.ReadCode(respell(t, code)); !ok || got != code {
			t.Fatalf("got %q, %v; want %q", got, ok, code)
		}
	})
}

// respell writes a code in another allowed way, within MaxTypedCode bytes.
func respell(t *rapid.T, code string) string {
	zeros := []rune{'0', '０', '٠', '۰', '०', '๐'}
	noise := []string{"", "", "", " ", "-", "\u00a0", "–"}
	var b strings.Builder
	for _, r := range code {
		b.WriteString(rapid.SampledFrom(noise).Draw(t, "noise"))
		switch {
		case r >= '0' && r <= '9':
			r = rapid.SampledFrom(zeros).Draw(t, "zero") + r - '0'
		case rapid.Bool().Draw(t, "lower"):
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	b.WriteString(rapid.SampledFrom(noise).Draw(t, "noise"))
	return b.String()
}

func FuzzReadCode(f *testing.F) {
	for _, seed := range []string{"", "123456", "12 34-56", "abcXYZ", "０１２", "٣٤", "𝟎", "\xff", "ſ", strings.Repeat("1", 65)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := otp.ReadCode(typed)
		if !ok {
			if code != "" {
				t.Errorf("%q: refused, and yet %q", typed, code)
			}
			return
		}
		if code == "" || len(typed) > otp.MaxTypedCode || !utf8.ValidString(typed) {
			t.Errorf("%q: read as %q, want a refusal", typed, code)
		}
		if strings.Trim(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			t.Errorf("%q: read as %q, which has other characters", typed, code)
		}
		if again, ok := otp.ReadCode(code); !ok || again != code {
			t.Errorf("%q: read as %q, and that as %q", typed, code, again)
		}
	})
}
