package pages_test

import (
	"encoding/base32"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"twofa/internal/client"
	"twofa/internal/notify"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/otpverify"
	"twofa/users"
)

// as is a client.
func (s *site) as(id string) client.Client {
	c, _ := s.API.Clients.Client(id)
	return c
}

// register registers a user of the bank whose address is proven.
func (s *site) register(name string, req users.Request) {
	s.TB.Helper()
	ctx := client.With(s.Ctx(), s.as("bank"))
	if _, _, err := s.API.Users.Put(ctx, name, req, users.Conditions{}); err != nil {
		s.TB.Fatal(err)
	}
	for _, address := range []string{req.Phone, req.Email} {
		if address == "" {
			continue
		}
		if err := s.Users.Confirm(ctx, s.Users.Key("main", name), address); err != nil {
			s.TB.Fatal(err)
		}
	}
}

// enroll begins an enrolment of a user for the bank, and returns the page.
func (s *site) enroll(name string) users.PageAnswer {
	s.TB.Helper()
	a, err := s.tryEnroll(name)
	if err != nil {
		s.TB.Fatal(err)
	}
	return a
}

// enrolling begins an enrolment as enroll does. The person has begun it in a new browser.
func (s *site) enrolling(name string) (users.PageAnswer, *visitor) {
	s.TB.Helper()
	began := s.enroll(name)
	return began, s.visitor().open(began.PageURL).post("begin")
}

func (s *site) tryEnroll(name string) (users.PageAnswer, error) {
	c := s.as("bank")
	return s.API.Users.StartPage(client.With(s.Ctx(), c), name, users.PageRequest{Kind: "enroll", ReturnURL: c.ReturnURLs[0], State: state})
}

// take fetches what was done on an enrolment page.
func (s *site) take(began users.PageAnswer, result string) (otpverify.Answer, error) {
	return s.fetch("bank", otpverify.Request{Session: began.Session, State: state, Result: result})
}

// apps are the names of a user's confirmed apps.
func (s *site) apps(name string) (names []string) {
	s.TB.Helper()
	list, err := s.API.Users.ListAuthenticators(client.With(s.Ctx(), s.as("bank")), name)
	if err != nil {
		s.TB.Fatal(err)
	}
	for _, a := range list.Authenticators {
		names = append(names, a.Name)
	}
	return names
}

// notices are the kinds of the notices that were sent over all channels.
func (s *site) notices() (list []notify.Notice) {
	for _, c := range s.API.Users.Channels {
		for _, m := range s.Sender(c).Sent() {
			if m.Notice != "" {
				list = append(list, m.Notice)
			}
		}
	}
	return list
}

var keyOnPage = regexp.MustCompile(`class="key"><bdi dir="ltr">([A-Z2-7 ]+)<`)

// secret is the key that the page shows.
func (v *visitor) secret() string {
	v.TB.Helper()
	m := keyOnPage.FindStringSubmatch(v.page.body)
	if m == nil {
		v.TB.Fatalf("the page %d shows no key: %s", v.page.status, v.text())
	}
	key := strings.ReplaceAll(m[1], " ", "")
	if raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(key); err != nil || len(raw) != 20 {
		v.TB.Fatalf("the key has %d bytes, %v", len(raw), err)
	}
	return key
}

// appCode is what an app with that key shows now.
func (s *site) appCode(key string) string {
	s.TB.Helper()
	code, err := totp.GenerateCode(key, s.Now())
	if err != nil {
		s.TB.Fatal(err)
	}
	return code
}

// add adds an app on the page, from the screen with all apps or the first one.
func (v *visitor) add(name string) *visitor {
	v.TB.Helper()
	if strings.Contains(v.page.body, `action="/verify/enroll/add"`) {
		v.post("add")
	}
	return v.post("app", "code", v.appCode(v.secret()), "name", name)
}

var codeOnPage = regexp.MustCompile(`<li>([A-Z0-9]{4}(?:-[A-Z0-9]{4}){3})</li>`)

// setOf is the field set of the page with the recovery codes.
func setOf(t testing.TB, v *visitor) string {
	t.Helper()
	m := regexp.MustCompile(`name="set" value="([0-9a-f]{32})"`).FindStringSubmatch(v.page.body)
	if m == nil {
		t.Fatalf("no set of codes: %s", v.text())
	}
	return m[1]
}

// recoveryCodes are those that the page shows.
func (v *visitor) recoveryCodes() (codes []string) {
	for _, m := range codeOnPage.FindAllStringSubmatch(v.page.body, -1) {
		codes = append(codes, m[1])
	}
	return codes
}

