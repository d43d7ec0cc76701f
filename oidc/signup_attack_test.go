package oidc_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
)

// A stranger who signs up with an address that the operator gave to somebody's account, by mistake perhaps, changes
// nothing of that account, and can type another address.
func TestR23_SignUpChangesNoOtherAccount(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.give(annasNumber, annasMail)
	s.signedIn(annasNumber)
	was := s.account(annasNumber)
	s.Advance(time.Hour)
	p := s.person().authorize("own", "ui_locales", "de").post("join").details("Eve", annasMail).post("details")
	p.post("code", "code", s.codeTo(annasMail)).sees("gehört zu einem anderen Konto")
	if is := s.account(annasNumber); is.Account.Name != "" || is.Locale != was.Locale || !reflect.DeepEqual(is, was) {
		t.Errorf("the account has the name %q and the locale %q:\n%+v\nbefore:\n%+v", is.Account.Name, is.Locale, is, was)
	}
	if strings.Contains(p.text(), "noch kein Konto") || p.field("address") != annasMail || p.field("name") != "Eve" {
		t.Error("the page offers no other address: " + p.text())
	}
	p.details("Eve", "eve@example.com").post("details").post("code", "code", s.codeTo("eve@example.com"))
	if p.claims("own")["email"] != "eve@example.com" {
		t.Error("another address makes no account")
	}
	s.Advance(time.Hour)
	if claims := s.person().authorize("own", "scope", "openid profile").proves(annasNumber).claims("own"); claims["name"] != nil {
		t.Errorf("the app gets the name %v", claims["name"])
	}
}

// A code alone makes no account: the person has to have confirmed the details as they are.
func TestSignUp_DetailsHaveToBeConfirmed(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.person().authorize("own").post("join").details("Anna", annasNumber).sees("Is everything right?")
	p.open(p.link("/oidc/signin/signup")) // to change them
	p.open(p.link("/oidc/signin/address")).proves(annasNumber)
	s.noAccount("details that were typed", annasNumber)
	p.sees("Is everything right?", "Anna").post("details").back()

	s.Advance(day)
	p = s.person().authorize("own").post("join").details("Bob", annasMail).post("details")
	page, code := p.t(), s.codeTo(annasMail)
	p.open("/oidc/signin/signup?t="+page).details("Rob", annasMail)
	p.withForm("/oidc/signin/code", "t", page, "code", code)
	s.noAccount("another name than the confirmed one", annasMail)
	p.sees("Is everything right?", "Rob").post("details").back()
	if name := s.account(annasMail).Account.Name; name != "Rob" {
		t.Errorf("the account has the name %q", name)
	}
}

// In another tab, a person changes the address of the details. The code of the one address makes no account with the
// other one.
func TestSignUp_AnotherAddressInAnotherTab(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.person().authorize("own").post("join").details("Anna", annasNumber).post("details")
	page := p.t()
	tab := p.asSame().open("/oidc/signin/signup?t="+page).details("Eve", annasMail)
	p.withForm("/oidc/signin/code", "t", page, "code", s.codeTo(annasNumber))
	tab.post("details")
	for _, address := range []string{annasNumber, annasMail} {
		s.noAccount("confirmed or proven, and not both", address)
	}
	tab.post("code", "code", s.codeTo(annasMail)).back()
	if name := s.account(annasMail).Account.Name; name != "Eve" {
		t.Errorf("the account has the name %q", name)
	}
	s.noAccount("the address of before", annasNumber)
}

// However long a person types, they learn what is wrong.
func TestSignUp_LongDetails(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, address := range []string{strings.Repeat("x", 310) + "@", strings.Repeat("\u00e9", 155) + "@"} {
		s.person().authorize("own").post("join").details(strings.Repeat("\U0001F600", 100), address).sees("There is a problem")
	}
}

