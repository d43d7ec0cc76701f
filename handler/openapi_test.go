package handler_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"twofa/handler"
	"twofa/health"
	"twofa/internal/enroll"
	"twofa/internal/problem"
	"twofa/internal/testing/apitest"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/users"
)

// notDescribed are the routes that are not for clients: the host's own, the provider's, and
// those to which only the page for people leads.
var notDescribed = []string{
	"GET /{$}", "POST /hooks/{provider}/status", "POST /hooks/{provider}/inbound", "POST /hooks/{provider}/answer", "POST /purge",
	"GET /verify/check/address", "GET /verify/check/help", "POST /verify/check/help", "GET /verify/check/app", "POST /verify/check/app",
	"GET /verify/check/recovery", "POST /verify/check/recovery", "GET /verify/check/end", "POST /verify/check/send", "POST /verify/check/new",
	"GET /verify/check/send", "GET /verify/check/new", "GET /verify/check/resend", "GET /verify/check/code", "GET /verify/check/cancel",
	"GET /verify/link", "POST /verify/link", "GET /verify/enroll", "GET /verify/enroll/app", "POST /verify/enroll/app", "GET /verify/enroll/end",
	"GET /verify/enroll/begin", "POST /verify/enroll/begin", "GET /verify/enroll/add", "POST /verify/enroll/add", "GET /verify/enroll/remove", "POST /verify/enroll/remove",
	"GET /verify/enroll/keep", "POST /verify/enroll/keep", "GET /verify/enroll/codes", "POST /verify/enroll/codes", "GET /verify/enroll/kept", "POST /verify/enroll/kept", "GET /verify/enroll/save", "POST /verify/enroll/save",
	"GET /verify/enroll/cancel", "POST /verify/enroll/cancel",
	"POST /verify/check/resend", "POST /verify/check/code", "POST /verify/check/cancel", "GET /verify/style", "GET /verify/script", "GET /verify/logo",
}

// document returns the OpenAPI document and its operations, by method and path.
func document(t *testing.T) (*openapi3.T, map[string]*openapi3.Operation) {
	t.Helper()
	doc, err := apitest.Document()
	if err != nil {
		t.Fatal(err)
	}
	operations := make(map[string]*openapi3.Operation)
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			operations[method+" "+path] = o
		}
	}
	return doc, operations
}

// Every route is in the document, with its scope, and the document has no other.
func TestOpenAPI_HasTheRoutesAndTheirScopes(t *testing.T) {
	t.Parallel()
	_, operations := document(t)
	scopes := make(map[string]string)
	for name, o := range operations {
		named := make(map[string]bool)
		for _, s := range *o.Security {
			named[strings.Join(s["client"], ",")] = true
			if len(s["functionKey"]) > 0 {
				t.Errorf("%s: a function's key has no scopes", name)
			}
		}
		delete(named, "")
		scopes[name] = strings.Join(slices.Sorted(maps.Keys(named)), " ")
	}
	routes := withSignIn(t).API.Routes()
	for name := range signInRoutes { // discovery describes these
		delete(routes, name)
	}
	for _, name := range notDescribed {
		if _, ok := routes[name]; !ok {
			t.Errorf("there is no route %s", name)
		}
		delete(routes, name)
	}
	if !maps.Equal(scopes, routes) {
		t.Errorf("the document has\n%v, the router\n%v", scopes, routes)
	}
}

// Every kind of the error table is in the document, with its status and title, where it can
// be answered.
func TestOpenAPI_HasTheErrorTable(t *testing.T) {
	t.Parallel()
	doc, operations := document(t)
	described := make(map[problem.Kind]int)
	for name, s := range doc.Components.Schemas {
		kind, status, title := describedKind(s)
		if kind == "" {
			continue
		}
		described[kind] = status
		wantEqual(t, "the title of "+name, title, handler.TitleOf(kind))
	}
	if want := handler.StatusOf(); !maps.Equal(described, want) {
		t.Errorf("the document has the kinds\n%v, the error table\n%v", described, want)
	}
	used := map[problem.Kind]bool{problem.MethodNotAllowed: true} // of a method that is no operation
	for name, o := range operations {
		for status, response := range o.Responses.Map() {
			media := response.Value.Content.Get("application/problem+json")
			if media == nil {
				continue
			}
			for _, s := range append(media.Schema.Value.AnyOf, media.Schema) {
				kind, of, _ := describedKind(s)
				used[kind] = true
				if kind != "" && strconv.Itoa(of) != status {
					t.Errorf("%s names %s, a kind of %d, at %s", name, kind, of, status)
				}
				if kind != "" && !strings.Contains(*response.Value.Description, "`urn:twofa:"+string(kind)+"`") {
					t.Errorf("%s: the text of %s does not name %s: %s", name, status, kind, *response.Value.Description)
				}
			}
		}
	}
	for kind := range described {
		if !used[kind] {
			t.Errorf("no operation names %s", kind)
		}
	}
}

// describedKind returns the kind of problem that a schema describes, "" for other schemas.
func describedKind(s *openapi3.SchemaRef) (kind problem.Kind, status int, title string) {
	text, err := json.Marshal(s.Value)
	if err != nil {
		return "", 0, ""
	}
	urns, statuses, titles := constants(text, "type"), constants(text, "status"), constants(text, "title")
	if len(urns) == 0 || len(statuses) == 0 || len(titles) == 0 {
		return "", 0, ""
	}
	urn, _ := urns[0].(string)
	number, _ := statuses[0].(float64)
	title, _ = titles[0].(string)
	rest, _ := strings.CutPrefix(urn, "urn:twofa:")
	return problem.Kind(rest), int(number), title
}

