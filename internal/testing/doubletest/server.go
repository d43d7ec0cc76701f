package doubletest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
)

// Direct makes the requests of a double to the app under test. It uses no proxy, because the
// app is on loopback, and follows no redirects, so that tests see them.
var Direct = &http.Transport{DisableKeepAlives: true}

// Server is a handler that listens on a free port of 127.0.0.1.
type Server struct {
	// URL replaces the address of the provider.
	URL string

	server      *httptest.Server
	connections atomic.Int64
}

// Start starts a server; the caller closes it.
func Start(handler http.Handler) *Server {
	s := &Server{server: httptest.NewUnstartedServer(handler)}
	// Set before Start: httptest then calls this hook in addition to its own.
	s.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.server.Start()
	s.URL = s.server.URL
	return s
}

// Close stops the server. It waits for all requests.
func (s *Server) Close() { s.server.Close() }

// Connections is how many connections the server has accepted.
func (s *Server) Connections() int { return int(s.connections.Load()) }
