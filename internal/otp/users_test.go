package otp_test

import (
	"fmt"
	"strings"
	"testing"

	"twofa/internal/otp"
	"twofa/internal/problem"
)

// issued is a verification of the matrix, where it lies and what its code is.
type issued struct {
	address string
	code    string
	otp.Verification
}

// passes reports whether a check in that row may be approved, where target is
// the verification that it means.
func (target *issued) passes(row string, req otp.CheckRequest, code issued) bool {
	return target != nil && target.address == row && (req.Address == "" || req.Address == row) &&
		(req.Purpose == "" || req.Purpose == target.Purpose) &&
		(req.User == target.User || req.User == "" && req.ID != "") &&
		req.Context == target.Context && code.ID == target.ID
}

// issueMatrix is two users and nobody in particular on two numbers, four
// purposes on each, and a context of its own for each purpose.
func issueMatrix(t *testing.T) (rows map[string]otp.Recipient, all []issued) {
	rows = map[string]otp.Recipient{}
	b := newBench(t, quiet())
	for _, who := range []struct{ address, login, pay, sign, card string }{
		{alice, "a", "b", "", "a"},
		{bob, "b", "", "a", ""},
	} {
		for purpose, user := range map[string]string{"login": who.login, "pay": who.pay, "sign": who.sign, "card": who.card} {
			req := b.request(who.address, purpose, otp.Context{Payee: purpose})
			req.User = user
			r, v, err := otp.Start(rows[who.address], req, b.p, b.now)
			if err != nil {
				t.Fatal(err)
			}
			rows[who.address] = r
			all = append(all, issued{who.address, codeOf(t, v), v})
		}
	}
	return rows, all
}

// Whatever row, id or purpose, user, address, context and code a check names, it
// passes only where all are those of one verification.
func TestAttack05_AcrossUsersOnlyTheDiagonalPasses(t *testing.T) {
	rows, all := issueMatrix(t)
	purposes, contexts := []string{"login", "pay", "sign", "card", "other"}, []otp.Context{{}}
	for _, purpose := range purposes {
		contexts = append(contexts, otp.Context{Payee: purpose})
	}
	tried, passed := 0, map[string]int{}
	try := func(row string, target *issued, req otp.CheckRequest, code issued) {
		t.Helper()
		tried++
		req.Code = code.code
		_, v, err := otp.Check(rows[row], req, keyring, quiet(), noon)
		if want := target.passes(row, req, code); (err == nil) != want {
			t.Errorf("row of %s, %+v: got %v, want approval: %v", row, req, err, want)
		}
		if err == nil {
			passed[fmt.Sprint(req.ID != "", v.ID)]++
		}
	}
	for row := range rows {
		for _, user := range []string{"", "a", "b", "c"} {
			for _, address := range []string{"", alice, bob} {
				for _, c := range contexts {
					for _, code := range all {
						for i := range all {
							for _, purpose := range append(purposes, "") {
								try(row, &all[i], otp.CheckRequest{ID: all[i].ID, Purpose: purpose, User: user, Address: address, Context: c}, code)
							}
						}
						for _, purpose := range purposes {
							var target *issued
							for i := range all {
								if all[i].address == row && all[i].Purpose == purpose && all[i].User == user {
									target = &all[i]
								}
							}
							try(row, target, otp.CheckRequest{Purpose: purpose, User: user, Address: address, Context: c}, code)
						}
					}
				}
			}
		}
	}
	byID := 0
	for way := range passed {
		if strings.HasPrefix(way, "true") {
			byID++
		}
	}
	if byID != len(all) || len(passed) != 2*len(all) {
		t.Errorf("in %d tries %d of %d were approved by id and %d by purpose", tried, byID, len(all), len(passed)-byID)
	}
}

// The same purpose on the same number: the newer start ends the older one, and
// neither user's check finds the other's verification.
func TestAttack05_UsersWhoShareANumberAndAPurpose(t *testing.T) {
	startAs := func(b *bench, user string) otp.Verification {
		return b.startWith(func(req *otp.StartRequest) { req.User = user })
	}
	for _, tc := range []struct{ first, second string }{{"a", "b"}, {"a", ""}, {"", "a"}} {
		b := newBench(t, quiet())
		older, newer := startAs(b, tc.first), startAs(b, tc.second)
		try := func(user string, code otp.Verification) problem.Kind {
			_, v, err := otp.Check(b.r, otp.CheckRequest{Purpose: "login", User: user, Code: codeOf(t, code)}, keyring, b.p, b.now)
			if err == nil && v.User != user {
				t.Errorf("%q was approved by the code of %q", user, v.User)
			}
			return kindOf(t, err)
		}
		for _, want := range []struct {
			user string
			code otp.Verification
			kind problem.Kind
		}{
			{tc.first, older, problem.Canceled},
			{tc.first, newer, problem.Canceled},
			{tc.second, older, problem.WrongCode},
			{tc.second, newer, ""},
			{"c", older, problem.NotFound},
			{"c", newer, problem.NotFound},
		} {
			if got := try(want.user, want.code); got != want.kind {
				t.Errorf("%+v: %q with the code of %q: got %q, want %q", tc, want.user, want.code.User, got, want.kind)
			}
		}
	}
}
