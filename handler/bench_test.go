package handler_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
)

// benchTable holds one row in memory. While it is frozen, the row stays the same,
// so that each repetition of a benchmark finds the same state.
type benchTable struct {
	store.Table
	row    []byte
	frozen bool
}

func (t *benchTable) Update(ctx context.Context, _ store.Key, fn func([]byte) (store.Row, error)) error {
	store.CountTrip(ctx)
	row, err := fn(t.row)
	if err != nil {
		return err
	}
	store.CountTrip(ctx)
	if !t.frozen {
		t.row = row.Data
	}
	return nil
}

// benchSender records the last code.
type benchSender struct{ code string }

func (s *benchSender) Send(_ context.Context, m notify.Message) error {
	s.code = m.Code
	return nil
}

// BenchmarkService measures what the service itself costs: neither connections, nor
// storage, nor the provider. Run it with -count and benchstat to compare a service with
// one client with one that has none.
func BenchmarkService(b *testing.B) {
	const entry = `[{"id": "bank-web", "secrets": ["sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"], "scopes": ["send", "check"]}]`
	clients, faults := client.Load(entry)
	if len(faults) > 0 {
		b.Fatal(faults)
	}
	b.Run("NoClients", func(b *testing.B) { benchService(b, nil) })
	b.Run("OneClient", func(b *testing.B) { benchService(b, clients) })
}

func benchService(b *testing.B, clients *client.Registry) {
	table, sender := new(benchTable), new(benchSender)
	h := app.New(
		config.Settings{UnderHost: true, Policy: otp.DefaultPolicy(), Channels: []channel.Channel{channel.WhatsApp}, Brand: "Acme", Clients: clients},
		app.Parts{
			Table: table, Keys: fixture.Keys(b, 1), Now: time.Now, Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
			Messenger: app.Messenger{Senders: notify.Senders{channel.WhatsApp: sender}},
		},
	).Handler()
	call := func(path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if clients != nil {
			r.SetBasicAuth("bank-web", "secret")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	run := func(name, path, body string, want int) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w := call(path, body); w.Code != want {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}

	const start = `{"to":"+14155550123"}`
	table.frozen = true
	run("Send", "/api/otpsend", start, http.StatusCreated)
	table.frozen = false
	answer := call("/api/otpsend", start).Body.String()
	_, id, _ := strings.Cut(answer, `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	table.frozen = true
	check := func(code string) string { return fmt.Sprintf(`{"id":%q,"code":%q}`, id, code) }
	run("WrongCheck", "/api/otpverify", check(wrong(sender.code)), http.StatusUnprocessableEntity)
	run("RightCheck", "/api/otpverify", check(sender.code), http.StatusOK)
	run("Refused", "/api/otpverify", `{"id":"VE","code":"1"}`, http.StatusBadRequest)
}
