package otpverify_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/otpverify"
)

// bothRig has a user with an app, whose codes look like those of messages.
func bothRig(t *testing.T) *factorRig {
	f := newFactors(t, func(u *user.User) { u.Email = "" }, channel.SMS)
	f.Policy(digits8)
	return f
}

// spent returns the wrong codes of the app and the checks of the verification.
func (f *factorRig) spent(id otp.ID) string {
	f.TB.Helper()
	app, _ := f.failures()
	row, v := f.Verification(id)
	return fmt.Sprintf("app %d, message %d of %d", app, v.Checks, len(row.Tally(otp.Caller{}).Failures))
}

// unlike returns a code of eight digits that is neither the message's nor the app's.
func (f *factorRig) unlike(id otp.ID) string {
	sent := f.Code(id)
	for n := 0; ; n++ {
		code := fmt.Sprintf("%08d", n)
		near := code == sent
		for step := -2; step <= 2; step++ {
			near = near || f.appCode(step) == code
		}
		if !near {
			return code
		}
	}
}

// Whoever can cause sends must not keep a person from the authenticator app: a right
// code of the app is approved beside a pending message, and spends nothing of it.
func TestAttack22_APendingMessageDoesNotSwallowAppCodes(t *testing.T) {
	for name, tc := range map[string]struct {
		before func(f *factorRig, id otp.ID)
		want   string
	}{
		"a new message":             {func(*factorRig, otp.ID) {}, "app 0, message 0 of 0"},
		"resent":                    {func(f *factorRig, id otp.ID) { f.MustResend(id, "sms") }, "app 0, message 0 of 0"},
		"with one try left":         {func(f *factorRig, id otp.ID) { f.wrongByID(id, 4) }, "app 0, message 4 of 4"},
		"after its tries":           {func(f *factorRig, id otp.ID) { f.wrongByID(id, 5) }, "app 0, message 5 of 5"},
		"canceled":                  {func(f *factorRig, id otp.ID) { f.MustCancel(id) }, "app 0, message 0 of 0"},
		"after a wrong one of both": {func(f *factorRig, id otp.ID) { f.RefuseCheck(byUser(f.unlike(id)), problem.WrongCode) }, "app 1, message 1 of 1"},
		"beside another purpose": {func(f *factorRig, _ otp.ID) {
			begin(f.Rig, bySMS("pay"))
		}, "app 0, message 0 of 0"},
	} {
		t.Run(name, func(t *testing.T) {
			f := bothRig(t)
			v, _ := begin(f.Rig, bySMS(""))
			tc.before(f, v.ID)
			if a := f.Approve(byUser(f.appCode(0))); a.Factor != otpverify.FactorTOTP {
				t.Errorf("approved %+v", a)
			}
			if got := f.spent(v.ID); got != tc.want {
				t.Errorf("spent: %s, want %s", got, tc.want)
			}
		})
	}
}

func (f *factorRig) wrongByID(id otp.ID, n int) {
	f.TB.Helper()
	for range n {
		f.RefuseCheck(rig.ByID(id, f.Wrong(id)), problem.WrongCode)
	}
}

// A wrong code that could be either spends one try of each; a right one of the message
// spends none of the app, also if the app has none left.
func TestR6_ACodeThatCouldBeEitherIsCountedOnceForEach(t *testing.T) {
	f := bothRig(t)
	v, code := begin(f.Rig, bySMS(""))
	for n := 1; n <= 4; n++ {
		e := f.RefuseCheck(byUser(f.unlike(v.ID)), problem.WrongCode)
		if got, want := f.spent(v.ID), fmt.Sprintf("app %d, message %d of %d", n, n, n); got != want || *e.ChecksLeft != 5-n {
			t.Errorf("spent: %s, %d checks left; want %s", got, *e.ChecksLeft, want)
		}
	}
	if a := f.Approve(byUser(code)); a.ID != v.ID {
		t.Errorf("%+v", a)
	}
	f.wantFailures(4, 0)
	for range totp.MaxFailuresPerDay - 4 {
		f.RefuseCheck(byTOTP(f.wrongAppCode()), problem.WrongCode)
	}
	v, code = begin(f.Rig, bySMS(""))
	f.RefuseCheck(byUser(f.unlike(v.ID)), problem.WrongCode) // the message's
	f.RefuseCheck(byUser(f.appCode(0)), problem.WrongCode)   // the app compares nothing
	f.Approve(byUser(code))
	f.wantFailures(totp.MaxFailuresPerDay, 0)
	f.RefuseCheck(byUser(f.appCode(0)), problem.TooManyChecks)
}

