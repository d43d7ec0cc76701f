package plivotest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"twofa/internal/channel"
	"twofa/internal/testing/doubletest"
)

var (
	number   = regexp.MustCompile(`^[1-9][0-9]{6,14}$`)
	language = regexp.MustCompile(`^[a-z]{2,3}(_[A-Za-z0-9]+)*$`)
)

// refusal is an error answer. Its text quotes the request, as Plivo's does, so that tests
// notice a client that passes it on.
type refusal struct {
	status int
	text   string
}

// answer is the error in Plivo's form. There is no error number.
func (r *refusal) answer() doubletest.Answer {
	return doubletest.Answer{Status: r.status, Body: doubletest.MustJSON(map[string]any{"api_id": "948b53a2-3f08-11e7-b6f4-061564b78b75", "error": r.text})}
}

func bad(format string, args ...any) (Message, *refusal) {
	return Message{}, &refusal{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// resource reads the body of one of the API's resources.
type resource func(map[string]any) (Message, *refusal)

// checkRequest checks everything except the body. It returns the function that reads the
// body.
func (d *Double) checkRequest(r *http.Request) (resource, *refusal) {
	user, password, _ := r.BasicAuth()
	name, isOurs := strings.CutPrefix(r.URL.Path, "/v1/Account/"+d.account.AuthID)
	read := map[string]resource{"/Message/": d.checkMessage, "/Call/": d.checkCall}[name]
	switch {
	case user != d.account.AuthID || password != d.account.AuthToken:
		return nil, &refusal{http.StatusUnauthorized, "Could not verify your access level for that URL."}
	case !isOurs || read == nil:
		return nil, &refusal{http.StatusNotFound, "no resource " + r.URL.Path}
	case r.Method != http.MethodPost:
		return nil, &refusal{http.StatusMethodNotAllowed, "the method is " + r.Method}
	case r.URL.RawQuery != "":
		return nil, &refusal{http.StatusBadRequest, "parameters in the URL: " + r.URL.RawQuery}
	}
	return read, nil
}

// fields reads the values of a body.
type fields struct{ doubletest.Fields }

func newFields(body map[string]any, known ...string) *fields {
	return &fields{doubletest.Fields{Body: body, Known: known}}
}

// seconds returns a whole number in a range, 0 if the name is not there.
func (f *fields) seconds(name string, least, most int) time.Duration {
	value, has := f.Get(name)
	n, isNumber := value.(float64)
	if has && (!isNumber || n != float64(int(n)) || int(n) < least || int(n) > most) {
		f.Fail(name, "%s is %v", name, value)
	}
	return time.Duration(n) * time.Second
}

// callback returns a URL and checks that its method is POST.
func (f *fields) callback(name, method string) string {
	address, verb := f.Text(name), f.Text(method)
	u, err := url.Parse(address)
	if address != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "") {
		f.Fail(name, "%s is %s", name, address)
	}
	if (address == "") != (verb == "") || verb != "" && verb != http.MethodPost {
		f.Fail(method, "%s is %s", method, verb)
	}
	return address
}

// end refuses the parameters that nobody has asked for.
func (f *fields) end() *refusal {
	if f.End(); f.Fault == nil {
		return nil
	}
	return &refusal{http.StatusBadRequest, f.Fault.Text}
}

// checkMessage checks the parameters of a message and returns the message.
func (d *Double) checkMessage(body map[string]any) (Message, *refusal) {
	f := newFields(body, "log", "template")
	m := Message{
		To: f.Text("dst"), From: f.Text("src"), PowerpackUUID: f.Text("powerpack_uuid"), Text: f.Text("text"),
		URL: f.callback("url", "method"), Expiry: f.seconds("message_expiry", 5, 10799),
		DLT: [3]string{f.Text("dlt_entity_id"), f.Text("dlt_template_id"), f.Text("dlt_template_category")},
	}
	sender := d.account.SMSFrom
	switch kind := f.Text("type"); kind {
	case "sms":
		m.Channel = channel.SMS
	case "whatsapp":
		m.Channel, sender = channel.WhatsApp, d.account.WhatsAppFrom
	default:
		f.Fail("type", "type is %q", kind)
	}
	if r := f.end(); r != nil {
		return Message{}, r
	}
	switch {
	case body["log"] != false:
		return bad("log is %v: the text %s would be kept", body["log"], m.Text)
	case !number.MatchString(m.To):
		return bad("dst %s is not a number", m.To)
	case (m.From == "") == (m.PowerpackUUID == ""):
		return bad("one of src and powerpack_uuid is needed: %s, %s", m.From, m.PowerpackUUID)
	case m.From != "" && m.From != strings.TrimPrefix(sender, "+"):
		return bad("src %s is not a sender of the account", m.From)
	case m.PowerpackUUID != "" && (m.PowerpackUUID != d.account.PowerpackUUID || m.Channel != channel.SMS):
		return bad("powerpack_uuid %s is not one of the account", m.PowerpackUUID)
	case m.From == m.To:
		return bad("src and dst are both %s", m.From)
	case m.DLT != [3]string{} && (m.Channel != channel.SMS || !strings.HasPrefix(m.To, "91") || m.DLT[0] == "" || m.DLT[1] == ""):
		return bad("a registration %v for %s", m.DLT, m.To)
	}
	return d.checkContent(body, m)
}

// checkContent checks that the message has either a text or, on WhatsApp, a template with
// its variable. It completes the message.
func (d *Double) checkContent(body map[string]any, m Message) (Message, *refusal) {
	given, has := body["template"]
	if !has {
		most := 1600
		if m.Channel == channel.SMS && strings.ContainsFunc(m.Text, func(r rune) bool { return r > unicode.MaxLatin1 }) {
			most = 737 // in UCS-2. Some of these characters are in the GSM alphabet, too
		}
		if m.Text == "" || utf8.RuneCountInString(m.Text) > most {
			return bad("the text is empty or too long: %s", m.Text)
		}
		return m, nil
	}
	if m.Channel != channel.WhatsApp || m.Text != "" {
		return bad("a template beside the text %q", m.Text)
	}
	type parameter struct{ Type, Text string }
	var t struct {
		Name, Language string
		Components     []struct {
			Type       string
			SubType    string `json:"sub_type"`
			Index      string
			Parameters []parameter
		}
	}
	decoder := json.NewDecoder(strings.NewReader(doubletest.MustJSON(given)))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&t) != nil || !language.MatchString(t.Language) {
		return bad("the template is %v", given)
	}
	buttons := map[string]int{d.account.Template: 1, d.account.AlertTemplate: 0}
	count, known := buttons[t.Name]
	if !known || len(t.Components) != 1+count {
		return bad("the template is %v", given)
	}
	for i, c := range t.Components {
		want := []string{"body", "", ""}
		if i == 1 {
			want = []string{"button", "url", "0"}
		}
		if !slices.Equal([]string{c.Type, c.SubType, c.Index}, want) || len(c.Parameters) != 1 || c.Parameters[0].Type != "text" || c.Parameters[0].Text == "" {
			return bad("the component is %v", c)
		}
	}
	m.Template, m.Language, m.Variable = t.Name, t.Language, t.Components[0].Parameters[0].Text
	if count == 1 {
		// WhatsApp limits a code to 15 characters, and the button copies the same one.
		m.CopiedCode = t.Components[1].Parameters[0].Text
		if m.CopiedCode != m.Variable || len(m.Variable) > 15 {
			return bad("the codes are %s and %s", m.Variable, m.CopiedCode)
		}
	}
	return m, nil
}

// checkCall checks the parameters of a call and returns the call.
func (d *Double) checkCall(body map[string]any) (Message, *refusal) {
	f := newFields(body)
	m := Message{
		Channel: channel.Call, To: f.Text("to"), From: f.Text("from"),
		AnswerURL: f.callback("answer_url", "answer_method"), URL: f.callback("hangup_url", "hangup_method"),
		Ringing: f.seconds("ring_timeout", 1, 120), Longest: f.seconds("time_limit", 1, 14400),
	}
	if r := f.end(); r != nil {
		return Message{}, r
	}
	switch {
	case !number.MatchString(m.To):
		return bad("to %s is not a number", m.To)
	case m.From != strings.TrimPrefix(d.account.CallFrom, "+"):
		return bad("from %s is not a number of the account", m.From)
	case m.From == m.To:
		return bad("from and to are both %s", m.From)
	case m.AnswerURL == "":
		return bad("answer_url is missing")
	}
	return m, nil
}
