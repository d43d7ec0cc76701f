package bird

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
)

// Options are the settings of an Account. Every fault that New reports names the field's
// environment variable, never a value.
type Options struct {
	// APIKey (BIRD_API_KEY) is a key of the workspace, bk_{region}_…. The region says which
	// host is called.
	APIKey string `json:"-"`

	// SMSFrom (BIRD_SMS_FROM) is the SMS sender: a number in E.164, a short code, or a name
	// of at most 11 characters. WhatsAppFrom (BIRD_WHATSAPP_FROM) is the WhatsApp sender in
	// E.164. It may be empty if all templates are Bird's own, which have their own senders.
	SMSFrom      string
	WhatsAppFrom string
	// Channels are those that messages go over Bird for: each of them must have a sender.
	// Senders of other channels may be set too.
	Channels []channel.Channel

	// WhatsAppTemplate (BIRD_WHATSAPP_TEMPLATE) is the approved authentication template of
	// WhatsApp with a copy-code button, by its handle or its id at Bird, with its language,
	// or several: "en=login_code,de=login_code". Its only variable is the code. A handle
	// that begins with bird_ is one of Bird's own templates. Empty: messages are sent as
	// text, which WhatsApp delivers only within 24 hours of the person's last message.
	// WhatsAppAlertTemplate (BIRD_WHATSAPP_ALERT_TEMPLATE) has the same form, for the
	// template of alerts and notices. Its only variable is the brand.
	WhatsAppTemplate      string
	WhatsAppAlertTemplate string

	// WebhookSecret (BIRD_WEBHOOK_SECRET) is what Bird signs its reports with, whsec_ and
	// base64. Bird shows it once, when the webhook is registered. Empty: no reports.
	WebhookSecret string `json:"-"`

	// Texts writes the messages. Required.
	Texts Texts

	// PublicURL (TWOFA_PUBLIC_URL) is the service's own URL, scheme and host only. Bird
	// reports to StatusPath below it. Plain http is accepted for loopback only.
	PublicURL string
	// BaseURL (BIRD_BASE_URL) replaces scheme and host of every API call. Empty:
	// https://{region}.platform.bird.com. It has no path. Plain http is accepted for
	// loopback only, unless AllowPlainHTTP (TWOFA_ALLOW_PLAIN_HTTP) is set: every call
	// carries the key and the code.
	BaseURL        string
	AllowPlainHTTP bool
	// Timeout limits each try, from dialling to the end of the response; 0 means 5 s.
	// TotalTimeout limits a Send with its pauses and repetitions; 0 means 12 s, enough for
	// two full tries. If the deadline of the caller's context is earlier, it applies
	// instead.
	Timeout, TotalTimeout time.Duration
	// Transport replaces the Account's own transport, for tests. It must not repeat
	// requests.
	Transport http.RoundTripper
	// Logger logs repetitions: reason and pause, never a number, a code or a text. Nil: no
	// log. The caller logs the outcome.
	Logger *slog.Logger
}

// Format hides the credentials from all verbs of fmt.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprint(f, "bird.Options(hidden)") }

// LogValue hides the credentials from slog.
func (o Options) LogValue() slog.Value { return slog.StringValue("bird.Options(hidden)") }

// Texts writes a message for each channel. Its texts are sent unchanged.
type Texts interface {
	// Chat is a WhatsApp message, at most 1,600 characters.
	Chat(notify.Message) string
	// SMS is a text message, at most 1,600 characters.
	SMS(notify.Message) string
}

const lowerDigits = gateway.Lower + gateway.Digits

// region returns the region in an API key. ok is false if the key has another form. The
// region becomes part of a host name, so it is letters and digits only.
func region(key string) (region string, ok bool) {
	rest, isKey := strings.CutPrefix(key, "bk_")
	region, token, _ := strings.Cut(rest, "_")
	ok = isKey && len(key) <= 256 && len(region) <= 16 && gateway.ConsistsOf(region, lowerDigits) &&
		gateway.ConsistsOf(token, lowerDigits+gateway.Upper+"_-")
	return region, ok
}

// minSecret and maxSecret are the limits of Standard Webhooks for a secret, in bytes.
const (
	minSecret = 24
	maxSecret = 64
)

