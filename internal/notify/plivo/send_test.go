package plivo

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/gatewaytest"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/plivotest"
)

// The exact body of every form of message.
func TestParameters(t *testing.T) {
	alertTemplate := func(o *Options) { o.WhatsAppAlertTemplate = "en=" + plivotest.AlertTemplate }
	noReports := func(o *Options) { o.PublicURL, o.CallFrom, o.Channels = "", "", nil }
	registered := func(o *Options) {
		o.DLTEntityID, o.DLTTemplateID, o.DLTTemplateCategory = "1101", "1107", "service_implicit"
	}
	payment := tracked()
	payment.Amount, payment.Payee = "EUR 25.00", "Bike Shop"
	event := alert()
	event.Event, event.Place = notify.EventOther, "Rome"
	expiringAlert := alert()
	expiringAlert.ValidFor = time.Minute
	hostile := tracked()
	hostile.Code = `"}{<&`
	toIndia := tracked()
	toIndia.To = fixture.Bob

	const (
		text        = ": 739184 is your Acme code. Valid for 10 minutes. Do not share it with anyone."
		paymentText = ": 739184 is your Acme code to approve a payment of EUR 25.00 to Bike Shop. Valid for 10 minutes. Do not share it with anyone."
		reports     = `"url":"https://twofa.example/hooks/plivo/status?id=VE0123456789abcdef0123456789abcdef&attempt=2","method":"POST"`
		sms         = `{"src":"15005550006","dst":"14155550123","type":"sms","log":false`
		whatsApp    = `{"src":"14155238886","dst":"14155550123","type":"whatsapp","log":false`
		expiry      = `,"message_expiry":600`
		coded       = `,"template":{"name":"login_code","language":"en_US","components":[{"type":"body","parameters":[{"type":"text","text":"CODE"}]},` +
			`{"type":"button","sub_type":"url","index":"0","parameters":[{"type":"text","text":"CODE"}]}]}`
		alertCoded = `,"template":{"name":"login_alert","language":"en","components":[{"type":"body","parameters":[{"type":"text","text":"Acme"}]}]}`
	)
	with := func(code string) string { return strings.ReplaceAll(coded, "CODE", code) }
	for _, tc := range []struct {
		name    string
		channel channel.Channel
		change  func(*Options)
		m       notify.Message
		want    string
		shows   bool
	}{
		{"template", channel.WhatsApp, nil, tracked(), whatsApp + expiry + "," + reports + with(code) + "}", false},
		{"template without reports", channel.WhatsApp, noReports, tracked(), whatsApp + expiry + with(code) + "}", false},
		{"no verification", channel.WhatsApp, nil, message(), whatsApp + expiry + with(code) + "}", false},
		{"JSON, whatever the code is", channel.WhatsApp, nil, hostile, whatsApp + expiry + "," + reports + with(`\"}{<&`) + "}", false},
		{"text", channel.WhatsApp, withText, tracked(), whatsApp + expiry + "," + reports + `,"text":"Chat` + text + `"}`, true},
		{"text of a payment", channel.WhatsApp, withText, payment, whatsApp + expiry + "," + reports + `,"text":"Chat` + paymentText + `"}`, true},
		{"alert with a template", channel.WhatsApp, alertTemplate, alert(), whatsApp + alertCoded + "}", false},
		{"event with a template", channel.WhatsApp, alertTemplate, event, whatsApp + alertCoded + "}", false},
		{"event without a template", channel.WhatsApp, nil, event, whatsApp + `,"text":"Chat event other in Rome of Acme"}`, false},
		{"alert that expires", channel.WhatsApp, nil, expiringAlert, whatsApp + `,"message_expiry":60,"text":"Chat alert of Acme"}`, false},

		{"SMS", channel.SMS, nil, tracked(), sms + expiry + "," + reports + `,"text":"SMS` + text + `"}`, true},
		{"SMS without reports", channel.SMS, noReports, tracked(), sms + expiry + `,"text":"SMS` + text + `"}`, true},
		{"SMS of a payment", channel.SMS, nil, payment, sms + expiry + "," + reports + `,"text":"SMS` + paymentText + `"}`, true},
		{"SMS of a powerpack", channel.SMS, withPowerpack, alert(),
			`{"powerpack_uuid":"` + plivotest.PowerpackUUID + `","dst":"14155550123","type":"sms","log":false,"text":"SMS alert of Acme"}`, true},
		{"SMS alert, whatever the templates", channel.SMS, alertTemplate, alert(), sms + `,"text":"SMS alert of Acme"}`, true},
		{"SMS, registered in India", channel.SMS, registered, tracked(), sms + expiry + "," + reports + `,"text":"SMS` + text + `"}`, true},
		{"SMS to India", channel.SMS, registered, toIndia, `{"src":"15005550006","dst":"919876543210","type":"sms","log":false` + expiry + "," + reports +
			`,"text":"SMS` + text + `","dlt_entity_id":"1101","dlt_template_id":"1107","dlt_template_category":"service_implicit"}`, true},
		{"SMS to India, not registered", channel.SMS, nil, toIndia, `{"src":"15005550006","dst":"919876543210","type":"sms","log":false` + expiry + "," + reports +
			`,"text":"SMS` + text + `"}`, true},

		{"call", channel.Call, nil, payment, `{"from":"12025550143","to":"14155550123","answer_method":"POST","hangup_method":"POST","ring_timeout":40,"time_limit":300,` +
			`"answer_url":"https://twofa.example/hooks/plivo/answer?id=VE0123456789abcdef0123456789abcdef&attempt=2",` +
			`"hangup_url":"https://twofa.example/hooks/plivo/status?id=VE0123456789abcdef0123456789abcdef&attempt=2"}`, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, tc.change, func(t *testing.T, r *rig, _ *notifytest.Pipes) {
				r.Send(t, tc.channel, tc.m)
				calls := r.Calls()
				if len(calls) != 1 || len(r.Accepted()) != 1 {
					t.Fatalf("%d calls, %d messages", len(calls), len(r.Accepted()))
				}
				var want map[string]any
				if err := json.Unmarshal([]byte(tc.want), &want); err != nil {
					t.Fatal(err)
				}
				if got := calls[0].Body; !reflect.DeepEqual(got, want) {
					t.Errorf("sent\n %v\nwant\n %v", got, want)
				}
				if got := r.sender(tc.channel).ShowsTransaction(); got != tc.shows {
					t.Errorf("ShowsTransaction is %t", got)
				}
				h := calls[0].Header
				for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
					if _, ok := h[name]; ok {
						t.Errorf("the header %s makes net/http repeat the POST", name)
					}
				}
				if h.Get("User-Agent") != "twofa" || h.Get("Accept-Encoding") != "" {
					t.Errorf("headers %v", h)
				}
			})
		})
	}
}

