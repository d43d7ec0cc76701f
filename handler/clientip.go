package handler

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"twofa/internal/clientip"
	"twofa/internal/reqlog"
)

// anonymous are the functions that anybody may call without a key. Only they have limits
// by client address.
var anonymous = map[string]bool{"pages": true, "oidc": true, "hooks": true, "health": true}

// warnEvery is how often at most the log says that client addresses are not usable.
const warnEvery = time.Hour

// withClientAddr puts the client's address into the context of a request to an anonymous
// function, and its network on the log line.
func (a *API) withClientAddr(ctx context.Context, function string, r *http.Request) context.Context {
	if !anonymous[function] {
		return ctx
	}
	c, fault := a.client(r)
	if network := c.Network(); network.IsValid() {
		reqlog.Add(ctx, slog.String("client_net", network.String()))
	}
	// A health probe from inside Azure can come from a private address.
	if fault != "" && (function != "health" || fault != faultPrivate) {
		a.warnOfClientAddr(ctx, function, fault)
	}
	return clientip.With(ctx, c)
}

// What is wrong with a client's address.
const (
	faultMissing    = "the header is missing"
	faultUnreadable = "its last entry is not an IP address"
	faultPrivate    = "its last entry is a private address"
)

// client returns where a request came from, and what is wrong with the address, "" for
// nothing. It believes a header only if the settings name it, and of the header only the
// last entry: the proxy in front wrote it, and a client can write those before it.
func (a *API) client(r *http.Request) (c clientip.Client, fault string) {
	if a.ClientIPHeader == "" {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		return clientip.Client{Addr: peer.Addr().WithZone("").Unmap(), Usable: err == nil}, ""
	}
	values := r.Header.Values(a.ClientIPHeader)
	if len(values) == 0 {
		return c, faultMissing
	}
	last := values[len(values)-1]
	addr, ok := clientip.Parse(last[strings.LastIndexByte(last, ',')+1:])
	switch {
	case !ok:
		return c, faultUnreadable
	case a.underHost() && !clientip.IsPublic(addr):
		return clientip.Client{Addr: addr}, faultPrivate
	}
	return clientip.Client{Addr: addr, Usable: true}, ""
}

// warnOfClientAddr logs, at most once an hour, that requests come without a usable address.
// It must not log the header's value, which anybody can send.
func (a *API) warnOfClientAddr(ctx context.Context, function, fault string) {
	now, last := a.Now().UnixNano(), a.clientAddrWarned.Load()
	if since := time.Duration(now - last); last != 0 && since >= 0 && since < warnEvery || !a.clientAddrWarned.CompareAndSwap(last, now) {
		return
	}
	a.Log.LogAttrs(ctx, slog.LevelWarn, "the address of a client cannot be used, so all such clients share one limit: name the header that your platform sets",
		slog.String("setting", "TWOFA_CLIENT_IP_HEADER"), slog.String("function", function), slog.String("fault", fault))
}
