package birdtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"twofa/internal/channel"
	"twofa/internal/testing/doubletest"
)

var (
	number   = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	language = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]+)*$`)
	key      = regexp.MustCompile(`^[A-Za-z0-9_-]{8,255}$`)
)

// refusal is an error answer. Its text quotes the request, so that tests notice a client
// that passes it on.
type refusal struct {
	status                 int
	kind, code, name, text string
	param                  string
}

// answer is the error in Bird's form.
func (r *refusal) answer() doubletest.Answer {
	kinds := map[int]string{400: "bad_request_error", 401: "auth_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error", 409: "conflict_error",
		421: "misdirected_error", 422: "validation_error", 429: "rate_limit_error", 503: "service_unavailable_error"}
	kind := r.kind
	if kind == "" {
		if kind = kinds[r.status]; kind == "" {
			kind = "internal_error"
		}
	}
	e := map[string]any{"type": kind, "code": r.code, "name": r.name, "message": r.text, "doc_url": "https://docs.bird.com/errors/" + r.code, "request_id": "req_01krdgeqcxet5s7t44vh8rt9mg"}
	if r.param != "" {
		e["param"] = r.param
	}
	return doubletest.Answer{Status: r.status, Body: doubletest.MustJSON(map[string]any{"error": e})}
}

// bad refuses a request for one field of its body ("": none).
func bad(param, format string, args ...any) (Message, *refusal) {
	return Message{}, &refusal{http.StatusUnprocessableEntity, "", "E01001", "ValidationError", fmt.Sprintf(format, args...), param}
}

// malformed refuses a request whose body cannot be read.
func malformed(fault error) *refusal {
	return &refusal{http.StatusBadRequest, "", "E01000", "BadRequest", fault.Error(), ""}
}

// resource reads the body of one of the API's resources.
type resource func(map[string]any) (Message, *refusal)

// checkRequest checks everything except the body. It returns the function that reads the
// body, nil for the workspace.
func (d *Double) checkRequest(r *http.Request) (resource, *refusal) {
	refuse := func(status int, code, text string) (resource, *refusal) {
		return nil, &refusal{status, "", code, "Refused", text, ""}
	}
	read := map[string]resource{"/v1/sms/messages": d.checkSMS, "/v1/whatsapp/messages": d.checkWhatsApp}[r.URL.Path]
	isWorkspace := r.URL.Path == "/v1/workspace"
	method := http.MethodPost
	if isWorkspace {
		method = http.MethodGet
	}
	switch keys := r.Header["Idempotency-Key"]; {
	case len(r.Header["Authorization"]) != 1 || r.Header.Get("Authorization") != "Bearer "+d.account.APIKey:
		return refuse(http.StatusUnauthorized, "E02001", "the key is wrong")
	case !isWorkspace && read == nil:
		return refuse(http.StatusNotFound, "E01002", "no resource "+r.URL.Path)
	case r.Method != method:
		return refuse(http.StatusMethodNotAllowed, "E01003", "the method is "+r.Method)
	case r.URL.RawQuery != "":
		return refuse(http.StatusBadRequest, "E01000", "parameters in the URL: "+r.URL.RawQuery)
	case !isWorkspace && (len(keys) != 1 || !key.MatchString(keys[0])):
		return refuse(http.StatusBadRequest, "E01000", fmt.Sprintf("the keys are %q", keys))
	}
	return read, nil
}

// fields reads the values of a body.
type fields struct{ doubletest.Fields }

func newFields(body map[string]any, known ...string) *fields {
	return &fields{doubletest.Fields{Body: body, Known: known}}
}

// metadata returns the metadata, which holds texts only.
func (f *fields) metadata() map[string]string {
	value, has := f.Get("metadata")
	if !has {
		return nil
	}
	object, _ := value.(map[string]any)
	texts := make(map[string]string)
	for name, value := range object {
		text, isString := value.(string)
		if texts[name] = text; !isString || text == "" {
			f.Fail("metadata", "the metadata is %v", value)
		}
	}
	if len(texts) == 0 || len(doubletest.MustJSON(object)) > 2<<10 {
		f.Fail("metadata", "the metadata is %v", value)
	}
	return texts
}

// end refuses the parameters that nobody has asked for, and what the metadata must not hold.
func (f *fields) end(m Message) *refusal {
	f.End()
	if !number.MatchString(m.To) {
		f.Fail("to", "to %s is not a number", m.To)
		return f.refusal()
	}
	for _, value := range m.Metadata {
		digits := strings.Join(strings.FieldsFunc(m.Variable, func(r rune) bool { return r < '0' || r > '9' }), "")
		if strings.Contains(value, m.To[1:]) || len(digits) >= 4 && strings.Contains(value, digits) {
			f.Fail("metadata", "the metadata holds %s", value)
		}
	}
	return f.refusal()
}

// refusal is the refusal of the first mistake, nil if there is none.
func (f *fields) refusal() *refusal {
	if f.Fault == nil {
		return nil
	}
	_, r := bad(f.Fault.Name, "%s", f.Fault.Text)
	return r
}

// checkSMS checks the parameters of an SMS and returns it.
func (d *Double) checkSMS(body map[string]any) (Message, *refusal) {
	f := newFields(body)
	m := Message{Channel: channel.SMS, To: f.Text("to"), From: f.Text("from"), Text: f.Text("text"), Metadata: f.metadata()}
	category := f.Text("category")
	if r := f.end(m); r != nil {
		return Message{}, r
	}
	most := 1836 // 12 segments
	if strings.ContainsFunc(m.Text, func(r rune) bool { return r > unicode.MaxLatin1 }) {
		most = 804 // in UCS-2. Some of these characters are in the GSM alphabet, too
	}
	switch {
	case category != "authentication":
		return bad("category", "the category is %s", category)
	case m.From != d.account.SMSFrom:
		return bad("from", "from %s is not a sender of the account", m.From)
	case m.Text == "" || utf8.RuneCountInString(m.Text) > most:
		return bad("text", "the text is empty or too long: %s", m.Text)
	}
	return m, nil
}

// checkWhatsApp checks the parameters of a WhatsApp message and returns it.
func (d *Double) checkWhatsApp(body map[string]any) (Message, *refusal) {
	f := newFields(body, "template", "text")
	m := Message{Channel: channel.WhatsApp, To: f.Text("to"), From: f.Text("from"), Metadata: f.metadata()}
	template, hasTemplate := body["template"]
	text, hasText := body["text"]
	if hasTemplate == hasText {
		return bad("", "template %v and text %v", template, text)
	}
	if hasTemplate {
		var r *refusal
		if m, r = d.checkTemplate(template, m); r != nil {
			return Message{}, r
		}
	} else {
		object, _ := text.(map[string]any)
		said, _ := object["body"].(string)
		if m.Text = said; len(object) != 1 || said == "" || utf8.RuneCountInString(said) > 4096 {
			return bad("text.body", "the text is %v", text)
		}
	}
	if r := f.end(m); r != nil {
		return Message{}, r
	}
	switch isManaged := strings.HasPrefix(m.Template, "bird_"); {
	case isManaged && m.From != "":
		return bad("from", "the template %s has a sender of its own", m.Template)
	case !isManaged && m.From != d.account.WhatsAppFrom:
		return bad("from", "from %s is not a sender of the account", m.From)
	}
	return m, nil
}

// checkTemplate checks a template with its variable. It completes the message.
func (d *Double) checkTemplate(given any, m Message) (Message, *refusal) {
	type parameter struct{ Type, Text string }
	var t struct {
		ID, Slug, Language string
		Components         []struct {
			Type       string
			Parameters []parameter
		}
	}
	decoder := json.NewDecoder(strings.NewReader(doubletest.MustJSON(given)))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&t) != nil || !language.MatchString(t.Language) || (t.ID == "") == (t.Slug == "") || t.ID != "" != strings.HasPrefix(t.ID, "wat_") {
		return bad("template", "the template is %v", given)
	}
	m.Template, m.Language = t.ID+t.Slug, t.Language
	types := map[string][]string{d.account.Template: {"body", "button"}, Managed: {"body", "button"}, d.account.AlertTemplate: {"body"}}[m.Template]
	if len(types) == 0 || len(t.Components) != len(types) {
		return bad("template.components", "the template is %v", given)
	}
	for i, c := range t.Components {
		if c.Type != types[i] || len(c.Parameters) != 1 || c.Parameters[0].Type != "text" || c.Parameters[0].Text == "" {
			return bad("template.components[0]", "the component is %v", c)
		}
	}
	m.Variable = t.Components[0].Parameters[0].Text
	if len(types) == 2 {
		// WhatsApp limits a code to 15 characters, and the button copies the same one.
		m.CopiedCode = t.Components[1].Parameters[0].Text
		if m.CopiedCode != m.Variable || len(m.Variable) > 15 {
			return bad("template.components[1]", "the codes are %s and %s", m.Variable, m.CopiedCode)
		}
	}
	return m, nil
}

// OnWorkspace sets the reply to all requests that read the workspace. Only those with the
// right key get it.
func (d *Double) OnWorkspace(r Reply) { d.OnRead(r) }

// serveWorkspace answers a request that reads the workspace, with fields that a check must
// not pass on.
func (d *Double) serveWorkspace(w http.ResponseWriter, r *http.Request, call *Call) {
	if d.Read(w, r, call, func(reply Reply) doubletest.Answer { return answerTo(reply, Message{Text: "canary"}) }) {
		return
	}
	d.Write(w, call, doubletest.Answer{Status: http.StatusOK, Body: doubletest.MustJSON(map[string]any{
		"id": "ws_01krdgeqcxet5s7t44vh8rt9mg", "name": "canary owner", "organization_id": "org_01krdgeqcxet5s7t44vh8rt9mg",
	})})
}
