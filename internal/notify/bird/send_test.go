package bird

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/notifytest"
)

// The exact body of every form of message.
func TestParameters(t *testing.T) {
	alertTemplate := func(o *Options) { o.WhatsAppAlertTemplate = "en=" + birdtest.AlertTemplate }
	languages := func(o *Options) { o.WhatsAppTemplate = "en=" + birdtest.Template + ",pt_BR=" + birdtest.Template }
	byID := func(o *Options) { o.WhatsAppTemplate = "en=wat_01krdgeqcxet5s7t44vh8rt9mg" }
	payment := tracked()
	payment.Amount, payment.Payee = "EUR 25.00", "Bike Shop"
	event := alert()
	event.Event, event.Place = notify.EventOther, "Rome"
	trackedAlert := alert()
	trackedAlert.Verification, trackedAlert.Attempt = verification, 2
	hostile := tracked()
	hostile.Code = `"}{<&`
	brazilian := message()
	brazilian.Locale = "pt-BR"

	const (
		text        = ": 739184 is your Acme code. Valid for 10 minutes. Do not share it with anyone."
		paymentText = ": 739184 is your Acme code to approve a payment of EUR 25.00 to Bike Shop. Valid for 10 minutes. Do not share it with anyone."
		metadata    = `,"metadata":{"twofa_verification":"VE0123456789abcdef0123456789abcdef","twofa_attempt":"2"}`
		sms         = `{"to":"+14155550123","from":"+15005550006","category":"authentication"`
		whatsApp    = `{"to":"+14155550123","from":"+14155238886"`
		coded       = `,"template":{NAME,"language":"en","components":[{"type":"body","parameters":[{"type":"text","text":"CODE"}]},{"type":"button","parameters":[{"type":"text","text":"CODE"}]}]}`
		alertCoded  = `,"template":{"slug":"login_alert","language":"en","components":[{"type":"body","parameters":[{"type":"text","text":"Acme"}]}]}`
	)
	with := func(name, code string) string { return strings.NewReplacer("NAME", name, "CODE", code).Replace(coded) }
	template := with(`"slug":"login_code"`, code)
	for _, tc := range []struct {
		name    string
		channel channel.Channel
		change  func(*Options)
		m       notify.Message
		want    string
		shows   bool
	}{
		{"template", channel.WhatsApp, nil, tracked(), whatsApp + template + metadata + "}", false},
		{"no verification", channel.WhatsApp, nil, message(), whatsApp + template + "}", false},
		{"JSON, whatever the code is", channel.WhatsApp, nil, hostile, whatsApp + with(`"slug":"login_code"`, `\"}{<&`) + metadata + "}", false},
		{"template of a language", channel.WhatsApp, languages, brazilian, whatsApp + strings.Replace(template, `"en"`, `"pt-BR"`, 1) + "}", false},
		{"template of Bird's", channel.WhatsApp, withManaged, tracked(), `{"to":"+14155550123"` + with(`"slug":"bird_otp"`, code) + metadata + "}", false},
		{"template of Bird's beside a sender", channel.WhatsApp, func(o *Options) { o.WhatsAppTemplate = "en=bird_otp" }, message(), `{"to":"+14155550123"` + with(`"slug":"bird_otp"`, code) + "}", false},
		{"text", channel.WhatsApp, withText, tracked(), whatsApp + `,"text":{"body":"Chat` + text + `"}` + metadata + "}", true},
		{"text of a payment", channel.WhatsApp, withText, payment, whatsApp + `,"text":{"body":"Chat` + paymentText + `"}` + metadata + "}", true},
		{"alert with a template", channel.WhatsApp, alertTemplate, alert(), whatsApp + alertCoded + "}", false},
		{"event with a template", channel.WhatsApp, alertTemplate, event, whatsApp + alertCoded + "}", false},
		{"event without a template", channel.WhatsApp, nil, event, whatsApp + `,"text":{"body":"Chat event other in Rome of Acme"}}`, false},

		{"SMS", channel.SMS, nil, tracked(), sms + `,"text":"SMS` + text + `"` + metadata + "}", true},
		{"SMS without a verification", channel.SMS, nil, message(), sms + `,"text":"SMS` + text + `"}`, true},
		{"SMS of a payment", channel.SMS, nil, payment, sms + `,"text":"SMS` + paymentText + `"` + metadata + "}", true},
		{"SMS alert, whatever the templates", channel.SMS, alertTemplate, alert(), sms + `,"text":"SMS alert of Acme"}`, true},
		{"an alert is not tracked", channel.SMS, nil, trackedAlert, sms + `,"text":"SMS alert of Acme"}`, true},
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
				if h := calls[0].Header; h.Get("User-Agent") != "twofa" || h.Get("Accept-Encoding") != "" {
					t.Errorf("headers %v", h)
				}
				if want := map[channel.Channel]string{channel.SMS: "/v1/sms/messages", channel.WhatsApp: "/v1/whatsapp/messages"}[tc.channel]; calls[0].Path != want {
					t.Errorf("posted to %s", calls[0].Path)
				}
			})
		})
	}
	// The double has no template with an id, so that only the body is looked at.
	a := newAccount(t, func() Options { o := options(); byID(&o); return o }())
	body, err := json.Marshal(a.sender(channel.WhatsApp).body(message()))
	if want := whatsApp + with(`"id":"wat_01krdgeqcxet5s7t44vh8rt9mg"`, code) + "}"; err != nil || string(body) != want {
		t.Errorf("by id: %s, %v\nwant %s", body, err, want)
	}
}

