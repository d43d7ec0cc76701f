package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// enrollments is how many pages for apps and recovery codes the bank has asked for.
func (w *town) enrollments() (n int) {
	for _, c := range w.last(w.count()) {
		if c.path == "/api/users/~YWxpY2U/page" {
			n++
		}
	}
	return n
}

// begins presses the button of the security page.
func (c *customer) begins() *customer {
	c.TB.Helper()
	c.get("/security").sees("<h1>Security</h1>")
	return c.post("/security/setup", "once", c.once())
}

func TestSecurity_ShowsWhatThereIsAndWhatHasChanged(t *testing.T) {
	w := newTown(t)
	c := w.customer().signUp().logIn("own")
	c.post("/2fa", "code", c.code()).sees("Hello, ")
	c.get("/security").sees("None. With an app").sees("None. They let you in").sees("You go to twofa's page")
	c.begins().addsAnApp("My phone").press("codes") // the login was just now
	c.press("kept", "set", regexp.MustCompile(`name="set" value="([0-9a-f]+)"`).FindStringSubmatch(c.body)[1])
	done := c.saves().String()
	if w.api(http.MethodGet, "/api/users/~YWxpY2U", "")["authenticators"] != nil {
		t.Error("the changes took effect before the bank has fetched them")
	}
	c.get(done).sees("Added: My phone. You have new recovery codes.").sees("Not used yet").sees("10 left.")
	if c.at != w.url+"/security" || c.cookie(enrollStateCookie) != "" {
		t.Errorf("at %s, or the state outlives the enrollment", c.at)
	}
	if c.get("/security"); strings.Contains(c.body, "Added:") {
		t.Error("a change is told twice")
	}
	c.get(done).sees(textNotYours).isIn(true)
}

// A session of a while ago is not enough for a change: a factor is asked for first.
func TestSecurity_NeedsAFreshFactor(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	w.Advance(proofLife - time.Minute - time.Second) // signedIn took a minute
	if c.begins(); !strings.Contains(c.at, "/verify/enroll?") {
		t.Errorf("a fresh factor leads to %s", c.at)
	}
	w.Advance(time.Second)
	c.get("/security").sees("We ask for a code first")
	before := w.enrollments()
	c.begins().sees("Check WhatsApp")
	if got := w.lastOf(1, "/api/otpsend")[0].body; got["purpose"] != "security" || got["user"] != "alice" {
		t.Errorf("asked with %v", got)
	}
	proven := c.finishPage()
	if w.enrollments() != before {
		t.Error("the enrollment began without a fresh factor")
	}
	if c.get(proven.String()); !strings.Contains(c.at, "/verify/enroll?") {
		t.Errorf("a factor that was proved again leads to %s", c.at)
	}
	c.get(c.addsAnApp("My phone").saves().String()).sees("Added: My phone.")
	c.get(proven.String()).sees(textNotYours)
	w.Advance(proofLife)
	c.begins().sees("Check WhatsApp")
}

// The answers of the step before a change are those of this step, of this browser and of this
// person alone.
func TestSecurity_TakesNoOtherProof(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	w.Advance(proofLife)
	payment := c.order("25", "Bob", "page").finishPage().Query()
	w.Advance(time.Minute)
	c.begins()
	proof := c.finishPage()
	state := c.cookie(proofStateCookie)
	c.get("/security/proven?" + payment.Encode()).sees(textNotYours)
	c.get("/pay/done?" + proof.RawQuery).sees(textNotYours)
	c.get("/security/done?" + proof.RawQuery).sees(textNotYours)
	c.setCookie(proofStateCookie, strings.Repeat("A", 43))
	c.get(proof.String() + "&state=" + state).sees(textNotYours)
	if w.enrollments() != 0 {
		t.Error("an enrollment began")
	}
}

func TestSecurity_FailsClosed(t *testing.T) {
	for name, answer := range map[string]string{
		"a login": `{"status": "approved", "purpose": "login"}`, "an enrollment": `{"status": "enrolled", "user": "alice"}`,
		"another user":       `{"status": "approved", "purpose": "security", "factor": "totp", "user": "bob"}`,
		"an app for a login": `{"status": "approved", "purpose": "login", "factor": "totp", "user": "alice"}`,
	} {
		w := newTown(t)
		c := w.signedIn()
		w.Advance(proofLife)
		c.begins()
		done := c.finishPage().String()
		w.setFault(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/api/otpverify" {
				_, _ = rw.Write([]byte(answer))
			}
			return r.URL.Path == "/api/otpverify"
		})
		if c.get(done).sees(textNotYours); w.enrollments() != 0 {
			t.Errorf("%s: an enrollment began", name)
		}
	}
}

// The outcome of an enrollment signs nobody in, pays nothing and counts once, for the person and
// the browser that began it.
func TestSecurity_AnEnrollmentIsNoProof(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	done := c.begins().addsAnApp("My phone").saves()
	for _, path := range []string{"/pay/done", "/security/proven"} {
		c.get(path + "?" + done.RawQuery).sees(textNotYours)
	}
	thief := w.customer().logIn("page")
	thief.setCookie(stateCookie, c.cookie(enrollStateCookie))
	thief.get("/2fa/done?" + done.RawQuery).sees(textElsewhere).isIn(false)
	thief.get(done.String()).sees("<h1>Log in</h1>")

	// Also if the bank mixed the sessions up, the answer is no approval.
	w.bank.sessions.change(thief.cookie(sessionCookie), func(s *session) { s.page = done.Query().Get("session") })
	thief.get("/2fa/done?" + done.RawQuery).sees(textElsewhere).isIn(false)
	c.get(done.String()).sees(textUsed)
}

