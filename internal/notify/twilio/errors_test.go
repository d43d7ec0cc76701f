package twilio

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/twiliotest"
)

// meanings is what each error number has to lead to, written down apart from
// the table that it checks. A setting of "FROM" is the sender's, which depends
// on the channel.
var meanings = []struct {
	code    int
	reason  notify.Reason
	setting string
	next    otp.Next
}{
	{10001, notify.Misconfigured, "TWILIO_ACCOUNT_SID", otp.NextAddress},
	{10002, notify.Misconfigured, "TWILIO_ACCOUNT_SID", otp.NextChannel},
	{10004, notify.Unavailable, "", otp.NextChannel},
	{10005, notify.Misconfigured, "TWILIO_ACCOUNT_SID", otp.NextChannel},
	{13223, notify.InvalidAddress, "", otp.NextAddress},
	{13224, notify.Undeliverable, "", otp.NextChannel},
	{13225, notify.Undeliverable, "", otp.NextChannel},
	{13227, notify.Misconfigured, "TWOFA_COUNTRIES", otp.NextChannel},
	{20003, notify.Misconfigured, "TWILIO_AUTH_TOKEN", otp.NextAddress},
	{20404, notify.Misconfigured, "TWILIO_ACCOUNT_SID", otp.NextAddress},
	{20429, notify.Unavailable, "", otp.NextChannel},
	{21202, notify.Refused, "", otp.NextNone},
	{21210, notify.Misconfigured, "FROM", otp.NextChannel},
	{21211, notify.InvalidAddress, "", otp.NextAddress},
	{21212, notify.Misconfigured, "FROM", otp.NextChannel},
	{21214, notify.Undeliverable, "", otp.NextChannel},
	{21215, notify.Misconfigured, "TWOFA_COUNTRIES", otp.NextChannel},
	{21216, notify.Undeliverable, "", otp.NextChannel},
	{21217, notify.InvalidAddress, "", otp.NextAddress},
	{21219, notify.Misconfigured, "TWILIO_ACCOUNT_SID", otp.NextAddress},
	{21264, notify.Misconfigured, "FROM", otp.NextChannel},
	{21265, notify.InvalidAddress, "", otp.NextAddress},
	{21266, notify.Undeliverable, "", otp.NextChannel},
	{21267, notify.Misconfigured, "FROM", otp.NextChannel},
	{21268, notify.Refused, "", otp.NextNone},
	{21408, notify.Misconfigured, "TWOFA_COUNTRIES", otp.NextChannel},
	{21606, notify.Misconfigured, "FROM", otp.NextChannel},
	{21608, notify.Misconfigured, "TWILIO_ACCOUNT_SID", otp.NextAddress},
	{21609, notify.Misconfigured, "TWOFA_PUBLIC_URL", otp.NextAddress},
	{21610, notify.Undeliverable, "", otp.NextChannel},
	{21611, notify.Unavailable, "", otp.NextChannel},
	{21612, notify.Undeliverable, "", otp.NextChannel},
	{21614, notify.Undeliverable, "", otp.NextCall},
	{21635, notify.Undeliverable, "", otp.NextCall},
	{21654, notify.Misconfigured, "TWILIO_CONTENT_SID", otp.NextChannel},
	{21655, notify.Misconfigured, "TWILIO_CONTENT_SID", otp.NextChannel},
	{21656, notify.Misconfigured, "TWILIO_CONTENT_SID", otp.NextChannel},
	{21657, notify.Misconfigured, "FROM", otp.NextChannel},
	{21659, notify.Misconfigured, "FROM", otp.NextChannel},
	{21660, notify.Misconfigured, "FROM", otp.NextChannel},
	{21661, notify.Misconfigured, "FROM", otp.NextChannel},
	{21701, notify.Misconfigured, "TWILIO_MESSAGING_SERVICE_SID", otp.NextChannel},
	{21702, notify.Misconfigured, "TWILIO_MESSAGING_SERVICE_SID", otp.NextChannel},
	{21703, notify.Misconfigured, "TWILIO_MESSAGING_SERVICE_SID", otp.NextChannel},
	{21704, notify.Misconfigured, "TWILIO_MESSAGING_SERVICE_SID", otp.NextChannel},
	{21705, notify.Misconfigured, "TWILIO_MESSAGING_SERVICE_SID", otp.NextChannel},
	{21910, notify.Misconfigured, "FROM", otp.NextChannel},
	{22005, notify.Unavailable, "", otp.NextChannel},
	{30001, notify.Unavailable, "", otp.NextChannel},
	{30002, notify.Misconfigured, "TWILIO_ACCOUNT_SID", otp.NextAddress},
	{30003, notify.Undeliverable, "", otp.NextCall},
	{30004, notify.Undeliverable, "", otp.NextCall},
	{30005, notify.Undeliverable, "", otp.NextAddress},
	{30006, notify.Undeliverable, "", otp.NextCall},
	{30007, notify.Undeliverable, "", otp.NextCall},
	{30008, notify.Undeliverable, "", otp.NextCall},
	{30032, notify.Misconfigured, "FROM", otp.NextChannel},
	{30034, notify.Misconfigured, "FROM", otp.NextChannel},
	{30036, notify.Unavailable, "", otp.NextChannel},
	{30450, notify.Refused, "", otp.NextNone},
	{30453, notify.Refused, "", otp.NextNone},
	{63001, notify.Misconfigured, "FROM", otp.NextChannel},
	{63003, notify.Undeliverable, "", otp.NextChannel},
	{63005, notify.Unavailable, "", otp.NextChannel},
	{63007, notify.Misconfigured, "FROM", otp.NextChannel},
	{63012, notify.Unavailable, "", otp.NextChannel},
	{63013, notify.Misconfigured, "TWILIO_CONTENT_SID", otp.NextChannel},
	{63014, notify.Undeliverable, "", otp.NextChannel},
	{63015, notify.Undeliverable, "", otp.NextChannel},
	{63016, notify.Misconfigured, "TWILIO_CONTENT_SID", otp.NextChannel},
	{63018, notify.Unavailable, "", otp.NextChannel},
	{63020, notify.Misconfigured, "FROM", otp.NextChannel},
	{63021, notify.Misconfigured, "TWILIO_CONTENT_SID", otp.NextChannel},
	{63024, notify.Undeliverable, "", otp.NextChannel},
	{63032, notify.Undeliverable, "", otp.NextChannel},
	{63040, notify.Misconfigured, "TWILIO_CONTENT_SID", otp.NextChannel},
	{63041, notify.Misconfigured, "TWILIO_CONTENT_SID", otp.NextChannel},
	{63042, notify.Misconfigured, "TWILIO_CONTENT_SID", otp.NextChannel},
	{63049, notify.Misconfigured, "TWILIO_CONTENT_SID", otp.NextChannel},
	{63051, notify.Misconfigured, "FROM", otp.NextChannel},
	{63112, notify.Misconfigured, "FROM", otp.NextChannel},
}

