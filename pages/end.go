package pages

import (
	"errors"
	"net/url"
	"time"

	"twofa/internal/session"
	"twofa/internal/visit"
	"twofa/internal/web"
)

// The reasons of an end, beside those that every place has: see page_end_ in the texts.
const (
	endDone      = "done"
	endSaved     = "saved"
	endCanceled  = "canceled"
	endUnchanged = "unchanged"
	endDenied    = "denied"
)

// done sends the browser to the screen that goes on to the app.
func (v *page) done(rec session.Record) Answer {
	until := time.Unix(rec.ApprovedAt, 0).Add(session.FetchFor).Unix()
	return v.Redirect(screenEnd, visit.View{End: v.Place.Done, Result: rec.Result.String(), Browser: v.Browser, Until: until}, nil)
}

// leave answers for a session that does not go on. It reports false if the session is open.
func (v *page) leave(o visit.Over) (a Answer, left bool) {
	if errors.Is(o.Err, session.ErrApproved) {
		return v.done(o.Record), true
	}
	return v.Leave(o)
}

// returnErrors are the values of the parameter error, by the reason of the end.
var returnErrors = map[string]string{
	endCanceled: "canceled", endUnchanged: "canceled", endDenied: "denied", visit.EndFailed: "failed", visit.EndBrowser: "failed", visit.EndExpired: "expired",
}

// end answers with the screen of an end. The browser goes on by itself if the person ended the
// check.
func end(v *visit.Visit, status int, reason string, problem error) Answer {
	good := reason == endDone || reason == endSaved
	s := web.EndScreen{Reason: reason, Good: good}
	if back := v.Token.ReturnURL(v.Client); back != "" {
		query := url.Values{"session": {session.Name(v.Token.Session)}}
		switch e := returnErrors[reason]; {
		case good:
			query.Set("result", v.Token.View.Result)
			s.Return = visit.WithQuery(back, query)
		case e != "":
			query.Set("error", e)
			s.Return = visit.WithQuery(back, query)
		case reason == visit.EndCookies:
			s.Again = v.Path(screenMain)
		}
		s.Auto = good || reason == v.Place.Canceled
	}
	a := v.Answer(status, s)
	a.Problem = problem
	return a
}
