package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"twofa/internal/account"
	"twofa/internal/capability"
	"twofa/internal/client"
	"twofa/internal/guard"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/signin"
	"twofa/internal/visit"
	"twofa/internal/web"
	"twofa/users"
)

// SignIn is the pages on which a person signs in, consents, and keeps their account. Its fields are set
// once, before the first call.
//
// A sign-in never shows whether an address has an account: for one without, everything happens but the
// message and the approval.
type SignIn struct {
	visit.Site
	Provider *Provider
	Accounts *signin.Accounts
	Guard    *guard.Guard
	Users    *users.Service
	// Session is how long a person stays signed in in a browser, 0 for not at all. TrustFor is how long a remembered
	// device is in place of a second factor, 0 if devices are not remembered.
	Session, TrustFor time.Duration
	// Stale is how long an address can be unused before it does not suffice alone.
	Stale time.Duration
	// Wait waits, or until the context ends. nil: [sleep].
	Wait func(ctx context.Context, d time.Duration)
}

// The screens of a sign-in beside those of every place.
const (
	screenAddress  = "address"
	screenHelp     = "help"
	screenApp      = "app"
	screenRecovery = "recovery"
	screenSecond   = "second"
	screenConsent  = "consent"
	screenSignUp   = "signup"
	screenDetails  = "details"
)

// The reasons of ends: see page_end_ in the texts.
const (
	endRequest   = "signin_request"
	endExpired   = "signin_expired"
	endNone      = "signin_none"
	endSignedOut = "signed_out"
	endErased    = "account_erased"
	endCanceled  = "canceled"
	endFailed    = "failed"
)

// place is where a person signs in.
var place = visit.Place{Kind: capability.SignIn, Path: session.SignInPath, Scope: client.ScopeSignIn, Canceled: endCanceled, Expired: endExpired, End: end}

// end answers with the end of a sign-in, from which only the app leads on.
func end(v *visit.Visit, status int, reason string, fault error) web.Answer {
	a := v.Answer(status, web.EndScreen{Reason: reason, Good: reason == endSignedOut || reason == endErased})
	a.Problem = fault
	return a
}

// begun is what the first form of a sign-in carries, for the session of that page alone.
type begun struct {
	Session otp.Session `json:"s"`
	Request Request     `json:"r"`
	Goal    signin.Goal `json:"g,omitzero"`
	// For is the name of the account of the person who is signed in already, "" for nobody.
	For string `json:"f,omitzero"`
}

// begin is the first screen of a sign-in: it has a session, of which nothing is stored yet. kind is that of an
// address that is added to an account, "" for a sign-in.
func (s *SignIn) begin(r *http.Request, b begun, kind account.Kind, to app, show func(v *visit.Visit, sealed string) web.Answer) web.Answer {
	b.Session = session.Random()
	page := session.New(b.Session, to.client, session.Asked{}, s.Now())
	page.Purpose, page.Origin, page.Locale, page.SignIn = otp.DefaultPurpose, otp.OriginTyped, to.locale, true
	if b.Goal == signin.ToApp {
		page.FormAction = FormAction(b.Request.RedirectURI)
	}
	v, err := s.Site.Begin(r, place, visit.Token{Link: session.Link{Page: page}, More: more(string(kind))})
	if err == nil {
		err = v.GiveSession()
	}
	if err != nil {
		return v.Failed(err)
	}
	b.Request.LoginHint, b.Request.Locales, b.Request.Hint = "", "", "" // they have been read
	sealed, err := capability.Seal(s.Keys, capability.Authorize, b)
	if err != nil && b.Goal == signin.ToApp { // a state that is long once it is encoded
		return s.refuseApp(to, invalid("The request is too long."), invalidRequest(err))
	}
	if err != nil {
		return v.Failed(err)
	}
	return show(v, sealed)
}

// What the parameter t has beside the page: the kind of an address that is added to an account, or second after one
// thing was proven.
const second = "second"

func more(text string) jsontext.Value {
	if text == "" {
		return nil
	}
	return jsontext.Value(`"` + text + `"`)
}

func moreOf(v *visit.Visit) (text string) {
	_ = json.Unmarshal(v.Token.More, &text) // "" if there is nothing
	return text
}

// adds is the kind of address that the page adds to an account, "" if it is a sign-in.
func adds(v *visit.Visit) account.Kind {
	if kind := account.Kind(moreOf(v)); kind == account.Phone || kind == account.Email {
		return kind
	}
	return ""
}

// action answers a form of a sign-in, with its draft.
type action func(v *visit.Visit, at progress, form url.Values) web.Answer

// progress is where a sign-in stands.
type progress struct {
	loaded *session.Loaded // nil: the row was changed since
	record session.Record
	draft  signin.Draft
	req    Request
	try    *attempt // of a form with a code
}

