package totp_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/totp"
	"twofa/internal/window"
)

func TestR9_SecretsOf160BitsAndNeverUnder128(t *testing.T) {
	if totp.SecretBytes*8 != 160 {
		t.Errorf("our secrets have %d bits", totp.SecretBytes*8)
	}
	for n := range totp.MaxSecret + 5 {
		a := phone
		a.Secret = make([]byte, n)
		_, err := totp.Enroll(totp.State{}, a, fixture.Noon)
		if ok := n*8 >= 128 && n <= totp.MaxSecret; (err == nil) != ok {
			t.Errorf("%d bytes: %s", n, describe(err))
		}
		if err != nil && !slices.Equal(fixture.FieldNames(err), []string{"secret"}) {
			t.Errorf("%d bytes: %s", n, describe(err))
		}
	}
}

// The edges are exact to the nanosecond.
func TestR9_WindowIsOneStepEachWay(t *testing.T) {
	for _, period := range []int{30, 60} {
		a := phone
		a.Period = period
		p := time.Duration(period) * time.Second
		c := stepOf(a, fixture.Noon)
		begin := time.Unix(c*int64(period), 0)
		for _, at := range []struct {
			offset time.Duration
			want   problem.Kind
		}{
			{-p - 1, problem.WrongCode}, {-p, ""}, {-1, ""}, {0, ""}, {p - 1, ""}, {p, ""}, {2*p - 1, ""}, {2 * p, problem.WrongCode},
		} {
			now := begin.Add(at.offset)
			s := check(t, confirmed(t, fixture.Noon, a), code(a, c), now, at.want)
			if want := map[problem.Kind]int64{"": c, problem.WrongCode: 0}[at.want]; s.Authenticators[0].Step != want {
				t.Errorf("%v: step %d, want %d", at.offset, s.Authenticators[0].Step, want)
			}
		}
	}
}

func TestR9_AStepIsAcceptedOnce(t *testing.T) {
	s := confirmed(t, fixture.Noon, phone)
	c := codeFor(phone, fixture.Noon)
	s = check(t, s, c, fixture.Noon, "")
	for _, later := range []time.Duration{0, 1, step, 2*step - 1, -step} {
		s = check(t, s, c, fixture.Noon.Add(later), problem.WrongCode)
	}
	if len(s.Failures) != 5 {
		t.Errorf("%d failures are counted, want 5", len(s.Failures))
	}
	check(t, s, codeFor(phone, fixture.Noon.Add(step)), fixture.Noon, "") // the next step's code is accepted
}

func TestR9_NoOlderStepAfterANewerOne(t *testing.T) {
	s := confirmed(t, fixture.Noon, phone)
	s = check(t, s, codeFor(phone, fixture.Noon.Add(step)), fixture.Noon, "")
	s = check(t, s, codeFor(phone, fixture.Noon), fixture.Noon, problem.WrongCode)
	check(t, s, codeFor(phone, fixture.Noon.Add(-step)), fixture.Noon, problem.WrongCode)
}

// Not even a clock that goes back, or a wrong clock in between.
func TestR9_NoClockMakesAStepNewAgain(t *testing.T) {
	s := confirmed(t, fixture.Noon, phone)
	ahead := fixture.Noon.Add(365 * window.Day)
	s = check(t, s, codeFor(phone, ahead), ahead, "")
	s = s.Settle(fixture.Noon) // the clock is right again
	s = check(t, s, codeFor(phone, fixture.Noon), fixture.Noon, problem.WrongCode)
	check(t, s, codeFor(phone, ahead), ahead, problem.WrongCode)
}

