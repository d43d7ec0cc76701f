package pages

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"twofa/internal/capability"
	"twofa/internal/client"
	"twofa/internal/clientip"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/secret"
	"twofa/internal/session"
	"twofa/internal/web"
	"twofa/otpsend"
	"twofa/otpverify"
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
	Keys     *secret.Keyring
	Clients  *client.Registry // nil: there are no pages
	Sessions *session.Store
	Send     *otpsend.Service
	Verify   *otpverify.Service
	Users    *users.Service
	Renderer *web.Renderer
	// Look is how the pages of a client look.
	Look func(client.Client) web.Look
	// Forms protects the POSTs, Cookies makes the cookies.
	Forms   func(*http.Request) error
	Cookies web.Cookies
	Now     func() time.Time
}

// Answer is what a browser gets.
type Answer struct {
	Status  int
	Header  map[string]string
	Cookies []*http.Cookie
	Body    []byte
	// Problem is why the person did not get what they asked for, for the log. nil: they did.
	Problem error
}

// place is a kind of page.
type place struct {
	kind  capability.Kind // of t
	path  string
	scope client.Scope // that the client needs
	// done and canceled are the ends with and without a result. expired is that of a session
	// that is over.
	done, canceled, expired string
}

// The places.
var (
	checkPlace  = place{capability.Page, session.CheckPath, client.ScopeSend, endDone, endCanceled, endExpired}
	linkPlace   = place{capability.Link, session.LinkPath, client.ScopeSend, endDone, endCanceled, endLinkExpired}
	enrollPlace = place{capability.Enroll, session.EnrollPath, client.ScopeUsers, endSaved, endUnchanged, endExpired}
)

// token is what the parameter t holds. Only that of a link has more than a page.
type token struct {
	session.Link
	View view `json:"w,omitzero"`
}

// view is what the page shows beside what was sent.
type view struct {
	Fault   *web.Fault `json:"f,omitzero"`
	Notice  string     `json:"n,omitzero"`
	Typed   string     `json:"t,omitzero"` // what the person typed, except codes
	Country string     `json:"c,omitzero"`
	Dead    bool       `json:"d,omitzero"` // the code cannot be used any more
	End     string     `json:"e,omitzero"` // the reason of an end
	// Result and Browser are of an approval: the result is for this browser alone, until the
	// time Until (Unix seconds).
	Result  string       `json:"r,omitzero"`
	Browser session.Hash `json:"b,omitzero"`
	Until   int64        `json:"u,omitzero"`
}

// visit is one request of a browser.
type visit struct {
	*Site
	place   place
	ctx     context.Context
	request *http.Request
	now     time.Time
	token   token
	t       string // the token as the forms of this page carry it
	client  client.Client
	browser session.Hash // zero: the request has no cookie of the session
	known   knownBrowser
	locale  string
	cookies []*http.Cookie
}

// errLink: t does not open, or its client has no pages any more.
var errLink = &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("pages: not a valid link")}

// enter reads t, the client and the cookies.
func (s *Site) enter(r *http.Request, at place, t string) (v *visit, err error) {
	v = &visit{Site: s, place: at, ctx: r.Context(), request: r, now: s.Now()}
	v.locale = s.Renderer.Locale(r.URL.RawQuery, "", r.Header.Get("Accept-Language"))
	if s.Clients == nil || capability.Open(s.Keys, at.kind, t, &v.token) != nil {
		return v, errLink
	}
	known, ok := s.Clients.Client(v.token.Client)
	if !ok || !v.token.Valid(known, at.scope) || v.token.ReturnURL(known) == "" {
		return v, errLink
	}
	v.client = known
	v.ctx = client.With(v.ctx, known)
	reqlog.Add(v.ctx, slog.String("client", known.ID))
	reqlog.Purpose(v.ctx, v.token.Purpose)
	v.locale = s.Renderer.Locale(r.URL.RawQuery, v.token.Locale, r.Header.Get("Accept-Language"))
	v.t = t
	if query := r.URL.Query(); query.Has("ui_locales") || query.Has("locale") { // also for the pages that follow
		v.token.Locale = v.locale
		if text, err := capability.Seal(s.Keys, at.kind, v.token); err == nil {
			v.t = text
		}
	}
	v.readCookies()
	return v, nil
}

// get answers a GET with a screen.
func (s *Site) get(at place, screen string, show func(v *visit) Answer) func(*http.Request) Answer {
	return func(r *http.Request) Answer {
		v, err := s.enter(r, at, r.URL.Query().Get("t"))
		switch {
		case err == nil && screen == screenNone:
			err = errLink
		case err == nil && screen == screenEnd:
			return v.ended()
		}
		if err != nil {
			return v.end(http.StatusBadRequest, endLink, err)
		}
		if v.token.Over(v.now) {
			return v.end(http.StatusGone, at.expired, nil)
		}
		return show(v)
	}
}

// post answers a form. The answer to a form without t is the same as for any other broken
// link.
func (s *Site) post(at place, f action) func(*http.Request) Answer {
	return func(r *http.Request) Answer {
		form, err := readForm(r)
		v, bad := s.enter(r, at, form.Get("t"))
		if err == nil {
			err = bad
		}
		if err == nil && s.Forms(r) != nil {
			err = errCrossSite
		}
		if err != nil {
			return v.end(http.StatusBadRequest, endLink, err)
		}
		return f(v, form)
	}
}

// inBrowser is an action that needs the cookie of the session.
func inBrowser(f action) action {
	return func(v *visit, form url.Values) Answer {
		if v.browser.IsZero() {
			return v.end(http.StatusForbidden, endCookies, errCookies)
		}
		return f(v, form)
	}
}

// from is the request for the use case that sends codes.
func (v *visit) from(once string) otpsend.FromPage {
	f := otpsend.FromPage{Page: v.token.Page, Once: once}
	if f.Page.Locale == "" {
		f.Page.Locale = v.locale
	}
	if from := clientip.From(v.ctx); from.Usable {
		f.Addr = from.Addr
	}
	return f
}

// over is a session that does not go on, with its record.
type over struct {
	session.Record
	error
}

func (o over) Unwrap() error { return o.error }

// refused keeps the record beside the reason why a session does not go on. Other errors, and
// nil, stay as they are.
func refused(rec session.Record, err error) error {
	if _, ok := errors.AsType[*problem.Error](err); ok || err == nil {
		return err
	}
	return over{rec, err}
}
