package email

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/textproto"
	"strconv"
	"strings"

	"twofa/internal/notify"
	"twofa/internal/otp"
)

// judge turns a conversation's error into a failure. The words of an answer help to
// choose the failure, but only numbers are passed on.
func (c *conversation) judge(err error) *notify.Failure {
	f := &notify.Failure{Outcome: otp.OutcomeUnavailable, Next: otp.NextChannel}
	var reply *textproto.Error
	if errors.As(err, &reply) {
		c.judgeReply(f, reply)
		return f
	}
	if detail := setUpFault(c.s.server.security, err); detail != "" {
		misconfigured(f, urlVariable, detail)
		return f
	}
	var dns *net.DNSError
	switch {
	case c.at == dialling && errors.As(err, &dns):
		f.Detail = "the server's name cannot be looked up"
	case c.at == dialling:
		f.Detail = "no connection"
	case c.at == handshaking || c.at == startingTLS:
		f.Detail = "the TLS handshake failed"
	case c.at == greeting:
		f.Detail = "no greeting (for a server with implicit TLS use smtps://)"
	case c.whole: // it is unknown whether the server has accepted the mail
		f.MayHaveSent, f.Detail = true, "no answer to the mail"
	default:
		f.Detail = "the connection was lost at the step " + c.at.String()
	}
	return f
}

// setUpFault describes the mistake in the URL that an error without an answer
// shows. Empty: none.
func setUpFault(security security, err error) string {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		other   *tls.CertificateVerificationError
		noTLS   tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, errNoSTARTTLS):
		return "the server offers no STARTTLS, and plain text is not allowed (for port 465 use smtps://)"
	case errors.Is(err, errNoAuth):
		return "the server offers no authentication"
	case errors.Is(err, errNoMechanism):
		return "the server offers none of the mechanisms PLAIN, LOGIN and CRAM-MD5"
	case errors.As(err, &unknown):
		return "the server's certificate is from an authority that this system does not trust"
	case errors.As(err, &name):
		return "the server's certificate is for another host name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the server's certificate has expired or is not valid yet"
	case errors.As(err, &invalid), errors.As(err, &other):
		return "the server's certificate is not valid"
	case errors.As(err, &noTLS) && security == implicitTLS:
		return "the server has no implicit TLS on this port (for port 587 use smtp://)"
	case errors.As(err, &noTLS):
		return "the server does not speak TLS after STARTTLS"
	}
	return ""
}

// judgeReply completes f for an error answer of the server.
func (c *conversation) judgeReply(f *notify.Failure, reply *textproto.Error) {
	f.Code = reply.Code
	enhanced := enhancedCode(reply)
	switch reply.Code / 100 {
	case 4:
		f.Detail = "the server refuses temporarily at the step " + c.at.String()
		// Postfix refuses to relay with 454 by default, which no repetition changes.
		if c.at >= sender && ofWords(reply.Msg) == loginNeeded {
			c.blame(f, loginNeeded)
		}
	case 5:
		c.judgeRefusal(f, reply, enhanced)
	default:
		// The server has neither accepted nor refused the mail.
		f.MayHaveSent = c.at == final
		f.Detail = "an unexpected answer at the step " + c.at.String()
	}
	if enhanced != (status{}) {
		f.Detail += " (" + enhanced.String() + ")"
	}
}

// judgeRefusal completes f for a code of 5xx: a permanent refusal. A refused mail
// was not sent.
func (c *conversation) judgeRefusal(f *notify.Failure, reply *textproto.Error, enhanced status) {
	switch c.at {
	case greeting, hello:
		f.Detail = "the server refuses the connection at the step " + c.at.String()
	case startingTLS:
		misconfigured(f, urlVariable, "the server offers STARTTLS, but refuses it")
	case authenticating:
		misconfigured(f, urlVariable, "user or password is refused, or the account may not send by SMTP")
	default:
		c.blame(f, c.reasonOf(reply, enhanced))
	}
}

