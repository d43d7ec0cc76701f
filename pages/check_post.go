package pages

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/session"
	"twofa/internal/web"
	"twofa/otpsend"
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
	return s.post(checkPlace, inBrowser(actions[name]))
}

// The refusals of a form of the check.
var (
	errPlace  = &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("pages: the session does not have this form")}
	errNoCode = &problem.Error{Kind: problem.NotFound, Err: errors.New("pages: no code was sent in this session")}
)

// send is the form with an address.
func send(v *visit, form url.Values) Answer {
	if v.token.Given {
		return v.end(http.StatusBadRequest, endLink, errPlace)
	}
	w := view{Typed: form.Get("address"), Country: form.Get("country")}
	if !phone.IsRegion(w.Country) {
		w.Country = ""
	}
	if len(w.Typed) > web.MaxTypedAddress {
		w.Typed = ""
	}
	to, fault := web.ReadAddress(form.Get("address"), w.Country)
	switch phones, emails := v.kinds(); {
	case fault != "":
	case address.IsEmail(to) && !emails:
		fault = "page_error_phone"
	case !address.IsEmail(to) && !phones:
		fault = "page_error_email"
	}
	if fault != "" {
		w.Fault = &web.Fault{Key: fault, Field: true}
		return v.redirect(screenAddress, w, &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("pages: " + fault)})
	}
	from := v.from(form.Get("once"))
	from.Browser = v.proved(to)
	shown, err := v.start(from, to)
	if err != nil {
		return v.refuse(err, screenAddress, w)
	}
	return v.sent(shown, "")
}

// start starts a verification. If it was refused before anything was stored, the session keeps
// the code that it had.
func (v *visit) start(from otpsend.FromPage, to string) (*session.Sent, error) {
	var before session.Record
	var id otp.ID
	from.Bind = func(ctx context.Context, row otp.RowKey, started otp.ID) error {
		rec, err := v.Sessions.Change(ctx, v.token.Session, func(old session.Record) (session.Record, error) {
			before, id = old, started
			return session.Begin(old, v.token.Page, v.browser, row, started, from.Browser.ID, !v.token.Given, v.now)
		})
		return refused(rec, err)
	}
	shown, err := v.Send.StartOnPage(v.ctx, from, to)
	if p, ok := errors.AsType[*problem.Error](err); ok && p.ID == "" && problem.Is(p, notStored...) && before.Verification != id {
		if _, lost := v.change(nil, func(old session.Record) (session.Record, error) { return session.Undo(old, before, id), nil }); lost != nil {
			reqlog.Add(v.ctx, slog.String("not_undone", lost.Error()))
		}
	}
	return shown, err
}

// notStored are the kinds of a start that stored nothing.
var notStored = []problem.Kind{
	problem.TooManySends, problem.TooManyChecks, problem.ResendTooSoon, problem.DestinationRefused, problem.InvalidRequest, problem.IdempotencyConflict,
}

// sendNew is the form that sends a new code to the same address.
func sendNew(v *visit, form url.Values) Answer {
	from, screen := v.from(form.Get("once")), screenMain
	switch sent := v.token.Sent; {
	case sent == nil && !v.token.Given:
		return v.redirect(screenMain, view{}, nil)
	case sent == nil:
		screen = screenHelp
	case sent.Address != "":
		from.Browser = v.proved(sent.Address)
	}
	shown, err := v.start(from, "")
	if err != nil {
		return v.refuse(err, screen, view{Dead: true})
	}
	return v.sent(shown, "page_new_code_sent")
}

