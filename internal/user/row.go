package user

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/row"
)

// The first byte of a row is the version of its layout. A later layout gets
// another number, and Decode keeps reading the older ones.
const (
	rowErased  = 0 // the user was erased; nothing follows
	rowVersion = 1
)

// Bits of the flags.
const (
	flagPhoneVerified = 1 << iota
	flagEmailVerified
	flagsEnd
)

var (
	// errRow: the bytes are no user in a version that this program knows.
	errRow = errors.New("user: not an encoded user")
	// errUnkept: Decode could not read the encoded user again.
	errUnkept = errors.New("user: cannot be kept")
)

// Encode writes the user as bytes that Decode reads: texts and lists after their
// length (two bytes for the name, one for all others), numbers in big-endian
// order, times in Unix milliseconds. The factors come last. It fails for a user
// without a name, for a text or a list that is too long for its length, and for
// factors that are not valid.
func (u User) Encode() ([]byte, error) {
	if u.Name == "" {
		return nil, fmt.Errorf("%w: no name", errUnkept)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 128+len(u.Name)))
	b.AddUint8(rowVersion)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(u.Name)) })
	row.AddText(b, u.Phone)
	row.AddText(b, u.Email)
	row.AddText(b, u.Locale)
	row.AddTexts(b, u.Channels)
	var flags uint8
	if u.PhoneVerified {
		flags |= flagPhoneVerified
	}
	if u.EmailVerified {
		flags |= flagEmailVerified
	}
	b.AddUint8(flags)
	b.AddBytes(u.Revision[:])
	row.AddTime(b, u.CreatedAt)
	row.AddTime(b, u.UpdatedAt)
	addTOTP(b, u.TOTP)
	addRecovery(b, u.Recovery)
	encoded, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnkept, err)
	}
	return encoded, nil
}

// Decode reads what Encode wrote. Anything else is an error: an unknown version,
// an unknown flag, a missing byte or an additional one.
func Decode(encoded []byte) (User, error) {
	s := cryptobyte.String(encoded)
	var version, flags uint8
	if !s.ReadUint8(&version) || version != rowVersion {
		return User{}, fmt.Errorf("%w: version %d", errRow, version)
	}
	var u User
	var name cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&name) && !name.Empty() &&
		row.ReadText(&s, &u.Phone) &&
		row.ReadText(&s, &u.Email) &&
		row.ReadText(&s, &u.Locale) &&
		row.ReadTexts(&s, &u.Channels) &&
		s.ReadUint8(&flags) && flags < flagsEnd &&
		s.CopyBytes(u.Revision[:]) &&
		row.ReadTime(&s, &u.CreatedAt) &&
		row.ReadTime(&s, &u.UpdatedAt)
	if ok {
		u.TOTP, ok = readTOTP(&s)
	}
	if ok {
		u.Recovery, ok = readRecovery(&s)
	}
	if !ok || !s.Empty() {
		return User{}, errRow
	}
	u.Name = string(name)
	u.PhoneVerified = flags&flagPhoneVerified != 0
	u.EmailVerified = flags&flagEmailVerified != 0
	return u, nil
}
