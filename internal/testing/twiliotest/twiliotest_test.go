package twiliotest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/testing/fixture"
	"twofa/internal/testing/twiliotest"
)

const (
	to   = "whatsapp:" + fixture.Alice
	from = "whatsapp:" + twiliotest.WhatsAppFrom
	path = "/2010-04-01/Accounts/" + twiliotest.AccountSID + "/Messages.json"
)

// form is a valid request with a text, changed by pairs of names and values. The value "-"
// removes the parameter.
func form(pairs ...string) url.Values {
	f := url.Values{"To": {to}, "From": {from}, "Body": {"739184 is your code."}}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "-" {
			f.Del(pairs[i])
		} else {
			f.Set(pairs[i], pairs[i+1])
		}
	}
	return f
}

func template(variables string, pairs ...string) url.Values {
	return form(append([]string{"Body", "-", "ContentSid", twiliotest.ContentSID, "ContentVariables", variables}, pairs...)...)
}

func request(t *testing.T, base string, f url.Values) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+path, strings.NewReader(f.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(twiliotest.AccountSID, twiliotest.AuthToken)
	return r
}

// answered is an answer: a Message resource or an error.
type answered struct {
	http    int
	header  http.Header
	Code    int    `json:"code"`
	Status  any    `json:"status"`
	Message string `json:"message"`
	More    string `json:"more_info"`
	SID     string `json:"sid"`
	To      string `json:"to"`
	Error   *int   `json:"error_code"`
}

func do(t *testing.T, r *http.Request) answered {
	t.Helper()
	// Redirects are reported, not followed.
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	a := answered{http: res.StatusCode, header: res.Header}
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a
}

func start(t *testing.T) *twiliotest.Server {
	s := twiliotest.Start(twiliotest.Account{})
	t.Cleanup(s.Close)
	return s
}

func TestAccepts(t *testing.T) {
	s := start(t)
	for name, tc := range map[string]struct {
		form   url.Values
		status string
	}{
		"text":                 {form(), "queued"},
		"text of 1600":         {form("Body", strings.Repeat("é", 1600)), "queued"},
		"service":              {form("From", "-", "MessagingServiceSid", twiliotest.MessagingServiceSID), "accepted"},
		"service and a sender": {form("MessagingServiceSid", twiliotest.MessagingServiceSID), "queued"},
		"template":             {template(`{"1":"739184"}`), "queued"},
		"alert's template":     {template(`{"1":"Acme"}`, "ContentSid", twiliotest.AlertContentSID), "queued"},
		"validity 1":           {form("ValidityPeriod", "1"), "queued"},
		"callback":             {form("StatusCallback", "https://twofa.test/x?y=z"), "queued"},
		"validity 36000":       {form("ValidityPeriod", "36000"), "queued"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Reset()
			a := do(t, request(t, s.URL, tc.form))
			if a.http != http.StatusCreated || a.Status != tc.status || a.To != to || a.Error != nil || len(a.SID) != 34 || a.SID[:2] != "SM" {
				t.Errorf("answered %+v", a)
			}
			calls, accepted := s.Calls(), s.Accepted()
			if len(calls) != 1 || !calls[0].Accepted || calls[0].Status != http.StatusCreated || len(accepted) != 1 {
				t.Fatalf("recorded %+v and %+v", calls, accepted)
			}
			if m := accepted[0]; m.SID != a.SID || m.To != to || m.Body != tc.form.Get("Body") || m.ContentSID != tc.form.Get("ContentSid") ||
				time.Since(m.Time) > time.Minute {
				t.Errorf("recorded %+v", m)
			}
		})
	}
}

func TestRecordsTheTemplate(t *testing.T) {
	s := start(t)
	do(t, request(t, s.URL, template(`{"1":"739184"}`, "ValidityPeriod", "600")))
	m := s.Accepted()[0]
	if len(m.Variables) != 1 || m.Variables["1"] != "739184" || m.Body != "" || m.ValidityPeriod != 10*time.Minute {
		t.Errorf("recorded %+v", m)
	}
	m.Variables["1"] = "changed"
	if got := s.Accepted()[0].Variables["1"]; got != "739184" {
		t.Errorf("the record can be changed from outside: %q", got)
	}
}

