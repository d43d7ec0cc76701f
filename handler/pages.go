package handler

import (
	"net/http"

	"twofa/internal/problem"
	"twofa/pages"
)

// asset is an endpoint that answers with what f returns.
func asset(f func() (pages.Asset, error)) endpoint {
	return func(*http.Request) (answer, error) {
		a, err := f()
		if err != nil {
			return answer{}, problem.Unexpected(err)
		}
		return answer{status: http.StatusOK, body: verbatim{a.ContentType, a.Body}, header: a.Header}, nil
	}
}

// pageRoutes returns the routes of the pages for people, and of the files that these load.
func (a *API) pageRoutes() []route {
	get := func(screen string) access { return access{anybody, opPage, page(a.Check.Get(screen))} }
	post := func(operation, form string) access { return access{anybody, operation, page(a.Check.Post(form))} }
	return []route{
		{"/verify/check", "pages", byMethod{"GET": get("")}},
		{"/verify/check/address", "pages", byMethod{"GET": get("address")}},
		{"/verify/check/help", "pages", byMethod{"GET": get("help"), "POST": post(opPageHelp, "help")}},
		{"/verify/check/app", "pages", byMethod{"GET": get("app"), "POST": post(opPageCheck, "app")}},
		{"/verify/check/recovery", "pages", byMethod{"GET": get("recovery"), "POST": post(opPageCheck, "recovery")}},
		{"/verify/check/end", "pages", byMethod{"GET": get("end")}},
		{"/verify/check/send", "pages", byMethod{"GET": get("none"), "POST": post(opPageStart, "send")}},
		{"/verify/check/new", "pages", byMethod{"GET": get("none"), "POST": post(opPageStart, "new")}},
		{"/verify/check/resend", "pages", byMethod{"GET": get("none"), "POST": post(opPageResend, "resend")}},
		{"/verify/check/code", "pages", byMethod{"GET": get("none"), "POST": post(opPageCheck, "code")}},
		{"/verify/check/cancel", "pages", byMethod{"GET": get("none"), "POST": post(opPageCancel, "cancel")}},
		{"/verify/style", "pages", byMethod{"GET": {anybody, opNone, file(a.Look.Style)}}},
		{"/verify/script", "pages", byMethod{"GET": {anybody, opNone, file(a.Look.Script)}}},
		{"/verify/logo", "pages", byMethod{"GET": {anybody, opNone, file(a.Look.Logo)}}},
	}
}

// page is an endpoint that answers a browser.
func page(f func(*http.Request) pages.Answer) endpoint {
	return func(r *http.Request) (answer, error) {
		a := f(r)
		ans := answer{status: a.Status, header: a.Header, cookies: a.Cookies, refused: a.Problem}
		if a.Body != nil {
			ans.body = verbatim{a.Header["Content-Type"], a.Body}
		}
		return ans, nil
	}
}

// file is an endpoint that answers with a file of the pages' look.
func file(f func(*http.Request) (pages.Asset, error)) endpoint {
	return func(r *http.Request) (answer, error) {
		a, err := f(r)
		if err != nil {
			return answer{}, err
		}
		return answer{status: http.StatusOK, body: verbatim{a.ContentType, a.Body}, header: a.Header}, nil
	}
}

// keysMaxAge is how long apps may keep the public keys of receipts. A receipt is valid as
// long, so that the keys of a secret that was retired are forgotten as fast.
const keysMaxAge = "public, max-age=300"

// keySet answers the public keys of receipts (RFC 7517).
func (a *API) keySet(*http.Request) (answer, error) {
	keys, err := a.Pages.KeySet()
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: verbatim{"application/json", keys}, header: map[string]string{"Cache-Control": keysMaxAge}}, nil
}
