package oidc

import (
	"errors"
	"net/http"

	"twofa/internal/client"
	"twofa/internal/grant"
	"twofa/internal/problem"
	"twofa/internal/web"
)

// Userinfo answers the claims about the person of an access token (OpenID Connect Core, 5.3), which is in the header
// Authorization or in the form of a POST (RFC 6750, 2.1 and 2.2).
func (p *Provider) Userinfo(r *http.Request) web.Answer {
	claims, c, f := p.userinfo(r)
	if f != nil {
		return p.shared(r, c, f.answer())
	}
	return p.shared(r, c, answerJSON(http.StatusOK, claims))
}

// refusedToken is the failure of a request without a valid access token. A request without any token is told no
// error (RFC 6750, 3.1).
func refusedToken(code, description string) *failure {
	f := &failure{status: http.StatusUnauthorized, code: code, description: description}
	f.header = map[string]string{"WWW-Authenticate": `Bearer realm="twofa", error="` + code + `", error_description="` + description + `"`}
	return f
}

func (p *Provider) userinfo(r *http.Request) (map[string]any, client.Client, *failure) {
	token, f := accessToken(r)
	if f != nil {
		return nil, client.Client{}, f
	}
	invalid := refusedToken("invalid_token", "The access token is not valid any more.")
	g, err := p.Grants.Use(r.Context(), token)
	if errors.Is(err, grant.ErrInvalid) {
		return nil, client.Client{}, invalid
	} else if err != nil {
		return nil, client.Client{}, failed(err)
	}
	c, ok := p.Clients.Client(g.Client)
	if !ok || !c.May(client.ScopeSignIn) {
		return nil, client.Client{}, invalid
	}
	note(r, c)
	person, err := p.person(r.Context(), g, c)
	if problem.Is(err, problem.NotFound) {
		return nil, c, invalid
	} else if err != nil {
		return nil, c, failed(err)
	}
	return personClaims(person, c, g.Scopes), c, nil
}

// accessToken returns the access token of a request, which has to have one.
func accessToken(r *http.Request) (string, *failure) {
	token, hasHeader := bearer(r)
	inForm := ""
	if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "" {
		form, f := readForm(r)
		if f != nil && !hasHeader { // a body that is no form is nothing, as long as the header has the token
			return "", f
		}
		inForm = form.Get("access_token")
	}
	switch {
	case hasHeader && inForm != "":
		return "", refused("invalid_request", "The access token is there twice.")
	case hasHeader:
		return token, nil
	case inForm != "" && r.Header.Get("Authorization") == "":
		return inForm, nil
	}
	f := refusedToken("invalid_token", "There is no access token.")
	f.header["WWW-Authenticate"] = `Bearer realm="twofa"`
	return "", f
}
