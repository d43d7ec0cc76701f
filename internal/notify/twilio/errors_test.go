package twilio

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/twiliotest"
)

// meanings are what each error number has to lead to, independent of the table that
// they check. The setting FROM stands for the sender's variable, which depends on the
// channel.
var meanings = []struct {
	outcome otp.Outcome
	setting string
	next    otp.Next
	codes   []int
}{
	{otp.OutcomeMisconfigured, "TWILIO_ACCOUNT_SID", otp.NextAddress, []int{10001, 20404, 21219, 21608, 30002}},
	{otp.OutcomeMisconfigured, "TWILIO_ACCOUNT_SID", otp.NextChannel, []int{10002, 10005}},
	{otp.OutcomeUnavailable, "", otp.NextChannel, []int{10004, 20429, 21611, 22005, 30001, 30036, 63005, 63012, 63018}},
	{otp.OutcomeInvalidAddress, "", otp.NextAddress, []int{13223, 21211, 21217, 21265}},
	{otp.OutcomeUndeliverable, "", otp.NextChannel, []int{13224, 13225, 21214, 21216, 21266, 21610, 21612, 63003, 63014, 63015, 63024, 63032}},
	{otp.OutcomeMisconfigured, "TWOFA_COUNTRIES", otp.NextChannel, []int{13227, 21215, 21408}},
	{otp.OutcomeMisconfigured, "TWILIO_AUTH_TOKEN", otp.NextAddress, []int{20003}},
	{otp.OutcomeRefused, "", otp.NextNone, []int{21202, 21268, 30450, 30453}},
	{otp.OutcomeMisconfigured, "FROM", otp.NextChannel, []int{21210, 21212, 21264, 21267, 21606, 21657, 21659, 21660, 21661, 21910, 30032, 30034, 63001, 63007, 63020, 63051, 63112}},
	{otp.OutcomeMisconfigured, "TWOFA_PUBLIC_URL", otp.NextAddress, []int{21609}},
	{otp.OutcomeUndeliverable, "", otp.NextCall, []int{21614, 21635, 30003, 30004, 30006, 30007, 30008}},
	{otp.OutcomeMisconfigured, "TWILIO_CONTENT_SID", otp.NextChannel, []int{21654, 21655, 21656, 63013, 63016, 63021, 63040, 63041, 63042, 63049}},
	{otp.OutcomeMisconfigured, "TWILIO_MESSAGING_SERVICE_SID", otp.NextChannel, []int{21701, 21702, 21703, 21704, 21705}},
	{otp.OutcomeUndeliverable, "", otp.NextAddress, []int{30005}},
}

// The meaning of a number is the same on every channel, and whether Twilio answers with
// it or reports it later.
func TestEveryErrorNumber(t *testing.T) {
	r, _ := newRig(t, withReports)
	hooks := webhooks(t)
	senders := map[channel.Channel]string{
		channel.WhatsApp: "TWILIO_WHATSAPP_FROM", channel.SMS: "TWILIO_SMS_FROM", channel.Call: "TWILIO_VOICE_FROM",
	}
	tested := 0
	for _, tc := range meanings {
		for _, number := range tc.codes {
			tested++
			for _, c := range channels {
				check := func(t *testing.T, f *notify.Failure) {
					t.Helper()
					setting := strings.Replace(tc.setting, "FROM", senders[c], 1)
					if f.Outcome != tc.outcome || f.Setting != setting || f.Code != number || f.Next != tc.next {
						t.Errorf("got %+v, want %v, %q, next %d", *f, tc.outcome, setting, tc.next)
					}
					if f.Detail == "" || f.MayHaveSent || f.Warn != (number == 30007) {
						t.Errorf("got %+v", *f)
					}
				}
				t.Run(fmt.Sprint(number, " answered on ", c), func(t *testing.T) {
					if number == 20429 {
						t.Skip("repeated: see TestRetries")
					}
					r.Reset()
					r.Next(twiliotest.Refuse(http.StatusBadRequest, number))
					check(t, r.Failure(t, c, tracked()))
					r.WantCalls(t, 1, 0)
				})
				t.Run(fmt.Sprint(number, " reported on ", c), func(t *testing.T) {
					r.Reset()
					r.Send(t, c, tracked())
					report, err := hooks.report(t, r.Double, r.Accepted()[0], "failed", "ErrorCode", fmt.Sprint(number))
					if err != nil || report.Status != otp.Failed || report.Failure == nil {
						t.Fatalf("got %+v, %v", report, err)
					}
					check(t, report.Failure)
				})
			}
		}
	}
	if tested != len(rules) {
		t.Errorf("%d numbers are tested, %d have a rule", tested, len(rules))
	}
}

