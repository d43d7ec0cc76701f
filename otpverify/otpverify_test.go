package otpverify_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
)

// Attack 5: of all the ways to combine what belongs to different verifications,
// only what belongs together passes.
func TestOnlyWhatBelongsTogetherPasses(t *testing.T) {
	b := newBench(t)
	b.Policy(func(p *otp.Policy) { p.MaxChecks, p.MaxFailuresPerDay = otp.MaxCounted, otp.MaxCounted })
	type started struct {
		to, purpose string
		context     otp.Context
		id          otp.ID
		code        string
	}
	var all []started
	for i, to := range []string{alice, bob} {
		for j, purpose := range []string{"login", "payment"} {
			// The same amounts and payees, in other combinations.
			c := otp.Context{Amount: fmt.Sprint("EUR ", i), Payee: fmt.Sprint("Payee ", j)}
			v, code := b.mustStart(otpsend.Request{To: to, Purpose: purpose, Context: c})
			all = append(all, started{to, purpose, c, v.ID, code})
		}
	}
	tried := 0
	wrong := func(req otpverify.Request) {
		t.Helper()
		tried++
		if a, err := b.check(req); err == nil {
			t.Errorf("%+v passed: %+v", req, a)
		} else if kind := kindOf(err); kind != problem.WrongCode && kind != problem.NotFound {
			t.Errorf("%+v: %v", req, err)
		}
	}
	for i, by := range all { // who is asked for
		for j, coded := range all { // whose code
			for k, told := range all { // whose context
				if i == j && j == k {
					continue
				}
				wrong(otpverify.Request{ID: string(by.id), Code: coded.code, Context: told.context})
				wrong(otpverify.Request{To: by.to, Purpose: by.purpose, Code: coded.code, Context: told.context})
			}
		}
		wrong(otpverify.Request{ID: string(by.id), Code: by.code})
		wrong(otpverify.Request{ID: string(by.id), Code: by.code, Context: otp.Context{Amount: by.context.Payee, Payee: by.context.Amount}})
		wrong(otpverify.Request{ID: string(by.id), Code: by.code, Context: otp.Context{Amount: by.context.Amount + by.context.Payee}})
		wrong(otpverify.Request{ID: string(by.id), Code: by.code, Context: otp.Context{Amount: by.context.Amount + " ", Payee: by.context.Payee}})
	}
	for i, v := range all {
		req := otpverify.Request{ID: string(v.id), Code: v.code, Context: v.context}
		if i%2 == 1 {
			req.ID, req.To, req.Purpose = "", v.to, v.purpose
		}
		a, err := b.check(req)
		if err != nil || a.ID != v.id || a.Purpose != v.purpose || a.Status != otp.Approved {
			t.Errorf("%+v: %+v %v", req, a, err)
		}
	}
	if want := 4 * (15*2 + 4); tried != want {
		t.Errorf("%d combinations, want %d", tried, want)
	}
}

// An id with somebody else's address or another purpose beside it is a mix-up of
// the client's, and never passes.
func TestAnIDWithAnothersAddressOrPurposeIsNotApproved(t *testing.T) {
	for name, req := range map[string]otpverify.Request{
		"address":          {To: bob},
		"purpose":          {Purpose: "payment"},
		"address and more": {To: bob, Purpose: "login"},
	} {
		b := newBench(t)
		v, code := b.mustStart(otpsend.Request{To: alice})
		b.mustStart(otpsend.Request{To: bob})
		b.mustStart(otpsend.Request{To: alice, Purpose: "payment"})
		req.ID, req.Code = string(v.ID), code
		if a, err := b.check(req); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// Attack 2: a new code never resets the count of the failures.
func TestNewCodesDoNotResetTheFailuresOfAnAddress(t *testing.T) {
	b := newBench(t)
	b.Policy(func(p *otp.Policy) { p.MaxSends, p.MaxSendsPerDay = otp.MaxCounted, otp.MaxCounted })
	evaluated := 0
	var last error
	for range 20 {
		v, _, err := b.start(otpsend.Request{To: alice})
		if last = err; err != nil {
			b.Wait(time.Minute)
			continue
		}
		for range 4 {
			_, err := b.check(otpverify.Request{ID: string(v.ID), Code: "WRONG22222"})
			if kindOf(err) == problem.WrongCode {
				evaluated++
			}
		}
		b.Wait(time.Minute)
	}
	if evaluated != 10 || kindOf(last) != problem.TooManyChecks {
		t.Errorf("%d wrong codes were evaluated, want 10; the last start: %v", evaluated, last)
	}
	if _, _, err := b.start(otpsend.Request{To: bob}); err != nil {
		t.Errorf("another address: %v", err)
	}
	b.Wait(24 * time.Hour) // attack 22: the lock ends by itself
	v, code := b.mustStart(otpsend.Request{To: alice})
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); err != nil {
		t.Error(err)
	}
}

// Attack 15.
func TestExpiryIsExactAndSurvivesAClockThatStepsBack(t *testing.T) {
	b := newBench(t)
	v, code := b.mustStart(otpsend.Request{To: alice})
	b.SetTime(v.ExpiresAt)
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); kindOf(err) != problem.Expired {
		t.Errorf("at its end: %v", err)
	}
	b.SetTime(v.ExpiresAt.Add(-time.Minute))
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); kindOf(err) != problem.Expired {
		t.Errorf("after the clock stepped back: %v", err)
	}
	v, code = b.mustStart(otpsend.Request{To: bob})
	b.SetTime(v.ExpiresAt.Add(-1))
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); err != nil {
		t.Errorf("a nanosecond before: %v", err)
	}
}

