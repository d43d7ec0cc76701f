package main

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/testing/browser"
	"twofa/internal/testing/fixture"
)

func TestMain(m *testing.M) {
	code := m.Run()
	browser.Close()
	os.Exit(code)
}

func TestBank_LogsInWithItsOwnForm(t *testing.T) {
	w := newTown(t)
	c := w.customer().signUp()
	if got := w.last(1)[0]; got.method != http.MethodPut || got.path != "/api/users/~YWxpY2U" || got.body["phone"] != fixture.Alice {
		t.Errorf("registered with %+v", got)
	}
	c.post("/login", "name", "alice", "password", "wrong password", "way", "own").sees(textWrong)
	c.logIn("own").sees("We sent a code to").sees("+1******0123")
	before := c.cookie(sessionCookie)
	c.post("/2fa", "code", "12").sees(textNoForm)
	c.post("/2fa", "code", "000000").sees("You have 4 more tries.").isIn(false)
	c.post("/2fa", "code", c.code()).sees("Hello, ").sees("a code that we sent to +1******0123 over WhatsApp")
	for _, call := range w.last(4) {
		if call.user != "bank" || call.pass != "secret" {
			t.Errorf("%s %s is without the bank's credentials", call.method, call.path)
		}
	}
	if after := c.cookie(sessionCookie); before == "" || after == before {
		t.Error("the session has the id that it had before the login")
	}
	old := w.customer()
	old.setCookie(sessionCookie, before)
	old.isIn(false).get("/2fa").sees("<h1>Log in</h1>")
	if c.get("/login").at != w.url+"/" || c.get("/2fa").at != w.url+"/" {
		t.Error("who is signed in is asked to log in")
	}
	in := c.cookie(sessionCookie)
	c.post("/logout").sees("Open an account").get("/2fa").sees("<h1>Log in</h1>")
	old.setCookie(sessionCookie, in)
	old.isIn(false)
}

// A browser that came with a session id of somebody's choice gets another one.
func TestBank_TakesNoPlantedSession(t *testing.T) {
	for _, way := range []string{"own", "page"} {
		w := newTown(t)
		c := w.customer().signUp()
		planted := strings.Repeat("A", 43)
		c.setCookie(sessionCookie, planted)
		c.logIn(way)
		if way == "own" {
			c.post("/2fa", "code", c.code())
		} else {
			c.get(c.finishPage().String())
		}
		c.sees("Hello, ")
		thief := w.customer()
		thief.setCookie(sessionCookie, planted)
		thief.isIn(false)
	}
}

func TestBank_LogsInOnTheHostedPage(t *testing.T) {
	w := newTown(t)
	c := w.customer().signUp().logIn("page").sees("Check WhatsApp")
	start := w.lastOf(1, "/api/otpsend")[0]
	state, _ := start.body["page"].(map[string]any)["state"].(string)
	if state == "" || state != c.cookie(stateCookie) || start.key == "" || strings.Contains(c.at, state) {
		t.Errorf("the state is not in a cookie alone: %+v at %s", start, c.at)
	}
	done := c.finishPage().String()
	c.get(done).sees("Hello, ").sees("+1******0123 over WhatsApp")
	if got := w.last(1)[0].body; got["state"] != state {
		t.Errorf("fetched with %v", got)
	}
	if c.cookie(stateCookie) != "" {
		t.Error("the state outlives the login")
	}
	if c.get(done); c.at != w.url+"/" {
		t.Errorf("a reload after the login leads to %s", c.at)
	}
	before := w.count()
	w.customer().get(done).sees(textElsewhere).isIn(false)
	if w.count() != before {
		t.Error("the bank asked twofa about a session that it did not begin")
	}
	c.post("/logout").get(done).sees(textElsewhere).isIn(false) // a result is used once
}

// A result counts with the state out of the browser's own cookie. One in the address is nothing.
func TestBank_TakesTheStateFromTheCookieAlone(t *testing.T) {
	for name, cookie := range map[string]string{"no cookie": "", "another state": strings.Repeat("A", 43)} {
		w := newTown(t)
		c := w.customer().signUp().logIn("page")
		state, done := c.cookie(stateCookie), c.finishPage()
		c.setCookie(stateCookie, cookie)
		query := done.Query()
		query.Set("state", state)
		done.RawQuery = query.Encode()
		if c.get(done.String()); c.status != http.StatusForbidden {
			t.Errorf("%s: %d", name, c.status)
		}
		if got := w.last(1)[0].body; got["result"] == "" || got["state"] != cookie {
			t.Errorf("%s: fetched with %v", name, got)
		}
		c.isIn(false)
	}
}

