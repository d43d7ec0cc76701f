package birdtest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/fixture"
)

const to = fixture.Alice

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
	metadata = map[string]any{"twofa_verification": "VE0123456789abcdef0123456789abcdef", "twofa_attempt": "2"}
	sms      = map[string]any{"from": birdtest.SMSFrom, "to": to, "text": "739184 is your code.", "category": "authentication"}
	whatsApp = map[string]any{"from": birdtest.WhatsAppFrom, "to": to, "template": template("slug", "login_code", "739184", "739184")}
)

// template is a template with a body and, unless copied is empty, a button.
func template(kind, name, code, copied string) map[string]any {
	parameters := func(text string) []any { return []any{map[string]any{"type": "text", "text": text}} }
	components := []any{map[string]any{"type": "body", "parameters": parameters(code)}}
	if copied != "" {
		components = append(components, map[string]any{"type": "button", "parameters": parameters(copied)})
	}
	return map[string]any{kind: name, "language": "en", "components": components}
}

func start(t *testing.T) *birdtest.Server {
	s := birdtest.Start(birdtest.Account{})
	t.Cleanup(s.Close)
	return s
}

// post makes a request with the right key and an Idempotency-Key, changed by change.
func post(t *testing.T, s *birdtest.Server, resource, key string, body any, change func(*http.Request)) (int, string) {
	t.Helper()
	text, isText := body.(string)
	if !isText {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/"+resource, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+birdtest.APIKey)
	r.Header.Set("Idempotency-Key", key)
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

const (
	toSMS      = "sms/messages"
	toWhatsApp = "whatsapp/messages"
)

func TestAccepts(t *testing.T) {
	s := start(t)
	for name, tc := range map[string]struct {
		resource string
		body     map[string]any
		channel  channel.Channel
		id       string
	}{
		"SMS":               {toSMS, sms, channel.SMS, "sms_"},
		"SMS of 1836":       {toSMS, object(sms, "text", strings.Repeat("x", 1836)), channel.SMS, "sms_"},
		"with metadata":     {toSMS, object(sms, "metadata", metadata), channel.SMS, "sms_"},
		"template":          {toWhatsApp, whatsApp, channel.WhatsApp, "wam_"},
		"template of Bird":  {toWhatsApp, object(whatsApp, "from", nil, "template", template("slug", "bird_otp", "1234", "1234")), channel.WhatsApp, "wam_"},
		"alert":             {toWhatsApp, object(whatsApp, "template", template("slug", "login_alert", "Acme", "")), channel.WhatsApp, "wam_"},
		"text on WhatsApp":  {toWhatsApp, object(whatsApp, "template", nil, "text", map[string]any{"body": "Hello"}), channel.WhatsApp, "wam_"},
		"another character": {toSMS, object(sms, "text", "語"), channel.SMS, "sms_"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Reset()
			code, answer := post(t, s, tc.resource, "key-1-of-test", tc.body, nil)
			accepted := s.Accepted()
			if code != 202 || len(accepted) != 1 || accepted[0].Channel != tc.channel || !strings.Contains(answer, `"id":"`+tc.id) || !strings.Contains(answer, accepted[0].ID) {
				t.Fatalf("answered %d %s, recorded %+v", code, answer, accepted)
			}
			if strings.Contains(answer, "739184") || accepted[0].Key != "key-1-of-test" {
				t.Errorf("answered %s, recorded %+v", answer, accepted[0])
			}
			if calls := s.Calls(); len(calls) != 1 || !calls[0].Accepted || calls[0].Status != 202 || calls[0].Header.Get("Authorization") != "" {
				t.Errorf("recorded %+v", calls)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	s := start(t)
	s.Next(birdtest.Raw(202, "no invalid request uses a reply"))
	text := func(body any) map[string]any { return object(whatsApp, "template", nil, "text", body) }
	for name, tc := range map[string]struct {
		resource string
		body     map[string]any
		param    string
	}{
		"to without a plus":        {toSMS, object(sms, "to", to[1:]), "to"},
		"no to":                    {toSMS, object(sms, "to", nil), "to"},
		"two recipients":           {toSMS, object(sms, "to", []string{to}), "to"},
		"no from":                  {toSMS, object(sms, "from", nil), "from"},
		"another from":             {toSMS, object(sms, "from", "+12025550199"), "from"},
		"no text":                  {toSMS, object(sms, "text", nil), "text"},
		"an empty text":            {toSMS, object(sms, "text", ""), "text"},
		"a long text":              {toSMS, object(sms, "text", strings.Repeat("x", 1837)), "text"},
		"a long text in UCS-2":     {toSMS, object(sms, "text", strings.Repeat("語", 805)), "text"},
		"no category":              {toSMS, object(sms, "category", nil), "category"},
		"another category":         {toSMS, object(sms, "category", "marketing"), "category"},
		"unknown parameter":        {toSMS, object(sms, "validity_period", 60), "validity_period"},
		"metadata that is empty":   {toSMS, object(sms, "metadata", map[string]any{}), "metadata"},
		"metadata with a number":   {toSMS, object(sms, "metadata", map[string]any{"attempt": 2}), "metadata"},
		"metadata that is long":    {toSMS, object(sms, "metadata", map[string]any{"x": strings.Repeat("x", 2<<10)}), "metadata"},
		"the number in metadata":   {toSMS, object(sms, "metadata", map[string]any{"x": "to " + to}), "metadata"},
		"the code in metadata":     {toWhatsApp, object(whatsApp, "metadata", map[string]any{"x": "739184"}), "metadata"},
		"a template in an SMS":     {toSMS, object(sms, "template", template("slug", "login_code", "1", "1")), "template"},
		"template and text":        {toWhatsApp, object(whatsApp, "text", map[string]any{"body": "Hello"}), ""},
		"no content":               {toWhatsApp, object(whatsApp, "template", nil), ""},
		"a text that is no object": {toWhatsApp, text("Hello"), "text.body"},
		"an empty body":            {toWhatsApp, text(map[string]any{"body": ""}), "text.body"},
		"a text with a preview":    {toWhatsApp, text(map[string]any{"body": "Hello", "preview_url": true}), "text.body"},
		"a category on WhatsApp":   {toWhatsApp, object(whatsApp, "category", "authentication"), "category"},
		"from beside Bird's own":   {toWhatsApp, object(whatsApp, "template", template("slug", "bird_otp", "1", "1")), "from"},
		"no from on WhatsApp":      {toWhatsApp, object(whatsApp, "from", nil), "from"},
		"unknown template":         {toWhatsApp, object(whatsApp, "template", template("slug", "other", "1", "1")), "template.components"},
		"a template by its name":   {toWhatsApp, object(whatsApp, "template", template("name", "login_code", "1", "1")), "template"},
		"a handle as an id":        {toWhatsApp, object(whatsApp, "template", template("id", "login_code", "1", "1")), "template"},
		"language of another form": {toWhatsApp, object(whatsApp, "template", object(template("slug", "login_code", "1", "1"), "language", "pt_BR")), "template"},
		"no button":                {toWhatsApp, object(whatsApp, "template", template("slug", "login_code", "1", "")), "template.components"},
		"a button too many":        {toWhatsApp, object(whatsApp, "template", template("slug", "login_alert", "1", "1")), "template.components"},
		"another code to copy":     {toWhatsApp, object(whatsApp, "template", template("slug", "login_code", "1", "2")), "template.components"},
		"an empty code":            {toWhatsApp, object(whatsApp, "template", template("slug", "login_code", "", "1")), "template.components"},
		"a long code":              {toWhatsApp, object(whatsApp, "template", template("slug", "login_code", strings.Repeat("1", 16), strings.Repeat("1", 16))), "template.components"},
		"the wrong resource":       {toWhatsApp, sms, ""},
	} {
		code, answer := post(t, s, tc.resource, "key-1-of-test", tc.body, nil)
		if code != 422 || !strings.Contains(answer, `"code":"E01001"`) || tc.param != "" && !strings.Contains(answer, `"param":"`+tc.param) {
			t.Errorf("%s: answered %d %s", name, code, answer)
		}
	}
	for name, tc := range map[string]struct {
		body   any
		change func(*http.Request)
		status int
	}{
		"wrong key":             {sms, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 401},
		"another scheme":        {sms, func(r *http.Request) { r.Header.Set("Authorization", "AccessKey "+birdtest.APIKey) }, 401},
		"no key":                {sms, func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"another path":          {sms, func(r *http.Request) { r.URL.Path += "/" }, 404},
		"GET":                   {sms, func(r *http.Request) { r.Method = http.MethodGet }, 405},
		"POST to the workspace": {sms, func(r *http.Request) { r.URL.Path = "/v1/workspace" }, 405},
		"a query":               {sms, func(r *http.Request) { r.URL.RawQuery = "text=1" }, 400},
		"no Idempotency-Key":    {sms, func(r *http.Request) { r.Header.Del("Idempotency-Key") }, 400},
		"two keys":              {sms, func(r *http.Request) { r.Header.Add("Idempotency-Key", "key-2-of-test") }, 400},
		"a short key":           {sms, func(r *http.Request) { r.Header.Set("Idempotency-Key", "1") }, 400},
		"a key with the number": {sms, func(r *http.Request) { r.Header.Set("Idempotency-Key", to) }, 400},
		"a form":                {sms, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 400},
		"not JSON":              {"x", nil, 400},
		"null":                  {"null", nil, 400},
		"a name twice":          {`{"to":"1","to":"2"}`, nil, 400},
		"invalid UTF-8":         {`{"to":"` + "\xff" + `"}`, nil, 400},
		"too long":              {strings.Repeat(" ", 65<<10) + "{}", nil, 400},
	} {
		if code, answer := post(t, s, toSMS, "key-1-of-test", tc.body, tc.change); code != tc.status || !strings.Contains(answer, `"error"`) {
			t.Errorf("%s: answered %d %s", name, code, answer)
		}
	}
	if n := len(s.Accepted()); n != 0 {
		t.Errorf("%d messages were accepted", n)
	}
}

// The same key gets the same answer, one in use or for another request a 409. The key of a
// request that was not executed is free again.
func TestIdempotency(t *testing.T) {
	s := start(t)
	_, first := post(t, s, toSMS, "key-1-of-test", sms, nil)
	if code, again := post(t, s, toSMS, "key-1-of-test", sms, nil); code != 202 || again != first || len(s.Accepted()) != 1 {
		t.Errorf("again: %d %s, %d messages", code, again, len(s.Accepted()))
	}
	if code, answer := post(t, s, toSMS, "key-1-of-test", object(sms, "text", "other"), nil); code != 409 || !strings.Contains(answer, "E01005") {
		t.Errorf("another body: %d %s", code, answer)
	}
	if code, answer := post(t, s, toWhatsApp, "key-1-of-test", whatsApp, nil); code != 409 || !strings.Contains(answer, "E01005") {
		t.Errorf("another resource: %d %s", code, answer)
	}
	if _, second := post(t, s, toSMS, "key-2-of-test", sms, nil); second == first || len(s.Accepted()) != 2 {
		t.Errorf("another key: %s", second)
	}

	s.Next(birdtest.Refuse(500, "E01007", "Internal", ""), birdtest.Accept())
	if code, _ := post(t, s, toSMS, "key-3-of-test", sms, nil); code != 500 {
		t.Error(code)
	}
	if code, _ := post(t, s, toSMS, "key-3-of-test", object(sms, "text", "other"), nil); code != 202 || len(s.Accepted()) != 3 {
		t.Errorf("a key that was not executed: %d", code)
	}
	s.Next(birdtest.Refuse(500, "E01007", "Internal", "").Accepting())
	_, _ = post(t, s, toSMS, "key-4-of-test", sms, nil)
	if code, _ := post(t, s, toSMS, "key-4-of-test", sms, nil); code != 202 || len(s.Accepted()) != 4 {
		t.Errorf("a key that was executed: %d, %d messages", code, len(s.Accepted()))
	}

	s.Next(birdtest.Accept().After(200 * time.Millisecond))
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = post(t, s, toSMS, "key-5-of-test", sms, nil) })
	for len(s.Accepted()) < 5 {
		time.Sleep(time.Millisecond)
	}
	if code, answer := post(t, s, toSMS, "key-5-of-test", sms, nil); code != 409 || !strings.Contains(answer, "E01004") {
		t.Errorf("in use: %d %s", code, answer)
	}
	wg.Wait()
	if code, _ := post(t, s, toSMS, "key-5-of-test", sms, nil); code != 202 || len(s.Accepted()) != 5 {
		t.Errorf("afterwards: %d", code)
	}
}

func TestScript(t *testing.T) {
	s := start(t)
	s.For(to, birdtest.Refuse(422, "E03001", "SMSInvalidRecipient", "to"))
	s.ForChannel(channel.WhatsApp, to, birdtest.Raw(418, "tea"))
	s.Next(birdtest.Raw(200, "first").With("Retry-After", "7"), birdtest.Accept().After(time.Millisecond))
	for i, want := range []struct {
		resource string
		body     map[string]any
		status   int
		holds    string
	}{
		{toSMS, sms, 200, "first"}, {toWhatsApp, whatsApp, 202, "wam_"}, {toSMS, sms, 422, `"name":"SMSInvalidRecipient","param":"to"`}, {toSMS, sms, 422, "739184"}, {toWhatsApp, whatsApp, 418, "tea"},
	} {
		if code, answer := post(t, s, want.resource, "key-of-test-"+strconv.Itoa(i), want.body, nil); code != want.status || !strings.Contains(answer, want.holds) {
			t.Errorf("answered %d %s, want %d %s", code, answer, want.status, want.holds)
		}
	}
}

func TestWorkspace(t *testing.T) {
	s := start(t)
	get := func(r *http.Request) {
		r.Method, r.URL.Path = http.MethodGet, "/v1/workspace"
		r.Header.Del("Idempotency-Key")
	}
	if code, answer := post(t, s, "", "", "", get); code != 200 || !strings.Contains(answer, `"id":"ws_`) {
		t.Errorf("answered %d %s", code, answer)
	}
	if code, _ := post(t, s, "", "", "", func(r *http.Request) { get(r); r.Header.Del("Authorization") }); code != 401 {
		t.Errorf("without a key: %d", code)
	}
	s.OnWorkspace(birdtest.Refuse(503, "E01033", "x", ""))
	if code, _ := post(t, s, "", "", "", get); code != 503 {
		t.Errorf("scripted: %d", code)
	}
}

// The double makes reports that the app can check.
func TestCallback(t *testing.T) {
	d := birdtest.New(birdtest.Account{})
	defer d.Close()
	var got map[string]any
	signed := false
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_ = json.NewDecoder(bytes.NewReader(body)).Decode(&got)
		signed = r.URL.Path == birdtest.StatusPath && r.Header.Get(birdtest.SignatureHeader) == d.Sign(r.Header.Get(birdtest.IDHeader), r.Header.Get(birdtest.TimestampHeader), body)
	}))
	defer app.Close()
	for c, m := range map[string]birdtest.Message{
		"sms":      {Channel: channel.SMS, ID: "sms_1", To: to, Metadata: map[string]string{"a": "b"}},
		"whatsapp": {Channel: channel.WhatsApp, ID: "wam_1", To: to},
	} {
		res, err := d.Callback(t.Context(), m, app.URL, "failed", "unreachable", "tags", nil, "new", 1)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		data, _ := got["data"].(map[string]any)
		word, _ := data["error"].(map[string]any)
		_, hasTags := data["tags"]
		if !signed || got["type"] != c+".failed" || word["code"] != "unreachable" || data[c+"_id"] != m.ID || hasTags || data["new"] != 1.0 || (data["metadata"] != nil) != (len(m.Metadata) > 0) {
			t.Errorf("%s: sent %v, signed %t", c, got, signed)
		}
	}
}
