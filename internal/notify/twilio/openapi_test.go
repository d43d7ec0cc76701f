package twilio

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/check"
	"twofa/internal/notify"
	"twofa/internal/testing/twiliotest"
)

// The OpenAPI document that Twilio publishes judges our requests: a mock answers them, which
// validates them by the document with a library that nobody here wrote. The document is no part of
// the project.
func TestTwiliosDocument(t *testing.T) {
	j := startJudge(t)
	t.Run("has every request that sends", j.testSending)
	t.Run("has the request that checks the account", j.testCheck)
	t.Run("has every parameter of the double", j.testDouble)
	t.Run("has every answer of the double", j.testAnswers)
	t.Run("is enforced", j.testRefusals)
	t.Run("is enforced for an Account", j.testRefusedAccount)
}

// everySetting are the settings that change a request.
func everySetting() map[string]func(*Options) {
	return map[string]func(*Options){
		"a template":               nil,
		"no template":              func(o *Options) { o.ContentSID = "" },
		"a template of alerts":     func(o *Options) { o.AlertContentSID = twiliotest.AlertContentSID },
		"templates by language":    func(o *Options) { o.ContentSID = "en=" + twiliotest.ContentSID + ",de=" + twiliotest.AlertContentSID },
		"reports":                  withReports,
		"an API key":               withKey,
		"a messaging service":      withService,
		"a service and reports":    func(o *Options) { withService(o); withReports(o) },
		"a service beside senders": func(o *Options) { o.MessagingServiceSID = twiliotest.MessagingServiceSID },
		"a name as the sender":     func(o *Options) { o.SMSFrom = "Acme & Co-1" },
		"a short code":             func(o *Options) { o.SMSFrom = "12345" },
	}
}

// everyMessage are the kinds of messages that there are, and the texts that might not fit.
func everyMessage() map[string]notify.Message {
	change := func(m notify.Message, f func(*notify.Message)) notify.Message { f(&m); return m }
	return map[string]notify.Message{
		"code":            message(),
		"code with id":    tracked(),
		"payment":         change(tracked(), func(m *notify.Message) { m.Amount, m.Payee = "EUR 25.00", "Bike Shop" }),
		"German":          change(tracked(), func(m *notify.Message) { m.Locale = "de" }),
		"expires at once": change(tracked(), func(m *notify.Message) { m.ValidFor = time.Millisecond }),
		"expires late":    change(tracked(), func(m *notify.Message) { m.ValidFor = 30 * 24 * time.Hour }),
		"right to left":   change(tracked(), func(m *notify.Message) { m.Brand = "\u2067بنك القاهرة\u2069 \u200fשלום" }),
		"emoji":           change(tracked(), func(m *notify.Message) { m.Brand = "👩‍👩‍👧 Bank 🏦" }),
		"separators":      change(tracked(), func(m *notify.Message) { m.Brand, m.Code = "a=b&c=d+%41;?#\r\n\t\x00", `"}{<&` }),
		"long":            change(tracked(), func(m *notify.Message) { m.Brand = strings.Repeat("語 ", 700) }),
		"alert":           alert(),
		"alert that ends": change(alert(), func(m *notify.Message) { m.ValidFor = time.Minute }),
		"notice":          change(alert(), func(m *notify.Message) { m.Notice = notify.NoticeAddress }),
		"event":           change(alert(), func(m *notify.Message) { m.Event, m.Place = notify.EventOther, "Zürich" }),
		"alert of a bank": change(alert(), func(m *notify.Message) { m.Brand = "بنك 🏦" }),
		"longest number":  change(message(), func(m *notify.Message) { m.To = "+123456789012345" }),
		"shortest number": change(message(), func(m *notify.Message) { m.To = "+2901234" }),
	}
}

