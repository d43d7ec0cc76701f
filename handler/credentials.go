package handler

import (
	"errors"
	"log/slog"
	"net/http"
	"path"
	"strings"

	"twofa/internal/client"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
)

// api is what the patterns of all routes begin with that need a client's credentials.
const api = "/api/"

func (rt route) needsClient() bool { return strings.HasPrefix(rt.pattern, api) }

// challenge tells programs which credentials to send (RFC 7617).
const challenge = `Basic realm="twofa", charset="UTF-8"`

const textCredentials = "Send one Authorization header: Basic, a space and the base64 form of id:secret, with the id and a secret of your client (curl: -u id:secret)."

var errNoCredentials = &problem.Error{
	Kind: problem.Unauthorized, Err: errors.New("the request does not have one Authorization header of the form Basic"),
	Detail: "This service asks for credentials, and this request has none in the form that it reads. " + textCredentials,
}

// errWrongCredentials does not say whether there is such a client.
var errWrongCredentials = &problem.Error{
	Kind: problem.Unauthorized, Err: errors.New("the id or the secret is not right"),
	Detail: "The id or the secret of the client is not right. " + textCredentials,
}

// authenticated is an endpoint that refuses a request without a client's credentials. The
// next one finds the client in the request's context. Without clients, all requests are of
// client.Nameless, and the header Authorization is ignored.
//
// Only the header Authorization counts. The Functions host's key does not replace it, and
// neither do the headers in which App Service names a signed-in person, which anybody can
// send (X-MS-CLIENT-PRINCIPAL).
func (a *API) authenticated(next endpoint) endpoint {
	if a.Clients == nil {
		return next
	}
	return func(r *http.Request) (answer, error) {
		c, err := a.caller(r)
		if err != nil {
			return answer{header: map[string]string{"WWW-Authenticate": challenge}}, err
		}
		reqlog.Add(r.Context(), slog.String("client", c.ID))
		return next(r.WithContext(client.With(r.Context(), c)))
	}
}

// caller returns the client whose credentials a request has. Two headers are a mistake.
// The host joins them with a comma, which base64 does not have.
func (a *API) caller(r *http.Request) (client.Client, error) {
	id, secret, ok := r.BasicAuth()
	if !ok || len(r.Header.Values("Authorization")) != 1 {
		return client.Client{}, errNoCredentials
	}
	c, ok := a.Clients.Authenticate(id, secret)
	if !ok {
		return client.Client{}, errWrongCredentials
	}
	return c, nil
}

// allowed returns Forbidden if the request's client does not have the scope. A request
// that needed no credentials is of client.Nameless, which has all.
func allowed(r *http.Request, scope client.Scope) error {
	if client.From(r.Context()).May(scope) {
		return nil
	}
	return &problem.Error{
		Kind: problem.Forbidden, Err: errors.New("the client does not have the scope " + string(scope)),
		Detail: "This client does not have the scope " + string(scope) + ", which this request needs. The operator gives scopes in TWOFA_CLIENTS.",
	}
}

// unknown is the endpoint of all paths that are no route. Those below /api/, however they
// are written, need a client's credentials.
func (a *API) unknown() endpoint {
	notFound := func(*http.Request) (answer, error) { return answer{}, errNoRoute }
	below := a.authenticated(notFound)
	return func(r *http.Request) (answer, error) {
		asked := strings.ToLower(r.URL.Path)
		if strings.HasPrefix(asked, api) || strings.HasPrefix(path.Clean(asked)+"/", api) {
			return below(r)
		}
		return notFound(r)
	}
}
