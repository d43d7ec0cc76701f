package otpverify_test

import (
	"reflect"
	"testing"

	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/otpverify"
)

// A code of a user's message, app or recovery set is never right for the user of that
// name in another directory, and a check there does not count here.
func TestACodeIsOfAUserOfTheClientsDirectory(t *testing.T) {
	t.Parallel()
	shop := client.Client{ID: "shop", Directory: "shop"}
	for name, tc := range map[string]struct {
		request func(f *factorRig) otpverify.Request
		kind    problem.Kind // if the other directory has a user with factors of the same kind
	}{
		"message": {func(f *factorRig) otpverify.Request {
			_, code := begin(f.Rig, toUser)
			return otpverify.Request{User: canary, Code: code, Factor: otpverify.FactorMessage}
		}, problem.NotFound},
		"app": {func(f *factorRig) otpverify.Request {
			return otpverify.Request{User: canary, Code: f.appCode(0), Factor: otpverify.FactorTOTP}
		}, problem.WrongCode},
		"recovery code": {func(f *factorRig) otpverify.Request {
			return otpverify.Request{User: canary, Code: f.codes[0], Factor: otpverify.FactorRecovery}
		}, problem.WrongCode},
		"no factor named, app": {func(f *factorRig) otpverify.Request { return byUser(f.appCode(0)) }, problem.WrongCode},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFactors(t, verified)
			req := tc.request(f)
			before := f.Registered(canary)
			check := func() error {
				a, err := f.Verify.Check(client.With(f.Ctx(), shop), req)
				if a != (otpverify.Answer{}) {
					t.Errorf("an answer in the other directory: %+v", a)
				}
				return err
			}
			f.Refused(check(), problem.NotFound)
			other := f.app
			other.Secret = []byte("another-of-20-bytes.")
			set := before.Recovery
			set.Salt[0]++ // so its codes are others
			f.User(user.User{
				Directory: "shop", Name: canary, Phone: alice, Email: mail, Recovery: set,
				TOTP: imported(t, totp.State{}, other, noon),
			})
			f.Refused(check(), tc.kind)
			if got := f.Registered(canary); !reflect.DeepEqual(got, before) {
				t.Errorf("the check in the other directory changed the user to %+v", got)
			}
			f.Approve(req)
			if u := f.RegisteredIn("shop", canary); u.PhoneVerified || u.EmailVerified {
				t.Error("the approval verified an address of the other directory's user")
			}
		})
	}
}

// An approval by id verifies the address of the user for whom the verification was
// started, and not of the user of that name in another directory.
func TestAnApprovalVerifiesTheAddressOfItsOwnUser(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, nil)
	r.User(user.User{Directory: "shop", Name: canary, Phone: alice})
	v, code := begin(r, toUser)
	if a := r.Approve(otpverify.Request{ID: string(v.ID), Code: code}); a.Status != otp.Approved {
		t.Errorf("%+v", a)
	}
	wantVerified(r, true, false)
	if r.RegisteredIn("shop", canary).PhoneVerified {
		t.Error("the number of the other directory's user is verified")
	}
}
