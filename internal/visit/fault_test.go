package visit_test

import (
	"errors"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/totp"
	"twofa/internal/visit"
	"twofa/otpverify"
)

func TestFault(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := begin(t, s, tokenOf(s, "bank", ""))
	two, none := 2, 0
	of := func(kind problem.Kind) *problem.Error { return &problem.Error{Kind: kind} }
	wait := func(kind problem.Kind) *problem.Error {
		return &problem.Error{Kind: kind, RetryAfter: 61 * time.Second}
	}
	code := func(factor string, p *problem.Error) error { return visit.CodeError{Err: p, Factor: factor} }
	for _, tc := range []struct {
		err   error
		typed string
		key   string
		field bool
	}{
		{of(problem.InvalidRequest), "", "page_error_unreachable", false},
		{of(problem.InvalidRequest), "a@b", "page_error_email", true},
		{of(problem.InvalidRequest), "123", "page_error_phone", true},
		{of(problem.DestinationRefused), "123", "page_error_refused", true},
		{of(problem.DestinationRefused), "", "page_error_refused", false},
		{of(problem.Undeliverable), "123", "page_error_unreachable", true},
		{wait(problem.TooManySends), "123", "page_error_sends", false},
		{wait(problem.ResendTooSoon), "", "page_error_soon", false},
		{of(problem.Canceled), "", "page_error_expired", false},
		{of(problem.ProviderUnavailable), "", "page_error_provider", false},
		{of(problem.StorageUnavailable), "", "page_error_failure", false},
		{errors.New("another"), "123", "page_error_failure", false},
		{of(problem.TooManyChecks), "", "page_error_exhausted", false},
		{wait(problem.TooManyChecks), "", "page_error_locked", false},
		{code(otpverify.FactorMessage, of(problem.InvalidRequest)), "", "page_error_form", true},
		{code(otpverify.FactorTOTP, of(problem.InvalidRequest)), "", "page_error_form_app", true},
		{code(otpverify.FactorRecovery, of(problem.InvalidRequest)), "", "page_error_form_recovery", true},
		{code(otpverify.FactorMessage, &problem.Error{Kind: problem.WrongCode, ChecksLeft: &two}), "", "page_error_wrong", true},
		{code(otpverify.FactorMessage, &problem.Error{Kind: problem.WrongCode, ChecksLeft: &none}), "", "page_error_exhausted", false},
		{code(otpverify.FactorMessage, &problem.Error{Kind: problem.WrongCode, Replaced: true}), "", "page_error_replaced", true},
		{code(otpverify.FactorTOTP, of(problem.WrongCode)), "", "page_error_wrong_app", true},
		{code(otpverify.FactorTOTP, wait(problem.WrongCode)), "", "page_error_locked", false},
		{code(otpverify.FactorTOTP, &problem.Error{Kind: problem.WrongCode, RetryAfter: time.Second, Err: totp.ErrUsed}), "", "page_error_used", true},
		{code(otpverify.FactorRecovery, of(problem.WrongCode)), "", "page_error_wrong_recovery", true},
	} {
		if f := v.Fault(tc.err, tc.typed); f.Key != tc.key || f.Field != tc.field {
			t.Errorf("%v, typed %q: %+v, want %s", tc.err, tc.typed, f, tc.key)
		}
	}
	if f := v.WaitFault("page_error_sends", wait(problem.TooManySends)); f.Values["wait"] != "2 min." {
		t.Errorf("%+v", f)
	}
}