// No request about a call holds the code: Plivo keeps URLs in its logs.
func TestACallHasNoCode(t *testing.T) {
	r, _ := newRig(t, nil)
	r.Send(t, channel.Call, tracked())
	body, err := json.Marshal(r.Calls()[0].Body)
	if err != nil || strings.Contains(string(body), code) {
		t.Errorf("sent %s, %v", body, err)
	}
}

func TestSenders(t *testing.T) {
	only := func(f func(*Options)) func(*Options) {
		return func(o *Options) {
			o.WhatsAppFrom, o.SMSFrom, o.CallFrom, o.Channels = "", "", "", nil
			f(o)
		}
	}
	for name, tc := range map[string]struct {
		change func(*Options)
		want   []channel.Channel
	}{
		"all":         {nil, channels},
		"WhatsApp":    {only(func(o *Options) { o.WhatsAppFrom = plivotest.WhatsAppFrom }), []channel.Channel{channel.WhatsApp}},
		"SMS":         {only(func(o *Options) { o.SMSFrom = "Acme" }), []channel.Channel{channel.SMS}},
		"calls":       {only(func(o *Options) { o.CallFrom = plivotest.CallFrom }), []channel.Channel{channel.Call}},
		"a powerpack": {only(withPowerpack), []channel.Channel{channel.SMS}},
		"none at all": {only(func(*Options) {}), nil},
	} {
		r, _ := newRig(t, tc.change)
		senders := r.Senders()
		for _, c := range append([]channel.Channel{channel.Email}, channels...) {
			if got := senders[c] != nil; got != slices.Contains(tc.want, c) {
				t.Errorf("%s: sends over %s: %t", name, c, got)
			}
			if senders[c] != nil && senders.Provider(c) != "plivo" {
				t.Errorf("the provider is %q", senders.Provider(c))
			}
		}
		clear(senders)
		if len(r.Senders()) != len(tc.want) {
			t.Errorf("%s: the account's senders can be changed from outside", name)
		}
	}
}

