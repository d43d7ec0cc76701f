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

// judge says what a conversation's error means. Nothing of the error itself
// goes further, but for numbers.
func (c *conversation) judge(err error) *notify.Failure {
	f := &notify.Failure{Reason: notify.Unavailable, Next: otp.NextChannel}
	var reply *textproto.Error
	if errors.As(err, &reply) {
		c.judgeReply(f, reply)
		return f
	}
	if detail := setUpFault(c.s.server.security, err); detail != "" {
		f.Reason, f.Setting, f.Detail = notify.Misconfigured, urlVariable, detail
		return f
	}
	var dns *net.DNSError
	switch {
	case c.at == dialling && errors.As(err, &dns):
		f.Detail = "the server's name cannot be looked up"
	case c.at == dialling:
		f.Detail = "no connection"
	case c.at == handshaking || c.at == startingTLS:
		f.Detail = "TLS did not come about"
	case c.at == greeting:
		f.Detail = "no greeting (a server that speaks TLS from the start takes smtps://)"
	case c.whole: // what became of it is not known
		f.MayHaveSent, f.Detail = true, "no answer to the mail"
	default:
		f.Detail = "the connection was lost at the step " + c.at.String()
	}
	return f
}

// setUpFault says what a failure without an answer tells of the URL, "" for
// nothing.
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
		return "the server offers no STARTTLS, so nothing was said in plain text (port 465 takes smtps://)"
	case errors.Is(err, errNoAuth):
		return "the server takes no user and password"
	case errors.Is(err, errNoMechanism):
		return "the server knows none of PLAIN, LOGIN and CRAM-MD5 for user and password"
	case errors.As(err, &unknown):
		return "the server's certificate is from an authority that this system does not trust"
	case errors.As(err, &name):
		return "the server's certificate is for another host name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the server's certificate has expired or is not valid yet"
	case errors.As(err, &invalid), errors.As(err, &other):
		return "the server's certificate is not valid"
	case errors.As(err, &noTLS) && security == implicitTLS:
		return "the server does not speak TLS from the start on this port (port 587 takes smtp://)"
	case errors.As(err, &noTLS):
		return "the server does not speak TLS after STARTTLS"
	}
	return ""
}

// judgeReply completes f for an answer of the server.
func (c *conversation) judgeReply(f *notify.Failure, reply *textproto.Error) {
	f.Code = reply.Code
	enhanced := enhancedCode(reply)
	switch reply.Code / 100 {
	case 4:
		f.Detail = "the server does not take it for now at the step " + c.at.String()
	case 5:
		c.judgeRefusal(f, enhanced)
	default:
		// It answered neither yes nor no to the mail.
		f.MayHaveSent = c.at == final
		f.Detail = "an unexpected answer at the step " + c.at.String()
	}
	if enhanced != (status{}) {
		f.Detail += " (" + enhanced.String() + ")"
	}
}

// judgeRefusal completes f for a code of 5xx: a refusal for good, and what was
// refused was not sent.
func (c *conversation) judgeRefusal(f *notify.Failure, enhanced status) {
	misconfigured := func(variable, detail string) {
		f.Reason, f.Setting, f.Detail = notify.Misconfigured, variable, detail
	}
	switch {
	case c.at == greeting || c.at == hello:
		f.Detail = "the server refuses us at its " + c.at.String()
	case c.at == startingTLS:
		misconfigured(urlVariable, "the server offers STARTTLS and refuses it")
	case c.at == authenticating:
		misconfigured(urlVariable, "user or password is refused, or the account may not send by SMTP")
	case c.asksForLogin(f.Code, enhanced):
		misconfigured(urlVariable, "the server wants other credentials than those of the URL")
	case c.at == sender || refusesSender(enhanced):
		misconfigured(fromVariable, "the server does not let us send from this address")
	case c.at == recipient && (f.Code == 501 || f.Code >= 550), enhanced.class == 5 && (enhanced.subject == 1 || enhanced.subject == 2):
		f.Reason, f.Detail = notify.Undeliverable, "the address is refused"
	case c.at == recipient:
		f.Detail = "the server does not understand us at the step recipient"
	default:
		// After the recipient was accepted there is nothing left to dislike but
		// the mail itself. Providers say here that a sender is not verified.
		misconfigured(fromVariable, "the server refuses the mail itself: mostly because the sender or its domain is not verified with it, otherwise as spam")
	}
}

// asksForLogin reports whether a refusal is about who we are: no user where one
// is needed, or one who may not do this.
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
	// Without a user: "authenticate first", and "relaying denied".
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

// status is an enhanced status code (RFC 3463), zero for none.
type status struct{ class, subject, detail int }

// String is the code as servers write it.
func (s status) String() string {
	return strconv.Itoa(s.class) + "." + strconv.Itoa(s.subject) + "." + strconv.Itoa(s.detail)
}

// enhancedCode reads the code that begins an answer (RFC 2034). What is none in
// every respect counts as none: it goes into logs, and must not be able to
// carry a code or a number there.
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