// Where an app wants a person who has signed in lately, one who took their time for a sign-up, or for an address that
// the app requires, signs in once more.
func TestSignUp_MaxAge(t *testing.T) {
	t.Parallel()
	for what, slow := range map[string]func(s *service) *person{
		"a sign-up": func(s *service) *person {
			p := s.person().authorize("own", "max_age", "60").proves(annasMail).sees("There's no account")
			s.Advance(4 * time.Minute)
			return p.post("signup", "name", "Anna").post("details")
		},
		"a required address": func(s *service) *person {
			s.give(annasNumber)
			p := s.person().authorize("own", "max_age", "60").proves(annasNumber).sees("Add an e-mail address")
			s.Advance(4 * time.Minute)
			p.post("send", "address", annasMail)
			s.Advance(2 * time.Minute)
			return p.post("code", "code", s.codeTo(annasMail))
		},
	} {
		s := requiring(t)
		address := annasMail
		p := slow(s)
		if _, has := s.account(annasMail).Account.Find(annasNumber); has {
			address = annasNumber // the mail is new, and does not sign in alone
		}
		if p.app != nil {
			age := s.Now().Unix() - int64(p.claims("own")["auth_time"].(float64))
			t.Errorf("%s: the app gets a person who has signed in %d seconds ago", what, age)
			continue
		}
		s.Advance(time.Minute)
		if claims := p.sees("Sign in").proves(address).claims("own"); claims["auth_time"] != float64(s.Now().Unix()) || claims["email"] != annasMail {
			t.Errorf("%s: after another sign-in: %v", what, claims)
		}
	}
}

// A double click makes one account, and the person goes on to what the app requires.
func TestSignUp_DoubleClick(t *testing.T) {
	t.Parallel()
	s := requiring(t)
	p := s.person().authorize("own").proves(annasNumber).post("signup", "name", "Anna")
	path, form := p.form("details")
	for range 3 {
		p.do(p.posted(path, form)).sees("Add an e-mail address")
	}
	p.post("send", "address", annasMail)
	path, form = p.form("code")
	form.Set("code", s.codeTo(annasMail))
	for range 3 {
		if p.do(p.posted(path, form)); p.claims("own")["email"] != annasMail {
			t.Error("no mail")
		}
	}
	if rows := s.rows(); rows['u'] != 1 || rows['x'] != 2 {
		t.Errorf("rows: %v", rows)
	}
}

// A person who is asked for consent can sign up as somebody else, in the same browser. The app gets the new person, and
// nothing of the first one.
func TestSignUp_InsteadOfAConsent(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.give(annasNumber)
	p := s.signedIn(annasNumber)
	s.Advance(time.Minute)
	_, form := p.authorize("web").sees("would like to know who you are").form("allow")
	p.withForm("/oidc/signin/join", "t", form.Get("t"), "request", form.Get("request"))
	p.details("Bob", annasMail).post("details").post("code", "code", s.codeTo(annasMail)).sees("would like to know who you are")
	if claims := p.post("allow").claims("web"); claims["email"] != annasMail || claims["phone_number"] != nil {
		t.Errorf("%v", claims)
	}
}

// A page that says Sign in signs in, also if it is one of a sign-in in which an address is to be added: what is typed
// there never becomes an address of the person before.
func TestR23_Require_ASignInPageSignsIn(t *testing.T) {
	t.Parallel()
	for what, has := range map[string]bool{"with an account": true, "without": false} {
		s := requiring(t)
		s.give(annasNumber)
		const bobsMail = "bob@example.com"
		if has {
			s.person().signsUp("spa", "Bob", bobsMail).back()
			s.Advance(time.Minute)
		}
		p := s.person().authorize("own").post("send", "address", annasNumber)
		page := p.t()
		p.post("code", "code", s.codeTo(annasNumber)).sees("Add an e-mail address")
		p.open("/oidc/signin/address?t=" + page).sees("Sign in")
		if strings.Contains(p.text(), "Add an e-mail address") {
			t.Fatal("the page is not one of before")
		}
		p.proves(bobsMail)
		if mail := s.account(annasNumber).Account.Email(); mail != "" {
			t.Errorf("%s: %s is added to the account of the person before", what, mail)
		}
		if !has {
			p.sees("There's no account for").post("signup", "name", "Bob").post("details")
		}
		if claims := p.claims("own"); claims["email"] != bobsMail || claims["phone_number"] != nil {
			t.Errorf("%s: the app gets %v", what, claims)
		}
	}
}

