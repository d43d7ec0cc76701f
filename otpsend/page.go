package otpsend

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/netip"
	"time"

	"twofa/internal/capability"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/delivery"
	"twofa/internal/hostcall"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/secret"
	"twofa/internal/session"
)

// PageAnswer is a page session as its client sees it.
type PageAnswer struct {
	Session string `json:"session"`
	// PageURL is where the client sends the browser.
	PageURL   string    `json:"page_url"`
	ExpiresAt time.Time `json:"expires_at"`
	Purpose   string    `json:"purpose"`
	// To and Channel are of the code that was sent, "" if the page asks for an address.
	To      string          `json:"to,omitempty"`
	Channel channel.Channel `json:"channel,omitempty"`
}

// onPage is what a request has that belongs to a page session.
type onPage struct {
	session otp.Session // zero for the app's request, which begins the session
	asked   session.Hash
	user    otp.UserKey
	origin  otp.Origin
	browser otp.Browser
	ip      netip.Addr
	random  [8]byte // of the id, so that a repetition of the form makes the same one
	silent  bool
	signIn  bool
	bind    Bind
	// page is what the address of the page holds.
	page func(v otp.Verification) session.Page

	app, recovery bool // what else the user has, set by read
	start         otp.StartRequest
}

// Bind makes a verification in that row the one of the session, before anything is sent.
type Bind func(ctx context.Context, row otp.RowKey, id otp.ID) error

// enter returns the session of a new verification.
func (p *onPage) enter(ctx context.Context, keys *secret.Keyring, id otp.ID, row otp.RowKey) (otp.Session, error) {
	if p.session == (otp.Session{}) {
		return session.Of(keys, id), nil
	}
	return p.session, p.bind(ctx, row, id)
}

// read puts what a page knows into a request.
func (p *onPage) read(start *otp.StartRequest, same *sameStart) {
	if same.Page = p.asked; p.session == (otp.Session{}) {
		return
	}
	start.Session, start.Origin, start.Browser = p.session, p.origin, p.browser
	if p.signIn {
		start.Purpose = otp.SignInPurpose
	}
	same.ClientIP, same.Page = p.ip, session.HashOf(session.Name(p.session))
}

// StartPage begins a page session. With To or User it sends the code as Start does, with its
// round trips, errors and repetitions. Without, the page asks the person for an address, and
// nothing is stored.
//
// If the limits of an address refuse the message to a user who has an authenticator app or
// recovery codes, the page asks for these: who uses an address up does not keep its owner out.
// The answer has neither To nor Channel then.
func (s *Service) StartPage(ctx context.Context, req Request, idempotencyKey string) (a PageAnswer, replayed bool, err error) {
	c, faults := client.From(ctx), new(problem.Faults)
	s.Pages.Read("page.", c, req.Page, faults)
	if req.Channel == channel.Inbound {
		faults.Add("channel", "A page asks for a code, and with the channel inbound the person gets none.")
	}
	if err := faults.Err(); err != nil {
		return PageAnswer{}, false, err
	}
	asked := session.HashOf(req.Page.ReturnURL + "\n" + req.Page.State)
	if req.To == "" && req.User == "" {
		return s.openPage(ctx, req, idempotencyKey, asked)
	}
	on, now := &onPage{asked: asked}, s.Now()
	on.page = func(v otp.Verification) session.Page {
		page := session.New(session.Of(s.Recipients.Keys, v.ID), c, req.Page, now)
		page.Purpose, page.Given, page.Channels = v.Purpose, true, req.Channels
		if req.Channel != "" {
			page.Channels = []channel.Channel{req.Channel}
		}
		page.Locale, page.Context, page.User, page.Origin = v.Locale, v.Transaction, v.User, v.Origin
		if page.User != "" && page.Context == (otp.Transaction{}) { // a factor of the user is bound to no payment
			page.App, page.Recovery = on.app, on.recovery
		}
		return page
	}
	done, err := s.start(ctx, req, on, idempotencyKey)
	if (on.app || on.recovery) && on.start.Transaction == (otp.Transaction{}) && problem.Is(err, usedUp...) {
		page := on.page(otp.Verification{Purpose: on.start.Purpose, Locale: on.start.Locale, User: on.start.User, Caller: on.start.Caller})
		page.Session = session.Random()
		a, err = s.pageAnswer(page)
		return a, false, err
	}
	if err != nil {
		if p, ok := errors.AsType[*problem.Error](err); ok && p.ID != "" {
			hidden := *p // no call of the API finds the verification of a page
			hidden.ID = ""
			err = &hidden
		}
		return PageAnswer{}, false, err
	}
	page := on.page(done.state.Verification)
	page.Sent = done.onPage()
	a, err = s.pageAnswer(page)
	a.To, a.Channel = done.To, done.Channel
	return a, done.replayed, err
}

