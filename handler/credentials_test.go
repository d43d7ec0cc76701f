package handler_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/handler"
	"twofa/internal/app"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/problem"
	testrig "twofa/internal/testing/rig"
)

// secretOf is the secret of a client in the tests.
func secretOf(id string) string { return "canary-secret-of-" + id }

// entry is a client with that secret and those scopes.
func entry(id string, scopes ...string) string {
	sum := sha256.Sum256([]byte(secretOf(id)))
	return fmt.Sprintf(`{"id": %q, "secrets": ["sha256:%s"], "scopes": ["%s"], "redirect_uris": ["https://app.example/callback"]}`, id, hex.EncodeToString(sum[:]), strings.Join(scopes, `", "`))
}

// withClients gives the service these clients.
func (r *rig) withClients(entries ...string) *rig {
	r.TB.Helper()
	registry, faults := client.Load("[" + strings.Join(entries, ", ") + "]")
	if len(faults) > 0 {
		r.TB.Fatal(faults)
	}
	r.API.Clients = registry
	r.handler = r.API.Handler()
	return r
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// as is do with the credentials of a client.
func (r *rig) as(id, method, path, contentType, body string, header ...string) *response {
	r.TB.Helper()
	return r.do(method, path, contentType, body, append(header, "Authorization", basic(id, secretOf(id)))...)
}

// allScopes are those that a client can have.
var allScopes = []string{"send", "check", "users", "users:read", "alerts", "support", "signin", "verify", "entra"}

// matrix has every route below /api/: the scopes that open it, a request without a body,
// and the status for a client that may.
var matrix = map[string]struct {
	scopes []string
	path   string
	status int
}{
	"POST /api/otpsend":                     {[]string{"send"}, "/api/otpsend", 400},
	"POST /api/otpsend/{id}":                {[]string{"send"}, "/api/otpsend/VE0123456789abcdef0123456789abcdef", 404},
	"GET /api/otpsend/{id}":                 {[]string{"send"}, "/api/otpsend/VE0123456789abcdef0123456789abcdef", 404},
	"DELETE /api/otpsend/{id}":              {[]string{"send"}, "/api/otpsend/VE0123456789abcdef0123456789abcdef", 404},
	"POST /api/otpverify":                   {[]string{"check"}, "/api/otpverify", 400},
	"PUT /api/users/{name}":                 {[]string{"users"}, "/api/users/nobody", 400},
	"GET /api/users/{name}":                 {[]string{"users", "users:read"}, "/api/users/nobody", 404},
	"DELETE /api/users/{name}":              {[]string{"users"}, "/api/users/nobody", 404},
	"POST /api/users/{name}/totp":           {[]string{"users"}, "/api/users/nobody/totp", 404},
	"GET /api/users/{name}/totp":            {[]string{"users", "users:read"}, "/api/users/nobody/totp", 404},
	"DELETE /api/users/{name}/totp":         {[]string{"users"}, "/api/users/nobody/totp", 404},
	"POST /api/users/{name}/totp/confirm":   {[]string{"users"}, "/api/users/nobody/totp/confirm", 400},
	"PATCH /api/users/{name}/totp/{id}":     {[]string{"users"}, "/api/users/nobody/totp/x", 400},
	"DELETE /api/users/{name}/totp/{id}":    {[]string{"users"}, "/api/users/nobody/totp/x", 400},
	"POST /api/users/{name}/recovery-codes": {[]string{"users"}, "/api/users/nobody/recovery-codes", 404},
	"GET /api/users/{name}/recovery-codes":  {[]string{"users", "users:read"}, "/api/users/nobody/recovery-codes", 404},
	"POST /api/users/{name}/alerts":         {[]string{"alerts"}, "/api/users/nobody/alerts", 400},
	"POST /api/users/{name}/page":           {[]string{"users"}, "/api/users/nobody/page", 400},
	"DELETE /api/users/{name}/locks":        {[]string{"users"}, "/api/users/nobody/locks", 404},
}

// open has every other route, and its status for a request without credentials. signInRoutes has those of sign-in.
var open = map[string]int{
	"GET /{$}": 200, "GET /health": 200, "GET /verify/jwks": 404, "POST /hooks/{provider}/status": 404, "POST /hooks/{provider}/inbound": 404, "POST /hooks/{provider}/answer": 404, "POST /purge": 400,
	"GET /verify/openapi": 200, "GET /verify/docs": 200,
	"GET /verify/check": 400, "GET /verify/check/address": 400, "GET /verify/check/help": 400, "POST /verify/check/help": 400,
	"GET /verify/check/app": 400, "POST /verify/check/app": 400, "GET /verify/check/recovery": 400, "POST /verify/check/recovery": 400,
	"GET /verify/check/end": 400, "GET /verify/check/send": 400, "GET /verify/check/new": 400, "GET /verify/check/resend": 400, "GET /verify/check/code": 400, "GET /verify/check/cancel": 400, "POST /verify/check/send": 400, "POST /verify/check/new": 400, "POST /verify/check/resend": 400,
	"GET /verify/link": 400, "POST /verify/link": 400, "GET /verify/enroll": 400, "GET /verify/enroll/app": 400, "POST /verify/enroll/app": 400, "GET /verify/enroll/end": 400,
	"GET /verify/enroll/begin": 400, "POST /verify/enroll/begin": 400, "GET /verify/enroll/add": 400, "POST /verify/enroll/add": 400, "GET /verify/enroll/remove": 400, "POST /verify/enroll/remove": 400,
	"GET /verify/enroll/keep": 400, "POST /verify/enroll/keep": 400, "GET /verify/enroll/codes": 400, "POST /verify/enroll/codes": 400, "GET /verify/enroll/kept": 400, "POST /verify/enroll/kept": 400, "GET /verify/enroll/save": 400, "POST /verify/enroll/save": 400,
	"GET /verify/enroll/cancel": 400, "POST /verify/enroll/cancel": 400,
	"POST /verify/check/code": 400, "POST /verify/check/cancel": 400, "GET /verify/style": 200, "GET /verify/script": 200, "GET /verify/logo": 404,
}

// The tests of this file hold for every route, because the mux has no other.
func TestR17_EveryRouteIsInTheMatrix(t *testing.T) {
	t.Parallel()
	routes := withSignIn(t).API.Routes()
	others := maps.Clone(open)
	maps.Copy(others, signInRoutes)
	for route, scope := range routes {
		m, ok := matrix[route]
		_, isOpen := others[route]
		switch {
		case ok == isOpen:
			t.Errorf("%s is not in exactly one of matrix, open and signInRoutes", route)
		case ok && (scope == "" || m.scopes[len(m.scopes)-1] != scope):
			t.Errorf("%s has the scope %q, want one of %q", route, scope, m.scopes)
		case isOpen && (scope != "" || strings.Contains(route, " /api/")):
			t.Errorf("%s has the scope %q, and asks for no client", route, scope)
		}
	}
	if len(routes) != len(matrix)+len(others) {
		t.Errorf("%d routes, the test has %d", len(routes), len(matrix)+len(others))
	}
	handles := 0
	files, _ := filepath.Glob("*.go")
	for _, file := range files {
		if text, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		} else if !strings.HasSuffix(file, "_test.go") {
			handles += strings.Count(string(text), ".Handle(") + strings.Count(string(text), ".HandleFunc(")
		}
	}
	wantEqual(t, "calls of Handle: one for the table of routes, one for unknown paths", handles, 2)
}

