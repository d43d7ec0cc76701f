package pages

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
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
)

// Check is the page on which a person types a code (verify/check). Its fields are set once,
// before the first call.
//
// A GET shows what the sealed parameter t says, reads no storage and changes nothing. A POST
// acts on the session's row, whatever t says was done before, and answers with a redirect to
// a new t, so that reload, the back button and a second tab repeat nothing.
type Check struct {
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

// Answer is what a browser gets.
type Answer struct {
	Status  int
	Header  map[string]string
	Cookies []*http.Cookie
	Body    []byte
	// Problem is why the person did not get what they asked for, for the log. nil: they did.
	Problem error
}

// maxForm is the greatest length of a form in bytes.
const maxForm = 16 << 10

// token is what the parameter t holds.
type token struct {
	session.Page
	View view `json:"w,omitzero"`
}

// view is what the page shows beside what was sent.
type view struct {
	Fault   *web.Fault `json:"f,omitzero"`
	Notice  string     `json:"n,omitzero"`
	Typed   string     `json:"t,omitzero"` // the address as the person typed it
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
	*Check
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
func (c *Check) enter(r *http.Request, t string) (v *visit, err error) {
	v = &visit{Check: c, ctx: r.Context(), request: r, now: c.Now()}
	v.locale = c.Renderer.Locale(r.URL.RawQuery, "", r.Header.Get("Accept-Language"))
	if c.Clients == nil || capability.Open(c.Keys, capability.Page, t, &v.token) != nil {
		return v, errLink
	}
	known, ok := c.Clients.Client(v.token.Client)
	if !ok || !v.token.Valid(known) || v.token.ReturnURL(known) == "" {
		return v, errLink
	}
	v.client = known
	v.ctx = client.With(v.ctx, known)
	reqlog.Add(v.ctx, slog.String("client", known.ID))
	reqlog.Purpose(v.ctx, v.token.Purpose)
	v.locale = c.Renderer.Locale(r.URL.RawQuery, v.token.Locale, r.Header.Get("Accept-Language"))
	v.t = t
	if query := r.URL.Query(); query.Has("ui_locales") || query.Has("locale") { // also for the pages that follow
		v.token.Locale = v.locale
		if text, err := capability.Seal(c.Keys, capability.Page, v.token); err == nil {
			v.t = text
		}
	}
	v.readCookies()
	return v, nil
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
