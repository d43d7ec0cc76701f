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
func TestWarnings(t *testing.T) {
	for _, tc := range []struct {
		name string
		s    config.Settings
		want []string
	}{
		{"nothing", config.Settings{Addr: "127.0.0.1:7071", Messenger: "console"}, nil},
		{"loopback of version 6", config.Settings{Addr: "[::1]:7071", Messenger: "console"}, nil},
		{"misspelled", config.Settings{Addr: "127.0.0.1:1", Unknown: []string{"TWOFA_BRANT"}}, []string{"TWOFA_BRANT"}},
		{"open to all", config.Settings{Addr: "0.0.0.0:7071"}, []string{"TWOFA_ADDR"}},
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
