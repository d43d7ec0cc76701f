package pages_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/users"
)

// lockOut spends all wrong codes of the day that the bank has at the address of a user.
func (s *site) lockOut(name string) {
	s.TB.Helper()
	ctx := client.With(s.Ctx(), s.as("bank"))
	for range 3 {
		s.Advance(time.Minute)
		a, _, err := s.Send.Start(ctx, otpsend.Request{User: name}, "")
		for err == nil {
			_, err = s.Verify.Check(ctx, otpverify.Request{ID: string(a.ID), Code: "000000"})
			if problem.Is(err, problem.WrongCode) {
				err = nil
			}
		}
		s.Refused(err, problem.TooManyChecks)
	}
}

// start begins a session for the bank, or is refused.
func (s *site) start(req otpsend.Request) (otpsend.PageAnswer, error) {
	c := s.as("bank")
	req.Page = session.Asked{ReturnURL: c.ReturnURLs[0], State: state}
	a, _, err := s.Send.StartPage(client.With(s.Ctx(), c), req, "")
	return a, err
}

// Attack 22. Somebody has used up the address of a user. The user's app and recovery codes
// still open the page, and so does the address when the lock is over.
func TestAttack22_AUsedUpAddressKeepsNoUserOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	began, result, codes := s.saved("alice")
	if _, err := s.take(began, result); err != nil {
		t.Fatal(err)
	}
	s.lockOut("alice")
	page, err := s.start(otpsend.Request{User: "alice"})
	if err != nil || page.To != "" || page.Channel != "" || page.Purpose != "login" {
		t.Fatalf("%+v, %v", page, err)
	}
	v := s.visitor().open(page.PageURL).sees("Open your authenticator app")
	v.post("app", "code", "000000").sees("That code isn't right")
	v.open(linkNamed(t, v, "Try another way")).sees("Use a recovery code", "Send a new code")
	v.post("new").sees("Too many wrong codes. Try again in", "Use my authenticator app")
	v.open(strings.ReplaceAll(regexp.MustCompile(`href="(/verify/check/recovery[^"]*)"`).FindStringSubmatch(v.page.body)[1], "&amp;", "&"))
	v.post("recovery", "code", codes[0]).sees("You're verified")
	a, err := s.fetch("bank", otpverify.Request{Session: page.Session, State: state, Result: v.returns().Get("result")})
	if err != nil || a.Factor != "recovery" || a.User != "alice" || a.Purpose != "login" {
		t.Errorf("%+v, %v", a, err)
	}

	// When the lock is over, the page sends a code.
	page, err = s.start(otpsend.Request{User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	v = s.visitor().open(page.PageURL).sees("Open your authenticator app")
	v.open(linkNamed(t, v, "Try another way"))
	again := v.page
	s.Advance(25 * time.Hour)
	page, err = s.start(otpsend.Request{User: "alice"})
	if err != nil || page.To != "a******@example.com" {
		t.Errorf("a day later: %+v, %v", page, err)
	}
	v.page = again
	v.post("new").sees("This page has expired")
}

// A message that comes too early is no reason to refuse a page to a user with an app: it sends
// the code when the pause is over.
func TestStartPage_AfterTheLastMessage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Policy(func(p *otp.Policy) { p.ResendAfter = time.Minute })
	s.register("alice", aliceByMail)
	began, v := s.enrolling("alice")
	v.add("Phone").post("save")
	if _, err := s.take(began, v.returns().Get("result")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.start(otpsend.Request{User: "alice"}); err != nil {
		t.Fatal(err)
	}
	page, err := s.start(otpsend.Request{User: "alice"})
	if err != nil || page.To != "" {
		t.Fatalf("%+v, %v", page, err)
	}
	v = s.visitor().open(page.PageURL).sees("Open your authenticator app")
	v.open(linkNamed(t, v, "Try another way"))
	s.Advance(time.Minute)
	v.post("new").sees("Check your e-mail", "a******@example.com").post("code", "code", s.mailed().Code).sees("You're verified")
	if a, err := s.fetch("bank", otpverify.Request{Session: page.Session, State: state, Result: v.returns().Get("result")}); err != nil || a.Factor != "" || a.To != "a******@example.com" {
		t.Errorf("%+v, %v", a, err)
	}
}

// What stays refused: a payment, which is bound to a code that was sent, and a user who has
// nothing else.
func TestStartPage_StaysRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	s.register("bob", users.Request{Email: "bob.canary@example.com"})
	began, result, _ := s.saved("alice")
	if _, err := s.take(began, result); err != nil {
		t.Fatal(err)
	}
	for name, req := range map[string]otpsend.Request{
		"alice": {User: "alice", Purpose: "pay", Transaction: otp.Transaction{Amount: "EUR 1", Payee: "Bike Shop"}},
		"bob":   {User: "bob"},
	} {
		s.lockOut(name)
		_, err := s.start(req)
		s.Refused(err, problem.TooManyChecks)
	}
}