// wantUnauthorized wants 401, which says how to send credentials, and nothing done.
func wantUnauthorized(t *testing.T, r *rig, what string, res *response) {
	t.Helper()
	line := r.lastLine()
	_, named := line["client"]
	if res.status != 401 || res.body != "" && !strings.Contains(res.body, `"urn:twofa:unauthorized"`) || res.header.Get("WWW-Authenticate") != `Basic realm="twofa", charset="UTF-8"` ||
		res.body != "" && !strings.Contains(res.body, "id:secret") || line["outcome"] != "unauthorized" || line["trips"] != 0.0 || named {
		t.Errorf("%s: %d %v %s; the log: %v", what, res.status, res.header, res.body, line)
	}
}

// badCredentials are values of Authorization that authenticate nobody.
var badCredentials = map[string]string{
	"none": "", "no scheme": base64.StdEncoding.EncodeToString([]byte("right:" + secretOf("right"))), "Bearer": "Bearer " + secretOf("right"),
	"the scheme alone": "Basic", "no base64": "Basic right:" + secretOf("right"), "no colon": "Basic " + base64.StdEncoding.EncodeToString([]byte("right")),
	"two in one": basic("right", secretOf("right")) + ", " + basic("right", secretOf("right")), "two in one, no space": basic("right", secretOf("right")) + "," + basic("right", secretOf("right")),
	"wrong secret": basic("right", "canary-wrong"), "empty secret": basic("right", ""), "another client's secret": basic("right", secretOf("other")), "the hash": basic("right", strings.Fields(entry("right"))[3]),
	"unknown id": basic("unknown", secretOf("right")), "empty id": basic("", secretOf("right")), "empty": basic("", ""), "another spelling of the id": basic("Right", secretOf("right")),
	"a public client": basic("spa", ""), "a public client with a secret": basic("spa", secretOf("right")),
}

