package azuretable

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/store"
	"twofa/internal/testing/storetest"
)

// hostile is a server that answers in a way that no table service does.
type hostile struct {
	url     string
	written atomic.Int64 // bytes that it could send
}

// newHostile starts a server. misbehave writes to the connection after each request, until
// the other side ends it. A good request is answered by good, which may be nil.
func newHostile(t *testing.T, good func(*http.Request) string, misbehave func(w io.Writer)) *hostile {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{url: "http://" + listener.Addr().String() + "/acct"}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
			context.AfterFunc(ctx, func() { conn.Close() })
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					if good != nil {
						if text := good(req); text != "" {
							if _, err := io.WriteString(conn, text); err != nil {
								return
							}
							continue
						}
					}
					misbehave(&counter{conn, &h.written})
					return
				}
			}()
		}
	}()
	return h
}

func (h *hostile) open(t *testing.T) *Store {
	t.Helper()
	return openStore(t, Options{
		ConnectionString: "AccountName=acct;AccountKey=a2V5;TableEndpoint=" + h.url, TablePrefix: "twofa", Timeout: hostileLimit,
	})
}

// hostileLimit is the time limit of a call, so that slow answers do not slow the tests down.
const hostileLimit = time.Second

type counter struct {
	w io.Writer
	n *atomic.Int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// forever writes the text again and again.
func forever(w io.Writer, text string) {
	text = strings.Repeat(text, 1+4096/len(text))
	for {
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
	}
}

// slowlyWrite writes one byte of the text at a time.
func slowlyWrite(w io.Writer, text string) {
	for i := range text {
		if _, err := io.WriteString(w, text[i:i+1]); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

const (
	rowHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: W/\"x\"\r\n"
	goodRow = `{"PartitionKey":"k","RowKey":"r","Data":"b2xk","Mark":"0123456789abcdef","KeepUntil":"5"}`
)

func withLength(head, body string) string {
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
}

// bomb is 256 MiB of a row's data, compressed.
func bomb() string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, `{"PartitionKey":"k","RowKey":"r","Data":"`)
	zeros := bytes.Repeat([]byte("A"), 1<<20)
	for range 256 {
		_, _ = w.Write(zeros)
	}
	_ = w.Close()
	return b.String()
}

func hostileAnswers() map[string]func(io.Writer) {
	packed := bomb()
	text := func(s string) func(io.Writer) {
		return func(w io.Writer) { _, _ = io.WriteString(w, s) }
	}
	start := func(s, repeated string) func(io.Writer) {
		return func(w io.Writer) {
			_, _ = io.WriteString(w, s)
			forever(w, repeated)
		}
	}
	return map[string]func(io.Writer){
		"an endless row":                 start(rowHead+"\r\n"+goodRow[:40], "AAAA"),
		"an endless row in chunks":       start(rowHead+"Transfer-Encoding: chunked\r\n\r\n", "4\r\nAAAA\r\n"),
		"a row of a terabyte":            start(rowHead+"Content-Length: 1099511627776\r\n\r\n"+goodRow[:40], "AAAA"),
		"endless space after a row":      start(rowHead+"\r\n"+goodRow, " "),
		"endless headers":                start("HTTP/1.1 200 OK\r\n", "X-Header: value\r\n"),
		"an endless header":              start("HTTP/1.1 200 OK\r\nX-Header: ", "value"),
		"endless informational answers":  start("", "HTTP/1.1 102 Processing\r\n\r\n"),
		"an endless status line":         start("HTTP/1.1 200 ", "OK"),
		"an endless size of a chunk":     start(rowHead+"Transfer-Encoding: chunked\r\n\r\n4;", "extension"),
		"endless trailers":               start(rowHead+"Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n", "X: y\r\n"),
		"an endless error":               start("HTTP/1.1 500 No\r\n\r\n", "error "),
		"an endless 404":                 start("HTTP/1.1 404 No\r\nContent-Type: application/json\r\n\r\n{\"odata.error\":{\"code\":\"ResourceNotFound\",\"message\":\"", "no "),
		"an endless 412":                 start("HTTP/1.1 412 No\r\nContent-Type: application/json\r\n\r\n", "{"),
		"an endless redirect":            start("HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\n\r\n", "go "),
		"endless text that is not HTTP":  start("", "hello "),
		"a compressed row that explodes": text(withLength(rowHead+"Content-Encoding: gzip\r\n", packed)),
		"deeply nested":                  text(withLength(rowHead, strings.Repeat(`{"a":[`, 150_000))),
		"cut":                            text(rowHead + "Content-Length: 1000\r\n\r\n" + goodRow),
		"cut in a chunk":                 text(rowHead + "Transfer-Encoding: chunked\r\n\r\nff\r\n" + goodRow),
		"closed at once":                 text(""),
		"half a status line":             text("HTTP/1.1 20"),
		"a page of a proxy":              text(withLength("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: W/\"x\"\r\n", "<html>")),
		"a row without an ETag":          text(withLength("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n", goodRow)),
		"another row":                    text(withLength(rowHead, strings.Replace(goodRow, `"k"`, `"j"`, 1))),
		"a 404 of a proxy":               text(withLength("HTTP/1.1 404 Not Found\r\n", "<html>")),
		"silent":                         func(io.Writer) { time.Sleep(3 * hostileLimit) },
		"slow headers":                   func(w io.Writer) { slowlyWrite(w, rowHead+strings.Repeat("X: y\r\n", 100)) },
		"a slow row":                     func(w io.Writer) { slowlyWrite(w, rowHead+"\r\n"+strings.Repeat(" ", 1000)+goodRow) },
	}
}

// A call may read what its limit allows, once for each try, and what lies in the buffers of
// the operating system.
const (
	buffers  = 8 << 20
	mayRead  = 3*maxRow + buffers
	mayUse   = 64 << 20
	mayTake  = hostileLimit + 2*time.Second
	goodRead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: W/\"x\"\r\n"
)

// wantBounded checks that a call failed within its bounds.
//
// Memory is that of the whole process, so it is not measured in tests that run at the same
// time: those have a higher limit.
func (h *hostile) wantBounded(t *testing.T, what string, limit int64, memory uint64, call func() error) {
	t.Helper()
	var before, after runtime.MemStats
	sent := h.written.Load()
	runtime.ReadMemStats(&before)
	began := time.Now()
	err := call()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDamaged) {
		t.Errorf("%s: %v, want ErrUnavailable", what, err)
	}
	if took > mayTake {
		t.Errorf("%s took %v, want at most %v", what, took, mayTake)
	}
	if read := h.written.Load() - sent; read > limit {
		t.Errorf("%s: %d bytes were read", what, read)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > memory {
		t.Errorf("%s allocated %d bytes", what, used)
	}
}

// The service at the table's address is broken, or not the service.
func TestAttack29_AHostileTableService(t *testing.T) {
	for name, misbehave := range hostileAnswers() {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t, nil, misbehave)
			s := h.open(t)
			h.wantBounded(t, "Get", mayRead, mayUse, func() error { _, err := s.Get(t.Context(), "k"); return err })
			h.wantBounded(t, "Update", mayRead, mayUse, func() error {
				return s.Update(t.Context(), "k", func([]byte) (store.Row, error) {
					t.Error("Update called fn")
					return store.Row{}, store.SkipWrite
				})
			})
		})
	}
}

