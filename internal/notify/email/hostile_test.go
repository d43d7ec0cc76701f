package email

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
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
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			defer func() { stop(); listener.Close() }()
			var written, connections atomic.Int64
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					connections.Add(1)
					_ = conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
					context.AfterFunc(ctx, func() { conn.Close() })
					go func() { _, _ = io.Copy(io.Discard, conn) }()
					go func() {
						defer conn.Close()
						_, err := io.WriteString(conn, c.begin)
						for piece := strings.Repeat(c.forever, 1000); piece != "" && err == nil; {
							var n int
							n, err = io.WriteString(conn, piece)
							written.Add(int64(n))
						}
					}()
				}
			}()
			s := newSender(t, Options{
				URL: "smtp://" + listener.Addr().String() + "?tls=off", From: "Acme <" + from + ">", Texts: texts(simple), Timeout: limit,
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			err = s.Send(t.Context(), message())
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			notifytest.Failure(t, err)
			if took > limit+time.Second || connections.Load() != 1 {
				t.Errorf("took %v and %d connections", took, connections.Load())
			}
			const buffers = 8 << 20 // of the operating system
			if n := written.Load(); n > maxFromServer+buffers {
				t.Errorf("%d bytes were read", n)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
				t.Errorf("allocated %d bytes", n)
			}
		})
	}
}
