package handler_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"twofa/handler"
	"twofa/internal/problem"
)

// badBodies are refused by every route that reads a body, for what they are.
// FIELD stands for a field that the route has.
var badBodies = []struct {
	name, contentType, body string
	status                  int
	kind                    problem.Kind
	says                    string // a part of the detail or of the field's message
	fields                  []string
}{
	{"empty", typeJSON, "", 400, problem.InvalidRequest, "Content-Length", nil},
	{"empty form", typeForm, "", 400, problem.InvalidRequest, "Content-Length", nil},
	{"nothing at all", "", "", 400, problem.InvalidRequest, "Content-Length", nil},
	{"only spaces", typeJSON, " \r\n\t ", 400, problem.InvalidRequest, "one JSON object", nil},
	{"null", typeJSON, `null`, 400, problem.InvalidRequest, "one JSON object", nil},
	{"number", typeJSON, `1`, 400, problem.InvalidRequest, "one JSON object", nil},
	{"string", typeJSON, `"to"`, 400, problem.InvalidRequest, "one JSON object", nil},
	{"array", typeJSON, `[{"to": "+14155550123"}]`, 400, problem.InvalidRequest, "one JSON object", nil},
	{"form as JSON", typeJSON, `to=%2B14155550123`, 400, problem.InvalidRequest, "application/x-www-form-urlencoded", nil},
	{"byte order mark", typeJSON, "\ufeff{}", 400, problem.InvalidRequest, "one JSON object", nil},
	{"cut off", typeJSON, `{"FIELD": "+14155550123"`, 400, problem.InvalidRequest, "not valid JSON", nil},
	{"trailing comma", typeJSON, `{"FIELD": "+14155550123",}`, 400, problem.InvalidRequest, "not valid JSON", nil},
	{"single quotes", typeJSON, `{'to': '+14155550123'}`, 400, problem.InvalidRequest, "not valid JSON", nil},
	{"comment", typeJSON, `{/* */}`, 400, problem.InvalidRequest, "not valid JSON", nil},
	{"trailing text", typeJSON, `{} x`, 400, problem.InvalidRequest, "nothing behind it", nil},
	{"two objects", typeJSON, `{}{}`, 400, problem.InvalidRequest, "nothing behind it", nil},
	{"invalid UTF-8 in a value", typeJSON, "{\"FIELD\": \"\xff\"}", 400, problem.InvalidRequest, "UTF-8", nil},
	{"invalid UTF-8 in a name", typeJSON, "{\"\xff\": \"\"}", 400, problem.InvalidRequest, "UTF-8", nil},
	{"lone surrogate", typeJSON, `{"FIELD": "\ud800"}`, 400, problem.InvalidRequest, "UTF-8", nil},
	{"unknown name", typeJSON, `{"phone": "+14155550123"}`, 400, problem.InvalidRequest, "no such field", []string{"phone"}},
	{"other case of a name", typeJSON, `{"Channel": "whatsapp"}`, 400, problem.InvalidRequest, "no such field", []string{"Channel"}},
	{"name without text", typeJSON, `{"": "x"}`, 400, problem.InvalidRequest, "no such field", []string{""}},
	{"very long name", typeJSON, `{"` + strings.Repeat("é", 1000) + `": "x"}`, 400, problem.InvalidRequest, "no such field", []string{strings.Repeat("é", 32) + "…"}},
	{"form with an unknown name", typeForm, `phone=1`, 400, problem.InvalidRequest, "no such field", []string{"phone"}},
	{"form with a name twice", typeForm, `channel=whatsapp&channel=whatsapp`, 400, problem.InvalidRequest, "2 times", []string{"channel"}},
	{"form with a bad escape", typeForm, `channel=%4`, 400, problem.InvalidRequest, "two hexadecimal digits", nil},
	{"form with a semicolon", typeForm, `a=1;b=2`, 400, problem.InvalidRequest, "separated by &", nil},
	{"form with invalid UTF-8", typeForm, `channel=%ff`, 400, problem.InvalidRequest, "UTF-8", nil},
	{"form with invalid UTF-8 in a name", typeForm, `%ff=1`, 400, problem.InvalidRequest, "UTF-8", nil},
	{"JSON as curl's default", typeForm, `{"to": "+14155550123"}`, 400, problem.InvalidRequest, "curl: --json", nil},
	{"JSON as curl's default, indented", typeForm, "\n  {\"to\": \"+14155550123\"}", 400, problem.InvalidRequest, "curl: --json", nil},
	{"no content type", "", `{}`, 415, problem.UnsupportedMediaType, "Send Content-Type: application/json", nil},
	{"text", "text/plain", `{}`, 415, problem.UnsupportedMediaType, "Send Content-Type: application/json", nil},
	{"XML", "application/xml", `<a/>`, 415, problem.UnsupportedMediaType, "Send Content-Type: application/json", nil},
	{"multipart", "multipart/form-data; boundary=x", "--x--", 415, problem.UnsupportedMediaType, "Send Content-Type: application/json", nil},
	{"kind of JSON", "application/problem+json", `{}`, 415, problem.UnsupportedMediaType, "Send Content-Type: application/json", nil},
	{"other charset", "application/json; charset=iso-8859-1", `{}`, 415, problem.UnsupportedMediaType, "in UTF-8", nil},
	{"other charset of a form", typeForm + "; charset=utf-16", `a=b`, 415, problem.UnsupportedMediaType, "in UTF-8", nil},
	{"content type that is none", "application/json; charset", `{}`, 415, problem.UnsupportedMediaType, "Send Content-Type: application/json", nil},
	{"17 KiB", typeJSON, `{"channel": "` + strings.Repeat("x", 17<<10) + `"}`, 413, problem.PayloadTooLarge, "16 KiB", nil},
	{"deep nesting", typeJSON, strings.Repeat(`{"context":`, 1300) + "1" + strings.Repeat("}", 1300), 400, problem.InvalidRequest, "", nil},
	{"deep array", typeJSON, `{"channel":` + strings.Repeat(`[`, 8000), 400, problem.InvalidRequest, "", nil},
	{"name and member of it", typeForm, `channel=a&channel.x=b`, 400, problem.InvalidRequest, "both as a text and as an object", []string{"channel.x"}},
	{"member and name of it", typeForm, `channel.x=b&channel=a`, 400, problem.InvalidRequest, "both as a text and as an object", []string{"channel.x"}},
	{"many faults of a form", typeForm, `x=1&x=2&b=1&b=2&a=1&a=2`, 400, problem.InvalidRequest, "2 times", []string{"a"}},
}

