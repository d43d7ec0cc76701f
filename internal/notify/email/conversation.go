package email

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// step is how far a conversation has come. What an error means depends on it.
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
	final // the dot that ends the mail: from here on it may be on its way
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
	errTooMuch     = errors.New("email: the server talks too much")
)

// conversation is one connection, by which one mail is sent. It uses the
// library's SMTP client step by step and not its DialAndSend, whose errors tell
// a missing STARTTLS, a refused password and a lost connection apart by their
// words only, which holds on to a connection that failed halfway, and which
// makes three further exchanges (NOOP twice, RSET) while a person waits.
type conversation struct {
	s    *Sender
	at   step
	link *link
	// whole is true when the mail was handed over to its last byte.
	whole bool
}

// run sends the mail. Its error is for judge alone: it quotes the server.
func (c *conversation) run(ctx context.Context, to string, raw []byte) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", c.s.server.addr)
	if err != nil {
		return err
	}
	c.link = &link{Conn: conn, left: maxFromServer}
	// Closed without TLS's own farewell, which may wait past ctx.
	defer conn.Close()
	// All waiting ends with ctx. The past is a deadline that is over already.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	client, err := c.introduce(ctx)
	if err != nil {
		return err
	}
	defer func() {
		// Inside the mail a command would end it, and half a mail go out.
		if c.at != content {
			// Politeness is not waited for: no answer could change anything.
			_, _ = client.Text.Cmd("QUIT")
		}
	}()
	if err := c.authenticate(client); err != nil {
		return err
	}
	return c.deliver(client, to, raw)
}

// introduce comes to a conversation that is secret (or on loopback) and greeted.
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
	// The sender's domain, because the machine's own name says nothing to the
	// server and is nobody's business.
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
	// All headers are in ASCII. With the extension a server that lacks it
	// further down the way would have to return the mail.
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
	// Every server on the submission ports has one of these. Under verified TLS
	// none is safer than another.
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
	if err := client.Rcpt("<" + to + ">"); err != nil {
		return err
	}
	c.at = data
	w, err := client.Data()
	if err != nil {
		return err
	}
	c.at = content
	if _, err := w.Write(raw); err != nil {
		return err // w stays open, because closing it would complete half a mail
	}
	c.at = final
	err = w.Close() // tells only of the answer
	c.whole = !c.link.cut
	var reply *textproto.Error
	if errors.As(err, &reply) && reply.Code/100 == 2 {
		return nil // the library expects 250; any 2xx takes the mail (RFC 5321, 4.2.1)
	}
	return err
}

// ended is context.Canceled or context.DeadlineExceeded where that, and no
// answer, ended the conversation. A time-out of the connection counts even where
// ctx does not say so yet: nobody else sets deadlines.
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

// maxFromServer bounds what is read in one conversation, certificates included.
// The library reads answers of any length.
const maxFromServer = 256 << 10

// link is the connection below TLS.
type link struct {
	net.Conn
	left int64
	// cut is true when something that was written did not leave in full.
	cut bool
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
	l.cut = l.cut || err != nil
	return n, err
}
