// Package recovery decides about recovery codes: ten codes that a person keeps
// on paper, each of which lets them in once when nothing else does.
//
// A set's codes leave New once and are kept only as hashes. The package does no
// I/O and has no clock of its own; the one thing it waits for is its turn to
// hash (see slow). A transition takes the old State and now and returns a new
// one, changing neither its arguments nor anything else, so one may run it again
// on a newer state. It must never put a code, or what was typed for one, into an
// error, or approve a code that it could not compare.
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

// MaxFailuresPerDay is how many wrong codes a user may try within window.Day, over
// all sets. Codes of 80 bits are not to be guessed with any number of tries; the
// limit keeps our processor from those who try anyway.
const MaxFailuresPerDay = 10

// State is what is kept of a user's recovery codes. The zero State is that of a
// user who never had any.
type State struct {
	Salt     [16]byte    // of the slow hash; random, one a set
	Key      [4]byte     // names the secret that the MACs are under
	Codes    []Code      // of the present set, in the order in which New returned them
	MadeAt   time.Time   // in milliseconds
	Failures []time.Time // wrong codes of the last window.Day, oldest first, whatever the set
}

// Code is what is kept of one code.
type Code struct {
	// MAC is Keys.RecoveryMAC of the slow hash of the code.
	MAC [32]byte
	// UsedAt is when it was used, zero until then; in milliseconds.
	UsedAt time.Time
}

// Keys is the part of the keyring that recovery codes need.
type Keys interface {
	// Current names the secret for what is made now.
	Current() [4]byte
	// RecoveryMAC is a PRF of 32 bytes under the named secret; false if that
	// secret is not there any more.
	RecoveryMAC(id [4]byte, message []byte) ([32]byte, bool)
}

var (
	errKeyless = errors.New("recovery: the keyring has no key of its current secret")
	errRepeats = errors.New("recovery: the random source repeats itself")
)

// New makes a set of codes, to be shown once, and the state that knows them.
// random is crypto/rand's Reader, but in tests. It hashes slowly, Count times:
// call it before, not within, the transition that puts the state in its place
// (State.Replace).
//
// The codes are as people read them, in groups: XXXX-XXXX-XXXX-XXXX.
func New(random io.Reader, keys Keys, now time.Time) (codes []string, s State, err error) {
	return newSet(random, keys, now, argon2id)
}

func newSet(random io.Reader, keys Keys, now time.Time, hash hashFunc) ([]string, State, error) {
	s := State{Key: keys.Current(), MadeAt: window.Stamp(now), Codes: make([]Code, Count)}
	if _, err := io.ReadFull(random, s.Salt[:]); err != nil {
		return nil, State{}, errMake(err)
	}
	codes := make([]string, Count)
	// 32 symbols carry 5 bits each, so base32 maps 80 random bits one to one onto
	// 16 of them: no code is likelier than another.
	encoding := base32.NewEncoding(otp.Alphanumeric.Symbols()).WithPadding(base32.NoPadding)
	for i := range codes {
		var bits [codeBits / 8]byte
		if _, err := io.ReadFull(random, bits[:]); err != nil {
			return nil, State{}, errMake(err)
		}
		code := encoding.EncodeToString(bits[:])
		mac, ok := keys.RecoveryMAC(s.Key, hash(code, s.Salt))
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

// knows reports whether a code of that MAC is in the set, used or not.
func (s State) knows(mac [32]byte) bool {
	return slices.ContainsFunc(s.Codes, func(c Code) bool { return c.MAC == mac })
}

// Replace puts a fresh set in the old one's place: the old codes are dead, used
// or not. The wrong codes of the day still count, so that a new set is no way
// around the limit.
func (s State) Replace(fresh State) State {
	fresh.Codes = slices.Clone(fresh.Codes)
	fresh.Failures = slices.Clone(s.Failures)
	return fresh
}

// Left is how many codes have not been used. They may be dead all the same: see
// Alive.
func (s State) Left() int {
	left := 0
	for _, c := range s.Codes {
		if c.UsedAt.IsZero() {
			left++
		}
	}
	return left
}

// Alive reports whether the secret that the codes were made under is still in
// service. Without it no code can be compared any more.
func (s State) Alive(keys Keys) bool {
	_, ok := keys.RecoveryMAC(s.Key, nil)
	return ok
}

// settle returns a copy of the state, to be changed, in which only the wrong
// codes are left that still count. One that a clock ahead of ours wrote keeps
// its time up to window.MaxSkew from now and is pulled back to there from beyond,
// so that no clock locks anybody out for over window.Day and window.MaxSkew.
func (s State) settle(now time.Time) State {
	s.Codes = slices.Clone(s.Codes)
	if s.Failures = window.Settle(slices.Clone(s.Failures), now); len(s.Failures) == 0 {
		s.Failures = nil // as it is read from a row
	}
	return s
}
