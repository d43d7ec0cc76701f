package user_test

import (
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
)

func TestParseName_AcceptsNames(t *testing.T) {
	for name, want := range map[string]string{
		"alice":                        "",
		"Alice":                        "",
		"a":                            "",
		"alice@example.com":            "",
		"+14155550123":                 "",
		"100% Acme":                    "",
		"a%zz":                         "",
		"50%":                          "",
		"%4":                           "",
		"%%4 1":                        "",
		"...":                          "",
		".hidden":                      "",
		".":                            "",
		"..":                           "",
		"~x":                           "",
		"bob/totp":                     "",
		`a\b`:                          "",
		"who?":                         "",
		"#1":                           "",
		"a%2Fb":                        "",
		"%41dmin":                      "",
		"a.b":                          "",
		"O'Brien; DROP TABLE":          "",
		"acme:42&x=y,z":                "",
		"two  spaces":                  "",
		"李小龍":                          "",
		"नमस्ते":                       "",
		"❤️":                           "",
		"Ame\u0301lie":                 "Am\u00e9lie",
		"A\u030angstro\u0308m":         "\u00c5ngstr\u00f6m",
		strings.Repeat("\u00e9", 128):  "",
		strings.Repeat("e\u0301", 128): strings.Repeat("\u00e9", 128), // 256 before it is normal
	} {
		if want == "" {
			want = name
		}
		if got, bad := user.ParseName(name); bad != nil || got != want {
			t.Errorf("%q: got %q, %v", name, got, bad)
		}
	}
}

// Attacks 10 and 21: a name that looks like another name is refused, and not quoted.
func TestParseName_RefusesWhatLooksLikeAnotherName(t *testing.T) {
	for name, tc := range map[string]struct{ name, says string }{
		"nothing":                      {"", "missing"},
		"not UTF-8":                    {"canary\xff", "UTF-8"},
		"129 characters":               {strings.Repeat("é", 129), "128"},
		"a line break":                 {"canary\nx", "seen"},
		"a tab":                        {"canary\tx", "seen"},
		"a null byte":                  {"canary\x00", "seen"},
		"delete":                       {"canary\x7f", "seen"},
		"a control character (C1)":     {"canary\u0085", "seen"},
		"right to left":                {"canary\u202ex", "seen"},
		"a direction isolate":          {"canary\u2066x", "seen"},
		"the Arabic letter mark":       {"canary\u061cx", "seen"},
		"a zero-width space":           {"canary\u200b", "seen"},
		"a zero-width joiner":          {"canary\u200dx", "seen"},
		"a byte order mark":            {"\ufeffcanary", "seen"},
		"a soft hyphen":                {"can\u00adary", "seen"},
		"the Hangul filler":            {"canary\u3164", "seen"},
		"a grapheme joiner":            {"canary\u034fx", "seen"},
		"more marks than a form holds": {"canary" + strings.Repeat("\u0301", 40), "seen"},
		"a no-break space":             {"canary\u00a0x", "seen"},
		"an ideographic space":         {"canary\u3000x", "seen"},
		"a line separator":             {"canary\u2028x", "seen"},
		"an unassigned character":      {"canary\u0378", "seen"},
		"a private character":          {"canary\ue000", "seen"},
		"a noncharacter":               {"canary\uffff", "seen"},
		"a space at the beginning":     {" canary", "space"},
		"a space at the end":           {"canary ", "space"},
		"only a space":                 {" ", "space"},
	} {
		t.Run(name, func(t *testing.T) {
			got, bad := user.ParseName(tc.name)
			if bad == nil {
				t.Fatalf("accepted as %q", got)
			}
			fields := fixture.Problem(t, bad, problem.InvalidRequest).Fields
			if got != "" || len(fields) != 1 || fields[0].Name != "user" || !strings.Contains(fields[0].Message, tc.says) {
				t.Errorf("got %q, %+v; want the field user and %q", got, fields, tc.says)
			}
			if strings.Contains(fields[0].Message, "canary") {
				t.Error("the fault quotes the name")
			}
		})
	}
}