// Only the answers to writes, lists and deletions are bad.
func TestAttack29_AHostileAnswerToAWrite(t *testing.T) {
	for name, misbehave := range hostileAnswers() {
		good := func(req *http.Request) string {
			if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "PartitionKey=") {
				return withLength(goodRead, goodRow)
			}
			return ""
		}
		switch name {
		case "a page of a proxy", "a row without an ETag", "another row", "endless space after a row", "a compressed row that explodes", "deeply nested",
			"an endless 412", "a 404 of a proxy":
			continue // a success, or a conflict, or refused, and nothing in the body matters
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHostile(t, good, misbehave)
			s := h.open(t)
			// Each of ten attempts reads one answer.
			h.wantBounded(t, "Update", 10*(maxRow+buffers), math.MaxUint64, func() error { return s.Update(t.Context(), "k", storetest.Append("new")) })
			h.wantBounded(t, "Expired", 3*(maxList+buffers), math.MaxUint64, func() error { _, err := s.Expired(t.Context(), time.Now(), ""); return err })
			h.wantBounded(t, "Delete", mayRead, math.MaxUint64, func() error { _, err := s.Delete(t.Context(), store.Ref{Key: "k", Version: `W/"x"`}); return err })
		})
	}
}

// The endpoint of the managed identity, too, is another server.
func TestAttack29_AHostileTokenEndpoint(t *testing.T) {
	for name, misbehave := range map[string]func(io.Writer){
		"an endless token": func(w io.Writer) {
			_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"access_token\":\"")
			forever(w, "A")
		},
		"an endless error": func(w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.1 400 No\r\n\r\n"); forever(w, "A") },
		"endless headers":  func(w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\n"); forever(w, "X: y\r\n") },
		"silent":           func(io.Writer) { time.Sleep(3 * hostileLimit) },
		"closed at once":   func(io.Writer) {},
		"garbage":          func(w io.Writer) { forever(w, "hello ") },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t, nil, misbehave)
			t.Setenv("IDENTITY_ENDPOINT", h.url)
			t.Setenv("IDENTITY_HEADER", "header")
			o := identityOptions(newID(), unauthorized(t))
			o.Timeout = hostileLimit
			s := openStore(t, o)
			h.wantBounded(t, "Get", 10*(maxError+buffers), mayUse, func() error { _, err := s.Get(t.Context(), "k"); return err })
		})
	}
}
