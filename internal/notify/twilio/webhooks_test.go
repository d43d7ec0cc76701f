package twilio

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/twiliotest"
)

// receiver is an app that does nothing but read Twilio's requests.
type receiver struct {
	*Webhooks
	*httptest.Server
	reports  []notify.Report
	inbounds []notify.Inbound
	errs     []error
	answer   string
}

func webhooks(tb testing.TB) *receiver {
	tb.Helper()
	hooks, err := NewWebhooks(ourURL, twiliotest.AuthToken)
	if err != nil {
		tb.Fatal(err)
	}
	r := &receiver{Webhooks: hooks}
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

// report lets the double report and returns what was read of it.
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
	server, a := startAccount(t, withReports)
	hooks := webhooks(t)
	accepted := make(map[notify.Channel]twiliotest.Message)
	for _, channel := range channels {
		if err := a.on(channel).Send(t.Context(), tracked()); err != nil {
			t.Fatal(err)
		}
		accepted[channel] = server.Accepted()[len(accepted)]
	}
	texts, calls := []notify.Channel{notify.WhatsApp, notify.SMS}, []notify.Channel{notify.Call}
	for _, tc := range []struct {
		channels []notify.Channel
		said     string
		status   otp.DeliveryStatus
		reason   notify.Reason
	}{
		{texts, "accepted", otp.Queued, 0},
		{texts, "scheduled", otp.Queued, 0},
		{texts, "queued", otp.Queued, 0},
		{texts, "sending", otp.Queued, 0},
		{texts, "sent", otp.Sent, 0},
		{texts, "delivered", otp.Delivered, 0},
		{texts, "read", otp.Read, 0},
		{texts, "failed", otp.Failed, notify.Unavailable},
		{texts, "undelivered", otp.Failed, notify.Undeliverable},
		{texts, "canceled", otp.Failed, notify.Unavailable},
		{texts, "completed", otp.Queued, 0}, // not of a message
		{texts, "invented-tomorrow", otp.Queued, 0},
		{texts, "", otp.Queued, 0},
		{texts, "Delivered", otp.Queued, 0},
		{calls, "queued", otp.Queued, 0},
		{calls, "initiated", otp.Queued, 0},
		{calls, "ringing", otp.Sent, 0},
		{calls, "in-progress", otp.Sent, 0},
		{calls, "completed", otp.Delivered, 0},
		{calls, "busy", otp.Failed, notify.Undeliverable},
		{calls, "no-answer", otp.Failed, notify.Undeliverable},
		{calls, "failed", otp.Failed, notify.Undeliverable},
		{calls, "canceled", otp.Failed, notify.Undeliverable},
		{calls, "delivered", otp.Queued, 0},
	} {
		for _, channel := range tc.channels {
			t.Run(fmt.Sprint(channel, " ", tc.said), func(t *testing.T) {
				// Numbers that Twilio does not have change nothing.
				for _, number := range []string{"", "0", "739184", "14155550123", "-21211", "21211x", "29999"} {
					got, err := hooks.report(t, server.Double, accepted[channel], tc.said, "ErrorCode", number, "NewParameter", "1")
					if err != nil || got.Verification != verification || got.Attempt != 2 || got.Status != tc.status {
						t.Fatalf("got %+v, %v", got, err)
					}
					if (got.Failure != nil) != (tc.reason != 0) {
						t.Fatalf("failure %+v", got.Failure)
					}
					want := map[bool]int{true: 29999}[number == "29999"]
					if f := got.Failure; f != nil && (f.Reason != tc.reason || f.Next != otp.NextChannel || f.Code != want || f.MayHaveSent || f.Detail == "") {
						t.Errorf("with %q: %+v", number, *f)
					}
				}
			})
		}
	}
}

// The setting at fault is that of the sender that Twilio names.
func TestReportsNameTheSetting(t *testing.T) {
	server, a := startAccount(t, func(o *Options) {
		withReports(o)
		o.WhatsAppFrom, o.SMSFrom, o.MessagingServiceSID = "", "", twiliotest.MessagingServiceSID
	})
	hooks := webhooks(t)
	for _, channel := range []notify.Channel{notify.WhatsApp, notify.SMS} {
		server.Reset()
		if err := a.on(channel).Send(t.Context(), tracked()); err != nil {
			t.Fatal(err)
		}
		got, err := hooks.report(t, server.Double, server.Accepted()[0], "failed", "ErrorCode", "63007")
		if err != nil || got.Failure.Setting != "TWILIO_MESSAGING_SERVICE_SID" {
			t.Errorf("%s: %+v, %v", channel, got.Failure, err)
		}
	}
}

