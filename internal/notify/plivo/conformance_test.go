package plivo

import (
	"encoding/base64"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/doubletest"
	"twofa/internal/testing/gatewaytest"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/plivotest"
)

// TestConformance checks what all messengers have in common.
func TestConformance(t *testing.T) { messenger().Run(t) }

// uuid is an id of a message.
const uuid = "5b40a428-bfc7-4daf-9d06-726c558bf3b8"

func messenger() gatewaytest.Messenger {
	open := func(change func(*Options)) func(testing.TB, gatewaytest.Settings) notify.Senders {
		return func(tb testing.TB, s gatewaytest.Settings) notify.Senders {
			return newAccount(tb, optionsWith(s, change)).Senders()
		}
	}
	basic := base64.StdEncoding.EncodeToString([]byte(plivotest.AuthID + ":" + plivotest.AuthToken))
	return gatewaytest.Messenger{
		Name: Name, Channels: channels, Open: open(nil),
		Once: []channel.Channel{channel.Call}, // two calls of one attempt could not both ask what they say
		NewDouble: func() (gatewaytest.Double, func() []gatewaytest.Sent) {
			d := plivotest.New(plivotest.Account{})
			return d, func() (sent []gatewaytest.Sent) {
				for _, m := range d.Accepted() {
					// Plivo asks later what a call says.
					hasCode := m.Channel == channel.Call || m.CopiedCode == code || strings.Contains(m.Text, code)
					sent = append(sent, gatewaytest.Sent{ID: m.UUID, Channel: m.Channel, To: "+" + m.To, HasCode: hasCode})
				}
				return sent
			}
		},
		BaseVariable: "PLIVO_BASE_URL", TemplateVariable: templateVariable,
		Host: "api.plivo.com", Path: "/v1/Account/" + plivotest.AuthID + "/Message/", Authorization: "Basic " + basic,
		Success:   doubletest.Answer{Status: 202, Body: `{"message_uuid":["` + uuid + `"]}`},
		Refuse:    plivotest.Refuse,
		Throttled: gatewaytest.Case{Reply: plivotest.Refuse(429), Failure: *gatewaytest.Unavailable("too many requests")},
		Broken:    gatewaytest.Case{Reply: plivotest.Refuse(500), Failure: *gatewaytest.Ambiguous("server error 500")},
		Refused:   gatewaytest.Case{Reply: plivotest.Refuse(400), Failure: *gatewaytest.Unavailable("refused with status 400")},
		Unauthorized: gatewaytest.Case{Reply: plivotest.Refuse(401),
			Failure: notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: "PLIVO_AUTH_TOKEN", Next: accountIsWrong, Detail: "refused with status 401"}},
		Hostile: notifytest.Hostile{Success: "HTTP/1.1 202 Accepted\r\n\r\n" + `{"message_uuid":["`, Forever: "5b"},
		Secrecy: gatewaytest.Secrecy{
			Secrets: notifytest.Secrets{"auth token": plivotest.AuthToken, "account": plivotest.AuthID, "basic auth": basic},
			Replies: map[string]gatewaytest.Reply{
				"an id that is a text": plivotest.Raw(202, `{"message_uuid":["`+gatewaytest.Canary+`"],"error":"`+recipient+`"}`),
			},
			Kinds: map[string]gatewaytest.Kind{
				"template": {Channel: channel.WhatsApp},
				"text":     {Open: open(withText), Channel: channel.WhatsApp},
				"alert":    {Channel: channel.WhatsApp, Alert: true},
				"SMS":      {Channel: channel.SMS},
				"call":     {Channel: channel.Call},
			},
		},
	}
}
