package totp_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/totp"
	"twofa/internal/window"
)

// R9. An app that comes back with its secret accepts no code that was used before it
// was removed, in whatever way it was removed and comes back.
func TestR9_ASecretThatComesBackKeepsItsLastStep(t *testing.T) {
	remove := map[string]func(totp.State) totp.State{
		"removed": func(s totp.State) totp.State {
			s, _, err := totp.Remove(s, phone.ID, fixture.Noon)
			if err != nil {
				t.Fatal(describe(err))
			}
			return s
		},
		"all removed":       func(s totp.State) totp.State { return totp.RemoveAll(s, fixture.Noon) },
		"the user erased":   func(s totp.State) totp.State { return s.Forgotten(fixture.Noon) },
		"erased twice":      func(s totp.State) totp.State { return s.Forgotten(fixture.Noon).Forgotten(fixture.Noon) },
		"removed a day ago": func(s totp.State) totp.State { return totp.RemoveAll(s, fixture.Noon.Add(-window.Day+time.Minute)) },
	}
	padded := phone
	padded.Secret = append(bytes.Clone(phone.Secret), 0, 0) // makes the same codes
	for how, gone := range remove {
		for what, back := range map[string]totp.Authenticator{"the same": phone, "another id and name": {ID: id(9), Name: "New", Secret: phone.Secret}, "padded": padded} {
			used := codeFor(phone, fixture.Noon)
			s := gone(check(t, confirmed(t, fixture.Noon, phone, tablet), used, fixture.Noon, ""))
			if len(s.Spent) != 1 {
				t.Fatalf("%s: %+v", how, s.Spent)
			}

			pending := enroll(t, s, back, fixture.Noon)
			_, _, err := totp.Confirm(pending, used, fixture.Noon)
			if got := kind(err); got != problem.WrongCode {
				t.Errorf("%s, %s: confirmed by a used code: %v", how, what, got)
			}
			if _, _, err := totp.Confirm(pending, codeFor(phone, fixture.Noon.Add(step)), fixture.Noon); err != nil {
				t.Errorf("%s, %s: the next code: %s", how, what, describe(err))
			}
			back.Step = 0
			imported, err := totp.Import(s, back, fixture.Noon)
			if err != nil {
				t.Fatal(describe(err))
			}
			check(t, imported, used, fixture.Noon, problem.WrongCode)
		}
	}
}

func TestSpent_IsOfOneSecretAndPeriodAndForADay(t *testing.T) {
	s := check(t, confirmed(t, fixture.Noon, phone), codeFor(phone, fixture.Noon), fixture.Noon, "")
	s = totp.RemoveAll(s, fixture.Noon)
	slower := phone
	slower.Period = 60
	for what, back := range map[string]totp.Authenticator{"another secret": tablet, "another period": slower} {
		if got := enroll(t, s, back, fixture.Noon); got.Authenticators[0].Step != 0 {
			t.Errorf("%s: step %d", what, got.Authenticators[0].Step)
		}
	}
	if got := s.Settle(fixture.Noon.Add(window.Day - 1)); !reflect.DeepEqual(got, s) {
		t.Errorf("within a day: %+v", got)
	}
	if until := s.KeepUntil(); !until.Equal(fixture.Noon.Add(window.Day)) {
		t.Errorf("kept until %v", until)
	}
	if got := s.Settle(fixture.Noon.Add(window.Day)); !reflect.DeepEqual(got, totp.State{}) {
		t.Errorf("after a day: %+v", got)
	}
	ahead := totp.RemoveAll(check(t, confirmed(t, fixture.Noon, phone), codeFor(phone, fixture.Noon), fixture.Noon, ""), fixture.Noon.AddDate(1, 0, 0))
	if got := ahead.Settle(fixture.Noon).Spent[0].At; !got.Equal(window.Latest(fixture.Noon)) {
		t.Errorf("of a wrong clock: %v", got)
	}
	// An app that was never used leaves nothing.
	if got := totp.RemoveAll(confirmed(t, fixture.Noon, phone), fixture.Noon); got.Spent != nil {
		t.Errorf("%+v", got)
	}
}

// The list is bounded, and the newest steps stay.
func TestSpent_IsBounded(t *testing.T) {
	var s totp.State
	for i := range totp.MaxSpent + 10 {
		a := phone
		a.Secret, a.Step = secret(byte(i)), int64(i+1)
		var err error
		if s, err = totp.Import(s, a, fixture.Noon); err != nil {
			t.Fatal(describe(err))
		}
		s = totp.RemoveAll(s, fixture.Noon)
	}
	if n := len(s.Spent); n != totp.MaxSpent || s.Spent[n-1].Step != totp.MaxSpent+10 || !s.Valid() {
		t.Errorf("%d steps, the last is %d", n, s.Spent[n-1].Step)
	}
}
