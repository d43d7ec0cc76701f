package otpverify_test

import (
	"context"
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

const (
	canary = "canary-name"
	mail   = rig.AliceMail
)

// everyone registers a person with both addresses.
func everyone(b *bench) { b.User(user.User{Name: canary, Phone: alice, Email: mail}) }

func byEmail(purpose string) otpsend.Request {
	return otpsend.Request{User: canary, Channel: "email", Purpose: purpose}
}

func bySMS(purpose string) otpsend.Request {
	return otpsend.Request{User: canary, Channel: "sms", Purpose: purpose}
}

func TestAnUnknownUserIsNotFound(t *testing.T) {
	b := newBench(t)
	b.Secret("a name", canary)
	if e := b.refused(otpverify.Request{User: canary, Code: "123456"}, problem.NotFound); e.Detail == "" {
		t.Error("no detail")
	}
}

// What a check costs is what is said of it.
func TestStorageRoundTrips(t *testing.T) {
	for _, tc := range []struct {
		name  string
		start otpsend.Request
		check func(v otp.Verification) otpverify.Request
		known bool // the user's addresses are proven
		want  int64
	}{
		{"by id", otpsend.Request{To: alice}, byID, false, 2},
		{"by address", otpsend.Request{To: alice}, func(otp.Verification) otpverify.Request { return otpverify.Request{To: alice} }, false, 2},
		{"by user", bySMS(""), byUser, true, 5},
		{"by user, at the second address", byEmail(""), byUser, true, 5},
		{"by id, the first approval", bySMS(""), byID, false, 4},
		{"by user, the first approval", bySMS(""), byUser, false, 7},
		{"by user, the first approval of the second address", byEmail(""), byUser, false, 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, notify.Channels...)
			b.User(user.User{Name: canary, Phone: alice, Email: mail, PhoneVerified: tc.known, EmailVerified: tc.known})
			v, code := b.mustStart(tc.start)
			req := tc.check(v)
			for _, right := range []bool{false, true} {
				want := tc.want
				if req.Code = code; !right {
					req.Code = b.Wrong(v.ID)
					if !tc.known && v.User != "" {
						want -= 2 // nothing is proven
					}
				}
				got := b.Trips(func(ctx context.Context) {
					if _, err := b.Verify.Check(ctx, req); right != (err == nil) {
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

func byID(v otp.Verification) otpverify.Request { return otpverify.Request{ID: string(v.ID)} }

func byUser(otp.Verification) otpverify.Request { return otpverify.Request{User: canary} }

// An approval proves the address that the code went to, and no other.
func TestAnApprovalProvesTheAddressThatTheCodeWentTo(t *testing.T) {
	landline := &notify.Failure{Reason: notify.Undeliverable, Code: 21614}
	both := otpsend.Request{User: canary, Channels: []string{"sms", "email"}}
	resend := func(b *bench, id otp.ID, channel string) {
		if _, _, err := b.Send.Resend(b.Ctx(), string(id), otpsend.ResendRequest{Channel: channel}, ""); err != nil {
			b.t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		before       func(b *bench)
		start        otpsend.Request
		between      func(b *bench, id otp.ID)
		phone, email bool
	}{
		"the number":              {start: bySMS(""), phone: true},
		"the e-mail":              {start: byEmail(""), email: true},
		"the first of both":       {start: both, phone: true},
		"the second, by fallback": {before: func(b *bench) { b.Sender(notify.SMS).Always(landline) }, start: both, email: true},
		"the second, after a report": {start: both, between: func(b *bench, id otp.ID) {
			report := notify.Report{Verification: id, Attempt: 1, Status: otp.Failed, Failure: landline}
			if err := b.Carrier.Report(b.Ctx(), report); err != nil {
				b.t.Fatal(err)
			}
		}, email: true},
		"either of both, so none": {start: both, between: func(b *bench, id otp.ID) { resend(b, id, "email") }},
		"one of them twice":       {start: both, between: func(b *bench, id otp.ID) { resend(b, id, "sms") }, phone: true},
		"a number that the user has not any more": {start: bySMS(""), between: func(b *bench, _ otp.ID) {
			b.User(user.User{Name: canary, Phone: bob, Email: mail})
		}},
		"without a user": {start: otpsend.Request{To: alice}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, notify.Channels...)
			everyone(b)
			if tc.before != nil {
				tc.before(b)
			}
			v, code := b.mustStart(tc.start)
			if tc.between != nil {
				tc.between(b, v.ID)
			}
			b.refused(otpverify.Request{ID: string(v.ID), Code: b.Wrong(v.ID)}, problem.WrongCode)
			if u := b.Registered(canary); u.PhoneVerified || u.EmailVerified {
				t.Fatalf("a wrong code proved: %t %t", u.PhoneVerified, u.EmailVerified)
			}
			if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); err != nil {
				t.Fatal(err)
			}
			if u := b.Registered(canary); u.PhoneVerified != tc.phone || u.EmailVerified != tc.email {
				t.Errorf("proven: number %t, e-mail %t; want %t, %t", u.PhoneVerified, u.EmailVerified, tc.phone, tc.email)
			}
		})
	}
}

// What is proven is noted once; every later approval leaves the user alone.
func TestOnlyTheFirstApprovalIsNoted(t *testing.T) {
	b := newBench(t, notify.SMS)
	everyone(b)
	var revisions [][8]byte
	for range 3 {
		v, code := b.mustStart(bySMS(""))
		if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, b.Registered(canary).Revision)
	}
	if revisions[0] == ([8]byte{}) || revisions[1] != revisions[0] || revisions[2] != revisions[0] {
		t.Errorf("revisions %x", revisions)
	}
}

// The approval is kept and answered, whatever the directory says; the next one
// notes what this one could not.
func TestAnApprovalHoldsWhereItCannotBeNoted(t *testing.T) {
	for name, fault := range map[string]rig.Fault{"down": rig.Down, "lost": rig.Lost} {
		b := newBench(t, notify.SMS)
		everyone(b)
		v, code := b.mustStart(bySMS(""))
		b.Table.Break(func(call int) rig.Fault {
			if call == 2 {
				return fault
			}
			return rig.None
		})
		a, err := b.check(otpverify.Request{ID: string(v.ID), Code: code})
		if err != nil || a.Status != otp.Approved || b.Table.Calls() != 2 {
			t.Errorf("%s: %+v %v, %d calls", name, a, err, b.Table.Calls())
		}
		b.Table.Break(nil)
		b.refused(otpverify.Request{ID: string(v.ID), Code: code}, problem.AlreadyUsed)
		if got := b.Registered(canary).PhoneVerified; got != (fault == rig.Lost) {
			t.Errorf("%s: verified: %t", name, got)
		}
		v, code = b.mustStart(bySMS(""))
		if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); err != nil || !b.Registered(canary).PhoneVerified {
			t.Errorf("%s, the next one: %v", name, err)
		}
	}
}

// A user with two addresses has two rows, and a code lies in one of them.
func TestACheckByUserFindsTheRowThatHasSomethingToCheck(t *testing.T) {
	type step struct {
		start otpsend.Request
		end   func(b *bench, v otp.Verification, code string)
	}
	open := func(*bench, otp.Verification, string) {}
	approve := func(b *bench, v otp.Verification, code string) {
		if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); err != nil {
			b.t.Fatal(err)
		}
	}
	cancel := func(b *bench, v otp.Verification, _ string) {
		if _, err := b.Send.Cancel(b.Ctx(), string(v.ID)); err != nil {
			b.t.Fatal(err)
		}
	}
	exhaust := func(b *bench, v otp.Verification, _ string) {
		for range b.Carrier.Policy.MaxChecks {
			b.refused(otpverify.Request{ID: string(v.ID), Code: b.Wrong(v.ID)}, problem.WrongCode)
		}
	}
	deny := func(b *bench, _ otp.Verification, _ string) { b.arrive(alice, "NO") }
	expire := func(b *bench, _ otp.Verification, _ string) { b.Wait(b.Carrier.Policy.TTL) }
	for name, tc := range map[string]struct {
		steps []step
		right int          // whose code is typed
		want  problem.Kind // "" for an approval
	}{
		"e-mail alone":                      {[]step{{byEmail(""), open}}, 0, ""},
		"number alone":                      {[]step{{bySMS(""), open}}, 0, ""},
		"e-mail, the number's was approved": {[]step{{bySMS(""), approve}, {byEmail(""), open}}, 1, ""},
		"e-mail, the number's was canceled": {[]step{{bySMS(""), cancel}, {byEmail(""), open}}, 1, ""},
		"e-mail, the number's was denied":   {[]step{{bySMS(""), deny}, {byEmail(""), open}}, 1, ""},
		"e-mail, the number's is exhausted": {[]step{{bySMS(""), exhaust}, {byEmail(""), open}}, 1, ""},
		"e-mail, the number's is expired":   {[]step{{bySMS(""), expire}, {byEmail(""), open}}, 1, ""},
		"number, the e-mail's was approved": {[]step{{byEmail(""), approve}, {bySMS(""), open}}, 1, ""},
		"both pending, the number's":        {[]step{{byEmail(""), open}, {bySMS(""), open}}, 1, ""},
		"both pending, the e-mail's":        {[]step{{byEmail(""), open}, {bySMS(""), open}}, 0, problem.WrongCode},
		"e-mail's over":                     {[]step{{byEmail(""), expire}}, 0, problem.Expired},
		"number's over":                     {[]step{{bySMS(""), cancel}}, 0, problem.Canceled},
		"both over":                         {[]step{{byEmail(""), cancel}, {bySMS(""), approve}}, 1, problem.AlreadyUsed},
		"another purpose":                   {[]step{{byEmail("pay"), open}}, 0, problem.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, notify.SMS, notify.Email)
			everyone(b)
			var codes []string
			var started []otp.Verification
			for _, s := range tc.steps {
				v, code := b.mustStart(s.start)
				s.end(b, v, code)
				codes, started = append(codes, code), append(started, v)
			}
			req := otpverify.Request{User: canary, Code: codes[tc.right]}
			if tc.want != "" {
				b.refused(req, tc.want)
				return
			}
			a, err := b.check(req)
			if err != nil || a.ID != started[tc.right].ID {
				t.Errorf("%+v %v", a, err)
			}
		})
	}
}

