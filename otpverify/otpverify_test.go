package otpverify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
)

// wantMismatch fails the test unless a check is refused as a wrong code or as an
// unknown verification.
func wantMismatch(r *rig.Rig, req otpverify.Request) {
	r.TB.Helper()
	if a, err := r.Check(req); !problem.Is(err, problem.WrongCode, problem.NotFound) {
		r.TB.Errorf("%+v: %+v %v", req, a, err)
	}
}

// Attack 5: of all combinations of ids, codes and contexts, only those of one
// verification are approved.
func TestOnlyWhatBelongsTogetherIsApproved(t *testing.T) {
	r := newRig(t)
	r.Policy(func(p *otp.Policy) { p.MaxChecks, p.MaxFailuresPerDay = otp.MaxCounted, otp.MaxCounted })
	type started struct {
		to, purpose string
		context     otp.Transaction
		id          otp.ID
		code        string
	}
	var all []started
	for i, to := range []string{alice, bob} {
		for j, purpose := range []string{"login", "payment"} {
			// The same amounts and payees, in other combinations.
			c := otp.Transaction{Amount: fmt.Sprint("EUR ", i), Payee: fmt.Sprint("Payee ", j)}
			v, code := begin(r, otpsend.Request{To: to, Purpose: purpose, Transaction: c})
			all = append(all, started{to, purpose, c, v.ID, code})
		}
	}
	tried := 0
	wrong := func(req otpverify.Request) {
		t.Helper()
		tried++
		wantMismatch(r, req)
	}
	for i, by := range all { // whose id
		for j, coded := range all { // whose code
			for k, other := range all { // whose context
				if i == j && j == k {
					continue
				}
				wrong(otpverify.Request{ID: string(by.id), Code: coded.code, Transaction: other.context})
				wrong(otpverify.Request{To: by.to, Purpose: by.purpose, Code: coded.code, Transaction: other.context})
			}
		}
		for _, c := range []otp.Transaction{
			{}, {Amount: by.context.Payee, Payee: by.context.Amount}, {Amount: by.context.Amount + by.context.Payee},
			{Amount: by.context.Amount + ".", Payee: by.context.Payee},
		} {
			wrong(otpverify.Request{ID: string(by.id), Code: by.code, Transaction: c})
		}
	}
	for i, v := range all {
		req := otpverify.Request{ID: string(v.id), Code: v.code, Transaction: v.context}
		if i%2 == 1 {
			req.ID, req.To, req.Purpose = "", v.to, v.purpose
		}
		if a := r.Approve(req); a.ID != v.id || a.Purpose != v.purpose {
			t.Errorf("%+v: %+v", req, a)
		}
	}
	if want := 4 * (15*2 + 4); tried != want {
		t.Errorf("%d combinations, want %d", tried, want)
	}
}

// An id beside another person's address or another purpose is a defect of the
// client, and never approved.
func TestAnIDWithAnotherAddressOrPurposeIsNotApproved(t *testing.T) {
	for _, req := range []otpverify.Request{{To: bob}, {Purpose: "payment"}, {To: bob, Purpose: "login"}} {
		r := newRig(t)
		v, code := begin(r, toAlice)
		r.MustStart(otpsend.Request{To: bob})
		r.MustStart(otpsend.Request{To: alice, Purpose: "payment"})
		req.ID, req.Code = string(v.ID), code
		if a, err := r.Check(req); err == nil {
			t.Errorf("%+v: %+v", req, a)
		}
	}
}

// Attack 2: a new code never resets the count of wrong codes.
func TestNewCodesDoNotResetTheFailuresOfAnAddress(t *testing.T) {
	r := newRig(t)
	r.Policy(func(p *otp.Policy) { p.MaxSends, p.MaxSendsPerDay = otp.MaxCounted, otp.MaxCounted })
	counted := 0
	var last error
	for range 20 {
		var a otpsend.Answer
		if a, last = r.Start(toAlice); last == nil {
			for range 4 {
				if _, err := r.Check(rig.ByID(a.ID, "WRQNG22222")); problem.Is(err, problem.WrongCode) {
					counted++
				}
			}
		}
		r.Advance(time.Minute)
	}
	if counted != 10 || !problem.Is(last, problem.TooManyChecks) {
		t.Errorf("%d wrong codes were counted, want 10; the last start: %v", counted, last)
	}
	r.MustStart(otpsend.Request{To: bob})
	r.Advance(24 * time.Hour) // attack 22: the lock ends by itself
	v, code := begin(r, toAlice)
	r.Approve(rig.ByID(v.ID, code))
}

