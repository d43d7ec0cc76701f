// Package handler is the HTTP edge and nothing else: it turns requests into
// calls of the use cases, and their outcomes into answers.
//
// It decides nothing about codes. Nothing that a client sends, and no error's
// text, may reach a log from here unless it is known to be safe.
package handler

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/purge"
)

// API is the whole service over HTTP. Its fields are set once, before Handler.
type API struct {
	Send   *otpsend.Service
	Verify *otpverify.Service
	Purge  *purge.Service
	Log    *slog.Logger
	Now    func() time.Time
}

// Handler returns every route of the service, with all that surrounds it.
// function.json files name the same routes to the Functions host; the timer
// comes as POST /{function}.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/{$}", a.methods("", byMethod{"GET": ready}))

	mux.Handle("/api/otpsend", a.methods("otpsend", byMethod{"POST": a.start}))
	mux.Handle("/api/otpsend/{$}", a.methods("otpsend", byMethod{"POST": a.start}))
	mux.Handle("/api/otpsend/{id}", a.methods("otpsend", byMethod{"POST": a.resend, "GET": a.status, "DELETE": a.cancel}))
	mux.Handle("/api/otpverify", a.methods("otpverify", byMethod{"POST": a.check}))
	mux.Handle("/purge", a.methods("purge", byMethod{"POST": a.timer}))

	mux.Handle("/", a.serve("", func(*http.Request) (answer, error) { return answer{}, errNoRoute }))
	return foldRoute(mux)
}

// ready tells the host that the process is up; it polls this, and must get an
// answer at once, so nothing is touched.
func ready(*http.Request) (answer, error) {
	return answer{status: http.StatusOK, body: map[string]string{"service": "twofa"}}, nil
}

func (a *API) start(r *http.Request) (answer, error) {
	var req otpsend.Request
	if err := decode(r, &req); err != nil {
		return answer{}, err
	}
	res, err := a.Send.Start(r.Context(), req)
	return answer{status: http.StatusCreated, body: res}, err
}

func (a *API) resend(r *http.Request) (answer, error) {
	var req otpsend.ResendRequest
	if r.ContentLength != 0 { // a resend may say nothing
		if err := decode(r, &req); err != nil {
			return answer{}, err
		}
	}
	res, err := a.Send.Resend(r.Context(), r.PathValue("id"), req)
	return answer{status: http.StatusOK, body: res}, err
}

func (a *API) status(r *http.Request) (answer, error) {
	res, err := a.Send.Status(r.Context(), r.PathValue("id"))
	return answer{status: http.StatusOK, body: res}, err
}

func (a *API) cancel(r *http.Request) (answer, error) {
	res, err := a.Send.Cancel(r.Context(), r.PathValue("id"))
	return answer{status: http.StatusOK, body: res}, err
}

func (a *API) check(r *http.Request) (answer, error) {
	var req otpverify.Request
	if err := decode(r, &req); err != nil {
		return answer{}, err
	}
	res, err := a.Verify.Check(r.Context(), req)
	return answer{status: http.StatusOK, body: res}, err
}

// foldRoute lower-cases the fixed part of a path (its first two segments), as
// the Functions host matches routes without regard to case and forwards the
// path as the client wrote it.
func foldRoute(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head, tail := r.URL.Path, ""
		if i := nthSlash(head, 3); i >= 0 {
			head, tail = head[:i], head[i:]
		}
		if lower := strings.ToLower(head); lower != head {
			u := *r.URL
			u.Path, u.RawPath = lower+tail, ""
			r2 := *r
			r2.URL = &u
			r = &r2
		}
		next.ServeHTTP(w, r)
	})
}

// nthSlash is the place of the nth slash, -1 if there are fewer.
func nthSlash(s string, n int) int {
	for i := range len(s) {
		if s[i] == '/' {
			if n--; n == 0 {
				return i
			}
		}
	}
	return -1
}
