package enrollpage

import (
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"twofa/internal/enroll"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/session"
	"twofa/internal/totp"
	"twofa/internal/visit"
	"twofa/internal/web"
	"twofa/otpverify"
)

// actions are the forms of the enrolment page, by the last segment of their path.
var actions = map[string]action{
	"begin": begin, "add": addApp, ScreenApp: confirmApp, "remove": removeApp, "keep": keepApp, "codes": makeCodes, "kept": keepCodes, "save": save,
	"cancel": cancel,
}

// Post answers a form of the enrolment. Nothing that it does takes effect: it is kept in the session's row until Save.
// One read and one write of that row; the first form also reads the user's, and new recovery codes are counted there.
func (p *Pages) Post(name string) func(*http.Request) web.Answer {
	f := actions[name]
	return p.Site.Post(p.Place, visit.InBrowser(func(v *visit.Visit, form url.Values) web.Answer { return f(&page{v, p}, form) }))
}

// Begin begins the enrolment of a session of which nothing is stored, without a form.
func (p *Pages) Begin(v *visit.Visit) web.Answer { return begin(&page{v, p}, nil) }

// begin is the form that begins the enrolment, and binds the session to the browser. A person
// without an app sees the QR code next.
func begin(v *page, _ url.Values) web.Answer {
	loaded, _, err := v.draft()
	if !errors.Is(err, errNoDraft) {
		if err != nil {
			return v.refuse(err, visit.View{})
		}
		return v.Redirect(visit.ScreenMain, visit.View{}, nil)
	}
	d, err := v.pages.Users.BeginDraft(v.Ctx, v.Token.Page)
	if err != nil {
		return v.refuse(err, visit.View{})
	}
	if _, err := v.Change(&loaded, v.edited(func(encoded []byte) ([]byte, error) {
		if encoded != nil { // the form was sent twice
			return encoded, nil
		}
		return d.Encode()
	})); err != nil {
		return v.refuse(err, visit.View{})
	}
	return v.Redirect(ScreenApp, visit.View{}, nil)
}

// edited is the transition of a session whose draft changes.
func (v *page) edited(edit func(draft []byte) ([]byte, error)) session.Transition {
	return func(old session.Record) (session.Record, error) {
		return session.Edit(old, v.Token.Page, v.Browser, edit, v.Now)
	}
}

// edit changes the draft. An error of f is returned after its draft was kept: a wrong code
// counts.
func (v *page) edit(f func(enroll.Draft) (enroll.Draft, error)) (d enroll.Draft, err error) {
	var failed error
	_, err = v.Change(nil, v.edited(func(encoded []byte) ([]byte, error) {
		if encoded == nil {
			return nil, errNoDraft
		}
		old, err := enroll.Decode(encoded)
		if err != nil {
			return nil, problem.Unexpected(err)
		}
		d, failed = f(old)
		return d.Encode()
	}))
	if err != nil {
		return d, err
	}
	return d, failed
}

// addApp is the form that shows a QR code for one more app.
func addApp(v *page, _ url.Values) web.Answer {
	if _, err := v.edit(v.pages.Users.AddToDraft); err != nil {
		return v.refuse(err, visit.View{})
	}
	return v.Redirect(ScreenApp, visit.View{}, nil)
}

// formOf names a form that was sent.
func formOf(form url.Values) enroll.Form {
	name := session.HashOf("form\n" + form.Get("once"))
	return enroll.Form(name[:16])
}

// maxShown is the longest name, in bytes, that a page shows again after an error.
const maxShown = 4 * totp.MaxName

// confirmApp is the form with the first code of an app, and its name.
func confirmApp(v *page, form url.Values) web.Answer {
	_, err := v.edit(func(old enroll.Draft) (enroll.Draft, error) {
		d, err := enroll.Confirm(old, form.Get("code"), form.Get("name"), formOf(form), v.Now)
		if err != nil && d.Pending == nil { // too late, or the last wrong code: go on with a new secret
			if fresh, full := v.pages.Users.AddToDraft(d); full == nil {
				return fresh, enroll.ErrGone
			}
			return d, enroll.ErrFull
		}
		return d, err
	})
	if err != nil {
		w := visit.View{Typed: form.Get("name")}
		if len(w.Typed) > maxShown {
			w.Typed = ""
		}
		return v.refuse(visit.CodeError{Err: err, Factor: otpverify.FactorTOTP}, w)
	}
	return v.Redirect(visit.ScreenMain, visit.View{Notice: "page_enroll_confirmed"}, nil)
}

// removeApp and keepApp are the forms beside an app.
func removeApp(v *page, form url.Values) web.Answer {
	return v.changeApp(enroll.Remove, form)
}

func keepApp(v *page, form url.Values) web.Answer {
	return v.changeApp(enroll.Keep, form)
}

