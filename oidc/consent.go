package oidc

import (
	"net/http"
	"net/url"

	"twofa/internal/account"
	"twofa/internal/address"
	"twofa/internal/signin"
	"twofa/internal/user"
	"twofa/internal/visit"
	"twofa/internal/web"
)

// consentScreen asks for what an app wants to know. sealed is the request, "" if the session's row has it.
func consentScreen(v *visit.Visit, req Request, a account.State, sealed string) web.ConsentScreen {
	screen := web.ConsentScreen{Allow: v.Form("allow"), Deny: v.Form("deny"), Fault: v.Token.View.Fault}
	screen.Allow.Request, screen.Deny.Request = sealed, sealed
	screen.Phone, screen.Email, screen.Profile = req.Has("phone"), req.Has("email"), req.Has("profile")
	if p := a.Phone(); screen.Phone && p != "" {
		screen.PhoneNumber = address.Mask(p)
	}
	if e := a.Email(); screen.Email && e != "" {
		screen.EmailAddress = address.Mask(e)
	}
	if screen.Profile {
		screen.Name = a.Name
	}
	return screen
}

// allow is the form with which a person consents.
func (s *SignIn) allow(v *visit.Visit, at progress, _ url.Values) web.Answer {
	if at.draft.Goal != signin.ToApp {
		return v.End(http.StatusBadRequest, visit.EndLink, errPlace)
	}
	p, err := s.person(v, at)
	if err != nil {
		return s.refuse(v, err, screenConsent, visit.View{})
	}
	if p.isNobody() {
		return v.Redirect(screenAddress, visit.View{}, errGone)
	}
	p.user, err = s.Accounts.Change(v.Ctx, s.Accounts.Key(p.user.Name), v.Now, func(old user.User) (user.User, error) {
		if old.Account.Epoch != p.user.Account.Epoch {
			return old, errGone
		}
		old.Account = old.Account.Consent(v.Client.ID, at.req.Scopes, v.Now)
		return old, nil
	})
	if err != nil {
		return s.refuse(v, err, screenConsent, visit.View{})
	}
	at.req.Consent = false // which the person has just done
	return s.goOn(v, at, p)
}

// deny is the form with which a person does not consent.
func (s *SignIn) deny(v *visit.Visit, at progress, _ url.Values) web.Answer {
	if at.draft.Goal != signin.ToApp {
		return v.End(http.StatusBadRequest, visit.EndLink, errPlace)
	}
	return s.refuseApp(appOf(v, at), &RedirectError{"access_denied", "The person did not consent."}, nil)
}
