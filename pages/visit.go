package pages

import (
	"crypto/rand"
	"errors"
	"mime"
	"net/http"
	"net/url"

	"twofa/internal/capability"
	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/web"
)

// action answers a form.
type action func(v *visit, form url.Values) Answer

// maxForm is the greatest length of a form in bytes.
const maxForm = 16 << 10

// minOnce is the shortest name of a form. A form has 26 random characters.
const minOnce = 16

// The refusals of a form.
var (
	errCookies   = &problem.Error{Kind: problem.Forbidden, Err: errors.New("pages: the browser sent no cookie of the session")}
	errForm      = &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("pages: not a form")}
	errCrossSite = &problem.Error{Kind: problem.Forbidden, Err: web.ErrCrossSite}
)

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

// form is a form of the page as it is now.
func (v *visit) form(action string) web.Form {
	return web.Form{Action: v.place.path + "/" + action, Token: v.t, Once: rand.Text()}
}

// path is the path of a screen with the page as it is now, but without what the last POST
// said.
func (v *visit) path(screen string) string {
	t := v.token
	t.View = view{Dead: t.View.Dead}
	return v.pathOf(screen, t)
}

func (v *visit) pathOf(screen string, t token) string {
	text, err := capability.Seal(v.Keys, v.place.kind, t)
	if err != nil { // what was typed is too long to be shown again
		t.View = view{}
		text, _ = capability.Seal(v.Keys, v.place.kind, t)
	}
	path := v.place.path
	if screen != screenMain {
		path += "/" + screen
	}
	return path + "?t=" + text
}

// redirect answers with the page as it is now. The problem is for the log.
func (v *visit) redirect(screen string, w view, problem error) Answer {
	t := v.token
	t.View = w
	header := web.Headers()
	header["Location"] = v.pathOf(screen, t)
	return Answer{Status: http.StatusSeeOther, Header: header, Cookies: v.cookies, Problem: problem}
}

// answer renders a screen.
func (v *visit) answer(status int, screen any) Answer {
	var look web.Look
	if v.Look != nil {
		look = v.Look(v.client)
	}
	body, err := v.Renderer.Render(v.locale, look, screen, v.now)
	if err != nil {
		return v.failed(err)
	}
	return Answer{Status: status, Header: web.Headers(), Cookies: v.cookies, Body: body}
}

// failed answers with an error of our own, for which there is no page.
func (v *visit) failed(err error) Answer {
	header := web.Headers()
	header["Content-Type"] = "text/plain; charset=utf-8"
	return Answer{Status: http.StatusInternalServerError, Header: header, Body: []byte("Something went wrong. Try again in a moment.\n"), Problem: problem.Unexpected(err)}
}

func (v *visit) entered(old session.Record) (session.Record, error) {
	return session.Enter(old, v.token.Page, v.browser, v.now)
}

// bound returns the session's record, bound to this browser. The first form binds it before
// anything else is done: what is approved later was then typed in this browser. loaded is nil
// if the row was changed for that.
func (v *visit) bound() (loaded *session.Loaded, rec session.Record, err error) {
	l, err := v.Sessions.Load(v.ctx, v.token.Session)
	if err != nil {
		return nil, rec, err
	}
	if rec, err = v.entered(l.Record); err == nil && l.Browser != rec.Browser {
		rec, err = v.Sessions.ChangeFrom(v.ctx, v.token.Session, l, v.entered)
		return nil, rec, refused(rec, err)
	}
	return &l, rec, refused(rec, err)
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