// What twofa answers to the fetch has to be an enrollment of this person.
func TestSecurity_TakesNoOtherEnrollment(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	for _, answer := range []string{`{"status": "approved", "user": "alice"}`, `{"status": "enrolled", "user": "bob"}`, `{"status": "enrolled"}`, `{}`} {
		session := regexp.MustCompile(`session=PS[0-9a-f]{32}`).FindString(c.begins().ended("x"))
		w.setFault(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/api/otpverify" {
				_, _ = rw.Write([]byte(answer))
			}
			return r.URL.Path == "/api/otpverify"
		})
		c.get("/security/done?result=x&" + session).sees(textNotYours)
		w.setFault(nil)
	}
}

func TestSecurity_TheStateInTheAddressIsNothing(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	done := c.begins().addsAnApp("My phone").saves()
	state := c.cookie(enrollStateCookie)
	c.setCookie(enrollStateCookie, strings.Repeat("A", 43))
	if c.get(done.String() + "&state=" + state).sees(textNotYours).sees("None. With an app"); c.status != http.StatusForbidden {
		t.Errorf("status %d", c.status)
	}
}

func TestSecurity_SaysHowThePageEnded(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	for reason, text := range map[string]string{"canceled": ends["canceled"], "expired": ends["expired"], "failed": textEnded} {
		back := c.begins().ended(reason)
		c.get(back).sees(text)
		c.get(back).sees(textNotYours)
	}
	done := c.begins().addsAnApp("My phone").saves().String()
	w.setFault(func(rw http.ResponseWriter, r *http.Request) bool { // the first answer gets lost
		w.API.Handler().ServeHTTP(discard{http.Header{}}, r)
		rw.WriteHeader(http.StatusBadGateway)
		return true
	})
	c.get(done).sees(textReload)
	w.setFault(nil)
	c.get(done).sees(textUsed).sees("My phone")

	id, _ := w.api(http.MethodGet, "/api/users/~YWxpY2U/totp", "")["authenticators"].([]any)[0].(map[string]any)["id"].(string)
	c.get(c.begins().press("begin").press("remove", "id", id).saves().String()).sees("Removed: My phone.").sees("None. With an app")
	w.setFault(func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(http.StatusBadGateway); return true })
	c.get("/security").sees(textLater)
}

// With the app, and with a recovery code for who lost the phone, in the bank's own form.
func TestLogin_WithAnAppAndWithARecoveryCode(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	if c.post("/logout").logIn("own"); strings.Contains(c.body, "I lost my phone") {
		t.Error("who has no recovery codes is offered them")
	}
	w.Advance(time.Minute)
	_, code := w.addApp("My phone")
	codes := w.addCodes()
	c.logIn("own").sees("Use your authenticator app").sees("I lost my phone")
	c.get("/2fa?factor=totp").sees("Use your app").sees("Use the code that we sent")
	c.post("/2fa", "factor", "totp", "code", "000000").sees("9 more tries").sees("Use your app").isIn(false)
	c.post("/2fa", "factor", "totp", "code", code()).sees("Hello, ").sees("a code of your authenticator app")

	w.Advance(time.Minute)
	c.post("/logout").logIn("own").get("/2fa?factor=recovery").sees("Use a recovery code")
	c.post("/2fa", "factor", "recovery", "code", "AAAA").sees(textNoForm)
	c.post("/2fa", "factor", "recovery", "code", strings.ToLower(codes[0])).sees("Codes that are left: 9.").sees(`href="/security"`).sees("a recovery code")
	c.post("/logout").logIn("own")
	c.post("/2fa", "factor", "recovery", "code", codes[0]).sees("That code isn't right.").isIn(false)
}

// Whose address is locked still gets in: on the bank's own form, and on twofa's page.
func TestLogin_OtherFactorsOfALockedAddress(t *testing.T) {
	for _, way := range []string{"own", "page"} {
		w := newTown(t)
		c := w.signedIn()
		_, code := w.addApp("My phone")
		codes := w.addCodes()
		for range 2 {
			v := w.api(http.MethodPost, "/api/otpsend", `{"user": "alice"}`)
			for range 5 {
				w.wrong(v["id"].(string))
			}
			w.Advance(time.Minute)
		}
		if c.post("/logout").logIn(way); way == "page" {
			c.sees("Open your authenticator app").press("app", "code", code())
			c.get(c.goesOn().String()).sees("Hello, ")
			continue
		}
		c.sees("too many wrong codes").sees("Use your app").sees("I lost my phone").isIn(false)
		c.post("/2fa", "factor", "totp", "code", code()).sees("Hello, ")
		c.post("/logout").logIn(way)
		c.post("/2fa", "factor", "recovery", "code", codes[3]).sees("Hello, ")
	}
}

// wrong spends a try of a verification.
func (w *town) wrong(id string) {
	w.TB.Helper()
	check, _ := http.NewRequest(http.MethodPost, w.service+"/api/otpverify", strings.NewReader(`{"id": "`+id+`", "code": "000000"}`))
	check.SetBasicAuth("bank", "secret")
	check.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(check)
	if err != nil {
		w.TB.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusUnprocessableEntity {
		w.TB.Fatalf("a wrong code: %d", res.StatusCode)
	}
}
