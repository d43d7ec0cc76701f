package oidc_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/testing/rig"
)

// Many requests over two processes exchange a code once. What it gave ends, because all but one of them are thieves.
func TestAttack31_FiftyExchangesOfOneCode(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.another()
	s.give(annasNumber)
	p := s.signedIn(annasNumber).authorize("own")
	code := p.back().Get("code")
	var mu sync.Mutex
	var tokens []string
	statuses := map[int]int{}
	rig.AtOnce(rig.Times(50, func(int) {
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {asks("own").Get("redirect_uri")}, "code_verifier": {verifier}}
		r, _ := http.NewRequest(http.MethodPost, s.URL+"/oidc/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("own", secretOf+"web")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		var fields map[string]any
		_ = json.NewDecoder(res.Body).Decode(&fields)
		mu.Lock()
		defer mu.Unlock()
		if statuses[res.StatusCode]++; fields["access_token"] != nil {
			tokens = append(tokens, fmt.Sprint(fields["access_token"]))
			s.Secret("an access token", fmt.Sprint(fields["access_token"]))
		}
	})...)
	if len(tokens) != 1 || statuses[http.StatusOK] != 1 || statuses[http.StatusBadRequest] != 49 {
		t.Errorf("%d sets of tokens, statuses %v", len(tokens), statuses)
	}
	r, _ := http.NewRequest(http.MethodGet, s.URL+"/oidc/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+tokens[0])
	if res, err := http.DefaultClient.Do(r); err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the token lives: %v %v", res, err)
	}
}

// Two people who hold one address that was given, at once and over two processes, get one account.
func TestR23_TwoFirstSignInsMakeOneAccount(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.another()
	s.give(annasNumber, annasMail)
	var people []*person
	for range 4 {
		people = append(people, s.person().authorize("own").post("send", "address", annasNumber))
		s.Advance(time.Minute)
	}
	codes := []string{}
	for _, m := range s.Sender(channel.WhatsApp).Sent() {
		codes = append(codes, m.Code)
	}
	rig.AtOnce(rig.Times(len(people), func(i int) { people[i].post("code", "code", codes[i]) })...)
	subjects := map[any]int{}
	for _, p := range people {
		subjects[p.claims("own")["sub"]]++
	}
	u := s.account(annasNumber)
	if len(subjects) != 1 || len(u.Account.Browsers) != len(people) || len(u.Account.Addresses) != 2 {
		t.Errorf("%d subjects, %d sessions, %+v", len(subjects), len(u.Account.Browsers), u.Account.Addresses)
	}
}

// Two accounts that claim one new address at once: one gets it.
func TestR23_TwoClaimsOfOneAddress(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.another()
	s.give(annasNumber)
	s.give(stranger)
	var people []*person
	for _, number := range []string{annasNumber, stranger} {
		people = append(people, s.signedIn(number).open("/oidc/account").post("email").post("send", "address", annasMail))
		s.Advance(time.Minute)
	}
	mails := s.Sender(channel.Email).Sent()
	rig.AtOnce(rig.Times(2, func(i int) { people[i].post("code", "code", mails[i].Code) })...)
	owners := 0
	for _, number := range []string{annasNumber, stranger} {
		if s.account(number).Account.Email() == annasMail {
			owners++
		}
	}
	if owners != 1 {
		t.Errorf("%d accounts have the address", owners)
	}
	s.account(annasMail)
}

// A sign-in that runs beside an erasure gives nobody tokens of an account that is gone.
func TestR23_ASignInBesideAnErasure(t *testing.T) {
	t.Parallel()
	for n := range 12 {
		s := newService(t)
		s.another()
		s.give(annasNumber)
		s.signedIn(annasNumber)
		s.Advance(time.Minute)
		anna := s.signedIn(annasNumber).open("/oidc/account").post("erase")
		s.Advance(time.Minute)
		p := s.person().authorize("own").post("send", "address", annasNumber)
		code := s.codeTo(annasNumber)
		if n == 0 {
			anna.post("erased")
			p.post("code", "code", code)
		} else {
			rig.AtOnce(func() { anna.post("erased").sees("is deleted") }, func() { p.post("code", "code", code) })
		}
		if p.app != nil {
			if n == 0 {
				t.Error("a code of an account that is gone")
			}
			p.goneFor("own")
		}
		if p.in() {
			t.Error("signed in to an account that is gone")
		}
	}
}

// goneFor fails the test if the code that the browser brought gives tokens.
func (p *person) goneFor(id string) {
	p.TB.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {p.back().Get("code")}, "redirect_uri": {asks(id).Get("redirect_uri")}, "code_verifier": {verifier}}
	r, _ := http.NewRequest(http.MethodPost, p.URL+"/oidc/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(id, secretOf+"web")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.TB.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		p.TB.Errorf("tokens of an account that is gone: %d", res.StatusCode)
	}
}

