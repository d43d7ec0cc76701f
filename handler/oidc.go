package handler

import (
	"net/http"

	"twofa/internal/web"
)

// signInRoutes returns the routes of sign-in: those of the protocol, which apps call or send browsers to, and
// the pages for people. There are none without clients or without a public address.
func (a *API) signInRoutes() []route {
	if a.SignIn == nil {
		return nil
	}
	s, p := a.SignIn, a.SignIn.Provider
	do := func(operation string, f func(*http.Request) web.Answer) access {
		return access{anybody, operation, page(f)}
	}
	look := func(screen string) access { return do(opPage, s.Get(screen)) }
	none := look("none")
	own := func(name string) byMethod {
		return byMethod{"GET": do(opPage, s.ToAccount), "POST": do(opAccount, s.PostAccount(name))}
	}
	sent := func(operation, name string) byMethod {
		return byMethod{"GET": none, "POST": do(operation, s.Post(name))}
	}
	authorize, end := do(opAuthorize, s.Authorize), do(opEndSession, s.EndSession)
	userinfo := do(opUserinfo, p.Userinfo)
	preflight := do(opNone, p.Preflight)
	factors := enrollRoutes("/oidc/account/factors", "oidc", s.Factors())
	factors[0].methods = byMethod{"GET": do(opPage, s.GetFactors), "POST": do(opAccount, s.PostAccount("factors"))}
	return append(factors, []route{
		{"/oidc/.well-known/openid-configuration", "oidc", byMethod{"GET": do(opNone, p.Discovery)}},
		{"/oidc/jwks", "oidc", byMethod{"GET": do(opKeys, p.KeySet)}},
		{"/oidc/authorize", "oidc", byMethod{"GET": authorize, "POST": authorize}},
		{"/oidc/token", "oidc", byMethod{"POST": do(opToken, p.Token), "OPTIONS": preflight}},
		{"/oidc/userinfo", "oidc", byMethod{"GET": userinfo, "POST": userinfo, "OPTIONS": preflight}},
		{"/oidc/end-session", "oidc", byMethod{"GET": end, "POST": end}},
		{"/oidc/end-session/confirm", "oidc", byMethod{"GET": none, "POST": do(opEndSession, s.ConfirmEndSession)}},

		{"/oidc/signin", "oidc", byMethod{"GET": look("")}},
		{"/oidc/signin/address", "oidc", byMethod{"GET": look("address")}},
		{"/oidc/signin/help", "oidc", byMethod{"GET": look("help"), "POST": do(opSignInHelp, s.Post("help"))}},
		{"/oidc/signin/app", "oidc", byMethod{"GET": look("app"), "POST": do(opSignInCheck, s.Post("app"))}},
		{"/oidc/signin/recovery", "oidc", byMethod{"GET": look("recovery"), "POST": do(opSignInCheck, s.Post("recovery"))}},
		{"/oidc/signin/second", "oidc", byMethod{"GET": look("second")}},
		{"/oidc/signin/consent", "oidc", byMethod{"GET": look("consent")}},
		{"/oidc/signin/end", "oidc", byMethod{"GET": look("end")}},
		{"/oidc/signin/send", "oidc", sent(opSignInStart, "send")},
		{"/oidc/signin/new", "oidc", sent(opSignInStart, "new")},
		{"/oidc/signin/more", "oidc", sent(opSignInStart, "more")},
		{"/oidc/signin/resend", "oidc", sent(opSignInResend, "resend")},
		{"/oidc/signin/code", "oidc", sent(opSignInCheck, "code")},
		{"/oidc/signin/allow", "oidc", sent(opConsent, "allow")},
		{"/oidc/signin/deny", "oidc", sent(opConsent, "deny")},
		{"/oidc/signin/cancel", "oidc", sent(opSignInCancel, "cancel")},
		{"/oidc/signin/join", "oidc", sent(opSignUp, "join")},
		{"/oidc/signin/signup", "oidc", byMethod{"GET": look("signup"), "POST": do(opSignUp, s.Post("signup"))}},
		{"/oidc/signin/details", "oidc", byMethod{"GET": look("details"), "POST": do(opSignInStart, s.Post("details"))}},

		{"/oidc/link", "oidc", byMethod{"GET": do(opPage, s.GetLink()), "POST": do(opSignInLink, s.PostLink())}},

		{"/oidc/account", "oidc", byMethod{"GET": do(opPage, s.GetAccount)}},
		{"/oidc/account/phone", "oidc", own("phone")},
		{"/oidc/account/email", "oidc", own("email")},
		{"/oidc/account/remove", "oidc", own("remove")},
		{"/oidc/account/undo", "oidc", own("undo")},
		{"/oidc/account/signout", "oidc", own("signout")},
		{"/oidc/account/everywhere", "oidc", own("everywhere")},
		{"/oidc/account/erase", "oidc", own("erase")},
		{"/oidc/account/erased", "oidc", own("erased")},
		{"/oidc/account/name", "oidc", own("name")},
		{"/oidc/account/named", "oidc", own("named")},
		{"/oidc/account/forget", "oidc", own("forget")},
		{"/oidc/account/withdraw", "oidc", own("withdraw")},
	}...)
}
