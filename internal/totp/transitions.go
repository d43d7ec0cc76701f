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

// Settle returns the state as of now. It drops a pending authenticator whose time
// is over, so that a clock that goes back cannot revive it. It also drops failures
// that no limit counts any more.
//
// A time after [window.Latest] was written by a wrong clock. Settle moves a failure
// back to Latest, so that it ends in time. It drops a pending authenticator from
// then, whose end would be wrong, too. The last step always stays: no step must be
// accepted twice, and nobody can make a code of a step far ahead without the app.
func (s State) Settle(now time.Time) State {
	latest := window.Latest(now)
	s.Authenticators = without(s.Authenticators, func(a Authenticator) bool {
		return a.Pending() && (!now.Before(a.CreatedAt.Add(PendingFor)) || a.CreatedAt.After(latest))
	})
	if s.Failures = window.Settle(slices.Clone(s.Failures), now); len(s.Failures) == 0 {
		s.Failures = nil // as read from a row
	}
	var spent []Spent
	for _, p := range s.Spent {
		if p.At = window.Earlier(p.At, latest); now.Sub(p.At) < window.Day {
			spent = append(spent, p)
		}
	}
	s.Spent = spent
	return s
}

// spend returns s, which has to be settled, after the removal of an authenticator:
// it remembers the last step.
func (s State) spend(a Authenticator, now time.Time) State {
	if a.Step <= 0 {
		return s
	}
	s.Spent = append(slices.Clone(s.Spent), Spent{Secret: fingerprint(a.Secret), Period: a.Period, Step: a.Step, At: window.Stamp(now)})
	s.Spent = s.Spent[max(0, len(s.Spent)-MaxSpent):]
	return s
}

// lastStep returns the last step that was accepted of a secret whose authenticators
// were removed, 0 if none is remembered.
func (s State) lastStep(a Authenticator) (step int64) {
	secret := fingerprint(a.Secret)
	for _, p := range s.Spent {
		if p.Secret == secret && p.Period == a.Period {
			step = max(step, p.Step)
		}
	}
	return step
}

// WasRemoved reports whether an authenticator with this secret, of which a code was accepted,
// was removed within window.Day.
func (s State) WasRemoved(a Authenticator) bool { return s.lastStep(a) > 0 }

// Forgotten returns what is kept for window.Day after the user was erased: the
// failures, and the last steps without their secrets. Registering the user again
// resets neither.
func (s State) Forgotten(now time.Time) State { return RemoveAll(s, now) }

// KeepUntil is from when on no failure and no last step of a removed authenticator
// is needed, zero if there are none.
func (s State) KeepUntil() (until time.Time) {
	for _, t := range s.Failures {
		until = window.Later(until, t.Add(window.Day))
	}
	for _, p := range s.Spent {
		until = window.Later(until, p.At.Add(window.Day))
	}
	return until
}

// without returns a new list. It is nil if it is empty, as read from a row.
func without(list []Authenticator, drop func(Authenticator) bool) []Authenticator {
	var kept []Authenticator
	for _, a := range list {
		if !drop(a) {
			kept = append(kept, a)
		}
	}
	return kept
}

// Enroll adds a pending authenticator, which Confirm has to prove. It replaces an
// earlier pending one, because the person started again. Enroll uses the id, name,
// secret and options of a. If an authenticator with this secret was removed within
// window.Day, its last step holds for the new one. Errors are of kind InvalidRequest, or Internal for a bad
// id; then the earlier one stays.
func Enroll(old State, a Authenticator, now time.Time) (State, error) {
	s := old.Settle(now)
	confirmed := State{Authenticators: without(s.Authenticators, Authenticator.Pending), Failures: s.Failures, Spent: s.Spent}
	a.Step, a.Failed = 0, 0
	a.CreatedAt, a.ConfirmedAt, a.UsedAt = window.Stamp(now), time.Time{}, time.Time{}
	if err := confirmed.add(a); err != nil {
		return s, err
	}
	return confirmed, nil
}

// Import adds an authenticator that another system has confirmed, without a code.
// It uses the id, name, secret, options and last step of a. Errors are those of
// Enroll.
func Import(old State, a Authenticator, now time.Time) (State, error) {
	s := old.Settle(now)
	a.Failed = 0
	a.CreatedAt, a.ConfirmedAt, a.UsedAt = window.Stamp(now), window.Stamp(now), time.Time{}
	if err := s.add(a); err != nil {
		return s, err
	}
	return s, nil
}

