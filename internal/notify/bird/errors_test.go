package bird

import (
	"fmt"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/birdtest"
)

// words are what each word of a report has to lead to, independent of the table that they
// check. The setting FROM stands for the sender's variable.
var words = []struct {
	word    string
	outcome otp.Outcome
	setting string
	next    otp.Next
	warn    bool
}{
	{"invalid_destination", otp.OutcomeUndeliverable, "", otp.NextAddress, false},
	{"unreachable", otp.OutcomeUndeliverable, "", otp.NextCall, false},
	{"landline_unreachable", otp.OutcomeUndeliverable, "", otp.NextCall, false},
	{"blocked_by_carrier", otp.OutcomeUndeliverable, "", otp.NextCall, true},
	{"content_rejected", otp.OutcomeUndeliverable, "", otp.NextCall, true},
	{"blocked_by_recipient", otp.OutcomeUndeliverable, "", otp.NextChannel, false},
	{"recipient_opted_out", otp.OutcomeUndeliverable, "", otp.NextChannel, false},
	{"blocked_by_fraud_protection", otp.OutcomeRefused, "", otp.NextNone, false},
	{"sender_unregistered", otp.OutcomeMisconfigured, "FROM", otp.NextChannel, false},
	{"provider_unavailable", otp.OutcomeUnavailable, "", otp.NextChannel, false},
	{"unknown", otp.OutcomeUndeliverable, "", otp.NextCall, false},
	{"insufficient_balance", otp.OutcomeMisconfigured, "BIRD_API_KEY", otp.NextAddress, false},
	{"undeliverable", otp.OutcomeUndeliverable, "", otp.NextChannel, false},
	{"recipient_suppressed", otp.OutcomeUndeliverable, "", otp.NextChannel, false},
	{"service_window_expired", otp.OutcomeMisconfigured, "BIRD_WHATSAPP_TEMPLATE", otp.NextChannel, false},
	{"price_not_found", otp.OutcomeMisconfigured, "TWOFA_COUNTRIES", otp.NextChannel, false},
	{"rate_limited", otp.OutcomeUnavailable, "", otp.NextChannel, false},
	{"internal_error", otp.OutcomeUnavailable, "", otp.NextChannel, false},
}

// The meaning of a word is the same on both channels, and for every type of a failure.
func TestEveryWordOfAReport(t *testing.T) {
	if len(words) != len(reportRules) {
		t.Errorf("%d words are tested, %d have a rule", len(words), len(reportRules))
	}
	r, _ := newRig(t, nil)
	hooks := webhooks(t)
	for c, tc := range map[channel.Channel]struct {
		types []string
		from  string
	}{
		channel.SMS:      {[]string{"undelivered", "failed", "rejected", "expired"}, "BIRD_SMS_FROM"},
		channel.WhatsApp: {[]string{"failed", "rejected"}, "BIRD_WHATSAPP_FROM"},
	} {
		r.Reset()
		r.Send(t, c, tracked())
		m := r.Accepted()[0]
		for _, w := range words {
			for _, kind := range tc.types {
				t.Run(fmt.Sprint(c, " ", w.word, " ", kind), func(t *testing.T) {
					report, err := hooks.report(t, r.Double, m, kind, w.word)
					if err != nil || report.Status != otp.Failed || report.Failure == nil {
						t.Fatalf("got %+v, %v", report, err)
					}
					f := report.Failure
					want := notify.Failure{Outcome: w.outcome, Setting: strings.Replace(w.setting, "FROM", tc.from, 1), Word: w.word, Next: w.next, Warn: w.warn, Detail: f.Detail}
					if *f != want || f.Detail == "" || strings.HasPrefix(f.Detail, "reported as") {
						t.Errorf("got %+v, want %+v", *f, want)
					}
				})
			}
		}
	}
}

