package oidc_test

import (
	"strings"
	"testing"
	"time"

	"twofa/internal/config"
	"twofa/internal/user"
)

// requiring is a service whose clients own and web require a proven e-mail address, and to which new people come.
func requiring(t testing.TB, change ...func(*config.Settings)) *service {
	t.Helper()
	return open(t, append([]func(*config.Settings){func(c *config.Settings) {
		c.Clients = clientsOf(t, strings.Replace(strings.Replace(apps, `"brand": "Own"`, `"brand": "Own", "require": ["email"]`, 1), `"brand": "Acme"`, `"brand": "Acme", "require": ["email"]`, 1))
	}}, change...)...)
}

// An app that requires an e-mail address gets nobody without one: whoever has none adds it after the sign-in, and goes on.
func TestRequire(t *testing.T) {
	t.Parallel()
	for what, shared := range map[string]string{"with a session": "", "on a shared device": "yes"} {
		s := requiring(t)
		s.give(annasNumber)
		p := s.person().authorize("own").post("send", "address", annasNumber)
		p.post("code", "code", s.codeTo(annasNumber), "shared", shared).sees("Add an e-mail address", "Own needs it.")
		p.post("send", "address", stranger).sees("isn't a complete e-mail address")
		p.post("send", "address", annasMail).post("code", "code", "000000").sees("That code isn't right")
		if p.app != nil {
			t.Fatal("the app gets a person without an e-mail address")
		}
		claims := p.post("code", "code", s.codeTo(annasMail)).claims("own")
		if claims["email"] != annasMail || claims["email_verified"] != true || claims["phone_number"] != annasNumber {
			t.Errorf("%s: the claims are %v", what, claims)
		}
		if !s.told(annasNumber) {
			t.Error("the number was not told of the new address")
		}
		if p.in() != (shared == "") {
			t.Errorf("%s: signed in %t", what, p.in())
		}
		s.Advance(time.Hour)
		s.person().authorize("own").proves(annasNumber).back() // asked once
	}
}

// A new person adds what the app requires, and is asked for consent after that. The person who does not is no member of
// the app, and keeps the account.
func TestRequire_SignUp(t *testing.T) {
	t.Parallel()
	s := requiring(t)
	p := s.person().signsUp("web", "Anna", annasNumber).sees("Add an e-mail address")
	if reason := p.post("cancel").back().Get("error"); reason != "access_denied" {
		t.Errorf("canceled: %s", reason)
	}
	s.Advance(time.Hour)
	p = s.person().authorize("web").proves(annasNumber).sees("Add an e-mail address").post("send", "address", annasMail)
	p.post("code", "code", s.codeTo(annasMail)).sees("would like to know who you are")
	if claims := p.post("allow").claims("web"); claims["email"] != annasMail {
		t.Errorf("the claims are %v", claims)
	}

	s = requiring(t) // on a shared device, nothing but the sign-in itself knows who has added the address
	s.give(annasNumber)
	p = s.person().authorize("web").post("send", "address", annasNumber)
	p.post("code", "code", s.codeTo(annasNumber), "shared", "yes").post("send", "address", annasMail)
	p.post("code", "code", s.codeTo(annasMail)).sees("would like to know who you are")
	if claims := p.post("allow").claims("web"); claims["email"] != annasMail || p.in() {
		t.Errorf("on a shared device, the claims are %v", claims)
	}
}

// A person who is signed in has to prove something again before they add an address. Without a page, the app learns that
// one is needed.
func TestRequire_SignedIn(t *testing.T) {
	t.Parallel()
	s := requiring(t)
	s.give(annasNumber)
	p := s.person().authorize("spa").proves(annasNumber)
	p.back()
	if reason := p.authorize("own", "prompt", "none").back().Get("error"); reason != "interaction_required" {
		t.Errorf("prompt=none: %s", reason)
	}
	s.Advance(30 * time.Minute)
	p.authorize("own").sees("Sign in").proves(annasNumber).sees("Add an e-mail address")
	p.post("send", "address", annasMail).post("code", "code", s.codeTo(annasMail))
	if p.claims("own")["email"] != annasMail || p.authorize("own", "prompt", "none").back().Get("code") == "" {
		t.Error("not a person with an e-mail address")
	}
}

// An address of somebody else's is not added, and the person can type another one. What was asked for cannot be left out.
func TestRequire_Refusals(t *testing.T) {
	t.Parallel()
	s := requiring(t)
	s.give(annasNumber)
	s.person().authorize("spa").post("join").details("Bob", annasMail).post("details").post("code", "code", s.codeTo(annasMail)).back()
	s.Advance(time.Minute)
	p := s.person().authorize("own").proves(annasNumber)
	early := p.t()
	p.post("send", "address", annasMail).post("code", "code", s.codeTo(annasMail)).sees("belongs to another account")
	for _, form := range []string{"code", "allow", "app", "recovery", "details", "signup", "join", "more"} {
		if p.withForm("/oidc/signin/"+form, "t", early, "code", s.codeTo(annasNumber), "name", "Eve", "address", stranger, "id", "phone"); p.app != nil && p.app.Query().Get("code") != "" {
			t.Errorf("%s leads past the address", form)
		}
	}
	p.open("/oidc/signin/address?t="+early).post("send", "address", "other@example.com")
	if p.post("code", "code", s.codeTo("other@example.com")); p.claims("own")["email"] != "other@example.com" {
		t.Error("another address is not taken")
	}

	// A number that was added lately, and that the operator has unlocked, signs in, and is nothing to rely on.
	s = requiring(t)
	s.give(annasNumber)
	s.signedInTo("spa", annasNumber)
	s.Advance(day)
	s.edit(annasNumber, func(u *user.User) {
		u.Account.Addresses[0].AddedAt, u.Account.Addresses[0].UnlockedAt = s.Now(), s.Now()
	})
	p = s.person().authorize("own").proves(annasNumber).sees("Add an e-mail address").post("send", "address", annasMail)
	if p.post("code", "code", s.codeTo(annasMail)); p.app == nil || p.app.Query().Get("error") != "access_denied" {
		t.Errorf("it adds an address: %d %s", p.status, p.text())
	}
}

// signedInTo is a person who has signed in to an app.
func (s *service) signedInTo(id, address string) *person {
	s.TB.Helper()
	p := s.person().authorize(id).proves(address)
	p.back()
	return p
}
