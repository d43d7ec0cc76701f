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

// judge turns a conversation's error into a failure. Of the error itself, only
// numbers are passed on.
func (c *conversation) judge(err error) *notify.Failure {
	f := &notify.Failure{Outcome: otp.OutcomeUnavailable, Next: otp.NextChannel}
	var reply *textproto.Error
	if errors.As(err, &reply) {
		c.judgeReply(f, reply)
		return f
	}
	if detail := setUpFault(c.s.server.security, err); detail != "" {
		f.Outcome, f.Setting, f.Detail = otp.OutcomeMisconfigured, urlVariable, detail
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
	case 5:
		c.judgeRefusal(f, enhanced)
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
func (c *conversation) judgeRefusal(f *notify.Failure, enhanced status) {
	misconfigured := func(variable, detail string) {
		f.Outcome, f.Setting, f.Detail = otp.OutcomeMisconfigured, variable, detail
	}
	switch {
	case c.at == greeting || c.at == hello:
		f.Detail = "the server refuses the connection at the step " + c.at.String()
	case c.at == startingTLS:
		misconfigured(urlVariable, "the server offers STARTTLS, but refuses it")
	case c.at == authenticating:
		misconfigured(urlVariable, "user or password is refused, or the account may not send by SMTP")
	case c.asksForLogin(f.Code, enhanced):
		misconfigured(urlVariable, "the server needs other credentials than those in the URL")
	case c.at == sender || refusesSender(enhanced):
		misconfigured(fromVariable, "the server does not allow this sender address")
	case c.at == recipient && (f.Code == 501 || f.Code >= 550), enhanced.class == 5 && (enhanced.subject == 1 || enhanced.subject == 2):
		f.Outcome, f.Detail = otp.OutcomeUndeliverable, "the address is refused"
	case c.at == recipient:
		f.Detail = "the server does not understand the command at the step recipient"
	default:
		// The recipient was accepted, so the reason is the mail itself. Some
		// providers report an unverified sender only here.
		misconfigured(fromVariable, "the server refuses the mail itself, mostly because the sender or its domain is not verified there, sometimes as spam")
	}
}

// asksForLogin reports whether a refusal is about the user: none is given although
// one is needed, or the user lacks the permission.
func (c *conversation) asksForLogin(code int, enhanced status) bool {
	switch code {
	case 523, 530, 535, 538: // RFC 4954, 6
		return true
	}
	switch enhanced {
	case status{5, 7, 8}, status{5, 7, 9}, status{5, 7, 11}, status{5, 7, 57}: // the last is Exchange's
		return true
	}
	if c.s.credentials != nil {
		return false
	}
	// Without a user, these mean "authenticate first" and "relaying denied".
	return c.at == sender && (code == 502 || code == 503) || c.at == recipient && enhanced.class == 5 && enhanced.subject == 7
}

// refusesSender reports whether an enhanced code blames the sender's address
// or its domain.
func refusesSender(enhanced status) bool {
	switch enhanced {
	case status{5, 1, 7}, status{5, 1, 8}, // the sender's address (RFC 3463)
		status{5, 7, 60}, status{5, 2, 252}, // Exchange: may not send as this sender
		status{5, 7, 20}, status{5, 7, 21}, status{5, 7, 22}, // DKIM (RFC 7372)
		status{5, 7, 23}, status{5, 7, 24}, status{5, 7, 26}, // SPF, or SPF and DKIM
		status{5, 7, 27}: // its domain takes no mail (RFC 7505)
		return true
	}
	return false
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
