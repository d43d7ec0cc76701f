package recovery

import (
	"crypto/subtle"
	"errors"
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// Hashed is a typed code that is ready to be compared with one set. The zero Hashed
// is wrong for every set.
type Hashed struct {
	salt [16]byte
	key  [4]byte
	mac  [32]byte
	is   verdict
}

// verdict says whether a typed code can be compared.
type verdict uint8

const (
	unhashed   verdict = iota
	malformed          // it has not the form of a recovery code
	keyless            // the secret of the set was removed
	comparable         // mac is its MAC
)

// Hash prepares a code, as otp.ReadCode returns it, to be compared with the set of
// this state, and of each later state with this set. It makes one slow hash, or none
// if the code is malformed or the secret was removed. Call [State.Ready] first, or
// use [Attempt], which does both. The error is that of hash.
func (s State) Hash(hash Hash, code string, keys Keys) (Hashed, error) {
	h := Hashed{salt: s.Salt, key: s.Key}
	switch {
	case !isCode(code):
		h.is = malformed
	case !s.Alive(keys):
		h.is = keyless
	default:
		hashed, err := hash(code, s.Salt)
		if err != nil {
			return Hashed{}, err
		}
		mac, ok := keys.RecoveryMAC(s.Key, hashed)
		if h.is = keyless; ok {
			h.mac, h.is = mac, comparable
		}
	}
	return h, nil
}

// isFor reports whether h was made for the set of this state.
func (h Hashed) isFor(s State) bool { return h.is != unhashed && h.salt == s.Salt && h.key == s.Key }

// Ready returns an error if no code can be accepted now, so that none has to be
// hashed: NotFound if no code is left, TooManyChecks with RetryAfter after too many
// wrong codes.
func (s State) Ready(now time.Time) error {
	if err := s.settle(now).refusal(now); err != nil {
		return err
	}
	return nil
}

// refusal is Ready of a settled state.
func (s State) refusal(now time.Time) *problem.Error {
	if s.Left() == 0 {
		return &problem.Error{Kind: problem.NotFound, Detail: "This user has no recovery code that could be used: none were made, or all are used. Make new recovery codes."}
	}
	if wait := window.FullFor(s.Failures, MaxFailuresPerDay, window.Day, now); wait > 0 {
		none := 0
		return &problem.Error{
			Kind: problem.TooManyChecks, RetryAfter: wait, ChecksLeft: &none,
			Detail: "Too many wrong recovery codes for this user within 24 hours. New recovery codes do not help before these hours are over.",
		}
	}
	return nil
}

// errOtherSet: the code was hashed for another set.
var errOtherSet = errors.New("recovery: the code was hashed for another set")

// Use marks the code as used if it is an unused code of the set. Otherwise it counts
// a wrong code; it does not say whether the code was used before. The new state must
// be kept in either case. left is how many unused codes it has.
//
// Errors are those of [State.Ready], and WrongCode with ChecksLeft. These errors are
// not counted: InvalidRequest for a malformed code, Expired if the set's secret was
// removed, Internal for a Hashed of another set.
func Use(old State, h Hashed, now time.Time) (s State, left int, err error) {
	s = old.settle(now)
	if refused := s.refusal(now); refused != nil {
		return s, s.Left(), refused
	}
	if refused := h.refusal(s); refused != nil {
		return s, s.Left(), refused
	}
	// All codes are compared, used or not, so that the time it takes reveals neither
	// which code was right nor whether it was used.
	at := -1
	for i, c := range s.Codes {
		right := subtle.ConstantTimeCompare(c.MAC[:], h.mac[:])
		at = subtle.ConstantTimeSelect(right&unused(c), i, at)
	}
	if at < 0 {
		s.Failures = window.Record(s.Failures, now)
		checks := max(0, MaxFailuresPerDay-len(s.Failures))
		return s, s.Left(), &problem.Error{Kind: problem.WrongCode, ChecksLeft: &checks, Detail: "The code is not right."}
	}
	s.Codes[at].UsedAt = window.Stamp(now)
	return s, s.Left(), nil
}

func unused(c Code) int {
	if c.UsedAt.IsZero() {
		return 1
	}
	return 0
}

// refusal says why a code cannot be compared with the set of s. nil: it can.
func (h Hashed) refusal(s State) *problem.Error {
	switch {
	case !h.isFor(s):
		return &problem.Error{Kind: problem.Internal, Detail: "The code could not be checked.", Err: errOtherSet}
	case h.is == malformed:
		return problem.Invalid("code", "A recovery code is made of 16 letters and digits, without 0, O, 1 and I.")
	case h.is == keyless:
		return &problem.Error{Kind: problem.Expired, Detail: "The secret that made these recovery codes was removed. Make new recovery codes."}
	}
	return nil
}

// Attempt returns a transition that uses a code, as otp.ReadCode returns it. A
// compare-and-swap may run it any number of times, one after the other. It hashes the
// code once for each set that it gets, and not at all if [State.Ready] returns an
// error. Its results are those of [Use], and the error of hash with the old state.
func Attempt(hash Hash, code string, keys Keys, now time.Time) func(old State) (s State, left int, err error) {
	// The code is in a closure, where formatting and encoding cannot reach it.
	var h Hashed
	return func(old State) (State, int, error) {
		if !h.isFor(old) && old.Ready(now) == nil {
			hashed, err := old.Hash(hash, code, keys)
			if err != nil {
				return old, old.Left(), err
			}
			h = hashed
		}
		return Use(old, h, now)
	}
}
