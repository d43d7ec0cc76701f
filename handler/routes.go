// Package handler is the HTTP edge and nothing else: it turns requests into
// calls of the use cases, and their results into answers.
//
// It must never decide anything about codes. Nothing that a client sends, and no
// text of an error, may reach the log unless it is known to be safe.
package handler

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"twofa/health"
	"twofa/hooks"
	"twofa/internal/client"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/session"
	"twofa/oidc"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/pages"
	"twofa/purge"
	"twofa/users"
)

// API is the whole service over HTTP. Its fields are set once, before Handler.
type API struct {
	Send   *otpsend.Service
	Verify *otpverify.Service
	Users  *users.Service
	Pages  *pages.Service
	Hooks  *hooks.Service
	Purge  *purge.Service
	Health *health.Service
	Docs   *pages.Docs
	Site   *pages.Site
	Look   *pages.Look
	// SignIn is nil without clients or without a public address.
	SignIn *oidc.SignIn
	// Clients are the apps that may call /api/. nil: everybody who reaches it may.
	Clients *client.Registry
	// Guard is nil behind the Functions host: it checks keys, and gives each request
	// its own host name.
	Guard *Guard
	// ClientIPHeader is the header whose last entry is the client's address. "": the
	// client is the connection's peer.
	ClientIPHeader string
	// Foreign is true if the store was filled under another secret, so that nothing in
	// it is found: an answer of kind NotFound then gives that reason.
	Foreign bool
	// Version is the version of the build, for the log.
	Version string
	Log     *slog.Logger
	Now     func() time.Time

	clientAddrWarned atomic.Int64 // when the log last said that client addresses are not usable, in Unix nanoseconds
}

// route is a path with its endpoints. A path below /api/ needs a client's credentials if
// there are clients.
type route struct {
	pattern  string // of http.ServeMux
	function string // for the log
	methods  byMethod
}

// byMethod never has HEAD, which is answered as GET. It has OPTIONS only where browsers ask before
// they send a request for a page of another origin (CORS); elsewhere OPTIONS is refused as any
// method without an endpoint.
type byMethod map[string]access

// access is an endpoint, the scope that a client needs for it, and the operation that the
// log names. A client has none of the routes below /api/ without a scope.
type access struct {
	scope     client.Scope
	operation string
	endpoint  endpoint
}

// anybody is in place of a scope for a route that is not below /api/.
const anybody client.Scope = ""

// routes returns all routes of the service. The function.json files name the same routes
// to the Functions host.
func (a *API) routes() []route {
	const send, check, users, read, alerts = client.ScopeSend, client.ScopeCheck, client.ScopeUsers, client.ScopeUsersRead, client.ScopeAlerts
	all := []route{
		{"/{$}", "", byMethod{"GET": {anybody, opNone, ready}}},

		{"/api/otpsend", "otpsend", byMethod{"POST": {send, opStart, withBody(a.start)}}},
		{"/api/otpsend/{id}", "otpsend", byMethod{
			"POST":   {send, opResend, withOptionalBody(a.resend)},
			"GET":    {send, opStatus, withPath("id", http.StatusOK, a.Send.Status)},
			"DELETE": {send, opCancel, withPath("id", http.StatusOK, a.Send.Cancel)},
		}},
		{"/api/otpverify", "otpverify", byMethod{"POST": {check, opCheck, withBody(a.check)}}},

		{"/api/users/{name}", "users", named(byMethod{
			"PUT": {users, opPutUser, withBody(a.putUser)}, "GET": {read, opGetUser, a.getUser}, "DELETE": {users, opEraseUser, a.deleteUser},
		})},
		{"/api/users/{name}/totp", "users", named(byMethod{
			"POST":   {users, opEnroll, withOptionalBody(a.enroll)},
			"GET":    {read, opListApps, withPath("name", http.StatusOK, a.Users.ListAuthenticators)},
			"DELETE": {users, opRemoveApp, a.removeAuthenticator},
		})},
		{"/api/users/{name}/totp/confirm", "users", named(byMethod{"POST": {users, opConfirm, withBody(a.confirm)}})},
		{"/api/users/{name}/totp/{id}", "users", named(byMethod{
			"PATCH": {users, opRenameApp, withBody(a.renameAuthenticator)}, "DELETE": {users, opRemoveApp, a.removeAuthenticator},
		})},
		{"/api/users/{name}/recovery-codes", "users", named(byMethod{
			"POST": {users, opMakeCodes, a.makeRecoveryCodes}, "GET": {read, opCountCodes, withPath("name", http.StatusOK, a.Users.LeftRecoveryCodes)},
		})},
		{"/api/users/{name}/page", "users", named(byMethod{"POST": {users, opStartPage, withBody(a.startPage)}})},
		{"/api/users/{name}/alerts", "users", named(byMethod{"POST": {alerts, opAlert, withBody(a.alertUser)}})},
		{"/api/users/{name}/locks", "users", named(byMethod{"DELETE": {users, opUnlock, withPath("name", http.StatusOK, a.Users.Unlock)}})},

		{"/verify/jwks", "pages", byMethod{"GET": {anybody, opKeys, a.keySet}}},
		{"/health", "health", byMethod{"GET": {anybody, opNone, a.checkHealth}}},
		{"/verify/openapi", "pages", byMethod{"GET": {anybody, opNone, file(a.Docs.OpenAPI)}}},
		{"/verify/docs", "pages", byMethod{"GET": {anybody, opNone, file(a.Docs.Page)}}},
		{"/hooks/{provider}/status", "hooks", byMethod{"POST": {anybody, opReport, hook(a.Hooks.Status)}}},
		{"/hooks/{provider}/inbound", "hooks", byMethod{"POST": {anybody, opMessage, hook(a.Hooks.Inbound)}}},
		{"/hooks/{provider}/answer", "hooks", byMethod{"POST": {anybody, opQuestion, hook(a.Hooks.Answer)}}},
	}
	all = append(append(all, a.pageRoutes()...), a.signInRoutes()...)
	if a.underHost() { // The host fires the timer as POST /{function}. On its own, anybody could
		all = append(all, route{"/purge", "purge", byMethod{"POST": {anybody, opPurge, fromTheHost(a.timer)}}})
	}
	return all
}

