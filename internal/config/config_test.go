package config_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/guard"
	"twofa/internal/notify/bird"
	"twofa/internal/notify/email"
	"twofa/internal/notify/plivo"
	"twofa/internal/notify/twilio"
	"twofa/internal/otp"
	"twofa/internal/secret"
	"twofa/internal/store/azuretable"
	"twofa/internal/testing/fixture"
	"twofa/internal/texts"
)

// setting is a variable, as a file in testdata has it.
type setting struct{ name, value string }

// readFile reads NAME=VALUE lines and the faults that are expected: comments that
// begin with "# fault: ".
func readFile(t *testing.T, path string) (settings []setting, faults []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if fault, ok := strings.CutPrefix(line, "# fault: "); ok {
			faults = append(faults, fault)
		} else if line != "" && line[0] != '#' {
			name, value, ok := strings.Cut(line, "=")
			if !ok {
				t.Fatalf("%s: %q is not a setting", path, line)
			}
			settings = append(settings, setting{name, value})
		}
	}
	return settings, faults
}

// files returns the paths of one kind, working or busted, by their names without
// kind and extension.
func files(t *testing.T, kind string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/" + kind + "_*.env")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s settings: %v", kind, err)
	}
	byName := make(map[string]string)
	for _, path := range paths {
		byName[strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), kind+"_"), ".env")] = path
	}
	return byName
}

// load reads settings from an environment that has nothing else, at fixture.Noon.
func load(t *testing.T, settings ...setting) (config.Settings, error) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value) // restores it after the test
		os.Unsetenv(name)
	}
	for _, s := range settings {
		t.Setenv(s.name, s.value)
	}
	return config.Load(fixture.Noon)
}

// wantFault wants a fault of the setting that has the text.
func wantFault(t *testing.T, err error, setting, text string) {
	t.Helper()
	if _, ok := err.(config.Faults); !ok || !strings.Contains(err.Error(), setting+" ") || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want a fault of %s with %q", err, setting, text)
	}
}

const (
	secret1 = "3a6ue8IWHPa0d2etRVn72DBujO+v6uQwCuq4Ru6bv4Y="
	secret2 = "cNQzzLVnpbiwmhsrIzGsJRIZO2751rbdHN8UB+cC3Fk="
)

// logo is the file that a working file names.
func logo() []byte {
	file, _ := os.ReadFile("testdata/clients/logo.svg")
	return file
}

