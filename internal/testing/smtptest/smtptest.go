// Package smtptest starts a real SMTP server (emersion/go-smtp) on loopback, with TLS and
// its own certification authority, for tests. It stores the mails that it accepts, checks
// their form strictly, and can be scripted to fail at any step of the conversation.
//
// It must never be part of a production binary, and it never forwards a mail.
package smtptest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// The server's only account. Both texts have characters that a URL has to encode.
const (
	User     = "mailer|app@acme.example"
	Password = "5ec%2Fret/7:0@#?+& c4a1"
)

// Words is in every refusal, together with the address, as with real servers. It must
// never reach a log or an error.
const Words = "canary-of-the-server"

// Security is how a connection is protected.
type Security int

// The kinds of protection: STARTTLS, TLS from the start (smtps), or none.
const (
	STARTTLS Security = iota
	ImplicitTLS
	Plain
)

// Certificate is the server's certificate.
type Certificate int

// The certificates. Clients have to refuse all of them except Good.
const (
	Good Certificate = iota
	WrongName
	Expired
	UnknownAuthority
)

// Options say what kind of server Start starts. The zero Options are for a usual submission
// server: STARTTLS, then authentication, then mail.
type Options struct {
	Security    Security
	Certificate Certificate
	// NoSTARTTLS removes the offer of STARTTLS, as an attacker between client and
	// server would do to get the password in plain text. The server then accepts a
	// password in plain text. The URL stays the same.
	NoSTARTTLS bool
	// Mechanisms are offered for authentication. PLAIN, LOGIN and CRAM-MD5 work. Nil:
	// PLAIN and LOGIN.
	Mechanisms []string
	// Open lets everybody send. The URL then has no user.
	Open bool
}

// Server is a running server. It is stopped when the test ends.
type Server struct {
	// URL has the form of TWOFA_SMTP_URL, with user and password.
	URL string
	// Addr is the server's host and port.
	Addr string
	// Roots verify the certificate, unless it is from an UnknownAuthority. RootsFile
	// holds the same roots in PEM, for the SSL_CERT_FILE of another process.
	Roots     *x509.CertPool
	RootsFile string

	options Options
	ended   chan struct{}
	hung    chan struct{}

	mu          sync.Mutex
	script      map[Step]Action
	mails       []Mail
	malformed   []error
	connections int
	logins      int
}

// Start starts a server on a free port of 127.0.0.1. The server refuses a malformed mail,
// and the test then fails at its end.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Mechanisms == nil {
		o.Mechanisms = []string{"PLAIN", "LOGIN"}
	}
	a, err := newAuthority(o.Certificate)
	if err != nil {
		t.Fatalf("smtptest: %v", err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("smtptest: %v", err)
	}
	s := &Server{
		Addr:      inner.Addr().String(),
		Roots:     a.roots,
		RootsFile: filepath.Join(t.TempDir(), "roots.pem"),
		options:   o,
		ended:     make(chan struct{}),
		hung:      make(chan struct{}, 1),
		script:    make(map[Step]Action),
	}
	s.URL = s.url()
	if err := os.WriteFile(s.RootsFile, a.rootPEM, 0o600); err != nil {
		t.Fatalf("smtptest: %v", err)
	}

	server := smtp.NewServer(smtp.BackendFunc(s.newSession))
	server.Domain = "smtptest.example"
	server.MaxLineLength = 1000 // RFC 5321, 4.5.3.1.6
	server.MaxRecipients = 1
	server.EnableSMTPUTF8 = true
	server.ErrorLog = log.New(io.Discard, "", 0) // some tests refuse handshakes
	server.AllowInsecureAuth = o.Security == Plain || o.NoSTARTTLS
	config := &tls.Config{Certificates: []tls.Certificate{a.server}, MinVersion: tls.VersionTLS12}
	var listener net.Listener = inner
	switch {
	case o.Security == ImplicitTLS:
		listener = tls.NewListener(inner, config)
	case o.Security == STARTTLS && !o.NoSTARTTLS:
		server.TLSConfig = config
	}

	served := make(chan error, 1)
	go func() { served <- server.Serve(&scriptedListener{listener, s}) }()
	t.Cleanup(func() {
		close(s.ended)
		if err := server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("smtptest: %v", err)
		}
		_ = inner.Close() // server.Close does nothing if Serve has not started yet
		<-served          // the error only says that the listener was closed
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, err := range s.malformed {
			t.Errorf("smtptest: a mail is malformed: %v", err)
		}
	})
	return s
}

// addMalformed makes the test fail at its end.
func (s *Server) addMalformed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.malformed = append(s.malformed, err)
}

func (s *Server) url() string {
	u := url.URL{Scheme: "smtp", Host: s.Addr, User: url.UserPassword(User, Password)}
	switch s.options.Security {
	case ImplicitTLS:
		u.Scheme = "smtps"
	case Plain:
		u.RawQuery = "tls=off"
	}
	if s.options.Open {
		u.User = nil
	}
	return u.String()
}

// Mails returns the mails that the server has accepted, in order.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Connections is how many connections the server has accepted.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// Logins is how often a client has begun to authenticate. Without TLS, everybody on the
// network can then read the password.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}