// Input that is refused must leave no trace: no row, no spent check, no message.
func TestBadBodiesAreRefusedAndLeaveNoTrace(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	s.clock.advance(time.Minute)
	before := s.rows()
	for path, field := range map[string]string{"/api/otpsend": "to", "/api/otpsend/" + id: "channel", "/api/otpverify": "code"} {
		for _, tc := range badBodies {
			if tc.body == "" && path == "/api/otpsend/"+id {
				continue // a resend may say nothing
			}
			res := s.do("POST", path, tc.contentType, strings.ReplaceAll(tc.body, "FIELD", field))
			res.problem(tc.status, tc.kind)
			if !strings.Contains(res.body, tc.says) {
				t.Errorf("%s: %s does not say %q", tc.name, res.body, tc.says)
			}
			if tc.fields != nil {
				res.wantFields(tc.fields...)
			}
			if strings.Contains(res.body, "jsontext") || strings.Contains(res.body, "json:") || strings.Contains(res.body, "4155550123") {
				t.Errorf("%s: the answer quotes the library or the input: %s", tc.name, res.body)
			}
		}
	}
	if after := s.rows(); !slices.Equal(before, after) {
		t.Errorf("rows before %v, after %v", before, after)
	}
	if n := s.sender.calls(); n != 1 {
		t.Errorf("%d messages, want the first one only", n)
	}
	if got := s.do("GET", "/api/otpsend/"+id, "", "").number("checks_left"); got != 5 {
		t.Errorf("checks_left %d, want 5", got)
	}
	s.check(id, code).want(200)
}

