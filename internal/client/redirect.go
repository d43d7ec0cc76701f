package client

import (
	"slices"
	"strconv"
	"strings"
)

// MayRedirect reports whether a sign-in may send a browser to the address: it is one of RedirectURIs, byte for
// byte (RFC 9700, 2.1). A public client may use any port in an address of http://127.0.0.1 or http://[::1] that
// was registered without one, because an app on a device gets its port from the system (RFC 8252, 7.3).
func (c Client) MayRedirect(uri string) bool { return c.mayGo(uri, c.RedirectURIs) }

// MayRedirectAfterLogout is MayRedirect for PostLogoutRedirectURIs.
func (c Client) MayRedirectAfterLogout(uri string) bool {
	return c.mayGo(uri, c.PostLogoutRedirectURIs)
}

func (c Client) mayGo(uri string, registered []string) bool {
	return slices.Contains(registered, uri) || c.Public && slices.ContainsFunc(registered, func(r string) bool { return differsInPort(uri, r) })
}

// differsInPort reports whether an address is a registered one of a loopback IP, with a port added.
func differsInPort(uri, registered string) bool {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, isLoopback := strings.CutPrefix(registered, host)
		withPort, same := strings.CutPrefix(uri, host+":")
		if !isLoopback || !same || rest != "" && rest[0] != '/' && rest[0] != '?' {
			continue
		}
		port, ok := strings.CutSuffix(withPort, rest)
		n, err := strconv.ParseUint(port, 10, 16)
		return ok && err == nil && n > 0 && strconv.FormatUint(n, 10) == port
	}
	return false
}
