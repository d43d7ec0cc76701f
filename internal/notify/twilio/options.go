package twilio

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options are the settings of a Sender. Every fault that New reports names the
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

	// From (TWILIO_WHATSAPP_FROM) is the WhatsApp sender in E.164. Without it
	// MessagingServiceSID (TWILIO_MESSAGING_SERVICE_SID) names the service that
	// picks one. With both From is used alone, because the service may hold
	// nothing but SMS senders.
	From                string
	MessagingServiceSID string
	// ContentSID (TWILIO_CONTENT_SID) is the approved authentication template,
	// which has the code as its only variable, "1". Without it the text goes as
	// Body, which WhatsApp delivers only in the sandbox and within 24 hours of
	// the person's last message.
	ContentSID string

	// BaseURL (TWILIO_BASE_URL) replaces scheme and host of every call; empty
	// means https://api.twilio.com. It has no path. Plain http is accepted for
	// loopback only: every call carries the credentials and the code.
	BaseURL string
	// Timeout bounds each try, from dialling to the end of the answer; 0 means
	// 5 s. TotalTimeout bounds a Send with its pauses and repetitions; 0 means
	// 12 s, which has room for two full tries. A shorter deadline of the
	// caller's context always wins.
	Timeout, TotalTimeout time.Duration
	// Transport replaces the Sender's own transport, for tests. It must not
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

	switch {
	case o.From == "" && o.MessagingServiceSID == "":
		fault("TWILIO_WHATSAPP_FROM is not set, and neither is TWILIO_MESSAGING_SERVICE_SID")
	case o.From != "" && !isE164(o.From):
		fault("TWILIO_WHATSAPP_FROM has to be the WhatsApp sender's number, like +14155238886")
	}
	sid("TWILIO_MESSAGING_SERVICE_SID", "MG", o.MessagingServiceSID)
	sid("TWILIO_CONTENT_SID", "HX", o.ContentSID)
	if _, err := parseBaseURL(o.BaseURL); err != nil {
		fault(err.Error())
	}
	if o.Timeout < 0 || o.TotalTimeout < 0 {
		fault("the time-outs must not be negative")
	}
	return faults
}

// parseBaseURL never repeats its input: a URL may hold a password.
func parseBaseURL(s string) (*url.URL, error) {
	if s == "" {
		s = defaultBaseURL
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("TWILIO_BASE_URL has to be an absolute https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return nil, errors.New("TWILIO_BASE_URL has to be scheme and host only")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, errors.New("TWILIO_BASE_URL has to be https, except on loopback: calls carry the credentials")
	}
	return u, nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