// Every name of a refusal, and what decides if there is none.
func TestRefusals(t *testing.T) {
	const custom, real = true, false
	const words, page = true, false // Bird's error or another server's page
	tested := make(map[string]bool)
	for _, tc := range []struct {
		status      int
		name, param string
		birds       bool
		customBase  bool
		outcome     otp.Outcome
		setting     string // FROM and TEMPLATE depend on the message
		next        otp.Next
	}{
		{422, "SMSInvalidRecipient", "", words, custom, otp.OutcomeInvalidAddress, "", otp.NextAddress},
		{422, "WhatsAppInvalidRecipient", "", words, custom, otp.OutcomeInvalidAddress, "", otp.NextAddress},
		{422, "SMSNoEligibleSender", "", words, real, otp.OutcomeMisconfigured, "FROM", otp.NextChannel},
		{422, "SMSSenderNotConfigured", "", words, real, otp.OutcomeMisconfigured, "FROM", otp.NextChannel},
		{422, "SenderCategoryNotPermitted", "", words, real, otp.OutcomeMisconfigured, "FROM", otp.NextChannel},
		{422, "WhatsAppSenderRequired", "", words, real, otp.OutcomeMisconfigured, "FROM", otp.NextChannel},
		{422, "WhatsAppSenderNotAllowed", "", words, real, otp.OutcomeMisconfigured, "TEMPLATE", otp.NextChannel},
		{422, "WhatsAppSenderNotFound", "", words, real, otp.OutcomeMisconfigured, "FROM", otp.NextChannel},
		{404, "WhatsAppSenderNotFound", "", words, custom, otp.OutcomeMisconfigured, "FROM", otp.NextChannel},
		{422, "WhatsAppSenderNotConnected", "", words, real, otp.OutcomeMisconfigured, "FROM", otp.NextChannel},
		{422, "WhatsAppSenderWABAMismatch", "", words, real, otp.OutcomeMisconfigured, "FROM", otp.NextChannel},
		{422, "WhatsAppTemplateParameterMismatch", "", words, real, otp.OutcomeMisconfigured, "TEMPLATE", otp.NextChannel},
		{422, "WhatsAppServiceWindowClosed", "from", words, real, otp.OutcomeMisconfigured, "TEMPLATE", otp.NextChannel}, // the name decides

		{422, "ValidationError", "to", words, real, otp.OutcomeInvalidAddress, "", otp.NextAddress},
		{422, "ValidationError", "from", words, real, otp.OutcomeMisconfigured, "FROM", otp.NextChannel},
		{422, "ValidationError", "template.components[1].parameters", words, real, otp.OutcomeMisconfigured, "TEMPLATE", otp.NextChannel},
		{422, "ValidationError", "template[0]", words, real, otp.OutcomeMisconfigured, "TEMPLATE", otp.NextChannel},
		{400, "BadRequest", "text.body", words, real, otp.OutcomeMisconfigured, "TWOFA_TEXTS_DIR", otp.NextChannel},
		{422, "ValidationError", "total", words, real, otp.OutcomeUnavailable, "", otp.NextChannel},
		{422, "ValidationError", "", words, real, otp.OutcomeUnavailable, "", otp.NextChannel},
		{422, "smsinvalidrecipient", "", words, real, otp.OutcomeUnavailable, "", otp.NextChannel},
		{422, "", "", page, real, otp.OutcomeUnavailable, "", otp.NextChannel},

		{401, "", "", words, custom, otp.OutcomeMisconfigured, "BIRD_API_KEY", otp.NextAddress},
		{401, "", "", page, real, otp.OutcomeMisconfigured, "BIRD_API_KEY", otp.NextAddress},
		{401, "", "", page, custom, otp.OutcomeMisconfigured, "BIRD_BASE_URL", otp.NextAddress},
		{402, "", "", words, real, otp.OutcomeMisconfigured, "BIRD_API_KEY", otp.NextAddress},
		{403, "", "", words, custom, otp.OutcomeMisconfigured, "BIRD_API_KEY", otp.NextChannel},
		{403, "", "", page, custom, otp.OutcomeMisconfigured, "BIRD_BASE_URL", otp.NextAddress},
		{404, "", "", words, real, otp.OutcomeUnavailable, "", otp.NextChannel},
		{404, "", "", page, custom, otp.OutcomeMisconfigured, "BIRD_BASE_URL", otp.NextAddress},
		{405, "", "", page, custom, otp.OutcomeMisconfigured, "BIRD_BASE_URL", otp.NextAddress},
		{421, "", "", words, real, otp.OutcomeMisconfigured, "BIRD_API_KEY", otp.NextAddress},
		{421, "", "", page, custom, otp.OutcomeMisconfigured, "BIRD_BASE_URL", otp.NextAddress},
		{407, "", "", page, custom, otp.OutcomeUnavailable, "", otp.NextChannel},
		{413, "", "", page, custom, otp.OutcomeUnavailable, "", otp.NextChannel},
		{307, "", "", page, real, otp.OutcomeUnavailable, "", otp.NextChannel},
		{307, "", "", page, custom, otp.OutcomeMisconfigured, "BIRD_BASE_URL", otp.NextAddress},
	} {
		for _, c := range channels {
			for _, m := range []notify.Message{tracked(), alert()} {
				t.Run(fmt.Sprintf("%s %d %s %s, Bird's words %t, custom base %t, alert %t", c, tc.status, tc.name, tc.param, tc.birds, tc.customBase, m.Alert), func(t *testing.T) {
					r, _ := newRig(t, nil)
					r.customBase = tc.customBase
					reply := birdtest.Raw(tc.status, "<html>no")
					if tc.birds {
						reply = birdtest.Refuse(tc.status, "E09999", tc.name, tc.param)
					}
					r.Next(reply)
					f := r.Failure(t, c, m)
					template := "BIRD_WHATSAPP_TEMPLATE"
					if m.Alert {
						template = "BIRD_WHATSAPP_ALERT_TEMPLATE"
					}
					want := notify.Failure{Outcome: tc.outcome, Setting: strings.NewReplacer("FROM", senderVariables[c], "TEMPLATE", template).Replace(tc.setting), Next: tc.next, Detail: f.Detail}
					want.Unexplained = want.Outcome == otp.OutcomeUnavailable && strings.HasPrefix(f.Detail, "refused with")
					if strings.HasPrefix(tc.setting, "BIRD_") {
						want.Setting = tc.setting
					}
					if _, known := refusalRules[tc.name]; known {
						want.Word = tc.name
						tested[tc.name] = true
					}
					if *f != want || f.Detail == "" {
						t.Errorf("got %+v, want %+v", *f, want)
					}
					r.WantCalls(t, 1, 0)
				})
			}
		}
	}
	if len(tested) != len(refusalRules) {
		t.Errorf("%d names are tested, %d have a rule", len(tested), len(refusalRules))
	}
}