// Post answers a form of a sign-in. The first one keeps the app's request in the session's row.
func (s *SignIn) Post(name string) func(*http.Request) web.Answer {
	actions := map[string]action{
		"send": s.slow(s.send), "new": s.slow(s.sendNew), "resend": s.slow(s.resend), "more": s.slow(s.sendMore), "help": s.help,
		"code": s.check("", visit.ScreenMain), screenApp: s.check(account.App, screenApp), screenRecovery: s.check(account.Recovery, screenRecovery),
		"cancel": s.cancel, "allow": s.allow, "deny": s.deny,
		"join": s.joining(s.join), screenSignUp: s.joining(s.signUp), screenDetails: s.slow(s.joining(s.confirm)),
	}
	f := actions[name]
	return s.Site.Post(place, visit.InBrowser(func(v *visit.Visit, form url.Values) web.Answer {
		var try *attempt
		if form.Has("code") { // its limit is read beside the session's row
			try = s.beginTry(v)
			defer try.end()
		}
		at, err := s.enter(v, form.Get("request"))
		at.try = try
		if err != nil {
			return s.notEntered(v, err, name, form)
		}
		return f(v, at, form)
	}))
}

// notEntered answers a form whose session cannot be read. After a fault of storage, the first form is shown again, or
// leads back to the app: it alone has the app's request.
func (s *SignIn) notEntered(v *visit.Visit, err error, name string, form url.Values) web.Answer {
	b, ok := s.opened(v, form.Get("request"))
	switch {
	case !ok || !problem.Is(err, problem.StorageUnavailable, problem.Internal):
		return s.refuse(v, err, visit.ScreenMain, visit.View{})
	case name == "send", name == screenSignUp:
		failure, sealed := &web.Fault{Key: "page_error_failure"}, form.Get("request")
		screen := any(s.firstAddress(v, sealed, form.Get("address"), failure))
		if name == screenSignUp {
			screen = firstDetails(v, sealed, form.Get("name"), form.Get("address"), failure)
		}
		a := v.Answer(http.StatusServiceUnavailable, screen)
		a.Problem = err
		return a
	case b.Goal != signin.ToApp:
		return redirect(accountPath)
	}
	return s.refuseApp(app{b.Request, v.Client, v.Locale}, unavailable, err)
}

// opened is what the first form of this session carries.
func (s *SignIn) opened(v *visit.Visit, sealed string) (b begun, ok bool) {
	err := capability.Open(s.Keys, capability.Authorize, sealed, &b)
	return b, err == nil && b.Session == v.Token.Session && b.Request.Client == v.Client.ID
}

// enter reads the session's row. The first form of a session makes it, with the request that the form
// carries. One round trip, two for the first form.
func (s *SignIn) enter(v *visit.Visit, sealed string) (at progress, err error) {
	loaded, rec, err := v.Load()
	if err != nil {
		return at, err
	}
	at.loaded, at.record = &loaded, rec
	if rec.Draft != nil {
		if at.draft, err = signin.Decode(rec.Draft); err == nil {
			err = json.Unmarshal(at.draft.Request, &at.req)
		}
		if err != nil {
			return at, problem.Unexpected(err)
		}
		return at, mayGoTo(v, at)
	}
	b, ok := s.opened(v, sealed)
	if !ok {
		return at, errRequest
	}
	if at.draft.Request, err = json.Marshal(b.Request); err != nil {
		return at, problem.Unexpected(err)
	}
	at.req, at.draft.Goal, at.draft.For = b.Request, b.Goal, b.For
	if err := mayGoTo(v, at); err != nil {
		return at, err
	}
	return s.keep(v, at, func(d signin.Draft) (signin.Draft, error) { return d, nil })
}

// mayGoTo returns an error unless the client still has the address to which the browser goes in the end.
func mayGoTo(v *visit.Visit, at progress) error {
	if at.draft.Goal == signin.ToApp && !v.Client.MayRedirect(at.req.RedirectURI) {
		return errRequest
	}
	return nil
}

// errRequest: the form does not carry the request of its session, or the client has the address no more.
var errRequest = &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("oidc: the form has no request that may go on")}

// keep makes a transition of the draft, also if another form of the session has changed it since it was read.
// One round trip, two if the row was changed in this request.
func (s *SignIn) keep(v *visit.Visit, was progress, t func(signin.Draft) (signin.Draft, error)) (progress, error) {
	now := progress{req: was.req, try: was.try}
	rec, err := v.Change(was.loaded, func(old session.Record) (session.Record, error) {
		return session.Edit(old, v.Token.Page, v.Browser, func(text []byte) (_ []byte, err error) {
			if now.draft = was.draft; text != nil {
				if now.draft, err = signin.Decode(text); err != nil {
					return nil, problem.Unexpected(err)
				}
			}
			if now.draft, err = t(now.draft); err != nil {
				return nil, gone(err)
			}
			return now.draft.Encode()
		}, v.Now)
	})
	now.record = rec
	return now, err
}

// help is the link of a person who did not get the code.
func (s *SignIn) help(v *visit.Visit, _ progress, _ url.Values) web.Answer {
	if moreOf(v) == second {
		return v.Redirect(screenSecond, visit.View{}, nil)
	}
	return v.Redirect(screenHelp, visit.View{}, nil)
}
