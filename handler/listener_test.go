package handler_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"twofa/handler"
)

// raw serves the rig's handler as main does, sends bytes over a connection, and
// returns the first answer.
func (r *rig) raw(request string) (*http.Response, string) {
	r.TB.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.TB.Fatal(err)
	}
	s := &http.Server{Handler: r.handler, MaxHeaderBytes: 32 << 10, DisableGeneralOptionsHandler: true}
	go func() { _ = s.Serve(handler.FixedHeaders(l)) }()
	defer s.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		r.TB.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	go func() { _, _ = io.WriteString(c, request) }()
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: strings.Fields(request)[0]})
	if err != nil {
		r.TB.Fatalf("%.80q: %v", request, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.TB.Fatalf("%.80q: %v", request, err)
	}
	return res, string(body)
}

// Every answer has the fixed headers, also those that net/http gives before a handler
// sees the request.
func TestEveryAnswerOnAConnectionHasTheFixedHeaders(t *testing.T) {
	const host = "Host: localhost:7071\r\n"
	own, under := ownRig(t, ""), newRig(t)
	seen := make(map[string]bool)
	for name, tc := range map[string]struct {
		request    string
		own, under int // the status
	}{
		"ready":                     {"GET / HTTP/1.1\r\n" + host + "\r\n", 200, 200},
		"OPTIONS of everything":     {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 404, 404},
		"OPTIONS of everything 1.0": {"OPTIONS * HTTP/1.0\r\n" + host + "\r\n", 404, 404},
		"another method of *":       {"GET * HTTP/1.1\r\n" + host + "\r\n", 404, 404},
		"OPTIONS of a route":        {"OPTIONS /api/otpsend HTTP/1.1\r\n" + host + "\r\n", 405, 405},
		"a preflight":               {"OPTIONS /api/otpsend HTTP/1.1\r\n" + host + "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n", 405, 405},
		"TRACE":                     {"TRACE /api/otpsend HTTP/1.1\r\n" + host + "\r\n", 405, 405},
		"CONNECT":                   {"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", 403, 404},
		"a method of its own":       {"BREW / HTTP/1.1\r\n" + host + "\r\n", 405, 405},
		"no path":                   {"GET http://localhost:7071 HTTP/1.1\r\n" + host + "\r\n", 404, 404},
		"absolute form":             {"GET http://localhost:7071/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 200, 200},
		"absolute form of another":  {"GET http://evil.example/ HTTP/1.1\r\n" + host + "\r\n", 403, 200},
		"absolute form with a user": {"GET http://localhost:7071@evil.example/ HTTP/1.1\r\n" + host + "\r\n", 403, 200},
		"a path of two slashes":     {"GET //evil.example/ HTTP/1.1\r\n" + host + "\r\n", 404, 404},
		"a path that is not clean":  {"GET /api/../api/otpsend HTTP/1.1\r\n" + host + "\r\n", 404, 404},
		"no host, HTTP/1.0":         {"GET / HTTP/1.0\r\n\r\n", 403, 200},
		"an empty host":             {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 403, 200},
		"a rebound host":            {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, 200},
		"HEAD":                      {"HEAD / HTTP/1.0\r\n" + host + "\r\n", 200, 200},
		// net/http's own
		"no host, HTTP/1.1":     {"GET / HTTP/1.1\r\n\r\n", 400, 400},
		"two hosts":             {"GET / HTTP/1.1\r\n" + host + host + "\r\n", 400, 400},
		"a host of spaces":      {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, 400},
		"not HTTP":              {"hello\r\n\r\n", 400, 400},
		"TLS":                   {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, 400},
		"HTTP/2":                {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403, 404},
		"HTTP/3":                {"GET / HTTP/3.0\r\n" + host + "\r\n", 505, 505},
		"a bad header":          {"GET / HTTP/1.1\r\n" + host + "no colon\r\n\r\n", 400, 400},
		"a bad escape":          {"GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400, 400},
		"a control character":   {"GET / HTTP/1.1\r\n" + host + "X: \x01\r\n\r\n", 400, 400},
		"two lengths":           {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, 400},
		"an unknown coding":     {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501, 501},
		"a header without end":  {"GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431, 431},
		"another expectation":   {"POST /api/otpsend HTTP/1.1\r\n" + host + "Content-Length: 2\r\nExpect: a-miracle\r\n\r\n{}", 417, 417},
		"another, HTTP/1.0":     {"POST /api/otpsend HTTP/1.0\r\n" + host + "Content-Length: 2\r\nExpect: a-miracle\r\n\r\n{}", 417, 417},
		"an expected body":      {"POST /api/otpsend HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}", 100, 100},
		"a body that ends soon": {"POST /api/otpsend HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, 400},
	} {
		for where, r := range map[string]*rig{"own": own, "under": under} {
			want := tc.own
			if where == "under" {
				want = tc.under
			}
			res, body := r.raw(tc.request)
			wantEqual(t, name+", "+where+": status", res.StatusCode, want)
			if want < 200 { // it is followed by the answer
				continue
			}
			id := res.Header.Values("X-Request-Id")
			if len(id) != 1 || !regexp.MustCompile("^[0-9a-f]{16}$").MatchString(id[0]) || seen[id[0]] {
				t.Errorf("%s, %s: request id %q", name, where, id)
			} else {
				seen[id[0]] = true
			}
			for header, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
				if got := res.Header.Values(header); len(got) != 1 || got[0] != want {
					t.Errorf("%s, %s: %s is %q", name, where, header, got)
				}
			}
			if strings.Contains(body, "evil") {
				t.Errorf("%s, %s: the answer has what the client sent: %s", name, where, body)
			}
		}
	}
}

// An answer after "100 Continue", and the second one of a connection, are whole.
func TestAConnectionCarriesSeveralAnswers(t *testing.T) {
	r := newRig(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: r.handler}
	go func() { _ = s.Serve(handler.FixedHeaders(l)) }()
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, ExpectContinueTimeout: time.Minute}}
	for range 3 {
		req, err := http.NewRequest("POST", "http://"+l.Addr().String()+"/api/otpverify", strings.NewReader(object("to", alice, "code", "123456")))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", typeJSON)
		req.Header.Set("Expect", "100-continue")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 404 || len(res.Header.Values("X-Request-Id")) != 1 || !strings.HasSuffix(string(body), "}\n") {
			t.Errorf("%d %v %s %v", res.StatusCode, res.Header, body, err)
		}
	}
}
