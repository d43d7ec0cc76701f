package pages

import (
	"net/http"
	"net/url"

	"twofa/internal/capability"
	"twofa/internal/client"
	"twofa/internal/enroll"
	"twofa/internal/enrollpage"
	"twofa/internal/session"
	"twofa/internal/visit"
	"twofa/internal/web"
	"twofa/users"
)

// Site is the pages on which a person types a code (verify/check), follows the link of a mail
// (verify/link), and sets up an authenticator app (verify/enroll). Its fields are set once,
// before the first call.
//
// A GET shows what the sealed parameter t says, and on an enrolment page what the session's row
// has for this browser. It changes nothing. A POST acts on the session's row, whatever t says
// was done before, and answers with a redirect to a new t, so that reload, the back button and
// a second tab repeat nothing. Codes that are shown once are in the answer to the POST itself.
type Site struct {
	visit.Site
	Users *users.Service
}

// Answer is what a browser gets.
type Answer = web.Answer

// The places.
var (
	checkPlace = visit.Place{
		Kind: capability.Page, Path: session.CheckPath, Scope: client.ScopeSend, Returns: true, Done: endDone, Canceled: endCanceled, Expired: visit.EndExpired, End: end,
	}
	linkPlace = visit.Place{
		Kind: capability.Link, Path: session.LinkPath, Scope: client.ScopeSend, Returns: true, Done: endDone, Canceled: endCanceled, Expired: visit.EndLinkExpired, End: end,
	}
	enrollPlace = visit.Place{
		Kind: capability.Enroll, Path: session.EnrollPath, Scope: client.ScopeUsers, Returns: true, Done: endSaved, Canceled: endUnchanged, Expired: visit.EndExpired, End: end,
	}
)

// page is a visit of a page of this package.
type page struct{ *visit.Visit }

// action answers a form.
type action func(v *page, form url.Values) Answer

func (s *Site) get(at visit.Place, screen string, show func(v *page) Answer) func(*http.Request) Answer {
	return s.Get(at, screen, func(v *visit.Visit) Answer { return show(&page{v}) })
}

// Enrollment is the enrolment page. What the person does there takes effect when the app fetches it.
func (s *Site) Enrollment() *enrollpage.Pages {
	return &enrollpage.Pages{
		Site: &s.Site, Users: s.Users, Place: enrollPlace,
		Save: func(v *visit.Visit, loaded session.Loaded, _ enroll.Draft) (Answer, error) {
			result := session.NewResult()
			rec, err := v.Change(&loaded, func(old session.Record) (session.Record, error) {
				return session.Save(old, v.Token.Page, v.Browser, result, v.Now)
			})
			if err != nil {
				return Answer{}, err
			}
			return (&page{v}).done(rec), nil
		},
		Canceled: func(v *visit.Visit) Answer { return v.Redirect(screenEnd, visit.View{End: endUnchanged}, nil) },
		Leave:    func(v *visit.Visit, o visit.Over) (Answer, bool) { return (&page{v}).leave(o) },
	}
}

// on is an action as a visit has it.
func (s *Site) on(f action) visit.Action {
	return func(v *visit.Visit, form url.Values) Answer { return f(&page{v}, form) }
}
