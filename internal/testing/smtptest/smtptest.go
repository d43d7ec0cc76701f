// Package smtptest starts a real SMTP server (emersion/go-smtp) on loopback,
// with TLS and a certification authority of its own, for tests. It keeps the
// mails that it takes, is strict about their form, and can be told to fail at
// any step of the conversation.
//
// It must never be part of a production binary, and it never passes a mail on.
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

// The account that the server knows. Both texts hold what a URL has to encode.
const (
	User     = "mailer|app@acme.example"
	Password = "5ec%2Fret/7:0@#?+& c4a1"
)

// Words stand in every refusal, beside the address in question, as servers do
// it: none of them may reach a log or an error.
const Words = "canary-of-the-server"

// Security is how a connection becomes secret.
type Security int

// The ways: from the start (smtps), by STARTTLS, or not at all.
const (
	STARTTLS Security = iota
	ImplicitTLS
	Plain
)

// Certificate is what the server shows.
type Certificate int

// The certificates. All but Good have to be refused by the client.
const (
	Good Certificate = iota
	WrongName
	Expired
	UnknownAuthority
)

// Options say what kind of server it is. The zero Options are a server on the
// submission port's terms: STARTTLS, then authentication, then mail.
type Options struct {
	Security    Security
	Certificate Certificate
	// NoSTARTTLS takes the offer of STARTTLS away, as somebody in between would
	// do it to have the password in plain text, which is then asked for. The URL
	// stays the same.
	NoSTARTTLS bool
	// Mechanisms are offered for authentication: PLAIN, LOGIN and CRAM-MD5 are
	// known. Nil means PLAIN and LOGIN.
	Mechanisms []string
	// Open lets everybody send, and the URL holds no user.
	Open bool
}

// Server is a running server. It is stopped when the test ends.
type Server struct {
	// URL is the server's, with user and password, in the form of
	// TWOFA_SMTP_URL.
	URL string
	// Addr is its host and port.
	Addr string
	// Roots verify the certificate, unless it is from an UnknownAuthority.
	// RootsFile is the same in PEM, for the SSL_CERT_FILE of another process.
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

// Start starts a server on a free port of 127.0.0.1. A mail that is not well
// formed is refused and fails the test at its end.
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
	server.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what some tests are about
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
		_ = inner.Close() // go-smtp knows of it only once it serves
		<-served          // its error says only that the listener was closed
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, err := range s.malformed {
			t.Errorf("smtptest: a mail is not well formed: %v", err)
		}
	})
	return s
}

// complain fails the test at its end.
func (s *Server) complain(err error) {
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

// Mails returns the mails that the server has taken, in order.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Connections is how often somebody has connected.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// Logins is how often somebody has begun to authenticate, which shows the
// password to whoever listens if there is no TLS.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}
