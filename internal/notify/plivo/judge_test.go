package plivo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/gatewaytest"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/plivotest"
	"twofa/internal/testing/tooltest"
)

// library is Plivo's own library for Go, which judges our signatures and requests. It runs in a
// process of its own, because the product must not depend on it: see tools/plivojudge, whose
// questions these are.
type library struct {
	in  *json.Encoder
	out *bufio.Reader
}

type (
	question struct {
		Signed                *signedPost     `json:",omitempty"`
		Message               *libraryMessage `json:",omitempty"`
		Call                  *libraryCall    `json:",omitempty"`
		MessageBody, CallBody json.RawMessage `json:",omitempty"`
	}
	signedPost struct {
		URL, Nonce, Signature string
		Params                map[string]string
	}
	libraryMessage struct {
		Kind, From, Powerpack, To, Text string
		Expiry                          int
		Reports                         string
		Template                        *libraryTemplate
		Entity, ID, Category            string
	}
	libraryTemplate struct {
		Name, Language, Variable string
		Copies                   bool
	}
	libraryCall struct {
		From, To, AnswerURL, HangupURL string
		RingTimeout, Limit             int
	}
	libraryAnswer struct {
		Signature, UUID, Error string
		Accepted               bool
	}
)

// startLibrary starts the library. Its requests go to base.
func startLibrary(t *testing.T, base string) library {
	t.Helper()
	tools := filepath.Join(tooltest.Root(t), "tools")
	if _, err := os.Stat(filepath.Join(tools, "plivojudge", "main.go")); err != nil { // also tells go test on what its cached result depends
		t.Fatal(err)
	}
	cmd := exec.Command(tooltest.Path(t, "go"), "-C", tools, "run", "./plivojudge", base, plivotest.AuthID, plivotest.AuthToken)
	in, out := tooltest.Start(t, cmd)
	return library{json.NewEncoder(in), out}
}

// tester is a testing.TB or a *rapid.T.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

func (l library) ask(t tester, q question) (a libraryAnswer) {
	t.Helper()
	err := l.in.Encode(q)
	var line []byte
	if err == nil {
		line, err = l.out.ReadBytes('\n')
	}
	if err == nil {
		err = json.Unmarshal(line, &a)
	}
	if err != nil {
		t.Fatalf("the library does not answer: %v", err)
	}
	return a
}

// post is a request of Plivo's. origin and path are ours.
type post struct {
	origin, path     string
	id               uint64 // of the verification
	attempt          int
	form             url.Values
	nonce, signature string
}

func (p post) query() string   { return fmt.Sprintf("id=VE%032x&attempt=%d", p.id, p.attempt) }
func (p post) address() string { return p.origin + p.path + "?" + p.query() }

// isAccepted asks the library and our code.
func (p post) isAccepted(t tester, l library, hooks map[string]*Webhooks) (byLibrary, byUs bool, answer libraryAnswer) {
	t.Helper()
	params := make(map[string]string)
	for name, values := range p.form {
		params[name] = values[0]
	}
	answer = l.ask(t, question{Signed: &signedPost{p.address(), p.nonce, p.signature, params}})
	header := http.Header{}
	header.Set(plivotest.Nonce, p.nonce)
	header.Set(plivotest.Signature, p.signature)
	r := webhook{http.MethodPost, p.path, p.query(), p.form.Encode(), "application/x-www-form-urlencoded", header}.http()
	var err error
	if p.path == AnswerPath {
		_, err = hooks[p.origin].Question(r)
	} else {
		_, err = hooks[p.origin].Report(r)
	}
	if err != nil && err != notify.ErrForged {
		t.Errorf("%s with %v: %v", p.address(), p.form, err)
	}
	return answer.Accepted, err == nil, answer
}

// change returns the request with a change.
func (p post) change(f func(*post)) post {
	p.form = maps.Clone(p.form)
	f(&p)
	return p
}

// origins are public URLs of the service.
var origins = []string{ourURL, "https://twofa.example:8443", "http://127.0.0.1:7071", "https://xn--zrich-kva.example"}

