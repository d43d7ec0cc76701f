package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"twofa/hooks"
	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/apitest"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
)

const (
	alice = fixture.Alice
	bob   = fixture.Bob

	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

// rig is the real router over the whole service.
type rig struct {
	*testrig.Rig
	handler  http.Handler
	sender   *testrig.Sender // of WhatsApp, the one channel of the workflow
	provider *fakeProvider
	log      *bytes.Buffer // JSON lines, which the rig searches for secrets, too
}

// newRig makes a service that can send over WhatsApp, SMS and e-mail.
func newRig(t *testing.T, change ...func(*app.Parts)) *rig {
	t.Helper()
	return newRigWith(t, func(_ *config.Settings, p *app.Parts) {
		for _, f := range change {
			f(p)
		}
	})
}

// newRigWith is newRig after a change of the settings and of the service's parts.
func newRigWith(t *testing.T, change func(*config.Settings, *app.Parts)) *rig {
	t.Helper()
	r := &rig{provider: new(fakeProvider), log: new(bytes.Buffer)}
	r.Rig = testrig.With(t, func(s *config.Settings, p *app.Parts) {
		s.Channels = []channel.Channel{channel.WhatsApp}
		s.Countries = map[string]bool{"US": true, "IN": true}
		p.Providers = map[string]hooks.Provider{channel.Twilio: r.provider}
		toJSON := slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})
		p.Log = slog.New(slog.NewMultiHandler(p.Log.Handler(), toJSON))
		change(s, p)
	}, channel.WhatsApp, channel.SMS, channel.Email)
	r.handler, r.sender = r.API.Handler(), r.Sender(channel.WhatsApp)
	return r
}

// noPause lets a test send without waiting.
func (r *rig) noPause() *rig {
	r.Policy(func(p *otp.Policy) { p.ResendAfter = 0 })
	return r
}

// fakeProvider takes a request for signed if it has the header Signed, and reads
// it as the test says.
type fakeProvider struct {
	report   notify.Report
	inbound  notify.Inbound
	question notify.Question
}

func signed(r *http.Request) error {
	if r.Header.Get("Signed") == "unrelated" {
		return notify.ErrUnrelated
	}
	if r.Header.Get("Signed") == "" {
		return notify.ErrForged
	}
	return nil
}

func (f *fakeProvider) Report(r *http.Request) (notify.Report, error)   { return f.report, signed(r) }
func (f *fakeProvider) Inbound(r *http.Request) (notify.Inbound, error) { return f.inbound, signed(r) }
func (f *fakeProvider) Question(r *http.Request) (notify.Question, error) {
	return f.question, signed(r)
}
func (f *fakeProvider) Advice() notify.Advice { return notify.Advice{} }
func (f *fakeProvider) Speech(m notify.Message) (string, []byte) {
	return "text/xml", []byte("<Response>" + m.Code + "</Response>")
}
func (f *fakeProvider) Reply(text string) (string, []byte) {
	return "text/xml", []byte("<Response>" + text + "</Response>")
}

// answer sets what the provider answers to messages over WhatsApp; nil: success.
func (r *rig) answer(f func(context.Context, notify.Message) error) {
	r.Delivery.Senders[channel.WhatsApp] = r.sender
	if f != nil {
		r.Delivery.Senders[channel.WhatsApp] = answering{r.sender, f}
	}
}

type answering struct {
	*testrig.Sender
	answer func(context.Context, notify.Message) error
}

func (a answering) Send(ctx context.Context, m notify.Message) error {
	if err := a.Sender.Send(ctx, m); err != nil {
		return err
	}
	return a.answer(ctx, m)
}

// errStoreDown is the error of a store that does not answer.
var errStoreDown = fmt.Errorf("%w: get: OperationTimedOut", store.ErrUnavailable)

// failStore makes each call of the store return err.
func (r *rig) failStore(err error) {
	r.Table.Before(func(testrig.Call) error { return err })
}

// panicStore makes each call of the store panic, with a value that holds text.
func (r *rig) panicStore(text string) {
	r.Table.Before(func(c testrig.Call) error {
		if c.Method == "Get" {
			panic(fmt.Errorf("panic over %s", text))
		}
		panic("panic over " + text)
	})
}

// loseAnswers makes each call of the store take effect, but lose its answer,
// until r.Table.Break(nil).
func (r *rig) loseAnswers() {
	r.Table.Break(func(int) testrig.Fault { return testrig.Lost })
}

// do sends a request with a body of that content type, "" for none of both.
// header is names and values in turn.
func (r *rig) do(method, path, contentType, body string, header ...string) *response {
	r.TB.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, path, reader)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for pair := range slices.Chunk(header, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	return r.serve(req)
}

// serve is safe for concurrent use. It holds the request and the answer to the OpenAPI
// document.
func (r *rig) serve(req *http.Request) *response {
	w, read := httptest.NewRecorder(), new(bytes.Buffer)
	x := apitest.Exchange{Method: req.Method, Path: req.URL.EscapedPath(), Header: req.Header.Clone()}
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = io.NopCloser(io.TeeReader(req.Body, read))
	}
	r.handler.ServeHTTP(w, req)
	x.Body, x.Status, x.AnswerHeader, x.Answer = read.Bytes(), w.Code, w.Header(), w.Body.Bytes()
	if err := apitest.Check(x); err != nil {
		r.TB.Errorf("not as the OpenAPI document says: %v", err)
	}
	return &response{t: r.TB, status: w.Code, header: w.Header(), body: w.Body.String()}
}