// constants returns the values that a schema, or what it is made of, fixes for a property.
func constants(schema []byte, property string) (values []any) {
	var s struct {
		Properties map[string]struct{ Const any }
		AllOf      []json.RawMessage
	}
	if json.Unmarshal(schema, &s) != nil {
		return nil
	}
	if value := s.Properties[property].Const; value != nil {
		values = append(values, value)
	}
	for _, part := range s.AllOf {
		values = append(values, constants(part, property)...)
	}
	return values
}

// The document has the fields of the types that are decoded and encoded: no field is
// missing, and none has another name.
func TestOpenAPI_HasTheFieldsOfEveryBody(t *testing.T) {
	t.Parallel()
	doc, _ := document(t)
	for name, body := range map[string]any{
		"Start": otpsend.Request{}, "Resend": otpsend.ResendRequest{}, "Check": otpverify.Request{},
		"PutUser": users.Request{}, "Enroll": users.EnrollRequest{}, "Confirm": users.ConfirmRequest{}, "Rename": users.RenameRequest{}, "Alert": users.AlertRequest{},
		"Verification": otpsend.Answer{}, "PageSession": otpsend.PageAnswer{}, "Delivery": otpsend.Delivery{}, "Attempt": otpsend.Attempt{}, "Inbound": otpsend.InboundOffer{}, "Approval": otpverify.Answer{},
		"Enrolled": enrolled{}, "NamedApp": enroll.Named{}, "StartUserPage": users.PageRequest{}, "UserPage": users.PageAnswer{},
		"User": users.Answer{}, "App": users.Authenticator{}, "Apps": users.Authenticators{}, "Enrollment": users.Enrollment{},
		"RecoveryCodes": users.RecoveryCodes{}, "RecoveryState": users.RecoveryState{}, "Alerted": users.Alerted{}, "Unlocked": users.Unlocked{}, "Health": health.Answer{},
	} {
		got := slices.Sorted(maps.Keys(doc.Components.Schemas[name].Value.Properties))
		want := members(reflect.TypeOf(body))
		if name == "Enrollment" { // it is never of a confirmed app
			want = slices.DeleteFunc(want, func(m string) bool { return m == "confirmed_at" || m == "used_at" || m == "notified" })
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has %q, the service %q", name, got, want)
		}
	}
}

// enrolled is the other answer of a fetch.
type enrolled struct {
	Status string `json:"status"`
	enroll.Applied
}

// members returns the names that a type has in JSON, sorted.
func members(t reflect.Type) (names []string) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Pointer: // of another answer, which has a schema of its own
		case f.Anonymous:
			names = append(names, members(f.Type)...)
		case name != "-" && f.IsExported():
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Each operation's examples are a request and an answer as the document describes them.
func TestOpenAPI_ItsExamplesAreAsItSays(t *testing.T) {
	t.Parallel()
	_, operations := document(t)
	seen := 0
	for name, o := range operations {
		method, path, _ := strings.Cut(name, " ")
		path = strings.NewReplacer("{name}", "~YWxpY2U", "otpsend/{id}", "otpsend/VEe0d2e45a22810d1f3491fc2977adccb5", "totp/{id}", "totp/TA287bccd032159bd1").Replace(path)
		x := apitest.Exchange{Method: method, Path: path, Header: make(http.Header)}
		if o.RequestBody != nil {
			x.Header.Set("Content-Type", typeJSON)
			x.Body = asJSON(t, o.RequestBody.Value.Content[typeJSON].Example)
		}
		for status, response := range o.Responses.Map() {
			media := response.Value.Content[typeJSON]
			if media == nil {
				continue
			}
			seen++
			x.Status, _ = strconv.Atoi(status)
			x.Answer = asJSON(t, media.Example)
			x.AnswerHeader = http.Header{"Content-Type": {typeJSON}, "X-Request-Id": {"0123456789abcdef"}, "Location": {"/"}, "Etag": {`"c58cfb42f962a06c"`}, "Cache-Control": {"public"}}
			if err := apitest.Check(x); err != nil {
				t.Error(err)
			}
		}
	}
	if seen < 15 {
		t.Errorf("only %d examples were looked at", seen)
	}
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Anybody may read the document and its page, which a browser keeps for a while. What they
// say does not depend on the request.
func TestOpenAPI_IsServedToAnybody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.panicStore("the store was touched")
	for path, want := range map[string]string{"/verify/openapi": "application/openapi+json", "/verify/docs": "text/html; charset=utf-8"} {
		res := r.get(path)
		if res.status != 200 || res.header.Get("Content-Type") != want || res.header.Get("Cache-Control") != "public, max-age=300" || res.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, res.status, res.header)
		}
		req, err := http.NewRequest("GET", "http://evil.example"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"}}
		if other := r.serve(req); other.body != res.body || strings.Contains(other.body, "evil.example") {
			t.Errorf("%s depends on the host name of the request", path)
		}
		wantEqual(t, "the logged function", r.lastLine()["function"], any("pages"))
		r.do("POST", path, typeJSON, "{}").problem(405, problem.MethodNotAllowed)
		wantEqual(t, "the address with a step", r.get(path+"/more").status, 404)
	}
}