// working has the settings of each working file.
var working = map[string]struct {
	secret string // "" without Keys
	want   config.Settings
}{
	"own_defaults": {"", ownDefaults(func(*config.Settings) {})},
	"own_everything": {secret2 + "," + secret1, config.Settings{
		Addr: "[::1]:8080", ClientIPHeader: "x-real-ip", MagicLinks: true, NotifyChanges: true, Store: "azure", DataDir: "/var/lib/twofa",
		Tables:    azuretable.Options{ServiceURL: "https://account.table.core.windows.net", ClientID: "01234567-89ab-cdef-0123-456789ABCDEF", Setting: "TWOFA_TABLES_URL", TablePrefix: "Two2fa"},
		Messenger: "providers", Channels: []channel.Channel{"whatsapp", "sms", "call", "email"}, PublicURL: "https://twofa.example.com",
		Pages:        config.Pages{Color: "#0b5fff", Logo: logo(), Privacy: "https://example.com/privacy", Terms: "https://example.com/terms?v=2", Support: "mailto:help@example.com"},
		Email:        email.Options{URL: "smtps://user:pass%40word@mail.example.com", From: "Acme <login@example.com>"},
		Texts:        texts.Options{Dir: "testdata/texts", Origin: "login.example.com", AppHash: "FA+9qCX9VSu"},
		ExtraNumbers: ranges("+1679:11"),
		TestNumbers: otp.TestNumbers{Until: time.Date(2026, time.April, 1, 0, 0, 0, 0, time.UTC), Scenarios: map[string]otp.Scenario{
			"+14155550101": {Ending: otp.EndsDelivered, Code: "23456789AB"}, "+14155550102": {Ending: otp.EndsUndeliverable, Code: "23456789AB"},
			"+14155550103": {Ending: otp.EndsFallback, Code: "23456789AB"}, "+14155550104": {Ending: otp.EndsExpired, Code: "23456789AB"},
			"+14155550105": {Ending: otp.EndsExhausted, Code: "23456789AB"},
		}},
		Twilio: twilio.Options{
			AccountSID: "AC00000000000000000000000000000001", AuthToken: "0123456789abcdef0123456789abcdef",
			APIKey: "SK00000000000000000000000000000002", APISecret: "abcdefghijklmnopqrstuvwxyzABCDEF",
			WhatsAppFrom: "+14155238886", SMSFrom: "ACME", VoiceFrom: "+14155550199", MessagingServiceSID: "MG00000000000000000000000000000003",
			ContentSID: "en=HX00000000000000000000000000000004,pt-BR=HX00000000000000000000000000000006", AlertContentSID: "HX00000000000000000000000000000005",
			PublicURL: "https://twofa.example.com", BaseURL: "http://127.0.0.1:4010",
			Channels: []channel.Channel{"whatsapp", "sms", "call"},
		},
		Countries: map[string]bool{"IN": true, "US": true, "XK": true}, Brand: "Bäckerei Köhler & Söhne", LogLevel: slog.LevelWarn,
		Policy: otp.Policy{
			Shape: otp.Shape{Length: 10, Alphabet: otp.Alphanumeric}, TTL: 24 * time.Hour, MaxChecks: 3, MaxFailuresPerDay: 100,
			MaxSends: 1, MaxSendsPerDay: 7, ResendAfter: 0,
		},
		Limits: guard.Limits{PerIP: 30, PerIPPerDay: 200, PagePerIP: 10, PagePerIPPerDay: 50, AnonymousPerDay: 5000},
		SignIn: config.SignIn{Session: 30 * 24 * time.Hour, StaleAddress: 43800 * time.Hour, SignUp: true, RememberDevice: 2160 * time.Hour},
	}},
	"own_connection": {secret1, ownDefaults(func(s *config.Settings) {
		s.Store, s.Tables = "azure", azuretable.Options{ConnectionString: "UseDevelopmentStorage=true", Setting: "TWOFA_TABLES_CONNECTION", TablePrefix: "twofa"}
		s.LogLevel = slog.LevelDebug
		s.Policy = otp.Policy{
			Shape: otp.Shape{Length: 4, Alphabet: otp.Digits}, TTL: time.Minute, MaxChecks: 1, MaxFailuresPerDay: 1,
			MaxSends: 100, MaxSendsPerDay: 100, ResendAfter: time.Hour,
		}
		s.Limits = guard.Limits{PerIP: 1_000_000, PerIPPerDay: 1_000_000}
		s.SignIn = config.SignIn{StaleAddress: 24 * time.Hour}
	})},
	"own_open": {"", ownDefaults(func(s *config.Settings) {
		s.Addr, s.Unprotected, s.AllowPlainHTTP, s.MagicLinks, s.NotifyChanges = "0.0.0.0:80", true, true, false, false
		s.Hosts = []string{"twofa.internal", "twofa_1.internal:8443", "10.0.0.5", "[fd00::5]:7071"}
		s.TestNumbers.Until = time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	})},
	"own_clients": {"", ownDefaults(func(s *config.Settings) {
		s.Addr, s.Clients = "0.0.0.0:7071", clients("@testdata/clients/clients.json")
	})},
	"host_clients": {secret1, hostDefaults(func(s *config.Settings) {
		s.Store, s.Tables = "bolt", azuretable.Options{}
		s.Clients = clients(`[{"id": "bank-web", "secrets": ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"], "scopes": ["users"], "directory": "bank"}]`)
	})},
	"own_routes": {"", ownDefaults(func(s *config.Settings) {
		s.Messenger, s.Countries, s.PublicURL = "providers", map[string]bool{"IN": true}, "https://twofa.example.com"
		s.Texts.Origin = "twofa.example.com"
		s.Channels = []channel.Channel{"whatsapp", "sms"}
		s.Policy.Routes = channel.Routes{"whatsapp": {"twilio", "plivo"}, "sms": {"plivo", "twilio"}, "call": {"plivo"}}
		s.Twilio = twilio.Options{
			AccountSID: "AC00000000000000000000000000000001", AuthToken: "0123456789abcdef0123456789abcdef", MessagingServiceSID: "MG00000000000000000000000000000003",
			PublicURL: s.PublicURL, Channels: []channel.Channel{"whatsapp", "sms"},
		}
		s.Plivo = plivo.Options{
			AuthID: "MAQWERTY0123456789ZX", AuthToken: "abcdefghijklmnopqrstuvwxyzABCDEF", WhatsAppFrom: "+14155238886", SMSFrom: "ACME", CallFrom: "+14155550199",
			WhatsAppTemplate: "en_US=login_code,de=login_code", WhatsAppAlertTemplate: "en_US=login_alert",
			DLTEntityID: "1101234567890123456", DLTTemplateID: "1107234567890123456", DLTTemplateCategory: "service_implicit",
			PublicURL: s.PublicURL, BaseURL: "http://127.0.0.1:4010", Channels: []channel.Channel{"whatsapp", "sms", "call"},
		}
	})},
	"host_plivo": {secret1, hostDefaults(func(s *config.Settings) {
		s.Store, s.Tables = "bolt", azuretable.Options{}
		s.Messenger, s.Countries, s.Channels = "providers", map[string]bool{"IN": true}, []channel.Channel{"sms"}
		s.Policy.Routes = channel.Routes{"whatsapp": {"plivo"}, "sms": {"plivo"}, "call": {"plivo"}}
		s.Plivo = plivo.Options{
			AuthID: "MAQWERTY0123456789ZX", AuthToken: "abcdefghijklmnopqrstuvwxyzABCDEF",
			PowerpackUUID: "5ec2e770-c4a1-4b0d-9e8f-7a6b5c4d3e2f", Channels: []channel.Channel{"sms"},
		}
	})},
	"own_partial": {"", ownDefaults(func(s *config.Settings) {
		s.Messenger, s.Countries, s.Channels, s.Unrouted = "providers", map[string]bool{"IN": true}, []channel.Channel{"whatsapp", "sms"}, []string{"bird"}
		s.Policy.Routes = channel.Routes{"whatsapp": {"twilio"}, "sms": {"plivo", "twilio"}, "call": {"twilio"}}
		s.Twilio = twilio.Options{
			AccountSID: "AC00000000000000000000000000000001", AuthToken: "0123456789abcdef0123456789abcdef", MessagingServiceSID: "MG00000000000000000000000000000003",
			Channels: []channel.Channel{"whatsapp", "sms"},
		}
		s.Plivo = plivo.Options{AuthID: "MAQWERTY0123456789ZX", AuthToken: "abcdefghijklmnopqrstuvwxyzABCDEF", SMSFrom: "ACME", Channels: []channel.Channel{"sms"}}
		s.Bird = bird.Options{APIKey: "bk_eu1_abcdefghijklmnopqrstuvwxyz"}
	})},
	"own_bird": {"", ownDefaults(func(s *config.Settings) {
		s.Messenger, s.Countries, s.PublicURL = "providers", map[string]bool{"IN": true}, "https://twofa.example.com"
		s.Texts.Origin, s.Channels = "twofa.example.com", []channel.Channel{"sms"}
		s.Policy.Routes = channel.Routes{"whatsapp": {"bird"}, "sms": {"plivo", "bird"}, "call": {"plivo"}}
		s.Plivo = plivo.Options{
			AuthID: "MAQWERTY0123456789ZX", AuthToken: "abcdefghijklmnopqrstuvwxyzABCDEF", SMSFrom: "ACME", PublicURL: s.PublicURL, Channels: []channel.Channel{"sms"},
		}
		s.Bird = bird.Options{
			APIKey: "bk_eu1_abcdefghijklmnopqrstuvwxyz", WebhookSecret: "whsec_c2VjcmV0LW9mLXRoZS13ZWJob29rLTAxMjM0NTY3ODk=", WhatsAppFrom: "+14155238886", SMSFrom: "ACME",
			WhatsAppTemplate: "en=login_code,de=bird_otp", WhatsAppAlertTemplate: "en=login_alert",
			PublicURL: s.PublicURL, BaseURL: "http://127.0.0.1:4010", Channels: []channel.Channel{"whatsapp", "sms"},
		}
	})},
	"own_misspelled": {"", ownDefaults(func(s *config.Settings) { s.Unknown = []string{"TWOFA_BRANT", "TWOFA_MAX_CHEKS"} })},
	"host_connection": {secret1, hostDefaults(func(s *config.Settings) {
		s.Tables.ConnectionString = "DefaultEndpointsProtocol=https;AccountName=account;AccountKey=a2V5;EndpointSuffix=core.windows.net"
		s.Tables.Setting = "AzureWebJobsStorage"
		s.Messenger, s.Countries = "providers", map[string]bool{"US": true}
		s.Twilio = twilio.Options{AccountSID: "AC00000000000000000000000000000001", AuthToken: "0123456789abcdef0123456789abcdef", WhatsAppFrom: "+14155238886", Channels: []channel.Channel{"whatsapp"}}
	})},
	"host_account_name": {secret1, hostDefaults(func(s *config.Settings) {
		s.Addr = "127.0.0.1:65535"
		s.Tables.ServiceURL, s.Tables.ClientID = "https://account123.table.core.windows.net", "01234567-89ab-cdef-0123-456789abcdef"
		s.Tables.Setting = "AzureWebJobsStorage__accountName"
		s.Messenger, s.Countries = "providers", map[string]bool{"US": true}
		s.Twilio = twilio.Options{
			AccountSID: "AC00000000000000000000000000000001", APIKey: "SK00000000000000000000000000000002",
			APISecret: "abcdefghijklmnopqrstuvwxyzABCDEF", MessagingServiceSID: "MG00000000000000000000000000000003", Channels: []channel.Channel{"whatsapp"},
		}
	})},
	"host_table_uri": {secret1, hostDefaults(func(s *config.Settings) {
		s.Addr = "127.0.0.1:1"
		s.Tables.ServiceURL, s.Tables.ClientID = "https://other.table.core.windows.net/", "fedcba98-7654-3210-fedc-ba9876543210"
		s.Tables.Setting = "AzureWebJobsStorage__tableServiceUri"
	})},
	"host_own_storage": {secret1, hostDefaults(func(s *config.Settings) {
		s.Tables.ConnectionString = "DefaultEndpointsProtocol=https;AccountName=own;AccountKey=a2V5;EndpointSuffix=core.windows.net"
		s.Tables.Setting = "TWOFA_TABLES_CONNECTION"
	})},
	"host_bolt": {secret1, hostDefaults(func(s *config.Settings) { s.Store, s.Tables = "bolt", azuretable.Options{} })},
}

