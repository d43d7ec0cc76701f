package otpverify_test

import (
	"strings"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

// The person's message approves. The client gets that answer once.
func TestAnInboundApprovalIsAnsweredOnce(t *testing.T) {
	r := newRig(t)
	id, text := r.StartInbound(toAlice)
	req := rig.ByID(id, "")
	for range 20 { // no limit counts these checks
		if e := r.RefuseCheck(req, problem.NotYetApproved); e.RetryAfter <= 0 {
			t.Errorf("retry after %v", e.RetryAfter)
		}
	}
	if reply := receive(r, alice, text); !strings.Contains(reply, "Acme") {
		t.Errorf("reply %q", reply)
	}
	r.Advance(90 * time.Second)
	want := otpverify.Answer{ID: id, Status: otp.Approved, To: "+1******0123", Channel: "inbound", Purpose: "login", ApprovedAt: noon}
	if a := r.Approve(req); a != want {
		t.Errorf("%+v, want %+v", a, want)
	}
	if r.RefuseCheck(req, problem.AlreadyUsed); r.Sent() != 0 {
		t.Errorf("%d messages", r.Sent())
	}
}

// The client shows the code of an inbound verification, so typing it proves
// nothing.
func TestTheCodeOfAnInboundVerificationIsNeverApproved(t *testing.T) {
	r := newUserRig(t, nil)
	id, text := r.StartInbound(toUser)
	code := r.Code(id)
	try := func() {
		t.Helper()
		for _, req := range []otpverify.Request{rig.ByID(id, code), byUser(code), rig.ByID(id, "WRQNG22222")} {
			if e := r.RefuseCheck(req, problem.InvalidRequest); e.Fields[0].Name != "code" {
				t.Errorf("%+v: %+v", req, e.Fields)
			}
		}
	}
	try()
	kept, v := r.Verification(id)
	if v.Checks != 0 || len(kept.Tally(otp.Caller{}).Failures) != 0 || v.Status != otp.Pending {
		t.Errorf("spent: %d checks, %d failures; the verification is %s", v.Checks, len(kept.Tally(otp.Caller{}).Failures), v.Status)
	}
	receive(r, alice, text)
	try()
	r.Approve(rig.ByID(id, ""))
	wantVerified(r, true, false)
}

func TestAnInboundApprovalIsAnsweredOnlyToWhatBelongsToIt(t *testing.T) {
	paying := otp.Transaction{Amount: "EUR 25.00", Payee: "Acme Bikes"}
	for name, tc := range map[string]struct {
		req  otpverify.Request
		want problem.Kind // "": approved; a wrong code is counted
	}{
		"no context":     {otpverify.Request{}, problem.WrongCode},
		"another amount": {otpverify.Request{Transaction: otp.Transaction{Amount: "EUR 25", Payee: paying.Payee}}, problem.WrongCode},
		"another person": {otpverify.Request{To: bob, Transaction: paying}, problem.NotFound},
		"another user":   {otpverify.Request{User: "canary-other", Transaction: paying}, problem.NotFound},
		"a purpose":      {otpverify.Request{Purpose: "login", Transaction: paying}, problem.NotFound},
		"all that fits":  {otpverify.Request{User: canary, Purpose: "pay", Transaction: paying}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newUserRig(t, nil)
			r.User(user.User{Name: "canary-other", Phone: alice})
			id, text := r.StartInbound(otpsend.Request{User: canary, Purpose: "pay", Transaction: paying})
			receive(r, alice, text)
			tc.req.ID = string(id)
			if tc.want == "" {
				r.Approve(tc.req)
				return
			}
			r.RefuseCheck(tc.req, tc.want)
			if _, v := r.Verification(id); v.Claimed || v.Status != otp.Approved || (v.Checks != 0) != (tc.want == problem.WrongCode) {
				t.Errorf("%+v", v)
			}
		})
	}
}

// A verification that ended otherwise has no approval to answer, nor has one
// whose code was sent.
func TestOnlyAnInboundApprovalIsAnsweredWithoutACode(t *testing.T) {
	r := newRig(t)
	id, text := r.StartInbound(toAlice)
	if reply := receive(r, alice, "no"); reply == "" {
		t.Error("there is no reply to a denial")
	}
	r.RefuseCheck(rig.ByID(id, ""), problem.Denied)
	receive(r, alice, text) // too late
	r.RefuseCheck(rig.ByID(id, ""), problem.Denied)

	id, text = r.StartInbound(toAlice)
	_, v := r.Verification(id)
	r.Set(v.ExpiresAt)
	receive(r, alice, text)
	r.RefuseCheck(rig.ByID(id, ""), problem.Expired)

	v, code := begin(r, toAlice)
	if e := r.RefuseCheck(rig.ByID(v.ID, ""), problem.InvalidRequest); e.Fields[0].Name != "code" {
		t.Errorf("%+v", e.Fields)
	}
	receive(r, alice, "my code is "+code) // a code that was sent has to be typed
	if _, v = r.Verification(v.ID); v.Status != otp.Pending || v.Checks != 0 {
		t.Errorf("a message made the verification %s, %d checks", v.Status, v.Checks)
	}
	r.Approve(rig.ByID(v.ID, code))
	r.RefuseCheck(rig.ByID(v.ID, ""), problem.InvalidRequest)
}

// Attack 3, for an inbound verification: one of many checks gets the approval.
func TestOneOfManyChecksGetsTheInboundApproval(t *testing.T) {
	r := newRig(t)
	id, text := r.StartInbound(toAlice)
	receive(r, alice, text)
	kinds := r.ChecksAtOnce(12, func(int) otpverify.Request { return rig.ByID(id, "") })
	if kinds[""] != 1 || kinds[problem.AlreadyUsed] != 11 {
		t.Errorf("%v", kinds)
	}
}

// Fail closed: an approval that may not be stored is not answered.
func TestAnInboundApprovalThatIsNotStoredIsNotAnswered(t *testing.T) {
	for fault, after := range map[rig.Fault]problem.Kind{rig.Down: "", rig.Lost: problem.AlreadyUsed} {
		r := newRig(t)
		id, text := r.StartInbound(toAlice)
		receive(r, alice, text)
		r.Table.Break(rig.FaultFrom(1, fault))
		r.RefuseCheck(rig.ByID(id, ""), problem.StorageUnavailable)
		r.Table.Break(nil)
		if after == "" {
			r.Approve(rig.ByID(id, ""))
		} else {
			r.RefuseCheck(rig.ByID(id, ""), after)
		}
	}
}
