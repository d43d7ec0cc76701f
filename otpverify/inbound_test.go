package otpverify_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

// inbound starts a verification by the person's own message, and returns the
// text that the person is asked to send.
func (b *bench) inbound(req otpsend.Request) (otp.ID, string) {
	b.t.Helper()
	req.Channel = otp.ChannelInbound
	a, _, err := b.Send.Start(b.Ctx(), req, "")
	if err != nil {
		b.t.Fatal(err)
	}
	b.Code(a.ID) // which no line may tell
	return a.ID, a.Inbound.Text
}

// arrive has a text come from a number.
func (b *bench) arrive(from, text string) string {
	b.t.Helper()
	reply, err := b.Inbox.Receive(b.Ctx(), notify.Inbound{From: from, Channel: notify.WhatsApp, Text: text})
	if err != nil {
		b.t.Fatal(err)
	}
	return reply
}

// The person's message approves; its client fetches that, once.
func TestAPersonsMessageIsFetchedOnce(t *testing.T) {
	b := newBench(t)
	id, text := b.inbound(otpsend.Request{To: alice})
	req := otpverify.Request{ID: string(id)}
	for range 20 { // asking costs nothing
		if e := b.refused(req, problem.NotYetApproved); e.RetryAfter <= 0 {
			t.Errorf("retry after %v", e.RetryAfter)
		}
	}
	if reply := b.arrive(alice, text); !strings.Contains(reply, "Acme") {
		t.Errorf("reply %q", reply)
	}
	b.Wait(90 * time.Second)
	a, err := b.check(req)
	want := otpverify.Answer{ID: id, Status: otp.Approved, To: "+1******0123", Channel: "inbound", Purpose: "login", ApprovedAt: noon}
	if err != nil || a != want {
		t.Errorf("%+v %v", a, err)
	}
	b.refused(req, problem.AlreadyUsed)
	if b.Sent() != 0 {
		t.Errorf("%d messages", b.Sent())
	}
}

// The code is on the client's screen: whoever types it proves nothing.
func TestTheCodeOfAPersonsMessageIsNeverAccepted(t *testing.T) {
	b := newBench(t)
	b.User(user.User{Name: canary, Phone: alice})
	id, text := b.inbound(otpsend.Request{User: canary})
	code := b.Code(id)
	try := func() {
		t.Helper()
		for _, req := range []otpverify.Request{{ID: string(id), Code: code}, {User: canary, Code: code}, {ID: string(id), Code: "WRONG22222"}} {
			if e := b.refused(req, problem.InvalidRequest); e.Fields[0].Name != "code" {
				t.Errorf("%+v: %+v", req, e.Fields)
			}
		}
	}
	try()
	kept, v := b.Verification(id)
	if v.Checks != 0 || len(kept.Failures) != 0 || v.Status != otp.Pending {
		t.Errorf("spent: %d checks, %d failures; it is %s", v.Checks, len(kept.Failures), v.Status)
	}
	b.arrive(alice, text)
	try()
	if _, err := b.check(otpverify.Request{ID: string(id)}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if !b.Registered(canary).PhoneVerified {
		t.Error("the number that the message came from was not proven")
	}
}

func TestWhatDoesNotBelongToAPersonsMessageIsNotFetched(t *testing.T) {
	paying := otp.Context{Amount: "EUR 25.00", Payee: "Acme Bikes"}
	for name, tc := range map[string]struct {
		req  otpverify.Request
		want problem.Kind
	}{
		"no context":     {otpverify.Request{}, problem.WrongCode},
		"another amount": {otpverify.Request{Context: otp.Context{Amount: "EUR 25", Payee: paying.Payee}}, problem.WrongCode},
		"another person": {otpverify.Request{To: bob, Context: paying}, problem.NotFound},
		"another user":   {otpverify.Request{User: "canary-other", Context: paying}, problem.NotFound},
		"a purpose":      {otpverify.Request{Purpose: "login", Context: paying}, problem.NotFound},
		"all that fits":  {otpverify.Request{User: canary, Purpose: "pay", Context: paying}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.User(user.User{Name: canary, Phone: alice})
			b.User(user.User{Name: "canary-other", Phone: alice})
			id, text := b.inbound(otpsend.Request{User: canary, Purpose: "pay", Context: paying})
			b.arrive(alice, text)
			tc.req.ID = string(id)
			if tc.want == "" {
				if _, err := b.check(tc.req); err != nil {
					t.Error(err)
				}
				return
			}
			b.refused(tc.req, tc.want)
			if _, v := b.Verification(id); v.Claimed || v.Status != otp.Approved || v.Checks != 0 {
				t.Errorf("%+v", v)
			}
		})
	}
}

// What ended otherwise is never fetched, nor what was sent a code.
func TestOnlyAnApprovalByThePersonsMessageIsFetched(t *testing.T) {
	b := newBench(t)
	id, text := b.inbound(otpsend.Request{To: alice})
	if reply := b.arrive(alice, "no"); reply == "" {
		t.Error("a no was not answered")
	}
	b.refused(otpverify.Request{ID: string(id)}, problem.Denied)
	b.arrive(alice, text) // too late
	b.refused(otpverify.Request{ID: string(id)}, problem.Denied)

	id, text = b.inbound(otpsend.Request{To: alice})
	_, v := b.Verification(id)
	b.SetTime(v.ExpiresAt)
	b.arrive(alice, text)
	b.refused(otpverify.Request{ID: string(id)}, problem.Expired)

	v, code := b.mustStart(otpsend.Request{To: alice})
	if e := b.refused(otpverify.Request{ID: string(v.ID)}, problem.InvalidRequest); e.Fields[0].Name != "code" {
		t.Errorf("%+v", e.Fields)
	}
	b.arrive(alice, "my code is "+code) // a code that was sent is for typing alone
	if _, v = b.Verification(v.ID); v.Status != otp.Pending || v.Checks != 0 {
		t.Errorf("a message made it %s, %d checks", v.Status, v.Checks)
	}
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); err != nil {
		t.Error(err)
	}
	b.refused(otpverify.Request{ID: string(v.ID)}, problem.InvalidRequest)
}

// Attack 3, for the person's own message.
func TestOneOfManyFetchesGetsTheApproval(t *testing.T) {
	b := newBench(t)
	id, text := b.inbound(otpsend.Request{To: alice})
	b.arrive(alice, text)
	var wg sync.WaitGroup
	var approved atomic.Int64
	for range 12 {
		wg.Go(func() {
			switch _, err := b.check(otpverify.Request{ID: string(id)}); {
			case err == nil:
				approved.Add(1)
			case kindOf(err) != problem.AlreadyUsed:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if approved.Load() != 1 {
		t.Errorf("%d were approved", approved.Load())
	}
}

// Fail closed: what may not have been kept is not told.
func TestAFetchThatWasNotKeptIsNotAnswered(t *testing.T) {
	for fault, after := range map[rig.Fault]problem.Kind{rig.Down: "", rig.Lost: problem.AlreadyUsed} {
		b := newBench(t)
		id, text := b.inbound(otpsend.Request{To: alice})
		b.arrive(alice, text)
		b.Table.Break(func(int) rig.Fault { return fault })
		b.refused(otpverify.Request{ID: string(id)}, problem.StorageUnavailable)
		b.Table.Break(nil)
		if _, err := b.check(otpverify.Request{ID: string(id)}); (err == nil) != (after == "") || after != "" && kindOf(err) != after {
			t.Errorf("fault %d, afterwards: %v", fault, err)
		}
	}
}