// TestEveryErrorNumber holds that a number means the same on every channel,
// whether Twilio answers it or reports it later.
func TestEveryErrorNumber(t *testing.T) {
	if len(meanings) != len(rules) {
		t.Errorf("%d numbers are tested, %d have a rule", len(meanings), len(rules))
	}
	server, a := startAccount(t, withReports)
	hooks := webhooks(t)
	senders := map[notify.Channel]string{
		notify.WhatsApp: "TWILIO_WHATSAPP_FROM", notify.SMS: "TWILIO_SMS_FROM", notify.Call: "TWILIO_VOICE_FROM",
	}
	for _, tc := range meanings {
		for _, channel := range channels {
			check := func(t *testing.T, f *notify.Failure) {
				t.Helper()
				setting := strings.Replace(tc.setting, "FROM", senders[channel], 1)
				if f.Reason != tc.reason || f.Setting != setting || f.Code != tc.code || f.Next != tc.next {
					t.Errorf("got %+v, want %v, %q, next %d", *f, tc.reason, setting, tc.next)
				}
				if f.Detail == "" || f.MayHaveSent || f.Warn != (tc.code == 30007) {
					t.Errorf("got %+v", *f)
				}
			}
			t.Run(fmt.Sprint(tc.code, " answered on ", channel), func(t *testing.T) {
				if tc.code == 20429 {
					t.Skip("repeated: see TestRetries")
				}
				server.Reset()
				server.Next(twiliotest.Refuse(http.StatusBadRequest, tc.code))
				check(t, failure(t, a.on(channel).Send(t.Context(), tracked())))
				if n := server.CallCount(); n != 1 {
					t.Errorf("%d calls", n)
				}
			})
			t.Run(fmt.Sprint(tc.code, " reported on ", channel), func(t *testing.T) {
				server.Reset()
				if err := a.on(channel).Send(t.Context(), tracked()); err != nil {
					t.Fatal(err)
				}
				report, err := hooks.report(t, server.Double, server.Accepted()[0], "failed", "ErrorCode", fmt.Sprint(tc.code))
				if err != nil || report.Status != otp.Failed || report.Failure == nil {
					t.Fatalf("got %+v, %v", report, err)
				}
				check(t, report.Failure)
			})
		}
	}
}

