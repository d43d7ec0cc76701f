package handler_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/handler"
	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/clientip"
	"twofa/internal/notify"
)

// addressRig is a rig whose provider's requests tell which client the service saw.
type addressRig struct {
	*rig
	mu   sync.Mutex
	seen clientip.Client
}

type seeingProvider struct {
	*fakeProvider
	rig *addressRig
}

func (p seeingProvider) Report(r *http.Request) (notify.Report, error) {
	p.rig.mu.Lock()
	defer p.rig.mu.Unlock()
	p.rig.seen = clientip.From(r.Context())
	return p.fakeProvider.Report(r)
}

// newAddressRig reads client addresses from the header, under the host or on its own.
func newAddressRig(t *testing.T, header string, underHost bool) *addressRig {
	r := new(addressRig)
	r.rig = newRig(t, func(p *app.Parts) {
		p.Providers[channel.Twilio] = seeingProvider{p.Providers[channel.Twilio].(*fakeProvider), r}
	})
	r.API.ClientIPHeader = header
	if !underHost {
		r.API.Guard = &handler.Guard{Hosts: []string{"example.com"}}
	}
	r.handler = r.API.Handler()
	return r
}

// from sends a provider's request from the peer, with lines of headers: names and values
// in turn.
func (r *addressRig) from(peer string, header ...string) clientip.Client {
	r.TB.Helper()
	req := httptest.NewRequest("POST", "/hooks/twilio/status", strings.NewReader("x=1"))
	req.RemoteAddr = peer
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	r.serve(req)
	return r.seen
}

// warnings returns the warnings about client addresses.
func (r *addressRig) warnings() (list []map[string]any) {
	r.TB.Helper()
	for _, line := range r.lines() {
		if line["setting"] == "TWOFA_CLIENT_IP_HEADER" {
			list = append(list, line)
		}
	}
	return list
}

func TestTheClientIsTheLastEntryOfTheHeader(t *testing.T) {
	t.Parallel()
	const peer = "198.51.100.1:1234"
	for _, tc := range []struct {
		name, header string
		underHost    bool
		sent         []string
		addr, net    string // "" for none
		usable       bool
	}{
		{"the host's own entry", "X-Forwarded-For", true, []string{"X-Forwarded-For", "203.0.113.9"}, "203.0.113.9", "203.0.113.0/24", true},
		{"after entries of the client", "X-Forwarded-For", true, []string{"X-Forwarded-For", "8.8.8.8, 10.0.0.1,203.0.113.9:5678"}, "203.0.113.9", "203.0.113.0/24", true},
		{"in the last of two lines", "X-Forwarded-For", true, []string{"X-Forwarded-For", "8.8.8.8", "X-Forwarded-For", "9.9.9.9, 203.0.113.9"}, "203.0.113.9", "203.0.113.0/24", true},
		{"IPv6 with a port", "X-Forwarded-For", true, []string{"X-Forwarded-For", "[2001:db8:1:2::3]:5"}, "2001:db8:1:2::3", "2001:db8:1::/48", true},
		{"IPv4 in IPv6", "X-Forwarded-For", true, []string{"X-Forwarded-For", "::ffff:203.0.113.9"}, "203.0.113.9", "203.0.113.0/24", true},
		{"a private address", "X-Forwarded-For", true, []string{"X-Forwarded-For", "203.0.113.9, 10.1.2.3"}, "10.1.2.3", "10.1.2.0/24", false},
		{"a private IPv4 address in IPv6", "X-Forwarded-For", true, []string{"X-Forwarded-For", "::ffff:10.1.2.3"}, "10.1.2.3", "10.1.2.0/24", false},
		{"an empty last entry", "X-Forwarded-For", true, []string{"X-Forwarded-For", "203.0.113.9,"}, "", "", false},
		{"an empty last line", "X-Forwarded-For", true, []string{"X-Forwarded-For", "203.0.113.9", "X-Forwarded-For", ""}, "", "", false},
		{"no address", "X-Forwarded-For", true, []string{"X-Forwarded-For", "203.0.113.9, unknown"}, "", "", false},
		{"a zone", "X-Forwarded-For", true, []string{"X-Forwarded-For", "fe80::1%eth0"}, "", "", false},
		{"no header: not the peer, which is the host", "X-Forwarded-For", true, []string{"X-Real-IP", "203.0.113.9"}, "", "", false},
		{"another header, by setting", "x-azure-clientip", true, []string{"X-Forwarded-For", "8.8.8.8", "X-Azure-ClientIP", "203.0.113.9"}, "203.0.113.9", "203.0.113.0/24", true},
		{"on its own: no header is believed", "", false, []string{"X-Forwarded-For", "203.0.113.9", "X-Real-IP", "203.0.113.9"}, "198.51.100.1", "198.51.100.0/24", true},
		{"on its own, by setting", "X-Real-IP", false, []string{"X-Forwarded-For", "8.8.8.8", "X-Real-IP", "203.0.113.9"}, "203.0.113.9", "203.0.113.0/24", true},
		{"on its own, by setting, a private address", "X-Real-IP", false, []string{"X-Real-IP", "10.1.2.3"}, "10.1.2.3", "10.1.2.0/24", true},
		{"on its own, by setting, without it", "X-Real-IP", false, nil, "", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newAddressRig(t, tc.header, tc.underHost)
			c := r.from(peer, tc.sent...)
			got := ""
			if c.Addr.IsValid() {
				got = c.Addr.String()
			}
			if got != tc.addr || c.Usable != tc.usable {
				t.Errorf("got %q, usable %t, want %q, %t", got, c.Usable, tc.addr, tc.usable)
			}
			logged, _ := r.lastLine()["client_net"].(string)
			wantEqual(t, "client_net", logged, tc.net)
			wantEqual(t, "warnings", len(r.warnings()), map[bool]int{true: 0, false: 1}[tc.usable])
			if tc.addr != "" && strings.Contains(r.log.String(), tc.addr+`"`) || strings.Contains(r.log.String(), "8.8.8.8") {
				t.Errorf("the log has a whole address: %s", r.log)
			}
		})
	}
}