// The whole way of a person without an app: introduction, key, code, recovery codes, back to
// the app. Nothing takes effect before the app has fetched it, and it does once.
func TestEnroll_FromTheQRCodeToTheApp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", users.Request{Phone: fixture.Alice, Email: fixture.AliceMail})
	began := s.enroll("alice")
	v := s.visitor().open(began.PageURL).sees("Set up an authenticator app")
	v.post("begin").sees("Scan the QR code", "Name for this app")
	key := v.secret()
	v.post("app", "code", s.appCode(key), "name", "My phone").sees("The app works", "My phone", "New", "Nothing changes until you save")
	v.post("codes").sees("Your new recovery codes")
	codes := v.recoveryCodes()
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes", len(codes))
	}
	v.post("kept", "set", setOf(t, v)).sees("You have new codes")
	if n := s.apps("alice"); n != nil || len(s.notices()) != 0 {
		t.Fatalf("before the end: %q, %q", n, s.notices())
	}
	v.post("save").sees("Almost done")
	if n := s.apps("alice"); n != nil || len(s.notices()) != 0 {
		t.Fatalf("before the app has fetched it: %q, %q", n, s.notices())
	}
	back := v.returns()
	a, err := s.take(began, back.Get("result"))
	if err != nil || a.Status != otpverify.StatusEnrolled || a.User != "alice" || len(a.Added) != 1 || a.Added[0].Name != "My phone" || !a.NewRecoveryCodes || !a.Notified || a.Removed != nil {
		t.Fatalf("%+v, %v", a, err)
	}
	if n := s.apps("alice"); !slices.Equal(n, []string{"My phone"}) {
		t.Errorf("the user has %q", n)
	}
	if n := s.notices(); !slices.Equal(n, []notify.Notice{notify.NoticeAppAdded.And(notify.NoticeRecoveryCodes)}) {
		t.Errorf("the user is told %q", n)
	}
	// The code of the enrolment works no more; the next one does, and so does a recovery code.
	check := func(factor, code string) error {
		_, err := s.fetch("bank", otpverify.Request{User: "alice", Factor: factor, Code: code})
		return err
	}
	s.Refused(check("totp", s.appCode(key)), problem.WrongCode)
	s.Advance(30 * time.Second)
	if err := check("totp", s.appCode(key)); err != nil {
		t.Error(err)
	}
	if err := check("recovery", codes[3]); err != nil {
		t.Error(err)
	}
	_, err = s.take(began, back.Get("result"))
	s.Refused(err, problem.AlreadyUsed)
}

// linkNamed is the address of a link of the page.
func linkNamed(t *testing.T, v *visitor, text string) string {
	t.Helper()
	m := regexp.MustCompile(`<a [^>]*href="([^"]*)"[^>]*>` + text + `</a>`).FindStringSubmatch(v.page.body)
	if m == nil {
		t.Fatalf("no link %q: %s", text, v.text())
	}
	return strings.ReplaceAll(m[1], "&amp;", "&")
}

// A person with apps sees them, removes one, takes that back, and adds another one.
func TestEnroll_ListRemoveKeep(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	for _, name := range []string{"Old phone", "Tablet"} {
		began, v := s.enrolling("alice")
		v.add(name).post("save")
		if _, err := s.take(began, v.returns().Get("result")); err != nil {
			t.Fatal(err)
		}
	}
	began, v := s.enrolling("alice")
	v.sees("Old phone", "Tablet", "Added: 2026-03-01", "You have no recovery codes", "Continue to Acme Bank")
	v.post("remove", "id", idOf(t, v, "Old phone")).sees("Will be removed", "Save and return to Acme Bank")
	v.post("keep", "id", idOf(t, v, "Old phone"))
	if strings.Contains(v.text(), "Will be removed") {
		t.Error("the app is not kept")
	}
	v.post("remove", "id", idOf(t, v, "Tablet"))
	v.add("tablet").sees("The app works") // the name of one that goes is free
	v.post("save")
	a, err := s.take(began, v.returns().Get("result"))
	if err != nil || len(a.Removed) != 1 || a.Removed[0].Name != "Tablet" || len(a.Added) != 1 || a.NewRecoveryCodes {
		t.Errorf("%+v, %v", a, err)
	}
	if n := s.apps("alice"); !slices.Equal(n, []string{"Old phone", "tablet"}) {
		t.Errorf("the user has %q", n)
	}
	if n := s.notices(); !slices.Equal(n, []notify.Notice{notify.NoticeAppAdded, notify.NoticeAppAdded, notify.NoticeAppAdded.And(notify.NoticeAppRemoved)}) {
		t.Errorf("the user is told %q", n)
	}
}

// idOf is the id of an app in a form of the page.
func idOf(t *testing.T, v *visitor, name string) string {
	t.Helper()
	m := regexp.MustCompile(`>` + name + `</bdi>(?s:.*?)name="id" value="(TA[0-9a-f]{16})"`).FindStringSubmatch(v.page.body)
	if m == nil {
		t.Fatalf("no app %q: %s", name, v.text())
	}
	return m[1]
}

