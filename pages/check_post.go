package pages

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/session"
	"twofa/internal/visit"
	"twofa/otpverify"
)

// actions are the forms, by the last segment of their path.
var actions = map[string]action{
	"send": send, "new": sendNew, "resend": resend, "help": help, "cancel": cancel,
	"code":         checkCode(otpverify.FactorMessage, screenMain),
	screenApp:      checkCode(otpverify.FactorTOTP, screenApp),
	screenRecovery: checkCode(otpverify.FactorRecovery, screenRecovery),
}

// PostCheck answers a form of the page for a code with a redirect.
func (s *Site) PostCheck(name string) func(*http.Request) Answer {
	return s.Post(checkPlace, visit.InBrowser(s.on(actions[name])))
}

// errPlace is the refusal of a form that the session does not have.
var errPlace = &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("pages: the session does not have this form")}

// send is the form with an address.
func send(v *page, form url.Values) Answer {
	if v.Token.Given {
		return v.End(http.StatusBadRequest, visit.EndLink, errPlace)
	}
	to, w, err := v.ReadAddress(form)
	if err != nil {
		return v.Redirect(screenAddress, w, err)
	}
	from := v.From(form.Get("once"))
	from.Browser = v.Proved(to)
	shown, err := v.Start(from, to)
	if err != nil {
		return v.refuse(err, screenAddress, w)
	}
	return v.Sent(shown, "")
}

// sendNew is the form that sends a new code to the same address.
func sendNew(v *page, form url.Values) Answer {
	from, screen := v.From(form.Get("once")), screenMain
	switch sent := v.Token.Sent; {
	case sent == nil && !v.Token.Given:
		return v.Redirect(screenMain, visit.View{}, nil)
	case sent == nil:
		screen = screenHelp
	case sent.Address != "":
		from.Browser = v.Proved(sent.Address)
	}
	shown, err := v.Start(from, "")
	if err != nil {
		return v.refuse(err, screen, visit.View{Dead: true})
	}
	return v.Sent(shown, "page_new_code_sent")
}

// resend is the form that sends the code again, over another channel if it names one.
func resend(v *page, form url.Values) Answer {
	id, err := v.Current()
	if err != nil {
		return v.refuse(err, screenHelp, visit.View{})
	}
	by := channel.Channel(form.Get("channel"))
	if by != "" {
		shown, _, err := v.Send.StatusOnPage(v.Ctx, v.Token.Page, id)
		if err != nil {
			return v.refuse(err, screenHelp, visit.View{})
		}
		if !visit.MayOffer(by, shown) {
			by = ""
		}
	}
	shown, err := v.Send.ResendOnPage(v.Ctx, v.From(form.Get("once")), id, by)
	if err != nil {
		return v.refuse(err, screenHelp, visit.View{})
	}
	return v.Sent(shown, "page_sent_again")
}

// help is the link of a person who did not get the code: the screen shows what became of the
// messages.
func help(v *page, _ url.Values) Answer {
	id, err := v.Current()
	if err != nil {
		return v.refuse(err, screenMain, visit.View{})
	}
	shown, status, err := v.Send.StatusOnPage(v.Ctx, v.Token.Page, id)
	switch {
	case err != nil:
		return v.refuse(err, screenHelp, visit.View{})
	case status == otp.Denied:
		return v.Redirect(screenEnd, visit.View{End: endDenied}, nil)
	}
	v.Token.Sent = shown
	return v.Redirect(screenHelp, visit.View{Dead: status != otp.Pending}, nil)
}

// cancel is the form that ends the check.
func cancel(v *page, _ url.Values) Answer {
	rec, err := v.Change(nil, func(old session.Record) (session.Record, error) {
		return session.Cancel(old, v.Token.Page, v.Browser, v.Now)
	})
	if err != nil {
		return v.refuse(err, screenMain, visit.View{})
	}
	if rec.Verification != "" {
		if err := v.Send.CancelOnPage(v.Ctx, v.Token.Page, rec.Verification); err != nil {
			reqlog.Add(v.Ctx, slog.String("not_canceled", err.Error()))
		}
	}
	return v.Redirect(screenEnd, visit.View{End: endCanceled}, nil)
}

// checkCode is the form with a code of a factor. screen is where it is typed.
func checkCode(factor, screen string) action {
	return func(v *page, form url.Values) Answer {
		if factor == otpverify.FactorTOTP && !v.Token.App || factor == otpverify.FactorRecovery && !v.Token.Recovery {
			return v.End(http.StatusBadRequest, visit.EndLink, errPlace)
		}
		loaded, rec, err := v.Bound()
		if err != nil {
			return v.refuse(err, screen, visit.View{})
		}
		check := otpverify.PageCheck{
			Page: v.Token.Page, ID: rec.Verification, Factor: factor, Code: form.Get("code"),
			Browser: rec.Known, Proves: v.Known(), Remember: form.Get("shared") == "",
		}
		approval, err := v.Verify.CheckOnPage(v.Ctx, check)
		if err != nil {
			return v.refuse(visit.CodeError{Err: err, Factor: factor}, screen, visit.View{})
		}
		a, err := v.approve(loaded, approval, check.Remember)
		if err != nil {
			return v.refuse(err, screenMain, visit.View{})
		}
		return a
	}
}

// approve stores the approval and sends the browser on. The address is known in this browser
// from now on if remember is true.
func (v *page) approve(loaded *session.Loaded, approval otpverify.PageApproval, remember bool) (Answer, error) {
	result := session.NewResult()
	rec, err := v.Change(loaded, func(old session.Record) (session.Record, error) {
		return session.Approve(old, v.Token.Page, v.Browser, approval.Kept, result, v.Now)
	})
	if err != nil {
		return Answer{}, err
	}
	if remember && approval.Address != "" {
		if err := v.Remember(approval.Address, approval.At); err != nil {
			reqlog.Add(v.Ctx, slog.String("not_remembered", err.Error()))
		}
	}
	return v.done(rec), nil
}

// refuse answers what could not be done: the session is over, or the person can go on from the
// screen with an error.
func (v *page) refuse(err error, screen string, w visit.View) Answer {
	if o, ok := errors.AsType[visit.Over](err); ok {
		if a, left := v.leave(o); left {
			return a
		}
		return v.refuse(o.Err, screenMain, visit.View{})
	}
	p, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return v.Failed(err)
	}
	if p.Kind == problem.Denied {
		return v.Redirect(screenEnd, visit.View{End: endDenied}, err)
	}
	if p.Kind == problem.ProviderUnavailable && p.ID != "" { // the message may arrive all the same
		if shown, status, lost := v.Send.StatusOnPage(v.Ctx, v.Token.Page, otp.ID(p.ID)); lost == nil && status == otp.Pending {
			v.Token.Sent, screen, w.Dead = shown, screenMain, false
		}
	}
	w.Fault = v.Fault(err, w.Typed)
	switch p.Kind {
	case problem.Expired, problem.Canceled, problem.NotFound, problem.Undeliverable, problem.TooManyChecks:
		w.Dead = w.Dead || screen == screenMain || screen == screenHelp
	case problem.WrongCode:
		w.Dead = screen == screenMain && p.ChecksLeft != nil && *p.ChecksLeft == 0
	}
	return v.Redirect(screen, w, err)
}
