// Package oidc is what is below oidc/: an OpenID Connect provider (OpenID Connect Core 1.0) with the authorization
// code flow. This part reads what relying parties send and answers them; others are the pages on which a person
// signs in.
//
// It must never send a browser to an address that its client has not registered, never give a code or token more
// than once, and never put a code, a token, a secret or an address into an error or the log.
package oidc

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"twofa/internal/account"
	"twofa/internal/client"
	"twofa/internal/grant"
	"twofa/internal/oidckeys"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/web"
)

// Path is where the provider is below the service's origin. The issuer is the public URL and this path: relying
// parties compare it byte for byte, so it has no slash at the end.
const Path = "/oidc"

// The paths below Path that relying parties use.
const (
	discoveryPath  = "/.well-known/openid-configuration"
	authorizePath  = "/authorize"
	tokenPath      = "/token"
	userinfoPath   = "/userinfo"
	keysPath       = "/jwks"
	endSessionPath = "/end-session"
)

// The classes of authentication (the claim acr).
const (
	ACR1 = "urn:twofa:acr:1" // one factor
	ACR2 = "urn:twofa:acr:2" // two of different kinds
)

// People finds who is behind a grant.
type People interface {
	// Person returns an account. The error is of kind problem.NotFound if it is gone.
	Person(ctx context.Context, account otp.UserKey) (account.State, error)
}

// Provider answers relying parties. Its fields are set once, before the first call.
type Provider struct {
	// Issuer is the public URL and Path.
	Issuer   string
	Clients  *client.Registry
	Keys     *oidckeys.Store
	Grants   *grant.Store
	People   People
	Renderer *web.Renderer
	// Look is how the pages of a client look.
	Look func(client.Client) web.Look
	// SignUp is true if a new person can make an account.
	SignUp bool
	// TestNumbers are no claims, but for a client that takes them.
	TestNumbers otp.TestNumbers
	Now         func() time.Time
}

// person returns the account of a grant as its client may see it. Errors are those of People.
func (p *Provider) person(ctx context.Context, g grant.Grant, c client.Client) (account.State, error) {
	person, err := p.People.Person(ctx, g.Account)
	return p.seenBy(c, person), err
}

// seenBy is an account as a client may see it: without test numbers, unless it takes them.
func (p *Provider) seenBy(c client.Client, a account.State) account.State {
	if c.TestNumbers {
		return a
	}
	return a.Without(func(b account.Address) bool {
		return b.Test || p.TestNumbers.Scenario(b.Text, p.Now()) != otp.Scenario{}
	})
}

// failure is an error as relying parties get it (RFC 6749, 5.2). Its texts are ours.
type failure struct {
	status            int
	code, description string
	// header are the answer's, beside those of all.
	header map[string]string
	// cause is for the log, nil for a request that the client has to change.
	cause error
}

// Error implements error.
func (f *failure) Error() string { return "oidc: " + f.code + ": " + f.description }

// refused returns the failure of a request that the client has to change. The description has no character that
// RFC 6749, 5.2 forbids: no quotation mark and no backslash.
func refused(code, description string) *failure {
	return &failure{status: http.StatusBadRequest, code: code, description: description}
}

// failed returns the failure of an error of storage, or of a defect.
func failed(err error) *failure {
	if problem.Is(err, problem.StorageUnavailable) {
		return &failure{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", description: "Storage did not answer. Sign in again.", cause: err,
			header: map[string]string{"Retry-After": retryAfter}}
	}
	return &failure{status: http.StatusInternalServerError, code: "server_error", description: "The service failed. Its log says why.", cause: err}
}

// problem is the error for the log.
func (f *failure) problem() error {
	switch {
	case f.cause != nil:
		return f.cause
	case f.status == http.StatusUnauthorized:
		return &problem.Error{Kind: problem.Unauthorized, Err: f}
	}
	return &problem.Error{Kind: problem.InvalidRequest, Err: f}
}

// retryAfter is the pause after a failure of storage, in seconds.
const retryAfter = "2"

// answer is the answer with a failure.
func (f *failure) answer() web.Answer {
	a := answerJSON(f.status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{f.code, f.description})
	maps.Copy(a.Header, f.header)
	a.Problem = f.problem()
	return a
}

// answerJSON is an answer that nobody keeps (RFC 6749, 5.1).
func answerJSON(status int, body any) web.Answer {
	header := map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"}
	text, err := json.Marshal(body, json.Deterministic(true))
	if err != nil { // a defect; its text may quote the body
		return web.Answer{Status: http.StatusInternalServerError, Header: header, Body: []byte(`{"error":"server_error"}`),
			Problem: problem.Unexpected(errors.New("oidc: the answer cannot be encoded"))}
	}
	return web.Answer{Status: status, Header: header, Body: text}
}

// note puts the client on the request's log line.
func note(r *http.Request, c client.Client) { reqlog.Add(r.Context(), slog.String("client", c.ID)) }

// isRepeated reports whether a parameter is there twice (RFC 6749, 3.1 and 3.2). Only resource may be, which is
// ignored (RFC 8707, 2).
func isRepeated(form url.Values) bool {
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			return true
		}
	}
	return false
}
