package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

func (b *bank) loginForm(w http.ResponseWriter, r *http.Request) {
	if b.session(r).Name != "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	var v view
	if r.URL.Query().Has("new") {
		v.Done = "Your account is open. Log in."
	}
	b.render(w, http.StatusOK, "login", v)
}

// logIn checks the password, and begins the second factor in the way that the form names. A form
// that is sent twice (a double click) sends one message: both requests have the same key.
func (b *bank) logIn(w http.ResponseWriter, r *http.Request) {
	name, once := strings.TrimSpace(r.PostFormValue("name")), r.PostFormValue("once")
	if once == "" { // not a form of the bank's: without a name of its own, it is no repetition
		once = random()
	}
	customer, err := b.accounts.login(r.Context(), name, r.PostFormValue("password"))
	if errors.Is(err, errWrong) {
		b.warnOfPassword(name, r.UserAgent())
	}
	if err != nil {
		b.refuse(w, "login", view{Name: name, Once: once}, err)
		return
	}
	s, o := session{pending: customer.Name}, order{User: customer.Name, Purpose: purposeLogin}
	own := r.PostFormValue("way") == "own"
	var p page
	state := b.derive("state", customer.Name, once)
	if own {
		s.verification, err = b.twofa.start(r.Context(), o, b.derive("own", customer.Name, once))
	} else {
		p, err = b.twofa.startPage(r.Context(), o, back{b.url + "/2fa/done", state}, b.derive("page", customer.Name, once))
		s.page = p.Session
	}
	if own || err != nil && !mayRepeat(err) {
		// No message, or no phone to read it on: an app and recovery codes still work. Without an
		// answer, none of them are offered.
		s.others, _ = b.twofa.factors(r.Context(), customer.Name)
	}
	if err != nil && s.others == (factors{}) {
		b.refuse(w, "login", view{Name: name, Once: once}, err)
		return
	}
	b.renew(w, r, s, loginLife)
	switch {
	case err != nil:
		b.refuse(w, "code", view{Code: loginCode(s, "")}, err)
	case own:
		http.Redirect(w, r, "/2fa", http.StatusSeeOther)
	default:
		b.sendTo(w, r, p, stateCookie, state)
	}
}

// pageDone is where twofa's page sends the browser after a login: see cameBack.
func (b *bank) pageDone(w http.ResponseWriter, r *http.Request) {
	s := b.session(r)
	if s.Name != "" { // the page was reloaded
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	from, err := b.cameBack(r, s.page, stateCookie)
	if errors.Is(err, errElsewhere) { // the login of this browser, if there is one, goes on
		b.render(w, http.StatusForbidden, "login", view{Error: textElsewhere})
		return
	}
	var a approval
	if err == nil {
		a, err = b.twofa.fetch(r.Context(), order{User: s.pending, Purpose: purposeLogin}, from)
	}
	if mayRepeat(err) {
		b.retry(w)
		return
	}
	if err != nil {
		b.end(w, r)
		b.render(w, http.StatusForbidden, "login", view{Error: wordsOfReturn(err, textElsewhere)})
		return
	}
	b.signIn(w, r, s, a)
}

// codeView is a form for a code: of a login, or of a payment.
type codeView struct {
	Path    string // where the form is sent
	To      string // where the code is, masked; "" if none was sent
	Factor  string // factorMessage, factorApp or factorRecovery
	Others  factors
	Payment *payment
}

// Title is what the form asks for.
func (c *codeView) Title() string {
	switch {
	case c.Payment != nil:
		return "Approve the payment"
	case c.Factor == factorApp:
		return "Use your app"
	case c.Factor == factorRecovery:
		return "Use a recovery code"
	}
	return "Enter your code"
}

// loginCode is the form of a login for a factor. Without a message, it is for another factor.
func loginCode(s session, factor string) *codeView {
	switch {
	case factor == factorMessage && s.verification.ID == "" && s.others.Apps > 0:
		factor = factorApp
	case factor == factorMessage && s.verification.ID == "":
		factor = factorRecovery
	case factor != factorApp && factor != factorRecovery:
		factor = factorMessage
	}
	return &codeView{Path: "/2fa", To: s.verification.To, Factor: factor, Others: s.others}
}

func (b *bank) codeForm(w http.ResponseWriter, r *http.Request) {
	s, ok := b.underWay(w, r)
	if !ok {
		return
	}
	v := view{Code: loginCode(s, r.URL.Query().Get("factor"))}
	if r.URL.Query().Has("again") {
		v.Done = textAgain
	}
	b.render(w, http.StatusOK, "code", v)
}

// underWay returns the session of a login with the bank's own form. If there is none, it sends
// the browser elsewhere, and ok is false.
func (b *bank) underWay(w http.ResponseWriter, r *http.Request) (s session, ok bool) {
	s = b.session(r)
	if s.verification.ID == "" && s.others == (factors{}) {
		http.Redirect(w, r, "/login", http.StatusSeeOther) // which sends a person who is signed in home
		return s, false
	}
	return s, true
}

func (b *bank) checkCode(w http.ResponseWriter, r *http.Request) {
	s, ok := b.underWay(w, r)
	if !ok {
		return
	}
	v := loginCode(s, r.PostFormValue("factor"))
	a, err := b.tryCode(r.Context(), s, v.Factor, r.PostFormValue("code"))
	if err != nil {
		b.refuse(w, "code", view{Code: v}, err)
		return
	}
	b.signIn(w, r, s, a)
}

// tryCode checks the code of a login.
func (b *bank) tryCode(ctx context.Context, s session, factor, code string) (approval, error) {
	if factor != factorMessage {
		return b.twofa.checkFactor(ctx, s.pending, factor, code)
	}
	return b.twofa.check(ctx, order{User: s.pending, Purpose: purposeLogin}, s.verification.ID, code)
}

// resend sends the code again. A form that is sent twice sends one message.
func (b *bank) resend(w http.ResponseWriter, r *http.Request) {
	s, ok := b.underWay(w, r)
	if !ok {
		return
	}
	key := b.derive("resend", s.verification.ID, r.PostFormValue("once"))
	if _, err := b.twofa.resend(r.Context(), s.verification.ID, key); err != nil {
		b.refuse(w, "code", view{Code: loginCode(s, factorMessage), Once: r.PostFormValue("once")}, err)
		return
	}
	http.Redirect(w, r, "/2fa?again", http.StatusSeeOther)
}

// signIn lets the person in whose password was right, in a session with a new id.
func (b *bank) signIn(w http.ResponseWriter, r *http.Request, s session, a approval) {
	b.renew(w, r, session{Name: s.pending, How: proven(a), Left: a.Left, proved: b.sessions.now()}, sessionLife)
	b.clear(w, stateCookie)
	if !b.accounts.knows(s.pending, b.value(r, knownCookie)) {
		b.warn(s.pending, eventSignIn, r.UserAgent())
		b.know(w, s.pending)
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// know makes this browser a known one of an account. The cookie is always a new one, so nobody
// gains from a cookie that they planted.
func (b *bank) know(w http.ResponseWriter, name string) {
	fresh := random()
	b.accounts.remember(name, fresh)
	http.SetCookie(w, b.cookie(knownCookie, fresh, knownLife))
}

func (b *bank) logOut(w http.ResponseWriter, r *http.Request) {
	b.end(w, r)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
