package twiliotest_test

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/twiliotest"
)

const number = fixture.Alice

// sms and call are valid requests, changed as by form.
func sms(pairs ...string) url.Values {
	return form(append([]string{"To", number, "From", twiliotest.SMSFrom}, pairs...)...)
}

const twiml = `<Response><Say language="en-US">Your code: </Say><Pause/><Say>7</Say></Response>`

func call(pairs ...string) url.Values {
	return form(append([]string{"Body", "-", "To", number, "From", twiliotest.VoiceFrom, "Twiml", twiml}, pairs...)...)
}

func post(t *testing.T, base, resource string, f url.Values) answered {
	t.Helper()
	r := request(t, base, f)
	r.URL.Path = strings.Replace(path, "Messages", resource, 1)
	return do(t, r)
}

func TestAcceptsOtherChannels(t *testing.T) {
	s := start(t)
	const status = "https://twofa.test/hooks?id=1&attempt=2"
	for name, tc := range map[string]struct {
		resource string
		form     url.Values
		want     twiliotest.Message
	}{
		"SMS": {"Messages", sms("RiskCheck", "enable", "StatusCallback", status),
			twiliotest.Message{Channel: channel.SMS, RiskCheck: "enable", StatusCallback: status, Body: "739184 is your code."}},
		"SMS, service": {"Messages", sms("From", "-", "MessagingServiceSid", twiliotest.MessagingServiceSID),
			twiliotest.Message{Channel: channel.SMS, MessagingServiceSID: twiliotest.MessagingServiceSID, Body: "739184 is your code."}},
		"call": {"Calls", call("StatusCallback", status, "StatusCallbackMethod", "POST"),
			twiliotest.Message{Channel: channel.Call, Twiml: twiml, StatusCallback: status}},
		"call of 4000": {"Calls", call("Twiml", "<Response>"+strings.Repeat("é", 3979)+"</Response>"),
			twiliotest.Message{Channel: channel.Call, Twiml: "<Response>" + strings.Repeat("é", 3979) + "</Response>"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.Reset()
			a := post(t, s.URL, tc.resource, tc.form)
			prefix := map[string]string{"Messages": "SM", "Calls": "CA"}[tc.resource]
			if a.http != http.StatusCreated || a.To != number || len(a.SID) != 34 || a.SID[:2] != prefix {
				t.Fatalf("answered %+v", a)
			}
			got := s.Accepted()[0]
			tc.want.SID, tc.want.To, tc.want.From, tc.want.Time = a.SID, number, tc.form.Get("From"), got.Time
			if !reflect.DeepEqual(got, tc.want) { // nor are there Variables
				t.Errorf("recorded\n %+v\nwant\n %+v", got, tc.want)
			}
		})
	}
}

func TestSpoken(t *testing.T) {
	s := start(t)
	post(t, s.URL, "Calls", call("Twiml", `<?xml version="1.0"?> <Response>out<Say>A &lt; B</Say><Pause length="1"/> <Say>7<!-- x --></Say><Hangup/></Response>`))
	if got := s.Accepted()[0].Spoken(); got != "A < B 7" {
		t.Errorf("spoken: %q", got)
	}
	post(t, s.URL, "Messages", sms())
	if got := s.Accepted()[1].Spoken(); got != "" {
		t.Errorf("an SMS says %q", got)
	}
}

