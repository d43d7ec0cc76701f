package main

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// session is what the bank knows of a browser. Before the second factor, Name is "".
type session struct {
	Name string // of the person who is signed in
	How  string // how the second factor was proven
	Left *int   // the recovery codes that are left, if one was used

	proved  time.Time // when a second factor was proven last
	payment *payment  // that waits for its approval
	paid    string    // the id of twofa's page session of the last payment
	proof   string    // the id of twofa's page session that asks for a factor again
	enroll  string    // the id of twofa's page session that changes the factors
	done    string    // what was done, for the next page to say

	pending      string       // the name of the person whose password was right
	verification verification // of the bank's own form
	page         string       // the id of twofa's page session that this login began
	others       factors      // what else the person can prove, in the bank's own form

	until time.Time
}

// How long a session lives after the second factor, and how long a login may take. twofa's page
// lives 30 minutes, and its result can be fetched for 10 more.
const (
	sessionLife = 30 * time.Minute
	loginLife   = 40 * time.Minute
)

// sessions are the browsers' sessions, by the random text of their cookie. Use newSessions.
type sessions struct {
	now func() time.Time
	mu  sync.Mutex
	all map[string]session
}

func newSessions() *sessions { return &sessions{now: time.Now, all: make(map[string]session)} }

// get returns a session, the zero session if there is none or it is over.
func (s *sessions) get(id string) session {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.all[id]
	if !s.now().Before(found.until) {
		return session{}
	}
	return found
}

// add keeps a session under a new id, and forgets those that are over.
func (s *sessions) add(made session, life time.Duration) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	maps.DeleteFunc(s.all, func(_ string, old session) bool { return !now.Before(old.until) })
	id, made.until = random(), now.Add(life)
	s.all[id] = made
	return id
}

// change changes a session that is not over.
func (s *sessions) change(id string, change func(*session)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.all[id]
	if !ok || !s.now().Before(found.until) {
		return
	}
	change(&found)
	s.all[id] = found
}

func (s *sessions) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
}

// The cookies: the session, the state of each kind of errand to twofa's page, and what makes a
// browser known.
const (
	sessionCookie     = "bank-session"
	stateCookie       = "bank-2fa-state"
	payStateCookie    = "bank-pay-state"
	proofStateCookie  = "bank-proof-state"
	enrollStateCookie = "bank-enroll-state"
	knownCookie       = "bank-known"
)

// knownLife is how long a browser stays known.
const knownLife = 365 * 24 * time.Hour

// cookie returns a cookie that no script reads, and that no other site's form is sent with. The
// prefix __Host- stops other hosts of the same domain from setting it; it needs https, so it is
// missing on loopback.
func (b *bank) cookie(name, value string, life time.Duration) *http.Cookie {
	https := strings.HasPrefix(b.url, "https:")
	if https {
		name = "__Host-" + name
	}
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second),
		HttpOnly: true, Secure: https, SameSite: http.SameSiteLaxMode, // Lax: the return from twofa's page carries it
	}
}

// value returns the value of a cookie, "" if the browser has none.
func (b *bank) value(r *http.Request, name string) string {
	c, err := r.Cookie(b.cookie(name, "", 0).Name)
	if err != nil {
		return ""
	}
	return c.Value
}

func (b *bank) clear(w http.ResponseWriter, name string) {
	http.SetCookie(w, b.cookie(name, "", -time.Second))
}

func (b *bank) session(r *http.Request) session { return b.sessions.get(b.value(r, sessionCookie)) }

// change changes the session of a browser.
func (b *bank) change(r *http.Request, change func(*session)) {
	b.sessions.change(b.value(r, sessionCookie), change)
}

// signedIn returns the session of a person who is signed in. If nobody is, it sends the browser
// to the login, and ok is false.
func (b *bank) signedIn(w http.ResponseWriter, r *http.Request) (s session, ok bool) {
	if s = b.session(r); s.Name == "" {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	}
	return s, s.Name != ""
}

// renew gives the browser a session with a new id. Whoever knew or planted the old id has nothing.
func (b *bank) renew(w http.ResponseWriter, r *http.Request, made session, life time.Duration) {
	b.sessions.remove(b.value(r, sessionCookie))
	http.SetCookie(w, b.cookie(sessionCookie, b.sessions.add(made, life), life))
}

// end ends the browser's session, and with it a login that is under way.
func (b *bank) end(w http.ResponseWriter, r *http.Request) {
	b.sessions.remove(b.value(r, sessionCookie))
	for _, name := range []string{sessionCookie, stateCookie, payStateCookie, proofStateCookie, enrollStateCookie} {
		b.clear(w, name)
	}
}

// random returns 256 random bits as 43 characters of base64url.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
