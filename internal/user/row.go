package user

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/client"
	"twofa/internal/phone"
	"twofa/internal/row"
	"twofa/internal/totp"
)

// The first byte of a row is the version of its layout. A later layout gets
// another number, and Decode keeps reading the older ones.
const (
	rowErased   = 0 // the user was erased; nothing follows, or what is kept of the user
	rowVersion1 = 1 // without the lists of addDay
	rowVersion2 = 2 // without the call
	rowVersion3 = 3 // without the directory
	rowVersion4 = 4 // without the account
	rowVersion5 = 5
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
// order, times in Unix milliseconds. The factors, addDay, the directory and addCall come
// and the account come last. A user without an account is written as version 4, one of the main
// directory as version 3, or as version 2 without a call, so that the release before can read the row. It fails for a user without a name
// or a directory, for a text or a list that is too long for its length, and for factors
// that are not valid.
func (u User) Encode() ([]byte, error) {
	if u.Name == "" {
		return nil, fmt.Errorf("%w: no name", errUnkept)
	}
	if u.Directory == "" {
		return nil, fmt.Errorf("%w: no directory", errUnkept)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 128+len(u.Name)))
	version := uint8(rowVersion2)
	switch {
	case !u.Account.IsZero():
		version = rowVersion5
	case u.Directory != client.MainDirectory:
		version = rowVersion4
	case u.Call != (Call{}):
		version = rowVersion3
	}
	b.AddUint8(version)
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
	addDay(b, u)
	if version >= rowVersion4 {
		row.AddText(b, u.Directory)
	}
	if version >= rowVersion3 {
		addCall(b, u.Call)
	}
	if version >= rowVersion5 {
		addAccount(b, u.Account)
	}
	encoded, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnkept, err)
	}
	return encoded, nil
}

// Decode reads what Encode of this or an earlier version wrote. Anything else is
// an error: an unknown version, an unknown flag, a missing byte or an additional
// one.
func Decode(encoded []byte) (User, error) {
	s := cryptobyte.String(encoded)
	var version, flags uint8
	if !s.ReadUint8(&version) || version < rowVersion1 || version > rowVersion5 {
		return User{}, fmt.Errorf("%w: version %d", errRow, version)
	}
	u := User{Directory: client.MainDirectory}
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
	if ok && version >= rowVersion2 {
		ok = readDay(&s, &u)
	}
	if ok && version >= rowVersion4 {
		ok = row.ReadText(&s, &u.Directory) && u.Directory != "" && (u.Directory != client.MainDirectory || version > rowVersion4)
	}
	if ok && version >= rowVersion3 {
		ok = readCall(&s, &u.Call) && (u.Call != Call{} || version > rowVersion3)
	}
	if ok && version >= rowVersion5 {
		ok = readAccount(&s, &u.Account)
	}
	if !ok || !s.Empty() {
		return User{}, errRow
	}
	u.Name = string(name)
	u.Phone = phone.Current(u.Phone)
	u.PhoneVerified = flags&flagPhoneVerified != 0
	u.EmailVerified = flags&flagEmailVerified != 0
	return u, nil
}

// addDay writes what is kept for window.Day, also of an erased user: the last steps
// of removed authenticators, the times of new sets of recovery codes, and the
// changes. Each list comes after its length in two bytes.
func addDay(b *cryptobyte.Builder, u User) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, p := range u.TOTP.Spent {
			b.AddBytes(p.Secret[:])
			b.AddUint8(uint8(p.Period))
			b.AddUint64(uint64(p.Step))
			row.AddTime(b, p.At)
		}
	})
	row.AddTimes(b, u.Recovery.Sets)
	row.AddTimes(b, u.Changes)
}

// readDay reads what addDay wrote.
func readDay(s *cryptobyte.String, u *User) bool {
	var spent cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&spent)
	for ok && !spent.Empty() {
		var p totp.Spent
		var period uint8
		var step uint64
		ok = spent.CopyBytes(p.Secret[:]) && spent.ReadUint8(&period) && spent.ReadUint64(&step) && row.ReadTime(&spent, &p.At)
		p.Period, p.Step = int(period), int64(step)
		u.TOTP.Spent = append(u.TOTP.Spent, p)
	}
	return ok && row.ReadTimes(s, &u.Recovery.Sets) && row.ReadTimes(s, &u.Changes) && u.TOTP.Valid() && u.Recovery.Valid()
}

// encodeForgotten writes what is kept of an erased user: see [User.Forgotten].
func (u User) encodeForgotten() ([]byte, error) {
	if u.keepUntil().IsZero() {
		return []byte{rowErased}, nil
	}
	if len(u.TOTP.Authenticators)+len(u.Recovery.Codes) > 0 {
		return nil, fmt.Errorf("%w: an erased user has factors", errUnkept)
	}
	b := cryptobyte.NewBuilder([]byte{rowErased})
	row.AddTimes(b, u.TOTP.Failures)
	row.AddTimes(b, u.Recovery.Failures)
	addDay(b, u)
	return b.Bytes()
}

// decodeForgotten reads what encodeForgotten wrote.
func decodeForgotten(encoded []byte) (u User, err error) {
	s := cryptobyte.String(encoded[1:])
	if s.Empty() {
		return User{}, nil
	}
	if !row.ReadTimes(&s, &u.TOTP.Failures) || !row.ReadTimes(&s, &u.Recovery.Failures) || !readDay(&s, &u) || !s.Empty() {
		return User{}, errRow
	}
	return u, nil
}
