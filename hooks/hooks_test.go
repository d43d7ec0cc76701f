package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"twofa/hooks"
	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/testing/fixture"
)

// canary stands for any text of a request or of another program's error.
const canary = "c4n4ry-Value"

var (
	report  = notify.Report{Verification: "VE0123456789abcdef0123456789abcdef", Attempt: 2, Status: otp.Failed, Failure: &notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 63024}}
	message = notify.Inbound{From: fixture.Alice, Channel: channel.WhatsApp, Text: canary}
	// question is about a call.
	question = notify.Question{Verification: report.Verification, Attempt: 3, To: fixture.Alice, CallID: "C1"}
)

// rig is a service and its parts, which succeed unless a test says otherwise.
type rig struct {
	hooks.Service
	provider   provider
	deliveries deliveries
	inbox      inbox
}

func newRig() *rig {
	r := new(rig)
	r.Service = hooks.Service{Providers: map[string]hooks.Provider{"acme": &r.provider, "plain": plain{}}, Deliveries: &r.deliveries, Inbox: &r.inbox}
	return r
}

type provider struct {
	err    error
	silent bool // no reply is an empty body
}

func (p *provider) Report(*http.Request) (notify.Report, error)     { return report, p.err }
func (p *provider) Inbound(*http.Request) (notify.Inbound, error)   { return message, p.err }
func (p *provider) Question(*http.Request) (notify.Question, error) { return question, p.err }
func (p *provider) Advice() notify.Advice {
	return notify.Advice{Forged: "ACME_TOKEN is the token", Foreign: "ACME_ACCOUNT"}
}
func (p *provider) Speech(m notify.Message) (string, []byte) {
	return "text/xml", []byte("<Say>" + m.Code)
}
func (p *provider) Reply(text string) (string, []byte) {
	if p.silent && text == "" {
		return "text/xml", nil
	}
	return "text/xml", []byte("<Response>" + text + "</Response>")
}

// plain is a provider that only reports.
type plain struct{}

func (plain) Report(*http.Request) (notify.Report, error) { return report, nil }
func (plain) Advice() notify.Advice                       { return notify.Advice{} }

type deliveries struct {
	got   []notify.Report
	asked []notify.Question
	ctx   context.Context
	err   error
}

func (d *deliveries) Answer(ctx context.Context, q notify.Question) (notify.Message, error) {
	d.ctx, d.asked = ctx, append(d.asked, q)
	return notify.Message{Code: "123456"}, d.err
}

func (d *deliveries) Report(ctx context.Context, r notify.Report) error {
	d.ctx, d.got = ctx, append(d.got, r)
	return d.err
}

type inbox struct {
	got   []notify.Inbound
	ctx   context.Context
	reply string
	err   error
}

func (i *inbox) Receive(ctx context.Context, m notify.Inbound) (string, error) {
	i.ctx, i.got = ctx, append(i.got, m)
	return i.reply, i.err
}

func request() *http.Request {
	return httptest.NewRequest("POST", "/hooks/twilio/"+canary, strings.NewReader("Body="+canary))
}

var endpoints = map[string]func(*hooks.Service, string, *http.Request) (hooks.Reply, error){
	"status":  (*hooks.Service).Status,
	"inbound": (*hooks.Service).Inbound,
	"answer":  (*hooks.Service).Answer,
}

// wantRefusal fails the test unless both endpoints refuse the request with an
// empty answer, without an effect and without quoting the request. It calls
// examine with each error.
func (r *rig) wantRefusal(t *testing.T, kind problem.Kind, examine func(t *testing.T, e *problem.Error)) {
	for endpoint, call := range endpoints {
		t.Run(endpoint, func(t *testing.T) {
			reply, err := call(&r.Service, "acme", request())
			e := fixture.Problem(t, err, kind)
			if text := fmt.Sprintf("%+v %+v", *e, reply); strings.Contains(text, canary) {
				t.Errorf("the answer quotes the request: %s", text)
			}
			if len(r.deliveries.got)+len(r.deliveries.asked) > 0 || len(r.inbox.got) > 0 || len(reply.Body) > 0 {
				t.Errorf("the request had an effect: %+v %+v %+v", r.deliveries.got, r.inbox.got, reply)
			}
			examine(t, e)
		})
	}
}

