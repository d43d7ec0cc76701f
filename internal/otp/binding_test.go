package otp_test

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

func TestR3_AcceptedOnce(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy())
	wantKind(t, r.right(v), "")
	r.unchanged("a reuse", func() {
		for range 3 {
			wantKind(t, r.right(v), problem.AlreadyUsed)
			wantKind(t, r.wrong(v), problem.AlreadyUsed)
		}
	})
}

func TestAttack04_ReuseInAnySpellingIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, otp.DefaultPolicy())
		r.policy.Shape = otp.Shape{Length: 8, Alphabet: otp.Alphanumeric}
		v := r.start("login")
		check := func(req otp.CheckRequest) error {
			code, ok := otp.ReadCode(respell(t, codeOf(t, v)))
			if !ok {
				t.Fatal("the spelling was not read")
			}
			req.Code = code
			return r.checkWith(req)
		}
		wantKind(t, check(otp.CheckRequest{ID: v.ID}), "")
		wantKind(t, check(otp.CheckRequest{ID: v.ID}), problem.AlreadyUsed)
		wantKind(t, check(otp.CheckRequest{Address: fixture.Alice, Purpose: "login"}), problem.AlreadyUsed)
	})
}

func TestR5_AWrongContextAnswersExactlyLikeAWrongCode(t *testing.T) {
	bound := otp.Transaction{Amount: "EUR 25.00", Payee: "Acme"}
	r := newRig(t, otp.DefaultPolicy())
	v := r.startWith(func(req *otp.StartRequest) { req.Purpose, req.Transaction = "pay", bound })
	right := codeOf(t, v)
	check := func(code string, c otp.Transaction) (otp.Recipient, otp.Verification, error) {
		return otp.Check(r.kept, otp.CheckRequest{ID: v.ID, Code: code, Transaction: c}, keyring, r.policy, r.now)
	}
	wrongR, wrongV, wrongErr := check(wrongCode(right), bound)
	wantKind(t, wrongErr, problem.WrongCode)
	for _, c := range []otp.Transaction{
		{},
		{Amount: "EUR 25.00"},
		{Payee: "Acme"},
		{Amount: "EUR 25.01", Payee: "Acme"},
		{Amount: "EUR 25.00", Payee: "acme"},
		{Amount: "EUR 25.00\u202e", Payee: "Acme"},
		{Amount: "EUR 25 .00", Payee: "Acme"},
		{Amount: "Acme", Payee: "EUR 25.00"},
		{Amount: "EUR 25.00Acme"},
	} {
		gotR, gotV, gotErr := check(right, c)
		if !reflect.DeepEqual(gotErr, wrongErr) {
			t.Errorf("%+v: got %#v, a wrong code gets %#v", c, gotErr, wrongErr)
		}
		if !same(gotR, wrongR) || !alike(gotV, wrongV) {
			t.Errorf("%+v: leaves another state than a wrong code", c)
		}
	}
	wantKind(t, r.checkWith(otp.CheckRequest{ID: v.ID, Code: right, Transaction: bound}), "")
}

// A row of the release before may hold texts that are not in their one form. The client
// that sent them gets its approval, in whatever spelling.
func TestCheck_ATextOfAnOlderReleaseIsApproved(t *testing.T) {
	for _, bound := range []otp.Transaction{
		{Payee: "نرم PDF\u200cها"}, {Payee: "Cafe\u0301"}, {Amount: "EUR 5", Payee: "❤\ufe0f Shop"}, {Payee: "A\u200dcme"}, {Amount: "EUR 25.00", Payee: "Acme"},
	} {
		for _, req := range []otp.Transaction{bound, bound.Form()} {
			r := newRig(t, otp.DefaultPolicy())
			v := r.startWith(func(start *otp.StartRequest) { start.Transaction = bound })
			wantKind(t, r.checkWith(otp.CheckRequest{ID: v.ID, Code: codeOf(t, v), Transaction: req}), "")
		}
	}
}

func TestR5_AContextIsRefusedIfNoneWasBound(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy())
	req := otp.CheckRequest{ID: v.ID, Code: codeOf(t, v), Transaction: otp.Transaction{Amount: "EUR 1"}}
	wantKind(t, r.checkWith(req), problem.WrongCode)
}

// The operator may change the shape of codes: a verification keeps the shape that
// its code was made with. A text of another shape spends no try.
func TestCheck_ACodeOfAnotherLengthIsRefused(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy())
	code := codeOf(t, v)
	for _, other := range []string{"", code[:5], code + "0", "0" + code} {
		before := r.kept
		if wantKind(t, r.check(v, other), problem.InvalidRequest); !same(before, r.kept) {
			t.Errorf("%q has changed the recipient: %+v", other, r.kept)
		}
	}
	r.policy.Shape.Length = 8
	wantKind(t, r.check(v, code), "")
}