func TestAttack19_SameStepTwice(t *testing.T) {
	s, _, err := totp.Confirm(enroll(t, totp.State{}, phone, fixture.Noon), codeFor(phone, fixture.Noon), fixture.Noon)
	if err != nil {
		t.Fatal(describe(err))
	}
	s = check(t, s, codeFor(phone, fixture.Noon), fixture.Noon, problem.WrongCode) // the code that confirmed
	s = check(t, s, codeFor(phone, fixture.Noon.Add(step)), fixture.Noon.Add(step), "")
	check(t, s, codeFor(phone, fixture.Noon.Add(step)), fixture.Noon.Add(step), problem.WrongCode)
}

func TestAttack19_OlderStepAfterNewer(t *testing.T) {
	now := fixture.Noon
	s := confirmed(t, fixture.Noon, phone)
	var shown []string
	for range 5 {
		shown = append(shown, codeFor(phone, now))
		s = check(t, s, codeFor(phone, now), now, "")
		now = now.Add(step)
	}
	for _, c := range shown {
		s = check(t, s, c, now, problem.WrongCode)
	}
}

// Both read the same state. The slower one's write fails, and it decides again on
// the state that the faster one wrote.
func TestAttack19_TwoProcessesAtOnce(t *testing.T) {
	read := confirmed(t, fixture.Noon, phone)
	c := codeFor(phone, fixture.Noon)
	faster := check(t, read, c, fixture.Noon, "")
	check(t, read, c, fixture.Noon, "") // decided, but not written
	check(t, faster, c, fixture.Noon, problem.WrongCode)
}

// The code of the last accepted step is counted as a wrong one. The answer says that it
// was used, and when the app shows the next one.
func TestAttack19_AReplayIsCountedAsAWrongCode(t *testing.T) {
	const used = "This code was used before, and a code works once. The app shows the next one "
	for name, tc := range map[string]struct {
		accepted, typed, at time.Duration // the steps' begin and the time of the replay, after noon
		wait                time.Duration
		detail              string
	}{
		"at once":                       {0, 0, 0, 30 * time.Second, used + "in 30 seconds."},
		"within the step":               {0, 0, 12500 * time.Millisecond, 17500 * time.Millisecond, used + "in 18 seconds."},
		"in the last moment":            {0, 0, step - 1, 1, used + "in 1 second."},
		"when the next one has begun":   {0, 0, step, 0, used + "now."},
		"an app that is ahead":          {step, step, 0, 2 * step, used + "in 60 seconds."},
		"an app that is behind":         {-step, -step, 0, 0, used + "now."},
		"outside of the window":         {0, 0, 2 * step, 0, "The code is not right."},
		"an older one":                  {0, -step, 0, 0, "The code is not right."},
		"an older one that was skipped": {step, 0, step, 0, "The code is not right."},
	} {
		c := codeFor(phone, fixture.Noon.Add(tc.accepted))
		s := check(t, confirmed(t, fixture.Noon, phone), c, fixture.Noon, "")
		_, confirming, err := totp.Confirm(enroll(t, totp.State{}, phone, fixture.Noon), c, fixture.Noon)
		if err != nil || confirming.Step != s.Authenticators[0].Step {
			t.Fatalf("%s: %v", name, err)
		}
		now := fixture.Noon.Add(tc.at)
		next, _, err := totp.Check(s, codeFor(phone, fixture.Noon.Add(tc.typed)), now)
		e := fixture.Problem(t, err, problem.WrongCode)
		if e.Detail != tc.detail || e.RetryAfter != tc.wait || *e.ChecksLeft != 9 || len(next.Failures) != 1 {
			t.Errorf("%s: %+v, %d left; want %v, %q", name, e, *e.ChecksLeft, tc.wait, tc.detail)
		}
	}
}

// An app that was removed and enrolled again: its used code confirms nothing, and the
// answer says so.
func TestAttack19_AReplayConfirmsNothing(t *testing.T) {
	s := check(t, confirmed(t, fixture.Noon, phone), codeFor(phone, fixture.Noon), fixture.Noon, "")
	s = enroll(t, totp.RemoveAll(s, fixture.Noon), phone, fixture.Noon)
	next, _, err := totp.Confirm(s, codeFor(phone, fixture.Noon), fixture.Noon)
	if e := fixture.Problem(t, err, problem.WrongCode); e.RetryAfter != step || !strings.Contains(e.Detail, "in 30 seconds") || *e.ChecksLeft != 9 || !next.Authenticators[0].Pending() {
		t.Errorf("%+v", e)
	}
}