func TestAReportIsDelivered(t *testing.T) {
	r, req := newRig(), request()
	reply, err := r.Status("acme", req)
	if err != nil || reply.ContentType != "" || len(reply.Body) > 0 {
		t.Errorf("answered %+v, %v, want nothing", reply, err)
	}
	if !reflect.DeepEqual(r.deliveries.got, []notify.Report{report}) || r.deliveries.ctx != req.Context() || r.inbox.got != nil {
		t.Errorf("reports %+v, messages %+v", r.deliveries.got, r.inbox.got)
	}
}

// A provider sends a report again until it is accepted, also one on another app's message.
func TestAReportOnNothingOfOursIsAccepted(t *testing.T) {
	r := newRig()
	r.provider.err = fmt.Errorf("%s: %w", canary, notify.ErrUnrelated)
	ctx, line := reqlog.With(t.Context())
	reply, err := r.Status("acme", request().WithContext(ctx))
	if err != nil || len(reply.Body) > 0 || r.deliveries.got != nil {
		t.Errorf("answered %+v, %v; reports %+v", reply, err, r.deliveries.got)
	}
	if log := fmt.Sprint(line.Attrs()); !strings.Contains(log, "report=ignored: notify: about no message") || strings.Contains(log, canary) {
		t.Errorf("logged %s", log)
	}
}

func TestAMessageIsReceivedAndAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		silent bool
		want   hooks.Reply
	}{
		"a reply":                   {"Stopped.", true, hooks.Reply{ContentType: "text/xml", Body: []byte("<Response>Stopped.</Response>")}},
		"no reply":                  {"", true, hooks.Reply{}},
		"no reply, but with a body": {"", false, hooks.Reply{ContentType: "text/xml", Body: []byte("<Response></Response>")}},
	} {
		r, req := newRig(), request()
		r.inbox.reply, r.provider.silent = c.text, c.silent
		reply, err := r.Inbound("acme", req)
		if err != nil || !reflect.DeepEqual(reply, c.want) {
			t.Errorf("%s: answered %+v, %v, want %+v", name, reply, err, c.want)
		}
		if !reflect.DeepEqual(r.inbox.got, []notify.Inbound{message}) || r.inbox.ctx != req.Context() || r.deliveries.got != nil {
			t.Errorf("%s: messages %+v, reports %+v", name, r.inbox.got, r.deliveries.got)
		}
	}
}

// Attack 11. A request that the provider did not sign, or that cannot be read, has
// no effect. The answer quotes neither the request nor another program's error.
func TestAttack11_UnprovenRequestsHaveNoEffect(t *testing.T) {
	tooLarge := &problem.Error{Kind: problem.PayloadTooLarge, Detail: "The body is larger than 16 KiB."}
	const forged, malformed = "forbidden: notify: not signed by the provider", "invalid_request: notify: cannot be read"
	const foreign = "forbidden: notify: for another account or sender"
	for name, c := range map[string]struct {
		err    error
		kind   problem.Kind
		detail []string // what the answer has to name
		log    string   // the error in the log
	}{
		"forged":               {notify.ErrForged, problem.Forbidden, []string{"TWOFA_PUBLIC_URL", "ACME_TOKEN is the token"}, forged},
		"forged, wrapped":      {fmt.Errorf("%s: %w", canary, notify.ErrForged), problem.Forbidden, []string{"TWOFA_PUBLIC_URL"}, forged},
		"foreign":              {notify.ErrForeign, problem.Forbidden, []string{"signed", "Check ACME_ACCOUNT"}, foreign},
		"foreign, wrapped":     {fmt.Errorf("%s: %w", canary, notify.ErrForeign), problem.Forbidden, nil, foreign},
		"malformed":            {notify.ErrMalformed, problem.InvalidRequest, []string{"signed"}, malformed},
		"malformed, wrapped":   {fmt.Errorf("%w: %s", notify.ErrMalformed, canary), problem.InvalidRequest, nil, malformed},
		"forged and malformed": {errors.Join(notify.ErrMalformed, notify.ErrForged), problem.Forbidden, nil, forged},
		"forged and too large": {errors.Join(tooLarge, notify.ErrForged), problem.Forbidden, nil, forged},
		"too large":            {tooLarge, problem.PayloadTooLarge, []string{"16 KiB"}, "payload_too_large"},
		"anything else":        {errors.New(canary), problem.Internal, nil, "internal: hooks: the request was not read: an error of type *errors.errorString"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig()
			r.provider.err = c.err
			r.wantRefusal(t, c.kind, func(t *testing.T, e *problem.Error) {
				if e.Error() != c.log {
					t.Errorf("error %q, want %q", e, c.log)
				}
				for _, word := range c.detail {
					if !strings.Contains(e.Detail, word) {
						t.Errorf("the detail does not name %s: %s", word, e.Detail)
					}
				}
			})
		})
	}
}