// Somebody's finished page signs nobody else in, also if they have begun a login of their own
// (session swapping), and theirs goes on.
func TestBank_AResultIsWorthNothingElsewhere(t *testing.T) {
	w := newTown(t)
	c := w.customer().signUp().logIn("page")
	done := c.finishPage()
	thief := w.customer()
	thief.setCookie(stateCookie, c.cookie(stateCookie))
	thief.get(done.String()).sees(textElsewhere).isIn(false)

	mallory := w.customer()
	mallory.post("/signup", "name", "mallory", "password", password, "contact", fixture.AliceMail)
	mallory.get("/login")
	mallory.post("/login", "name", "mallory", "password", password, "way", "page", "once", mallory.once()).sees("Check your e-mail")
	state := mallory.cookie(stateCookie)
	mallory.get(done.String()).sees(textElsewhere).isIn(false)
	if mallory.cookie(stateCookie) != state {
		t.Error("another's address ended the login of this browser")
	}
	c.get(done.String()).sees("Hello, ")
}

func TestBank_SaysWhyThePageEnded(t *testing.T) {
	w := newTown(t)
	c := w.customer().signUp()
	for _, end := range []struct{ reason, text string }{
		{"canceled", ends["canceled"]}, {"expired", ends["expired"]}, {"denied", textDenied}, {"failed", textEnded}, {"<b>", textEnded},
	} {
		c.logIn("page")
		session := w.bank.sessions.get(c.cookie(sessionCookie)).page
		back := "/2fa/done?" + url.Values{"session": {session}, "error": {end.reason}}.Encode()
		c.get(back).sees(end.text)
		c.get(back).sees(textElsewhere).isIn(false)
		w.Advance(3 * time.Minute)
	}
}

