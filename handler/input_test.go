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

// badBodies are refused by each route that reads a body. FIELD stands for a field
// of the route.
var badBodies = []struct {
	name, contentType, body string
	status                  int
	kind                    problem.Kind
	says                    string // a part of the detail or of the field's message
	fields                  []string
}{
	{"empty", typeJSON, "", 400, problem.InvalidRequest, "The body is empty", nil},
	{"empty form", typeForm, "", 400, problem.InvalidRequest, "The body is empty", nil},
	{"nothing at all", "", "", 400, problem.InvalidRequest, "The body is empty", nil},
	{"only spaces", typeJSON, " \r\n\t ", 400, problem.InvalidRequest, "one JSON object", nil},
	{"null", typeJSON, `null`, 400, problem.InvalidRequest, "one JSON object", nil},
	{"number", typeJSON, `1`, 400, problem.InvalidRequest, "one JSON object", nil},
	{"string", typeJSON, `"to"`, 400, problem.InvalidRequest, "one JSON object", nil},
	{"array", typeJSON, `[{"to": "+14155550123"}]`, 400, problem.InvalidRequest, "one JSON object", nil},
	{"form as JSON", typeJSON, `to=%2B14155550123`, 400, problem.InvalidRequest, "application/x-www-form-urlencoded", nil},
	{"byte order mark alone", typeJSON, "\ufeff", 400, problem.InvalidRequest, "The body is empty", nil},
	{"byte order mark of a form alone", typeForm, "\ufeff", 400, problem.InvalidRequest, "The body is empty", nil},
	{"byte order mark behind a space", typeJSON, " \ufeff{}", 400, problem.InvalidRequest, "one JSON object", nil},
	{"cut off", typeJSON, `{"FIELD": "+14155550123"`, 400, problem.InvalidRequest, "not valid JSON", nil},
	{"trailing comma", typeJSON, `{"FIELD": "+14155550123",}`, 400, problem.InvalidRequest, "not valid JSON", nil},
	{"single quotes", typeJSON, `{'to': '+14155550123'}`, 400, problem.InvalidRequest, "not valid JSON", nil},
	{"comment", typeJSON, `{/* */}`, 400, problem.InvalidRequest, "not valid JSON", nil},
	{"trailing text", typeJSON, `{} x`, 400, problem.InvalidRequest, "nothing after it", nil},
	{"two objects", typeJSON, `{}{}`, 400, problem.InvalidRequest, "nothing after it", nil},
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
	{"kind of JSON that is no application's", "model/gltf+json", `{}`, 415, problem.UnsupportedMediaType, "Send Content-Type: application/json", nil},
	{"other charset", "application/json; charset=iso-8859-1", `{}`, 415, problem.UnsupportedMediaType, "in UTF-8", nil},
	{"other charset of a form", typeForm + "; charset=utf-16", `a=b`, 415, problem.UnsupportedMediaType, "in UTF-8", nil},
	{"malformed content type", "application/json; charset", `{}`, 415, problem.UnsupportedMediaType, "Send Content-Type: application/json", nil},
	{"17 KiB", typeJSON, `{"channel": "` + strings.Repeat("x", 17<<10) + `"}`, 413, problem.PayloadTooLarge, "16 KiB", nil},
	{"deep nesting", typeJSON, strings.Repeat(`{"context":`, 1300) + "1" + strings.Repeat("}", 1300), 400, problem.InvalidRequest, "", nil},
	{"deep array", typeJSON, `{"channel":` + strings.Repeat(`[`, 8000), 400, problem.InvalidRequest, "", nil},
	{"name, then member", typeForm, `channel=a&channel.x=b`, 400, problem.InvalidRequest, "both as a text and as an object", []string{"channel.x"}},
	{"member, then name", typeForm, `channel.x=b&channel=a`, 400, problem.InvalidRequest, "both as a text and as an object", []string{"channel.x"}},
	{"many faults of a form", typeForm, `x=1&x=2&b=1&b=2&a=1&a=2`, 400, problem.InvalidRequest, "2 times", []string{"a"}},
}

