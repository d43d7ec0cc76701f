package twilio

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/notify/twiliotest"
)

// meanings is what each error number has to lead to, written down apart from
// the table that it checks.
var meanings = []struct {
	code    int
	reason  notify.Reason
	setting string
}{
	{20003, notify.Misconfigured, "TWILIO_AUTH_TOKEN"},
	{20404, notify.Misconfigured, "TWILIO_ACCOUNT_SID"},
	{20429, notify.Unavailable, ""},
	{21211, notify.InvalidAddress, ""},
	{21408, notify.Misconfigured, "TWOFA_COUNTRIES"},
	{21606, notify.Misconfigured, "TWILIO_WHATSAPP_FROM"},
	{21608, notify.Misconfigured, "TWILIO_ACCOUNT_SID"},
	{21610, notify.Undeliverable, ""},
	{21612, notify.Undeliverable, ""},
	{21614, notify.Undeliverable, ""},
	{21654, notify.Misconfigured, "TWILIO_CONTENT_SID"},
	{21655, notify.Misconfigured, "TWILIO_CONTENT_SID"},
	{21656, notify.Misconfigured, "TWILIO_CONTENT_SID"},
	{21701, notify.Misconfigured, "TWILIO_MESSAGING_SERVICE_SID"},
	{21703, notify.Misconfigured, "TWILIO_MESSAGING_SERVICE_SID"},
	{21910, notify.Misconfigured, "TWILIO_WHATSAPP_FROM"},
	{30003, notify.Undeliverable, ""},
	{30004, notify.Undeliverable, ""},
	{30005, notify.Undeliverable, ""},
	{30006, notify.Undeliverable, ""},
	{30007, notify.Undeliverable, ""},
	{30008, notify.Undeliverable, ""},
	{30450, notify.Refused, ""},
	{30453, notify.Refused, ""},
	{63003, notify.Undeliverable, ""},
	{63005, notify.Unavailable, ""},
	{63007, notify.Misconfigured, "TWILIO_WHATSAPP_FROM"},
	{63012, notify.Unavailable, ""},
	{63013, notify.Misconfigured, "TWILIO_CONTENT_SID"},
	{63014, notify.Undeliverable, ""},
	{63015, notify.Undeliverable, ""},
	{63016, notify.Misconfigured, "TWILIO_CONTENT_SID"},
	{63018, notify.Unavailable, ""},
	{63021, notify.Misconfigured, "TWILIO_CONTENT_SID"},
	{63024, notify.Undeliverable, ""},
	{63032, notify.Undeliverable, ""},
}

func TestEveryErrorNumber(t *testing.T) {
	if len(meanings) != len(rules) {
		t.Errorf("%d numbers are tested, %d have a rule", len(meanings), len(rules))
	}
	server, s := start(t, nil)
	for _, tc := range meanings {
		t.Run(fmt.Sprint(tc.code), func(t *testing.T) {
			if tc.code == 20429 {
				t.Skip("repeated: see TestRetries")
			}
			server.Reset()
			server.Next(twiliotest.Refuse(http.StatusBadRequest, tc.code))
			f := failure(t, s.Send(t.Context(), message()))
			if f.Reason != tc.reason || f.Setting != tc.setting || f.Code != tc.code {
				t.Errorf("got %v with code %d, setting %q; want %v, %q", f.Reason, f.Code, f.Setting, tc.reason, tc.setting)
			}
			if f.Detail == "" {
				t.Error("no detail for the operator")
			}
			if f.MayHaveSent {
				t.Error("a refusal may not have sent")
			}
			if n := server.CallCount(); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// The setting that is named is the one that this Sender uses.
func TestMisconfiguredNamesTheSettingInUse(t *testing.T) {
	withKey := func(o *Options) { o.APIKey, o.APISecret = twiliotest.APIKey, twiliotest.APISecret }
	withService := func(o *Options) { o.From, o.MessagingServiceSID = "", twiliotest.MessagingServiceSID }
	for _, tc := range []struct {
		name    string
		change  func(*Options)
		reply   twiliotest.Reply
		setting string
	}{
		{"token", nil, twiliotest.Refuse(401, 20003), "TWILIO_AUTH_TOKEN"},
		{"API key", withKey, twiliotest.Refuse(401, 20003), "TWILIO_API_SECRET"},
		{"API key, unknown number", withKey, twiliotest.Refuse(403, 20999), "TWILIO_API_SECRET"},
		{"number", nil, twiliotest.Refuse(400, 63007), "TWILIO_WHATSAPP_FROM"},
		{"service", withService, twiliotest.Refuse(400, 63007), "TWILIO_MESSAGING_SERVICE_SID"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server, s := start(t, tc.change)
			server.Next(tc.reply)
			f := failure(t, s.Send(t.Context(), message()))
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
	}{
		{400, 29999, custom, notify.Unavailable, ""},
		{400, 0, real, notify.Unavailable, ""},
		{401, 29999, custom, notify.Misconfigured, "TWILIO_AUTH_TOKEN"},
		{401, 0, custom, notify.Misconfigured, "TWILIO_BASE_URL"},
		{401, 0, real, notify.Misconfigured, "TWILIO_AUTH_TOKEN"},
		{403, 29999, custom, notify.Misconfigured, "TWILIO_AUTH_TOKEN"},
		{403, 0, custom, notify.Misconfigured, "TWILIO_BASE_URL"},
		{403, 0, real, notify.Misconfigured, "TWILIO_AUTH_TOKEN"},
		{404, 29999, custom, notify.Misconfigured, "TWILIO_ACCOUNT_SID"},
		{404, 0, custom, notify.Misconfigured, "TWILIO_BASE_URL"},
		{404, 0, real, notify.Misconfigured, "TWILIO_ACCOUNT_SID"},
		{407, 0, custom, notify.Unavailable, ""},
		{408, 0, custom, notify.Unavailable, ""},
		{413, 0, custom, notify.Unavailable, ""},
		{307, 0, real, notify.Unavailable, ""},
		{307, 0, custom, notify.Misconfigured, "TWILIO_BASE_URL"},
	} {
		t.Run(fmt.Sprintf("%d with code %d, custom base %t", tc.status, tc.code, tc.customBase), func(t *testing.T) {
			server, s := start(t, nil)
			s.customBase = tc.customBase
			reply := twiliotest.Raw(tc.status, "<html>no")
			if tc.code != 0 {
				reply = twiliotest.Refuse(tc.status, tc.code)
			}
			server.Next(reply)
			f := failure(t, s.Send(t.Context(), message()))
			if f.Reason != tc.reason || f.Setting != tc.setting || f.Code != tc.code {
				t.Errorf("got %+v, want %v, %q", f, tc.reason, tc.setting)
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