// Handler serves all routes, and answers requests to all other paths.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range a.routes() {
		mux.Handle(rt.pattern, a.methods(rt))
	}
	unknown := a.serve("", a.unknown())
	mux.Handle("/", unknown)
	routes := foldRoute(mux, unknown)
	if a.underHost() {
		return a.alwaysAnswer(a.refuseOldHost(routes))
	}
	return a.alwaysAnswer(a.protect(routes))
}

// withBody is an endpoint that decodes the body of a request, and calls f.
func withBody[T any](f func(*http.Request, T) (answer, error)) endpoint {
	fields := fieldNames(reflect.TypeFor[T]())
	return func(r *http.Request) (answer, error) {
		var req T
		if err := decode(r, &req); err != nil {
			return answer{header: acceptHeaders(r.Method, err), fields: fields}, err
		}
		ans, err := f(r, req)
		ans.fields = fields
		return ans, err
	}
}

// withOptionalBody is withBody, but f gets the zero T for a request without a
// body.
func withOptionalBody[T any](f func(*http.Request, T) (answer, error)) endpoint {
	required := withBody(f)
	return func(r *http.Request) (answer, error) {
		if empty, err := isEmpty(r); err != nil {
			return answer{}, err
		} else if empty {
			var none T
			return f(r, none)
		}
		return required(r)
	}
}

// withPath is an endpoint that calls f with a value of the path, and answers with
// the status and with what f returns.
func withPath[T any](name string, status int, f func(context.Context, string) (T, error)) endpoint {
	return func(r *http.Request) (answer, error) {
		res, err := f(r.Context(), r.PathValue(name))
		return answer{status: status, body: res}, err
	}
}

// ready tells the host that the process is up. The host polls it and needs the
// answer at once, so ready touches nothing.
func ready(*http.Request) (answer, error) {
	return answer{status: http.StatusOK, body: map[string]string{"service": "twofa"}, quiet: true}, nil
}

func (a *API) start(r *http.Request, req otpsend.Request) (answer, error) {
	key, err := idempotencyKey(r)
	if err != nil {
		return answer{}, err
	}
	if req.Page != (session.Asked{}) {
		res, replayed, err := a.Send.StartPage(r.Context(), req, key)
		logReplay(r, replayed)
		return answer{status: http.StatusCreated, body: res, header: replayedHeader(replayed)}, err
	}
	res, replayed, err := a.Send.Start(r.Context(), req, key)
	logReplay(r, replayed)
	header := replayedHeader(replayed)
	if err == nil {
		header["Location"] = "/api/otpsend/" + string(res.ID)
	}
	return answer{status: http.StatusCreated, body: res, header: header}, err
}

func (a *API) resend(r *http.Request, req otpsend.ResendRequest) (answer, error) {
	key, err := idempotencyKey(r)
	if err != nil {
		return answer{}, err
	}
	res, replayed, err := a.Send.Resend(r.Context(), r.PathValue("id"), req, key)
	logReplay(r, replayed)
	return answer{status: http.StatusOK, body: res, header: replayedHeader(replayed)}, err
}

// idempotencyKey returns the value of the header, "" for none. Two headers are a
// mistake. The host joins them with a comma, so a key may not have one.
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
	header := make(map[string]string)
	if replayed {
		header["Idempotency-Replayed"] = "true"
	}
	return header
}

func (a *API) check(r *http.Request, req otpverify.Request) (answer, error) {
	if req.Session != "" {
		reqlog.Add(r.Context(), slog.String("operation", opFetch))
	} else if req.Code == "" && req.ID != "" {
		reqlog.Add(r.Context(), slog.String("operation", opClaim))
	}
	res, err := a.Verify.Check(r.Context(), req)
	return answer{status: http.StatusOK, body: res}, err
}