// Attack 15.
func TestExpiryIsExactAndSurvivesAClockThatStepsBack(t *testing.T) {
	r := newRig(t)
	v, code := begin(r, toAlice)
	for _, at := range []time.Time{v.ExpiresAt, v.ExpiresAt.Add(-time.Minute)} {
		r.Set(at)
		r.RefuseCheck(rig.ByID(v.ID, code), problem.Expired)
	}
	v, code = begin(r, otpsend.Request{To: bob})
	r.Set(v.ExpiresAt.Add(-1))
	r.Approve(rig.ByID(v.ID, code))
}

// Fail closed: an approval is stored before it is answered.
func TestAnApprovalThatIsNotStoredIsNotAnswered(t *testing.T) {
	r := newRig(t)
	v, code := begin(r, toAlice)
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		r.Table.Break(rig.FaultFrom(1, fault))
		r.RefuseCheck(rig.ByID(v.ID, code), problem.StorageUnavailable)
	}
	r.Table.Break(nil)
	r.RefuseCheck(rig.ByID(v.ID, code), problem.AlreadyUsed)
}

// The answer must not tell what a wrong code found while the code may not have
// been counted.
func TestAWrongCodeThatIsNotCountedIsNotAnswered(t *testing.T) {
	r := newRig(t)
	v, _ := begin(r, toAlice)
	r.Table.Break(rig.FaultFrom(1, rig.Lost))
	if e := r.RefuseCheck(rig.ByID(v.ID, "WRQNG22222"), problem.StorageUnavailable); e.ChecksLeft != nil {
		t.Errorf("answered %+v", e)
	}
}

func TestFaultsOfTheFieldsReachNoStore(t *testing.T) {
	r := newRig(t)
	id := string(r.Recipients.NewID(r.Recipients.Key(alice), [8]byte{1}))
	for _, tc := range []struct {
		req    otpverify.Request
		fields string
	}{
		{otpverify.Request{}, "code id"},
		{otpverify.Request{Code: "123456"}, "id"},
		{otpverify.Request{ID: "VE", Code: "123456"}, "id"},
		{otpverify.Request{ID: "VE"}, "id"},
		{otpverify.Request{ID: id, Code: "!"}, "code"},
		{otpverify.Request{To: "415", Code: "123456"}, "to"},
		{otpverify.Request{To: alice}, "code"},
		{otpverify.Request{User: canary}, "code"},
		{otpverify.Request{To: alice, Code: "!"}, "code"},
		{otpverify.Request{To: alice, Code: strings.Repeat("1", otp.MaxTypedCode+1)}, "code"},
		{otpverify.Request{To: alice, Purpose: "A", Code: "123456"}, "purpose"},
		{otpverify.Request{To: alice, User: canary, Code: "123456"}, "user"},
		{otpverify.Request{ID: id, To: alice, User: canary, Code: "123456"}, "user"},
		{otpverify.Request{User: "a\nb", Code: "123456"}, "user"},
		{otpverify.Request{ID: "VE", To: "1", User: " ", Purpose: "A", Code: "!"}, "code purpose to user id user"},
	} {
		names := fixture.FieldNames(r.RefuseCheck(tc.req, problem.InvalidRequest))
		if got := strings.Join(names, " "); got != tc.fields {
			t.Errorf("%+v: %s, want %s", tc.req, got, tc.fields)
		}
	}
	if r.Table.Calls() != 0 {
		t.Error("the store was called")
	}
}

// A code whose secret was taken out of service is expired, not wrong.
func TestACodeWithoutItsSecretIsExpired(t *testing.T) {
	r := newRig(t)
	v, code := begin(r, toAlice)
	r.LoseSecret(v.ID)
	r.RefuseCheck(rig.ByID(v.ID, code), problem.Expired)
}

// A letter may be typed in either case; the alphabet has one.
func TestACodeOfLettersIsReadInEitherCase(t *testing.T) {
	r := newRig(t)
	_, code := begin(r, toAlice)
	a := r.Approve(otpverify.Request{To: alice, Code: " " + strings.ToLower(code[:5]) + "-" + code[5:]})
	if a.To != "+1******0123" || !a.ApprovedAt.Equal(noon) {
		t.Errorf("%+v", a)
	}
}
