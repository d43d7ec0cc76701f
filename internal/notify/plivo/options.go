package plivo

import (
	"cmp"
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

// Options are the settings of an Account. Every fault that New reports names the
// field's environment variable, never a value.
type Options struct {
	// AuthID (PLIVO_AUTH_ID) and AuthToken (PLIVO_AUTH_TOKEN) are the credentials
	// of an account or a subaccount. Plivo signs its requests with the token.
	AuthID    string
	AuthToken string `json:"-"`

	// SMSFrom (PLIVO_SMS_FROM) is the SMS sender: a number in E.164, a short code,
	// or a name of at most 11 letters and digits. PowerpackUUID
	// (PLIVO_POWERPACK_UUID) names instead the pool of senders that Plivo picks
	// from. WhatsAppFrom (PLIVO_WHATSAPP_FROM) is the WhatsApp sender in E.164.
	// CallFrom (PLIVO_CALL_FROM) is the number in E.164 that calls come from. Calls
	// need PublicURL, because Plivo asks there what a call says.
	SMSFrom       string
	PowerpackUUID string
	WhatsAppFrom  string
	CallFrom      string
	// Channels are those that messages go over Plivo for: each of them must have a
	// sender. Senders of other channels may be set too.
	Channels []channel.Channel

	// WhatsAppTemplate (PLIVO_WHATSAPP_TEMPLATE) is the approved authentication
	// template of WhatsApp with a copy-code button, with its language, or several:
	// "en_US=login_code,de=login_code". Its only variable is the code. Empty:
	// messages are sent as text, which WhatsApp delivers only within 24 hours of the
	// person's last message. WhatsAppAlertTemplate (PLIVO_WHATSAPP_ALERT_TEMPLATE)
	// has the same form, for the template of alerts and notices. Its only variable
	// is the brand.
	WhatsAppTemplate      string
	WhatsAppAlertTemplate string

	// DLTEntityID, DLTTemplateID and DLTTemplateCategory (PLIVO_DLT_ENTITY_ID,
	// PLIVO_DLT_TEMPLATE_ID, PLIVO_DLT_TEMPLATE_CATEGORY) are what is registered
	// with India's carriers. They go with SMS to India only. The category is
	// optional.
	DLTEntityID, DLTTemplateID, DLTTemplateCategory string

	// Texts writes the messages. Required.
	Texts Texts

	// PublicURL (TWOFA_PUBLIC_URL) is the service's own URL, scheme and host only.
	// If it is set, Plivo reports on each message that has a Verification and an
	// Attempt. Plain http is accepted for loopback only.
	PublicURL string
	// BaseURL (PLIVO_BASE_URL) replaces scheme and host of every API call. Empty:
	// https://api.plivo.com. It has no path. Plain http is accepted for loopback
	// only, unless AllowPlainHTTP (TWOFA_ALLOW_PLAIN_HTTP) is set: every call
	// carries the credentials and the code.
	BaseURL        string
	AllowPlainHTTP bool
	// Timeout limits each try, from dialling to the end of the response; 0 means
	// 5 s. TotalTimeout limits a Send with its pauses and repetitions; 0 means
	// 12 s, enough for two full tries. If the deadline of the caller's context
	// is earlier, it applies instead.
	Timeout, TotalTimeout time.Duration
	// Transport replaces the Account's own transport, for tests. It must not
	// repeat requests.
	Transport http.RoundTripper
	// Logger logs repetitions: reason and pause, never a number, a code or a text.
	// Nil: no log. The caller logs the outcome.
	Logger *slog.Logger
}

// Format hides the credentials from all verbs of fmt.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprint(f, "plivo.Options(hidden)") }

// LogValue hides the credentials from slog.
func (o Options) LogValue() slog.Value { return slog.StringValue("plivo.Options(hidden)") }

// Texts writes a message for each channel. Its texts are sent unchanged, except
// that calls escape and shorten them.
type Texts interface {
	// Chat is a WhatsApp message, at most 1,600 characters.
	Chat(notify.Message) string
	// SMS is a text message, at most 1,600 characters.
	SMS(notify.Message) string
	// Speech is what a call says.
	Speech(notify.Message) notify.Speech
}

const defaultBaseURL = "https://api.plivo.com"

// isAuthID reports whether s names an account or a subaccount.
func isAuthID(s string) bool {
	return len(s) == 20 && (s[:2] == "MA" || s[:2] == "SA") && gateway.ConsistsOf(s, gateway.Upper+gateway.Digits)
}

func isToken(s string) bool { return gateway.ConsistsOf(s, gateway.Upper+gateway.Lower+gateway.Digits) }

const uuidSize = 36

// isUUID reports whether s has the form of a UUID, in letters of either case.
func isUUID(s string) bool {
	if len(s) != uuidSize {
		return false
	}
	for i, c := range []byte(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') || !dash && strings.IndexByte(gateway.Digits+"abcdefABCDEF", c) < 0 {
			return false
		}
	}
	return true
}

// isSenderName reports whether s can be an SMS sender that is a name. Plivo drops all
// other characters of a name, so they are refused here.
func isSenderName(s string) bool { return isToken(s) && len(s) <= 11 }