// resend is the form that sends the code again, over another channel if it names one.
func resend(v *visit, form url.Values) Answer {
	id, err := v.current()
	if err != nil {
		return v.refuse(err, screenHelp, view{})
	}
	by := channel.Channel(form.Get("channel"))
	if by != "" {
		shown, _, err := v.Send.StatusOnPage(v.ctx, v.token.Page, id)
		if err != nil {
			return v.refuse(err, screenHelp, view{})
		}
		if !mayOffer(by, shown) {
			by = ""
		}
	}
	shown, err := v.Send.ResendOnPage(v.ctx, v.from(form.Get("once")), id, by)
	if err != nil {
		return v.refuse(err, screenHelp, view{})
	}
	return v.sent(shown, "page_sent_again")
}

// help is the link of a person who did not get the code: the screen shows what became of the
// messages.
func help(v *visit, _ url.Values) Answer {
	id, err := v.current()
	if err != nil {
		return v.refuse(err, screenMain, view{})
	}
	shown, status, err := v.Send.StatusOnPage(v.ctx, v.token.Page, id)
	switch {
	case err != nil:
		return v.refuse(err, screenHelp, view{})
	case status == otp.Denied:
		return v.redirect(screenEnd, view{End: endDenied}, nil)
	}
	v.token.Sent = shown
	return v.redirect(screenHelp, view{Dead: status != otp.Pending}, nil)
}

// cancel is the form that ends the check.
func cancel(v *visit, _ url.Values) Answer {
	rec, err := v.change(nil, func(old session.Record) (session.Record, error) {
		return session.Cancel(old, v.token.Page, v.browser, v.now)
	})
	if err != nil {
		return v.refuse(err, screenMain, view{})
	}
	if rec.Verification != "" {
		if err := v.Send.CancelOnPage(v.ctx, v.token.Page, rec.Verification); err != nil {
			reqlog.Add(v.ctx, slog.String("not_canceled", err.Error()))
		}
	}
	return v.redirect(screenEnd, view{End: endCanceled}, nil)
}

// current is the session's verification. It binds the session to the browser.
func (v *visit) current() (otp.ID, error) {
	_, rec, err := v.bound()
	if err != nil {
		return "", err
	}
	if rec.Verification == "" {
		return "", errNoCode
	}
	return rec.Verification, nil
}

// checkCode is the form with a code of a factor. screen is where it is typed.
func checkCode(factor, screen string) action {
	return func(v *visit, form url.Values) Answer {
		if factor == otpverify.FactorTOTP && !v.token.App || factor == otpverify.FactorRecovery && !v.token.Recovery {
			return v.end(http.StatusBadRequest, endLink, errPlace)
		}
		loaded, rec, err := v.bound()
		if err != nil {
			return v.refuse(err, screen, view{})
		}
		check := otpverify.PageCheck{
			Page: v.token.Page, ID: rec.Verification, Factor: factor, Code: form.Get("code"),
			Browser: rec.Known, Proves: v.known.ID, Remember: form.Get("shared") == "",
		}
		approval, err := v.Verify.CheckOnPage(v.ctx, check)
		if err != nil {
			return v.refuse(wrong{err, factor}, screen, view{})
		}
		a, err := v.approve(loaded, approval, check.Remember)
		if err != nil {
			return v.refuse(err, screenMain, view{})
		}
		return a
	}
}

// approve stores the approval and sends the browser on. The address is known in this browser
// from now on if remember is true.
func (v *visit) approve(loaded *session.Loaded, approval otpverify.PageApproval, remember bool) (Answer, error) {
	result := session.NewResult()
	rec, err := v.change(loaded, func(old session.Record) (session.Record, error) {
		return session.Approve(old, v.token.Page, v.browser, approval.Kept, result, v.now)
	})
	if err != nil {
		return Answer{}, err
	}
	if remember && approval.Address != "" {
		if err := v.remember(approval.Address, approval.At); err != nil {
			reqlog.Add(v.ctx, slog.String("not_remembered", err.Error()))
		}
	}
	return v.done(rec), nil
}

// sent goes on with the code that was sent.
func (v *visit) sent(shown *session.Sent, notice string) Answer {
	v.token.Sent = shown
	return v.redirect(screenMain, view{Notice: notice}, nil)
}
