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
