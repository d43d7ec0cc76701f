package visit

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"twofa/internal/capability"
	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/web"
)

// The screens that every place has, as the last segment of the path names them.
const (
	ScreenMain = ""
	ScreenEnd  = "end"
	ScreenNone = "none" // the address of a form, at which nothing can be looked at
)

// The reasons of an end that every place has: see page_end_ in the texts.
const (
	EndFailed  = "failed"
	EndExpired = "expired"
	EndBrowser = "browser"
	EndCookies = "cookies"
	EndLink    = "link"
)

// Path is the path of a screen with the page as it is now, but without what the last POST
// said.
func (v *Visit) Path(screen string) string {
	t := v.Token
	t.View = View{Dead: t.View.Dead}
	return v.PathOf(screen, t)
}

// PathOf is the path of a screen with that token, without its View if it is too long.
func (v *Visit) PathOf(screen string, t Token) string {
	text, err := capability.Seal(v.Keys, v.Place.Kind, t)
	if err != nil { // what was typed is too long to be shown again
		t.View = View{}
		text, _ = capability.Seal(v.Keys, v.Place.Kind, t)
	}
	path := v.Place.Path
	if screen != ScreenMain {
		path += "/" + screen
	}
	return path + "?t=" + text
}

// Redirect answers with the page as it is now. The problem is for the log.
func (v *Visit) Redirect(screen string, w View, problem error) web.Answer {
	t := v.Token
	t.View = w
	header := web.Headers(t.FormAction)
	header["Location"] = v.PathOf(screen, t)
	return web.Answer{Status: http.StatusSeeOther, Header: header, Cookies: v.NewCookies, Problem: problem}
}

// Answer renders a screen.
func (v *Visit) Answer(status int, screen any) web.Answer {
	var look web.Look
	if v.Look != nil {
		look = v.Look(v.Client)
	}
	body, err := v.Renderer.Render(v.Locale, look, screen, v.Now)
	if err != nil {
		return v.Failed(err)
	}
	return web.Answer{Status: status, Header: web.Headers(v.Token.FormAction), Cookies: v.NewCookies, Body: body}
}

// Failed answers with an error of our own, for which there is no page.
func (v *Visit) Failed(err error) web.Answer {
	header := web.Headers()
	header["Content-Type"] = "text/plain; charset=utf-8"
	return web.Answer{Status: http.StatusInternalServerError, Header: header, Body: []byte("Something went wrong. Try again in a moment.\n"), Problem: problem.Unexpected(err)}
}

// End answers with the end that the place has for a reason.
func (v *Visit) End(status int, reason string, problem error) web.Answer {
	return v.Place.End(v, status, reason, problem)
}

// ended is the screen after the visits of a session, as t says.
func (v *Visit) ended() web.Answer {
	w := v.Token.View
	switch {
	case w.Result != "" && v.Now.Unix() >= w.Until:
		return v.End(http.StatusGone, EndExpired, nil)
	case w.Result != "" && (v.Browser.IsZero() || v.Browser != w.Browser):
		return v.End(http.StatusForbidden, EndBrowser, nil)
	case w.End == "":
		return v.End(http.StatusBadRequest, EndLink, errLink)
	}
	return v.End(http.StatusOK, w.End, nil)
}

// Leave answers for a session that does not go on. It reports false if the session is open or
// approved.
func (v *Visit) Leave(o Over) (a web.Answer, left bool) {
	reason := map[error]string{
		session.ErrOver: EndExpired, session.ErrBrowser: EndBrowser, session.ErrCanceled: v.Place.Canceled, session.ErrAddresses: EndFailed,
	}
	for err, end := range reason {
		if errors.Is(o.Err, err) {
			return v.Redirect(ScreenEnd, View{End: end}, ProblemOf(o.Err)), true
		}
	}
	return web.Answer{}, false
}

// ProblemOf is a session's end for the log.
func ProblemOf(err error) error {
	return &problem.Error{Kind: problem.Forbidden, Err: err}
}

// WithQuery adds parameters to an address, which may have others.
func WithQuery(address string, query url.Values) string {
	separator := "?"
	switch {
	case strings.HasSuffix(address, "?") || strings.HasSuffix(address, "&"):
		separator = ""
	case strings.Contains(address, "?"):
		separator = "&"
	}
	return address + separator + query.Encode()
}