func (j *judge) testSending(t *testing.T) {
	sent := map[string]map[string]bool{"messages": {}, "calls": {}} // the parameters, by resource
	n := 0
	for setting, changed := range everySetting() {
		senders := newAccount(t, j.judgedOptions(changed)).Senders()
		for name, m := range everyMessage() {
			for _, c := range channels {
				if m.Amount != "" && !senders[c].(notify.TransactionShower).ShowsTransaction() {
					continue // refused before any request
				}
				if err := senders[c].Send(t.Context(), m); err != nil {
					t.Errorf("%s, %s by %s: %v", setting, name, c, err)
				}
				verdicts := j.take()
				if len(verdicts) != 1 || verdicts[0].status != http.StatusCreated {
					t.Fatalf("%s, %s by %s: %+v", setting, name, c, verdicts)
				}
				for parameter := range verdicts[0].form {
					sent[verdicts[0].resource()][parameter] = true
				}
				n++
			}
		}
	}
	if n < 500 {
		t.Errorf("only %d requests", n)
	}
	// Nothing that the double accepts has been left out above.
	for resource, known := range map[string][]string{"messages": twiliotest.MessageParameters, "calls": twiliotest.CallParameters} {
		if got, want := slices.Sorted(maps.Keys(sent[resource])), slices.Sorted(slices.Values(known)); !slices.Equal(got, want) {
			t.Errorf("%s: sent\n%v\nthe double knows\n%v", resource, got, want)
		}
	}
}