// judgedPosts are the requests of the double: reports on messages of both channels and on calls, and
// the question what a call says.
func judgedPosts(d *plivotest.Double) []post {
	sms := plivotest.Message{Channel: channel.SMS, UUID: "5b40a428-bfc7-4daf-9d06-726c558bf3b8", To: recipient[1:], From: plivotest.SMSFrom[1:]}
	whatsApp, pool, call := sms, sms, sms
	whatsApp.Channel, whatsApp.From = channel.WhatsApp, plivotest.WhatsAppFrom[1:]
	pool.From, pool.PowerpackUUID = "", plivotest.PowerpackUUID
	call.Channel, call.From = channel.Call, plivotest.CallFrom[1:]
	return []post{
		{path: StatusPath, form: d.StatusForm(sms, "delivered", 0)},
		{path: StatusPath, form: d.StatusForm(whatsApp, "read", 0)},
		{path: StatusPath, form: d.StatusForm(pool, "undelivered", 30, "PartInfo", "2 of 3")},
		{path: StatusPath, form: d.StatusForm(call, "busy", 0, "HangupCause", "USER_BUSY", "EndTime", "2026-03-01 12:00:30")},
		{path: AnswerPath, form: d.StatusForm(call, "in-progress", 0)},
	}
}

// anyText spells no parameter that decides what a request means: such a request is refused, because
// it can be read in two ways.
var anyText = rapid.StringOfN(rapid.SampledFrom([]rune("abcdehxzABD0159 &=+%?./\\\"'<>;,:@~\r\n\t\x00é語\u2067ب😀\u0301")), 0, 12, -1)

// anyName is the name of a parameter. It begins with a letter, as all of Plivo's do.
var anyName = rapid.Custom(func(t *rapid.T) string {
	return rapid.StringOfN(rapid.SampledFrom([]rune("abzBDZ")), 1, 1, -1).Draw(t, "letter") + anyText.Draw(t, "rest")
})

// anyPost is a request that the double signs, with up to five unknown parameters.
func anyPost(d *plivotest.Double) *rapid.Generator[post] {
	requests := judgedPosts(d)
	return rapid.Custom(func(t *rapid.T) post {
		return rapid.SampledFrom(requests).Draw(t, "request").change(func(p *post) {
			for name, value := range rapid.MapOfN(anyName, anyText, 0, 5).Draw(t, "parameters") {
				p.form.Set(name, value)
			}
			p.origin = rapid.SampledFrom(origins).Draw(t, "origin")
			p.id, p.attempt = rapid.Uint64().Draw(t, "id"), rapid.IntRange(1, gateway.MaxAttempt-1).Draw(t, "attempt")
			p.nonce = fmt.Sprint(rapid.Uint64().Draw(t, "nonce"))
			p.signature = d.Sign(p.address(), p.form, p.nonce)
		})
	})
}

// forgeries are changes after which the signature is wrong. other has another token.
func forgeries(d, other *plivotest.Double, changed, added string) map[string]func(*post) {
	signedFor := func(from, to string) func(*post) {
		return func(p *post) { p.signature = d.Sign(strings.Replace(p.address(), from, to, 1), p.form, p.nonce) }
	}
	return map[string]func(*post){
		"a changed value":     func(p *post) { p.form.Set(changed, p.form.Get(changed)+"x") },
		"an added parameter":  func(p *post) { p.form.Set(added, "") },
		"a missing parameter": func(p *post) { p.form.Del(changed) },
		"another attempt":     func(p *post) { p.attempt++ },
		"another id":          func(p *post) { p.id ^= 1 },
		"another nonce":       func(p *post) { p.nonce += "1" },
		"no signature":        func(p *post) { p.signature = "" },
		"half a signature":    func(p *post) { p.signature = p.signature[:22] },
		"another separator":   func(p *post) { p.signature = "x;" + p.signature },
		"another token":       func(p *post) { p.signature = other.Sign(p.address(), p.form, p.nonce) },
		"another host":        signedFor("//", "//x."),
		"another scheme":      signedFor(":", "s:"),
		"another path":        signedFor("?", "/?"),
		"no query":            func(p *post) { p.signature = d.Sign(p.origin+p.path, p.form, p.nonce) },
		"no body":             func(p *post) { p.signature = d.Sign(p.address(), nil, p.nonce) },
	}
}