func TestRefusesParameters(t *testing.T) {
	s := start(t)
	repeated := form()
	repeated.Add("Body", "another")
	for name, tc := range map[string]struct {
		form url.Values
		code int
	}{
		"no To":                    {form("To", "-"), 21604},
		"To without the channel":   {form("To", "+14155550123"), 21910},
		"To without plus":          {form("To", "whatsapp:14155550123"), 21211},
		"To too short":             {form("To", "whatsapp:+141555"), 21211},
		"To with a zero":           {form("To", "whatsapp:+04155550123"), 21211},
		"To with a line end":       {form("To", to+"\n"), 21211},
		"no sender":                {form("From", "-"), 21603},
		"sender of SMS":            {form("From", twiliotest.WhatsAppFrom), 21910},
		"unknown sender":           {form("From", "whatsapp:+15005550006"), 63007},
		"to the sender itself":     {form("To", "whatsapp:"+twiliotest.WhatsAppFrom), 21266},
		"risk check":               {form("RiskCheck", "enable"), 20001},
		"callback without a host":  {form("StatusCallback", "/hooks"), 21609},
		"callback to _":            {form("StatusCallback", "https://a_b.test/"), 21609},
		"callback with a password": {form("StatusCallback", "https://a:b@c.test/"), 21609},
		"unknown service":          {form("From", "-", "MessagingServiceSid", "MG"+strings.Repeat("0", 32)), 21701},
		"service, not a SID":       {form("From", "-", "MessagingServiceSid", "MG1"), 21701},
		"sender, unknown service":  {form("MessagingServiceSid", "MG1"), 21701},
		"no content":               {form("Body", "-"), 21619},
		"empty text":               {form("Body", ""), 21619},
		"text too long":            {form("Body", strings.Repeat("é", 1601)), 21617},
		"text beside template":     {template(`{"1":"1"}`, "Body", "x"), 20001},
		"unknown template":         {template(`{"1":"1"}`, "ContentSid", "HX"+strings.Repeat("0", 32)), 21655},
		"template, not a SID":      {template(`{"1":"1"}`, "ContentSid", "HX1"), 21655},
		"variables alone":          {form("ContentVariables", `{"1":"1"}`), 21654},
		"no variables":             {template("-"), 21656},
		"variables without names":  {template("739184"), 21656},
		"variables in a list":      {template(`["739184"]`), 21656},
		"a number as variable":     {template(`{"1":739184}`), 21656},
		"null as variable":         {template(`{"1":null}`), 21656},
		"another variable":         {template(`{"2":"739184"}`), 21656},
		"a variable too many":      {template(`{"1":"739184","2":"x"}`), 21656},
		"an empty variable":        {template(`{"1":""}`), 63013},
		"validity 0":               {form("ValidityPeriod", "0"), 90007},
		"validity 36001":           {form("ValidityPeriod", "36001"), 90007},
		"validity in words":        {form("ValidityPeriod", "ten"), 90007},
		"empty validity":           {form("ValidityPeriod", ""), 90007},
		"unknown parameter":        {form("Bdy", "x"), 20001},
		"parameter in lower case":  {form("body", "x"), 20001},
		"repeated parameter":       {repeated, 20001},
		"text that is not UTF-8":   {form("Body", "\xff"), 20001},
		"nothing":                  {url.Values{}, 21604},
		"one that only Twilio has": {form("MediaUrl", "https://example.test"), 20001},
	} {
		t.Run(name, func(t *testing.T) {
			s.Reset()
			a := do(t, request(t, s.URL, tc.form))
			if a.http != http.StatusBadRequest || a.Code != tc.code || a.Status != 400.0 || a.Message == "" || !strings.HasPrefix(a.More, "https://www.twilio.com/docs/errors/") {
				t.Errorf("answered %+v, want the number %d", a, tc.code)
			}
			if n := len(s.Accepted()); n != 0 {
				t.Errorf("%d messages accepted", n)
			}
			if c := s.Calls(); len(c) != 1 || c[0].Accepted || c[0].Code != tc.code || c[0].Status != http.StatusBadRequest {
				t.Errorf("recorded %+v", c)
			}
		})
	}
}