// A code that was used is wrong for both.
func TestAttack04_AUsedCodeOfEitherIsWrong(t *testing.T) {
	f := bothRig(t)
	v, code := begin(f.Rig, bySMS(""))
	app := f.appCode(0)
	f.Approve(byUser(app))
	f.RefuseCheck(byUser(app), problem.WrongCode)
	f.Approve(byUser(code))
	f.RefuseCheck(byUser(code), problem.WrongCode) // nothing is pending: the app's answer
	if got := f.spent(v.ID); got != "app 2, message 2 of 1" {
		t.Errorf("spent: %s", got)
	}
}

// A code that has not the form of an app's is never tried there while a message is
// pending.
func TestCheck_ACodeOfAnotherFormIsTheMessages(t *testing.T) {
	for _, shape := range []otp.Shape{{Length: 6, Alphabet: otp.Digits}, {Length: 8, Alphabet: otp.Alphanumeric}, {Length: 10, Alphabet: otp.Digits}} {
		f := newFactors(t, nil, channel.SMS)
		f.Policy(func(p *otp.Policy) { p.Shape = shape })
		v, _ := begin(f.Rig, bySMS(""))
		wrong := f.Wrong(v.ID)
		if shape.Alphabet == otp.Alphanumeric {
			wrong = "ABCDEFGH"
		}
		f.RefuseCheck(byUser(wrong), problem.WrongCode)
		f.wantFailures(0, 0)
	}
}

// Attack 1 without a factor: the limits of both hold at once, and no order of many
// requests at once compares more.
func TestAttack01_ManyCodesThatCouldBeEither(t *testing.T) {
	f := bothRig(t)
	v, _ := begin(f.Rig, bySMS(""))
	wrong := f.unlike(v.ID)
	var alerted atomic.Int64
	kinds := f.ChecksAtOnce(60, func(int) otpverify.Request { return byUser(wrong) }, func(e *problem.Error) {
		if e.Alerted {
			alerted.Add(1)
		}
	})
	if kinds[""] != 0 || alerted.Load() != 1 {
		t.Errorf("%v, %d alerted", kinds, alerted.Load())
	}
	if got := f.spent(v.ID); got != "app 10, message 5 of 5" {
		t.Errorf("spent: %s", got)
	}
	f.RefuseCheck(byUser(f.Code(v.ID)), problem.TooManyChecks)
	f.RefuseCheck(byUser(f.appCode(0)), problem.TooManyChecks)
}

// Attack 3: of many right codes of the app at once, beside a pending message, one is
// approved.
func TestAttack03_ManyRightAppCodesBesideAMessage(t *testing.T) {
	f := bothRig(t)
	begin(f.Rig, bySMS(""))
	code := f.appCode(0)
	if kinds := f.ChecksAtOnce(20, func(int) otpverify.Request { return byUser(code) }); kinds[""] != 1 {
		t.Errorf("%v", kinds)
	}
}

// If storage fails, a code that was compared by the app is counted, or nothing was
// answered about it.
func TestAttack16_StorageFaultsBetweenAppAndMessage(t *testing.T) {
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		for at := 1; at <= 4; at++ {
			f := bothRig(t)
			v, _ := begin(f.Rig, bySMS(""))
			wrong := f.unlike(v.ID)
			f.Table.Break(rig.FaultFrom(at, fault))
			_, err := f.Check(byUser(wrong))
			f.Table.Break(nil)
			app, _ := f.failures()
			if err == nil || at > 2 && app != 1 || problem.Is(err, problem.WrongCode) && app != 1 {
				t.Errorf("fault %d from call %d: %v, %s", fault, at, err, f.spent(v.ID))
			}
		}
	}
}

