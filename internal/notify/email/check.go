package email

import (
	"cmp"
	"context"

	"github.com/wneessen/go-mail/smtp"

	"twofa/internal/check"
)

var _ check.Checker = Options{}

// Check implements check.Checker: it begins a conversation as for a mail, up to the
// authentication, and ends it. It names no sender and no recipient.
func (o Options) Check(ctx context.Context) []check.Finding {
	f := check.Finding{Name: "smtp", Result: check.Failed, Setting: urlVariable}
	if len(o.Faults()) > 0 { // config has reported them
		f.Text = "cannot be checked: the settings are at fault"
		return []check.Finding{f}
	}
	c := conversation{s: senderOf(o)}
	err := c.open(ctx, func(*smtp.Client) error { return nil })
	switch {
	case err == nil && c.s.credentials == nil:
		f.Result, f.Text = check.OK, "names a server that answers. It asks for no password, so whether it accepts mails was not checked"
	case err == nil:
		f.Result, f.Text = check.OK, "names a server that accepts the user and the password. The address of TWOFA_EMAIL_FROM was not checked"
	case ended(ctx, err) != nil:
		f.Text = check.NoAnswer(ctx) + " at the step " + c.at.String()
	default:
		failure := c.judge(err)
		f.Setting = cmp.Or(failure.Setting, urlVariable)
		f.Text = "does not work: " + failure.Detail + c.advice(failure.Code)
	}
	return []check.Finding{f}
}

// advice says what to do about a failure whose description does not. code is the server's,
// 0 if it has not answered.
func (c *conversation) advice(code int) string {
	switch {
	case code/100 == 4:
		return ". Try again later"
	case c.at == dialling:
		return ". Check host and port, and whether a firewall lets this machine reach them"
	case c.at == authenticating && code != 0:
		return ". Set them again, percent-encoded"
	case c.at == greeting || c.at == hello:
		return ". Check host and port"
	}
	return ""
}
