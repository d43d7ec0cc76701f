package totp_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/problem"
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
		_, err := totp.Enroll(totp.State{}, a, noon)
		if ok := n*8 >= 128 && n <= totp.MaxSecret; (err == nil) != ok {
			t.Errorf("%d bytes: %s", n, describe(err))
		}
		if err != nil && !slices.Equal(fieldsOf(err), []string{"secret"}) {
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
		c := stepOf(a, noon)
		begin := time.Unix(c*int64(period), 0)
		for _, at := range []struct {
			offset time.Duration
			want   problem.Kind
		}{
			{-p - 1, problem.WrongCode}, {-p, ""}, {-1, ""}, {0, ""}, {p - 1, ""}, {p, ""}, {2*p - 1, ""}, {2 * p, problem.WrongCode},
		} {
			now := begin.Add(at.offset)
			s := check(t, confirmed(t, noon, a), code(a, c), now, at.want)
			if want := map[problem.Kind]int64{"": c, problem.WrongCode: 0}[at.want]; s.Authenticators[0].Step != want {
				t.Errorf("%v: step %d, want %d", at.offset, s.Authenticators[0].Step, want)
			}
		}
	}
}

func TestR9_AStepIsAcceptedOnce(t *testing.T) {
	s := confirmed(t, noon, phone)
	c := codeFor(phone, noon)
	s = check(t, s, c, noon, "")
	for _, later := range []time.Duration{0, 1, step, 2*step - 1, -step} {
		s = check(t, s, c, noon.Add(later), problem.WrongCode)
	}
	if len(s.Failures) != 5 {
		t.Errorf("%d failures are counted, want 5", len(s.Failures))
	}
	check(t, s, codeFor(phone, noon.Add(step)), noon, "") // the next one is as good as ever
}

func TestR9_NoOlderStepAfterANewerOne(t *testing.T) {
	s := confirmed(t, noon, phone)
	s = check(t, s, codeFor(phone, noon.Add(step)), noon, "")
	s = check(t, s, codeFor(phone, noon), noon, problem.WrongCode)
	check(t, s, codeFor(phone, noon.Add(-step)), noon, problem.WrongCode)
}

// Not even by a clock that steps back, or a wrong one in between.
func TestR9_NoClockMakesAStepNewAgain(t *testing.T) {
	s := confirmed(t, noon, phone)
	ahead := noon.Add(365 * window.Day)
	s = check(t, s, codeFor(phone, ahead), ahead, "")
	s = s.Settle(noon) // the clock is right again
	s = check(t, s, codeFor(phone, noon), noon, problem.WrongCode)
	check(t, s, codeFor(phone, ahead), ahead, problem.WrongCode)
}

func TestAttack19_SameStepTwice(t *testing.T) {
	s, _, err := totp.Confirm(enroll(t, totp.State{}, phone, noon), codeFor(phone, noon), noon)
	if err != nil {
		t.Fatal(describe(err))
	}
	s = check(t, s, codeFor(phone, noon), noon, problem.WrongCode) // the one that confirmed
	s = check(t, s, codeFor(phone, noon.Add(step)), noon.Add(step), "")
	check(t, s, codeFor(phone, noon.Add(step)), noon.Add(step), problem.WrongCode)
}

func TestAttack19_OlderStepAfterNewer(t *testing.T) {
	now := noon
	s := confirmed(t, noon, phone)
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

// The two read the same state; the slower one's write fails, and it decides
// again on what the faster one wrote.
func TestAttack19_TwoProcessesAtOnce(t *testing.T) {
	read := confirmed(t, noon, phone)
	c := codeFor(phone, noon)
	faster := check(t, read, c, noon, "")
	check(t, read, c, noon, "") // decided, but never written
	check(t, faster, c, noon, problem.WrongCode)
}

// The answer does not tell that the code was right.
func TestAttack19_AReplayIsAnsweredAsAWrongCode(t *testing.T) {
	s := check(t, confirmed(t, noon, phone), codeFor(phone, noon), noon, "")
	_, _, replay := totp.Check(s, codeFor(phone, noon), noon)
	_, _, wrong := totp.Check(s, "000000", noon)
	if describe(replay) != describe(wrong) || *replay.(*problem.Error).ChecksLeft != *wrong.(*problem.Error).ChecksLeft {
		t.Errorf("%s\n%s", describe(replay), describe(wrong))
	}
}

// A pending authenticator's codes open nothing.
func TestAttack19_PendingOpensNothing(t *testing.T) {
	check(t, enroll(t, totp.State{}, phone, noon), codeFor(phone, noon), noon, problem.NotFound)
	tablet := totp.Authenticator{ID: id(2), Name: "Tablet", Secret: secret(2)}
	s := enroll(t, confirmed(t, noon, phone), tablet, noon)
	s = check(t, s, codeFor(tablet, noon), noon, problem.WrongCode)
	check(t, s, codeFor(phone, noon), noon, "")
}

// By chance two steps of a window have the same code. It is spent for both.
func TestCheck_ACodeOfTwoStepsIsSpentForBoth(t *testing.T) {
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
				t.Errorf("spent up to %d, want %d", s.Authenticators[0].Step, twins.last)
			}
			for i := range 3 {
				check(t, s, c, now.Add(time.Duration(i)*step), problem.WrongCode)
			}
		}
	}
}

