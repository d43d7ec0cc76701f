package pages

import (
	"errors"
	"net/http"

	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/visit"
	"twofa/otpverify"
)

// GetLink answers with the button of a magic link: see visit.Site.GetLink.
func (s *Site) GetLink() func(*http.Request) Answer { return s.Site.GetLink(linkPlace) }

// PostLink answers the button of a magic link: see visit.Site.PostLink.
func (s *Site) PostLink() func(*http.Request) Answer {
	return s.Site.PostLink(linkPlace, checkPlace, visit.Link{
		Follow: func(v *visit.Visit) (Answer, error) { return (&page{v}).follow() },
		Leave: func(v *visit.Visit, err error) (Answer, bool) {
			p := &page{v.OfPage()}
			if o, ok := errors.AsType[visit.Over](err); ok {
				return p.leave(o)
			}
			if denied, ok := errors.AsType[*problem.Error](err); ok && denied.Kind == problem.Denied {
				return p.Redirect(screenEnd, visit.View{End: endDenied}, denied), true
			}
			return Answer{}, false
		},
	})
}

// follow approves the session's verification, if the session is this browser's.
func (v *page) follow() (Answer, error) {
	loaded, rec, err := v.Bound()
	switch {
	case err != nil:
		return Answer{}, err
	case rec.Verification != v.Token.Verification:
		return Answer{}, visit.Over{Record: rec, Err: session.ErrOldLink}
	}
	approval, err := v.Verify.CheckOnPage(v.Ctx, otpverify.PageCheck{
		Page: v.Token.Page, ID: v.Token.Verification, Factor: otpverify.FactorMessage, Link: v.Token.Attempt,
		Browser: rec.Known, Proves: v.Known(),
	})
	if err != nil {
		return Answer{}, err
	}
	return (&page{v.OfPage()}).approve(loaded, approval, false)
}
