package twilio

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/twiliotest"
)

// The exact parameters of every form of message.
func TestParameters(t *testing.T) {
	noTemplate := func(o *Options) { o.ContentSID = "" }
	besideService := func(o *Options) { o.MessagingServiceSID = twiliotest.MessagingServiceSID }
	alertTemplate := func(o *Options) { o.AlertContentSID = twiliotest.AlertContentSID }
	payment := message()
	payment.Amount, payment.Payee = "EUR 25.00", "Bike Shop"
	notice := alert()
	notice.Notice = notify.NoticeAddress
	event := alert()
	event.Event, event.Place = notify.EventOther, "Rome"
	expiringAlert := alert()
	expiringAlert.ValidFor = time.Minute
	hostile := message()
	hostile.Code = `"}{<&`

	const (
		text        = ": 739184 is your Acme code. Valid for 10 minutes. Do not share it with anyone."
		paymentText = ": 739184 is your Acme code to approve a payment of EUR 25.00 to Bike Shop. Valid for 10 minutes. Do not share it with anyone."
		alertText   = " alert of Acme"
		reportsTo   = "https://twofa.example/hooks/twilio/status?id=VE0123456789abcdef0123456789abcdef&attempt=2"
		service     = twiliotest.MessagingServiceSID
	)
	form := func(pairs ...string) url.Values {
		f := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			f.Set(pairs[i], pairs[i+1])
		}
		return f
	}
	whatsApp := func(pairs ...string) url.Values {
		return form(append(pairs, "To", "whatsapp:+14155550123", "From", "whatsapp:+14155238886")...)
	}
	template := func(sid, variables string) []string {
		return []string{"ContentSid", sid, "ContentVariables", variables}
	}
	coded := append(template(twiliotest.ContentSID, `{"1":"739184"}`), "ValidityPeriod", "600")
	sms := func(pairs ...string) url.Values {
		return form(append(pairs, "To", "+14155550123", "From", twiliotest.SMSFrom, "RiskCheck", "enable")...)
	}
	call := func(twiml string, pairs ...string) url.Values {
		return form(append(pairs, "To", "+14155550123", "From", twiliotest.VoiceFrom, "Twiml", twiml)...)
	}
	for _, tc := range []struct {
		name    string
		channel channel.Channel
		change  func(*Options)
		m       notify.Message
		want    url.Values
		shows   bool
	}{
		{"template", channel.WhatsApp, nil, message(), whatsApp(coded...), false},
		{"template and service", channel.WhatsApp, withService, message(),
			form(append(coded, "To", "whatsapp:+14155550123", "MessagingServiceSid", service)...), false},
		{"From instead of the service", channel.WhatsApp, besideService, message(), whatsApp(coded...), false},
		{"variables are JSON, whatever the code is", channel.WhatsApp, nil, hostile,
			whatsApp(append(template(twiliotest.ContentSID, `{"1":"\"}{\u003c\u0026"}`), "ValidityPeriod", "600")...), false},
		{"text", channel.WhatsApp, noTemplate, message(), whatsApp("ValidityPeriod", "600", "Body", "Chat"+text), true},
		{"text of a payment", channel.WhatsApp, noTemplate, payment, whatsApp("ValidityPeriod", "600", "Body", "Chat"+paymentText), true},
		{"alert with a template", channel.WhatsApp, alertTemplate, alert(), whatsApp(template(twiliotest.AlertContentSID, `{"1":"Acme"}`)...), false},
		{"notice with a template", channel.WhatsApp, alertTemplate, notice, whatsApp(template(twiliotest.AlertContentSID, `{"1":"Acme"}`)...), false},
		{"notice without a template", channel.WhatsApp, nil, notice, whatsApp("Body", "Chat notice address of Acme"), false},
		{"event with a template", channel.WhatsApp, alertTemplate, event, whatsApp(template(twiliotest.AlertContentSID, `{"1":"Acme"}`)...), false},
		{"event without a template", channel.WhatsApp, nil, event, whatsApp("Body", "Chat event other in Rome of Acme"), false},
		{"alert without a template, although codes have one", channel.WhatsApp, nil, alert(), whatsApp("Body", "Chat"+alertText), false},
		{"alert that expires", channel.WhatsApp, nil, expiringAlert, whatsApp("Body", "Chat"+alertText, "ValidityPeriod", "60"), false},

		{"SMS", channel.SMS, nil, message(), sms("ValidityPeriod", "600", "Body", "SMS"+text), true},
		{"SMS of a payment", channel.SMS, nil, payment, sms("ValidityPeriod", "600", "Body", "SMS"+paymentText), true},
		{"SMS of a service", channel.SMS, withService, message(),
			form("To", "+14155550123", "MessagingServiceSid", service, "ValidityPeriod", "600", "RiskCheck", "enable", "Body", "SMS"+text), true},
		{"SMS from its number instead of the service", channel.SMS, besideService, alert(), sms("Body", "SMS"+alertText), true},
		{"SMS alert, whatever the templates", channel.SMS, alertTemplate, alert(), sms("Body", "SMS"+alertText), true},
		{"SMS notice, whatever the templates", channel.SMS, alertTemplate, notice, sms("Body", "SMS notice address of Acme"), true},
		{"SMS with reports", channel.SMS, withReports, tracked(), sms("ValidityPeriod", "600", "Body", "SMS"+text, "StatusCallback", reportsTo), true},

		{"call", channel.Call, nil, message(), call(spokenAs("Your Acme code")), true},
		{"call for a payment", channel.Call, nil, payment, call(spokenAs("Your Acme code EUR 25.00Bike Shop")), true},
		{"call with reports", channel.Call, withReports, tracked(),
			call(spokenAs("Your Acme code"), "StatusCallback", reportsTo, "StatusCallbackMethod", "POST"), true},
		{"call of a notice", channel.Call, alertTemplate, notice,
			call(`<Response><Say language="en-GB">Spoken notice address of Acme</Say><Pause/></Response>`), true},
		{"call of an alert", channel.Call, alertTemplate, alert(),
			call(`<Response><Say language="en-GB">Spoken alert of Acme</Say><Pause/></Response>`), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, tc.change, func(t *testing.T, r *rig, _ *notifytest.Pipes) {
				r.Send(t, tc.channel, tc.m)
				calls := r.Calls()
				if len(calls) != 1 || len(r.Accepted()) != 1 {
					t.Fatalf("%d calls, %d messages", len(calls), len(r.Accepted()))
				}
				if got := calls[0].Form; !maps.EqualFunc(got, tc.want, slices.Equal[[]string]) {
					t.Errorf("sent\n %v\nwant\n %v", got, tc.want)
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
				if ua := h.Get("User-Agent"); !strings.HasSuffix(ua, " twofa") {
					t.Errorf("User-Agent %q", ua)
				}
			})
		})
	}
}

