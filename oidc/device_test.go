package oidc_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/config"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
)

// remembering is a service that remembers devices for 30 days.
func remembering(t testing.TB, change ...func(*config.Settings)) *service {
	t.Helper()
	return newService(t, append([]func(*config.Settings){func(c *config.Settings) { c.SignIn.RememberDevice = 30 * day }}, change...)...)
}

// strong asks for two different things.
var strong = []string{"acr_values", "urn:twofa:acr:2"}

// twice is a person who has proven number and app for the app own, and has the device remembered.
func (s *service) twice(remember string) *person {
	s.TB.Helper()
	p := s.person().authorize("own", strong...).proves(annasNumber).sees("One more step")
	p.open(p.link("/oidc/signin/app"))
	p.post("app", "code", s.appCode(1), "remember", remember)
	return p
}

// withApp is a service with an account that has a number and, for days, an authenticator app.
func withApp(s *service) *service {
	s.TB.Helper()
	s.give(annasNumber)
	s.signedIn(annasNumber)
	s.edit(annasNumber, func(u *user.User) {
		u.TOTP = anApp(s, 3) // which tests may remove
		u.TOTP.Authenticators = append(u.TOTP.Authenticators, anApp(s, 1).Authenticators...)
	})
	s.Advance(2 * day)
	return s
}

// again signs in once more for an app that wants two things, with the number alone, and reports whether that was enough.
func (p *person) again(changes ...string) bool {
	p.TB.Helper()
	p.Advance(2 * time.Hour) // the session is over
	p.authorize("own", append(strong, changes...)...).proves(annasNumber)
	return p.app != nil && p.app.Query().Get("code") != ""
}

// A remembered device is in place of the second thing, for the time that the operator has set, and of nothing else.
func TestRememberDevice(t *testing.T) {
	t.Parallel()
	s := withApp(remembering(t))
	p := s.twice("yes")
	if claims := p.claims("own"); claims["acr"] != "urn:twofa:acr:2" || fmt.Sprint(claims["amr"]) != "[otp mfa]" {
		t.Errorf("the first time: %v", claims)
	}
	at := s.Now()
	for _, again := range [][]string{{"prompt", "login"}, {"max_age", "0"}} {
		s.Advance(day)
		if p.again(again...) {
			t.Errorf("with %v, the device is in place of a second thing", again)
		}
	}
	s.Set(at.Add(30*day - 2*time.Hour - time.Second)) // again advances by two hours
	if !p.again() {
		t.Fatal("the device is not remembered: " + p.text())
	}
	claims := p.claims("own")
	if claims["acr"] != "urn:twofa:acr:2" || strings.Contains(fmt.Sprint(claims["amr"]), "mfa") || claims["auth_time"] != float64(s.Now().Unix()) {
		t.Errorf("on a remembered device: %v", claims)
	}
	if next := p.authorize("own", strong...).claims("own"); next["acr"] != "urn:twofa:acr:2" || next["auth_time"] != claims["auth_time"] {
		t.Errorf("in the session: %v", next)
	}
	if p.again() {
		t.Error("the device is remembered for longer than 30 days")
	}
	s.Advance(day)
	if s.signedIn(annasNumber).again() {
		t.Error("another browser is remembered")
	}
}

// A device is remembered only if the person wants that, after two things, on a device of their own, where the operator
// allows it. Nobody is asked at the first code.
func TestRememberDevice_Not(t *testing.T) {
	t.Parallel()
	s := withApp(remembering(t))
	if p := s.twice(""); p.app == nil || p.again() {
		t.Error("nobody wanted it")
	}
	s.Advance(day)
	p := s.person().authorize("own").post("send", "address", annasNumber)
	if strings.Contains(p.body, `name="remember"`) {
		t.Error("asked at the first code")
	}
	if p.post("code", "code", s.codeTo(annasNumber), "remember", "yes"); p.app == nil || p.again() {
		t.Error("after one thing")
	}
	s.Advance(day)
	p = s.person().authorize("own", strong...).post("send", "address", annasNumber).post("code", "code", s.codeTo(annasNumber), "shared", "yes")
	p.open(p.link("/oidc/signin/app")).post("app", "code", s.appCode(1), "remember", "yes")
	if p.app == nil || p.again() {
		t.Error("a shared device")
	}
	s = withApp(newService(t))
	p = s.person().authorize("own", strong...).proves(annasNumber)
	if p.open(p.link("/oidc/signin/app")); strings.Contains(p.body, `name="remember"`) {
		t.Error("asked although devices are not remembered")
	}
	if p.post("app", "code", s.appCode(1), "remember", "yes"); p.app == nil || p.again() {
		t.Error("the setting is off")
	}
}

