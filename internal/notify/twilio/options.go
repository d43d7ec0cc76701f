package twilio

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"twofa/internal/notify"
)

// Options are the settings of an Account. Every fault that New reports names the
// environment variable that main reads the field from, never a value.
type Options struct {
	// AccountSID (TWILIO_ACCOUNT_SID) is always needed: it is part of the
	// address of every call.
	AccountSID string
	// AuthToken (TWILIO_AUTH_TOKEN), or else APIKey and APISecret
	// (TWILIO_API_KEY, TWILIO_API_SECRET), which can be revoked one by one and
	// so are used for the calls where both are given: the token may be there
	// because Twilio signs its webhooks with it.
	AuthToken string `json:"-"`
	APIKey    string
	APISecret string `json:"-"`

	// WhatsAppFrom (TWILIO_WHATSAPP_FROM) is the WhatsApp sender in E.164,
	// SMSFrom (TWILIO_SMS_FROM) that of SMS: a number in E.164, a short code, or
	// a name of at most 11 characters. Without one of them MessagingServiceSID
	// (TWILIO_MESSAGING_SERVICE_SID) names the service that picks a sender for
	// the channel; with it, it is used alone. VoiceFrom (TWILIO_VOICE_FROM) is
	// the number in E.164 that calls come from.
	WhatsAppFrom        string
	SMSFrom             string
	VoiceFrom           string
	MessagingServiceSID string
	// Channels are those that the operator's workflow names: each of them must
	// have its sender. Empty means WhatsApp alone, as with TWOFA_CHANNELS. Other
	// senders may be set all the same.
	Channels []notify.Channel
	// ContentSID (TWILIO_CONTENT_SID) is the approved authentication template
	// of WhatsApp, which has the code as its only variable, "1". Without it the
	// text goes as Body, which WhatsApp delivers only in the sandbox and within
	// 24 hours of the person's last message. AlertContentSID
	// (TWILIO_ALERT_CONTENT_SID) is the same for alerts; its variable "1" is the
	// brand.
	ContentSID      string
	AlertContentSID string
	// Texts words the messages. It is needed.
	Texts Texts

	// PublicURL (TWOFA_PUBLIC_URL) is our own address, scheme and host only.
	// Where it is set Twilio reports what becomes of each message that has a
	// Verification and an Attempt; that takes the AuthToken, with which Twilio
	// signs. Plain http is accepted for loopback only.
	PublicURL string
	// BaseURL (TWILIO_BASE_URL) replaces scheme and host of every call; empty
	// means https://api.twilio.com. It has no path. Plain http is accepted for
	// loopback only: every call carries the credentials and the code.
	BaseURL string
	// Timeout bounds each try, from dialling to the end of the answer; 0 means
	// 5 s. TotalTimeout bounds a Send with its pauses and repetitions; 0 means
	// 12 s, which has room for two full tries. A shorter deadline of the
	// caller's context always wins.
	Timeout, TotalTimeout time.Duration
	// Transport replaces the Account's own transport, for tests. It must not
	// repeat requests by itself.
	Transport http.RoundTripper
	// Logger is told of repetitions (reason, error number, pause; never whom or
	// what). Nil means silence: the caller logs the outcome.
	Logger *slog.Logger
}

// Format hides the credentials whatever verb prints Options.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprint(f, "twilio.Options(hidden)") }

// LogValue implements slog.LogValuer for the same reason.
func (o Options) LogValue() slog.Value { return slog.StringValue("twilio.Options(hidden)") }

const (
	defaultBaseURL = "https://api.twilio.com"
	defaultTimeout = 5 * time.Second
	defaultTotal   = 12 * time.Second
)

// Patterns are spelt out: compiling regular expressions for them would be a part
// of every cold start.

// isE164 reports whether s is a + and 7 to 15 digits of which the first is not 0.
func isE164(s string) bool {
	return len(s) >= 8 && len(s) <= 16 && s[0] == '+' && s[1] != '0' && strings.Trim(s[1:], "0123456789") == ""
}

// isAlphanumeric reports whether s holds nothing but letters and digits of
// ASCII. twilio-go refuses other credentials at every call; here the fault shows
// at the start.
func isAlphanumeric(s string) bool {
	for _, c := range []byte(s) {
		letter, digit := c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9'
		if !letter && !digit {
			return false
		}
	}
	return true
}

