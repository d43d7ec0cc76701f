// Package twilio sends one-time codes over Twilio: WhatsApp messages and SMS
// over its Messages API, voice calls over its Calls API. [Webhooks] reads
// Twilio's delivery reports and what people reply.
//
// A message costs money and rings a phone, and Twilio has no idempotency for
// messages. So after an ambiguous failure (a time-out, a lost connection, a
// server error) this package tries once more and never again. It must never put
// a code, a number, a credential or the provider's words into an error or a log,
// and never accept a request that Twilio has not signed.
package twilio

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twilio/twilio-go/client"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
)

// The paths of Twilio's requests to this service, below Options.PublicURL.
const (
	StatusPath  = "/hooks/twilio/status"
	InboundPath = "/hooks/twilio/inbound"
)

// Account is a Twilio account with its senders. It is safe for concurrent use.
// Use New. Its credentials are behind a pointer, which fmt and slog do not
// follow.
type Account struct {
	client     *client.Client
	base       *url.URL
	customBase bool
	transport  http.RoundTripper

	texts                 Texts
	content, alertContent templates
	publicURL             string // without a slash at the end. Empty: no delivery reports

	timeout, total time.Duration
	log            *slog.Logger

	senders notify.Senders
}

// New returns an Account, or an error that lists every fault of the options by
// the name of its environment variable. It calls nobody.
func New(o Options) (*Account, error) {
	if faults := o.Faults(); len(faults) > 0 {
		return nil, errors.New("twilio: " + strings.Join(faults, "\ntwilio: "))
	}
	if o.Texts == nil {
		return nil, errors.New("twilio: Options.Texts is not set")
	}
	base, _ := o.parseBaseURL() // Faults has checked them all
	publicURL, _ := gateway.ParsePublicURL(o.PublicURL)
	content, _ := readTemplates(o.ContentSID)
	alertContent, _ := readTemplates(o.AlertContentSID)
	a := &Account{
		base:         base,
		customBase:   base.Scheme+"://"+base.Host != defaultBaseURL,
		transport:    o.Transport,
		texts:        o.Texts,
		content:      content,
		alertContent: alertContent,
		publicURL:    publicURL,
		timeout:      cmp.Or(o.Timeout, gateway.DefaultTimeout),
		total:        cmp.Or(o.TotalTimeout, gateway.DefaultTotal),
		log:          cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
	}

	user, password, credentialsVariable := o.AccountSID, o.AuthToken, "TWILIO_AUTH_TOKEN"
	if o.APIKey != "" {
		user, password, credentialsVariable = o.APIKey, o.APISecret, "TWILIO_API_SECRET"
	}
	a.client = &client.Client{
		Credentials:         client.NewCredentials(user, password),
		UserAgentExtensions: []string{"twofa"},
	}
	a.client.SetAccountSid(o.AccountSID)

	if a.transport == nil {
		a.transport = gateway.NewTransport()
	}
	a.senders = a.newSenders(o, credentialsVariable)
	return a, nil
}

// newSenders makes a sender for every channel that has a number or a messaging
// service. If a channel has a number, the messaging service is not used for it,
// because the service may hold senders of other channels only.
func (a *Account) newSenders(o Options, credentialsVariable string) notify.Senders {
	senders := make(notify.Senders)
	for _, c := range []struct {
		channel       channel.Channel
		from, service string
	}{
		{channel.WhatsApp, o.WhatsAppFrom, o.MessagingServiceSID},
		{channel.SMS, o.SMSFrom, o.MessagingServiceSID},
		{channel.Call, o.VoiceFrom, ""},
	} {
		s := &sender{account: a, channel: c.channel, from: c.from}
		s.names = names{credentials: credentialsVariable, sender: senderVariables[c.channel]}
		if c.from == "" {
			s.service, s.names.sender = c.service, serviceVariable
		}
		if s.from != "" || s.service != "" {
			senders[c.channel] = s
		}
	}
	return senders
}

// Senders returns a sender for each channel that the account can send over,
// whether or not Options.Channels names it.
func (a *Account) Senders() notify.Senders { return maps.Clone(a.senders) }
