package oidc

import (
	"context"
	"net/url"

	"github.com/golang-jwt/jwt/v5"

	"twofa/internal/client"
	"twofa/internal/oidckeys"
	"twofa/internal/visit"
)

// Hint is what an ID token says that a relying party has sent back.
type Hint struct {
	Client, Subject string
}

// ReadHint reads an ID token that the service has signed, also one that has expired. ok is false for any other text.
// Errors are those of oidckeys.Store.Load.
func (p *Provider) ReadHint(ctx context.Context, text string) (hint Hint, ok bool, err error) {
	set, err := p.Keys.Load(ctx)
	if err != nil {
		return Hint{}, false, err
	}
	hint, ok = readHint(text, p.Issuer, set)
	return hint, ok, nil
}

// readHint checks the signature first, with the one algorithm that the service signs with and a key of its own (RFC
// 8725, 3.1).
func readHint(text, issuer string, set oidckeys.Set) (Hint, bool) {
	if text == "" || len(text) > maxHint {
		return Hint{}, false
	}
	key := func(t *jwt.Token) (any, error) {
		for _, k := range set.Keys {
			if t.Header["kid"] == k.ID {
				return &k.Private.PublicKey, nil
			}
		}
		return nil, jwt.ErrTokenUnverifiable
	}
	var claims jwt.RegisteredClaims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}), jwt.WithoutClaimsValidation())
	if _, err := parser.ParseWithClaims(text, &claims, key); err != nil { // its text may quote the token
		return Hint{}, false
	}
	if claims.Issuer != issuer || len(claims.Audience) != 1 || claims.Subject == "" {
		return Hint{}, false
	}
	return Hint{claims.Audience[0], claims.Subject}, true
}

// Logout is a request to sign a person out that was read (OpenID Connect RP-Initiated Logout 1.0, 2).
type Logout struct {
	// Client is who asks, "" if that is not known.
	Client string `json:"c,omitzero"`
	// Subject is who should be signed out, in the client's sector. "": whoever is signed in.
	Subject string `json:"s,omitzero"`
	// RedirectURI is where the browser goes in the end, with the state. "": nowhere, a page says that it is done.
	RedirectURI string `json:"r,omitzero"`
	// Ask is true if the person has to be asked before: any site can send a browser here. The caller asks also
	// if somebody else than Subject is signed in.
	Ask     bool   `json:"a,omitzero"`
	Locales string `json:"u,omitzero"`
}

// ReadLogout reads a request to sign out. It is never refused. If something is wrong with it, the person is
// asked, and the browser goes nowhere. Errors are those of oidckeys.Store.Load.
func (p *Provider) ReadLogout(ctx context.Context, form url.Values) (Logout, error) {
	set, err := p.Keys.Load(ctx)
	if err != nil {
		return Logout{}, err
	}
	return readLogout(form, p.Issuer, p.Clients, set), nil
}

func readLogout(form url.Values, issuer string, clients *client.Registry, set oidckeys.Set) Logout {
	l := Logout{Ask: true}
	if isRepeated(form) {
		return l
	}
	if locales := form.Get("ui_locales"); len(locales) <= maxLocales && isText(locales) {
		l.Locales = locales
	}
	id := form.Get("client_id")
	hint, hinted := readHint(form.Get("id_token_hint"), issuer, set)
	switch {
	case form.Get("id_token_hint") != "" && !hinted, hinted && id != "" && id != hint.Client:
		return l
	case hinted:
		id = hint.Client
	}
	c, ok := clients.Client(id)
	if !ok || !c.May(client.ScopeSignIn) {
		return l
	}
	l.Client, l.Subject, l.Ask = c.ID, hint.Subject, !hinted
	if uri := form.Get("post_logout_redirect_uri"); c.MayRedirectAfterLogout(uri) {
		l.RedirectURI = afterLogout(uri, form.Get("state"))
	}
	return l
}

// afterLogout is the address with the state, "" if the state cannot be given back whole.
func afterLogout(uri, state string) string {
	switch {
	case len(state) > maxState || !isText(state):
		return ""
	case state == "":
		return uri
	}
	return visit.WithQuery(uri, url.Values{"state": {state}})
}
