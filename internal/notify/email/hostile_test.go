package email

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"twofa/internal/testing/notifytest"
)

// The mail server is broken, or no mail server. A send ends in time, reads and keeps little,
// and fails.
func TestAttack29_AHostileMailServer(t *testing.T) {
	const limit = time.Second
	for name, c := range map[string]struct{ begin, forever string }{
		"an endless greeting":         {"", "220-hello\r\n"},
		"an endless line":             {"220 ", "hello"},
		"zeros":                       {"", "\x00"},
		"an endless answer to EHLO":   {"220 hello\r\n", "250-SIZE 1\r\n"},
		"an endless line after EHLO":  {"220 hello\r\n250 ", "SIZE"},
		"endless line breaks":         {"", "\r\n"},
		"greetings again and again":   {"", "220 hello\r\n"},
		"accepts all, endlessly":      {"220 hello\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", "250-ok\r\n"},
		"an endless refusal":          {"", "554-no\r\n"},
		"closed after half a line":    {"220 hel", ""},
		"closed at once":              {"", ""},
		"an HTTP server":              {"HTTP/1.1 400 Bad Request\r\n\r\n", ""},
		"an endless answer with NULs": {"220 hello\r\n", "250-\x00\x00\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			server := notifytest.StartFlood(t, func(conn net.Conn) { go func() { _, _ = io.Copy(io.Discard, conn) }() }, c.begin, c.forever)
			s := newSender(t, Options{
				URL: "smtp://" + server.Addr + "?tls=off", From: "Acme <" + from + ">", Texts: texts(simple), Timeout: limit,
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			err := s.Send(t.Context(), message())
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			notifytest.Failure(t, err)
			if took > limit+time.Second || server.Answers.Load() != 1 {
				t.Errorf("took %v and %d connections", took, server.Answers.Load())
			}
			const buffers = 8 << 20 // of the operating system
			if n := server.Written.Load(); n > maxFromServer+buffers {
				t.Errorf("%d bytes were read", n)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
				t.Errorf("allocated %d bytes", n)
			}
		})
	}
}
