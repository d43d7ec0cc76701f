package handler_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/handler"
	"twofa/hooks"
	"twofa/internal/delivery"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/boltstore"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/purge"
	"twofa/users"
)

const (
	alice = "+14155550123"
	bob   = "+919876543210"

	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

// noon is when every test begins: a whole second, far from any edge.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// fixedSecret is a secret that is the same in every run.
var fixedSecret = func() string {
	b := make([]byte, 32)
	for i := range b {
		b[i] = byte(7*i + 1)
	}
	return base64.StdEncoding.EncodeToString(b)
}()

// service is the real router over the real use cases and a real store; only the
// provider, the clock and the log's end are the test's.
type service struct {
	t       testing.TB
	api     *handler.API
	handler http.Handler
	table   *faultyTable
	sender  *fakeSender
	hooks   *fakeProvider
	clock   *fakeClock
	keys    *secret.Keyring
	log     *safeBuffer
}

func newService(t testing.TB, change ...func(*otp.Policy)) *service {
	t.Helper()
	keys, err := secret.Parse(fixedSecret)
	if err != nil {
		t.Fatal(err)
	}
	bolt, err := boltstore.Open(filepath.Join(t.TempDir(), "twofa.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bolt.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &service{
		t: t, table: &faultyTable{Table: bolt}, sender: &fakeSender{},
		clock: &fakeClock{now: noon}, keys: keys, log: new(safeBuffer),
	}
	policy := otp.DefaultPolicy()
	for _, fn := range change {
		fn(&policy)
	}
	s.hooks = new(fakeProvider)
	s.api = newAPI(s.table, keys, policy, s.sender, s.hooks,
		slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), s.clock.Now)
	s.handler = s.api.Handler()
	return s
}

// newAPI is all use cases over a table and one sender for all channels.
func newAPI(table store.Table, keys *secret.Keyring, policy otp.Policy, sender notify.Sender, provider hooks.Provider, log *slog.Logger, now func() time.Time) *handler.API {
	book := &recipient.Book{Table: table, Keys: keys}
	directory := &user.Directory{Table: table, Keys: keys}
	carrier := &delivery.Carrier{
		Book: book, Policy: policy, Brand: "Acme", Workflow: []notify.Channel{notify.WhatsApp}, Log: log, Now: now,
		Senders: map[notify.Channel]notify.Sender{notify.WhatsApp: sender, notify.SMS: sender, notify.Email: sender},
	}
	countries := map[string]bool{"US": true, "IN": true}
	return &handler.API{
		Send:   &otpsend.Service{Carrier: carrier, Users: directory, Countries: countries, Inbound: &otpsend.Inbound{WhatsApp: "+14155238886", Texts: fakeAnswers{}}},
		Verify: &otpverify.Service{Book: book, Users: directory, Policy: policy, Alerts: carrier, Now: now},
		Users:  &users.Service{Directory: directory, Recipients: book, Channels: []string{"whatsapp", "sms", "email"}, Countries: countries, Now: now},
		Hooks:  &hooks.Service{Provider: provider, Deliveries: carrier, Inbox: &delivery.Inbox{Book: book, Texts: fakeAnswers{}, Brand: "Acme", Now: now}},
		Purge:  &purge.Service{Table: table, Now: now, Budget: time.Minute},
		Log:    log, Now: now,
	}
}

// fakeProvider believes a request that has the header Signed, and reads it as
// the test says.
type fakeProvider struct {
	report  notify.Report
	inbound notify.Inbound
}

func signed(r *http.Request) error {
	if r.Header.Get("Signed") == "" {
		return notify.ErrForged
	}
	return nil
}

func (f *fakeProvider) Report(r *http.Request) (notify.Report, error)   { return f.report, signed(r) }
func (f *fakeProvider) Inbound(r *http.Request) (notify.Inbound, error) { return f.inbound, signed(r) }
func (f *fakeProvider) Reply(text string) (string, []byte) {
	return "text/xml", []byte("<Response>" + text + "</Response>")
}

type fakeAnswers struct{}

func (fakeAnswers) Ask(m notify.Message) string          { return "It is me: " + m.Code }
func (fakeAnswers) Denies(_, text string) bool           { return text == "NO" }
func (fakeAnswers) DeniedReply(notify.Message) string    { return "denied" }
func (fakeAnswers) ConfirmedReply(notify.Message) string { return "confirmed" }

// noPause lets tests send without waiting.
func noPause(p *otp.Policy) { p.ResendAfter = 0 }

// do sends a request without a body, or with a JSON or form one by content type.
func (s *service) do(method, path, contentType, body string, header ...string) *response {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, reader)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return s.serve(r)
}

// serve is safe for concurrent use.
func (s *service) serve(r *http.Request) *response {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return &response{t: s.t, status: w.Code, header: w.Header(), body: w.Body.String()}
}

