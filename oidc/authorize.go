package oidc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"twofa/internal/account"
	"twofa/internal/client"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/session"
	"twofa/internal/signin"
	"twofa/internal/user"
	"twofa/internal/visit"
	"twofa/internal/web"
)

// step is what has to be done before an app gets a code.
type step int

const (
	stepCode    step = iota // nothing
	stepLogin               // the person signs in
	stepAddress             // the person adds an address that the app requires
	stepConsent             // the person consents
)

// next decides what a valid request needs of a person who is signed in, or of nobody. a is the account as the app may
// see it. With prompt=none, what would need a page is an error (OpenID Connect Core, 3.1.2.6). It is pure.
func next(req Request, c client.Client, p signedIn, a account.State, now time.Time) (s step, refused *RedirectError) {
	switch {
	case p.isNobody(), req.Login, req.Create, !fits(req, c, p.user), req.MaxAge >= 0 && now.Sub(p.at) >= time.Duration(req.MaxAge)*time.Second,
		req.Strong && !p.strong && p.user.Account.CanBeStronger(p.proofs, signin.Has(p.user), now):
		s, refused = stepLogin, &RedirectError{"login_required", "The person has to sign in."}
	case missing(c, a) != "":
		s, refused = stepAddress, &RedirectError{"interaction_required", "The person has to add an address."}
	case needsConsent(req, c, a):
		s, refused = stepConsent, &RedirectError{"consent_required", "The person has to consent."}
	}
	if !req.None {
		refused = nil
	}
	return s, refused
}

// fits reports whether the app may be told of a person, if it has said whom it means (OpenID Connect Core, 3.1.2.1).
func fits(req Request, c client.Client, u user.User) bool {
	return req.Subject == "" || u.Account.Subject(c.Sector) == req.Subject
}

// missing is the kind of an address that a client requires and the account does not have, "" if there is none.
func missing(c client.Client, a account.State) account.Kind {
	for _, required := range c.Require {
		if kind := account.Kind(required); a.Of(kind) == "" {
			return kind
		}
	}
	return ""
}

// needsConsent reports whether the person has to be asked before a client gets what it asks for.
func needsConsent(req Request, c client.Client, a account.State) bool {
	return req.Consent || c.Consent != client.ConsentImplied && !a.HasConsent(c.ID, req.Scopes)
}

// app is where the answer to a request goes.
type app struct {
	req    Request
	client client.Client
	locale string
}

// respond answers the app.
func (s *SignIn) respond(to app, values url.Values) web.Answer {
	return s.Provider.Respond(to.req, to.client, to.locale, values)
}

// refuseApp answers the app with an error. The problem is for the log, nil for what is no fault.
func (s *SignIn) refuseApp(to app, why *RedirectError, fault error) web.Answer {
	a := s.respond(to, why.Values())
	a.Problem = fault
	return a
}

// unavailable is what an app gets if storage fails.
var unavailable = &RedirectError{"temporarily_unavailable", "Storage did not answer. Try again in a moment."}

// Authorize answers an authorization request (RFC 6749, 4.1.1). A person who is signed in and has consented
// goes back at once. One round trip for the account, and one for the code.
func (s *SignIn) Authorize(r *http.Request) web.Answer {
	form, err := parameters(r)
	if err != nil {
		return s.shown(r, http.StatusBadRequest, endRequest, err)
	}
	req, c, err := ReadRequest(form, s.Clients)
	to := app{req, c, s.localeOf(r, req.Locales)}
	if refused, ok := errors.AsType[*RedirectError](err); ok {
		return s.refuseApp(to, refused, invalidRequest(err))
	}
	if err != nil {
		return s.shown(r, http.StatusBadRequest, endRequest, invalidRequest(err))
	}
	note(r, c)
	person, subject, err := s.expected(r, req, c)
	if err != nil {
		return s.refuseApp(to, unavailable, err)
	}
	req.Subject, req.Create = subject, req.Create && s.Provider.SignUp
	to.req = req
	step, refused := next(req, c, person, s.Provider.seenBy(c, person.user.Account), s.Now())
	switch {
	case refused != nil:
		return s.refuseApp(to, refused, nil)
	case step == stepCode:
		return s.grant(r.Context(), to, person)
	case step == stepConsent:
		return s.begin(r, begun{Request: req, For: person.user.Name}, "", to, func(v *visit.Visit, sealed string) web.Answer {
			return v.Answer(http.StatusOK, consentScreen(v, req, s.Provider.seenBy(c, person.user.Account), sealed))
		})
	}
	if req.Create {
		return s.begin(r, begun{Request: req}, "", to, firstSignUp(req.LoginHint))
	}
	return s.begin(r, begun{Request: req}, "", to, s.firstScreen(req.LoginHint))
}

