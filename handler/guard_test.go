package handler_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/config"
	"twofa/internal/problem"
	testrig "twofa/internal/testing/rig"
)

// ownRig is a rig without a Functions host.
func ownRig(t *testing.T, publicURL string, hosts ...string) *rig {
	t.Helper()
	r := newRig(t)
	own := testrig.With(t, func(s *config.Settings, p *app.Parts) {
		s.UnderHost, s.PublicURL, s.Hosts = false, publicURL, hosts
		p.Log = r.API.Log
	})
	r.Rig, r.handler, r.sender = own, own.API.Handler(), own.Sender("whatsapp")
	return r
}

// to sends a valid start with a Host header, and with further headers.
func (r *rig) to(method, host string, header ...string) *response {
	r.TB.Helper()
	req := httptest.NewRequest(method, "/api/otpsend", strings.NewReader(object("to", alice)))
	req.Host = host
	req.Header.Set("Content-Type", typeJSON)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return r.serve(req)
}

func wantRefused(t *testing.T, r *rig, what string, res *response) {
	t.Helper()
	if res.status != http.StatusForbidden || !strings.Contains(res.body, `"urn:twofa:forbidden"`) || res.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d %s", what, res.status, res.body)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		wantEqual(t, what+": "+name, res.header.Get(name), want)
	}
	line := r.lastLine()
	if line["outcome"] != string(problem.Forbidden) || line["request_id"] != res.header.Get("X-Request-Id") || line["error"] == nil {
		t.Errorf("%s: the log line is %v", what, line)
	}
	if strings.Contains(r.log.String(), "evil") || strings.Contains(res.body, "evil") {
		t.Errorf("%s: what the client sent is in the log or the answer", what)
	}
}

// Whoever owns a name can point it at this machine, and a page under this name may
// then call the service and read its answers. So only our own names are served.
func TestAttack30_AReboundHostNameIsRefused(t *testing.T) {
	r := ownRig(t, "https://twofa.example.com", "twofa.internal", "gate:8443", "10.0.0.5", "[fd00::5]:7071").noPause()
	for host, served := range map[string]bool{
		// loopback
		"localhost": true, "localhost:7071": true, "LocalHost:1": true, "localhost.": true, "localhost.:7071": true, "127.0.0.1": true,
		"127.0.0.1:65535": true, "127.8.8.8:7071": true, "[::1]": true, "[::1]:7071": true, "[0:0:0:0:0:0:0:1]:80": true, "[::ffff:127.0.0.1]:1": true,
		// TWOFA_PUBLIC_URL and TWOFA_HOSTS
		"twofa.example.com": true, "TWOFA.Example.COM": true, "twofa.example.com.": true, "twofa.example.com:8443": true,
		"twofa.internal": true, "twofa.internal:9": true, "Twofa.Internal.:9": true, "gate:8443": true, "10.0.0.5:80": true, "[fd00::5]:7071": true, "[FD00:0::5]:7071": true,
		"gate": false, "gate:844": false, "gate:84430": false, "[fd00::5]": false, "[fd00::5]:80": false, "[fd00::6]:7071": false, "10.0.0.6": false,
		// rebound
		"evil.example": false, "evil.example:7071": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "evil.localhost": false,
		"twofa.example.com.evil.example": false, "eviltwofa.example.com": false, "a.twofa.example.com": false, "example.com": false,
		"0.0.0.0:7071": false, "[::]:7071": false, "192.168.1.10:7071": false, "[fe80::1]": false, "[::ffff:10.0.0.1]": false, "128.0.0.1": false,
		// not a host
		"": false, ".": false, ":7071": false, "localhost..": false, "localhost:": false, "localhost:x": false, "localhost:7071:1": false, "localhost:-1": false,
		"localhost:65536": false, "::1": false, "[::1": false, "::1]": false, "[::1]x": false, "[::1]:": false, "[::1%25lo]": false, "[127.0.0.1]": false,
		"127.1": false, "2130706433": false, "0x7f000001": false, "127.0.0.01": false, "evil@localhost": false, "localhost evil": false, "localhost,evil.example": false,
		"localhost/evil": false, "ｌocalhost": false, "]": false, "[]": false,
	} {
		sent := r.Sent()
		res := r.to("POST", host)
		if served {
			wantEqual(t, host, res.status, http.StatusCreated)
			r.Advance(2 * time.Hour) // 20 messages a day
			continue
		}
		wantRefused(t, r, host, res)
		wantEqual(t, host+": messages", r.Sent(), sent)
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "DELETE"} {
			wantEqual(t, method+" "+host, r.to(method, host).status, http.StatusForbidden)
		}
	}
}

