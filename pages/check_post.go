package pages

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"time"

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

// action answers a form.
type action func(v *visit, form url.Values) Answer

// actions are the forms, by the last segment of their path.
var actions = map[string]action{
	"send": send, "new": sendNew, "resend": resend, "help": help, "cancel": cancel,
	"code":         checkCode(otpverify.FactorMessage, screenMain),
	screenApp:      checkCode(otpverify.FactorTOTP, screenApp),
	screenRecovery: checkCode(otpverify.FactorRecovery, screenRecovery),
}

// Post answers a form with a redirect.
func (c *Check) Post(name string) func(*http.Request) Answer {
	f := actions[name]
	return func(r *http.Request) Answer {
		form, err := readForm(r)
		v, bad := c.enter(r, form.Get("t"))
		if err == nil {
			err = bad
		}
		if err == nil && c.Forms(r) != nil {
			err = errCrossSite
		}
		switch {
		case err != nil:
			return v.end(http.StatusBadRequest, endLink, err)
		case v.browser == session.Hash{}:
			return v.end(http.StatusForbidden, endCookies, errCookies)
		}
		return f(v, form)
	}
}

// The refusals of a form.
var (
	errCookies   = &problem.Error{Kind: problem.Forbidden, Err: errors.New("pages: the browser sent no cookie of the session")}
	errForm      = &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("pages: not a form")}
	errCrossSite = &problem.Error{Kind: problem.Forbidden, Err: web.ErrCrossSite}
	errPlace     = &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("pages: the session does not have this form")}
	errNoCode    = &problem.Error{Kind: problem.NotFound, Err: errors.New("pages: no code was sent in this session")}
)

// minOnce is the shortest name of a form. A form has 26 random characters.
const minOnce = 16

func readForm(r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errForm
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if err := r.ParseForm(); err != nil || len(r.PostForm.Get("once")) < minOnce { // its text may quote the form
		return nil, errForm
	}
	return r.PostForm, nil
}

// send is the form with an address.
func send(v *visit, form url.Values) Answer {
	if v.token.Given {
		return v.end(http.StatusBadRequest, endLink, errPlace)
	}
	w := view{Typed: form.Get("address"), Country: form.Get("country")}
	if !phone.IsRegion(w.Country) {
		w.Country = ""
	}
	if len(w.Typed) > 320 {
		w.Typed = w.Typed[:0]
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
	if v.token.Sent == nil {
		return v.redirect(screenMain, view{}, nil)
	}
	from := v.from(form.Get("once"))
	if to := v.token.Sent.Address; to != "" {
		from.Browser = v.proved(to)
	}
	shown, err := v.start(from, "")
	if err != nil {
		return v.refuse(err, screenMain, view{Dead: true})
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

func (v *visit) entered(old session.Record) (session.Record, error) {
	return session.Enter(old, v.token.Page, v.browser, v.now)
}

// change makes a transition of the session, of the record that was loaded unless that is nil.
func (v *visit) change(loaded *session.Loaded, t session.Transition) (rec session.Record, err error) {
	if loaded != nil {
		rec, err = v.Sessions.ChangeFrom(v.ctx, v.token.Session, *loaded, t)
	} else {
		rec, err = v.Sessions.Change(v.ctx, v.token.Session, t)
	}
	return rec, refused(rec, err)
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
		return v.approve(loaded, approval, check.Remember)
	}
}

// bound returns the session's record, bound to this browser. The first form binds it before
// anything else is done: what is approved later was then typed in this browser. loaded is nil
// if the row was changed for that.
func (v *visit) bound() (loaded *session.Loaded, rec session.Record, err error) {
	l, err := v.Sessions.Load(v.ctx, v.token.Session)
	if err != nil {
		return nil, rec, err
	}
	if rec, err = v.entered(l.Record); err == nil && l.IsZero() {
		rec, err = v.Sessions.ChangeFrom(v.ctx, v.token.Session, l, v.entered)
		return nil, rec, refused(rec, err)
	}
	return &l, rec, refused(rec, err)
}

// approve stores the approval and sends the browser on.
func (v *visit) approve(loaded *session.Loaded, approval otpverify.PageApproval, remember bool) Answer {
	var result session.Result
	_, _ = rand.Read(result[:])
	rec, err := v.change(loaded, func(old session.Record) (session.Record, error) {
		return session.Approve(old, v.token.Page, v.browser, approval.Kept, result, v.now)
	})
	if err != nil {
		return v.refuse(err, screenMain, view{})
	}
	if remember && approval.Address != "" {
		if err := v.remember(approval.Address, approval.At); err != nil {
			reqlog.Add(v.ctx, slog.String("not_remembered", err.Error()))
		}
	}
	return v.done(rec)
}

// done sends the browser to the screen that goes on to the app.
func (v *visit) done(rec session.Record) Answer {
	until := time.Unix(rec.ApprovedAt, 0).Add(session.FetchFor).Unix()
	return v.redirect(screenEnd, view{End: endDone, Result: rec.Result.String(), Browser: v.browser, Until: until}, nil)
}

// sent goes on with the code that was sent.
func (v *visit) sent(shown *session.Sent, notice string) Answer {
	v.token.Sent = shown
	return v.redirect(screenMain, view{Notice: notice}, nil)
}

// redirect answers with the page as it is now. The problem is for the log.
func (v *visit) redirect(screen string, w view, problem error) Answer {
	t := v.token
	t.View = w
	header := web.Headers()
	header["Location"] = v.pathOf(screen, t)
	return Answer{Status: http.StatusSeeOther, Header: header, Cookies: v.cookies, Problem: problem}
}

// failed answers with an error of our own, for which there is no page.
func (v *visit) failed(err error) Answer {
	header := web.Headers()
	header["Content-Type"] = "text/plain; charset=utf-8"
	return Answer{Status: http.StatusInternalServerError, Header: header, Body: []byte("Something went wrong. Try again in a moment.\n"), Problem: problem.Unexpected(err)}
}
