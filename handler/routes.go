// Package handler is the HTTP edge and nothing else: it turns requests into
// calls of the use cases, and their outcomes into answers.
//
// It decides nothing about codes. Nothing that a client sends, and no error's
// text, may reach a log from here unless it is known to be safe.
package handler

import (
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"twofa/hooks"
	"twofa/internal/problem"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/purge"
	"twofa/users"
)

// API is the whole service over HTTP. Its fields are set once, before Handler.
type API struct {
	Send   *otpsend.Service
	Verify *otpverify.Service
	Users  *users.Service
	Hooks  *hooks.Service
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
	mux.Handle("/api/users/{name}", a.methods("users", byMethod{"PUT": a.putUser, "GET": a.getUser, "DELETE": a.deleteUser}))
	mux.Handle("/api/users/{name}/totp", a.methods("users", byMethod{"POST": a.enroll, "GET": a.authenticators, "DELETE": a.removeAuthenticator}))
	mux.Handle("/api/users/{name}/totp/confirm", a.methods("users", byMethod{"POST": a.confirm}))
	mux.Handle("/api/users/{name}/totp/{id}", a.methods("users", byMethod{"PATCH": a.renameAuthenticator, "DELETE": a.removeAuthenticator}))
	mux.Handle("/api/users/{name}/recovery-codes", a.methods("users", byMethod{"POST": a.recoveryCodes, "GET": a.recoveryCodesLeft}))
	mux.Handle("/hooks/twilio/status", a.methods("hooks", byMethod{"POST": a.hook(a.Hooks.Status)}))
	mux.Handle("/hooks/twilio/inbound", a.methods("hooks", byMethod{"POST": a.hook(a.Hooks.Inbound)}))
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
	key, err := idempotencyKey(r)
	if err != nil {
		return answer{}, err
	}
	res, replayed, err := a.Send.Start(r.Context(), req, key)
	return answer{status: http.StatusCreated, body: res, header: replayedHeader(replayed)}, err
}

func (a *API) resend(r *http.Request) (answer, error) {
	var req otpsend.ResendRequest
	if r.ContentLength != 0 { // a resend may say nothing
		if err := decode(r, &req); err != nil {
			return answer{}, err
		}
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return answer{}, err
	}
	res, replayed, err := a.Send.Resend(r.Context(), r.PathValue("id"), req, key)
	return answer{status: http.StatusOK, body: res, header: replayedHeader(replayed)}, err
}

// idempotencyKey is the header's value, "" for none. Two are a mistake; the host
// joins them by a comma, which no key has either.
func idempotencyKey(r *http.Request) (string, error) {
	const name = "Idempotency-Key"
	values := r.Header.Values(name)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 || values[0] == "" || strings.Contains(values[0], ",") {
		return "", problem.Invalid(name, "Give one idempotency key: 1 to 64 printable characters of ASCII, without spaces and commas.")
	}
	return values[0], nil
}