// localeOf is the language of a page for an app that asks with ui_locales, by GET or by POST.
func (s *SignIn) localeOf(r *http.Request, locales string) string {
	return s.Renderer.Locale(url.Values{"ui_locales": {locales}}.Encode(), "", r.Header.Get("Accept-Language"))
}

// expected is who is signed in, as the app may see it, and whom the app means, "" for anybody. A hint that another
// sector's client has got, or that cannot be read, says nothing; without a page to ask, nobody fits it.
func (s *SignIn) expected(r *http.Request, req Request, c client.Client) (p signedIn, subject string, err error) {
	if p, err = s.current(r.Context(), r); err != nil {
		return p, "", err
	}
	if slices.ContainsFunc(p.proofs, func(proof account.Proof) bool { return proof.Test && !c.TestNumbers || s.isTest(c, proof.Address) }) {
		p = signedIn{}
	}
	if req.Hint == "" {
		return p, "", nil
	}
	hint, ok, err := s.Provider.ReadHint(r.Context(), req.Hint)
	if of, known := s.Clients.Client(hint.Client); err == nil && ok && known && of.Sector == c.Sector {
		return p, hint.Subject, nil
	}
	if req.None {
		p = signedIn{}
	}
	return p, "", err
}

// firstScreen shows the screen of a sign-in that asks for an address. The value is in its field.
func (s *SignIn) firstScreen(value string) func(v *visit.Visit, sealed string) web.Answer {
	return func(v *visit.Visit, sealed string) web.Answer {
		return v.Answer(http.StatusOK, s.firstAddress(v, sealed, value, nil))
	}
}

// firstAddress is the screen of the first form, which carries the request.
func (s *SignIn) firstAddress(v *visit.Visit, sealed, value string, fault *web.Fault) web.AddressScreen {
	screen := s.addressScreen(v)
	screen.Value, screen.Fault, screen.Form.Request, screen.Cancel.Request = value, fault, sealed, sealed
	if screen.Join != nil {
		screen.Join.Request = sealed
	}
	return screen
}

// invalidRequest is the fault of a request for the log.
func invalidRequest(err error) error { return &problem.Error{Kind: problem.InvalidRequest, Err: err} }

var errQuery = errors.New("oidc: the query cannot be read")

// parameters are those of a request that may be a GET or a POST (OpenID Connect Core, 3.1.2.1).
func parameters(r *http.Request) (url.Values, error) {
	if r.Method == http.MethodPost {
		form, f := readForm(r)
		if f != nil {
			return nil, f.problem()
		}
		return form, nil
	}
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // its text may quote the query
		return nil, invalidRequest(errQuery)
	}
	return form, nil
}

// shown answers with the end of a sign-in that has no page.
func (s *SignIn) shown(r *http.Request, status int, reason string, fault error) web.Answer {
	v, _ := s.Enter(r, place, "") // only its language counts
	return v.End(status, reason, fault)
}