// R29. A test number is nobody's identity: its approvals say so.
func TestR29_ApprovalsOfTestNumbersAreMarked(t *testing.T) {
	const code = "WXYZ234567"
	for name, tc := range map[string]struct {
		ending  otp.Ending
		request func(id otp.ID) otpverify.Request
	}{
		"by id":               {otp.EndsDelivered, func(id otp.ID) otpverify.Request { return rig.ByID(id, code) }},
		"by number":           {otp.EndsDelivered, func(otp.ID) otpverify.Request { return otpverify.Request{To: alice, Code: code} }},
		"by another spelling": {otp.EndsDelivered, func(otp.ID) otpverify.Request { return otpverify.Request{To: "+1 (415) 555-0123", Code: code} }},
		"after a fallback":    {otp.EndsFallback, func(id otp.ID) otpverify.Request { return rig.ByID(id, code) }},
		"by user":             {otp.EndsDelivered, func(otp.ID) otpverify.Request { return byUser(code) }},
		"by id and user": {otp.EndsDelivered, func(id otp.ID) otpverify.Request {
			return otpverify.Request{ID: string(id), User: canary, Code: code}
		}},
		"after the numbers ended": {otp.EndsDelivered, func(id otp.ID) otpverify.Request { return rig.ByID(id, code) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newUserRig(t, nil, channel.WhatsApp, channel.SMS)
			r.TestNumbers(otp.TestNumbers{
				Scenarios: map[string]otp.Scenario{alice: {Ending: tc.ending, Code: code}}, Until: r.Now().Add(time.Minute),
			})
			start := toAlice
			if tc.request("VE").User != "" {
				start = toUser
			}
			id := r.MustStart(start).ID
			if name == "after the numbers ended" {
				r.Advance(2 * time.Minute)
			}
			if a := r.Approve(tc.request(id)); !a.Test {
				t.Errorf("not marked: %+v", a)
			}
			wantVerified(r, false, false)
		})
	}
	r := newUserRig(t, nil, channel.SMS)
	v, code2 := begin(r, bySMS(""))
	if a := r.Approve(rig.ByID(v.ID, code2)); a.Test {
		t.Errorf("an ordinary number is marked: %+v", a)
	}
	id, text := r.StartInbound(toUser)
	receive(r, alice, text)
	if a := r.Approve(rig.ByID(id, "")); a.Test {
		t.Errorf("a person's own message is marked: %+v", a)
	}
}

// A wrong context of an inbound approval is answered as a wrong code, and warns the
// person in the end.
func TestR6_AWrongContextOfAnInboundApprovalIsCounted(t *testing.T) {
	paying := otp.Transaction{Amount: "EUR 25.00", Payee: "Acme Bikes"}
	r := newRig(t, channel.WhatsApp)
	req := toAlice
	req.Transaction = paying
	v, code := begin(r, req)
	r.Approve(otpverify.Request{ID: string(v.ID), Code: code, Transaction: paying}) // so the service knows a channel
	id, text := r.StartInbound(req)
	receive(r, alice, text)
	for i, wrong := range []otp.Transaction{{}, {Amount: paying.Amount}, {Payee: paying.Payee}, {Amount: "EUR 25", Payee: paying.Payee}, {Amount: paying.Amount, Payee: "Acme Bike"}} {
		e := r.RefuseCheck(otpverify.Request{ID: string(id), Transaction: wrong}, problem.WrongCode)
		if *e.ChecksLeft != 4-i || e.Detail != "The code is not right." {
			t.Errorf("%+v: %+v", wrong, e)
		}
	}
	r.RefuseCheck(otpverify.Request{ID: string(id), Transaction: paying}, problem.TooManyChecks)
	if row, v := r.Verification(id); len(row.Tally(otp.Caller{}).Failures) != 5 || v.Status != otp.Exhausted || v.Claimed {
		t.Errorf("%+v", v)
	}
}
