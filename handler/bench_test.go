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

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/secret"
	"twofa/internal/store"
)

// benchTable holds one row in memory, and once frozen the same row for ever, so
// that each repetition of a benchmark meets the same state.
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

// benchSender keeps the last code.
type benchSender struct{ code string }

func (s *benchSender) Send(_ context.Context, m notify.Message) error {
	s.code = m.Code
	return nil
}

// What the service costs in process: all but the connections, the storage and
// the provider.
func BenchmarkService(b *testing.B) {
	keys, err := secret.Parse(secret.Generate())
	if err != nil {
		b.Fatal(err)
	}
	table, sender := new(benchTable), new(benchSender)
	api := newAPI(table, keys, otp.DefaultPolicy(), sender, new(fakeProvider), slog.New(slog.NewJSONHandler(io.Discard, nil)), time.Now)
	h := api.Handler()
	call := func(path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
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
	run("WrongCheck", "/api/otpverify", check("nope22"), http.StatusUnprocessableEntity)
	run("RightCheck", "/api/otpverify", check(sender.code), http.StatusOK)
	run("Refused", "/api/otpverify", `{"id":"VE","code":"1"}`, http.StatusBadRequest)
}
