package user

import (
	"errors"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/recovery"
	"twofa/internal/row"
)

// recoveryLayout is the first byte of an encoded set. It stands for the layout of
// the rest and for the hash of the codes (see recovery's code.go). Another layout
// or another hash gets another number, and readRecovery keeps reading this one.
const recoveryLayout = 1

// errRecovery: readRecovery could not read the encoded state again.
var errRecovery = errors.New("user: the recovery codes cannot be kept")

// addRecovery writes recovery codes: times in Unix milliseconds, lists after
// their count (one byte). Without codes, it leaves out salt, key and time. It sets
// the builder's error for a state that is not valid.
func addRecovery(b *cryptobyte.Builder, s recovery.State) {
	if !s.Valid() {
		b.SetError(errRecovery)
		return
	}
	b.AddUint8(recoveryLayout)
	b.AddUint8(uint8(len(s.Failures)))
	for _, t := range s.Failures {
		row.AddTime(b, t)
	}
	b.AddUint8(uint8(len(s.Codes)))
	if len(s.Codes) == 0 {
		return
	}
	b.AddBytes(s.Salt[:])
	b.AddBytes(s.Key[:])
	row.AddTime(b, s.MadeAt)
	for _, c := range s.Codes {
		b.AddBytes(c.MAC[:])
		row.AddTime(b, c.UsedAt)
	}
}

// readRecovery reads what addRecovery wrote, and leaves the bytes after it in s.
// It refuses anything else: an unknown layout, a missing byte, a repeated code.
func readRecovery(s *cryptobyte.String) (state recovery.State, ok bool) {
	var layout, failures, codes uint8
	ok = s.ReadUint8(&layout) && layout == recoveryLayout && s.ReadUint8(&failures)
	for range failures {
		var t time.Time
		ok = ok && row.ReadTime(s, &t)
		state.Failures = append(state.Failures, t)
	}
	ok = ok && s.ReadUint8(&codes)
	if ok && codes > 0 {
		ok = s.CopyBytes(state.Salt[:]) && s.CopyBytes(state.Key[:]) && row.ReadTime(s, &state.MadeAt)
	}
	for range codes {
		var c recovery.Code
		ok = ok && s.CopyBytes(c.MAC[:]) && row.ReadTime(s, &c.UsedAt)
		state.Codes = append(state.Codes, c)
	}
	if !ok || !state.Valid() {
		return recovery.State{}, false
	}
	return state, true
}
