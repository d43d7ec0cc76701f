// Package clientip says which address of the internet a request came from, for the limits
// of routes that anybody may call.
//
// It must never guess: an address that cannot be relied on is not usable, and all such
// requests together get what one address gets.
package clientip

import (
	"context"
	"net/netip"
	"strings"
)

// Client is where a request came from. The zero Client is unknown.
type Client struct {
	// Addr is the address, without a zone; an IPv4 address in IPv6 is unmapped. It is
	// invalid if none could be read.
	Addr netip.Addr
	// Usable is false if Addr does not tell clients apart: it could not be read, or it
	// is private under the Functions host. Limits count all these requests in one
	// bucket.
	Usable bool
}

// Network returns what is counted and logged as one network: the /24 of an IPv4 address,
// the /48 of an IPv6 address. It is the zero Prefix if there is no address.
func (c Client) Network() netip.Prefix { return c.prefix(24, 48) }

// Subscriber returns what one subscriber has at most: one IPv4 address, the /64 of an
// IPv6 address. It is the zero Prefix if there is no address.
func (c Client) Subscriber() netip.Prefix { return c.prefix(32, 64) }

func (c Client) prefix(bits4, bits6 int) netip.Prefix {
	bits := bits6
	if c.Addr.Is4() {
		bits = bits4
	}
	p, _ := c.Addr.Prefix(bits) // no error: both numbers of bits fit
	return p
}

// Parse reads an address as proxies write it into a header: with or without a port, and
// with spaces around it. ok is false for anything else, and for an address with a zone,
// which has no meaning on another machine.
func Parse(text string) (addr netip.Addr, ok bool) {
	text = strings.Trim(text, " \t")
	addr, err := netip.ParseAddr(text)
	if inner, found := strings.CutPrefix(text, "["); found {
		if inner, found = strings.CutSuffix(inner, "]"); found {
			addr, err = netip.ParseAddr(inner)
			if !addr.Is6() {
				return netip.Addr{}, false
			}
		}
	}
	if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(text)
		addr = withPort.Addr()
	}
	if err != nil || addr.Zone() != "" { // Unmap would drop the zone
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

// IsPublic reports whether an unmapped address is one of the internet: not of a private
// network, this machine, one link or a provider's own network (RFC 6598), and not
// multicast or reserved.
func IsPublic(a netip.Addr) bool {
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	// Of IPv6, only 2000::/3 is assigned.
	return a.IsGlobalUnicast() && !a.IsPrivate() && (a.Is4() || internet6.Contains(a))
}

var (
	internet6 = netip.MustParsePrefix("2000::/3")
	notPublic = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("240.0.0.0/4"),
	}
)

type contextKey struct{}

// With returns a context of a request that came from the client.
func With(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// From returns the client of a request. Without With it is the zero Client, which is not
// usable.
func From(ctx context.Context) Client {
	c, _ := ctx.Value(contextKey{}).(Client)
	return c
}
