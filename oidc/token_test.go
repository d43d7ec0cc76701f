package oidc_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/account"
	"twofa/internal/grant"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/web"
	"twofa/oidc"
)

// Every way in which a client may authenticate (RFC 6749, 2.3.1), and what libraries make of it.
func TestToken_Authentication(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const right, wrong = secretOf + "web", "0123456789abcdef-secret-of-other"
	encoded := strings.ReplaceAll(right, "-", "%2D") // as oauth4webapi does
	for name, tc := range map[string]struct {
		client, header string
		change         func(f url.Values)
		status         int
		code           string
	}{
		"post":                             {"web", "", nil, 200, ""},
		"Basic":                            {"web", basic("web", right), without("client_id", "client_secret"), 200, ""},
		"Basic, encoded":                   {"web", basic("w%65b", encoded), without("client_id", "client_secret"), 200, ""},
		"Basic and the same id":            {"web", basic("web", right), without("client_secret"), 200, ""},
		"Basic in lower case":              {"web", strings.Replace(basic("web", right), "Basic", "basic", 1), without("client_secret"), 200, ""},
		"public by its id":                 {"spa", "", nil, 200, ""},
		"public, Basic":                    {"spa", basic("spa", ""), without("client_id"), 200, ""},
		"public, an empty secret":          {"spa", "", set("client_secret", ""), 200, ""},
		"more parameters":                  {"web", "", set("scope", "openid groups"), 200, ""},
		"a wrong secret":                   {"web", "", set("client_secret", wrong), 401, "invalid_client"},
		"no secret":                        {"web", "", without("client_secret"), 401, "invalid_client"},
		"no client":                        {"web", "", without("client_id", "client_secret"), 401, "invalid_client"},
		"an unknown client":                {"web", "", set("client_id", "nobody"), 401, "invalid_client"},
		"an assertion":                     {"web", "", set("client_assertion", "a.b.c", "client_secret"), 401, "invalid_client"},
		"Basic, a wrong secret":            {"web", basic("web", wrong), without("client_id", "client_secret"), 401, "invalid_client"},
		"Basic, a bad escape":              {"web", basic("web", "%zz"), without("client_id", "client_secret"), 401, "invalid_client"},
		"Basic, no secret":                 {"web", basic("web", ""), without("client_id", "client_secret"), 401, "invalid_client"},
		"no Basic":                         {"web", "Bearer x", without("client_secret"), 401, "invalid_client"},
		"no base64":                        {"web", "Basic !", without("client_secret"), 401, "invalid_client"},
		"public with a secret":             {"spa", "", set("client_secret", "x"), 401, "invalid_client"},
		"public, Basic with a secret":      {"spa", basic("spa", "x"), without("client_id"), 401, "invalid_client"},
		"Basic and post":                   {"web", basic("web", right), nil, 400, "invalid_request"},
		"Basic and another id":             {"web", basic("web", right), set("client_id", "other", "client_secret"), 400, "invalid_request"},
		"public Basic and another's id":    {"spa", basic("spa", ""), set("client_id", "phone"), 400, "invalid_request"},
		"a client that signs in nobody":    {"web", basic("api", secretOf+"api"), without("client_id", "client_secret"), 400, "unauthorized_client"},
		"no grant type":                    {"web", "", without("grant_type"), 400, "invalid_request"},
		"a refresh token":                  {"web", "", set("grant_type", "refresh_token", "code"), 400, "unsupported_grant_type"},
		"a password":                       {"web", "", set("grant_type", "password"), 400, "unsupported_grant_type"},
		"no code":                          {"web", "", without("code"), 400, "invalid_request"},
		"another code":                     {"web", "", set("code", strings.Repeat("A", 43)), 400, "invalid_grant"},
		"no address":                       {"web", "", without("redirect_uri"), 400, "invalid_grant"},
		"another address":                  {"web", "", set("redirect_uri", callback+"/"), 400, "invalid_grant"},
		"a code without the verifier":      {"web", "", without("code_verifier"), 400, "invalid_grant"},
		"the challenge as verifier":        {"web", "", set("code_verifier", challenge), 400, "invalid_grant"},
		"a verifier without the challenge": {"legacy", "", set("code_verifier", verifier), 400, "invalid_grant"},
	} {
		form := asked(tc.client)
		if tc.client == "legacy" {
			with(with(form, "code_challenge"), "code_challenge_method")
		}
		request := exchange(tc.client, h.code(form))
		if tc.change != nil {
			tc.change(request)
		}
		var header []string
		if tc.header != "" {
			header = []string{"Authorization", tc.header}
		}
		a := h.Token(posted(request, header...))
		if _, challenged := a.Header["WWW-Authenticate"]; challenged != (tc.status == 401 && tc.header != "") {
			t.Errorf("%s: WWW-Authenticate: %t", name, challenged)
		}
		if tc.status != 200 {
			h.refused(name, a, tc.status, tc.code)
		} else if body := h.body(a); a.Status != 200 || a.Problem != nil || body["token_type"] != "Bearer" || body["expires_in"] != 3600.0 || body["scope"] != "openid phone email profile" || !h.lives(body["access_token"]) || len(body) != 5 || a.Header["Pragma"] != "no-cache" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}

func without(names ...string) func(url.Values) {
	return func(f url.Values) {
		for _, name := range names {
			f.Del(name)
		}
	}
}

func set(name, value string, without ...string) func(url.Values) {
	return func(f url.Values) {
		f.Set(name, value)
		for _, name := range without {
			f.Del(name)
		}
	}
}

// Only a form in the body counts.
func TestToken_Forms(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	form := exchange("web", h.code(asked("web")))
	query := posted(nil)
	query.URL.RawQuery = form.Encode()
	h.refused("in the query", h.Token(query), 401, "invalid_client")
	noForm := posted(form)
	noForm.Header.Set("Content-Type", "application/json")
	h.refused("another type", h.Token(noForm), 400, "invalid_request")
	large := posted(with(form, "x", strings.Repeat("x", 16<<10)))
	h.refused("too long", h.Token(large), 400, "invalid_request")
	with(form, "x")
	broken := posted(form)
	broken.URL.RawQuery = "%zz"
	h.refused("not readable", h.Token(broken), 400, "invalid_request")
	twice := posted(form, "Authorization", basic("web", "x"), "Authorization", basic("web", "x"))
	h.refused("two headers", h.Token(twice), 401, "invalid_client")
	right := posted(form)
	right.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	h.tokens(right)
}

// Attack 31. A parameter that is there twice has no meaning.
func TestAttack31_TokenRequestsWithRepeatedParameters(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	form := exchange("web", h.code(asked("web")))
	for name, values := range form {
		for _, second := range []string{values[0], "", "x"} {
			h.refused(name, h.Token(posted(with(exchange("web", form.Get("code")), name, values[0], second))), 400, "invalid_request")
		}
	}
	h.tokens(posted(form)) // nothing of it has used the code up
}

// Attack 31. A code that is used twice gives nothing, and ends what it gave: one of the two who had it is a thief. What
// another client sends is a failed exchange, which ends nothing.
func TestAttack31_CodeReplay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, thief := range []string{"web", "other", "spa"} {
		code := h.code(asked("web"))
		first := h.tokens(posted(exchange("web", code)))
		if !h.lives(first["access_token"]) {
			t.Fatal("the token is not valid")
		}
		for range 2 {
			h.refused("a replay by "+thief, h.Token(posted(exchange(thief, code))), 400, "invalid_grant")
			if lives := h.lives(first["access_token"]); lives != (thief != "web") {
				t.Errorf("the token lives after a replay by %s: %t", thief, lives)
			}
		}
	}
}

