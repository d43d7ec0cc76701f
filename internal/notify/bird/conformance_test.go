package bird

import (
	"fmt"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/doubletest"
	"twofa/internal/testing/gatewaytest"
	"twofa/internal/testing/notifytest"
)

// TestConformance checks what all messengers have in common.
func TestConformance(t *testing.T) { messenger().Run(t) }

func messenger() gatewaytest.Messenger {
	open := func(change func(*Options)) func(testing.TB, gatewaytest.Settings) notify.Senders {
		return func(tb testing.TB, s gatewaytest.Settings) notify.Senders {
			return newAccount(tb, optionsWith(s, change)).Senders()
		}
	}
	return gatewaytest.Messenger{
		Name: Name, Channels: channels, Repeatable: true, Open: open(nil),
		NewDouble: func() (gatewaytest.Double, func() []gatewaytest.Sent) {
			d := birdtest.New(birdtest.Account{})
			return d, func() (sent []gatewaytest.Sent) {
				for _, m := range d.Accepted() {
					hasCode := m.CopiedCode == code || strings.Contains(m.Text, code)
					sent = append(sent, gatewaytest.Sent{ID: m.ID, Channel: m.Channel, To: m.To, HasCode: hasCode})
				}
				return sent
			}
		},
		BaseVariable: "BIRD_BASE_URL", TemplateVariable: templateVariable,
		Host: "eu1.platform.bird.com", Path: "/v1/whatsapp/messages", Authorization: "Bearer " + birdtest.APIKey,
		Success:   doubletest.Answer{Status: 202, Body: `{"id":"wam_01krdgeqcxet5s7t44vh8rt9mg"}`},
		Refuse:    refuse,
		Throttled: gatewaytest.Case{Reply: refuse(429), Failure: *gatewaytest.Unavailable("too many requests")},
		Broken:    gatewaytest.Case{Reply: refuse(500), Failure: *gatewaytest.Ambiguous("server error 500")},
		Refused:   gatewaytest.Case{Reply: refuse(400), Failure: *gatewaytest.Unavailable("refused with status 400")},
		Unauthorized: gatewaytest.Case{Reply: refuse(401),
			Failure: notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: "BIRD_API_KEY", Next: accountIsWrong, Detail: "refused with status 401"}},
		Hostile: notifytest.Hostile{Success: "HTTP/1.1 202 Accepted\r\n\r\n" + `{"id":"wam_`, Forever: "5b"},
		Secrecy: gatewaytest.Secrecy{
			Secrets: notifytest.Secrets{"key": birdtest.APIKey, "webhook secret": birdtest.WebhookSecret[6:]},
			Replies: map[string]gatewaytest.Reply{
				"its words":  birdtest.Refuse(422, gatewaytest.Canary, gatewaytest.Canary, gatewaytest.Canary),
				"a number":   birdtest.Refuse(422, recipient, recipient, recipient),
				"a code":     birdtest.Refuse(503, code, code, code),
				"a conflict": birdtest.Refuse(409, code, recipient, ""),
			},
			Kinds: map[string]gatewaytest.Kind{
				"template": {Channel: channel.WhatsApp},
				"text":     {Open: open(withText), Channel: channel.WhatsApp},
				"alert":    {Channel: channel.WhatsApp, Alert: true},
				"SMS":      {Channel: channel.SMS},
			},
			Call: func(call doubletest.Call) map[string]string {
				return map[string]string{"the URL and the headers": fmt.Sprint(call.Path, call.Header), "the metadata": fmt.Sprint(call.Body["metadata"])}
			},
		},
	}
}
