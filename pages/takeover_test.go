package pages_test

import (
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
)

// Storage fails at each step of the first form of a session, or another browser acts between
// two steps. It never gets what the person approves: it does not know the code.
func TestR25_R16_AnotherBrowserNeverTakesAnApproval(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 6; at++ {
		for _, fault := range []rig.Fault{rig.None, rig.Down, rig.Lost} {
			s := newSite(t)
			began := s.begin(otpsend.Request{To: fixture.Alice})
			victim, thief := s.visitor().open(began.PageURL), s.visitor().open(began.PageURL)
			help, guess := thief.form("help"), thief.form("code")
			guess.Set("code", s.wrong())
			code, calls, acting := s.code(channel.WhatsApp), 0, false
			s.Table.Before(func(rig.Call) error {
				if calls++; calls == at && fault == rig.None && !acting {
					acting = true
					thief.submit("help", help)
					thief.submit("code", guess)
				}
				return nil
			})
			n := 0
			s.Table.Break(func(int) rig.Fault {
				if n++; n == at {
					return fault
				}
				return rig.None
			})
			victim.post("code", "code", code)
			s.Table.Break(nil)
			s.Table.Before(nil)
			for range 2 {
				if thief.send("code", guess); strings.Contains(thief.text(), "You're verified") {
					t.Errorf("fault %v at %d: another browser is approved", fault, at)
				}
			}
		}
	}
}

// An approval that was lost can be had again for ten minutes, by the same browser.
func TestCheck_ALostApprovalEnds(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]string{10*time.Minute - time.Second: "You're verified", 10 * time.Minute: "The code has expired."} {
		s := newSite(t)
		v := s.visitor().open(s.begin(otpsend.Request{To: fixture.Alice}).PageURL)
		form := v.form("code")
		form.Set("code", s.code(channel.WhatsApp))
		n := 0
		s.Table.Break(func(int) rig.Fault {
			if n++; n > 3 { // the session is bound, and the code is used
				return rig.Down
			}
			return rig.None
		})
		v.send("code", form).sees("Something went wrong on our side.")
		s.Table.Break(nil)
		s.Advance(after)
		v.send("code", form).sees(want)
	}
}

// A start that was refused leaves the code that the session has, and is no address tried.
func TestCheck_ARefusedStartKeepsTheCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
	form := v.form("send")
	v.post("send", "address", fixture.Alice).sees("Check WhatsApp")
	main := v.page.address
	for n := range 5 {
		form.Set("once", strings.Repeat(string(rune('a'+n)), 26))
		form.Set("address", fixture.Alice)
		v.send("send", form).sees("before you send it again.")
	}
	v.open(main)
	v.approve(channel.WhatsApp)
}

// The code goes over channels that the app allowed for the session, and a call follows only a
// message that failed.
func TestCheck_ChannelsOfTheSession(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor()
	for _, asked := range []string{"sms", "call", "next", "email", "pigeon"} {
		v.open(s.begin(otpsend.Request{To: fixture.Alice, Channel: channel.WhatsApp}).PageURL)
		s.Advance(time.Minute)
		v.post("help")
		form := v.form("resend")
		form.Set("channel", asked)
		v.send("resend", form)
		s.Advance(11 * time.Minute)
	}
	for _, c := range []channel.Channel{channel.SMS, channel.Call, channel.Email} {
		if got := len(s.Sender(c).Sent()); got != 0 {
			t.Errorf("%d messages over %s", got, c)
		}
	}
	s.Advance(20 * time.Minute)
	v.open(s.begin(otpsend.Request{To: fixture.Bob, Channels: []channel.Channel{channel.SMS}, Purpose: "x"}).PageURL)
	s.Advance(11 * time.Minute)
	v.open(v.page.address).post("new").sees("Check your text messages")
}

// knownBrowser is a browser in which Alice's number was proven.
func (s *site) knownBrowser() *visitor {
	s.TB.Helper()
	v := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
	v.post("send", "address", fixture.Alice)
	v.approve(channel.WhatsApp)
	s.Advance(time.Minute)
	return v
}

// Wrong codes count for the browser with which the check began, also if its cookie is left out
// later; and a new proof makes it known again.
func TestKnownBrowser_FiveWrongCodesWithoutTheCookie(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.knownBrowser()
	v.open(s.begin(otpsend.Request{}).PageURL).post("send", "address", fixture.Alice)
	bare := s.visitor()
	for _, c := range v.cookies() {
		if c.Name != "twofa-known" {
			bare.give(c)
		}
	}
	bare.open(v.page.address)
	for range 5 {
		bare.post("code", "code", s.wrong())
	}
	s.Advance(25 * time.Hour)
	known := len(s.Logged("origin=known", "operation=page.start"))
	v.open(s.begin(otpsend.Request{}).PageURL).post("send", "address", fixture.Alice).sees("Check WhatsApp")
	if got := len(s.Logged("origin=known", "operation=page.start")); got != known {
		t.Error("the browser is known after five wrong codes")
	}
	v.approve(channel.WhatsApp)
	s.Advance(time.Minute)
	v.open(s.begin(otpsend.Request{}).PageURL).post("send", "address", fixture.Alice).sees("Check WhatsApp")
	if got := len(s.Logged("origin=known", "operation=page.start")); got != known+1 {
		t.Error("the browser is not known after a new proof")
	}
}

// What strangers use up of all typed addresses does not stop a known browser, whose messages
// do not count there.
func TestKnownBrowser_IsBesideTheAnonymousLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *config.Settings) { c.Limits.AnonymousPerDay = 2 })
	v := s.knownBrowser()
	s.visitor().open(s.begin(otpsend.Request{}).PageURL).post("send", "address", fixture.Bob).sees("Check WhatsApp")
	s.visitor().open(s.begin(otpsend.Request{}).PageURL).post("send", "address", "+14155550199").sees("Too many messages")
	v.open(s.begin(otpsend.Request{}).PageURL).post("send", "address", fixture.Alice).sees("Check WhatsApp")
	s.Advance(time.Minute)
	v.post("help").post("resend").sees("We sent the code again.")
}

// An outage at a page is an error in the log, although the answer is a redirect.
func TestCheck_OutagesAreErrorsInTheLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
	s.Sender(channel.WhatsApp).Always(&notify.Failure{Outcome: otp.OutcomeMisconfigured})
	s.Sender(channel.SMS).Always(&notify.Failure{Outcome: otp.OutcomeMisconfigured})
	s.Sender(channel.Call).Always(&notify.Failure{Outcome: otp.OutcomeMisconfigured})
	v.post("send", "address", fixture.Alice).sees("We couldn't send the message.")
	if len(s.Logged("level=ERROR", "operation=page.start", "status=303")) != 1 {
		t.Errorf("%q", s.Logged("operation=page.start"))
	}
}

// After the person's NO, every way on says so.
func TestCheck_HelpAfterADenial(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{To: fixture.Alice}).PageURL)
	s.Receive(notify.Inbound{From: fixture.Alice, Channel: channel.WhatsApp, Text: "NO"})
	v.post("help").sees("Request stopped")
}