func (a *API) putUser(r *http.Request, req users.Request) (answer, error) {
	res, created, err := a.Users.Put(r.Context(), r.PathValue("name"), req, conditions(r))
	header := map[string]string{"ETag": res.ETag}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		header["Location"] = userPath(res.Name)
	}
	return answer{status: status, body: res, header: header}, err
}

func (a *API) getUser(r *http.Request) (answer, error) {
	res, err := a.Users.Get(r.Context(), r.PathValue("name"))
	if err != nil {
		return answer{}, err
	}
	header := map[string]string{"ETag": res.ETag}
	unmodified, err := res.Unmodified(conditions(r))
	if unmodified {
		return answer{status: http.StatusNotModified, header: header}, nil
	}
	return answer{status: http.StatusOK, body: res, header: header}, err
}

func (a *API) deleteUser(r *http.Request) (answer, error) {
	err := a.Users.Delete(r.Context(), r.PathValue("name"), conditions(r))
	return answer{status: http.StatusNoContent}, err
}

func (a *API) enroll(r *http.Request, req users.EnrollRequest) (answer, error) {
	name := r.PathValue("name")
	res, err := a.Users.Enroll(r.Context(), name, req)
	return answerCreated(res, err, userPath(name)+"/totp/"+string(res.ID))
}

func (a *API) makeRecoveryCodes(r *http.Request) (answer, error) {
	name := r.PathValue("name")
	res, err := a.Users.MakeRecoveryCodes(r.Context(), name)
	return answerCreated(res, err, userPath(name)+"/recovery-codes")
}

// answerCreated is the answer that something new is at the path.
func answerCreated(body any, err error, path string) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: body, header: map[string]string{"Location": path}}, nil
}

func (a *API) confirm(r *http.Request, req users.ConfirmRequest) (answer, error) {
	res, err := a.Users.Confirm(r.Context(), r.PathValue("name"), req)
	return answer{status: http.StatusOK, body: res}, err
}

func (a *API) renameAuthenticator(r *http.Request, req users.RenameRequest) (answer, error) {
	res, err := a.Users.RenameAuthenticator(r.Context(), r.PathValue("name"), r.PathValue("id"), req)
	return answer{status: http.StatusOK, body: res}, err
}

// removeAuthenticator removes the authenticator that the path names, or all if it
// names none.
func (a *API) removeAuthenticator(r *http.Request) (answer, error) {
	err := a.Users.RemoveAuthenticator(r.Context(), r.PathValue("name"), r.PathValue("id"))
	return answer{status: http.StatusNoContent}, err
}

// startPage answers with a page, which has no place among the resources: nothing is at a path.
func (a *API) startPage(r *http.Request, req users.PageRequest) (answer, error) {
	res, err := a.Users.StartPage(r.Context(), r.PathValue("name"), req)
	return answer{status: http.StatusCreated, body: res}, err
}

func (a *API) alertUser(r *http.Request, req users.AlertRequest) (answer, error) {
	res, err := a.Users.Alert(r.Context(), r.PathValue("name"), req)
	return answer{status: http.StatusOK, body: res}, err
}

// conditions returns the precondition headers. Several lines are one list
// (RFC 9110, 5.3). A header with an empty value is a mistake and must not count
// as a missing header, so it becomes " ".
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

// hook is an endpoint that answers the provider with the reply of f as it is.
func hook(f func(provider string, r *http.Request) (hooks.Reply, error)) endpoint {
	return func(r *http.Request) (answer, error) {
		reply, err := f(r.PathValue("provider"), r)
		if err != nil || len(reply.Body) == 0 {
			return answer{status: http.StatusNoContent}, err
		}
		return answer{status: http.StatusOK, body: verbatim{reply.ContentType, reply.Body}}, nil
	}
}

// foldRoute accepts the spellings of a path that the Functions host accepts. The
// host forwards the path as the client wrote it. So that [http.ServeMux] finds
// the route, foldRoute changes two things:
//   - the fixed part of the path becomes lower case: its first two segments, or
//     all of a hook's path. So /oidc/.well-known/ is found in any case, and
//     openid-configuration behind it as it is written here only;
//   - one slash at the end is removed, but not for DELETE: there a path whose id
//     is missing by mistake would delete all.
//
// A path that is not clean, and the path of OPTIONS *, goes to unknown. ServeMux
// would answer without what serve gives to every answer.
//
// foldRoute works on the escaped path, so that an escaped slash stays in its
// segment.
func foldRoute(next, unknown http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		folded := r.URL.EscapedPath()
		if len(folded) > 1 && r.Method != http.MethodDelete {
			folded = strings.TrimSuffix(folded, "/")
		}
		if path.Clean(folded) != folded || folded[0] != '/' {
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

// nthSlash returns the index of the nth slash, -1 if there are fewer.
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
