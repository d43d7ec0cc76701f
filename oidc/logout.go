package oidc

import (
	"net/http"
	"slices"
	"strings"

	"twofa/internal/capability"
	"twofa/internal/visit"
	"twofa/internal/web"
)

// EndSession answers a request of an app to sign a person out (OpenID Connect RP-Initiated Logout 1.0). The
// person is asked before, unless the app shows an ID token of the person who is signed in: any site can send a
// browser here.
func (s *SignIn) EndSession(r *http.Request) web.Answer {
	form, err := parameters(r)
	if err != nil {
		return s.shown(r, http.StatusBadRequest, visit.EndLink, err)
	}
	if r.Method == http.MethodPost { // browsers send no cookie with another site's POST: without it, nobody seems signed in
		return redirect(Path + endSessionPath + "?" + form.Encode())
	}
	l, err := s.Provider.ReadLogout(r.Context(), form)
	if err != nil {
		return s.shown(r, http.StatusServiceUnavailable, endFailed, err)
	}
	v, p, err := s.leaving(r, l)
	switch {
	case err != nil:
		return v.End(http.StatusServiceUnavailable, endFailed, err)
	case p.isNobody():
		return s.signedOut(v, p, l)
	case l.Ask || p.user.Account.Subject(v.Client.Sector) != l.Subject:
		sealed, err := capability.Seal(s.Keys, capability.Logout, l)
		if err != nil {
			return v.Failed(err)
		}
		f := v.Form("")
		f.Action, f.Token = Path+endSessionPath+"/confirm", sealed
		return v.Answer(http.StatusOK, web.SignOutScreen{SignOut: f})
	}
	return s.signedOut(v, p, l)
}

// leaving is the visit of a person who signs out, in the look of the app that asks.
func (s *SignIn) leaving(r *http.Request, l Logout) (*visit.Visit, signedIn, error) {
	v, _ := s.Enter(r, place, "") // only its language counts
	v.Locale = s.localeOf(r, l.Locales)
	v.Client, _ = s.Clients.Client(l.Client)
	if l.RedirectURI != "" {
		v.Token.FormAction = FormAction(l.RedirectURI)
	}
	p, err := s.current(r.Context(), r)
	return v, p, err
}

// ConfirmEndSession answers the form of a person who wants to sign out.
func (s *SignIn) ConfirmEndSession(r *http.Request) web.Answer {
	form, err := s.OwnForm(r)
	var l Logout
	if err == nil && (capability.Open(s.Keys, capability.Logout, form.Get("t"), &l) != nil || !s.mayLeave(l)) {
		err = errRequest
	}
	if err != nil {
		return s.shown(r, http.StatusBadRequest, visit.EndLink, err)
	}
	v, p, err := s.leaving(r, l)
	if err != nil {
		return v.End(http.StatusServiceUnavailable, endFailed, err)
	}
	return s.signedOut(v, p, l)
}

// mayLeave reports whether the client still has the address to which the browser goes in the end. The state comes
// after it.
func (s *SignIn) mayLeave(l Logout) bool {
	c, _ := s.Clients.Client(l.Client)
	return l.RedirectURI == "" || slices.ContainsFunc(c.PostLogoutRedirectURIs, func(uri string) bool { return strings.HasPrefix(l.RedirectURI, uri) })
}

// signedOut ends the session of this browser, and goes back to the app if that has an address for it.
func (s *SignIn) signedOut(v *visit.Visit, p signedIn, l Logout) web.Answer {
	s.forget(v, p)
	if l.RedirectURI == "" {
		return v.End(http.StatusOK, endSignedOut, nil)
	}
	return withCookies(v, redirect(l.RedirectURI))
}
