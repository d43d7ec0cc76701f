// Package email sends one-time codes as mails, through an SMTP server that the
// operator has an account with.
//
// A mail that may have gone out is never sent again by itself. This package
// must never speak in plain text beyond loopback, accept a certificate that the
// server's name does not match, let anything from outside into a header, or let
// a code, an address, a password or the server's words into an error or a log.
package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"strings"
	"time"

	"twofa/internal/address"
	"twofa/internal/notify"
	"twofa/internal/otp"
)

// Sender sends mails. It is safe for concurrent use. Use New.
type Sender struct {
	server      server
	credentials *credentials // nil: without authentication
	tls         *tls.Config  // nil: without TLS
	from        mail.Address
	domain      string // of from
	texts       Texts
	timeout     time.Duration
	log         *slog.Logger
}

var (
	_ notify.Sender        = (*Sender)(nil)
	_ notify.ContextShower = (*Sender)(nil)
)

// New returns a Sender, or an error that lists every fault of the options by
// the name of its environment variable. It connects to nothing.
func New(o Options) (*Sender, error) {
	faults := o.Faults()
	if o.Texts == nil {
		faults = append(faults, "there are no texts")
	}
	if o.Timeout < 0 {
		faults = append(faults, "the time-out must not be negative")
	}
	if len(faults) > 0 {
		return nil, errors.New("email: " + strings.Join(faults, "\nemail: "))
	}
	s := &Sender{texts: o.Texts, timeout: o.Timeout, log: o.Logger}
	s.server, s.credentials, _ = parseURL(o.URL)
	s.from, _ = parseFrom(o.From)
	s.domain = strings.ToLower(s.from.Address[strings.LastIndexByte(s.from.Address, '@')+1:])
	if s.server.security != plainText {
		s.tls = &tls.Config{ServerName: s.server.host, RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12}
	}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

// Format hides the password whatever verb prints a Sender.
func (s *Sender) Format(f fmt.State, _ rune) { fmt.Fprint(f, "email.Sender(hidden)") }

// ShowsContext reports that amount and payee reach the person.
func (s *Sender) ShowsContext() bool { return true }

// Send implements notify.Sender. It opens one connection for the mail and makes
// one try: a person who waits for a code asks again sooner than a queue would.
//
// The connection is not kept for the next mail. A serverless process is frozen
// or killed between two requests, so that a kept one would mostly turn out dead
// when the next person waits, at the very step where it is no longer known
// whether a mail went out.
func (s *Sender) Send(ctx context.Context, m notify.Message) error {
	to, f := refuse(m)
	if f != nil {
		return f
	}
	raw, err := s.compose(to, m)
	if err != nil {
		return &notify.Failure{Reason: notify.Unavailable, Next: otp.NextChannel, Detail: "the mail cannot be written"}
	}

	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return failed(&notify.Failure{Reason: notify.Unavailable, Next: otp.NextChannel, Detail: "the time was over before the first step"}, err)
	}
	c := conversation{s: s}
	err = c.run(ctx, to, raw)
	s.log.LogAttrs(ctx, slog.LevelDebug, "email: conversation over",
		slog.String("at", c.at.String()),
		slog.Bool("accepted", err == nil),
		slog.Int64("ms", time.Since(started).Milliseconds()))
	if err == nil {
		return nil
	}
	return failed(c.judge(err), ended(ctx, err))
}

// refuse catches what must not reach a server, and returns the address in its
// one form.
func refuse(m notify.Message) (string, *notify.Failure) {
	to, err := address.ParseEmail(m.To)
	switch {
	case err != nil:
		return "", &notify.Failure{Reason: notify.InvalidAddress, Next: otp.NextChannel, Detail: "the address is no e-mail address"}
	case !m.Alert && (m.Code == "" || m.ValidFor <= 0):
		return "", &notify.Failure{Reason: notify.Unavailable, Next: otp.NextChannel, Detail: "there is no code that still works"}
	}
	return to.Text, nil
}

// failed is f, which also is the context's error that ended the work, if any.
func failed(f *notify.Failure, ended error) error {
	if ended == nil {
		return f
	}
	return fmt.Errorf("%w (%w)", f, ended)
}
