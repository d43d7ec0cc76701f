package bird

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/notifytest"
)

// receiver is a server that reads Bird's reports and records the results.
type receiver struct {
	*Webhooks
	*httptest.Server
	reports []notify.Report
	errs    []error
}

func webhooks(tb testing.TB) *receiver {
	tb.Helper()
	r := new(receiver)
	hooks, err := NewWebhooks(options())
	if err != nil {
		tb.Fatal(err)
	}
	r.Webhooks = hooks
	mux := http.NewServeMux()
	mux.HandleFunc(StatusPath, func(w http.ResponseWriter, req *http.Request) {
		report, err := hooks.Report(req)
		r.reports, r.errs = append(r.reports, report), append(r.errs, err)
	})
	r.Server = httptest.NewServer(mux)
	tb.Cleanup(r.Server.Close)
	return r
}

// report makes the double send a report and returns what was read.
func (r *receiver) report(t *testing.T, d *birdtest.Double, m birdtest.Message, event, word string, extra ...any) (notify.Report, error) {
	t.Helper()
	res, err := d.Callback(t.Context(), m, r.URL, event, word, extra...)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	last := len(r.reports) - 1
	return r.reports[last], r.errs[last]
}

func TestReports(t *testing.T) {
	r, _ := newRig(t, nil)
	hooks := webhooks(t)
	accepted := make(map[channel.Channel]birdtest.Message)
	for _, c := range channels {
		r.Reset() // a message over both channels would have one key
		r.Send(t, c, tracked())
		accepted[c] = r.Accepted()[0]
	}
	sms, whatsApp := []channel.Channel{channel.SMS}, []channel.Channel{channel.WhatsApp}
	for _, tc := range []struct {
		channels []channel.Channel
		said     string // Bird's types with this meaning, separated by spaces
		status   otp.DeliveryStatus
		outcome  otp.Outcome
	}{
		{channels, "accepted scheduled canceled unknown-type Delivered ", otp.Queued, 0},
		{sms, "read", otp.Queued, 0},
		{whatsApp, "undelivered expired", otp.Queued, 0},
		{channels, "sent", otp.Sent, 0},
		{channels, "delivered", otp.Delivered, 0},
		{whatsApp, "read", otp.Read, 0},
		{channels, "failed rejected", otp.Failed, otp.OutcomeUnavailable},
		{sms, "undelivered expired", otp.Failed, otp.OutcomeUndeliverable},
	} {
		for _, c := range tc.channels {
			for said := range strings.SplitSeq(tc.said, " ") {
				t.Run(fmt.Sprint(c, " ", said), func(t *testing.T) {
					// Words that have no rule.
					for _, word := range []string{"", "new_reason", "739184", "14155550123", "UNREACHABLE", "unreachable "} {
						got, err := hooks.report(t, r.Double, accepted[c], said, word, "new", "1")
						if err != nil || got.Verification != verification || got.Attempt != 2 || got.Provider != "bird" || got.Status != tc.status {
							t.Fatalf("got %+v, %v", got, err)
						}
						if (got.Failure != nil) != (tc.outcome != 0) {
							t.Fatalf("the failure is %v", got.Failure)
						}
						if f := got.Failure; f != nil && *f != (notify.Failure{Outcome: tc.outcome, Next: otherChannel, Detail: "reported as " + said}) {
							t.Errorf("%q: the failure is %+v", word, f)
						}
					}
				})
			}
		}
	}
}