// badFields are refused for the fields named, all of them at once.
var badFields = []struct {
	name, path, body string
	fields           []string
	says             string
}{
	{"nothing", "/api/otpsend", `{}`, []string{"to"}, "to send to is missing"},
	{"null", "/api/otpsend", `{"to": null}`, []string{"to"}, "to send to is missing"},
	{"number without +", "/api/otpsend", `{"to": "14155550123"}`, []string{"to"}, "must begin with +"},
	{"00 for +", "/api/otpsend", `{"to": "0014155550123"}`, []string{"to"}, "must begin with +"},
	{"trunk 0", "/api/otpsend", `{"to": "+44 (0)20 7946 0018"}`, []string{"to"}, "leave out the 0"},
	{"extension", "/api/otpsend", `{"to": "+14155550123;ext=5"}`, []string{"to"}, "extension"},
	{"tel:", "/api/otpsend", `{"to": "tel:+14155550123"}`, []string{"to"}, "must begin with +"},
	{"whatsapp:", "/api/otpsend", `{"to": "whatsapp:+14155550123"}`, []string{"to"}, "must begin with +"},
	{"mail address", "/api/otpsend", `{"to": "someone@example.test"}`, []string{"to"}, "name it as channel"},
	{"bad mail address", "/api/otpsend", `{"to": "some one@example.test"}`, []string{"to"}, "name@example.com"},
	{"to and user", "/api/otpsend", `{"to": "+14155550123", "user": "alice"}`, []string{"user"}, "either to or user"},
	{"channel and channels", "/api/otpsend", `{"to": "+14155550123", "channel": "sms", "channels": ["sms"]}`, []string{"channels"}, "Give either"},
	{"channels as text", "/api/otpsend", `{"to": "+14155550123", "channels": "sms"}`, []string{"channels"}, "a list of strings"},
	{"unsuited channel", "/api/otpsend", `{"to": "+14155550123", "channel": "email"}`, []string{"channel"}, "needs an e-mail address"},
	{"unassigned", "/api/otpsend", `{"to": "+14150550123"}`, []string{"to"}, "wrong digit"},
	{"JSON number", "/api/otpsend", `{"to": 14155550123}`, []string{"to"}, "all fields are strings"},
	{"array", "/api/otpsend", `{"to": ["+14155550123"]}`, []string{"to"}, "all fields are strings"},
	{"object", "/api/otpsend", `{"to": {"number": "+14155550123"}}`, []string{"to"}, "all fields are strings"},
	{"boolean", "/api/otpsend", `{"to": true}`, []string{"to"}, "all fields are strings"},
	{"twice", "/api/otpsend", `{"to": "+14155550123", "to": "+919876543210"}`, []string{"to"}, "given twice"},
	{"twice, once escaped", "/api/otpsend", `{"to": "+14155550123", "\u0074o": "+919876543210"}`, []string{"to"}, "given twice"},
	{"nested twice", "/api/otpsend", `{"to": "+14155550123", "context": {"amount": "1", "amount": "2"}}`, []string{"context.amount"}, "given twice"},
	{"nested unknown", "/api/otpsend", `{"to": "+14155550123", "context": {"sum": "1"}}`, []string{"context.sum"}, "no such field"},
	{"context as text", "/api/otpsend", `{"to": "+14155550123", "context": "25"}`, []string{"context"}, "object of strings"},
	{"context as array", "/api/otpsend", `{"to": "+14155550123", "context": []}`, []string{"context"}, "object of strings"},
	{"context's number", "/api/otpsend", `{"to": "+14155550123", "context": {"amount": 25}}`, []string{"context.amount"}, "strings"},
	{"purpose", "/api/otpsend", `{"to": "+14155550123", "purpose": "Log in"}`, []string{"purpose"}, "a-z"},
	{"long purpose", "/api/otpsend", `{"to": "+14155550123", "purpose": "` + strings.Repeat("a", 33) + `"}`, []string{"purpose"}, "1 to 32"},
	{"channel", "/api/otpsend", `{"to": "+14155550123", "channel": "WhatsApp"}`, []string{"channel"}, "email, sms, whatsapp"},
	{"locale", "/api/otpsend", `{"to": "+14155550123", "locale": "en_US"}`, []string{"locale"}, "pt-BR"},
	{"long locale", "/api/otpsend", `{"to": "+14155550123", "locale": "en` + strings.Repeat("-x", 17) + `"}`, []string{"locale"}, "BCP 47"},
	{"client_ip", "/api/otpsend", `{"to": "+14155550123", "client_ip": "203.0.113.9:80"}`, []string{"client_ip"}, "no IP address"},
	{"line break", "/api/otpsend", `{"to": "+14155550123", "context": {"payee": "Acme\n@evil.test #1"}}`, []string{"context.payee"}, "line breaks"},
	{"direction", "/api/otpsend", `{"to": "+14155550123", "context": {"payee": "\u202eemcA"}}`, []string{"context.payee"}, "direction"},
	{"link", "/api/otpsend", `{"to": "+14155550123", "context": {"payee": "https://evil.test"}}`, []string{"context.payee"}, "Links"},
	{"placeholder", "/api/otpsend", `{"to": "+14155550123", "context": {"amount": "{{1}}"}}`, []string{"context.amount"}, "placeholders"},
	{"10 KB", "/api/otpsend", `{"to": "+14155550123", "context": {"payee": "` + strings.Repeat("x", 10<<10) + `"}}`, []string{"context.payee"}, "At most"},
	{"all at once", "/api/otpsend", `{"to": "1", "purpose": "!", "channel": "fax", "locale": "?", "client_ip": "?", "context": {"amount": "\t", "payee": "www.x"}}`,
		[]string{"to", "purpose", "context.amount", "context.payee", "channel", "locale", "client_ip"}, ""},

	{"another channel", "/api/otpsend/{id}", `{"channel": "fax"}`, []string{"channel"}, "email, sms, whatsapp"},
	{"what only a start has", "/api/otpsend/{id}", `{"to": "+14155550123"}`, []string{"to"}, "no such field"},
	{"bad id", "/api/otpsend/VE12", `{}`, []string{"id"}, "32 hexadecimal digits"},
	{"id with a slash", "/api/otpsend/VE%2F12", `{}`, []string{"id"}, "32 hexadecimal digits"},
	{"id in capitals", "/api/otpsend/VE0123456789ABCDEF0123456789ABCDEF", `{}`, []string{"id"}, "lower case"},

	{"nothing to check", "/api/otpverify", `{}`, []string{"code", "id"}, "code is missing"},
	{"no code", "/api/otpverify", `{"id": "{id}"}`, []string{"code"}, "code is missing"},
	{"code as a number", "/api/otpverify", `{"id": "{id}", "code": 123456}`, []string{"code"}, "all fields are strings"},
	{"code of spaces", "/api/otpverify", `{"id": "{id}", "code": " - "}`, []string{"code"}, ""},
	{"code with other characters", "/api/otpverify", `{"id": "{id}", "code": "12345!"}`, []string{"code"}, "digits or letters"},
	{"long code", "/api/otpverify", `{"id": "{id}", "code": "` + strings.Repeat("1", 65) + `"}`, []string{"code"}, "too long"},
	{"code twice", "/api/otpverify", `{"id": "{id}", "code": "000000", "code": "000001"}`, []string{"code"}, "given twice"},
	{"neither id nor to", "/api/otpverify", `{"code": "123456"}`, []string{"id"}, "or to or user"},
	{"bad id to check", "/api/otpverify", `{"id": "'; DROP TABLE", "code": "123456"}`, []string{"id"}, "32 hexadecimal digits"},
	{"number without + to check", "/api/otpverify", `{"to": "14155550123", "code": "123456"}`, []string{"to"}, "must begin with +"},
	{"all at once to check", "/api/otpverify", `{"to": "1", "purpose": "!", "code": "?"}`, []string{"code", "purpose", "to"}, ""},
}

