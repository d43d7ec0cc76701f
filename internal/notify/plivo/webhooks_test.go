package plivo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/plivotest"
)

// receiver is a server that reads Plivo's requests and records the results.
type receiver struct {
	*Webhooks
	*httptest.Server
	reports []notify.Report
	errs    []error
	log     bytes.Buffer
}

func webhooks(tb testing.TB, changes ...func(*Options)) *receiver {
	tb.Helper()
	r := new(receiver)
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(&r.log, nil))
	for _, change := range changes {
		if change != nil {
			change(&o)
		}
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
	mux.HandleFunc(AnswerPath, func(w http.ResponseWriter, req *http.Request) {
		asked, err := hooks.Question(req)
		if err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		m := tracked()
		m.To, m.Verification, m.Attempt = asked.To, asked.Verification, asked.Attempt
		contentType, body := hooks.Speech(m)
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body)
	})
	r.Server = httptest.NewServer(mux)
	tb.Cleanup(r.Server.Close)
	return r
}

// report makes the double send a report and returns what was read.
func (r *receiver) report(t *testing.T, d *plivotest.Double, m plivotest.Message, status string, code int, extra ...string) (notify.Report, error) {
	t.Helper()
	res, err := d.Callback(t.Context(), m, ourURL, r.URL, status, code, extra...)
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
	accepted := make(map[channel.Channel]plivotest.Message)
	for _, c := range channels {
		r.Send(t, c, tracked())
		accepted[c] = r.Accepted()[len(accepted)]
	}
	texts, calls := []channel.Channel{channel.WhatsApp, channel.SMS}, []channel.Channel{channel.Call}
	for _, tc := range []struct {
		channels []channel.Channel
		said     string // Plivo's statuses with this meaning, separated by spaces
		status   otp.DeliveryStatus
		outcome  otp.Outcome
	}{
		// "completed" is a status of calls, "delivered" of messages.
		{texts, "queued completed unknown-status Delivered ", otp.Queued, 0},
		{texts, "sent", otp.Sent, 0},
		{texts, "delivered", otp.Delivered, 0},
		{texts, "read", otp.Read, 0},
		{texts, "failed rejected", otp.Failed, otp.OutcomeUnavailable},
		{texts, "undelivered", otp.Failed, otp.OutcomeUndeliverable},
		{calls, "queued initiated delivered", otp.Queued, 0},
		{calls, "ringing in-progress", otp.Sent, 0},
		{calls, "completed", otp.Delivered, 0},
		{calls, "busy no-answer timeout failed cancel", otp.Failed, otp.OutcomeUndeliverable},
	} {
		for _, c := range tc.channels {
			for said := range strings.SplitSeq(tc.said, " ") {
				t.Run(fmt.Sprint(c, " ", said), func(t *testing.T) {
					// Numbers that are invalid or have no rule.
					for _, number := range []string{"", "000", "739184", "14155550123", "-30", "x30", "999"} {
						got, err := hooks.report(t, r.Double, accepted[c], said, 0, "ErrorCode", number, "NewParameter", "1")
						if err != nil || got.Verification != verification || got.Attempt != 2 || got.Provider != "plivo" || got.Status != tc.status {
							t.Fatalf("got %+v, %v", got, err)
						}
						if (got.Failure != nil) != (tc.outcome != 0) {
							t.Fatalf("the failure is %v", got.Failure)
						}
						want := 0
						if number == "999" && c != channel.Call {
							want = 999
						}
						if f := got.Failure; f != nil && (f.Outcome != tc.outcome || f.Code != want || f.Setting != "" || f.Next != otherChannel || f.Detail != "reported as "+said) {
							t.Errorf("%q: the failure is %+v", number, f)
						}
					}
				})
			}
		}
	}
}