// Attack 8, for names: a character whose normal form is
// another single character would overwrite the user whose name looks the same.
func TestAttack08_ANameWithASingletonIsRefused(t *testing.T) {
	for what, name := range map[string]string{
		"the Kelvin sign":                   "canary\u212a",
		"the Kelvin sign alone":             "\u212a",
		"the Angstrom sign":                 "\u212bngstr\u00f6m",
		"the Angstrom sign and a mark":      "\u212b\u0301canary",
		"the Ohm sign":                      "100 \u2126",
		"a CJK compatibility ideograph":     "\uf900",
		"one outside of the first plane":    "canary\U0002f800",
		"the Greek question mark":           "canary\u037e",
		"the Greek ano teleia":              "canary\u0387",
		"the Greek tonos and letter":        "\u1f71canary",
		"the Greek varia":                   "canary\u1fef",
		"the left angle bracket":            "canary\u2329",
		"a mark, the grave tone":            "canarya\u0340",
		"a singleton that needs a % escape": "\u1ffd",
		"the Greek numeral sign":            "canary\u0374",
	} {
		got, err := user.ParseName(name)
		if err == nil {
			t.Errorf("%s: accepted as %q", what, got)
			continue
		}
		fields := fixture.Problem(t, err, problem.InvalidRequest).Fields
		if len(fields) != 1 || fields[0].Name != "user" || !strings.Contains(fields[0].Message, "another single character") || strings.Contains(fields[0].Message, "canary") {
			t.Errorf("%s: %+v", what, fields)
		}
	}
	// Every character of Unicode: none is taken for another one. U+0344 is two marks.
	for r := rune(' '); r <= unicode.MaxRune; r++ {
		got, err := user.ParseName("x" + string(r) + "y")
		if r != '\u0344' && err == nil && utf8.RuneCountInString(got) == 3 && got != "x"+string(r)+"y" {
			t.Errorf("%U is read as %q", r, got)
		}
	}
}

// The release before stored such names under their normal form. Those users are found
// by the normal form, and by a decomposed one.
func TestANameOfTheReleaseBeforeIsFound(t *testing.T) {
	r := newRig(t)
	stored := sample
	stored.Name = norm.NFC.String("\u212bngstr\u00f6m \u212a")
	r.keep(stored)
	for _, name := range []string{"\u00c5ngstr\u00f6m K", "A\u030angstro\u0308m K"} {
		parsed, err := user.ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		u, err := r.Users.Load(t.Context(), r.Users.Key("main", parsed))
		if err != nil || !reflect.DeepEqual(u, stored) {
			t.Errorf("%q: got %+v, %v", name, u, err)
		}
	}
}

func checkParsed(t rapid.TB, name string) {
	t.Helper()
	got, bad := user.ParseName(name)
	if bad != nil {
		if got != "" {
			t.Fatalf("%q: returns %q beside the fault", name, got)
		}
		return
	}
	again, bad := user.ParseName(got)
	if bad != nil || again != got {
		t.Fatalf("%q is read as %q, and that as %q, %v", name, got, again, bad)
	}
	if n := utf8.RuneCountInString(got); n < 1 || n > user.MaxName || !norm.NFC.IsNormalString(got) || got != norm.NFC.String(name) {
		t.Fatalf("%q is read as %q (%d characters)", name, got, n)
	}
	for _, r := range got {
		if !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) {
			t.Fatalf("%q has %U", got, r)
		}
	}
}

func TestParseName_AcceptsOnlyItsOwnNormalForm(t *testing.T) {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"%", "4", "1", "A", "f", " ", ".", "/", "\\", "?", "#", "e", "\u0301", "\u0323", "\u200d", "\u202e", "\u1100", "\u1161", "\x00"}),
		rapid.StringN(1, 3, 8),
	)
	rapid.Check(t, func(t *rapid.T) {
		checkParsed(t, strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), ""))
	})
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"", "alice", "100% Acme", "a%zz", "%41dmin", "Ame\u0301lie", "..", "a/b", "e" + strings.Repeat("\u0301", 40), "\u202e", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) { checkParsed(t, name) })
}
