package email

import (
	"cmp"
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

// Texts writes the subject of a mail, without the code, and its message as text and as
// HTML. Empty HTML: text only. Implementations make values from outside safe, escape them in
// the HTML, and are safe for concurrent use.
type Texts interface {
	Mail(notify.Message) (subject, text, html string)
}

// Options are the settings of a Sender. Every fault names the field's environment
// variable, never a value.
type Options struct {
	// URL (TWOFA_SMTP_URL) is the server. With smtps://user:password@host:465,
	// TLS begins with the connection. With smtp://user:password@host:587, STARTTLS
	// is required. 465 and 587 are the default ports. In user and password, the
	// characters /?#[]@:% and spaces are percent-encoded. Without a user there is
	// no authentication. smtp://host:1025?tls=off uses plain text and is accepted
	// for loopback only.
	URL string `json:"-"`
	// From (TWOFA_EMAIL_FROM) is the sender: an address, or a name and an
	// address such as Acme <login@acme.example>.
	From string
	// CodeInSubject (TWOFA_EMAIL_SUBJECT_CODE) puts the code into the subject, so that
	// people read it in the list of mails and on a lock screen. Otherwise the time makes
	// the subject of each code differ.
	CodeInSubject bool
	// Texts is required.
	Texts Texts `json:"-"`
	// RootCAs verify the server's certificate. Nil: the system's roots.
	RootCAs *x509.CertPool `json:"-"`
	// Timeout limits a Send, from the lookup of the server's name to its last
	// answer; 0 means 10 s. If the deadline of the caller's context is earlier,
	// it applies instead.
	Timeout time.Duration
	// Logger logs, at debug level, which step each conversation reached and how
	// long it took, never an address or a text. Nil: no log. The caller logs the
	// outcome.
	Logger *slog.Logger `json:"-"`
}

// Format hides the password from all verbs of fmt.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprint(f, "email.Options(hidden)") }

// LogValue hides the password from slog.
func (o Options) LogValue() slog.Value { return slog.StringValue("email.Options(hidden)") }

const (
	defaultTimeout = 10 * time.Second
	urlVariable    = "TWOFA_SMTP_URL"
	fromVariable   = "TWOFA_EMAIL_FROM"
)

// Faults returns everything that is wrong with URL and From. Each text begins with
// the name of its environment variable, and none quotes a value.
func (o Options) Faults() (faults []string) {
	if _, _, err := parseURL(o.URL); err != nil {
		faults = append(faults, urlVariable+" "+err.Error())
	}
	if _, err := parseFrom(o.From); err != nil {
		faults = append(faults, fromVariable+" "+err.Error())
	}
	return faults
}

// security is how the conversation is protected.
type security int

const (
	implicitTLS security = iota
	startTLS
	plainText // on loopback only
)

type server struct {
	host     string // the certificate has to be for this name
	addr     string
	security security
}

type credentials struct{ user, password string }

var errURL = errors.New("has to look like smtps://user:password@host:465 or smtp://user:password@host:587, with special characters of user and password percent-encoded")

// parseURL reads a URL. The credentials are nil if the URL has no user. An error's
// text continues a sentence that begins with the variable's name. It never quotes
// the input, which holds a password.
func parseURL(text string) (server, *credentials, error) {
	if text == "" {
		return server{}, nil, errors.New("is not set")
	}
	u, err := url.Parse(text)
	// An unencoded / ? or # in the password ends the host early. So nothing may
	// follow the host except the query tls=off.
	if err != nil || u.Path != "" && u.Path != "/" || u.Fragment != "" || u.Opaque != "" || !isHost(u.Hostname()) {
		return server{}, nil, errURL
	}

	var s server
	port := u.Port()
	switch {
	case u.Scheme == "smtps" && u.RawQuery == "":
		s.security = implicitTLS
		port = cmp.Or(port, "465")
	case u.Scheme == "smtp" && u.RawQuery == "":
		s.security = startTLS
		port = cmp.Or(port, "587")
	case u.Scheme == "smtp" && u.RawQuery == "tls=off":
		if !notify.IsLoopback(u.Hostname()) {
			return server{}, nil, errors.New("may have tls=off for a loopback host only: mails carry codes")
		}
		s.security = plainText
		port = cmp.Or(port, "587")
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

// isHost reports whether a certificate can name the host: a name in ASCII, or an
// IP address without a zone.
func isHost(host string) bool {
	if net.ParseIP(host) != nil {
		return true
	}
	return host != "" && !strings.HasPrefix(host, ".") && !strings.HasSuffix(host, ".") &&
		strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

// maxFromName is the longest name of the sender, in characters.
const maxFromName = 100

// parseFrom reads the sender. An error's text continues a sentence that begins
// with the variable's name. The address keeps its spelling, because some providers
// compare verified senders with regard to case.
func parseFrom(text string) (mail.Address, error) {
	if text == "" {
		return mail.Address{}, errors.New("is not set")
	}
	from, err := mail.ParseAddress(text)
	if err != nil || text != from.Address && !strings.HasSuffix(text, "<"+from.Address+">") {
		return mail.Address{}, errors.New(`has to look like login@acme.example or Acme <login@acme.example>; a name with commas or other special characters has to be in quotes: "Acme, Inc." <login@acme.example>`)
	}
	if _, err := address.ParseEmail(from.Address); err != nil {
		return mail.Address{}, fmt.Errorf("is not valid: %w", err)
	}
	if utf8.RuneCountInString(from.Name) > maxFromName || from.Name != headerText(from.Name, maxFromName) {
		return mail.Address{}, fmt.Errorf("has to have a name of one line with at most %d characters, none of them invisible", maxFromName)
	}
	return *from, nil
}
