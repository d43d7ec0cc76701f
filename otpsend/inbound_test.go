package otpsend_test

import (
	"net/url"
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
)

const (
	ownWhatsApp = "+14155238886"
	ownSMS      = "+14155238887"
)

// asker words a text with all characters that have to be escaped in a URL.
type asker struct{}

func (asker) Ask(m notify.Message) string {
	return m.Brand + ": 50 % + 1 & more? #" + m.Locale + " Zürich 你好 \"" + m.Amount + "\" " + m.Payee + " " + m.Code
}

// wantURL fails the test unless the URL begins so, and an app that opens it shows
// the text. Without a prefix, there must be no URL.
func wantURL(t *testing.T, address, prefix, parameter, want string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if prefix == "" && address != "" || !strings.HasPrefix(address, prefix) || prefix != "" && u.Query().Get(parameter) != want {
		t.Errorf("%s, want %s with %q", address, prefix, want)
	}
	if strings.Contains(u.RawQuery, "+") {
		t.Errorf("%s: some apps read + as a space, others as a plus sign", address)
	}
}

// The person sends the text; the client gets all ways to do so.
func TestAnInboundStartSendsNothingAndSaysWhatToSend(t *testing.T) {
	for _, tc := range []struct {
		name, whatsApp, sms, number string
		whatsAppURL, smsURL         string // their beginnings
	}{
		{"both", ownWhatsApp, ownSMS, ownWhatsApp, "https://wa.me/14155238886?text=", "sms:+14155238887?body="},
		{"WhatsApp alone", ownWhatsApp, "", ownWhatsApp, "https://wa.me/14155238886?text=", ""},
		{"SMS alone", "", ownSMS, ownSMS, "", "sms:+14155238887?body="},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rig.New(t)
			r.Send.Inbound = &otpsend.Inbound{WhatsApp: tc.whatsApp, SMS: tc.sms, Brand: func(string) string { return "Acme" }, Texts: asker{}}
			a := r.MustStart(otpsend.Request{To: alice, Channel: "inbound", Locale: "de", Transaction: otp.Transaction{Amount: "EUR 1", Payee: "Acme & Sons"}})
			want := `Acme: 50 % + 1 & more? #de Zürich 你好 "EUR 1" Acme & Sons ` + r.Code(a.ID)
			o := a.Inbound
			if o == nil || o.Number != tc.number || o.Text != want {
				t.Fatalf("offered %+v, want %q", o, want)
			}
			wantURL(t, o.WhatsAppURL, tc.whatsAppURL, "text", want)
			wantURL(t, o.SMSURL, tc.smsURL, "body", want)
			if a.Status != otp.Pending || a.Channel != "inbound" || a.To != "+1******0123" || r.Sent() != 0 {
				t.Errorf("%+v, %d messages", a, r.Sent())
			}
			if got := r.Status(a.ID); *got.Inbound != *o || got.Delivery != nil {
				t.Errorf("status %+v", got)
			}
		})
	}
}

// An inbound start cancels the code that the person may have, so the limits count
// it.
func TestAnInboundStartIsCounted(t *testing.T) {
	r := rig.New(t)
	inbound := otpsend.Request{To: alice, Channel: "inbound"}
	a := r.MustStart(inbound)
	if a.SendsLeft != 4 {
		t.Errorf("%d sends left", a.SendsLeft)
	}
	r.RefuseStart(inbound, problem.ResendTooSoon)
	pause(r)
	wantField(t, r.RefuseResend(a.ID, "", problem.InvalidRequest), "channel: ")
	if r.Sent() != 0 {
		t.Errorf("%d messages", r.Sent())
	}
}

func TestAnInboundStartNeedsANumber(t *testing.T) {
	r := newRig(t)
	r.User(user.User{Name: "canary-mail", Email: mail})
	for _, req := range []otpsend.Request{{To: mail, Channel: "inbound"}, {User: "canary-mail", Channel: "inbound"}} {
		wantField(t, r.RefuseStart(req, problem.InvalidRequest), "channel: The channel inbound needs a phone number.")
	}
	if e := r.RefuseStart(otpsend.Request{To: "+19005550123", Channel: "inbound"}, problem.DestinationRefused); e.Detail == "" {
		t.Error("no detail")
	}
}
