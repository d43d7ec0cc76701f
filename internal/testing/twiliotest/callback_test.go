package twiliotest_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/twilio/twilio-go/client"

	"twofa/internal/channel"
	"twofa/internal/testing/twiliotest"
)

const (
	publicURL = "https://twofa.example"
	status    = publicURL + "/hooks/twilio/status?id=VE0123456789abcdef0123456789abcdef&attempt=2"
)

// The test vector of Twilio's own library. Its key is 12345.
func TestSignKnownVector(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{AuthToken: "12345"})
	defer d.Close()
	f := url.Values{
		"Digits": {"1234"}, "CallSid": {"CA1234567890ABCDE"}, "To": {"+18005551212"}, "Caller": {"+14158675309"},
		"From": {"+14158675309"}, "ReasonConferenceEnded": {"test"}, "Reason": {"Participant"},
	}
	if got := d.Sign("https://mycompany.com/myapp.php?foo=1&bar=2", f); got != "vOEb5UThFn24KEfnOFLQY2AE5FY=" {
		t.Errorf("signed %s", got)
	}
}

// app records its last request. Twilio's library checks the signature.
type app struct {
	*httptest.Server
	path   string
	form   url.Values
	signed bool
	answer string
	code   int
}

func newApp(t *testing.T, signedFor string) *app {
	a := &app{code: http.StatusOK, answer: "<Response/>"}
	validator := client.NewRequestValidator(twiliotest.AuthToken)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		a.path = r.URL.RequestURI()
		if a.form, err = url.ParseQuery(string(body)); err != nil {
			t.Error(err)
		}
		a.signed = validator.ValidateBody(signedFor, body, r.Header.Get("X-Twilio-Signature"))
		w.WriteHeader(a.code)
		_, _ = io.WriteString(w, a.answer)
	}))
	t.Cleanup(a.Close)
	return a
}