// reasonOf returns the reason of a refusal: what the codes say, else what the words say,
// else what the step suggests.
func (c *conversation) reasonOf(reply *textproto.Error, enhanced status) reason {
	switch reply.Code {
	case 523, 530, 535, 538: // RFC 4954, 6
		return loginNeeded
	}
	r := ofStatus(enhanced)
	if r == unknownReason {
		r = ofWords(reply.Msg)
	}
	if r == unknownReason && c.s.credentials == nil &&
		(c.at == sender && (reply.Code == 502 || reply.Code == 503) || c.at == recipient && enhanced.class == 5 && enhanced.subject == 7) {
		return loginNeeded // without a user, these mean "authenticate first" and "relaying denied"
	}
	switch {
	case c.at == sender && r != loginNeeded && r != machineBlocked && r != limitReached:
		return senderRefused // also if the words name a mailbox: it is the sender's
	case r != unknownReason:
		return r
	case reply.Code == 552 && enhanced == (status{}): // RFC 5321, 4.2.2
		return mailboxFull
	case enhanced.class == 5 && (enhanced.subject == 1 || enhanced.subject == 2), c.at == recipient && (reply.Code == 501 || reply.Code >= 550):
		return mailboxClosed
	}
	return unknownReason
}

// blame completes f for a reason.
func (c *conversation) blame(f *notify.Failure, r reason) {
	switch {
	case r == loginNeeded:
		misconfigured(f, urlVariable, "the server needs other credentials than those in the URL")
	case r == machineBlocked:
		misconfigured(f, urlVariable, "the server blocks the network address of this machine")
	case r == limitReached:
		f.Detail = "the account may not send more mails for some time"
	case r == senderRefused:
		misconfigured(f, fromVariable, "the server does not allow this sender address")
	case r == mailboxFull:
		f.Outcome, f.Detail = otp.OutcomeUndeliverable, "the mailbox is full"
	case r == mailboxClosed:
		f.Outcome, f.Detail = otp.OutcomeUndeliverable, "the address is refused"
	case r == mailboxUnknown:
		f.Outcome, f.Detail = otp.OutcomeUndeliverable, "there is no such mailbox"
	case c.at == recipient && r == unknownReason:
		f.Detail = "the server does not understand the command at the step recipient"
	default:
		// The recipient was accepted, so the reason is the mail itself. Some
		// providers report an unverified sender only here.
		misconfigured(f, fromVariable, "the server refuses the mail itself, mostly because the sender or its domain is not verified there, sometimes as spam")
	}
}

func misconfigured(f *notify.Failure, variable, detail string) {
	f.Outcome, f.Setting, f.Detail = otp.OutcomeMisconfigured, variable, detail
}

// status is an enhanced status code (RFC 3463). Zero: none.
type status struct{ class, subject, detail int }

// String returns the code in the form in which servers write it.
func (s status) String() string {
	return strconv.Itoa(s.class) + "." + strconv.Itoa(s.subject) + "." + strconv.Itoa(s.detail)
}

// enhancedCode reads the enhanced code at the beginning of an answer (RFC 2034). It
// returns the zero status unless the code is valid in every respect: the code is
// logged, so it must not be able to carry a one-time code or a phone number.
func enhancedCode(reply *textproto.Error) status {
	first, _, _ := strings.Cut(reply.Msg, " ")
	parts := strings.Split(first, ".")
	if len(parts) != 3 {
		return status{}
	}
	var n [3]int
	for i, most := range [3]uint64{5, 7, 999} {
		v, err := strconv.ParseUint(parts[i], 10, 16)
		if err != nil || v > most || strconv.FormatUint(v, 10) != parts[i] {
			return status{}
		}
		n[i] = int(v)
	}
	if n[0] != reply.Code/100 {
		return status{}
	}
	return status{n[0], n[1], n[2]}
}
