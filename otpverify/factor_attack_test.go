package otpverify_test

import (
	"bytes"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/otpverify"
)

// Attack 22. Each factor has its own limit, which ends by itself: an attacker who
// uses up one factor does not keep the person from the others.
func TestAttack22_EachFactorIsLockedByItself(t *testing.T) {
	f := newFactors(t, nil, channel.SMS)
	f.Policy(func(p *otp.Policy) { p.TTL = 24 * time.Hour })
	lock := func(req otpverify.Request) {
		t.Helper()
		for left := 9; left >= 0; left-- {
			if e := f.RefuseCheck(req, problem.WrongCode); e.ChecksLeft == nil || *e.ChecksLeft != left {
				t.Fatalf("%v checks left, want %d", e.ChecksLeft, left)
			}
			f.Advance(time.Second)
		}
	}
	locked := func(req otpverify.Request, retry time.Duration) {
		t.Helper()
		if e := f.RefuseCheck(req, problem.TooManyChecks); e.RetryAfter != retry || e.ChecksLeft == nil || *e.ChecksLeft != 0 {
			t.Errorf("locked for %v with %v checks left, want %v", e.RetryAfter, e.ChecksLeft, retry)
		}
	}
	message := func() {
		t.Helper()
		_, code := begin(f.Rig, bySMS(""))
		f.Approve(byUser(code))
	}

	lock(byTOTP(f.wrongAppCode())) // the tenth code is typed 9 s after the first
	locked(byTOTP(f.appCode(0)), 24*time.Hour-10*time.Second)
	locked(byTOTP(f.wrongAppCode()), 24*time.Hour-10*time.Second)
	locked(byUser(f.appCode(0)), 24*time.Hour-10*time.Second)
	f.Approve(byRecovery(f.codes[0]))
	message()

	lock(byRecovery(unknownCode)) // the first code is typed after 10 s
	locked(byRecovery(f.codes[1]), 24*time.Hour-10*time.Second)
	locked(byTOTP(f.appCode(0)), 24*time.Hour-20*time.Second)
	message()
	f.wantFailures(10, 10)

	// Another app does not reset the count.
	u := f.Registered(canary)
	u.TOTP = imported(t, totp.RemoveAll(u.TOTP, f.Now()), f.app, f.Now())
	f.User(u)
	locked(byTOTP(f.appCode(0)), 24*time.Hour-20*time.Second)

	f.Set(noon.Add(24*time.Hour - time.Nanosecond))
	locked(byTOTP(f.appCode(0)), time.Nanosecond)
	f.Set(noon.Add(24 * time.Hour))
	f.Approve(byTOTP(f.appCode(0)))
	locked(byRecovery(f.codes[1]), 10*time.Second)
	f.Advance(10 * time.Second)
	f.Approve(byRecovery(f.codes[1]))
}

// The reverse: if the address is locked, the app and the recovery codes work.
func TestAttack22_AnAddressThatIsLockedLeavesTheOtherFactors(t *testing.T) {
	f := newFactors(t, nil, channel.SMS)
	f.Policy(func(p *otp.Policy) { p.MaxFailuresPerDay = 5 })
	v, code := begin(f.Rig, bySMS(""))
	exhaust(f.Rig, v.ID)
	f.RefuseStart(bySMS(""), problem.TooManyChecks)
	f.RefuseCheck(otpverify.Request{User: canary, Code: code, Factor: otpverify.FactorMessage}, problem.TooManyChecks)
	f.Approve(byUser(f.appCode(0)))
	f.Approve(byUser(f.codes[0]))
	f.Approve(byTOTP(f.appCode(1)))
}

// Attack 16, R16. Whatever storage does, an approval is stored before it is
// answered, and so is the count of a wrong code.
func TestAttack16_R16_FactorsUnderStorageFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		req func(f *factorRig) otpverify.Request
		app bool
	}{
		"an app's":              {func(f *factorRig) otpverify.Request { return byTOTP(f.appCode(0)) }, true},
		"an app's, no factor":   {func(f *factorRig) otpverify.Request { return byUser(f.appCode(0)) }, true},
		"a recovery code":       {func(f *factorRig) otpverify.Request { return byRecovery(f.codes[0]) }, false},
		"a wrong one":           {func(f *factorRig) otpverify.Request { return byTOTP(f.wrongAppCode()) }, true},
		"a wrong recovery code": {func(*factorRig) otpverify.Request { return byRecovery(unknownCode) }, false},
	} {
		for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
			probe := newFactors(t, nil, channel.SMS) // counts the calls of the store
			probe.Table.Break(nil)
			_, right := probe.Check(tc.req(probe))
			calls := probe.Table.Calls()
			if right == nil && !tc.app {
				calls-- // the last call counts the message that follows the approval
			}
			f := newFactors(t, nil, channel.SMS)
			req := tc.req(f)
			for at := 1; at <= calls; at++ {
				f.Table.Break(rig.FaultAt(at, fault))
				if e := f.RefuseCheck(req, problem.StorageUnavailable); e.RetryAfter <= 0 {
					t.Errorf("%s: no RetryAfter", name)
				}
			}
			f.Table.Break(nil)
			app, paper := f.failures()
			counted := app + paper
			switch {
			case fault == rig.Down && counted != 0:
				t.Errorf("%s: %d wrong codes are stored that storage never got", name, counted)
			case fault == rig.Lost && right != nil && counted != 1:
				t.Errorf("%s: %d wrong codes are stored, want 1", name, counted)
			}
			if right != nil {
				continue
			}
			if fault == rig.Down {
				f.Approve(req)
			}
			f.RefuseCheck(req, problem.WrongCode) // used, by this check or by the one before
			if fault == rig.Lost {
				wantAlerts(f.Rig, channel.SMS, 0) // the approval may not be stored
			}
		}
	}
}

