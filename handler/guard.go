package handler

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"twofa/internal/problem"
)

// Guard says which requests may reach a service that no Functions host is in front
// of. Nobody checks a key there, and a browser on the same machine reaches it. So
// the guard refuses what a page of another site can send:
//   - a request to a host name that is not ours. The owner of a name can point it at
//     this machine (DNS rebinding), and the page then is of the same origin;
//   - a request that the browser says comes from another site, or from another port
//     of this one ([http.CrossOriginProtection]).
//
// The exceptions are crossSite. Programs other than browsers are not affected: they send neither Origin nor
// Sec-Fetch-Site.
type Guard struct {
	// PublicURL is the origin under which the internet reaches the service, "" if it
	// cannot.
	PublicURL string
	// Hosts are further host names, with a port or for all ports.
	Hosts []string
}

// crossSite are what pages of other sites send to sign-in: a script of an app calls the first two,
// and a form of an app leads the browser to the others (OpenID Connect Core 1.0, 3.1.2.1;
// RP-Initiated Logout 1.0, 2). Package oidc decides which ones it takes.
var crossSite = []string{"POST /oidc/token", "POST /oidc/userinfo", "POST /oidc/authorize", "POST /oidc/end-session"}

var errForeignHost = &problem.Error{
	Kind: problem.Forbidden, Err: errors.New("the Host header names a host that is not in TWOFA_HOSTS"),
	Detail: "The host name of this request is not a name of this service. Use localhost, or add the name to TWOFA_HOSTS.",
}

var errCrossSite = &problem.Error{
	Kind: problem.Forbidden, Err: errors.New("a browser sent the request for a page of another site"),
	Detail: "A page of another site must not call this service. Call it from your app's server.",
}

// protect refuses what the guard does not allow, and gives the rest to next.
func (a *API) protect(next http.Handler) http.Handler {
	hosts := make(map[string]bool)
	for _, h := range a.Guard.Hosts {
		if name, port, ok := splitHost(h); ok {
			hosts[joinHost(name, port)] = true
		}
	}
	var sites http.CrossOriginProtection
	if u, err := url.Parse(a.Guard.PublicURL); err == nil && u.Host != "" {
		if name, _, ok := splitHost(u.Host); ok {
			hosts[name] = true
		}
		if err := sites.AddTrustedOrigin(origin(u)); err != nil {
			panic(err) // config checks it
		}
	}
	for _, pattern := range crossSite {
		sites.AddInsecureBypassPattern(pattern)
	}
	refuse := func(e *problem.Error) http.Handler {
		return a.serve("", func(*http.Request) (answer, error) { return answer{}, e })
	}
	foreignHost, crossSite := refuse(errForeignHost), refuse(errCrossSite)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, port, ok := splitHost(r.Host)
		switch {
		case !ok, !isLoopback(name) && !hosts[name] && !hosts[joinHost(name, port)]:
			foreignHost.ServeHTTP(w, r)
		case sites.Check(r) != nil:
			crossSite.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// splitHost returns the name and the port of a Host header. The name is in lower
// case, without the dot at the end of a full name and without the brackets of an
// IPv6 address. An IP address is in its shortest form. The port is "" if there is
// none. ok is false for what is not a host.
func splitHost(host string) (name, port string, ok bool) {
	name, rest := host, ""
	if v6, after, found := strings.Cut(host, "]"); found {
		addr, err := netip.ParseAddr(strings.TrimPrefix(v6, "["))
		if err != nil || v6[:1] != "[" || !addr.Is6() || addr.Zone() != "" {
			return "", "", false
		}
		name, rest = addr.String(), after
	} else if i := strings.IndexByte(host, ':'); i >= 0 {
		name, rest = host[:i], host[i:]
	}
	if rest != "" {
		n, err := strconv.ParseUint(rest[1:], 10, 16)
		if err != nil || rest[0] != ':' {
			return "", "", false
		}
		port = strconv.FormatUint(n, 10)
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	return name, port, name != ""
}

func joinHost(name, port string) string {
	if port == "" {
		return name
	}
	return name + " " + port // no name has a space, so an IPv6 address needs no brackets
}

// isLoopback reports whether only this machine is reached under a name.
func isLoopback(name string) bool {
	addr, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && addr.IsLoopback()
}

// origin returns an address as browsers write it in the header Origin, without the
// scheme's own port.
func origin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if own := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; own != "" {
		host = strings.TrimSuffix(host, own)
	}
	return u.Scheme + "://" + host
}
