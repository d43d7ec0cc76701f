package otp

import (
	"encoding/hex"
	"slices"

	"twofa/internal/problem"
)

// ID names a verification: "VE" and 32 hexadecimal digits. The digits are the row key
// of its recipient and 8 random bytes, encrypted: see recipient.Store.NewID. So the
// row is found by the id alone, and the id says nothing about the address.
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

// Bytes returns the 8 bytes of the key.
func (key RowKey) Bytes() (b [rowDigits / 2]byte) {
	_, _ = hex.Decode(b[:], []byte(key)) // a RowKey has only hexadecimal digits
	return b
}

// NewID returns the id with those digits.
func NewID(digits [16]byte) ID { return ID(idPrefix + hex.EncodeToString(digits[:])) }

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

// Bytes returns the digits of the id as bytes. The id has to be valid.
func (id ID) Bytes() (b [16]byte) {
	_, _ = hex.Decode(b[:], []byte(id[len(idPrefix):]))
	return b
}

// FormerRowKey returns the key of the row of an id of the former form, which releases
// before ids were encrypted made: its first 16 digits are the row key itself. The id has to be valid.
func (id ID) FormerRowKey() RowKey { return RowKey(id[len(idPrefix) : len(idPrefix)+rowDigits]) }

// KnowsOf is Knows for an owner: what is another one's is not known.
func (r Recipient) KnowsOf(o Owner, id ID) bool {
	_, known := r.callerOf(o, id)
	return known
}

// Knows reports whether the recipient holds the verification, or an answer about it
// that is remembered for a repetition of its request.
func (r Recipient) Knows(id ID) bool {
	return slices.ContainsFunc(r.Verifications, func(v Verification) bool { return v.ID == id }) ||
		slices.ContainsFunc(r.Replays, func(p Replay) bool { return p.ID == id })
}
