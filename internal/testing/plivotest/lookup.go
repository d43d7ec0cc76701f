package plivotest

import (
	"cmp"
	"net/http"
	"strings"

	"twofa/internal/testing/doubletest"
)

// OnAccount sets the reply to all requests that read the account. Only those with the right
// credentials get it.
func (d *Double) OnAccount(r Reply) { d.OnRead(r) }

// isAccount reports whether a request reads an account.
func isAccount(r *http.Request) bool {
	id, isOurs := strings.CutPrefix(r.URL.Path, "/v1/Account/")
	return r.Method == http.MethodGet && isOurs && strings.HasSuffix(id, "/") && strings.Count(id, "/") == 1
}

// serveAccount answers a request that reads the account, with fields that a check must not
// pass on.
func (d *Double) serveAccount(w http.ResponseWriter, r *http.Request, call *Call) {
	refuse := func(refusal refusal) { d.Write(w, call, refusal.answer()) }
	user, password, _ := r.BasicAuth()
	if user != d.account.AuthID || password != d.account.AuthToken {
		refuse(refusal{http.StatusUnauthorized, "Could not verify " + user + " for that URL."})
		return
	}
	switch {
	case d.Read(w, r, call, func(reply Reply) doubletest.Answer {
		return (&refusal{reply.Status, "refused " + r.URL.String()}).answer()
	}):
	case r.URL.Path != "/v1/Account/"+d.account.AuthID+"/":
		refuse(refusal{http.StatusNotFound, "no resource " + r.URL.Path})
	default:
		a := d.account
		d.Write(w, call, doubletest.Answer{Status: http.StatusOK, Body: doubletest.MustJSON(map[string]any{
			"api_id": "948b53a2-3f08-11e7-b6f4-061564b78b75", "auth_id": a.AuthID, "name": "canary owner", "city": "canary", "state": "canary", "address": "canary",
			"account_type": cmp.Or(a.Type, "standard"), "billing_mode": cmp.Or(a.BillingMode, "prepaid"), "cash_credits": cmp.Or(a.Credits, "73.25000"),
			"auto_recharge": a.AutoRecharge, "resource_uri": r.URL.Path, "timezone": "UTC",
		})})
	}
}
