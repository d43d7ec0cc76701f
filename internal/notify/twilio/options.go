package twilio

import (
	"cmp"
	"encoding/hex"
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
	// AccountSID (TWILIO_ACCOUNT_SID) is always needed: it is part of the URL
	// of every API call.
	AccountSID string
	// The credentials are AuthToken (TWILIO_AUTH_TOKEN), or APIKey and APISecret
	// (TWILIO_API_KEY, TWILIO_API_SECRET). If both are set, API calls use the
	// key, which can be revoked alone. The token may still be needed, because
	// Twilio signs its webhooks with it.
	AuthToken string `json:"-"`
	APIKey    string
	APISecret string `json:"-"`

	// WhatsAppFrom (TWILIO_WHATSAPP_FROM) is the WhatsApp sender in E.164.
	// SMSFrom (TWILIO_SMS_FROM) is the SMS sender: a number in E.164, a short
	// code, or a name of at most 11 characters. If one of them is not set,
	// MessagingServiceSID (TWILIO_MESSAGING_SERVICE_SID) names the messaging
	// service that picks the channel's sender. VoiceFrom (TWILIO_VOICE_FROM) is
	// the number in E.164 that calls come from.
	WhatsAppFrom        string
	SMSFrom             string
	VoiceFrom           string
	MessagingServiceSID string
	// Channels are those that messages go over Twilio for: each of them must
	// have a sender. Senders of other channels may be set too.
	Channels []channel.Channel
	// ContentSID (TWILIO_CONTENT_SID) is the approved authentication template
	// of WhatsApp, or one for each language: "en=HX…,de=HX…". Its only variable,
	// "1", is the code. Empty: messages are sent as text, which WhatsApp delivers
	// only in the sandbox and within 24 hours of the person's last message.
	// AlertContentSID (TWILIO_ALERT_CONTENT_SID) has the same form, for the
	// template of alerts and notices. Its only variable, "1", is the brand.
	ContentSID      string
	AlertContentSID string
	// Texts writes the messages. Required.
	Texts Texts

	// PublicURL (TWOFA_PUBLIC_URL) is the service's own URL, scheme and host
	// only. If it is set, Twilio reports on each message that has a Verification
	// and an Attempt. AuthToken is then required, because Twilio signs its
	// reports with it. Plain http is accepted for loopback only.
	PublicURL string
	// BaseURL (TWILIO_BASE_URL) replaces scheme and host of every API call.
	// Empty: https://api.twilio.com. It has no path. Plain http is accepted for
	// loopback only, unless AllowPlainHTTP (TWOFA_ALLOW_PLAIN_HTTP) is set: every
	// call carries the credentials and the code.
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
	// Logger logs repetitions: reason, error number and pause, never a number, a
	// code or a text. Nil: no log. The caller logs the outcome.
	Logger *slog.Logger
}

// Format hides the credentials from all verbs of fmt.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprint(f, "twilio.Options(hidden)") }

// LogValue hides the credentials from slog.
func (o Options) LogValue() slog.Value { return slog.StringValue("twilio.Options(hidden)") }

const defaultBaseURL = "https://api.twilio.com"

// The checks below use no regular expressions, because each cold start would have
// to compile them.

// isAlphanumeric reports whether s holds only ASCII letters and digits. twilio-go
// refuses other credentials, but only when it is called.
func isAlphanumeric(s string) bool {
	for _, c := range []byte(s) {
		letter, digit := c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9'
		if !letter && !digit {
			return false
		}
	}
	return true
}

// isSID reports whether s is the prefix, two letters, and 32 hexadecimal digits.
func isSID(prefix, s string) bool {
	_, err := hex.DecodeString(strings.TrimPrefix(s, prefix))
	return len(s) == 34 && s[:2] == prefix && err == nil
}