// The double signs as Plivo's library does, and our code accepts what the library accepts.
func TestPlivosLibrary_JudgesSignatures(t *testing.T) {
	d := plivotest.New(plivotest.Account{})
	defer d.Close()
	other := plivotest.New(plivotest.Account{AuthToken: strings.Repeat("x", 40)})
	defer other.Close()
	l := startLibrary(t, "http://127.0.0.1:1") // it makes no requests
	hooks := make(map[string]*Webhooks)
	for _, origin := range origins {
		hooks[origin] = webhooks(t, func(o *Options) { o.PublicURL = origin }).Webhooks
	}
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		p := anyPost(d).Draw(t, "post")
		last := slices.Max(slices.Collect(maps.Keys(p.form)))
		byLibrary, byUs, answer := p.isAccepted(t, l, hooks)
		if strings.HasSuffix(last+p.form.Get(last), ".") {
			// Plivo's library for Go cuts off the dots at the end of a body before it signs. The
			// one for Node does not, and neither do we. No parameter of Plivo's ends with a dot.
			if byLibrary || !byUs {
				t.Fatalf("a dot at the end: accepted by the library: %t, by us: %t:\n%+v", byLibrary, byUs, p)
			}
			return
		}
		if !byLibrary || !byUs || answer.Signature != p.signature {
			t.Fatalf("accepted by the library: %t, by us: %t, for the library's signature %s:\n%+v", byLibrary, byUs, answer.Signature, p)
		}
		accepted++

		changed := rapid.SampledFrom(slices.Sorted(maps.Keys(p.form))).Draw(t, "changed")
		added := anyName.Filter(func(name string) bool { return !p.form.Has(name) }).Draw(t, "added")
		for what, change := range forgeries(d, other, changed, added) {
			bad := p.change(change)
			if byLibrary, byUs, _ := bad.isAccepted(t, l, hooks); byLibrary || byUs {
				t.Fatalf("%s: accepted by the library: %t, by us: %t:\n%+v", what, byLibrary, byUs, bad)
			}
		}
		several := p.change(func(p *post) { p.signature = other.Sign(p.address(), p.form, p.nonce) + "," + p.signature })
		if byLibrary, byUs, _ := several.isAccepted(t, l, hooks); !byLibrary || !byUs {
			t.Fatalf("two signatures: accepted by the library: %t, by us: %t", byLibrary, byUs)
		}
	})
	if accepted == 0 {
		t.Error("no request was accepted")
	}
}