func (v *page) changeApp(f func(enroll.Draft, string) (enroll.Draft, error), form url.Values) web.Answer {
	if _, err := v.edit(func(d enroll.Draft) (enroll.Draft, error) { return f(d, form.Get("id")) }); err != nil {
		return v.refuse(err, visit.View{})
	}
	return v.Redirect(visit.ScreenMain, visit.View{Notice: "page_enroll_unsaved"}, nil)
}

// makeCodes is the form that shows new recovery codes, in the answer itself: no other page has
// them again. One storage round trip, two for the user's row, and two for the draft.
func makeCodes(v *page, form url.Values) web.Answer {
	by := formOf(form)
	_, d, err := v.draft()
	if err == nil && d.ShownBy == by {
		err = enroll.ErrShown
	}
	if err != nil {
		return v.refuse(err, visit.View{})
	}
	codes, fresh, err := v.pages.Users.DraftCodes(v.Ctx, d)
	if err == nil {
		_, err = v.edit(func(d enroll.Draft) (enroll.Draft, error) { return enroll.ShowCodes(d, fresh, by) })
	}
	if err != nil {
		return v.refuse(err, visit.View{})
	}
	return v.Answer(http.StatusOK, web.CodesScreen{Codes: codes, Set: hex.EncodeToString(by[:]), Keep: v.Form("kept")})
}

// keepCodes is the form below the recovery codes. Before it, nothing replaces the old ones: the
// answer with the codes may not have arrived.
func keepCodes(v *page, form url.Values) web.Answer {
	_, err := v.edit(func(d enroll.Draft) (enroll.Draft, error) {
		var by enroll.Form
		if n, err := hex.Decode(by[:], []byte(form.Get("set"))); err != nil || n != len(by) {
			return d, enroll.ErrShown
		}
		return enroll.KeepCodes(d, by)
	})
	if err != nil {
		return v.refuse(err, visit.View{})
	}
	return v.Redirect(visit.ScreenMain, visit.View{}, nil)
}

// cancel is the form that ends the enrolment without a change.
func cancel(v *page, _ url.Values) web.Answer {
	if _, err := v.Change(nil, func(old session.Record) (session.Record, error) {
		return session.Cancel(old, v.Token.Page, v.Browser, v.Now)
	}); err != nil {
		return v.refuse(err, visit.View{})
	}
	return v.pages.Canceled(v.Visit)
}

// save is the form that ends the enrolment. Without a change, it is the same as cancel.
func save(v *page, form url.Values) web.Answer {
	loaded, d, err := v.draft()
	if err != nil {
		return v.refuse(err, visit.View{})
	}
	if !d.Changed() {
		return cancel(v, form)
	}
	a, err := v.pages.Save(v.Visit, loaded, d)
	if problem.Is(err, problem.TooManyChanges) { // not that of the codes alone
		return v.Redirect(visit.ScreenMain, visit.View{Fault: v.Fault(err, "")}, err)
	}
	if err != nil {
		return v.refuse(err, visit.View{})
	}
	return a
}

// contest ends an enrolment of which this browser is not the one that it is bound to: one of the
// two is a stranger's, who must not finish it.
func (v *page) contest(o visit.Over) {
	if !errors.Is(o.Err, session.ErrBrowser) {
		return
	}
	if _, err := v.Change(nil, session.Contest); err != nil {
		reqlog.Add(v.Ctx, slog.String("not_contested", err.Error()))
	}
}

// refuse answers what could not be done.
func (v *page) refuse(err error, w visit.View) web.Answer {
	if o, ok := errors.AsType[visit.Over](err); ok {
		v.contest(o)
		if a, left := v.pages.Leave(v.Visit, o); left {
			return a
		}
		err = o.Err
	}
	screen := visit.ScreenMain
	logged := visit.ProblemOf(err)
	switch p, _ := errors.AsType[*problem.Error](err); {
	case errors.Is(err, errNoDraft):
		return v.Redirect(visit.ScreenMain, visit.View{}, logged)
	case errors.Is(err, enroll.ErrGone):
		screen, w.Fault = ScreenApp, &web.Fault{Key: "page_error_old_qr"}
	case errors.Is(err, enroll.ErrName):
		screen, w.Fault = ScreenApp, &web.Fault{Key: "page_error_name", Field: true}
	case errors.Is(err, enroll.ErrFull):
		w.Fault = &web.Fault{Key: "page_error_apps"}
	case errors.Is(err, enroll.ErrNoApp): // it was taken back before
	case errors.Is(err, enroll.ErrShown):
		w.Fault = &web.Fault{Key: "page_codes_shown"}
	case p == nil:
		return v.Failed(err)
	case p.Kind == problem.NotFound: // the user was erased
		return v.Redirect(visit.ScreenEnd, visit.View{End: visit.EndExpired}, p)
	case p.Kind == problem.TooManyChanges:
		logged, w.Fault = p, v.WaitFault("page_error_codes", p)
	default:
		if _, typed := errors.AsType[visit.CodeError](err); typed {
			screen = ScreenApp
		}
		logged, w.Fault = p, v.Fault(err, "")
	}
	return v.Redirect(screen, w, logged)
}
