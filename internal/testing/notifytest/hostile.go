package notifytest

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
)

// Hostile is how a sender has to bear a provider's server that is broken or hostile.
type Hostile struct {
	// Success is the beginning of an answer that accepts the message, in the middle of a
	// JSON text, and Forever what may follow in it without an end.
	Success, Forever string
	// MayAccept is true if the status alone accepts the message.
	MayAccept bool
	// MaxBody is how much of an answer is read, Tries how often a message is tried.
	MaxBody, Tries int64
	// Send sends a message to the server at base with these time limits.
	Send func(t *testing.T, base string, timeout, total time.Duration) error
}

// Check sends a message to servers of several kinds. The send has to end in time, to read
// and keep little, and to make at most so many tries.
func (h Hostile) Check(t *testing.T) {
	const limit = 500 * time.Millisecond // of a try
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = io.WriteString(zip, `{"error":"`)
	for range 256 {
		_, _ = zip.Write(make([]byte, 1<<20))
	}
	_ = zip.Close()
	const head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
	status, _, _ := strings.Cut(h.Success, "\r\n")
	for name, c := range map[string]struct{ begin, forever string }{
		"an endless error":              {head + "\r\n" + `{"code":`, "1111"},
		"an endless success":            {h.Success, h.Forever},
		"an endless body in chunks":     {head + "Transfer-Encoding: chunked\r\n\r\n", "4\r\nAAAA\r\n"},
		"a body of a terabyte":          {head + "Content-Length: 1099511627776\r\n\r\n", "AAAA"},
		"a compressed body":             {fmt.Sprintf("%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", head, packed.Len(), packed.String()), ""},
		"endless headers":               {status + "\r\n", "X-Header: value\r\n"},
		"endless informational answers": {"", "HTTP/1.1 102 Processing\r\n\r\n"},
		"endless text":                  {"", "hello "},
		"an endless redirect":           {"HTTP/1.1 307 Go\r\nLocation: /\r\n\r\n", "go "},
		"cut":                           {head + "Content-Length: 1000\r\n\r\n{", ""},
		"closed at once":                {"", ""},
		"deeply nested":                 {head + "\r\n" + strings.Repeat(`{"a":[`, 5000), ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := StartFlood(t, func(conn net.Conn) {
				if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
				}
			}, c.begin, c.forever)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			sent := h.Send(t, "http://"+server.Addr, limit, 4*limit)
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if sent != nil {
				_ = Failure(t, sent)
			} else if !h.MayAccept || name != "an endless success" {
				t.Error("the message counts as sent")
			}
			if took > 5*limit || server.Answers.Load() > h.Tries {
				t.Errorf("took %v and %d tries", took, server.Answers.Load())
			}
			const buffers = 8 << 20 // of the operating system, for each try
			if n := server.Written.Load(); n > h.Tries*(h.MaxBody+buffers) {
				t.Errorf("%d bytes were read", n)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
				t.Errorf("allocated %d bytes", n)
			}
		})
	}
}
