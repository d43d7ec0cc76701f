package azuretable

import (
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

// address is where the table service is and how requests prove who sends them:
// by the account's key, by a shared access signature, or by neither, which means
// the managed identity.
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
		return parseConnectionString(o.ConnectionString)
	case o.ServiceURL != "":
		u, err := parseURL(o.ServiceURL)
		if err != nil || !strings.HasPrefix(u, "https://") {
			// The SDK would refuse to send a token in the clear, but not
			// before the first request.
			return address{}, errors.New("the service URL is not an https URL of a table endpoint")
		}
		return address{url: u}, nil
	default:
		return address{}, errors.New("neither a connection string nor a service URL is set")
	}
}

// CheckConnectionString returns what is wrong with a connection string, without
// any of its values.
func CheckConnectionString(s string) error {
	a, err := parseConnectionString(s)
	if err == nil && a.key != "" {
		_, err = newSharedKey(a)
	}
	return err
}

// parseConnectionString reads the form that the portal and the tools print:
// name=value pairs between semicolons, names in any case. Names that have to do
// with other services are passed over. Errors quote no values, which are secret.
func parseConnectionString(s string) (address, error) {
	values := map[string]string{}
	for part := range strings.SplitSeq(s, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=") // a key may end in '=' itself
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
		scheme, suffix := values["defaultendpointsprotocol"], values["endpointsuffix"]
		if scheme == "" {
			scheme = "https"
		}
		if suffix == "" {
			suffix = "core.windows.net"
		}
		endpoint = scheme + "://" + a.account + ".table." + suffix
	}
	u, err := parseURL(endpoint)
	if err != nil {
		return address{}, errors.New("the connection string's table endpoint is not an http or https URL")
	}
	if a.key == "" && !private(u) {
		// Who sees a signature can use it; a key is never sent.
		return address{}, errors.New("the connection string's SharedAccessSignature needs https")
	}
	a.url = u
	return a, nil
}

// private reports whether nobody on the way can read what is sent to the URL.
func private(serviceURL string) bool {
	u, err := url.Parse(serviceURL)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// parseURL accepts an http or https URL of a host and perhaps a path, and
// returns it without a slash at the end.
func parseURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("not a service's URL")
	}
	return strings.TrimRight(s, "/"), nil
}

// newTransport returns the transport to the service at the given URL.
//
// MaxIdleConnsPerHost is well above the default of 2: with fewer than there are
// requests at a time, each burst throws away most of its connections and the
// next one opens them again, with a TLS handshake each.
//
// IdleConnTimeout has to be shorter than the service keeps a silent connection.
// Otherwise requests run into connections that are being closed; a write would
// then count as unanswered and cost an extra read. Azurite (Node) closes after
// 5 seconds, and connecting to it costs nothing, so over http it is 4. In front
// of the real service the load balancer drops what has been silent for 4
// minutes; a minute saves the handshakes of an evenly used service and is safe.
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
		// What we send and get is sealed or random, so it does not compress.
		DisableCompression: true,
	}
}
