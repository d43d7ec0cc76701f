package handler

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
)

// alwaysAnswer answers a request also if next panics, outside the endpoint, whose panics
// guard turns into an answer. net/http would close the connection without an answer, and
// the Functions host then delivers a request without a body up to 40 times.
//
// If next has answered before, for example when the log panics, that answer holds.
func (a *API) alwaysAnswer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := &begunWriter{ResponseWriter: w}
		defer func() {
			p := recover() // also http.ErrAbortHandler, which asks net/http to close the connection
			if p == nil {
				return
			}
			a.logPanic(p, debug.Stack())
			if !begun.hasBegun {
				for name, value := range fixedHeaders(randomID()) {
					w.Header().Set(name, value)
				}
				w.Header().Set("Content-Type", "application/problem+json")
				w.Header().Set("Content-Length", strconv.Itoa(len(textInternal)))
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = w.Write([]byte(textInternal)) // an error means that the client is gone
			}
		}()
		next.ServeHTTP(begun, r)
	})
}

// logPanic logs a panic, without its value, which may quote what a client sent. The log
// itself may be what panics.
func (a *API) logPanic(p any, stack []byte) {
	defer func() { _ = recover() }()
	a.Log.Error("panic outside an endpoint", slog.String("error", fmt.Sprintf("panic with a %T", p)), slog.String("stack", string(stack)))
}

// begunWriter notes whether an answer has begun.
type begunWriter struct {
	http.ResponseWriter
	hasBegun bool
}

// WriteHeader implements http.ResponseWriter.
func (w *begunWriter) WriteHeader(status int) {
	w.hasBegun = true
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *begunWriter) Write(b []byte) (int, error) {
	w.hasBegun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *begunWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