// The link of the mail adds the address in the browser of the sign-in, and in no other.
func TestRequire_ByLink(t *testing.T) {
	t.Parallel()
	s := requiring(t)
	s.give(annasNumber)
	p := s.person().authorize("own").proves(annasNumber).post("send", "address", annasMail)
	link := s.Sender(channel.Email).Last().Link
	s.person().open(link).post("link").sees("Your code")
	if mail := s.account(annasNumber).Account.Email(); mail != "" {
		t.Error("another browser adds the address")
	}
	if claims := p.open(link).post("link").claims("own"); claims["email"] != annasMail || claims["phone_number"] != annasNumber {
		t.Errorf("the link adds no address: %v", claims)
	}
}

// Who goes back after an address was added gets no second code for the app, where the browser has no session.
func TestAttack41_Require_GoingBack(t *testing.T) {
	t.Parallel()
	for what, tc := range map[string]struct {
		shared  string
		session time.Duration
	}{
		"on a shared device": {"yes", time.Hour},
		"without sessions":   {"", 0},
	} {
		s := requiring(t, func(c *config.Settings) { c.SignIn.Session = tc.session })
		s.give(annasNumber)
		p := s.person().authorize("own").post("send", "address", annasNumber)
		pages := []string{p.t()}
		p.post("code", "code", s.codeTo(annasNumber), "shared", tc.shared).sees("Add an e-mail address")
		pages = append(pages, p.post("send", "address", annasMail).t())
		if strings.Contains(p.body, `name="shared"`) {
			t.Errorf("%s: asked a second time whether it is one", what)
		}
		code := s.codeTo(annasMail)
		p.post("code", "code", code).back()
		if p.in() {
			t.Errorf("%s: signed in", what)
		}
		for _, age := range []time.Duration{0, 10 * time.Minute} {
			s.Advance(age)
			for i, page := range pages {
				for _, form := range []string{"code", "details", "allow"} {
					if p.withForm("/oidc/signin/"+form, "t", page, "code", code); p.app != nil && p.app.Query().Get("code") != "" {
						t.Errorf("%s: a second code by page %d and form %s", what, i, form)
					}
				}
			}
		}
	}
}

// An older page on which an address was added is used for a sign-in. It tells of an address with an account what it
// tells of one without, whatever becomes of the message.
func TestR23_NoEnumeration_APageOfAnAddition(t *testing.T) {
	t.Parallel()
	const eves = "+491711234511"
	for name, outcome := range map[string]error{
		"accepted":       nil,
		"undeliverable":  failure(otp.OutcomeUndeliverable, otp.NextChannel, false),
		"no such number": failure(otp.OutcomeInvalidAddress, otp.NextAddress, false),
		"refused":        failure(otp.OutcomeRefused, otp.NextNone, false),
		"unavailable":    failure(otp.OutcomeUnavailable, otp.NextChannel, false),
	} {
		for _, address := range []string{annasNumber, annasMail} {
			var told [2][]string
			for i := range told {
				s := newService(t, func(c *config.Settings) {
					c.Clients = clientsOf(t, strings.Replace(apps, `"brand": "Own"`, `"brand": "Own", "require": ["email"]`, 1))
				})
				s.give(eves)
				if i == 1 {
					s.give(address)
				}
				g := s.guesses(address, wrong)
				g.authorize("own").proves(eves).sees("Add an e-mail address")
				page := g.t
				g.post("send", "address", "eve@example.com").post("code", "code", s.codeTo("eve@example.com")).back()
				s.Advance(time.Minute)
				sent := s.Sent()
				s.always(outcome)
				g.t, g.told = page, nil
				g.sends("submit", "send", "address", address)
				g.sends("help", "help")
				s.Advance(time.Minute)
				g.sends("resend", "resend")
				g.looks("help")
				g.sends("code", "code", "code", wrong(g))
				s.Advance(time.Minute)
				g.sends("new", "new")
				g.looks("")
				if told[i] = g.told; i == 0 && s.Sent() > sent || len(g.told) < 7 {
					t.Errorf("%s: %d answers, %d messages", name, len(g.told), s.Sent()-sent)
				}
			}
			for i, unknown := range told[0] {
				if len(told[1]) <= i || told[1][i] != unknown {
					t.Fatalf("%s, %s, step %d, with an account:\n%v\nwithout:\n%s", name, address, i, told[1][min(i, len(told[1])-1)], unknown)
				}
			}
		}
	}
}

