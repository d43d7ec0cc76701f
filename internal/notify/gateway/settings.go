package gateway

import (
	"errors"
	"net/url"
	"strings"

	"twofa/internal/notify"
)

// The checks below use no regular expressions, because each cold start would have to
// compile them.

// Sets of characters for ConsistsOf.
const (
	Digits = "0123456789"
	Upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	Lower  = "abcdefghijklmnopqrstuvwxyz"
)

// PublicURLVariable is the setting of the service's own URL.
const PublicURLVariable = "TWOFA_PUBLIC_URL"

// ConsistsOf reports whether s is not empty and holds only characters of set.
func ConsistsOf(s, set string) bool { return s != "" && strings.Trim(s, set) == "" }

// IsE164 reports whether s is + and 7 to 15 digits, the first of which is not 0.
func IsE164(s string) bool {
	return len(s) >= 8 && len(s) <= 16 && s[0] == '+' && s[1] != '0' && ConsistsOf(s[1:], Digits)
}

// IsSMSSender reports whether s can be the sender of an SMS: a number, a short code, or
// a name as the provider takes it. isName is not asked about digits.
func IsSMSSender(s string, isName func(string) bool) bool {
	if ConsistsOf(s, Digits) {
		return len(s) >= 3 && len(s) <= 8 // short codes have 5 or 6 in most countries
	}
	return IsE164(s) || isName(s)
}

// ParseBaseURL reads the setting that replaces scheme and host of every API call. It
// accepts plain http for loopback only, unless allowPlain is set. Its errors name the
// variable and never quote the value, which may hold a password.
func ParseBaseURL(variable, value string, allowPlain bool) (*url.URL, error) {
	u, err := parseOrigin(variable, value)
	if err == nil && !isPrivate(u) && !allowPlain {
		return nil, errors.New(variable + " has to be https, except on loopback or with TWOFA_ALLOW_PLAIN_HTTP=true: the requests carry secrets")
	}
	return u, err
}

// ParsePublicURL reads the setting of the service's own URL and returns it without a
// slash at its end. Empty: not set. Its errors are like those of ParseBaseURL.
func ParsePublicURL(value string) (string, error) {
	const variable = PublicURLVariable
	if value == "" {
		return "", nil
	}
	u, err := parseOrigin(variable, value)
	if err != nil {
		return "", err
	}
	if !isPrivate(u) {
		return "", errors.New(variable + " has to be https, except on loopback: the requests carry secrets")
	}
	// Providers report to no other hosts, and some sign the URL byte for byte: the host
	// must have one spelling only.
	if !ConsistsOf(u.Hostname(), ".-"+Digits+Lower+Upper) && !notify.IsLoopback(u.Hostname()) || strings.HasSuffix(u.Host, ":") {
		return "", errors.New(variable + " has to have a host of letters, digits, dots and hyphens")
	}
	return u.Scheme + "://" + u.Host, nil
}

// isPrivate reports whether nobody else can read what is sent to the URL.
func isPrivate(u *url.URL) bool { return u.Scheme == "https" || notify.IsLoopback(u.Hostname()) }

// parseOrigin reads scheme and host.
func parseOrigin(variable, value string) (*url.URL, error) {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New(variable + " has to be an absolute https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return nil, errors.New(variable + " has to be scheme and host only")
	}
	return u, nil
}