// On its own every peer counts as itself, also one of this machine or of this link.
func TestOnItsOwnThePeerIsTheClient(t *testing.T) {
	t.Parallel()
	r := newAddressRig(t, "", false)
	for peer, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1", "10.0.0.5:1": "10.0.0.5", "[::1]:1": "::1", "[fe80::1%eth0]:1": "fe80::1", "[::ffff:10.0.0.5]:1": "10.0.0.5",
	} {
		if c := r.from(peer); c.Addr.String() != want || !c.Usable {
			t.Errorf("%s: got %+v", peer, c)
		}
	}
	if c := r.from("@"); c.Usable || c.Addr.IsValid() { // a Unix socket
		t.Errorf("got %+v", c)
	}
	wantEqual(t, "warnings", len(r.warnings()), 0)
}

func TestAnAddressThatCannotBeUsedIsLoggedOnceAnHour(t *testing.T) {
	t.Parallel()
	r := newAddressRig(t, "X-Forwarded-For", true)
	r.from("127.0.0.1:1", "X-Forwarded-For", "203.0.113.9")
	wantEqual(t, "warnings after a public address", len(r.warnings()), 0)
	for range 3 {
		r.from("127.0.0.1:1", "X-Forwarded-For", "canary-10.1.2.3")
		r.from("127.0.0.1:1", "X-Forwarded-For", "10.1.2.3")
		r.from("127.0.0.1:1")
	}
	wantEqual(t, "warnings", len(r.warnings()), 1)
	if w := r.warnings()[0]; w["level"] != "WARN" || w["function"] != "hooks" || w["fault"] != "its last entry is not an IP address" || strings.Contains(r.log.String(), "canary") {
		t.Errorf("logged %v", w)
	}
	r.Advance(time.Hour - 1)
	r.from("127.0.0.1:1", "X-Forwarded-For", "10.1.2.3")
	wantEqual(t, "warnings before the hour is over", len(r.warnings()), 1)
	r.Advance(1)
	r.from("127.0.0.1:1", "X-Forwarded-For", "10.1.2.3")
	r.from("127.0.0.1:1")
	wantEqual(t, "warnings after an hour", len(r.warnings()), 2)
	wantEqual(t, "the fault", r.warnings()[1]["fault"], any("its last entry is a private address"))
	r.Advance(time.Hour)
	r.from("127.0.0.1:1")
	wantEqual(t, "the fault", r.warnings()[2]["fault"], any("the header is missing"))
	r.Advance(-24 * time.Hour) // a clock that was set back silences nothing
	r.from("127.0.0.1:1")
	wantEqual(t, "warnings after the clock was set back", len(r.warnings()), 4)
}

// Functions with a key are called by the app's server. Its address tells nothing about a
// client, so it is neither judged nor logged.
func TestOnlyAnonymousFunctionsAreJudgedByAddress(t *testing.T) {
	t.Parallel()
	r := newAddressRig(t, "X-Forwarded-For", true)
	r.do("POST", "/api/otpsend", typeJSON, object("to", alice), "X-Forwarded-For", "10.1.2.3").want(201)
	r.do("GET", "/nowhere", "", "", "X-Forwarded-For", "10.1.2.3")
	r.do("GET", "/", "", "", "X-Forwarded-For", "10.1.2.3").want(200)
	if strings.Contains(r.log.String(), "client_net") || len(r.warnings()) > 0 {
		t.Errorf("logged %s", r.log)
	}
	// A health probe from inside Azure can come from a private address.
	r.do("GET", "/health", "", "", "X-Forwarded-For", "10.1.2.3").want(200)
	wantEqual(t, "warnings after a probe", len(r.warnings()), 0)
	r.do("DELETE", "/health", "", "", "X-Forwarded-For", "unknown")
	wantEqual(t, "warnings after an unreadable address", len(r.warnings()), 1)
}

// The handler judges the address on exactly those functions that need no key.
func TestTheAnonymousFunctionsAreThoseOfFunctionJSON(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../*/function.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no function.json: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Bindings []struct{ Type, AuthLevel string }
		}
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(filepath.Dir(path))
		if needsNoKey := f.Bindings[0].AuthLevel == "anonymous"; needsNoKey != handler.Anonymous[name] {
			t.Errorf("%s: anonymous in function.json %t, in the handler %t", name, needsNoKey, handler.Anonymous[name])
		}
	}
}