// Every route × (no credentials, malformed, wrong secret, unknown id, out of scope, right).
func TestR17_ClientMatrix(t *testing.T) {
	t.Parallel()
	for route, m := range matrix {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			method, _, _ := strings.Cut(route, " ")
			for _, where := range []string{"under the host", "on its own"} {
				r := newRig(t)
				if where == "on its own" {
					r.API.Guard = &handler.Guard{Hosts: []string{"example.com"}}
				}
				spa := `{"id": "spa", "public": true, "scopes": ["` + strings.Join(allScopes, `", "`) + `"], "redirect_uris": ["https://app.example/callback"]}`
				entries := []string{entry("right", m.scopes[len(m.scopes)-1]), entry("other", allScopes...), spa}
				var outside []string
				for _, s := range allScopes {
					if slices.Contains(m.scopes, s) {
						entries = append(entries, entry("with-"+strings.ReplaceAll(s, ":", "-"), s))
					} else {
						outside = append(outside, s)
					}
				}
				r.withClients(append(entries, entry("outside", outside...))...)

				for name, value := range badCredentials {
					var header []string
					if value != "" {
						header = []string{"Authorization", value}
					}
					for _, body := range []string{"", `{"to": "` + alice + `"}`} { // neither the body nor its type is looked at
						wantUnauthorized(t, r, where+": "+name, r.do(method, m.path, "", body, header...))
					}
				}
				res := r.as("outside", method, m.path, "", "").problem(403, problem.Forbidden)
				if scope := m.scopes[len(m.scopes)-1]; !strings.Contains(res.text("detail"), "the scope "+scope+",") {
					t.Errorf("the detail does not name %s: %s", scope, res.body)
				}
				if line := r.lastLine(); line["client"] != "outside" || line["trips"] != 0.0 {
					t.Errorf("%s: the log: %v", where, line)
				}
				for _, s := range m.scopes {
					id := "with-" + strings.ReplaceAll(s, ":", "-")
					wantEqual(t, where+": "+s, r.as(id, method, m.path, "", "").status, m.status)
					wantEqual(t, "the logged client", r.lastLine()["client"], any(id))
				}
				wantEqual(t, where+": a method that the path does not have, without credentials", r.do("TRACE", m.path, "", "").status, 401)
				r.as("outside", "TRACE", m.path, "", "").problem(405, problem.MethodNotAllowed)
				wantEqual(t, "rows", len(r.rows()), 0)
			}
		})
	}
}

