package otp_test

import (
	"fmt"
	"testing"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

// issued is a verification of the matrix, with its address and its code.
type issued struct {
	address string
	code    string
	otp.Verification
}

// accepts reports whether a check in that row may be approved, if target is the
// verification that it names.
func (target *issued) accepts(row string, req otp.CheckRequest, code issued) bool {
	return target != nil && target.address == row && (req.Address == "" || req.Address == row) &&
		(req.Purpose == "" || req.Purpose == target.Purpose) &&
		(req.User == target.User || req.User == "" && req.ID != "") &&
		req.Transaction == target.Transaction && code.ID == target.ID
}

// matrix is two users, and requests without a user, on two numbers: four
// purposes on each, and a context of its own for each purpose.
var matrix = struct {
	contexts map[string]otp.Transaction
	users    map[string]map[string]otp.UserKey
}{
	map[string]otp.Transaction{
		"login": {}, "pay": {Amount: "EUR 25.00", Payee: "Acme"},
		"sign": {Amount: "EUR 25.00", Payee: "Acme Ltd"}, "card": {Amount: "Acme", Payee: "EUR 25.00"},
	},
	map[string]map[string]otp.UserKey{
		fixture.Alice: {"login": "a", "pay": "b", "sign": "", "card": "a"},
		fixture.Bob:   {"login": "b", "pay": "", "sign": "a", "card": ""},
	},
}

// issueMatrix starts the verifications of the matrix.
func issueMatrix(t *testing.T) (rows map[string]*rig, all []issued) {
	rows = map[string]*rig{}
	for address, users := range matrix.users {
		r := newRig(t, quiet())
		rows[address] = r
		for purpose, user := range users {
			req := r.request(address, purpose, matrix.contexts[purpose])
			req.User = user
			v, err := r.apply(req)
			wantKind(t, err, "")
			all = append(all, issued{address, codeOf(t, v), v})
		}
	}
	return rows, all
}

// A check names a row, an id or a purpose, a user, an address, a context and a
// code. It passes only if all of them belong to one verification.
func TestAttack05_OnlyACheckWhosePartsBelongTogetherPasses(t *testing.T) {
	rows, all := issueMatrix(t)
	contexts := []otp.Transaction{{Amount: "EUR 25.00"}}
	for _, c := range matrix.contexts {
		contexts = append(contexts, c)
	}
	passed := map[string]int{}
	try := func(row string, target *issued, req otp.CheckRequest, code issued) {
		t.Helper()
		req.Code, req.Addresses = code.code, []string{fixture.Alice, fixture.Bob}
		r, v, err := otp.Check(rows[row].kept, req, keyring, quiet(), fixture.Noon)
		if want := target.accepts(row, req, code); (err == nil) != want {
			t.Errorf("row of %s, %+v: got %v, want approval: %v", row, req, err, want)
		}
		if err == nil {
			passed[fmt.Sprint(req.ID != "", v.ID)]++
			return
		}
		for _, kept := range r.Verifications {
			if kept.Status != otp.Pending {
				t.Errorf("row of %s, %+v: the check was refused, but a verification is %s", row, req, kept.Status)
			}
		}
	}
	purposes := []string{"login", "pay", "sign", "card", "other"}
	tryAll := func(row string, req otp.CheckRequest, code issued) {
		for i := range all {
			for _, req.Purpose = range append(purposes, "") {
				req.ID = all[i].ID
				try(row, &all[i], req, code)
			}
		}
		req.ID = ""
		for _, req.Purpose = range purposes {
			var target *issued
			for i := range all {
				if all[i].address == row && all[i].Purpose == req.Purpose && all[i].User == req.User {
					target = &all[i]
				}
			}
			try(row, target, req, code)
		}
	}
	for row := range rows {
		for _, user := range []otp.UserKey{"", "a", "b", "c"} {
			for _, address := range []string{"", fixture.Alice, fixture.Bob} {
				for _, c := range contexts {
					for _, code := range all {
						tryAll(row, otp.CheckRequest{User: user, Address: address, Transaction: c}, code)
					}
				}
			}
		}
	}
	// By purpose, a check may leave out the address. By id, it may leave out the
	// purpose and the user, too.
	want := map[string]int{}
	for _, v := range all {
		byID := 4
		if v.User != "" {
			byID = 8
		}
		want[fmt.Sprint(true, v.ID)], want[fmt.Sprint(false, v.ID)] = byID, 2
	}
	if fmt.Sprint(passed) != fmt.Sprint(want) {
		t.Errorf("approved checks, by id (true) and by purpose:\ngot  %v\nwant %v", passed, want)
	}
}

// The same purpose on the same number: the newer start ends the older one, and
// neither user's check finds the other's verification.
func TestAttack05_UsersWhoShareANumberAndAPurpose(t *testing.T) {
	for _, tc := range []struct{ first, second otp.UserKey }{{"a", "b"}, {"a", ""}, {"", "a"}} {
		r := newRig(t, quiet())
		older := r.startWith(func(req *otp.StartRequest) { req.User = tc.first })
		newer := r.startWith(func(req *otp.StartRequest) { req.User = tc.second })
		for _, want := range []struct {
			user otp.UserKey
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
			_, v, err := otp.Check(r.kept, otp.CheckRequest{
				Purpose: "login", User: want.user, Code: codeOf(t, want.code), Addresses: []string{fixture.Alice},
			}, keyring, r.policy, r.now)
			if err == nil && v.User != want.user {
				t.Errorf("%q was approved by the code of %q", want.user, v.User)
			}
			if got := kindOf(t, err); got != want.kind {
				t.Errorf("%+v: %q with the code of %q: got %q, want %q", tc, want.user, want.code.User, got, want.kind)
			}
		}
	}
}

// The newest verification of the right kind is found, unless it has ended and hides a
// newer one of the other kind.
func TestLatest_AnEndedOneHidesNoNewerOneOfTheOtherKind(t *testing.T) {
	one := func(id otp.ID, user otp.UserKey, status otp.Status) otp.Verification {
		return otp.Verification{ID: id, Purpose: "login", User: user, Status: status}
	}
	for name, tc := range map[string]struct {
		all  []otp.Verification // oldest first
		user otp.UserKey
		want otp.ID // "" for a refusal
	}{
		"pending, and a newer one of a user": {[]otp.Verification{one("a", "", otp.Pending), one("b", "u", otp.Approved)}, "", "a"},
		"approved, and a newer one":          {[]otp.Verification{one("a", "", otp.Approved), one("b", "u", otp.Pending)}, "", ""},
		"canceled, and a newer one":          {[]otp.Verification{one("a", "", otp.Canceled), one("b", "u", otp.Pending)}, "", "a"},
		"approved, and an older one":         {[]otp.Verification{one("b", "u", otp.Pending), one("a", "", otp.Approved)}, "", "a"},
		"a user's, and a newer one without":  {[]otp.Verification{one("a", "u", otp.Approved), one("b", "", otp.Approved)}, "u", ""},
		"a user's, and another user's":       {[]otp.Verification{one("a", "u", otp.Approved), one("b", "w", otp.Pending)}, "u", "a"},
		"only another user's":                {[]otp.Verification{one("b", "w", otp.Pending)}, "u", ""},
	} {
		v, err := otp.Recipient{Verifications: tc.all}.Latest(server, "login", tc.user)
		if v.ID != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%s: %q, %v", name, v.ID, err)
		}
		if err != nil {
			wantKind(t, err, problem.NotFound)
		}
	}
}