// One typed code spends one check, in one row.
func TestACheckByUserSpendsOneCheck(t *testing.T) {
	b := newBench(t, notify.SMS, notify.Email)
	everyone(b)
	v, _ := b.mustStart(bySMS(""))
	w, code := b.mustStart(byEmail(""))
	b.refused(otpverify.Request{User: canary, Code: code}, problem.WrongCode)
	_, v = b.Verification(v.ID)
	_, w = b.Verification(w.ID)
	if v.Checks != 1 || w.Checks != 0 || len(b.Recipient(alice).Failures) != 1 || len(b.Recipient(mail).Failures) != 0 {
		t.Errorf("%d and %d checks, %d and %d failures", v.Checks, w.Checks, len(b.Recipient(alice).Failures), len(b.Recipient(mail).Failures))
	}
}

// Where the first row cannot be read, nobody knows whether the code is its own.
func TestACheckByUserStopsAtARowThatCannotBeRead(t *testing.T) {
	b := newBench(t, notify.SMS, notify.Email)
	everyone(b)
	_, code := b.mustStart(byEmail(""))
	for call := 1; call <= 3; call++ {
		b.Table.Break(func(n int) rig.Fault {
			if n == call {
				return rig.Down
			}
			return rig.None
		})
		b.refused(otpverify.Request{User: canary, Code: code}, problem.StorageUnavailable)
		if b.Table.Calls() != call {
			t.Errorf("a fault in call %d, and %d calls", call, b.Table.Calls())
		}
	}
	b.Table.Break(nil)
	if _, err := b.check(otpverify.Request{User: canary, Code: code}); err != nil {
		t.Error(err)
	}
}

