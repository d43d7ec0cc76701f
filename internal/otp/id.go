package otp

import (
	"encoding/hex"

	"twofa/internal/problem"
)

// ID names a verification: "VE", the row key of its recipient (16 hexadecimal
// digits) and 16 random hexadecimal digits. So the row is found by the id alone.
type ID string

const (
	idPrefix  = "VE"
	rowDigits = 16
	idLength  = len(idPrefix) + 2*rowDigits
)

// RowKey names the row of a recipient: the first 8 bytes of the address's index,
// in hexadecimal.
type RowKey string

// UserKey names the row of a registered user: see user.Store.Key.
type UserKey string

// NewRowKey returns the key of the row for an address with that index.
func NewRowKey(index [32]byte) RowKey { return RowKey(hex.EncodeToString(index[:rowDigits/2])) }

// NewID makes the id of a verification in that row, from 8 random bytes.
func NewID(rowKey RowKey, random [8]byte) ID {
	return ID(idPrefix + string(rowKey) + hex.EncodeToString(random[:]))
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
func (id ID) RowKey() RowKey { return RowKey(id[len(idPrefix) : len(idPrefix)+rowDigits]) }
