package pages_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
)

// mailed is the last mail with a code.
func (s *site) mailed() notify.Message { return s.Sender(channel.Email).Last() }

// byMail begins a session whose code goes to Alice's mail address.
func (s *site) byMail() otpsend.PageAnswer {
	s.TB.Helper()
	return s.begin(otpsend.Request{To: fixture.AliceMail, Channel: channel.Email})
}

// In the browser that began, the link goes on without a code, whether the person sent a form
// there before or only looked at the page.
func TestLink_GoesOnInTheBrowserThatBegan(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(v *visitor, s *site){
		"only looked":     func(*visitor, *site) {},
		"a wrong code":    func(v *visitor, _ *site) { v.post("code", "code", "000000") },
		"asked for help":  func(v *visitor, _ *site) { v.post("help") },
		"looked at twice": func(v *visitor, _ *site) { v.open(v.page.address) },
	} {
		s := newSite(t)
		began := s.byMail()
		v := s.visitor().open(began.PageURL)
		before(v, s)
		v.open(s.mailed().Link).sees("Confirm it's you", "Only continue if you just asked Acme Bank for this e-mail")
		v.post("").sees("You're verified")
		a, err := s.fetch("bank", otpverify.Request{Session: began.Session, State: state, Result: v.returns().Get("result")})
		if err != nil || a.Status != "approved" || a.Email != fixture.AliceMail || a.Channel != channel.Email {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

// An address that the person typed on the page gets a link, too, and so does a resend.
func TestLink_OfATypedAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{})
	v := s.visitor().open(began.PageURL).post("send", "address", fixture.AliceMail)
	first := s.mailed()
	v.post("help")
	s.Advance(time.Minute)
	v.post("resend")
	second := s.mailed()
	if first.Link == second.Link || first.Code != second.Code || !strings.HasPrefix(first.Link, s.URL+"/verify/link?t=") {
		t.Errorf("the links are %q and %q", first.Link, second.Link)
	}
	v.open(second.Link).post("").sees("You're verified")
	if _, err := s.fetch("bank", otpverify.Request{Session: began.Session, State: state, Result: v.returns().Get("result")}); err != nil {
		t.Error(err)
	}
	v.open(first.Link).post("").sees("This page has expired")
}

// In another browser the button shows the code, once a link, and approves nothing. The person
// types it into the first one.
func TestLink_ShowsTheCodeInAnotherBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.byMail()
	v := s.visitor().open(began.PageURL)
	mail := s.mailed()
	other := s.visitor().open(mail.Link)
	if strings.Contains(other.page.body, mail.Code) || len(other.cookies()) != 0 {
		t.Error("the link itself shows the code, or gives a cookie")
	}
	form := other.form("")
	other.submit("", form)
	if other.sees("Your code", mail.Code); other.page.status != http.StatusOK || len(other.cookies()) != 0 {
		t.Errorf("%d, cookies %v", other.page.status, other.cookies())
	}
	for _, again := range []*visitor{other, s.visitor()} {
		again.open(mail.Link).post("").sees("This link was used before")
		if strings.Contains(again.page.body, mail.Code) || strings.Contains(again.page.body, s.app.URL) {
			t.Error("the code, or the way to the app, is shown again")
		}
	}
	_, err := s.fetch("bank", otpverify.Request{Session: began.Session, State: state, Result: "AAAAAAAAAAAAAAAAAAAAAA"})
	s.Refused(err, problem.NotFound)
	v.post("code", "code", mail.Code).sees("You're verified")
	s.visitor().open(mail.Link).post("").sees("This link has expired")
	// A further mail has a link that shows its code again.
	s.Advance(time.Hour)
	s.byMail()
	s.visitor().open(s.mailed().Link).post("").sees(s.mailed().Code)
}

// A browser that has a cookie of the session, but is not the one that the session is bound to,
// is another browser.
func TestLink_InABrowserThatIsNotTheSessions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.byMail()
	v, other := s.visitor().open(began.PageURL), s.visitor().open(began.PageURL)
	v.post("code", "code", "000000")
	other.open(s.mailed().Link).post("").sees("Your code", s.mailed().Code)
	v.open(s.mailed().Link).post("").sees("You're verified")
}

// What a link finds when its session has moved on.
func TestLink_OfASessionThatMovedOn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change    func(s *site, v *visitor)
		own, more string // what the session's browser and another one see
	}{
		"expired":  {func(s *site, _ *visitor) { s.Advance(10 * time.Minute) }, "", "This link has expired"},
		"canceled": {func(_ *site, v *visitor) { v.post("cancel") }, "Nothing was approved", "This link has expired"},
		"a newer code": {func(s *site, v *visitor) {
			s.Advance(10*time.Minute - time.Second)
			v.post("help").post("new")
			s.Advance(-9 * time.Minute)
		}, "This link has expired", "This link has expired"},
		"locked": {func(s *site, v *visitor) {
			for range 5 {
				v.post("code", "code", "000000")
			}
		}, "This link has expired", "This link has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			began := s.byMail()
			v := s.visitor().open(began.PageURL)
			link, code := s.mailed().Link, s.mailed().Code
			other := s.visitor().open(link)
			form := other.form("")
			page := other.page
			tc.change(s, v)
			if tc.own != "" {
				v.open(link).post("").sees(tc.own)
			}
			other.page = page
			other.submit("", form)
			if other.sees(tc.more); strings.Contains(other.page.body, s.app.URL) || strings.Contains(other.page.body, code) {
				t.Error("the other browser sees the code or the way to the app")
			}
		})
	}
}

