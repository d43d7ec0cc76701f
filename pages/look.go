package pages

import (
	"net/http"

	"twofa/internal/client"
	"twofa/internal/problem"
	"twofa/internal/web"
)

// Look serves the files that pages load. They say nothing about anybody.
type Look struct {
	// Logo returns the logo of a client's pages, nil if there is none. The id may be that of
	// no client.
	LogoOf func(id string) []byte
}

// keepFiles is how long a browser may keep a file whose address changes with its contents.
const keepFiles = "public, max-age=31536000, immutable"

// keepLogo is how long a browser may keep a logo, whose address stays the same.
const keepLogo = "public, max-age=3600"

// fileHeaders are the headers of a file.
func fileHeaders(keep string) map[string]string {
	return map[string]string{
		"Cache-Control": keep, "Cross-Origin-Resource-Policy": "same-origin",
		// An SVG is a document of its own if somebody opens its address.
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'",
	}
}

// Style returns the style in the colour that the parameter c names.
func (*Look) Style(r *http.Request) (Asset, error) {
	return Asset{ContentType: "text/css; charset=utf-8", Header: fileHeaders(keepFiles), Body: web.Style(r.URL.Query().Get("c"))}, nil
}

// Script returns the script of the pages.
func (*Look) Script(*http.Request) (Asset, error) {
	return Asset{ContentType: "text/javascript; charset=utf-8", Header: fileHeaders(keepFiles), Body: web.Script()}, nil
}

// Logo returns the logo of the client that the parameter c names, the operator's without it.
// The error is of kind NotFound if there is none.
func (l *Look) Logo(r *http.Request) (Asset, error) {
	logo := l.LogoOf(r.URL.Query().Get("c"))
	kind, ok := client.LogoType(logo)
	if !ok {
		return Asset{}, &problem.Error{Kind: problem.NotFound, Detail: "There is no logo."}
	}
	return Asset{ContentType: kind, Header: fileHeaders(keepLogo), Body: logo}, nil
}
