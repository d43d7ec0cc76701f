package oidc_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
)

// open is a service at which new people make their accounts.
func open(t testing.TB, change ...func(*config.Settings)) *service {
	t.Helper()
	return newService(t, append([]func(*config.Settings){func(c *config.Settings) { c.SignIn.SignUp = true }}, change...)...)
}

// noAccount fails the test if an address opens an account.
func (s *service) noAccount(when, address string) {
	s.TB.Helper()
	if _, ok, err := s.API.SignIn.Accounts.Find(s.Ctx(), address, s.Now()); ok || err != nil {
		s.TB.Fatalf("%s: there is an account: %t, %v", when, ok, err)
	}
}

// rows counts the rows of the table by the first letter of their key.
func (s *service) rows() map[byte]int {
	s.TB.Helper()
	count := make(map[byte]int)
	for cursor := ""; ; {
		page, err := s.Table.Expired(s.Ctx(), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), cursor)
		if err != nil {
			s.TB.Fatal(err)
		}
		for _, ref := range page.Rows {
			count[ref.Key[0]]++
		}
		if cursor = page.Next; cursor == "" {
			return count
		}
	}
}

// purge removes what has ended after that time.
func (s *service) purge(after time.Duration) {
	s.TB.Helper()
	s.Advance(after)
	if _, err := s.API.Purge.Run(s.Ctx()); err != nil {
		s.TB.Fatal(err)
	}
}

// details fills in the form of a new person.
func (p *person) details(name, address string) *person {
	p.TB.Helper()
	return p.post("signup", "name", name, "address", address)
}

// field is what a field of the page has in it.
func (p *person) field(id string) string {
	p.TB.Helper()
	for n := range p.page().Descendants() {
		if n.Data == "input" && attr(n, "id") == id {
			return attr(n, "value")
		}
	}
	p.TB.Fatalf("%d %s has no field %s: %s", p.status, p.where(), id, p.text())
	return ""
}

// signsUp makes an account on the pages of an app.
func (p *person) signsUp(id, name, address string) *person {
	p.TB.Helper()
	p.authorize(id).post("join").details(name, address).post("details")
	return p.post("code", "code", p.codeTo(address))
}

// A new person types name and number or mail, looks at both, and gets a code. The account is made with the code, and
// not before.
func TestSignUp(t *testing.T) {
	t.Parallel()
	for _, address := range []string{annasNumber, annasMail} {
		s := open(t)
		p := s.person().authorize("own", "scope", "openid phone email profile").sees("New here? Create an account")
		p.post("join").sees("Create an account", "no password", "I already have an account")
		p.details("  Anna\u00a0Able ", address).sees("Is everything right?", "Anna Able", address, "We'll send a code")
		if s.Sent() > 0 {
			t.Error("a message before the person has confirmed")
		}
		s.noAccount("before the code", address)
		p.post("details").sees("Enter the code", "We have sent a code to")
		p.post("code", "code", "000000").sees("That code isn't right")
		s.noAccount("after a wrong code", address)
		claims := p.post("code", "code", s.codeTo(address)).claims("own")
		number, mail := claims["phone_number"], claims["email"]
		if claims["name"] != "Anna Able" || (number == address) == (mail == address) || number == annasNumber && claims["phone_number_verified"] != true {
			t.Errorf("the claims are %v", claims)
		}
		u := s.account(address)
		if u.Account.MadeAt.IsZero() || u.Locale != "en" || len(u.Account.Addresses) != 1 {
			t.Errorf("the account is %+v", u)
		}
		if p.authorize("own").claims("own")["sub"] != claims["sub"] {
			t.Error("the browser is not signed in")
		}
		s.Advance(time.Hour)
		if again := s.person().authorize("own", "scope", "openid profile").proves(address).claims("own"); again["sub"] != claims["sub"] || again["name"] != "Anna Able" {
			t.Errorf("the next sign-in has %v", again)
		}
		if rows := s.rows(); rows['u'] != 1 || rows['x'] != 1 {
			t.Errorf("rows: %v", rows)
		}
	}
}

