package plivotest

import (
	"cmp"
	"net/http"
	"strings"
)

// OnAccount sets the reply to all requests that read the account. Only those with the right
// credentials get it.
func (d *Double) OnAccount(r Reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onAccount = &r
}

// isAccount reports whether a request reads an account.
func isAccount(r *http.Request) bool {
	id, isOurs := strings.CutPrefix(r.URL.Path, "/v1/Account/")
	return r.Method == http.MethodGet && isOurs && strings.HasSuffix(id, "/") && strings.Count(id, "/") == 1
}

// serveAccount answers a request that reads the account, with fields that a check must not
// pass on.
func (d *Double) serveAccount(w http.ResponseWriter, r *http.Request, call *Call) {
	refuse := func(refusal refusal) { d.answer(w, call, refusal.status, refusal.body()) }
	user, password, _ := r.BasicAuth()
	if user != d.account.AuthID || password != d.account.AuthToken {
		refuse(refusal{http.StatusUnauthorized, "Could not verify " + user + " for that URL."})
		return
	}
	d.mu.Lock()
	scripted := d.onAccount
	d.mu.Unlock()
	switch {
	case scripted != nil:
		d.play(w, r, call, *scripted)
	case r.URL.Path != "/v1/Account/"+d.account.AuthID+"/":
		refuse(refusal{http.StatusNotFound, "no resource " + r.URL.Path})
	default:
		a := d.account
		d.answer(w, call, http.StatusOK, mustJSON(map[string]any{
			"api_id": "948b53a2-3f08-11e7-b6f4-061564b78b75", "auth_id": a.AuthID, "name": "canary owner", "city": "canary", "state": "canary", "address": "canary",
			"account_type": cmp.Or(a.Type, "standard"), "billing_mode": cmp.Or(a.BillingMode, "prepaid"), "cash_credits": cmp.Or(a.Credits, "73.25000"),
			"auto_recharge": a.AutoRecharge, "resource_uri": r.URL.Path, "timezone": "UTC",
		}))
	}
}

// play answers with a scripted reply, whose text quotes the request.
func (d *Double) play(w http.ResponseWriter, r *http.Request, call *Call, reply Reply) {
	if (reply.after > 0 || reply.ending == hang) && !d.wait(r, reply) || reply.ending == drop {
		panic(http.ErrAbortHandler)
	}
	for name, value := range reply.header {
		w.Header().Set(name, value)
	}
	if reply.body != nil {
		d.answer(w, call, reply.status, *reply.body)
		return
	}
	d.answer(w, call, reply.status, (&refusal{reply.status, "refused " + r.URL.String()}).body())
}
