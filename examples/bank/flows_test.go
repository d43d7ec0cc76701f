package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twofa/internal/testing/browser"
)

// screen is a browser in which each page is looked at.
type screen struct {
	*browser.Browser
	*town
	dark bool
}

func (w *town) screen(t *testing.T, dark bool) *screen {
	return &screen{browser.New(t, browser.Options{Width: 360, Dark: dark}), w, dark}
}

// looks fails the test if the page can't be used by everybody. With SHOTS, it writes a picture to
// that folder.
func (s *screen) looks(name string) {
	s.TB.Helper()
	s.Axe()
	s.NoHorizontalScroll()
	s.TargetSizes()
	if folder := os.Getenv("SHOTS"); folder != "" {
		if s.dark {
			name += "-dark"
		}
		s.Screenshot(filepath.Join(folder, name+".png"))
	}
}

// logsIn gives the password, in that way.
func (s *screen) logsIn(way string) {
	s.TB.Helper()
	s.Open(s.town.url + "/login")
	s.Type("#name", "alice")
	s.Type("#password", password)
	s.Click("input[value=" + way + "]")
	s.Submit("button.main")
}

// types types the code, and waits for what the bank says then.
func (s *screen) types(code, text string) {
	s.TB.Helper()
	s.Type("#code", code)
	s.Click("button.main")
	s.WaitURL(s.town.url)
	s.WaitText(text)
}

// Payment, apps and recovery codes, and the attack, in a real browser under the bank's policy.
func TestFlows_InABrowser(t *testing.T) {
	for _, dark := range []bool{false, true} {
		w := newTown(t)
		w.customer().signUp()
		s := w.screen(t, dark)
		s.logsIn("own")
		s.types(w.code(), "Hello, alice")
		w.Advance(time.Minute)
		paysInABrowser(s)
		setsUpInABrowser(s)
		losesThePhoneInABrowser(s)
		attacksInABrowser(s)
		s.noSurprises()
	}
}

// noSurprises is NoSurprises of a browser in which forms were refused.
func (s *screen) noSurprises() {
	s.TB.Helper()
	for _, fault := range s.Faults() {
		if !strings.Contains(fault, "status of 422") {
			s.TB.Errorf("the page has an error: %s", fault)
		}
	}
	for _, r := range s.Requests() {
		if !strings.HasPrefix(r.URL, s.town.url+"/") && !strings.HasPrefix(r.URL, s.service+"/") && !strings.HasPrefix(r.URL, "data:") && !strings.HasPrefix(r.URL, "about:") {
			s.TB.Errorf("a request to another origin: %s", r.Method)
		}
	}
}

func paysInABrowser(s *screen) {
	order := func(amount, payee, way string) {
		s.TB.Helper()
		s.Open(s.town.url)
		s.Type("#amount", amount)
		s.Type("#payee", payee)
		s.Click("input[value=" + way + "]")
		s.Submit("form[action='/pay'] button.main")
	}
	order("25,50", "Bike Shop", "page")
	s.looks("pay-1-twofa")
	s.types(s.code(), "You paid € 25.50 to Bike Shop.")
	s.looks("pay-2-paid")
	s.Advance(time.Minute)
	order("1200", strings.Repeat("Donaudampfschifffahrt", 2), "own")
	s.looks("pay-3-own")
	s.Type("#code", "000000")
	s.Submit("button.main")
	s.WaitText("You have 4 more tries.")
	s.looks("pay-4-wrong")
	s.types(s.code(), "You paid € 1,200.00")
	s.looks("pay-5-long")
	order("x", "Bob", "own")
	s.WaitText(textAmount)
	if got := s.Focused(); got != "input#amount Amount in euros" {
		s.TB.Errorf("the focus is at %q", got)
	}
	s.looks("pay-6-error")
	s.Advance(time.Minute)
}

func setsUpInABrowser(s *screen) {
	s.Advance(proofLife)
	s.Open(s.town.url + "/security")
	s.looks("security-1-empty")
	s.Submit("button.main")
	s.Type("#code", s.code())
	s.Click("button.main")
	s.WaitUntil("the page of the enrollment", `location.pathname === "/verify/enroll"`)
	s.Submit("button.main")
	s.looks("security-twofa")
	s.Type("#name", "My phone")
	s.Type("#code", codeOf(s.TB, browser.Eval[string](s.Browser, `document.querySelector(".key").textContent`), s.Now()))
	s.Submit("button.main")
	s.Submit("form[action='/verify/enroll/codes'] button")
	s.Submit("button.main")
	s.Click("form.save button")
	s.WaitURL(s.town.url)
	s.WaitText("Added: My phone.")
	s.looks("security-2-done")
	s.Advance(time.Minute)
}

func losesThePhoneInABrowser(s *screen) {
	codes := s.addCodes()
	_, code := s.addApp("Tablet")
	s.Open(s.town.url)
	s.Submit("form[action='/logout'] button")
	s.logsIn("own")
	s.looks("lost-1-ways")
	s.Submit("a[href='/2fa?factor=totp']")
	s.looks("lost-2-app")
	s.Type("#code", "000000")
	s.Submit("button.main")
	s.WaitText("9 more tries")
	s.looks("lost-3-wrong")
	s.Submit("a[href='/2fa?factor=recovery']")
	s.looks("lost-4-recovery")
	s.types(codes[0], "Codes that are left: 9.")
	s.looks("lost-5-in")
	s.Submit("form[action='/logout'] button")
	s.Advance(time.Minute)
	s.logsIn("own")
	s.Submit("a[href='/2fa?factor=totp']")
	s.types(code(), "a code of your authenticator app")
	s.Submit("form[action='/logout'] button")
	s.Advance(time.Minute)
}

func attacksInABrowser(s *screen) {
	s.Open(s.town.url + "/login")
	s.Submit("a[href='/attack']")
	s.looks("attack-1")
	step := func(name, text, shot string) {
		s.TB.Helper()
		s.Type("#name", "alice")
		s.Submit("button[value=" + name + "]")
		s.WaitText(text)
		s.looks(shot)
	}
	step("passwords", "Password qwertyuiop", "attack-2-passwords")
	step("codes", "too_many_checks", "attack-3-codes")
	s.Advance(time.Minute)
	step("codes", "too_many_checks", "attack-4-locked")
	s.Advance(time.Minute)
	step("victim", "the app still works", "attack-5-victim")
	s.logsIn("own")
	s.WaitText("too many wrong codes")
	s.looks("attack-6-login")
}
