package handler

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"twofa/internal/client"
	"twofa/internal/deadline"
	"twofa/internal/hostcall"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/store"
)

// requestTimeout bounds all work of one request, the arrival of its body included. The
// functionTimeout in host.json is longer, so that the answer is ours and not the host's:
// see package deadline.
const requestTimeout = deadline.Request

// endpoint answers a request. Its error becomes a problem.
type endpoint func(*http.Request) (answer, error)

// methods serves a route with one endpoint for each method.
func (a *API) methods(rt route) http.Handler {
	names := slices.Collect(maps.Keys(rt.methods))
	if slices.Contains(names, http.MethodGet) {
		names = append(names, http.MethodHead)
	}
	slices.Sort(names)
	allow := strings.Join(names, ", ")
	e := func(r *http.Request) (answer, error) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet // net/http sends the headers alone
		}
		m, ok := rt.methods[method]
		if !ok {
			return answer{header: map[string]string{"Allow": allow}}, &problem.Error{Kind: problem.MethodNotAllowed, Detail: "This path answers " + allow + "."}
		}
		if m.operation != opNone {
			reqlog.Add(r.Context(), slog.String("operation", m.operation))
		}
		if err := allowed(r, m.scope); err != nil {
			return answer{}, err
		}
		return m.endpoint(r)
	}
	if rt.needsClient() {
		e = a.authenticated(e)
	}
	return a.serve(rt.function, e)
}

// serve gives an endpoint what every answer has: a request id, fixed headers, a
// deadline, an answer after a panic, and one line in the log.
func (a *API) serve(function string, e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := a.Now()
		id := a.requestID(r)
		for name, value := range fixedHeaders(id) {
			w.Header().Set(name, value)
		}

		// A client that hangs up must not cancel a send that has begun.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), requestTimeout)
		defer cancel()
		ctx, trips := store.WithTrips(ctx)
		ctx, line := reqlog.With(ctx)
		reqlog.Add(ctx, slog.String("request_id", id), slog.String("function", function), slog.String("method", r.Method))
		if c := client.From(ctx); c.ID != "" {
			reqlog.Add(ctx, slog.String("client", c.ID))
		}
		ctx = a.withClientAddr(ctx, function, r)
		ctx = hostcall.With(ctx, a.invocationID(r))

		ans, err := a.guard(e, r.WithContext(ctx))
		var failed *problem.Error
		if err != nil {
			failed = a.explained(asError(err))
			drain(r)
		}
		status := respond(w, ans, failed)
		if ans.refused != nil {
			failed = asError(ans.refused)
		}
		if ans.quiet && failed == nil {
			return
		}
		a.logLine(ctx, status, failed, ans.fields, begun, trips.Load(), line)
	})
}

// fixedHeaders are the headers that every answer has.
func fixedHeaders(id string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		_ = yield("X-Request-Id", id) && yield("Cache-Control", "no-store") && yield("X-Content-Type-Options", "nosniff")
	}
}

// guard turns a panic into an error. The log gets the stack, but not the value of
// the panic, which may quote what a client sent.
func (a *API) guard(e endpoint, r *http.Request) (ans answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			reqlog.Add(r.Context(), slog.String("stack", string(debug.Stack())))
			err = &problem.Error{Kind: problem.Internal, Err: fmt.Errorf("panic with a %T", p)}
		}
	}()
	return e(r)
}

// logLine writes the line of a request. docs/log.md describes it. fields are the names that
// a body of the request may have.
func (a *API) logLine(ctx context.Context, status int, failed *problem.Error, fields []string, begun time.Time, trips int64, line *reqlog.Line) {
	level, outcome := slog.LevelInfo, "ok"
	attrs := append(line.Attrs(), slog.Int("status", status))
	if failed != nil {
		outcome = string(failed.Kind)
		if statusOf[failed.Kind].status >= 500 { // a page answers with a redirect
			level = slog.LevelError
		}
		if failed.Err != nil {
			attrs = append(attrs, slog.String("error", failed.Err.Error()))
		}
		if len(failed.Fields) > 0 {
			attrs = append(attrs, slog.String("fields", loggedFields(failed.Fields, fields)))
		}
	}
	attrs = append(attrs, slog.String("outcome", outcome),
		reqlog.Milliseconds("ms", a.Now().Sub(begun)), slog.Int64("trips", trips), slog.String("version", a.Version))
	a.Log.LogAttrs(ctx, level, "request", attrs...)
}

// requestID returns the host's id of the invocation, or a random id if no host is in
// front. All deliveries of one call of a client have the same id.
func (a *API) requestID(r *http.Request) string {
	if id := a.invocationID(r); id != "" {
		return id
	}
	return randomID()
}

// invocationID returns the host's id of the invocation, "" if there is none. On its own,
// without the host, the service does not believe the header, which anybody can send.
func (a *API) invocationID(r *http.Request) string {
	if !a.underHost() {
		return ""
	}
	id := r.Header.Get(invocationHeader)
	if id == "" {
		id = r.Header.Get("X-Azure-Functions-InvocationId") // of a timer's call
	}
	if id == "" || len(id) > 64 || strings.Trim(id, "0123456789abcdefABCDEF-") != "" {
		return ""
	}
	return id
}

func randomID() string {
	var random [8]byte
	_, _ = rand.Read(random[:])
	return hex.EncodeToString(random[:])
}
