package otpverify_test

import (
	"context"
	"net/netip"
	"reflect"
	"testing"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
)

// onSignIn starts a verification of a sign-in page, and returns the check of its code.
func onSignIn(r *rig.Rig, silent bool) otpverify.PageCheck {
	r.TB.Helper()
	page := session.Page{Version: 1, Session: otp.Session{7}, Purpose: "sign-in", Origin: otp.OriginTyped, ExpiresAt: r.Now().Add(session.Lifetime).Unix()}
	from := otpsend.FromPage{
		Page: page, Once: "1", Addr: netip.MustParseAddr("203.0.113.9"), Silent: silent,
		Bind: func(context.Context, otp.RowKey, otp.ID) error { return nil },
	}
	shown, err := r.Send.StartOnPage(r.Ctx(), from, alice)
	if err != nil {
		r.TB.Fatal(err)
	}
	return otpverify.PageCheck{Page: page, ID: shown.ID, Factor: otpverify.FactorMessage, Code: r.Code(shown.ID), Silent: silent}
}

// Whoever knows the code of a verification that was started for nobody is answered as with
// a wrong one, which counts, and proves nothing.
func TestR23_Attack22_ASilentCodeIsNeverRight(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before func(*rig.Rig)
		change func(*otpverify.PageCheck)
	}{
		"typed":              {nil, func(*otpverify.PageCheck) {}},
		"by a link":          {nil, func(p *otpverify.PageCheck) { p.Code, p.Link = "", 1 }},
		"to be remembered":   {nil, func(p *otpverify.PageCheck) { p.Remember, p.Proves = true, [8]byte{1} }},
		"of a test number":   {func(r *rig.Rig) { testNumber(r, "ABCDEFGHJK") }, func(*otpverify.PageCheck) {}},
		"after a second one": {func(r *rig.Rig) { onSignIn(r, true) }, func(*otpverify.PageCheck) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.Policy(func(p *otp.Policy) { p.MaxChecks = 2 })
			if tc.before != nil {
				tc.before(r)
			}
			p := onSignIn(r, true)
			wrong := p
			wrong.Code, wrong.Silent = r.Wrong(p.ID), false
			tc.change(&p)
			_, err := r.Verify.CheckOnPage(r.Ctx(), p)
			got := r.Refused(err, problem.WrongCode)
			row, v := r.Verification(p.ID)
			if v.Status != otp.Pending || v.Checks != 1 || len(row.Tally(v.Caller).Failures) != 1 {
				t.Errorf("%d checks, %d wrong codes of the address, %s", v.Checks, len(row.Tally(v.Caller).Failures), v.Status)
			}
			if !row.KnownAt.IsZero() || row.PreferredBy("") != "" {
				t.Errorf("known since %v, preferred %q", row.KnownAt, row.PreferredBy(""))
			}
			*got.ChecksLeft-- // the next wrong code, which was sent, has one less
			_, err = r.Verify.CheckOnPage(r.Ctx(), wrong)
			want := r.Refused(err, problem.WrongCode)
			want.Alerted = false // its person is warned
			if !reflect.DeepEqual(got, want) {
				t.Errorf("a right code is answered %+v, a wrong one %+v", got, want)
			}
		})
	}
}

// The last wrong code of a silent verification warns nobody, and counts the warning.
func TestR23_ASilentExhaustionWarnsNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := onSignIn(r, true)
	p.Code = r.Wrong(p.ID)
	for range r.Verify.Policy.MaxChecks - 1 {
		_, err := r.Verify.CheckOnPage(r.Ctx(), p)
		r.Refused(err, problem.WrongCode)
	}
	_, err := r.Verify.CheckOnPage(r.Ctx(), p)
	if e := r.Refused(err, problem.WrongCode); !e.Alerted {
		t.Errorf("answered %+v, unlike that of an account", e)
	}
	if row, v := r.Verification(p.ID); v.Status != otp.Exhausted || len(row.Notices) != 1 || r.Sent() != 0 {
		t.Errorf("%s, %d warnings counted, %d messages", v.Status, len(row.Notices), r.Sent())
	}
	_, err = r.Verify.CheckOnPage(r.Ctx(), p)
	r.Refused(err, problem.TooManyChecks)
}

// Silent holds whatever else is right: another factor, or an approval that was made before.
func TestR23_SilentApprovesNothing(t *testing.T) {
	t.Parallel()
	f := newFactors(t, nil)
	key := f.Users.Key("main", canary)
	for factor, code := range map[string]string{otpverify.FactorTOTP: f.appCode(0), otpverify.FactorRecovery: f.codes[0]} {
		page := session.Page{Version: 1, Session: otp.Session{8}, Purpose: "sign-in", User: key}
		p := otpverify.PageCheck{Page: page, Factor: factor, Code: code, Silent: true}
		_, err := f.Verify.CheckOnPage(f.Ctx(), p)
		f.Refused(err, problem.NotFound)
		p.Silent = false
		if _, err := f.Verify.CheckOnPage(f.Ctx(), p); err != nil {
			t.Errorf("%s without Silent: %v", factor, err)
		}
	}

	p := onSignIn(f.Rig, false)
	if _, err := f.Verify.CheckOnPage(f.Ctx(), p); err != nil {
		t.Fatal(err)
	}
	p.Silent = true
	_, err := f.Verify.CheckOnPage(f.Ctx(), p)
	f.Refused(err, problem.AlreadyUsed)
}