// Our code sends what Plivo's library sends for the same message, and the double answers as the
// library expects.
func TestPlivosLibrary_JudgesRequests(t *testing.T) {
	alertTemplate := func(o *Options) { o.WhatsAppAlertTemplate = "en=" + plivotest.AlertTemplate }
	noReports := func(o *Options) { o.PublicURL, o.CallFrom, o.Channels = "", "", nil }
	registered := func(o *Options) {
		o.DLTEntityID, o.DLTTemplateID, o.DLTTemplateCategory = "1101", "1107", "service_implicit"
	}
	const (
		query   = "?id=VE0123456789abcdef0123456789abcdef&attempt=2"
		reports = ourURL + StatusPath + query
		longest = 10799 // seconds
	)
	changed := func(f func(*notify.Message)) notify.Message {
		m := tracked()
		m.ValidFor = 24 * time.Hour // more than the longest expiry, so that a slow test changes nothing
		if f != nil {
			f(&m)
		}
		return m
	}
	plain, payment := changed(nil), changed(func(m *notify.Message) { m.Amount, m.Payee = "EUR 25.00", "Bike Shop" })
	foreign := changed(func(m *notify.Message) { m.Brand = "\u2067بنك\u2069 🏦 <&>\"\\\r\n" })
	toIndia := changed(func(m *notify.Message) { m.To = fixture.Bob })
	codeTemplate := func(variable string) *libraryTemplate {
		return &libraryTemplate{plivotest.Template, plivotest.Language, variable, true}
	}
	sms := func(m notify.Message, f func(*libraryMessage)) question {
		q := libraryMessage{Kind: "sms", From: plivotest.SMSFrom[1:], To: m.To[1:], Text: notifytest.Texts{}.SMS(m), Expiry: longest, Reports: reports}
		if m.Alert {
			q.Expiry, q.Reports = 0, ""
		}
		if f != nil {
			f(&q)
		}
		return question{Message: &q}
	}
	whatsApp := func(m notify.Message, t *libraryTemplate) question {
		return sms(m, func(q *libraryMessage) {
			q.Kind, q.From, q.Text, q.Template = "whatsapp", plivotest.WhatsAppFrom[1:], "", t
			if t == nil {
				q.Text = notifytest.Texts{}.Chat(m)
			}
		})
	}
	server := plivotest.Start(plivotest.Account{})
	defer server.Close()
	l := startLibrary(t, server.URL)
	for _, tc := range []struct {
		name    string
		channel channel.Channel
		change  func(*Options)
		m       notify.Message
		same    question
	}{
		{"SMS", channel.SMS, nil, plain, sms(plain, nil)},
		{"SMS without reports", channel.SMS, noReports, plain, sms(plain, func(q *libraryMessage) { q.Reports = "" })},
		{"SMS of a payment", channel.SMS, nil, payment, sms(payment, nil)},
		{"SMS with other letters", channel.SMS, nil, foreign, sms(foreign, nil)},
		{"SMS of a powerpack", channel.SMS, withPowerpack, plain, sms(plain, func(q *libraryMessage) { q.From, q.Powerpack = "", plivotest.PowerpackUUID })},
		{"SMS of an alert", channel.SMS, nil, alert(), sms(alert(), nil)},
		{"SMS to India", channel.SMS, registered, toIndia, sms(toIndia, func(q *libraryMessage) { q.Entity, q.ID, q.Category = "1101", "1107", "service_implicit" })},
		{"SMS to another country", channel.SMS, registered, plain, sms(plain, nil)},
		{"template", channel.WhatsApp, nil, plain, whatsApp(plain, codeTemplate(code))},
		{"template without reports", channel.WhatsApp, noReports, plain, func() question { q := whatsApp(plain, codeTemplate(code)); q.Message.Reports = ""; return q }()},
		{"template of an alert", channel.WhatsApp, alertTemplate, alert(), whatsApp(alert(), &libraryTemplate{plivotest.AlertTemplate, "en", "Acme", false})},
		{"text", channel.WhatsApp, withText, foreign, whatsApp(foreign, nil)},
		{"text of an alert", channel.WhatsApp, nil, alert(), whatsApp(alert(), nil)},
		{"call", channel.Call, nil, payment, question{Call: &libraryCall{plivotest.CallFrom[1:], recipient[1:], ourURL + AnswerPath + query, reports, 40, 300}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server.Reset()
			r := openRig(t, server.Double, gatewaytest.Settings{BaseURL: server.URL, Transport: http.DefaultTransport}, tc.change)
			r.Send(t, tc.channel, tc.m)
			answer := l.ask(t, tc.same)
			calls, accepted := r.Calls(), r.Accepted()
			if len(calls) != 2 || len(accepted) != 2 || answer.Error != "" || answer.UUID != accepted[1].UUID {
				t.Fatalf("%d requests, %d accepted, the library reads %+v", len(calls), len(accepted), answer)
			}
			ours, library := calls[0], calls[1]
			if ours.Method != library.Method || ours.Path != library.Path || !reflect.DeepEqual(ours.Body, library.Body) {
				t.Errorf("sent %s %s\n %v\nthe library sends %s %s\n %v", ours.Method, ours.Path, ours.Body, library.Method, library.Path, library.Body)
			}
			if got, want := ours.Header.Get("Content-Type"), library.Header.Get("Content-Type"); got != want {
				t.Errorf("the content type is %s, the library's is %s", got, want)
			}
			if by := library.Header.Get("User-Agent"); !strings.HasPrefix(by, "plivo-go/") {
				t.Errorf("the second request is by %s", by)
			}
			l.wantKnown(t, tc.channel, ours.Body)
		})
	}
}

// wantKnown checks that the library knows every name and type in a body of ours, and that it would
// notice others.
func (l library) wantKnown(t *testing.T, c channel.Channel, body map[string]any) {
	t.Helper()
	to := "dst"
	if c == channel.Call {
		to = "to"
	}
	for want, body := range map[string]map[string]any{
		"":                                  body,
		`json: unknown field "time_limits"`: withKey(body, "time_limits", 1),
		"json: cannot unmarshal number":     withKey(body, to, 14155550123),
	} {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		q := question{MessageBody: text}
		if c == channel.Call {
			q = question{CallBody: text}
		}
		if got := l.ask(t, q).Error; !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("the library reads %s with %q, want %q", text, got, want)
		}
	}
}

// withKey returns a copy of an object with another value of one key.
func withKey(object map[string]any, key string, value any) map[string]any {
	object = maps.Clone(object)
	object[key] = value
	return object
}
