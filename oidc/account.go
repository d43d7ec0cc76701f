package oidc

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"twofa/internal/account"
	"twofa/internal/address"
	"twofa/internal/client"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/signin"
	"twofa/internal/user"
	"twofa/internal/visit"
	"twofa/internal/web"
)

// accountPath is that of the page of the account of a person who is signed in.
const accountPath = "/oidc/account"

// owner is a request of a person who is signed in, for the page of their account.
type owner struct {
	*visit.Visit
	person signedIn
}

// enterAccount returns the person who is signed in, in the look of the app in which they have done so. With
// an answer, there is nobody.
func (s *SignIn) enterAccount(r *http.Request) (o owner, a *web.Answer) {
	v, _ := s.Enter(r, place, "") // only its language counts
	p, err := s.current(r.Context(), r)
	c, known := s.Clients.Client(p.browser.Client)
	switch {
	case err != nil:
		end := v.End(http.StatusServiceUnavailable, endFailed, err)
		return o, &end
	case p.isNobody() || !known:
		end := s.invite(r, v)
		return o, &end
	}
	v.Locale = s.Renderer.Locale(r.URL.RawQuery, p.cookie.Locale, r.Header.Get("Accept-Language"))
	note(r, c)
	v.Client = c
	v.Ctx = client.With(v.Ctx, c)
	return owner{v, p}, nil
}

// invite is the answer to a person who is not signed in: the sign-in, if the request names an app that has one.
func (s *SignIn) invite(r *http.Request, v *visit.Visit) web.Answer {
	c, ok := s.Clients.Client(r.URL.Query().Get("client_id"))
	if s.Session == 0 || r.Method != http.MethodGet || !ok || !c.May(client.ScopeSignIn) {
		return v.End(http.StatusForbidden, endNone, errNobody)
	}
	v.Client = c
	return s.signInAgain(v)
}

var errNobody = &problem.Error{Kind: problem.Forbidden, Err: errors.New("oidc: nobody is signed in")}

// signInAgain is the first screen of a sign-in that leads to the page of the account.
func (s *SignIn) signInAgain(v *visit.Visit) web.Answer {
	return s.begin(v.Request, begun{Request: ownRequest(v), Goal: signin.ToAccount}, "", app{client: v.Client, locale: v.Locale}, s.firstScreen(""))
}

// ownRequest is the request of a sign-in that no app has asked for.
func ownRequest(v *visit.Visit) Request { return Request{Client: v.Client.ID, MaxAge: -1} }

// GetAccount answers with the page of the account. One storage round trip.
func (s *SignIn) GetAccount(r *http.Request) web.Answer {
	o, a := s.enterAccount(r)
	if a != nil {
		return *a
	}
	screen := s.accountScreen(o)
	if r.URL.Query().Has("saved") {
		screen.Notice = "page_account_saved"
	}
	return o.Answer(http.StatusOK, screen)
}

// ToAccount answers a GET of a form of the account's page, as a reload makes.
func (s *SignIn) ToAccount(*http.Request) web.Answer { return redirect(accountPath) }

// accountForm is a form of the account's page. Its paths have the name of the action.
func accountForm(o owner, name string) web.Form {
	f := o.Form(name)
	f.Action = accountPath + "/" + name
	return f
}

// accountScreen shows the account.
func (s *SignIn) accountScreen(o owner) web.AccountScreen {
	u := o.person.user
	a := u.Account
	screen := web.AccountScreen{
		Name: a.Name, Rename: accountForm(o, "name"), Authenticators: len(u.TOTP.Confirmed()), Factors: accountForm(o, "factors"),
		SignOut: accountForm(o, "signout"), SignOutAll: accountForm(o, "everywhere"), Erase: accountForm(o, "erase"), CodesLeft: s.Users.CodesLeft(u),
	}
	for _, b := range slices.Backward(a.Browsers) {
		shown := web.AccountBrowser{
			ID: a.BrowserRef(b), Forget: accountForm(o, "forget"), Label: b.Label, App: s.brandOf(b.Client), Seen: b.At,
			Here: b.ID == o.person.browser.ID, SignedIn: b.SignedIn(s.Session, o.Now),
		}
		if b.Trusted(s.TrustFor, o.Now) {
			shown.TrustedUntil = b.TrustedAt.Add(s.TrustFor)
		}
		screen.Browsers = append(screen.Browsers, shown)
	}
	phones, emails := o.Kinds()
	if phones {
		form := accountForm(o, string(account.Phone))
		screen.AddPhone = &form
	}
	if emails {
		form := accountForm(o, string(account.Email))
		screen.AddEmail = &form
	}
	for _, b := range a.Addresses {
		if !b.ProvenAt.IsZero() { // what the operator gave may be another person's
			screen.Addresses = append(screen.Addresses, addressOf(o, a, b))
		}
	}
	for _, c := range a.Consents {
		if brand := s.brandOf(c.Client); brand != "" {
			screen.Apps = append(screen.Apps, web.AccountApp{ID: a.Ref(c.Client), Brand: brand, Withdraw: accountForm(o, "withdraw")})
		}
	}
	return screen
}

