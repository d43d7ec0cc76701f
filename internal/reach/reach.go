// Package reach checks TWOFA_PUBLIC_URL: whether it can be the service's address for the
// internet, and whether the service answers there with the same version.
//
// What it learns depends on the network from which it asks. So an answer that is missing
// or different is a warning and never a failure. It follows no redirect.
package reach

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"

	"twofa/internal/check"
	"twofa/internal/notify"
)

const (
	variable = "TWOFA_PUBLIC_URL"
	// maxBody is how many bytes of an answer are read. That of /health has 60.
	maxBody = 4 << 10
)

// Origin is the origin to check.
type Origin struct {
	// URL is scheme and host, "" if the setting is missing.
	URL string
	// Version is that of this build.
	Version string
	// Lookup looks a host up. Nil: the system's resolver.
	Lookup func(ctx context.Context, host string) error
	// Transport replaces the default transport, for tests.
	Transport http.RoundTripper
}

var _ check.Checker = Origin{}

// Check implements check.Checker.
func (o Origin) Check(ctx context.Context) []check.Finding {
	found := func(name string, result check.Result, text string) check.Finding {
		return check.Finding{Name: name, Result: result, Setting: variable, Text: text}
	}
	u, err := url.Parse(o.URL)
	switch {
	case o.URL == "":
		return []check.Finding{found("public url", check.Skipped, "is not set: providers cannot report, and there are no pages and no receipts")}
	case err != nil || u.Hostname() == "":
		return []check.Finding{found("public url", check.Failed, "is not an address")}
	case u.Scheme != "https", notify.IsLoopback(u.Hostname()):
		return []check.Finding{
			found("public url", check.Warning, "is for trials on this machine: the internet cannot reach it. Set the app's https address for anything else"),
			o.health(ctx, found),
		}
	}
	if f := o.resolve(ctx, u.Hostname()); f != nil {
		return []check.Finding{found("public url", f.Result, f.Text), found("public url health", check.Skipped, "was not asked: the host has no address")}
	}
	return []check.Finding{found("public url", check.OK, "is https, and its host has an address"), o.health(ctx, found)}
}

// resolve looks the host up. It returns nil if it has an address.
func (o Origin) resolve(ctx context.Context, host string) *check.Finding {
	if net.ParseIP(host) != nil {
		return nil
	}
	lookup := o.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) error {
			_, err := net.DefaultResolver.LookupHost(ctx, host)
			return err
		}
	}
	err := lookup(ctx, host)
	dns, ok := errors.AsType[*net.DNSError](err)
	switch {
	case err == nil:
		return nil
	case ok && dns.IsNotFound:
		return &check.Finding{Result: check.Failed, Text: "names a host that DNS does not know: correct it, or make the DNS record"}
	}
	return &check.Finding{Result: check.Warning, Text: "names a host that cannot be looked up from here: check DNS on this machine"}
}

// health asks the service for its version.
func (o Origin) health(ctx context.Context, found func(string, check.Result, string) check.Finding) check.Finding {
	result, text := o.ask(ctx)
	return found("public url health", result, text)
}

func (o Origin) ask(ctx context.Context) (check.Result, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL+"/health", nil)
	if err != nil {
		return check.Warning, "cannot be asked for /health"
	}
	transport := o.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	resp, err := transport.RoundTrip(req) // not a client: that follows redirects
	if err != nil {
		return check.Warning, "does not answer /health from here: if the service runs, check the address, its certificate, and whether this machine may reach it"
	}
	defer resp.Body.Close()
	var answer struct {
		Version string `json:"version"`
		Storage string `json:"storage"`
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	switch {
	case err != nil || answer.Version == "" || answer.Storage == "":
		return check.Warning, "is answered by something else than twofa at /health: check the address, and what is in front of the service"
	case answer.Version != o.Version:
		return check.Warning, "is served by another version than this one (" + o.Version + "): the deployment has not taken effect yet, or you check with another build"
	case resp.StatusCode != http.StatusOK || answer.Storage != "ok":
		return check.Warning, "is served by this version, but its storage does not answer: see docs/runbooks/health.md"
	}
	return check.OK, "is served by this version (" + o.Version + "), and its storage answers"
}