// clients returns clients without faults.
func clients(value string) *client.Registry {
	r, faults := client.Load(value)
	if len(faults) > 0 {
		panic(faults[0])
	}
	return r
}

// ownDefaults has the defaults in docs/settings.md of a process on its own, after
// a change.
func ownDefaults(change func(*config.Settings)) config.Settings {
	s := config.Settings{
		Addr: "127.0.0.1:7071", MagicLinks: true, NotifyChanges: true, Store: "bolt", DataDir: ".twofa",
		Messenger: "console", Channels: []channel.Channel{"whatsapp"}, Brand: "twofa", LogLevel: slog.LevelInfo,
		Policy: otp.Policy{
			Shape: otp.Shape{Length: 6, Alphabet: otp.Digits}, TTL: 10 * time.Minute, MaxChecks: 5, MaxFailuresPerDay: 10,
			MaxSends: 5, MaxSendsPerDay: 20, ResendAfter: 30 * time.Second,
		},
		Limits: guard.Limits{PagePerIP: 20, PagePerIPPerDay: 100, AnonymousPerDay: 1000},
		SignIn: config.SignIn{Session: time.Hour, StaleAddress: 90 * 24 * time.Hour},
	}
	change(&s)
	return s
}

// hostDefaults is ownDefaults under the host, with the console messenger.
func hostDefaults(change func(*config.Settings)) config.Settings {
	return ownDefaults(func(s *config.Settings) {
		s.UnderHost, s.Addr, s.Store = true, "127.0.0.1:40123", "azure"
		s.ClientIPHeader = "X-Forwarded-For"
		s.Tables = azuretable.Options{TablePrefix: "twofa"}
		change(s)
	})
}

