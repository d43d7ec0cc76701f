package twilio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/twiliotest"
)

// receiver is a server that reads Twilio's requests and records the results.
type receiver struct {
	*Webhooks
	*httptest.Server
	reports  []notify.Report
	inbounds []notify.Inbound
	errs     []error
	answer   string
	log      bytes.Buffer
}

func webhooks(tb testing.TB, changes ...func(*Options)) *receiver {
	tb.Helper()
	r := new(receiver)
	o := options()
	o.PublicURL, o.Logger = ourURL, slog.New(slog.NewTextHandler(&r.log, nil))
	for _, change := range changes {
		change(&o)
	}
	hooks, err := NewWebhooks(o)
	if err != nil {
		tb.Fatal(err)
	}
	r.Webhooks = hooks
	mux := http.NewServeMux()
	mux.HandleFunc(StatusPath, func(w http.ResponseWriter, req *http.Request) {
		report, err := hooks.Report(req)
		r.reports, r.errs = append(r.reports, report), append(r.errs, err)
	})
	mux.HandleFunc(InboundPath, func(w http.ResponseWriter, req *http.Request) {
		in, err := hooks.Inbound(req)
		r.inbounds, r.errs = append(r.inbounds, in), append(r.errs, err)
		contentType, body := hooks.Reply(r.answer)
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body)
	})
	r.Server = httptest.NewServer(mux)
	tb.Cleanup(r.Server.Close)
	return r
}

// report makes the double send a report and returns what was read.
func (r *receiver) report(t *testing.T, d *twiliotest.Double, m twiliotest.Message, status string, extra ...string) (notify.Report, error) {
	t.Helper()
	res, err := d.Callback(t.Context(), m, ourURL, r.URL, status, 0, extra...)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	last := len(r.reports) - 1
	return r.reports[last], r.errs[last]
}

func TestReports(t *testing.T) {
	r, _ := newRig(t, withReports)
	hooks := webhooks(t)
	accepted := make(map[channel.Channel]twiliotest.Message)
	for _, c := range channels {
		r.Send(t, c, tracked())
		accepted[c] = r.Accepted()[len(accepted)]
	}
	texts, calls := []channel.Channel{channel.WhatsApp, channel.SMS}, []channel.Channel{channel.Call}
	for _, tc := range []struct {
		channels []channel.Channel
		said     string // Twilio's statuses with this meaning, separated by spaces
		status   otp.DeliveryStatus
		outcome  otp.Outcome
	}{
		// "completed" is a status of calls, "delivered" of messages.
		{texts, "accepted scheduled queued sending completed unknown-status Delivered ", otp.Queued, 0},
		{texts, "sent", otp.Sent, 0},
		{texts, "delivered", otp.Delivered, 0},
		{texts, "read", otp.Read, 0},
		{texts, "failed canceled", otp.Failed, otp.OutcomeUnavailable},
		{texts, "undelivered", otp.Failed, otp.OutcomeUndeliverable},
		{calls, "queued initiated delivered", otp.Queued, 0},
		{calls, "ringing in-progress", otp.Sent, 0},
		{calls, "completed", otp.Delivered, 0},
		{calls, "busy no-answer failed canceled", otp.Failed, otp.OutcomeUndeliverable},
	} {
		for _, c := range tc.channels {
			for said := range strings.SplitSeq(tc.said, " ") {
				t.Run(fmt.Sprint(c, " ", said), func(t *testing.T) {
					// Invalid error numbers are dropped.
					for _, number := range []string{"", "0", "739184", "14155550123", "-21211", "x21211", "29999"} {
						got, err := hooks.report(t, r.Double, accepted[c], said, "ErrorCode", number, "NewParameter", "1")
						if err != nil || got.Verification != verification || got.Attempt != 2 || got.Status != tc.status {
							t.Fatalf("got %+v, %v", got, err)
						}
						if (got.Failure != nil) != (tc.outcome != 0) {
							t.Fatalf("failure %+v", got.Failure)
						}
						want := map[bool]int{true: 29999}[number == "29999"]
						if f := got.Failure; f != nil && (f.Outcome != tc.outcome || f.Next != otp.NextChannel || f.Code != want || f.MayHaveSent || f.Detail == "") {
							t.Errorf("with %q: %+v", number, *f)
						}
					}
				})
			}
		}
	}
}

// A failure names the setting of the sender that Twilio names in its report.
func TestReportsNameTheSetting(t *testing.T) {
	r, _ := newRig(t, func(o *Options) { withReports(o); withService(o) })
	hooks := webhooks(t)
	for _, c := range []channel.Channel{channel.WhatsApp, channel.SMS} {
		r.Reset()
		r.Send(t, c, tracked())
		got, err := hooks.report(t, r.Double, r.Accepted()[0], "failed", "ErrorCode", "63007")
		if err != nil || got.Failure.Setting != "TWILIO_MESSAGING_SERVICE_SID" {
			t.Errorf("%s: %+v, %v", c, got.Failure, err)
		}
	}
}

