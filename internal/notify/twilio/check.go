package twilio

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"twofa/internal/channel"
	"twofa/internal/check"
	"twofa/internal/notify/gateway"
)

// The errors of Twilio that Check tells apart.
const (
	codeNotFound        = 20404
	codeTestCredentials = 20008
)

var _ check.Checker = Options{}

// Check implements check.Checker: it reads the account, and what the settings name in it.
// It sends GET requests only, at most five, over the transport of messages, which follows no
// redirect and reads 64 KiB. The answers are not passed on: that about the account holds its
// token.
func (o Options) Check(ctx context.Context) []check.Finding {
	if faults := o.Faults(); len(faults) > 0 { // config has reported them
		return []check.Finding{{Name: "twilio account", Result: check.Failed, Setting: "TWILIO_ACCOUNT_SID", Text: "cannot be checked: the settings are at fault"}}
	}
	base, _ := o.parseBaseURL() // Faults has checked it
	l := lookups{Options: o, base: base, transport: o.Transport}
	if l.transport == nil {
		t := gateway.NewTransport()
		defer t.CloseIdleConnections()
		l.transport = t
	}
	found := l.credentials(ctx)
	usable := check.Worst(found) != check.Failed
	return append(found, l.senders(ctx, usable)...)
}

// lookups are the requests of one Check.
type lookups struct {
	Options
	base      *url.URL
	transport http.RoundTripper
}

// login is one of the two credentials.
type login struct{ user, password, variable string }

func (l lookups) token() login {
	return login{l.AccountSID, l.AuthToken, "TWILIO_AUTH_TOKEN"}
}

// sending is the login that sends messages.
func (l lookups) sending() login {
	if l.APIKey != "" {
		return login{l.APIKey, l.APISecret, "TWILIO_API_SECRET"}
	}
	return l.token()
}

// answer is what a GET has led to.
type answer struct {
	gateway.Exchange
	code int // Twilio's error number, 0 if there is none
}

// get sends a GET to the path below a base, through the transport of messages.
func (l lookups) get(ctx context.Context, base *url.URL, who login, path string, query url.Values) answer {
	req := gateway.NewRequest(ctx, http.MethodGet, base, path, nil)
	req.URL.RawQuery = query.Encode()
	req.SetBasicAuth(who.user, who.password)
	a := answer{Exchange: gateway.Do(l.transport, req)}
	var refusal struct {
		Code int `json:"code"`
	}
	if a.Status >= 400 && json.Unmarshal(a.Body, &refusal) == nil {
		a.code = errorNumber(refusal.Code)
	}
	return a
}

// account is the path below the account's own.
func (l lookups) account(rest string) string { return "/2010-04-01/Accounts/" + l.AccountSID + rest }

// decode reads the answer if it is a success and JSON.
func (a answer) decode(v any) bool {
	return a.Err == nil && a.Status == http.StatusOK && json.Unmarshal(bytes.TrimSpace(a.Body), v) == nil
}

// trouble describes an answer that says nothing about what was asked for. Empty: it does.
// The setting is the one to look at.
func (l lookups) trouble(ctx context.Context, a answer) (setting, text string) {
	setting = "TWILIO_ACCOUNT_SID"
	if l.isCustom() {
		setting = api.BaseSetting
	}
	return setting, api.Trouble(ctx, a.Exchange, a.code == 0 && l.isCustom())
}

func (l lookups) isCustom() bool { return l.base.Scheme+"://"+l.base.Host != defaultBaseURL }

var api = gateway.Checked{Provider: "Twilio", StatusPage: "status.twilio.com", BaseSetting: "TWILIO_BASE_URL"}

// credentials checks the account with the token, and the API key if there is one.
func (l lookups) credentials(ctx context.Context) []check.Finding {
	if l.APIKey == "" {
		return []check.Finding{l.accountState(ctx, l.token())}
	}
	var account, key check.Finding
	var wait sync.WaitGroup
	wait.Go(func() { key = l.keyState(ctx) })
	wait.Go(func() {
		if l.AuthToken != "" {
			account = l.accountState(ctx, l.token())
			return
		}
		account = l.accountState(ctx, l.sending())
	})
	wait.Wait()
	if l.AuthToken == "" && account.Setting == "TWILIO_API_SECRET" && key.Result == check.OK {
		// Twilio answers 401 about the account to keys of the types Standard and
		// Restricted, although they can send.
		account.Result, account.Text = check.Skipped, "is of an API key that may not read the account: see in the Twilio console whether it is active and no trial"
	}
	return []check.Finding{account, key}
}