// Attack 5, for users: two people with one number, each with the other's code.
func TestTheCodeOfOneUserIsNoneOfAnothers(t *testing.T) {
	const other = "canary-other"
	b := newBench(t, notify.SMS)
	b.Policy(func(p *otp.Policy) { p.MaxChecks, p.MaxFailuresPerDay = otp.MaxCounted, otp.MaxCounted })
	everyone(b)
	b.User(user.User{Name: other, Phone: alice})
	type started struct {
		who, purpose string
		v            otp.Verification
		code         string
	}
	var all []started
	for _, s := range []started{{who: canary, purpose: "login"}, {who: other, purpose: "pay"}, {purpose: "reset"}} {
		req := otpsend.Request{User: s.who, Purpose: s.purpose}
		if s.who == "" {
			req.To = alice
		}
		s.v, s.code = b.mustStart(req)
		all = append(all, s)
	}
	wrong := func(req otpverify.Request) {
		t.Helper()
		if _, err := b.check(req); kindOf(err) != problem.WrongCode && kindOf(err) != problem.NotFound {
			t.Errorf("%+v: %v", req, err)
		}
	}
	for i, by := range all {
		for j, coded := range all {
			for k, purpose := range all {
				if i == j && j == k {
					continue
				}
				req := otpverify.Request{User: by.who, Purpose: purpose.purpose, Code: coded.code}
				if by.who == "" {
					req.To = alice
				}
				wrong(req)
			}
			if i != j {
				wrong(otpverify.Request{ID: string(by.v.ID), Code: coded.code})
				if by.who != "" {
					wrong(otpverify.Request{ID: string(coded.v.ID), User: by.who, Code: coded.code})
				}
			}
		}
	}
	for _, s := range all {
		req := otpverify.Request{User: s.who, Purpose: s.purpose, Code: s.code}
		if s.who == "" {
			req.To = alice
		}
		if a, err := b.check(req); err != nil || a.ID != s.v.ID {
			t.Errorf("%+v: %+v %v", req, a, err)
		}
	}
}

