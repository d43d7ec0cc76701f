package pages

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/totp"
	"twofa/internal/web"
	"twofa/otpverify"
)

// wrong is the refusal of a code of a factor.
type wrong struct {
	error
	factor string
}

func (w wrong) Unwrap() error { return w.error }

// refuse answers what could not be done: the session is over, or the person can go on from the
// screen with an error.
func (v *visit) refuse(err error, screen string, w view) Answer {
	if o, ok := errors.AsType[over](err); ok {
		if a, left := v.leave(o); left {
			return a
		}
		return v.refuse(o.error, screenMain, view{})
	}
	p, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return v.failed(err)
	}
	if p.Kind == problem.Denied {
		return v.redirect(screenEnd, view{End: endDenied}, err)
	}
	if p.Kind == problem.ProviderUnavailable && p.ID != "" { // the message may arrive all the same
		if shown, status, lost := v.Send.StatusOnPage(v.ctx, v.token.Page, otp.ID(p.ID)); lost == nil && status == otp.Pending {
			v.token.Sent, screen, w.Dead = shown, screenMain, false
		}
	}
	w.Fault = v.fault(err, p, w)
	switch p.Kind {
	case problem.Expired, problem.Canceled, problem.NotFound, problem.Undeliverable, problem.TooManyChecks:
		w.Dead = w.Dead || screen == screenMain || screen == screenHelp
	case problem.WrongCode:
		w.Dead = screen == screenMain && p.ChecksLeft != nil && *p.ChecksLeft == 0
	}
	return v.redirect(screen, w, err)
}

// fault is the text of a problem.
func (v *visit) fault(err error, p *problem.Error, w view) *web.Fault {
	factor := otpverify.FactorMessage
	typed := false // a code was typed
	if c, ok := errors.AsType[wrong](err); ok {
		factor, typed = c.factor, true
	}
	suffix := map[string]string{otpverify.FactorTOTP: "_app", otpverify.FactorRecovery: "_recovery"}[factor]
	switch p.Kind {
	case problem.WrongCode:
		return v.wrongCode(p, err, suffix)
	case problem.InvalidRequest:
		switch {
		case typed:
			return &web.Fault{Key: "page_error_form" + suffix, Field: true}
		case strings.Contains(w.Typed, "@"):
			return &web.Fault{Key: "page_error_email", Field: true}
		case w.Typed != "":
			return &web.Fault{Key: "page_error_phone", Field: true}
		}
		return &web.Fault{Key: "page_error_unreachable"}
	case problem.TooManyChecks:
		if p.RetryAfter > 0 {
			return v.waitFault("page_error_locked", p)
		}
		return &web.Fault{Key: "page_error_exhausted"}
	case problem.TooManySends:
		return v.waitFault("page_error_sends", p)
	case problem.ResendTooSoon, problem.IdempotencyConflict:
		return &web.Fault{Key: "page_error_soon", Values: map[string]string{"seconds": strconv.Itoa(web.Ceil(p.RetryAfter, time.Second))}}
	case problem.NotFound, problem.Expired, problem.Canceled, problem.AlreadyUsed:
		return &web.Fault{Key: "page_error_expired"}
	case problem.DestinationRefused:
		return &web.Fault{Key: "page_error_refused", Field: w.Typed != ""}
	case problem.Undeliverable:
		return &web.Fault{Key: "page_error_unreachable", Field: w.Typed != ""}
	case problem.ProviderUnavailable, problem.ProviderMisconfigured:
		return &web.Fault{Key: "page_error_provider"}
	}
	return &web.Fault{Key: "page_error_failure"}
}

func (v *visit) wrongCode(p *problem.Error, err error, suffix string) *web.Fault {
	switch {
	case p.RetryAfter > 0 && !errors.Is(err, totp.ErrUsed):
		return v.waitFault("page_error_locked", p)
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

// waitFault is a fault that says how long the person has to wait.
func (v *visit) waitFault(key string, p *problem.Error) *web.Fault {
	return &web.Fault{Key: key, Values: map[string]string{"wait": v.Renderer.Wait(v.locale, p.RetryAfter)}}
}