// A failure names the setting that the sender uses.
func TestMisconfiguredNamesTheSettingInUse(t *testing.T) {
	for _, tc := range []struct {
		name         string
		change       func(*Options)
		channel      channel.Channel
		m            notify.Message
		status, code int
		setting      string
	}{
		{"token", nil, channel.WhatsApp, message(), 401, 20003, "TWILIO_AUTH_TOKEN"},
		{"API key", withKey, channel.SMS, message(), 401, 20003, "TWILIO_API_SECRET"},
		{"API key, unknown number", withKey, channel.Call, message(), 403, 20999, "TWILIO_API_SECRET"},
		{"number", nil, channel.WhatsApp, message(), 400, 63007, "TWILIO_WHATSAPP_FROM"},
		{"service", withService, channel.WhatsApp, message(), 400, 63007, "TWILIO_MESSAGING_SERVICE_SID"},
		{"SMS number", nil, channel.SMS, message(), 400, 21606, "TWILIO_SMS_FROM"},
		{"SMS service", withService, channel.SMS, message(), 400, 21606, "TWILIO_MESSAGING_SERVICE_SID"},
		{"voice number", withService, channel.Call, message(), 400, 21210, "TWILIO_VOICE_FROM"},
		{"alert", nil, channel.WhatsApp, alert(), 400, 63016, "TWILIO_ALERT_CONTENT_SID"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, _ := newRig(t, tc.change)
			r.Next(twiliotest.Refuse(tc.status, tc.code))
			if f := r.Failure(t, tc.channel, tc.m); f.Outcome != otp.OutcomeMisconfigured || f.Setting != tc.setting {
				t.Errorf("got %v, want the setting %s", f, tc.setting)
			}
		})
	}
}

// Numbers without a rule are judged by their status.
func TestUnknownRefusals(t *testing.T) {
	const custom, real = true, false
	for _, tc := range []struct {
		status, code int
		customBase   bool
		outcome      otp.Outcome
		setting      string
		next         otp.Next
	}{
		{400, 29999, custom, otp.OutcomeUnavailable, "", otp.NextChannel},
		{400, 0, real, otp.OutcomeUnavailable, "", otp.NextChannel},
		{401, 29999, custom, otp.OutcomeMisconfigured, "TWILIO_AUTH_TOKEN", otp.NextAddress},
		{401, 0, custom, otp.OutcomeMisconfigured, "TWILIO_BASE_URL", otp.NextAddress},
		{401, 0, real, otp.OutcomeMisconfigured, "TWILIO_AUTH_TOKEN", otp.NextAddress},
		{403, 29999, custom, otp.OutcomeMisconfigured, "TWILIO_AUTH_TOKEN", otp.NextChannel},
		{403, 0, custom, otp.OutcomeMisconfigured, "TWILIO_BASE_URL", otp.NextAddress},
		{403, 0, real, otp.OutcomeMisconfigured, "TWILIO_AUTH_TOKEN", otp.NextChannel},
		{404, 29999, custom, otp.OutcomeMisconfigured, "TWILIO_ACCOUNT_SID", otp.NextAddress},
		{404, 0, custom, otp.OutcomeMisconfigured, "TWILIO_BASE_URL", otp.NextAddress},
		{404, 0, real, otp.OutcomeMisconfigured, "TWILIO_ACCOUNT_SID", otp.NextAddress},
		{407, 0, custom, otp.OutcomeUnavailable, "", otp.NextChannel},
		{408, 0, custom, otp.OutcomeUnavailable, "", otp.NextChannel},
		{413, 0, custom, otp.OutcomeUnavailable, "", otp.NextChannel},
		{307, 0, real, otp.OutcomeUnavailable, "", otp.NextChannel},
		{307, 0, custom, otp.OutcomeMisconfigured, "TWILIO_BASE_URL", otp.NextAddress},
	} {
		t.Run(fmt.Sprintf("%d with code %d, custom base %t", tc.status, tc.code, tc.customBase), func(t *testing.T) {
			r, _ := newRig(t, nil)
			r.customBase = tc.customBase
			reply := twiliotest.Raw(tc.status, "<html>no")
			if tc.code != 0 {
				reply = twiliotest.Refuse(tc.status, tc.code)
			}
			r.Next(reply)
			f := r.Failure(t, channel.WhatsApp, message())
			if f.Outcome != tc.outcome || f.Setting != tc.setting || f.Code != tc.code || f.Next != tc.next {
				t.Errorf("got %+v, want %v, %q, next %d", f, tc.outcome, tc.setting, tc.next)
			}
			r.WantCalls(t, 1, 0)
		})
	}
}

func TestCustomBase(t *testing.T) {
	for base, want := range map[string]bool{
		"": false, "https://api.twilio.com": false, "https://api.twilio.com/": false,
		"https://api.dublin.ie1.twilio.com": true, "https://proxy.example": true, "http://127.0.0.1:1": true,
	} {
		o := options()
		o.BaseURL = base
		if got := newAccount(t, o).customBase; got != want {
			t.Errorf("%q is custom: %t", base, got)
		}
	}
}

// The error number comes from outside and is logged, so a phone number or a code in it
// is dropped.
func TestInvalidErrorNumbers(t *testing.T) {
	r, _ := newRig(t, nil)
	for _, body := range []string{
		`{"code":14155550123}`, `{"code":739184}`, `{"code":-21211}`, `{"code":9999}`, `{"code":100000}`,
		`{"code":"21211"}`, `{"code":null}`, `{}`, `[]`, `null`, `"21211"`, ``,
	} {
		r.Next(twiliotest.Raw(http.StatusBadRequest, body))
		f := r.Failure(t, channel.WhatsApp, message())
		if f.Code != 0 || f.Outcome != otp.OutcomeUnavailable {
			t.Errorf("%s: got %+v", body, f)
		}
	}
	for n, want := range map[int]int{9999: 0, 10000: 10000, 99999: 99999, 100000: 0} {
		if got := errorNumber(n); got != want {
			t.Errorf("errorNumber(%d) = %d, want %d", n, got, want)
		}
	}
}