func (r *rig) get(path string) *response {
	r.TB.Helper()
	return r.do("GET", path, "", "")
}

func (r *rig) delete(path string) *response {
	r.TB.Helper()
	return r.do("DELETE", path, "", "")
}

func (r *rig) put(path, body string, header ...string) *response {
	r.TB.Helper()
	return r.do("PUT", path, typeJSON, body, header...)
}

func (r *rig) post(path, body string) *response {
	r.TB.Helper()
	return r.do("POST", path, typeJSON, body)
}

func (r *rig) postForm(path, body string, header ...string) *response {
	r.TB.Helper()
	return r.do("POST", path, typeForm, body, header...)
}

// start begins a verification that has to succeed, and returns its id and code.
func (r *rig) start(to string) (id, code string) {
	r.TB.Helper()
	res := r.post("/api/otpsend", object("to", to)).want(201)
	return res.text("id"), r.sender.Last().Code
}

func (r *rig) check(id, code string) *response {
	r.TB.Helper()
	return r.post("/api/otpverify", object("id", id, "code", code))
}

// wantEqual fails the test unless got is what is wanted.
func wantEqual[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// rows returns all rows of the store with their versions.
func (r *rig) rows() []store.Ref {
	r.TB.Helper()
	var rows []store.Ref
	for cursor := ""; ; {
		page, err := r.Table.Table.Expired(context.Background(), fixture.Noon.AddDate(100, 0, 0), cursor)
		if err != nil {
			r.TB.Fatal(err)
		}
		rows = append(rows, page.Rows...)
		if cursor = page.Next; cursor == "" {
			return rows
		}
	}
}

// edit changes the row of an address without the service.
func (r *rig) edit(address string, change func(*otp.Recipient)) {
	r.TB.Helper()
	_, _, err := r.Kept.Change(context.Background(), r.Kept.Key(address), func(row otp.Recipient) (otp.Recipient, otp.Verification, error) {
		change(&row)
		return row, otp.Verification{}, nil
	})
	if err != nil {
		r.TB.Fatal(err)
	}
}

// lines returns the log, one object for each line.
func (r *rig) lines() []map[string]any {
	r.TB.Helper()
	var lines []map[string]any
	for text := range strings.Lines(r.log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			r.TB.Fatalf("the log has a line that is not JSON: %q", text)
		}
		lines = append(lines, line)
	}
	return lines
}

func (r *rig) lastLine() map[string]any {
	r.TB.Helper()
	lines := r.lines()
	if len(lines) == 0 {
		r.TB.Fatal("nothing was logged")
	}
	return lines[len(lines)-1]
}

// wrong returns a code of the same length that differs in every digit.
func wrong(code string) string {
	return strings.Map(func(r rune) rune { return '0' + (r-'0'+5)%10 }, code)
}

// object returns a JSON object of strings; pairs is names and values in turn.
func object(pairs ...string) string {
	m := make(map[string]string)
	for pair := range slices.Chunk(pairs, 2) {
		m[pair[0]] = pair[1]
	}
	text, _ := json.Marshal(m) // strings have no error
	return string(text)
}

// form returns the same as a form.
func form(pairs ...string) string {
	values := make(url.Values)
	for pair := range slices.Chunk(pairs, 2) {
		values.Set(pair[0], pair[1])
	}
	return values.Encode()
}

type response struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// want ends the test unless the answer is a success of that status.
func (r *response) want(status int) *response {
	r.t.Helper()
	if r.status != status || r.header.Get("Content-Type") != typeJSON {
		r.t.Fatalf("got %d %s %s, want %d %s", r.status, r.header.Get("Content-Type"), r.body, status, typeJSON)
	}
	return r
}

// problem ends the test unless the answer is a problem of that kind.
func (r *response) problem(status int, kind problem.Kind) *response {
	r.t.Helper()
	if r.status != status || r.header.Get("Content-Type") != "application/problem+json" || r.text("type") != "urn:twofa:"+string(kind) {
		r.t.Fatalf("got %d %s %s, want %d %s", r.status, r.header.Get("Content-Type"), r.body, status, kind)
	}
	return r
}

func (r *response) object() map[string]any {
	r.t.Helper()
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(r.body))
	if err := d.Decode(&m); err != nil || d.More() {
		r.t.Fatalf("the body is not one JSON object: %q", r.body)
	}
	return m
}

func (r *response) text(name string) string {
	r.t.Helper()
	text, _ := r.object()[name].(string)
	return text
}

// number returns a member of the body, -1 if it is missing.
func (r *response) number(name string) int {
	r.t.Helper()
	if n, ok := r.object()[name].(float64); ok {
		return int(n)
	}
	return -1
}

// fields returns the names in errors, in order.
func (r *response) fields() (names []string) {
	r.t.Helper()
	var body struct {
		Errors []struct{ Field, Message string }
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil {
		r.t.Fatal(err)
	}
	for _, e := range body.Errors {
		if e.Message == "" {
			r.t.Errorf("the fault of %q has no message: %s", e.Field, r.body)
		}
		names = append(names, e.Field)
	}
	return names
}

func (r *response) wantFields(names ...string) *response {
	r.t.Helper()
	if got := r.fields(); !slices.Equal(got, names) {
		r.t.Errorf("the fields at fault are %q, want %q: %s", got, names, r.body)
	}
	return r
}
