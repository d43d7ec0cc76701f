package twiliotest

import (
	"cmp"
	"net/http"
	"strings"

	"twofa/internal/testing/doubletest"
)

// OnLookup sets the reply to all requests that read a resource: the account, its numbers, a
// messaging service. Only those with known credentials get it.
func (d *Double) OnLookup(r Reply) { d.OnRead(r) }

// lookup returns the resource that a request reads, "" if it is none that the double has.
func (d *Double) lookup(r *http.Request) string {
	rest, ours := strings.CutPrefix(r.URL.Path, "/2010-04-01/Accounts/")
	switch {
	case r.Method != http.MethodGet:
	case ours && strings.HasSuffix(rest, "/IncomingPhoneNumbers.json"):
		return "numbers"
	case ours && !strings.Contains(rest, "/") && strings.HasSuffix(rest, ".json"):
		return "account"
	case strings.HasPrefix(r.URL.Path, "/v1/Services/"):
		return "service"
	}
	return ""
}

// serveLookup answers a request that reads a resource.
func (d *Double) serveLookup(w http.ResponseWriter, r *http.Request, call *Call, resource string) {
	user, password, _ := r.BasicAuth()
	token, key := user == d.account.AccountSID && password == d.account.AuthToken, user == d.account.APIKey && password == d.account.APISecret
	refuse := func(refusal refusal) { d.Write(w, call, refusal.answer()) }
	if !token && (!key || resource == "account" && !d.account.MainKey) {
		refuse(refusal{http.StatusUnauthorized, 20003, "Authentication Error - invalid username " + user})
		return
	}
	if d.Read(w, r, call, func(reply Reply) doubletest.Answer {
		code, _ := reply.Error.(int)
		return (&refusal{reply.Status, code, "Refused " + r.URL.String()}).answer()
	}) {
		return
	}
	status, body := d.read(r, resource)
	if status != http.StatusOK {
		refuse(refusal{status, 20404, "The requested resource " + r.URL.Path + " was not found"})
		return
	}
	d.Write(w, call, doubletest.Answer{Status: status, Body: doubletest.MustJSON(body)})
}

// read returns a resource. As with Twilio, that of the account holds its token.
func (d *Double) read(r *http.Request, resource string) (status int, body any) {
	a := d.account
	inAccount := strings.HasPrefix(r.URL.Path, "/2010-04-01/Accounts/"+a.AccountSID)
	switch {
	case resource == "account" && inAccount:
		return http.StatusOK, map[string]any{
			"sid": a.AccountSID, "auth_token": a.AuthToken, "friendly_name": "canary.owner@example.com",
			"status": cmp.Or(a.Status, "active"), "type": cmp.Or(a.Type, "Full"),
		}
	case resource == "numbers" && inAccount:
		numbers := []map[string]any{}
		asked := r.URL.Query().Get("PhoneNumber")
		for _, n := range []string{a.SMSFrom, a.VoiceFrom} {
			if asked == "" || asked == n {
				numbers = append(numbers, map[string]any{"phone_number": n, "friendly_name": "canary " + n})
			}
		}
		return http.StatusOK, map[string]any{"incoming_phone_numbers": numbers}
	case resource == "service" && r.URL.Path == "/v1/Services/"+a.MessagingServiceSID:
		return http.StatusOK, map[string]any{"sid": a.MessagingServiceSID, "friendly_name": "canary"}
	}
	return http.StatusNotFound, nil
}
