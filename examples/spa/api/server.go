package main

import (
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// server is the API and the built page. Use newServer.
type server struct {
	origin   string // the app's own
	tokens   *tokens
	sessions *sessions
	notes    *notes
	files    fs.FS // the built page
	log      *slog.Logger
	now      func() time.Time

	sameOrigin *http.CrossOriginProtection
}

func newServer(origin string, t *tokens, files fs.FS, log *slog.Logger) (*server, error) {
	s := &server{
		origin: origin, tokens: t, sessions: newSessions(), notes: newNotes(), files: files, log: log, now: time.Now,
		sameOrigin: http.NewCrossOriginProtection(),
	}
	// Behind a proxy, the host of a request may be another one than the browser's.
	return s, s.sameOrigin.AddTrustedOrigin(origin)
}

// maxBody is the longest body that is read, in bytes.
const maxBody = 64 << 10

// handler serves everything. A change that a page of another site asks for is refused.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/config", s.config)
	mux.HandleFunc("GET /api/session", s.who)
	mux.HandleFunc("POST /api/session", s.signIn)
	mux.HandleFunc("DELETE /api/session", s.signOut)
	mux.HandleFunc("GET /api/notes", s.signedIn(s.listNotes))
	mux.HandleFunc("POST /api/notes", s.signedIn(s.addNote))
	mux.HandleFunc("DELETE /api/notes/{id}", s.signedIn(s.deleteNote))
	s.page(mux)
	return s.secure(s.sameOrigin.Handler(mux))
}

// secure sets the headers of every answer.
func (s *server) secure(next http.Handler) http.Handler {
	// The page's script reads discovery and exchanges the code at the provider, so connect-src has its origin.
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' " + originOf(s.tokens.issuer) +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer") // the address of /callback has a code in it
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if strings.HasPrefix(s.origin, "https:") {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "'none'"
	}
	return u.Scheme + "://" + u.Host
}

// config answers what the page needs for the sign-in. Nothing of it is secret.
func (s *server) config(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"issuer": s.tokens.issuer, "client_id": s.tokens.client})
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // an error means that the browser is gone
}

// refuse answers an error. The page has the words for people, and chooses them by the status.
func refuse(w http.ResponseWriter, status int, reason string) {
	answer(w, status, map[string]string{"error": reason})
}
