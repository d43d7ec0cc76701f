package oidc

import (
	"context"
	"net/http"
	"slices"
	"time"

	"twofa/internal/account"
	"twofa/internal/capability"
	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/signin"
	"twofa/internal/user"
	"twofa/internal/visit"
)

// accountName is the name of the cookie of a browser in which people have signed in.
const accountName = "account"

// accountCookie is what that cookie holds: the accounts that know the browser, the one that was used last first.
type accountCookie struct {
	Accounts []accountEntry `json:"a"`
}

// accountEntry is the browser as one account knows it. The zero accountEntry is one of which no account knows.
type accountEntry struct {
	Account string            `json:"a"` // the name of the account's user
	ID      account.SessionID `json:"i"`
	Epoch   int64             `json:"e"`
	Locale  string            `json:"l,omitzero"` // of the pages on which the person signed in
	Out     bool              `json:"o,omitzero"` // the person has signed out
}

// maxAccounts is how many accounts a browser's cookie has.
const maxAccounts = 5

// of returns what the cookie has for an account.
func (c accountCookie) of(name string) accountEntry {
	for _, e := range c.Accounts {
		if e.Account == name {
			return e
		}
	}
	return accountEntry{}
}

// with is the cookie with an entry in place of that of the account, or without it if it has no id.
func (c accountCookie) with(e accountEntry) accountCookie {
	rest := slices.DeleteFunc(slices.Clone(c.Accounts), func(o accountEntry) bool { return o.Account == e.Account })
	for i := range rest { // one person at a time
		rest[i].Out = true
	}
	if e.ID != (account.SessionID{}) {
		rest = slices.Insert(rest, 0, e)
	}
	return accountCookie{rest[:min(len(rest), maxAccounts)]}
}

// cookie is that of a browser, the zero one if it has none that was sealed here.
func (s *SignIn) cookie(r *http.Request) (c accountCookie) {
	if capability.Open(s.Keys, capability.Account, s.Cookies.Value(r, accountName), &c) != nil {
		return accountCookie{}
	}
	return c
}

// signedIn is a person who has signed in, when, and by what. The zero signedIn is nobody.
type signedIn struct {
	user   user.User
	at     time.Time
	proofs []account.Proof
	// strong and byTrust are as those of an account.Browser.
	strong, byTrust bool
	// browser is the account's entry of this browser, and cookie what the browser has of it, both zero without a
	// session.
	browser account.Browser
	cookie  accountEntry
}

func (p signedIn) isNobody() bool { return p.user.Name == "" }

// current returns who is signed in in the browser of a request. One round trip, none without the cookie.
func (s *SignIn) current(ctx context.Context, r *http.Request) (signedIn, error) {
	c := s.cookie(r)
	if s.Session == 0 || len(c.Accounts) == 0 || c.Accounts[0].Out {
		return signedIn{}, nil
	}
	e, now := c.Accounts[0], s.Now()
	u, err := s.Accounts.Load(ctx, s.Accounts.Key(e.Account), now)
	if problem.Is(err, problem.NotFound) {
		return signedIn{}, nil
	}
	if err != nil {
		return signedIn{}, err
	}
	b, ok := u.Account.Browser(e.ID, e.Epoch, now)
	if !ok || !b.SignedIn(s.Session, now) {
		return signedIn{}, nil
	}
	return signedIn{u, b.At, b.Proofs, b.Strong, b.ByTrust, b, e}, nil
}

// stays returns an error unless the person is still signed in, in an account as it is now.
func (s *SignIn) stays(a account.State, p signedIn, now time.Time) error {
	if b, ok := a.Browser(p.cookie.ID, p.cookie.Epoch, now); !ok || !b.SignedIn(s.Session, now) {
		return errNobody
	}
	return nil
}

// seen is what an account knows of the browser of a request. known is true if the address was proven there before.
func (s *SignIn) seen(v *visit.Visit, u user.User, req Request, known bool) account.Seen {
	e := s.cookie(v.Request).of(u.Name)
	b, ok := u.Account.Browser(e.ID, e.Epoch, v.Now)
	return account.Seen{Known: ok && known, Trusted: ok && !req.Login && req.MaxAge != 0 && b.Trusted(s.TrustFor, v.Now)}
}

// person is who may go on to the app: who has signed in in this sign-in, or who was signed in when it began. It is
// nobody if that has ended since, or if the app asks for somebody who has signed in more lately.
func (s *SignIn) person(v *visit.Visit, at progress) (p signedIn, err error) {
	if p, err = s.signedInHere(v, at); err != nil || p.isNobody() {
		return p, err
	}
	if step, _ := next(at.wanted(), v.Client, p, s.Provider.seenBy(v.Client, p.user.Account), v.Now); step == stepLogin {
		return signedIn{}, nil
	}
	return p, nil
}

// signedInHere is who has signed in in this sign-in, or who was signed in when it began, and still is.
func (s *SignIn) signedInHere(v *visit.Visit, at progress) (p signedIn, err error) {
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
	if p.user.Name != want {
		return signedIn{}, err
	}
	return p, err
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
	return signedIn{user: u, at: at, proofs: d.Proofs, strong: d.Strong, byTrust: d.ByTrust}, nil
}

// giveSession sets the cookie of a browser in which the person has signed in, under the id. The zero id takes the
// account out of it.
func (s *SignIn) giveSession(v *visit.Visit, u user.User, id account.SessionID) error {
	return s.setCookie(v, s.cookie(v.Request).with(accountEntry{Account: u.Name, ID: id, Epoch: u.Account.Epoch, Locale: v.Locale}))
}

// signOutHere is the cookie after the person has signed out in this browser, which stays known.
func (s *SignIn) signOutHere(v *visit.Visit, e accountEntry) error {
	e.Out = true
	return s.setCookie(v, s.cookie(v.Request).with(e))
}

func (s *SignIn) setCookie(v *visit.Visit, c accountCookie) error {
	if len(c.Accounts) == 0 {
		ended := s.Cookies.New(accountName, "", 0)
		ended.MaxAge = -1
		v.NewCookies = append(v.NewCookies, ended)
		return nil
	}
	text, err := capability.Seal(s.Keys, capability.Account, c)
	if err == nil {
		v.NewCookies = append(v.NewCookies, s.Cookies.New(accountName, text, account.KnownFor))
	}
	return err
}
