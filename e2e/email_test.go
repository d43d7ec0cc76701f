package e2e

import (
	"regexp"
	"strings"
	"testing"

	"twofa/internal/testing/smtptest"
	"twofa/internal/testing/twiliotest"
)

// mailSettings is the settings of a service that sends mails by a test server. The service
// trusts the server's authority as one of the system's certificate pool.
func mailSettings(s *smtptest.Server, channels string) []string {
	return []string{
		"TWOFA_CHANNELS=" + channels, "TWOFA_SMTP_URL=" + s.URL, "TWOFA_EMAIL_FROM=Acme <login@acme.example>",
		"TWOFA_BRAND=Acme", "SSL_CERT_FILE=" + s.RootsFile, noPause,
	}
}

// A code by e-mail, from the start to the approval, over SMTP with TLS, and a code by
// e-mail after WhatsApp has failed.
func TestVerificationByEMail(t *testing.T) {
	rig := newParallelRig(t)
	server := smtptest.Start(t, smtptest.Options{})
	p := rig.process(append(mailSettings(server, "whatsapp,email"), "TWILIO_BASE_URL="+rig.twilio.URL)...)

	started := want(t, p.post("/api/otpsend", fields{"to": "Ann@Example.com", "locale": "fr", "context": fields{"amount": "EUR 25.00", "payee": "Chez <b>Léa</b>"}}), "201")
	wantFields(t, started, fields{"channel": "email", "to": "a******@example.com"})
	mail := server.Mails()[0]
	code := regexp.MustCompile(`(?m)^\d{6}$`).FindString(mail.Text)
	if code == "" || !containsAll(mail.Text, []string{"EUR 25.00", "Chez <b>Léa</b>"}) || !strings.Contains(mail.HTML, "Chez &lt;b&gt;Léa&lt;/b&gt;") || !strings.Contains(mail.HTML, code) {
		t.Errorf("the mail is\n%s\n%s", mail.Text, mail.HTML)
	}
	context := fields{"amount": "EUR 25.00", "payee": "Chez <b>Léa</b>"}
	want(t, p.check(fields{"id": started.text("id"), "code": code}), "422 wrong_code") // R5: without its transaction
	want(t, p.check(fields{"to": "ann@EXAMPLE.com", "code": code, "context": context}), "200")

	number := newNumber()
	rig.twilio.For(number, twiliotest.Refuse(400, 63024))
	want(t, p.do("PUT", "/api/users/ben", "application/json", `{"phone": "`+number+`", "email": "ben@example.com"}`), "201")
	started = want(t, p.post("/api/otpsend", fields{"user": "ben"}), "201")
	if got := attempts(p.status(started.text("id"))); got != "whatsapp failed 63024, email queued" || len(server.Mails()) != 2 {
		t.Errorf("after the refusal: %s, %d mails", got, len(server.Mails()))
	}
	code = regexp.MustCompile(`(?m)^\d{6}$`).FindString(server.Mails()[1].Text)
	want(t, p.check(fields{"user": "ben", "code": code}), "200")
	looked := p.get("/api/users/ben")
	if !strings.Contains(looked.body, `"verified":{"phone":false,"email":true}`) {
		t.Errorf("after a code by mail: %s", looked.body)
	}
}

// If the certificate of the mail server is not trusted, the log tells the operator, and no
// mail is sent to the server.
func TestMailServerCertificateIsChecked(t *testing.T) {
	rig := newParallelRig(t)
	server := smtptest.Start(t, smtptest.Options{})
	p := rig.process(append(mailSettings(server, "email"), "SSL_CERT_FILE=/dev/null")...)
	want(t, p.post("/api/otpsend", fields{"to": "ann@example.com"}), "502 provider_misconfigured")
	waitFor(t, "the log line", func() bool {
		return containsAll(p.stdout.String(), []string{`"level":"ERROR"`, `"setting":"TWOFA_SMTP_URL"`, "certificate", `"provider":"smtp"`})
	})
	if n := len(server.Mails()); n != 0 {
		t.Errorf("%d mails were sent", n)
	}
}
