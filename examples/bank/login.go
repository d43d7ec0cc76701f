package main

import (
	"crypto/subtle"
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
	if err != nil {
		b.refuse(w, "login", view{Name: name, Once: once}, err)
		return
	}
	s := session{pending: customer.Name}
	next, state := "/2fa", ""
	if r.PostFormValue("way") == "own" {
		s.verification, err = b.twofa.start(r.Context(), customer.Name, b.derive("own", customer.Name, once))
	} else {
		state = b.derive("state", customer.Name, once)
		var p page
		p, err = b.twofa.startPage(r.Context(), customer.Name, b.url+"/2fa/done", state, b.derive("page", customer.Name, once))
		s.page, next = p.Session, p.URL
	}
	if err != nil {
		b.refuse(w, "login", view{Name: name, Once: once}, err)
		return
	}
	b.renew(w, r, s, loginLife)
	if state != "" {
		http.SetCookie(w, b.cookie(stateCookie, state, loginLife))
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// pageDone is where twofa's page sends the browser. The address alone is worth nothing, since
// anybody can send a person to it. Two things make it safe:
//
//   - The session in it has to be the one that this browser's login began. So it can't be that of
//     somebody else's login.
//   - The approval is fetched with the state out of the bank's own cookie. So twofa gives it only
//     for the browser in which the login began.
func (b *bank) pageDone(w http.ResponseWriter, r *http.Request) {
	s, query := b.session(r), r.URL.Query()
	if s.Name != "" { // the page was reloaded
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if s.page == "" || subtle.ConstantTimeCompare([]byte(query.Get("session")), []byte(s.page)) != 1 {
		// The login of this browser, if there is one, goes on.
		b.render(w, http.StatusForbidden, "login", view{Error: textElsewhere})
		return
	}
	if query.Has("error") {
		text, known := ends[query.Get("error")]
		if !known {
			text = textEnded
		}
		b.end(w, r)
		b.render(w, http.StatusForbidden, "login", view{Error: text})
		return
	}
	a, err := b.twofa.fetch(r.Context(), s.pending, s.page, b.value(r, stateCookie), query.Get("result"))
	if mayRepeat(err) {
		w.Header().Set("Retry-After", "5")
		b.render(w, http.StatusServiceUnavailable, "retry", view{Error: textReload})
		return
	}
	if err != nil {
		b.end(w, r)
		b.render(w, http.StatusForbidden, "login", view{Error: textElsewhere})
		return
	}
	b.signIn(w, r, s, a)
}

// mayRepeat reports whether the same call may work later. A fetch sends no message and costs no
// try, so its repetition is safe.
func mayRepeat(err error) bool {
	p, ok := errors.AsType[*problem](err)
	return errors.Is(err, errUnreachable) || ok && p.Status >= 500
}

func (b *bank) codeForm(w http.ResponseWriter, r *http.Request) {
	s, ok := b.underWay(w, r)
	if !ok {
		return
	}
	v := view{To: s.verification.To}
	if r.URL.Query().Has("again") {
		v.Done = "We sent the code again."
	}
	b.render(w, http.StatusOK, "code", v)
}

// underWay returns the session of a login with the bank's own form. If there is none, it sends
// the browser elsewhere, and ok is false.
func (b *bank) underWay(w http.ResponseWriter, r *http.Request) (s session, ok bool) {
	s = b.session(r)
	if s.verification.ID == "" {
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
	a, err := b.twofa.check(r.Context(), s.pending, s.verification.ID, r.PostFormValue("code"))
	if err != nil {
		b.refuse(w, "code", view{To: s.verification.To}, err)
		return
	}
	b.signIn(w, r, s, a)
}

// resend sends the code again. A form that is sent twice sends one message.
func (b *bank) resend(w http.ResponseWriter, r *http.Request) {
	s, ok := b.underWay(w, r)
	if !ok {
		return
	}
	key := b.derive("resend", s.verification.ID, r.PostFormValue("once"))
	if _, err := b.twofa.resend(r.Context(), s.verification.ID, key); err != nil {
		b.refuse(w, "code", view{To: s.verification.To, Once: r.PostFormValue("once")}, err)
		return
	}
	http.Redirect(w, r, "/2fa?again", http.StatusSeeOther)
}

// signIn lets the person in whose password was right, in a session with a new id.
func (b *bank) signIn(w http.ResponseWriter, r *http.Request, s session, a approval) {
	b.renew(w, r, session{Name: s.pending, How: proven(a)}, sessionLife)
	b.clear(w, stateCookie)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (b *bank) logOut(w http.ResponseWriter, r *http.Request) {
	b.end(w, r)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