// brandOf is how people know a client, "" if it is there no more.
func (s *SignIn) brandOf(id string) string {
	if known, ok := s.Clients.Client(id); ok && s.Look != nil {
		return s.Look(known).Brand
	}
	return ""
}

// addressOf shows an address of the account.
func addressOf(o owner, a account.State, b account.Address) web.AccountAddress {
	shown := web.AccountAddress{ID: a.Ref(b.Text), Text: b.Text, Email: address.IsEmail(b.Text), New: a.IsNew(b, o.Now)}
	form := accountForm(o, "remove")
	switch {
	case !b.ReplacedAt.IsZero():
		undo := accountForm(o, "undo")
		shown.Undo, shown.Until = &undo, b.ReplacedAt.Add(account.Hold)
	case a.Phone() != "" && a.Email() != "":
		shown.Remove = &form
	}
	return shown
}

// accountActions are the forms of the account's page, by the last segment of their path.
func (s *SignIn) accountActions() map[string]func(o owner, form url.Values) web.Answer {
	return map[string]func(o owner, form url.Values) web.Answer{
		string(account.Phone): s.addForm(account.Phone), string(account.Email): s.addForm(account.Email), "remove": s.change(account.State.Remove), "undo": s.change(account.State.Undo),
		"name": s.nameForm, "named": s.rename, "factors": s.factorsForm, "forget": s.forgetBrowser, "withdraw": s.withdraw,
		"signout": s.signOut, "everywhere": s.signOutAll, "erase": s.eraseForm, "erased": s.erase,
	}
}

// PostAccount answers a form of the account's page.
func (s *SignIn) PostAccount(name string) func(*http.Request) web.Answer {
	f := s.accountActions()[name]
	return func(r *http.Request) web.Answer {
		form, err := s.OwnForm(r)
		if err != nil {
			return s.shown(r, http.StatusBadRequest, visit.EndLink, err)
		}
		o, a := s.enterAccount(r)
		if a != nil {
			return *a
		}
		return f(o, form)
	}
}

// relies reports whether the person has lately proven something on which a change of the account may rely.
func (o owner) relies() bool { return o.person.user.Account.Relies(o.person.proofs, o.Now) }

// addForm begins to add an address of a kind: the person types it, and then its code.
func (s *SignIn) addForm(kind account.Kind) func(o owner, form url.Values) web.Answer {
	return func(o owner, _ url.Values) web.Answer { return s.adding(o, kind) }
}

// named is the address of the account that a form names, "" if there is none.
func (o owner) named(form url.Values) string {
	a := o.person.user.Account
	for _, b := range a.Addresses {
		if a.Ref(b.Text) == form.Get("id") && !b.ProvenAt.IsZero() {
			return b.Text
		}
	}
	return ""
}

// adding shows the screen for a new address, or the sign-in, if the person has proven nothing lately.
func (s *SignIn) adding(o owner, kind account.Kind) web.Answer {
	if !o.relies() {
		return s.signInAgain(o.Visit)
	}
	b := begun{Request: ownRequest(o.Visit), Goal: signin.ToAdd, For: o.person.user.Name}
	return s.begin(o.Request, b, kind, app{client: o.Client, locale: o.Locale}, s.firstScreen(""))
}

// adder is who adds an address: who is signed in, if it is still who began it. It is nobody if that has ended.
func (s *SignIn) adder(v *visit.Visit, at progress) (p signedIn, err error) {
	if at.draft.Goal != signin.ToAdd {
		return s.signedInHere(v, at)
	}
	if p, err = s.current(v.Ctx, v.Request); p.user.Name != at.draft.For {
		return signedIn{}, err
	}
	return p, err
}