// What ends a remembered device, of which somebody may have a copy.
func TestAttack36_Attack41_RememberedDevices(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end func(s *service, p *person)
		// copied is true if somebody with the cookies of before is tried, and not the person's own browser.
		copied bool
	}{
		"a copy, after the person has signed in again": {func(_ *service, p *person) { p.again() }, true},
		"the person's own, after a copy was used":      {func(_ *service, p *person) { p.asIn().again() }, false},
		"an app was removed":                           {func(s *service, _ *person) { s.signedIn(annasNumber).changesFactors("remove") }, false},
		"recovery codes were made":                     {func(s *service, _ *person) { s.signedIn(annasNumber).changesFactors("codes") }, false},
		"in this browser, recovery codes were made": {func(_ *service, p *person) {
			p.authorize("own", "prompt", "login").proves(annasNumber)
			p.changesFactors("codes")
		}, false},
		"an address was added": {func(s *service, _ *person) {
			s.signedIn(annasNumber).open("/oidc/account").post("email").proves(annasMail)
		}, false},
		"the account was erased, and made again": {func(s *service, _ *person) {
			s.erase(annasNumber)
			s.give(annasNumber)
			s.signedIn(annasNumber)
			s.edit(annasNumber, func(u *user.User) { u.TOTP = anApp(s, 1) })
		}, false},
		"signed out everywhere": {func(s *service, _ *person) { s.signedIn(annasNumber).open("/oidc/account").post("everywhere") }, false},
		"removed from the list": {func(s *service, _ *person) {
			q := s.signedIn(annasNumber).open("/oidc/account").sees("Remembered until")
			for n := range q.page().Descendants() {
				if n.Data == "li" && strings.Contains(textOf(n), "Remembered until") {
					for i := range n.Descendants() {
						if attr(i, "name") == "id" {
							q.post("forget", "id", attr(i, "value"))
						}
					}
				}
			}
			if strings.Contains(q.text(), "Remembered until") {
				t.Error("removed, and listed: " + q.text())
			}
		}, false},
		"the secret was replaced, and marked": {func(s *service, _ *person) {
			s.Rotate(fixture.Secret(2) + ",index:" + fixture.Secret(1))
			s.restart(func(_ *config.Settings, parts *app.Parts) { parts.Keys = s.Keys })
		}, false},
		"the operator has switched it off": {func(s *service, _ *person) {
			s.restart(func(c *config.Settings, _ *app.Parts) { c.SignIn.RememberDevice = 0 })
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := withApp(remembering(t))
			p := s.twice("yes")
			if p.app == nil {
				t.Fatal("not signed in: " + p.text())
			}
			s.Advance(2 * day)
			q := p
			if tc.copied {
				q = p.asIn()
			}
			tc.end(s, p)
			s.Advance(2 * day)
			if q.again() {
				t.Error("the device is remembered")
			}
			if q.app != nil && q.app.Query().Get("code") != "" {
				t.Error("signed in by one thing")
			}
		})
	}
}

// The cookie of one person's device is worth nothing for another person, and two people can share a browser.
func TestRememberDevice_TwoPeople(t *testing.T) {
	t.Parallel()
	const bobsNumber = "+491711234500"
	s := withApp(remembering(t))
	s.give(bobsNumber)
	s.signedIn(bobsNumber)
	s.edit(bobsNumber, func(u *user.User) { u.TOTP = anApp(s, 2) })
	s.Advance(2 * day)
	p := s.twice("yes")
	p.authorize("own", append(strong, "prompt", "login")...).proves(bobsNumber).sees("One more step")
	p.open(p.link("/oidc/signin/app")).post("app", "code", s.appCode(2), "remember", "yes").back()
	for range 2 {
		s.Advance(day)
		if !p.again() {
			t.Error("the first person's device is forgotten")
		}
		p.open("/oidc/account").sees(annasNumber)
		s.Advance(day)
		if p.authorize("own", strong...).proves(bobsNumber); p.app == nil {
			t.Error("the second person's device is forgotten")
		}
		p.open("/oidc/account").sees(bobsNumber)
	}
	p.open("/oidc/account").post("everywhere")
	if p.open("/oidc/account").status != http.StatusForbidden {
		t.Error("after one person has signed out, the other one is signed in")
	}
}

// Signing in as somebody else on a device that others use leaves nobody signed in: not the person before either.
func TestAttack41_SharedAfterAnotherPerson(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	s.give(stranger)
	p := s.signedIn(annasNumber)
	s.Advance(time.Minute)
	p.authorize("own", "prompt", "login").post("send", "address", stranger).post("code", "code", s.codeTo(stranger), "shared", "yes")
	if p.claims("own")["phone_number"] != stranger {
		t.Fatal("the second person is not in")
	}
	if p.in() || p.authorize("own").app != nil || p.open("/oidc/account").status != http.StatusForbidden {
		t.Errorf("somebody is signed in: %s", p.text())
	}
}

