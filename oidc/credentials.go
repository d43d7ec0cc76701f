package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"twofa/internal/client"
	"twofa/internal/web"
)

// readForm returns the form in a request's body. Parameters of the query do not count: logs keep them (RFC 6749,
// 2.3.1).
func readForm(r *http.Request) (url.Values, *failure) {
	form, err := web.ParseForm(r)
	switch {
	case errors.Is(err, web.ErrFormType):
		return nil, refused("invalid_request", "Send the parameters as application/x-www-form-urlencoded.")
	case err != nil:
		return nil, refused("invalid_request", "The form cannot be read, or is too long.")
	case isRepeated(form):
		return nil, refused("invalid_request", "A parameter is repeated.")
	}
	return form, nil
}

// credentials are how a client authenticates at the token endpoint (RFC 6749, 2.3.1).
type credentials struct {
	id, secret string
	isBasic    bool
}

// readCredentials reads the header Authorization, else the form. Libraries differ in whether they encode the two
// halves of Basic as a form, as the RFC says. Ids and secrets of the service are the same either way; what is not
// encoded well is taken as it is.
func readCredentials(r *http.Request, form url.Values) (credentials, *failure) {
	sent := credentials{id: form.Get("client_id"), secret: form.Get("client_secret")}
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return sent, nil
	}
	id, secret, ok := r.BasicAuth()
	switch {
	case !ok || len(headers) > 1:
		return sent, refusedClient(true, "The header Authorization has to be one of the scheme Basic.")
	case sent.secret != "":
		return sent, refused("invalid_request", "The client authenticates in two ways.")
	case sent.id != "" && sent.id != decoded(id):
		return sent, refused("invalid_request", "client_id is not the one of the header Authorization.")
	}
	return credentials{id: decoded(id), secret: decoded(secret), isBasic: true}, nil
}

// decoded is one half of Basic without its encoding as a form.
func decoded(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// challenge is the answer's header to a client that has used the header Authorization.
const challenge = `Basic realm="twofa", charset="UTF-8"`

// refusedClient is the failure of a client that is not authenticated. Some libraries do not read the body of an
// answer with WWW-Authenticate, so only those get it that have used Authorization.
func refusedClient(isBasic bool, description string) *failure {
	f := &failure{status: http.StatusUnauthorized, code: "invalid_client", description: description}
	if isBasic {
		f.header = map[string]string{"WWW-Authenticate": challenge}
	}
	return f
}

// authenticate returns the client of a token request. A public client has its id alone (RFC 6749, 2.1), with or
// without an empty secret.
func (p *Provider) authenticate(r *http.Request, form url.Values) (client.Client, *failure) {
	sent, f := readCredentials(r, form)
	if f != nil {
		return client.Client{}, f
	}
	c, ok := p.Clients.Client(sent.id)
	if !ok || !c.Public || sent.secret != "" {
		c, ok = p.Clients.Authenticate(sent.id, sent.secret)
	}
	switch {
	case !ok && sent.secret == "" && !sent.isBasic:
		return client.Client{}, refusedClient(false, "The client did not authenticate, with Basic or with client_secret.")
	case !ok:
		return client.Client{}, refusedClient(sent.isBasic, "The id or the secret of the client is not right.")
	}
	note(r, c)
	if !c.May(client.ScopeSignIn) {
		return c, refused("unauthorized_client", "This client does not have the scope signin.")
	}
	return c, nil
}

// bearer returns the access token in the header Authorization (RFC 6750, 2.1).
func bearer(r *http.Request) (token string, ok bool) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer")
}