// usedUp are the refusals of a message because of what was sent to the address or checked there
// before.
var usedUp = []problem.Kind{problem.TooManySends, problem.TooManyChecks, problem.ResendTooSoon}

// openPage begins a session whose page asks for an address.
func (s *Service) openPage(ctx context.Context, req Request, idempotencyKey string, asked session.Hash) (PageAnswer, bool, error) {
	faults, c := new(problem.Faults), client.From(ctx)
	if req.Channel != "" || len(req.Channels) > 0 {
		faults.Add("channel", "A page that asks for the address uses the channels of the service that reach it. Leave channel and channels out.")
	}
	same := sameStart{Purpose: readPurpose(ctx, req, faults), Context: req.Transaction.Read(faults), Page: asked}
	same.Locale, _ = readAdvice(ctx, req.Locale, req.ClientIP)
	_ = otp.ReadOrigin(req.Origin, faults) // an address on a page is always typed
	key, err := readKey(idempotencyKey)
	faults.AddAll(err)
	if err := faults.Err(); err != nil {
		return PageAnswer{}, false, err
	}
	if key == "" {
		key = rand.Text()
	}
	idem, err := identify(ctx, key, "page", same)
	if err != nil {
		return PageAnswer{}, false, err
	}
	page := session.New(session.Repeated(s.Recipients.Keys, c.ID, idem), c, req.Page, s.Now())
	page.Purpose, page.Locale, page.Context, page.Origin = same.Purpose, same.Locale, same.Context, otp.OriginTyped
	a, err := s.pageAnswer(page)
	return a, false, err
}

func (s *Service) pageAnswer(page session.Page) (PageAnswer, error) {
	t, err := capability.Seal(s.Recipients.Keys, capability.Page, page)
	if err != nil {
		return PageAnswer{}, problem.Unexpected(err)
	}
	return PageAnswer{
		Session: session.Name(page.Session), PageURL: s.Pages.URL(session.CheckPath, t),
		ExpiresAt: page.Expires(), Purpose: page.Purpose,
	}, nil
}

// onPage is what a page shows.
func (a sent) onPage() *session.Sent {
	v, r := a.state.Verification, a.state.Recipient
	shown := &session.Sent{
		ID: a.ID, To: a.To, Channel: a.Channel, Workflow: v.Workflow, ExpiresAt: a.ExpiresAt.Unix(),
		Length: v.Shape.Length, Digits: v.Shape.Alphabet == otp.Digits, Known: v.Origin == otp.OriginKnown,
	}
	if !a.ResendAfter.IsZero() {
		shown.ResendAfter = a.ResendAfter.Unix()
	}
	if v.User == "" {
		shown.Address = r.Address
	}
	for _, t := range v.Attempts {
		shown.Failed = shown.Failed || t.Status == otp.Failed
	}
	return shown
}

// FromPage is a request of a browser that has a page.
type FromPage struct {
	Page session.Page
	// Once names the form that was sent. The same form has one effect.
	Once string
	// Addr is the client address, the zero Addr if it is not known.
	Addr netip.Addr
	// Browser is zero unless the address was proven in this browser before.
	Browser otp.Browser
	// Silent: nothing is sent, because no account has the address. All that can be observed
	// from outside is as if the message had been sent, and so are the counters of the address.
	// The code must be checked with Silent of otpverify.PageCheck, too.
	Silent bool
	Bind   Bind
}

