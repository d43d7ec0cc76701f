package oidc_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
)

// payload is what is in an ID token, of which another test checks the signature.
func payload(t testing.TB, token string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a token")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// The whole way: a number, its code, consent, back to the app, tokens.
func TestSignIn_ByNumber(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.person().authorize("web").sees("Sign in")
	p.post("send", "address", annasNumber).sees("If", "has an account")
	p.post("code", "code", s.codeTo(annasNumber)).sees("Acme")
	p.post("allow")
	if q := p.back(); q.Get("state") != theState || q.Get("iss") != s.URL+"/oidc" {
		t.Errorf("back at the app with %v", q)
	}
	claims := p.claims("web")
	if claims["phone_number"] != annasNumber || claims["phone_number_verified"] != true || claims["acr"] != "urn:twofa:acr:1" || claims["nonce"] != nonce || claims["email"] != nil {
		t.Errorf("%v", claims)
	}
	again := p.authorize("web").claims("web")
	if again["sub"] != claims["sub"] || again["auth_time"] != claims["auth_time"] {
		t.Errorf("with a session: %v", again)
	}
}

// A person with two addresses proves both if the app asks for two factors, and the tokens say so.
func TestSignIn_TwoFactors(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.person().authorize("own").proves(annasNumber)
	p.back()
	p.open("/oidc/account").sees("Add an e-mail").post("email").sees("Add an e-mail address").proves(annasMail).sees(annasMail, annasNumber)
	s.Advance(time.Minute)
	q := s.person().authorize("own", "acr_values", "urn:x urn:twofa:acr:2").proves(annasNumber).sees("a******@example.com")
	q.post("more").sees("Enter the code")
	q.post("code", "code", s.codeTo(annasMail))
	claims := q.claims("own")
	if claims["acr"] != "urn:twofa:acr:2" || claims["email"] != annasMail || fmt.Sprint(claims["amr"]) != "[otp mfa]" {
		t.Errorf("%v", claims)
	}
}

// An address that was added lately does not sign in alone, and does after a day.
func TestSignIn_NewAddress(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	p := s.person().authorize("own").proves(annasNumber)
	s.Advance(time.Minute)
	p.open("/oidc/account").post("email").proves(annasMail)
	s.Advance(time.Minute)
	q := s.person().authorize("own").proves(annasMail)
	q.sees("+49******4567").post("more").post("code", "code", s.codeTo(annasNumber)).back()
	s.Advance(24 * time.Hour)
	s.person().authorize("own").proves(annasMail).back()
}

// The link of a mail signs in in the browser that asked for it, and shows the code in another one.
func TestSignIn_Link(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasMail)
	p := s.person().authorize("own").post("send", "address", annasMail)
	link := s.Sender(channel.Email).Last().Link
	if !strings.HasPrefix(link, s.URL+"/oidc/link?t=") {
		t.Fatalf("the link is %q", link)
	}
	other := s.person().open(link)
	other.post("link").sees(s.codeTo(annasMail)[:3])
	if other.app != nil {
		t.Error("another browser is signed in")
	}
	p.open(link).post("link").back()
}

// Anna's account is her own: she replaces her number, undoes that with the old one, signs out everywhere, erases.
func TestAttack41_Account(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber, annasMail)
	p := s.person().authorize("own").proves(annasNumber)
	s.Advance(24 * time.Hour)
	thief := s.person().authorize("own").proves(annasNumber) // with her phone in his hand
	copied := thief.asIn()
	s.Advance(time.Minute)
	thief.open("/oidc/account").post("phone").proves(stranger).sees(stranger)
	if copied.open("/oidc/account").status == http.StatusOK && strings.Contains(copied.text(), annasMail) {
		t.Error("what was only given is shown whole")
	}
	if p.open("/oidc/account").status != http.StatusForbidden {
		t.Errorf("a session from before the change lives: %s", p.text())
	}
	if !s.told(annasNumber) {
		t.Error("nobody is told that the number was replaced")
	}
	anna := s.person().authorize("own").proves(annasNumber)
	anna.open("/oidc/account").post("undo").sees(annasNumber)
	if strings.Contains(anna.text(), stranger) || s.account(annasNumber).Account.Phone() != annasNumber {
		t.Errorf("not undone: %s", anna.text())
	}
	if thief.open("/oidc/account").status != http.StatusForbidden {
		t.Error("the thief is signed in")
	}
	anna.post("everywhere")
	if anna.open("/oidc/account").status != http.StatusForbidden {
		t.Error("signed out everywhere, but not here")
	}
	anna.open("/oidc/account?client_id=own").sees("Sign in").proves(annasNumber).sees("Your account").post("erase").post("erased").sees("Your account is deleted")
	if _, ok, err := s.API.SignIn.Accounts.Find(s.Ctx(), annasNumber, s.Now()); ok || err != nil {
		t.Errorf("the account is there: %v", err)
	}
}

// Without an account, all is as with one, but nothing is sent and no code is right.
func TestR23_NoEnumeration(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	seen := map[string][]string{}
	for _, number := range []string{annasNumber, stranger} {
		p := s.person()
		note := func() {
			seen[number] = append(seen[number], fmt.Sprintf("%d %d %s", p.status, len(s.waited), strings.ReplaceAll(p.text(), number[len(number)-4:], "NNNN")))
			s.waited = nil
		}
		p.authorize("web")
		p.post("send", "address", number)
		note()
		for range 5 {
			p.post("code", "code", "000000")
			note()
		}
	}
	if !slices.Equal(seen[annasNumber], seen[stranger]) {
		t.Errorf("known:   %s\nunknown: %s", strings.Join(seen[annasNumber], "\n"), strings.Join(seen[stranger], "\n"))
	}
	if s.codeTo(stranger) != "" {
		t.Error("a stranger got a message")
	}
}

// Attack 22. Thirty wrong codes an hour come from one client address, whatever accounts they are for; a browser in
// which the address was proven is not counted.
func TestAttack22_Spray(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	anna := s.person().authorize("own").proves(annasNumber)
	s.Advance(time.Minute)
	wrong := 0
	for n := range 40 {
		p := s.person()
		p.networks = "203.0.113.77"
		p.authorize("own").post("send", "address", fmt.Sprintf("+4917112340%02d", n))
		p.post("code", "code", "000000")
		if strings.Contains(p.text(), "Tries left: 4") {
			wrong++
		}
	}
	if wrong != 30 {
		t.Errorf("%d wrong codes were compared", wrong)
	}
	anna.authorize("own", "prompt", "login").proves(annasNumber).back()
}

// What an app hints at is shown, in the language that it asks for, also if it sends its request by POST.
func TestSignIn_Hints(t *testing.T) {
	t.Parallel()
	s := newService(t)
	p := s.person().authorize("web", "login_hint", "anna@example.com", "ui_locales", "xx de", "claims_locales", "de").sees("Anmelden")
	if !strings.Contains(p.body, `value="anna@example.com"`) {
		t.Error("the hint is not shown")
	}
	p.post("send", "address", stranger).sees("Geben Sie den Code ein")
	q := s.person()
	q.do(q.posted("/oidc/authorize", asks("web", "ui_locales", "de"))).sees("Anmelden").post("send", "address", annasNumber).sees("Geben Sie den Code ein")
}
