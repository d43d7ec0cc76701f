package otpverify_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

func TestAnUnknownUserIsNotFound(t *testing.T) {
	r := newRig(t)
	r.Secret("a name", canary)
	if e := r.RefuseCheck(byUser("123456"), problem.NotFound); e.Detail == "" {
		t.Error("no detail")
	}
}

// The round trips of a check are as documented.
func TestStorageRoundTrips(t *testing.T) {
	byID := func(v otp.Verification) otpverify.Request { return rig.ByID(v.ID, "") }
	byName := func(otp.Verification) otpverify.Request { return byUser("") }
	byBoth := func(v otp.Verification) otpverify.Request {
		return otpverify.Request{ID: string(v.ID), User: canary}
	}
	both := otpsend.Request{User: canary, Channels: []channel.Channel{"email", "sms"}}
	byAddress := func(otp.Verification) otpverify.Request { return otpverify.Request{To: alice} }
	for _, tc := range []struct {
		name     string
		start    otpsend.Request
		check    func(v otp.Verification) otpverify.Request
		verified bool
		want     int64
	}{
		{"by id", toAlice, byID, false, 2},
		{"by address", toAlice, byAddress, false, 2},
		{"by id, of a user", bySMS(""), byID, true, 3},
		{"by id and user", bySMS(""), byBoth, true, 3},
		{"by id, at the second address too", both, byID, true, 8},
		{"by user", bySMS(""), byName, true, 5},
		{"by user, at the second address too", both, byName, true, 9},
		{"by user, at the second address", byEmail(""), byName, true, 5},
		{"by id, the first approval", bySMS(""), byID, false, 5},
		{"by user, the first approval", bySMS(""), byName, false, 7},
		{"by user, the first approval of the second address", byEmail(""), byName, false, 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newUserRig(t, func(u *user.User) { u.PhoneVerified, u.EmailVerified = tc.verified, tc.verified }, channel.Sending...)
			v, code := begin(r, tc.start)
			req := tc.check(v)
			for _, right := range []bool{false, true} {
				want := tc.want
				if req.Code = code; !right {
					req.Code = r.Wrong(v.ID)
					if !tc.verified && v.User != "" {
						want -= 2 // a wrong code verifies no address
					}
					if v.User != "" && req.ID != "" {
						want-- // and needs no look at the user
					}
					if slices.Contains(v.Workflow, "email") && len(v.Workflow) > 1 {
						want -= 2 // it is not given back
					}
				}
				got := r.Trips(func(ctx context.Context) {
					if _, err := r.Verify.Check(ctx, req); right != (err == nil) {
						t.Errorf("right: %t, %v", right, err)
					}
				})
				if got != want {
					t.Errorf("right: %t: %d round trips, want %d", right, got, want)
				}
			}
		})
	}
}

// An approval verifies the address that the code was sent to, and no other.
func TestAnApprovalVerifiesTheAddressThatTheCodeWasSentTo(t *testing.T) {
	landline := &notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 21614}
	both := otpsend.Request{User: canary, Channels: []channel.Channel{"sms", "email"}}
	for name, tc := range map[string]struct {
		sms          error // what the sender answers
		start        otpsend.Request
		between      func(r *rig.Rig, id otp.ID)
		phone, email bool
	}{
		"the number":                 {start: bySMS(""), phone: true},
		"the e-mail":                 {start: byEmail(""), email: true},
		"the first of both":          {start: both, phone: true},
		"the second, by fallback":    {sms: landline, start: both, email: true},
		"the second, after a report": {start: both, between: func(r *rig.Rig, id otp.ID) { r.MustReport(id, 1, otp.Failed, landline) }, email: true},
		"either of both, so none":    {start: both, between: func(r *rig.Rig, id otp.ID) { r.MustResend(id, "email") }},
		"one of them twice":          {start: both, between: func(r *rig.Rig, id otp.ID) { r.MustResend(id, "sms") }, phone: true},
		"without a user":             {start: toAlice},
	} {
		t.Run(name, func(t *testing.T) {
			r := newUserRig(t, nil, channel.Sending...)
			r.Sender(channel.SMS).Always(tc.sms)
			v, code := begin(r, tc.start)
			if tc.between != nil {
				tc.between(r, v.ID)
			}
			r.RefuseCheck(rig.ByID(v.ID, r.Wrong(v.ID)), problem.WrongCode)
			wantVerified(r, false, false)
			r.Approve(rig.ByID(v.ID, code))
			wantVerified(r, tc.phone, tc.email)
		})
	}
}

