package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// The web site around the example: replace it by your own sessions and pages.

var origin = os.Getenv("SHOP_URL") // as https://shop.example

// store keeps values in memory for a time.
type store[T any] struct {
	mu     sync.Mutex
	keep   time.Duration
	values map[string]T
	ends   map[string]time.Time
}

func newStore[T any](keep time.Duration) *store[T] {
	return &store[T]{keep: keep, values: map[string]T{}, ends: map[string]time.Time{}}
}

func (s *store[T]) put(key string, value T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, end := range s.ends {
		if time.Now().After(end) {
			delete(s.values, key)
			delete(s.ends, key)
		}
	}
	s.values[key], s.ends[key] = value, time.Now().Add(s.keep)
}

func (s *store[T]) get(key string) (value T, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().After(s.ends[key]) {
		return value, false
	}
	value, found = s.values[key]
	return value, found
}

func (s *store[T]) remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
	delete(s.ends, key)
}

// random returns 43 characters of A-Z a-z 0-9 - _, from 256 random bits.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func cookieName(name string) string {
	if strings.HasPrefix(origin, "https://") {
		return "__Host-" + name // no other host can set it
	}
	return name
}

func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(cookieName(name))
	if err != nil {
		return ""
	}
	return c.Value
}

func setCookie(w http.ResponseWriter, name, value string, keep time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(name), Value: value, Path: "/", MaxAge: int(keep / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(origin, "https://"),
	})
}

var inputs = map[string]string{
	"password": `type="password"`, "phone": `type="tel" autocomplete="tel"`,
	"code": `inputmode="numeric" autocomplete="one-time-code"`, // phones fill it in
}

// form has a name of its own in once, so that the shop knows one that is sent twice.
func form(action string, fields ...string) string {
	text := fmt.Sprintf(`<form method="post" action="%s"><input type="hidden" name="once" value="%s">`, action, random())
	for _, name := range fields {
		text += fmt.Sprintf(`<label>%s <input name="%s" %s></label>`, name, name, inputs[name])
	}
	return text + "<button>" + action + "</button></form>"
}

func show(w http.ResponseWriter, status int, title, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!doctype html><html lang=\"en\"><title>Shop</title><h1>%s</h1>%s", html.EscapeString(title), body)
}
