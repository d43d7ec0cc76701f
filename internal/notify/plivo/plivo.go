// Package plivo sends one-time codes over Plivo: WhatsApp messages and SMS over
// its Message API, voice calls over its Call API. [Webhooks] reads Plivo's
// reports and its requests for what a call says.
//
// A message costs money and rings a phone, and Plivo has no idempotency. So after
// an ambiguous failure (a time-out, a lost connection, a server error) this
// package tries once more and never again. It must never put a code, a number, a
// credential or the provider's words into an error, a log or a URL, and never
// accept a request that Plivo has not signed.
package plivo

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
)

// The paths of Plivo's requests to this service, below Options.PublicURL.
const (
	// StatusPath gets the reports on messages, and on calls when they end.
	StatusPath = "/hooks/plivo/status"
	// AnswerPath gets the question what an answered call says.
	AnswerPath = "/hooks/plivo/answer"
)

// Name is the provider's name in routes, paths and logs.
const Name = "plivo"

// Account is a Plivo account with its senders. It is safe for concurrent use. Use
// New. Package fmt and slog do not print its credentials.
type Account struct {
	credentials *credentials
	base        *url.URL
	customBase  bool
	transport   http.RoundTripper

	texts                   Texts
	template, alertTemplate gateway.Templates
	dlt                     dlt
	publicURL               string // without a slash at the end. Empty: no reports, no calls

	timeout, total time.Duration
	log            *slog.Logger

	senders notify.Senders
}

// credentials are the user and the password of HTTP Basic. They are behind two
// pointers, because fmt follows the first one for verbs that do not fit, such as %s.
type credentials struct{ *pair }

type pair struct{ id, token string }

func newCredentials(id, token string) *credentials { return &credentials{&pair{id, token}} }

// dlt is what India's carriers want to know of each SMS. The zero value has nothing.
type dlt struct{ entity, template, category string }

// New returns an Account, or an error that lists every fault of the options by
// the name of its environment variable. It calls nobody.
func New(o Options) (*Account, error) {
	if faults := o.Faults(); len(faults) > 0 {
		return nil, errors.New("plivo: " + strings.Join(faults, "\nplivo: "))
	}
	if o.Texts == nil {
		return nil, errors.New("plivo: Options.Texts is not set")
	}
	base, _ := o.parseBaseURL() // Faults has checked them all
	publicURL, _ := gateway.ParsePublicURL(o.PublicURL)
	template, _ := gateway.ReadTemplates(o.WhatsAppTemplate, isTemplate)
	alertTemplate, _ := gateway.ReadTemplates(o.WhatsAppAlertTemplate, isTemplate)
	a := &Account{
		credentials:   newCredentials(o.AuthID, o.AuthToken),
		base:          base,
		customBase:    base.Scheme+"://"+base.Host != defaultBaseURL,
		transport:     o.Transport,
		texts:         o.Texts,
		template:      template,
		alertTemplate: alertTemplate,
		dlt:           dlt{o.DLTEntityID, o.DLTTemplateID, o.DLTTemplateCategory},
		publicURL:     publicURL,
		timeout:       cmp.Or(o.Timeout, gateway.DefaultTimeout),
		total:         cmp.Or(o.TotalTimeout, gateway.DefaultTotal),
		log:           cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		senders:       make(notify.Senders),
	}
	if a.transport == nil {
		a.transport = gateway.NewTransport()
	}
	for c, from := range map[channel.Channel]string{channel.WhatsApp: o.WhatsAppFrom, channel.SMS: o.SMSFrom, channel.Call: o.CallFrom} {
		s := &sender{account: a, channel: c, from: digitsOf(from), setting: senderVariables[c]}
		if c == channel.SMS && from == "" {
			s.powerpack, s.setting = o.PowerpackUUID, powerpackVariable
		}
		if s.from != "" || s.powerpack != "" {
			a.senders[c] = s
		}
	}
	return a, nil
}

// Senders returns a sender for each channel that the account can send over,
// whether or not Options.Channels names it.
func (a *Account) Senders() notify.Senders { return maps.Clone(a.senders) }
