package digit_test

import (
	"testing"
	"unicode"

	"twofa/internal/digit"
)

func TestValue(t *testing.T) {
	t.Parallel()
	for digits, zero := range map[string]rune{"ASCII": '0', "Arabic-Indic": '٠', "Persian": '۰', "Devanagari": '०', "full-width": '０', "mathematical bold": '𝟎', "Adlam": '𞥐'} {
		for want := range byte(10) {
			if got, ok := digit.Value(zero + rune(want)); got != want || !ok {
				t.Errorf("%s %d: %d, %t", digits, want, got, ok)
			}
		}
	}
	// Every character of Unicode: only decimal digits have a value.
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if value, ok := digit.Value(r); ok != unicode.Is(unicode.Nd, r) || ok && value > 9 {
			t.Fatalf("%U: %d, %t", r, value, ok)
		}
	}
}
