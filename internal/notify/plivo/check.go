package plivo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"twofa/internal/channel"
	"twofa/internal/check"
	"twofa/internal/notify/gateway"
)

var _ check.Checker = Options{}

var api = gateway.Checked{Provider: "Plivo", StatusPage: "status.plivo.com", BaseSetting: baseURLVariable}

// Check implements check.Checker: it reads the account with one GET, and says of each sender
// how it can be tested. The answer is not passed on: it holds the name and address of the
// account's owner.
func (o Options) Check(ctx context.Context) []check.Finding {
	found := []check.Finding{o.checkAccount(ctx)}
	for _, s := range []struct {
		name, setting string
		isSet         bool
	}{
		{"plivo whatsapp sender", senderVariables[channel.WhatsApp], o.WhatsAppFrom != ""},
		{"plivo sms sender", senderVariables[channel.SMS], o.SMSFrom != ""},
		{"plivo powerpack", powerpackVariable, o.PowerpackUUID != ""},
		{"plivo call number", senderVariables[channel.Call], o.CallFrom != ""},
	} {
		if s.isSet {
			found = append(found, gateway.Untested(s.name, s.setting))
		}
	}
	return found
}

// account is Plivo's Account resource. Only its auth_id is sure to be there: the other
// fields are read if they have the form that is known of them.
type account map[string]any

// isTrial reports whether the account is a trial.
func (a account) isTrial() bool { return a["account_type"] == "developer" }

// hasNoCredit reports whether it is certain that nothing can be paid for.
func (a account) hasNoCredit() bool {
	credits, err := strconv.ParseFloat(fmt.Sprint(a["cash_credits"]), 64)
	return err == nil && credits <= 0 && a["auto_recharge"] != true && a["billing_mode"] != "postpaid"
}

// checkAccount reads the account.
func (o Options) checkAccount(ctx context.Context) check.Finding {
	f := check.Finding{Name: "plivo account", Result: check.Failed, Setting: idVariable}
	if len(o.Faults()) > 0 { // config has reported them
		f.Text = "cannot be checked: the settings are at fault"
		return f
	}
	base, _ := o.parseBaseURL() // Faults has checked it
	req := gateway.NewRequest(ctx, http.MethodGet, base, "/v1/Account/"+o.AuthID+"/", nil)
	req.SetBasicAuth(o.AuthID, o.AuthToken)
	x := gateway.Ask(o.Transport, req)

	isCustom := base.Scheme+"://"+base.Host != defaultBaseURL
	if text := api.Trouble(ctx, x, isCustom && !isError(x.Body)); text != "" {
		if f.Text = text; isCustom {
			f.Setting = baseURLVariable
		}
		return f
	}
	var a account
	switch {
	case x.Status == http.StatusUnauthorized || x.Status == http.StatusForbidden:
		f.Setting, f.Text = tokenVariable, "is refused together with "+idVariable+": copy both again from the Plivo console, where you also see whether the account is suspended"
	case x.Status == http.StatusNotFound && isSubaccount(o.AuthID):
		f.Result, f.Text = check.Skipped, "names a subaccount, and Plivo does not show it: see it in the Plivo console"
	case x.Status == http.StatusNotFound:
		f.Text = "names an account that Plivo does not know: copy it again from the Plivo console"
	case x.Status >= 400:
		f.Result, f.Text = check.Skipped, "cannot be checked: Plivo refuses the request ("+strconv.Itoa(x.Status)+")"
	case json.Unmarshal(x.Body, &a) != nil || a["auth_id"] != o.AuthID:
		f.Text = api.NotTheirs()
	case a.isTrial():
		f.Result, f.Text = check.Warning, "names a trial account, which sends to verified numbers only: add credit in the Plivo console"
	case a.hasNoCredit():
		f.Text = "names an account without credit: nothing can be sent. Add credit in the Plivo console"
	default:
		f.Result, f.Text = check.OK, "names an account that can be used, and the credentials are right"
	}
	return f
}

func isSubaccount(id string) bool { return id[:2] == "SA" }