// with returns the context in which a repetition of the form waits for the first one, and
// what the request has of the page.
func (f FromPage) with(ctx context.Context) (context.Context, *onPage) {
	p := &onPage{
		session: f.Page.Session, user: f.Page.User, origin: f.Page.Origin, browser: f.Browser, ip: f.Addr, silent: f.Silent, signIn: f.Page.SignIn, bind: f.Bind,
		page: func(otp.Verification) session.Page { return f.Page },
	}
	once := session.HashOf(session.Name(f.Page.Session) + "\n" + f.Once)
	copy(p.random[:], once[:])
	return hostcall.With(ctx, "page\n"+base64.RawURLEncoding.EncodeToString(once[:])), p
}

// StartOnPage starts a verification of the page's session, for an address that the person
// typed, or for the page's own address or user if to is "". Round trips and errors are those
// of Start and of Bind.
func (s *Service) StartOnPage(ctx context.Context, f FromPage, to string) (*session.Sent, error) {
	ctx, p := f.with(ctx)
	req := Request{To: to, Purpose: f.Page.Purpose, Locale: f.Page.Locale, Transaction: f.Page.Context, Channels: f.Page.Channels}
	if to == "" && f.Page.Sent != nil {
		req.To = f.Page.Sent.Address
	}
	if f.Browser != (otp.Browser{}) && p.origin == otp.OriginTyped {
		p.origin = otp.OriginKnown
	}
	a, err := s.start(ctx, req, p, f.Once)
	if errors.Is(err, otp.ErrNotKnown) {
		p.origin, p.browser = otp.OriginTyped, otp.Browser{}
		a, err = s.start(ctx, req, p, f.Once)
	}
	if err != nil {
		return nil, err
	}
	return a.onPage(), nil
}

// ResendOnPage sends the code of the session's verification again. Round trips and errors
// are those of Resend.
func (s *Service) ResendOnPage(ctx context.Context, f FromPage, id otp.ID, c channel.Channel) (*session.Sent, error) {
	ctx, p := f.with(ctx)
	a, err := s.resendFrom(ctx, string(id), ResendRequest{Channel: c}, p, f.Once)
	if err != nil {
		return nil, err
	}
	return a.onPage(), nil
}

// StatusOnPage looks the session's verification up. Round trips are those of Status.
func (s *Service) StatusOnPage(ctx context.Context, page session.Page, id otp.ID) (shown *session.Sent, status otp.Status, err error) {
	a, err := s.status(ctx, otp.Owner{Client: page.Client, Session: page.Session}, id)
	if err != nil {
		return nil, "", err
	}
	return a.onPage(), a.Status, nil
}

// CancelOnPage ends the session's verification. Round trips are those of Cancel.
func (s *Service) CancelOnPage(ctx context.Context, page session.Page, id otp.ID) error {
	_, err := s.cancel(ctx, otp.Owner{Client: page.Client, Session: page.Session}, id)
	return err
}

// requestOf is what the sender has to know of a request for a page, nil for the client's server.
func (s *Service) requestOf(page *onPage, i otp.Idempotency) delivery.Request {
	return delivery.Request{Idempotency: i, Link: s.linkOf(page), Silent: page != nil && page.silent}
}

// linkOf returns how the link of a mail is made, nil if mails have none.
func (s *Service) linkOf(page *onPage) delivery.Link {
	if page == nil || !s.MagicLinks || s.Pages.PublicURL == "" {
		return nil
	}
	return func(v otp.Verification) string {
		l := session.Link{Page: page.page(v), Verification: v.ID, Attempt: len(v.Attempts), Until: v.ExpiresAt.Unix()}
		l.Sent = &session.Sent{ID: v.ID}
		kind, path := capability.Link, session.LinkPath
		if l.SignIn {
			kind, path = capability.SignInLink, session.SignInLinkPath
		}
		t, err := capability.Seal(s.Recipients.Keys, kind, l)
		if err != nil { // too long: the mail has the code
			return ""
		}
		return s.Pages.URL(path, t)
	}
}
