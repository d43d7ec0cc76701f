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

	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/notify/email"
	"twofa/internal/notify/twilio"
	"twofa/internal/otp"
	"twofa/internal/secret"
	"twofa/internal/store/azuretable"
	"twofa/internal/texts"
)

// setting is one line of a file in testdata.
type setting struct{ name, value string }

// readFile reads NAME=VALUE lines, and comments, some of which are "# fault: ".
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
				t.Fatalf("%s: %q is no setting", path, line)
			}
			settings = append(settings, setting{name, value})
		}
	}
	return settings, faults
}

// files are the paths of a kind, by their names without kind and ending.
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

// now is when all settings are judged.
var now = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// load reads settings from an environment that has nothing else.
func load(t *testing.T, settings []setting) (config.Settings, error) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value) // so that it comes back
		os.Unsetenv(name)
	}
	for _, s := range settings {
		t.Setenv(s.name, s.value)
	}
	return config.Load(now)
}

const (
	secret1 = "AQgPFh0kKzI5QEdOVVxjanF4f4aNlJuiqbC3vsXM09o="
	secret2 = "AgcMERYbICUqLzQ5PkNITVJXXGFma3B1en+EiY6TmJ0="
)

// working is what becomes of each working file, and of the secret in it.
var working = map[string]struct {
	secret string
	want   config.Settings
}{
	"own_defaults": {"", ownDefaults(func(*config.Settings) {})},
	"own_everything": {secret2 + "," + secret1, config.Settings{
		Addr: "[::1]:8080", Store: "azure", DataDir: "/var/lib/twofa",
		Tables:    azuretable.Options{ServiceURL: "https://account.table.core.windows.net", ClientID: "01234567-89ab-cdef-0123-456789ABCDEF", TablePrefix: "Two2fa"},
		Messenger: "twilio", Channels: []notify.Channel{"whatsapp", "sms", "call", "email"}, PublicURL: "https://twofa.example.com",
		Email: email.Options{URL: "smtps://user:pass%40word@mail.example.com", From: "Acme <login@example.com>"},
		Texts: texts.Options{Dir: "testdata/texts", Origin: "login.example.com", AppHash: "FA+9qCX9VSu"},
		Scripts: map[string]otp.Script{
			"+14155550101": {Ending: otp.EndsDelivered, Code: "23456789AB"}, "+14155550102": {Ending: otp.EndsUndeliverable, Code: "23456789AB"},
			"+14155550103": {Ending: otp.EndsFallback, Code: "23456789AB"}, "+14155550104": {Ending: otp.EndsExpired, Code: "23456789AB"},
			"+14155550105": {Ending: otp.EndsExhausted, Code: "23456789AB"},
		},
		ScriptsEnd: time.Date(2026, time.April, 1, 0, 0, 0, 0, time.UTC),
		Twilio: twilio.Options{
			AccountSID: "AC00000000000000000000000000000001", AuthToken: "0123456789abcdef0123456789abcdef",
			APIKey: "SK00000000000000000000000000000002", APISecret: "abcdefghijklmnopqrstuvwxyzABCDEF",
			WhatsAppFrom: "+14155238886", SMSFrom: "ACME", VoiceFrom: "+14155550199", MessagingServiceSID: "MG00000000000000000000000000000003",
			ContentSID: "HX00000000000000000000000000000004", AlertContentSID: "HX00000000000000000000000000000005",
			PublicURL: "https://twofa.example.com", BaseURL: "http://127.0.0.1:4010",
			Channels: []notify.Channel{"whatsapp", "sms", "call", "email"},
		},
		Countries: map[string]bool{"IN": true, "US": true, "XK": true}, Brand: "Bäckerei Köhler & Söhne", LogLevel: slog.LevelWarn,
		Policy: otp.Policy{
			Shape: otp.Shape{Length: 10, Alphabet: otp.Alphanumeric}, TTL: 24 * time.Hour, MaxChecks: 3, MaxFailuresPerDay: 100,
			MaxSends: 1, MaxSendsPerDay: 7, ResendAfter: 0,
		},
	}},
	"own_connection": {secret1, ownDefaults(func(s *config.Settings) {
		s.Store, s.Tables = "azure", azuretable.Options{ConnectionString: "UseDevelopmentStorage=true", TablePrefix: "twofa"}
		s.LogLevel = slog.LevelDebug
		s.Policy = otp.Policy{
			Shape: otp.Shape{Length: 4, Alphabet: otp.Digits}, TTL: time.Minute, MaxChecks: 1, MaxFailuresPerDay: 1,
			MaxSends: 100, MaxSendsPerDay: 100, ResendAfter: time.Hour,
		}
	})},
	"own_misspelled": {"", ownDefaults(func(s *config.Settings) { s.Unknown = []string{"TWOFA_BRANT", "TWOFA_MAX_CHEKS"} })},
	"host_connection": {secret1, hostDefaults(func(s *config.Settings) {
		s.Tables.ConnectionString = "DefaultEndpointsProtocol=https;AccountName=account;AccountKey=a2V5;EndpointSuffix=core.windows.net"
		s.Messenger, s.Countries = "twilio", map[string]bool{"US": true}
		s.Twilio = twilio.Options{AccountSID: "AC00000000000000000000000000000001", AuthToken: "0123456789abcdef0123456789abcdef", WhatsAppFrom: "+14155238886", Channels: []notify.Channel{"whatsapp"}}
	})},
	"host_account_name": {secret1, hostDefaults(func(s *config.Settings) {
		s.Addr = "127.0.0.1:65535"
		s.Tables.ServiceURL, s.Tables.ClientID = "https://account123.table.core.windows.net", "01234567-89ab-cdef-0123-456789abcdef"
		s.Messenger, s.Countries = "twilio", map[string]bool{"US": true}
		s.Twilio = twilio.Options{
			AccountSID: "AC00000000000000000000000000000001", APIKey: "SK00000000000000000000000000000002",
			APISecret: "abcdefghijklmnopqrstuvwxyzABCDEF", MessagingServiceSID: "MG00000000000000000000000000000003", Channels: []notify.Channel{"whatsapp"},
		}
	})},
	"host_table_uri": {secret1, hostDefaults(func(s *config.Settings) {
		s.Addr = "127.0.0.1:1"
		s.Tables.ServiceURL, s.Tables.ClientID = "https://other.table.core.windows.net/", "fedcba98-7654-3210-fedc-ba9876543210"
	})},
	"host_own_storage": {secret1, hostDefaults(func(s *config.Settings) {
		s.Tables.ConnectionString = "DefaultEndpointsProtocol=https;AccountName=own;AccountKey=a2V5;EndpointSuffix=core.windows.net"
	})},
	"host_bolt": {secret1, hostDefaults(func(s *config.Settings) { s.Store, s.Tables = "bolt", azuretable.Options{} })},
}

