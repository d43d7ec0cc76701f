package otpsend_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

const (
	ownWhatsApp = "+14155238886"
	ownSMS      = "+14155238887"
)

// asker words a text with all that an address has to be escaped for.
type asker struct{}

func (asker) Ask(m notify.Message) string {
	return m.Brand + ": 50 % + 1 & more? #" + m.Locale + " Zürich 你好 \"" + m.Amount + "\" " + m.Payee + " " + m.Code
}

func verifyRequest(id otp.ID, code string) otpverify.Request {
	return otpverify.Request{ID: string(id), Code: code}
}

// textOf is the text that an app reads out of an address.
func textOf(t *testing.T, address, parameter string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(u.RawQuery, "+") {
		t.Errorf("%s: a + is a space for some and a + for others", address)
	}
	return u.Query().Get(parameter)
}

// The person sends the text; the client is given all ways to it.
func TestAStartByThePersonsMessageSendsNothingAndSaysWhatToSend(t *testing.T) {
	for _, tc := range []struct {
		name, whatsApp, sms, number string
	}{
		{"both", ownWhatsApp, ownSMS, ownWhatsApp},
		{"WhatsApp alone", ownWhatsApp, "", ownWhatsApp},
		{"SMS alone", "", ownSMS, ownSMS},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			b.s.Inbound = &otpsend.Inbound{WhatsApp: tc.whatsApp, SMS: tc.sms, Brand: "Acme", Texts: asker{}}
			a := b.start(otpsend.Request{To: alice, Channel: "inbound", Locale: "de", Context: otp.Context{Amount: "EUR 1", Payee: "Acme & Sons"}})
			want := `Acme: 50 % + 1 & more? #de Zürich 你好 "EUR 1" Acme & Sons ` + b.Code(a.ID)
			o := a.Inbound
			if o == nil || o.Number != tc.number || o.Text != want {
				t.Fatalf("offered %+v, want %q", o, want)
			}
			if tc.whatsApp != "" {
				if !strings.HasPrefix(o.WhatsAppURL, "https://wa.me/14155238886?text=") || textOf(t, o.WhatsAppURL, "text") != want {
					t.Errorf("WhatsApp: %s", o.WhatsAppURL)
				}
			} else if o.WhatsAppURL != "" {
				t.Errorf("WhatsApp: %s", o.WhatsAppURL)
			}
			if tc.sms != "" {
				if !strings.HasPrefix(o.SMSURL, "sms:+14155238887?body=") || textOf(t, o.SMSURL, "body") != want {
					t.Errorf("SMS: %s", o.SMSURL)
				}
			} else if o.SMSURL != "" {
				t.Errorf("SMS: %s", o.SMSURL)
			}
			if a.Status != otp.Pending || a.Channel != "inbound" || a.To != "+1******0123" || b.Sent() != 0 {
				t.Errorf("%+v, %d messages", a, b.Sent())
			}
			if got := b.status(a.ID); *got.Inbound != *o || got.Delivery != nil {
				t.Errorf("status %+v", got)
			}
		})
	}
}

// Its start cancels the code that the person may hold, so it may not be had
// without limit.
func TestAStartByThePersonsMessageIsCounted(t *testing.T) {
	b := newBench(t)
	b.s.Inbound = &otpsend.Inbound{SMS: ownSMS, Texts: asker{}}
	a := b.start(otpsend.Request{To: alice, Channel: "inbound"})
	if a.SendsLeft != 4 {
		t.Errorf("%d sends left", a.SendsLeft)
	}
	b.refused(otpsend.Request{To: alice, Channel: "inbound"}, problem.ResendTooSoon)
	_, err := b.resend(a.ID, "")
	if e := b.Refused(err, problem.InvalidRequest); e.Fields[0].Name != "channel" || b.Sent() != 0 {
		t.Errorf("resend: %s", fields(e))
	}
}

func TestAPersonsMessageProvesANumberAlone(t *testing.T) {
	b := newBench(t, every...)
	b.s.Inbound = &otpsend.Inbound{SMS: ownSMS, Texts: asker{}}
	b.User(user.User{Name: "canary-name", Email: rig.AliceMail})
	for _, req := range []otpsend.Request{{To: rig.AliceMail, Channel: "inbound"}, {User: "canary-name", Channel: "inbound"}} {
		if e := b.refused(req, problem.InvalidRequest); !strings.HasPrefix(fields(e), "channel: A person's own message proves a phone number") {
			t.Errorf("%s", fields(e))
		}
	}
	if e := b.refused(otpsend.Request{To: "+19005550123", Channel: "inbound"}, problem.DestinationRefused); e.Detail == "" {
		t.Error("no detail")
	}
}