// The setting that is named is the one that this Sender uses.
func TestMisconfiguredNamesTheSettingInUse(t *testing.T) {
	withKey := func(o *Options) { o.APIKey, o.APISecret = twiliotest.APIKey, twiliotest.APISecret }
	withService := func(o *Options) {
		o.WhatsAppFrom, o.SMSFrom, o.MessagingServiceSID = "", "", twiliotest.MessagingServiceSID
	}
	for _, tc := range []struct {
		name    string
		change  func(*Options)
		channel notify.Channel
		alert   bool
		reply   twiliotest.Reply
		setting string
	}{
		{"token", nil, notify.WhatsApp, false, twiliotest.Refuse(401, 20003), "TWILIO_AUTH_TOKEN"},
		{"API key", withKey, notify.SMS, false, twiliotest.Refuse(401, 20003), "TWILIO_API_SECRET"},
		{"API key, unknown number", withKey, notify.Call, false, twiliotest.Refuse(403, 20999), "TWILIO_API_SECRET"},
		{"number", nil, notify.WhatsApp, false, twiliotest.Refuse(400, 63007), "TWILIO_WHATSAPP_FROM"},
		{"service", withService, notify.WhatsApp, false, twiliotest.Refuse(400, 63007), "TWILIO_MESSAGING_SERVICE_SID"},
		{"SMS number", nil, notify.SMS, false, twiliotest.Refuse(400, 21606), "TWILIO_SMS_FROM"},
		{"SMS service", withService, notify.SMS, false, twiliotest.Refuse(400, 21606), "TWILIO_MESSAGING_SERVICE_SID"},
		{"voice number", withService, notify.Call, false, twiliotest.Refuse(400, 21210), "TWILIO_VOICE_FROM"},
		{"alert", nil, notify.WhatsApp, true, twiliotest.Refuse(400, 63016), "TWILIO_ALERT_CONTENT_SID"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server, a := startAccount(t, tc.change)
			server.Next(tc.reply)
			m := message()
			if tc.alert {
				m = alert()
			}
			f := failure(t, a.on(tc.channel).Send(t.Context(), m))
			if f.Reason != notify.Misconfigured || f.Setting != tc.setting {
				t.Errorf("got %v, want the setting %s", f, tc.setting)
			}
		})
	}
}

