// Package bird sends one-time codes over Bird, the successor of MessageBird: WhatsApp
// messages and SMS over its platform API. [Webhooks] reads Bird's reports.
//
// A message costs money and rings a phone. Bird recognizes the repetition of a request by
// its Idempotency-Key and does not send a second message for it. So this package tries
// again after an ambiguous failure, always with the same key. It must never put a code, a
// number, a credential or the provider's words into an error, a log or a URL, and never
// accept a report that Bird has not signed.
//
// Paths, bodies, words and signatures are those of Bird's own SDKs and the schema in them
// (2026-11). Nothing was called. Assumed are: the characters of an API key; that a
// webhook-id has no dot; that Bird gives metadata back as it was sent; which field a
// refusal's param blames; that 421 is the answer to a key of another region.
package bird

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

// StatusPath gets the reports on messages, below Options.PublicURL. The operator registers
// it once in Bird's console, as a webhook for the events sms.* and whatsapp.*.
const StatusPath = "/hooks/bird/status"

// Name is the provider's name in routes, paths and logs.
const Name = "bird"

// Account is a workspace at Bird with its senders. It is safe for concurrent use. Use New.
// Package fmt and slog do not print its key.
type Account struct {
	apiKey     *string // fmt prints the address of a pointer to a string
	base       *url.URL
	customBase bool
	transport  http.RoundTripper

	texts                   Texts
	template, alertTemplate gateway.Templates

	timeout, total time.Duration
	log            *slog.Logger

	senders notify.Senders
}

// New returns an Account, or an error that lists every fault of the options by the name
// of its environment variable. It calls nobody.
func New(o Options) (*Account, error) {
	if faults := o.Faults(); len(faults) > 0 {
		return nil, errors.New("bird: " + strings.Join(faults, "\nbird: "))
	}
	if o.Texts == nil {
		return nil, errors.New("bird: Options.Texts is not set")
	}
	base, _ := o.parseBaseURL() // Faults has checked them all
	template, _ := gateway.ReadTemplates(o.WhatsAppTemplate, isTemplate)
	alertTemplate, _ := gateway.ReadTemplates(o.WhatsAppAlertTemplate, isTemplate)
	a := &Account{
		apiKey:        new(o.APIKey),
		base:          base,
		customBase:    o.isCustom(base),
		transport:     o.Transport,
		texts:         o.Texts,
		template:      template,
		alertTemplate: alertTemplate,
		timeout:       cmp.Or(o.Timeout, gateway.DefaultTimeout),
		total:         cmp.Or(o.TotalTimeout, gateway.DefaultTotal),
		log:           cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		senders:       make(notify.Senders),
	}
	if a.transport == nil {
		a.transport = gateway.NewTransport()
	}
	if o.SMSFrom != "" {
		a.senders[channel.SMS] = &sender{account: a, channel: channel.SMS, from: o.SMSFrom}
	}
	if o.WhatsAppFrom != "" || template.Exist() {
		a.senders[channel.WhatsApp] = &sender{account: a, channel: channel.WhatsApp, from: o.WhatsAppFrom}
	}
	return a, nil
}

// Senders returns a sender for each channel that the account can send over, whether or not
// Options.Channels names it.
func (a *Account) Senders() notify.Senders { return maps.Clone(a.senders) }