// What cannot be a code of an app spends no try, at the check and at the confirmation.
func TestR6_WhatCannotBeACodeIsNotCounted(t *testing.T) {
	good := codeFor(phone, fixture.Noon)
	checked, confirming := confirmed(t, fixture.Noon, phone), enroll(t, totp.State{}, phone, fixture.Noon)
	for _, text := range []string{"", "!", good[:1], good[:5], good + "0", "0" + good, "ABCDEF", good[:5] + "O", "12345678", "1234.56", "123456 or, 654321", "+" + good, strings.Repeat("1", 5000)} {
		next, _, err := totp.Check(checked, text, fixture.Noon)
		if fixture.Problem(t, err, problem.InvalidRequest); !reflect.DeepEqual(next, checked) {
			t.Errorf("check of %q: %v, and the state has changed", text, err)
		}
		next, _, err = totp.Confirm(confirming, text, fixture.Noon)
		if fixture.Problem(t, err, problem.InvalidRequest); !reflect.DeepEqual(next, confirming) {
			t.Errorf("confirmation of %q: %v, and the state has changed", text, err)
		}
	}
	for _, text := range []string{"Acme: " + good, good[:3] + " " + good[3:], "“" + good + "”.", "Code\u00a0" + good + "\n30 s", "\u200e" + good} {
		check(t, checked, text, fixture.Noon, "")
		if _, _, err := totp.Confirm(confirming, text, fixture.Noon); err != nil {
			t.Errorf("confirmation of %q: %v", text, err)
		}
	}
}

// After the last wrong code, and from then on, the answer says until when none is
// checked.
func TestCheck_SaysHowLongNothingHelps(t *testing.T) {
	s, now := confirmed(t, fixture.Noon, phone), fixture.Noon
	for range totp.MaxFailuresPerDay - 1 {
		s = check(t, s, "000000", now, problem.WrongCode)
		now = now.Add(time.Minute)
	}
	s, _, last := totp.Check(s, "000000", now)
	_, _, locked := totp.Check(s, codeFor(phone, now), now)
	for err, kind := range map[error]problem.Kind{last: problem.WrongCode, locked: problem.TooManyChecks} {
		if e := fixture.Problem(t, err, kind); e.RetryAfter != window.Day-9*time.Minute || !strings.Contains(e.Detail, "until 2026-03-02T12:00:00Z") {
			t.Errorf("%+v", e)
		}
	}
}

// No check accepts a code of a pending authenticator.
func TestAttack19_PendingAcceptsNothing(t *testing.T) {
	check(t, enroll(t, totp.State{}, phone, fixture.Noon), codeFor(phone, fixture.Noon), fixture.Noon, problem.NotFound)
	s := enroll(t, confirmed(t, fixture.Noon, phone), tablet, fixture.Noon)
	s = check(t, s, codeFor(tablet, fixture.Noon), fixture.Noon, problem.WrongCode)
	check(t, s, codeFor(phone, fixture.Noon), fixture.Noon, "")
}

// These steps of a window have the same code by chance. It is used up for both.
func TestCheck_ACodeOfTwoStepsIsUsedUpForBoth(t *testing.T) {
	a := phone
	a.Secret = []byte(rfcSecret[:20])
	for _, twins := range []struct{ first, last int64 }{{59061240, 59061241}, {61331809, 61331811}} {
		c := code(a, twins.first)
		if c != code(a, twins.last) {
			t.Fatal("the codes differ")
		}
		for current := twins.last - 1; current <= twins.first+1; current++ {
			now := time.Unix(current*30, 0)
			s := check(t, confirmed(t, now, a), c, now, "")
			if s.Authenticators[0].Step != twins.last {
				t.Errorf("the last step is %d, want %d", s.Authenticators[0].Step, twins.last)
			}
			for i := range 3 {
				check(t, s, c, now.Add(time.Duration(i)*step), problem.WrongCode)
			}
		}
	}
}

