package color

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func parsed(t testing.TB, text string) Color {
	t.Helper()
	c, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The values are from other programs.
func TestContrast(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{
		{"#000000", "#ffffff", 21}, {"#ffffff", "#ffffff", 1}, {"#ff0000", "#ffffff", 4.00}, {"#008000", "#ffffff", 5.14},
		{"#0000ff", "#ffffff", 8.59}, {"#767676", "#ffffff", 4.54}, {"#777777", "#ffffff", 4.48}, {"#ffff00", "#000000", 19.56},
	} {
		a, b := parsed(t, c.a), parsed(t, c.b)
		if got := Contrast(a, b); math.Abs(got-c.want) > 0.005 || got != Contrast(b, a) {
			t.Errorf("%s and %s have a contrast of %.3f, want %.2f", c.a, c.b, got, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, text := range []string{"#767676", "#0b5fff", "#000000", "#c8102e"} {
		if err := parsed(t, text).Check(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, ratio := range map[string]string{"#777777": "4.4", "#ff0000": "3.9", "#ffffff": "1.0"} {
		if err := parsed(t, text).Check(); err == nil || !strings.Contains(err.Error(), "contrast of "+ratio+" ") || !strings.Contains(err.Error(), "needs 4.5") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestParse(t *testing.T) {
	for _, text := range []string{"", "#", "0b5fff0", "#0b5ff", "#0b5fff0", "#0b5ffg", "#+b5fff", "#-b5fff", "#0x5fff", "#0_5fff", " #0b5ff"} {
		if c, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %s", text, c)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		c := Color{rapid.Byte().Draw(t, "R"), rapid.Byte().Draw(t, "G"), rapid.Byte().Draw(t, "B")}
		if again, err := Parse(strings.ToUpper(c.String())); err != nil || again != c {
			t.Fatalf("%s read again is %s, %v", c, again, err)
		}
	})
}

// A colour on the dark background can be read, and is as near to the brand's as possible.
func TestOnDark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Color{rapid.Byte().Draw(t, "R"), rapid.Byte().Draw(t, "G"), rapid.Byte().Draw(t, "B")}
		got := c.OnDark()
		if Contrast(got, Dark) < Text {
			t.Fatalf("%s on dark is %s, which cannot be read", c, got)
		}
		if Contrast(c, Dark) >= Text && got != c {
			t.Fatalf("%s can be read, but becomes %s", c, got)
		}
		if got.R < c.R || got.G < c.G || got.B < c.B {
			t.Fatalf("%s becomes darker: %s", c, got)
		}
		if contrast := Contrast(got, Dark); got != c && contrast > 5.6 {
			t.Fatalf("%s becomes %s, with a contrast of %.2f, which is lighter than needed", c, got, contrast)
		}
	})
}