// A word counts only with a failure.
func TestAWordOfASuccess(t *testing.T) {
	r, _ := newRig(t, nil)
	hooks := webhooks(t)
	r.Send(t, channel.SMS, tracked())
	if got, err := hooks.report(t, r.Double, r.Accepted()[0], "delivered", "insufficient_balance"); err != nil || got.Status != otp.Delivered || got.Failure != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Signed reports on messages that have no verification: the webhook gets all events of the
// workspace.
func TestForeignReports(t *testing.T) {
	r, _ := newRig(t, nil)
	hooks := webhooks(t)
	for _, c := range channels {
		r.Reset()
		r.Send(t, c, alert())
		if got, err := hooks.report(t, r.Double, r.Accepted()[0], "failed", "unreachable"); err != notify.ErrUnrelated || got != (notify.Report{}) {
			t.Errorf("an alert over %s: %+v, %v", c, got, err)
		}
		r.Send(t, c, tracked())
		m := r.Accepted()[1]
		m.Metadata = map[string]string{"order_id": "ord_123"}
		if got, err := hooks.report(t, r.Double, m, "delivered", ""); err != notify.ErrUnrelated || got != (notify.Report{}) {
			t.Errorf("of another app over %s: %+v, %v", c, got, err)
		}
	}
	d, noon := newDouble(t, ""), atNoon(t)
	for _, body := range []string{
		`{"type":"sms.received","data":{"metadata":null,"text":"STOP"}}`,
		`{"type":"whatsapp.received","data":{"metadata":null,"text":{"body":"STOP"}}}`,
		`{"type":"sms_suppression.created","data":{"metadata":{"twofa_verification":"VE0123456789abcdef0123456789abcdef","twofa_attempt":"12"}}}`,
		`{"type":"email.delivered","data":{"error":"text","metadata":7}}`,
		`{"type":"verify.attempt.undelivered","data":{"error":"text","metadata":{"twofa_verification":"VE0123456789abcdef0123456789abcdef","twofa_attempt":"12"}}}`,
		`{"type":"call.failed","data":{}}`, `{"type":"sms","data":{}}`, `{"type":"SMS.delivered","data":{}}`, `{"type":".sms.delivered","data":{}}`, `{"type":"x","data":{}}`,
	} {
		if got, err := noon.Report(signedRequest(d, goodID, goodTime, body).http()); err != notify.ErrUnrelated || got != (notify.Report{}) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

// Signed reports whose metadata is ours and broken, or that have another form.
func TestMalformedReports(t *testing.T) {
	d, hooks := newDouble(t, ""), atNoon(t)
	const id = `"twofa_verification":"VE0123456789abcdef0123456789abcdef"`
	bodies := []string{`{"data":{}}`, `{"type":"","data":{}}`, `{"type":7,"data":{}}`, `{"type":null,"data":{}}`, `{"type":"sms.sent"}`, `{"type":"sms.sent","data":null}`,
		`{"type":"sms.sent","data":[]}`, `{"type":"sms.sent","data":{"metadata":[]}}`, `{"type":"sms.sent","data":{"metadata":"x"}}`, `{"type":"sms.failed","data":{"error":"x"}}`,
		`{"type":"sms.failed","data":{"error":{"code":7}}}`}
	for _, metadata := range []string{
		id, `"twofa_attempt":"12"`, id + `,"twofa_attempt":12`, id + `,"twofa_attempt":null`, `"twofa_verification":null,"twofa_attempt":"12"`,
		`"twofa_verification":"VE1","twofa_attempt":"12"`, `"twofa_verification":"","twofa_attempt":"12"`, `"twofa_verification":"ve0123456789abcdef0123456789abcdef","twofa_attempt":"12"`,
		id + `,"twofa_attempt":""`, id + `,"twofa_attempt":"0"`, id + `,"twofa_attempt":"-1"`, id + `,"twofa_attempt":"01"`, id + `,"twofa_attempt":"+1"`, id + `,"twofa_attempt":"1 "`,
		id + `,"twofa_attempt":"10000"`, id + `,"twofa_attempt":"1.0"`, id + `,"twofa_attempt":"99999999999999999999"`, id + `,"twofa_attempt":"١"`,
	} {
		bodies = append(bodies, `{"type":"sms.delivered","data":{"metadata":{`+metadata+`}}}`)
	}
	for _, body := range bodies {
		if got, err := hooks.Report(signedRequest(d, goodID, goodTime, body).http()); err != notify.ErrMalformed || got != (notify.Report{}) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("canary " + recipient) }
func (brokenBody) Close() error             { return nil }

func TestABodyThatCannotBeRead(t *testing.T) {
	hooks := atNoon(t)
	good := signedRequest(newDouble(t, ""), goodID, goodTime, goodBody)
	for _, body := range []io.ReadCloser{brokenBody{}, nil, http.NoBody} {
		r := good.http()
		r.Body = body
		if _, err := hooks.Report(r); err != notify.ErrForged {
			t.Errorf("%T: %v", body, err)
		}
	}
}

func TestNewWebhooks(t *testing.T) {
	for name, tc := range map[string]struct{ secret, fault string }{
		"good":      {birdtest.WebhookSecret, ""},
		"no secret": {"", "BIRD_WEBHOOK_SECRET"},
		"invalid":   {"whsec_canary", "BIRD_WEBHOOK_SECRET"},
	} {
		hooks, err := NewWebhooks(Options{WebhookSecret: tc.secret})
		if tc.fault == "" {
			if err != nil || hooks == nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || hooks != nil || !strings.Contains(err.Error(), tc.fault) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	key, _ := readSecret(birdtest.WebhookSecret)
	printed := notifytest.Print(t, webhooks(t).Webhooks, *webhooks(t).Webhooks)
	notifytest.Secrets{"secret": birdtest.WebhookSecret[6:], "key": string(key)}.Check(t, "the output", printed)
}

// Whatever a signed body is: it is read without a panic, and the report names one attempt and
// holds no text from outside.
func FuzzReport(f *testing.F) {
	d, hooks := newDouble(f, ""), atNoon(f)
	f.Add(goodID, goodTime, goodBody)
	f.Add(goodID, goodTime, strings.Replace(goodBody, "delivered", "failed", 1))
	f.Add(goodID, goodTime, `{"type":"whatsapp.failed","data":{"metadata":{"twofa_verification":"VE0123456789abcdef0123456789abcdef","twofa_attempt":"1"},"error":{"code":"undeliverable"}}}`)
	f.Add("msg.1", "-1", `{"type":"sms.failed","data":{"metadata":{"a":{"a":1,"a":2}}}}`)
	f.Add("", "", "[")
	f.Fuzz(func(t *testing.T, id, timestamp, body string) {
		got, err := hooks.Report(signedRequest(d, id, timestamp, body).http())
		if err != nil {
			if got != (notify.Report{}) {
				t.Errorf("%+v with %v", got, err)
			}
			return
		}
		if (got.Status == otp.Failed) != (got.Failure != nil) || got.Attempt < 1 || got.Attempt > gateway.MaxAttempt || len(got.Verification) != 34 || got.Provider != "bird" {
			t.Errorf("got %+v", got)
		}
		if got.Failure != nil && got.Failure.Word != "" {
			if _, known := reportRules[got.Failure.Word]; !known {
				t.Errorf("the word is %q", got.Failure.Word)
			}
		}
		if id != goodID && strings.ContainsAny(id, ". \r\n") || timestamp != goodTime && strings.Trim(timestamp, "0123456789") != "" {
			t.Errorf("accepted the id %q and the timestamp %q", id, timestamp)
		}
	})
}