// A person who changes nothing, or cancels, comes back with an error, and there is nothing to
// fetch.
func TestEnroll_WithoutAChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	for name, leave := range map[string]func(v *visitor){
		"at once":         func(v *visitor) { v.post("cancel") },
		"at the QR code":  func(v *visitor) { v.post("begin").post("cancel") },
		"after an app":    func(v *visitor) { v.post("begin").add("Phone").post("cancel") },
		"nothing changed": func(v *visitor) { v.post("begin").open(linkNamed(t, v, `(?:<svg.*?</svg>)?Back`)).post("save") },
	} {
		began := s.enroll("alice")
		v := s.visitor().open(began.PageURL)
		leave(v)
		back := v.sees("Nothing was changed").returns()
		if back.Get("error") != "canceled" || back.Has("result") {
			t.Errorf("%s: %v", name, back)
		}
		_, err := s.take(began, "AAAAAAAAAAAAAAAAAAAAAA")
		s.Refused(err, problem.NotFound)
	}
	if n := s.apps("alice"); n != nil {
		t.Errorf("the user has %q", n)
	}
}

// Recovery codes are shown in one answer and never again.
func TestR8_RecoveryCodesAreShownOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	began, v := s.enrolling("alice")
	v.add("Phone")
	form := v.form("codes")
	v.submit("codes", form)
	first := v.recoveryCodes()
	if v.page.status != http.StatusOK || len(first) != 10 || v.page.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d, %d codes", v.page.status, len(first))
	}
	v.page.address = began.PageURL
	keep := v.form("kept")
	v.send("codes", form).sees("The codes were shown only once", "You have no recovery codes") // reload
	next := v.page.address
	for _, page := range []string{next, began.PageURL} {
		for _, code := range first {
			if v.open(page); strings.Contains(v.page.body, code) || strings.Contains(v.page.body, strings.ReplaceAll(code, "-", "")) {
				t.Fatalf("%s has a code", page)
			}
		}
	}
	v.open(next).post("codes")
	second := v.recoveryCodes()
	v.page.address = next
	codesPage := v.page
	v.send("kept", keep).sees("The codes were shown only once", "You have no recovery codes") // of the first set
	v.page = codesPage
	v.post("kept", "set", setOf(t, v)).sees("You have new codes")
	v.post("save")
	if _, err := s.take(began, v.returns().Get("result")); err != nil {
		t.Fatal(err)
	}
	_, err := s.fetch("bank", otpverify.Request{User: "alice", Factor: "recovery", Code: first[0]})
	s.Refused(err, problem.WrongCode)
	if _, err := s.fetch("bank", otpverify.Request{User: "alice", Factor: "recovery", Code: second[0]}); err != nil {
		t.Error(err)
	}
}

// A user gets five sets a day, however many pages make them.
func TestEnroll_SetsOfADay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	canceled := s.visitor().open(s.enroll("alice").PageURL).post("begin").add("Phone").post("codes")
	canceled.post("kept", "set", setOf(t, canceled)).post("cancel")
	began, v := s.enrolling("alice")
	v.add("Phone")
	for range 4 {
		v.post("codes")
		v.post("kept", "set", setOf(t, v))
	}
	v.post("codes").sees("You got new codes too often. Try again in 24 h")
	v.post("save")
	if a, err := s.take(began, v.returns().Get("result")); err != nil || !a.NewRecoveryCodes {
		t.Errorf("%+v, %v", a, err)
	}
}

// Faults of the code and of the name.
func TestEnroll_Faults(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	_, v := s.enrolling("alice")
	key := v.secret()
	right := s.appCode(key)
	wrong := "000000"
	if right == wrong {
		wrong = "000001"
	}
	v.post("app", "code", "12", "name", "My phone").sees("That isn't a complete code")
	if v.secret() != key || !strings.Contains(v.page.body, `value="My phone"`) {
		t.Error("the page forgets the key or the name")
	}
	v.post("app", "code", wrong).sees("That code isn't right")
	v.post("app", "code", right, "name", "a\u202eb").sees("That name can't be used")
	if !strings.Contains(v.page.body, `id="name" name="name"`) || !strings.Contains(v.page.body, `aria-describedby="name-hint field-error" aria-invalid="true"`) {
		t.Error("the name is not marked")
	}
	v.post("app", "code", right, "name", "One").sees("The app works") // the fault of the name has used up nothing
	v.post("add").post("app", "code", s.appCode(v.secret()), "name", "ONE").sees("another app has it")
	for range 9 {
		v.post("app", "code", "000000")
	}
	second := v.secret()
	v.post("app", "code", "000000").sees("That QR code is no longer valid. Scan this new one.")
	if v.secret() == second {
		t.Error("the key is the same after ten wrong codes")
	}
	third := v.secret()
	s.Advance(15 * time.Minute)
	v.post("app", "code", s.appCode(third)).sees("That QR code is no longer valid")
	v.post("app", "code", s.appCode(v.secret())).sees("The app works", "Authenticator")
	for range 3 {
		v.add("")
	}
	if strings.Contains(v.page.body, `action="/verify/enroll/add"`) {
		t.Error("more than five apps can be added")
	}
}

// aliceByMail is a user who has a mail address alone.
var aliceByMail = users.Request{Email: fixture.AliceMail}