// HEAD needs what GET needs.
func TestR17_HEADNeedsTheScopeOfGET(t *testing.T) {
	t.Parallel()
	r := newRig(t).withClients(entry("sender", "send"), entry("reader", "users:read"))
	r.as("reader", "HEAD", "/api/users/nobody", "", "").problem(404, problem.NotFound)
	r.as("sender", "HEAD", "/api/users/nobody", "", "").problem(403, problem.Forbidden)
	wantUnauthorized(t, r, "HEAD", r.do("HEAD", "/api/users/nobody", "", ""))
}

// What is not below /api/ needs no credentials, and ignores them.
func TestRoutesWithoutCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t).withClients(entry("right", "send"))
	for route, status := range open {
		method, path, _ := strings.Cut(strings.Replace(route, "{$}", "", 1), " ")
		wantEqual(t, route, r.do(method, path, "", "").status, status)
		wantEqual(t, route+", with credentials", r.do(method, path, "", "", "Authorization", basic("right", "wrong")).status, status)
	}
	r.get("/nowhere").problem(404, problem.NotFound)
	r.get("/apix/otpsend").problem(404, problem.NotFound)
}

// No spelling of a path below /api/ is served without credentials, or tells a stranger
// which paths there are.
func TestAttack26_NoSpellingOfAPathNeedsNoCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t).withClients(entry("right", allScopes...))
	for _, path := range []string{
		"/api/otpsend", "/API/otpsend", "/Api/OtpSend/", "/%61pi/otpsend", "/a%70i/OTPSEND", "/api/nowhere", "/api/", "/api", "/api//otpsend", "//api/otpsend", "/x/../api/otpsend", "/./api/otpsend",
		"/api/otpsend/..", "/api/users/a/b", "/api/users/", "/api/%2e%2e/otpsend", "/api/otpsend/a/b/c", "/api/users/bob%2Ftotp", "/api/users/.x",
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS"} {
			wantUnauthorized(t, r, method+" "+path, r.do(method, path, "", ""))
			if got := r.as("right", method, path, "", "").status; got == 401 || got == 403 || got < 400 {
				t.Errorf("%s %s with credentials: %d", method, path, got)
			}
		}
	}
	r.as("right", "GET", "/api/nowhere", "", "").problem(404, problem.NotFound)
	wantEqual(t, "the logged client of an unknown path", r.lastLine()["client"], any("right"))
}

// A body that is too large or malformed is not looked at without credentials, or out of
// scope.
func TestCredentialsAreCheckedFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t).withClients(entry("right", "check"))
	large := strings.Repeat(" ", handler.MaxBody+1)
	wantUnauthorized(t, r, "a large body", r.post("/api/otpsend", large))
	r.as("right", "POST", "/api/otpsend", typeJSON, large).problem(403, problem.Forbidden)
	r.as("right", "POST", "/api/otpverify", typeJSON, large).problem(413, problem.PayloadTooLarge)
	r.as("right", "GET", "/api/users/bob%2Ftotp", "", "").problem(403, problem.Forbidden)
}

// Programs may write the scheme as they like (RFC 9110, 11.1). A second header is refused
// even if both are right.
func TestFormsOfTheHeader(t *testing.T) {
	t.Parallel()
	r := newRig(t).withClients(entry("right", "send"))
	value := basic("right", secretOf("right"))
	for _, v := range []string{value, "basic" + value[5:], "BASIC" + value[5:]} {
		r.do("GET", "/api/otpsend/VE0123456789abcdef0123456789abcdef", "", "", "Authorization", v).problem(404, problem.NotFound)
	}
	for _, second := range []string{value, "", "Bearer x"} {
		req := httptest.NewRequest("GET", "/api/otpsend/VE0123456789abcdef0123456789abcdef", nil)
		req.Header["Authorization"] = []string{value, second}
		wantUnauthorized(t, r, "a second header", r.serve(req))
	}
}

