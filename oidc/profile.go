package oidc

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"twofa/internal/account"
	"twofa/internal/capability"
	"twofa/internal/client"
	"twofa/internal/enroll"
	"twofa/internal/enrollpage"
	"twofa/internal/reqlog"
	"twofa/internal/session"
	"twofa/internal/signin"
	"twofa/internal/user"
	"twofa/internal/visit"
	"twofa/internal/web"
)

// nameForm leads to the screen for another name.
func (s *SignIn) nameForm(o owner, _ url.Values) web.Answer {
	return o.Answer(http.StatusOK, nameScreen(o, o.person.user.Account.Name, nil))
}

func nameScreen(o owner, name string, fault *web.Fault) web.NameScreen {
	return web.NameScreen{Form: accountForm(o, "named"), Name: name, Fault: fault, Back: accountPath}
}

// rename is the form with another name.
func (s *SignIn) rename(o owner, form url.Values) web.Answer {
	name, fault := readName(form)
	if fault != nil {
		typed := form.Get("name")
		if len(typed) > 4*signin.MaxName {
			typed = ""
		}
		a := o.Answer(http.StatusOK, nameScreen(o, typed, fault))
		a.Problem = errName
		return a
	}
	return s.edit(o, func(a account.State) account.State {
		a.Name = name
		return a
	})
}

// forgetBrowser is the form that ends what is known of a browser, and its session.
func (s *SignIn) forgetBrowser(o owner, form url.Values) web.Answer {
	ref := form.Get("id")
	if o.person.user.Account.BrowserRef(o.person.browser) == ref { // this one
		if err := s.giveSession(o.Visit, o.person.user, account.SessionID{}); err != nil {
			return o.Failed(err)
		}
	}
	return s.edit(o, func(a account.State) account.State { return a.ForgetRef(ref) })
}

// withdraw is the form after which an app asks the person again.
func (s *SignIn) withdraw(o owner, form url.Values) web.Answer {
	return s.edit(o, func(a account.State) account.State { return a.WithdrawRef(form.Get("id")) })
}

// edit makes a change of the account that needs no new proof, and that nobody is told.
func (s *SignIn) edit(o owner, t func(account.State) account.State) web.Answer {
	_, err := s.Accounts.Change(o.Ctx, s.Accounts.Key(o.person.user.Name), o.Now, func(old user.User) (user.User, error) {
		if err := s.stays(old.Account, o.person, o.Now); err != nil {
			return old, err
		}
		old.Account = t(old.Account)
		return old, nil
	})
	if err != nil {
		return s.refuseAccount(o.Visit, o.person, err)
	}
	return s.saved(o.Visit)
}

// factorsPlace is where a person sets up the authenticator apps and recovery codes of their account.
var factorsPlace = visit.Place{
	Kind: capability.Factors, Path: accountPath + "/factors", Scope: client.ScopeSignIn, Canceled: endCanceled, Expired: endExpired, End: end,
}

// Factors are the screens for authenticator apps and recovery codes.
func (s *SignIn) Factors() *enrollpage.Pages {
	return &enrollpage.Pages{
		Site: &s.Site, Users: s.Users, Place: factorsPlace, Own: true, Save: s.saveFactors,
		Canceled: func(*visit.Visit) web.Answer { return redirect(accountPath) },
		Leave: func(v *visit.Visit, o visit.Over) (web.Answer, bool) {
			if errors.Is(o.Err, session.ErrCanceled) { // or saved, with a form that was sent twice
				return redirect(accountPath), true
			}
			return v.Leave(o)
		},
	}
}

// GetFactors answers with the first of these screens. Without its page, as after a reload, that is the account.
func (s *SignIn) GetFactors(r *http.Request) web.Answer {
	if !r.URL.Query().Has("t") {
		return redirect(accountPath)
	}
	return s.Factors().Get(visit.ScreenMain)(r)
}

// factorsForm begins to set up apps and codes.
func (s *SignIn) factorsForm(o owner, _ url.Values) web.Answer {
	if !o.relies() {
		return s.signInAgain(o.Visit)
	}
	u := o.person.user
	page := session.New(session.Random(), o.Client, session.Asked{}, o.Now)
	page.User, page.Since, page.Locale = s.Accounts.Key(u.Name), u.CreatedAt.UnixMilli(), o.Locale
	v, err := s.Begin(o.Request, factorsPlace, visit.Token{Link: session.Link{Page: page}})
	if err == nil {
		err = v.GiveSession()
	}
	if err != nil {
		return v.Failed(err)
	}
	return s.Factors().Begin(v)
}

// saveFactors makes the changes of an enrolment, tells the person, and keeps this browser signed in. The proof was fresh
// when the person began: to scan a code and save others can take longer.
func (s *SignIn) saveFactors(v *visit.Visit, loaded session.Loaded, d enroll.Draft) (web.Answer, error) {
	p, err := s.current(v.Ctx, v.Request)
	if err != nil {
		return web.Answer{}, err
	}
	if p.isNobody() || s.Accounts.Key(p.user.Name) != d.User {
		return v.End(http.StatusForbidden, endNone, errNobody), nil
	}
	begun := time.Unix(v.Token.ExpiresAt, 0).Add(-session.Lifetime)
	u, err := s.Users.EnrollAccount(v.Ctx, d, func(old user.User) (user.User, error) {
		return s.staying(old, p, v.Now, func() (account.State, error) {
			if !old.Account.Relies(p.proofs, begun) && !old.Account.Relies(p.proofs, v.Now) {
				return old.Account, account.ErrNotFresh
			}
			return old.Account.Changed(), nil
		})
	})
	switch {
	case errors.Is(err, account.ErrNotFresh):
		return s.signInAgain(v), nil
	case errors.Is(err, errNobody):
		return v.End(http.StatusForbidden, endNone, err), nil
	case err != nil:
		return web.Answer{}, err
	}
	if err := s.giveSession(v, u, p.cookie.ID); err != nil {
		return web.Answer{}, err
	}
	if _, err := v.Change(&loaded, func(old session.Record) (session.Record, error) {
		return session.Cancel(old, v.Token.Page, v.Browser, v.Now)
	}); err != nil { // saving again changes nothing
		reqlog.Add(v.Ctx, slog.String("not_canceled", err.Error()))
	}
	return s.saved(v), nil
}