func isSMSSender(s string) bool { return gateway.IsSMSSender(s, isSenderName) }

// isTemplate reports whether s can be the name of a template of WhatsApp.
func isTemplate(s string) bool {
	return gateway.ConsistsOf(s, gateway.Lower+gateway.Digits+"_") && len(s) <= 512
}

// Faults returns everything that is wrong with the options. Each text begins with
// the name of an environment variable, and none quotes a value.
func (o Options) Faults() (faults []string) {
	fault := func(text string) { faults = append(faults, text) }
	switch {
	case o.AuthID == "":
		fault(idVariable + " is not set")
	case !isAuthID(o.AuthID):
		fault(idVariable + whatAnIDHasToBe)
	}
	switch {
	case o.AuthToken == "":
		fault(tokenVariable + " is not set")
	case !isToken(o.AuthToken):
		fault(tokenVariable + whatATokenHasToBe)
	}
	faults = append(faults, o.senderFaults()...)
	if _, ok := gateway.ReadTemplates(o.WhatsAppTemplate, isTemplate); !ok {
		fault(templateVariable + gateway.WhatATemplateHasToBe)
	}
	if _, ok := gateway.ReadTemplates(o.WhatsAppAlertTemplate, isTemplate); !ok {
		fault(alertTemplateVariable + gateway.WhatATemplateHasToBe)
	}
	faults = append(faults, o.dltFaults()...)
	if _, err := o.parseBaseURL(); err != nil {
		fault(err.Error())
	}
	if _, err := gateway.ParsePublicURL(o.PublicURL); err != nil {
		fault(err.Error())
	}
	if o.Timeout < 0 || o.TotalTimeout < 0 {
		fault("the time-outs must not be negative")
	}
	return faults
}

const (
	whatAnIDHasToBe   = " has to be MA or SA and 18 capital letters and digits, as the Plivo console shows it"
	whatATokenHasToBe = " has to be letters and digits, as the Plivo console shows it"
)

// senderFaults is the part of Faults about the senders.
func (o Options) senderFaults() (faults []string) {
	fault := func(text string) { faults = append(faults, text) }
	for _, s := range []struct {
		channel       channel.Channel
		from          string
		ok            func(string) bool
		whatItHasToBe string
	}{
		{channel.WhatsApp, o.WhatsAppFrom, gateway.IsE164, "the WhatsApp sender's number, like +14155238886"},
		{channel.SMS, o.SMSFrom, isSMSSender, "a number like +14155238886, a short code, or a name of at most 11 letters and digits"},
		{channel.Call, o.CallFrom, gateway.IsE164, "the number that calls come from, like +14155238886"},
	} {
		variable := senderVariables[s.channel]
		switch {
		case s.from != "":
			if !s.ok(s.from) {
				fault(variable + " has to be " + s.whatItHasToBe)
			}
		case !slices.Contains(o.Channels, s.channel):
		case s.channel != channel.SMS:
			fault(variable + " is not set")
		case o.PowerpackUUID == "":
			fault(variable + " is not set, and neither is " + powerpackVariable)
		}
	}
	switch {
	case o.PowerpackUUID == "":
	case !isUUID(o.PowerpackUUID):
		fault(powerpackVariable + " has to be the UUID of a powerpack")
	case o.SMSFrom != "":
		fault(powerpackVariable + " and " + senderVariables[channel.SMS] + " are both set; Plivo takes only one of them")
	}
	if o.CallFrom != "" && o.PublicURL == "" {
		fault(gateway.PublicURLVariable + " is not set, and " + senderVariables[channel.Call] + " is: Plivo asks there what a call says")
	}
	return faults
}

// dltFaults is the part of Faults about the registration in India.
func (o Options) dltFaults() (faults []string) {
	for variable, value := range map[string]string{"PLIVO_DLT_ENTITY_ID": o.DLTEntityID, "PLIVO_DLT_TEMPLATE_ID": o.DLTTemplateID} {
		if value != "" && (!isToken(value) || len(value) > 64) {
			faults = append(faults, variable+" has to be letters and digits, at most 64")
		}
	}
	slices.Sort(faults) // a map has no order
	if c := o.DLTTemplateCategory; c != "" && (!gateway.ConsistsOf(c, gateway.Lower+"_") || len(c) > 64) {
		faults = append(faults, "PLIVO_DLT_TEMPLATE_CATEGORY has to be lower-case letters and underscores, at most 64")
	}
	if (o.DLTEntityID == "") != (o.DLTTemplateID == "") || o.DLTTemplateCategory != "" && o.DLTEntityID == "" {
		faults = append(faults, "PLIVO_DLT_ENTITY_ID and PLIVO_DLT_TEMPLATE_ID belong together, and PLIVO_DLT_TEMPLATE_CATEGORY needs both; one of them is not set")
	}
	return faults
}

func (o Options) parseBaseURL() (*url.URL, error) {
	return gateway.ParseBaseURL(baseURLVariable, cmp.Or(o.BaseURL, defaultBaseURL), o.AllowPlainHTTP)
}
