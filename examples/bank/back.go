package main

import (
	"crypto/subtle"
	"errors"
	"net/http"
)

// errElsewhere: the address is not one with which this browser can come back.
var errElsewhere = errors.New("the address belongs to another browser, or to an errand that is over")

// ended is why twofa's page ended without a result.
type ended string

// Error implements error. People read words instead.
func (e ended) Error() string { return "the page ended without a result" }

// cameBack reads the address with which the browser comes back from twofa's page. The address
// alone is worth nothing, since anybody can send a person to it. Two things make it safe:
//
//   - The session in it has to be the one that this browser began, and for the same purpose. So
//     it can't be that of somebody else, or of another payment.
//   - The outcome is fetched with the state out of the bank's own cookie. So twofa gives it only
//     for the browser in which the errand began.
//
// began is the id that the bank kept, "" if nothing is under way. Errors: errElsewhere, ended.
func (b *bank) cameBack(r *http.Request, began, cookie string) (returned, error) {
	query := r.URL.Query()
	if began == "" || subtle.ConstantTimeCompare([]byte(query.Get("session")), []byte(began)) != 1 {
		return returned{}, errElsewhere
	}
	if query.Has("error") {
		return returned{}, ended(query.Get("error"))
	}
	return returned{Session: began, State: b.value(r, cookie), Result: query.Get("result")}, nil
}

// sendTo sends the browser to twofa's page, with the state in a cookie.
func (b *bank) sendTo(w http.ResponseWriter, r *http.Request, p page, cookie, state string) {
	http.SetCookie(w, b.cookie(cookie, state, loginLife))
	http.Redirect(w, r, p.URL, http.StatusSeeOther)
}

// mayRepeat reports whether the same call may work later. A fetch sends no message and costs no
// try, so its repetition is safe.
func mayRepeat(err error) bool {
	p, ok := errors.AsType[*problem](err)
	return errors.Is(err, errUnreachable) || ok && p.Status >= 500
}

// retry asks the person to reload the page, which repeats the fetch.
func (b *bank) retry(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "5")
	b.render(w, http.StatusServiceUnavailable, "retry", view{Error: textReload})
}
