package pages

import (
	"errors"
	"html/template"
	"net/http"

	"twofa/internal/enroll"
	"twofa/internal/problem"
	"twofa/internal/qr"
	"twofa/internal/session"
	"twofa/internal/web"
)

// errNoDraft: the person has not begun the enrolment.
var errNoDraft = errors.New("pages: the enrolment was not begun")

// errLate: a browser opens the page for the first time too late.
var errLate = &problem.Error{Kind: problem.Expired, Err: errors.New("pages: the enrolment page was not opened in time")}

// GetEnroll answers with a screen of the enrolment page. It tells nothing about the user unless
// the session is bound to this browser. One storage round trip, none for a browser without the
// session's cookie.
func (s *Site) GetEnroll(screen string) func(*http.Request) Answer {
	return s.get(enrollPlace, screen, func(v *visit) Answer {
		if v.browser.IsZero() {
			if !v.token.Opens(v.now) {
				return v.end(http.StatusGone, endLink, errLate)
			}
			if err := v.giveSession(); err != nil {
				return v.failed(err)
			}
			return v.intro(http.StatusOK, v.token.View.Fault)
		}
		_, d, err := v.draft()
		o, isOver := errors.AsType[over](err)
		switch {
		case errors.Is(err, errNoDraft):
			return v.intro(http.StatusOK, v.token.View.Fault)
		case isOver:
			a, _ := v.leave(o)
			return a
		case err != nil: // a redirect would come back here
			a := v.intro(http.StatusServiceUnavailable, &web.Fault{Key: "page_error_failure"})
			a.Problem = err
			return a
		case screen == screenApp && d.Waits(v.now):
			return v.scan(d)
		}
		return v.answer(http.StatusOK, v.apps(d))
	})
}

// intro is the first screen.
func (v *visit) intro(status int, fault *web.Fault) Answer {
	return v.answer(status, web.IntroScreen{Form: v.form("begin"), Fault: fault, Cancel: v.form("cancel")})
}

// draft is what was done in the session until now. One storage round trip.
func (v *visit) draft() (loaded session.Loaded, d enroll.Draft, err error) {
	if loaded, err = v.Sessions.Load(v.ctx, v.token.Session); err != nil {
		return loaded, d, err
	}
	rec, err := v.entered(loaded.Record)
	switch {
	case err != nil:
		return loaded, d, refused(rec, err)
	case rec.Draft == nil:
		return loaded, d, errNoDraft
	}
	if d, err = enroll.Decode(rec.Draft); err != nil {
		err = problem.Unexpected(err)
	}
	return loaded, d, err
}

// scan is the screen with the QR code.
func (v *visit) scan(d enroll.Draft) Answer {
	uri := d.URI()
	code, err := qr.SVG(uri, v.Renderer.Texts.Page(v.locale).Text("page_enroll_qr", nil))
	if err != nil { // the name and the issuer are too long for a QR code: the key is enough
		code = ""
	}
	name := v.token.View.Typed
	if name == "" {
		name = d.FreeName()
	}
	return v.answer(http.StatusOK, web.ScanScreen{
		Form: v.form(screenApp), QR: template.HTML(code), URI: uri, Key: d.Pending.Key(), Name: name, //nolint:gosec // made by us
		Fault: v.token.View.Fault, Back: v.path(screenMain), Cancel: v.form("cancel"),
	})
}

// apps is the screen with all apps and the recovery codes.
func (v *visit) apps(d enroll.Draft) web.AppsScreen {
	s := web.AppsScreen{
		CodesLeft: d.CodesLeft, NewCodes: d.Codes != nil, Codes: v.form("codes"), Changed: d.Changed(), Save: v.form("save"),
		Fault: v.token.View.Fault, Notice: v.token.View.Notice, Cancel: v.form("cancel"),
	}
	for _, a := range d.Apps {
		s.Apps = append(s.Apps, web.App{ID: a.ID, Name: a.Name, Since: a.At, Removed: d.Goes(a.ID), Remove: v.form("remove"), Keep: v.form("keep")})
	}
	for _, a := range d.Added {
		s.Apps = append(s.Apps, web.App{ID: a.ID, Name: a.Name, Since: a.At, New: true, Remove: v.form("remove")})
	}
	if !d.Full() {
		add := v.form("add")
		s.Add = &add
	}
	return s
}