func TestStatusCallback(t *testing.T) {
	for name, tc := range map[string]struct {
		public string
		change func(*notify.Message)
		want   string
	}{
		"all there":              {ourURL, func(*notify.Message) {}, ourURL + "/hooks/twilio/status?id=VE0123456789abcdef0123456789abcdef&attempt=2"},
		"a slash at the end":     {ourURL + "/", func(*notify.Message) {}, ourURL + "/hooks/twilio/status?id=VE0123456789abcdef0123456789abcdef&attempt=2"},
		"no public address":      {"", func(*notify.Message) {}, ""},
		"no verification":        {ourURL, func(m *notify.Message) { m.Verification = "" }, ""},
		"no attempt":             {ourURL, func(m *notify.Message) { m.Attempt = 0 }, ""},
		"an alert":               {ourURL, func(m *notify.Message) { *m = alert() }, ""},
		"an id that is no such":  {ourURL, func(m *notify.Message) { m.Verification = "a&b=c d" }, ourURL + "/hooks/twilio/status?id=a%26b%3Dc+d&attempt=2"},
		"loopback without https": {"http://127.0.0.1:7071", func(*notify.Message) {}, "http://127.0.0.1:7071/hooks/twilio/status?id=VE0123456789abcdef0123456789abcdef&attempt=2"},
	} {
		t.Run(name, func(t *testing.T) {
			server, a := startAccount(t, func(o *Options) { o.PublicURL = tc.public })
			m := tracked()
			tc.change(&m)
			for _, channel := range channels {
				server.Reset()
				if err := a.on(channel).Send(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				if got := server.Accepted()[0].StatusCallback; got != tc.want {
					t.Errorf("%s: %q, want %q", channel, got, tc.want)
				}
				method := server.Calls()[0].Form.Get("StatusCallbackMethod")
				if want := map[bool]string{true: "POST"}[channel == notify.Call && tc.want != ""]; method != want {
					t.Errorf("%s: method %q", channel, method)
				}
			}
		})
	}
}

// Signed, and yet not what we asked to be told.
func TestMalformedReports(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	_, form := goodStatus(d)
	for name, tc := range map[string]struct{ query, drop, add string }{
		"no query":                {"", "", ""},
		"no id":                   {"attempt=2", "", ""},
		"no attempt":              {"id=" + string(verification), "", ""},
		"an id that is none":      {"id=VE1&attempt=2", "", ""},
		"attempt 0":               {"id=" + string(verification) + "&attempt=0", "", ""},
		"attempt -1":              {"id=" + string(verification) + "&attempt=-1", "", ""},
		"attempt +1":              {"id=" + string(verification) + "&attempt=%2B1", "", ""},
		"attempt 01":              {"id=" + string(verification) + "&attempt=01", "", ""},
		"attempt 10000":           {"id=" + string(verification) + "&attempt=10000", "", ""},
		"attempt out of range":    {"id=" + string(verification) + "&attempt=99999999999999999999", "", ""},
		"no status":               {goodQuery, "MessageStatus", ""},
		"of a message and a call": {goodQuery, "", "CallStatus"},
	} {
		t.Run(name, func(t *testing.T) {
			f := url.Values{}
			for k, v := range form {
				if k != tc.drop {
					f[k] = v
				}
			}
			if tc.add != "" {
				f.Set(tc.add, "completed")
			}
			address := ourURL + StatusPath
			if tc.query != "" {
				address += "?" + tc.query
			}
			r := statusRequest{http.MethodPost, StatusPath, tc.query, f.Encode(), "application/x-www-form-urlencoded", []string{d.Sign(address, f)}}
			if got, err := hooks.Report(r.http()); err != notify.ErrMalformed || got != (notify.Report{}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("canary " + recipient) }
func (brokenBody) Close() error             { return nil }

func TestABodyThatBreaksOff(t *testing.T) {
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
	for name, tc := range map[string]struct{ public, token, fault string }{
		"good":               {ourURL, twiliotest.AuthToken, ""},
		"with a slash":       {ourURL + "/", twiliotest.AuthToken, ""},
		"with a port":        {ourURL + ":8443", twiliotest.AuthToken, ""},
		"loopback":           {"http://127.0.0.1:7071", twiliotest.AuthToken, ""},
		"loopback, IPv6":     {"http://[::1]:7071", twiliotest.AuthToken, ""},
		"no token":           {ourURL, "", "TWILIO_AUTH_TOKEN"},
		"a token that is no": {ourURL, "canary ", "TWILIO_AUTH_TOKEN"},
		"no address":         {"", twiliotest.AuthToken, "TWOFA_PUBLIC_URL"},
		"no scheme":          {"canary.example", twiliotest.AuthToken, "TWOFA_PUBLIC_URL"},
		"http":               {"http://canary.example", twiliotest.AuthToken, "TWOFA_PUBLIC_URL"},
		"a path":             {ourURL + "/canary", twiliotest.AuthToken, "TWOFA_PUBLIC_URL"},
	} {
		hooks, err := NewWebhooks(tc.public, tc.token)
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
