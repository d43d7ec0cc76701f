package client

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"twofa/internal/notify"
)

// entry is a client as the operator wrote it. All fields are checked now. Those that
// nothing uses yet are only here.
type entry struct {
	dir string // of logo

	id, directory, brand, color, logo, sector, accountSID     string
	consent                                                   Consent
	secrets, scopes, countries, require, brands               []string
	returnURLs, redirectURIs, postLogoutRedirectURIs, origins []string
	maxSendsPerDay                                            int
	testNumbers, public, pkce, customCodes                    bool
	logoFile                                                  []byte
	verifyServices                                            map[string]string // from the service's SID to its purpose
}

// newEntry returns the defaults of an entry.
func newEntry(dir string) *entry {
	return &entry{dir: dir, directory: MainDirectory, pkce: true, consent: ConsentOnce}
}

// rule reads a field into an entry. It returns what the field has to be, "" if it is that.
type rule func(e *entry, value jsontext.Value) (fault string)

// reading returns the rule of a field that has to be as the text says. A value of another
// type is as wrong as one that is not valid.
func reading[T any](has string, into func(*entry) *T, valid func(T) bool) rule {
	return func(e *entry, value jsontext.Value) string {
		var v T
		if value.Kind() == 'n' || json.Unmarshal(value, &v) != nil || !valid(v) {
			return "has to be " + has
		}
		*into(e) = v
		return ""
	}
}

// rules has all fields.
var rules = map[string]rule{
	"id":      reading("1 to 64 characters of A-Z a-z 0-9 . _ and -", func(e *entry) *string { return &e.id }, isID),
	"secrets": reading("a list of one or two different hashes, each sha256: and 64 hexadecimal digits, as twofa clients new prints them", func(e *entry) *[]string { return &e.secrets }, areSecrets),
	"scopes": reading("a list of some of send, check, users, users:read, alerts, support, signin, verify and entra, each once", func(e *entry) *[]string { return &e.scopes },
		among(ScopeSend, ScopeCheck, ScopeUsers, ScopeUsersRead, ScopeAlerts, ScopeSupport, ScopeSignIn, ScopeVerify, ScopeEntra)),
	"directory": reading("1 to 32 characters of a-z 0-9 and -, but not oidc or entra", func(e *entry) *string { return &e.directory }, isOwnDirectory),

	"brand":             reading("1 to 40 printable characters, without {{", func(e *entry) *string { return &e.brand }, isBrand),
	"brands":            reading("a list of texts, each of 1 to 40 printable characters, without {{, each once", func(e *entry) *[]string { return &e.brands }, each(isBrand)),
	"color":             reading("a colour like #0b5fff whose contrast to white is 4.5 or more (WCAG AA)", func(e *entry) *string { return &e.color }, isColor),
	"logo":              readLogo,
	"max_sends_per_day": reading("a whole number from 1 to 1000000000; leave it out for no limit", func(e *entry) *int { return &e.maxSendsPerDay }, func(n int) bool { return n >= 1 && n <= 1e9 }),
	"countries":         reading("a list of one or more country codes of two capitals (ISO 3166-1: GB and not UK), each once; leave it out for all that TWOFA_COUNTRIES allows", func(e *entry) *[]string { return &e.countries }, areCountries),
	"test_numbers":      reading("true or false", func(e *entry) *bool { return &e.testNumbers }, always),

	"return_urls": reading("a list of https addresses (or http on loopback), each once, without fragment, user and password", func(e *entry) *[]string { return &e.returnURLs }, each(isReturnURL)),
	"redirect_uris": reading("a list of https addresses (or http on loopback, or with the app's own scheme, which has a dot: org.example.login:/done), each once, without fragment, user and password",
		func(e *entry) *[]string { return &e.redirectURIs }, each(isRedirectURI)),
	"post_logout_redirect_uris": reading("a list of https addresses (or http on loopback, or with the app's own scheme, which has a dot: org.example.login:/done), each once, without fragment, user and password",
		func(e *entry) *[]string { return &e.postLogoutRedirectURIs }, each(isRedirectURI)),
	"origins": reading("a list of https origins (or http on loopback), each once, as browsers send them: lower case, without path, as https://app.example", func(e *entry) *[]string { return &e.origins }, each(isOrigin)),
	"sector":  reading("1 to 253 characters of A-Z a-z 0-9 . _ and -", func(e *entry) *string { return &e.sector }, func(s string) bool { return within(s, 1, 253, idCharacters) }),
	"require": reading("a list of some of email and phone, each once", func(e *entry) *[]string { return &e.require }, among("email", "phone")),
	"public":  reading("true or false", func(e *entry) *bool { return &e.public }, always),
	"pkce":    reading("true or false", func(e *entry) *bool { return &e.pkce }, always),
	"consent": reading("once or implied", func(e *entry) *Consent { return &e.consent }, func(c Consent) bool { return c == ConsentOnce || c == ConsentImplied }),

	"account_sid":     reading("AC and 32 hexadecimal digits in lower case", func(e *entry) *string { return &e.accountSID }, isSID("AC")),
	"verify_services": reading("an object from services, each VA and 32 hexadecimal digits in lower case, to purposes, each 1 to 32 characters of a-z 0-9 _ and -", func(e *entry) *map[string]string { return &e.verifyServices }, areServices),
	"custom_codes":    reading("true or false", func(e *entry) *bool { return &e.customCodes }, always),
}