// Faults returns everything that is wrong with the options. Each text begins with
// the name of an environment variable, and none quotes a value.
func (o Options) Faults() (faults []string) {
	fault := func(text string) { faults = append(faults, text) }
	sid := func(variable, prefix, value string) {
		if value != "" && !isSID(prefix, value) {
			fault(variable + " has to be " + prefix + " and 32 hexadecimal digits")
		}
	}
	token := func(variable, value string) {
		if value != "" && !isAlphanumeric(value) {
			fault(variable + " has to be letters and digits, as the Twilio console shows it")
		}
	}

	if o.AccountSID == "" {
		fault("TWILIO_ACCOUNT_SID is not set")
	}
	sid("TWILIO_ACCOUNT_SID", "AC", o.AccountSID)
	token("TWILIO_AUTH_TOKEN", o.AuthToken)
	sid("TWILIO_API_KEY", "SK", o.APIKey)
	token("TWILIO_API_SECRET", o.APISecret)
	switch {
	case (o.APIKey == "") != (o.APISecret == ""):
		fault("TWILIO_API_KEY and TWILIO_API_SECRET belong together; one of them is not set")
	case o.APIKey == "" && o.AuthToken == "":
		fault("TWILIO_AUTH_TOKEN is not set, and neither are TWILIO_API_KEY and TWILIO_API_SECRET")
	}

	if o.PublicURL != "" && o.AuthToken == "" && o.APIKey != "" {
		fault("TWILIO_AUTH_TOKEN is not set, and TWOFA_PUBLIC_URL is: Twilio signs its reports with the token, not with an API key")
	}
	sid(serviceVariable, "MG", o.MessagingServiceSID)
	if _, ok := readTemplates(o.ContentSID); !ok {
		fault(templateVariable + whatATemplateHasToBe)
	}
	if _, ok := readTemplates(o.AlertContentSID); !ok {
		fault(alertTemplateVariable + whatATemplateHasToBe)
	}
	faults = append(faults, o.senderFaults()...)
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

// senderFaults is the part of Faults about the senders' numbers.
func (o Options) senderFaults() (faults []string) {
	for _, s := range []struct {
		channel         channel.Channel
		from            string
		ok              func(string) bool
		serviceSuffices bool
		whatItHasToBe   string
	}{
		{channel.WhatsApp, o.WhatsAppFrom, gateway.IsE164, true, "the WhatsApp sender's number, like +14155238886"},
		{channel.SMS, o.SMSFrom, isSMSSender, true, "a number like +14155238886, a short code, or a name of at most 11 letters, digits and spaces"},
		{channel.Call, o.VoiceFrom, gateway.IsE164, false, "the number that calls come from, like +14155238886"},
	} {
		variable := senderVariables[s.channel]
		switch {
		case s.from != "":
			if !s.ok(s.from) {
				faults = append(faults, variable+" has to be "+s.whatItHasToBe)
			}
		case !slices.Contains(o.Channels, s.channel), s.serviceSuffices && o.MessagingServiceSID != "":
		case s.serviceSuffices:
			faults = append(faults, variable+" is not set, and neither is "+serviceVariable)
		default:
			faults = append(faults, variable+" is not set")
		}
	}
	return faults
}

func isSMSSender(s string) bool { return gateway.IsSMSSender(s, isSenderName) }

// isSenderName reports whether s can be an alphanumeric sender ID. It has at least one
// letter.
func isSenderName(s string) bool {
	letter := false
	for _, c := range []byte(s) {
		isLetter := c|0x20 >= 'a' && c|0x20 <= 'z'
		letter = letter || isLetter
		if !isLetter && strings.IndexByte(gateway.Digits+" -_&+", c) < 0 {
			return false
		}
	}
	return letter && len(s) <= 11 && strings.TrimSpace(s) == s
}

func (o Options) parseBaseURL() (*url.URL, error) {
	return gateway.ParseBaseURL("TWILIO_BASE_URL", cmp.Or(o.BaseURL, defaultBaseURL), o.AllowPlainHTTP)
}

// Texts writes a message for each channel. Its texts are sent unchanged, except
// that calls escape and shorten them for TwiML.
type Texts interface {
	// Chat is a WhatsApp message, at most 1,600 characters.
	Chat(notify.Message) string
	// SMS is a text message, at most 1,600 characters.
	SMS(notify.Message) string
	// Speech is what a call says.
	Speech(notify.Message) notify.Speech
}