// The link of the mail makes the account in the browser of the sign-up. In another one it shows the code, and a scanner
// does nothing with it.
func TestSignUp_ByLink(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.person().authorize("own").post("join").details("Anna", annasMail).post("details")
	link := s.Sender(channel.Email).Last().Link
	for range 3 { // a scanner
		s.person().open(link)
		s.person().do(p.posted("/oidc/link", nil))
	}
	s.noAccount("after a scanner", annasMail)
	other := s.person().open(link).post("link")
	other.sees("Your code", s.codeTo(annasMail))
	s.noAccount("after the link in another browser", annasMail)
	p.post("code", "code", s.codeTo(annasMail))
	if p.claims("own")["email"] != annasMail {
		t.Error("the code that the other browser has shown makes no account")
	}

	s = open(t)
	p = s.person().authorize("own").post("join").details("Anna", annasMail).post("details")
	if claims := p.open(s.Sender(channel.Email).Last().Link).post("link").claims("own"); claims["email"] != annasMail {
		t.Errorf("the link in the same browser: %v", claims)
	}
}

// A person who signs in with an address that no account has gets a code, too, and can make the account then.
func TestSignUp_AfterASignIn(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.person().authorize("own", "scope", "openid phone profile").proves(annasNumber)
	p.sees("There's no account for +49******4567 yet.")
	s.noAccount("before the person wants one", annasNumber)
	p.post("signup", "name", "").sees("Enter your name").post("signup", "name", "Anna").sees("Is everything right?", annasNumber)
	if strings.Contains(p.text(), "We'll send a code") {
		t.Error("the number is proven, and the page asks for it again")
	}
	if p.post("details"); p.claims("own")["name"] != "Anna" || s.Sent() != 1 {
		t.Errorf("%d messages", s.Sent())
	}
}

// Whoever changes their mind types other details. A proof counts for its own address alone.
func TestSignUp_AnotherAddressThanTheProven(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.person().authorize("own").proves(annasNumber) // no account
	p.post("signup", "name", "Eve", "address", annasMail).sees("We'll send a code")
	s.noAccount("another address than the proven one", annasMail)
	p.post("details")
	s.noAccount("another address than the proven one", annasMail)
	if p.post("code", "code", s.codeTo(annasMail)); p.app == nil || s.account(annasMail).Account.Phone() != "" {
		t.Error("the account has an address that is not the one of its details")
	}
	s.noAccount("the address that was proven first", annasNumber)
}

// An app sends new people to the sign-up by prompt=create, if the service has one.
func TestSignUp_PromptCreate(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.give(annasNumber)
	p := s.person().authorize("own", "prompt", "create", "login_hint", annasMail)
	if p.field("address") != annasMail {
		t.Error("the hint is not in the field")
	}
	if p.details("Anna", annasMail).post("details").post("code", "code", s.codeTo(annasMail)); p.claims("own")["email"] != annasMail {
		t.Error("no account")
	}
	if p.authorize("own", "prompt", "create"); p.app != nil {
		t.Error("a person who is signed in gets no sign-up")
	}
	s.person().authorize("own", "prompt", "create").sees("Create an account").open("/oidc/.well-known/openid-configuration")
	if found := s.person().open("/oidc/.well-known/openid-configuration").body; !strings.Contains(found, `"prompt_values_supported":["none","login","consent","select_account","create"]`) {
		t.Error("discovery does not name it: " + found)
	}
	s.restart(func(c *config.Settings, _ *app.Parts) { c.SignIn.SignUp = false })
	s.person().authorize("own", "prompt", "create").sees("Sign in")
	if strings.Contains(s.person().open("/oidc/.well-known/openid-configuration").body, "prompt_values") {
		t.Error("discovery names a sign-up that is closed")
	}
}

// With closed sign-up there is no way to it, and no message to an address without an account.
func TestSignUp_Closed(t *testing.T) {
	t.Parallel()
	s := newService(t)
	p := s.person().authorize("own")
	if strings.Contains(p.body, "/oidc/signin/join") {
		t.Error("the page offers it")
	}
	request, page := p.requestField(), p.t()
	for _, form := range []string{"join", "signup", "details"} {
		if p.withForm("/oidc/signin/"+form, "t", page, "request", request, "name", "Anna", "address", annasNumber); p.status != http.StatusBadRequest {
			t.Errorf("%s: %d", form, p.status)
		}
		if form != "join" {
			if p.open("/oidc/signin/" + form + "?t=" + page); p.status != http.StatusGone {
				t.Errorf("GET %s: %d", form, p.status)
			}
		}
	}
	p.authorize("own").post("send", "address", annasNumber).post("code", "code", right(&guess{person: p, address: annasNumber}))
	if s.noAccount("closed", annasNumber); s.Sent() > 0 || p.app != nil {
		t.Error("somebody without an account gets a message, or in")
	}
	// closed in the middle
	s = open(t)
	p = s.person().authorize("own").post("join").details("Anna", annasNumber).post("details")
	s.restart(func(c *config.Settings, _ *app.Parts) { c.SignIn.SignUp = false })
	p.post("code", "code", s.codeTo(annasNumber))
	s.noAccount("closed meanwhile", annasNumber)
}