// Attacks 3 and 19. Of many requests at once with one code, one is approved.
func TestAttack03_AFactorsCodeAtOnceIsApprovedOnce(t *testing.T) {
	for name, request := range map[string]func(f *factorRig) otpverify.Request{
		"an app's":            func(f *factorRig) otpverify.Request { return byTOTP(f.appCode(0)) },
		"an app's, no factor": func(f *factorRig) otpverify.Request { return byUser(f.appCode(0)) },
		"a recovery code":     func(f *factorRig) otpverify.Request { return byRecovery(f.codes[0]) },
	} {
		f := newFactors(t, nil, channel.SMS)
		req := request(f)
		kinds := f.ChecksAtOnce(15, func(int) otpverify.Request { return req })
		late := 4 - kinds[problem.TooManyChecks]
		if name == "a recovery code" { // some may not wait for their turn to hash
			late = 14 - kinds[problem.WrongCode] - kinds[problem.TooManyChecks] - kinds[problem.Busy]
		} else if kinds[problem.WrongCode] != 10 {
			late++
		}
		if kinds[""] != 1 || kinds[problem.WrongCode] > 10 || late != 0 {
			t.Errorf("%s: %v", name, kinds)
		}
	}
}

// A user without an address cannot be registered. If a row has one, there is no
// verification, so nothing may be approved.
func TestR16_AUserWithoutAnAddressIsNotApproved(t *testing.T) {
	f := newFactors(t, func(u *user.User) { u.Phone, u.Email = "", "" })
	f.RefuseCheck(otpverify.Request{User: canary, Code: "12345678", Factor: otpverify.FactorMessage}, problem.NotFound)
	f.RefuseCheck(otpverify.Request{User: canary, Code: "12345678", Purpose: "login"}, problem.NotFound)
	f.RefuseCheck(byUser(f.wrongAppCode()), problem.WrongCode) // of the app
	f.Approve(byUser(f.appCode(0)))
}

// Attack 5. An app's code and a recovery code are approved for their own user only.
func TestAttack05_FactorsOfOneUserAreNotAnothers(t *testing.T) {
	f := newFactors(t, nil)
	app := f.app
	app.ID, app.Secret = "TA00000000000000bb", []byte("other-of-20-bytes...")
	codes, set := f.newCodes()
	other := user.User{Name: "canary-other", Phone: bob, TOTP: imported(t, totp.State{}, app, noon), Recovery: set}
	f.User(other)
	f.RefuseCheck(otpverify.Request{User: other.Name, Factor: "totp", Code: f.appCode(0)}, problem.WrongCode)
	f.RefuseCheck(otpverify.Request{User: other.Name, Factor: "recovery", Code: f.codes[0]}, problem.WrongCode)
	f.RefuseCheck(byRecovery(codes[0]), problem.WrongCode)
	f.Approve(byTOTP(f.appCode(0)))
	f.Approve(byRecovery(f.codes[0]))
	f.Approve(otpverify.Request{User: other.Name, Factor: "recovery", Code: codes[0]})
}

// Rotation: a new secret is added, and later an older one is taken out of service.
func TestFactors_SurviveARotation(t *testing.T) {
	f := newFactors(t, nil)
	rotate := func(seeds ...byte) {
		f.Keys = fixture.Keys(t, seeds...)
		f.Users.Keys = f.Keys
	}
	rotate(2, 1)
	u := f.Registered(canary)
	var codes []string
	codes, u.Recovery = f.newCodes()
	f.User(u)
	resealed := func() bool {
		row, err := f.Table.Table.Get(t.Context(), store.Key(f.Users.Key("main", canary)))
		if err != nil {
			t.Fatal(err)
		}
		current := f.Keys.Current()
		return bytes.HasPrefix(row.Data, current[:])
	}
	rotate(3, 2, 1)
	if resealed() {
		t.Fatal("the row is sealed with the new secret before any request")
	}
	f.Approve(byTOTP(f.appCode(0)))
	if !resealed() {
		t.Fatal("the row is not sealed with the new secret")
	}
	f.Approve(byRecovery(codes[0]))
	rotate(3, 1)
	f.Approve(byTOTP(f.appCode(1)))
	f.RefuseCheck(byRecovery(codes[1]), problem.Expired) // made with the secret that is gone
	f.wantFailures(0, 0)
}