func TestRefusesOtherChannels(t *testing.T) {
	s := start(t)
	repeated := call()
	repeated.Add("Twiml", twiml)
	for name, tc := range map[string]struct {
		resource string
		form     url.Values
		code     int
	}{
		"SMS from WhatsApp's sender":   {"Messages", sms("From", from), 21910},
		"SMS from another sender":      {"Messages", sms("From", twiliotest.VoiceFrom), 21606},
		"SMS without a sender":         {"Messages", sms("From", "-"), 21603},
		"SMS to no number":             {"Messages", sms("To", "4155550123"), 21211},
		"SMS to e-mail":                {"Messages", sms("To", "a@b.test"), 21211},
		"SMS to the sender":            {"Messages", sms("To", twiliotest.SMSFrom), 21266},
		"risk check of another kind":   {"Messages", sms("RiskCheck", "on"), 20001},
		"risk check of nothing":        {"Messages", sms("RiskCheck", ""), 20001},
		"callback that is empty":       {"Messages", sms("StatusCallback", ""), 21609},
		"SMS with TwiML":               {"Messages", sms("Twiml", twiml), 20001},
		"SMS too long":                 {"Messages", sms("Body", strings.Repeat("x", 1601)), 21617},
		"call to nobody":               {"Calls", call("To", "-"), 21201},
		"call to WhatsApp":             {"Calls", call("To", to), 21211},
		"call from nobody":             {"Calls", call("From", "-"), 21213},
		"call from a name":             {"Calls", call("From", "Acme"), 21212},
		"call from another number":     {"Calls", call("From", twiliotest.SMSFrom), 21210},
		"call without TwiML":           {"Calls", call("Twiml", "-"), 21205},
		"call of 4001":                 {"Calls", call("Twiml", "<Response>"+strings.Repeat("é", 3980)+"</Response>"), 32018},
		"call with invalid XML":        {"Calls", call("Twiml", "<Response><Say>A & B</Say></Response>"), 12100},
		"call that does not end":       {"Calls", call("Twiml", "<Response><Say>"), 12100},
		"call with another root":       {"Calls", call("Twiml", "<Say>7</Say>"), 12100},
		"call with two roots":          {"Calls", call("Twiml", "<Response/><Response/>"), 12100},
		"call with text outside":       {"Calls", call("Twiml", "7<Response/>"), 12100},
		"call with a Url":              {"Calls", call("Url", "https://twofa.test"), 20001},
		"call with a Body":             {"Calls", call("Body", "739184"), 20001},
		"call with a service":          {"Calls", call("MessagingServiceSid", twiliotest.MessagingServiceSID), 20001},
		"call with TwiML twice":        {"Calls", repeated, 20001},
		"call that reports by GET":     {"Calls", call("StatusCallback", "https://twofa.test", "StatusCallbackMethod", "GET"), 21209},
		"call that reports to nowhere": {"Calls", call("StatusCallbackMethod", "POST"), 21209},
		"call that reports to a path":  {"Calls", call("StatusCallback", "hooks"), 21609},
	} {
		t.Run(name, func(t *testing.T) {
			s.Reset()
			if a := post(t, s.URL, tc.resource, tc.form); a.http != http.StatusBadRequest || a.Code != tc.code {
				t.Errorf("answered %+v, want the number %d", a, tc.code)
			}
			if n := len(s.Accepted()); n != 0 {
				t.Errorf("%d accepted", n)
			}
		})
	}
}

// The channels of one number may have different scripts.
func TestScriptByChannel(t *testing.T) {
	s := start(t)
	s.For(number, twiliotest.Refuse(400, 21211))
	s.ForChannel(channel.SMS, number, twiliotest.Refuse(400, 21614))
	s.ForChannel(channel.Call, number, twiliotest.Accept())
	for range 2 {
		if a := post(t, s.URL, "Messages", form()); a.Code != 21211 {
			t.Errorf("WhatsApp: %+v", a)
		}
		if a := post(t, s.URL, "Messages", sms()); a.Code != 21614 {
			t.Errorf("SMS: %+v", a)
		}
		if a := post(t, s.URL, "Calls", call()); a.http != http.StatusCreated {
			t.Errorf("call: %+v", a)
		}
	}
	s.Next(twiliotest.Refuse(429, 20429))
	if a := post(t, s.URL, "Calls", call()); a.Code != 20429 {
		t.Errorf("Next comes first: %+v", a)
	}
}