// The double's messages of a powerpack and the parameters that a report may lack.
func TestReportsWithFewParameters(t *testing.T) {
	r, _ := newRig(t, withPowerpack)
	hooks := webhooks(t, withPowerpack)
	r.Send(t, channel.SMS, tracked())
	for _, drop := range []string{"ParentMessageUUID", "PartInfo", "Type", "From", "To", "Units"} {
		got, err := hooks.report(t, r.Double, r.Accepted()[0], "delivered", 0, drop, "-")
		if want := (notify.Report{Verification: verification, Attempt: 2, Provider: Name, Status: otp.Delivered}); err != nil || got != want {
			t.Errorf("without %s: %+v, %v", drop, got, err)
		}
	}
	if got, err := hooks.report(t, r.Double, r.Accepted()[0], "delivered", 0, "MessageUUID", "-", "ParentMessageUUID", "-"); err != notify.ErrMalformed {
		t.Errorf("without an id: %+v, %v", got, err)
	}
	if got, err := hooks.report(t, r.Double, r.Accepted()[0], "delivered", 0, "Status", "-"); err != notify.ErrMalformed {
		t.Errorf("without a status: %+v, %v", got, err)
	}
	if got, err := hooks.report(t, r.Double, r.Accepted()[0], "delivered", 0, "CallStatus", "completed", "Status", "-"); err != notify.ErrForeign {
		t.Errorf("a message as a call: %+v, %v", got, err)
	}
}

// Reports on calls that are not ours.
func TestForeignCalls(t *testing.T) {
	r, _ := newRig(t, nil)
	r.Send(t, channel.Call, tracked())
	m := r.Accepted()[0]
	for name, tc := range map[string]struct {
		extra []string
		want  error
	}{
		"as it is":             {nil, nil},
		"numbers with a plus":  {[]string{"From", plivotest.CallFrom, "To", recipient}, nil},
		"from another number":  {[]string{"From", "12025550199"}, notify.ErrForeign},
		"from nobody":          {[]string{"From", "-"}, notify.ErrForeign},
		"inbound":              {[]string{"Direction", "inbound"}, notify.ErrForeign},
		"without a direction":  {[]string{"Direction", "-"}, notify.ErrForeign},
		"of a message, too":    {[]string{"Status", "delivered"}, notify.ErrMalformed},
		"two readings":         {[]string{"SIP-H-X", "CallStatuscompleted"}, notify.ErrForged},
		"a number in a header": {[]string{"SIP-H-To", "<sip:To@192.0.2.1>;tag=1"}, nil},
		"a forwarded call":     {[]string{"ForwardedFrom", "12025550199"}, nil},
	} {
		hooks := webhooks(t)
		if got, err := hooks.report(t, r.Double, m, "completed", 0, tc.extra...); err != tc.want || (err != nil) != (got == notify.Report{}) {
			t.Errorf("%s: %+v, %v, want %v", name, got, err, tc.want)
		}
		if warned := strings.Contains(hooks.log.String(), "held=CallStatus"); warned != (tc.want == notify.ErrForged) {
			t.Errorf("%s: logged %s", name, hooks.log.String())
		}
		status, body, err := r.Double.Answer(t.Context(), m, ourURL, hooks.URL, tc.extra...)
		if (status == http.StatusOK) != (tc.want == nil) || strings.Contains(body, "<Speak") != (tc.want == nil) || err != nil {
			t.Errorf("%s: answered %d %s, %v", name, status, body, err)
		}
	}
	noCalls := webhooks(t, func(o *Options) { o.CallFrom, o.Channels = "", nil })
	if _, err := noCalls.report(t, r.Double, m, "completed", 0); err != notify.ErrForeign {
		t.Errorf("without a number of calls: %v", err)
	}
}

