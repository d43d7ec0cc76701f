package visit

import (
	"crypto/rand"
	"errors"
	"mime"
	"net/http"
	"net/url"

	"twofa/internal/problem"
	"twofa/internal/web"
)

// Action answers a form.
type Action func(v *Visit, form url.Values) web.Answer

// maxForm is the greatest length of a form in bytes.
const maxForm = 16 << 10

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
		form, err := ReadForm(r)
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

// ReadForm reads a form of a page. The error is of kind InvalidRequest.
func ReadForm(r *http.Request) (url.Values, error) {
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