// withTestNumber is a service with a test number for a day. The app spa takes test numbers, own requires a number and
// does not take test numbers, and there is an account that has added it in spa.
func withTestNumber(t *testing.T) *service {
	t.Helper()
	s := open(t, func(c *config.Settings) {
		c.TestNumbers = otp.TestNumbers{Scenarios: map[string]otp.Scenario{stranger: {Ending: otp.EndsDelivered, Code: "424242"}}, Until: fixture.Noon.Add(day)}
		list := strings.Replace(apps, `"brand": "Own"`, `"brand": "Own", "require": ["phone"]`, 1)
		c.Clients = clientsOf(t, strings.Replace(list, `"public": true`, `"public": true, "test_numbers": true`, 1))
	})
	p := s.person().signsUp("spa", "Eve", annasMail)
	p.back()
	p.open("/oidc/account").post("phone").post("send", "address", stranger).post("code", "code", "424242").sees("Your change is saved")
	if claims := p.authorize("spa").claims("spa"); claims["phone_number"] != stranger {
		t.Fatalf("the app that takes test numbers gets %v", claims)
	}
	return s
}

// A test number is not the number that an app requires, unless the app takes test numbers.
func TestR29_Require_ATestNumber(t *testing.T) {
	t.Parallel()
	s := withTestNumber(t)
	s.Advance(time.Minute)
	p := s.person().authorize("own").proves(annasMail).sees("Add a phone number")
	p.post("send", "address", stranger).post("code", "code", "424242")
	if p.app != nil {
		t.Fatalf("a test number suffices: %v", p.app)
	}
	s.Advance(time.Minute)
	p.open("/oidc/signin/address?t="+p.t()).post("send", "address", annasNumber).post("code", "code", s.codeTo(annasNumber))
	if claims := p.claims("own"); claims["phone_number"] != annasNumber || claims["phone_number_verified"] != true {
		t.Errorf("%v", claims)
	}
}

// A number that was proven as a test number is nobody's identity after the test numbers have ended, until somebody has
// proven it by a message.
func TestR29_ATestNumberOfThePast(t *testing.T) {
	t.Parallel()
	s := withTestNumber(t)
	s.Advance(2 * day)
	if claims := s.person().authorize("web").proves(annasMail).post("allow").claims("web"); claims["phone_number"] != nil || claims["phone_number_verified"] != nil {
		t.Errorf("nobody has proven the number: %v", claims)
	}
	s.Advance(time.Hour)
	s.person().authorize("own").proves(annasMail).sees("Add a phone number")
	s.Advance(time.Hour)
	if claims := s.person().authorize("web").proves(stranger).claims("web"); claims["phone_number"] != stranger || claims["phone_number_verified"] != true {
		t.Errorf("after a proof by a message: %v", claims)
	}
}

// A person who signs out in another tab, while they add an address, is at the sign-in again, and gets on.
func TestRequire_SignedOutMeanwhile(t *testing.T) {
	t.Parallel()
	s := requiring(t)
	s.give(annasNumber)
	p := s.person().authorize("own").proves(annasNumber).sees("Add an e-mail address").post("send", "address", annasMail)
	p.asSame().open("/oidc/account").post("signout")
	p.post("code", "code", s.codeTo(annasMail)).sees("Sign in")
	if mail := s.account(annasNumber).Account.Email(); mail != "" || p.in() {
		t.Error("an address is added after the person has signed out")
	}
	if rows := s.rows(); rows['x'] != 1 {
		t.Errorf("rows: %v", rows)
	}
	s.Advance(time.Minute)
	p = s.person().authorize("own").proves(annasNumber).post("send", "address", annasMail)
	p.asSame().open("/oidc/account").post("signout")
	p.post("code", "code", s.codeTo(annasMail)).sees("Sign in")
	s.Advance(time.Minute)
	p.proves(annasNumber).sees("Add an e-mail address")
	s.Advance(time.Minute)
	if p.proves(annasMail); p.claims("own")["email"] != annasMail {
		t.Error("not added after another sign-in")
	}
}