// What is not in the table is judged by its status.
func TestUnknownRefusals(t *testing.T) {
	const custom, real = true, false
	for _, tc := range []struct {
		status, code int
		customBase   bool
		reason       notify.Reason
		setting      string
		next         otp.Next
	}{
		{400, 29999, custom, notify.Unavailable, "", otp.NextChannel},
		{400, 0, real, notify.Unavailable, "", otp.NextChannel},
		{401, 29999, custom, notify.Misconfigured, "TWILIO_AUTH_TOKEN", otp.NextAddress},
		{401, 0, custom, notify.Misconfigured, "TWILIO_BASE_URL", otp.NextAddress},
		{401, 0, real, notify.Misconfigured, "TWILIO_AUTH_TOKEN", otp.NextAddress},
		{403, 29999, custom, notify.Misconfigured, "TWILIO_AUTH_TOKEN", otp.NextChannel},
		{403, 0, custom, notify.Misconfigured, "TWILIO_BASE_URL", otp.NextAddress},
		{403, 0, real, notify.Misconfigured, "TWILIO_AUTH_TOKEN", otp.NextChannel},
		{404, 29999, custom, notify.Misconfigured, "TWILIO_ACCOUNT_SID", otp.NextAddress},
		{404, 0, custom, notify.Misconfigured, "TWILIO_BASE_URL", otp.NextAddress},
		{404, 0, real, notify.Misconfigured, "TWILIO_ACCOUNT_SID", otp.NextAddress},
		{407, 0, custom, notify.Unavailable, "", otp.NextChannel},
		{408, 0, custom, notify.Unavailable, "", otp.NextChannel},
		{413, 0, custom, notify.Unavailable, "", otp.NextChannel},
		{307, 0, real, notify.Unavailable, "", otp.NextChannel},
		{307, 0, custom, notify.Misconfigured, "TWILIO_BASE_URL", otp.NextAddress},
	} {
		t.Run(fmt.Sprintf("%d with code %d, custom base %t", tc.status, tc.code, tc.customBase), func(t *testing.T) {
			server, s := start(t, nil)
			s.account.customBase = tc.customBase
			reply := twiliotest.Raw(tc.status, "<html>no")
			if tc.code != 0 {
				reply = twiliotest.Refuse(tc.status, tc.code)
			}
			server.Next(reply)
			f := failure(t, s.Send(t.Context(), message()))
			if f.Reason != tc.reason || f.Setting != tc.setting || f.Code != tc.code || f.Next != tc.next {
				t.Errorf("got %+v, want %v, %q, next %d", f, tc.reason, tc.setting, tc.next)
			}
			if n := server.CallCount(); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

func TestACustomBaseIsKnownAsSuch(t *testing.T) {
	for base, want := range map[string]bool{
		"": false, "https://api.twilio.com": false, "https://api.twilio.com/": false,
		"https://api.dublin.ie1.twilio.com": true, "https://proxy.example": true, "http://127.0.0.1:1": true,
	} {
		o := options()
		o.BaseURL = base
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if s.customBase != want {
			t.Errorf("%q is custom: %t", base, s.customBase)
		}
	}
}

// The number of the error comes from outside and is shown: a phone number or a
// code in it is dropped.
func TestErrorNumbersThatAreNone(t *testing.T) {
	server, s := start(t, nil)
	for _, body := range []string{
		`{"code":14155550123}`, `{"code":739184}`, `{"code":-21211}`, `{"code":9999}`, `{"code":100000}`,
		`{"code":"21211"}`, `{"code":null}`, `{}`, `[]`, `null`, `"21211"`, ``,
	} {
		server.Next(twiliotest.Raw(http.StatusBadRequest, body))
		f := failure(t, s.Send(t.Context(), message()))
		if f.Code != 0 || f.Reason != notify.Unavailable {
			t.Errorf("%s: got %+v", body, f)
		}
	}
	for n, want := range map[int]int{9999: 0, 10000: 10000, 99999: 99999, 100000: 0} {
		if got := errorNumber(n); got != want {
			t.Errorf("errorNumber(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 500e6, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"1.5":                           0,
		"7 ":                            0,
		"86400":                         24 * time.Hour,
		"86401":                         24 * time.Hour,
		"99999999999999999999":          0,
		"Sun, 01 Mar 2026 12:00:02 GMT": 2 * time.Second, // 1.5 s, rounded up
		"Sun, 01 Mar 2026 12:00:00 GMT": 0,
		"Sat, 28 Feb 2026 12:00:00 GMT": 0,
		"Sun, 01 Mar 2099 12:00:00 GMT": 24 * time.Hour,
		"tomorrow":                      0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: got %v, want %v", header, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "7", "-1", "Sun, 01 Mar 2026 12:00:02 GMT", "99999999999999999999"} {
		f.Add(seed)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header string) {
		if d := retryAfter(header, now); d < 0 || d > 24*time.Hour || d%time.Second != 0 {
			t.Errorf("%q: %v", header, d)
		}
	})
}