// When twofa can't be reached in the last step, a reload finishes the login.
func TestBank_FetchesAgainAfterAFailure(t *testing.T) {
	w := newTown(t)
	c := w.customer().signUp().logIn("page")
	done := c.finishPage().String()
	for _, fault := range []func(http.ResponseWriter){
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"type": "urn:twofa:storage_unavailable"}`))
		},
	} {
		w.setFault(func(rw http.ResponseWriter, _ *http.Request) bool { fault(rw); return true })
		if c.get(done).sees(textReload); c.status != http.StatusServiceUnavailable {
			t.Errorf("status %d", c.status)
		}
	}
	w.setFault(nil)
	c.get(done).sees("Hello, ")
}

// No answer signs anybody in but an approval of this login.
func TestBank_FailsClosed(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing": ``, "no JSON": `approved`, "no status": `{"purpose": "login"}`, "pending": `{"status": "pending", "purpose": "login"}`,
		"another purpose": `{"status": "approved", "purpose": "pay"}`, "no purpose": `{"status": "approved"}`,
		"another user":  `{"status": "approved", "factor": "totp", "user": "bob"}`,
		"a test number": `{"status": "approved", "purpose": "login", "test": true}`,
		"an app's code": `{"status": "approved", "factor": "totp", "user": "alice"}`,
		"an enrollment": `{"status": "enrolled", "user": "alice", "purpose": "login"}`,
		"a payment":     `{"status": "approved", "purpose": "login", "context": {"amount": "1", "payee": "Bob"}}`,
	} {
		for _, way := range []string{"own", "page"} {
			w := newTown(t)
			c := w.customer().signUp().logIn(way)
			fake := func(rw http.ResponseWriter, _ *http.Request) bool { _, _ = rw.Write([]byte(answer)); return true }
			if way == "own" {
				w.setFault(fake)
				c.post("/2fa", "code", "123456")
			} else {
				done := c.finishPage().String()
				w.setFault(fake)
				c.get(done)
			}
			if c.isIn(false); t.Failed() {
				t.Errorf("%s, %s", name, way)
			}
		}
	}
}

// A form that is sent twice, as by a double click, sends one message, and both answers work.
func TestBank_ADoubleClickSendsOneMessage(t *testing.T) {
	for _, way := range []string{"own", "page"} {
		w := newTown(t)
		c := w.customer().signUp()
		once := c.once()
		c.post("/login", "name", "alice", "password", password, "way", way, "once", once)
		c.post("/login", "name", "alice", "password", password, "way", way, "once", once).sees("+1******0123")
		if n := c.messages(); n != 1 {
			t.Errorf("%s: %d messages", way, n)
		}
		if way == "own" {
			w.Advance(time.Minute)
			once = c.once()
			c.post("/2fa/resend", "once", once)
			c.post("/2fa/resend", "once", once).sees("We sent the code again.")
			if n := c.messages(); n != 2 {
				t.Errorf("%d messages after one resend", n)
			}
			c.post("/2fa", "code", c.code())
		} else {
			c.get(c.finishPage().String())
		}
		c.sees("Hello, ")
	}
}

// A form without a name is no repetition of an earlier one, whose code may have expired.
func TestBank_AFormWithoutANameIsNew(t *testing.T) {
	w := newTown(t)
	c := w.customer().signUp()
	for n := range 2 {
		c.post("/login", "name", "alice", "password", password, "way", "own").sees("+1******0123")
		if c.messages() != n+1 {
			t.Errorf("%d messages after %d logins", c.messages(), n+1)
		}
		w.Advance(time.Minute)
	}
}

// The answer of a start got lost: the same form again finds the message that was sent.
func TestBank_ALostAnswerSendsNoSecondMessage(t *testing.T) {
	w := newTown(t)
	c := w.customer().signUp()
	w.setFault(func(_ http.ResponseWriter, r *http.Request) bool {
		w.API.Handler().ServeHTTP(discard{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	})
	c.logIn("own").sees(textLater)
	w.setFault(nil)
	c.post("/login", "name", "alice", "password", password, "way", "own", "once", c.once()).sees("+1******0123")
	calls := w.lastOf(2, "/api/otpsend") // Go's transport may have added one
	for _, call := range calls {
		if call.key == "" || call.key != calls[0].key {
			t.Errorf("a repetition with another key: %+v", calls)
		}
	}
	if n := c.messages(); n != 1 {
		t.Errorf("%d messages", n)
	}
	c.post("/2fa", "code", c.code()).sees("Hello, ")
}

// discard is an answer that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func TestBank_SaysInWordsWhatIsWrong(t *testing.T) {
	w := newTown(t)
	c := w.customer().signUp().logIn("own")
	c.post("/2fa/resend", "once", "1").sees("We can't send another message yet. Try again in 30 seconds.")
	code := c.code()
	for _, text := range []string{"4 more tries", "3 more tries", "2 more tries", "one more try", "no tries left"} {
		c.post("/2fa", "code", "000000").sees(text)
	}
	c.post("/2fa", "code", code).sees("too many wrong codes").isIn(false)
	w.Advance(11 * time.Minute)
	c.logIn("own")
	w.Advance(11 * time.Minute)
	c.post("/2fa", "code", c.code()).sees("can't be used any more").isIn(false)
	w.Sender(channel.WhatsApp).Always(errors.New("down"))
	c.logIn("own").sees(textLater)
}

func TestBank_SignUpTakesNothingOver(t *testing.T) {
	w := newTown(t)
	w.customer().signUp()
	c := w.customer()
	c.post("/signup", "name", "Alice", "password", password, "contact", fixture.Bob).sees(textTaken)
	if got := w.last(1)[0]; got.body["phone"] == fixture.Bob {
		t.Error("the address of an account was changed")
	}
	if w.bank.accounts.release("alice"); c.post("/signup", "name", "alice", "password", password, "contact", fixture.Bob).status != http.StatusUnprocessableEntity {
		t.Error("a user that another app has at twofa was changed")
	}
	c.sees(textTaken)
	for contact, text := range map[string]string{"12": textContact, "a@": textContact, "+19005550123": "We can't send codes"} {
		c.post("/signup", "name", "carol", "password", password, "contact", contact).sees(text)
	}
	c.post("/login", "name", "carol", "password", password, "way", "own").sees(textWrong) // a name that is given back
	c.post("/signup", "name", "carol", "password", password, "contact", fixture.Bob).sees("Your account is open")
}

func TestBank_RefusesFormsOfOtherSites(t *testing.T) {
	w := newTown(t)
	c := w.customer().signUp().logIn("own")
	c.post("/2fa", "code", c.code()).sees("Hello, ")
	for _, path := range []string{
		"/signup", "/login", "/2fa", "/2fa/resend", "/pay", "/pay/code", "/pay/code/resend", "/security/setup", "/attack", "/logout",
	} {
		for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
			req := c.request(http.MethodPost, path, url.Values{})
			req.Header.Del("Sec-Fetch-Site")
			req.Header.Set(name, value)
			if c.do(req); c.status != http.StatusForbidden {
				t.Errorf("%s %s: %d", path, name, c.status)
			}
		}
	}
	c.isIn(true)
}

func TestBank_HeadersAndCookies(t *testing.T) {
	w := newTown(t)
	c := w.customer().get("/login")
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
	} {
		if !strings.Contains(c.header.Get(name), want) {
			t.Errorf("%s: %q", name, c.header.Get(name))
		}
	}
	for origin, name := range map[string]string{"http://127.0.0.1:7080": "x", "https://bank.example": "__Host-x"} {
		k := (&bank{url: origin}).cookie("x", "value", time.Minute)
		if k.Name != name || !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Secure != (name != "x") || k.Path != "/" || k.Domain != "" || k.Valid() != nil {
			t.Errorf("%s: %v", origin, k)
		}
	}
}