// Attack 12. A scanner that GETs and HEADs the link any number of times, also with the cookies
// that it is given, consumes nothing and sees nothing.
func TestAttack12_ScannersOfALink(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.byMail()
	v := s.visitor().open(began.PageURL)
	mail := s.mailed()
	scanner, before := s.visitor(), s.trips()
	for i := range 100 {
		req, _ := http.NewRequest([]string{http.MethodGet, http.MethodHead}[i%2], mail.Link, nil)
		scanner.do(req)
		if scanner.page.status != http.StatusOK || strings.Contains(scanner.page.body, mail.Code) || len(scanner.cookies()) != 0 {
			t.Fatalf("%s: %d", req.Method, scanner.page.status)
		}
		for _, m := range regexp.MustCompile(`(?:href|src)="(/[^"]*)"`).FindAllStringSubmatch(scanner.page.body, -1) {
			if i < 2 {
				scanner.open(strings.ReplaceAll(m[1], "&amp;", "&"))
			}
		}
	}
	if n := s.trips() - before; n != 0 {
		t.Errorf("the scanner costs %d storage round trips", n)
	}
	s.visitor().open(mail.Link).post("").sees(mail.Code) // shown once, after the scanner
	v.open(mail.Link).post("").sees("You're verified")
}

// R11. Links are built from the setting, and a POST that no person makes does nothing.
func TestR11_OnlyAPersonsPostFollowsALink(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.byMail()
	v := s.visitor().open(began.PageURL)
	link := s.mailed().Link
	if !strings.HasPrefix(link, s.URL+"/verify/link?t=") {
		t.Errorf("the link is %s", link)
	}
	v.open(link)
	form := v.form("")
	for name, header := range map[string]http.Header{
		"of another site":     {"Sec-Fetch-Site": {"cross-site"}},
		"of no site":          {"Sec-Fetch-Site": {"none"}},
		"with another origin": {"Origin": {"https://evil.example"}},
		"of a program":        {},
	} {
		req, _ := http.NewRequest(http.MethodPost, s.URL+"/verify/link", strings.NewReader(form.Encode()))
		req.Header = header
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		v.do(req)
		if v.page.status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, v.page.status)
		}
	}
	v.open(link).post("").sees("You're verified")
	// Only mails of pages have a link, and none without the setting.
	if _, _, err := s.Send.Start(s.Ctx(), otpsend.Request{To: "bob.canary@example.com", Channel: channel.Email}, ""); err != nil || s.mailed().Link != "" {
		t.Errorf("a mail of the API has the link %q, %v", s.mailed().Link, err)
	}
	s.Send.MagicLinks = false
	s.begin(otpsend.Request{To: "carol.canary@example.com", Channel: channel.Email})
	if s.mailed().To != "carol.canary@example.com" || s.mailed().Link != "" {
		t.Errorf("without the setting the link is %q", s.mailed().Link)
	}
}

// A link costs what a code on the page costs, and the code in another browser three round trips.
func TestLink_RoundTrips(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.byMail()
	v := s.visitor().open(began.PageURL).post("code", "code", "000000")
	link := s.mailed().Link
	trips := func(do func()) int {
		before := s.trips()
		do()
		return s.trips() - before
	}
	other := s.visitor()
	if n := trips(func() { other.open(link); v.open(link) }); n != 0 {
		t.Errorf("looking costs %d", n)
	}
	if n := trips(func() { other.post("") }); n != 3 {
		t.Errorf("showing the code costs %d", n)
	}
	if n := trips(func() { v.post("") }); n != 4 {
		t.Errorf("going on costs %d", n)
	}
}

// A storage that fails approves and shows nothing, and the person can try again.
func TestR16_LinksWhileStorageFails(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.byMail()
	v, other := s.visitor().open(began.PageURL), s.visitor()
	mail := s.mailed()
	v.open(mail.Link)
	other.open(mail.Link)
	s.Table.Break(func(int) rig.Fault { return rig.Down })
	for _, w := range []*visitor{v, other} {
		w.post("").sees("Something went wrong on our side")
		if w.page.status != http.StatusServiceUnavailable || strings.Contains(w.page.body, mail.Code) {
			t.Errorf("%d: %s", w.page.status, w.text())
		}
	}
	s.Table.Break(nil)
	other.post("").sees(mail.Code)
	v.post("").sees("You're verified")
}

// Capabilities of each kind are refused as each other.
func TestAttack35_LinksAndEnrolmentsAreNotExchanged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	check, enroll := s.byMail().PageURL, s.enroll("alice").PageURL
	kinds := map[string]string{"/verify/check": check, "/verify/enroll": enroll, "/verify/link": s.mailed().Link}
	for path := range kinds {
		for of, address := range kinds {
			u, _ := url.Parse(address)
			v := s.visitor().open(path + "?t=" + u.Query().Get("t"))
			if works := v.page.status == http.StatusOK; works != (path == of) {
				t.Errorf("t of %s at %s: %d", of, path, v.page.status)
			}
		}
	}
}