// Whatever call to storage fails in a sign-in, and whether it took effect or not: no app gets a code without a proof
// and the person's consent, no page tells more than that something went wrong, and the person gets in with a few
// more clicks.
func TestAttack16_StorageFaultsOfASignIn(t *testing.T) {
	t.Parallel()
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		for n := 1; ; n++ {
			s := newService(t)
			s.give(annasNumber)
			s.Table.Break(rig.FaultAt(n, fault))
			p := s.person()
			see := func(r *http.Request, res *http.Response, body string) {
				if res.StatusCode == http.StatusInternalServerError || strings.Contains(body, "oidc:") || strings.Contains(body, "store") {
					t.Errorf("fault %d at call %d: %s %s: %d %s", fault, n, r.Method, r.URL.Path, res.StatusCode, body)
				}
			}
			p.each = see
			calls := p.insists(t, fmt.Sprint(fault, " at call ", n))
			if calls < n {
				break
			}
		}
	}
}

// insists signs in to web, and tries again where something fails. It returns how many calls there were.
func (p *person) insists(t *testing.T, what string) (calls int) {
	t.Helper()
	proven, allowed := false, false
	p.authorize("web")
	for range 12 {
		switch {
		case p.app != nil && p.app.Query().Get("code") != "":
			if !proven || !allowed {
				t.Fatalf("%s: a code without a proof or consent", what)
			}
			calls = p.Table.Calls()
			p.Table.Break(nil)
			if claims := p.claims("web"); claims["phone_number"] != annasNumber {
				t.Errorf("%s: %v", what, claims)
			}
			return calls
		case p.app != nil && p.app.Query().Get("error") != "temporarily_unavailable":
			t.Fatalf("%s: %s", what, p.app)
		case p.app != nil: // the app tries again
			p.Advance(time.Minute)
			p.authorize("web")
		case strings.Contains(p.body, `action="/oidc/signin/allow"`):
			allowed = true
			p.post("allow")
		case strings.Contains(p.body, `name="code"`) && p.codeTo(annasNumber) != "":
			proven = true
			p.post("code", "code", p.codeTo(annasNumber))
		case strings.Contains(p.body, `action="/oidc/signin/new"`):
			p.Advance(time.Minute)
			p.post("new")
		case strings.Contains(p.body, `action="/oidc/signin/help"`):
			p.post("help")
		case strings.Contains(p.body, `action="/oidc/signin/resend"`):
			p.Advance(time.Minute)
			p.post("resend")
		case strings.Contains(p.body, `name="address"`):
			p.Advance(time.Minute)
			p.post("send", "address", annasNumber)
		default: // an end, from which only the app leads on
			p.Advance(time.Minute)
			p.authorize("web")
		}
	}
	t.Fatalf("%s: the person cannot go on: %d %s %s", what, p.status, p.where(), p.text())
	return 0
}

// The first form of a sign-in, which alone has the app's request, can be sent again after a fault of storage, or
// leads back to the app.
func TestAttack16_TheFirstForm(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 2; n++ {
		s := newService(t)
		s.give(annasNumber)
		p := s.person().authorize("own")
		s.Table.Break(rig.FaultAt(n, rig.Down))
		p.post("send", "address", annasNumber).sees("There is a problem")
		if p.status != http.StatusServiceUnavailable {
			t.Errorf("call %d: status %d", n, p.status)
		}
		p.proves(annasNumber).back()
		for _, form := range []string{"allow", "deny"} {
			p.authorize("web")
			s.Table.Break(rig.FaultAt(n, rig.Down))
			if q := p.post(form).back(); q.Get("error") != "temporarily_unavailable" || q.Get("state") != theState {
				t.Errorf("call %d, %s: %v", n, form, q)
			}
		}
	}
}

// No fault of storage gives a code, or changes an account, without what that needs.
func TestAttack16_StorageIsDown(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.give(annasNumber)
	anna := s.signedIn(annasNumber)
	s.Advance(time.Minute)
	p := s.person().authorize("own").post("send", "address", annasNumber)
	code, page := s.codeTo(annasNumber), p.t()
	before := s.account(annasNumber)
	s.Table.Break(rig.FaultFrom(1, rig.Down))
	for _, form := range []string{"send", "new", "resend", "more", "help", "code", "app", "recovery", "allow", "cancel", "deny"} {
		if p.withForm("/oidc/signin/"+form, "t", page, "code", code, "address", annasNumber); p.app != nil && p.app.Query().Get("code") != "" || p.status >= 500 && p.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d, to %v", form, p.status, p.app)
		}
	}
	for _, form := range []string{"phone", "email", "remove", "undo", "signout", "everywhere", "erase", "erased"} {
		if anna.withForm("/oidc/account/"+form, "t", ""); anna.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", form, anna.status)
		}
	}
	for _, prompt := range []string{"none", "login", ""} {
		if got := anna.authorize("own", "prompt", prompt).back(); got.Get("error") != "temporarily_unavailable" || got.Get("state") != theState {
			t.Errorf("prompt %q: %v", prompt, got)
		}
	}
	s.Table.Break(nil)
	if after := s.account(annasNumber); after.Revision != before.Revision || len(after.Account.Browsers) != len(before.Account.Browsers) {
		t.Error("the account was changed")
	}
	p.open("/oidc/signin?t="+page).post("code", "code", code).back()
}
