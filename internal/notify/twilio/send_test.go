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
	"testing/synctest"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/twiliotest"
)

// The exact parameters of every form of message.
func TestParameters(t *testing.T) {
	noTemplate := func(o *Options) { o.ContentSID = "" }
	plain := message()
	withContext := message()
	withContext.Amount, withContext.Payee = "EUR 25.00", "Bike Shop"
	dyingAlert := alert()
	dyingAlert.ValidFor = time.Minute
	alertTemplate := func(o *Options) { o.AlertContentSID = twiliotest.AlertContentSID }
	hostile := message()
	hostile.Code = `"}{<&`
	for _, tc := range []struct {
		name    string
		channel notify.Channel
		change  func(*Options)
		m       notify.Message
		want    url.Values
		shows   bool
	}{
		{"template", notify.WhatsApp, nil, plain, url.Values{
			"To": {"whatsapp:+14155550123"}, "From": {"whatsapp:+14155238886"}, "ValidityPeriod": {"600"},
			"ContentSid": {twiliotest.ContentSID}, "ContentVariables": {`{"1":"739184"}`},
		}, false},
		{"template and service", notify.WhatsApp, func(o *Options) { o.WhatsAppFrom, o.MessagingServiceSID = "", twiliotest.MessagingServiceSID }, plain, url.Values{
			"To": {"whatsapp:+14155550123"}, "MessagingServiceSid": {twiliotest.MessagingServiceSID}, "ValidityPeriod": {"600"},
			"ContentSid": {twiliotest.ContentSID}, "ContentVariables": {`{"1":"739184"}`},
		}, false},
		{"From wins over the service", notify.WhatsApp, func(o *Options) { o.MessagingServiceSID = twiliotest.MessagingServiceSID }, plain, url.Values{
			"To": {"whatsapp:+14155550123"}, "From": {"whatsapp:+14155238886"}, "ValidityPeriod": {"600"},
			"ContentSid": {twiliotest.ContentSID}, "ContentVariables": {`{"1":"739184"}`},
		}, false},
		{"variables are JSON whatever the code holds", notify.WhatsApp, nil, hostile, url.Values{
			"To": {"whatsapp:+14155550123"}, "From": {"whatsapp:+14155238886"}, "ValidityPeriod": {"600"},
			"ContentSid": {twiliotest.ContentSID}, "ContentVariables": {`{"1":"\"}{\u003c\u0026"}`},
		}, false},
		{"text", notify.WhatsApp, noTemplate, plain, url.Values{
			"To": {"whatsapp:+14155550123"}, "From": {"whatsapp:+14155238886"}, "ValidityPeriod": {"600"},
			"Body": {"Chat: 739184 is your Acme code. Valid for 10 minutes. Do not share it with anyone."},
		}, true},
		{"text with context", notify.WhatsApp, noTemplate, withContext, url.Values{
			"To": {"whatsapp:+14155550123"}, "From": {"whatsapp:+14155238886"}, "ValidityPeriod": {"600"},
			"Body": {"Chat: 739184 is your Acme code to approve a payment of EUR 25.00 to Bike Shop. Valid for 10 minutes. Do not share it with anyone."},
		}, true},
		{"alert with a template", notify.WhatsApp, alertTemplate, alert(), url.Values{
			"To": {"whatsapp:+14155550123"}, "From": {"whatsapp:+14155238886"},
			"ContentSid": {twiliotest.AlertContentSID}, "ContentVariables": {`{"1":"Acme"}`},
		}, false},
		{"alert without one, beside the template of codes", notify.WhatsApp, nil, alert(), url.Values{
			"To": {"whatsapp:+14155550123"}, "From": {"whatsapp:+14155238886"}, "Body": {"Chat alert of Acme"},
		}, false},
		{"alert that dies", notify.WhatsApp, nil, dyingAlert, url.Values{
			"To": {"whatsapp:+14155550123"}, "From": {"whatsapp:+14155238886"}, "Body": {"Chat alert of Acme"}, "ValidityPeriod": {"60"},
		}, false},

		{"SMS", notify.SMS, nil, plain, url.Values{
			"To": {"+14155550123"}, "From": {twiliotest.SMSFrom}, "ValidityPeriod": {"600"}, "RiskCheck": {"enable"},
			"Body": {"SMS: 739184 is your Acme code. Valid for 10 minutes. Do not share it with anyone."},
		}, true},
		{"SMS with context", notify.SMS, nil, withContext, url.Values{
			"To": {"+14155550123"}, "From": {twiliotest.SMSFrom}, "ValidityPeriod": {"600"}, "RiskCheck": {"enable"},
			"Body": {"SMS: 739184 is your Acme code to approve a payment of EUR 25.00 to Bike Shop. Valid for 10 minutes. Do not share it with anyone."},
		}, true},
		{"SMS by a service", notify.SMS, func(o *Options) { o.SMSFrom, o.MessagingServiceSID = "", twiliotest.MessagingServiceSID }, plain, url.Values{
			"To": {"+14155550123"}, "MessagingServiceSid": {twiliotest.MessagingServiceSID}, "ValidityPeriod": {"600"}, "RiskCheck": {"enable"},
			"Body": {"SMS: 739184 is your Acme code. Valid for 10 minutes. Do not share it with anyone."},
		}, true},
		{"SMS by its number, beside a service", notify.SMS, func(o *Options) { o.MessagingServiceSID = twiliotest.MessagingServiceSID }, alert(), url.Values{
			"To": {"+14155550123"}, "From": {twiliotest.SMSFrom}, "RiskCheck": {"enable"}, "Body": {"SMS alert of Acme"},
		}, true},
		{"SMS alert, whatever the templates", notify.SMS, alertTemplate, alert(), url.Values{
			"To": {"+14155550123"}, "From": {twiliotest.SMSFrom}, "RiskCheck": {"enable"}, "Body": {"SMS alert of Acme"},
		}, true},
		{"SMS with reports", notify.SMS, withReports, tracked(), url.Values{
			"To": {"+14155550123"}, "From": {twiliotest.SMSFrom}, "ValidityPeriod": {"600"}, "RiskCheck": {"enable"},
			"Body":           {"SMS: 739184 is your Acme code. Valid for 10 minutes. Do not share it with anyone."},
			"StatusCallback": {"https://twofa.example/hooks/twilio/status?id=VE0123456789abcdef0123456789abcdef&attempt=2"},
		}, true},

		{"call", notify.Call, nil, plain, url.Values{
			"To": {"+14155550123"}, "From": {twiliotest.VoiceFrom}, "Twiml": {spokenAs("Your Acme code")},
		}, true},
		{"call with context", notify.Call, nil, withContext, url.Values{
			"To": {"+14155550123"}, "From": {twiliotest.VoiceFrom}, "Twiml": {spokenAs("Your Acme code EUR 25.00Bike Shop")},
		}, true},
		{"call with reports", notify.Call, withReports, tracked(), url.Values{
			"To": {"+14155550123"}, "From": {twiliotest.VoiceFrom}, "Twiml": {spokenAs("Your Acme code")},
			"StatusCallback":       {"https://twofa.example/hooks/twilio/status?id=VE0123456789abcdef0123456789abcdef&attempt=2"},
			"StatusCallbackMethod": {"POST"},
		}, true},
		{"call of an alert", notify.Call, alertTemplate, alert(), url.Values{
			"To": {"+14155550123"}, "From": {twiliotest.VoiceFrom},
			"Twiml": {`<Response><Say language="en-GB">Spoken alert of Acme</Say><Pause/></Response>`},
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := inBubble(t, tc.change)
				if err := w.account.on(tc.channel).Send(t.Context(), tc.m); err != nil {
					t.Fatal(err)
				}
				calls := w.Calls()
				if len(calls) != 1 || len(w.Accepted()) != 1 {
					t.Fatalf("%d calls, %d messages", len(calls), len(w.Accepted()))
				}
				if got := calls[0].Form; !maps.EqualFunc(got, tc.want, slices.Equal[[]string]) {
					t.Errorf("sent\n %v\nwant\n %v", got, tc.want)
				}
				if got := w.account.on(tc.channel).ShowsContext(); got != tc.shows {
					t.Errorf("ShowsContext is %t", got)
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

// spokenAs is wording's speech, with these words before the code.
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
			o.WhatsAppFrom, o.SMSFrom, o.VoiceFrom, o.Channels = "", "", "", []notify.Channel{notify.Email}
			f(o)
		}
	}
	for name, tc := range map[string]struct {
		change func(*Options)
		want   []notify.Channel
	}{
		"all":         {nil, channels},
		"WhatsApp":    {only(func(o *Options) { o.WhatsAppFrom = twiliotest.WhatsAppFrom }), []notify.Channel{notify.WhatsApp}},
		"SMS":         {only(func(o *Options) { o.SMSFrom = "Acme" }), []notify.Channel{notify.SMS}},
		"calls":       {only(func(o *Options) { o.VoiceFrom = twiliotest.VoiceFrom }), []notify.Channel{notify.Call}},
		"a service":   {only(func(o *Options) { o.MessagingServiceSID = twiliotest.MessagingServiceSID }), []notify.Channel{notify.WhatsApp, notify.SMS}},
		"none at all": {only(func(*Options) {}), nil},
	} {
		_, a := startAccount(t, tc.change)
		senders := a.Senders()
		for _, c := range append([]notify.Channel{notify.Email}, channels...) {
			if got := senders[c] != nil; got != slices.Contains(tc.want, c) {
				t.Errorf("%s: sends over %s: %t", name, c, got)
			}
		}
		clear(senders)
		if len(a.Senders()) != len(tc.want) {
			t.Errorf("%s: the account's senders can be changed from outside", name)
		}
	}
}

func TestValidityPeriod(t *testing.T) {
	for validFor, want := range map[time.Duration]time.Duration{
		10 * time.Minute:         10 * time.Minute,
		90*time.Second + 999e6:   90 * time.Second, // never longer than the code
		time.Millisecond:         time.Second,      // Twilio's least
		10 * time.Hour:           10 * time.Hour,
		10*time.Hour + time.Hour: 10 * time.Hour, // Twilio's most
		24 * time.Hour:           10 * time.Hour,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := inBubble(t, nil)
			m := message()
			m.ValidFor = validFor
			if err := w.sender.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if got := w.Accepted()[0].ValidityPeriod; got != want {
				t.Errorf("a code valid for %v: %v, want %v", validFor, got, want)
			}
		})
	}
}