// The first approval verifies the address; later approvals do not change the user.
func TestOnlyTheFirstApprovalChangesTheUser(t *testing.T) {
	r := newUserRig(t, nil, channel.SMS)
	var revisions [][8]byte
	for range 3 {
		v, code := begin(r, bySMS(""))
		r.Approve(rig.ByID(v.ID, code))
		revisions = append(revisions, r.Registered(canary).Revision)
	}
	if revisions[0] == ([8]byte{}) || revisions[1] != revisions[0] || revisions[2] != revisions[0] {
		t.Errorf("revisions %x", revisions)
	}
}

// An approval is stored and answered even if the user cannot be changed. The next
// approval verifies the address then.
func TestAnApprovalHoldsIfTheUserCannotBeChanged(t *testing.T) {
	for name, fault := range map[string]rig.Fault{"down": rig.Down, "lost": rig.Lost} {
		r := newUserRig(t, nil, channel.SMS)
		v, code := begin(r, bySMS(""))
		r.Table.Break(rig.FaultAt(3, fault)) // after the user is read, and the approval stored
		if r.Approve(rig.ByID(v.ID, code)); r.Table.Calls() != 3 {
			t.Errorf("%s: %d calls", name, r.Table.Calls())
		}
		r.Table.Break(nil)
		r.RefuseCheck(rig.ByID(v.ID, code), problem.AlreadyUsed)
		wantVerified(r, fault == rig.Lost, false)
		v, code = begin(r, bySMS(""))
		r.Approve(rig.ByID(v.ID, code))
		wantVerified(r, true, false)
	}
}

