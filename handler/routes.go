// Package handler is the HTTP edge and nothing else: it turns requests into
// calls of the use cases, and their outcomes into answers.
//
// It decides nothing about codes. Nothing that a client sends, and no error's
// text, may reach a log from here unless it is known to be safe.
package handler

import (
	"log/slog"
	"net/http"
	"path"
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
	mux.Handle("/api/otpsend/{id}", a.methods("otpsend", byMethod{"POST": a.resend, "GET": a.status, "DELETE": a.cancel}))
	mux.Handle("/api/otpverify", a.methods("otpverify", byMethod{"POST": a.check}))
	mux.Handle("/purge", a.methods("purge", byMethod{"POST": a.timer}))

	unknown := a.serve("", func(*http.Request) (answer, error) { return answer{}, errNoRoute })
	mux.Handle("/", unknown)
	return foldRoute(mux, unknown)
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

// foldRoute brings a path to the form in which the routes are written, as the
// Functions host is more lenient and forwards the path as the client wrote it:
// the case of the fixed part (the first two segments) and a slash at the end do
// not matter. A path that is not clean goes to unknown: ServeMux would redirect
// it, past everything that an answer of ours has.
func foldRoute(next, unknown http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		folded := r.URL.Path
		if len(folded) > 1 {
			folded = strings.TrimSuffix(folded, "/")
		}
		if path.Clean(folded) != folded {
			unknown.ServeHTTP(w, r)
			return
		}
		head, tail := folded, ""
		if i := nthSlash(head, 3); i >= 0 {
			head, tail = head[:i], head[i:]
		}
		if folded = strings.ToLower(head) + tail; folded != r.URL.Path {
			u := *r.URL
			u.Path, u.RawPath = folded, ""
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
