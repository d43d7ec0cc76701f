package pages

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/web"
)

// The reasons of an end: see page_end_ in the texts.
const (
	endDone      = "done"
	endSaved     = "saved"
	endCanceled  = "canceled"
	endUnchanged = "unchanged"
	endDenied    = "denied"
	endFailed    = "failed"
	endExpired   = "expired"
	endBrowser   = "browser"
	endCookies   = "cookies"
	endLink      = "link"
)

// done sends the browser to the screen that goes on to the app.
func (v *visit) done(rec session.Record) Answer {
	until := time.Unix(rec.ApprovedAt, 0).Add(session.FetchFor).Unix()
	return v.redirect(screenEnd, view{End: v.place.done, Result: rec.Result.String(), Browser: v.browser, Until: until}, nil)
}

// leave answers for a session that does not go on. It reports false if the session is open.
func (v *visit) leave(o over) (a Answer, left bool) {
	reason := map[error]string{
		session.ErrOver: endExpired, session.ErrBrowser: endBrowser, session.ErrCanceled: v.place.canceled, session.ErrAddresses: endFailed,
	}
	for err, end := range reason {
		if errors.Is(o.error, err) {
			return v.redirect(screenEnd, view{End: end}, problemOf(o.error)), true
		}
	}
	if errors.Is(o.error, session.ErrApproved) {
		return v.done(o.Record), true
	}
	return Answer{}, false
}

// problemOf is a session's end for the log.
func problemOf(err error) error {
	return &problem.Error{Kind: problem.Forbidden, Err: err}
}

// ended is the screen after the check, as t says.
func (v *visit) ended() Answer {
	w := v.token.View
	switch {
	case w.Result != "" && v.now.Unix() >= w.Until:
		return v.end(http.StatusGone, endExpired, nil)
	case w.Result != "" && (v.browser.IsZero() || v.browser != w.Browser):
		return v.end(http.StatusForbidden, endBrowser, nil)
	case w.End == "":
		return v.end(http.StatusBadRequest, endLink, errLink)
	}
	return v.end(http.StatusOK, w.End, nil)
}

// returnErrors are the values of the parameter error, by the reason of the end.
var returnErrors = map[string]string{
	endCanceled: "canceled", endUnchanged: "canceled", endDenied: "denied", endFailed: "failed", endBrowser: "failed", endExpired: "expired",
}

// end answers with the screen of an end. The browser goes on by itself if the person ended the
// check.
func (v *visit) end(status int, reason string, problem error) Answer {
	good := reason == endDone || reason == endSaved
	s := web.EndScreen{Reason: reason, Good: good}
	if back := v.token.ReturnURL(v.client); back != "" {
		query := url.Values{"session": {session.Name(v.token.Session)}}
		switch e := returnErrors[reason]; {
		case good:
			query.Set("result", v.token.View.Result)
			s.Return = withQuery(back, query)
		case e != "":
			query.Set("error", e)
			s.Return = withQuery(back, query)
		case reason == endCookies:
			s.Again = v.path(screenMain)
		}
		s.Auto = good || reason == v.place.canceled
	}
	a := v.answer(status, s)
	a.Problem = problem
	return a
}

// withQuery adds parameters to an address, which may have others.
func withQuery(address string, query url.Values) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + query.Encode()
}
