// Package digit reads decimal digits of any script, as people type them in codes and
// numbers. It must never read a character that is no decimal digit of Unicode (Nd).
package digit

import "unicode"

// Value returns the value of a decimal digit of any script, from 0 to 9. ok is false for
// any other character. In Unicode, the ten digits of a script follow each other, so the
// position in the range is the value.
func Value(r rune) (value byte, ok bool) {
	if r <= unicode.MaxASCII {
		return byte(r - '0'), '0' <= r && r <= '9'
	}
	for _, rng := range unicode.Nd.R16 {
		if rune(rng.Lo) <= r && r <= rune(rng.Hi) {
			return byte((r - rune(rng.Lo)) % 10), true
		}
	}
	for _, rng := range unicode.Nd.R32 {
		if rune(rng.Lo) <= r && r <= rune(rng.Hi) {
			return byte((r - rune(rng.Lo)) % 10), true
		}
	}
	return 0, false
}