// The second try tells Twilio what is left by then.
func TestValidityPeriodShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := inBubble(t, nil)
		w.Next(twiliotest.Hang(), twiliotest.Accept())
		if err := w.sender.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
		// 5 s time-out and a pause below a second: between 594 and 595 s are left.
		if got := w.Accepted()[0].ValidityPeriod; got != 594*time.Second {
			t.Errorf("%v", got)
		}
	})
}

// What must not reach Twilio costs no call.
func TestRefusedBeforeAnyCall(t *testing.T) {
	server, a := startAccount(t, nil)
	change := func(f func(*notify.Message)) notify.Message {
		m := message()
		f(&m)
		return m
	}
	template := []notify.Channel{notify.WhatsApp}
	for name, tc := range map[string]struct {
		m        notify.Message
		channels []notify.Channel
		reason   notify.Reason
	}{
		"no number":          {change(func(m *notify.Message) { m.To = "" }), channels, notify.InvalidAddress},
		"no plus":            {change(func(m *notify.Message) { m.To = "14155550123" }), channels, notify.InvalidAddress},
		"channel in front":   {change(func(m *notify.Message) { m.To = "whatsapp:+14155550123" }), channels, notify.InvalidAddress},
		"line end":           {change(func(m *notify.Message) { m.To = "+14155550123\n" }), channels, notify.InvalidAddress},
		"other digits":       {change(func(m *notify.Message) { m.To = "+१४१५५५५०१२३" }), channels, notify.InvalidAddress},
		"too long":           {change(func(m *notify.Message) { m.To = "+1234567890123456" }), channels, notify.InvalidAddress},
		"an e-mail address":  {change(func(m *notify.Message) { m.To = "a@b.test" }), channels, notify.InvalidAddress},
		"alert to no number": {notify.Message{Alert: true, Brand: "Acme"}, channels, notify.InvalidAddress},
		"alert with a code":  {change(func(m *notify.Message) { m.Alert = true }), channels, notify.Unavailable},
		"no code":            {change(func(m *notify.Message) { m.Code = "" }), channels, notify.Unavailable},
		"expired":            {change(func(m *notify.Message) { m.ValidFor = 0 }), channels, notify.Unavailable},
		"a code too long":    {change(func(m *notify.Message) { m.Code = strings.Repeat("7", 17) }), []notify.Channel{notify.Call}, notify.Unavailable},
		"amount in template": {change(func(m *notify.Message) { m.Amount = "EUR 1" }), template, notify.Misconfigured},
		"payee in template":  {change(func(m *notify.Message) { m.Payee = "Shop" }), template, notify.Misconfigured},
	} {
		for _, channel := range tc.channels {
			f := failure(t, a.on(channel).Send(t.Context(), tc.m))
			if f.Reason != tc.reason || f.MayHaveSent {
				t.Errorf("%s, %s: got %+v", name, channel, f)
			}
			if (f.Setting == "TWILIO_CONTENT_SID") != (f.Reason == notify.Misconfigured) {
				t.Errorf("%s, %s: names %q", name, channel, f.Setting)
			}
			if (f.Next == otp.NextAddress) != (f.Reason == notify.InvalidAddress) {
				t.Errorf("%s, %s: next %d", name, channel, f.Next)
			}
		}
	}
	if n := server.CallCount(); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// Both kinds of credentials get in, and the key is used where both are given.
func TestCredentials(t *testing.T) {
	key := func(o *Options) { o.APIKey, o.APISecret = twiliotest.APIKey, twiliotest.APISecret }
	for name, change := range map[string]func(*Options){
		"token":                          nil,
		"key":                            func(o *Options) { key(o); o.AuthToken = "" },
		"both, and the token is refused": func(o *Options) { key(o); o.AuthToken = strings.Repeat("0", 32) },
	} {
		t.Run(name, func(t *testing.T) {
			_, s := start(t, change)
			if err := s.Send(t.Context(), message()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("wrong", func(t *testing.T) {
		server, s := start(t, func(o *Options) { o.AuthToken = strings.Repeat("0", 32) })
		f := failure(t, s.Send(t.Context(), message()))
		if f.Reason != notify.Misconfigured || f.Code != 20003 || f.Setting != "TWILIO_AUTH_TOKEN" {
			t.Errorf("got %+v", f)
		}
		if n := server.CallCount(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// twilio-go would take these from the environment and change the host.
func TestTheEnvironmentDoesNotMoveCalls(t *testing.T) {
	t.Setenv("TWILIO_EDGE", "sydney")
	t.Setenv("TWILIO_REGION", "au1")
	server, s := start(t, nil)
	if err := s.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if n := len(server.Accepted()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// The redirect's target must not see the code or the credentials.
func TestRedirectIsNotFollowed(t *testing.T) {
	target := twiliotest.Start(twiliotest.Account{})
	defer target.Close()
	server, s := start(t, nil)
	server.Next(twiliotest.Redirect(target.URL + "/2010-04-01/Accounts/" + twiliotest.AccountSID + "/Messages.json"))
	f := failure(t, s.Send(t.Context(), message()))
	if f.Reason != notify.Misconfigured || f.Setting != "TWILIO_BASE_URL" || f.MayHaveSent {
		t.Errorf("got %+v", f)
	}
	if n, m := server.CallCount(), target.CallCount(); n != 1 || m != 0 {
		t.Errorf("%d calls, %d at the redirect's target", n, m)
	}
}

// Over real sockets too the end of the context ends a call that hangs. Deadlines
// are tested in the bubble, where a busy machine cannot disturb them.
func TestTheContextEndsACallOnLoopback(t *testing.T) {
	server, s := start(t, func(o *Options) { o.Timeout, o.TotalTimeout = time.Hour, time.Hour })
	server.For(recipient, twiliotest.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for server.CallCount() == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	err := s.Send(ctx, message())
	if f := failure(t, err); !f.MayHaveSent || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v (%+v)", err, f)
	}
	if n := server.CallCount(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// A port that nobody listens on: nothing was sent, and that is known.
func TestNoListener(t *testing.T) {
	// Too little time for a repetition, which the bubble tests without waiting.
	server, s := start(t, func(o *Options) { o.TotalTimeout = 2 * time.Second })
	server.Close()
	f := failure(t, s.Send(t.Context(), message()))
	if f.Reason != notify.Unavailable || f.MayHaveSent || f.Detail != "no connection" {
		t.Errorf("got %+v", f)
	}
}

func TestConcurrentSends(t *testing.T) {
	const n = 32
	server, s := start(t, nil)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if err := s.Send(t.Context(), message()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(server.Accepted()); got != n {
		t.Errorf("%d messages of %d", got, n)
	}
}

// The Sender's own transport over real sockets keeps its connection.
func TestOneConnectionForMessagesInARow(t *testing.T) {
	server, s := start(t, nil)
	server.Next(twiliotest.Refuse(400, 63024), twiliotest.Raw(400, "<html>"), twiliotest.Raw(200, ""))
	for range 20 {
		_ = s.Send(t.Context(), message())
	}
	if calls, n := server.CallCount(), server.Connections(); calls != 20 || n != 1 {
		t.Errorf("%d connections for %d calls", n, calls)
	}
}

func BenchmarkSend(b *testing.B) {
	server, s := start(b, nil)
	m := message()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Send(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if n := server.Connections(); n != 1 {
		b.Errorf("%d connections", n)
	}
}