// The document was cut down to the account, messages and calls. So the two other requests of a
// check are not in it: TestCheckAsksAsTheLibraryDoes is about them.
func (j *judge) testCheck(t *testing.T) {
	o := j.judgedOptions(func(o *Options) { o.MessagingServiceSID = twiliotest.MessagingServiceSID })
	examples, _ := at(j.document, "paths", accountPath, "get", "responses", "200", "content", "application/json", "examples").(map[string]any)
	for _, example := range examples {
		o.AccountSID, _ = at(example, "value", "sid").(string) // the account in the mock's answer
	}
	account := check.Finding{}
	for _, f := range o.Check(t.Context()) {
		if f.Name == "twilio account" {
			account = f
		}
	}
	if account.Result != check.OK {
		t.Errorf("%+v", account)
	}
	got := make(map[string]int)
	for _, v := range j.take() {
		got[v.method+" "+v.path] = v.status
	}
	base := "GET /2010-04-01/Accounts/" + o.AccountSID
	want := map[string]int{
		base + ".json":                                       http.StatusOK,
		base + "/IncomingPhoneNumbers.json":                  http.StatusNotFound,
		"GET /v1/Services/" + twiliotest.MessagingServiceSID: http.StatusNotFound,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func (j *judge) testDouble(t *testing.T) {
	for path, known := range map[string][]string{messagesPath: twiliotest.MessageParameters, callsPath: twiliotest.CallParameters} {
		for _, name := range known {
			if !slices.Contains(j.parameters(path), name) {
				t.Errorf("the double knows %s, which %s has not", name, path)
			}
		}
	}
}

func (j *judge) testAnswers(t *testing.T) {
	double := twiliotest.Start(twiliotest.Account{})
	defer double.Close()
	o := j.judgedOptions(func(o *Options) { o.BaseURL = double.URL }) // the judge only records
	for range 2 {
		senders := newAccount(t, o).Senders()
		for _, c := range channels {
			if err := senders[c].Send(t.Context(), message()); err != nil {
				t.Error(err)
			}
		}
		withService(&o)
	}
	double.Next(twiliotest.AcceptFailed(30003))
	if err := newAccount(t, o).Senders()[channel.SMS].Send(t.Context(), message()); err == nil {
		t.Error("accepted a message that has failed")
	}
	o.Check(t.Context())
	judged := make(map[string]int)
	for _, v := range j.take() {
		operation := map[string]string{"messages": "CreateMessage", "calls": "CreateCall", strings.ToLower(twiliotest.AccountSID): "FetchAccount"}[v.resource()]
		if operation == "" {
			continue // the document has no numbers and no services
		}
		judged[operation]++
		ask := func(body string) (status int, answer string) {
			return j.send(t, rawRequest{method: http.MethodPost, path: fmt.Sprintf("/answers/%s/%d", operation, v.status), body: body})
		}
		if status, answer := ask(v.answer); status != http.StatusOK {
			t.Errorf("%s: %s\n%s", operation, answer, v.answer)
		}
		for field, broken := range map[string]string{"sids": strings.Replace(v.answer, `"sid":`, `"sids":`, 1), "sid": strings.Replace(v.answer, `"sid":"`, `"sid":"x`, 1)} {
			if status, answer := ask(broken); status != http.StatusBadRequest || !strings.Contains(answer, field) {
				t.Errorf("%s with another %s: %d %s", operation, field, status, answer)
			}
		}
	}
	if want := map[string]int{"CreateMessage": 5, "CreateCall": 2, "FetchAccount": 1}; !maps.Equal(judged, want) {
		t.Errorf("judged %v, want %v", judged, want)
	}
}

// Each request differs in one thing from one that the mock accepts, and the reason names it.
func (j *judge) testRefusals(t *testing.T) {
	const (
		account  = "/2010-04-01/Accounts/" + twiliotest.AccountSID
		messages = account + "/Messages.json"
		calls    = account + "/Calls.json"
	)
	form := func(pairs ...string) url.Values {
		f := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			f.Add(pairs[i], pairs[i+1])
		}
		return f
	}
	message := form("To", "whatsapp:"+recipient, "MessagingServiceSid", twiliotest.MessagingServiceSID, "ContentSid", twiliotest.ContentSID,
		"ContentVariables", `{"1":"739184"}`, "ValidityPeriod", "600", "RiskCheck", "enable", "StatusCallback", ourURL+StatusPath)
	call := form("To", recipient, "From", twiliotest.VoiceFrom, "Twiml", "<Response/>", "StatusCallback", ourURL+StatusPath, "StatusCallbackMethod", "POST")
	post := func(path string, f url.Values) rawRequest {
		return rawRequest{http.MethodPost, path, f.Encode(), formType, twiliotest.AccountSID}
	}
	get := func(path string) rawRequest { return rawRequest{http.MethodGet, path, "", "", twiliotest.AccountSID} }
	with := func(f url.Values, name string, values ...string) url.Values {
		f = maps.Clone(f)
		if f[name] = values; len(values) == 0 {
			delete(f, name)
		}
		return f
	}
	for _, r := range []rawRequest{
		post(messages, message), post(calls, call), get(account + ".json"), get(messages + "?PageSize=1"),
		{http.MethodPost, calls, call.Encode(), formType + "; charset=utf-8", twiliotest.APIKey},
	} {
		if status, answer := j.send(t, r); status != http.StatusOK && status != http.StatusCreated {
			t.Errorf("%s %s: %d %s", r.method, r.path, status, answer)
		}
	}
	// Each parameter, misspelled.
	for path, f := range map[string]url.Values{messages: message, calls: call} {
		for name, values := range f {
			if status, answer := j.send(t, post(path, with(with(f, name), name+"s", values...))); status != 400 || !strings.Contains(answer, name+"s") {
				t.Errorf("%ss: %d %s", name, status, answer)
			}
		}
	}
	for name, tc := range map[string]struct {
		rawRequest
		status int
		reason string
	}{
		"an unknown parameter":         {post(messages, with(message, "X", "1")), 400, `"additionalProperty":"X"`},
		"an unknown one of a call":     {post(calls, with(call, "Body", "x")), 400, `"additionalProperty":"Body"`},
		"no recipient":                 {post(messages, with(message, "To")), 400, `"missingProperty":"To"`},
		"no recipient of a call":       {post(calls, with(call, "To")), 400, `"missingProperty":"To"`},
		"no sender of a call":          {post(calls, with(call, "From")), 400, `"missingProperty":"From"`},
		"two recipients":               {post(messages, with(message, "To", recipient, recipient)), 400, "/To must be string"},
		"a period that is no number":   {post(messages, with(message, "ValidityPeriod", "10m")), 400, "/ValidityPeriod must be integer"},
		"a period that is empty":       {post(messages, with(message, "ValidityPeriod", "")), 400, "/ValidityPeriod must be integer"},
		"a period with a fraction":     {post(messages, with(message, "ValidityPeriod", "1.5")), 400, "/ValidityPeriod must be integer"},
		"a risk check of another kind": {post(messages, with(message, "RiskCheck", "on")), 400, "/RiskCheck must be equal to one of"},
		"a template's other SID":       {post(messages, with(message, "ContentSid", twiliotest.MessagingServiceSID)), 400, "/ContentSid must match pattern"},
		"a short SID":                  {post(messages, with(message, "MessagingServiceSid", "MG1")), 400, "/MessagingServiceSid must match pattern"},
		"a callback that is no URL":    {post(messages, with(message, "StatusCallback", "hooks/twilio")), 400, "/StatusCallback must match format"},
		"another method of callbacks":  {post(calls, with(call, "StatusCallbackMethod", "post")), 400, "/StatusCallbackMethod must be equal to one of"},
		"an empty body":                {post(messages, nil), 400, `"missingProperty":"To"`},
		"a body of another type":       {rawRequest{http.MethodPost, messages, message.Encode(), "application/json", twiliotest.AccountSID}, 400, "/requestBody must be object"},
		"a body of no type":            {rawRequest{http.MethodPost, messages, message.Encode(), "", twiliotest.AccountSID}, 400, `"missingProperty":"requestBody"`},
		"a parameter in the URL":       {post(messages+"?Body=x", message), 400, `"additionalProperty":"Body"`},
		"a misspelled query":           {get(messages + "?Pagesize=1"), 400, `"additionalProperty":"Pagesize"`},
		"a query of another type":      {get(messages + "?PageSize=x"), 400, "/PageSize must be integer"},
		"another path":                 {post(account+"/Message.json", message), 404, "no such path"},
		"a slash at the end":           {post(messages+"/", message), 404, "no such path"},
		"another version":              {post(strings.Replace(messages, "2010", "2011", 1), message), 404, "no such path"},
		"an account's other SID":       {post(strings.Replace(messages, "/AC", "/SK", 1), message), 400, "/path/AccountSid must match pattern"},
		"another method":               {rawRequest{http.MethodPut, messages, message.Encode(), formType, twiliotest.AccountSID}, 405, "no such method"},
		"no credentials":               {rawRequest{http.MethodPost, messages, message.Encode(), formType, ""}, 401, "no credentials"},
		"other credentials":            {rawRequest{http.MethodPost, messages, message.Encode(), formType, "twofa"}, 401, "no credentials"},
		"a GET without credentials":    {rawRequest{http.MethodGet, account + ".json", "", "", ""}, 401, "no credentials"},
	} {
		status, answer := j.send(t, tc.rawRequest)
		var refusal struct{ Refused string }
		if err := json.Unmarshal([]byte(answer), &refusal); err != nil || status != tc.status || !strings.Contains(refusal.Refused, tc.reason) {
			t.Errorf("%s: %d %s, want %d %s", name, status, answer, tc.status, tc.reason)
		}
	}
}

// If our code made such a mistake, testSending would notice.
func (j *judge) testRefusedAccount(t *testing.T) {
	for name, change := range map[string]func(url.Values){
		"misspelled": func(f url.Values) { f["ValidityPeriode"] = f["ValidityPeriod"]; delete(f, "ValidityPeriod") },
		"missing":    func(f url.Values) { delete(f, "To") },
	} {
		j.change = change
		err := newAccount(t, j.judgedOptions(nil)).Senders()[channel.SMS].Send(t.Context(), message())
		j.change = nil
		if verdicts := j.take(); err == nil || len(verdicts) != 1 || verdicts[0].status != http.StatusBadRequest {
			t.Errorf("%s: %v, %+v", name, err, verdicts)
		}
	}
}
