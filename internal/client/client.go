// Package client knows the apps that call the service: their credentials, scopes and
// limits, as the operator set them in TWOFA_CLIENTS.
//
// It must never log or return a secret, nor keep one: of a secret it knows a hash.
package client

import (
	"context"
	"slices"
)

// MainDirectory is the directory of users of a client that names none, and of every
// user that was registered before there were directories.
const MainDirectory = "main"

// Client is an app that calls the service. The zero Client is not valid: without
// TWOFA_CLIENTS there is one client, [Nameless].
type Client struct {
	// ID names the client in rows and logs: 1 to 64 of A-Z a-z 0-9 . _ and -. "" is the
	// nameless client.
	ID string
	// Directory is whose users the client reads and writes.
	Directory string
	// Scopes are what the client may do: see May.
	Scopes []Scope
	// Public is true for an app that cannot keep a secret. It never authenticates.
	Public bool
	// Brand is the name in messages, "" for the operator's.
	Brand string
	// Countries are the regions (ISO 3166-1 alpha-2) that the client may send to. nil:
	// all that the operator allows.
	Countries map[string]bool
	// MaxSendsPerDay is how many messages the client may cause in 24 hours over all
	// addresses. 0: no limit.
	MaxSendsPerDay int
	// ReturnURLs are where pages may send a browser in the end.
	ReturnURLs []string
	// Color is the brand's colour, like #0b5fff. "": the operator's.
	Color string
	// Logo is the file of the logo, nil for the operator's. At most 32 KB.
	Logo []byte
	// TestNumbers allows receipts of test numbers, which prove nothing.
	TestNumbers bool

	// RedirectURIs are where a sign-in may send a browser: see MayRedirect. PostLogoutRedirectURIs are
	// those after signing out.
	RedirectURIs, PostLogoutRedirectURIs []string
	// Origins are those whose scripts may read the answers of the token endpoint and of userinfo.
	Origins []string
	// Sector is whose subjects the client sees: clients of one sector see the same ones.
	Sector string
	// Require are the kinds of address that a person needs to sign in: of "email" and "phone".
	Require []string
	// PKCE is false for a confidential client that cannot send a code challenge (RFC 7636).
	PKCE bool
	// Consent is ConsentOnce or ConsentImplied.
	Consent Consent

	everything bool // of Nameless alone, so that the zero Client may do nothing
}

// Consent is when a person is asked whether an app may have what it asks for.
type Consent string

// The consents.
const (
	ConsentOnce    Consent = "once"    // before the first sign-in with a scope
	ConsentImplied Consent = "implied" // never: the app is the operator's own
)

// Scope is a part of the service that a client may use.
type Scope string

// The scopes. docs/clients.md says which routes need which.
const (
	ScopeSend      Scope = "send"
	ScopeCheck     Scope = "check"
	ScopeUsers     Scope = "users" // includes ScopeUsersRead
	ScopeUsersRead Scope = "users:read"
	ScopeAlerts    Scope = "alerts"
	ScopeSupport   Scope = "support"
	ScopeSignIn    Scope = "signin"
	ScopeVerify    Scope = "verify"
	ScopeEntra     Scope = "entra"
)

// May reports whether the client has a scope.
func (c Client) May(s Scope) bool {
	return c.everything || slices.Contains(c.Scopes, s) || s == ScopeUsersRead && slices.Contains(c.Scopes, ScopeUsers)
}

// Nameless is the one client of a service without TWOFA_CLIENTS. It may do everything.
var Nameless = Client{Directory: MainDirectory, everything: true}

type contextKey struct{}

// With returns a context of a request of that client.
func With(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// From returns the client of a request, Nameless if the context has none.
func From(ctx context.Context) Client {
	if c, ok := ctx.Value(contextKey{}).(Client); ok {
		return c
	}
	return Nameless
}
