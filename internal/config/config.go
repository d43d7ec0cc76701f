// Package config reads the settings of twofa from the environment, and reports all
// faults together.
//
// A fault must name its setting, and must never hold the setting's value. Of clients it
// may hold the ids. The package opens nothing but the operator's texts and the file of
// clients with its logos, which it checks: a Settings says what to open.
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

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/guard"
	"twofa/internal/notify/bird"
	"twofa/internal/notify/email"
	"twofa/internal/notify/plivo"
	"twofa/internal/notify/twilio"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/secret"
	"twofa/internal/store/azuretable"
	"twofa/internal/texts"
)

// environment is the variables as they are set. All are strings, so that envconfig
// does not stop at a bad number, and all faults can be reported. docs/settings.md
// says what each means.
type environment struct {
	Port              string `envconfig:"FUNCTIONS_CUSTOMHANDLER_PORT"`
	Addr              string `envconfig:"TWOFA_ADDR"`
	Unprotected       string `envconfig:"TWOFA_UNPROTECTED"`
	Clients           string `envconfig:"TWOFA_CLIENTS"`
	Hosts             string `envconfig:"TWOFA_HOSTS"`
	ClientIPHeader    string `envconfig:"TWOFA_CLIENT_IP_HEADER"`
	AllowPlainHTTP    string `envconfig:"TWOFA_ALLOW_PLAIN_HTTP"`
	NotifyChanges     string `envconfig:"TWOFA_NOTIFY_CHANGES"`
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
	EmailSubjectCode  string `envconfig:"TWOFA_EMAIL_SUBJECT_CODE"`
	TextsDir          string `envconfig:"TWOFA_TEXTS_DIR"`
	SMSOrigin         string `envconfig:"TWOFA_SMS_ORIGIN"`
	SMSAppHash        string `envconfig:"TWOFA_SMS_APP_HASH"`
	TestNumbers       string `envconfig:"TWOFA_TEST_NUMBERS"`
	ExtraNumbers      string `envconfig:"TWOFA_EXTRA_NUMBERS"`
	Brand             string `envconfig:"TWOFA_BRAND"`
	PageColor         string `envconfig:"TWOFA_PAGE_COLOR"`
	PageLogo          string `envconfig:"TWOFA_PAGE_LOGO"`
	PageLinks         string `envconfig:"TWOFA_PAGE_LINKS"`
	MagicLinks        string `envconfig:"TWOFA_MAGIC_LINKS"`
	Routes            string `envconfig:"TWOFA_ROUTES"`
	LogLevel          string `envconfig:"TWOFA_LOG_LEVEL"`
	CodeLength        string `envconfig:"TWOFA_CODE_LENGTH"`
	CodeAlphabet      string `envconfig:"TWOFA_CODE_ALPHABET"`
	CodeTTL           string `envconfig:"TWOFA_CODE_TTL"`
	MaxChecks         string `envconfig:"TWOFA_MAX_CHECKS"`
	MaxFailuresPerDay string `envconfig:"TWOFA_MAX_FAILURES_PER_DAY"`
	MaxSends          string `envconfig:"TWOFA_MAX_SENDS"`
	MaxSendsPerDay    string `envconfig:"TWOFA_MAX_SENDS_PER_DAY"`
	ResendAfter       string `envconfig:"TWOFA_RESEND_AFTER"`
	Session           string `envconfig:"TWOFA_SESSION"`
	StaleAddress      string `envconfig:"TWOFA_STALE_ADDRESS"`
	SignUp            string `envconfig:"TWOFA_SIGNUP"`
	RememberDevice    string `envconfig:"TWOFA_REMEMBER_DEVICE"`

	MaxSendsPerIP           string `envconfig:"TWOFA_MAX_SENDS_PER_IP"`
	MaxSendsPerIPPerDay     string `envconfig:"TWOFA_MAX_SENDS_PER_IP_PER_DAY"`
	MaxPageSendsPerIP       string `envconfig:"TWOFA_MAX_PAGE_SENDS_PER_IP"`
	MaxPageSendsPerIPPerDay string `envconfig:"TWOFA_MAX_PAGE_SENDS_PER_IP_PER_DAY"`
	MaxAnonymousSendsPerDay string `envconfig:"TWOFA_MAX_ANONYMOUS_SENDS_PER_DAY"`

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

	PlivoAuthID                string `envconfig:"PLIVO_AUTH_ID"`
	PlivoAuthToken             string `envconfig:"PLIVO_AUTH_TOKEN"`
	PlivoWhatsAppFrom          string `envconfig:"PLIVO_WHATSAPP_FROM"`
	PlivoSMSFrom               string `envconfig:"PLIVO_SMS_FROM"`
	PlivoPowerpackUUID         string `envconfig:"PLIVO_POWERPACK_UUID"`
	PlivoCallFrom              string `envconfig:"PLIVO_CALL_FROM"`
	PlivoWhatsAppTemplate      string `envconfig:"PLIVO_WHATSAPP_TEMPLATE"`
	PlivoWhatsAppAlertTemplate string `envconfig:"PLIVO_WHATSAPP_ALERT_TEMPLATE"`
	PlivoDLTEntityID           string `envconfig:"PLIVO_DLT_ENTITY_ID"`
	PlivoDLTTemplateID         string `envconfig:"PLIVO_DLT_TEMPLATE_ID"`
	PlivoDLTTemplateCategory   string `envconfig:"PLIVO_DLT_TEMPLATE_CATEGORY"`
	PlivoBaseURL               string `envconfig:"PLIVO_BASE_URL"`

	BirdAPIKey                string `envconfig:"BIRD_API_KEY"`
	BirdWebhookSecret         string `envconfig:"BIRD_WEBHOOK_SECRET"`
	BirdWhatsAppFrom          string `envconfig:"BIRD_WHATSAPP_FROM"`
	BirdSMSFrom               string `envconfig:"BIRD_SMS_FROM"`
	BirdWhatsAppTemplate      string `envconfig:"BIRD_WHATSAPP_TEMPLATE"`
	BirdWhatsAppAlertTemplate string `envconfig:"BIRD_WHATSAPP_ALERT_TEMPLATE"`
	BirdBaseURL               string `envconfig:"BIRD_BASE_URL"`
}

