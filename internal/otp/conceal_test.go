package otp_test

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

// signIn starts a verification of a purpose.
func (r *rig) signIn(purpose string, c otp.Caller) otp.Verification {
	r.t.Helper()
	req := r.request(fixture.Alice, purpose, otp.Transaction{})
	req.Caller = c
	v, err := r.apply(req)
	wantKind(r.t, err, "")
	return v
}

// ended is a verification of a page whose message was refused, or which the person has denied.
func ended(t rapid.TB, purpose string, deny bool, failures otp.Next) (*rig, otp.Verification) {
	t.Helper()
	r := newRig(t, otp.DefaultPolicy())
	v := r.signIn(purpose, onPage(typedBy("bank", 1), 1))
	if !deny {
		r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, Next: failures, Unsent: true})
		return r, v
	}
	var err error
	r.kept, _, err = otp.Deny(r.kept, r.now)
	wantKind(t, err, "")
	return r, v
}

// quietly checks a code as a page of sign-in does. A link is followed instead if its message is not 0.
func (r *rig) quietly(v otp.Verification, code string, link int, silent bool) error {
	return r.checkWith(otp.CheckRequest{Caller: v.Caller, AnyOrigin: true, ID: v.ID, Code: code, Link: link, Silent: silent})
}

// silently sends a code again as a page of sign-in does.
func (r *rig) silently(v otp.Verification, silent bool) (err error) {
	r.kept, _, err = otp.Resend(r.kept, otp.ResendRequest{ID: v.ID, Owner: v.Owner(), AnyOrigin: true, Silent: silent}, r.policy, r.now)
	return err
}

// A verification whose message was refused, or which was denied, is never approved, not by the right code nor by the
// link of its message, and nothing makes it pending again. Of another purpose, the answer says what became of it.
func TestR23_WhatIsConcealedIsNeverApproved(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		deny := rapid.Bool().Draw(t, "deny")
		r, v := ended(t, otp.SignInPurpose, deny, rapid.SampledFrom([]otp.Next{otp.NextChannel, otp.NextAddress, otp.NextNone}).Draw(t, "next"))
		was, kind := otp.Undeliverable, problem.Undeliverable
		if deny {
			was, kind = otp.Denied, problem.Denied
		}
		if r.status(v) != was {
			t.Fatalf("%s", r.status(v))
		}
		wantKind(t, r.silently(v, false), kind)
		other, w := ended(t, "login", deny, otp.NextNone)
		wantKind(t, other.rightAs(w), kind)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				if r.quietly(v, codeOf(t, v), 0, false) == nil {
					t.Fatal("the right code is approved")
				}
			case 1:
				if r.quietly(v, "", 1, false) == nil {
					t.Fatal("the link is approved")
				}
			case 2:
				_ = r.quietly(v, wrongCode(codeOf(t, v)), 0, rapid.Bool().Draw(t, "silent"))
			case 3:
				_ = r.silently(v, true)
			case 4:
				found := r.found(v)
				r.follow(otp.Progress{ID: v.ID, Attempt: rapid.IntRange(1, len(found.Attempts)).Draw(t, "attempt"), Status: rapid.SampledFrom([]otp.DeliveryStatus{otp.Sent, otp.Failed, otp.Delivered, otp.Read}).Draw(t, "status")})
			case 5:
				r.now = r.now.Add(rapid.SampledFrom([]time.Duration{time.Second, 31 * time.Second, 4 * time.Minute}).Draw(t, "pause"))
			}
			if s := r.status(v); s != was && s != otp.Exhausted {
				t.Fatalf("it was %s, and is %s", was, s)
			}
		}
	})
}

// What a page of sign-in is told of such a verification is what it is told of one that nobody was sent, whatever it
// asks for, and its address has the same counters.
func TestR23_WhatIsConcealedIsAsOneThatIsPending(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, v := ended(t, otp.SignInPurpose, rapid.Bool().Draw(t, "deny"), rapid.SampledFrom([]otp.Next{otp.NextChannel, otp.NextNone}).Draw(t, "next"))
		b := newRig(t, a.policy)
		b.signIn(otp.SignInPurpose, v.Caller)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			var got, want error
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				got, want = a.quietly(v, codeOf(t, v), 0, false), b.quietly(v, wrongCode(codeOf(t, v)), 0, true)
			case 1:
				got, want = a.quietly(v, "no code", 0, false), b.quietly(v, "no code", 0, true)
			case 2:
				got, want = a.silently(v, true), b.silently(v, true)
			case 3:
				pause := rapid.SampledFrom([]time.Duration{time.Second, 31 * time.Second, 4 * time.Minute}).Draw(t, "pause")
				a.now, b.now = a.now.Add(pause), b.now.Add(pause)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("told %#v, of one that is pending %#v", got, want)
			}
			if x, y := a.kept.Tally(v.Caller), b.kept.Tally(v.Caller); !reflect.DeepEqual(x, y) {
				t.Fatalf("counted %+v, of one that is pending %+v", x, y)
			}
			if x, y := a.kept.ResendAfter(v.Caller, a.policy), b.kept.ResendAfter(v.Caller, b.policy); !x.Equal(y) {
				t.Fatalf("the next message may go out %v, of one that is pending %v", x, y)
			}
		}
	})
}

// Silent starts are not kept from an address that the provider blocks, and no others are let through.
func TestR23_ASilentStartIgnoresTheBlock(t *testing.T) {
	t.Parallel()
	r, v := ended(t, otp.SignInPurpose, false, otp.NextNone)
	r.now = r.now.Add(time.Minute)
	start := func(silent bool) error {
		req := r.request(r.kept.Address, "login", otp.Transaction{})
		req.Caller, req.Silent = v.Caller, silent
		_, err := r.apply(req)
		return err
	}
	wantKind(t, start(false), problem.DestinationRefused)
	wantKind(t, start(true), "")
}