// accountState reads the account.
func (l lookups) accountState(ctx context.Context, who login) check.Finding {
	f := check.Finding{Name: "twilio account", Result: check.Failed, Setting: "TWILIO_ACCOUNT_SID"}
	a := l.get(ctx, l.base, who, l.account(".json"), nil)
	if setting, text := l.trouble(ctx, a); text != "" {
		f.Setting, f.Text = setting, text
		return f
	}
	var account struct {
		SID    string `json:"sid"`
		Status string `json:"status"`
		Type   string `json:"type"`
	}
	switch {
	case a.code == codeTestCredentials:
		f.Result, f.Setting, f.Text = check.Warning, who.variable, "is one of Twilio's test credentials: nothing reaches people. Set the live ones"
	case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
		f.Setting, f.Text = who.variable, "is refused together with TWILIO_ACCOUNT_SID: copy both again from the Twilio console, where you also see whether the account is suspended"
	case a.Status == http.StatusNotFound:
		f.Text = "names an account that Twilio does not know: copy it again from the Twilio console"
	case !a.decode(&account) || !strings.EqualFold(account.SID, l.AccountSID):
		f.Text = api.NotTheirs()
	case account.Status == "suspended" || account.Status == "closed":
		f.Text = "names an account that is " + account.Status + ": nothing can be sent. See the Twilio console"
	case account.Status != "active":
		f.Result, f.Text = check.Warning, "names an account in a state that twofa does not know: see the Twilio console"
	case strings.EqualFold(account.Type, "trial"):
		f.Result, f.Text = check.Warning, "names a trial account, which sends to verified numbers only: upgrade it in the Twilio console"
	default:
		f.Result, f.Text = check.OK, "names an active account, and the credentials are right"
	}
	return f
}

// keyState checks the API key with a list that keys of the type Standard may read.
func (l lookups) keyState(ctx context.Context) check.Finding {
	f := check.Finding{Name: "twilio key", Result: check.Failed, Setting: "TWILIO_API_SECRET"}
	a := l.get(ctx, l.base, l.sending(), l.account("/IncomingPhoneNumbers.json"), url.Values{"PageSize": {"1"}})
	if setting, text := l.trouble(ctx, a); text != "" {
		f.Setting, f.Text = setting, text
		return f
	}
	switch {
	case a.Status == http.StatusUnauthorized:
		f.Text = "is refused together with TWILIO_API_KEY: make a new key in the Twilio console, in the region US1 and in the account of TWILIO_ACCOUNT_SID"
	case a.Status == http.StatusForbidden:
		f.Result, f.Text = check.Warning, "is of a restricted key that may not read numbers: see in the Twilio console that it may create messages and calls"
	case a.Status == http.StatusNotFound:
		f.Setting, f.Text = "TWILIO_ACCOUNT_SID", "names an account that Twilio does not know: copy it again from the Twilio console"
	default:
		if _, ok := a.numbers(); !ok {
			f.Text = api.NotTheirs()
			break
		}
		f.Result, f.Text = check.OK, "is right, together with TWILIO_API_KEY"
	}
	return f
}

// numbers reads a list of the account's numbers.
func (a answer) numbers() (numbers []string, ok bool) {
	var list struct {
		Numbers *[]struct {
			Number string `json:"phone_number"`
		} `json:"incoming_phone_numbers"`
	}
	if !a.decode(&list) || list.Numbers == nil {
		return nil, false
	}
	for _, n := range *list.Numbers {
		numbers = append(numbers, n.Number)
	}
	return numbers, true
}

