package main

import (
	"log/slog"
	"net/netip"

	"twofa/internal/config"
	"twofa/internal/otp"
)

// warning is about a setting that is allowed, but most likely a mistake.
type warning struct {
	setting, text string
	more          []any // further attributes of the log's line
}

// warn logs the warnings.
func warn(s config.Settings, log *slog.Logger) {
	for _, w := range warnings(s) {
		log.Warn(w.text, append([]any{"setting", w.setting}, w.more...)...)
	}
}

// warnings returns what the start warns about.
func warnings(s config.Settings) (list []warning) {
	add := func(setting, text string, more ...any) { list = append(list, warning{setting, text, more}) }
	for _, name := range s.Unknown {
		add(name, "this version does not know this setting; is it misspelled?")
	}
	if s.UnderHost && s.Messenger == config.MessengerConsole {
		add("TWOFA_MESSENGER", "messages are printed and not sent: codes and numbers go to the host's log. Use this for local work only")
	}
	for _, name := range s.Unrouted {
		add("TWOFA_ROUTES", "a provider has an account, and no channel goes over it: name it in TWOFA_ROUTES, or remove its settings", "provider", name)
	}
	if s.PublicURL == "" && (s.Twilio.AccountSID != "" || s.Plivo.AuthID != "" || s.Bird.APIKey != "") {
		add("TWOFA_PUBLIC_URL", "the provider cannot report what became of messages: there is no fallback after a lost message, and people cannot reply")
	}
	if s.PublicURL != "" && s.Bird.APIKey != "" && s.Bird.WebhookSecret == "" {
		add("BIRD_WEBHOOK_SECRET", "it is not set: Bird cannot report what became of messages (docs/providers.md)")
	}
	if s.Keys != nil {
		for _, weak := range s.Keys.Warnings() {
			add("TWOFA_SECRET", "TWOFA_SECRET: "+weak+": remove it when nothing needs it any more (docs/runbooks/rotate-secret.md)")
		}
	}
	byDefault := otp.DefaultPolicy()
	if s.Policy.TTL > byDefault.TTL {
		add("TWOFA_CODE_TTL", "codes are valid for longer than the 10 minutes that NIST SP 800-63B-4 allows")
	}
	if s.Policy.MaxChecks > byDefault.MaxChecks {
		add("TWOFA_MAX_CHECKS", "a code has more than the 5 tries that the PSD2 standard (RTS, article 4) allows")
	}
	if s.AllowPlainHTTP {
		add("TWOFA_ALLOW_PLAIN_HTTP", "storage and the provider may be reached over plain http: everybody on the way can read and change rows and messages")
	}
	if n := s.TestNumbers; len(n.Scenarios) == 0 && !n.Until.IsZero() {
		add("TWOFA_TEST_NUMBERS", "the last day of the test numbers is past: they are switched off, and get messages as all numbers do. Remove the setting, or give a new day", "until", n.Until)
	}
	if len(s.TestNumbers.Scenarios) > 0 {
		add("TWOFA_TEST_NUMBERS", "test numbers are on: nothing is sent to them, and a fixed code is right for them", "until", s.TestNumbers.Until)
	}
	if addr, err := netip.ParseAddrPort(s.Addr); err == nil && !addr.Addr().IsLoopback() {
		if s.Clients == nil {
			add("TWOFA_ADDR", "on its own the service asks for no key: everybody who reaches this address can send and check codes")
		} else {
			add("TWOFA_ADDR", "on its own the service has no TLS: secrets of clients and codes travel in clear, unless something in front of it ends TLS")
		}
	}
	return list
}
