package secret

import "errors"

// minDifferences is how many different values the differences between neighbouring
// bytes must have. 32 random bytes have 29 on average. Fewer than 8 have a
// probability under 2^-100, and are typical of a sequence that was typed or counted.
const minDifferences = 8

// weakness returns why a secret that is long enough can be guessed, nil if nothing
// speaks against it. Earlier versions accepted such secrets. So weakness is an
// error for the first entry only: an operator can put a new secret in front of it.
func weakness(s []byte) error {
	switch {
	case printable(s)*10 > len(s)*9:
		return errors.New("is a text and not random bytes, and can be guessed")
	case differences(s) < minDifferences:
		return errors.New("is a sequence and can be guessed")
	case repeats(s):
		return errors.New("repeats a pattern and can be guessed")
	}
	return nil
}

// printable returns how many bytes are printable ASCII.
func printable(s []byte) (n int) {
	for _, b := range s {
		if b >= ' ' && b <= '~' {
			n++
		}
	}
	return n
}

// differences returns how many values the differences between neighbours have,
// modulo 256.
func differences(s []byte) (n int) {
	var seen [256]bool
	for i := 1; i < len(s); i++ {
		if d := s[i] - s[i-1]; !seen[d] {
			seen[d] = true
			n++
		}
	}
	return n
}

// repeats reports whether the bytes are a shorter pattern, at least twice. The last
// repetition may be cut.
func repeats(s []byte) bool {
	for period := 1; period <= len(s)/2; period++ {
		same := true
		for i := period; i < len(s) && same; i++ {
			same = s[i] == s[i-period]
		}
		if same {
			return true
		}
	}
	return false
}
