package gatewaytest

import (
	"maps"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/testing/doubletest"
	"twofa/internal/testing/notifytest"
)

// Canary is a provider's word that must appear nowhere.
const Canary = "canary-of-the-provider"

// statuses are those of answers with an error.
var statuses = []int{400, 401, 402, 403, 404, 405, 409, 421, 422, 500, 503}

// Secrecy is what the check for secrets needs to know of a messenger.
type Secrecy struct {
	Secrets notifytest.Secrets // credentials. The message's own secrets are added
	Kinds   map[string]Kind
	Replies map[string]Reply // those of the provider alone
	// Call returns the parts of a request that must hold no secret, by name. nil: none is
	// checked.
	Call func(doubletest.Call) map[string]string
}

// Kind is a way in which a message is sent.
type Kind struct {
	Open    func(testing.TB, Settings) notify.Senders // nil: that of the messenger
	Channel channel.Channel
	Alert   bool
}

// nothingSecret checks that errors and logs hold no secret, whatever the provider answers:
// its words quote the number and the text.
func (m Messenger) nothingSecret(t *testing.T) {
	secrets := notifytest.Secrets{"number": Recipient[1:], "code": Code, "amount": "EUR 77.31", "payee": "Canary Shop", "provider word": Canary}
	maps.Copy(secrets, m.Secrecy.Secrets)
	replies := map[string]Reply{
		"accepted":      doubletest.Accept(),
		"hang":          doubletest.Hang(),
		"drop":          doubletest.Drop(),
		"cut":           doubletest.Cut(),
		"redirect":      doubletest.Redirect("https://" + Canary + ".test/?to=" + Recipient),
		"throttle":      m.Throttled.Reply.With("Retry-After", "1"),
		"status text":   doubletest.Raw(400, Canary+" "+Recipient),
		"success text":  doubletest.Raw(m.Success.Status, `{"id":"`+Canary+`","error":"`+Recipient+`"}`),
		"broken header": doubletest.Raw(500, Canary).With("Retry-After", Canary),
	}
	for _, status := range statuses {
		replies["error "+number(status)] = m.Refuse(status)
	}
	maps.Copy(replies, m.Secrecy.Replies)

	global := notifytest.GlobalLog(t) // net/http writes to it
	for kind, k := range m.Secrecy.Kinds {
		open := k.Open
		if open == nil {
			open = m.Open
		}
		for name, reply := range replies {
			t.Run(kind+"/"+name, func(t *testing.T) {
				InBubble(t, func(t *testing.T, s Settings) (bench, Double) {
					b := m.newBench(t, s, nil, open)
					return b, b.Double
				}, func(t *testing.T, b bench, _ *notifytest.Pipes) {
					b.Double.For(Recipient, reply)
					message := Tracked()
					switch {
					case k.Alert:
						message = Alert()
					case b.senders.ShowsTransaction(k.Channel):
						message.Amount, message.Payee = secrets["amount"], secrets["payee"]
					}
					err := b.Try(t, k.Channel, message)
					if b.Double.CallCount() == 0 {
						t.Fatal("there was no call, so this test shows nothing")
					}
					secrets.CheckError(t, err)
					secrets.Check(t, "the log", b.Log.String())
					if m.Secrecy.Call == nil {
						return
					}
					for _, call := range b.Double.Calls() {
						for part, text := range m.Secrecy.Call(call) {
							secrets.Check(t, part, text)
						}
					}
				})
			})
		}
	}
	secrets.Check(t, "the global log", global.String())
}

// hostile checks what follows if the server is broken, or not the provider. A send ends in
// time, reads and keeps little, and makes no more tries than are allowed.
func (m Messenger) hostile(t *testing.T) {
	h := m.Hostile
	h.MaxBody, h.Tries = gateway.MaxBody, 2
	if m.Repeatable {
		h.Tries = gateway.MaxTries
	}
	h.Send = func(t *testing.T, base string, timeout, total time.Duration) error {
		b := m.newBench(t, Settings{BaseURL: base, Timeout: timeout, TotalTimeout: total}, nil, m.Open)
		return b.Try(t, channel.WhatsApp, Message())
	}
	h.Check(t)
}