// readLogo reads the field logo, and looks whether the file can be read.
func readLogo(e *entry, value jsontext.Value) string {
	const has = "has to be @ and the path of a picture (SVG, PNG, JPEG, GIF or WebP) of at most 32 KB"
	var text string
	if value.Kind() == 'n' || json.Unmarshal(value, &text) != nil || len(text) < 2 || text[0] != '@' {
		return has
	}
	path := text[1:]
	if !filepath.IsAbs(path) {
		path = filepath.Join(e.dir, path)
	}
	file, err := ReadLogo(path)
	if err != nil {
		return has + ": " + err.Error()
	}
	e.logo, e.logoFile = path, file
	return ""
}

// missing returns what is wrong in how the fields fit together. seen are the fields that
// were given, bad those that are at fault, about which nothing more is said.
func (e *entry) missing(seen, bad map[string]bool) (faults []string) {
	if !seen["id"] {
		faults = append(faults, "id is missing")
	}
	if !seen["scopes"] || len(e.scopes) == 0 && !bad["scopes"] {
		faults = append(faults, "scopes has to name at least one scope")
	}
	switch {
	case bad["public"]:
	case e.public && seen["secrets"]:
		faults = append(faults, "secrets has to be left out: a public client has none")
	case !e.public && !seen["secrets"]:
		faults = append(faults, "secrets is missing: make one with twofa clients new, or set public to true for an app that cannot keep a secret")
	}
	if e.public && !e.pkce {
		faults = append(faults, "pkce has to be true for a public client")
	}
	switch {
	case bad["redirect_uris"]:
	case len(e.redirectURIs) == 0 && slices.Contains(e.scopes, string(ScopeSignIn)):
		faults = append(faults, "redirect_uris has to have at least one address, because the scope signin needs one")
	case !e.public && !bad["public"] && slices.ContainsFunc(e.redirectURIs, hasOwnScheme):
		faults = append(faults, "redirect_uris has to have web addresses alone: any app on a device can take the scheme of another one, so only a public client, which needs PKCE, may use one")
	}
	return faults
}

// unique returns what may be given once in the whole list, each as the field, a space and the value.
func (e *entry) unique() (values []string) {
	if e.id != "" {
		values = append(values, "id "+e.id)
	}
	if e.accountSID != "" {
		values = append(values, "account_sid "+e.accountSID)
	}
	for _, service := range slices.Sorted(maps.Keys(e.verifyServices)) {
		values = append(values, "verify_services "+service, "verify_services "+e.verifyServices[service])
	}
	return values
}

// record returns the client of an entry without faults.
func (e *entry) record() *record {
	c := Client{ID: e.id, Directory: e.directory, Public: e.public, MaxSendsPerDay: e.maxSendsPerDay, TestNumbers: e.testNumbers,
		ReturnURLs: e.returnURLs, Color: e.color, Logo: e.logoFile,
		RedirectURIs: e.redirectURIs, PostLogoutRedirectURIs: e.postLogoutRedirectURIs, Origins: e.origins,
		Sector: cmp.Or(e.sector, e.id), Require: e.require, PKCE: e.pkce, Consent: e.consent}
	c.Brand, _ = notify.ReadBrand(e.brand)
	for _, s := range e.scopes {
		c.Scopes = append(c.Scopes, Scope(s))
	}
	for _, code := range e.countries {
		if c.Countries == nil {
			c.Countries = make(map[string]bool)
		}
		c.Countries[code] = true
	}
	h, _ := readHashes(e.secrets) // of a public client none, and Authenticate asks for secrets
	return &record{client: c, hashes: h, secrets: len(e.secrets)}
}