// A mail can take long: the address is added as long as its code lives. The sign-in has to be fresh when the code is
// asked for.
func TestRequire_ASlowMail(t *testing.T) {
	t.Parallel()
	s := requiring(t)
	p := s.person().signsUp("own", "Anna", annasNumber).sees("Add an e-mail address")
	s.Advance(4 * time.Minute)
	p.post("send", "address", annasMail)
	s.Advance(8 * time.Minute)
	if claims := p.post("code", "code", s.codeTo(annasMail)).claims("own"); claims["email"] != annasMail {
		t.Errorf("%v", claims)
	}

	s = requiring(t)
	p = s.person().signsUp("own", "Anna", annasNumber).sees("Add an e-mail address")
	s.Advance(6 * time.Minute)
	p.post("send", "address", annasMail).post("code", "code", s.codeTo(annasMail)).sees("Sign in")
	if mail := s.account(annasNumber).Account.Email(); mail != "" {
		t.Error("an old proof adds an address")
	}
}

// After too many changes of an account on one day, the person sees how long to wait where they are, and nothing is left
// of the address.
func TestRequire_TooManyChanges(t *testing.T) {
	t.Parallel()
	s := requiring(t)
	s.give(annasNumber)
	p := s.signedInTo("spa", annasNumber)
	change := func() string {
		s.Advance(time.Second)
		if p.open("/oidc/account").post("factors"); strings.Contains(p.body, `class="key"`) {
			p.post("app", "code", codeOf(t, p.key(), s.Now()))
		} else {
			p.post("remove")
		}
		return p.post("save").text()
	}
	for i := range 10 {
		if said := change(); !strings.Contains(said, "Your change is saved") {
			t.Fatalf("change %d: %s", i, said)
		}
	}
	if said := change(); !strings.Contains(said, "too many changes for now. Try again in 24 h.") || p.where() != "/oidc/account/factors" {
		t.Errorf("a change of apps: %s %s", p.where(), said)
	}
	s.Advance(time.Minute)
	rows := s.rows()
	p = s.person().authorize("own").proves(annasNumber).sees("Add an e-mail address")
	p.proves(annasMail).sees("Add an e-mail address", "too many changes for now. Try again in 24 h.")
	if p.where() != "/oidc/signin/address" {
		t.Errorf("the person is at %s", p.where())
	}
	s.noAccount("not added", annasMail)
	s.purge(day)
	if is := s.rows(); is['x'] != rows['x'] || is['u'] != rows['u'] {
		t.Errorf("rows: %v, before %v", is, rows)
	}
	p = s.person().authorize("own").proves(annasNumber).proves(annasMail)
	if claims := p.claims("own"); claims["email"] != annasMail {
		t.Errorf("a day later: %v", claims)
	}
}

// Whichever storage call of the code of a required address fails, and whether it took effect: the person gets on from
// what they see, or the app learns that it can try again. There is one account, with one address of each kind.
func TestAttack16_Require_StorageFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]rig.Fault{"down": rig.Down, "lost": rig.Lost} {
		for _, shared := range []string{"", "yes"} {
			t.Run(name+", shared: "+shared, func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n++ {
					s := requiring(t)
					s.give(annasNumber)
					p := s.person().authorize("own").post("send", "address", annasNumber)
					p.post("code", "code", s.codeTo(annasNumber), "shared", shared).post("send", "address", annasMail)
					code := s.codeTo(annasMail)
					s.Table.Break(rig.FaultAt(n, fault))
					p.post("code", "code", code)
					calls := s.Table.Calls()
					s.Table.Break(nil)
					if calls < n {
						if n < 10 {
							t.Errorf("only %d calls", n)
						}
						break
					}
					if what := fmt.Sprint("call ", n); p.status == http.StatusInternalServerError {
						t.Errorf("%s: %s", what, p.text())
					} else {
						p.getsOn(what)
					}
					u := s.account(annasNumber)
					if rows := s.rows(); rows['u'] != 1 || rows['x'] != 2 || len(u.Account.Addresses) != 2 || u.Account.Email() != annasMail || s.account(annasMail).Name != u.Name {
						t.Errorf("call %d: rows %v, addresses %v", n, rows, u.Account.Addresses)
					}
				}
			})
		}
	}
}