// errID: the caller's id is not valid, or is in use.
var errID = errors.New("totp: the id is not new")

// add appends a to s, which must be the caller's own, or returns the reason why it
// cannot.
//
// No two authenticators of a user may have the same secret: each has its own last
// step, so both would accept the same code.
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
		if SameSecret(a.Secret, b.Secret) {
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
	a.Step = max(a.Step, s.lastStep(a))
	s.Authenticators = append(s.Authenticators, a)
	return nil
}

const nameTaken = "Another authenticator app of this user has this name."

// Confirmed returns the authenticators that are not pending.
func (s State) Confirmed() []Authenticator { return without(s.Authenticators, Authenticator.Pending) }

// DefaultName is for an authenticator that nobody has named.
const DefaultName = "Authenticator"

// FreeName returns a name that no authenticator of the list has: the wanted one, or with a
// number from 2 on.
func FreeName(list []Authenticator, wanted string) string {
	name := wanted
	for n := 2; slices.ContainsFunc(list, func(a Authenticator) bool { return strings.EqualFold(a.Name, name) }); n++ {
		name = fmt.Sprintf("%.*s %d", MaxName-3, wanted, n)
	}
	return name
}

func (s State) find(id string) int {
	return slices.IndexFunc(s.Authenticators, func(a Authenticator) bool { return a.ID == id })
}

// Confirm confirms the pending authenticator by its first code, in a text as
// otp.ReadTyped reads it. Check does not accept that code again.
//
// Errors are of kind NotFound if none is pending, WrongCode, and InvalidRequest for a
// text that cannot be a code of this authenticator: that one is not counted, and the
// state need not be kept. Wrong code number MaxConfirmFailures removes the
// authenticator. Check does not count these wrong codes: whoever enrolls knows the
// secret and has nothing to guess.
func Confirm(old State, text string, now time.Time) (State, Authenticator, error) {
	s := old.Settle(now)
	i := slices.IndexFunc(s.Authenticators, Authenticator.Pending)
	if i < 0 {
		return s, Authenticator{}, &problem.Error{
			Kind: problem.NotFound, Detail: "No authenticator app is pending. Its 15 minutes or its 10 tries may be over, or it may be confirmed already. If it is not confirmed, enroll it again.",
		}
	}
	a := &s.Authenticators[i]
	code, malformed := readCode(text, s.Authenticators[i:i+1])
	if malformed != nil {
		return s, Authenticator{}, malformed
	}
	step, used := a.match(code, now)
	if step > 0 {
		a.Step, a.Failed, a.ConfirmedAt = step, 0, window.Stamp(now)
		return s, *a, nil
	}
	a.Failed++
	left := max(0, MaxConfirmFailures-a.Failed)
	err := wrongCode(left, used, a.next(now))
	if left == 0 {
		s.Authenticators = without(s.Authenticators, Authenticator.Pending)
	}
	return s, Authenticator{}, err
}

// ErrUsed is in the error of kind WrongCode for the code of the last accepted step.
var ErrUsed = errors.New("totp: the code was used before")

// wrongCode is the error of a wrong code. used says that it is the code of the last step
// that was accepted, and next is how long it takes until the next step begins.
func wrongCode(left int, used bool, next time.Duration) *problem.Error {
	err := &problem.Error{Kind: problem.WrongCode, Detail: "The code is not right.", ChecksLeft: &left}
	if used {
		err.Err = ErrUsed
	}
	switch {
	case used && next > 0:
		err.RetryAfter = next
		seconds := int64((next + time.Second - 1) / time.Second)
		unit := "seconds"
		if seconds == 1 {
			unit = "second"
		}
		err.Detail = fmt.Sprintf("This code was used before, and a code works once. The app shows the next one in %d %s.", seconds, unit)
	case used:
		err.Detail = "This code was used before, and a code works once. The app shows the next one now."
	}
	return err
}

