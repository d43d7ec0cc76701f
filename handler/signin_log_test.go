package handler_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
)

// logSignIn makes the requests of a sign-in: of an app, of the browsers of a person, and of one who has no account.
func logSignIn(t *testing.T) *rig {
	r := withSignIn(t, withSignUp)
	r.signInEverywhere()
	return r
}

func withSignUp(s *config.Settings) { s.SignIn.SignUp = true }

// signInEverywhere makes a request of each operation of sign-in. It returns all that the log must have nothing of.
func (r *rig) signInEverywhere() (secrets []string) {
	keep := func(texts ...string) { secrets = append(secrets, texts...) }
	b := r.tab().authorize().submit("send", "address", alice)
	b.submit("help")
	b.submit("resend")
	b.submit("code", "code", wrong(r.sender.Last().Code))
	b.submit("code", "code", r.sender.Last().Code)
	keep(r.sender.Last().Code, b.cookie())
	code := b.submit("allow").code()
	tokens := r.exchange(code).want(200)
	r.exchange(code)
	r.do("GET", "/oidc/userinfo", "", "", "Authorization", "Bearer "+tokens.text("access_token")) // ended by the second exchange
	keep(code, tokens.text("access_token"), tokens.text("id_token"))
	b.open("/oidc/account").submit("email")
	b.submit("send", "address", fixture.AliceMail)
	keep(r.Sender(channel.Email).Last().Link)
	b.submit("code", "code", r.Sender(channel.Email).Last().Code)

	r.Advance(24 * time.Hour)
	other := r.tab().authorize("login_hint", bob).submit("send", "address", fixture.AliceMail)
	link := r.Sender(channel.Email).Last().Link
	other.open(link).submit("link")
	keep(other.cookie(), link)
	r.tab().authorize().submit("send", "address", bob).submit("cancel") // has no account
	newcomer := r.tab().authorize().submit("join").submit("signup", "name", canaryName, "address", canaryMail).submit("details")
	newcomer.submit("code", "code", r.Sender(channel.Email).Last().Code).submit("allow")
	newcomer.open("/oidc/account").submit("name").submit("named", "name", canaryName+" of Acme")
	newcomer.open("/oidc/account").submit("factors")
	keep(canaryName, canaryMail, newcomer.cookie())
	newcomer.open("/oidc/account").submit("forget")

	b = r.tab().authorize().submit("send", "address", alice)
	b.submit("code", "code", r.sender.Last().Code).code()
	b.open("/oidc/end-session?client_id=web&state=" + appState)
	b.open("/oidc/account")
	r.Table.Break(testrig.FaultAt(2, testrig.Down)) // the account is read, and not written
	b.submit("signout")
	r.Table.Break(nil)
	keep(appState, appNonce, appVerifier, secretOf("web"), alice, bob, fixture.AliceMail)
	return secrets
}

// A new person's.
const (
	canaryName = "Canary of a new person"
	canaryMail = "canary-of-a-new-person@example.com"
)

// Neither codes, tokens, links and cookies nor what an app sends reach the log, in any form.
func TestR10_SignInLogsNoSecrets(t *testing.T) {
	t.Parallel()
	r := withSignIn(t, withSignUp)
	secrets := r.signInEverywhere()
	for i, s := range secrets {
		if _, query, ok := strings.Cut(s, "?"); ok { // of a link
			values, _ := url.ParseQuery(query)
			secrets[i] = values.Get("t")
		}
		if _, value, ok := strings.Cut(s, "="); ok && strings.HasPrefix(s, "__Host-") {
			secrets[i], _, _ = strings.Cut(value, ";")
		}
	}
	wantNoLeak(t, "the log", r.log.String(), secrets)
}
