package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"twofa/internal/config"
	"twofa/internal/deadline"
	"twofa/internal/otp"
	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
)

// A client that sends nothing, or sends without end, is disconnected. So is a client
// that does not read its answer, but not before the handler's own deadline.
func TestServerBoundsEveryPhaseOfARequest(t *testing.T) {
	s := newServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	for name, limit := range map[string]time.Duration{
		"header": s.ReadHeaderTimeout, "request": s.ReadTimeout, "answer": s.WriteTimeout, "idle connection": s.IdleTimeout,
	} {
		if limit <= 0 || limit > 2*time.Minute {
			t.Errorf("%s: the limit is %s", name, limit)
		}
	}
	// The answer to the longest request has to get through.
	if s.WriteTimeout < deadline.Longest || s.ReadTimeout > deadline.Reading || s.ReadHeaderTimeout > s.ReadTimeout || s.IdleTimeout <= 75*time.Second {
		t.Errorf("reading %v and %v, writing %v, idle %v", s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout)
	}
	if s.MaxHeaderBytes <= 0 || s.MaxHeaderBytes > 64<<10 {
		t.Errorf("a header of %d bytes is accepted", s.MaxHeaderBytes)
	}

	s.ReadHeaderTimeout = 50 * time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(listener) }()
	defer s.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("POST /api/otpsend HTTP/1.1\r\nHost: x\r\nX-Slow: ")); err != nil {
		t.Fatal(err)
	}
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadAll(client); err != nil {
		t.Errorf("the connection stayed open: %v", err)
	}
}

// Each setting that is allowed, but most likely a mistake, gets one warning.
func TestR2_R6_Warnings(t *testing.T) {
	weak, err := secret.Parse(fixture.Secret(1) + ",AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		s    config.Settings
		want []string
	}{
		{"nothing", config.Settings{Addr: "127.0.0.1:7071", Messenger: "console"}, nil},
		{"loopback of version 6", config.Settings{Addr: "[::1]:7071", Messenger: "console"}, nil},
		{"misspelled", config.Settings{Addr: "127.0.0.1:1", Unknown: []string{"TWOFA_BRANT"}}, []string{"TWOFA_BRANT"}},
		{"open to all", config.Settings{Addr: "0.0.0.0:7071"}, []string{"TWOFA_ADDR"}},
		{"codes for longer", config.Settings{Addr: "127.0.0.1:1", Policy: otp.Policy{TTL: 10*time.Minute + time.Second}}, []string{"TWOFA_CODE_TTL"}},
		{"the usual limits", config.Settings{Addr: "127.0.0.1:1", Policy: otp.DefaultPolicy()}, nil},
		{"narrower limits", config.Settings{Addr: "127.0.0.1:1", Policy: otp.Policy{TTL: time.Minute, MaxChecks: 1}}, nil},
		{"more tries", config.Settings{Addr: "127.0.0.1:1", Policy: otp.Policy{MaxChecks: 6}}, []string{"TWOFA_MAX_CHECKS"}},
		{"both", config.Settings{Addr: "127.0.0.1:1", UnderHost: true, Policy: otp.Policy{TTL: 24 * time.Hour, MaxChecks: 100}}, []string{"TWOFA_CODE_TTL", "TWOFA_MAX_CHECKS"}},
		{"plain http", config.Settings{Addr: "127.0.0.1:1", AllowPlainHTTP: true}, []string{"TWOFA_ALLOW_PLAIN_HTTP"}},
		{"test numbers", config.Settings{Addr: "127.0.0.1:1", TestNumbers: otp.TestNumbers{Scenarios: map[string]otp.Scenario{"+14155550101": {}}}}, []string{"TWOFA_TEST_NUMBERS"}},
		{"expired test numbers", config.Settings{Addr: "127.0.0.1:1", TestNumbers: otp.TestNumbers{Until: time.Now()}}, []string{"TWOFA_TEST_NUMBERS"}},
		{"strong secrets", config.Settings{Addr: "127.0.0.1:1", Keys: fixture.Keys(t, 1, 2)}, nil},
		{"a weak secret at the end", config.Settings{Addr: "127.0.0.1:1", Keys: weak}, []string{"TWOFA_SECRET"}},
		{"codes in Azure's log", config.Settings{Addr: "127.0.0.1:1", UnderHost: true, Messenger: "console"}, []string{"TWOFA_MESSENGER"}},
	} {
		var out strings.Builder
		warn(tc.s, slog.New(slog.NewJSONHandler(&out, nil)))
		if got := strings.Count(out.String(), `"WARN"`); got != len(tc.want) {
			t.Errorf("%s: %d warnings: %s", tc.name, got, out.String())
		}
		for _, setting := range tc.want {
			if !strings.Contains(out.String(), `"setting":"`+setting+`"`) {
				t.Errorf("%s: no warning of %s: %s", tc.name, setting, out.String())
			}
		}
	}
}