func TestWorkingSettings(t *testing.T) {
	found := files(t, "working")
	for name, path := range found {
		tc, ok := working[name]
		if !ok {
			t.Errorf("working has no settings for %s", path)
			continue
		}
		t.Run(name, func(t *testing.T) {
			settings, faults := readFile(t, path)
			if len(faults) > 0 {
				t.Fatalf("a working file must have no faults: %q", faults)
			}
			got, err := load(t, settings...)
			if err != nil {
				t.Fatal(err)
			}
			if (got.Keys == nil) != (tc.secret == "") {
				t.Fatalf("keys: %v", got.Keys)
			}
			if tc.secret != "" {
				want, err := secret.Parse(tc.secret)
				if err != nil {
					t.Fatal(err)
				}
				if got.Keys.Current() != want.Current() || got.Keys.Index("x") != want.Index("x") {
					t.Error("the keys are not those of TWOFA_SECRET")
				}
			}
			got.Keys = nil
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("\n got %+v\nwant %+v", got, tc.want)
			}
		})
	}
	for name := range working {
		if found[name] == "" {
			t.Errorf("testdata/working_%s.env is missing", name)
		}
	}
}

func TestBustedSettingsReportAllFaultsAtOnceAndNoValue(t *testing.T) {
	for name, path := range files(t, "busted") {
		t.Run(name, func(t *testing.T) {
			settings, want := readFile(t, path)
			got, err := load(t, settings...)
			faults, ok := err.(config.Faults)
			if !ok || len(want) == 0 {
				t.Fatalf("error %T %v, want the faults %q", err, err, want)
			}
			if !slices.Equal(faults, config.Faults(want)) {
				t.Errorf("\n got %s\nwant %s", strings.Join(faults, "\n     "), strings.Join(want, "\n     "))
			}
			if !reflect.DeepEqual(got, config.Settings{}) {
				t.Error("settings are returned beside the faults")
			}
			text := err.Error()
			for i, line := range strings.Split(text, "\n") {
				if line != "settings: "+faults[i] {
					t.Errorf("line %d of the error is %q", i, line)
				}
			}
			canaries := 0
			for _, s := range settings {
				if strings.Contains(s.value, "canary") {
					canaries++
				}
				if len(s.value) > 5 && strings.Contains(text, s.value) && s.value != "twilio" {
					t.Errorf("the error has the value of %s", s.name)
				}
			}
			if strings.Contains(text, "canary") || name == "everything" && canaries < 20 {
				t.Errorf("%d canaries; the error: %s", canaries, text)
			}
		})
	}
}

