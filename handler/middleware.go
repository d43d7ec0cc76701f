package handler

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/store"
)

// requestTimeout bounds all work of one request; host.json's functionTimeout is
// above it, so that the answer is ours.
const requestTimeout = 25 * time.Second

// endpoint answers a request; its error becomes a problem.
type endpoint func(*http.Request) (answer, error)

type byMethod map[string]endpoint

// methods serves a path by method.
func (a *API) methods(function string, endpoints byMethod) http.Handler {
	names := slices.Collect(maps.Keys(endpoints))
	if endpoints[http.MethodGet] != nil {
		names = append(names, http.MethodHead)
	}
	slices.Sort(names)
	allow := strings.Join(names, ", ")
	return a.serve(function, func(r *http.Request) (answer, error) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet // net/http sends the head alone
		}
		e, ok := endpoints[method]
		if !ok {
			return answer{header: map[string]string{"Allow": allow}}, &problem.Error{Kind: problem.MethodNotAllowed, Detail: "This path answers " + allow + "."}
		}
		return e(r)
	})
}

// serve surrounds an endpoint with what every answer has: a request id, fixed
// headers, a deadline, an end for panics, and one line in the log.
func (a *API) serve(function string, e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := a.Now()
		id := requestID(r)
		header := w.Header()
		header.Set("X-Request-Id", id)
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")

		// A client that hangs up must not cut off a send that is half done.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), requestTimeout)
		defer cancel()
		ctx, trips := store.WithTrips(ctx)
		ctx, line := reqlog.With(ctx)

		ans, err := a.guard(e, r.WithContext(ctx))
		var failed *problem.Error
		if err != nil {
			failed = asError(err)
		}
		status := respond(w, ans, failed)
		if function == "" && status == http.StatusOK {
			return // the host's poll, every few seconds: no news
		}
		a.logLine(ctx, function, r.Method, id, status, failed, begun, trips.Load(), line)
	})
}

// guard turns a panic into an error. The panic's value is not logged: it may
// quote what a client sent. Where it came from is enough to find it.
func (a *API) guard(e endpoint, r *http.Request) (ans answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			reqlog.Add(r.Context(), slog.String("stack", string(debug.Stack())))
			err = &problem.Error{Kind: problem.Internal, Err: fmt.Errorf("panic with a %T", p)}
		}
	}()
	return e(r)
}

func (a *API) logLine(ctx context.Context, function, method, id string, status int, failed *problem.Error, begun time.Time, trips int64, line *reqlog.Line) {
	level, outcome := slog.LevelInfo, "ok"
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs,
		slog.String("request_id", id), slog.String("function", function),
		slog.String("method", method), slog.Int("status", status))
	if failed != nil {
		outcome = string(failed.Kind)
		if status >= 500 {
			level = slog.LevelError
		}
		if failed.Err != nil {
			attrs = append(attrs, slog.String("error", failed.Err.Error()))
		}
	}
	attrs = append(attrs, slog.String("outcome", outcome),
		slog.Float64("ms", milliseconds(a.Now().Sub(begun))), slog.Int64("storage_trips", trips))
	attrs = append(attrs, line.Attrs()...)
	a.Log.LogAttrs(ctx, level, "request", attrs...)
}

// requestID is the host's invocation id, or a random one where there is none.
// The host puts its own behind one that the client sent.
func requestID(r *http.Request) string {
	ids := strings.Join(r.Header.Values("X-Azure-Functions-InvocationId"), ",")
	id := strings.TrimSpace(ids[strings.LastIndexByte(ids, ',')+1:])
	if len(id) > 0 && len(id) <= 64 && strings.Trim(id, "0123456789abcdefABCDEF-") == "" {
		return id
	}
	var random [8]byte
	_, _ = rand.Read(random[:])
	return hex.EncodeToString(random[:])
}