// Attack 31. A code is worth nothing to another client, which cannot burn it with one try either.
func TestAttack31_CodeOfAnotherClient(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, thief := range []string{"other", "legacy", "spa", "phone"} {
		code := h.code(asked("web"))
		stolen := exchange(thief, code)
		h.refused(thief, h.Token(posted(stolen)), 400, "invalid_grant")
		stolen.Set("redirect_uri", callback)
		h.refused(thief+" with the address", h.Token(posted(stolen)), 400, "invalid_grant")
		h.tokens(posted(exchange("web", code)))
	}
}

// Attack 31. A code is valid for a minute.
func TestAttack31_ExpiredCode(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	in, late := h.code(asked("web")), h.code(asked("web"))
	h.clock.Advance(grant.CodeLifetime - time.Millisecond)
	h.tokens(posted(exchange("web", in)))
	h.clock.Advance(time.Millisecond)
	h.refused("a minute later", h.Token(posted(exchange("web", late))), 400, "invalid_grant")
}

// golang.org/x/oauth2 (oauth2-proxy, Grafana) tries Basic first, and after any error the same code again with the
// secret in the form. Neither order of a wrong and a right way burns the code, up to five failures.
func TestToken_AFailedExchangeBurnsNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for name, wrong := range map[string]func(f url.Values) *http.Request{
		"Basic with a wrong secret": func(f url.Values) *http.Request {
			without("client_id", "client_secret")(f)
			return posted(f, "Authorization", basic("web", "x"))
		},
		"a wrong verifier": func(f url.Values) *http.Request { return posted(with(f, "code_verifier", strings.Repeat("a", 43))) },
		"a wrong address":  func(f url.Values) *http.Request { return posted(with(f, "redirect_uri", callback+"?")) },
		"no verifier":      func(f url.Values) *http.Request { return posted(with(f, "code_verifier")) },
	} {
		code := h.code(asked("web"))
		for range grant.MaxFailures - 1 {
			if a := h.Token(wrong(exchange("web", code))); a.Status == http.StatusOK {
				t.Errorf("%s: %s", name, a.Body)
			}
		}
		if body := h.tokens(posted(exchange("web", code))); !h.lives(body["access_token"]) {
			t.Errorf("after %s the token is dead", name)
		}
	}
	code := h.code(asked("web"))
	for range grant.MaxFailures {
		h.Token(posted(with(exchange("web", code), "code_verifier")))
	}
	h.refused("after five failures", h.Token(posted(exchange("web", code))), 400, "invalid_grant")
}