// A call asks what it says, and says the code twice.
func TestAnAnsweredCall(t *testing.T) {
	r, _ := newRig(t, nil)
	hooks := webhooks(t)
	r.Send(t, channel.Call, tracked())
	m := r.Accepted()[0]
	status, document, err := r.Double.Answer(t.Context(), m, ourURL, hooks.URL)
	if err != nil || status != http.StatusOK {
		t.Fatalf("answered %d %s, %v", status, document, err)
	}
	if text, _ := plivotest.Spoken(document); text != "Your Acme code  7 3 9 1 8 4 Again 7 3 9 1 8 4 Goodbye" && text != "Your Acme code 7 3 9 1 8 4 Again 7 3 9 1 8 4 Goodbye" {
		t.Errorf("says %q", text)
	}

	d := r.Double
	request := func(status string, extra ...string) *http.Request {
		form := d.StatusForm(m, status, 0, extra...)
		return signedRequest(d, AnswerPath, goodQuery, form).http()
	}
	got, err := hooks.Question(request("in-progress"))
	if want := (notify.Question{Verification: verification, Attempt: 12, Provider: Name, To: recipient, CallID: m.UUID}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, r := range map[string]*http.Request{
		"not answered yet": request("ringing"),
		"ended":            request("completed"),
		"no status":        request("in-progress", "CallStatus", "-"),
		"no number":        request("in-progress", "To", "-"),
		"a SIP address":    request("in-progress", "To", "sip:alice@192.0.2.1"),
		"no call":          request("in-progress", "CallUUID", "-"),
		"another id":       request("in-progress", "CallUUID", "1"),
	} {
		if got, err := hooks.Question(r); err != notify.ErrMalformed || got != (notify.Question{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// A request for one path is not one for the other.
	if _, err := hooks.Report(request("in-progress")); err != notify.ErrForged {
		t.Errorf("a question as a report: %v", err)
	}
	report := signedRequest(d, StatusPath, goodQuery, d.StatusForm(m, "in-progress", 0)).http()
	if got, err := hooks.Question(report); err != notify.ErrForged {
		t.Errorf("a report as a question: %+v, %v", got, err)
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("canary " + recipient) }
func (brokenBody) Close() error             { return nil }

func TestABodyThatCannotBeRead(t *testing.T) {
	d := plivotest.New(plivotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	good, _ := goodStatus(d)
	for _, body := range []io.ReadCloser{brokenBody{}, nil, http.NoBody} {
		r := good.http()
		r.Body = body
		if _, err := hooks.Report(r); err != notify.ErrForged {
			t.Errorf("%T: %v", body, err)
		}
	}
}

func TestNewWebhooks(t *testing.T) {
	for name, tc := range map[string]struct{ public, token, account, fault string }{
		"good":               {ourURL, plivotest.AuthToken, plivotest.AuthID, ""},
		"with a slash":       {ourURL + "/", plivotest.AuthToken, plivotest.AuthID, ""},
		"a subaccount":       {ourURL, plivotest.AuthToken, "SA" + plivotest.AuthID[2:], ""},
		"loopback, IPv6":     {"http://[::1]:7071", plivotest.AuthToken, plivotest.AuthID, ""},
		"no token":           {ourURL, "", plivotest.AuthID, "PLIVO_AUTH_TOKEN"},
		"an invalid token":   {ourURL, "canary ", plivotest.AuthID, "PLIVO_AUTH_TOKEN"},
		"no address":         {"", plivotest.AuthToken, plivotest.AuthID, "TWOFA_PUBLIC_URL"},
		"http":               {"http://canary.example", plivotest.AuthToken, plivotest.AuthID, "TWOFA_PUBLIC_URL"},
		"a path":             {ourURL + "/canary", plivotest.AuthToken, plivotest.AuthID, "TWOFA_PUBLIC_URL"},
		"no account":         {ourURL, plivotest.AuthToken, "", "PLIVO_AUTH_ID"},
		"an invalid account": {ourURL, plivotest.AuthToken, "MAcanary", "PLIVO_AUTH_ID"},
	} {
		hooks, err := NewWebhooks(Options{PublicURL: tc.public, AuthToken: tc.token, AuthID: tc.account})
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
	printed := notifytest.Print(t, webhooks(t).Webhooks, *webhooks(t).Webhooks)
	notifytest.Secrets{"token": plivotest.AuthToken}.Check(t, "the output", printed)
}
