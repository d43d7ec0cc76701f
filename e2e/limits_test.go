package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// wantLimit fails the test unless an answer refuses a message by a limit over many addresses
// whose detail has that text.
func wantLimit(t *testing.T, r reply, text string) {
	t.Helper()
	want(t, r, "429 too_many_sends")
	if after := r.number("retry_after"); after < 1 || after > 24*3600+60 || r.header.Get("Retry-After") != fmt.Sprint(after) || !strings.Contains(r.text("detail"), text) {
		t.Errorf("retry_after %d: %v %s", after, r.header, r.body)
	}
}

// Messages for one client address, in each form in which apps pass one on, share a limit
// over all processes. Other addresses do not, and neither do requests without one.
func TestLimitOfAClientAddress(t *testing.T) {
	rig := newParallelRig(t)
	p := rig.pair(noPause, "TWOFA_MAX_SENDS_PER_IP=5")
	send := func(i int, ip string) reply {
		f := fields{"to": newNumber()}
		if ip != "" {
			f["client_ip"] = ip
		}
		return p[i%2].post("/api/otpsend", f)
	}
	for i, ip := range []string{"203.0.113.9", "203.0.113.9:4711", "::ffff:203.0.113.9", "10.0.0.1, 203.0.113.9", " 203.0.113.9 "} {
		want(t, send(i, ip), "201")
	}
	for i, ip := range []string{"203.0.113.9", "198.51.100.7, 203.0.113.9:80", "[::ffff:203.0.113.9]:443"} {
		wantLimit(t, send(i, ip), "client address")
	}
	for i, ip := range []string{"203.0.113.10", "203.0.113.9, 203.0.113.10", "", "unknown", "2001:db8::9"} {
		want(t, send(i, ip), "201")
	}
	// IPv6 counts by /64.
	for i := range 4 {
		want(t, send(i, fmt.Sprintf("2001:db8::%x", i+16)), "201")
	}
	wantLimit(t, send(0, "[2001:db8::ffff]:443"), "client address")
	want(t, send(1, "2001:db8:0:1::9"), "201")
}

// Typed addresses without a client address share one limit, and do not touch the limit of
// those that have one.
func TestLimitOfTypedAddressesWithoutAClientAddress(t *testing.T) {
	rig := newParallelRig(t)
	p := rig.pair(noPause, "TWOFA_MAX_PAGE_SENDS_PER_IP=3")
	typed := func(i int, ip string) reply {
		return p[i%2].post("/api/otpsend", fields{"to": newNumber(), "origin": "typed", "client_ip": ip})
	}
	var id string
	for i, ip := range []string{"", "unknown", "home"} {
		id = want(t, typed(i, ip), "201").text("id")
	}
	wantLimit(t, typed(0, ""), "client_ip")
	wantLimit(t, p[1].do("POST", "/api/otpsend/"+id, "", ""), "client_ip") // a resend is typed, too
	number := newNumber()
	id = want(t, p[0].post("/api/otpsend", fields{"to": number, "origin": "typed", "client_ip": "203.0.113.9"}), "201").text("id")
	want(t, p[1].post("/api/otpsend/"+id, fields{"client_ip": "203.0.113.9"}), "200")
	want(t, typed(0, "203.0.113.9:4711"), "201")
	wantLimit(t, typed(1, "203.0.113.9"), "client address")
	want(t, p[0].post("/api/otpsend", fields{"to": newNumber(), "client_ip": "203.0.113.9"}), "201") // the server's own
	want(t, p[0].check(fields{"id": id, "code": rig.code(number)}), "200")
}

// The messages of all typed addresses have a limit, which the log announces.
func TestLimitOfAllTypedAddresses(t *testing.T) {
	rig := newParallelRig(t)
	p := rig.process(noPause, "TWOFA_MAX_ANONYMOUS_SENDS_PER_DAY=4")
	for i := range 4 {
		want(t, p.post("/api/otpsend", fields{"to": newNumber(), "origin": "typed", "client_ip": fmt.Sprintf("203.0.113.%d", i)}), "201")
	}
	wantLimit(t, p.post("/api/otpsend", fields{"to": newNumber(), "origin": "typed", "client_ip": "203.0.113.9"}), "TWOFA_MAX_ANONYMOUS_SENDS_PER_DAY")
	want(t, p.post("/api/otpsend", fields{"to": newNumber()}), "201")
	for _, percent := range []string{"50", "100"} {
		p.stdout.await(t, p.exited, `"setting":"TWOFA_MAX_ANONYMOUS_SENDS_PER_DAY","percent":`+percent)
	}
}

// max_sends_per_day is one client's, over both origins, resends and processes.
func TestLimitOfAClient(t *testing.T) {
	rig := newParallelRig(t)
	a := newApps(t, func(id, entry string) string {
		if id == "shop" {
			entry = strings.TrimSuffix(entry, "}") + `, "max_sends_per_day": 4}`
		}
		return entry
	}, "shop", "bank")
	p := rig.pair(noPause, a.setting)
	shop := [2]*client{a.as(p[0].client, "shop"), a.as(p[1].client, "shop")}
	id := want(t, shop[0].post("/api/otpsend", fields{"to": newNumber()}), "201").text("id")
	want(t, shop[1].do("POST", "/api/otpsend/"+id, "", ""), "200")
	number := newNumber()
	want(t, shop[1].post("/api/otpsend", fields{"to": number, "origin": "typed", "client_ip": "203.0.113.9"}), "201")
	want(t, shop[0].post("/api/otpsend", fields{"to": newNumber()}), "201")
	wantLimit(t, shop[0].post("/api/otpsend", fields{"to": newNumber()}), "max_sends_per_day")
	wantLimit(t, shop[1].post("/api/otpsend/"+id, fields{}), "max_sends_per_day")
	want(t, shop[1].check(fields{"to": number, "origin": "typed", "code": rig.code(number)}), "200")
	want(t, a.as(p[0].client, "bank").post("/api/otpsend", fields{"to": number}), "201")
}
