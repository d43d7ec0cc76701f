package plivotest_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/plivotest"
)

const (
	to        = "14155550123"
	publicURL = "https://twofa.example"
	status    = publicURL + "/hooks/plivo/status?id=VE0123456789abcdef0123456789abcdef&attempt=2"
)

// object is a JSON object, changed by pairs of names and values. nil removes a name.
func object(base map[string]any, pairs ...any) map[string]any {
	o := maps.Clone(base)
	for i := 0; i < len(pairs); i += 2 {
		if o[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
			delete(o, pairs[i].(string))
		}
	}
	return o
}

var (
	sms      = map[string]any{"src": plivotest.SMSFrom[1:], "dst": to, "type": "sms", "text": "739184 is your code.", "log": false}
	whatsApp = map[string]any{"src": plivotest.WhatsAppFrom[1:], "dst": to, "type": "whatsapp", "log": false, "template": template("login_code", "739184", "739184")}
	call     = map[string]any{"from": plivotest.CallFrom[1:], "to": to, "answer_url": publicURL + "/a", "answer_method": "POST"}
)

// template is a template with a body and, unless copied is empty, a button.
func template(name, code, copied string) map[string]any {
	parameters := func(text string) []any { return []any{map[string]any{"type": "text", "text": text}} }
	components := []any{map[string]any{"type": "body", "parameters": parameters(code)}}
	if copied != "" {
		components = append(components, map[string]any{"type": "button", "sub_type": "url", "index": "0", "parameters": parameters(copied)})
	}
	return map[string]any{"name": name, "language": "en_US", "components": components}
}

func start(t *testing.T) *plivotest.Server {
	s := plivotest.Start(plivotest.Account{})
	t.Cleanup(s.Close)
	return s
}