func TestBadFieldsAreNamedAllAtOnceAndLeaveNoTrace(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	s.clock.advance(time.Minute)
	before := s.rows()
	for _, tc := range badFields {
		fill := strings.NewReplacer("{id}", id)
		res := s.post(fill.Replace(tc.path), fill.Replace(tc.body)).problem(400, problem.InvalidRequest)
		if got := res.fields(); !slices.Equal(got, tc.fields) || !strings.Contains(res.body, tc.says) {
			t.Errorf("%s: got %s, want faults in %q that say %q", tc.name, res.body, tc.fields, tc.says)
		}
	}
	for _, method := range []string{"GET", "DELETE"} {
		s.do(method, "/api/otpsend/VE12", "", "").problem(400, problem.InvalidRequest).wantFields("id")
	}
	if after := s.rows(); !slices.Equal(before, after) {
		t.Errorf("rows before %v, after %v", before, after)
	}
	if n := s.sender.calls(); n != 1 {
		t.Errorf("%d messages, want the first one only", n)
	}
	s.check(id, code).want(200)
}

// Requests that are well-formed and refused, or about nothing that exists,
// leave no row either.
func TestRequestsAboutNothingStoreNothing(t *testing.T) {
	s := newService(t)
	const none = "VE0123456789abcdef0123456789abcdef"
	s.post("/api/otpsend", object("to", "+19005550123")).problem(403, problem.DestinationRefused)
	s.post("/api/otpsend", object("to", "+33612345678")).problem(403, problem.DestinationRefused)
	s.post("/api/otpverify", object("to", alice, "code", "123456")).problem(404, problem.NotFound)
	s.check(none, "123456").problem(404, problem.NotFound)
	s.do("POST", "/api/otpsend/"+none, "", "").problem(404, problem.NotFound)
	s.do("GET", "/api/otpsend/"+none, "", "").problem(404, problem.NotFound)
	s.do("DELETE", "/api/otpsend/"+none, "", "").problem(404, problem.NotFound)
	s.post("/purge", `{}`).want(200)
	if rows := s.rows(); len(rows) != 0 || s.sender.calls() != 0 {
		t.Errorf("rows %v, %d messages", rows, s.sender.calls())
	}
}

