// Package email sends one-time codes by e-mail, through the operator's account at
// an SMTP server.
//
// A mail that may have been sent is never sent again automatically. This package
// must never use plain text beyond loopback, accept a certificate for another
// host name, or let text from outside add a header field. It must never put a
// code, an address, a password or the server's words into an error or a log.
package email

import (
	"cmp"
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
	domain      string // from's
	texts       Texts
	// codeInSubject is Options.CodeInSubject.
	codeInSubject bool
	timeout       time.Duration
	log           *slog.Logger
}

var (
	_ notify.Sender            = (*Sender)(nil)
	_ notify.TransactionShower = (*Sender)(nil)
	_ notify.Namer             = (*Sender)(nil)
)

// New returns a Sender, or an error that lists every fault of the options by
// the name of its environment variable. It opens no connection.
func New(o Options) (*Sender, error) {
	faults := o.Faults()
	if o.Texts == nil {
		faults = append(faults, "Options.Texts is not set")
	}
	if o.Timeout < 0 {
		faults = append(faults, "the time-out must not be negative")
	}
	if len(faults) > 0 {
		return nil, errors.New("email: " + strings.Join(faults, "\nemail: "))
	}
	return senderOf(o), nil
}

// senderOf makes a Sender of options without faults.
func senderOf(o Options) *Sender {
	s := &Sender{
		texts:         o.Texts,
		codeInSubject: o.CodeInSubject,
		timeout:       cmp.Or(o.Timeout, defaultTimeout),
		log:           cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
	}
	s.server, s.credentials, _ = parseURL(o.URL)
	s.from, _ = parseFrom(o.From)
	s.domain = strings.ToLower(s.from.Address[strings.LastIndexByte(s.from.Address, '@')+1:])
	if s.server.security != plainText {
		s.tls = &tls.Config{ServerName: s.server.host, RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12}
	}
	return s
}

// Format hides the password from all verbs of fmt.
func (s *Sender) Format(f fmt.State, _ rune) { fmt.Fprint(f, "email.Sender(hidden)") }

// Provider implements notify.Namer.
func (s *Sender) Provider() string { return "smtp" }

// ShowsTransaction implements notify.TransactionShower: a mail always shows amount
// and payee.
func (s *Sender) ShowsTransaction() bool { return true }

// Send implements notify.Sender. It opens one connection for the mail and tries
// once: a person who waits for a code asks again sooner than a queue would.
//
// The connection is not reused for the next mail. A serverless process is frozen
// or killed between requests, so a kept connection would often be found lost only
// at the end of the next mail, when it is unknown whether that mail was sent.
func (s *Sender) Send(ctx context.Context, m notify.Message) error {
	to, f := refuse(m)
	if f != nil {
		return f
	}
	raw, err := s.compose(to, m)
	if err != nil {
		return unavailable("the mail cannot be composed")
	}

	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return unavailable("the time was over before the first step").Wrap(err)
	}
	c := conversation{s: s}
	err = c.run(ctx, to, raw)
	s.log.LogAttrs(ctx, slog.LevelDebug, "email: conversation ended",
		slog.String("at", c.at.String()),
		slog.Bool("accepted", err == nil),
		slog.Int64("ms", time.Since(started).Milliseconds()))
	if err == nil {
		return nil
	}
	return c.judge(err).Wrap(ended(ctx, err))
}

// refuse returns a failure for a message that must not reach a server, otherwise
// the address in the form of [address.Address.Text].
func refuse(m notify.Message) (string, *notify.Failure) {
	to, err := address.ParseEmail(m.To)
	switch {
	case err != nil:
		return "", &notify.Failure{Outcome: otp.OutcomeInvalidAddress, Next: otp.NextChannel, Detail: "the address is not an e-mail address"}
	case !m.Alert && (m.Code == "" || m.ValidFor <= 0):
		return "", unavailable("the code is empty or has expired")
	}
	return to.Text, nil
}

func unavailable(detail string) *notify.Failure {
	return &notify.Failure{Outcome: otp.OutcomeUnavailable, Next: otp.NextChannel, Detail: detail}
}