// A user with two addresses has two rows, and a code belongs to one of them.
func TestACheckByUserFindsTheRowOfTheCode(t *testing.T) {
	type end = func(r *rig.Rig, v otp.Verification, code string)
	approve := func(r *rig.Rig, v otp.Verification, code string) { r.Approve(rig.ByID(v.ID, code)) }
	cancel := func(r *rig.Rig, v otp.Verification, _ string) { r.MustCancel(v.ID) }
	exhausted := func(r *rig.Rig, v otp.Verification, _ string) { exhaust(r, v.ID) }
	deny := func(r *rig.Rig, _ otp.Verification, _ string) { receive(r, alice, "NO") }
	expire := func(r *rig.Rig, _ otp.Verification, _ string) { r.Advance(r.Verify.Policy.TTL) }
	type step struct {
		start otpsend.Request
		end   end // nil: pending
	}
	for name, tc := range map[string]struct {
		steps []step
		right int          // the step whose code is typed
		want  problem.Kind // "": approved
	}{
		"e-mail alone":                      {[]step{{byEmail(""), nil}}, 0, ""},
		"number alone":                      {[]step{{bySMS(""), nil}}, 0, ""},
		"e-mail, the number's was approved": {[]step{{bySMS(""), approve}, {byEmail(""), nil}}, 1, ""},
		"e-mail, the number's was canceled": {[]step{{bySMS(""), cancel}, {byEmail(""), nil}}, 1, ""},
		"e-mail, the number's was denied":   {[]step{{bySMS(""), deny}, {byEmail(""), nil}}, 1, ""},
		"e-mail, the number's is exhausted": {[]step{{bySMS(""), exhausted}, {byEmail(""), nil}}, 1, ""},
		"e-mail, the number's is expired":   {[]step{{bySMS(""), expire}, {byEmail(""), nil}}, 1, ""},
		"number, the e-mail's was approved": {[]step{{byEmail(""), approve}, {bySMS(""), nil}}, 1, ""},
		"both pending, the number's":        {[]step{{byEmail(""), nil}, {bySMS(""), nil}}, 1, ""},
		"both pending, the e-mail's":        {[]step{{byEmail(""), nil}, {bySMS(""), nil}}, 0, problem.WrongCode},
		"the e-mail's is over":              {[]step{{byEmail(""), expire}}, 0, problem.Expired},
		"the number's is over":              {[]step{{bySMS(""), cancel}}, 0, problem.Canceled},
		"both are over":                     {[]step{{byEmail(""), cancel}, {bySMS(""), approve}}, 1, problem.AlreadyUsed},
		"another purpose":                   {[]step{{byEmail("pay"), nil}}, 0, problem.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			r := newUserRig(t, nil, channel.SMS, channel.Email)
			codes, started := make([]string, len(tc.steps)), make([]otp.Verification, len(tc.steps))
			for i, s := range tc.steps {
				if started[i], codes[i] = begin(r, s.start); s.end != nil {
					s.end(r, started[i], codes[i])
				}
			}
			req := byUser(codes[tc.right])
			if tc.want != "" {
				r.RefuseCheck(req, tc.want)
			} else if a := r.Approve(req); a.ID != started[tc.right].ID {
				t.Errorf("%+v", a)
			}
		})
	}
}

// A check is made on the newest code, whichever of the user's addresses it was
// sent to, and spends no check of another.
func TestOfTwoAddressesTheNewestCodeIsChecked(t *testing.T) {
	for _, order := range [][]otpsend.Request{{bySMS(""), byEmail("")}, {byEmail(""), bySMS("")}} {
		r := newUserRig(t, verified, channel.Sending...)
		older, olderCode := begin(r, order[0])
		r.Advance(time.Minute)
		newer, newerCode := begin(r, order[1])
		r.RefuseCheck(byUser(r.Wrong(newer.ID)), problem.WrongCode)
		r.Approve(byUser(newerCode))
		if _, v := r.Verification(older.ID); v.Checks != 0 || v.Status != otp.Pending {
			t.Errorf("the older one is %s after %d checks", v.Status, v.Checks)
		}
		r.Approve(byUser(olderCode)) // the only pending one now
	}
}

// A test number verifies no address: others know its code, and nothing was sent.
func TestATestNumberVerifiesNoAddress(t *testing.T) {
	r := newUserRig(t, nil, channel.Sending...)
	testNumber(r, "424242")
	if a := r.MustStart(otpsend.Request{User: canary, Channels: []channel.Channel{"email", "sms"}}); a.Channel != "sms" {
		t.Fatalf("%+v", a)
	}
	r.Approve(byUser("424242"))
	if wantVerified(r, false, false); r.Sent() != 0 {
		t.Errorf("%d messages", r.Sent())
	}
}

// One typed code spends one check, in one row.
func TestACheckByUserSpendsOneCheck(t *testing.T) {
	r := newUserRig(t, nil, channel.SMS, channel.Email)
	v, _ := begin(r, bySMS(""))
	w, code := begin(r, byEmail(""))
	r.RefuseCheck(byUser(code), problem.WrongCode)
	_, v = r.Verification(v.ID)
	_, w = r.Verification(w.ID)
	if v.Checks != 1 || w.Checks != 0 || len(r.Recipient(alice).Tally(otp.Caller{}).Failures) != 1 || len(r.Recipient(mail).Tally(otp.Caller{}).Failures) != 0 {
		t.Errorf("%d and %d checks, %d and %d failures", v.Checks, w.Checks, len(r.Recipient(alice).Tally(otp.Caller{}).Failures), len(r.Recipient(mail).Tally(otp.Caller{}).Failures))
	}
}

