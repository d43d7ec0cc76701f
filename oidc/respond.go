package oidc

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"twofa/internal/client"
	"twofa/internal/problem"
	"twofa/internal/visit"
	"twofa/internal/web"
)

// Respond sends the browser to the app with the parameters of an answer, to which it adds state and iss (RFC 9207).
// The page of a form_post is in the language of the locale and in the look of the client.
func (p *Provider) Respond(r Request, c client.Client, locale string, values url.Values) web.Answer {
	values = maps.Clone(values)
	if r.State != "" {
		values.Set("state", r.State)
	}
	values.Set("iss", p.Issuer)
	if r.FormPost {
		return p.post(r, c, locale, values)
	}
	return redirect(visit.WithQuery(r.RedirectURI, values))
}

// redirect is an answer that a browser follows with a GET, also after a POST (RFC 9700, 4.12).
func redirect(to string) web.Answer {
	return web.Answer{Status: http.StatusSeeOther, Header: map[string]string{"Location": to, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}}
}

// post is an answer with a page whose form goes to the app (OAuth 2.0 Form Post Response Mode 1.0).
func (p *Provider) post(r Request, c client.Client, locale string, values url.Values) web.Answer {
	screen := web.PostScreen{Action: r.RedirectURI}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		screen.Fields = append(screen.Fields, web.Field{Name: name, Value: values.Get(name)})
	}
	body, err := p.Renderer.Render(locale, p.Look(c), screen, p.Now())
	if err != nil {
		return failed(problem.Unexpected(err)).answer()
	}
	return web.Answer{Status: http.StatusOK, Header: web.Headers(FormAction(r.RedirectURI)), Body: body}
}

// FormAction is the source in form-action of a policy (CSP Level 3, 2.3.1) that lets a form reach a redirect
// address, also by a redirect after it: the address's origin, or the scheme of an app.
func FormAction(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil || u.Scheme == "":
		return "'none'"
	case u.Scheme != "https" && u.Scheme != "http", strings.Contains(u.Host, "["): // a source has no IPv6 address
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}
