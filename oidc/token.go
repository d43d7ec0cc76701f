package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"twofa/internal/client"
	"twofa/internal/grant"
	"twofa/internal/problem"
	"twofa/internal/web"
)

// tokens is the answer of the token endpoint (RFC 6749, 5.1; OpenID Connect Core, 3.1.3.3).
type tokens struct {
	Access    string `json:"access_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"` // seconds
	ID        string `json:"id_token"`
	Scope     string `json:"scope"`
}

// Token exchanges a code for tokens. All answers are JSON.
func (p *Provider) Token(r *http.Request) web.Answer {
	form, f := readForm(r)
	if f != nil {
		return p.shared(r, client.Client{}, f.answer())
	}
	c, f := p.authenticate(r, form)
	if f != nil {
		return p.shared(r, c, f.answer())
	}
	given, f := p.exchange(r, c, form)
	if f != nil {
		return p.shared(r, c, f.answer())
	}
	return p.shared(r, c, answerJSON(http.StatusOK, given))
}

// exchange exchanges the code of a form. Two round trips and those of finding the person, and at most one for the
// keys.
func (p *Provider) exchange(r *http.Request, c client.Client, form url.Values) (tokens, *failure) {
	ctx := r.Context()
	switch {
	case form.Get("grant_type") == "":
		return tokens{}, refused("invalid_request", "grant_type is missing.")
	case form.Get("grant_type") != "authorization_code":
		return tokens{}, refused("unsupported_grant_type", "grant_type has to be authorization_code.")
	case form.Get("code") == "":
		return tokens{}, refused("invalid_request", "code is missing.")
	}
	if _, err := p.Keys.Load(ctx); err != nil { // before the code is used up
		return tokens{}, failed(err)
	}
	x := grant.Exchange{Code: form.Get("code"), Client: c.ID, RedirectURI: form.Get("redirect_uri"), Verifier: form.Get("code_verifier")}
	g, token, err := p.Grants.Exchange(ctx, x)
	if errors.Is(err, grant.ErrInvalid) {
		return tokens{}, refused("invalid_grant", "The code is not valid, or client, redirect_uri or code_verifier do not fit it.")
	} else if err != nil {
		return tokens{}, failed(err)
	}
	person, err := p.person(ctx, g, c)
	if problem.Is(err, problem.NotFound) {
		return tokens{}, refused("invalid_grant", "The account is gone.")
	} else if err != nil {
		return tokens{}, failed(err)
	}
	id, err := p.Keys.Sign(ctx, idClaims(p.Issuer, g, person, c, token, p.Now()))
	if err != nil {
		return tokens{}, failed(err)
	}
	return tokens{token, "Bearer", int(grant.TokenLifetime / time.Second), id, strings.Join(g.Scopes, " ")}, nil
}