// Stores and messengers that can be chosen.
const (
	StoreAzure         = "azure"
	StoreBolt          = "bolt"
	MessengerProviders = "providers" // "twilio" means the same, as in earlier releases
	MessengerConsole   = "console"
)

// Settings is what main builds the service from.
type Settings struct {
	// Addr is where to listen: host and port.
	Addr string
	// Unprotected allows an Addr that other machines reach, although no key is asked
	// for there.
	Unprotected bool
	// Clients is nil if anybody who reaches the API may call it.
	Clients *client.Registry
	// Hosts are the host names that requests may name, in addition to those of
	// loopback and of PublicURL: in lower case, with a port or without one.
	Hosts []string
	// ClientIPHeader is the header whose last entry is the client's address, "" for the
	// connection's peer.
	ClientIPHeader string
	// AllowPlainHTTP allows http addresses of a storage or a provider that are not
	// loopback.
	AllowPlainHTTP bool
	// MagicLinks puts a link into the mails of page sessions.
	MagicLinks bool
	// NotifyChanges tells a user's addresses about changes of factors and addresses.
	NotifyChanges bool
	// UnderHost is true when the Functions host started the process.
	UnderHost bool
	// Keys is nil if TWOFA_SECRET is not set and the secret may be made and kept
	// in DataDir: on its own, with the bolt store.
	Keys *secret.Keyring

	Store   string
	DataDir string             // of the bolt store
	Tables  azuretable.Options // of the Azure store

	Messenger string
	Channels  []channel.Channel // the workflow, in order
	Twilio    twilio.Options    // zero if it is not used
	Plivo     plivo.Options     // zero if it is not used
	Bird      bird.Options      // zero if it is not used
	// Unrouted are the providers that have an account and that no channel goes over.
	Unrouted  []string
	Email     email.Options // zero if it is not used
	Texts     texts.Options
	Countries map[string]bool // nil: all
	Brand     string
	Pages     Pages
	// PublicURL is the origin under which the internet reaches the service, "" if
	// it cannot.
	PublicURL string
	// ExtraNumbers count as valid beside those that the tables of phone have.
	ExtraNumbers phone.Ranges
	// TestNumbers has an end but no numbers if the end is past.
	TestNumbers otp.TestNumbers
	Policy      otp.Policy
	Limits      guard.Limits // over many addresses
	SignIn      SignIn
	LogLevel    slog.Level
	// Unknown are the variables that begin as our settings do and that this version does
	// not know: most likely they are misspelled.
	Unknown []string
}

// Faults is all faults of the settings, one on each line.
type Faults []string

// Error implements error.
func (f Faults) Error() string {
	return "settings: " + strings.Join(f, "\nsettings: ")
}

func (f *Faults) add(setting, format string, args ...any) {
	*f = append(*f, setting+" "+fmt.Sprintf(format, args...))
}

// Load reads the process's environment. The error is a Faults. A setting with an
// end date is compared with now.
func Load(now time.Time) (Settings, error) {
	env, err := read()
	if err != nil {
		return Settings{}, err
	}
	// envconfig knows names in capitals only. These are the host's names.
	host := hostStorage{
		connection:  os.Getenv("AzureWebJobsStorage"),
		accountName: os.Getenv("AzureWebJobsStorage__accountName"),
		tableURL:    os.Getenv("AzureWebJobsStorage__tableServiceUri"),
		clientID:    os.Getenv("AzureWebJobsStorage__clientId"),
	}
	s, faults := env.settings(host, now)
	faults = withUnresolved(faults, env.unresolved(host))
	if len(faults) > 0 {
		return Settings{}, faults
	}
	s.Unknown = unknown(os.Environ())
	return s, nil
}

func read() (env environment, err error) {
	if err := envconfig.Process("", &env); err != nil {
		// Cannot happen with strings. The error could quote a value.
		return env, Faults{"the environment cannot be read"}
	}
	if value, set := os.LookupEnv("TWOFA_CLIENTS"); set && value == "" {
		// Without clients, everybody may call the API. So a variable that is empty by
		// mistake must not count as one that is not set.
		env.Clients = " "
	}
	return env, nil
}

// Clients reads TWOFA_CLIENTS alone. It returns nil if the setting is missing. The error
// is a Faults.
func Clients() (*client.Registry, error) {
	env, err := read()
	if err != nil {
		return nil, err
	}
	var faults Faults
	registry := env.clients(&faults)
	if faults = withUnresolved(faults, environment{Clients: env.Clients}.unresolved(hostStorage{})); len(faults) > 0 {
		return nil, faults
	}
	return registry, nil
}

// names returns the names of all settings.
func names() (names []string) {
	for f := range reflect.TypeFor[environment]().Fields() {
		names = append(names, f.Tag.Get("envconfig"))
	}
	return names
}

// unknown returns the variables with our prefixes that are not settings, sorted.
func unknown(environ []string) (unknown []string) {
	known := names()
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		ours := slices.ContainsFunc([]string{"TWOFA_", "TWILIO_", "PLIVO_", "BIRD_"}, func(p string) bool { return strings.HasPrefix(name, p) })
		if ours && !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}