// post makes a request with the right credentials, changed by change.
func post(t *testing.T, s *plivotest.Server, resource, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/Account/"+plivotest.AuthID+"/"+resource+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth(plivotest.AuthID, plivotest.AuthToken)
	if change != nil {
		change(r)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

func encode(t *testing.T, o map[string]any) string {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAccepts(t *testing.T) {
	s := start(t)
	for name, tc := range map[string]struct {
		resource string
		body     map[string]any
		status   int
		channel  channel.Channel
	}{
		"SMS":               {"Message", sms, 202, channel.SMS},
		"SMS of 1600":       {"Message", object(sms, "text", strings.Repeat("x", 1600)), 202, channel.SMS},
		"expiry and report": {"Message", object(sms, "message_expiry", 600, "url", status, "method", "POST"), 202, channel.SMS},
		"powerpack":         {"Message", object(sms, "src", nil, "powerpack_uuid", plivotest.PowerpackUUID), 202, channel.SMS},
		"to India":          {"Message", object(sms, "dst", "919876543210", "dlt_entity_id", "1", "dlt_template_id", "2"), 202, channel.SMS},
		"template":          {"Message", whatsApp, 202, channel.WhatsApp},
		"alert":             {"Message", object(whatsApp, "template", template("login_alert", "Acme", "")), 202, channel.WhatsApp},
		"text on WhatsApp":  {"Message", object(whatsApp, "template", nil, "text", "Hello"), 202, channel.WhatsApp},
		"call":              {"Call", call, 201, channel.Call},
		"call with limits":  {"Call", object(call, "hangup_url", status, "hangup_method", "POST", "ring_timeout", 30, "time_limit", 300), 201, channel.Call},
	} {
		t.Run(name, func(t *testing.T) {
			s.Reset()
			code, answer := post(t, s, tc.resource, encode(t, tc.body), nil)
			accepted := s.Accepted()
			if code != tc.status || len(accepted) != 1 || accepted[0].Channel != tc.channel || !strings.Contains(answer, `"`+accepted[0].UUID+`"`) {
				t.Fatalf("answered %d %s, recorded %+v", code, answer, accepted)
			}
			if calls := s.Calls(); len(calls) != 1 || !calls[0].Accepted || calls[0].Status != tc.status || calls[0].Header.Get("Authorization") != "" {
				t.Errorf("recorded %+v", calls)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	s := start(t)
	for name, tc := range map[string]struct {
		resource string
		body     map[string]any
	}{
		"no dst":                 {"Message", object(sms, "dst", nil)},
		"dst with a plus":        {"Message", object(sms, "dst", "+"+to)},
		"two recipients":         {"Message", object(sms, "dst", to+"<14155550124")},
		"dst as a number":        {"Message", object(sms, "dst", 14155550123)},
		"dst is the sender":      {"Message", object(sms, "dst", plivotest.SMSFrom[1:])},
		"no sender":              {"Message", object(sms, "src", nil)},
		"another sender":         {"Message", object(sms, "src", "12025550199")},
		"src with a plus":        {"Message", object(sms, "src", plivotest.SMSFrom)},
		"a sender and powerpack": {"Message", object(sms, "powerpack_uuid", plivotest.PowerpackUUID)},
		"another powerpack":      {"Message", object(sms, "src", nil, "powerpack_uuid", strings.Replace(plivotest.PowerpackUUID, "5", "6", 1))},
		"no type":                {"Message", object(sms, "type", nil)},
		"another type":           {"Message", object(sms, "type", "mms")},
		"log":                    {"Message", object(sms, "log", true)},
		"no log":                 {"Message", object(sms, "log", nil)},
		"no text":                {"Message", object(sms, "text", nil)},
		"an empty text":          {"Message", object(sms, "text", "")},
		"a long text":            {"Message", object(sms, "text", strings.Repeat("x", 1601))},
		"a long text in UCS-2":   {"Message", object(sms, "text", strings.Repeat("語", 738))},
		"expiry 4":               {"Message", object(sms, "message_expiry", 4)},
		"expiry 10800":           {"Message", object(sms, "message_expiry", 10800)},
		"expiry 5.5":             {"Message", object(sms, "message_expiry", 5.5)},
		"expiry as a text":       {"Message", object(sms, "message_expiry", "600")},
		"a URL without a method": {"Message", object(sms, "url", status)},
		"a method without a URL": {"Message", object(sms, "method", "POST")},
		"GET for reports":        {"Message", object(sms, "url", status, "method", "GET")},
		"a relative URL":         {"Message", object(sms, "url", "/x", "method", "POST")},
		"unknown parameter":      {"Message", object(sms, "trackable", true)},
		"registered, not India":  {"Message", object(sms, "dlt_entity_id", "1", "dlt_template_id", "2")},
		"half a registration":    {"Message", object(sms, "dst", "919876543210", "dlt_entity_id", "1")},
		"template in an SMS":     {"Message", object(sms, "text", nil, "template", template("login_code", "1", "1"))},
		"template and text":      {"Message", object(whatsApp, "text", "Hello")},
		"unknown template":       {"Message", object(whatsApp, "template", template("other", "1", "1"))},
		"no button":              {"Message", object(whatsApp, "template", template("login_code", "1", ""))},
		"a button too many":      {"Message", object(whatsApp, "template", template("login_alert", "1", "1"))},
		"another code to copy":   {"Message", object(whatsApp, "template", template("login_code", "1", "2"))},
		"an empty code":          {"Message", object(whatsApp, "template", template("login_code", "", "1"))},
		"a long code":            {"Message", object(whatsApp, "template", template("login_code", strings.Repeat("1", 16), strings.Repeat("1", 16)))},
		"no answer_url":          {"Call", object(call, "answer_url", nil, "answer_method", nil)},
		"to with a plus":         {"Call", object(call, "to", "+"+to)},
		"from another number":    {"Call", object(call, "from", "12025550199")},
		"ring_timeout 0":         {"Call", object(call, "ring_timeout", 0)},
		"a text in a call":       {"Call", object(call, "text", "739184")},
		"the wrong resource":     {"Call", sms},
	} {
		code, answer := post(t, s, tc.resource, encode(t, tc.body), nil)
		if code != 400 || !strings.Contains(answer, `"error"`) {
			t.Errorf("%s: answered %d %s", name, code, answer)
		}
	}
	for name, tc := range map[string]struct {
		body   string
		change func(*http.Request)
		status int
	}{
		"wrong token":     {encode(t, sms), func(r *http.Request) { r.SetBasicAuth(plivotest.AuthID, "x") }, 401},
		"no credentials":  {encode(t, sms), func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"another account": {encode(t, sms), func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "MA", "SA", 1) }, 404},
		"no last slash":   {encode(t, sms), func(r *http.Request) { r.URL.Path = strings.TrimSuffix(r.URL.Path, "/") }, 404},
		"PUT":             {encode(t, sms), func(r *http.Request) { r.Method = http.MethodPut }, 405},
		"a query":         {encode(t, sms), func(r *http.Request) { r.URL.RawQuery = "text=1" }, 400},
		"a form":          {encode(t, sms), func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 400},
		"not JSON":        {"x", nil, 400},
		"null":            {"null", nil, 400},
		"a name twice":    {strings.Replace(encode(t, sms), "{", `{"dst":"1",`, 1), nil, 400},
		"invalid UTF-8":   {strings.Replace(encode(t, sms), "739184", "\xff", 1), nil, 400},
		"too long":        {strings.Repeat(" ", 65<<10) + encode(t, sms), nil, 400},
	} {
		if code, answer := post(t, s, "Message", tc.body, tc.change); code != tc.status {
			t.Errorf("%s: answered %d %s", name, code, answer)
		}
	}
	if n := len(s.Accepted()); n != 0 {
		t.Errorf("%d messages were accepted", n)
	}
}

func TestScript(t *testing.T) {
	s := start(t)
	s.For(fixture.Alice, plivotest.Refuse(500))
	s.ForChannel(channel.Call, fixture.Alice, plivotest.Raw(418, "tea"))
	s.Next(plivotest.Raw(200, "first").With("Retry-After", "7"), plivotest.Accept().After(time.Millisecond))
	for _, want := range []struct {
		resource string
		body     map[string]any
		status   int
		holds    string
	}{
		{"Message", sms, 200, "first"}, {"Call", call, 201, "request_uuid"}, {"Message", sms, 500, "739184"}, {"Call", call, 418, "tea"},
	} {
		if code, answer := post(t, s, want.resource, encode(t, want.body), nil); code != want.status || !strings.Contains(answer, want.holds) {
			t.Errorf("answered %d %s, want %d %s", code, answer, want.status, want.holds)
		}
	}
}

// The double makes requests that the app can check, and recognizes what a call may say.
func TestCallbackAndAnswer(t *testing.T) {
	d := plivotest.New(plivotest.Account{})
	defer d.Close()
	var signed []bool
	document := "<Response><Speak>7</Speak></Response>"
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		want := d.Sign(publicURL+r.URL.RequestURI(), form, r.Header.Get(plivotest.Nonce))
		signed = append(signed, r.Header.Get(plivotest.Signature) == want && r.Header.Get(plivotest.MainSignature) == want && !form.Has("Units"))
		w.Header().Set("Content-Type", "text/xml")
		_, _ = io.WriteString(w, document)
	}))
	defer app.Close()
	m := plivotest.Message{Channel: channel.SMS, UUID: "1", To: to, URL: status}
	res, err := d.Callback(t.Context(), m, publicURL, app.URL, "failed", 30, "Units", "-")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	m = plivotest.Message{Channel: channel.Call, UUID: "1", To: to, AnswerURL: publicURL + "/hooks/plivo/answer?id=1"}
	for _, tc := range []struct {
		document string
		ok       bool
	}{
		{"<Response><Speak>7</Speak></Response>", true},
		{`<Response><Speak voice="MAN" language="en-GB">7</Speak><Wait length="1"/></Response>`, true},
		{"<Response><Speak>7</Speak><Dial>1900</Dial></Response>", false},
		{"<Response><Speak><b>7</b></Speak></Response>", false},
		{"<Response><Speak></Speak></Response>", false},
		{"<Response>text</Response>", false},
		{"<Other><Speak>7</Speak></Other>", false},
		{"<Response/><Response/>", false},
		{"", false},
		{"<Response><Speak>" + strings.Repeat("x", 100<<10) + "</Speak></Response>", false},
	} {
		document = tc.document
		if status, _, err := d.Answer(t.Context(), m, publicURL, app.URL); status != 200 || (err == nil) != tc.ok {
			t.Errorf("%.80s: %d, %v", tc.document, status, err)
		}
	}
	for i, ok := range signed {
		if !ok {
			t.Errorf("request %d is not signed", i)
		}
	}
	if _, err := d.Callback(t.Context(), m, publicURL, app.URL, "failed", 0); err == nil {
		t.Error("a message without a URL gets a report")
	}
}

// A request that reads the account needs the credentials and uses no scripted reply.
func TestAccount(t *testing.T) {
	s := start(t)
	s.Next(plivotest.Refuse(500))
	get := func(r *http.Request) { r.Method, r.URL.Path = http.MethodGet, "/v1/Account/"+plivotest.AuthID+"/" }
	if code, answer := post(t, s, "", "", get); code != 200 || !strings.Contains(answer, `"auth_id":"`+plivotest.AuthID+`"`) || !strings.Contains(answer, `"cash_credits":"73.25000"`) {
		t.Errorf("answered %d %s", code, answer)
	}
	if code, _ := post(t, s, "", "", func(r *http.Request) { get(r); r.Header.Del("Authorization") }); code != 401 {
		t.Errorf("without credentials: %d", code)
	}
	if code, _ := post(t, s, "", "", func(r *http.Request) { get(r); r.URL.Path = "/v1/Account/SA/" }); code != 404 {
		t.Errorf("another account: %d", code)
	}
	s.OnAccount(plivotest.Refuse(503))
	if code, _ := post(t, s, "", "", get); code != 503 {
		t.Errorf("scripted: %d", code)
	}
	if code, _ := post(t, s, "Message", encode(t, sms), nil); code != 500 || len(s.Accepted()) != 0 {
		t.Errorf("the message used no reply: %d", code)
	}
}