// By chance two authenticators have the same code, which a pair with one secret
// stands for here. It is spent for both, and the older one is named.
func TestCheck_ACodeOfTwoAuthenticatorsIsSpentForBoth(t *testing.T) {
	s := confirmed(t, noon, phone, totp.Authenticator{ID: id(2), Name: "Twin", Secret: secret(2)})
	s.Authenticators[1].Secret = s.Authenticators[0].Secret
	next, a, err := totp.Check(s, codeFor(phone, noon), noon)
	if err != nil || a.ID != phone.ID {
		t.Fatalf("%q, %s", a.ID, describe(err))
	}
	if next.Authenticators[1].Step != stepOf(phone, noon) || !next.Authenticators[1].UsedAt.IsZero() {
		t.Errorf("%+v", next.Authenticators[1])
	}
	check(t, next, codeFor(phone, noon), noon, problem.WrongCode)
}

// What could not be right, or cannot be computed, accepts nothing.
func TestCheck_ABrokenAuthenticatorAcceptsNothing(t *testing.T) {
	for name, spoil := range map[string]func(a *totp.Authenticator){
		"no period":         func(a *totp.Authenticator) { a.Period = 0 },
		"no digits":         func(a *totp.Authenticator) { a.Digits = 0 },
		"unknown algorithm": func(a *totp.Authenticator) { a.Algorithm = "MD5" },
		"no secret":         func(a *totp.Authenticator) { a.Secret = nil },
		"negative step":     func(a *totp.Authenticator) { a.Step = -1 },
	} {
		s := confirmed(t, noon, phone)
		spoil(&s.Authenticators[0])
		for _, c := range []string{"", "0", codeFor(phone, noon), code(totp.Authenticator{}, stepOf(phone, noon))} {
			if _, _, err := totp.Check(s, c, noon); kind(err) != problem.WrongCode {
				t.Errorf("%s: %q: %s", name, c, describe(err))
			}
		}
	}
}

// Before 1970 there are no steps.
func TestCheck_NothingBeforeTheFirstStep(t *testing.T) {
	s := confirmed(t, noon, phone)
	for _, now := range []time.Time{{}, time.Unix(-1, 0), time.Unix(-30, 0)} {
		for c := int64(-3); c <= 3; c++ {
			check(t, s, code(phone, c), now, problem.WrongCode)
		}
	}
	check(t, s, code(phone, 0), time.Unix(0, 0), problem.WrongCode) // a step of 0 means none
	check(t, s, code(phone, 1), time.Unix(0, 0), "")
}

func TestCheck_OnlyTheCodesOfTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyAuthenticator().Draw(t, "authenticator")
		now := noon.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "after noon")))
		offset := rapid.Int64Range(-4, 4).Draw(t, "steps")
		c := code(a, stepOf(a, now)+offset)
		want := problem.WrongCode
		for w := int64(-1); w <= 1; w++ { // by chance a code is another step's, too
			if c == code(a, stepOf(a, now)+w) {
				want = ""
			}
		}
		s := confirmed(t, now, a)
		check(t, s, c, now, want)
		check(t, s, c[1:], now, problem.WrongCode)
		check(t, s, c+"0", now, problem.WrongCode)
		check(t, s, " "+c, now, problem.WrongCode) // reading leniently is otp.ReadCode's
	})
}
