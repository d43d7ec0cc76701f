package config

import (
	"cmp"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/guard"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/secret"
	"twofa/internal/shown"
	"twofa/internal/store/azuretable"
)

// hostStorage is the Functions host's own settings of its storage.
type hostStorage struct {
	connection, accountName, tableURL, clientID string
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// within reports whether a value has from least to most bytes, all from a set.
func within(value string, least, most int, set string) bool {
	return len(value) >= least && len(value) <= most && strings.Trim(value, set) == ""
}

// settings converts the variables, and finds all faults.
func (e environment) settings(host hostStorage, now time.Time) (Settings, Faults) {
	var faults Faults
	s := Settings{
		Addr:      cmp.Or(e.Addr, "127.0.0.1:7071"),
		UnderHost: e.Port != "",
		DataDir:   cmp.Or(e.DataDir, ".twofa"),
		Brand:     cmp.Or(shown.Form(e.Brand), "twofa"),
	}
	s.Unprotected = yes(&faults, "TWOFA_UNPROTECTED", e.Unprotected, false)
	s.Clients = e.clients(&faults)
	store, messenger := StoreBolt, MessengerConsole
	if s.UnderHost {
		store, messenger = StoreAzure, MessengerProviders
		if port, err := strconv.ParseUint(e.Port, 10, 16); err != nil || port == 0 {
			faults.add("FUNCTIONS_CUSTOMHANDLER_PORT", "is not a port number")
		}
		s.Addr = net.JoinHostPort("127.0.0.1", e.Port)
	} else if addr, err := netip.ParseAddrPort(s.Addr); err != nil {
		faults.add("TWOFA_ADDR", "has to be an IP address and a port, like 127.0.0.1:7071")
	} else if !addr.Addr().IsLoopback() && !s.Unprotected && e.Clients == "" {
		faults.add("TWOFA_ADDR", "is an address that other machines reach, and the service asks for no key there: use 127.0.0.1, set TWOFA_CLIENTS, or set TWOFA_UNPROTECTED=true behind something that authenticates")
	}
	s.Store = choice(&faults, "TWOFA_STORE", cmp.Or(e.Store, store), StoreAzure, StoreBolt)
	if e.Messenger == channel.Twilio {
		e.Messenger = MessengerProviders
	}
	s.Messenger = choice(&faults, "TWOFA_MESSENGER", cmp.Or(e.Messenger, messenger), MessengerProviders, MessengerConsole)

	if e.Secret != "" {
		keys, err := secret.Parse(e.Secret)
		if err != nil {
			faults.add("TWOFA_SECRET", "%s", err)
		}
		s.Keys = keys
	} else if s.UnderHost || s.Store == StoreAzure {
		faults.add("TWOFA_SECRET", "is not set; make one with: openssl rand -base64 32")
	}
	s.AllowPlainHTTP = yes(&faults, "TWOFA_ALLOW_PLAIN_HTTP", e.AllowPlainHTTP, false)
	if s.Store == StoreAzure {
		s.Tables = e.tables(host, s.AllowPlainHTTP, &faults)
	}
	var ok bool
	if s.Brand, ok = notify.ReadBrand(s.Brand); !ok {
		faults.add("TWOFA_BRAND", "has to be at most 40 printable characters, without {{")
	}
	s.Pages = e.pages(&faults)
	s.Hosts = e.hosts(&faults)
	if s.ClientIPHeader = e.ClientIPHeader; s.UnderHost {
		s.ClientIPHeader = cmp.Or(e.ClientIPHeader, "X-Forwarded-For")
	}
	if !within(s.ClientIPHeader, 0, 128, lower+upper+digits+"!#$%&'*+-.^_`|~") { // a token of RFC 9110, 5.6.2
		faults.add("TWOFA_CLIENT_IP_HEADER", "has to be the name of one header, like X-Forwarded-For")
	}
	s.MagicLinks = yes(&faults, "TWOFA_MAGIC_LINKS", e.MagicLinks, true)
	s.NotifyChanges = yes(&faults, "TWOFA_NOTIFY_CHANGES", e.NotifyChanges, true)
	s.Policy = e.policy(&faults)
	s.Limits = e.limits(&faults)
	s.SignIn = e.signIn(&faults)
	e.channels(&s, now, &faults)
	s.LogLevel = logLevels[choice(&faults, "TWOFA_LOG_LEVEL", strings.ToLower(cmp.Or(e.LogLevel, "info")), "debug", "info", "warn", "error")]
	return s, faults
}

var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// references are how App Service's references to other services begin, in lower
// case. It replaces them before the process starts, unless it may not read them.
var references = []string{"@microsoft.keyvault(", "@microsoft.appconfiguration("}

// unresolved returns the settings whose value is a reference that was not replaced.
func (e environment) unresolved(host hostStorage) (settings []string) {
	check := func(setting, value string) {
		value = strings.ToLower(value)
		if slices.ContainsFunc(references, func(r string) bool { return strings.Contains(value, r) }) {
			settings = append(settings, setting)
		}
	}
	values := reflect.ValueOf(e)
	for i, name := range names() {
		check(name, values.Field(i).String())
	}
	check("AzureWebJobsStorage", host.connection)
	check("AzureWebJobsStorage__accountName", host.accountName)
	check("AzureWebJobsStorage__tableServiceUri", host.tableURL)
	check("AzureWebJobsStorage__clientId", host.clientID)
	return settings
}

// withUnresolved puts a fault for each reference that was not replaced in front of
// the others, in place of what else was found about the setting.
func withUnresolved(faults Faults, settings []string) (all Faults) {
	for _, name := range settings {
		all.add(name, "is a reference that was not resolved: App Service put its text and not the secret here. Give the app's identity the right to read it (for a key vault the role Key Vault Secrets User), and check the name in the reference")
	}
	for _, fault := range faults {
		if name, _, _ := strings.Cut(fault, " "); !slices.Contains(settings, name) {
			all = append(all, fault)
		}
	}
	return all
}

// choice returns the value if it is one of those allowed, else "" and a fault.
func choice(faults *Faults, setting, value string, allowed ...string) string {
	if slices.Contains(allowed, value) {
		return value
	}
	last := len(allowed) - 1
	faults.add(setting, "has to be %s or %s", strings.Join(allowed[:last], ", "), allowed[last])
	return ""
}

// yes returns true or false, and the default if the value is "" or at fault.
func yes(faults *Faults, setting, value string, byDefault bool) bool {
	if value == "" {
		return byDefault
	}
	return choice(faults, setting, strings.ToLower(value), "true", "false") == "true"
}

// clients returns TWOFA_CLIENTS, nil if it is not set. The faults name the setting.
func (e environment) clients(faults *Faults) *client.Registry {
	if e.Clients == "" {
		return nil
	}
	registry, found := client.Load(e.Clients)
	*faults = append(*faults, found...)
	return registry
}

// hosts returns TWOFA_HOSTS, in lower case.
func (e environment) hosts(faults *Faults) (hosts []string) {
	if strings.TrimSpace(e.Hosts) == "" {
		return nil
	}
	for entry := range strings.SplitSeq(strings.ToLower(e.Hosts), ",") {
		entry = strings.TrimSpace(entry)
		u, err := url.Parse("http://" + entry)
		var port error
		if err == nil && u.Port() != "" {
			_, port = strconv.ParseUint(u.Port(), 10, 16)
		}
		if err != nil || port != nil || u.Host != entry || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") || u.User != nil || strings.Trim(u.Hostname(), lower+digits+"-_.:") != "" {
			faults.add("TWOFA_HOSTS", "has to be host names like twofa.example.com or twofa.example.com:8443, comma-separated, without scheme and path")
			return nil
		}
		hosts = append(hosts, entry)
	}
	return hosts
}