func isSID(prefix, s string) bool {
	_, err := hex.DecodeString(strings.TrimPrefix(s, prefix))
	return len(s) == 34 && s[:2] == prefix && err == nil
}

// Faults returns all that is wrong with the options, each text beginning with
// the name of its environment variable and none with a value in it.
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
	sid(templateVariable, "HX", o.ContentSID)
	sid(alertTemplateVariable, "HX", o.AlertContentSID)
	faults = append(faults, o.senderFaults()...)
	if _, err := parseBaseURL(o.BaseURL); err != nil {
		fault(err.Error())
	}
	if _, err := parsePublicURL(o.PublicURL); err != nil {
		fault(err.Error())
	}
	if o.Timeout < 0 || o.TotalTimeout < 0 {
		fault("the time-outs must not be negative")
	}
	return faults
}

// senderFaults is the part of Faults about the numbers that messages come from.
func (o Options) senderFaults() (faults []string) {
	needed := o.Channels
	if len(needed) == 0 {
		needed = []notify.Channel{notify.WhatsApp}
	}
	for _, s := range []struct {
		channel         notify.Channel
		from            string
		ok              func(string) bool
		serviceSuffices bool
		whatItHasToBe   string
	}{
		{notify.WhatsApp, o.WhatsAppFrom, isE164, true, "the WhatsApp sender's number, like +14155238886"},
		{notify.SMS, o.SMSFrom, isSMSSender, true, "a number like +14155238886, a short code, or a name of at most 11 letters, digits and spaces"},
		{notify.Call, o.VoiceFrom, isE164, false, "the number that calls come from, like +14155238886"},
	} {
		variable := senderVariables[s.channel]
		switch {
		case s.from != "":
			if !s.ok(s.from) {
				faults = append(faults, variable+" has to be "+s.whatItHasToBe)
			}
		case !slices.Contains(needed, s.channel), s.serviceSuffices && o.MessagingServiceSID != "":
		case s.serviceSuffices:
			faults = append(faults, variable+" is not set, and neither is "+serviceVariable)
		default:
			faults = append(faults, variable+" is not set")
		}
	}
	return faults
}

// isSMSSender reports whether s is what an SMS can come from: a number, a short
// code, or an alphanumeric sender id, which has a letter.
func isSMSSender(s string) bool {
	const digits = "0123456789"
	if s != "" && strings.Trim(s, digits) == "" {
		return len(s) >= 3 && len(s) <= 8 // short codes have 5 or 6 in most countries
	}
	if isE164(s) {
		return true
	}
	letter := false
	for _, c := range []byte(s) {
		isLetter := c|0x20 >= 'a' && c|0x20 <= 'z'
		letter = letter || isLetter
		if !isLetter && strings.IndexByte(digits+" -_&+", c) < 0 {
			return false
		}
	}
	return letter && len(s) <= 11 && strings.TrimSpace(s) == s
}

func parseBaseURL(s string) (*url.URL, error) {
	if s == "" {
		s = defaultBaseURL
	}
	return parseOrigin("TWILIO_BASE_URL", s)
}

// parsePublicURL returns the address without a slash at its end.
func parsePublicURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	const variable = "TWOFA_PUBLIC_URL"
	u, err := parseOrigin(variable, s)
	if err != nil {
		return "", err
	}
	// Twilio reports to no other hosts, and what it signs is the address letter
	// by letter, which must not depend on how one is encoded.
	host := strings.Trim(u.Hostname(), ".-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	if host != "" && !isLoopback(u.Hostname()) || strings.HasSuffix(u.Host, ":") {
		return "", errors.New(variable + " has to have a host of letters, digits, dots and hyphens")
	}
	return u.Scheme + "://" + u.Host, nil
}

// parseOrigin reads scheme and host. It never repeats its input: a URL may hold
// a password.
func parseOrigin(variable, s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New(variable + " has to be an absolute https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return nil, errors.New(variable + " has to be scheme and host only")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, errors.New(variable + " has to be https, except on loopback: what goes there is secret")
	}
	return u, nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