func (s *service) post(path, body string) *response {
	s.t.Helper()
	return s.do("POST", path, typeJSON, body)
}

// start begins a verification that has to succeed, and returns its id and code.
func (s *service) start(to string) (id, code string) {
	s.t.Helper()
	res := s.post("/api/otpsend", object("to", to)).want(201)
	return res.text("id"), s.sender.last().Code
}

func (s *service) check(id, code string) *response {
	s.t.Helper()
	return s.post("/api/otpverify", object("id", id, "code", code))
}

// rows is every row of the store, in the version that it has.
func (s *service) rows() []store.Ref {
	s.t.Helper()
	var rows []store.Ref
	for cursor := ""; ; {
		page, err := s.table.Table.Expired(context.Background(), noon.AddDate(100, 0, 0), cursor)
		if err != nil {
			s.t.Fatal(err)
		}
		rows = append(rows, page.Rows...)
		if cursor = page.Next; cursor == "" {
			return rows
		}
	}
}

// edit changes an address's row behind the service's back.
func (s *service) edit(address string, fn func(*otp.Recipient)) {
	s.t.Helper()
	_, _, err := s.api.Verify.Book.Change(context.Background(), s.api.Verify.Book.RowKey(address), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		fn(&r)
		return r, otp.Verification{}, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// lines is the log, one object a line.
func (s *service) lines() []map[string]any {
	s.t.Helper()
	var lines []map[string]any
	for text := range strings.Lines(s.log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			s.t.Fatalf("the log has a line that is not JSON: %q", text)
		}
		lines = append(lines, line)
	}
	return lines
}

func (s *service) lastLine() map[string]any {
	s.t.Helper()
	lines := s.lines()
	if len(lines) == 0 {
		s.t.Fatal("nothing was logged")
	}
	return lines[len(lines)-1]
}

// wrong is a code of the same length that differs from code in every digit.
func wrong(code string) string {
	return strings.Map(func(r rune) rune { return '0' + (r-'0'+5)%10 }, code)
}

// object is a JSON object of strings.
func object(pairs ...string) string {
	m := make(map[string]string)
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// form is the same as a form.
func form(pairs ...string) string {
	values := make(url.Values)
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
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

// number is a member of the body, -1 if it is missing.
func (r *response) number(name string) int {
	r.t.Helper()
	n, ok := r.object()[name].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

// fields is the names in errors, in order.
func (r *response) fields() []string {
	r.t.Helper()
	list, _ := r.object()["errors"].([]any)
	var names []string
	for _, entry := range list {
		m, _ := entry.(map[string]any)
		if message, _ := m["message"].(string); message == "" {
			r.t.Errorf("a field's fault has no message: %s", r.body)
		}
		name, _ := m["field"].(string)
		names = append(names, name)
	}
	return names
}

func (r *response) wantFields(names ...string) *response {
	r.t.Helper()
	if got := r.fields(); !slices.Equal(got, names) {
		r.t.Errorf("faults in %q, want %q: %s", got, names, r.body)
	}
	return r
}

type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fakeSender keeps what it is given, and answers what the test says.
type fakeSender struct {
	mu     sync.Mutex
	sent   []notify.Message
	answer func(context.Context, notify.Message) error // nil accepts
}

func (f *fakeSender) Send(ctx context.Context, m notify.Message) error {
	f.mu.Lock()
	f.sent = append(f.sent, m)
	answer := f.answer
	f.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(ctx, m)
}

func (f *fakeSender) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = func(context.Context, notify.Message) error { return err }
}

func (f *fakeSender) calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sent)
}

func (f *fakeSender) last() notify.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sent) == 0 {
		return notify.Message{}
	}
	return f.sent[len(f.sent)-1]
}

// faultyTable is a store that fails as the test says.
type faultyTable struct {
	store.Table
	before func() error // of every call
	// lost makes Update keep its work, and then not know.
	lost bool
}

var errStore = errors.Join(store.ErrUnavailable, errors.New("get: OperationTimedOut"))

func (f *faultyTable) fault() error {
	if f.before == nil {
		return nil
	}
	return f.before()
}

func (f *faultyTable) Get(ctx context.Context, key store.Key) (store.Row, error) {
	if err := f.fault(); err != nil {
		return store.Row{}, err
	}
	return f.Table.Get(ctx, key)
}

func (f *faultyTable) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	if err := f.fault(); err != nil {
		return err
	}
	err := f.Table.Update(ctx, key, fn)
	if f.lost && err == nil {
		return errStore
	}
	return err
}

func (f *faultyTable) Expired(ctx context.Context, before time.Time, cursor string) (store.Page, error) {
	if err := f.fault(); err != nil {
		return store.Page{}, err
	}
	return f.Table.Expired(ctx, before, cursor)
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
