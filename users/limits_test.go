package users_test

import (
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/otpverify"
	"twofa/users"
)

// R21. Five sets a day, also at once, and a refused one takes no hash.
func TestR21_FiveSetsOfRecoveryCodesADay(t *testing.T) {
	r := withAlice(t)
	var made, refused, busy atomic.Int32
	testrig.AtOnce(testrig.Times(30, func(int) {
		_, err := r.s.MakeRecoveryCodes(r.Ctx(), "alice")
		switch {
		case err == nil:
			made.Add(1)
		case problem.Is(err, problem.TooManyChanges):
			refused.Add(1)
		case problem.Is(err, problem.Busy):
			busy.Add(1)
		case !problem.Is(err, problem.StorageUnavailable):
			t.Error(err)
		}
	})...)
	if made.Load() > recovery.MaxSetsPerDay {
		t.Errorf("%d sets", made.Load())
	}
	for range recovery.MaxSetsPerDay {
		_, _ = r.s.MakeRecoveryCodes(r.Ctx(), "alice")
	}
	begin := time.Now()
	for range 20 {
		_, err := r.s.MakeRecoveryCodes(r.Ctx(), "alice")
		if e := fixture.Problem(t, err, problem.TooManyChanges); e.RetryAfter != 24*time.Hour {
			t.Errorf("wait for %v", e.RetryAfter)
		}
	}
	if took := time.Since(begin); took > 2*time.Second { // 20 sets take 4 s
		t.Errorf("20 refusals took %v", took)
	}
	r.delete(users.Conditions{}, "")
	r.put("alice", both, users.Conditions{})
	_, err := r.s.MakeRecoveryCodes(r.Ctx(), "alice")
	fixture.Problem(t, err, problem.TooManyChanges)
	r.Advance(24 * time.Hour)
	if _, err := r.s.MakeRecoveryCodes(r.Ctx(), "alice"); err != nil {
		t.Error(err)
	}
}

// Erasing a user and registering it again resets neither the wrong codes nor the last
// step.
func TestR9_ErasingAndRegisteringAgainResetsNothing(t *testing.T) {
	r := withAlice(t)
	e, _ := r.confirmed(users.EnrollRequest{})
	r.Advance(time.Minute)
	code := r.code(e)
	check := func(code string) error {
		_, err := r.Verify.Check(r.Ctx(), otpverify.Request{User: "alice", Factor: otpverify.FactorTOTP, Code: code})
		return err
	}
	if err := check(code); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		fixture.Problem(t, check(wrongCode(code)), problem.WrongCode)
	}
	for range 3 {
		r.delete(users.Conditions{}, "")
		r.put("alice", both, users.Conditions{})
		again, err := r.s.Enroll(r.Ctx(), "alice", users.EnrollRequest{URI: e.URI})
		if err != nil {
			t.Fatal(err)
		}
		r.confirmFails(code, problem.WrongCode) // it was used
		r.Advance(30 * time.Second)
		r.confirm(again)
		fixture.Problem(t, check(code), problem.WrongCode)
		fixture.Problem(t, check(r.code(again)), problem.WrongCode) // it has confirmed the app
		code = r.code(again)
	}
	fixture.Problem(t, check(code), problem.TooManyChecks) // 4 + 3*2
}
