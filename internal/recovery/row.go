package recovery

import (
	"errors"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/otp"
	"twofa/internal/rowcodec"
)

// layout1 is the first byte of an encoded state. It stands for how the rest is
// written and for how its codes were hashed (see code.go). Another layout or
// another hash gets a number of its own, and Read keeps reading this one.
const layout1 = 1

// errUnkept: the state cannot be written so that Read reads it again.
var errUnkept = errors.New("recovery: the state cannot be kept")

// Append writes the state behind what b has: numbers in big-endian order, times
// in Unix milliseconds, lists behind their count (one byte). What only a set has
// is left out where there is none. It sets b's error for what Read would not
// read again.
func (s State) Append(b *cryptobyte.Builder) {
	if !s.mayKeep() {
		b.SetError(errUnkept)
		return
	}
	b.AddUint8(layout1)
	b.AddUint8(uint8(len(s.Failures)))
	for _, t := range s.Failures {
		rowcodec.AddTime(b, t)
	}
	b.AddUint8(uint8(len(s.Codes)))
	if len(s.Codes) == 0 {
		return
	}
	b.AddBytes(s.Salt[:])
	b.AddBytes(s.Key[:])
	rowcodec.AddTime(b, s.MadeAt)
	for _, c := range s.Codes {
		b.AddBytes(c.MAC[:])
		rowcodec.AddTime(b, c.UsedAt)
	}
}

// mayKeep reports what holds for every state that New and the transitions make.
// No two codes are the same: one of them would be right a second time.
func (s State) mayKeep() bool {
	if len(s.Codes) > Count || len(s.Failures) > otp.MaxCounted {
		return false
	}
	for i, c := range s.Codes {
		if (State{Codes: s.Codes[:i]}).knows(c.MAC) {
			return false
		}
	}
	return len(s.Codes) > 0 || s.Salt == [16]byte{} && s.Key == [4]byte{} && s.MadeAt.IsZero()
}

// Read reads what Append wrote, and leaves in s what lies behind it. It reports
// false for all else: an unknown layout, a missing byte, a code that is there
// twice.
func Read(in *cryptobyte.String) (State, bool) {
	var s State
	var layout, failures, codes uint8
	if !in.ReadUint8(&layout) || layout != layout1 || !in.ReadUint8(&failures) {
		return State{}, false
	}
	for range failures {
		var t time.Time
		if !rowcodec.ReadTime(in, &t) {
			return State{}, false
		}
		s.Failures = append(s.Failures, t)
	}
	if !in.ReadUint8(&codes) {
		return State{}, false
	}
	if codes > 0 && !(in.CopyBytes(s.Salt[:]) && in.CopyBytes(s.Key[:]) && rowcodec.ReadTime(in, &s.MadeAt)) {
		return State{}, false
	}
	for range codes {
		var c Code
		if !in.CopyBytes(c.MAC[:]) || !rowcodec.ReadTime(in, &c.UsedAt) {
			return State{}, false
		}
		s.Codes = append(s.Codes, c)
	}
	if !s.mayKeep() {
		return State{}, false
	}
	return s, true
}