func TestRefusesRequests(t *testing.T) {
	s := start(t)
	long := form("Body", strings.Repeat("x", 65<<10))
	for name, tc := range map[string]struct {
		form         url.Values
		change       func(*http.Request)
		status, code int
	}{
		"no credentials":     {form(), func(r *http.Request) { r.Header.Del("Authorization") }, 401, 20003},
		"wrong token":        {form(), func(r *http.Request) { r.SetBasicAuth(twiliotest.AccountSID, twiliotest.APISecret) }, 401, 20003},
		"wrong secret":       {form(), func(r *http.Request) { r.SetBasicAuth(twiliotest.APIKey, twiliotest.AuthToken) }, 401, 20003},
		"bearer":             {form(), func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+twiliotest.AuthToken) }, 401, 20003},
		"another account":    {form(), func(r *http.Request) { r.URL.Path = strings.Replace(path, "AC0", "AC1", 1) }, 404, 20404},
		"the key as account": {form(), func(r *http.Request) { r.URL.Path = strings.Replace(path, twiliotest.AccountSID, twiliotest.APIKey, 1) }, 404, 20404},
		"another resource":   {form(), func(r *http.Request) { r.URL.Path = strings.Replace(path, "Messages", "Faxes", 1) }, 404, 20404},
		"PUT":                {form(), func(r *http.Request) { r.Method = http.MethodPut }, 405, 20004},
		"parameter in a URL": {form(), func(r *http.Request) { r.URL.RawQuery = "Body=739184" }, 400, 20001},
		"JSON":               {form(), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 415, 20001},
		"no content type":    {form(), func(r *http.Request) { r.Header.Del("Content-Type") }, 415, 20001},
		"a body without end": {long, func(*http.Request) {}, 413, 20001},
		"an invalid body":    {nil, func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("%zz")), 3 }, 400, 20001},
	} {
		t.Run(name, func(t *testing.T) {
			s.Reset()
			r := request(t, s.URL, tc.form)
			tc.change(r)
			a := do(t, r)
			if a.http != tc.status || a.Code != tc.code {
				t.Errorf("answered %+v, want %d with %d", a, tc.status, tc.code)
			}
			if (a.http == 401) != (a.header.Get("WWW-Authenticate") != "") {
				t.Errorf("WWW-Authenticate: %q", a.header.Get("WWW-Authenticate"))
			}
			if len(s.Accepted()) != 0 || s.CallCount() != 1 {
				t.Errorf("%d messages, %d calls", len(s.Accepted()), s.CallCount())
			}
			if c := s.Calls()[0]; c.Header.Get("Authorization") != "" {
				t.Error("the recorded request has the credentials")
			}
		})
	}
}

func TestTheKeyWorks(t *testing.T) {
	s := start(t)
	r := request(t, s.URL, form())
	r.SetBasicAuth(twiliotest.APIKey, twiliotest.APISecret)
	if a := do(t, r); a.http != http.StatusCreated {
		t.Errorf("answered %+v", a)
	}
}

func TestAnotherAccount(t *testing.T) {
	own := twiliotest.Account{AccountSID: "AC" + strings.Repeat("1", 32), AuthToken: "own", WhatsAppFrom: "+447700900123"}
	s := twiliotest.Start(own)
	defer s.Close()
	r := request(t, s.URL, form("From", "whatsapp:+447700900123"))
	r.URL.Path = strings.Replace(path, twiliotest.AccountSID, own.AccountSID, 1)
	r.SetBasicAuth(own.AccountSID, own.AuthToken)
	if a := do(t, r); a.http != http.StatusCreated {
		t.Errorf("answered %+v", a)
	}
	if a := do(t, request(t, s.URL, form())); a.http != http.StatusUnauthorized {
		t.Errorf("the default account still works: %+v", a)
	}
}

// A Double as the handler of another server.
func TestHandler(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, request(t, "http://double.test", form()))
	if w.Code != http.StatusCreated || len(d.Accepted()) != 1 {
		t.Errorf("answered %d: %s", w.Code, w.Body)
	}
}
