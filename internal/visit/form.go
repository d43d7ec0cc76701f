package visit

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"

	"twofa/internal/problem"
	"twofa/internal/web"
)

// Action answers a form.
type Action func(v *Visit, form url.Values) web.Answer

// minOnce is the shortest name of a form. A form has 26 random characters.
const minOnce = 16

// The refusals of a form.
var (
	errCookies   = &problem.Error{Kind: problem.Forbidden, Err: errors.New("visit: the browser sent no cookie of the session")}
	errForm      = &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("visit: not a form")}
	errCrossSite = &problem.Error{Kind: problem.Forbidden, Err: web.ErrCrossSite}
)

// Get answers a GET with a screen of a place. It answers by itself for ScreenEnd, for
// ScreenNone, for a t that does not open, and for a session that is over.
func (s *Site) Get(at Place, screen string, show func(v *Visit) web.Answer) func(*http.Request) web.Answer {
	return func(r *http.Request) web.Answer {
		v, err := s.Enter(r, at, r.URL.Query().Get("t"))
		switch {
		case err == nil && screen == ScreenNone:
			err = errLink
		case err == nil && screen == ScreenEnd:
			return v.ended()
		}
		if err != nil {
			return v.End(http.StatusBadRequest, EndLink, err)
		}
		if v.Token.Over(v.Now) {
			return v.End(http.StatusGone, at.Expired, nil)
		}
		return show(v)
	}
}

// Post answers a form of a place. The answer to a form without t is the same as for any other
// broken link.
func (s *Site) Post(at Place, f Action) func(*http.Request) web.Answer {
	return func(r *http.Request) web.Answer {
		form, err := readForm(r)
		v, bad := s.Enter(r, at, form.Get("t"))
		if err == nil {
			err = bad
		}
		if err == nil && s.Forms(r) != nil {
			err = errCrossSite
		}
		if err != nil {
			return v.End(http.StatusBadRequest, EndLink, err)
		}
		return f(v, form)
	}
}

// readForm reads a form of a page. The error is of kind InvalidRequest.
func readForm(r *http.Request) (url.Values, error) {
	form, err := web.ParseForm(r)
	if err != nil || len(form.Get("once")) < minOnce {
		return nil, errForm
	}
	return form, nil
}

// OwnForm reads a form that is on no page of a Place. The error of a form that another site sent is of kind
// Forbidden.
func (s *Site) OwnForm(r *http.Request) (url.Values, error) {
	form, err := readForm(r)
	if err == nil && s.Forms(r) != nil {
		err = errCrossSite
	}
	return form, err
}

// InBrowser is an action that needs the cookie of the session.
func InBrowser(f Action) Action {
	return func(v *Visit, form url.Values) web.Answer {
		if v.Browser.IsZero() {
			return v.End(http.StatusForbidden, EndCookies, errCookies)
		}
		return f(v, form)
	}
}

// Form is a form of the page as it is now. The action is the last segment of its path.
func (v *Visit) Form(action string) web.Form {
	return web.Form{Action: v.Place.Path + "/" + action, Token: v.t, Once: rand.Text()}
}
