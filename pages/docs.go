package pages

import (
	"net/http"
	"sync"

	"twofa/internal/apidoc"
	"twofa/internal/problem"
)

// keepDocs is how long a browser may keep the document and its page: short, because the
// answers change with a new version of the service.
const keepDocs = "public, max-age=300"

// Docs serves the OpenAPI document and the page that is made of it. It is safe for
// concurrent use, and must not be copied.
type Docs struct {
	// PublicURL is the origin under which the internet reaches the service, "" if it cannot.
	PublicURL string

	once     sync.Once // nothing is made at the start of the process
	document Asset
	page     Asset
	err      error
}

// OpenAPI returns the document. An error is a defect of the document, of kind Internal.
func (d *Docs) OpenAPI(*http.Request) (Asset, error) {
	d.once.Do(d.make)
	return d.document, d.err
}

// Page returns the page. An error is a defect of the document, of kind Internal.
func (d *Docs) Page(*http.Request) (Asset, error) {
	d.once.Do(d.make)
	return d.page, d.err
}

func (d *Docs) make() {
	text, err := apidoc.JSON(d.PublicURL)
	if err != nil {
		d.err = problem.Unexpected(err)
		return
	}
	d.document = Asset{
		ContentType: "application/openapi+json",
		Header:      map[string]string{"Cache-Control": keepDocs},
		Body:        text,
	}
	page, err := apidoc.Page(text)
	if err != nil {
		d.err = problem.Unexpected(err)
		return
	}
	d.page = Asset{
		ContentType: "text/html; charset=utf-8",
		Header: map[string]string{
			"Cache-Control":           keepDocs,
			"Content-Security-Policy": "default-src 'none'; style-src " + apidoc.StyleSource + "; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"Referrer-Policy":         "no-referrer",
		},
		Body: page,
	}
}