// senders checks the messaging service and the senders of the settings.
func (l lookups) senders(ctx context.Context, usable bool) []check.Finding {
	var checks []func() check.Finding
	add := func(name, setting string, ask func() (check.Result, string)) {
		checks = append(checks, func() check.Finding {
			f := check.Finding{Name: name, Setting: setting, Result: check.Skipped, Text: "was not checked: the account cannot be used"}
			if usable {
				f.Result, f.Text = ask()
			}
			return f
		})
	}
	if l.MessagingServiceSID != "" {
		add("twilio messaging service", serviceVariable, func() (check.Result, string) { return l.service(ctx) })
	}
	if l.WhatsAppFrom != "" {
		add("twilio whatsapp sender", senderVariables[channel.WhatsApp], func() (check.Result, string) {
			return check.Skipped, "cannot be checked without a message: send yourself one"
		})
	}
	switch {
	case gateway.IsE164(l.SMSFrom):
		add("twilio sms sender", senderVariables[channel.SMS], func() (check.Result, string) {
			return l.number(ctx, l.SMSFrom, "is not among the numbers of the account: SMS are refused unless the number is hosted. Buy it, or correct the setting")
		})
	case l.SMSFrom != "":
		add("twilio sms sender", senderVariables[channel.SMS], func() (check.Result, string) {
			return check.Skipped, "is a short code or a name, which cannot be checked without a message: send yourself one"
		})
	}
	if l.VoiceFrom != "" {
		add("twilio voice number", senderVariables[channel.Call], func() (check.Result, string) {
			return l.number(ctx, l.VoiceFrom, "is not among the numbers of the account: calls are refused unless it is a verified caller ID. Buy it, or correct the setting")
		})
	}
	found := make([]check.Finding, len(checks))
	var wait sync.WaitGroup
	for i, run := range checks {
		wait.Go(func() { found[i] = run() })
	}
	wait.Wait()
	return found
}

// number says whether the account has a number. absent is the text if not.
func (l lookups) number(ctx context.Context, number, absent string) (check.Result, string) {
	a := l.get(ctx, l.base, l.sending(), l.account("/IncomingPhoneNumbers.json"), url.Values{"PhoneNumber": {number}, "PageSize": {"1"}})
	if result, text := l.unknown(ctx, a); text != "" {
		return result, text
	}
	numbers, ok := a.numbers()
	switch {
	case !ok:
		return check.Failed, api.NotTheirs()
	case len(numbers) == 0 || numbers[0] != number:
		return check.Warning, absent
	}
	return check.OK, "is a number of the account"
}

// service says whether the account has the messaging service.
func (l lookups) service(ctx context.Context) (check.Result, string) {
	a := l.get(ctx, l.messaging(), l.sending(), "/v1/Services/"+l.MessagingServiceSID, nil)
	if a.Status == http.StatusNotFound && a.code == codeNotFound {
		return check.Failed, "names a messaging service that the account does not have: copy it again from the Twilio console"
	}
	if result, text := l.unknown(ctx, a); text != "" {
		return result, text
	}
	var service struct {
		SID string `json:"sid"`
	}
	if !a.decode(&service) || !strings.EqualFold(service.SID, l.MessagingServiceSID) {
		return check.Failed, api.NotTheirs()
	}
	return check.OK, "names a messaging service of the account. Its senders were not checked"
}

// unknown describes an answer that does not say whether a sender exists. Empty: it does.
func (l lookups) unknown(ctx context.Context, a answer) (check.Result, string) {
	_, text := l.trouble(ctx, a)
	switch {
	case text != "" && a.Err == nil && a.Status >= 400 && a.Status < 500 && a.Status != http.StatusTooManyRequests:
		return check.Skipped, "cannot be checked: the server at TWILIO_BASE_URL does not know the request"
	case text != "":
		return check.Failed, text
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		return check.Skipped, "cannot be checked: the credentials may send, but not read this"
	case a.Status >= 400:
		return check.Skipped, "cannot be checked: Twilio refuses the request (" + strconv.Itoa(a.Status) + ")"
	}
	return "", ""
}

// messaging is the base of the API of messaging services. In Twilio's own domain it has a
// host of its own. Elsewhere, one server stands for all hosts.
func (l lookups) messaging() *url.URL {
	u := *l.base
	if rest, ok := strings.CutPrefix(u.Host, "api."); ok && strings.HasSuffix(u.Host, ".twilio.com") {
		u.Host = "messaging." + rest
	}
	return &u
}