// add adds an address that was proven to the account of the person who is signed in, if it is still who began it.
func (s *SignIn) add(v *visit.Visit, at progress, proof account.Proof) web.Answer {
	p, err := s.adder(v, at)
	if err != nil {
		return s.refuse(v, err, visit.ScreenMain, visit.View{})
	}
	if p.isNobody() {
		return s.notAdded(v, at, p, errGone)
	}
	_, had := p.user.Account.Find(proof.Address)
	err = s.Accounts.Claim(v.Ctx, proof.Address, p.user.Name, false, v.Now)
	if errors.Is(err, signin.ErrTaken) {
		return v.Redirect(screenAddress, visit.View{Fault: &web.Fault{Key: "page_error_taken", Field: true}}, visit.ProblemOf(err))
	}
	if err != nil {
		return s.refuse(v, err, visit.ScreenMain, visit.View{})
	}
	u, err := s.changed(v, p, func(a account.State) (account.State, error) {
		return a.Add(proof, p.proofs, at.draft.AskedAt, v.Now)
	})
	if err != nil {
		if !had && !problem.Is(err, problem.StorageUnavailable, problem.Internal) { // else it may be the account's
			s.Accounts.Release(v.Ctx, proof.Address, p.user.Name, v.Now)
		}
		return s.notAdded(v, at, p, err)
	}
	if at.draft.Goal == signin.ToAdd {
		return s.saved(v)
	}
	if at, err = s.keep(v, at, func(d signin.Draft) (signin.Draft, error) { return d.Added(u.Account.Epoch), nil }); err != nil {
		return s.refuse(v, err, visit.ScreenMain, visit.View{})
	}
	p.user, p.cookie.Epoch = u, u.Account.Epoch
	v.Token.Sent, v.Token.More = nil, nil
	return s.goOn(v, at, p)
}

// notAdded answers for an address that could not be added. In a sign-in, the person signs in once more if that has ended,
// or if what they have proven is old. If it is not, the account can have no other address yet.
func (s *SignIn) notAdded(v *visit.Visit, at progress, p signedIn, err error) web.Answer {
	old := errors.Is(err, account.ErrNotFresh)
	switch {
	case at.draft.Goal == signin.ToAdd && p.isNobody():
		return v.End(http.StatusForbidden, endNone, err)
	case at.draft.Goal == signin.ToAdd && old:
		return s.signInAgain(v)
	case at.draft.Goal == signin.ToAdd:
		return s.refuseAccount(v, p, err)
	case old && at.draft.AskedAt.Sub(account.Newest(p.proofs)) < account.Fresh:
		return withCookies(v, s.refuseApp(appOf(v, at), &RedirectError{"access_denied", "The account cannot get another address yet."}, errAlone))
	case old, errors.Is(err, errGone), errors.Is(err, errNobody):
		return s.restart(v, at, errGone)
	}
	if problem.Is(err, problem.TooManyChanges) {
		return s.refuse(v, err, screenAddress, visit.View{})
	}
	return s.refuse(v, err, visit.ScreenMain, visit.View{})
}

// change is the form that removes an address, or puts one back.
func (s *SignIn) change(t func(a account.State, text string, fresh []account.Proof, now time.Time) (account.State, error)) func(o owner, form url.Values) web.Answer {
	return func(o owner, form url.Values) web.Answer {
		text := o.named(form)
		_, err := s.changed(o.Visit, o.person, func(a account.State) (account.State, error) {
			return t(a, text, o.person.proofs, o.Now)
		})
		switch {
		case errors.Is(err, account.ErrNotFresh):
			return s.signInAgain(o.Visit)
		case errors.Is(err, account.ErrNone), errors.Is(err, account.ErrLast):
			return redirect(accountPath)
		case err != nil:
			return s.refuseAccount(o.Visit, o.person, err)
		}
		return s.saved(o.Visit)
	}
}

// saved goes back to the account after a change.
func (s *SignIn) saved(v *visit.Visit) web.Answer {
	return withCookies(v, redirect(accountPath+"?saved"))
}

