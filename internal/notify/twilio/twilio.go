// Package twilio sends one-time codes over Twilio: WhatsApp messages and SMS
// over its Messages API, voice calls over its Calls API. Its Webhooks read what
// Twilio reports of them and what people answer.
//
// A message costs money and rings a phone, and Twilio has no idempotency for
// it. So this package must never send one blindly twice: after an ambiguous
// failure (a time-out, a lost connection, a server error) it tries once more
// and never again. It must never let a code, a number, a credential or the
// provider's words into an error or a log, and never believe a request that
// Twilio has not signed.
package twilio

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/twilio/twilio-go/client"

	"twofa/internal/notify"
)

// Where Twilio's requests arrive, below Options.PublicURL.
const (
	StatusPath  = "/hooks/twilio/status"
	InboundPath = "/hooks/twilio/inbound"
)

// Account is a Twilio account and what it can send with. It is safe for
// concurrent use. Use New. Its credentials stand behind a pointer, which fmt
// and slog do not follow.
type Account struct {
	client     *client.Client
	base       *url.URL
	customBase bool
	transport  http.RoundTripper

	texts                 Texts
	content, alertContent string
	publicURL             string // without a slash at the end; "" asks for no reports

	timeout, total time.Duration
	log            *slog.Logger

	senders map[notify.Channel]notify.Sender
}

// New returns an Account, or an error that lists every fault of the options by
// the name of its environment variable. It makes no call.
func New(o Options) (*Account, error) {
	if faults := o.Faults(); len(faults) > 0 {
		return nil, errors.New("twilio: " + strings.Join(faults, "\ntwilio: "))
	}
	if o.Texts == nil {
		return nil, errors.New("twilio: there are no Texts")
	}
	base, _ := parseBaseURL(o.BaseURL)
	publicURL, _ := parsePublicURL(o.PublicURL)
	a := &Account{
		base:         base,
		customBase:   base.Scheme+"://"+base.Host != defaultBaseURL,
		transport:    o.Transport,
		texts:        o.Texts,
		content:      o.ContentSID,
		alertContent: o.AlertContentSID,
		publicURL:    publicURL,
		timeout:      o.Timeout,
		total:        o.TotalTimeout,
		log:          o.Logger,
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
		a.transport = newTransport()
	}
	if a.timeout == 0 {
		a.timeout = defaultTimeout
	}
	if a.total == 0 {
		a.total = defaultTotal
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.senders = a.open(o, credentialsVariable)
	return a, nil
}

// open makes a sender for every channel that has what it needs. A number of
// its own is used alone, because the service may hold senders of other
// channels only.
func (a *Account) open(o Options, credentialsVariable string) map[notify.Channel]notify.Sender {
	senders := make(map[notify.Channel]notify.Sender)
	for _, c := range []struct {
		channel       notify.Channel
		from, service string
	}{
		{notify.WhatsApp, o.WhatsAppFrom, o.MessagingServiceSID},
		{notify.SMS, o.SMSFrom, o.MessagingServiceSID},
		{notify.Call, o.VoiceFrom, ""},
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
func (a *Account) Senders() map[notify.Channel]notify.Sender { return maps.Clone(a.senders) }

// callback is where Twilio is to report on the message, "" for nowhere. What
// the report is about stands in the query, which Twilio signs.
func (a *Account) callback(m notify.Message) string {
	if a.publicURL == "" || m.Verification == "" || m.Attempt < 1 {
		return ""
	}
	return a.publicURL + StatusPath + "?id=" + url.QueryEscape(string(m.Verification)) + "&attempt=" + strconv.Itoa(m.Attempt)
}
