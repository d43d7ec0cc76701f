package totp

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// Settle returns the state as it stands at now: a pending authenticator that is
// over its time is dropped (so that a clock that steps back cannot revive it),
// and so are failures that no rule needs any more.
//
// What lies further ahead than window.MaxSkew was written by a clock that is wrong.
// A failure is pulled back to there, so that it is forgotten in time. A pending
// authenticator made then is dropped, because its end is wrong too. The last
// step stays as it is: a step that was accepted once must not be again, and to
// accept one far ahead takes the code that the app will show then.
func (s State) Settle(now time.Time) State {
	latest := window.Stamp(now.Add(window.MaxSkew))
	s.Authenticators = without(s.Authenticators, func(a Authenticator) bool {
		return a.Pending() && (!now.Before(a.CreatedAt.Add(PendingFor)) || a.CreatedAt.After(latest))
	})
	if s.Failures = window.Settle(slices.Clone(s.Failures), now); len(s.Failures) == 0 {
		s.Failures = nil // as it is read from a row
	}
	return s
}

// without returns a new list, nil rather than empty: as it is read from a row.
func without(list []Authenticator, drop func(Authenticator) bool) []Authenticator {
	var kept []Authenticator
	for _, a := range list {
		if !drop(a) {
			kept = append(kept, a)
		}
	}
	return kept
}

// Enroll adds an authenticator that Confirm has to prove. It takes the place of
// an earlier pending one: the person started again. Of a, the id, the name, the
// secret and the options count. Errors are of kind InvalidRequest; the earlier
// one then stays.
func Enroll(old State, a Authenticator, now time.Time) (State, error) {
	s := old.Settle(now)
	confirmed := State{Authenticators: without(s.Authenticators, Authenticator.Pending), Failures: s.Failures}
	a.Step, a.Failed = 0, 0
	a.CreatedAt, a.ConfirmedAt, a.UsedAt = window.Stamp(now), time.Time{}, time.Time{}
	if err := confirmed.add(a); err != nil {
		return s, err
	}
	return confirmed, nil
}

// Import adds an authenticator that another system has confirmed: the person is
// not there to type a code. Of a, the id, the name, the secret, the options and
// the last step count. Errors are of kind InvalidRequest.
func Import(old State, a Authenticator, now time.Time) (State, error) {
	s := old.Settle(now)
	a.Failed = 0
	a.CreatedAt, a.ConfirmedAt, a.UsedAt = window.Stamp(now), window.Stamp(now), time.Time{}
	if err := s.add(a); err != nil {
		return s, err
	}
	return s, nil
}

// errID: the caller made an id that is none, or is taken.
var errID = errors.New("totp: the id is not new")

// add appends a, or says why it cannot. s must be its caller's own.
//
// No two authenticators of a user may share a secret: each remembers its own
// last step, so a code of one would be accepted a second time by the other.
func (s *State) add(a Authenticator) error {
	faults := new(problem.Faults)
	a.Name = CheckName(a.Name, faults)
	a.Options = a.Options.Check(faults)
	a.Secret = bytes.Clone(a.Secret)
	if len(a.Secret) < MinSecret || len(a.Secret) > MaxSecret {
		faults.Add("secret", "A secret has %d to %d bytes.", MinSecret, MaxSecret)
	}
	for _, b := range s.Authenticators {
		if strings.EqualFold(a.Name, b.Name) {
			faults.Add("name", nameTaken)
		}
		if sameKey(a.Secret, b.Secret) {
			faults.Add("secret", "Another authenticator app of this user has this secret.")
		}
	}
	if err := faults.Err(); err != nil {
		return err
	}
	if len(s.Authenticators) >= MaxAuthenticators {
		return &problem.Error{
			Kind:   problem.InvalidRequest,
			Detail: fmt.Sprintf("A user has at most %d authenticator apps. Remove one first.", MaxAuthenticators),
		}
	}
	_, bad := ParseID(a.ID)
	if bad != nil || s.find(a.ID) >= 0 || !a.usable() {
		return &problem.Error{Kind: problem.Internal, Detail: "The authenticator app could not be added. Try again.", Err: errID}
	}
	s.Authenticators = append(s.Authenticators, a)
	return nil
}

const nameTaken = "Another authenticator app of this user has this name."

func (s State) find(id string) int {
	return slices.IndexFunc(s.Authenticators, func(a Authenticator) bool { return a.ID == id })
}

