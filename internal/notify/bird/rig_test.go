package bird

import (
	"net/http"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/gatewaytest"
	"twofa/internal/testing/notifytest"
)

// recipient and code may appear only in the API call.
const (
	recipient    = gatewaytest.Recipient
	code         = gatewaytest.Code
	verification = gatewaytest.Verification
	ourURL       = "https://twofa.example"
)

func message() notify.Message { return gatewaytest.Message() }
func tracked() notify.Message { return gatewaytest.Tracked() }
func alert() notify.Message   { return gatewaytest.Alert() }

func options() Options {
	return Options{
		APIKey:           birdtest.APIKey,
		WhatsAppFrom:     birdtest.WhatsAppFrom,
		SMSFrom:          birdtest.SMSFrom,
		WhatsAppTemplate: birdtest.Language + "=" + birdtest.Template,
		WebhookSecret:    birdtest.WebhookSecret,
		PublicURL:        ourURL,
		Channels:         channels,
		Texts:            notifytest.Texts{},
	}
}

// Changes of the options.
func withText(o *Options) { o.WhatsAppTemplate = "" }
func withManaged(o *Options) {
	o.WhatsAppFrom, o.WhatsAppTemplate = "", birdtest.Language+"="+birdtest.Managed
}

// channels are those of an Account.
var channels = []channel.Channel{channel.WhatsApp, channel.SMS}

func newAccount(tb testing.TB, o Options) *Account {
	tb.Helper()
	a, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// sender is the sender of a channel.
func (a *Account) sender(c channel.Channel) *sender { return a.senders[c].(*sender) }

// optionsWith returns the options with the settings of a rig, changed by change.
func optionsWith(s gatewaytest.Settings, change func(*Options)) Options {
	o := options()
	o.BaseURL, o.Transport, o.Logger, o.Timeout, o.TotalTimeout = s.BaseURL, s.Transport, s.Logger, s.Timeout, s.TotalTimeout
	if change != nil {
		change(&o)
	}
	return o
}

// rig is an Account and the double that it calls.
type rig struct {
	*birdtest.Double
	*Account
	*gatewaytest.Rig
}

func openRig(tb testing.TB, double *birdtest.Double, s gatewaytest.Settings, change func(*Options)) *rig {
	tb.Helper()
	r := &rig{Double: double}
	r.Rig = gatewaytest.NewRig(double, s, func(s gatewaytest.Settings) notify.Senders {
		r.Account = newAccount(tb, optionsWith(s, change))
		return r.Account.Senders()
	})
	return r
}

// newRig starts the double on loopback. The Account has its own transport.
func newRig(tb testing.TB, change func(*Options)) (*rig, *birdtest.Server) {
	tb.Helper()
	server := birdtest.Start(birdtest.Account{})
	tb.Cleanup(server.Close)
	r := openRig(tb, server.Double, gatewaytest.Settings{BaseURL: server.URL}, change)
	if tr, ok := r.transport.(*http.Transport); ok {
		tb.Cleanup(tr.CloseIdleConnections)
	}
	return r, server
}

// inBubble runs a test in a synctest bubble. See [gatewaytest.InBubble].
func inBubble(t *testing.T, change func(*Options), test func(t *testing.T, r *rig, p *notifytest.Pipes)) {
	gatewaytest.InBubble(t, func(t *testing.T, s gatewaytest.Settings) (*rig, gatewaytest.Double) {
		r := openRig(t, birdtest.New(birdtest.Account{}), s, change)
		return r, r.Double
	}, test)
}
