package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/deadline"
	"twofa/internal/notify/bird"
	"twofa/internal/notify/plivo"
	"twofa/internal/otp"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/boltstore"
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
		{"a provider that nothing goes over", config.Settings{Addr: "127.0.0.1:1", Unrouted: []string{"plivo"}}, []string{"TWOFA_ROUTES"}},
		{"a provider that cannot report", config.Settings{Addr: "127.0.0.1:1", Plivo: plivo.Options{AuthID: "MA"}}, []string{"TWOFA_PUBLIC_URL"}},
		{"Bird that cannot report", config.Settings{Addr: "127.0.0.1:1", PublicURL: "https://twofa.example", Bird: bird.Options{APIKey: "bk"}}, []string{"BIRD_WEBHOOK_SECRET"}},
		{"open to all", config.Settings{Addr: "0.0.0.0:7071"}, []string{"TWOFA_ADDR"}},
		{"open, with clients", config.Settings{Addr: "0.0.0.0:7071", Clients: new(client.Registry)}, []string{"TWOFA_ADDR"}},
		{"clients on loopback", config.Settings{Addr: "127.0.0.1:7071", Clients: new(client.Registry)}, nil},
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

// If the service cannot listen, the error says what to do.
func TestServeSaysWhatToDoIfItCannotListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	in := taken.Addr().String()
	_, port, _ := net.SplitHostPort(in)
	denied := func(errno syscall.Errno) error {
		return &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", errno)}
	}
	log := slog.New(slog.DiscardHandler)
	for name, tc := range map[string]struct {
		err  error
		want []string
	}{
		"taken":                {serve(t.Context(), config.Settings{Addr: in}, nil, log), []string{"TWOFA_ADDR: another process uses port " + port, "set TWOFA_ADDR to another port", "or stop that process"}},
		"taken under the host": {serve(t.Context(), config.Settings{Addr: in, UnderHost: true}, nil, log), []string{"FUNCTIONS_CUSTOMHANDLER_PORT: another process uses port " + port, "restart the host"}},
		"another machine's":    {serve(t.Context(), config.Settings{Addr: "192.0.2.1:8080"}, nil, log), []string{"TWOFA_ADDR: this machine does not have the address", "127.0.0.1:8080"}},
		"taken on Windows":     {listenError(config.Settings{Addr: in}, denied(10048)), []string{"another process uses port " + port}},
		"a low port":           {listenError(config.Settings{Addr: "127.0.0.1:80"}, denied(syscall.EACCES)), []string{"may not listen on port 80", "1024 or more"}},
		"anything else":        {listenError(config.Settings{Addr: in}, denied(syscall.EMFILE)), []string{"TWOFA_ADDR: "}},
	} {
		for _, want := range tc.want {
			if tc.err == nil || !strings.Contains(tc.err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, tc.err, want)
			}
		}
	}
}

// A start over rows that another secret has sealed warns, and marks the parts if it
// found no other rows.
func TestAStoreOfAnotherSecretIsWarnedOf(t *testing.T) {
	for name, tc := range map[string]struct {
		first, second, then string // the secrets that fill the store, and that of the start
		rows                int    // of each
		warned              string // "" for no warning
		foreign             bool
	}{
		"empty":                         {first: fixture.Secret(1), then: fixture.Secret(2)},
		"the same":                      {first: fixture.Secret(1), then: fixture.Secret(1), rows: 3},
		"rotated":                       {first: fixture.Secret(1), then: fixture.Secret(2) + "," + fixture.Secret(1), rows: 3},
		"another":                       {first: fixture.Secret(1), then: fixture.Secret(2), rows: 3, warned: `"rows":3,"of":3`, foreign: true},
		"one row of another":            {first: fixture.Secret(1), then: fixture.Secret(2), rows: 1, warned: `"rows":1,"of":1`, foreign: true},
		"rotated, and the old one lost": {first: fixture.Secret(1), second: fixture.Secret(2), then: fixture.Secret(2), rows: 5, warned: `"rows":5,"of":10`},
		"many rows":                     {first: fixture.Secret(1), then: fixture.Secret(2), rows: 500, warned: `"rows":64,"of":64`, foreign: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			table, err := boltstore.Open(filepath.Join(dir, "twofa.db"))
			if err != nil {
				t.Fatal(err)
			}
			err = table.Batch(t.Context(), func(b store.Table) error {
				for n, setting := range []string{tc.first, tc.second} {
					if setting == "" {
						continue
					}
					keys, err := secret.Parse(setting)
					if err != nil {
						return err
					}
					for i := range tc.rows {
						key := store.Key(fmt.Sprintf("%c%d%04d", "0u"[i%2], n, i))
						if err := b.Update(t.Context(), key, func([]byte) (store.Row, error) {
							return store.Row{Data: keys.Seal([]byte("x"), string(key)), KeepUntil: time.Now().Add(time.Hour)}, nil
						}); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := table.Close(); err != nil {
				t.Fatal(err)
			}
			keys, err := secret.Parse(tc.then)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			parts, err := app.Open(config.Settings{DataDir: dir, Keys: keys, Messenger: config.MessengerConsole}, io.Discard, slog.New(slog.NewJSONHandler(&out, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer parts.Table.Close()
			if parts.Foreign != tc.foreign || (out.Len() > 0) != (tc.warned != "") || !strings.Contains(out.String(), tc.warned) {
				t.Errorf("foreign %t, %s; want %t, %s", parts.Foreign, out.String(), tc.foreign, tc.warned)
			}
			if tc.warned != "" && !strings.Contains(out.String(), `"setting":"TWOFA_SECRET"`) {
				t.Errorf("the warning does not name the setting: %s", out.String())
			}
		})
	}
}