func TestStatusCallback(t *testing.T) {
	const path = "/hooks/twilio/status?id=VE0123456789abcdef0123456789abcdef&attempt=2"
	for name, tc := range map[string]struct {
		public string
		change func(*notify.Message)
		want   string
	}{
		"complete":               {ourURL, func(*notify.Message) {}, ourURL + path},
		"a slash at the end":     {ourURL + "/", func(*notify.Message) {}, ourURL + path},
		"no public address":      {"", func(*notify.Message) {}, ""},
		"no verification":        {ourURL, func(m *notify.Message) { m.Verification = "" }, ""},
		"no attempt":             {ourURL, func(m *notify.Message) { m.Attempt = 0 }, ""},
		"an alert":               {ourURL, func(m *notify.Message) { *m = alert() }, ""},
		"an id to be encoded":    {ourURL, func(m *notify.Message) { m.Verification = "a&b=c d" }, ourURL + "/hooks/twilio/status?id=a%26b%3Dc+d&attempt=2"},
		"loopback without https": {"http://127.0.0.1:7071", func(*notify.Message) {}, "http://127.0.0.1:7071" + path},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newRig(t, func(o *Options) { o.PublicURL = tc.public })
			m := tracked()
			tc.change(&m)
			for _, c := range channels {
				r.Reset()
				r.Send(t, c, m)
				if got := r.Accepted()[0].StatusCallback; got != tc.want {
					t.Errorf("%s: %q, want %q", c, got, tc.want)
				}
				method := r.Calls()[0].Form.Get("StatusCallbackMethod")
				if want := map[bool]string{true: "POST"}[c == channel.Call && tc.want != ""]; method != want {
					t.Errorf("%s: method %q", c, method)
				}
			}
		})
	}
}

// These reports are signed, but are not what Twilio was asked to send.
func TestMalformedReports(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	_, form := goodStatus(d)
	const id = "id=" + string(verification)
	for name, tc := range map[string]struct{ query, drop, add string }{
		"no query":                {"", "", ""},
		"no id":                   {"attempt=2", "", ""},
		"no attempt":              {id, "", ""},
		"an invalid id":           {"id=VE1&attempt=2", "", ""},
		"attempt 0":               {id + "&attempt=0", "", ""},
		"attempt -1":              {id + "&attempt=-1", "", ""},
		"attempt +1":              {id + "&attempt=%2B1", "", ""},
		"attempt 01":              {id + "&attempt=01", "", ""},
		"attempt 10000":           {id + "&attempt=10000", "", ""},
		"attempt out of range":    {id + "&attempt=99999999999999999999", "", ""},
		"no status":               {goodQuery, "MessageStatus", ""},
		"of a message and a call": {goodQuery, "", "CallStatus"},
	} {
		t.Run(name, func(t *testing.T) {
			f := maps.Clone(form)
			if delete(f, tc.drop); tc.add != "" {
				f.Set(tc.add, "completed")
			}
			if got, err := hooks.Report(signedRequest(d, StatusPath, tc.query, f).http()); err != notify.ErrMalformed || got != (notify.Report{}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("canary " + recipient) }
func (brokenBody) Close() error             { return nil }

func TestABodyThatCannotBeRead(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	good, _ := goodStatus(d)
	for _, body := range []io.ReadCloser{brokenBody{}, nil, http.NoBody} {
		r := good.http()
		r.Body = body
		if _, err := hooks.Report(r); err != notify.ErrForged {
			t.Errorf("%T: %v", body, err)
		}
		if _, err := hooks.Inbound(r); err != notify.ErrForged {
			t.Errorf("%T: %v", body, err)
		}
	}
}

func TestNewWebhooks(t *testing.T) {
	for name, tc := range map[string]struct{ public, token, account, fault string }{
		"good":               {ourURL, twiliotest.AuthToken, twiliotest.AccountSID, ""},
		"with a slash":       {ourURL + "/", twiliotest.AuthToken, twiliotest.AccountSID, ""},
		"with a port":        {ourURL + ":8443", twiliotest.AuthToken, twiliotest.AccountSID, ""},
		"loopback":           {"http://127.0.0.1:7071", twiliotest.AuthToken, twiliotest.AccountSID, ""},
		"loopback, IPv6":     {"http://[::1]:7071", twiliotest.AuthToken, twiliotest.AccountSID, ""},
		"no token":           {ourURL, "", twiliotest.AccountSID, "TWILIO_AUTH_TOKEN"},
		"an invalid token":   {ourURL, "canary ", twiliotest.AccountSID, "TWILIO_AUTH_TOKEN"},
		"no address":         {"", twiliotest.AuthToken, twiliotest.AccountSID, "TWOFA_PUBLIC_URL"},
		"no scheme":          {"canary.example", twiliotest.AuthToken, twiliotest.AccountSID, "TWOFA_PUBLIC_URL"},
		"http":               {"http://canary.example", twiliotest.AuthToken, twiliotest.AccountSID, "TWOFA_PUBLIC_URL"},
		"a path":             {ourURL + "/canary", twiliotest.AuthToken, twiliotest.AccountSID, "TWOFA_PUBLIC_URL"},
		"no account":         {ourURL, twiliotest.AuthToken, "", "TWILIO_ACCOUNT_SID"},
		"an invalid account": {ourURL, twiliotest.AuthToken, "ACcanary", "TWILIO_ACCOUNT_SID"},
	} {
		hooks, err := NewWebhooks(Options{PublicURL: tc.public, AuthToken: tc.token, AccountSID: tc.account})
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
}
