package oidc

import (
	"context"
	"net/http"
	"time"

	"twofa/internal/account"
	"twofa/internal/capability"
	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/signin"
	"twofa/internal/user"
	"twofa/internal/visit"
)

// accountName is the name of the cookie of a browser in which a person is signed in.
const accountName = "account"

// accountCookie is what that cookie holds.
type accountCookie struct {
	Account string            `json:"a"` // the name of the account's user
	ID      account.SessionID `json:"i"`
	Epoch   int64             `json:"e"`
	Locale  string            `json:"l,omitzero"` // of the pages on which the person signed in
}

// signedIn is a person who has signed in, when, and by what. The zero signedIn is nobody.
type signedIn struct {
	user   user.User
	at     time.Time
	proofs []account.Proof
	// cookie is that of the browser's session, zero without one. client is where the session began.
	cookie accountCookie
	client string
}

func (p signedIn) isNobody() bool { return p.user.Name == "" }

// current returns who is signed in in the browser of a request. One round trip, none without the cookie.
func (s *SignIn) current(ctx context.Context, r *http.Request) (signedIn, error) {
	var c accountCookie
	if s.Session == 0 || capability.Open(s.Keys, capability.Account, s.Cookies.Value(r, accountName), &c) != nil {
		return signedIn{}, nil
	}
	now := s.Now()
	u, err := s.Accounts.Load(ctx, s.Accounts.Key(c.Account), now)
	if problem.Is(err, problem.NotFound) {
		return signedIn{}, nil
	}
	if err != nil {
		return signedIn{}, err
	}
	b, ok := u.Account.Session(c.ID, c.Epoch, s.Session, now)
	if !ok {
		return signedIn{}, nil
	}
	return signedIn{u, b.At, b.Proofs, c, b.Client}, nil
}

// person is who may go on to the app: who has signed in in this sign-in, or who was signed in when it began. It is
// nobody if that has ended since, or if the app asks for somebody who has signed in more lately.
func (s *SignIn) person(v *visit.Visit, at progress) (p signedIn, err error) {
	d, want := at.draft, at.draft.For
	if d.SignedIn {
		want = d.Account
	}
	switch {
	case d.SignedIn && !d.Session: // there are no sessions, or the device is shared
		p, err = s.fromDraft(v, d)
	default:
		p, err = s.current(v.Ctx, v.Request)
	}
	if err != nil || p.isNobody() || p.user.Name != want {
		return signedIn{}, err
	}
	req := at.req
	if d.SignedIn { // which is what these ask for
		req.Login = false
		if req.MaxAge == 0 {
			req.MaxAge = -1
		}
	}
	if step, _ := next(req, v.Client, p, v.Now); step == stepLogin {
		return signedIn{}, nil
	}
	return p, nil
}

// fromDraft is who has signed in in a sign-in that has left no session.
func (s *SignIn) fromDraft(v *visit.Visit, d signin.Draft) (signedIn, error) {
	u, err := s.Accounts.Load(v.Ctx, s.Accounts.Key(d.Account), v.Now)
	if problem.Is(err, problem.NotFound) {
		return signedIn{}, nil
	}
	at := account.Newest(d.Proofs)
	if err != nil || d.Granted || u.Account.Epoch != d.Epoch || v.Now.Sub(at) >= session.Lifetime {
		return signedIn{}, err
	}
	return signedIn{user: u, at: at, proofs: d.Proofs}, nil
}

// giveSession sets the cookie of a browser in which the person has signed in.
func (s *SignIn) giveSession(v *visit.Visit, u user.User, id account.SessionID) error {
	text, err := capability.Seal(s.Keys, capability.Account, accountCookie{u.Name, id, u.Account.Epoch, v.Locale})
	if err == nil {
		v.NewCookies = append(v.NewCookies, s.Cookies.New(accountName, text, s.Session))
	}
	return err
}

// endSession returns the cookie that ends the session of a browser.
func (s *SignIn) endSession() *http.Cookie {
	c := s.Cookies.New(accountName, "", 0)
	c.MaxAge = -1
	return c
}