func TestCallback(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	for name, tc := range map[string]struct {
		m     twiliotest.Message
		code  int
		extra []string
		want  map[string]string // "-": not there
	}{
		"WhatsApp": {twiliotest.Message{Channel: channel.WhatsApp, SID: "SM1", To: to, From: from}, 63024, nil,
			map[string]string{"MessageSid": "SM1", "MessageStatus": "failed", "SmsStatus": "failed", "ErrorCode": "63024", "To": to, "From": from, "CallStatus": "-", "MessagingServiceSid": "-"}},
		"SMS of a service": {twiliotest.Message{Channel: channel.SMS, SID: "SM1", To: number, MessagingServiceSID: twiliotest.MessagingServiceSID}, 0, nil,
			map[string]string{"MessageStatus": "failed", "ErrorCode": "-", "From": twiliotest.SMSFrom, "MessagingServiceSid": twiliotest.MessagingServiceSID}},
		"WhatsApp of a service": {twiliotest.Message{Channel: channel.WhatsApp, SID: "SM1", To: to, MessagingServiceSID: twiliotest.MessagingServiceSID}, 0, nil,
			map[string]string{"From": from}},
		"call": {twiliotest.Message{Channel: channel.Call, SID: "CA1", To: number, From: twiliotest.VoiceFrom}, 0, nil,
			map[string]string{"CallSid": "CA1", "CallStatus": "failed", "MessageStatus": "-", "From": twiliotest.VoiceFrom}},
		"more parameters": {twiliotest.Message{Channel: channel.SMS, SID: "SM1", To: number}, 0, []string{"New", "1", "MessageStatus", "sent"},
			map[string]string{"New": "1", "MessageStatus": "sent"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, status)
			tc.m.StatusCallback = status
			res, err := d.Callback(t.Context(), tc.m, publicURL, a.URL, "failed", tc.code, tc.extra...)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if !a.signed || a.path != strings.TrimPrefix(status, publicURL) || res.StatusCode != http.StatusOK {
				t.Errorf("%s, signed: %t, answered %d", a.path, a.signed, res.StatusCode)
			}
			for name, value := range tc.want {
				if got := a.form[name]; (value == "-") != (got == nil) || value != "-" && got[0] != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
		})
	}
	for name, m := range map[string]twiliotest.Message{
		"no callback":   {},
		"another host":  {StatusCallback: "https://twofa.example.test/hooks"},
		"another one":   {StatusCallback: "https://else.example/hooks"},
		"only the host": {StatusCallback: publicURL},
	} {
		if _, err := d.Callback(t.Context(), m, publicURL, "http://127.0.0.1:1", "sent", 0); err == nil || !strings.Contains(err.Error(), "asks for no reports") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInbound(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	a := newApp(t, publicURL+twiliotest.InboundPath)
	code, twiml, err := d.Inbound(t.Context(), a.URL, publicURL, to, from, "NO", "")
	if err != nil || code != http.StatusOK || twiml != "<Response/>" || !a.signed || a.path != twiliotest.InboundPath {
		t.Errorf("%d, %q, %v; %s, signed: %t", code, twiml, err, a.path, a.signed)
	}
	if f := a.form; f.Get("From") != to || f.Get("To") != from || f.Get("Body") != "NO" || f.Get("WaId") != "14155550123" || f.Has("ButtonPayload") {
		t.Errorf("sent %v", f)
	}
	if _, _, err := d.Inbound(t.Context(), a.URL+"/", publicURL+"/", number, twiliotest.SMSFrom, "Not me", "deny"); err != nil {
		t.Error(err)
	}
	if f := a.form; !a.signed || f.Get("ButtonPayload") != "deny" || f.Get("ButtonText") != "Not me" || f.Has("WaId") {
		t.Errorf("sent %v, signed: %t", f, a.signed)
	}

	// What requests of Twilio hold.
	common := strings.Fields("AccountSid ApiVersion Body From MessageSid MessagingServiceSid NumMedia NumSegments ReferralNumMedia SmsMessageSid SmsSid SmsStatus To")
	sms := strings.Fields("FromCity FromCountry FromState FromZip ToCity ToCountry ToState ToZip")
	chat := strings.Fields("ChannelMetadata Forwarded FrequentlyForwarded MessageType ProfileName WaId")
	button := strings.Fields("ButtonPayload ButtonText OriginalRepliedMessageSender OriginalRepliedMessageSid")
	ids := make(map[string]bool)
	for name, tc := range map[string]struct {
		form url.Values
		want [][]string
	}{
		"SMS":      {d.InboundForm(number, twiliotest.SMSFrom, "NO", ""), [][]string{common, sms}},
		"WhatsApp": {d.InboundForm(to, from, "NO", ""), [][]string{common, chat}},
		"a button": {d.InboundForm(to, from, "Not me", "deny"), [][]string{common, chat, button}},
	} {
		want := slices.Sorted(slices.Values(slices.Concat(tc.want...)))
		if got := slices.Sorted(maps.Keys(tc.form)); !slices.Equal(got, want) {
			t.Errorf("%s: the parameters are\n%v, want\n%v", name, got, want)
		}
		id := tc.form.Get("MessageSid")
		if len(id) != 34 || !strings.HasPrefix(id, "SM") || tc.form.Get("SmsMessageSid") != id || tc.form.Get("SmsSid") != id || ids[id] {
			t.Errorf("%s: MessageSid %q", name, id)
		}
		ids[id] = true
		if tc.form.Get("AccountSid") != twiliotest.AccountSID || tc.form.Get("MessagingServiceSid") != twiliotest.MessagingServiceSID {
			t.Errorf("%s: from %q of %q", name, tc.form.Get("AccountSid"), tc.form.Get("MessagingServiceSid"))
		}
	}
	if d.InboundForm(number, twiliotest.VoiceFrom, "NO", "").Has("MessagingServiceSid") {
		t.Error("the number of calls is in the messaging service")
	}

	a.answer = "no"
	if code, twiml, err := d.Inbound(t.Context(), a.URL, publicURL, to, from, "NO", ""); err == nil || code != 200 || twiml != "no" {
		t.Errorf("a response that is not TwiML: %d, %q, %v", code, twiml, err)
	}
	a.code = http.StatusForbidden
	if code, twiml, err := d.Inbound(t.Context(), a.URL, publicURL, to, from, "NO", ""); err != nil || code != 403 || twiml != "no" {
		t.Errorf("a refusal: %d, %q, %v", code, twiml, err)
	}
	a.Close()
	if _, _, err := d.Inbound(t.Context(), a.URL, publicURL, to, from, "NO", ""); err == nil {
		t.Error("the app is closed, but there is no error")
	}
}

// The double makes requests only when it is told to.
func TestTheDoubleMakesNoRequestsOfItsOwn(t *testing.T) {
	a := newApp(t, status)
	s := start(t)
	post(t, s.URL, "Messages", sms("StatusCallback", a.URL+"/hooks"))
	post(t, s.URL, "Calls", call("StatusCallback", a.URL+"/hooks"))
	s.Close() // waits for all requests
	if a.path != "" {
		t.Errorf("called %s", a.path)
	}
}
