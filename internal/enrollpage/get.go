package enrollpage

import (
	"errors"
	"html/template"
	"net/http"

	"twofa/internal/enroll"
	"twofa/internal/problem"
	"twofa/internal/qr"
	"twofa/internal/session"
	"twofa/internal/visit"
	"twofa/internal/web"
)

// errNoDraft: the person has not begun the enrolment.
var errNoDraft = errors.New("enrollpage: the enrolment was not begun")

// errLate: a browser opens the page for the first time too late.
var errLate = &problem.Error{Kind: problem.Expired, Err: errors.New("enrollpage: the enrolment page was not opened in time")}

// Get answers with a screen of the enrolment page. It tells nothing about the user unless
// the session is bound to this browser. One storage round trip, none for a browser without the
// session's cookie.
func (p *Pages) Get(screen string) func(*http.Request) web.Answer {
	return p.Site.Get(p.Place, screen, p.on(func(v *page) web.Answer {
		if v.Browser.IsZero() {
			if !v.Token.Opens(v.Now) {
				return v.End(http.StatusGone, visit.EndLink, errLate)
			}
			if err := v.GiveSession(); err != nil {
				return v.Failed(err)
			}
			return v.intro(http.StatusOK, v.Token.View.Fault)
		}
		_, d, err := v.draft()
		o, isOver := errors.AsType[visit.Over](err)
		switch {
		case errors.Is(err, errNoDraft):
			return v.intro(http.StatusOK, v.Token.View.Fault)
		case isOver:
			a, _ := v.pages.Leave(v.Visit, o)
			return a
		case err != nil: // a redirect would come back here
			a := v.intro(http.StatusServiceUnavailable, &web.Fault{Key: "page_error_failure"})
			a.Problem = err
			return a
		case screen == ScreenApp && d.Waits(v.Now):
			return v.scan(d)
		}
		return v.Answer(http.StatusOK, v.apps(d))
	}))
}

// intro is the first screen.
func (v *page) intro(status int, fault *web.Fault) web.Answer {
	return v.Answer(status, web.IntroScreen{Form: v.Form("begin"), Fault: fault, Cancel: v.Form("cancel")})
}

// draft is what was done in the session until now. One storage round trip.
func (v *page) draft() (loaded session.Loaded, d enroll.Draft, err error) {
	loaded, rec, err := v.Load()
	switch {
	case err != nil:
		return loaded, d, err
	case rec.Draft == nil:
		return loaded, d, errNoDraft
	}
	if d, err = enroll.Decode(rec.Draft); err != nil {
		err = problem.Unexpected(err)
	}
	return loaded, d, err
}

// scan is the screen with the QR code.
func (v *page) scan(d enroll.Draft) web.Answer {
	uri := d.URI()
	code, err := qr.SVG(uri, v.Renderer.Texts.Page(v.Locale).Text("page_enroll_qr", nil))
	if err != nil { // the name and the issuer are too long for a QR code: the key is enough
		code = ""
	}
	name := v.Token.View.Typed
	if name == "" {
		name = d.FreeName()
	}
	return v.Answer(http.StatusOK, web.ScanScreen{
		Form: v.Form(ScreenApp), QR: template.HTML(code), URI: uri, Key: d.Pending.Key(), Name: name, //nolint:gosec // made by us
		Fault: v.Token.View.Fault, Back: v.Path(visit.ScreenMain), Cancel: v.Form("cancel"),
	})
}

// apps is the screen with all apps and the recovery codes.
func (v *page) apps(d enroll.Draft) web.AppsScreen {
	s := web.AppsScreen{
		CodesLeft: d.CodesLeft, NewCodes: d.Codes != nil, Codes: v.Form("codes"), Changed: d.Changed(), Save: v.Form("save"),
		Own: v.pages.Own, Fault: v.Token.View.Fault, Notice: v.Token.View.Notice, Cancel: v.Form("cancel"),
	}
	for _, a := range d.Apps {
		s.Apps = append(s.Apps, web.App{ID: a.ID, Name: a.Name, Since: a.At, Removed: d.Goes(a.ID), Remove: v.Form("remove"), Keep: v.Form("keep")})
	}
	for _, a := range d.Added {
		s.Apps = append(s.Apps, web.App{ID: a.ID, Name: a.Name, Since: a.At, New: true, Remove: v.Form("remove")})
	}
	if !d.Full() {
		add := v.Form("add")
		s.Add = &add
	}
	return s
}
