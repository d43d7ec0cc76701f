package twilio

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
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
				r.send(t, tc.channel, tc.m)
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
			r.send(t, channel.WhatsApp, m)
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
		r.send(t, channel.WhatsApp, message())
		// 5 s time-out and a pause below a second: between 594 and 595 s are left.
		if got := r.Accepted()[0].ValidityPeriod; got != 594*time.Second {
			t.Errorf("%v", got)
		}
	})
}

// These messages must not reach Twilio, so there is no call.
func TestRefusedBeforeAnyCall(t *testing.T) {
	r, _ := newRig(t, nil)
	change := func(f func(*notify.Message)) notify.Message {
		m := message()
		f(&m)
		return m
	}
	template := []channel.Channel{channel.WhatsApp}
	for name, tc := range map[string]struct {
		m        notify.Message
		channels []channel.Channel
		outcome  otp.Outcome
	}{
		"no number":             {change(func(m *notify.Message) { m.To = "" }), channels, otp.OutcomeInvalidAddress},
		"no plus":               {change(func(m *notify.Message) { m.To = "14155550123" }), channels, otp.OutcomeInvalidAddress},
		"channel prefix":        {change(func(m *notify.Message) { m.To = "whatsapp:+14155550123" }), channels, otp.OutcomeInvalidAddress},
		"line end":              {change(func(m *notify.Message) { m.To = "+14155550123\n" }), channels, otp.OutcomeInvalidAddress},
		"other digits":          {change(func(m *notify.Message) { m.To = "+१४१५५५५०१२३" }), channels, otp.OutcomeInvalidAddress},
		"too long":              {change(func(m *notify.Message) { m.To = "+1234567890123456" }), channels, otp.OutcomeInvalidAddress},
		"an e-mail address":     {change(func(m *notify.Message) { m.To = "a@b.test" }), channels, otp.OutcomeInvalidAddress},
		"alert to no number":    {notify.Message{Alert: true, Brand: "Acme"}, channels, otp.OutcomeInvalidAddress},
		"alert with a code":     {change(func(m *notify.Message) { m.Alert = true }), channels, otp.OutcomeUnavailable},
		"notice with a code":    {change(func(m *notify.Message) { m.Alert, m.Notice = true, notify.NoticeAppAdded }), channels, otp.OutcomeUnavailable},
		"no alert but a notice": {notify.Message{To: recipient, Notice: notify.NoticeAppAdded, Brand: "Acme"}, channels, otp.OutcomeUnavailable},
		"no code":               {change(func(m *notify.Message) { m.Code = "" }), channels, otp.OutcomeUnavailable},
		"expired":               {change(func(m *notify.Message) { m.ValidFor = 0 }), channels, otp.OutcomeUnavailable},
		"a code too long":       {change(func(m *notify.Message) { m.Code = strings.Repeat("7", 17) }), []channel.Channel{channel.Call}, otp.OutcomeUnavailable},
		"amount in template":    {change(func(m *notify.Message) { m.Amount = "EUR 1" }), template, otp.OutcomeMisconfigured},
		"payee in template":     {change(func(m *notify.Message) { m.Payee = "Shop" }), template, otp.OutcomeMisconfigured},
	} {
		for _, c := range tc.channels {
			f := r.failure(t, c, tc.m)
			if f.Outcome != tc.outcome || f.MayHaveSent {
				t.Errorf("%s, %s: got %+v", name, c, f)
			}
			if (f.Setting == "TWILIO_CONTENT_SID") != (f.Outcome == otp.OutcomeMisconfigured) {
				t.Errorf("%s, %s: names %q", name, c, f.Setting)
			}
			if (f.Next == otp.NextAddress) != (f.Outcome == otp.OutcomeInvalidAddress) {
				t.Errorf("%s, %s: next %d", name, c, f.Next)
			}
		}
	}
	r.wantCalls(t, 0, 0)
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
			r.send(t, channel.WhatsApp, message())
		})
	}
	t.Run("wrong", func(t *testing.T) {
		r, _ := newRig(t, func(o *Options) { o.AuthToken = strings.Repeat("0", 32) })
		f := r.failure(t, channel.WhatsApp, message())
		if f.Outcome != otp.OutcomeMisconfigured || f.Code != 20003 || f.Setting != "TWILIO_AUTH_TOKEN" {
			t.Errorf("got %+v", f)
		}
		r.wantCalls(t, 1, 0)
	})
}

// twilio-go reads these variables and would change the host.
func TestTheEnvironmentDoesNotChangeTheHost(t *testing.T) {
	t.Setenv("TWILIO_EDGE", "sydney")
	t.Setenv("TWILIO_REGION", "au1")
	r, _ := newRig(t, nil)
	r.send(t, channel.WhatsApp, message())
	if n := len(r.Accepted()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// The redirect's target must not see the code or the credentials.
func TestRedirectIsNotFollowed(t *testing.T) {
	target := twiliotest.Start(twiliotest.Account{})
	defer target.Close()
	r, _ := newRig(t, nil)
	r.Next(twiliotest.Redirect(target.URL + "/2010-04-01/Accounts/" + twiliotest.AccountSID + "/Messages.json"))
	f := r.failure(t, channel.WhatsApp, message())
	if f.Outcome != otp.OutcomeMisconfigured || f.Setting != "TWILIO_BASE_URL" || f.MayHaveSent {
		t.Errorf("got %+v", f)
	}
	if n, m := r.CallCount(), target.CallCount(); n != 1 || m != 0 {
		t.Errorf("%d calls, %d at the redirect's target", n, m)
	}
}

// The end of the context ends a call that hangs, over real sockets too. Deadlines are
// tested in the bubble, where a busy machine cannot disturb them.
func TestTheContextEndsACallOnLoopback(t *testing.T) {
	r, _ := newRig(t, func(o *Options) { o.Timeout, o.TotalTimeout = time.Hour, time.Hour })
	r.For(recipient, twiliotest.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for r.CallCount() == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	err := r.sender(channel.WhatsApp).Send(ctx, message())
	if f := notifytest.Failure(t, err); !f.MayHaveSent || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v (%+v)", err, f)
	}
	r.wantCalls(t, 1, 0)
}

// If nobody listens on the port, it is certain that nothing was sent.
func TestNoListener(t *testing.T) {
	// There is too little time for a repetition. The bubble tests that without waiting.
	r, server := newRig(t, func(o *Options) { o.TotalTimeout = 2 * time.Second })
	server.Close()
	f := r.failure(t, channel.WhatsApp, message())
	if f.Outcome != otp.OutcomeUnavailable || f.MayHaveSent || f.Detail != "no connection" {
		t.Errorf("got %+v", f)
	}
}

func TestConcurrentSends(t *testing.T) {
	const n = 32
	r, _ := newRig(t, nil)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if err := r.sender(channel.WhatsApp).Send(t.Context(), message()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(r.Accepted()); got != n {
		t.Errorf("%d messages of %d", got, n)
	}
}

// The Account's own transport reuses its connection, over real sockets too.
func TestOneConnectionForConsecutiveMessages(t *testing.T) {
	r, server := newRig(t, nil)
	r.Next(twiliotest.Refuse(400, 63024), twiliotest.Raw(400, "<html>"), twiliotest.Raw(200, ""))
	for range 20 {
		_ = r.sender(channel.WhatsApp).Send(t.Context(), message())
	}
	if calls, n := r.CallCount(), server.Connections(); calls != 20 || n != 1 {
		t.Errorf("%d connections for %d calls", n, calls)
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
