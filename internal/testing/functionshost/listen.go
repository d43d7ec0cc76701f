package functionshost

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	headerSize  = 32 << 10 // bytes of all header lines
	headerCount = 100
)

// clientConn reads the request line itself, because net/http refuses or rewrites targets that
// Kestrel takes. net/http then reads the same line with the target "/".
type clientConn struct {
	net.Conn
	target  string // as the client sent it
	status  int    // of the refusal, or 0
	line    bool   // the request line is read
	pending []byte // what net/http has to read before the rest of the connection
}

type clientConnKey struct{}

func (c *clientConn) Read(p []byte) (int, error) {
	if !c.line {
		if err := c.readLine(); err != nil {
			return 0, err
		}
		c.line = true
	}
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		c.pending = c.pending[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

func (c *clientConn) readLine() error {
	var line, rest []byte
	for found := false; !found; {
		chunk := make([]byte, 4096)
		n, err := c.Conn.Read(chunk)
		if n == 0 {
			return err
		}
		line, rest, found = bytes.Cut(append(line, chunk[:n]...), []byte("\n"))
		if len(line) > 1<<20 {
			return errors.New("the request line does not end")
		}
	}
	method, after, _ := strings.Cut(strings.TrimSuffix(string(line), "\r"), " ")
	raw, protocol, _ := strings.Cut(after, " ")
	c.target = raw
	switch {
	case len(line)+1 > lineSize:
		c.status, protocol = http.StatusRequestURITooLong, "HTTP/1.1"
	case protocol != "HTTP/1.1" && protocol != "HTTP/1.0":
		c.status, protocol = http.StatusBadRequest, "HTTP/1.1"
	}
	c.pending = append([]byte(method+" / "+protocol+"\r\n"), rest...)
	return nil
}

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &clientConn{Conn: c}, nil
}

// newServer returns the server for clients. It takes one request a connection.
func newServer(handler http.HandlerFunc) *http.Server {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: time.Minute,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, clientConnKey{}, c)
		},
	}
	server.SetKeepAlivesEnabled(false)
	return server
}

// readTarget reads the target of the request. It returns the status of the refusal, or 0.
func (h *Host) readTarget(r *http.Request) (target, int) {
	c := r.Context().Value(clientConnKey{}).(*clientConn)
	count, size := 1, len("Host: \r\n")+len(r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			count++
			size += len(name) + len(": \r\n") + len(value)
		}
	}
	switch {
	case c.status != 0:
		return target{}, c.status
	case count > headerCount || size > headerSize:
		return target{}, http.StatusRequestHeaderFieldsTooLarge
	}
	return parseTarget(c.target, r.Host, h.options.Edge)
}
