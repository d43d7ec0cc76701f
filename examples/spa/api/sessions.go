package main

import (
	"crypto/rand"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// lifetime is how long a session lives.
const lifetime = 8 * time.Hour

// person is who is signed in, as the page is told.
type person struct {
	Sub string `json:"sub"`
	profile
}

// session is what the API knows of a browser in which a person has signed in.
type session struct {
	person person
	token  string // the ID token, as the hint of the sign-out at the provider
	end    time.Time
}

// sessions are the sessions by the value of their cookie, and the ID tokens that have begun one. Use newSessions.
type sessions struct {
	mu   sync.Mutex
	all  map[string]session
	used map[string]time.Time // by jti, until when to remember it
}

func newSessions() *sessions {
	return &sessions{all: make(map[string]session), used: make(map[string]time.Time)}
}

// begin gives a session a new id, and ends the one that the browser had. ok is false if the token has begun a session before.
func (s *sessions) begin(old, jti string, made session, now time.Time) (id string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.all, func(_ string, other session) bool { return !now.Before(other.end) })
	maps.DeleteFunc(s.used, func(_ string, until time.Time) bool { return now.After(until) })
	if _, again := s.used[jti]; again {
		return "", false
	}
	s.used[jti] = now.Add(maxAge + 2*skew) // after that, the token is too old
	delete(s.all, old)
	id = rand.Text() + rand.Text()
	s.all[id] = made
	return id, true
}

// get returns a session that is not over.
func (s *sessions) get(id string, now time.Time) (found session, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok = s.all[id]
	return found, ok && now.Before(found.end)
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
}

// cookie returns the cookie of a session, which no script reads and no other site's page sends. Strict is possible
// because the page asks for everything by itself, after it was loaded. The prefix __Host- stops other hosts of the
// same domain from setting the cookie; it needs https, so it is missing on loopback.
func (s *server) cookie(value string, life time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: "notes-session", Value: value, Path: "/", MaxAge: int(life / time.Second),
		HttpOnly: true, Secure: strings.HasPrefix(s.origin, "https:"), SameSite: http.SameSiteStrictMode,
	}
	if c.Secure {
		c.Name = "__Host-" + c.Name
	}
	return c
}

// id returns the value of the browser's cookie, "" if it has none.
func (s *server) id(r *http.Request) string {
	c, err := r.Cookie(s.cookie("", 0).Name)
	if err != nil {
		return ""
	}
	return c.Value
}

// who answers who is signed in. Nobody is no error: the page asks when it is loaded.
func (s *server) who(w http.ResponseWriter, r *http.Request) {
	var who struct {
		Person *person `json:"person"`
	}
	if found, ok := s.sessions.get(s.id(r), s.now()); ok {
		who.Person = &found.person
	}
	answer(w, http.StatusOK, who)
}

// signIn begins a session for an ID token. It comes in a header, which no page of another site can set.
func (s *server) signIn(w http.ResponseWriter, r *http.Request) {
	text, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	token, err := s.tokens.Verify(r.Context(), text) // signature, iss, aud, exp, iat, sub
	switch {
	case errors.Is(err, errKeys):
		s.log.Error("no keys", "error", err.Error())
		refuse(w, http.StatusServiceUnavailable, "try again")
		return
	case err != nil:
		s.log.Warn("an ID token was refused", "error", err.Error())
		refuse(w, http.StatusUnauthorized, "sign in again")
		return
	}
	now, who := s.now(), person{token.Subject, token.profile}
	id, ok := s.sessions.begin(s.id(r), token.ID, session{who, text, now.Add(lifetime)}, now)
	if !ok {
		s.log.Warn("an ID token was refused", "error", "it was used before")
		refuse(w, http.StatusUnauthorized, "sign in again")
		return
	}
	http.SetCookie(w, s.cookie(id, lifetime))
	answer(w, http.StatusOK, map[string]person{"person": who})
}

// signOut ends the session. The answer has its ID token, with which the page ends the session of the provider, too. The
// token begins no session any more.
func (s *server) signOut(w http.ResponseWriter, r *http.Request) {
	id := s.id(r)
	found, ok := s.sessions.get(id, s.now())
	s.sessions.end(id)
	http.SetCookie(w, s.cookie("", -time.Second))
	if !ok {
		answer(w, http.StatusOK, struct{}{})
		return
	}
	answer(w, http.StatusOK, map[string]string{"id_token": found.token})
}

// signedIn runs a handler for a person who is signed in, and refuses others.
func (s *server) signedIn(next func(http.ResponseWriter, *http.Request, person)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		found, ok := s.sessions.get(s.id(r), s.now())
		if !ok {
			refuse(w, http.StatusUnauthorized, "sign in")
			return
		}
		next(w, r, found.person)
	}
}
