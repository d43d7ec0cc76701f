package otpverify_test

import (
	"bytes"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/store"
	"twofa/internal/testing/rig"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/otpverify"
)

// Attack 22. Each factor has a limit of its own, which ends by itself: whoever
// spends one does not keep the person from the others.
func TestAttack22_EachFactorIsLockedByItself(t *testing.T) {
	f := newFactors(t, nil, notify.SMS)
	f.Policy(func(p *otp.Policy) { p.TTL = 24 * time.Hour })
	lock := func(req otpverify.Request) {
		t.Helper()
		for left := 9; left >= 0; left-- {
			if e := f.refused(req, problem.WrongCode); e.ChecksLeft == nil || *e.ChecksLeft != left {
				t.Fatalf("%v checks left, want %d", e.ChecksLeft, left)
			}
			f.Wait(time.Second)
		}
	}
	locked := func(req otpverify.Request, retry time.Duration) {
		t.Helper()
		if e := f.refused(req, problem.TooManyChecks); e.RetryAfter != retry || e.ChecksLeft == nil || *e.ChecksLeft != 0 {
			t.Errorf("locked for %v with %v checks left, want %v", e.RetryAfter, e.ChecksLeft, retry)
		}
	}
	message := func() {
		t.Helper()
		_, code := f.mustStart(bySMS(""))
		f.approved(otpverify.Request{User: canary, Code: code})
	}

	lock(ofTOTP(f.never())) // the tenth one 9 s after the first
	locked(ofTOTP(f.shows(0)), 24*time.Hour-10*time.Second)
	locked(ofTOTP(f.never()), 24*time.Hour-10*time.Second)
	locked(otpverify.Request{User: canary, Code: f.shows(0)}, 24*time.Hour-10*time.Second) // left out
	f.approved(ofRecovery(f.codes[0]))
	message()

	lock(ofRecovery(foreign)) // from 10 s on
	locked(ofRecovery(f.codes[1]), 24*time.Hour-10*time.Second)
	locked(ofTOTP(f.shows(0)), 24*time.Hour-20*time.Second)
	message()
	f.wantFailures(10, 10)

	// Another app gives nobody new tries.
	u := f.Registered(canary)
	u.TOTP = totp.RemoveAll(u.TOTP, f.Now())
	var err error
	if u.TOTP, err = totp.Import(u.TOTP, f.app, f.Now()); err != nil {
		t.Fatal(err)
	}
	f.User(u)
	locked(ofTOTP(f.shows(0)), 24*time.Hour-20*time.Second)

	f.SetTime(noon.Add(24*time.Hour - time.Nanosecond))
	locked(ofTOTP(f.shows(0)), time.Nanosecond)
	f.SetTime(noon.Add(24 * time.Hour))
	f.approved(ofTOTP(f.shows(0)))
	locked(ofRecovery(f.codes[1]), 10*time.Second)
	f.Wait(10 * time.Second)
	f.approved(ofRecovery(f.codes[1]))
}

// And the other way round: an address that is locked leaves the app.
func TestAttack22_AnAddressThatIsLockedLeavesTheOtherFactors(t *testing.T) {
	f := newFactors(t, nil, notify.SMS)
	f.Policy(func(p *otp.Policy) { p.MaxFailuresPerDay = 5 })
	v, code := f.mustStart(bySMS(""))
	f.bench.exhaust(v.ID)
	if _, _, err := f.start(bySMS("")); kindOf(err) != problem.TooManyChecks {
		t.Fatalf("the address is not locked: %v", err)
	}
	f.refused(otpverify.Request{User: canary, Code: code, Factor: otpverify.FactorMessage}, problem.TooManyChecks)
	f.approved(otpverify.Request{User: canary, Code: f.shows(0)})
	f.approved(otpverify.Request{User: canary, Code: f.codes[0]})
	f.approved(ofTOTP(f.shows(1)))
}

// Attack 16, R16. Whatever storage does, an approval is kept before it is told,
// and so is a wrong code.
func TestAttack16_R16_FactorsUnderStorageFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		req func(f *factors) otpverify.Request
		app bool
	}{
		"an app's":              {func(f *factors) otpverify.Request { return ofTOTP(f.shows(0)) }, true},
		"an app's, left out":    {func(f *factors) otpverify.Request { return otpverify.Request{User: canary, Code: f.shows(0)} }, true},
		"a recovery code":       {func(f *factors) otpverify.Request { return ofRecovery(f.codes[0]) }, false},
		"a wrong one":           {func(f *factors) otpverify.Request { return ofTOTP(f.never()) }, true},
		"a wrong recovery code": {func(*factors) otpverify.Request { return ofRecovery(foreign) }, false},
	} {
		for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
			f := newFactors(t, nil, notify.SMS)
			req := tc.req(f)
			f.Table.Break(nil)
			probe := newFactors(t, nil, notify.SMS) // how many calls there are
			probe.Table.Break(nil)
			_, right := probe.check(tc.req(probe))
			calls := probe.Table.Calls()
			if right == nil && !tc.app {
				calls-- // of the message that tells of it, after the approval
			}
			for at := 1; at <= calls; at++ {
				f.Table.Break(func(call int) rig.Fault {
					if call == at {
						return fault
					}
					return rig.None
				})
				if e := f.refused(req, problem.StorageUnavailable); e.RetryAfter <= 0 {
					t.Errorf("%s: no RetryAfter", name)
				}
			}
			f.Table.Break(nil)
			app, paper := f.failures()
			counted := app + paper
			switch {
			case fault == rig.Down && counted != 0:
				t.Errorf("%s: %d wrong codes were kept that storage never got", name, counted)
			case fault == rig.Lost && right != nil && counted != 1:
				t.Errorf("%s: %d wrong codes were kept, want 1", name, counted)
			}
			if right != nil {
				continue
			}
			if fault == rig.Down {
				f.approved(req)
			}
			f.refused(req, problem.WrongCode) // used, by one or the other
			if n := len(f.alerts(notify.SMS)); fault == rig.Lost && n != 0 {
				t.Errorf("%s: %d alerts of what may not have been", name, n)
			}
		}
	}
}

