package azuretable

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// The account of Azurite and of the storage emulator before it. Its key is
// public: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
const (
	devAccount = "devstoreaccount1"
	devKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// address is the URL and the credentials of the table service: the account's key or
// a shared access signature. If both are empty, the managed identity is used.
type address struct {
	url       string // without a slash at the end
	account   string
	key       string
	signature string // a query string
}

func parseAddress(o Options) (address, error) {
	switch {
	case o.ConnectionString != "" && o.ServiceURL != "":
		return address{}, errors.New("both a connection string and a service URL are set")
	case o.ConnectionString != "":
		return parseConnectionString(o.ConnectionString, o.AllowPlainHTTP)
	case o.ServiceURL != "":
		u, err := parseURL(o.ServiceURL)
		if err != nil || !strings.HasPrefix(u, "https://") {
			// The SDK also refuses to send a token over http, but only at the
			// first request.
			return address{}, errors.New("the service URL is not an https URL of a table endpoint")
		}
		return address{url: u}, nil
	default:
		return address{}, errors.New("neither a connection string nor a service URL is set")
	}
}

// CheckConnectionString returns what is wrong with the connection string. The error
// quotes none of its values.
func (o Options) CheckConnectionString() error {
	a, err := parseConnectionString(o.ConnectionString, o.AllowPlainHTTP)
	if err == nil && a.key != "" {
		_, err = newSharedKey(a)
	}
	return err
}

// parseConnectionString reads the form that the portal and the tools print:
// name=value pairs, separated by semicolons, with names in any case. Names of other
// services are ignored. Errors quote no values, because they are secret.
//
// The endpoint has to be private, unless plain http is allowed: whoever reads and
// changes what is sent can put older rows back. A signature is never sent over plain
// http, because everybody who sees it can use it. A key is never sent at all.
func parseConnectionString(s string, allowPlainHTTP bool) (address, error) {
	values := map[string]string{}
	for part := range strings.SplitSeq(s, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=") // a key may end with '=' too
		if !ok {
			return address{}, errors.New("the connection string has a part without '='")
		}
		values[strings.ToLower(name)] = value
	}

	if strings.EqualFold(values["usedevelopmentstorage"], "true") {
		host := "http://127.0.0.1"
		if proxy := values["developmentstorageproxyuri"]; proxy != "" {
			u, err := parseURL(proxy)
			if err != nil {
				return address{}, errors.New("the connection string's DevelopmentStorageProxyUri is not an http or https URL")
			}
			host = u
		}
		if !isPrivate(host) && !allowPlainHTTP {
			return address{}, errPlainHTTP
		}
		return address{url: host + ":10002/" + devAccount, account: devAccount, key: devKey}, nil
	}

	a := address{
		account:   values["accountname"],
		key:       values["accountkey"],
		signature: strings.TrimPrefix(values["sharedaccesssignature"], "?"),
	}
	switch {
	case a.key == "" && a.signature == "":
		return address{}, errors.New("the connection string has neither AccountKey nor SharedAccessSignature")
	case a.key != "" && a.account == "":
		return address{}, errors.New("the connection string has no AccountName")
	}

	endpoint := values["tableendpoint"]
	if endpoint == "" {
		if a.account == "" {
			return address{}, errors.New("the connection string has neither AccountName nor TableEndpoint")
		}
		endpoint = cmp.Or(values["defaultendpointsprotocol"], "https") + "://" + a.account + ".table." +
			cmp.Or(values["endpointsuffix"], "core.windows.net")
	}
	u, err := parseURL(endpoint)
	if err != nil {
		return address{}, errors.New("the connection string's table endpoint is not an http or https URL")
	}
	switch {
	case isPrivate(u):
	case a.key == "":
		return address{}, errors.New("the connection string's SharedAccessSignature needs https")
	case !allowPlainHTTP:
		return address{}, errPlainHTTP
	}
	a.url = u
	return a, nil
}

var errPlainHTTP = errors.New("the connection string's table endpoint is plain http and not on this machine; use https, or set TWOFA_ALLOW_PLAIN_HTTP=true")

// isPrivate reports whether nobody else on the network can read what is sent to the
// URL.
func isPrivate(serviceURL string) bool {
	u, err := url.Parse(serviceURL)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || strings.EqualFold(u.Hostname(), "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// parseURL accepts an http or https URL with a host and optionally a path. It
// returns the URL without a slash at the end.
func parseURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("not the URL of a service")
	}
	return strings.TrimRight(s, "/"), nil
}

// newTransport returns the transport to the service at the given URL.
//
// MaxIdleConnsPerHost is much higher than the default of 2. If it were lower than
// the number of simultaneous requests, most connections would be closed after each
// burst and opened again at the next one, with a TLS handshake each.
//
// IdleConnTimeout has to be shorter than the time after which the service closes an
// idle connection. Otherwise requests would use connections that are being closed,
// and each such write would count as unanswered and need another read. Azurite
// (Node) closes after 5 seconds, and a connection to it is cheap, so over http the
// limit is 4 seconds. The real service's load balancer drops connections after 4
// idle minutes. One minute is safe and avoids most handshakes.
func newTransport(serviceURL string) *http.Transport {
	idle := time.Minute
	if strings.HasPrefix(serviceURL, "http://") {
		idle = 4 * time.Second
	}
	dialer := &net.Dialer{Timeout: time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: time.Second,
		MaxIdleConns:        0, // the limit per host is enough, as there is one
		MaxIdleConnsPerHost: 128,
		IdleConnTimeout:     idle,
		// The service's headers have about 1 KiB.
		MaxResponseHeaderBytes: 64 << 10,
		// The data is encrypted or random, so it cannot be compressed. And the
		// limits of this package count what arrives.
		DisableCompression: true,
	}
}
