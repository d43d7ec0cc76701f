package oidc

import (
	"net/http"
	"slices"

	"twofa/internal/client"
	"twofa/internal/web"
)

// corsMaxAge is how long a browser keeps the answer to a preflight.
const corsMaxAge = "3600"

// Preflight answers the request that a browser sends before a script's one of another origin (Fetch, 4.8). It names
// no client, so the origin may be one of any. The token endpoint and userinfo take no cookies, so that a script
// gets nothing with it that it does not have.
func (p *Provider) Preflight(r *http.Request) web.Answer {
	a := web.Answer{Status: http.StatusNoContent, Header: map[string]string{"Vary": "Origin"}}
	if origin := r.Header.Get("Origin"); p.Clients.HasOrigin(origin) {
		a.Header["Access-Control-Allow-Origin"] = origin
		a.Header["Access-Control-Allow-Methods"] = "GET, POST"
		a.Header["Access-Control-Allow-Headers"] = "authorization, content-type"
		a.Header["Access-Control-Max-Age"] = corsMaxAge
	}
	return a
}

// shared lets the script of an origin read an answer: of the client's origins, or of any client's while it is not
// known who asks.
func (p *Provider) shared(r *http.Request, c client.Client, a web.Answer) web.Answer {
	a.Header["Vary"] = "Origin"
	origin := r.Header.Get("Origin")
	if c.ID == "" && p.Clients.HasOrigin(origin) || slices.Contains(c.Origins, origin) {
		a.Header["Access-Control-Allow-Origin"] = origin
		a.Header["Access-Control-Expose-Headers"] = "WWW-Authenticate"
	}
	return a
}
