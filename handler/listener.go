package handler

import (
	"bytes"
	"net"
	"regexp"
)

// FixedHeaders returns a listener whose connections carry the fixed headers in
// every answer. An API gives them to its answers itself. [http.Server] refuses some
// requests before a handler sees them, for example those that are not HTTP, and it
// has no hook for these answers.
func FixedHeaders(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok && err == nil {
		return conn{tcp}, nil
	}
	return c, err
}

// conn is a connection on which net/http writes answers. It has all methods of a TCP
// connection: net/http closes its two directions one after the other, so that a
// client reads the refusal.
type conn struct{ *net.TCPConn }

// finalStatus is the first line of an answer. It has no "100 Continue", which the
// answer follows.
var finalStatus = regexp.MustCompile(`^HTTP/1\.[01] [2-5]`)

// Write implements net.Conn. net/http writes the head of an answer of its own at
// once, and no body of ours has a line break of HTTP. So Write finds the heads.
func (c conn) Write(b []byte) (int, error) {
	status, rest, isHead := bytes.Cut(b, []byte("\r\n"))
	if !isHead || !finalStatus.Match(status) {
		return c.TCPConn.Write(b)
	}
	head, _, _ := bytes.Cut(rest, []byte("\r\n\r\n"))
	if bytes.Contains(head, []byte("X-Request-Id: ")) {
		return c.TCPConn.Write(b)
	}
	added := make([]byte, 0, len(b)+128)
	added = append(append(added, status...), "\r\n"...)
	for name, value := range fixedHeaders(randomID()) {
		added = append(append(append(append(added, name...), ": "...), value...), "\r\n"...)
	}
	if n, err := c.TCPConn.Write(append(added, rest...)); err != nil {
		return min(n, len(b)), err
	}
	return len(b), nil
}
