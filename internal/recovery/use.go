package recovery

import (
	"crypto/subtle"
	"errors"
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// Hashed is a typed code, made ready to be compared with one set. The zero
// Hashed is right nowhere.
type Hashed struct {
	salt [16]byte
	key  [4]byte
	mac  [32]byte
	is   verdict
}

// verdict is what can be said of a typed code before it is compared.
type verdict uint8

const (
	unhashed   verdict = iota
	misread            // it has not the form of a recovery code
	keyless            // the secret that the set was made under is gone
	comparable         // mac is its MAC
)

// Hash makes a code, as otp.ReadCode returns it, ready to be compared with the
// set of this state, and of each later state that still has this set. It takes
// one slow hash, and none where the outcome is clear without. Ask State.Ready
// first, or leave both to Attempt.
func (s State) Hash(code string, keys Keys) Hashed { return s.hash(code, keys, argon2id) }

func (s State) hash(code string, keys Keys, hash hashFunc) Hashed {
	h := Hashed{salt: s.Salt, key: s.Key}
	if !Looks(code) {
		h.is = misread
		return h
	}
	if !s.Alive(keys) {
		h.is = keyless
		return h
	}
	mac, ok := keys.RecoveryMAC(s.Key, hash(code, s.Salt))
	if !ok {
		h.is = keyless
		return h
	}
	h.mac, h.is = mac, comparable
	return h
}

// of reports whether h was made for the set of this state.
func (h Hashed) of(s State) bool { return h.is != unhashed && h.salt == s.Salt && h.key == s.Key }

// Ready returns an error where no code is right now, whichever was typed, so
// that none needs to be hashed: NotFound where there is no code left,
// TooManyChecks with RetryAfter where too many were wrong.
func (s State) Ready(now time.Time) error {
	if err := s.settle(now).refusal(now); err != nil {
		return err
	}
	return nil
}

// refusal is Ready of a settled state.
func (s State) refusal(now time.Time) *problem.Error {
	if s.Left() == 0 {
		return &problem.Error{Kind: problem.NotFound, Detail: "This user has no recovery code that could be used: none were made, or all are used. Make new ones with POST /api/users/{name}/recovery-codes."}
	}
	if wait := window.FullFor(s.Failures, MaxFailuresPerDay, window.Day, now); wait > 0 {
		none := 0
		return &problem.Error{
			Kind: problem.TooManyChecks, RetryAfter: wait, ChecksLeft: &none,
			Detail: "Too many wrong recovery codes for this user within 24 hours. New ones do not help before they are over.",
		}
	}
	return nil
}

// errOtherSet: the caller compared with a set that the code was not hashed for.
var errOtherSet = errors.New("recovery: the code was hashed for another set")

// Use spends the code if it is one of the set that was not used before, and
// counts it as wrong otherwise; whether it was used before is not told. The
// state that it returns has to be kept in either case. left is how many codes
// are unused in it.
//
// Errors, all *problem.Error: those of State.Ready; InvalidRequest for what has not
// the form of a code, KindExpired where the set's secret is gone, and Internal
// for a Hashed of another set, none of which count; WrongCode, with ChecksLeft.
func Use(old State, h Hashed, now time.Time) (s State, left int, err error) {
	s = old.settle(now)
	if refused := s.refusal(now); refused != nil {
		return s, s.Left(), refused
	}
	if refused := h.refusal(s); refused != nil {
		return s, s.Left(), refused
	}
	// All are compared, and none is skipped for being used: the time it takes
	// tells neither which one was right nor whether it was used.
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

// refusal is why a code cannot be compared with the set of s, nil where it can.
func (h Hashed) refusal(s State) *problem.Error {
	switch {
	case !h.of(s):
		return &problem.Error{Kind: problem.Internal, Detail: "The code could not be checked.", Err: errOtherSet}
	case h.is == misread:
		return problem.Invalid("code", "A recovery code is made of 16 letters and digits, without 0, O, 1 and I.")
	case h.is == keyless:
		return &problem.Error{Kind: problem.Expired, Detail: "The secret that made these recovery codes was taken out of service. Make new ones with POST /api/users/{name}/recovery-codes."}
	}
	return nil
}

// Attempt returns the use of one code, as otp.ReadCode returns it, as a
// transition for a compare-and-swap, which may run it any number of times, one
// after the other. It hashes once for each set that it meets, and not at all
// where State.Ready refuses. Results are those of Use.
func Attempt(code string, keys Keys, now time.Time) func(old State) (s State, left int, err error) {
	return attempt(code, keys, now, argon2id)
}

func attempt(code string, keys Keys, now time.Time, hash hashFunc) func(State) (State, int, error) {
	// In a closure, a code is nowhere that formatting or encoding could reach it.
	var h Hashed
	return func(old State) (State, int, error) {
		if !h.of(old) && old.Ready(now) == nil {
			h = old.hash(code, keys, hash)
		}
		return Use(old, h, now)
	}
}
