package otp

import (
	"crypto/subtle"
	"encoding/binary"
	"strings"
	"unicode"
)

// Alphabet is what codes are made of.
type Alphabet uint8

// The alphabets. Alphanumeric has one case and leaves out 0, O, 1 and I (and
// with them l), so that letters can be read leniently: 32 characters, 5 bits each.
const (
	Digits Alphabet = iota + 1
	Alphanumeric
)

const (
	digits       = "0123456789"
	alphanumeric = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
)

// Symbols returns the alphabet's characters, "" for an unknown one.
func (a Alphabet) Symbols() string {
	switch a {
	case Digits:
		return digits
	case Alphanumeric:
		return alphanumeric
	}
	return ""
}

// Shape is what a code looks like.
type Shape struct {
	Length   int // 4 to 10
	Alphabet Alphabet
}

// MinCodeLength and MaxCodeLength bound Shape.Length.
const (
	MinCodeLength = 4
	MaxCodeLength = 10
)

// Valid reports whether codes of this shape can be made.
func (s Shape) Valid() bool {
	return s.Length >= MinCodeLength && s.Length <= MaxCodeLength && s.Alphabet.Symbols() != ""
}

// Fits reports whether a text is a code of this shape.
func (s Shape) Fits(code string) bool {
	return len(code) == s.Length && strings.Trim(code, s.Alphabet.Symbols()) == ""
}

// Keys is the part of the keyring that codes need.
type Keys interface {
	// CodeMAC is a PRF of 32 bytes under the named secret; false if that secret
	// is not there any more.
	CodeMAC(id [4]byte, message []byte) ([32]byte, bool)
}

// Code derives the verification's code; it is never stored. HMAC-SHA256 over
// the id, the nonce and a block counter gives a stream of uniform bytes; those
// that would favour some symbols are left out (rejection sampling), the rest
// are reduced onto the alphabet. It reports false if the secret is gone.
func (v Verification) Code(keys Keys) (string, bool) {
	if v.TestCode != "" {
		return v.TestCode, true
	}
	symbols := v.Shape.Alphabet.Symbols()
	if !v.Shape.Valid() {
		return "", false
	}
	// Bytes from limit on are rejected: 250 for ten symbols, none for 32.
	limit := 256 - 256%len(symbols)

	message := make([]byte, 0, len(v.ID)+len(v.Nonce)+4)
	message = append(message, v.ID...)
	message = append(message, v.Nonce[:]...)
	code := make([]byte, 0, MaxCodeLength)
	for block := uint32(0); ; block++ {
		mac, ok := keys.CodeMAC(v.Key, binary.BigEndian.AppendUint32(message, block))
		if !ok {
			return "", false
		}
		for _, b := range mac {
			if int(b) >= limit {
				continue
			}
			code = append(code, symbols[int(b)%len(symbols)])
			if len(code) == v.Shape.Length {
				return string(code), true
			}
		}
	}
}

// MaxTypedCode is how many bytes of typed code are looked at.
const MaxTypedCode = 64

// ReadCode reads a code as people type and paste it: spaces, hyphens and
// invisible characters (the direction marks of right-to-left text) are dropped, digits of any script (full-width ones, Arabic, Devanagari) and
// full-width letters are folded to ASCII, letters to upper case. It reports
// false for what cannot be a code of any shape: nothing at all, over
// MaxTypedCode bytes, or other characters.
func ReadCode(typed string) (string, bool) {
	if len(typed) > MaxTypedCode {
		return "", false
	}
	var b strings.Builder
	for _, r := range typed {
		switch {
		case unicode.IsSpace(r), unicode.In(r, unicode.Pd, unicode.Cf), r == '\u2212':
			continue
		case r >= 'Ａ' && r <= 'Ｚ':
			r += 'A' - 'Ａ'
		case r >= 'ａ' && r <= 'ｚ':
			r += 'A' - 'ａ'
		case r >= 'a' && r <= 'z':
			r += 'A' - 'a'
		case r >= 'A' && r <= 'Z':
		default:
			d, ok := digitValue(r)
			if !ok {
				return "", false
			}
			r = '0' + d
		}
		b.WriteRune(r)
	}
	return b.String(), b.Len() > 0
}

// digitValue is the value of a decimal digit of any script. Unicode lays the
// ten digits of a script side by side, so the place in the range tells it.
func digitValue(r rune) (rune, bool) {
	if r >= '0' && r <= '9' {
		return r - '0', true
	}
	for _, rng := range unicode.Nd.R16 {
		if r >= rune(rng.Lo) && r <= rune(rng.Hi) {
			return (r - rune(rng.Lo)) % 10, true
		}
	}
	for _, rng := range unicode.Nd.R32 {
		if r >= rune(rng.Lo) && r <= rune(rng.Hi) {
			return (r - rune(rng.Lo)) % 10, true
		}
	}
	return 0, false
}

// equal compares in a time that does not depend on where the two differ.
func equal(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