// tables returns the storage account: of our own settings, else of the host's.
func (e environment) tables(host hostStorage, allowPlainHTTP bool, faults *Faults) azuretable.Options {
	t := azuretable.Options{
		ConnectionString: e.TablesConnection, ServiceURL: e.TablesURL, ClientID: e.TablesClientID,
		AllowPlainHTTP: allowPlainHTTP, TablePrefix: cmp.Or(e.TablePrefix, "twofa"),
	}
	if !within(t.TablePrefix, 1, 40, lower+upper+digits) || within(t.TablePrefix[:1], 1, 1, digits) {
		faults.add("TWOFA_TABLE_PREFIX", "has to be a letter and up to 39 letters and digits")
	}
	// A fault names the setting that was used.
	connectionSetting := "TWOFA_TABLES_CONNECTION"
	urlSetting, clientSetting := "TWOFA_TABLES_URL", "TWOFA_TABLES_CLIENT_ID"
	if t.ClientID == "" {
		clientSetting = "AzureWebJobsStorage__clientId"
	}
	switch {
	case t.ConnectionString != "" && t.ServiceURL != "":
		faults.add("TWOFA_TABLES_URL", "and TWOFA_TABLES_CONNECTION are both set; leave one out")
	case t.ConnectionString != "" || t.ServiceURL != "":
	case host.tableURL != "":
		urlSetting = "AzureWebJobsStorage__tableServiceUri"
		t.ServiceURL, t.ClientID = host.tableURL, cmp.Or(t.ClientID, host.clientID)
	case host.accountName != "":
		if !within(host.accountName, 3, 24, lower+digits) {
			faults.add("AzureWebJobsStorage__accountName", "is not the name of a storage account")
			break
		}
		urlSetting = "AzureWebJobsStorage__accountName"
		t.ServiceURL = "https://" + host.accountName + ".table.core.windows.net"
		t.ClientID = cmp.Or(t.ClientID, host.clientID)
	case host.connection != "":
		connectionSetting = "AzureWebJobsStorage"
		t.ConnectionString = host.connection
	default:
		faults.add("TWOFA_TABLES_CONNECTION", "is not set, and neither is TWOFA_TABLES_URL nor AzureWebJobsStorage")
	}
	t.Setting = urlSetting
	if t.ConnectionString != "" {
		t.Setting = connectionSetting
		if err := t.CheckConnectionString(); err != nil {
			faults.add(connectionSetting, "cannot be used: %s", err)
		}
	}
	if u, err := url.Parse(t.ServiceURL); t.ServiceURL != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		faults.add(urlSetting, "has to be an https address")
	}
	if t.ClientID != "" && !within(t.ClientID, 36, 36, digits+"abcdefABCDEF-") {
		faults.add(clientSetting, "has to be a client id like 00000000-0000-0000-0000-000000000000")
	}
	return t
}