// Attack 31. Over two processes, 50 requests with one code get one set of tokens.
func TestAttack31_ParallelExchanges(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	processes := []*oidc.Provider{h.Provider, h.process()}
	code := h.code(asked("web"))
	var mu sync.Mutex
	answers := map[int]int{}
	rig.AtOnce(rig.Times(50, func(i int) {
		a := processes[i%2].Token(posted(exchange("web", code)))
		mu.Lock()
		defer mu.Unlock()
		answers[a.Status]++
	})...)
	if answers[200] != 1 || answers[400] != 49 {
		t.Errorf("the statuses are %v", answers)
	}
}

// Attack 31. A script of another origin reads no answer. One of the client's origin reads errors, too.
func TestAttack31_TokenEndpointFromAForeignOrigin(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for origin, want := range map[string]struct{ web, spa, unknown, preflight bool }{
		"https://app.example":   {web: true, unknown: true, preflight: true},
		"https://spa.example":   {spa: true, unknown: true, preflight: true},
		"https://other.example": {unknown: true, preflight: true},
		"https://evil.example":  {}, "null": {}, "": {}, "https://app.example.evil.example": {}, "http://app.example": {}, "https://app.example:444": {}, "HTTPS://app.example": {}, "*": {},
	} {
		code := h.code(asked("spa"))
		nobody := posted(exchange("spa", code), "Origin", origin)
		nobody.Body = http.NoBody
		webFails, spaFails := exchange("web", "x"), exchange("spa", "x")
		for name, tc := range map[string]struct {
			a    web.Answer
			want bool
		}{
			"an error of web":     {h.Token(posted(webFails, "Origin", origin)), want.web},
			"an error of spa":     {h.Token(posted(spaFails, "Origin", origin)), want.spa},
			"an unknown client":   {h.Token(nobody), want.unknown},
			"spa":                 {h.Token(posted(exchange("spa", code), "Origin", origin)), want.spa},
			"userinfo, no token":  {h.Userinfo(got("Origin", origin)), want.unknown},
			"the preflight":       {h.Preflight(got("Origin", origin)), want.preflight},
			"userinfo of another": {h.Userinfo(got("Origin", origin, "Authorization", "Bearer "+h.tokens(posted(exchange("web", h.code(asked("web")))))["access_token"].(string))), want.web},
		} {
			allowed, has := tc.a.Header["Access-Control-Allow-Origin"]
			if has != tc.want || has && allowed != origin || tc.a.Header["Vary"] != "Origin" || tc.a.Header["Access-Control-Allow-Credentials"] != "" {
				t.Errorf("%s from %q: %v", name, origin, tc.a.Header)
			}
		}
	}
	a := h.Preflight(got("Origin", "https://spa.example"))
	if a.Status != http.StatusNoContent || a.Header["Access-Control-Allow-Headers"] != "authorization, content-type" || a.Header["Access-Control-Allow-Methods"] != "GET, POST" {
		t.Errorf("the preflight: %d %v", a.Status, a.Header)
	}
}

