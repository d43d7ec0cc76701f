package oidc

import (
	"errors"
	"net/http"

	"twofa/internal/capability"
	"twofa/internal/client"
	"twofa/internal/session"
	"twofa/internal/visit"
	"twofa/internal/web"
	"twofa/otpverify"
)

// linkPlace is where the link of a mail leads.
var linkPlace = visit.Place{
	Kind: capability.SignInLink, Path: session.SignInLinkPath, Scope: client.ScopeSignIn, Canceled: endCanceled, Expired: visit.EndLinkExpired, End: end,
}

// GetLink answers with the button of a magic link: see visit.Site.GetLink.
func (s *SignIn) GetLink() func(*http.Request) web.Answer { return s.Site.GetLink(linkPlace) }

// PostLink answers the button of a magic link: see visit.Site.PostLink.
func (s *SignIn) PostLink() func(*http.Request) web.Answer {
	return s.Site.PostLink(linkPlace, place, visit.Link{Follow: s.follow, Leave: func(v *visit.Visit, err error) (web.Answer, bool) {
		o, ok := errors.AsType[visit.Over](err)
		if !ok || errors.Is(err, session.ErrOldLink) {
			return web.Answer{}, false
		}
		return v.OfPage().Leave(o)
	}})
}

// follow signs in as if the person had typed the code of the mail.
func (s *SignIn) follow(v *visit.Visit) (web.Answer, error) {
	try := s.beginTry(v)
	defer try.end()
	at, err := s.enter(v, "")
	if err != nil {
		return web.Answer{}, err
	}
	at.try = try
	if at.record.Verification != v.Token.Verification {
		return web.Answer{}, visit.Over{Record: at.record, Err: session.ErrOldLink}
	}
	if at.draft.SignedIn && !at.draft.Adding() {
		return s.again(v.OfPage(), at), nil
	}
	if at.draft.Verification != at.record.Verification {
		return web.Answer{}, visit.Over{Record: at.record, Err: session.ErrOldLink}
	}
	approval, err := s.tried(v, at, otpverify.PageCheck{
		Page: v.Token.Page, ID: v.Token.Verification, Factor: otpverify.FactorMessage, Link: v.Token.Attempt,
		Browser: at.record.Known, Proves: v.Known(), Silent: at.draft.Silent,
	})
	if err != nil {
		return web.Answer{}, err
	}
	page := v.OfPage()
	page.Token.Sent = nil // the link has only the id of the verification
	return s.approved(page, at, "", approval, device{}), nil
}
