package oidc_test

import (
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
)

// A thief who signs in to his own account gets nothing of another one, whose stale number he proves in the same
// session.
func TestAttack31_AnotherAccountInOneSignIn(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	anna := s.person().authorize("own").proves(annasNumber)
	s.Advance(time.Minute)
	anna.open("/oidc/account").post("email").proves(annasMail)
	s.Advance(91 * 24 * time.Hour) // her number has another owner now
	s.give(stranger)
	thief := s.person().authorize("web").proves(stranger).sees("would like to know")
	path, allow := thief.form("allow")
	thief.open("/oidc/signin/address?t=" + allow.Get("t")).proves(annasNumber).sees("One more step")
	thief.do(thief.posted(path, allow))
	if thief.app != nil {
		t.Fatal("a second factor was not asked for")
	}
}

// Attack 41. What a browser shows does not outlive what it was shown to: a consent after a sign-out, a code that is
// typed again on a device that other people use.
func TestAttack41_PagesOfThePast(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	open := s.person().authorize("web").proves(annasNumber)
	s.Advance(time.Minute)
	s.person().authorize("own").proves(annasNumber).open("/oidc/account").post("everywhere")
	if open.post("allow"); open.app != nil {
		t.Error("a consent counts after the person has signed out everywhere")
	}
	s.Advance(25 * time.Hour)
	shared := s.person().authorize("own").post("send", "address", annasNumber)
	path, code := shared.form("code")
	code.Set("code", s.codeTo(annasNumber))
	code.Set("shared", "yes")
	shared.do(shared.posted(path, code)).back()
	code.Set("code", "000000")
	if shared.do(shared.posted(path, code)); shared.app != nil {
		t.Error("who goes back on a shared device is signed in")
	}
	if shared.open("/oidc/account").status != 403 {
		t.Error("a shared device has a session")
	}
}

// Without sessions, one sign-in gives one code, after the consent.
func TestSignIn_WithoutSessions(t *testing.T) {
	t.Parallel()
	s := newService(t, func(settings *config.Settings) { settings.SignIn.Session = 0 })
	s.give(annasNumber)
	p := s.person().authorize("web").proves(annasNumber)
	path, allow := p.form("allow")
	p.post("allow").back()
	if p.do(p.posted(path, allow)); p.app != nil {
		t.Error("a second code")
	}
	p.authorize("web").sees("Sign in")
	if p.open("/oidc/account?client_id=web").status != 403 {
		t.Error("there are no sessions, but an account page")
	}
}

// R29. A test number is neither a way in nor a claim.
func TestR29_TestNumbers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.TestNumbers(otp.TestNumbers{Scenarios: map[string]otp.Scenario{stranger: {Ending: otp.EndsDelivered, Code: "424242"}}, Until: fixture.Noon.Add(time.Hour)})
	s.give(annasNumber, annasMail)
	anna := s.person().authorize("own").proves(annasMail)
	s.Advance(time.Minute)
	anna.open("/oidc/account").post("phone").post("send", "address", stranger).post("code", "code", "424242")
	if s.account(annasMail).Account.Phone() != "" {
		t.Error("a test number is an address of an account")
	}
	s.give(stranger)
	p := s.person().authorize("own").post("send", "address", stranger).post("code", "code", "424242")
	if p.app != nil {
		t.Error("a test number signs in")
	}
}

// Nobody learns from a message that failed later, and was followed by another one, that there was one.
func TestR23_FailureThatIsReportedLater(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	var texts []string
	for _, number := range []string{annasNumber, stranger} {
		p := s.person().authorize("web").post("send", "address", number)
		if m := s.Sender(channel.WhatsApp).Last(); number == annasNumber {
			s.MustReport(otp.ID(m.Verification), m.Attempt, otp.Failed, &notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 63024})
			if s.Sender(channel.SMS).Last().To != annasNumber {
				t.Error("no message follows")
			}
		}
		s.Advance(time.Minute)
		p.post("help").post("resend")
		texts = append(texts, p.text()[len("Enter the code – Acme A Acme Enter the code If +49******4567"):])
	}
	if texts[0] != texts[1] {
		t.Errorf("known: %s\nunknown: %s", texts[0], texts[1])
	}
}