// The Functions host's key and the headers of App Service authenticate nobody.
func TestR17_NothingElseAuthenticates(t *testing.T) {
	t.Parallel()
	r := newRig(t).withClients(entry("right", "send"))
	principal := base64.StdEncoding.EncodeToString([]byte(`{"auth_typ": "aad", "claims": [{"typ": "roles", "val": "admin"}]}`))
	wantUnauthorized(t, r, "other headers", r.do("POST", "/api/otpsend", typeJSON, object("to", alice), "X-Functions-Key", "canary-key", "X-MS-CLIENT-PRINCIPAL", principal,
		"X-MS-CLIENT-PRINCIPAL-ID", "right", "X-MS-CLIENT-PRINCIPAL-NAME", "right", "Cookie", "session=right", "Proxy-Authorization", basic("right", secretOf("right")), "X-Api-Key", secretOf("right")))
	wantUnauthorized(t, r, "the query", r.post("/api/otpsend?code="+secretOf("right")+"&id=right", object("to", alice)))
	wantEqual(t, "messages", r.Sent(), 0)
}

// The use case finds the client in its context, and the log names it.
func TestTheClientTravelsWithItsRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t).noPause().withClients(entry("one", "send", "check"), entry("two", "send"))
	var seen client.Client
	r.answer(func(ctx context.Context, _ notify.Message) error {
		seen = client.From(ctx)
		return nil
	})
	for _, id := range []string{"one", "two", "one"} {
		r.as(id, "POST", "/api/otpsend", typeJSON, object("to", alice, "purpose", id)).want(201)
		if seen.ID != id || seen.Directory != client.MainDirectory {
			t.Errorf("the client of the context is %+v, want %s", seen, id)
		}
		wantEqual(t, "the logged client", r.lastLine()["client"], any(id))
	}
}

// Without clients nothing has changed: the header is ignored.
func TestWithoutClientsCredentialsAreIgnored(t *testing.T) {
	t.Parallel()
	r := newRig(t).noPause()
	for _, value := range badCredentials {
		r.do("POST", "/api/otpsend", typeJSON, object("to", alice), "Authorization", value).want(201)
		if _, named := r.lastLine()["client"]; named {
			t.Errorf("the log names a client: %v", r.lastLine())
		}
		r.Advance(25 * time.Hour)
	}
}

// Attack 21 for credentials: neither the log nor an answer has them, in any form.
func TestR10_CredentialsAreNotLogged(t *testing.T) {
	t.Parallel()
	r := newRig(t).noPause().withClients(entry("right", "send"))
	var answers strings.Builder
	ask := func(method, path, value string) {
		res := r.do(method, path, typeJSON, object("to", alice), "Authorization", value)
		fmt.Fprintln(&answers, res.header, res.body)
	}
	for _, value := range []string{basic("right", secretOf("right")), basic("right", "canary-wrong-secret"), basic("canary-unknown-id", secretOf("right")), "Bearer canary-bearer", "Basic canary-malformed"} {
		for _, path := range []string{"/api/otpsend", "/api/otpverify", "/api/nowhere"} {
			ask("POST", path, value)
		}
	}
	secrets := []string{secretOf("right"), "canary-wrong-secret", "canary-unknown-id", "canary-bearer", "canary-malformed", strings.Trim(strings.Fields(entry("right"))[3], `[],"`)[len("sha256:"):]}
	wantNoLeak(t, "the log", r.log.String(), secrets)
	wantNoLeak(t, "an answer", answers.String(), secrets)
	if !strings.Contains(r.log.String(), `"client":"right"`) {
		t.Error("the log does not name the client")
	}
}

// The clients of the settings are those that the service asks for.
func TestR17_TheSettingsClientsAreAskedFor(t *testing.T) {
	t.Parallel()
	registry, faults := client.Load("[" + entry("right", "send") + "]")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	r := newRig(t)
	own := testrig.With(t, func(s *config.Settings, p *app.Parts) { s.Clients, p.Log = registry, r.API.Log })
	r.Rig, r.handler = own, own.API.Handler()
	wantUnauthorized(t, r, "no credentials", r.post("/api/otpsend", object("to", alice)))
	r.as("right", "POST", "/api/otpsend", typeJSON, object("to", alice)).want(201)
}
