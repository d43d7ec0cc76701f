package user

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/row"
	"twofa/internal/totp"
)

// algorithms fixes the number of each algorithm in a row. Append only.
var algorithms = []totp.Algorithm{totp.SHA1, totp.SHA256, totp.SHA512}

// errTOTP: readTOTP could not read the encoded state again.
var errTOTP = errors.New("user: the authenticators cannot be kept")

// addTOTP writes authenticators: numbers in big-endian order, texts and lists
// after their length (one byte for a secret, two for all others), times in Unix
// milliseconds. The row's version stands for this layout, too. It sets the
// builder's error for a state that is not valid.
func addTOTP(b *cryptobyte.Builder, s totp.State) {
	if !s.Valid() {
		b.SetError(errTOTP)
		return
	}
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, a := range s.Authenticators {
			addAuthenticator(b, a)
		}
	})
	row.AddTimes(b, s.Failures)
}

func addAuthenticator(b *cryptobyte.Builder, a totp.Authenticator) {
	id, _ := hex.DecodeString(strings.TrimPrefix(a.ID, totp.IDPrefix)) // a valid state has valid ids
	b.AddBytes(id)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.Name)) })
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.Secret) })
	b.AddUint8(uint8(slices.Index(algorithms, a.Algorithm)))
	b.AddUint8(uint8(a.Digits))
	b.AddUint8(uint8(a.Period))
	b.AddUint64(uint64(a.Step))
	row.AddTime(b, a.CreatedAt)
	row.AddTime(b, a.ConfirmedAt)
	row.AddTime(b, a.UsedAt)
	b.AddUint8(uint8(a.Failed))
}

// readTOTP reads what addTOTP wrote, and leaves the bytes after it in s. It
// refuses anything else: an unknown algorithm, a secret that is too short, a list
// that ends within an entry.
func readTOTP(s *cryptobyte.String) (state totp.State, ok bool) {
	var list cryptobyte.String
	ok = s.ReadUint16LengthPrefixed(&list) && row.ReadTimes(s, &state.Failures)
	for ok && !list.Empty() {
		var a totp.Authenticator
		a, ok = readAuthenticator(&list)
		state.Authenticators = append(state.Authenticators, a)
	}
	if !ok || !state.Valid() {
		return totp.State{}, false
	}
	return state, true
}

func readAuthenticator(s *cryptobyte.String) (a totp.Authenticator, ok bool) {
	var id [8]byte
	var name, secret cryptobyte.String
	var algorithm, digits, period, failed uint8
	var step uint64
	ok = s.CopyBytes(id[:]) &&
		s.ReadUint16LengthPrefixed(&name) &&
		s.ReadUint8LengthPrefixed(&secret) &&
		s.ReadUint8(&algorithm) && int(algorithm) < len(algorithms) &&
		s.ReadUint8(&digits) &&
		s.ReadUint8(&period) &&
		s.ReadUint64(&step) &&
		row.ReadTime(s, &a.CreatedAt) &&
		row.ReadTime(s, &a.ConfirmedAt) &&
		row.ReadTime(s, &a.UsedAt) &&
		s.ReadUint8(&failed)
	if !ok {
		return totp.Authenticator{}, false
	}
	a.ID, a.Name, a.Secret = totp.NewID(id), string(name), slices.Clone([]byte(secret))
	a.Options = totp.Options{Algorithm: algorithms[algorithm], Digits: int(digits), Period: int(period)}
	a.Step, a.Failed = int64(step), int(failed)
	return a, true
}