// A failure of storage says that it is one, and gives nothing.
func TestToken_WithoutStorage(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	code := h.code(asked("web"))
	if _, err := h.Keys.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.table.Break(rig.FaultFrom(1, rig.Down))
	a := h.Token(posted(exchange("web", code)))
	h.refused("the grant", a, 503, "temporarily_unavailable")
	if a.Header["Retry-After"] == "" || !problem.Is(a.Problem, problem.StorageUnavailable) {
		t.Errorf("%v, %v", a.Header, a.Problem)
	}
	h.table.Break(nil)
	h.table.Before(func(c rig.Call) error {
		if c.Ref.Key == "koidc" {
			return rig.ErrFault
		}
		return nil
	})
	h.refused("the keys", h.process().Token(posted(exchange("web", code))), 503, "temporarily_unavailable")
	h.table.Before(nil)
	h.tokens(posted(exchange("web", code))) // neither has used the code up
	code = h.code(asked("web"))
	h.people.err = &problem.Error{Kind: problem.Internal}
	h.refused("the account", h.Token(posted(exchange("web", code))), 500, "server_error")
	h.people.err = nil
	h.people.all = nil
	h.refused("a person who is gone", h.Token(posted(exchange("web", h.code(asked("web"))))), 400, "invalid_grant")
}

func TestToken_RoundTrips(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	code := h.code(asked("web"))
	count := func(what string, want int64, r *http.Request, f func(*http.Request) web.Answer) web.Answer {
		ctx, trips := store.WithTrips(t.Context())
		a := f(r.WithContext(ctx))
		if trips.Load() != want {
			t.Errorf("%s: %d round trips, want %d", what, trips.Load(), want)
		}
		return a
	}
	if _, err := h.Keys.Load(t.Context()); err != nil { // makes them
		t.Fatal(err)
	}
	a := count("token", 2, posted(exchange("web", code)), h.Token)
	body := h.body(a)
	bearer := fmt.Sprint("Bearer ", body["access_token"])
	count("userinfo", 1, got("Authorization", bearer), h.Userinfo)
	fresh := h.process()
	count("token, and the keys", 3, posted(exchange("web", h.code(asked("web")))), fresh.Token)
	count("no such code", 1, posted(exchange("web", strings.Repeat("A", 43))), h.Token)
	count("a wrong secret", 0, posted(with(exchange("web", code), "client_secret", "x")), h.Token)
}

// Nothing that was sent stands in an error, which the log has.
func TestToken_ErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	code := h.code(asked("web"))
	for _, r := range []*http.Request{
		posted(with(exchange("web", code), "client_secret", "canary")), posted(exchange("other", code)), posted(exchange("web", "canary")), posted(with(exchange("web", code), "canary", "canary", "canary")),
		posted(exchange("web", code), "Authorization", "Basic canary"), posted(with(exchange("web", code), "grant_type", "canary")), got("Authorization", "Bearer canary"),
	} {
		for _, a := range []web.Answer{h.Token(r), h.Userinfo(r)} {
			text := fmt.Sprint(a.Problem, string(a.Body), a.Header)
			if a.Problem == nil || slices.ContainsFunc([]string{"canary", code, secretOf}, func(s string) bool { return strings.Contains(text, s) }) {
				t.Errorf("the answer quotes what was sent: %s", text)
			}
		}
	}
}

// phoneOnly has no more than a number.
func phoneOnly() account.State {
	return account.State{Seed: [32]byte{2}, Addresses: []account.Address{{Text: fixture.Bob, ProvenAt: fixture.Noon}, {Text: fixture.AliceMail}}}
}