// Attacks 3 and 19. Of many requests at once with one code, one is approved.
func TestAttack03_AFactorsCodeAtOnceIsApprovedOnce(t *testing.T) {
	for name, req := range map[string]func(f *factors) otpverify.Request{
		"an app's":           func(f *factors) otpverify.Request { return ofTOTP(f.shows(0)) },
		"an app's, left out": func(f *factors) otpverify.Request { return otpverify.Request{User: canary, Code: f.shows(0)} },
		"a recovery code":    func(f *factors) otpverify.Request { return ofRecovery(f.codes[0]) },
	} {
		f := newFactors(t, nil, notify.SMS)
		check := req(f)
		var wg sync.WaitGroup
		var mu sync.Mutex
		kinds := make(map[problem.Kind]int)
		for range 15 {
			wg.Go(func() {
				_, err := f.check(check)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					kinds["approved"]++
				} else {
					kinds[kindOf(err)]++
				}
			})
		}
		wg.Wait()
		if kinds["approved"] != 1 || kinds[problem.WrongCode] != 10 || kinds[problem.TooManyChecks] != 4 {
			t.Errorf("%s: %v", name, kinds)
		}
	}
}

// A user of no address (none can be registered, but a row says what it says) has
// no verification, so nothing may be approved.
func TestR16_AUserWithoutAnAddressIsNotApproved(t *testing.T) {
	f := newFactors(t, func(u *user.User) { u.Phone, u.Email = "", "" })
	f.refused(otpverify.Request{User: canary, Code: "12345678", Factor: otpverify.FactorMessage}, problem.NotFound)
	f.refused(otpverify.Request{User: canary, Code: "12345678", Purpose: "login"}, problem.NotFound)
	f.refused(otpverify.Request{User: canary, Code: f.never()}, problem.WrongCode) // of the app
	f.approved(otpverify.Request{User: canary, Code: f.shows(0)})
}

// Attack 5. An app's and a recovery code are good for their own user.
func TestAttack05_FactorsOfOneUserAreNoneOfAnothers(t *testing.T) {
	f := newFactors(t, nil)
	other := user.User{Name: "canary-other", Phone: bob}
	app := f.app
	app.ID, app.Secret = "TA00000000000000bb", []byte("other-of-20-bytes...")
	var err error
	if other.TOTP, err = totp.Import(other.TOTP, app, noon); err != nil {
		t.Fatal(err)
	}
	var codes []string
	if codes, other.Recovery, err = recovery.New(rand.Reader, f.Keys, noon); err != nil {
		t.Fatal(err)
	}
	f.User(other)
	f.refused(otpverify.Request{User: other.Name, Factor: "totp", Code: f.shows(0)}, problem.WrongCode)
	f.refused(otpverify.Request{User: other.Name, Factor: "recovery", Code: f.codes[0]}, problem.WrongCode)
	f.refused(ofRecovery(codes[0]), problem.WrongCode)
	f.approved(ofTOTP(f.shows(0)))
	f.approved(ofRecovery(f.codes[0]))
	f.approved(otpverify.Request{User: other.Name, Factor: "recovery", Code: codes[0]})
}

// Rotating the secret: a new one in front, then the one in the middle goes.
func TestFactors_SurviveARotation(t *testing.T) {
	b := newFactors(t, nil)
	ring := func(seeds ...byte) {
		b.Keys = rig.Keys(t, seeds...)
		b.Users.Keys = b.Keys
	}
	ring(2, 1)
	codes, set, err := recovery.New(rand.Reader, b.Keys, noon)
	if err != nil {
		t.Fatal(err)
	}
	u := b.Registered(canary)
	u.Recovery = set
	b.User(u)
	sealed := func() bool {
		row, err := b.Table.Table.Get(t.Context(), store.Key(b.Users.Key(canary)))
		if err != nil {
			t.Fatal(err)
		}
		current := b.Keys.Current()
		return bytes.HasPrefix(row.Data, current[:])
	}
	ring(3, 2, 1)
	if sealed() {
		t.Fatal("the row is sealed with the new secret before anything has happened")
	}
	b.approved(ofTOTP(b.shows(0)))
	if !sealed() {
		t.Fatal("the row is not sealed with the new secret")
	}
	b.approved(ofRecovery(codes[0]))
	ring(3, 1)
	b.approved(ofTOTP(b.shows(1)))
	b.refused(ofRecovery(codes[1]), problem.Expired) // made under the one that went
	b.wantFailures(0, 0)
}