func TestErrorsOfTheParts(t *testing.T) {
	storage := &problem.Error{Kind: problem.StorageUnavailable, Err: errors.New("read: no connection")}
	gone := &problem.Error{Kind: problem.NotFound, Detail: "No such verification."}
	other := errors.New("other")
	for name, c := range map[string]struct {
		err    error
		status error // of a report; a message's is err, whatever it is
	}{
		"storage is down":             {storage, storage},
		"no such verification":        {gone, nil},
		"no such one, wrapped":        {fmt.Errorf("deliveries: %w", gone), nil},
		"a defect":                    {other, other},
		"the request was interrupted": {context.DeadlineExceeded, context.DeadlineExceeded},
	} {
		r := newRig()
		r.deliveries.err, r.inbox.err, r.inbox.reply = c.err, c.err, "Stopped."
		if reply, err := r.Status("acme", request()); err != c.status || len(reply.Body) > 0 {
			t.Errorf("%s: the answer to a report is %+v, %v, want %v", name, reply, err, c.status)
		}
		if reply, err := r.Answer("acme", request()); err != c.err || len(reply.Body) > 0 {
			t.Errorf("%s: the answer to a question is %+v, %v, want %v", name, reply, err, c.err)
		}
		if reply, err := r.Inbound("acme", request()); err != c.err || len(reply.Body) > 0 {
			t.Errorf("%s: the answer to a message is %+v, %v, want %v", name, reply, err, c.err)
		}
	}
}

func TestWithoutAProviderCallbacksAreOff(t *testing.T) {
	r := newRig()
	r.Providers = nil
	r.wantRefusal(t, problem.NotFound, func(t *testing.T, e *problem.Error) {
		if !strings.Contains(e.Detail, "TWOFA_PUBLIC_URL is not set") {
			t.Errorf("detail %q", e.Detail)
		}
	})
}

func TestAQuestionIsAnswered(t *testing.T) {
	r, req := newRig(), request()
	reply, err := r.Answer("acme", req)
	if err != nil || reply.ContentType != "text/xml" || string(reply.Body) != "<Say>123456" {
		t.Errorf("answered %+v, %v", reply, err)
	}
	if !reflect.DeepEqual(r.deliveries.asked, []notify.Question{question}) || r.deliveries.ctx != req.Context() || r.inbox.got != nil || r.deliveries.got != nil {
		t.Errorf("questions %+v", r.deliveries.asked)
	}
}

// A provider that is not in use, and one that makes no such requests, is refused.
func TestAttack37_RequestsOfOtherProviders(t *testing.T) {
	r := newRig()
	for endpoint, call := range endpoints {
		for _, provider := range []string{"other", "", "plain"} {
			if provider == "plain" && endpoint == "status" {
				continue
			}
			reply, err := call(&r.Service, provider, request())
			if e := fixture.Problem(t, err, problem.NotFound); strings.Contains(e.Detail, "TWOFA_PUBLIC_URL") || len(reply.Body) > 0 {
				t.Errorf("%s of %q: %+v, %v", endpoint, provider, reply, err)
			}
		}
	}
	if len(r.deliveries.got)+len(r.deliveries.asked)+len(r.inbox.got) > 0 {
		t.Error("a request had an effect")
	}
}
