package plivo

import (
	"fmt"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/plivotest"
)

// meanings are what each error number of a report has to lead to, independent of the
// table that they check. The setting FROM stands for the sender's variable.
var meanings = []struct {
	code    int
	outcome otp.Outcome
	setting string
	next    otp.Next
	warn    bool
}{
	{10, otp.OutcomeUndeliverable, "", otp.NextChannel, true},
	{20, otp.OutcomeUnavailable, "", otp.NextChannel, false},
	{30, otp.OutcomeUndeliverable, "", otp.NextCall, true},
	{40, otp.OutcomeMisconfigured, "FROM", otp.NextChannel, false},
	{50, otp.OutcomeUndeliverable, "", otp.NextCall, false},
	{60, otp.OutcomeUndeliverable, "", otp.NextChannel, false},
	{70, otp.OutcomeUndeliverable, "", otp.NextAddress, false},
	{80, otp.OutcomeUndeliverable, "", otp.NextCall, false},
	{90, otp.OutcomeUndeliverable, "", otp.NextChannel, false},
	{100, otp.OutcomeUndeliverable, "", otp.NextCall, true},
	{110, otp.OutcomeMisconfigured, "TWOFA_TEXTS_DIR", otp.NextChannel, false},
	{200, otp.OutcomeUndeliverable, "", otp.NextChannel, false},
	{201, otp.OutcomeMisconfigured, "FROM", otp.NextChannel, false},
	{420, otp.OutcomeUnavailable, "", otp.NextChannel, false},
	{900, otp.OutcomeMisconfigured, "PLIVO_AUTH_ID", otp.NextAddress, false},
	{1000, otp.OutcomeUndeliverable, "", otp.NextCall, false},
}

// The meaning of a number is the same on every channel that has numbers, and for every
// status of a failure.
func TestEveryErrorNumber(t *testing.T) {
	if len(meanings) != len(rules) {
		t.Errorf("%d numbers are tested, %d have a rule", len(meanings), len(rules))
	}
	for _, from := range []struct {
		channel channel.Channel
		change  func(*Options)
		setting string
	}{
		{channel.WhatsApp, nil, "PLIVO_WHATSAPP_FROM"},
		{channel.SMS, nil, "PLIVO_SMS_FROM"},
		{channel.SMS, withPowerpack, "PLIVO_POWERPACK_UUID"},
	} {
		r, _ := newRig(t, from.change)
		hooks := webhooks(t, from.change)
		r.Send(t, from.channel, tracked())
		m := r.Accepted()[0]
		for _, tc := range meanings {
			for _, status := range []string{"failed", "undelivered", "rejected"} {
				t.Run(fmt.Sprint(from.setting, " ", tc.code, " ", status), func(t *testing.T) {
					report, err := hooks.report(t, r.Double, m, status, tc.code)
					if err != nil || report.Status != otp.Failed || report.Failure == nil {
						t.Fatalf("got %+v, %v", report, err)
					}
					f := report.Failure
					setting := strings.Replace(tc.setting, "FROM", from.setting, 1)
					if f.Outcome != tc.outcome || f.Setting != setting || f.Code != tc.code || f.Next != tc.next || f.Warn != tc.warn || f.MayHaveSent || f.Detail == "" {
						t.Errorf("got %+v, want %+v", *f, tc)
					}
				})
			}
		}
	}
}

// A number counts only with a status of a failure: 000 and others come with a success.
func TestErrorNumbersOfASuccess(t *testing.T) {
	r, _ := newRig(t, nil)
	hooks := webhooks(t)
	r.Send(t, channel.SMS, tracked())
	for _, number := range []string{"000", "030", "900"} {
		report, err := hooks.report(t, r.Double, r.Accepted()[0], "delivered", 0, "ErrorCode", number)
		if err != nil || report.Status != otp.Delivered || report.Failure != nil {
			t.Errorf("got %+v, %v", report, err)
		}
	}
}