// Each setting is in a working file, and at fault in a busted file unless it cannot
// be wrong.
func TestEverySettingIsCovered(t *testing.T) {
	cannotBeWrong := []string{"TWOFA_DATA_DIR"} // any path may be a folder; app.Open reports if it is not
	set, fault := make(map[string]bool), make(map[string]bool)
	for _, path := range files(t, "working") {
		settings, _ := readFile(t, path)
		for _, s := range settings {
			set[s.name] = true
		}
	}
	for _, path := range files(t, "busted") {
		_, faults := readFile(t, path)
		for _, f := range faults {
			name, _, _ := strings.Cut(f, " ")
			fault[name] = true
		}
	}
	names := config.Names()
	if len(names) < 30 {
		t.Fatalf("only %d settings: %q", len(names), names)
	}
	for _, name := range names {
		if !set[name] {
			t.Errorf("no working file sets %s", name)
		}
		if never := slices.Contains(cannotBeWrong, name); fault[name] == never {
			t.Errorf("%s: at fault in a busted file: %t; cannot be wrong: %t", name, fault[name], never)
		}
	}
}

// Only variables with our prefixes are reported as unknown. That includes those of
// Twilio's own programs, which have no effect here.
func TestUnknownNamesAreOnlyOurs(t *testing.T) {
	got, err := load(t, setting{"PATH", "/bin"}, setting{"TWILIO_EDGE", "ashburn"}, setting{"FUNCTIONS_WORKER_RUNTIME", "custom"}, setting{"NOT_TWOFA_X", "1"}, setting{"TWOFA_X", "1"})
	if err != nil || !slices.Equal(got.Unknown, []string{"TWILIO_EDGE", "TWOFA_X"}) {
		t.Errorf("unknown %q, %v", got.Unknown, err)
	}
}

// envconfig must not read a name without our prefix: ADDR for TWOFA_ADDR.
func TestNamesWithoutThePrefixAreNotRead(t *testing.T) {
	got, err := load(t, setting{"ADDR", "0.0.0.0:1"}, setting{"SECRET", "x"}, setting{"STORE", "azure"}, setting{"BRAND", "x"}, setting{"PORT", "80"},
		setting{"LOGLEVEL", "x"}, setting{"twofa_store", "azure"})
	if err != nil || got.Addr != "127.0.0.1:7071" || got.Store != "bolt" || got.Brand != "twofa" || got.UnderHost {
		t.Errorf("got %+v %v", got, err)
	}
}

