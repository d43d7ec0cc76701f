package visit

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"twofa/internal/problem"
	"twofa/internal/totp"
	"twofa/internal/web"
	"twofa/otpverify"
)

// CodeError is the refusal of a code that a person typed.
type CodeError struct {
	Err    error
	Factor string // one of package otpverify
}

func (e CodeError) Error() string { return e.Err.Error() }

func (e CodeError) Unwrap() error { return e.Err }

// Fault is what a screen says of a start, resend or check that was refused. The error of a check
// is a CodeError. typed is the address that the person typed in the form, "" if the form has
// none.
func (v *Visit) Fault(err error, typed string) *web.Fault {
	p, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return &web.Fault{Key: "page_error_failure"}
	}
	code, isCode := errors.AsType[CodeError](err)
	suffix := map[string]string{otpverify.FactorTOTP: "_app", otpverify.FactorRecovery: "_recovery"}[code.Factor]
	switch p.Kind {
	case problem.WrongCode:
		return v.wrongCode(p, err, suffix)
	case problem.InvalidRequest:
		switch {
		case isCode:
			return &web.Fault{Key: "page_error_form" + suffix, Field: true}
		case strings.Contains(typed, "@"):
			return &web.Fault{Key: "page_error_email", Field: true}
		case typed != "":
			return &web.Fault{Key: "page_error_phone", Field: true}
		}
		return &web.Fault{Key: "page_error_unreachable"}
	case problem.TooManyChecks:
		if p.RetryAfter > 0 {
			return v.WaitFault("page_error_locked", p)
		}
		return &web.Fault{Key: "page_error_exhausted"}
	case problem.TooManyChanges:
		return v.WaitFault("page_error_changes", p)
	case problem.TooManySends:
		return v.WaitFault("page_error_sends", p)
	case problem.ResendTooSoon, problem.IdempotencyConflict:
		return &web.Fault{Key: "page_error_soon", Values: map[string]string{"seconds": strconv.Itoa(web.Ceil(p.RetryAfter, time.Second))}}
	case problem.NotFound, problem.Expired, problem.Canceled, problem.AlreadyUsed:
		return &web.Fault{Key: "page_error_expired"}
	case problem.DestinationRefused:
		return &web.Fault{Key: "page_error_refused", Field: typed != ""}
	case problem.Undeliverable:
		return &web.Fault{Key: "page_error_unreachable", Field: typed != ""}
	case problem.ProviderUnavailable, problem.ProviderMisconfigured:
		return &web.Fault{Key: "page_error_provider"}
	}
	return &web.Fault{Key: "page_error_failure"}
}

func (v *Visit) wrongCode(p *problem.Error, err error, suffix string) *web.Fault {
	switch {
	case p.RetryAfter > 0 && !errors.Is(err, totp.ErrUsed):
		return v.WaitFault("page_error_locked", p)
	case errors.Is(err, totp.ErrUsed):
		return &web.Fault{Key: "page_error_used", Field: true}
	case p.Replaced:
		return &web.Fault{Key: "page_error_replaced", Field: true}
	case suffix != "":
		return &web.Fault{Key: "page_error_wrong" + suffix, Field: true}
	case p.ChecksLeft != nil && *p.ChecksLeft > 0:
		return &web.Fault{Key: "page_error_wrong", Values: map[string]string{"left": strconv.Itoa(*p.ChecksLeft)}, Field: true}
	}
	return &web.Fault{Key: "page_error_exhausted"}
}

// WaitFault is the fault of a text with {wait}: how long the person has to wait.
func (v *Visit) WaitFault(key string, p *problem.Error) *web.Fault {
	return &web.Fault{Key: key, Values: map[string]string{"wait": v.Renderer.Wait(v.Locale, p.RetryAfter)}}
}