// A later start of the other user cancels the code, and never takes it over.
func TestAStartOfAnotherUserCancelsTheCode(t *testing.T) {
	b := newBench(t, notify.SMS)
	everyone(b)
	b.User(user.User{Name: "canary-other", Phone: alice})
	_, code := b.mustStart(bySMS(""))
	_, others := b.mustStart(otpsend.Request{User: "canary-other"})
	b.refused(otpverify.Request{User: canary, Code: code}, problem.Canceled)
	b.refused(otpverify.Request{User: canary, Code: others}, problem.Canceled)
	b.refused(otpverify.Request{User: "canary-other", Code: code}, problem.WrongCode)
	if _, err := b.check(otpverify.Request{User: "canary-other", Code: others}); err != nil {
		t.Error(err)
	}
	if u := b.Registered(canary); u.PhoneVerified {
		t.Error("the first user's number was proven by the other's code")
	}
}

// An approval says where the code went last, masked.
func TestAnApprovalNamesTheAddressOfTheLastMessage(t *testing.T) {
	b := newBench(t, notify.SMS, notify.Email)
	everyone(b)
	b.Sender(notify.SMS).Always(&notify.Failure{Reason: notify.Undeliverable})
	v, code := b.mustStart(otpsend.Request{User: canary})
	b.Wait(1500 * time.Millisecond)
	a, err := b.check(otpverify.Request{ID: string(v.ID), Code: code})
	want := otpverify.Answer{
		ID: v.ID, Status: otp.Approved, To: "a******@example.com", Channel: "email", Purpose: "login", ApprovedAt: noon.Add(time.Second),
	}
	if err != nil || a != want {
		t.Errorf("%+v %v, want %+v", a, err, want)
	}
}
