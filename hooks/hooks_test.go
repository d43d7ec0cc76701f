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
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

// canary stands for whatever a request or another's error text may hold.
const canary = "c4n4ry-Value"

type provider struct {
	report  notify.Report
	message notify.Inbound
	err     error
	silent  bool // its way of saying nothing is an empty body
}

func (p *provider) Report(*http.Request) (notify.Report, error)   { return p.report, p.err }
func (p *provider) Inbound(*http.Request) (notify.Inbound, error) { return p.message, p.err }
func (p *provider) Reply(text string) (string, []byte) {
	if p.silent && text == "" {
		return "text/xml", nil
	}
	return "text/xml", []byte("<Response>" + text + "</Response>")
}

type deliveries struct {
	got []notify.Report
	ctx context.Context
	err error
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

var (
	report  = notify.Report{Verification: "VE0123456789abcdef0123456789abcdef", Attempt: 2, Status: otp.Failed, Failure: &notify.Failure{Reason: notify.Undeliverable, Code: 63024}}
	message = notify.Inbound{From: "+14155550123", Channel: notify.WhatsApp, Text: canary}
)

// bench is a service whose parts do well, and their fakes.
type bench struct {
	hooks.Service
	provider   provider
	deliveries deliveries
	inbox      inbox
}

func newBench() *bench {
	b := &bench{provider: provider{report: report, message: message}}
	b.Service = hooks.Service{Provider: &b.provider, Deliveries: &b.deliveries, Inbox: &b.inbox}
	return b
}

func request() *http.Request {
	return httptest.NewRequest("POST", "/hooks/twilio/"+canary, strings.NewReader("Body="+canary))
}

// endpoints are the two, by name.
var endpoints = map[string]func(*hooks.Service, *http.Request) (hooks.Reply, error){
	"status":  (*hooks.Service).Status,
	"inbound": (*hooks.Service).Inbound,
}

func TestAReportIsHandedOn(t *testing.T) {
	b := newBench()
	r := request()
	reply, err := b.Status(r)
	if err != nil || reply.ContentType != "" || len(reply.Body) > 0 {
		t.Errorf("answered %+v, %v, want nothing", reply, err)
	}
	if !reflect.DeepEqual(b.deliveries.got, []notify.Report{report}) || b.deliveries.ctx != r.Context() {
		t.Errorf("handed on %+v", b.deliveries.got)
	}
	if b.inbox.got != nil {
		t.Errorf("it is a message too: %+v", b.inbox.got)
	}
}

func TestAMessageIsHandedOnAndAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		silent bool
		want   hooks.Reply
	}{
		"with a reply":               {"Stopped.", true, hooks.Reply{ContentType: "text/xml", Body: []byte("<Response>Stopped.</Response>")}},
		"without":                    {"", true, hooks.Reply{}},
		"without, and a word for it": {"", false, hooks.Reply{ContentType: "text/xml", Body: []byte("<Response></Response>")}},
	} {
		b := newBench()
		b.inbox.reply, b.provider.silent = c.text, c.silent
		r := request()
		reply, err := b.Inbound(r)
		if err != nil || !reflect.DeepEqual(reply, c.want) {
			t.Errorf("%s: answered %+v, %v, want %+v", name, reply, err, c.want)
		}
		if !reflect.DeepEqual(b.inbox.got, []notify.Inbound{message}) || b.inbox.ctx != r.Context() {
			t.Errorf("%s: handed on %+v", name, b.inbox.got)
		}
		if b.deliveries.got != nil {
			t.Errorf("%s: it is a report too: %+v", name, b.deliveries.got)
		}
	}
}

