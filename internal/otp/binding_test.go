package otp_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
)

func TestR3_AcceptedOnce(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.start("login")
	wantKind(t, b.right(v), "")
	after := deepCopy(b.r)
	for range 3 {
		wantKind(t, b.right(v), problem.AlreadyUsed)
		wantKind(t, b.wrong(v), problem.AlreadyUsed)
	}
	if !same(b.r, after) {
		t.Error("a reuse changed the recipient")
	}
}

func TestAttack04_ReuseInAnySpellingIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench(t, otp.DefaultPolicy())
		b.p.Shape = otp.Shape{Length: 8, Alphabet: otp.Alphanumeric}
		v := b.start("login")
		check := func(req otp.CheckRequest) error {
			code, ok := otp.ReadCode(respell(t, codeOf(t, v)))
			if !ok {
				t.Fatal("the spelling was not read")
			}
			req.Code = code
			var err error
			b.r, _, err = otp.Check(b.r, req, keyring, b.p, b.now)
			return err
		}
		wantKind(t, check(otp.CheckRequest{ID: v.ID}), "")
		wantKind(t, check(otp.CheckRequest{ID: v.ID}), problem.AlreadyUsed)
		wantKind(t, check(otp.CheckRequest{Address: alice, Purpose: "login"}), problem.AlreadyUsed)
	})
}

// Two people with two purposes each, and a context of its own for each of the
// four verifications. Every combination of whose row, id or purpose, address,
// context and code is tried; it passes only where all belong to one verification.
func TestAttack05_OnlyTheDiagonalPasses(t *testing.T) {
	type issued struct {
		address string
		otp.Verification
	}
	rows := map[string]otp.Recipient{}
	var all []issued
	b := newBench(t, quiet())
	for i, c := range []otp.Context{
		{}, {Amount: "EUR 25.00", Payee: "Acme"}, {Amount: "EUR 25.00", Payee: "Acme Ltd"}, {Payee: "EUR 25.00", Amount: "Acme"},
	} {
		address, purpose := []string{alice, bob}[i/2], []string{"login", "pay"}[i%2]
		r, v, err := otp.Start(rows[address], b.request(address, purpose, c), b.p, b.now)
		if err != nil {
			t.Fatal(err)
		}
		rows[address] = r
		all = append(all, issued{address, v})
	}
	purposes := []string{"login", "pay", "other"}
	addresses := []string{"", alice, bob}
	contexts := []otp.Context{{Amount: "EUR 25.00"}}
	for _, v := range all {
		contexts = append(contexts, v.Context)
	}

	tried, passed := 0, map[string]int{}
	try := func(row string, target *issued, req otp.CheckRequest, code issued) {
		t.Helper()
		tried++
		req.Code = codeOf(t, code.Verification)
		want := target != nil && target.address == row && (req.Address == "" || req.Address == row) &&
			(req.Purpose == "" || req.Purpose == target.Purpose) && req.Context == target.Context && code.ID == target.ID
		r, v, err := otp.Check(rows[row], req, keyring, b.p, b.now)
		if (err == nil) != want {
			t.Errorf("row of %s, %+v: got %v, want approval: %v", row, req, err, want)
			return
		}
		if err != nil {
			for _, kept := range r.Verifications {
				if kept.Status != otp.Pending {
					t.Errorf("row of %s, %+v: refused, and yet %s", row, req, kept.Status)
				}
			}
			return
		}
		passed[fmt.Sprint(req.ID != "", v.ID)]++
	}
	for row := range rows {
		for _, address := range addresses {
			for _, c := range contexts {
				for _, code := range all {
					for i := range all {
						for _, purpose := range append(purposes, "") {
							try(row, &all[i], otp.CheckRequest{ID: all[i].ID, Purpose: purpose, Address: address, Context: c}, code)
						}
					}
					for _, purpose := range purposes {
						var target *issued
						for i := range all {
							if all[i].address == row && all[i].Purpose == purpose {
								target = &all[i]
							}
						}
						try(row, target, otp.CheckRequest{Purpose: purpose, Address: address, Context: c}, code)
					}
				}
			}
		}
	}
	// Each verification by id (with its purpose and without) and by purpose, each
	// with its address and without.
	if len(passed) != 8 {
		t.Errorf("%d of 8 ways to be approved were seen in %d tries: %v", len(passed), tried, passed)
	}
	for way, n := range passed {
		want := 2
		if strings.HasPrefix(way, "true") {
			want = 4
		}
		if n != want {
			t.Errorf("%s: approved %d times, want %d", way, n, want)
		}
	}
}

func TestR5_AWrongContextAnswersExactlyLikeAWrongCode(t *testing.T) {
	bound := otp.Context{Amount: "EUR 25.00", Payee: "Acme"}
	b := newBench(t, otp.DefaultPolicy())
	r, v, err := otp.Start(otp.Recipient{}, b.request(alice, "pay", bound), b.p, b.now)
	if err != nil {
		t.Fatal(err)
	}
	right := codeOf(t, v)
	wrongR, wrongV, wrongErr := otp.Check(r, otp.CheckRequest{ID: v.ID, Code: wrongCode(right), Context: bound}, keyring, b.p, b.now)
	wantKind(t, wrongErr, problem.WrongCode)
	for _, c := range []otp.Context{
		{},
		{Amount: "EUR 25.00"},
		{Payee: "Acme"},
		{Amount: "EUR 25.01", Payee: "Acme"},
		{Amount: "EUR 25.00", Payee: "acme"},
		{Amount: "EUR 25.00 ", Payee: "Acme"},
		{Amount: "Acme", Payee: "EUR 25.00"},
		{Amount: "EUR 25.00Acme"},
	} {
		gotR, gotV, gotErr := otp.Check(r, otp.CheckRequest{ID: v.ID, Code: right, Context: c}, keyring, b.p, b.now)
		if !reflect.DeepEqual(gotErr, wrongErr) {
			t.Errorf("%+v: got %#v, a wrong code gets %#v", c, gotErr, wrongErr)
		}
		if !same(gotR, wrongR) || !alike(gotV, wrongV) {
			t.Errorf("%+v: leaves another state than a wrong code", c)
		}
	}
	_, _, err = otp.Check(r, otp.CheckRequest{ID: v.ID, Code: right, Context: bound}, keyring, b.p, b.now)
	wantKind(t, err, "")
}

func TestR5_AContextWhereNoneWasBoundIsRefused(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.start("login")
	_, _, err := otp.Check(b.r, otp.CheckRequest{
		ID: v.ID, Code: codeOf(t, v), Context: otp.Context{Amount: "EUR 1"},
	}, keyring, b.p, b.now)
	wantKind(t, err, problem.WrongCode)
}

// Shapes may change while a verification lives: it keeps the one it was made with.
func TestCheck_ACodeOfAnotherLengthIsWrong(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.start("login")
	code := codeOf(t, v)
	for _, other := range []string{"", code[:5], code + "0", "0" + code} {
		_, _, err := otp.Check(b.r, otp.CheckRequest{ID: v.ID, Code: other}, keyring, b.p, b.now)
		wantKind(t, err, problem.WrongCode)
	}
	b.p.Shape.Length = 8
	wantKind(t, b.check(v, code), "")
}
