package address

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Attack 8. Local parts as Japanese carriers have issued them are read, and their quoted
// spelling is the same address: one address has one set of limits.
func TestAttack8_LocalPartsWithDotsHaveOneForm(t *testing.T) {
	t.Parallel()
	for want, spellings := range map[string][]string{
		"a..b@docomo.ne.jp":      {"a..b@docomo.ne.jp", `"a..b"@docomo.ne.jp`, "A..B@DoCoMo.ne.jp", ` "A..b"@docomo.ne.jp` + "\n", `"a..b"` + "\uff20docomo.ne.jp"},
		"ab.@ezweb.ne.jp":        {"ab.@ezweb.ne.jp", `"ab."@ezweb.ne.jp`, "\ufeffab.@ezweb.ne.jp\u200b"},
		".ab@docomo.ne.jp":       {".ab@docomo.ne.jp", `".ab"@docomo.ne.jp`},
		"a.-.b_..@ezweb.ne.jp":   {"a.-.b_..@ezweb.ne.jp", `"a.-.b_.."@ezweb.ne.jp`, `"A.-.B_.."@EZWEB.ne.jp`},
		"...a@t.vodafone.ne.jp":  {"...a@t.vodafone.ne.jp", `"...a"@t.vodafone.ne.jp`},
		"-a-..@docomo.ne.jp":     {"-a-..@docomo.ne.jp", `"-a-.."@docomo.ne.jp`},
		"name@example.com":       {`"name"@example.com`, `"Name"@example.com`},
		"first.last@example.com": {`"first.last"@example.com`},
	} {
		for _, text := range spellings {
			if got, err := Parse(text); err != nil || got.Text != want {
				t.Errorf("%q is read as %q, %v, want %q", text, got.Text, err, want)
			}
		}
		if !strings.HasPrefix(want, Mask(want)[:1]) && Mask(want)[0] != '*' {
			t.Errorf("%s is masked as %s", want, Mask(want))
		}
	}
	for _, text := range []string{
		".@docomo.ne.jp", "...@docomo.ne.jp", `""@docomo.ne.jp`, `"."@docomo.ne.jp`, `"@docomo.ne.jp`, `"a@docomo.ne.jp`, `a"@docomo.ne.jp`, `a"b"@docomo.ne.jp`, `"a"b@docomo.ne.jp`,
		`"a"."b"@docomo.ne.jp`, `""a..b""@docomo.ne.jp`, `"a b"@docomo.ne.jp`, `"a@b"@docomo.ne.jp`, `"a\"b"@docomo.ne.jp`, `"a\..b"@docomo.ne.jp`, `"a,b"@docomo.ne.jp`, `"a"@b..jp`,
		"a..b@docomo..ne.jp", "a..b@.docomo.ne.jp", "a..b@docomo.ne.jp.", "a. .b@docomo.ne.jp", "a.\r\n.b@docomo.ne.jp", `"a..b"@`, `<"a..b"@docomo.ne.jp>`, `'"a..b"@docomo.ne.jp'`,
	} {
		if got, err := Parse(text); !errors.Is(err, ErrEmail) || got != (Address{}) {
			t.Errorf("%q is read as %q, %v", text, got.Text, err)
		}
	}
	// The limit of 64 characters is that of the address, in either spelling.
	long := strings.Repeat("a.", 32)
	for _, text := range []string{long + "@example.com", `"` + long + `"@example.com`} {
		if got, err := Parse(text); err != nil || got.Text != long+"@example.com" {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{long + "a@example.com", `"` + long + `a"@example.com`} {
		if _, err := Parse(text); !errors.Is(err, ErrEmailLength) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAttack8_AnyLocalPartHasOneForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		local := rapid.StringMatching(`[a-z0-9._+=-]{1,20}`).Draw(t, "local")
		plain, err := Parse(local + "@docomo.ne.jp")
		quoted, quotedErr := Parse(`"` + strings.ToUpper(local) + `"@docomo.ne.jp`)
		if plain != quoted || (err == nil) != (quotedErr == nil) || (err == nil) != (strings.Trim(local, ".") != "") {
			t.Fatalf("%q: %q, %v; in quotes %q, %v", local, plain.Text, err, quoted.Text, quotedErr)
		}
		if err == nil && plain.Text != local+"@docomo.ne.jp" {
			t.Fatalf("%q is read as %q", local, plain.Text)
		}
	})
}
