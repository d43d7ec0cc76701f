package oidc_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/config"
)

var loggedTrips = regexp.MustCompile(` operation=(\S+) .* trips=(\d+)`)

// costs fails the test unless the requests that f makes have these operations and take so many storage round
// trips: "send 12, page 0".
func (s *service) costs(what, want string, f func()) {
	s.TB.Helper()
	s.idle()
	before := len(s.Logged("msg=request"))
	f()
	s.idle()
	var got []string
	for _, line := range s.Logged("msg=request")[before:] {
		if m := loggedTrips.FindStringSubmatch(line); m != nil {
			got = append(got, strings.TrimPrefix(m[1], "signin.")+" "+m[2])
		}
	}
	if all := strings.Join(got, ", "); all != want {
		s.TB.Errorf("%s: %s, want %s", what, all, want)
	}
}

// The storage round trips of a sign-in, as docs/architecture.md has them: without limits over many addresses, but with
// the counters of wrong codes, which are read beside the rest (5), and written after a wrong code (2).
func TestSignIn_RoundTrips(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	s.person().authorize("own").proves(annasNumber) // makes the account
	s.Advance(24 * time.Hour)
	var p, other *person
	s.costs("nobody is signed in", "authorize 0", func() { p = s.person().authorize("web") })
	s.costs("the number", "start 12, page 0", func() { p.post("send", "address", annasNumber) })
	s.costs("help", "help 1, page 0", func() { p.post("help") })
	s.Advance(time.Minute)
	s.costs("the code again", "resend 5, page 0", func() { p.post("resend") })
	s.costs("a wrong code", "check 10, page 0", func() { p.post("code", "code", "111111") })
	s.costs("the code, and the question whether the app may", "check 13, page 2", func() { p.post("code", "code", s.codeTo(annasNumber)) })
	s.costs("consent", "consent 5", func() { p.post("allow") })
	s.costs("the app, for which the keys are made", "token 6, userinfo 2", func() { p.claims("web") })
	s.costs("the same app again", "authorize 2, token 3, userinfo 2", func() { p.authorize("web").claims("web") })
	s.Advance(time.Minute)
	s.costs("once a minute, the keys are read", "authorize 2, token 4, userinfo 2", func() { p.authorize("web").claims("web") })
	s.costs("another wish of the app", "authorize 1, consent 6", func() { p.authorize("web", "scope", "openid profile").post("allow") })
	s.costs("which is denied", "authorize 1, consent 2", func() { p.authorize("web", "prompt", "consent").post("deny") })

	s.costs("an unknown number", "authorize 0, start 11, page 0", func() { other = s.person().authorize("own").post("send", "address", stranger) })
	s.costs("its code", "check 10, page 0", func() { other.post("code", "code", "111111") })
	s.costs("the end of it", "cancel 2", func() { other.post("cancel") })
	s.costs("the end at once", "authorize 0, cancel 4", func() { s.person().authorize("own").post("cancel") })
	s.Advance(24 * time.Hour)
	other = s.person().authorize("own").post("send", "address", annasNumber)
	s.costs("the code, where nobody is asked", "check 14", func() { other.post("code", "code", s.codeTo(annasNumber)) })
}

// The same for what needs a second address, and for the page of the account.
func TestSignIn_RoundTripsOfAccounts(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.person().authorize("own").post("send", "address", annasNumber)
	s.costs("the first code, which makes the account", "check 16", func() { p.post("code", "code", s.codeTo(annasNumber)) })
	s.costs("the account", "page 1", func() { p.open("/oidc/account") })
	s.costs("a form for an address", "account 1", func() { p.post("email") })
	s.costs("the address", "start 10, page 0", func() { p.post("send", "address", annasMail) })
	s.costs("its code", "check 16, page 1", func() { p.post("code", "code", s.codeTo(annasMail)) })
	s.Advance(24 * time.Hour)
	q := s.person().authorize("own", "acr_values", "urn:twofa:acr:2").post("send", "address", annasNumber)
	s.costs("the first of two", "check 11, page 2", func() { q.post("code", "code", s.codeTo(annasNumber)) })
	s.costs("the other address", "start 10, page 0", func() { q.post("more") })
	s.costs("the second of two", "check 14", func() { q.post("code", "code", s.codeTo(annasMail)) })
	s.Advance(24 * time.Hour)
	q = s.person().authorize("own").post("send", "address", annasMail)
	link := s.Sender(channel.Email).Last().Link
	s.costs("the link in another browser", "page 0, link 3", func() { s.person().open(link).post("link") })
	s.costs("the link", "page 0, link 14", func() { q.open(link).post("link") })
	s.costs("an address is removed", "page 1, account 8, page 1", func() { q.open("/oidc/account").post("remove") })
	s.costs("and put back, which one address is told", "account 6, page 1", func() { q.post("undo") })
	q.open("/oidc/account").post("factors")
	q.post("app", "code", codeOf(t, q.key(), s.Now()))
	s.costs("an app is saved, which one address is told", "page.save 8, page 1", func() { q.post("save") })
	q.authorize("own").claims("own") // reads the keys
	s.costs("the question whether to sign out", "logout 1", func() { q.open("/oidc/end-session") })
	s.costs("the sign-out", "logout 3", func() { q.post("confirm") })
	s.costs("nobody is signed in", "logout 0", func() { q.open("/oidc/end-session") })
}

// The same for new people, for addresses that an app requires, and for the rest of the account's page.
func TestSignIn_RoundTripsOfSignUps(t *testing.T) {
	t.Parallel()
	s := requiring(t, func(c *config.Settings) { c.NotifyChanges = false })
	var p *person
	s.costs("the link to the sign-up", "authorize 0, signup 2, page 1", func() { p = s.person().authorize("spa").post("join") })
	s.costs("the details", "signup 2, page 1", func() { p.details("Anna", annasNumber) })
	s.costs("a code to the number", "start 10, page 0", func() { p.post("details") })
	s.costs("the code, which makes the account", "check 24", func() { p.post("code", "code", s.codeTo(annasNumber)) })
	s.Advance(time.Hour)
	s.costs("a number without an account", "authorize 0, start 11, page 0, check 10, page 1", func() { p = s.person().authorize("spa").proves(stranger) })
	s.costs("its name, and the account", "signup 2, page 1, start 14", func() { p.post("signup", "name", "Bob").post("details") })
	s.Advance(time.Hour)
	s.costs("an app that requires another address", "authorize 0, start 12, page 0, check 15, page 0", func() { p = s.person().authorize("own").proves(annasNumber) })
	s.costs("the address", "start 9, page 0, check 15", func() { p.proves(annasMail) })
	s.costs("a form of apps and codes", "page 1, account 4, page 1", func() { p.open("/oidc/account").post("factors") })
	s.costs("an app", "page.confirm 2, page 1", func() { p.post("app", "code", codeOf(t, p.key(), s.Now())) })
	s.costs("which is saved", "page.save 5, page 1", func() { p.post("save") })
	s.costs("another name", "account 1, account 3, page 1", func() { p.post("name").post("named", "name", "Anna Able") })
	s.costs("a browser is removed", "account 3, page 0", func() { p.post("forget") })
}