// readSecret returns the key in a webhook's secret.
func readSecret(secret string) (key []byte, ok bool) {
	encoded, isSecret := strings.CutPrefix(secret, "whsec_")
	if !isSecret || len(encoded) > base64.StdEncoding.EncodedLen(maxSecret) || strings.ContainsAny(encoded, "\r\n") { // which the decoder skips
		return nil, false
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	return key, err == nil && len(key) >= minSecret && len(key) <= maxSecret
}

// isSenderName reports whether s can be an SMS sender that is a name. It has at least one
// letter.
func isSenderName(s string) bool {
	letters := gateway.Lower + gateway.Upper
	return len(s) <= 11 && gateway.ConsistsOf(s, letters+gateway.Digits+" _-") && strings.ContainsAny(s, letters) && strings.TrimSpace(s) == s
}

func isSMSSender(s string) bool { return gateway.IsSMSSender(s, isSenderName) }

// isTemplate reports whether s can be the handle or the id of a template.
func isTemplate(s string) bool {
	return gateway.ConsistsOf(s, lowerDigits+"_-") && len(s) <= 63 && strings.Trim(s, "_-") == s
}

// isManaged reports whether a template is one of Bird's own, whose sender Bird chooses.
func isManaged(template string) bool { return strings.HasPrefix(template, "bird_") }

// Faults returns everything that is wrong with the options. Each text begins with the name
// of an environment variable, and none quotes a value.
func (o Options) Faults() (faults []string) {
	fault := func(text string) { faults = append(faults, text) }
	if o.APIKey == "" {
		fault(keyVariable + " is not set")
	} else if _, ok := region(o.APIKey); !ok {
		fault(keyVariable + " has to be bk_, a region and a token, like bk_eu1_…, as the Bird console shows it")
	}
	if o.WebhookSecret != "" {
		if _, ok := readSecret(o.WebhookSecret); !ok {
			fault(secretVariable + whatASecretHasToBe)
		}
	}
	faults = append(faults, o.senderFaults()...)
	if o.BaseURL != "" {
		if _, err := o.parseBaseURL(); err != nil {
			fault(err.Error())
		}
	}
	if _, err := gateway.ParsePublicURL(o.PublicURL); err != nil {
		fault(err.Error())
	}
	if o.Timeout < 0 || o.TotalTimeout < 0 {
		fault("the time-outs must not be negative")
	}
	return faults
}

const whatASecretHasToBe = " has to be whsec_ and the base64 of 24 to 64 bytes, as Bird shows it when a webhook is registered"

// senderFaults is the part of Faults about the senders and their templates.
func (o Options) senderFaults() (faults []string) {
	fault := func(text string) { faults = append(faults, text) }
	sms, whatsApp := senderVariables[channel.SMS], senderVariables[channel.WhatsApp]
	switch {
	case o.SMSFrom != "" && !isSMSSender(o.SMSFrom):
		fault(sms + " has to be a number like +14155238886, a short code, or a name of at most 11 letters, digits, spaces, hyphens and underscores")
	case o.SMSFrom == "" && slices.Contains(o.Channels, channel.SMS):
		fault(sms + " is not set")
	}
	switch {
	case o.WhatsAppFrom != "" && !gateway.IsE164(o.WhatsAppFrom):
		fault(whatsApp + " has to be the WhatsApp sender's number, like +14155238886")
	case o.WhatsAppFrom == "" && o.WhatsAppTemplate == "" && slices.Contains(o.Channels, channel.WhatsApp):
		fault(whatsApp + " is not set, and neither is " + templateVariable)
	}
	for _, t := range []struct{ variable, setting string }{{templateVariable, o.WhatsAppTemplate}, {alertTemplateVariable, o.WhatsAppAlertTemplate}} {
		templates, ok := gateway.ReadTemplates(t.setting, isTemplate)
		switch {
		case !ok:
			fault(t.variable + gateway.WhatATemplateHasToBe)
		case o.WhatsAppFrom == "" && slices.ContainsFunc(templates.Names(), func(n string) bool { return !isManaged(n) }):
			fault(t.variable + " names a template that is not Bird's own (bird_…), and " + whatsApp + " is not set")
		}
	}
	return faults
}

// parseBaseURL returns where API calls go. The key has to be valid.
func (o Options) parseBaseURL() (*url.URL, error) {
	return gateway.ParseBaseURL(baseURLVariable, cmp.Or(o.BaseURL, o.defaultBaseURL()), o.AllowPlainHTTP)
}

func (o Options) defaultBaseURL() string {
	region, _ := region(o.APIKey)
	return "https://" + region + ".platform.bird.com"
}

// isCustom reports whether calls go to another server than Bird's own.
func (o Options) isCustom(base *url.URL) bool {
	return base.Scheme+"://"+base.Host != o.defaultBaseURL()
}