// The name has to be there, and one that hides or reorders text is refused. What the person typed stays.
func TestSignUp_Names(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.person().authorize("own").post("join")
	for _, name := range []string{"", "   ", strings.Repeat("x", 101), "a\u202eb", "\u3164", "x\x00y"} {
		if p.details(name, annasNumber).sees("Enter your name"); p.field("address") != annasNumber {
			t.Errorf("%q: the number is gone", name)
		}
	}
	for _, address := range []string{"", "+49 171", "anna@"} {
		if p.details("Anna <b>", address); p.where() != "/oidc/signin/signup" || p.field("name") != "Anna <b>" {
			t.Errorf("%q: %s %s", address, p.where(), p.text())
		}
	}
	p.details(strings.Repeat("ö", 100), annasNumber).sees("Is everything right?")
}

// A number that the service does not send to, and too many messages, are said where the person can do something about it.
func TestSignUp_Refusals(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *config.Settings) { c.Countries = map[string]bool{"DE": true} })
	p := s.person().authorize("own").post("join").details("Anna", "+14155550123").post("details").sees("We can't send codes to this number")
	if p.where() != "/oidc/signin/signup" || p.field("address") != "+14155550123" || p.field("name") != "Anna" {
		t.Errorf("another number cannot be typed: %s", p.text())
	}
	p.details("Anna", annasNumber).post("details").sees("Enter the code")
	p = s.person().authorize("own").post("join").details("Anna", annasNumber).post("details").sees("before you send it again")
	if p.where() != "/oidc/signin/details" {
		t.Errorf("the person cannot try again: %s", p.text())
	}
	s.Advance(time.Minute)
	p.post("details").sees("Enter the code")
}

// A person who signs up with the address of an account signs in to it, once it is proven, and changes nothing in it.
func TestSignUp_WithAnAccount(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.person().signsUp("own", "Anna", annasNumber).back()
	was := s.account(annasNumber)
	s.Advance(time.Hour)
	p := s.person().signsUp("own", "Eve", annasNumber)
	if is := s.account(annasNumber); p.claims("own")["sub"] != was.Account.Subject("own") || is.Account.Name != "Anna" || is.Name != was.Name {
		t.Errorf("the account is %+v", is.Account)
	}
	// One that does not suffice alone needs more.
	s.Advance(time.Hour)
	s.edit(annasNumber, func(u *user.User) { u.TOTP = anApp(s, 1) })
	s.Advance(longAgo)
	if p := s.person().signsUp("own", "Eve", annasNumber).sees("One more step"); p.app != nil {
		t.Error("a stale number signs in")
	}
}

// An address that the operator gave to somebody's account makes no other account. The page says so to whoever has
// proven it.
func TestSignUp_AddressOfAnotherAccount(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.give(annasNumber, annasMail)
	s.person().authorize("own").proves(annasNumber).back()
	s.person().signsUp("own", "Eve", annasMail).sees("belongs to another account")
	s.noAccount("given to another account", annasMail)
	if rows := s.rows(); rows['u'] != 1 {
		t.Errorf("rows: %v", rows)
	}
	s.Advance(31 * day) // nobody has proven it: it is free
	s.person().signsUp("own", "Anna", annasMail).back()
	if s.account(annasMail).Name == s.account(annasNumber).Name {
		t.Error("not an account of its own")
	}
}