// Fail closed: an answer that approves was kept first.
func TestAnApprovalThatWasNotKeptIsNotAnswered(t *testing.T) {
	b := newBench(t)
	v, code := b.mustStart(otpsend.Request{To: alice})
	req := otpverify.Request{ID: string(v.ID), Code: code}
	b.Table.Break(func(int) rig.Fault { return rig.Down })
	if a, err := b.check(req); kindOf(err) != problem.StorageUnavailable || a != (otpverify.Answer{}) {
		t.Errorf("down: %+v %v", a, err)
	}
	b.Table.Break(func(int) rig.Fault { return rig.Lost })
	if a, err := b.check(req); kindOf(err) != problem.StorageUnavailable || a != (otpverify.Answer{}) {
		t.Errorf("lost: %+v %v", a, err)
	}
	b.Table.Break(nil)
	if a, err := b.check(req); kindOf(err) != problem.AlreadyUsed || a != (otpverify.Answer{}) {
		t.Errorf("afterwards: %+v %v", a, err)
	}
}

// What a wrong code finds must not be told while it may not have been counted.
func TestAWrongCodeThatWasNotCountedIsNotTold(t *testing.T) {
	b := newBench(t)
	v, _ := b.mustStart(otpsend.Request{To: alice})
	b.Table.Break(func(int) rig.Fault { return rig.Lost })
	_, err := b.check(otpverify.Request{ID: string(v.ID), Code: "WRONG22222"})
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || e.Kind != problem.StorageUnavailable || e.ChecksLeft != nil {
		t.Errorf("answered %+v", err)
	}
}

func TestFaultsOfTheFieldsReachNoStore(t *testing.T) {
	b := newBench(t)
	id := string(otp.NewID(b.Book.RowKey(alice), [8]byte{1}))
	for _, tc := range []struct {
		req    otpverify.Request
		fields string
	}{
		{otpverify.Request{}, "code id"},
		{otpverify.Request{Code: "123456"}, "id"},
		{otpverify.Request{ID: "VE", Code: "123456"}, "id"},
		{otpverify.Request{ID: "VE"}, "id"},
		{otpverify.Request{ID: id, Code: "!"}, "code"},
		{otpverify.Request{To: "415", Code: "123456"}, "to"},
		{otpverify.Request{To: alice}, "code"},
		{otpverify.Request{User: "canary-name"}, "code"},
		{otpverify.Request{To: alice, Code: "!"}, "code"},
		{otpverify.Request{To: alice, Code: strings.Repeat("1", otp.MaxTypedCode+1)}, "code"},
		{otpverify.Request{To: alice, Purpose: "A", Code: "123456"}, "purpose"},
		{otpverify.Request{To: alice, User: "canary-name", Code: "123456"}, "user"},
		{otpverify.Request{ID: id, To: alice, User: "canary-name", Code: "123456"}, "user"},
		{otpverify.Request{User: "a/b", Code: "123456"}, "user"},
		{otpverify.Request{ID: "VE", To: "1", User: "..", Purpose: "A", Code: "!"}, "code purpose to user id user"},
	} {
		var names []string
		for _, f := range b.refused(tc.req, problem.InvalidRequest).Fields {
			names = append(names, f.Name)
		}
		if got := strings.Join(names, " "); got != tc.fields {
			t.Errorf("%+v: %s, want %s", tc.req, got, tc.fields)
		}
	}
	if b.Table.Calls() != 0 {
		t.Error("the store was asked")
	}
}

// A code of a secret that was rotated out ends, and is not taken for a wrong one.
func TestACodeWhoseSecretIsGoneIsExpired(t *testing.T) {
	b := newBench(t)
	v, code := b.mustStart(otpsend.Request{To: alice})
	_, _, err := b.Book.Change(b.Ctx(), v.ID.RowKey(), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		r.Verifications[0].Key = [4]byte{1, 2, 3, 4}
		return r, otp.Verification{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); kindOf(err) != problem.Expired {
		t.Errorf("answered %v", err)
	}
}

// A letter may be typed in either case; the alphabet has one.
func TestACodeOfLettersIsReadInEitherCase(t *testing.T) {
	b := newBench(t)
	_, code := b.mustStart(otpsend.Request{To: alice})
	a, err := b.check(otpverify.Request{To: alice, Code: " " + strings.ToLower(code[:5]) + "-" + code[5:]})
	if err != nil || a.To != "+1******0123" || !a.ApprovedAt.Equal(noon) {
		t.Errorf("%+v %v", a, err)
	}
}