func TestSenders(t *testing.T) {
	only := func(f func(*Options)) func(*Options) {
		return func(o *Options) {
			o.WhatsAppFrom, o.SMSFrom, o.WhatsAppTemplate, o.Channels = "", "", "", nil
			f(o)
		}
	}
	for name, tc := range map[string]struct {
		change func(*Options)
		want   []channel.Channel
	}{
		"all":                {nil, channels},
		"WhatsApp":           {only(func(o *Options) { o.WhatsAppFrom = birdtest.WhatsAppFrom }), []channel.Channel{channel.WhatsApp}},
		"a template of Bird": {only(withManaged), []channel.Channel{channel.WhatsApp}},
		"SMS":                {only(func(o *Options) { o.SMSFrom = "Acme" }), []channel.Channel{channel.SMS}},
		"none at all":        {only(func(*Options) {}), nil},
	} {
		r, _ := newRig(t, tc.change)
		senders := r.Senders()
		for _, c := range []channel.Channel{channel.WhatsApp, channel.SMS, channel.Call, channel.Email} {
			if got := senders[c] != nil; got != slices.Contains(tc.want, c) {
				t.Errorf("%s: sends over %s: %t", name, c, got)
			}
			if senders[c] != nil && senders.Provider(c) != "bird" {
				t.Errorf("the provider is %q", senders.Provider(c))
			}
		}
		clear(senders)
		if len(r.Senders()) != len(tc.want) {
			t.Errorf("%s: the account's senders can be changed from outside", name)
		}
	}
}

// Bird's own templates have a sender, but a text has none.
func TestATextWithoutASender(t *testing.T) {
	r, _ := newRig(t, withManaged)
	if f := r.Failure(t, channel.WhatsApp, alert()); f.Outcome != otp.OutcomeMisconfigured || f.Setting != "BIRD_WHATSAPP_FROM" || f.MayHaveSent || !f.Unasked {
		t.Errorf("got %+v", f)
	}
	r.WantCalls(t, 0, 0)
}

// All tries of a message have one key and one body. Every message has its own key; that of a
// message with a verification is always the same, so that a process that was restarted in
// the middle of a Send cannot send it twice.
func TestIdempotencyKeys(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
		other := tracked()
		other.Attempt = 3
		messages := []notify.Message{tracked(), other, message(), message(), alert(), alert()}
		keys := make(map[string]bool)
		for i, m := range messages {
			for _, c := range channels {
				r.Reset()
				r.Next(birdtest.Refuse(429, "E01006", "RateLimited", ""), birdtest.Hang())
				r.Send(t, c, m)
				calls := r.Calls()
				if len(calls) != 3 {
					t.Fatalf("%d calls", len(calls))
				}
				key := calls[0].Header.Get("Idempotency-Key")
				for _, call := range calls[1:] {
					if call.Header.Get("Idempotency-Key") != key || !reflect.DeepEqual(call.Body, calls[0].Body) {
						t.Errorf("message %d: the tries differ: %v", i, calls)
					}
				}
				keys[key] = true
				if strings.Contains(key, recipient[1:]) || strings.Contains(key, code) {
					t.Errorf("the key %s holds what must not be in it", key)
				}
			}
		}
		if want := 2 + 4*len(channels); len(keys) != want {
			t.Errorf("%d keys, want %d", len(keys), want)
		}
		r.Reset()
		r.Send(t, channel.SMS, tracked())
		if got := r.Calls()[0].Header.Get("Idempotency-Key"); got != "twofa-VE0123456789abcdef0123456789abcdef-2" || !keys[got] {
			t.Errorf("the key is %s", got)
		}
	})
}

// A Send that is repeated, by a process that was restarted, sends nothing. With another text
// it is not clear whether the message arrived, so that nothing may follow.
func TestARepeatedSend(t *testing.T) {
	r, _ := newRig(t, nil)
	r.Send(t, channel.SMS, tracked())
	r.Send(t, channel.SMS, tracked())
	r.WantCalls(t, 2, 1)
	later := tracked()
	later.ValidFor = 5 * time.Minute // another text
	f := r.Failure(t, channel.SMS, later)
	want := notify.Failure{Outcome: otp.OutcomeUnavailable, Word: "E01005", MayHaveSent: true, Detail: "the message was sent before with another text"}
	if *f != want {
		t.Errorf("got %+v", f)
	}
	r.WantCalls(t, 3, 1)
}

// The double refuses a wrong key, and the failure names it.
func TestWrongKey(t *testing.T) {
	r, _ := newRig(t, func(o *Options) { o.APIKey = "bk_eu1_" + strings.Repeat("0", 32) })
	f := r.Failure(t, channel.WhatsApp, message())
	if f.Outcome != otp.OutcomeMisconfigured || f.Setting != "BIRD_API_KEY" || f.Next != otp.NextAddress {
		t.Errorf("got %+v", f)
	}
	r.WantCalls(t, 1, 0)
}

// The same message at the same time, from two processes: one of them waits until the other
// one's request has ended, and the person gets one message.
func TestTheSameMessageTwiceAtOnce(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
		r.Next(birdtest.Accept().After(300 * time.Millisecond))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := r.sender(channel.SMS).Send(t.Context(), tracked()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if calls := r.CallCount(); len(r.Accepted()) != 1 || calls < 3 {
			t.Errorf("%d calls and %d messages", calls, len(r.Accepted()))
		}
		if line := r.Log.String(); !strings.Contains(line, `provider_word=E01004 detail="the try before is still running"`) {
			t.Errorf("logged %s", line)
		}
	})
}