// Refusals have no number, so that the status decides.
func TestRefusals(t *testing.T) {
	const custom, real = true, false
	const words, page = true, false // Plivo's words or another server's page
	for _, tc := range []struct {
		status     int
		plivos     bool
		customBase bool
		outcome    otp.Outcome
		setting    string
		next       otp.Next
	}{
		{400, words, real, otp.OutcomeUnavailable, "", otp.NextChannel},
		{400, page, custom, otp.OutcomeUnavailable, "", otp.NextChannel},
		{401, words, custom, otp.OutcomeMisconfigured, "PLIVO_AUTH_TOKEN", otp.NextAddress},
		{401, page, real, otp.OutcomeMisconfigured, "PLIVO_AUTH_TOKEN", otp.NextAddress},
		{401, page, custom, otp.OutcomeMisconfigured, "PLIVO_BASE_URL", otp.NextAddress},
		{402, words, real, otp.OutcomeUnavailable, "", otp.NextChannel},
		{403, words, custom, otp.OutcomeMisconfigured, "PLIVO_AUTH_TOKEN", otp.NextChannel},
		{403, page, real, otp.OutcomeMisconfigured, "PLIVO_AUTH_TOKEN", otp.NextChannel},
		{403, page, custom, otp.OutcomeMisconfigured, "PLIVO_BASE_URL", otp.NextAddress},
		{404, words, custom, otp.OutcomeMisconfigured, "PLIVO_AUTH_ID", otp.NextAddress},
		{404, page, real, otp.OutcomeMisconfigured, "PLIVO_AUTH_ID", otp.NextAddress},
		{404, page, custom, otp.OutcomeMisconfigured, "PLIVO_BASE_URL", otp.NextAddress},
		{405, words, real, otp.OutcomeUnavailable, "", otp.NextChannel},
		{405, page, custom, otp.OutcomeMisconfigured, "PLIVO_BASE_URL", otp.NextAddress},
		{407, page, custom, otp.OutcomeUnavailable, "", otp.NextChannel},
		{413, page, custom, otp.OutcomeUnavailable, "", otp.NextChannel},
		{307, page, real, otp.OutcomeUnavailable, "", otp.NextChannel},
		{307, page, custom, otp.OutcomeMisconfigured, "PLIVO_BASE_URL", otp.NextAddress},
	} {
		for _, c := range channels {
			t.Run(fmt.Sprintf("%s %d, Plivo's words %t, custom base %t", c, tc.status, tc.plivos, tc.customBase), func(t *testing.T) {
				r, _ := newRig(t, nil)
				r.customBase = tc.customBase
				reply := plivotest.Raw(tc.status, "<html>no")
				if tc.plivos {
					reply = plivotest.Refuse(tc.status)
				}
				r.Next(reply)
				f := r.Failure(t, c, tracked())
				want := notify.Failure{Outcome: tc.outcome, Setting: tc.setting, Next: tc.next, Detail: f.Detail}
				want.Unexplained = want.Outcome == otp.OutcomeUnavailable && strings.HasPrefix(f.Detail, "refused with")
				if *f != want || f.Detail == "" {
					t.Errorf("got %+v, want %+v", *f, want)
				}
				r.WantCalls(t, 1, 0)
			})
		}
	}
}

func TestCustomBase(t *testing.T) {
	for base, want := range map[string]bool{
		"": false, "https://api.plivo.com": false, "https://api.plivo.com/": false,
		"https://proxy.example": true, "http://127.0.0.1:1": true,
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
func TestErrorNumbers(t *testing.T) {
	for s, want := range map[string]int{
		"000": 0, "10": 10, "010": 10, "0010": 10, "1000": 1000, "9999": 9999, "10000": 0, "739184": 0, "14155550123": 0,
		"": 0, "-30": 0, "+30": 0, "30 ": 0, "3O": 0, "٣٠": 0,
	} {
		if got := errorNumber(s); got != want {
			t.Errorf("errorNumber(%q) = %d, want %d", s, got, want)
		}
	}
}
