package email

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"twofa/internal/address"
	"twofa/internal/notify"
)

// Texts writes what a mail says: its subject and the same message as text and
// as HTML ("" for none). What comes from outside has to be neutralised and, in
// the HTML, escaped. A catalogue is safe for concurrent use.
type Texts interface {
	Mail(notify.Message) (subject, text, html string)
}

// Options are the settings of a Sender. Every fault names the environment
// variable that main reads the field from, never a value.
type Options struct {
	// URL (TWOFA_SMTP_URL) is the server: smtps://user:password@host:465 for TLS
	// from the start, smtp://user:password@host:587 for STARTTLS, without which
	// nothing is said then. The ports are the defaults; what user and password
	// have of /?#[]@:% and spaces is percent-encoded. Without a user nobody is
	// authenticated. On loopback alone, smtp://host:1025?tls=off speaks in plain
	// text.
	URL string `json:"-"`
	// From (TWOFA_EMAIL_FROM) is the sender, as address or as
	// Acme <login@acme.example>.
	From string
	// Texts is needed.
	Texts Texts `json:"-"`
	// RootCAs verify the server's certificate; nil means the system's.
	RootCAs *x509.CertPool `json:"-"`
	// Timeout bounds a Send, from looking up the server's name to its last
	// answer; 0 means 10 s. A shorter deadline of the caller's context wins.
	Timeout time.Duration
	// Logger is told, at debug level, how far each conversation came and how
	// long it took; never with whom or about what. Nil means silence: the caller
	// logs the outcome.
	Logger *slog.Logger `json:"-"`
}

// Format hides the password whatever verb prints Options.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprint(f, "email.Options(hidden)") }

// LogValue implements slog.LogValuer for the same reason.
func (o Options) LogValue() slog.Value { return slog.StringValue("email.Options(hidden)") }

const (
	defaultTimeout = 10 * time.Second
	urlVariable    = "TWOFA_SMTP_URL"
	fromVariable   = "TWOFA_EMAIL_FROM"
)

// Faults returns all that is wrong with the settings, each text beginning with
// the name of its environment variable and none with a value in it.
func (o Options) Faults() (faults []string) {
	if _, _, err := parseURL(o.URL); err != nil {
		faults = append(faults, urlVariable+" "+err.Error())
	}
	if _, err := parseFrom(o.From); err != nil {
		faults = append(faults, fromVariable+" "+err.Error())
	}
	return faults
}

// security is how the conversation becomes secret.
type security int

const (
	implicitTLS security = iota
	startTLS
	plainText // on loopback alone
)

type server struct {
	host     string // what the certificate has to be for
	addr     string
	security security
}

type credentials struct{ user, password string }

var errURL = errors.New("has to look like smtps://user:password@host:465 or smtp://user:password@host:587, with special characters of user and password percent-encoded")

// parseURL never repeats its input, which holds a password. Its errors continue
// the variable's name. The credentials are nil where there is no user.
func parseURL(text string) (server, *credentials, error) {
	if text == "" {
		return server{}, nil, errors.New("is not set")
	}
	u, err := url.Parse(text)
	// A / ? or # in a password that is not encoded ends the host early, so
	// nothing may follow it but the one query that is known.
	if err != nil || u.Path != "" && u.Path != "/" || u.Fragment != "" || u.Opaque != "" || !isHost(u.Hostname()) {
		return server{}, nil, errURL
	}

	var s server
	port := u.Port()
	switch {
	case u.Scheme == "smtps" && u.RawQuery == "":
		s.security = implicitTLS
		port = orDefault(port, "465")
	case u.Scheme == "smtp" && u.RawQuery == "":
		s.security = startTLS
		port = orDefault(port, "587")
	case u.Scheme == "smtp" && u.RawQuery == "tls=off":
		if !isLoopback(u.Hostname()) {
			return server{}, nil, errors.New("may have tls=off for a loopback host only: mails carry codes")
		}
		s.security = plainText
		port = orDefault(port, "587")
	default:
		return server{}, nil, errURL
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return server{}, nil, errURL
	}
	s.host, s.addr = u.Hostname(), net.JoinHostPort(u.Hostname(), port)

	if u.User == nil {
		return s, nil, nil
	}
	c := credentials{user: u.User.Username()}
	c.password, _ = u.User.Password()
	if c.user == "" || c.password == "" {
		return server{}, nil, errors.New("has to have both a user and a password, or neither")
	}
	if strings.ContainsFunc(c.user+c.password, unicode.IsControl) || !utf8.ValidString(c.user+c.password) {
		return server{}, nil, errors.New("has a control character in the user or the password")
	}
	return s, &c, nil
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// isHost reports whether a certificate can be for the host: a name in ASCII or
// an IP address without a zone.
func isHost(host string) bool {
	if net.ParseIP(host) != nil {
		return true
	}
	return host != "" && !strings.HasPrefix(host, ".") && !strings.HasSuffix(host, ".") &&
		strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// maxFromName bounds the sender's name, in characters.
const maxFromName = 100

// parseFrom reads the sender. Its errors continue the variable's name. The
// spelling of the address is kept, because some providers tell cases apart when
// they look for a verified sender.
func parseFrom(text string) (mail.Address, error) {
	if text == "" {
		return mail.Address{}, errors.New("is not set")
	}
	from, err := mail.ParseAddress(text)
	if err != nil || text != from.Address && !strings.HasSuffix(text, "<"+from.Address+">") {
		return mail.Address{}, errors.New(`has to look like login@acme.example or Acme <login@acme.example>; a name with commas or the like stands in quotes: "Acme, Inc." <login@acme.example>`)
	}
	if _, err := address.ParseEmail(from.Address); err != nil {
		return mail.Address{}, fmt.Errorf("is not right: %w", err)
	}
	if utf8.RuneCountInString(from.Name) > maxFromName || from.Name != oneLine(from.Name, maxFromName) {
		return mail.Address{}, fmt.Errorf("has to have a name of one line, at most %d characters and no invisible ones", maxFromName)
	}
	return *from, nil
}
