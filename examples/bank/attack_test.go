package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The page shows what really came back, and the customer is warned, is locked, and gets in
// otherwise.
func TestAttack(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	_, code := w.addApp("My phone")
	w.addCodes()
	thief := w.customer()
	thief.get("/login").sees(`href="/attack"`)
	thief.get("/attack").sees("What an attacker sees")
	if thief.post("/attack", "name", "nobody", "step", "codes").sees("no account"); thief.status != http.StatusUnprocessableEntity {
		t.Errorf("status %d", thief.status)
	}
	thief.post("/attack", "name", "Alice", "step", "passwords").sees(textWrong).sees("alert sent to +1******0123 over WhatsApp").sees("429 too_many_sends")
	if got := w.texts(); len(got) == 0 || len(w.warned()) != len(passwords) {
		t.Errorf("the customer is told %q by %d alerts", got, len(w.warned()))
	}
	before := w.messages()
	thief.post("/attack", "name", "alice", "step", "codes").sees("422 wrong_code, 4 checks left").sees("422 wrong_code, no check left").sees("too_many_checks")
	if w.messages() != before+1 {
		t.Errorf("%d messages", w.messages()-before)
	}
	w.Advance(time.Minute)
	thief.post("/attack", "name", "alice", "step", "codes").sees("422 wrong_code, 4 checks left")
	w.Advance(time.Minute)
	before = w.count()
	thief.post("/attack", "name", "alice", "step", "codes").sees("429 too_many_checks, for").sees("too many wrong codes")
	if w.count() != before+1 {
		t.Errorf("%d calls for an address that is locked", w.count()-before)
	}
	thief.post("/attack", "name", "alice", "step", "victim").sees("429 too_many_checks").sees("1 authenticator app and 10 recovery codes").sees("the app still works")
	thief.isIn(false).get("/2fa").sees("<h1>Log in</h1>")

	c.post("/logout").logIn("page").sees("Open your authenticator app").press("app", "code", code())
	c.get(c.goesOn().String()).sees("Hello, ")
}

// A guess that is right by chance lets nobody in.
func TestAttack_ARightGuessSignsNobodyIn(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	w.setFault(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/otpverify" {
			_, _ = rw.Write([]byte(`{"status": "approved", "purpose": "login"}`))
		}
		return r.URL.Path == "/api/otpverify"
	})
	thief := w.customer()
	thief.post("/attack", "name", "alice", "step", "codes").sees("approved, by chance")
	if thief.cookie(sessionCookie) != "" {
		t.Error("the attack has a session")
	}
	thief.isIn(false)
	c.isIn(true)
}

// Without -demo, there is no such page, and no link to it.
func TestAttack_IsForTheDemoAlone(t *testing.T) {
	b := newBank(newTwofa("http://127.0.0.1:1", nil), "http://127.0.0.1:2", nil)
	w := newTown(t)
	w.signedIn()
	w.serve(b)
	c := w.customer()
	for _, status := range []int{c.get("/attack").status, c.post("/attack", "name", "alice", "step", "codes").status} {
		if status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
			t.Errorf("status %d", status)
		}
	}
	if c.get("/login"); strings.Contains(c.body, "attack") {
		t.Error("the login links to the attack")
	}
}