// Of many people who share a browser, the one who has signed in last is signed in, and nobody after that one has signed
// out.
func TestAttack41_ManyPeopleInOneBrowser(t *testing.T) {
	t.Parallel()
	s := newService(t)
	p := s.person()
	for i := range 7 {
		number := fmt.Sprintf("+49171123460%d", i)
		s.give(number)
		s.Advance(time.Hour)
		p.authorize("own", "prompt", "login").proves(number).back()
		p.open("/oidc/account").sees(number)
	}
	if p.open("/oidc/account").post("forget"); p.in() {
		t.Error("another person is signed in")
	}
}

// What one person has said of the device counts for nobody else who types their address in the same sign-in.
func TestAttack41_RememberIsOneAnswer(t *testing.T) {
	t.Parallel()
	s := withApp(remembering(t))
	s.give(stranger)
	s.signedIn(stranger)
	s.edit(stranger, func(u *user.User) { u.TOTP = anApp(s, 2) })
	s.Advance(2 * day)
	p := s.person().authorize("own", strong...).post("send", "address", stranger)
	p.post("code", "code", s.codeTo(stranger), "remember", "yes").sees("One more step")
	p.open("/oidc/signin/address?t=" + p.t()).proves(annasNumber).sees("One more step")
	p.open(p.link("/oidc/signin/app")).post("app", "code", s.appCode(1)).back()
	if p.again() {
		t.Error("the device is remembered for a person who has not asked for that")
	}
}

// Who has only Anna's number can add an app of their own at once. For a day it is no second thing: neither for the app
// that asks for two, nor for a remembered device, nor beside an app that she has, which still is one.
func TestAttack41_ANewAppIsNotStrong(t *testing.T) {
	t.Parallel()
	for what, older := range map[string]bool{"alone": false, "beside an older app": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := remembering(t)
			s.give(annasNumber)
			if older {
				s.Advance(-2 * day) // withApp takes as long
				s.signedIn(annasNumber)
				s.edit(annasNumber, func(u *user.User) { u.TOTP = anApp(s, 1) })
				s.Advance(2 * day)
			}
			thief := s.signedIn(annasNumber).open("/oidc/account").post("factors")
			if older {
				thief.post("add")
			}
			key := thief.key()
			thief.post("app", "code", codeOf(t, key, s.Now())).post("save").sees("Your change is saved")
			s.Advance(2 * time.Minute)
			thief.authorize("own", append(strong, "prompt", "login")...).post("send", "address", annasNumber)
			page := thief.t()
			thief.post("code", "code", s.codeTo(annasNumber), "remember", "yes")
			if older { // else nothing else was held for a day, and nobody is asked for it
				thief.sees("One more step").open(thief.link("/oidc/signin/app"))
				thief.post("app", "code", codeOf(t, key, s.Now()), "remember", "yes")
			} else {
				thief.withForm("/oidc/signin/app", "t", page, "code", codeOf(t, key, s.Now()), "remember", "yes")
			}
			if thief.app != nil && thief.app.Query().Get("code") != "" {
				if claims := thief.claims("own"); claims["acr"] != "urn:twofa:acr:1" || strings.Contains(fmt.Sprint(claims["amr"]), "mfa") {
					t.Errorf("by a number and an app of two minutes: %v %v", claims["acr"], claims["amr"])
				}
			} else if !older {
				t.Error("a number does not sign in: " + thief.text())
			}
			for _, b := range s.account(annasNumber).Account.Browsers {
				if !b.TrustedAt.IsZero() || b.Strong {
					t.Errorf("remembered by an app of two minutes: %+v", b)
				}
			}
			if older {
				s.Advance(time.Minute)
				if claims := s.twice("").claims("own"); claims["acr"] != "urn:twofa:acr:2" {
					t.Errorf("by the app of before: %v", claims["acr"])
				}
			}
			s.Advance(3 * day)
			if thief.again() {
				t.Error("the device is in place of a second thing")
			}
			if thief.sees("One more step").open(thief.link("/oidc/signin/app")).post("app", "code", codeOf(t, key, s.Now())); thief.claims("own")["acr"] != "urn:twofa:acr:2" {
				t.Error("after days, the app is no second thing")
			}
		})
	}
}

// A new code for the second thing is one for the second thing still: the person may have the device remembered.
func TestRememberDevice_ANewCode(t *testing.T) {
	t.Parallel()
	s := remembering(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber).open("/oidc/account").post("email").proves(annasMail)
	s.Advance(2 * day)
	p.authorize("own", strong...).proves(annasNumber).sees("One more step").post("more")
	s.Advance(11 * time.Minute)
	p.post("code", "code", "000000").post("new")
	if p.form("code"); !strings.Contains(p.body, `name="remember"`) {
		t.Error("the page is one of a first code: " + p.text())
	}
}