// Attack 11. What the provider did not sign has no effect, and neither has what
// cannot be read; and no text of the request, or of another's error, comes out.
func TestAttack11_UnprovenRequestsHaveNoEffect(t *testing.T) {
	tooLarge := &problem.Error{Kind: problem.PayloadTooLarge, Detail: "The body is larger than 16 KiB."}
	for name, c := range map[string]struct {
		err    error
		kind   problem.Kind
		detail []string // what the answer has to name
		log    string   // the error as the log has it
	}{
		"forged":               {notify.ErrForged, problem.Forbidden, []string{"TWOFA_PUBLIC_URL", "TWILIO_AUTH_TOKEN", "primary"}, "forbidden: notify: not signed by the provider"},
		"forged, wrapped":      {fmt.Errorf("%s: %w", canary, notify.ErrForged), problem.Forbidden, []string{"TWOFA_PUBLIC_URL"}, "forbidden: notify: not signed by the provider"},
		"malformed":            {notify.ErrMalformed, problem.InvalidRequest, []string{"signed"}, "invalid_request: notify: cannot be read"},
		"malformed, wrapped":   {fmt.Errorf("%w: %s", notify.ErrMalformed, canary), problem.InvalidRequest, nil, "invalid_request: notify: cannot be read"},
		"forged and malformed": {errors.Join(notify.ErrMalformed, notify.ErrForged), problem.Forbidden, nil, "forbidden: notify: not signed by the provider"},
		"forged and too large": {errors.Join(tooLarge, notify.ErrForged), problem.Forbidden, nil, "forbidden: notify: not signed by the provider"},
		"too large":            {tooLarge, problem.PayloadTooLarge, []string{"16 KiB"}, "payload_too_large"},
		"anything else":        {errors.New(canary), problem.Internal, nil, "internal: hooks: the request was not read: an error of type *errors.errorString"},
	} {
		for endpoint, call := range endpoints {
			t.Run(name+" "+endpoint, func(t *testing.T) {
				b := newBench()
				b.provider.err = c.err
				reply, err := call(&b.Service, request())
				failed, ok := errors.AsType[*problem.Error](err)
				if !ok || failed.Kind != c.kind || err.Error() != c.log {
					t.Fatalf("answered %v, want %s", err, c.log)
				}
				for _, word := range c.detail {
					if !strings.Contains(failed.Detail, word) {
						t.Errorf("the detail does not name %s: %s", word, failed.Detail)
					}
				}
				if text := fmt.Sprintf("%+v %+v", *failed, reply); strings.Contains(text, canary) {
					t.Errorf("it repeats the request: %s", text)
				}
				if len(b.deliveries.got) > 0 || len(b.inbox.got) > 0 || len(reply.Body) > 0 {
					t.Errorf("it had an effect: %+v %+v %+v", b.deliveries.got, b.inbox.got, reply)
				}
			})
		}
	}
}

func TestErrorsOfWhatIsBehind(t *testing.T) {
	storage := &problem.Error{Kind: problem.StorageUnavailable, Err: errors.New("read: no connection")}
	gone := &problem.Error{Kind: problem.NotFound, Detail: "No such verification."}
	other := errors.New("other")
	for name, c := range map[string]struct {
		err    error
		status error // that of a report; a message's is err, whatever it is
	}{
		"storage is down":             {storage, storage},
		"no such verification":        {gone, nil},
		"no such one, wrapped":        {fmt.Errorf("deliveries: %w", gone), nil},
		"a defect":                    {other, other},
		"the request was interrupted": {context.DeadlineExceeded, context.DeadlineExceeded},
	} {
		b := newBench()
		b.deliveries.err, b.inbox.err, b.inbox.reply = c.err, c.err, "Stopped."
		if reply, err := b.Status(request()); err != c.status || len(reply.Body) > 0 {
			t.Errorf("%s: a report was answered %+v, %v, want %v", name, reply, err, c.status)
		}
		if reply, err := b.Inbound(request()); err != c.err || len(reply.Body) > 0 {
			t.Errorf("%s: a message was answered %+v, %v, want %v", name, reply, err, c.err)
		}
	}
}

func TestWithoutAProviderCallbacksAreOff(t *testing.T) {
	for endpoint, call := range endpoints {
		b := newBench()
		b.Provider = nil
		reply, err := call(&b.Service, request())
		failed, ok := errors.AsType[*problem.Error](err)
		if !ok || failed.Kind != problem.NotFound || !strings.Contains(failed.Detail, "TWOFA_PUBLIC_URL is not set") || len(reply.Body) > 0 {
			t.Errorf("%s: answered %+v, %v", endpoint, reply, err)
		}
		if len(b.deliveries.got) > 0 || len(b.inbox.got) > 0 {
			t.Errorf("%s: it had an effect", endpoint)
		}
	}
}