func TestAPlusInAFormIsExplained(t *testing.T) {
	s := newService(t)
	for _, path := range []string{"/api/otpsend", "/api/otpverify"} {
		res := s.do("POST", path, typeForm, "to=+14155550123").problem(400, problem.InvalidRequest).wantFields("to")
		if !strings.Contains(res.body, "a + is written %2B;") {
			t.Errorf("%s: %s", path, res.body)
		}
	}
}

// The host takes the query's code for a function key, and proxies log queries:
// a code there is not read, whatever else is right.
func TestACodeInTheQueryIsNeverRead(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	query := "?code=" + code + "&id=" + id
	s.do("POST", "/api/otpverify"+query, typeJSON, object("id", id)).problem(400, problem.InvalidRequest).wantFields("code")
	s.do("POST", "/api/otpverify"+query, typeForm, form("id", id)).problem(400, problem.InvalidRequest).wantFields("code")
	s.do("POST", "/api/otpverify"+query, typeForm, form("id", id, "code", wrong(code))).problem(422, problem.WrongCode)
	s.do("POST", "/api/otpverify?code=functionkey", typeForm, form("id", id, "code", code)).want(200)
}

// sized is a valid check of exactly that many bytes.
func sized(id, code string, size int) string {
	body := object("id", id, "code", code)
	return strings.Repeat(" ", size-len(body)) + body
}

func TestABodyOfExactly16KiBIsReadAndOneByteMoreIsNot(t *testing.T) {
	s := newService(t)
	server := httptest.NewServer(s.handler)
	defer server.Close()
	id, code := s.start(alice)
	post := func(body io.Reader) *response {
		res, err := http.Post(server.URL+"/api/otpverify", typeJSON, body)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return &response{t: t, status: res.StatusCode, header: res.Header, body: string(text)}
	}
	chunked := func(body string) io.Reader { return struct{ io.Reader }{strings.NewReader(body)} }

	post(strings.NewReader(sized(id, code, 16<<10+1))).problem(413, problem.PayloadTooLarge)
	post(chunked(sized(id, code, 16<<10+1))).problem(413, problem.PayloadTooLarge)
	post(chunked(sized(id, wrong(code), 16<<10))).problem(422, problem.WrongCode)
	post(strings.NewReader(sized(id, code, 16<<10))).want(200)
}

// A body that claims to be too long is refused without being read.
func TestATooLongBodyIsRefusedByItsLengthAlone(t *testing.T) {
	s := newService(t)
	server := httptest.NewServer(s.handler)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "POST /api/otpsend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", handler.MaxBody+1)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 413 {
		t.Errorf("status %d, want 413 before the body is asked for", res.StatusCode)
	}
}

// A body that breaks off is not taken for a whole one, even if what came is one.
func TestABodyThatBreaksOffIsRefused(t *testing.T) {
	s := newService(t)
	for _, path := range []string{"/api/otpsend", "/purge"} {
		body := object("to", alice)
		r := httptest.NewRequest("POST", path, io.MultiReader(strings.NewReader(body), brokenReader{}))
		r.Header.Set("Content-Type", typeJSON)
		r.ContentLength = int64(len(body)) + 10
		res := s.serve(r).problem(400, problem.InvalidRequest)
		if !strings.Contains(res.text("detail"), "did not arrive whole") {
			t.Errorf("%s: %s", path, res.body)
		}
	}
	if len(s.rows()) != 0 {
		t.Errorf("rows %v", s.rows())
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Attack 10: whatever a client sends, a key is a hash or one of our own words.
func TestNothingAClientSendsBecomesPartOfAKey(t *testing.T) {
	s := newService(t, noPause)
	for i, purpose := range []string{"login", "a-b_c", "0"} {
		s.post("/api/otpsend", object("to", alice, "purpose", purpose)).want(201)
		s.post("/api/otpsend", object("to", "+1415555012"+strconv.Itoa(i))).want(201)
	}
	s.post("/purge", "{}").want(200)
	rows := s.rows()
	if len(rows) != 4 {
		t.Errorf("%d rows, want one an address", len(rows)) // alice's number is none of the three
	}
	for _, ref := range rows {
		if len(ref.Key) != 16 || strings.Trim(string(ref.Key), "0123456789abcdef") != "" {
			t.Errorf("key %q is no hash", ref.Key)
		}
	}
}