func replayedHeader(replayed bool) map[string]string {
	if !replayed {
		return nil
	}
	return map[string]string{"Idempotency-Replayed": "true"}
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

func (a *API) putUser(r *http.Request) (answer, error) {
	var req users.Request
	if err := decode(r, &req); err != nil {
		return answer{}, err
	}
	res, created, err := a.Users.Put(r.Context(), r.PathValue("name"), req, conditions(r))
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return answer{status: status, body: res, header: map[string]string{"ETag": res.ETag}}, err
}

func (a *API) getUser(r *http.Request) (answer, error) {
	res, err := a.Users.Get(r.Context(), r.PathValue("name"))
	return answer{status: http.StatusOK, body: res, header: map[string]string{"ETag": res.ETag}}, err
}

func (a *API) deleteUser(r *http.Request) (answer, error) {
	err := a.Users.Delete(r.Context(), r.PathValue("name"), conditions(r))
	return answer{status: http.StatusNoContent}, err
}

func (a *API) enroll(r *http.Request) (answer, error) {
	var req users.EnrollRequest
	if r.ContentLength != 0 { // all of it is optional
		if err := decode(r, &req); err != nil {
			return answer{}, err
		}
	}
	res, err := a.Users.Enroll(r.Context(), r.PathValue("name"), req)
	return answer{status: http.StatusCreated, body: res}, err
}

func (a *API) confirm(r *http.Request) (answer, error) {
	var req users.ConfirmRequest
	if err := decode(r, &req); err != nil {
		return answer{}, err
	}
	res, err := a.Users.Confirm(r.Context(), r.PathValue("name"), req)
	return answer{status: http.StatusOK, body: res}, err
}

func (a *API) authenticators(r *http.Request) (answer, error) {
	res, err := a.Users.ListAuthenticators(r.Context(), r.PathValue("name"))
	return answer{status: http.StatusOK, body: res}, err
}

func (a *API) renameAuthenticator(r *http.Request) (answer, error) {
	var req users.RenameRequest
	if err := decode(r, &req); err != nil {
		return answer{}, err
	}
	res, err := a.Users.RenameAuthenticator(r.Context(), r.PathValue("name"), r.PathValue("id"), req)
	return answer{status: http.StatusOK, body: res}, err
}

// removeAuthenticator removes the one of the path, or all.
func (a *API) removeAuthenticator(r *http.Request) (answer, error) {
	err := a.Users.RemoveAuthenticator(r.Context(), r.PathValue("name"), r.PathValue("id"))
	return answer{status: http.StatusNoContent}, err
}

func (a *API) recoveryCodes(r *http.Request) (answer, error) {
	res, err := a.Users.MakeRecoveryCodes(r.Context(), r.PathValue("name"))
	return answer{status: http.StatusCreated, body: res}, err
}

func (a *API) recoveryCodesLeft(r *http.Request) (answer, error) {
	res, err := a.Users.LeftRecoveryCodes(r.Context(), r.PathValue("name"))
	return answer{status: http.StatusOK, body: res}, err
}

// conditions is the precondition headers; several lines are one list (RFC 9110,
// 5.3). One that is there and empty is a mistake, and must not pass for none.
func conditions(r *http.Request) users.Conditions {
	list := func(name string) string {
		values := r.Header.Values(name)
		text := strings.Join(values, ",")
		if len(values) > 0 && text == "" {
			text = " "
		}
		return text
	}
	return users.Conditions{IfMatch: list("If-Match"), IfNoneMatch: list("If-None-Match")}
}

// hook answers the provider, in its own language.
func (a *API) hook(read func(*http.Request) (hooks.Reply, error)) endpoint {
	return func(r *http.Request) (answer, error) {
		reply, err := read(r)
		if err != nil || len(reply.Body) == 0 {
			return answer{status: http.StatusNoContent}, err
		}
		return answer{status: http.StatusOK, body: verbatim{reply.ContentType, reply.Body}}, nil
	}
}

// foldRoute brings a path to the form in which the routes are written, as the
// Functions host is more lenient and forwards the path as the client wrote it:
// the case of the fixed part (the first two segments, all of a hook's) and a
// slash at the end do not matter, but for DELETE: there an id that is missing by
// mistake would mean all. A path that is not clean goes to unknown:
// ServeMux would redirect it, past everything that an answer of ours has.
//
// It works on the escaped path, so that an escaped slash stays in its segment.
func foldRoute(next, unknown http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		folded := r.URL.EscapedPath()
		if len(folded) > 1 && r.Method != http.MethodDelete {
			folded = strings.TrimSuffix(folded, "/")
		}
		if path.Clean(folded) != folded {
			unknown.ServeHTTP(w, r)
			return
		}
		head, tail := folded, ""
		if i := nthSlash(head, 3); i >= 0 && !strings.HasPrefix(strings.ToLower(head), "/hooks/") {
			head, tail = head[:i], head[i:]
		}
		if folded = strings.ToLower(head) + tail; folded != r.URL.EscapedPath() {
			u := *r.URL
			var err error
			if u.Path, err = url.PathUnescape(folded); err != nil {
				unknown.ServeHTTP(w, r)
				return
			}
			u.RawPath = folded
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
