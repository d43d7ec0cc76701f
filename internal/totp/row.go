package totp

import (
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/rowcodec"
)

// errUnkept: the state cannot be written so that Read reads it again.
var errUnkept = errors.New("totp: the authenticators cannot be kept")

// Append writes the state as a part of a row: numbers in big-endian order, texts
// and lists behind their length in bytes (one for a secret, two for all else),
// times in Unix milliseconds. The row's version is its owner's to write. It sets
// the builder's error for what Read would not read again.
func (s State) Append(b *cryptobyte.Builder) {
	if !s.keepable() {
		b.SetError(errUnkept)
		return
	}
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, a := range s.Authenticators {
			addAuthenticator(b, a)
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, t := range s.Failures {
			rowcodec.AddTime(b, t)
		}
	})
}

// keepable reports what holds for every state in a row. The limits of how many
// there may be are not among it: they may change, and rows stay.
func (s State) keepable() bool {
	pending := 0
	for _, a := range s.Authenticators {
		if _, bad := ParseID(a.ID); bad != nil {
			return false
		}
		if !a.usable() || a.Failed < 0 || a.Failed > 255 {
			return false
		}
		if n := utf8.RuneCountInString(a.Name); n < 1 || n > MaxName || !utf8.ValidString(a.Name) {
			return false
		}
		if a.Pending() {
			pending++
		}
	}
	return pending <= 1
}

func addAuthenticator(b *cryptobyte.Builder, a Authenticator) {
	id, _ := idBytes(a.ID)
	b.AddBytes(id[:])
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.Name)) })
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.Secret) })
	b.AddUint8(uint8(slices.Index(algorithms, a.Algorithm)))
	b.AddUint8(uint8(a.Digits))
	b.AddUint8(uint8(a.Period))
	b.AddUint64(uint64(a.Step))
	rowcodec.AddTime(b, a.CreatedAt)
	rowcodec.AddTime(b, a.ConfirmedAt)
	rowcodec.AddTime(b, a.UsedAt)
	b.AddUint8(uint8(a.Failed))
}

// Read reads what Append wrote, and nothing else: an unknown algorithm, a secret
// that is too short or a list that ends within an entry is refused. What follows
// in the row is left in s.
func Read(s *cryptobyte.String) (State, bool) {
	var list, failures cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.ReadUint16LengthPrefixed(&failures) {
		return State{}, false
	}
	var state State
	for !list.Empty() {
		a, ok := readAuthenticator(&list)
		if !ok {
			return State{}, false
		}
		state.Authenticators = append(state.Authenticators, a)
	}
	for !failures.Empty() {
		var t time.Time
		if !rowcodec.ReadTime(&failures, &t) {
			return State{}, false
		}
		state.Failures = append(state.Failures, t)
	}
	if !state.keepable() {
		return State{}, false
	}
	return state, true
}

func readAuthenticator(s *cryptobyte.String) (a Authenticator, ok bool) {
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
		rowcodec.ReadTime(s, &a.CreatedAt) &&
		rowcodec.ReadTime(s, &a.ConfirmedAt) &&
		rowcodec.ReadTime(s, &a.UsedAt) &&
		s.ReadUint8(&failed)
	if !ok {
		return Authenticator{}, false
	}
	a.ID, a.Name, a.Secret = NewID(id), string(name), slices.Clone([]byte(secret))
	a.Options = Options{Algorithm: algorithms[algorithm], Digits: int(digits), Period: int(period)}
	a.Step, a.Failed = int64(step), int(failed)
	return a, true
}