// Confirm proves that the pending authenticator makes the right codes; code is
// as otp.ReadCode returned it. The code that confirms is spent.
//
// Errors are of kind NotFound if none is pending, and WrongCode. The wrong code
// number MaxConfirmFailures ends the authenticator. Wrong codes here are not
// counted for Check: whoever enrolls has the secret, so there is nothing to guess.
func Confirm(old State, code string, now time.Time) (State, Authenticator, error) {
	s := old.Settle(now)
	i := slices.IndexFunc(s.Authenticators, Authenticator.Pending)
	if i < 0 {
		return s, Authenticator{}, &problem.Error{
			Kind: problem.NotFound, Detail: "No authenticator app waits to be confirmed. Its 15 minutes or its 10 tries may be over, or it may be confirmed: if it is not, enroll it again.",
		}
	}
	a := &s.Authenticators[i]
	if step := a.match(code, now); step > 0 {
		a.Step, a.Failed, a.ConfirmedAt = step, 0, window.Stamp(now)
		return s, *a, nil
	}
	a.Failed++
	left := max(0, MaxConfirmFailures-a.Failed)
	if left == 0 {
		s.Authenticators = without(s.Authenticators, Authenticator.Pending)
	}
	return s, Authenticator{}, wrongCode(left)
}

func wrongCode(left int) *problem.Error {
	return &problem.Error{Kind: problem.WrongCode, Detail: "The code is not right.", ChecksLeft: &left}
}

// Check accepts a code of one of the user's confirmed authenticators, and tells
// of which; code is as otp.ReadCode returned it.
//
// Errors are of kind NotFound if the user has none, WrongCode, and TooManyChecks
// once MaxFailuresPerDay wrong codes came within window.Day: then not even a right
// one is accepted. A code that was accepted before is a wrong one, in the answer
// and in the count: who watched it being typed shall not learn that it was right.
func Check(old State, code string, now time.Time) (State, Authenticator, error) {
	s := old.Settle(now)
	if !slices.ContainsFunc(s.Authenticators, func(a Authenticator) bool { return !a.Pending() }) {
		return s, Authenticator{}, &problem.Error{Kind: problem.NotFound, Detail: "This user has no confirmed authenticator app."}
	}
	if n := len(s.Failures); n >= MaxFailuresPerDay {
		none := 0
		return s, Authenticator{}, &problem.Error{
			Kind: problem.TooManyChecks, ChecksLeft: &none,
			RetryAfter: s.Failures[n-MaxFailuresPerDay].Add(window.Day).Sub(now),
			Detail:     "Too many wrong codes of this user's authenticator apps within 24 hours.",
		}
	}
	found := -1
	for i := range s.Authenticators { // all of them, whichever is right
		a := &s.Authenticators[i]
		if a.Pending() {
			continue
		}
		// Should two share the code by chance, it is spent for both.
		if step := a.match(code, now); step > 0 {
			a.Step = step
			if found < 0 {
				found = i
			}
		}
	}
	if found < 0 {
		s.Failures = window.Record(s.Failures, now)
		return s, Authenticator{}, wrongCode(MaxFailuresPerDay - len(s.Failures))
	}
	s.Authenticators[found].UsedAt = window.Stamp(now)
	return s, s.Authenticators[found], nil
}

// Rename gives the authenticator of that id another name. Errors are of kind
// InvalidRequest and NotFound.
func Rename(old State, id, name string, now time.Time) (State, Authenticator, error) {
	s := old.Settle(now)
	i := s.find(id)
	if i < 0 {
		return s, Authenticator{}, errNoSuch()
	}
	faults := new(problem.Faults)
	name = CheckName(name, faults)
	for j, other := range s.Authenticators {
		if j != i && strings.EqualFold(name, other.Name) {
			faults.Add("name", nameTaken)
		}
	}
	if err := faults.Err(); err != nil {
		return s, Authenticator{}, err
	}
	s.Authenticators[i].Name = name
	return s, s.Authenticators[i], nil
}

// Remove takes away the authenticator of that id, confirmed or pending, and
// returns it as it was. The error is of kind NotFound.
func Remove(old State, id string, now time.Time) (State, Authenticator, error) {
	s := old.Settle(now)
	i := s.find(id)
	if i < 0 {
		return s, Authenticator{}, errNoSuch()
	}
	removed := s.Authenticators[i]
	s.Authenticators = without(s.Authenticators, func(a Authenticator) bool { return a.ID == id })
	return s, removed, nil
}

// RemoveAll takes away all authenticators. The failures stay: enrolling anew
// gives nobody new tries.
func RemoveAll(old State, now time.Time) State {
	s := old.Settle(now)
	s.Authenticators = nil
	return s
}

func errNoSuch() *problem.Error {
	return &problem.Error{Kind: problem.NotFound, Detail: "This user has no authenticator app of that id. A pending one is forgotten after 15 minutes."}
}
