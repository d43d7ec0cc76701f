package main

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// proofLife is how long a second factor that was proved allows a change of the factors. After
// that, a session that somebody else uses (an unlocked laptop) is not enough.
const proofLife = 5 * time.Minute

// securityView is what a person has beside the address.
type securityView struct {
	factors
	List  []authenticator
	Fresh bool // no factor is asked for before a change
}

func (b *bank) fresh(s session) bool { return b.sessions.now().Sub(s.proved) < proofLife }

func (b *bank) security(w http.ResponseWriter, r *http.Request) {
	if s, ok := b.signedIn(w, r); ok {
		b.showSecurity(w, r, http.StatusOK, s, view{Done: b.takeDone(r)})
	}
}

// showSecurity asks twofa what the person has, and shows it.
func (b *bank) showSecurity(w http.ResponseWriter, r *http.Request, status int, s session, v view) {
	has, err := b.twofa.factors(r.Context(), s.Name)
	shown := &securityView{factors: has, Fresh: b.fresh(s)}
	if err == nil {
		shown.List, err = b.twofa.apps(r.Context(), s.Name)
	}
	if err == nil {
		v.Security = shown
	} else if v.Error == "" {
		v.Error, status = textLater, http.StatusServiceUnavailable
	}
	b.render(w, status, "security", v)
}

// setUp leads to twofa's page for apps and recovery codes. If no factor was proved in the last
// minutes, one is asked for first: whoever may add a factor may take the account over.
func (b *bank) setUp(w http.ResponseWriter, r *http.Request) {
	s, ok := b.signedIn(w, r)
	if !ok {
		return
	}
	if b.fresh(s) {
		b.enroll(w, r, s)
		return
	}
	once := r.PostFormValue("once")
	if once == "" {
		once = random()
	}
	state := b.derive("proof state", s.Name, once)
	p, err := b.twofa.startPage(r.Context(), order{User: s.Name, Purpose: purposeSecurity}, back{b.url + "/security/proven", state}, b.derive("proof", s.Name, once))
	if err != nil {
		text, _ := words(err)
		b.showSecurity(w, r, http.StatusUnprocessableEntity, s, view{Error: text, Once: once})
		return
	}
	b.change(r, func(s *session) { s.proof = p.Session })
	b.sendTo(w, r, p, proofStateCookie, state)
}

// proven is where twofa's page sends the browser after the factor was asked for again.
func (b *bank) proven(w http.ResponseWriter, r *http.Request) {
	s, ok := b.signedIn(w, r)
	if !ok {
		return
	}
	from, err := b.cameBack(r, s.proof, proofStateCookie)
	if err == nil {
		_, err = b.twofa.fetch(r.Context(), order{User: s.Name, Purpose: purposeSecurity}, from)
	}
	if mayRepeat(err) {
		b.retry(w)
		return
	}
	if err != nil {
		b.failSecurity(w, r, s, err, func(s *session) { s.proof = "" })
		return
	}
	b.change(r, func(s *session) { s.proof, s.proved = "", b.sessions.now() })
	b.clear(w, proofStateCookie)
	b.enroll(w, r, s)
}

// failSecurity says why nothing came of a page. What was under way is over, unless the address
// was somebody else's.
func (b *bank) failSecurity(w http.ResponseWriter, r *http.Request, s session, err error, end func(*session)) {
	if !errors.Is(err, errElsewhere) {
		b.change(r, end)
	}
	b.showSecurity(w, r, http.StatusForbidden, s, view{Error: wordsOfReturn(err, textNotYours)})
}

// enroll sends the browser to the page for apps and recovery codes. Call it only after a fresh
// proof.
func (b *bank) enroll(w http.ResponseWriter, r *http.Request, s session) {
	state := random()
	p, err := b.twofa.startEnrollment(r.Context(), s.Name, back{b.url + "/security/done", state})
	if err != nil {
		text, _ := words(err)
		b.showSecurity(w, r, http.StatusUnprocessableEntity, s, view{Error: text})
		return
	}
	b.change(r, func(s *session) { s.enroll = p.Session })
	b.sendTo(w, r, p, enrollStateCookie, state)
}

// enrolled is where the page for apps and recovery codes sends the browser. The changes take
// effect with this fetch. It proves nothing about the person, and signs nobody in.
func (b *bank) enrolled(w http.ResponseWriter, r *http.Request) {
	s, ok := b.signedIn(w, r)
	if !ok {
		return
	}
	from, err := b.cameBack(r, s.enroll, enrollStateCookie)
	var c changes
	if err == nil {
		c, err = b.twofa.fetchEnrollment(r.Context(), s.Name, from)
	}
	if mayRepeat(err) {
		b.retry(w)
		return
	}
	done := c.words()
	if p, ok := errors.AsType[*problem](err); ok && p.Type == "urn:twofa:already_used" {
		done, err = textUsed, nil // the answer of an earlier fetch got lost, and the page lists what is there
	}
	if err != nil {
		b.failSecurity(w, r, s, err, func(s *session) { s.enroll = "" })
		return
	}
	b.change(r, func(s *session) { s.enroll, s.done = "", done })
	b.clear(w, enrollStateCookie)
	http.Redirect(w, r, "/security", http.StatusSeeOther)
}

// words says what has changed.
func (c changes) words() string {
	var all []string
	for _, a := range c.Added {
		all = append(all, "Added: "+a.Name+".")
	}
	for _, a := range c.Removed {
		all = append(all, "Removed: "+a.Name+".")
	}
	if c.NewCodes {
		all = append(all, "You have new recovery codes. Earlier ones don't work any more.")
	}
	if len(all) == 0 {
		return "Nothing has changed."
	}
	return strings.Join(all, " ")
}