// A browser says from where a request comes. One that changes something has to come
// from us, or not from a page at all.
func TestAttack30_ACrossSiteRequestIsRefused(t *testing.T) {
	const public = "https://twofa.example.com"
	r := ownRig(t, public+":443").noPause()
	for _, tc := range []struct {
		host, origin, site string
		served             bool
	}{
		{"localhost:7071", "", "", true}, // curl, a server
		{"localhost:7071", "", "none", true},
		{"localhost:7071", "", "same-origin", true},
		{"localhost:7071", "http://localhost:7071", "", true},
		{"localhost:7071", "http://localhost:7071", "same-origin", true},
		{"[::1]:7071", "http://[::1]:7071", "", true},
		{"twofa.example.com", public, "same-origin", true},
		{"127.0.0.1:7071", public, "", true}, // a proxy has changed the host name
		{"127.0.0.1:7071", public, "same-site", true},

		{"localhost:7071", "null", "", false}, // a sandboxed frame, a file
		{"localhost:7071", "null", "cross-site", false},
		{"localhost:7071", "https://evil.example", "", false},
		{"localhost:7071", "https://evil.example", "cross-site", false},
		{"localhost:7071", "", "cross-site", false},
		{"localhost:7071", "", "same-site", false}, // another port of this machine
		{"localhost:7071", "http://localhost:3000", "same-site", false},
		{"localhost:7071", "http://localhost:3000", "", false},
		{"localhost:7071", "http://localhost", "", false},
		{"localhost:7071", "http://127.0.0.1:7071", "cross-site", false},
		{"localhost:7071", "", "Same-Origin", false},
		{"localhost:7071", "", "unknown", false},
		{"localhost:7071", "not an origin", "", false},
		{"twofa.example.com", "https://evil.twofa.example.com", "same-site", false},
		{"twofa.example.com", "https://twofa.example.com.evil.example", "", false},
		{"twofa.example.com", "https://twofa.example.com:8443", "same-site", false},
		{"127.0.0.1:7071", "http://twofa.example.com", "cross-site", false}, // not https
	} {
		what := tc.host + " from " + tc.origin + " " + tc.site
		header := []string{}
		if tc.origin != "" {
			header = append(header, "Origin", tc.origin)
		}
		if tc.site != "" {
			header = append(header, "Sec-Fetch-Site", tc.site)
		}
		sent := r.Sent()
		res := r.to("POST", tc.host, header...)
		if tc.served {
			wantEqual(t, what, res.status, http.StatusCreated)
			r.Advance(2 * time.Hour) // 20 messages a day
			continue
		}
		wantRefused(t, r, what, res)
		wantEqual(t, what+": messages", r.Sent(), sent)
		for _, method := range []string{"PUT", "PATCH", "DELETE"} {
			wantRefused(t, r, method+" "+what, r.to(method, tc.host, header...))
		}
		// A page of another site gets no permission to read an answer either.
		if got := r.to("OPTIONS", tc.host, header...).header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: may read: %q", what, got)
		}
	}
}

// The Functions host checks keys, and gives every request the name 127.0.0.1: there
// the guard must not refuse what the host has let through.
func TestUnderTheHostTheGuardIsOff(t *testing.T) {
	r := newRig(t).noPause()
	for _, host := range []string{"127.0.0.1:40123", "myapp.azurewebsites.net", "evil.example", "localhost", ""} {
		wantEqual(t, host, r.to("POST", host, "Origin", "https://shop.example", "Sec-Fetch-Site", "cross-site").status, http.StatusCreated)
		r.Advance(2 * time.Hour) // 20 messages a day
	}
	r.post("/purge", "{}").want(http.StatusOK)
}

// On its own the process purges by its own clock, and nobody has to ask for it.
func TestAttack33_OnItsOwnTheTimersAddressIsNotRouted(t *testing.T) {
	r := ownRig(t, "")
	for _, path := range []string{"/purge", "/PURGE", "/purge/", "/Purge?x=1", "/%70urge", "/api/purge", "//purge"} {
		for _, method := range []string{"POST", "GET", "OPTIONS", "DELETE"} {
			req := httptest.NewRequest(method, path, strings.NewReader("{}"))
			req.Host = "localhost:7071"
			req.Header.Set("Content-Type", typeJSON)
			r.serve(req).problem(http.StatusNotFound, problem.NotFound)
		}
	}
}