// Input that is refused changes no row, spends no check and sends no message.
func TestBadBodiesAreRefusedAndLeaveNoTrace(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	r.Advance(time.Minute)
	before := fmt.Sprint(r.rows())
	for path, field := range map[string]string{"/api/otpsend": "to", "/api/otpsend/" + id: "channel", "/api/otpverify": "code"} {
		for _, tc := range badBodies {
			if tc.body == "" && path == "/api/otpsend/"+id {
				continue // the body of a resend is optional
			}
			res := r.do("POST", path, tc.contentType, strings.ReplaceAll(tc.body, "FIELD", field))
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
	wantEqual(t, "rows", fmt.Sprint(r.rows()), before)
	wantEqual(t, "messages", r.Sent(), 1)
	wantEqual(t, "checks_left", r.get("/api/otpsend/"+id).number("checks_left"), 5)
	r.check(id, code).want(200)
}

// badFields are refused, and the answer names all fields at fault.
var badFields = []struct {
	name, path, body string
	fields           []string
	says             string
}{
	{"nothing", "/api/otpsend", `{}`, []string{"to"}, "Give to (a phone number or an e-mail address) or user"},
	{"null", "/api/otpsend", `{"to": null}`, []string{"to"}, "Give to (a phone number or an e-mail address) or user"},
	{"number without +", "/api/otpsend", `{"to": "14155550123"}`, []string{"to"}, "must begin with +"},
	{"00 for +", "/api/otpsend", `{"to": "0014155550123"}`, []string{"to"}, "must begin with +"},
	{"trunk 0", "/api/otpsend", `{"to": "+44 (0)20 7946 0018"}`, []string{"to"}, "leave out the 0"},
	{"extension", "/api/otpsend", `{"to": "+14155550123;ext=5"}`, []string{"to"}, "extension"},
	{"tel: with an extension", "/api/otpsend", `{"to": "tel:+14155550123;ext=5"}`, []string{"to"}, "extension"},
	{"whatsapp:", "/api/otpsend", `{"to": "whatsapp:+14155550123"}`, []string{"to"}, "must begin with +"},
	{"mail address", "/api/otpsend", `{"to": "someone@example.test"}`, []string{"to"}, "has another channel, name it"},
	{"bad mail address", "/api/otpsend", `{"to": "some one@example.test"}`, []string{"to"}, "name@example.com"},
	{"to and user", "/api/otpsend", `{"to": "+14155550123", "user": "alice"}`, []string{"user"}, "either to or user"},
	{"channel and channels", "/api/otpsend", `{"to": "+14155550123", "channel": "sms", "channels": ["sms"]}`, []string{"channels"}, "Give either"},
	{"channels as text", "/api/otpsend", `{"to": "+14155550123", "channels": "sms"}`, []string{"channels"}, "a list of strings"},
	{"unsuited channel", "/api/otpsend", `{"to": "+14155550123", "channel": "email"}`, []string{"channel"}, "needs an e-mail address"},
	{"unassigned", "/api/otpsend", `{"to": "+14150550123"}`, []string{"to"}, "wrong digit"},
	{"JSON number", "/api/otpsend", `{"to": 14155550123}`, []string{"to"}, "All fields are strings"},
	{"array", "/api/otpsend", `{"to": ["+14155550123"]}`, []string{"to"}, "All fields are strings"},
	{"object", "/api/otpsend", `{"to": {"number": "+14155550123"}}`, []string{"to"}, "All fields are strings"},
	{"boolean", "/api/otpsend", `{"to": true}`, []string{"to"}, "All fields are strings"},
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
	{"locale as a number", "/api/otpsend", `{"to": "+14155550123", "locale": 5}`, []string{"locale"}, "All fields are strings"},
	{"client_ip as a number", "/api/otpsend", `{"to": "+14155550123", "client_ip": 3405803785}`, []string{"client_ip"}, "All fields are strings"},
	{"line break", "/api/otpsend", `{"to": "+14155550123", "context": {"payee": "Acme\n@evil.test #1"}}`, []string{"context.payee"}, "line breaks"},
	{"direction", "/api/otpsend", `{"to": "+14155550123", "context": {"payee": "\u202eemcA"}}`, []string{"context.payee"}, "direction"},
	{"link", "/api/otpsend", `{"to": "+14155550123", "context": {"payee": "https://evil.test"}}`, []string{"context.payee"}, "Links"},
	{"placeholder", "/api/otpsend", `{"to": "+14155550123", "context": {"amount": "{{1}}"}}`, []string{"context.amount"}, "placeholders"},
	{"10 KB", "/api/otpsend", `{"to": "+14155550123", "context": {"payee": "` + strings.Repeat("x", 10<<10) + `"}}`, []string{"context.payee"}, "At most"},
	{"all at once", "/api/otpsend", `{"to": "1", "purpose": "!", "channel": "fax", "locale": "?", "client_ip": "?", "context": {"amount": "\t", "payee": "www.x"}}`,
		[]string{"to", "context.amount", "context.payee", "purpose", "channel"}, ""},

	{"another channel", "/api/otpsend/{id}", `{"channel": "fax"}`, []string{"channel"}, "email, sms, whatsapp"},
	{"a field of a start alone", "/api/otpsend/{id}", `{"to": "+14155550123"}`, []string{"to"}, "no such field"},
	{"bad id", "/api/otpsend/VE12", `{}`, []string{"id"}, "32 hexadecimal digits"},
	{"id with a slash", "/api/otpsend/VE%2F12", `{}`, []string{"id"}, "32 hexadecimal digits"},
	{"id in capitals", "/api/otpsend/VE0123456789ABCDEF0123456789ABCDEF", `{}`, []string{"id"}, "lower case"},

	{"nothing to check", "/api/otpverify", `{}`, []string{"code", "id"}, "code is missing"},
	{"no code", "/api/otpverify", `{"id": "{id}"}`, []string{"code"}, "code is missing"},
	{"code as a number", "/api/otpverify", `{"id": "{id}", "code": 123456}`, []string{"code"}, "All fields are strings"},
	{"code of spaces", "/api/otpverify", `{"id": "{id}", "code": " - "}`, []string{"code"}, ""},
	{"code with other characters", "/api/otpverify", `{"id": "{id}", "code": "12345!"}`, []string{"code"}, "6 digits; this has 5"},
	{"no code at all", "/api/otpverify", `{"id": "{id}", "code": "+?"}`, []string{"code"}, "digits or letters"},
	{"long code", "/api/otpverify", `{"id": "{id}", "code": "` + strings.Repeat("1", 65) + `"}`, []string{"code"}, "too long"},
	{"code twice", "/api/otpverify", `{"id": "{id}", "code": "000000", "code": "000001"}`, []string{"code"}, "given twice"},
	{"neither id nor to", "/api/otpverify", `{"code": "123456"}`, []string{"id"}, "or to or user"},
	{"bad id to check", "/api/otpverify", `{"id": "'; DROP TABLE", "code": "123456"}`, []string{"id"}, "32 hexadecimal digits"},
	{"number without + to check", "/api/otpverify", `{"to": "14155550123", "code": "123456"}`, []string{"to"}, "must begin with +"},
	{"all at once to check", "/api/otpverify", `{"to": "1", "purpose": "!", "code": "?"}`, []string{"code", "purpose", "to"}, ""},
}

func TestBadFieldsAreNamedAllAtOnceAndLeaveNoTrace(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	r.Advance(time.Minute)
	before := fmt.Sprint(r.rows())
	for _, tc := range badFields {
		fill := strings.NewReplacer("{id}", id)
		res := r.post(fill.Replace(tc.path), fill.Replace(tc.body)).problem(400, problem.InvalidRequest)
		if got := res.fields(); !slices.Equal(got, tc.fields) || !strings.Contains(res.body, tc.says) {
			t.Errorf("%s: got %s, want faults in %q that say %q", tc.name, res.body, tc.fields, tc.says)
		}
	}
	for _, method := range []string{"GET", "DELETE"} {
		r.do(method, "/api/otpsend/VE12", "", "").problem(400, problem.InvalidRequest).wantFields("id")
	}
	wantEqual(t, "rows", fmt.Sprint(r.rows()), before)
	wantEqual(t, "messages", r.Sent(), 1)
	r.check(id, code).want(200)
}

// Valid requests that are refused, or about something that does not exist, leave
// no row either.
func TestRequestsAboutNothingStoreNothing(t *testing.T) {
	r := newRig(t)
	const none = "VE0123456789abcdef0123456789abcdef"
	r.post("/api/otpsend", object("to", "+19005550123")).problem(403, problem.DestinationRefused)
	r.post("/api/otpsend", object("to", "+33612345678")).problem(403, problem.DestinationRefused)
	r.post("/api/otpverify", object("to", alice, "code", "123456")).problem(404, problem.NotFound)
	r.check(none, "123456").problem(404, problem.NotFound)
	for _, method := range []string{"POST", "GET", "DELETE"} {
		r.do(method, "/api/otpsend/"+none, "", "").problem(404, problem.NotFound)
	}
	r.post("/purge", `{}`).want(200)
	if rows := r.rows(); len(rows) != 0 || r.Sent() != 0 {
		t.Errorf("rows %v, %d messages", rows, r.Sent())
	}
}

func TestAPlusInAFormIsExplained(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/api/otpsend", "/api/otpverify"} {
		res := r.do("POST", path, typeForm, "to=+14155550123").problem(400, problem.InvalidRequest).wantFields("to")
		if !strings.Contains(res.body, "a + is written %2B;") {
			t.Errorf("%s: %s", path, res.body)
		}
	}
}

// The host reads the code of a query as a function key, and proxies log queries.
// So a verification's code there is never read.
func TestACodeInTheQueryIsNeverRead(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	query := "?code=" + code + "&id=" + id
	r.do("POST", "/api/otpverify"+query, typeJSON, object("id", id)).problem(400, problem.InvalidRequest).wantFields("code")
	r.postForm("/api/otpverify"+query, form("id", id)).problem(400, problem.InvalidRequest).wantFields("code")
	r.postForm("/api/otpverify"+query, form("id", id, "code", wrong(code))).problem(422, problem.WrongCode)
	r.postForm("/api/otpverify?code=functionkey", form("id", id, "code", code)).want(200)
}

// sized returns a valid check of exactly that many bytes.
func sized(id, code string, size int) string {
	body := object("id", id, "code", code)
	return strings.Repeat(" ", size-len(body)) + body
}

func TestABodyOfExactly16KiBIsReadAndOneByteMoreIsNot(t *testing.T) {
	r := newRig(t)
	server := httptest.NewServer(r.handler)
	defer server.Close()
	id, code := r.start(alice)
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

// A body whose Content-Length is too large is refused before it is read.
func TestATooLongBodyIsRefusedByItsLengthAlone(t *testing.T) {
	r := newRig(t)
	server := httptest.NewServer(r.handler)
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
	wantEqual(t, "the status before the body is sent", res.StatusCode, 413)
}

// A body that ends too early is refused, even if what has come is valid.
func TestAnIncompleteBodyIsRefused(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/api/otpsend", "/purge"} {
		body := object("to", alice)
		req := httptest.NewRequest("POST", path, io.MultiReader(strings.NewReader(body), brokenReader{}))
		req.Header.Set("Content-Type", typeJSON)
		req.ContentLength = int64(len(body)) + 10
		res := r.serve(req).problem(400, problem.InvalidRequest)
		if !strings.Contains(res.text("detail"), "body is incomplete") {
			t.Errorf("%s: %s", path, res.body)
		}
	}
	wantEqual(t, "rows", len(r.rows()), 0)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Attack 10: a row's key is a hash, whatever a client sends.
func TestNothingAClientSendsBecomesPartOfAKey(t *testing.T) {
	r := newRig(t).noPause()
	for i, purpose := range []string{"login", "a-b_c", "0"} {
		r.post("/api/otpsend", object("to", alice, "purpose", purpose)).want(201)
		r.post("/api/otpsend", object("to", "+1415555012"+strconv.Itoa(i))).want(201)
	}
	r.post("/purge", "{}").want(200)
	rows := r.rows()
	if len(rows) != 4 {
		t.Errorf("%d rows, want one for each address", len(rows)) // alice and the three others
	}
	for _, ref := range rows {
		if len(ref.Key) != 16 || strings.Trim(string(ref.Key), "0123456789abcdef") != "" {
			t.Errorf("key %q is not a hash", ref.Key)
		}
	}
}