// spokenAs is the TwiML of testTexts' speech, with this text before the code.
func spokenAs(before string) string {
	say := func(text string) string { return `<Say language="en-GB">` + text + `</Say><Pause/>` }
	digits := ""
	for _, digit := range code {
		digits += say(string(digit))
	}
	return "<Response>" + say(before) + digits + say("Again") + digits + say("Goodbye") + "</Response>"
}

func TestSenders(t *testing.T) {
	only := func(f func(*Options)) func(*Options) {
		return func(o *Options) {
			o.WhatsAppFrom, o.SMSFrom, o.VoiceFrom, o.Channels = "", "", "", []channel.Channel{channel.Email}
			f(o)
		}
	}
	for name, tc := range map[string]struct {
		change func(*Options)
		want   []channel.Channel
	}{
		"all":         {nil, channels},
		"WhatsApp":    {only(func(o *Options) { o.WhatsAppFrom = twiliotest.WhatsAppFrom }), []channel.Channel{channel.WhatsApp}},
		"SMS":         {only(func(o *Options) { o.SMSFrom = "Acme" }), []channel.Channel{channel.SMS}},
		"calls":       {only(func(o *Options) { o.VoiceFrom = twiliotest.VoiceFrom }), []channel.Channel{channel.Call}},
		"a service":   {only(func(o *Options) { o.MessagingServiceSID = twiliotest.MessagingServiceSID }), []channel.Channel{channel.WhatsApp, channel.SMS}},
		"none at all": {only(func(*Options) {}), nil},
	} {
		r, _ := newRig(t, tc.change)
		senders := r.Senders()
		for _, c := range append([]channel.Channel{channel.Email}, channels...) {
			if got := senders[c] != nil; got != slices.Contains(tc.want, c) {
				t.Errorf("%s: sends over %s: %t", name, c, got)
			}
		}
		clear(senders)
		if len(r.Senders()) != len(tc.want) {
			t.Errorf("%s: the account's senders can be changed from outside", name)
		}
	}
}

