package address

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/phone"
)

// Attack 8: what is pasted around an address makes no second address, and what is inside it
// is refused.
func TestAttack8_PastedMailAddressesAreOneAddress(t *testing.T) {
	t.Parallel()
	const want = "name@example.com"
	for _, text := range []string{
		"\u00a0name@example.com", "name@example.com\u00a0", "name@example.com\u200b", "\ufeffname@example.com", "name@example.com\ufeff",
		"\u200ename@example.com\u200f", "\u202aname@example.com\u202c", "\u2068name@example.com\u2069", "\u3000name@example.com\u202f",
		"name@example.com\n", "name@example.com\r\n", "\tname@example.com\t", "name@example.com\u2028", "name@example.com \u200b \u00a0",
		"\u00adname@example.com\u2060", "Name\uff20Example.COM", "name\uff20example.com",
	} {
		for _, parse := range []func(string) (Address, error){Parse, ParseEmail} {
			if got, err := parse(text); err != nil || got.Text != want {
				t.Errorf("%+q is read as %q, %v", text, got.Text, err)
			}
		}
	}
	for _, text := range []string{
		"na\u200bme@example.com", "name\u00a0@example.com", "name@\ufeffexample.com", "name@example.com\nx", "name@example.com\r\nBcc: x@evil.example",
		"\u202ename@example.com", "name@example\uff0ecom", "n\u0430me@example.com", "na\u00adme@example.com", "name@example.com\x00",
	} {
		got, err := Parse(text)
		if !errors.Is(err, ErrEmail) && !errors.Is(err, ErrEmailASCII) || got != (Address{}) {
			t.Errorf("%+q is read as %q, %v", text, got.Text, err)
		}
	}
}

// The one form of an address is read as itself, whatever surrounds it.
func TestAttack8_ReadingTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	around := rapid.StringMatching("[ \\t\\r\\n\u00a0\u202f\u3000\u200b\u200e\u200f\u202a\u2066\ufeff\u00ad]{0,4}")
	rapid.Check(t, func(t *rapid.T) {
		text := email(t)
		if rapid.Bool().Draw(t, "number") {
			text = rapid.SampledFrom([]string{"+12015550123", "+390549886377", "+52 1 222 123 4567", "+54 11 15 2345-6789", "+44 20 7946 0958"}).Draw(t, "text")
		}
		pasted := around.Draw(t, "around before") + text + around.Draw(t, "around after")
		want, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(pasted)
		if err != nil || got != want {
			t.Fatalf("%+q is %q, %v; want %q", pasted, got.Text, err, want.Text)
		}
		if again, err := Parse(got.Text); err != nil || again != got || phone.Trim(got.Text) != got.Text || strings.Contains(got.Text, fullWidthAt) {
			t.Fatalf("%+q is %q, and that %q, %v", pasted, got.Text, again.Text, err)
		}
	})
}
