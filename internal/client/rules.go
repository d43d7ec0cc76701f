package client

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"twofa/internal/color"
	"twofa/internal/notify"
	"twofa/internal/phone"
)

const (
	lower        = "abcdefghijklmnopqrstuvwxyz"
	upper        = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits       = "0123456789"
	idCharacters = upper + lower + digits + "._-"
)

// maxURL is the longest address of an app in bytes.
const maxURL = 2048

// within reports whether a text has from least to most bytes, all from a set.
func within(text string, least, most int, set string) bool {
	return len(text) >= least && len(text) <= most && strings.Trim(text, set) == ""
}

func always(bool) bool { return true }

// each returns whether all texts of a list are valid, and each is there once.
func each(valid func(string) bool) func([]string) bool {
	return func(texts []string) bool {
		seen := make(map[string]bool)
		for _, text := range texts {
			if seen[text] || !valid(text) {
				return false
			}
			seen[text] = true
		}
		return true
	}
}

// among is each for a list of some names.
func among[T ~string](names ...T) func([]string) bool {
	known := make(map[string]bool)
	for _, name := range names {
		known[string(name)] = true
	}
	return each(func(text string) bool { return known[text] })
}

func isID(text string) bool { return within(text, 1, 64, idCharacters) }

func areSecrets(texts []string) bool {
	_, ok := readHashes(texts)
	return ok
}

// IsDirectory reports whether a text is the name of a directory: 1 to 32 characters of a-z
// 0-9 and -.
func IsDirectory(text string) bool { return within(text, 1, 32, lower+digits+"-") }

// isOwnDirectory refuses oidc and entra: accounts of people who sign in are there, and no
// client may read or write them as its own.
func isOwnDirectory(text string) bool {
	return IsDirectory(text) && text != "oidc" && text != "entra"
}

func isBrand(text string) bool {
	_, ok := notify.ReadBrand(text)
	return ok
}

// isColor refuses a colour on which white text cannot be read.
func isColor(text string) bool {
	c, err := color.Parse(text)
	return err == nil && c.Check() == nil
}

// areCountries refuses an empty list, because "none" and "all" could both be meant.
func areCountries(codes []string) bool { return len(codes) > 0 && each(phone.IsRegion)(codes) }

func isSID(prefix string) func(string) bool {
	return func(text string) bool {
		rest, ok := strings.CutPrefix(text, prefix)
		return ok && within(rest, 32, 32, digits+"abcdef")
	}
}

func areServices(services map[string]string) bool {
	for service, purpose := range services {
		if !isSID("VA")(service) || !within(purpose, 1, 32, lower+digits+"_-") {
			return false
		}
	}
	return true
}

// readURL returns an absolute address of ASCII characters that programs and browsers read
// alike, without fragment, user and password.
func readURL(text string) (*url.URL, bool) {
	strange := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}#", r) }
	if len(text) > maxURL || strings.ContainsFunc(text, strange) {
		return nil, false
	}
	u, err := url.Parse(text)
	if err != nil || !strings.HasPrefix(text, u.Scheme+":") || u.User != nil { // Parse makes the scheme lower case
		return nil, false
	}
	return u, true
}

// isReturnURL accepts https, and http on loopback.
func isReturnURL(text string) bool {
	u, ok := readURL(text)
	return ok && isWeb(u)
}

func isWeb(u *url.URL) bool {
	if _, err := strconv.ParseUint(u.Port(), 10, 16); err != nil && u.Port() != "" || strings.HasSuffix(u.Host, ":") {
		return false
	}
	if u.Hostname() == "" || strings.Trim(u.Hostname(), lower+upper+digits+"-_.:") != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// isRedirectURI also accepts a private-use scheme (RFC 8252, 7.1), which has a dot.
func isRedirectURI(text string) bool {
	u, ok := readURL(text)
	return ok && (isWeb(u) || strings.Contains(u.Scheme, ".") && len(text) > len(u.Scheme)+1)
}

// hasOwnScheme reports whether a redirect address has a private-use scheme.
func hasOwnScheme(text string) bool {
	return !strings.HasPrefix(text, "https:") && !strings.HasPrefix(text, "http:")
}

// isOrigin accepts what browsers send in the header Origin: in lower case, without the
// scheme's own port.
func isOrigin(text string) bool {
	u, ok := readURL(text)
	own := ok && (u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80")
	return ok && isWeb(u) && !own && text == u.Scheme+"://"+strings.ToLower(u.Host)
}
