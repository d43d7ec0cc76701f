package address

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/phone"
)

func TestParseEmail(t *testing.T) {
	local64 := strings.Repeat("l", 64)
	label63 := strings.Repeat("d", 63)
	domain189 := label63 + "." + label63 + "." + strings.Repeat("d", 61) // 64+1+189 = 254
	for _, tc := range []struct {
		name, text, want string
		err              error // nil: accepted
	}{
		{"plain", "name@example.com", "name@example.com", nil},
		{"capitals", "Name@EXAMPLE.Com", "name@example.com", nil},
		{"spaces around", "  name@example.com ", "name@example.com", nil},
		{"tag", "name+tag@example.com", "name+tag@example.com", nil},
		{"dots", "first.last@mail.example.com", "first.last@mail.example.com", nil},
		{"every character of an atom", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com", nil},
		{"a percent sign and digits are an atom", "a%0ab@example.com", "a%0ab@example.com", nil},
		{"one character", "a@example.com", "a@example.com", nil},
		{"digits", "123@456.example", "123@456.example", nil},
		{"internationalized domain in its ASCII form", "name@XN--BCHER-KVA.example", "name@xn--bcher-kva.example", nil},
		{"internationalized top-level domain", "name@example.xn--p1ai", "name@example.xn--p1ai", nil},
		{"hyphens", "name@a--b.exam-ple.com", "name@a--b.exam-ple.com", nil},
		{"longest local part", local64 + "@example.com", local64 + "@example.com", nil},
		{"longest label", "a@" + label63 + ".com", "a@" + label63 + ".com", nil},
		{"longest in all", local64 + "@" + domain189, local64 + "@" + domain189, nil},

		{"nothing", "", "", ErrEmail},
		{"no @", "name.example.com", "", ErrEmail},
		{"@ alone", "@", "", ErrEmail},
		{"no local part", "@example.com", "", ErrEmail},
		{"no domain", "name@", "", ErrEmail},
		{"two @", "a@b@example.com", "", ErrEmail},
		{"route", "@relay.example:a@example.com", "", ErrEmail},
		{"one label", "name@localhost", "", ErrEmail},
		{"display name", "Name <name@example.com>", "", ErrEmail},
		{"angle brackets", "<name@example.com>", "", ErrEmail},
		{"mailto", "mailto:name@example.com", "", ErrEmail},
		{"a header's parameters", "name@example.com?subject=x", "", ErrEmail},
		{"list", "a@example.com,b@example.com", "", ErrEmail},
		{"list, other sign", "a@example.com;b@example.com", "", ErrEmail},
		{"quoted space", `"a b"@example.com`, "", ErrEmail},
		{"quoted @", `"a@b"@example.com`, "", ErrEmail},
		{"backslash", `a\b@example.com`, "", ErrEmail},
		{"comment before", "(x)name@example.com", "", ErrEmail},
		{"comment after", "name@example.com(x)", "", ErrEmail},
		{"comment in between", "name(x)@example.com", "", ErrEmail},
		{"dot at the end of the domain", "name@example.com.", "", ErrEmail},
		{"dot at the start of the domain", "name@.example.com", "", ErrEmail},
		{"two dots in the domain", "name@example..com", "", ErrEmail},
		{"dots alone", "...@example.com", "", ErrEmail},
		{"quoted dots alone", `".."@example.com`, "", ErrEmail},
		{"space inside", "na me@example.com", "", ErrEmail},
		{"space before the @", "name @example.com", "", ErrEmail},
		{"space after the @", "name@ example.com", "", ErrEmail},
		{"line end inside", "name@example\n.com", "", ErrEmail},
		{"tab inside", "na\tme@example.com", "", ErrEmail},
		{"header after", "name@example.com\r\nBcc: x@evil.example", "", ErrEmail},
		{"folded", "name@\r\n example.com", "", ErrEmail},
		{"NUL", "na\x00me@example.com", "", ErrEmail},
		{"DEL", "na\x7fme@example.com", "", ErrEmail},
		{"encoded line end in the domain", "name@example.com%0a", "", ErrEmail},
		{"IP literal", "name@[192.0.2.1]", "", ErrEmail},
		{"IPv6 literal", "name@[IPv6:2001:db8::1]", "", ErrEmail},
		{"bare IP address", "name@192.0.2.1", "", ErrEmail},
		{"domain that ends in a number", "name@example.123", "", ErrEmail},
		{"port", "name@example.com:25", "", ErrEmail},
		{"path", "name@example.com/x", "", ErrEmail},
		{"underscore in the domain", "name@exam_ple.com", "", ErrEmail},
		{"hyphen at the start of a label", "name@-example.com", "", ErrEmail},
		{"hyphen at the end of a label", "name@example-.com", "", ErrEmail},
		{"plus in the domain", "name@exam+ple.com", "", ErrEmail},

		{"umlaut", "jürgen@example.com", "", ErrEmailASCII},
		{"internationalized domain", "name@bücher.example", "", ErrEmailASCII},
		{"Cyrillic a", "n\u0430me@example.com", "", ErrEmailASCII},
		{"full-width", "name@example\uff0ecom", "", ErrEmailASCII},
		{"ideographic dot", "name@example\u3002com", "", ErrEmailASCII},
		{"zero-width space", "na\u200bme@example.com", "", ErrEmailASCII},
		{"reversal of the display", "\u202ename@example.com", "", ErrEmailASCII},
		{"zero-width space before the @", "name\u200b@example.com", "", ErrEmailASCII},
		{"direction mark after the @", "name@\u200eexample.com", "", ErrEmailASCII},
		{"small @", "name\ufe6bexample.com", "", ErrEmail},
		{"two @, one full-width", "a@b\uff20example.com", "", ErrEmail},
		{"soft hyphen", "na\u00adme@example.com", "", ErrEmailASCII},
		{"bytes that are no UTF-8", "na\xffme@example.com", "", ErrEmailASCII},

		{"local part too long", local64 + "l@example.com", "", ErrEmailLength},
		{"too long in all", local64 + "@" + domain189 + "d", "", ErrEmailLength},
		{"label too long", "a@" + label63 + "d.com", "", ErrEmail},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseEmail(tc.text)
			if !errors.Is(err, tc.err) || got.Text != tc.want || got.Number != (phone.Number{}) {
				t.Errorf("got %q, %v; want %q, %v", got.Text, err, tc.want, tc.err)
			}
			if !IsEmail(tc.text) {
				return
			}
			if general, err := Parse(tc.text); general != got || !errors.Is(err, tc.err) {
				t.Errorf("Parse gives %q, %v", general.Text, err)
			}
		})
	}
}

