package email

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/mail"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// step is the current step of a conversation. The meaning of an error depends on
// it.
type step int

const (
	dialling step = iota
	handshaking
	greeting
	hello
	startingTLS
	authenticating
	sender
	recipient
	data
	content
	final // the dot that ends the mail: from here on the mail may have been sent
)

// String names the step in logs.
func (s step) String() string {
	return [...]string{
		"dial", "tls", "greeting", "hello", "starttls", "auth", "sender", "recipient", "data", "content", "final",
	}[s]
}

var (
	errNoSTARTTLS  = errors.New("email: no STARTTLS")
	errNoAuth      = errors.New("email: no authentication")
	errNoMechanism = errors.New("email: no common mechanism")
	errTooMuch     = errors.New("email: the server sends too much")
)

// conversation is one connection that sends one mail. It calls the library's SMTP
// client step by step instead of DialAndSend, for three reasons: the errors of
// DialAndSend distinguish a missing STARTTLS, a refused password and a lost
// connection by their texts only; it keeps a connection that has failed; and it
// makes three more exchanges (NOOP twice, RSET) while a person waits.
type conversation struct {
	s    *Sender
	at   step
	link *link
	// whole is true if the last byte of the mail was written.
	whole bool
}

// run sends the mail. Only judge may use its error, which quotes the server.
func (c *conversation) run(ctx context.Context, to string, raw []byte) error {
	return c.open(ctx, func(client *smtp.Client) error { return c.deliver(client, to, raw) })
}

// open connects and authenticates, calls fn, and says goodbye. Only judge may use its error.
func (c *conversation) open(ctx context.Context, fn func(*smtp.Client) error) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", c.s.server.addr)
	if err != nil {
		return err
	}
	c.link = &link{Conn: conn, left: maxFromServer}
	// This closes without TLS's close message, which may block after ctx has ended.
	defer conn.Close()
	// The end of ctx ends all reads and writes, by a deadline in the past.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	client, err := c.introduce(ctx)
	if err != nil {
		return err
	}
	defer func() {
		// In the middle of the mail no command may follow: it could complete
		// half a mail.
		if c.at != content {
			// The answer to QUIT is not awaited, because it changes nothing.
			_, _ = client.Text.Cmd("QUIT")
		}
	}()
	if err := c.authenticate(client); err != nil {
		return err
	}
	return fn(client)
}

// introduce sets up TLS, unless the server is in plain text on loopback, and sends
// the greeting.
func (c *conversation) introduce(ctx context.Context) (*smtp.Client, error) {
	var conn net.Conn = c.link
	if c.s.server.security == implicitTLS {
		c.at = handshaking
		secret := tls.Client(conn, c.s.tls)
		if err := secret.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secret
	}
	c.at = greeting
	client, err := smtp.NewClient(conn, c.s.server.host)
	if err != nil {
		return nil, err
	}
	c.at = hello
	// The sender's domain instead of the host name, which must not be disclosed.
	if err := client.Hello(c.s.domain); err != nil {
		return nil, err
	}
	if c.s.server.security == startTLS {
		c.at = startingTLS
		if ok, _ := client.Extension("STARTTLS"); !ok {
			return nil, errNoSTARTTLS
		}
		if err := client.StartTLS(c.s.tls); err != nil {
			return nil, err
		}
	}
	// All headers are in ASCII, so the extension is not needed. If a mail asks
	// for it, a later server without it has to return the mail.
	client.SkipSMTPUTF8(true)
	return client, nil
}

func (c *conversation) authenticate(client *smtp.Client) error {
	if c.s.credentials == nil {
		return nil
	}
	c.at = authenticating
	ok, offered := client.Extension("AUTH")
	if !ok {
		return errNoAuth
	}
	mechanisms := strings.Fields(strings.ToUpper(offered))
	user, password, host := c.s.credentials.user, c.s.credentials.password, c.s.server.host
	unencrypted := c.s.server.security == plainText
	// Every server on the submission ports offers one of these. With verified TLS
	// all of them are equally safe.
	switch {
	case slices.Contains(mechanisms, "PLAIN"):
		return client.Auth(smtp.PlainAuth("", user, password, host, unencrypted))
	case slices.Contains(mechanisms, "LOGIN"):
		return client.Auth(smtp.LoginAuth(user, password, host, unencrypted))
	case slices.Contains(mechanisms, "CRAM-MD5"):
		return client.Auth(smtp.CRAMMD5Auth(user, password))
	}
	return errNoMechanism
}

func (c *conversation) deliver(client *smtp.Client, to string, raw []byte) error {
	c.at = sender
	if err := client.Mail("<" + c.s.from.Address + ">"); err != nil {
		return err
	}
	c.at = recipient
	// A local part like a..b, which some providers issue, is in quotes (RFC 5321, 4.1.2).
	if err := client.Rcpt((&mail.Address{Address: to}).String()); err != nil {
		return err
	}
	c.at = data
	w, err := client.Data()
	if err != nil {
		return err
	}
	c.at = content
	if _, err := w.Write(raw); err != nil {
		return err // w is not closed: that would complete half a mail
	}
	c.at = final
	err = w.Close() // returns an error for the server's answer, not for the writing
	c.whole = !c.link.failed
	var reply *textproto.Error
	if errors.As(err, &reply) && reply.Code/100 == 2 {
		return nil // the library expects 250; any 2xx accepts the mail (RFC 5321, 4.2.1)
	}
	return err
}

// ended returns context.Canceled or context.DeadlineExceeded if that ended the
// conversation, nil if an answer of the server did. A time-out of the connection
// counts as DeadlineExceeded, even if ctx has not ended yet: only ctx's end sets
// a deadline.
func ended(ctx context.Context, err error) error {
	var reply *textproto.Error
	switch {
	case errors.As(err, &reply):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	}
	return nil
}

// maxFromServer is how many bytes are read in one conversation, certificates
// included. The library itself has no limit.
const maxFromServer = 256 << 10

// link is the connection below TLS.
type link struct {
	net.Conn
	left int64
	// failed is true if a write failed, so that not everything was sent.
	failed bool
}

func (l *link) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooMuch
	}
	n, err := l.Conn.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

func (l *link) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	l.failed = l.failed || err != nil
	return n, err
}
