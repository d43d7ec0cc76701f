package e2e

import (
	"cmp"
	"path/filepath"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/testing/smtptest"
	"twofa/internal/testing/twiliotest"
)

// R27. On its own, with messages on the console: every change of a factor or an
// address of a user is told, once, in the user's language.
func TestR27_ChangesAreToldOnTheConsole(t *testing.T) {
	t.Parallel()
	p := standalone(t, filepath.Join(t.TempDir(), "data"))
	number, path := newNumber(), userPath("zoë")
	put := func(email, status string) {
		t.Helper()
		want(t, p.do("PUT", path, "application/json", `{"phone": "`+number+`", "email": "`+email+`", "locale": "en"}`), status)
	}
	// told waits until the process has printed this notice, the nth of all.
	told := func(n int, over, text string) {
		t.Helper()
		message := "│ To " + number + " over " + over + " (printed only; nothing was sent)\n│\n│ twofa: " + text + " Not you? Contact us at once.\n"
		waitFor(t, "the notice", func() bool { return strings.Contains(p.stdout.String(), message) })
		if got := strings.Count(p.stdout.String(), "Contact us at once."); got != n {
			t.Errorf("%d notices, want %d: %s", got, n, p.stdout)
		}
	}
	put("zoe@example.com", "201")
	started := want(t, p.post("/api/otpsend", fields{"user": "zoë", "channel": "sms"}), "201")
	want(t, p.check(fields{"id": started.text("id"), "code": p.printed(1)}), "200") // proves the number

	enroll(t, p.client, "zoë")
	told(1, "sms", "an authenticator app was added to your account.")
	codes := recoveryCodes(t, p.client, "zoë")
	told(2, "sms", "new recovery codes were created for your account.")
	put("zoe@example.org", "200")
	told(3, "sms", "the contact details of your account (phone or e-mail) were changed.")
	want(t, p.do("DELETE", path+"/totp", "", ""), "204")
	told(4, "sms", "an authenticator app was removed from your account.")
	for _, secret := range append(codes, "http", "zoë") {
		for _, line := range strings.Split(p.stdout.String(), "\n") {
			if strings.Contains(line, "Contact us at once.") && strings.Contains(line, secret) {
				t.Errorf("a notice holds %q: %s", secret, line)
			}
		}
	}
}

// R27. A change of an address, as a mail and over each channel to a number. An SMS is
// preferred to WhatsApp, because it says what has changed.
func TestR27_ChangesAreToldByMailAndToTheNumber(t *testing.T) {
	rig := newParallelRig(t)
	server := smtptest.Start(t, smtptest.Options{})
	const words = "Acme: Die Kontaktdaten Ihres Kontos (Telefon oder E-Mail) wurden geändert. Waren Sie das nicht? Kontaktieren Sie uns bitte sofort."
	for name, tc := range map[string]struct {
		settings []string
		want     func(m twiliotest.Message) bool
	}{
		"SMS": {[]string{"TWILIO_SMS_FROM=" + twiliotest.SMSFrom}, func(m twiliotest.Message) bool {
			return m.Channel == channel.SMS && m.Body == words
		}},
		"SMS, whatever the templates": {[]string{"TWILIO_SMS_FROM=" + twiliotest.SMSFrom, "TWILIO_ALERT_CONTENT_SID=" + twiliotest.AlertContentSID}, func(m twiliotest.Message) bool {
			return m.Channel == channel.SMS && m.Body == words
		}},
		"WhatsApp, with the template": {[]string{"TWILIO_ALERT_CONTENT_SID=" + twiliotest.AlertContentSID}, func(m twiliotest.Message) bool {
			return m.Channel == channel.WhatsApp && m.ContentSID == twiliotest.AlertContentSID && m.Body == "" && len(m.Variables) == 1 && m.Variables["1"] == "Acme"
		}},
		"WhatsApp, without a template": {[]string{"TWILIO_CONTENT_SID=" + twiliotest.ContentSID}, func(m twiliotest.Message) bool {
			return m.Channel == channel.WhatsApp && m.ContentSID == "" && m.Body == words
		}},
		"a call": {[]string{"TWOFA_CHANNELS=call,email", "TWILIO_WHATSAPP_FROM=", "TWILIO_VOICE_FROM=" + twiliotest.VoiceFrom}, func(m twiliotest.Message) bool {
			return m.Channel == channel.Call && m.Spoken() == words && strings.Contains(m.Twiml, `language="de-DE"`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := rig.process(append(mailSettings(server, "whatsapp,email"), append(tc.settings, "TWILIO_BASE_URL="+rig.twilio.URL)...)...)
			number := newNumber()
			user, before := "u"+number[1:], "u"+number[1:]+"@example.com"
			path := userPath(user)
			want(t, p.do("PUT", path, "application/json", `{"phone": "`+number+`", "email": "`+before+`", "locale": "de"}`), "201")
			mails := func() (list []smtptest.Mail) {
				for _, m := range server.Mails() {
					if m.To == before {
						list = append(list, m)
					}
				}
				return list
			}
			// Prove both addresses.
			started := want(t, p.post("/api/otpsend", fields{"user": user, "channel": "email"}), "201")
			want(t, p.check(fields{"id": started.text("id"), "code": rig.codeIn(mails()[0].Text)}), "200")
			started = want(t, p.post("/api/otpsend", fields{"user": user}), "201")
			m := rig.sent(number)[0]
			code := rig.codeIn(cmp.Or(m.Variables["1"], m.Body, m.Spoken()))
			want(t, p.check(fields{"id": started.text("id"), "code": code}), "200")

			changed := want(t, p.do("PUT", path, "application/json", `{"phone": "`+number+`", "email": "new-`+before+`", "locale": "de"}`), "200")
			wantFields(t, changed, fields{"notified": true})
			if m := rig.sent(number); len(m) != 2 || !tc.want(m[1]) {
				t.Errorf("to the number: %+v", m)
			}
			if m := mails(); len(m) != 2 || m[1].Subject != "Acme: Sicherheitshinweis" || m[1].Text != words+"\n" ||
				!strings.Contains(m[1].HTML, ">"+words+"</p>") || strings.Contains(m[1].Raw, "href") {
				t.Errorf("mails: %+v", m)
			}
		})
	}
	for _, m := range server.Mails() {
		if strings.HasPrefix(m.To, "new-") {
			t.Errorf("the new address was told: %s", m.Subject)
		}
	}
}
