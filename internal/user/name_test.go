package user_test

import (
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
		"a.b":                          "",
		"O'Brien; DROP TABLE":          "",
		"acme:42&x=y,z":                "",
		"two  spaces":                  "",
		"李小龍":                          "",
		"नमस्ते":                       "",
		"❤️":                           "",
		"Ame\u0301lie":                 "Am\u00e9lie",
		"\u212bngstr\u00f6m":           "\u00c5ngstr\u00f6m",
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

// Attacks 10 and 21: a name that could arrive as another name is refused, and not quoted.
func TestParseName_RefusesWhatCouldArriveAsAnotherName(t *testing.T) {
	for name, tc := range map[string]struct{ name, says string }{
		"nothing":                      {"", "missing"},
		"not UTF-8":                    {"canary\xff", "UTF-8"},
		"129 characters":               {strings.Repeat("é", 129), "128"},
		"this place":                   {".", "place in a path"},
		"the place above":              {"..", "place in a path"},
		"a slash":                      {"canary/totp", "path"},
		"a backslash":                  {`canary\totp`, "path"},
		"a question mark":              {"canary?", "path"},
		"a number sign":                {"canary#1", "path"},
		"an escaped letter":            {"%41dmincanary", "encoded twice"},
		"an escape in small letters":   {"canary%c3%a9", "encoded twice"},
		"an escaped slash":             {"canary%2Fx", "encoded twice"},
		"an escape at the end":         {"canary%00", "encoded twice"},
		"an escape after a percent":    {"canary%%41", "encoded twice"},
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

// throughTheHost returns the name that arrives if the client encodes a name once.
// The host decodes again what still looks like an escape.
func throughTheHost(name string) string {
	for i := 0; i+2 < len(name); i++ {
		if name[i] == '%' && strings.IndexByte("0123456789abcdefABCDEF", name[i+1]) >= 0 && strings.IndexByte("0123456789abcdefABCDEF", name[i+2]) >= 0 {
			return "another name"
		}
	}
	name, _, _ = strings.Cut(name, "?")
	name, _, _ = strings.Cut(name, "#")
	return strings.ReplaceAll(name, `\`, "/")
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
	if throughTheHost(got) != got || strings.Contains(got, "/") || got == "." || got == ".." {
		t.Fatalf("%q would arrive as another name", got)
	}
	for _, r := range got {
		if !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) {
			t.Fatalf("%q has %U", got, r)
		}
	}
}

func TestParseName_AcceptsOnlyWhatArrivesAsItself(t *testing.T) {
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
