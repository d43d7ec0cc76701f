package otp

import (
	"encoding/hex"

	"twofa/internal/problem"
)

// ID names a verification: "VE", the row key of its recipient (16 hexadecimal
// digits) and 16 random ones, so that the id alone leads to its row.
type ID string

const (
	idPrefix  = "VE"
	rowDigits = 16
	idLength  = len(idPrefix) + 2*rowDigits
)

// RowKey is where a recipient lies: the first 8 bytes of the address's index,
// in hexadecimal.
func RowKey(index [32]byte) string { return hex.EncodeToString(index[:rowDigits/2]) }

// NewID makes the id of a verification in that row, from 8 random bytes.
func NewID(rowKey string, random [8]byte) ID {
	return ID(idPrefix + rowKey + hex.EncodeToString(random[:]))
}

// ParseID reads an id as NewID writes it; anything else is an InvalidRequest.
func ParseID(s string) (ID, error) {
	ok := len(s) == idLength && s[:len(idPrefix)] == idPrefix
	for i := len(idPrefix); ok && i < len(s); i++ {
		c := s[i]
		ok = c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
	}
	if !ok {
		return "", problem.Invalid("id", "An id is VE and 32 hexadecimal digits in lower case, as the start answered it.")
	}
	return ID(s), nil
}

// RowKey is the key of the row that holds the verification.
func (id ID) RowKey() string { return string(id[len(idPrefix) : len(idPrefix)+rowDigits]) }