// Lower case must not turn other letters into ASCII letters: two addresses would become one,
// and another person would get the code.
func TestOtherLettersDoNotBecomeLatinOnes(t *testing.T) {
	for _, r := range []rune{'\u212a' /* Kelvin */, '\u0130' /* I with a dot */, '\u017f' /* long s */} {
		for _, text := range []string{string(r) + "@example.com", "a@" + string(r) + ".example"} {
			if got, err := ParseEmail(text); err == nil {
				t.Errorf("%q is read as %q", text, got.Text)
			}
		}
	}
}

func TestParseNumber(t *testing.T) {
	got, err := Parse("+1 (201) 555-0123")
	if err != nil || got.Text != "+12015550123" || got.Number.E164 != got.Text || got.IsEmail() {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, text := range []string{"", " ", "name", "name.example.com", "+", "2015550123"} {
		if got, err := Parse(text); err == nil || got != (Address{}) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func TestMasked(t *testing.T) {
	for text, want := range map[string]string{
		"name@example.com":           "n******@example.com",
		"N@example.com":              "******@example.com",
		"na@example.com":             "n******@example.com",
		"First.Last+tag@b.example":   "f******@b.example",
		"a%evil.example@example.com": "a******@example.com",
		"+1 201 555 0123":            phone.Mask("+12015550123"),
	} {
		a, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if a.Masked() != want {
			t.Errorf("%q is masked as %q, want %q", text, a.Masked(), want)
		}
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "to", a)
		if strings.Contains(out.String(), a.Text) || !strings.Contains(out.String(), want) {
			t.Errorf("the log says %s", out.String())
		}
	}
}

// email draws a valid address in some spelling.
func email(t *rapid.T) string {
	atom := rapid.StringMatching("[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,8}")
	label := rapid.StringMatching("[A-Za-z0-9]([A-Za-z0-9-]{0,6}[A-Za-z0-9])?")
	dotted := func(g *rapid.Generator[string], least int, name string) string {
		return strings.Join(rapid.SliceOfN(g, least, 4).Draw(t, name), ".")
	}
	spaces := rapid.StringMatching(" {0,3}")
	return spaces.Draw(t, "before") + dotted(atom, 1, "local") + "@" + dotted(label, 1, "labels") +
		"." + rapid.StringMatching("[A-Za-z]{2,6}").Draw(t, "top") + spaces.Draw(t, "after")
}

func TestOneFormForAllSpellings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := email(t)
		a, err := Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for _, other := range []string{a.Text, strings.ToUpper(text), strings.ToLower(text), " " + text, text + "  "} {
			if b, err := Parse(other); err != nil || b != a {
				t.Errorf("%q is %q, but %q is %q, %v", text, a.Text, other, b.Text, err)
			}
		}
	})
}

func TestMaskShowsOneCharacterAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, err := Parse(email(t))
		if err != nil {
			t.Fatal(err)
		}
		checkMask(t, a)
	})
}

// checkMask checks that a masked address shows at most its first character and its domain.
func checkMask(t interface{ Errorf(string, ...any) }, a Address) {
	local, domain, _ := strings.Cut(a.Text, "@")
	shown, shownDomain, ok := strings.Cut(a.Masked(), "@")
	if !ok || shownDomain != domain || !strings.HasSuffix(shown, "******") {
		t.Errorf("%q is masked as %q", a.Text, a.Masked())
	}
	first := strings.TrimSuffix(shown, "******")
	if len(local) == 1 && first != "" || len(local) > 1 && first != local[:1] {
		t.Errorf("%q is masked as %q", a.Text, a.Masked())
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"name@example.com", " Name@EXAMPLE.com ", "+1 (201) 555-0123", `"a b"@example.com`, "a@b@c.example", "a@[192.0.2.1]", "a@b.example.",
		"a@\u212a.example", "a%0a@example.com", "a\t@example.com", "Name <a@b.example>", "a@b.example\r\nBcc: x@y.example", "a@192.0.2.1", `"a..b"@docomo.ne.jp`, "ab.@ezweb.ne.jp",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := Parse(text)
		if err != nil {
			if a != (Address{}) {
				t.Errorf("%q gives %+v and an error", text, a)
			}
			isEmail := IsEmail(text) || strings.Contains(text, fullWidthAt)
			if known := errors.Is(err, ErrEmail) || errors.Is(err, ErrEmailASCII) || errors.Is(err, ErrEmailLength); isEmail != known {
				t.Errorf("%q: the error is %v", text, err)
			}
			return
		}
		if again, err := Parse(a.Text); err != nil || again != a {
			t.Errorf("%q is %+v, and that %+v, %v", text, a, again, err)
		}
		if a.IsEmail() != (IsEmail(text) || strings.Contains(text, fullWidthAt)) || a.IsEmail() == (a.Number != (phone.Number{})) {
			t.Errorf("%q: %+v", text, a)
		}
		if !a.IsEmail() {
			return
		}
		// No character may end a header, a command or an address list early.
		if strings.Trim(a.Text, " ") != a.Text || strings.ContainsAny(a.Text, "\r\n\t\x00 <>()[]:;,\\\"") || strings.Count(a.Text, "@") != 1 ||
			strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(phone.Trim(text), fullWidthAt, "@")), `"`, "") != a.Text || len(a.Text) > 254 {
			t.Errorf("%q is read as %q", text, a.Text)
		}
		for _, b := range []byte(a.Text) {
			if b <= ' ' || b > '~' {
				t.Errorf("%q has the byte %#x", a.Text, b)
			}
		}
		checkMask(t, a)
		if fmt.Sprint(a.LogValue()) != a.Masked() {
			t.Errorf("%q is logged as %v", a.Text, a.LogValue())
		}
	})
}

func TestMayReach_OnlyCountriesThatAllSetsHave(t *testing.T) {
	type set = map[string]bool
	for name, tc := range map[string]struct {
		countries []set
		ok        bool
	}{
		"no set":                {nil, true},
		"nil sets":              {[]set{nil, nil}, true},
		"one has it":            {[]set{{"US": true}}, true},
		"one lacks it":          {[]set{{"IN": true}}, false},
		"both have it":          {[]set{{"US": true, "IN": true}, {"US": true}}, true},
		"the first lacks it":    {[]set{{"IN": true}, {"US": true}}, false},
		"the second lacks it":   {[]set{{"US": true}, {"IN": true}}, false},
		"the second of one":     {[]set{nil, {"IN": true}}, false},
		"the second is empty":   {[]set{{"US": true}, {}}, false},
		"nil, then one with it": {[]set{nil, {"US": true}}, true},
	} {
		a, err := Parse("+14155550123")
		if err != nil {
			t.Fatal(err)
		}
		if err := a.MayReach(tc.countries...); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