// grant gives the app a code for a person who has signed in.
func (s *SignIn) grant(ctx context.Context, to app, p signedIn) web.Answer {
	g := to.req.Grant()
	g.Account, g.AuthTime, g.AMR, g.ACR = s.Accounts.Key(p.user.Name), p.at, account.Methods(p.proofs, p.strong && !p.byTrust), ACR1
	if p.strong {
		g.ACR = ACR2
	}
	code, err := s.Provider.Grants.Issue(ctx, g)
	if err != nil {
		return s.refuseApp(to, unavailable, err)
	}
	return s.respond(to, url.Values{"code": {code}})
}

// appOf is where the answer of a sign-in goes.
func appOf(v *visit.Visit, at progress) app { return app{at.req, v.Client, v.Locale} }

// errOther is what an app gets that has said whom it means, if somebody else has signed in.
var errOther = &RedirectError{"login_required", "Another person has signed in."}

// wanted is what the app asks for, as it counts for a person who has signed in in this sign-in: that is what some of it
// asks for.
func (at progress) wanted() Request {
	req := at.req
	if !at.draft.SignedIn {
		return req
	}
	req.Login, req.Create = false, false
	if req.MaxAge == 0 {
		req.MaxAge = -1
	}
	return req
}

// goOn goes on to the app once the person has signed in, or asks for what the app needs besides.
func (s *SignIn) goOn(v *visit.Visit, at progress, p signedIn) web.Answer {
	if at.draft.Goal != signin.ToApp {
		return withCookies(v, redirect(accountPath))
	}
	if !fits(at.req, v.Client, p.user) {
		return withCookies(v, s.refuseApp(appOf(v, at), errOther, nil))
	}
	a := s.Provider.seenBy(v.Client, p.user.Account)
	switch step, _ := next(at.wanted(), v.Client, p, a, v.Now); step {
	case stepLogin: // it took longer than the app allows
		return s.restart(v, at, errGone)
	case stepAddress:
		return s.require(v, at, missing(v.Client, a))
	case stepConsent:
		return v.Redirect(screenConsent, visit.View{}, nil)
	}
	return s.finish(v, at, p)
}

// finish gives the app its code. Where there is no session, nobody gets another one by going back.
func (s *SignIn) finish(v *visit.Visit, at progress, p signedIn) web.Answer {
	if at.draft.SignedIn && !at.draft.Session {
		var err error
		if at, err = s.keep(v, at, func(d signin.Draft) (signin.Draft, error) { return d.Grant(), nil }); err != nil {
			return s.refuse(v, err, visit.ScreenMain, visit.View{})
		}
	}
	return withCookies(v, s.grant(v.Ctx, appOf(v, at), p))
}

// restart begins the sign-in anew in the same session, for the reason why it cannot go on.
func (s *SignIn) restart(v *visit.Visit, at progress, why error) web.Answer {
	if _, err := s.keep(v, at, func(d signin.Draft) (signin.Draft, error) { return d.Restart(), nil }); err != nil {
		return s.refuse(v, err, screenAddress, visit.View{})
	}
	v.Token.Sent, v.Token.More = nil, nil
	return v.Redirect(screenAddress, visit.View{Fault: v.Fault(why, "")}, why)
}

// withCookies adds the cookies of a visit to an answer that was made elsewhere.
func withCookies(v *visit.Visit, a web.Answer) web.Answer {
	a.Cookies = slices.Concat(a.Cookies, v.NewCookies)
	return a
}

// cancel is the form with which the person does not sign in. It ends the session, and leaves its verification as it is:
// what became of the message would tell by the time of the answer.
func (s *SignIn) cancel(v *visit.Visit, at progress, _ url.Values) web.Answer {
	_, err := v.Change(at.loaded, func(old session.Record) (session.Record, error) {
		return session.Cancel(old, v.Token.Page, v.Browser, v.Now)
	})
	if err != nil {
		reqlog.Add(v.Ctx, slog.String("not_canceled", err.Error()))
	}
	switch at.draft.Goal {
	case signin.ToAccount:
		return v.End(http.StatusOK, endCanceled, nil)
	case signin.ToAdd:
		return redirect(accountPath)
	}
	return s.refuseApp(appOf(v, at), &RedirectError{"access_denied", "The person did not sign in."}, nil)
}
