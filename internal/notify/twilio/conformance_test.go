package twilio

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/doubletest"
	"twofa/internal/testing/gatewaytest"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/twiliotest"
)

// TestConformance checks what all messengers have in common.
func TestConformance(t *testing.T) { messenger().Run(t) }

func messenger() gatewaytest.Messenger {
	open := func(change func(*Options)) func(testing.TB, gatewaytest.Settings) notify.Senders {
		return func(tb testing.TB, s gatewaytest.Settings) notify.Senders {
			return newAccount(tb, optionsWith(s, change)).Senders()
		}
	}
	withText := func(o *Options) { o.ContentSID = "" }
	replies := map[string]gatewaytest.Reply{
		"failed":         twiliotest.AcceptFailed(63024),
		"number as code": twiliotest.Raw(400, `{"code":14155550123,"message":"`+gatewaytest.Canary+`"}`),
	}
	for _, m := range meanings {
		for _, code := range m.codes {
			replies[fmt.Sprint("number ", code)] = twiliotest.Refuse(400, code)
		}
	}
	basic := twiliotest.AccountSID + ":" + twiliotest.AuthToken
	return gatewaytest.Messenger{
		Name: "twilio", Channels: channels, Open: open(nil),
		NewDouble: func() (gatewaytest.Double, func() []gatewaytest.Sent) {
			d := twiliotest.New(twiliotest.Account{})
			return d, func() (sent []gatewaytest.Sent) {
				for _, m := range d.Accepted() {
					hasCode := m.Variables["1"] == code || strings.Contains(m.Body, code) || strings.Contains(m.Spoken(), spokenCode)
					sent = append(sent, gatewaytest.Sent{ID: m.SID, Channel: m.Channel, To: strings.TrimPrefix(m.To, "whatsapp:"), HasCode: hasCode})
				}
				return sent
			}
		},
		BaseVariable: "TWILIO_BASE_URL", TemplateVariable: "TWILIO_CONTENT_SID",
		Host: "api.twilio.com", Path: "/2010-04-01/Accounts/" + twiliotest.AccountSID + "/Messages.json",
		Authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte(basic)),
		Success:       doubletest.Answer{Status: 201, Body: `{"sid":"SM00112233445566778899aabbccddeeff","status":"queued"}`},
		Refuse:        func(status int) gatewaytest.Reply { return twiliotest.Refuse(status, 29999) },
		Throttled: gatewaytest.Case{Reply: twiliotest.Refuse(429, 20429),
			Failure: notify.Failure{Outcome: otp.OutcomeUnavailable, Code: 20429, Detail: "too many requests"}},
		Broken: gatewaytest.Case{Reply: twiliotest.Refuse(500, 20500),
			Failure: notify.Failure{Outcome: otp.OutcomeUnavailable, Code: 20500, MayHaveSent: true, Detail: "server error 500"}},
		Refused: gatewaytest.Case{Reply: twiliotest.Refuse(400, 63016),
			Failure: notify.Failure{Outcome: otp.OutcomeMisconfigured, Code: 63016, Setting: "TWILIO_CONTENT_SID", Detail: "an approved template is needed outside the 24-hour window"}},
		Unauthorized: gatewaytest.Case{Reply: twiliotest.Refuse(401, 29999),
			Failure: notify.Failure{Outcome: otp.OutcomeMisconfigured, Code: 29999, Setting: "TWILIO_AUTH_TOKEN", Next: accountIsWrong, Detail: "refused with status 401"}},
		Hostile: notifytest.Hostile{Success: "HTTP/1.1 201 Created\r\n\r\n" + `{"sid":"`, Forever: "SM", MayAccept: true},
		Secrecy: gatewaytest.Secrecy{
			Secrets: notifytest.Secrets{
				"spoken code": "<Say language=\"en-GB\">7</Say>",
				"auth token":  twiliotest.AuthToken,
				"API secret":  twiliotest.APISecret,
				"API key":     twiliotest.APIKey,
				"account":     twiliotest.AccountSID,
				"basic auth":  basic,
			},
			Replies: replies,
			Kinds: map[string]gatewaytest.Kind{
				"token": {Channel: channel.WhatsApp},
				"key":   {Open: open(withKey), Channel: channel.WhatsApp},
				"text":  {Open: open(withText), Channel: channel.WhatsApp},
				"alert": {Channel: channel.WhatsApp, Alert: true},
				"SMS":   {Open: open(withReports), Channel: channel.SMS},
				"call":  {Open: open(withReports), Channel: channel.Call},
			},
		},
	}
}