// countries returns TWOFA_COUNTRIES, nil for all. It may be missing only if it is
// not needed.
func (e environment) countries(needed bool, faults *Faults) map[string]bool {
	switch strings.TrimSpace(e.Countries) {
	case "*":
		return nil
	case "":
		if needed {
			faults.add("TWOFA_COUNTRIES", "is not set; name the countries that may be sent to (IN,US), or * for all")
		}
		return nil
	}
	countries := make(map[string]bool)
	for code := range strings.SplitSeq(e.Countries, ",") {
		code = strings.TrimSpace(code)
		if !phone.IsRegion(code) {
			faults.add("TWOFA_COUNTRIES", "has to be country codes of two capitals (ISO 3166-1: GB and not UK), comma-separated, or *")
			break
		}
		countries[code] = true
	}
	return countries
}

func (e environment) policy(faults *Faults) otp.Policy {
	p := otp.DefaultPolicy()
	p.Shape.Length = number(faults, "TWOFA_CODE_LENGTH", e.CodeLength, p.Shape.Length, otp.MinCodeLength, otp.MaxCodeLength)
	if choice(faults, "TWOFA_CODE_ALPHABET", cmp.Or(e.CodeAlphabet, "digits"), "digits", "alphanumeric") == "alphanumeric" {
		p.Shape.Alphabet = otp.Alphanumeric
	}
	p.TTL = duration(faults, "TWOFA_CODE_TTL", e.CodeTTL, p.TTL, time.Minute, 24*time.Hour)
	p.MaxChecks = number(faults, "TWOFA_MAX_CHECKS", e.MaxChecks, p.MaxChecks, 1, otp.MaxCounted)
	p.MaxFailuresPerDay = number(faults, "TWOFA_MAX_FAILURES_PER_DAY", e.MaxFailuresPerDay, p.MaxFailuresPerDay, 1, otp.MaxCounted)
	p.MaxSends = number(faults, "TWOFA_MAX_SENDS", e.MaxSends, p.MaxSends, 1, otp.MaxCounted)
	p.MaxSendsPerDay = number(faults, "TWOFA_MAX_SENDS_PER_DAY", e.MaxSendsPerDay, p.MaxSendsPerDay, 1, otp.MaxCounted)
	p.ResendAfter = duration(faults, "TWOFA_RESEND_AFTER", e.ResendAfter, p.ResendAfter, 0, time.Hour)
	return p
}

func (e environment) limits(faults *Faults) guard.Limits {
	l := guard.DefaultLimits()
	l.PerIP = number(faults, "TWOFA_MAX_SENDS_PER_IP", e.MaxSendsPerIP, l.PerIP, 0, guard.MaxLimit)
	l.PerIPPerDay = number(faults, "TWOFA_MAX_SENDS_PER_IP_PER_DAY", e.MaxSendsPerIPPerDay, l.PerIPPerDay, 0, guard.MaxLimit)
	l.PagePerIP = number(faults, "TWOFA_MAX_PAGE_SENDS_PER_IP", e.MaxPageSendsPerIP, l.PagePerIP, 0, guard.MaxLimit)
	l.PagePerIPPerDay = number(faults, "TWOFA_MAX_PAGE_SENDS_PER_IP_PER_DAY", e.MaxPageSendsPerIPPerDay, l.PagePerIPPerDay, 0, guard.MaxLimit)
	l.AnonymousPerDay = number(faults, "TWOFA_MAX_ANONYMOUS_SENDS_PER_DAY", e.MaxAnonymousSendsPerDay, l.AnonymousPerDay, 0, guard.MaxLimit)
	return l
}

// number returns a whole number from least to most, and the default if the value
// is "" or at fault.
func number(faults *Faults, setting, value string, byDefault, least, most int) int {
	if value == "" {
		return byDefault
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		faults.add(setting, "has to be a whole number from %d to %d", least, most)
		return byDefault
	}
	return n
}

// duration is number for whole seconds.
func duration(faults *Faults, setting, value string, byDefault, least, most time.Duration) time.Duration {
	if value == "" {
		return byDefault
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < least || d > most || d%time.Second != 0 {
		faults.add(setting, "has to be whole seconds from %s to %s, written like 90s or 10m", least, most)
		return byDefault
	}
	return d
}
