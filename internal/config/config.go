// Package config reads the settings of twofa from the environment, once, and
// reports all faults together, by name and never with a value.
//
// It opens nothing but the operator's texts, to check them: a Settings says what
// to open.
package config

import (
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"

	"twofa/internal/notify"
	"twofa/internal/notify/email"
	"twofa/internal/notify/twilio"
	"twofa/internal/otp"
	"twofa/internal/secret"
	"twofa/internal/store/azuretable"
	"twofa/internal/texts"
)

// environment is the variables as they stand. All are texts, so that a bad
// number is one fault among others instead of the first and only one.
// README.md's table says what each means.
type environment struct {
	Port              string `envconfig:"FUNCTIONS_CUSTOMHANDLER_PORT"`
	Addr              string `envconfig:"TWOFA_ADDR"`
	Secret            string `envconfig:"TWOFA_SECRET"`
	Store             string `envconfig:"TWOFA_STORE"`
	DataDir           string `envconfig:"TWOFA_DATA_DIR"`
	TablesConnection  string `envconfig:"TWOFA_TABLES_CONNECTION"`
	TablesURL         string `envconfig:"TWOFA_TABLES_URL"`
	TablesClientID    string `envconfig:"TWOFA_TABLES_CLIENT_ID"`
	TablePrefix       string `envconfig:"TWOFA_TABLE_PREFIX"`
	Messenger         string `envconfig:"TWOFA_MESSENGER"`
	Channels          string `envconfig:"TWOFA_CHANNELS"`
	Countries         string `envconfig:"TWOFA_COUNTRIES"`
	PublicURL         string `envconfig:"TWOFA_PUBLIC_URL"`
	SMTPURL           string `envconfig:"TWOFA_SMTP_URL"`
	EmailFrom         string `envconfig:"TWOFA_EMAIL_FROM"`
	TextsDir          string `envconfig:"TWOFA_TEXTS_DIR"`
	SMSOrigin         string `envconfig:"TWOFA_SMS_ORIGIN"`
	SMSAppHash        string `envconfig:"TWOFA_SMS_APP_HASH"`
	TestNumbers       string `envconfig:"TWOFA_TEST_NUMBERS"`
	Brand             string `envconfig:"TWOFA_BRAND"`
	LogLevel          string `envconfig:"TWOFA_LOG_LEVEL"`
	CodeLength        string `envconfig:"TWOFA_CODE_LENGTH"`
	CodeAlphabet      string `envconfig:"TWOFA_CODE_ALPHABET"`
	CodeTTL           string `envconfig:"TWOFA_CODE_TTL"`
	MaxChecks         string `envconfig:"TWOFA_MAX_CHECKS"`
	MaxFailuresPerDay string `envconfig:"TWOFA_MAX_FAILURES_PER_DAY"`
	MaxSends          string `envconfig:"TWOFA_MAX_SENDS"`
	MaxSendsPerDay    string `envconfig:"TWOFA_MAX_SENDS_PER_DAY"`
	ResendAfter       string `envconfig:"TWOFA_RESEND_AFTER"`

	TwilioAccountSID          string `envconfig:"TWILIO_ACCOUNT_SID"`
	TwilioAuthToken           string `envconfig:"TWILIO_AUTH_TOKEN"`
	TwilioAPIKey              string `envconfig:"TWILIO_API_KEY"`
	TwilioAPISecret           string `envconfig:"TWILIO_API_SECRET"`
	TwilioWhatsAppFrom        string `envconfig:"TWILIO_WHATSAPP_FROM"`
	TwilioSMSFrom             string `envconfig:"TWILIO_SMS_FROM"`
	TwilioVoiceFrom           string `envconfig:"TWILIO_VOICE_FROM"`
	TwilioMessagingServiceSID string `envconfig:"TWILIO_MESSAGING_SERVICE_SID"`
	TwilioContentSID          string `envconfig:"TWILIO_CONTENT_SID"`
	TwilioAlertContentSID     string `envconfig:"TWILIO_ALERT_CONTENT_SID"`
	TwilioBaseURL             string `envconfig:"TWILIO_BASE_URL"`
}

// Stores and messengers that can be chosen.
const (
	StoreAzure       = "azure"
	StoreBolt        = "bolt"
	MessengerTwilio  = "twilio"
	MessengerConsole = "console"
)

// Settings is what main builds the service from.
type Settings struct {
	// Addr is where to listen: host and port.
	Addr string
	// UnderHost is true when the Functions host started the process.
	UnderHost bool
	// Keys is nil if TWOFA_SECRET is not set and may be made and kept in
	// DataDir (on its own, with the bolt store).
	Keys *secret.Keyring

	Store   string
	DataDir string             // of the bolt store
	Tables  azuretable.Options // of the Azure store

	Messenger string
	Channels  []notify.Channel // the workflow, in order
	Twilio    twilio.Options   // zero if it has no part in it
	Email     email.Options    // zero if it has no part in it
	Texts     texts.Options
	Countries map[string]bool // nil means all
	Brand     string
	// PublicURL is the origin under which the internet reaches the service, ""
	// if it does not.
	PublicURL string
	// Scripts are the test numbers (E.164), until ScriptsEnd.
	Scripts    map[string]otp.Script
	ScriptsEnd time.Time
	Policy     otp.Policy
	LogLevel   slog.Level
	// Unknown are variables that begin with TWOFA_ or TWILIO_ and mean nothing to
	// this version: most likely misspelled.
	Unknown []string
}

// Faults is every fault of the settings, one a line.
type Faults []string

// Error implements error.
func (f Faults) Error() string {
	return "settings: " + strings.Join(f, "\nsettings: ")
}

func (f *Faults) add(setting, format string, args ...any) {
	*f = append(*f, setting+" "+fmt.Sprintf(format, args...))
}

// Load reads the process's environment. The error is a Faults. What has an end
// date is judged by now.
func Load(now time.Time) (Settings, error) {
	var env environment
	if err := envconfig.Process("", &env); err != nil {
		// Texts cannot be wrong for envconfig, and its error would quote one.
		return Settings{}, Faults{"the environment cannot be read"}
	}
	// envconfig looks for names in capitals only; these are the host's own.
	host := hostStorage{
		connection:  os.Getenv("AzureWebJobsStorage"),
		accountName: os.Getenv("AzureWebJobsStorage__accountName"),
		tableURL:    os.Getenv("AzureWebJobsStorage__tableServiceUri"),
		clientID:    os.Getenv("AzureWebJobsStorage__clientId"),
	}
	s, faults := env.settings(host, now)
	if len(faults) > 0 {
		return Settings{}, faults
	}
	s.Unknown = unknown(os.Environ())
	return s, nil
}

// unknown returns the variables with our prefixes that no setting has.
func unknown(environ []string) []string {
	known := make(map[string]bool)
	for i, t := 0, reflect.TypeFor[environment](); i < t.NumField(); i++ {
		known[t.Field(i).Tag.Get("envconfig")] = true
	}
	var names []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if (strings.HasPrefix(name, "TWOFA_") || strings.HasPrefix(name, "TWILIO_")) && !known[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
