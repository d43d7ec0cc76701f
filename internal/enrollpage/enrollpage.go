// Package enrollpage is the screens on which a person sets up authenticator apps and recovery codes, as the pages of
// an app (verify/enroll) and the page of an account share them.
//
// What the person does is a draft in the row of the page's session. The package must never make it take effect: the
// place of the screens does.
package enrollpage

import (
	"net/url"

	"twofa/internal/enroll"
	"twofa/internal/session"
	"twofa/internal/visit"
	"twofa/internal/web"
	"twofa/users"
)

// ScreenApp is the screen with the QR code.
const ScreenApp = "app"

// Pages are the screens at one place. Its fields are set once, before the first call.
type Pages struct {
	*visit.Site
	Users *users.Service
	Place visit.Place
	// Own is true if the person goes back to their account in the end, and not to an app.
	Own bool
	// Save ends an enrolment that has changes.
	Save func(v *visit.Visit, loaded session.Loaded, d enroll.Draft) (web.Answer, error)
	// Canceled answers the person who has ended the enrolment without a change.
	Canceled func(v *visit.Visit) web.Answer
	// Leave answers for a session that does not go on. It reports false if the session is open.
	Leave func(v *visit.Visit, o visit.Over) (a web.Answer, left bool)
}

// page is a visit of these screens.
type page struct {
	*visit.Visit
	pages *Pages
}

// action answers a form.
type action func(v *page, form url.Values) web.Answer

func (p *Pages) on(show func(v *page) web.Answer) func(v *visit.Visit) web.Answer {
	return func(v *visit.Visit) web.Answer { return show(&page{v, p}) }
}
