// Package visit is one request of a browser that has a page: the sealed parameter t, its
// client, the cookies, forms and redirects, the session's row, and how a code is sent to an
// address that a person typed. The packages with pages share it, and never import each other.
//
// Whatever t says was done before, the session's row is what counts. The package must never
// decide where a browser goes when a session ends: the place of the page does.
package visit

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"twofa/internal/capability"
	"twofa/internal/client"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/secret"
	"twofa/internal/session"
	"twofa/internal/web"
	"twofa/otpsend"
	"twofa/otpverify"
)

// Site is what all pages need. Its fields are set once, before the first call.
type Site struct {
	Keys     *secret.Keyring
	Clients  *client.Registry // nil: there are no pages
	Sessions *session.Store
	Send     *otpsend.Service
	Verify   *otpverify.Service
	Renderer *web.Renderer
	// Look is how the pages of a client look.
	Look func(client.Client) web.Look
	// Forms protects the POSTs, Cookies makes the cookies.
	Forms   func(*http.Request) error
	Cookies web.Cookies
	Now     func() time.Time
}

// Place is a kind of page.
type Place struct {
	Kind  capability.Kind // of t
	Path  string          // of the main screen, below the service's origin
	Scope client.Scope    // that the client needs
	// Returns is true if the browser goes back to the session's return address in the end,
	// which the client has to have still.
	Returns bool
	// Done and Canceled are the reasons of the ends with and without a result. Expired is that
	// of a session that is over.
	Done, Canceled, Expired string
	// End answers with the end of a visit for a reason. The problem is for the log. If t did
	// not open, the visit has no client, and of the token nothing counts.
	End func(v *Visit, status int, reason string, problem error) web.Answer
}

// Token is what the parameter t holds, sealed. Only that of a mail's link has more of
// session.Link than the page.
type Token struct {
	session.Link
	View View `json:"w,omitzero"`
	// More is what the package of the place keeps in t, in its own encoding. nil: nothing. As
	// all of t, it is what the page shows and not what counts: an older t may come back.
	More jsontext.Value `json:"y,omitzero"`
}

// View is what the page shows beside what was sent. It lasts until the next POST.
type View struct {
	Fault   *web.Fault `json:"f,omitzero"`
	Notice  string     `json:"n,omitzero"`
	Typed   string     `json:"t,omitzero"` // what the person typed, except codes
	Name    string     `json:"p,omitzero"` // the person's, as they typed it beside Typed
	Country string     `json:"c,omitzero"`
	Dead    bool       `json:"d,omitzero"` // the code cannot be used any more
	End     string     `json:"e,omitzero"` // the reason of an end
	// Result and Browser are of an approval: the result is for this browser alone, until the
	// time Until (Unix seconds).
	Result  string       `json:"r,omitzero"`
	Browser session.Hash `json:"b,omitzero"`
	Until   int64        `json:"u,omitzero"`
}

// Visit is one request of a browser.
type Visit struct {
	*Site
	Place   Place
	Ctx     context.Context // with the client
	Request *http.Request
	Now     time.Time // at which the request came. It hides the clock of the Site
	Token   Token     // redirects and paths have it as it is now, forms as it came
	Client  client.Client
	Browser session.Hash // zero: the request has no cookie of the session
	Locale  string
	// NewCookies are those that the answer sets.
	NewCookies []*http.Cookie

	t     string // the token as the forms of this page carry it
	known knownCookie
}

// errLink: t does not open, or its client has no pages any more.
var errLink = &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("visit: not a valid link")}

// Enter opens t, and reads the client and the cookies. The visit is never nil: with an error,
// it is good for the screen of an end. The error is of kind InvalidRequest.
func (s *Site) Enter(r *http.Request, at Place, t string) (*Visit, error) {
	v := s.visit(r, at)
	if s.Clients == nil || capability.Open(s.Keys, at.Kind, t, &v.Token) != nil {
		return v, errLink
	}
	return v, v.enter(t)
}

// Begin is Enter for a session that begins with this request, whose t nobody has yet. The
// error may also be capability.ErrSize.
func (s *Site) Begin(r *http.Request, at Place, token Token) (*Visit, error) {
	v := s.visit(r, at)
	if s.Clients == nil {
		return v, errLink
	}
	v.Token = token
	t, err := capability.Seal(s.Keys, at.Kind, token)
	if err != nil {
		return v, err
	}
	return v, v.enter(t)
}

func (s *Site) visit(r *http.Request, at Place) *Visit {
	return &Visit{Site: s, Place: at, Ctx: r.Context(), Request: r, Now: s.Now(), Locale: s.locale(r, "")}
}

// locale is the language of a page, from the request or else as the session has it.
func (s *Site) locale(r *http.Request, own string) string {
	return s.Renderer.Locale(r.URL.RawQuery, own, r.Header.Get("Accept-Language"))
}

// enter reads the client and the cookies. t is the token, sealed.
func (v *Visit) enter(t string) error {
	known, ok := v.Clients.Client(v.Token.Client)
	if !ok || !v.Token.Valid(known, v.Place.Scope) || v.Place.Returns && v.Token.ReturnURL(known) == "" {
		return errLink
	}
	v.Client = known
	v.Ctx = client.With(v.Ctx, known)
	reqlog.Add(v.Ctx, slog.String("client", known.ID))
	reqlog.Purpose(v.Ctx, v.Token.Purpose)
	v.Locale, v.t = v.locale(v.Request, v.Token.Locale), t
	if query := v.Request.URL.Query(); query.Has("ui_locales") || query.Has("locale") { // also for the pages that follow
		v.Token.Locale = v.Locale
		if text, err := capability.Seal(v.Keys, v.Place.Kind, v.Token); err == nil {
			v.t = text
		}
	}
	v.readCookies()
	return nil
}