// Two authenticators may have the same code by chance; here they have the same
// secret. The code is used up for both, and Check returns the older one.
func TestCheck_ACodeOfTwoAuthenticatorsIsUsedUpForBoth(t *testing.T) {
	s := confirmed(t, fixture.Noon, phone, tablet)
	s.Authenticators[1].Secret = s.Authenticators[0].Secret
	next, a, err := totp.Check(s, codeFor(phone, fixture.Noon), fixture.Noon)
	if err != nil || a.ID != phone.ID {
		t.Fatalf("%q, %s", a.ID, describe(err))
	}
	if next.Authenticators[1].Step != stepOf(phone, fixture.Noon) || !next.Authenticators[1].UsedAt.IsZero() {
		t.Errorf("%+v", next.Authenticators[1])
	}
	check(t, next, codeFor(phone, fixture.Noon), fixture.Noon, problem.WrongCode)
}

// An authenticator that is not valid accepts nothing.
func TestCheck_ABrokenAuthenticatorAcceptsNothing(t *testing.T) {
	for name, spoil := range map[string]func(a *totp.Authenticator){
		"no period":         func(a *totp.Authenticator) { a.Period = 0 },
		"no digits":         func(a *totp.Authenticator) { a.Digits = 0 },
		"unknown algorithm": func(a *totp.Authenticator) { a.Algorithm = "MD5" },
		"no secret":         func(a *totp.Authenticator) { a.Secret = nil },
		"negative step":     func(a *totp.Authenticator) { a.Step = -1 },
	} {
		s := confirmed(t, fixture.Noon, phone)
		spoil(&s.Authenticators[0])
		for _, c := range []string{"", "0", codeFor(phone, fixture.Noon), code(totp.Authenticator{}, stepOf(phone, fixture.Noon))} {
			want := problem.WrongCode
			if len(c) != s.Authenticators[0].Digits && s.Authenticators[0].Digits != 0 {
				want = problem.InvalidRequest
			}
			if _, _, err := totp.Check(s, c, fixture.Noon); kind(err) != want {
				t.Errorf("%s: %q: %s", name, c, describe(err))
			}
		}
	}
}

// Before 1970 there are no steps.
func TestCheck_NothingBeforeTheFirstStep(t *testing.T) {
	s := confirmed(t, fixture.Noon, phone)
	for _, now := range []time.Time{{}, time.Unix(-1, 0), time.Unix(-30, 0)} {
		for c := int64(-3); c <= 3; c++ {
			check(t, s, code(phone, c), now, problem.WrongCode)
		}
	}
	check(t, s, code(phone, 0), time.Unix(0, 0), problem.WrongCode) // step 0 means none
	check(t, s, code(phone, 1), time.Unix(0, 0), "")
}

func TestCheck_OnlyTheCodesOfTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyAuthenticator().Draw(t, "authenticator")
		now := fixture.Noon.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "after fixture.Noon")))
		offset := rapid.Int64Range(-4, 4).Draw(t, "steps")
		c := code(a, stepOf(a, now)+offset)
		want := problem.WrongCode
		for w := int64(-1); w <= 1; w++ { // another step may have the same code by chance
			if c == code(a, stepOf(a, now)+w) {
				want = ""
			}
		}
		s := confirmed(t, now, a)
		check(t, s, c, now, want)
		check(t, s, c[1:], now, problem.InvalidRequest)
		check(t, s, c+"0", now, problem.InvalidRequest)
		check(t, s, " "+c, now, want)
	})
}
