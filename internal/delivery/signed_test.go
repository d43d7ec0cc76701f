package delivery_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/notify/twilio"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/testing/twiliotest"
	"twofa/otpsend"
)

const ourURL = "https://twofa.example"

// signed is a rig that reads Twilio's signed requests.
type signed struct {
	*rig.Rig
	double *twiliotest.Double
}

func newSigned(t *testing.T) *signed {
	t.Helper()
	double := twiliotest.New(twiliotest.Account{})
	t.Cleanup(double.Close)
	webhooks, err := twilio.NewWebhooks(twilio.Options{
		AccountSID: twiliotest.AccountSID, AuthToken: twiliotest.AuthToken, PublicURL: ourURL,
		WhatsAppFrom: twiliotest.WhatsAppFrom, SMSFrom: twiliotest.SMSFrom, MessagingServiceSID: twiliotest.MessagingServiceSID,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := rig.With(t, func(_ *config.Settings, p *app.Parts) { p.Providers[channel.Twilio] = webhooks })
	r.Policy(func(p *otp.Policy) { p.ResendAfter = 0 })
	return &signed{r, double}
}

// post hands over a signed message with some parameters changed: alternately names and
// values. It returns the TwiML.
func (s *signed) post(from, body string, changes ...string) string {
	s.TB.Helper()
	s.Secret("a person's text", body)
	s.Secret("a sender", from)
	to := twiliotest.SMSFrom
	switch {
	case strings.HasPrefix(from, "whatsapp:"):
		to = "whatsapp:" + twiliotest.WhatsAppFrom
	case strings.HasPrefix(from, "rcs:"):
		to = "rcs:acme_xyz_agent"
	}
	form := s.double.InboundForm(from, to, body, "")
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}
	return s.send(form)
}

func (s *signed) send(form url.Values) string {
	s.TB.Helper()
	req := httptest.NewRequest("POST", ourURL+twiliotest.InboundPath, strings.NewReader(form.Encode())).WithContext(s.Ctx())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Twilio-Signature", s.double.Sign(ourURL+twiliotest.InboundPath, form))
	reply, err := s.API.Hooks.Inbound(channel.Twilio, req)
	if err != nil {
		s.TB.Fatalf("%s: %v", form.Get("From"), err)
	}
	return string(reply.Body)
}

// R20. A signed NO and a signed text reach what is pending at the number, in whatever
// spelling and over whatever channel the provider reports the sender.
func TestR20_SignedMessagesOfAnotherSpelling(t *testing.T) {
	t.Parallel()
	for _, tc := range spellings {
		for _, prefix := range []string{"whatsapp:", "rcs:", ""} {
			t.Run(tc.name+" "+prefix, func(t *testing.T) {
				t.Parallel()
				s := newSigned(t)
				id := s.MustStart(otpsend.Request{To: tc.known}).ID
				code := s.Code(id)
				if twiml := s.post(prefix+tc.reported, "NO"); !strings.Contains(twiml, "<Message>Acme: ") {
					t.Errorf("a denial: %s", twiml)
				}
				s.RefuseCheck(rig.ByID(id, code), problem.Denied)
				id, text := s.StartInbound(otpsend.Request{To: tc.known})
				if twiml := s.post(prefix+tc.reported, text); !strings.Contains(twiml, "<Message>Acme: ") {
					t.Errorf("an approval: %s", twiml)
				}
				wantStatus(s.Rig, id, otp.Approved)
			})
		}
	}
}

// Senders that are no number get an answer without an error, and change nothing.
func TestSignedMessagesFromSendersWithoutANumber(t *testing.T) {
	t.Parallel()
	s := newSigned(t)
	id, text := s.StartInbound(otpsend.Request{To: alice})
	for from, replies := range map[string]bool{
		"12345": false, "Amazon": false, "44": false, "messenger:1234567890": false, "rcs:acme_agent_x": false,
		"whatsapp:US.13491208655302741918": true, "whatsapp:IN.13491208655302741918": true, "whatsapp:alice.example": true,
	} {
		for _, said := range []string{text, "NO", "STOP"} {
			if twiml := s.post(from, said); strings.Contains(twiml, "<Message>") != replies || !strings.Contains(twiml, "<Response") {
				t.Errorf("%s: %q is answered %s", from, said, twiml)
			}
		}
	}
	wantStatus(s.Rig, id, otp.Pending)
}

// Twilio's OptOutType decides before the words, and Twilio has answered.
func TestSignedOptOuts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind, body string
		status     otp.Status
	}{
		{"STOP", "STOP", otp.Denied}, {"STOP", "Arrêter tout", otp.Denied}, {"STOP", "zzz", otp.Denied}, {"STOP", "TEXT", otp.Denied}, {"STOP", "", otp.Denied},
		{"HELP", "HELP", otp.Pending}, {"HELP", "TEXT", otp.Pending}, {"START", "START", otp.Pending}, {"START", "UNSTOP", otp.Pending}, {"HELP", "INFO", otp.Pending},
	} {
		for _, from := range []string{alice, "whatsapp:" + alice, "rcs:" + alice} {
			s := newSigned(t)
			id, text := s.StartInbound(otpsend.Request{To: alice})
			body := strings.ReplaceAll(tc.body, "TEXT", text)
			if twiml := s.post(from, body, "OptOutType", tc.kind); strings.Contains(twiml, "<Message>") {
				t.Errorf("%s %q: a second answer: %s", tc.kind, tc.body, twiml)
			}
			wantStatus(s.Rig, id, tc.status)
		}
	}
}
