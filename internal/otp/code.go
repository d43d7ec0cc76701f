package otp

import (
	"crypto/subtle"
	"encoding/binary"
	"strings"
	"unicode"

	"twofa/internal/digit"
)

// Alphabet is the set of characters of a code.
type Alphabet uint8

// The alphabets. Alphanumeric has upper-case letters and digits without 0, O, 1
// and I, which people confuse: 32 characters, 5 bits each. [ReadCode] accepts
// lower case.
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

// Shape is the length and the alphabet of a code.
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
	// CodeMAC is a PRF of 32 bytes under the named secret. It reports false if
	// that secret was removed, or is kept for the index only.
	CodeMAC(id [4]byte, message []byte) ([32]byte, bool)
}

// Code derives the verification's code, which is never stored. HMAC-SHA256 over
// the id, the nonce and a block counter gives a stream of uniform bytes. Bytes that
// would favour some symbols are skipped (rejection sampling); each of the others
// gives one symbol of the alphabet. It reports false if the secret was removed or is
// kept for the index only, or if the shape is not valid.
func (v Verification) Code(keys Keys) (string, bool) {
	if v.TestCode != "" {
		return v.TestCode, true
	}
	symbols := v.Shape.Alphabet.Symbols()
	if !v.Shape.Valid() {
		return "", false
	}
	// Bytes of limit or more are skipped: limit is 250 for ten symbols, 256 for 32.
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

// MaxTypedCode is the greatest length of a typed code in bytes.
const MaxTypedCode = 64

// ReadCode reads a code as people type and paste it. It drops spaces, hyphens and
// invisible characters (such as the direction marks of right-to-left text). It
// turns digits of any script (full-width, Arabic, Devanagari) and full-width
// letters into ASCII, and letters into upper case. It reports false for a text
// that cannot be a code of any shape: an empty one, one of over MaxTypedCode
// bytes, and one with other characters.
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
			d, ok := digit.Value(r)
			if !ok {
				return "", false
			}
			r = '0' + rune(d)
		}
		b.WriteRune(r)
	}
	return b.String(), b.Len() > 0
}

// equal compares in a time that does not depend on the position of a difference.
func equal(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