func TestABrandMayBeFortyCharactersOfAnyScript(t *testing.T) {
	brand := strings.Repeat("é", 40)
	got, err := load(t, setting{"TWOFA_BRAND", brand})
	if err != nil || got.Brand != brand {
		t.Errorf("got %q %v", got.Brand, err)
	}
	for text, want := range map[string]string{
		"Acme\u00a0Ltd": "Acme Ltd", "Cafe\u0301": "Café", "\u200fחנות": "חנות", "نان\u200cوایی": "نان\u200cوایی", "A\u202fB\u00adC ": "A BC",
		strings.Repeat("e\u0301", 40): brand, " ": "twofa", "\u200e": "twofa",
	} {
		if got, err := load(t, setting{"TWOFA_BRAND", text}); err != nil || got.Brand != want {
			t.Errorf("%+q: %+q, %v; want %q", text, got.Brand, err, want)
		}
	}
	for _, bad := range []string{brand + "é", "a\nb", "a\u202eb", "a\u2068b", "{{1}}", "{\u200b{1}}", "\xff"} {
		_, err := load(t, setting{"TWOFA_BRAND", bad})
		wantFault(t, err, "TWOFA_BRAND", "printable")
	}
}

func TestTestNumbersHaveAnEndThatIsNear(t *testing.T) {
	for _, tc := range []struct {
		value, fault string // "" for none
	}{
		{"until=2026-03-01,code=424242,+14155550101=delivered", ""},      // today counts to its end
		{"until=2026-05-29,code=424242,+14155550101=delivered", ""},      // 89.5 days
		{"until=2026-02-28,code=42424,+14155550101=delivered", "length"}, // past, and wrong all the same
		{"until=2026-02-28,code=424242", "at least one number"},
		{"until=2026-05-30,code=424242,+14155550101=delivered", "90 days"},
		{"until=tomorrow,code=424242,+14155550101=delivered", "YYYY-MM-DD"},
		{"code=424242,+14155550101=delivered", "needs until"},
		{"until=2026-03-31,+14155550101=delivered", "code="},
		{"until=2026-03-31,code=42424,+14155550101=delivered", "length"},
		{"until=2026-03-31,code=42424A,+14155550101=delivered", "alphabet"},
		{"until=2026-03-31,code=424242", "at least one number"},
		{"until=2026-03-31,code=424242,+1415555=delivered", "numbers like"},
		{"until=2026-03-31,code=424242,+14155550101=approved", "endings are"},
		{"until=2026-03-31,code=424242,+14155550101", "endings are"},
	} {
		got, err := load(t, setting{"TWOFA_TEST_NUMBERS", tc.value})
		if tc.fault != "" {
			wantFault(t, err, "TWOFA_TEST_NUMBERS", tc.fault)
		} else if n := got.TestNumbers; err != nil || len(n.Scenarios) != 1 || !n.Until.After(fixture.Noon) {
			t.Errorf("%s: %+v, %v", tc.value, n, err)
		}
	}
}

// The end of test numbers must not stop a process that starts after it.
func TestExpiredTestNumbersAreSwitchedOff(t *testing.T) {
	for _, day := range []string{"2026-02-28", "2026-02-27", "2025-12-31", "2020-02-29", "0001-01-01"} {
		got, err := load(t, setting{"TWOFA_TEST_NUMBERS", "until=" + day + ",code=424242,+14155550101=delivered"})
		if n := got.TestNumbers; err != nil || n.Scenarios != nil || n.Until.IsZero() || n.Until.After(fixture.Noon) {
			t.Errorf("%s: %+v, %v", day, n, err)
		}
	}
}