// If the first row cannot be read, it is unknown whether the code belongs to it.
func TestACheckByUserStopsAtARowThatCannotBeRead(t *testing.T) {
	r := newUserRig(t, nil, channel.SMS, channel.Email)
	_, code := begin(r, byEmail(""))
	for call := 1; call <= 3; call++ {
		r.Table.Break(rig.FaultAt(call, rig.Down))
		if r.RefuseCheck(byUser(code), problem.StorageUnavailable); r.Table.Calls() != call {
			t.Errorf("a fault in call %d, and %d calls", call, r.Table.Calls())
		}
	}
	r.Table.Break(nil)
	r.Approve(byUser(code))
}

// Attack 5, for users: two people share a number, and each types the other's code.
func TestACodeOfOneUserIsNotAnothers(t *testing.T) {
	const other = "canary-other"
	r := newUserRig(t, nil, channel.SMS)
	r.Policy(func(p *otp.Policy) { p.MaxChecks, p.MaxFailuresPerDay = otp.MaxCounted, otp.MaxCounted })
	r.User(user.User{Name: other, Phone: alice})
	type started struct {
		to, user, purpose string
		v                 otp.Verification
		code              string
	}
	all := []started{{user: canary, purpose: "login"}, {user: other, purpose: "pay"}, {to: alice, purpose: "reset"}}
	for i := range all {
		s := &all[i]
		s.v, s.code = begin(r, otpsend.Request{To: s.to, User: s.user, Purpose: s.purpose})
	}
	for i, by := range all {
		for j, coded := range all {
			for k, purpose := range all {
				if i != j || j != k {
					wantMismatch(r, otpverify.Request{To: by.to, User: by.user, Purpose: purpose.purpose, Code: coded.code})
				}
			}
			if i == j {
				continue
			}
			wantMismatch(r, rig.ByID(by.v.ID, coded.code))
			if by.user != "" {
				wantMismatch(r, otpverify.Request{ID: string(coded.v.ID), User: by.user, Code: coded.code})
			}
		}
	}
	for _, s := range all {
		if a := r.Approve(otpverify.Request{To: s.to, User: s.user, Purpose: s.purpose, Code: s.code}); a.ID != s.v.ID {
			t.Errorf("%+v: %+v", s, a)
		}
	}
}

// A later start of the other user cancels the code, and never takes it over.
func TestAStartOfAnotherUserCancelsTheCode(t *testing.T) {
	r := newUserRig(t, nil, channel.SMS)
	r.User(user.User{Name: "canary-other", Phone: alice})
	_, code := begin(r, bySMS(""))
	_, others := begin(r, otpsend.Request{User: "canary-other"})
	r.RefuseCheck(byUser(code), problem.Canceled)
	r.RefuseCheck(byUser(others), problem.Canceled)
	r.RefuseCheck(otpverify.Request{User: "canary-other", Code: code}, problem.WrongCode)
	r.Approve(otpverify.Request{User: "canary-other", Code: others})
	wantVerified(r, false, false) // by the other's code
}

// An approval tells, masked, where the last message went.
func TestAnApprovalNamesTheAddressOfTheLastMessage(t *testing.T) {
	r := newUserRig(t, nil, channel.SMS, channel.Email)
	r.Sender(channel.SMS).Always(undeliverable)
	v, code := begin(r, toUser)
	r.Advance(1500 * time.Millisecond)
	want := otpverify.Answer{
		ID: v.ID, Status: otp.Approved, To: "a******@example.com", Channel: "email", Purpose: "login", ApprovedAt: noon.Add(time.Second),
	}
	if a := r.Approve(rig.ByID(v.ID, code)); a != want {
		t.Errorf("%+v, want %+v", a, want)
	}
}