// changed makes a change of the account's addresses, tells the person, and keeps this browser signed in.
func (s *SignIn) changed(v *visit.Visit, p signedIn, t func(account.State) (account.State, error)) (user.User, error) {
	var before account.State
	u, err := s.Users.ChangeAccount(v.Ctx, s.Accounts.Key(p.user.Name), func(old user.User) (user.User, error) {
		before = old.Account
		return s.staying(old, p, v.Now, func() (account.State, error) { return t(old.Account) })
	})
	if err != nil {
		return u, err
	}
	s.Accounts.Tidy(v.Ctx, before, u, v.Now)
	if p.cookie.ID == (account.SessionID{}) {
		return u, nil
	}
	if err := s.giveSession(v, u, p.cookie.ID); err != nil {
		return u, problem.Unexpected(err)
	}
	return u, nil
}

// staying is the user of an account after a change that ends all sessions but the person's own. It is an error if that
// has ended. A person without one has just signed in: the epoch is still the same.
func (s *SignIn) staying(old user.User, p signedIn, now time.Time, change func() (account.State, error)) (user.User, error) {
	hasSession := p.cookie.ID != (account.SessionID{})
	if hasSession && s.stays(old.Account, p, now) != nil || old.Account.Epoch != p.user.Account.Epoch {
		return old, errNobody
	}
	b, _ := old.Account.Browser(p.cookie.ID, p.cookie.Epoch, now)
	next, err := change()
	if hasSession && next.Epoch != old.Account.Epoch {
		next = next.Stay(b)
	}
	old.Account = next
	return old, err
}

// refuseAccount shows the account with an error.
func (s *SignIn) refuseAccount(v *visit.Visit, p signedIn, err error) web.Answer {
	screen := s.accountScreen(owner{v, p})
	screen.Fault = v.Fault(err, "")
	a := v.Answer(http.StatusOK, screen)
	a.Problem = err
	return a
}

// signOut ends the session of this browser.
func (s *SignIn) signOut(o owner, _ url.Values) web.Answer {
	s.forget(o.Visit, o.person)
	return o.End(http.StatusOK, endSignedOut, nil)
}

// forget ends the session of a browser, if it has one. If storage fails, the browser forgets it all the same.
func (s *SignIn) forget(v *visit.Visit, p signedIn) {
	if p.isNobody() {
		return
	}
	if err := s.signOutHere(v, p.cookie); err != nil {
		reqlog.Add(v.Ctx, slog.String("not_signed_out", err.Error()))
	}
	_, err := s.Accounts.Change(v.Ctx, s.Accounts.Key(p.user.Name), v.Now, func(old user.User) (user.User, error) {
		old.Account = old.Account.End(p.cookie.ID)
		return old, nil
	})
	if err != nil {
		reqlog.Add(v.Ctx, slog.String("not_signed_out", err.Error()))
	}
}

// signOutAll ends the sessions of all browsers.
func (s *SignIn) signOutAll(o owner, _ url.Values) web.Answer {
	_, err := s.Accounts.Change(o.Ctx, s.Accounts.Key(o.person.user.Name), o.Now, func(old user.User) (user.User, error) {
		old.Account = old.Account.SignOut()
		return old, nil
	})
	if err != nil {
		return s.refuseAccount(o.Visit, o.person, err)
	}
	if err := s.giveSession(o.Visit, o.person.user, account.SessionID{}); err != nil {
		return o.Failed(err)
	}
	return o.End(http.StatusOK, endSignedOut, nil)
}

// eraseForm asks whether the account is to be erased.
func (s *SignIn) eraseForm(o owner, _ url.Values) web.Answer {
	if !o.relies() {
		return s.signInAgain(o.Visit)
	}
	return o.Answer(http.StatusOK, web.EraseScreen{Erase: accountForm(o, "erased"), Back: accountPath})
}

// erase erases the account.
func (s *SignIn) erase(o owner, _ url.Values) web.Answer {
	err := s.Users.EraseAccount(o.Ctx, s.Accounts, s.Accounts.Key(o.person.user.Name), func(u user.User) error {
		u.Account = u.Account.Settle(o.Now)
		if err := s.stays(u.Account, o.person, o.Now); err != nil {
			return err
		}
		if !u.Account.Relies(o.person.proofs, o.Now) {
			return account.ErrNotFresh
		}
		return nil
	})
	switch {
	case errors.Is(err, account.ErrNotFresh):
		return s.signInAgain(o.Visit)
	case err != nil:
		return s.refuseAccount(o.Visit, o.person, err)
	}
	if err := s.giveSession(o.Visit, o.person.user, account.SessionID{}); err != nil {
		return o.Failed(err)
	}
	return o.End(http.StatusOK, endErased, nil)
}
