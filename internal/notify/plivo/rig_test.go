package plivo

import (
	"net/http"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/testing/gatewaytest"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/plivotest"
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
		AuthID:           plivotest.AuthID,
		AuthToken:        plivotest.AuthToken,
		WhatsAppFrom:     plivotest.WhatsAppFrom,
		SMSFrom:          plivotest.SMSFrom,
		CallFrom:         plivotest.CallFrom,
		WhatsAppTemplate: plivotest.Language + "=" + plivotest.Template,
		PublicURL:        ourURL,
		Channels:         channels,
		Texts:            notifytest.Texts{},
	}
}

// Changes of the options.
func withPowerpack(o *Options) { o.SMSFrom, o.PowerpackUUID = "", plivotest.PowerpackUUID }
func withText(o *Options)      { o.WhatsAppTemplate = "" }

// channels are those of an Account.
var channels = []channel.Channel{channel.WhatsApp, channel.SMS, channel.Call}

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
	*plivotest.Double
	*Account
	*gatewaytest.Rig
}

func openRig(tb testing.TB, double *plivotest.Double, s gatewaytest.Settings, change func(*Options)) *rig {
	tb.Helper()
	r := &rig{Double: double}
	r.Rig = gatewaytest.NewRig(double, s, func(s gatewaytest.Settings) notify.Senders {
		r.Account = newAccount(tb, optionsWith(s, change))
		return r.Account.Senders()
	})
	return r
}

// newRig starts the double on loopback. The Account has its own transport.
func newRig(tb testing.TB, change func(*Options)) (*rig, *plivotest.Server) {
	tb.Helper()
	server := plivotest.Start(plivotest.Account{})
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
		r := openRig(t, plivotest.New(plivotest.Account{}), s, change)
		return r, r.Double
	}, test)
}