func TestValidityPeriod(t *testing.T) {
	for validFor, want := range map[time.Duration]time.Duration{
		10 * time.Minute:         10 * time.Minute,
		90*time.Second + 999e6:   90 * time.Second, // never longer than the code
		time.Millisecond:         time.Second,      // the shortest that Twilio accepts
		10 * time.Hour:           10 * time.Hour,
		10*time.Hour + time.Hour: 10 * time.Hour, // the longest that Twilio accepts
		24 * time.Hour:           10 * time.Hour,
	} {
		inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
			m := message()
			m.ValidFor = validFor
			r.Send(t, channel.WhatsApp, m)
			if got := r.Accepted()[0].ValidityPeriod; got != want {
				t.Errorf("a code valid for %v: %v, want %v", validFor, got, want)
			}
		})
	}
}

// The second try has a shorter period, because the code still expires at the same time.
func TestValidityPeriodOfTheSecondTry(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
		r.Next(twiliotest.Hang(), twiliotest.Accept())
		r.Send(t, channel.WhatsApp, message())
		// 5 s time-out and a pause below a second: between 594 and 595 s are left.
		if got := r.Accepted()[0].ValidityPeriod; got != 594*time.Second {
			t.Errorf("%v", got)
		}
	})
}

// Both kinds of credentials work. If both are set, the key is used.
func TestCredentials(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"token":                          nil,
		"key":                            func(o *Options) { withKey(o); o.AuthToken = "" },
		"both, and the token is refused": func(o *Options) { withKey(o); o.AuthToken = strings.Repeat("0", 32) },
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newRig(t, change)
			r.Send(t, channel.WhatsApp, message())
		})
	}
	t.Run("wrong", func(t *testing.T) {
		r, _ := newRig(t, func(o *Options) { o.AuthToken = strings.Repeat("0", 32) })
		f := r.Failure(t, channel.WhatsApp, message())
		if f.Outcome != otp.OutcomeMisconfigured || f.Code != 20003 || f.Setting != "TWILIO_AUTH_TOKEN" {
			t.Errorf("got %+v", f)
		}
		r.WantCalls(t, 1, 0)
	})
}

// twilio-go reads these variables and would change the host.
func TestTheEnvironmentDoesNotChangeTheHost(t *testing.T) {
	t.Setenv("TWILIO_EDGE", "sydney")
	t.Setenv("TWILIO_REGION", "au1")
	r, _ := newRig(t, nil)
	r.Send(t, channel.WhatsApp, message())
	if n := len(r.Accepted()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func BenchmarkSend(b *testing.B) {
	r, server := newRig(b, nil)
	m := message()
	b.ReportAllocs()
	for b.Loop() {
		if err := r.sender(channel.WhatsApp).Send(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if n := server.Connections(); n != 1 {
		b.Errorf("%d connections", n)
	}
}
