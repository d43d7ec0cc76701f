package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twofa/internal/config"
	"twofa/internal/store"
	"twofa/internal/store/boltstore"
)

// A client that opens a connection and says nothing, or says it for ever, is cut
// off; so is one that does not read its answer, but not before the handler's own
// deadline.
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
		t.Errorf("a header of %d bytes is read", s.MaxHeaderBytes)
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

func TestLocalSecretIsMadeOnceAndKeptPrivate(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "secret")
	table, err := boltstore.Open(filepath.Join(folder, "twofa.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	first, err := localSecret(path, table)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o, want 600", info.Mode().Perm())
	}
	second, err := localSecret(path, table)
	if err != nil {
		t.Fatal(err)
	}
	if first.Current() != second.Current() {
		t.Error("the second start has another secret")
	}

	if err := os.WriteFile(path, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := localSecret(path, table); err == nil {
		t.Error("a broken secret was replaced or accepted; every row would be lost without a word")
	}
}

func TestLocalSecretIsNotMadeAnewBesideRows(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "secret")
	table, err := boltstore.Open(filepath.Join(folder, "twofa.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	err = table.Update(t.Context(), "0123456789abcdef", func([]byte) (store.Row, error) {
		return store.Row{Data: []byte("sealed"), KeepUntil: time.Now().Add(time.Hour)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := localSecret(path, table); err == nil || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a secret was made")
	}
}

// What is allowed and yet most likely a mistake is said once, at the start.
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
				t.Errorf("%s: nothing about %s: %s", tc.name, setting, out.String())
			}
		}
	}
}
