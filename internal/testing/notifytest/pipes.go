package notifytest

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
)

// Pipes are the connections to a provider's double in a synctest bubble, where time is
// fake: a real transport speaks HTTP over them. They implement net.Listener.
type Pipes struct {
	Dials   atomic.Int64
	Refused atomic.Int64 // so many dials are refused
	Stuck   atomic.Bool  // dials never end
	// Last has the double's end of the first connection that was not received yet.
	Last chan net.Conn

	conns  chan net.Conn
	closed chan struct{}
}

// ServeOnPipes makes transport dial a server with that handler until the test ends. The
// test has to be in a bubble. The handler has to end its requests before: end does that.
func ServeOnPipes(t *testing.T, transport *http.Transport, handler http.Handler, end func()) *Pipes {
	p := &Pipes{conns: make(chan net.Conn), closed: make(chan struct{}), Last: make(chan net.Conn, 1)}
	transport.DialContext = p.dial
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(p) }()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		end()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *Pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.Dials.Add(1)
	if p.Stuck.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if p.Refused.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		select {
		case p.Last <- theirs:
		default:
		}
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, io.EOF
	}
}

// Close implements net.Listener.
func (p *Pipes) Close() error { close(p.closed); return nil }

// Addr implements net.Listener.
func (p *Pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// RoundTripper is a function that is an http.RoundTripper.
type RoundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
