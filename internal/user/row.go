package user

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/recovery"
	"twofa/internal/rowcodec"
	"twofa/internal/totp"
)

// The first byte of a row tells what it holds. A later layout gets a number of
// its own, and Decode keeps reading the older ones.
const (
	rowErased  = 0 // nothing follows: there was a user here
	rowVersion = 1
)

// Bits of the flags.
const (
	flagPhoneVerified = 1 << iota
	flagEmailVerified
	flagsEnd
)

var (
	// errRow: the bytes are no user of a version that this program knows.
	errRow = errors.New("user: not an encoded user")
	// errUnkept: the user cannot be written so that Decode reads it again.
	errUnkept = errors.New("user: cannot be kept")
)

// Encode writes the user as bytes: texts and lists behind their length in bytes
// (two for the name, one for all else), numbers in big-endian order, times in
// Unix milliseconds; then the factors, as their packages write them. It fails for
// a user without a name, and for what is too long for its length.
func (u User) Encode() ([]byte, error) {
	if u.Name == "" {
		return nil, fmt.Errorf("%w: no name", errUnkept)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 128+len(u.Name)))
	b.AddUint8(rowVersion)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(u.Name)) })
	rowcodec.AddText(b, u.Phone)
	rowcodec.AddText(b, u.Email)
	rowcodec.AddText(b, u.Locale)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, c := range u.Channels {
			rowcodec.AddText(b, c)
		}
	})
	var flags uint8
	if u.PhoneVerified {
		flags |= flagPhoneVerified
	}
	if u.EmailVerified {
		flags |= flagEmailVerified
	}
	b.AddUint8(flags)
	b.AddBytes(u.Revision[:])
	rowcodec.AddTime(b, u.CreatedAt)
	rowcodec.AddTime(b, u.UpdatedAt)
	u.TOTP.Append(b)
	u.Recovery.Append(b)
	row, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnkept, err)
	}
	return row, nil
}

// Decode reads what Encode wrote, and nothing else: an unknown version, an
// unknown flag, a missing or a spare byte is an error.
func Decode(row []byte) (User, error) {
	s := cryptobyte.String(row)
	var version, flags uint8
	if !s.ReadUint8(&version) || version != rowVersion {
		return User{}, fmt.Errorf("%w: version %d", errRow, version)
	}
	var u User
	var name, channels cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&name) && !name.Empty() &&
		rowcodec.ReadText(&s, &u.Phone) &&
		rowcodec.ReadText(&s, &u.Email) &&
		rowcodec.ReadText(&s, &u.Locale) &&
		s.ReadUint8LengthPrefixed(&channels) &&
		s.ReadUint8(&flags) && flags < flagsEnd &&
		s.CopyBytes(u.Revision[:]) &&
		rowcodec.ReadTime(&s, &u.CreatedAt) &&
		rowcodec.ReadTime(&s, &u.UpdatedAt)
	if ok {
		u.TOTP, ok = totp.Read(&s)
	}
	if ok {
		u.Recovery, ok = recovery.Read(&s)
	}
	ok = ok && s.Empty()
	for ok && !channels.Empty() {
		var c string
		ok = rowcodec.ReadText(&channels, &c)
		u.Channels = append(u.Channels, c)
	}
	if !ok {
		return User{}, errRow
	}
	u.Name = string(name)
	u.PhoneVerified = flags&flagPhoneVerified != 0
	u.EmailVerified = flags&flagEmailVerified != 0
	return u, nil
}
