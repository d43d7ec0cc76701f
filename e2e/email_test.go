package e2e

import (
	"regexp"
	"strings"
	"testing"

	"twofa/internal/testing/smtptest"
	"twofa/internal/testing/twiliotest"
)

// mailing is the settings of a service that mails through a server, whose
// authority it trusts as it would any other: by the system's pool.
func mailing(s *smtptest.Server, channels string) []string {
	return []string{
		"TWOFA_CHANNELS=" + channels, "TWOFA_SMTP_URL=" + s.URL, "TWOFA_EMAIL_FROM=Acme <login@acme.example>",
		"TWOFA_BRAND=Acme", "SSL_CERT_FILE=" + s.RootsFile, noPause,
	}
}

// A code by e-mail, from the start to the approval, through a real server with
// TLS; and one after a fallback from a number.
func TestStoryByEMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := smtptest.Start(t, smtptest.Options{})
	p := w.process(append(mailing(server, "whatsapp,email"), "TWILIO_BASE_URL="+w.twilio.URL)...)

	started := p.post("/api/otpsend", fields{"to": "Ann@Example.com", "locale": "fr", "context": fields{"amount": "EUR 25.00", "payee": "Chez <b>Léa</b>"}})
	want(t, started, "201")
	if started.text("channel") != "email" || started.text("to") != "a******@example.com" {
		t.Errorf("started %s", started.body)
	}
	mail := server.Mails()[0]
	code := regexp.MustCompile(`(?m)^\d{6}$`).FindString(mail.Text)
	if code == "" || !containsAll(mail.Text, []string{"EUR 25.00", "Chez <b>Léa</b>"}) || !strings.Contains(mail.HTML, "Chez &lt;b&gt;Léa&lt;/b&gt;") || !strings.Contains(mail.HTML, code) {
		t.Errorf("the mail says\n%s\n%s", mail.Text, mail.HTML)
	}
	context := fields{"amount": "EUR 25.00", "payee": "Chez <b>Léa</b>"}
	want(t, p.check(fields{"id": started.text("id"), "code": code}), "422 wrong_code") // R5: without its context
	want(t, p.check(fields{"to": "ann@EXAMPLE.com", "code": code, "context": context}), "200")

	number := newNumber()
	w.twilio.For(number, twiliotest.Refuse(400, 63024))
	want(t, p.do("PUT", "/api/users/ben", "application/json", `{"phone": "`+number+`", "email": "ben@example.com"}`), "201")
	started = p.post("/api/otpsend", fields{"user": "ben"})
	want(t, started, "201")
	if got := attempts(p.status(started.text("id"))); got != "whatsapp failed 63024, email queued" || len(server.Mails()) != 2 {
		t.Errorf("after the refusal: %s, %d mails", got, len(server.Mails()))
	}
	code = regexp.MustCompile(`(?m)^\d{6}$`).FindString(server.Mails()[1].Text)
	want(t, p.check(fields{"user": "ben", "code": code}), "200")
	looked := p.do("GET", "/api/users/ben", "", "")
	if !strings.Contains(looked.body, `"verified":{"phone":false,"email":true}`) {
		t.Errorf("the code came by mail, and %s", looked.body)
	}
}

// What is wrong with the server's certificate is told to the operator, and no
// mail goes to whoever has it.
func TestMailServersCertificateIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := smtptest.Start(t, smtptest.Options{})
	p := w.process(append(mailing(server, "email"), "SSL_CERT_FILE=/dev/null")...)
	want(t, p.post("/api/otpsend", fields{"to": "ann@example.com"}), "502 provider_misconfigured")
	waitFor(t, "the line", func() bool {
		return containsAll(p.stdout.String(), []string{`"level":"ERROR"`, `"setting":"TWOFA_SMTP_URL"`, "certificate"})
	})
	if n := len(server.Mails()); n != 0 {
		t.Errorf("%d mails were sent", n)
	}
}