// Without clients, the service asks for no key on its own. So an address that other
// machines reach needs a second setting: clients, or the word that something else
// authenticates.
func TestAttack30_AnAddressThatOthersReachNeedsASecondSetting(t *testing.T) {
	const list = "@testdata/clients/clients.json"
	for addr, others := range map[string]bool{
		"127.0.0.1:7071": false, "127.9.8.7:1": false, "[::1]:7071": false, "[::ffff:127.0.0.1]:7071": false,
		"0.0.0.0:7071": true, "[::]:7071": true, "10.0.0.5:7071": true, "192.0.2.1:80": true, "[fd00::5]:7071": true, "128.0.0.1:7071": true,
		"169.254.1.1:7071": true, "[fe80::1%lo]:7071": true, "[::ffff:10.0.0.5]:7071": true,
	} {
		for _, unprotected := range []string{"", "false", "true"} {
			got, err := load(t, setting{"TWOFA_ADDR", addr}, setting{"TWOFA_UNPROTECTED", unprotected})
			if others && unprotected != "true" {
				wantFault(t, err, "TWOFA_ADDR", "TWOFA_UNPROTECTED=true")
			} else if err != nil || got.Addr != addr {
				t.Errorf("%s, %q: %q, %v", addr, unprotected, got.Addr, err)
			}
			got, err = load(t, setting{"TWOFA_ADDR", addr}, setting{"TWOFA_UNPROTECTED", unprotected}, setting{"TWOFA_CLIENTS", list})
			if err != nil || got.Addr != addr || got.Clients == nil {
				t.Errorf("%s, %q with clients: %q, %v", addr, unprotected, got.Addr, err)
			}
			if _, err = load(t, setting{"TWOFA_ADDR", addr}, setting{"TWOFA_UNPROTECTED", unprotected}, setting{"TWOFA_CLIENTS", ""}); err == nil {
				t.Errorf("%s, %q: clients that are set but empty were taken", addr, unprotected)
			}
		}
	}
	if _, err := load(t, setting{"TWOFA_UNPROTECTED", "yes"}, setting{"TWOFA_ADDR", "0.0.0.0:7071"}); err == nil {
		t.Error("yes was read as true")
	}
}

// Clients reads its setting even if all others are wrong.
func TestClientsAreReadAlone(t *testing.T) {
	for value, want := range map[string]string{
		"@testdata/clients/clients.json": "", "": "TWOFA_CLIENTS is set, but has no clients", "[]": "TWOFA_CLIENTS is set, but has no clients",
		"@Microsoft.KeyVault(SecretUri=https://canary)": "TWOFA_CLIENTS is a reference",
	} {
		_, _ = load(t, setting{"TWOFA_STORE", "canary"}, setting{"TWOFA_BRAND", "@Microsoft.KeyVault(canary)"}, setting{"TWOFA_CLIENTS", value})
		r, err := config.Clients()
		if want == "" && (err != nil || len(r.Clients()) != 2) || want != "" && (r != nil || err == nil || !strings.HasPrefix(err.Error(), "settings: "+want) || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%q: %v, %v", value, r, err)
		}
	}
	_, _ = load(t)
	if r, err := config.Clients(); r != nil || err != nil {
		t.Errorf("without the setting: %v, %v", r, err)
	}
}

func TestHostsAreNamesWithOrWithoutAPort(t *testing.T) {
	for value, want := range map[string][]string{
		"a": {"a"}, " A.example , b_1.example:8443": {"a.example", "b_1.example:8443"}, "10.0.0.5:1": {"10.0.0.5:1"}, "[fd00::5]": {"[fd00::5]"},
		"https://a": nil, "a/b": nil, "a,": nil, ",": nil, "*": nil, "*.example": nil, "u@a": nil, "a:": nil, "a:b": nil, "fd00::5": nil, ":80": nil,
		"a b": nil, "a?b": nil, "a#b": nil, "bücher.example": nil, "a:65536": nil, "[fd00::5": nil, "[a]": nil,
	} {
		got, err := load(t, setting{"TWOFA_HOSTS", value})
		if !slices.Equal(got.Hosts, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %q, %v", value, got.Hosts, err)
		}
		if want == nil {
			wantFault(t, err, "TWOFA_HOSTS", "host names")
		}
	}
}

// A name with a space, a colon or a line break is no header's name.
func TestTheHeaderOfClientAddressesIsAName(t *testing.T) {
	for value, valid := range map[string]bool{
		"X-Forwarded-For": true, "x-azure-clientip": true, "client-ip": true, "CF-Connecting-IP": true, "!#$%&'*+-.^_`|~09": true, strings.Repeat("a", 128): true,
		" X-Real-IP": false, "X-Real-IP:": false, "X-Real-IP, X-Forwarded-For": false, "a\r\nb": false, "a\tb": false, "X-Ré": false, "\"a\"": false, "a/b": false, "(a)": false,
		"a@b": false, strings.Repeat("a", 129): false,
	} {
		for _, host := range []string{"", "40123"} {
			got, err := load(t, setting{"TWOFA_CLIENT_IP_HEADER", value}, setting{"FUNCTIONS_CUSTOMHANDLER_PORT", host},
				setting{"TWOFA_STORE", "bolt"}, setting{"TWOFA_MESSENGER", "console"}, setting{"TWOFA_SECRET", secret1})
			if !valid {
				wantFault(t, err, "TWOFA_CLIENT_IP_HEADER", "name of one header")
			} else if err != nil || got.ClientIPHeader != value {
				t.Errorf("%q: %q, %v", value, got.ClientIPHeader, err)
			}
		}
	}
}

