package handler

import (
	"net/http"

	"twofa/internal/enrollpage"
	"twofa/pages"
)

// pageRoutes returns the routes of the pages for people, and of the files that these load.
func (a *API) pageRoutes() []route {
	do := func(operation string, f func(*http.Request) pages.Answer) access {
		return access{anybody, operation, page(f)}
	}
	look := func(f func(*http.Request) pages.Answer) access { return do(opPage, f) }
	check, sent := a.Site.GetCheck, a.Site.PostCheck
	return append(enrollRoutes("/verify/enroll", "pages", a.Site.Enrollment()), []route{
		{"/verify/check", "pages", byMethod{"GET": look(check(""))}},
		{"/verify/check/address", "pages", byMethod{"GET": look(check("address"))}},
		{"/verify/check/help", "pages", byMethod{"GET": look(check("help")), "POST": do(opPageHelp, sent("help"))}},
		{"/verify/check/app", "pages", byMethod{"GET": look(check("app")), "POST": do(opPageCheck, sent("app"))}},
		{"/verify/check/recovery", "pages", byMethod{"GET": look(check("recovery")), "POST": do(opPageCheck, sent("recovery"))}},
		{"/verify/check/end", "pages", byMethod{"GET": look(check("end"))}},
		{"/verify/check/send", "pages", byMethod{"GET": look(check("none")), "POST": do(opPageStart, sent("send"))}},
		{"/verify/check/new", "pages", byMethod{"GET": look(check("none")), "POST": do(opPageStart, sent("new"))}},
		{"/verify/check/resend", "pages", byMethod{"GET": look(check("none")), "POST": do(opPageResend, sent("resend"))}},
		{"/verify/check/code", "pages", byMethod{"GET": look(check("none")), "POST": do(opPageCheck, sent("code"))}},
		{"/verify/check/cancel", "pages", byMethod{"GET": look(check("none")), "POST": do(opPageCancel, sent("cancel"))}},

		{"/verify/link", "pages", byMethod{"GET": look(a.Site.GetLink()), "POST": do(opPageLink, a.Site.PostLink())}},

		{"/verify/style", "pages", byMethod{"GET": {anybody, opNone, file(a.Look.Style)}}},
		{"/verify/script", "pages", byMethod{"GET": {anybody, opNone, file(a.Look.Script)}}},
		{"/verify/logo", "pages", byMethod{"GET": {anybody, opNone, file(a.Look.Logo)}}},
	}...)
}

// enrollRoutes returns the routes below a path on which a person sets up authenticator apps and recovery codes.
func enrollRoutes(path, function string, p *enrollpage.Pages) []route {
	do := func(operation string, f func(*http.Request) pages.Answer) access {
		return access{anybody, operation, page(f)}
	}
	look := func(screen string) access { return do(opPage, p.Get(screen)) }
	form := func(operation, name string) byMethod {
		return byMethod{"GET": look("none"), "POST": do(operation, p.Post(name))}
	}
	return []route{
		{path, function, byMethod{"GET": look("")}},
		{path + "/app", function, byMethod{"GET": look("app"), "POST": do(opPageConfirm, p.Post("app"))}},
		{path + "/end", function, byMethod{"GET": look("end")}},
		{path + "/begin", function, form(opPageBegin, "begin")},
		{path + "/add", function, form(opPageAdd, "add")},
		{path + "/remove", function, form(opPageRemove, "remove")},
		{path + "/keep", function, form(opPageKeep, "keep")},
		{path + "/codes", function, form(opPageCodes, "codes")},
		{path + "/kept", function, form(opPageKept, "kept")},
		{path + "/save", function, form(opPageSave, "save")},
		{path + "/cancel", function, form(opPageCancel, "cancel")},
	}
}

// page is an endpoint that answers a browser. It is called for each route: in line, each call would have a copy of
// it, 0.1 MB in all.
//
//go:noinline
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

// file is an endpoint that answers with a file: of the pages' look, or the document of the API.
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
