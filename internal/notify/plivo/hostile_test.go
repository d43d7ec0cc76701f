package plivo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify/gateway"
	"twofa/internal/testing/notifytest"
)

// The server at PLIVO_BASE_URL is broken, or not Plivo. A send ends in time, reads and
// keeps little, and makes at most two tries.
func TestAttack29_AHostileProvider(t *testing.T) {
	const limit = 500 * time.Millisecond // of a try
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = io.WriteString(zip, `{"error":"`)
	for range 256 {
		_, _ = zip.Write(make([]byte, 1<<20))
	}
	_ = zip.Close()
	const head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
	for name, c := range map[string]struct{ begin, forever string }{
		"an endless error":              {head + "\r\n" + `{"code":`, "1111"},
		"an endless success":            {"HTTP/1.1 202 Accepted\r\n\r\n" + `{"message_uuid":["`, "5b"},
		"an endless body in chunks":     {head + "Transfer-Encoding: chunked\r\n\r\n", "4\r\nAAAA\r\n"},
		"a body of a terabyte":          {head + "Content-Length: 1099511627776\r\n\r\n", "AAAA"},
		"a compressed body":             {fmt.Sprintf("%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", head, packed.Len(), packed.String()), ""},
		"endless headers":               {"HTTP/1.1 202 Accepted\r\n", "X-Header: value\r\n"},
		"endless informational answers": {"", "HTTP/1.1 102 Processing\r\n\r\n"},
		"endless text":                  {"", "hello "},
		"an endless redirect":           {"HTTP/1.1 307 Go\r\nLocation: /\r\n\r\n", "go "},
		"cut":                           {head + "Content-Length: 1000\r\n\r\n{", ""},
		"closed at once":                {"", ""},
		"deeply nested":                 {head + "\r\n" + strings.Repeat(`{"a":[`, 5000), ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := notifytest.StartFlood(t, func(conn net.Conn) {
				if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
				}
			}, c.begin, c.forever)
			o := options()
			o.BaseURL, o.Timeout, o.TotalTimeout = "http://"+server.Addr, limit, 4*limit
			a := newAccount(t, o)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			sent := a.sender(channel.WhatsApp).Send(t.Context(), message())
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			notifytest.Failure(t, sent)
			if took > 5*limit || server.Answers.Load() > 2 {
				t.Errorf("took %v and %d tries", took, server.Answers.Load())
			}
			const buffers = 8 << 20 // of the operating system, for each try
			if n := server.Written.Load(); n > 2*(gateway.MaxBody+buffers) {
				t.Errorf("%d bytes were read", n)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
				t.Errorf("allocated %d bytes", n)
			}
		})
	}
}