// ownDefaults is what README's table promises a process on its own.
func ownDefaults(change func(*config.Settings)) config.Settings {
	s := config.Settings{
		Addr: "127.0.0.1:7071", Store: "bolt", DataDir: ".twofa",
		Messenger: "console", Channels: []notify.Channel{"whatsapp"}, Brand: "twofa", LogLevel: slog.LevelInfo,
		Policy: otp.Policy{
			Shape: otp.Shape{Length: 6, Alphabet: otp.Digits}, TTL: 10 * time.Minute, MaxChecks: 5, MaxFailuresPerDay: 10,
			MaxSends: 5, MaxSendsPerDay: 20, ResendAfter: 30 * time.Second,
		},
	}
	change(&s)
	return s
}

// hostDefaults is the same under the host, with the console messenger.
func hostDefaults(change func(*config.Settings)) config.Settings {
	return ownDefaults(func(s *config.Settings) {
		s.UnderHost, s.Addr, s.Store = true, "127.0.0.1:40123", "azure"
		s.Tables = azuretable.Options{TablePrefix: "twofa"}
		change(s)
	})
}

func TestWorkingSettings(t *testing.T) {
	found := files(t, "working")
	for name, path := range found {
		tc, ok := working[name]
		if !ok {
			t.Errorf("nothing is expected of %s", path)
			continue
		}
		t.Run(name, func(t *testing.T) {
			settings, faults := readFile(t, path)
			if len(faults) > 0 {
				t.Fatalf("a working file with faults: %q", faults)
			}
			got, err := load(t, settings)
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
					t.Error("the keys are not those of the setting")
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
			got, err := load(t, settings)
			faults, ok := err.(config.Faults)
			if !ok || len(want) == 0 {
				t.Fatalf("error %T %v, want the faults %q", err, err, want)
			}
			if !slices.Equal(faults, config.Faults(want)) {
				t.Errorf("\n got %s\nwant %s", strings.Join(faults, "\n     "), strings.Join(want, "\n     "))
			}
			if !reflect.DeepEqual(got, config.Settings{}) {
				t.Error("settings with faults came back")
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

// Every setting is part of some working file, and at fault in some busted one
// unless it cannot be wrong.
func TestEverySettingIsCovered(t *testing.T) {
	cannotBeWrong := map[string]string{
		"TWOFA_DATA_DIR": "any path may be a folder; main says if it is none",
	}
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
		if _, never := cannotBeWrong[name]; fault[name] == never {
			t.Errorf("%s: at fault in a busted file: %t; cannot be wrong: %t", name, fault[name], never)
		}
	}
}

// Settings that the host's own environment is full of are not ours; one that
// Twilio's other programs read has no effect here, and that is said too.
func TestUnknownNamesAreOnlyOurs(t *testing.T) {
	got, err := load(t, []setting{{"PATH", "/bin"}, {"TWILIO_EDGE", "ashburn"}, {"FUNCTIONS_WORKER_RUNTIME", "custom"}, {"NOT_TWOFA_X", "1"}, {"TWOFA_X", "1"}})
	if err != nil || !slices.Equal(got.Unknown, []string{"TWILIO_EDGE", "TWOFA_X"}) {
		t.Errorf("unknown %q, %v", got.Unknown, err)
	}
}

// envconfig would take a name without our prefix: ADDR for TWOFA_ADDR.
func TestNamesWithoutThePrefixAreNotRead(t *testing.T) {
	got, err := load(t, []setting{{"ADDR", "0.0.0.0:1"}, {"SECRET", "x"}, {"STORE", "azure"}, {"BRAND", "x"}, {"PORT", "80"}, {"LOGLEVEL", "x"}, {"twofa_store", "azure"}})
	if err != nil || got.Addr != "127.0.0.1:7071" || got.Store != "bolt" || got.Brand != "twofa" || got.UnderHost {
		t.Errorf("got %+v %v", got, err)
	}
}

func TestABrandMayBeFortyCharactersOfAnyScript(t *testing.T) {
	brand := strings.Repeat("é", 40)
	got, err := load(t, []setting{{"TWOFA_BRAND", brand}})
	if err != nil || got.Brand != brand {
		t.Errorf("got %q %v", got.Brand, err)
	}
	for _, bad := range []string{brand + "é", "a\nb", "a\u202eb", "{{1}}", "a\u00a0b", "\xff"} {
		if _, err := load(t, []setting{{"TWOFA_BRAND", bad}}); err == nil || !strings.Contains(err.Error(), "TWOFA_BRAND") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTestNumbersHaveAnEndThatIsNear(t *testing.T) {
	for _, tc := range []struct {
		value, fault string // "" for none
	}{
		{"until=2026-03-01,code=424242,+14155550101=delivered", ""}, // today, to its end
		{"until=2026-05-29,code=424242,+14155550101=delivered", ""}, // 89.5 days
		{"until=2026-02-28,code=424242,+14155550101=delivered", "not past"},
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
		got, err := load(t, []setting{{"TWOFA_TEST_NUMBERS", tc.value}})
		if tc.fault == "" {
			if err != nil || len(got.Scripts) != 1 || !got.ScriptsEnd.After(now) {
				t.Errorf("%s: %+v until %v, %v", tc.value, got.Scripts, got.ScriptsEnd, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), "TWOFA_TEST_NUMBERS ") || !strings.Contains(err.Error(), tc.fault) {
			t.Errorf("%s: %v, want a fault with %q", tc.value, err, tc.fault)
		}
	}
}

// A service that sends e-mail alone needs nothing of Twilio.
func TestEMailAlone(t *testing.T) {
	got, err := load(t, []setting{
		{"TWOFA_MESSENGER", "twilio"}, {"TWOFA_CHANNELS", "email"},
		{"TWOFA_SMTP_URL", "smtps://mail.example.com"}, {"TWOFA_EMAIL_FROM", "login@example.com"},
	})
	if err != nil || got.Twilio.AccountSID != "" || got.Email.URL == "" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := load(t, []setting{{"TWOFA_MESSENGER", "twilio"}, {"TWOFA_CHANNELS", "email"}}); err == nil || !strings.Contains(err.Error(), "TWOFA_SMTP_URL") {
		t.Errorf("without a server: %v", err)
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
		got, err := load(t, []setting{{"TWOFA_PUBLIC_URL", value}})
		if got.PublicURL != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", value, got.PublicURL, err)
		}
	}
}