// Many sign-ups with one address make one account, over two processes, in one browser or in several.
func TestSignUp_AtOnce(t *testing.T) {
	t.Parallel()
	for what, same := range map[string]bool{"one browser": true, "several browsers": false} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			s.another()
			var people []*person
			one := s.person().authorize("own").proves(annasNumber).post("signup", "name", "Anna")
			for range 6 {
				p := one.asSame()
				p.at, p.body = one.at, one.body
				if !same && len(people) == 4 { // five messages a day
					break
				}
				if !same {
					s.Advance(time.Minute)
					p = s.person().authorize("own").proves(annasNumber).post("signup", "name", "Anna")
				}
				people = append(people, p)
			}
			var jobs []func()
			for _, p := range people {
				jobs = append(jobs, func() { p.post("details") })
			}
			rig.AtOnce(jobs...)
			subjects, in := make(map[any]bool), 0
			for _, p := range people {
				if p.app == nil && p.where() == "/oidc/signin/details" { // somebody was faster at that moment
					p.post("details")
				}
				if p.app != nil && p.app.Query().Get("code") != "" {
					in++
					subjects[p.claims("own")["sub"]] = true
				}
			}
			if rows := s.rows(); rows['u'] != 1 || rows['x'] != 1 || len(subjects) != 1 || in == 0 || !same && in != len(people) {
				t.Errorf("%d of %d are in, as %d people; rows %v", in, len(people), len(subjects), rows)
			}
		})
	}
}

// A sign-up that races the erasure of an account with its address makes one account or none, which its address opens.
func TestSignUp_WhileTheAddressIsErased(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		s := open(t)
		s.person().signsUp("own", "Anna", annasNumber).back()
		s.Advance(time.Hour)
		p := s.person().authorize("own").post("join").details("Anna", annasNumber).post("details")
		before, code := s.Table.Calls(), s.codeTo(annasNumber)
		var once sync.Once
		erased := false
		s.Table.Before(func(rig.Call) error {
			if s.Table.Calls()-before == n {
				once.Do(func() {
					s.Table.Before(nil)
					s.erase(annasNumber)
					erased = true
				})
			}
			return nil
		})
		p.post("code", "code", code)
		s.Table.Before(nil)
		if !erased {
			if n < 5 {
				t.Errorf("only %d steps", n)
			}
			return
		}
		if p.app != nil && p.app.Query().Get("code") != "" && !strings.HasPrefix(p.app.String(), "https://own.example/callback?") {
			t.Errorf("step %d: at %s", n, p.app)
		}
		s.purge(2 * day) // what limits have to know of an erased account ends
		if rows := s.rows(); rows['u'] > 1 || rows['x'] > 1 {
			t.Errorf("step %d: rows %v", n, rows)
		}
		s.person().signsUp("own", "Anna again", annasNumber).back()
		if u := s.account(annasNumber); u.Account.MadeAt.IsZero() {
			t.Errorf("step %d: %+v", n, u.Account)
		}
		s.purge(2 * day)
		if rows := s.rows(); rows['u'] != 1 || rows['x'] != 1 {
			t.Errorf("step %d, a sign-up later: rows %v", n, rows)
		}
	}
}

// A sign-up that is abandoned at any step leaves no account, and after the purge no row.
func TestSignUp_Abandoned(t *testing.T) {
	t.Parallel()
	steps := []func(p *person){
		func(p *person) { p.authorize("own") },
		func(p *person) { p.post("join") },
		func(p *person) { p.details("Anna", annasNumber) },
		func(p *person) { p.post("details") },
		func(p *person) { p.post("code", "code", "000000") },
		func(p *person) { p.post("help") },
		func(p *person) { p.Advance(time.Minute); p.post("resend") },
		func(p *person) { p.post("cancel") },
	}
	for last := range steps {
		s := open(t)
		p := s.person()
		for _, step := range steps[:last+1] {
			step(p)
		}
		s.noAccount(fmt.Sprint("after step ", last), annasNumber)
		if rows := s.rows(); rows['u']+rows['x'] > 0 {
			t.Errorf("step %d leaves %v", last, rows)
		}
		s.purge(40 * day)
		if rows := s.rows(); len(rows) > 0 {
			t.Errorf("step %d leaves %v for ever", last, rows)
		}
	}
	// with a proof, and without a name
	s := open(t)
	s.person().authorize("own").proves(annasNumber)
	if rows := s.rows(); rows['u']+rows['x'] > 0 {
		t.Errorf("a proof leaves %v", rows)
	}
}