// Check accepts a code of a confirmed authenticator, in a text as otp.ReadTyped reads
// it, and returns that authenticator.
//
// Errors are of kind NotFound if the user has no confirmed authenticator,
// WrongCode, and TooManyChecks after MaxFailuresPerDay wrong codes within
// window.Day: then even a right code is refused. A text that cannot be a code of any
// confirmed authenticator is an InvalidRequest: it is not counted, and the state need not
// be kept.
//
// The code of the last step that was accepted is counted as a wrong one, and the error
// says that it was used. That helps nobody who watched the person type it: no code of
// this step or an earlier one is accepted any more.
func Check(old State, text string, now time.Time) (State, Authenticator, error) {
	s := old.Settle(now)
	if !slices.ContainsFunc(s.Authenticators, func(a Authenticator) bool { return !a.Pending() }) {
		return s, Authenticator{}, &problem.Error{Kind: problem.NotFound, Detail: "This user has no confirmed authenticator app."}
	}
	if n := len(s.Failures); n >= MaxFailuresPerDay {
		none, wait := 0, s.Failures[n-MaxFailuresPerDay].Add(window.Day).Sub(now)
		return s, Authenticator{}, &problem.Error{
			Kind: problem.TooManyChecks, ChecksLeft: &none, RetryAfter: wait,
			Detail: "There were too many wrong codes of this user's authenticator apps within 24 hours. " + locked(wait, now),
		}
	}
	code, malformed := readCode(text, s.Confirmed())
	if malformed != nil {
		return s, Authenticator{}, malformed
	}
	found := -1
	var used bool
	var next time.Duration
	for i := range s.Authenticators { // always all of them: see match
		a := &s.Authenticators[i]
		if a.Pending() {
			continue
		}
		// If two have the same code by chance, it is used up for both.
		step, again := a.match(code, now)
		if again && !used {
			used, next = true, a.next(now)
		}
		if step > 0 {
			a.Step = step
			if found < 0 {
				found = i
			}
		}
	}
	if found < 0 {
		s.Failures = window.Record(s.Failures, now)
		left := MaxFailuresPerDay - len(s.Failures)
		err := wrongCode(left, used, next)
		if left == 0 { // no next code helps
			err.RetryAfter = s.Failures[0].Add(window.Day).Sub(now)
			err.Err = nil
			err.Detail = "The code is not right. It was the last try of this user's authenticator apps. " + locked(err.RetryAfter, now)
		}
		return s, Authenticator{}, err
	}
	s.Authenticators[found].UsedAt = window.Stamp(now)
	return s, s.Authenticators[found], nil
}

// locked says until when no code is checked, in whole seconds, rounded up.
func locked(wait time.Duration, now time.Time) string {
	return "None is checked until " + now.Add(wait+time.Second-1).UTC().Truncate(time.Second).Format(time.RFC3339) + "."
}

// GiveBack takes back a wrong code that Check counted at that time: it was the code of
// another factor.
func GiveBack(old State, counted, now time.Time) State {
	s := old.Settle(now)
	if i := slices.IndexFunc(s.Failures, counted.Equal); i >= 0 {
		s.Failures = slices.Delete(s.Failures, i, i+1)
	}
	if len(s.Failures) == 0 {
		s.Failures = nil // as read from a row
	}
	return s
}

// Rename gives the authenticator with that id another name. Errors are of kind
// InvalidRequest and NotFound.
func Rename(old State, id, name string, now time.Time) (State, Authenticator, error) {
	s := old.Settle(now)
	i := s.find(id)
	if i < 0 {
		return s, Authenticator{}, errUnknownID()
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

// Remove removes the authenticator with that id, confirmed or pending, and returns
// it. The error is of kind NotFound.
func Remove(old State, id string, now time.Time) (State, Authenticator, error) {
	s := old.Settle(now)
	i := s.find(id)
	if i < 0 {
		return s, Authenticator{}, errUnknownID()
	}
	removed := s.Authenticators[i]
	s.Authenticators = without(s.Authenticators, func(a Authenticator) bool { return a.ID == id })
	return s.spend(removed, now), removed, nil
}

// RemoveAll removes all authenticators. The failures and the last steps stay, so
// that a new enrolment gives nobody more tries, and no code works twice.
func RemoveAll(old State, now time.Time) State {
	s := old.Settle(now)
	for _, a := range s.Authenticators {
		s = s.spend(a, now)
	}
	s.Authenticators = nil
	return s
}

func errUnknownID() *problem.Error {
	return &problem.Error{Kind: problem.NotFound, Detail: "This user has no authenticator app with that id. A pending one is forgotten after 15 minutes."}
}