// getsOn goes on after a fault while a required mail was added, until the app has a person with it.
func (p *person) getsOn(what string) {
	p.TB.Helper()
	asked := annasMail // the address that the last code went to
	for range 6 {
		p.Advance(20 * time.Second)
		switch {
		case p.app != nil && p.app.Query().Get("code") != "":
			if claims := p.claims("own"); claims["email"] != annasMail || claims["phone_number"] != annasNumber {
				p.TB.Errorf("%s: the claims are %v", what, claims)
			}
			return
		case p.app != nil && p.app.Query().Get("error") == "temporarily_unavailable": // the app tries again
			p.Advance(time.Minute)
			p.authorize("own")
		case p.app != nil:
			p.TB.Fatalf("%s: the app gets %s", what, p.app)
		case strings.Contains(p.body, `id="code"`):
			p.post("code", "code", p.codeTo(asked))
		case strings.Contains(p.body, `action="/oidc/signin/new"`):
			p.post("new")
		case strings.Contains(p.text(), "Add an e-mail address"):
			asked = annasMail
			p.post("send", "address", asked)
		case strings.Contains(p.body, `id="address"`):
			asked = annasNumber
			p.post("send", "address", asked)
		default:
			p.TB.Fatalf("%s: the person cannot go on: %d %s %s", what, p.status, p.where(), p.text())
		}
	}
	p.TB.Fatalf("%s: the person does not come to the app: %d %s %s", what, p.status, p.where(), p.text())
}

// In a known browser of his own, a stranger tries a code of Anna's in the moment in which it was begun, and his page is
// still that of his own address. The limit of wrong codes from one place holds there, too.
func TestAttack22_ACodeThatIsBeginning(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	s.give(stranger)
	eve := s.signedIn(stranger)
	s.Advance(2 * time.Hour)
	x := s.person()
	x.networks = eve.networks
	for i := range 8 { // the wrong codes that one place has
		if x.authorize("own").post("send", "address", fmt.Sprintf("+49171123400%d1", i)); x.where() != "/oidc/signin" {
			break
		}
		for range 5 {
			x.withForm("/oidc/signin/code", "t", x.t(), "code", "000000")
		}
	}
	x.sees("Too many wrong codes")
	page := eve.authorize("own").post("send", "address", stranger).t()
	tab, tried := eve.asSame(), false
	tab.networks = eve.networks
	s.Table.Before(func(rig.Call) error {
		if tried || s.codeTo(annasNumber) == "" {
			return nil
		}
		tried = true
		s.Table.Before(nil)
		tab.withForm("/oidc/signin/code", "t", page, "code", "000000")
		return nil
	})
	eve.open("/oidc/signin/address?t="+page).post("send", "address", annasNumber)
	s.Table.Before(nil)
	row := s.Recipient(annasNumber)
	if v := row.Verifications[len(row.Verifications)-1]; !tried || strings.Contains(tab.text(), "That code isn't right") || v.Checks > 0 {
		t.Errorf("tried: %t, %d wrong codes: %s", tried, v.Checks, tab.text())
	}
	if tab.withForm("/oidc/signin/code", "t", eve.t(), "code", s.codeTo(annasNumber)).sees("Too many wrong codes"); tab.app != nil {
		t.Error("the limit does not hold afterwards")
	}
}

// A number that is proven by a message, after it was a test number, is one that the app gets.
func TestR29_ATestNumberThatIsProvenAgain(t *testing.T) {
	t.Parallel()
	s := withTestNumber(t)
	s.Advance(2 * day)
	p := s.person().authorize("own").proves(annasMail).sees("Add a phone number").proves(stranger)
	if claims := p.claims("own"); claims["phone_number"] != stranger {
		t.Errorf("%v", claims)
	}
}

// A session that was made by a test number is none for an app that takes none, also after the test numbers have ended.
func TestR29_ASessionByATestNumber(t *testing.T) {
	t.Parallel()
	s := withTestNumber(t)
	s.Advance(day - 20*time.Minute)
	p := s.person().authorize("spa").post("send", "address", stranger).post("code", "code", "424242")
	p.back()
	s.Advance(30 * time.Minute)
	p.authorize("web").sees("Sign in")
}
