package user

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/recovery"
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
	addText(b, u.Phone)
	addText(b, u.Email)
	addText(b, u.Locale)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, c := range u.Channels {
			addText(b, c)
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
	b.AddUint64(uint64(u.CreatedAt.UnixMilli())) // the zero Time too is a whole millisecond
	b.AddUint64(uint64(u.UpdatedAt.UnixMilli()))
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
		readText(&s, &u.Phone) &&
		readText(&s, &u.Email) &&
		readText(&s, &u.Locale) &&
		s.ReadUint8LengthPrefixed(&channels) &&
		s.ReadUint8(&flags) && flags < flagsEnd &&
		s.CopyBytes(u.Revision[:]) &&
		readTime(&s, &u.CreatedAt) &&
		readTime(&s, &u.UpdatedAt)
	if ok {
		u.TOTP, ok = totp.Read(&s)
	}
	if ok {
		u.Recovery, ok = recovery.Read(&s)
	}
	ok = ok && s.Empty()
	for ok && !channels.Empty() {
		var c string
		ok = readText(&channels, &c)
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

func addText(b *cryptobyte.Builder, text string) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
}

func readText(s *cryptobyte.String, out *string) bool {
	var text cryptobyte.String
	ok := s.ReadUint8LengthPrefixed(&text)
	*out = string(text)
	return ok
}

func readTime(s *cryptobyte.String, out *time.Time) bool {
	var ms uint64
	ok := s.ReadUint64(&ms)
	*out = time.UnixMilli(int64(ms)).UTC()
	return ok
}