// A test number goes through its script with nothing sent, and nothing counted.
func TestScriptsOfTestNumbers(t *testing.T) {
	const code = "424242"
	type attempt struct {
		channel string
		status  otp.DeliveryStatus
		err     int
	}
	for _, tc := range []struct {
		name     string
		ending   otp.Ending
		started  problem.Kind // "" for an answer
		status   otp.Status
		attempts []attempt
		checked  problem.Kind
	}{
		{"delivered", otp.EndsDelivered, "", otp.Pending, []attempt{{"whatsapp", otp.Delivered, 0}}, ""},
		{"undeliverable", otp.EndsUndeliverable, problem.Undeliverable, otp.Undeliverable,
			[]attempt{{"whatsapp", otp.Failed, 63024}, {"sms", otp.Failed, 21614}, {"call", otp.Failed, 21614}}, problem.Undeliverable},
		{"fallback", otp.EndsFallback, "", otp.Pending, []attempt{{"whatsapp", otp.Failed, 63024}, {"sms", otp.Delivered, 0}}, ""},
		{"expired", otp.EndsExpired, "", otp.Expired, []attempt{{"whatsapp", otp.Delivered, 0}}, problem.Expired},
		{"exhausted", otp.EndsExhausted, "", otp.Pending, []attempt{{"whatsapp", otp.Delivered, 0}}, problem.TooManyChecks},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, notify.WhatsApp, notify.SMS, notify.Call)
			b.Secret("a code", code)
			b.s.Carrier.Scripts = map[string]otp.Script{alice: {Ending: tc.ending, Code: code}}
			b.s.Carrier.ScriptsEnd = noon.Add(time.Hour)
			var id otp.ID
			for range 30 { // limits on sending do not hold for it
				a, replayed, err := b.s.Start(b.Ctx(), otpsend.Request{To: alice}, "")
				if id = a.ID; tc.started != "" {
					id = otp.ID(b.Refused(err, tc.started).ID)
				} else if err != nil || replayed || a.Status != otp.Pending {
					t.Fatalf("start: %+v %v", a, err)
				}
			}
			got := b.status(id)
			var attempts []attempt
			for _, a := range got.Delivery.Attempts {
				attempts = append(attempts, attempt{a.Channel, a.Status, a.Error})
			}
			if got.Status != tc.status || !slices.Equal(attempts, tc.attempts) || got.Delivery.Status != attempts[len(attempts)-1].status {
				t.Errorf("status %+v %+v", got, got.Delivery)
			}
			ok, err := b.Verify.Check(b.Ctx(), verifyRequest(id, code))
			if tc.checked != "" {
				b.Refused(err, tc.checked)
			} else if err != nil || ok.Status != otp.Approved {
				t.Errorf("check: %+v %v", ok, err)
			}
			if b.Sent() != 0 || len(b.Recipient(alice).Sends) != 0 {
				t.Errorf("%d messages, %d sends", b.Sent(), len(b.Recipient(alice).Sends))
			}
		})
	}
}

// A forgotten test number must not let anybody in by its fixed code for ever.
func TestTestNumbersEndByTheirDate(t *testing.T) {
	b := newBench(t)
	b.s.Carrier.Scripts = map[string]otp.Script{alice: {Ending: otp.EndsDelivered, Code: "424242"}}
	b.s.Carrier.ScriptsEnd = noon.Add(time.Hour)
	b.start(otpsend.Request{To: rig.Bob}) // any other number is sent to
	if b.Sent() != 1 {
		t.Errorf("%d messages to a number that is none of the tests'", b.Sent())
	}
	b.SetTime(b.s.Carrier.ScriptsEnd.Add(-1))
	b.start(otpsend.Request{To: alice})
	if b.Sent() != 1 {
		t.Error("a message was sent before the end")
	}
	b.SetTime(b.s.Carrier.ScriptsEnd)
	a := b.start(otpsend.Request{To: alice})
	if b.Sent() != 2 || b.wa.Last().Code != b.Code(a.ID) {
		t.Errorf("%d messages at the end", b.Sent())
	}
	_, err := b.Verify.Check(b.Ctx(), verifyRequest(a.ID, "424242"))
	if b.Code(a.ID) != "424242" {
		b.Refused(err, problem.WrongCode)
	}
}

// A resend of a test number's code sends nothing, either.
func TestAResendOfATestNumberIsOnlyTold(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS)
	b.s.Carrier.Scripts = map[string]otp.Script{alice: {Ending: otp.EndsDelivered, Code: "424242"}}
	b.s.Carrier.ScriptsEnd = noon.Add(time.Hour)
	a := b.start(otpsend.Request{To: alice})
	got, err := b.resend(a.ID, "next")
	if err != nil || got.Channel != "sms" || b.Sent() != 0 || b.status(a.ID).Delivery.Status != otp.Delivered {
		t.Errorf("%+v %v, %d messages", got, err, b.Sent())
	}
}