// The field that a refusal blames, if it is one.
func TestBlamedField(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":{"code":"E01001","param":"to"}}`:                                                        "to",
		`{"error":{"code":"E01001","param":"template.components[0]"}}`:                                    "template",
		`{"error":{"code":"E01001","details":[{"param":"from"}]}}`:                                        "from",
		`{"error":{"code":"E01001","param":"to","details":[{"param":"from"}]}}`:                           "to",
		`{"error":{"code":"E01001","details":[{"param":"template.slug"},{"param":"template.language"}]}}`: "template",
		`{"error":{"code":"E01001","details":[{"param":"to"},{"param":"from"}]}}`:                         "",
		`{"error":{"code":"E01001","details":[{"param":""},{"param":"to"}]}}`:                             "",
		`{"error":{"code":"E01001","details":[]}}`:                                                        "",
		`{"error":{"code":"E01001","param":7}}`:                                                           "",
		`{"error":{"param":"to"}}`:                                                                        "", // not Bird's: there is no code
		`{"code":"E01001","param":"to"}`:                                                                  "",
		`{"error":"to"}`:                                                                                  "",
		``:                                                                                                "",
		`{"error":{"code":"E01001","details":[` + strings.Repeat(`{"param":"to"},`, 1000) + `{"param":"text"}]}}`: "",
	} {
		said, _ := readRefusal([]byte(body))
		if got := said.field(); got != want {
			t.Errorf("%.80s: %q", body, got)
		}
	}
}

func TestCustomBase(t *testing.T) {
	for base, want := range map[string]bool{
		"": false, "https://eu1.platform.bird.com": false, "https://eu1.platform.bird.com/": false,
		"https://us1.platform.bird.com": true, "https://proxy.example": true, "http://127.0.0.1:1": true,
	} {
		o := options()
		o.BaseURL = base
		if got := newAccount(t, o).customBase; got != want {
			t.Errorf("%q is custom: %t", base, got)
		}
	}
}