// Whichever storage call of a sign-up fails, and whether it took effect, there is one account or none, the person can go
// on on the page that they see, and a row of an account that nobody can reach ends by itself.
func TestSignUp_StorageFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]rig.Fault{"down": rig.Down, "lost": rig.Lost} {
		for n := 1; ; n++ {
			s := open(t)
			p := s.person().authorize("own").post("join").details("Anna", annasNumber).post("details")
			code := s.codeTo(annasNumber)
			s.Table.Break(rig.FaultAt(n, fault))
			p.post("code", "code", code)
			calls := s.Table.Calls()
			s.Table.Break(nil)
			if calls < n {
				break
			}
			for i := 0; i < 4 && p.app == nil; i++ {
				s.Advance(time.Minute)
				switch {
				case strings.Contains(p.body, `action="/oidc/signin/details"`):
					p.post("details")
				case strings.Contains(p.body, `id="code"`):
					p.post("code", "code", code)
				case strings.Contains(p.body, `action="/oidc/signin/new"`):
					p.post("new")
					code = s.codeTo(annasNumber)
				case strings.Contains(p.body, `id="address"`):
					p.post("send", "address", annasNumber)
					code = s.codeTo(annasNumber)
				}
			}
			if p.app == nil || p.app.Query().Get("code") == "" && p.app.Query().Get("error") != "temporarily_unavailable" {
				t.Errorf("%s at call %d: the person is not in: %s %s", name, n, p.where(), p.text())
				continue
			}
			if rows := s.rows(); rows['u'] != 1 || rows['x'] != 1 || s.account(annasNumber).Account.Name != "Anna" {
				t.Errorf("%s at call %d: rows %v", name, n, rows)
			}
		}
	}
}

// With open sign-up nobody learns who has an account either: everybody gets a code, and sees the same until they have
// typed it.
func TestR23_NoEnumeration_OpenSignUp(t *testing.T) {
	t.Parallel()
	for _, address := range []string{annasNumber, annasMail} {
		var told [3][]string
		for i := range told {
			s := open(t)
			s.Set(fixture.Noon.Add(-longAgo))
			if i > 0 {
				s.give(address)
			}
			if i == 2 {
				s.person().authorize("own").proves(address)
			}
			s.Set(fixture.Noon)
			s.waits()
			told[i] = s.tries(address, wrong, func(int) {})
		}
		for i, unknown := range told[0] {
			for _, known := range told[1:] {
				if len(known) != len(told[0]) || known[i] != unknown {
					t.Fatalf("%s, step %d, with an account:\n%s\nwithout:\n%s", address, i, known[i], unknown)
				}
			}
		}
	}
}

// A test number makes no account, unless the app takes test numbers.
func TestR29_SignUpWithATestNumber(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *config.Settings) {
		c.TestNumbers = otp.TestNumbers{Scenarios: map[string]otp.Scenario{annasNumber: {Ending: otp.EndsDelivered, Code: "424242"}}, Until: fixture.Noon.Add(day)}
	})
	p := s.person().authorize("own").post("join").details("Eve", annasNumber).post("details").post("code", "code", "424242")
	if s.noAccount("a test number", annasNumber); p.app != nil {
		t.Error("a test number signs up")
	}
}

// The main job: a new person signs up by mail, adds a number, signs in by it together with a code to the mail, and a day
// later by it alone.
func TestSignUp_TheMainJob(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.person().signsUp("own", "Anna Able", annasMail)
	sub := p.claims("own")["sub"]
	s.Advance(time.Minute)
	at := s.Now()
	p.open("/oidc/account").post("phone").proves(annasNumber).sees("Can't be used alone to sign in until tomorrow")
	p.open("/oidc/account").post("everywhere")
	for _, age := range []time.Duration{time.Hour, day - time.Second, day + time.Minute} {
		alone := age > day
		s.Set(at.Add(age))
		q := s.person().authorize("own", "scope", "openid profile phone email").proves(annasNumber)
		if alone != (q.app != nil) {
			t.Errorf("after %v the number alone signs in: %t", age, !alone)
		}
		if !alone {
			q.sees("One more step").post("more").post("code", "code", s.codeTo(annasMail))
		}
		claims := q.claims("own")
		if claims["sub"] != sub || claims["phone_number"] != annasNumber || claims["email"] != annasMail || claims["name"] != "Anna Able" || claims["acr"] != "urn:twofa:acr:1" { // the number is new
			t.Errorf("after %v: %v", age, claims)
		}
	}
}