// App Service leaves the text of a reference in the setting if it may not read what
// the reference names. In a brand or a folder, nobody would notice.
func TestAReferenceThatWasNotResolvedIsAFaultInEverySetting(t *testing.T) {
	names := append(config.Names(), "AzureWebJobsStorage", "AzureWebJobsStorage__accountName", "AzureWebJobsStorage__tableServiceUri", "AzureWebJobsStorage__clientId")
	for _, name := range names {
		for _, value := range []string{
			"@Microsoft.KeyVault(SecretUri=https://canary.vault.azure.net/secrets/x)", "@Microsoft.KeyVault(VaultName=canary;SecretName=x)",
			" @microsoft.keyvault(canary", "x,@Microsoft.KeyVault(SecretUri=https://canary)", "@Microsoft.AppConfiguration(Endpoint=https://canary; Key=x)",
		} {
			_, err := load(t, setting{name, value})
			wantFault(t, err, name, "was not resolved")
			if err != nil && (strings.Contains(err.Error(), "canary") || strings.Count(err.Error(), "settings: "+name+" ") != 1) {
				t.Errorf("%s: a value, or another fault of it: %v", name, err)
			}
		}
	}
}

// A service that sends e-mail alone needs no settings of Twilio.
func TestEMailAlone(t *testing.T) {
	emailOnly := []setting{{"TWOFA_MESSENGER", "twilio"}, {"TWOFA_CHANNELS", "email"}}
	_, err := load(t, emailOnly...)
	wantFault(t, err, "TWOFA_SMTP_URL", "")
	got, err := load(t, append(emailOnly, setting{"TWOFA_SMTP_URL", "smtps://mail.example.com"}, setting{"TWOFA_EMAIL_FROM", "login@example.com"})...)
	if err != nil || got.Twilio.AccountSID != "" || got.Email.URL == "" {
		t.Errorf("%+v, %v", got, err)
	}
}

// The code is in the subject of a mail unless the operator says otherwise.
func TestCodeInTheSubjectOfAMail(t *testing.T) {
	for value, want := range map[string]bool{"": true, "true": true, "TRUE": true, "false": false, "False": false} {
		got, err := load(t, setting{"TWOFA_MESSENGER", "twilio"}, setting{"TWOFA_CHANNELS", "email"}, setting{"TWOFA_SMTP_URL", "smtps://mail.example.com"},
			setting{"TWOFA_EMAIL_FROM", "login@example.com"}, setting{"TWOFA_EMAIL_SUBJECT_CODE", value})
		if err != nil || got.Email.CodeInSubject != want {
			t.Errorf("%q: %t, %v", value, got.Email.CodeInSubject, err)
		}
	}
	for _, value := range []string{"yes", "1", "0", "off"} { // also with the console messenger, which sends no mail
		_, err := load(t, setting{"TWOFA_EMAIL_SUBJECT_CODE", value})
		wantFault(t, err, "TWOFA_EMAIL_SUBJECT_CODE", "true or false")
	}
}

func TestPublicURLIsAnOrigin(t *testing.T) {
	for value, want := range map[string]string{
		"https://twofa.example.com":       "https://twofa.example.com",
		"https://Twofa.example.com:8443/": "https://twofa.example.com:8443",
		"http://127.0.0.1:7071":           "http://127.0.0.1:7071",
		"http://twofa.example.com":        "",
		"https://twofa.example.com/a":     "",
		"https://twofa.example.com/?a":    "",
		"https://u:p@twofa.example.com":   "",
		"twofa.example.com":               "",
		"https://":                        "",
	} {
		got, err := load(t, setting{"TWOFA_PUBLIC_URL", value})
		if got.PublicURL != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", value, got.PublicURL, err)
		}
	}
}