func TestExpiry(t *testing.T) {
	for validFor, want := range map[time.Duration][2]time.Duration{ // of a message, of ringing
		10 * time.Minute:          {10 * time.Minute, maxRinging},
		90*time.Second + 999e6:    {90 * time.Second, maxRinging}, // never longer than the code
		30 * time.Second:          {30 * time.Second, 30 * time.Second},
		5 * time.Second:           {5 * time.Second, 5 * time.Second}, // the shortest that Plivo accepts
		10799 * time.Second:       {10799 * time.Second, maxRinging},
		24 * time.Hour:            {10799 * time.Second, maxRinging}, // the longest that Plivo accepts
		3*time.Hour + time.Hour/2: {10799 * time.Second, maxRinging},
	} {
		inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
			m := tracked()
			m.ValidFor = validFor
			for _, c := range channels {
				r.Send(t, c, m)
			}
			got := r.Accepted()
			if got[0].Expiry != want[0] || got[1].Expiry != want[0] || got[2].Ringing != want[1] || got[2].Longest != 5*time.Minute {
				t.Errorf("a code valid for %v: %+v, want %v", validFor, got, want)
			}
		})
	}
}

// The second try has a shorter limit, because the code still expires at the same time.
func TestExpiryOfTheSecondTry(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
		r.Next(plivotest.Hang(), plivotest.Accept())
		r.Send(t, channel.SMS, tracked())
		// 5 s time-out and a pause below a second: between 594 and 595 s are left.
		if got := r.Accepted()[0].Expiry; got != 594*time.Second {
			t.Errorf("%v", got)
		}
	})
}

// A second try is not made if the code would expire in Plivo's queue.
func TestNoSecondTryForACodeThatExpires(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
		r.Next(plivotest.Hang(), plivotest.Accept())
		m := tracked()
		m.ValidFor = 9 * time.Second
		if f := r.Failure(t, channel.SMS, m); !f.MayHaveSent {
			t.Errorf("got %+v", f)
		}
		r.WantCalls(t, 1, 0)
	})
}

// These messages must not reach Plivo, in addition to those of the suite.
func TestRefusedBeforeAnyCall(t *testing.T) {
	of := func(change func(*notify.Message), channels ...channel.Channel) gatewaytest.Refusal {
		return gatewaytest.Refusal{Message: gatewaytest.Changed(change), Channels: channels, Outcome: otp.OutcomeUnavailable}
	}
	messenger().CheckRefusals(t, map[string]gatewaytest.Refusal{
		"expires too soon":     of(func(m *notify.Message) { m.ValidFor = 4999 * time.Millisecond }),
		"a call of an alert":   {Message: alert(), Channels: []channel.Channel{channel.Call}, Outcome: otp.OutcomeUnavailable},
		"an alert with an id":  of(func(m *notify.Message) { m.Alert, m.Code = true, "" }, channel.Call),
		"a call without an id": of(func(m *notify.Message) { m.Verification = "" }, channel.Call),
		"no attempt":           of(func(m *notify.Message) { m.Attempt = 0 }, channel.Call),
	})
}

// The double refuses wrong credentials, and the failure names the token.
func TestWrongCredentials(t *testing.T) {
	r, _ := newRig(t, func(o *Options) { o.AuthToken = strings.Repeat("0", 40) })
	f := r.Failure(t, channel.WhatsApp, message())
	if f.Outcome != otp.OutcomeMisconfigured || f.Setting != "PLIVO_AUTH_TOKEN" || f.Next != otp.NextAddress {
		t.Errorf("got %+v", f)
	}
	r.WantCalls(t, 1, 0)
}
