package gatewaytest

import (
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/testing/doubletest"
	"twofa/internal/testing/notifytest"
)

// Refusal is a message that must not reach a provider, so that there is no call.
type Refusal struct {
	Message  notify.Message
	Channels []channel.Channel // nil: all of the messenger
	Outcome  otp.Outcome
	Setting  string // of a misconfiguration. Empty: the variable of the template
}

// Changed returns a tracked message that change has changed.
func Changed(change func(*notify.Message)) notify.Message {
	m := Tracked()
	change(&m)
	return m
}

// CheckRefusals checks that the messenger itself refuses each message, and says so: such a
// failure says nothing about the provider.
func (m Messenger) CheckRefusals(t *testing.T, refusals map[string]Refusal) {
	b, _ := m.onLoopback(t, nil)
	for name, tc := range refusals {
		channels := tc.Channels
		if channels == nil {
			channels = m.Channels
		}
		setting := tc.Setting
		if setting == "" && tc.Outcome == otp.OutcomeMisconfigured {
			setting = m.TemplateVariable
		}
		for _, c := range channels {
			f := b.Failure(t, c, tc.Message)
			if f.Outcome != tc.Outcome || f.MayHaveSent || !f.Unasked {
				t.Errorf("%s, %s: got %+v", name, c, f)
			}
			if f.Setting != setting {
				t.Errorf("%s, %s: names %q", name, c, f.Setting)
			}
			if (f.Next == otp.NextAddress) != (f.Outcome == otp.OutcomeInvalidAddress) {
				t.Errorf("%s, %s: next %d", name, c, f.Next)
			}
		}
	}
	b.WantCalls(t, 0, 0)
}

// refusedBeforeAnyCall checks the messages that every messenger refuses.
func (m Messenger) refusedBeforeAnyCall(t *testing.T) {
	to := func(number string) Refusal {
		return Refusal{Message: Changed(func(m *notify.Message) { m.To = number }), Outcome: otp.OutcomeInvalidAddress}
	}
	of := func(outcome otp.Outcome, change func(*notify.Message), channels ...channel.Channel) Refusal {
		return Refusal{Message: Changed(change), Outcome: outcome, Channels: channels}
	}
	const unavailable = otp.OutcomeUnavailable
	refusals := map[string]Refusal{
		"no number":             to(""),
		"no plus":               to("14155550123"),
		"channel prefix":        to("whatsapp:+14155550123"),
		"two numbers":           to("+1415555<4155551"),
		"line end":              to("+14155550123\n"),
		"other digits":          to("+१४१५५५५०१२३"),
		"too long":              to("+1234567890123456"),
		"an e-mail address":     to("a@b.test"),
		"a WhatsApp user":       to("US.13491208655302741918"),
		"alert to no number":    {Message: notify.Message{Alert: true, Brand: "Acme"}, Outcome: otp.OutcomeInvalidAddress},
		"alert with a code":     of(unavailable, func(m *notify.Message) { m.Alert = true }),
		"notice with a code":    of(unavailable, func(m *notify.Message) { m.Alert, m.Notice = true, notify.NoticeAppAdded }),
		"no alert but a notice": {Message: notify.Message{To: Recipient, Notice: notify.NoticeAppAdded, Brand: "Acme"}, Outcome: unavailable},
		"no code":               of(unavailable, func(m *notify.Message) { m.Code = "" }),
		"expired":               of(unavailable, func(m *notify.Message) { m.ValidFor = 0 }),
		"long expired":          of(unavailable, func(m *notify.Message) { m.ValidFor = -time.Second }),
		"amount in template":    of(otp.OutcomeMisconfigured, func(m *notify.Message) { m.Amount = "EUR 1" }, channel.WhatsApp),
		"payee in template":     of(otp.OutcomeMisconfigured, func(m *notify.Message) { m.Payee = "Shop" }, channel.WhatsApp),
	}
	if m.has(channel.Call) {
		refusals["a code too long"] = of(unavailable, func(m *notify.Message) { m.Code = strings.Repeat("7", gateway.MaxSpokenCode+1) }, channel.Call)
	}
	m.CheckRefusals(t, refusals)
}

// failuresAfterACall checks that no failure of a call looks as if the messenger itself had
// refused the message.
func (m Messenger) failuresAfterACall(t *testing.T) {
	replies := map[string]Reply{
		"refused": m.Refused.Reply, "wrong credentials": m.Unauthorized.Reply, "throttled": m.Throttled.Reply, "broken": m.Broken.Reply,
		"no answer": doubletest.Hang(), "lost": doubletest.Drop(), "redirect": doubletest.Redirect("/"), "a page": doubletest.Raw(200, "<html>"),
	}
	for _, status := range statuses {
		replies["error "+number(status)] = m.Refuse(status)
	}
	for name, reply := range replies {
		for _, c := range m.Channels {
			m.inBubble(t, nil, func(t *testing.T, b bench, _ *notifytest.Pipes) {
				b.Double.For(Recipient, reply)
				if f := b.Failure(t, c, Tracked()); f.Unasked || b.Double.CallCount() == 0 {
					t.Errorf("%s, %s: got %+v after %d calls", name, c, f, b.Double.CallCount())
				}
			})
		}
	}
}

// failuresAreNotShared checks that each failure is a value of its own, which the caller may
// change.
func (m Messenger) failuresAreNotShared(t *testing.T) {
	b, _ := m.onLoopback(t, nil)
	for _, tc := range []Case{m.Unauthorized, m.Refused} {
		for _, c := range m.Channels {
			b.Double.Next(tc.Reply, tc.Reply)
			first := b.Failure(t, c, Tracked())
			first.Outcome, first.Detail = otp.OutcomeRefused, "changed"
			if second := b.Failure(t, c, Tracked()); *second != tc.Failure {
				t.Errorf("got %+v, want %+v", second, tc.Failure)
			}
		}
	}
}
