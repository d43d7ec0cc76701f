// Package recovery decides about recovery codes: ten codes that a person keeps on
// paper for the case that no other factor works. Each is accepted once.
//
// [New] returns the codes of a set once. Only their hashes are kept. The package
// does no I/O, and now is an argument. The slow hash is an argument, too, because it
// waits for its turn.
// A transition takes the old [State] and now, and returns a new State. It changes
// nothing else, so it may run again on a newer state.
//
// The package must never put a code, or a text that was typed for one, into an
// error. It must never approve a code that it could not compare.
package recovery

import (
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/window"
)

// Count is how many codes a set has.
const Count = 10

// MaxSetsPerDay is how many sets a user may get within window.Day. The limit protects
// the processor: a set takes Count slow hashes.
const MaxSetsPerDay = 5

// MaxFailuresPerDay is how many wrong codes a user may try within window.Day, for all
// sets together. Nobody can guess a code of 80 bits with any number of tries. The
// limit protects the processor.
const MaxFailuresPerDay = 10

// State is all that is kept of a user's recovery codes. The zero State is that of a
// user who never had any.
type State struct {
	Salt     [16]byte    // of the slow hash: random, one for each set
	Key      [4]byte     // names the secret of the MACs
	Codes    []Code      // of the current set, in the order in which New returned them
	MadeAt   time.Time   // in milliseconds
	Failures []time.Time // wrong codes of the last window.Day, for all sets, oldest first
	Sets     []time.Time `json:",omitempty"` // when sets were made in the last window.Day, oldest first
}

// Code is what is kept of one code.
type Code struct {
	// MAC is Keys.RecoveryMAC of the slow hash of the code.
	MAC [32]byte
	// UsedAt is when the code was used, in milliseconds. Zero: not yet.
	UsedAt time.Time
}

// Keys is the part of the keyring that recovery codes need.
type Keys interface {
	// Current names the secret for new sets.
	Current() [4]byte
	// RecoveryMAC is a PRF with 32 bytes under the named secret. It returns false if
	// that secret was removed.
	RecoveryMAC(id [4]byte, message []byte) ([32]byte, bool)
}

var (
	errKeyless = errors.New("recovery: the keyring has no key of its current secret")
	errRepeats = errors.New("recovery: the random source repeats itself")
)

// CountSet counts a set before it is made, so that no more than MaxSetsPerDay are
// ever hashed. The error is of kind TooManyChanges.
func (s State) CountSet(now time.Time) (State, error) {
	sets, wait := window.Count(s.Sets, MaxSetsPerDay, now)
	if wait > 0 {
		return s, &problem.Error{
			Kind: problem.TooManyChanges, RetryAfter: wait,
			Detail: "Too many sets of recovery codes for this user within 24 hours. The last set that was made still works.",
		}
	}
	s.Sets = sets
	return s, nil
}

// New makes a set of codes, which must be shown only once, and its state. random is
// crypto/rand.Reader, except in tests. New makes Count slow hashes, so call it before
// the transition that stores the state ([State.Replace]), not in it.
//
// The codes have the form that people read: XXXX-XXXX-XXXX-XXXX. An error is that of
// hash, or of kind Internal.
func New(hash Hash, random io.Reader, keys Keys, now time.Time) (codes []string, s State, err error) {
	s = State{Key: keys.Current(), MadeAt: window.Stamp(now), Codes: make([]Code, Count)}
	if _, err := io.ReadFull(random, s.Salt[:]); err != nil {
		return nil, State{}, errMake(err)
	}
	codes = make([]string, Count)
	// Each of the 32 symbols stands for 5 bits, so base32 maps 80 random bits to 16
	// symbols, and all codes are equally likely.
	encoding := base32.NewEncoding(otp.Alphanumeric.Symbols()).WithPadding(base32.NoPadding)
	for i := range codes {
		var bits [codeBits / 8]byte
		if _, err := io.ReadFull(random, bits[:]); err != nil {
			return nil, State{}, errMake(err)
		}
		code := encoding.EncodeToString(bits[:])
		hashed, err := hash(code, s.Salt)
		if err != nil {
			return nil, State{}, err
		}
		mac, ok := keys.RecoveryMAC(s.Key, hashed)
		if !ok {
			return nil, State{}, errMake(errKeyless)
		}
		if s.knows(mac) {
			return nil, State{}, errMake(errRepeats)
		}
		codes[i], s.Codes[i].MAC = show(code), mac
	}
	return codes, s, nil
}

func errMake(err error) *problem.Error {
	return &problem.Error{Kind: problem.Internal, Detail: "Recovery codes could not be made.", Err: fmt.Errorf("recovery: %w", err)}
}

// knows reports whether the set has a code with that MAC, used or not.
func (s State) knows(mac [32]byte) bool {
	return slices.ContainsFunc(s.Codes, func(c Code) bool { return c.MAC == mac })
}

// Valid reports whether the state can be kept. New and the transitions make no other
// states. No two codes are equal, because a code would then be accepted twice.
func (s State) Valid() bool {
	if len(s.Codes) > Count || len(s.Failures) > otp.MaxCounted || len(s.Sets) > otp.MaxCounted {
		return false
	}
	for i, c := range s.Codes {
		if (State{Codes: s.Codes[:i]}).knows(c.MAC) {
			return false
		}
	}
	return len(s.Codes) > 0 || s.Salt == [16]byte{} && s.Key == [4]byte{} && s.MadeAt.IsZero()
}

// Replace replaces the set by a fresh one: no old code is accepted any more. The
// wrong codes of the day still count, so that a new set does not evade the limit, and
// so do the sets.
func (s State) Replace(fresh State) State {
	fresh.Codes = slices.Clone(fresh.Codes)
	fresh.Failures, fresh.Sets = slices.Clone(s.Failures), slices.Clone(s.Sets)
	return fresh
}

// Forgotten returns what is kept for window.Day after the user was erased: the wrong
// codes and the sets, which still count if the user is registered again.
func (s State) Forgotten(now time.Time) State {
	s = s.settle(now)
	return State{Failures: s.Failures, Sets: s.Sets}
}

// KeepUntil is from when on no limit counts a wrong code or a set any more, zero if
// there are none.
func (s State) KeepUntil() (until time.Time) {
	for _, t := range slices.Concat(s.Failures, s.Sets) {
		until = window.Later(until, t.Add(window.Day))
	}
	return until
}

// Left returns how many codes have not been used. Whether they can be used, Alive
// says.
func (s State) Left() int {
	left := 0
	for _, c := range s.Codes {
		if c.UsedAt.IsZero() {
			left++
		}
	}
	return left
}

// Alive reports whether the keyring still has the secret of the codes. Without it,
// no code can be compared.
func (s State) Alive(keys Keys) bool {
	_, ok := keys.RecoveryMAC(s.Key, nil)
	return ok
}

// settle returns a copy of the state, which may be changed, with only the failures
// and sets that still count: see [window.Settle].
func (s State) settle(now time.Time) State {
	s.Codes = slices.Clone(s.Codes)
	if s.Failures = window.Settle(slices.Clone(s.Failures), now); len(s.Failures) == 0 {
		s.Failures = nil // as read from a row
	}
	if s.Sets = window.Settle(slices.Clone(s.Sets), now); len(s.Sets) == 0 {
		s.Sets = nil
	}
	return s
}
