package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"

// event is what an alert was about.
func event(c apiCall) string {
	device := ""
	if detail, ok := c.body["detail"].(map[string]any); ok {
		device, _ = detail["device"].(string)
	}
	name, _ := c.body["event"].(string)
	return strings.Join([]string{c.path, name, device}, " ")
}

func TestAlerts_AWrongPassword(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	thief := w.customer()
	thief.agent = firefox
	for _, name := range []string{"nobody", "Alice", "alice"} {
		thief.post("/login", "name", name, "password", "wrong password", "way", "own").sees(textWrong)
	}
	got := w.warned()
	if len(got) != 2 || event(got[0]) != "/api/users/~YWxpY2U/alerts wrong_password Firefox on Windows" {
		t.Errorf("%+v", got)
	}
	sent := w.texts()
	if len(sent) != 1 || !strings.Contains(sent[0], "Firefox on Windows") { // the second one is 429
		t.Errorf("%q", sent)
	}
	c.isIn(true)
}

// A browser in which the account was opened or used before is known, for this account.
func TestAlerts_ANewBrowser(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	c.post("/logout").logIn("own").post("/2fa", "code", c.code()).sees("Hello, ")
	if got := w.warned(); len(got) != 0 {
		t.Errorf("a known browser: %+v", got)
	}
	w.Advance(time.Minute)
	other := w.customer()
	other.agent = firefox
	other.setCookie(knownCookie, strings.Repeat("A", 43))
	other.logIn("page")
	other.get(other.finishPage().String()).sees("Hello, ")
	if got := w.warned(); len(got) != 1 || event(got[0]) != "/api/users/~YWxpY2U/alerts new_sign_in Firefox on Windows" {
		t.Errorf("another browser: %+v", got)
	}
	if other.cookie(knownCookie) == strings.Repeat("A", 43) {
		t.Error("a planted cookie became a known browser")
	}
	w.Advance(2 * time.Hour)
	other.post("/logout").logIn("own").post("/2fa", "code", other.code()).sees("Hello, ")
	if got := w.warned(); len(got) != 1 {
		t.Errorf("the same browser: %+v", got)
	}
	for range maxKnown {
		w.bank.accounts.remember("alice", random())
	}
	if w.bank.accounts.knows("alice", other.cookie(knownCookie)) || w.bank.accounts.knows("alice", "") || w.bank.accounts.knows("bob", "") {
		t.Error("too many browsers are known")
	}
}

// A service that hangs or fails holds no login up, and only so many alerts wait for it.
func TestAlerts_HoldNoLoginUp(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	free := make(chan struct{})
	w.setFault(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/alerts") {
			return false
		}
		<-free
		rw.WriteHeader(http.StatusInternalServerError)
		return true
	})
	thief := w.customer()
	for range maxWarnings + 2 {
		thief.post("/login", "name", "alice", "password", "wrong password", "way", "own").sees(textWrong)
	}
	c.post("/logout").logIn("own").post("/2fa", "code", c.code()).sees("Hello, ")
	close(free)
	if got := w.warned(); len(got) != maxWarnings {
		t.Errorf("%d alerts at once", len(got))
	}
	w.mu.Lock()
	log := w.log.String()
	w.mu.Unlock()
	if strings.Count(log, "alert dropped") != 2 || !strings.Contains(log, "status=500") {
		t.Errorf("the log:\n%s", log)
	}
}

// The name of a device is one out of the tables, which twofa accepts, or none.
func TestDevice(t *testing.T) {
	w := newTown(t)
	w.signedIn()
	for agent, want := range map[string]string{
		firefox: "Firefox on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Mobile Safari/537.36":                         "Chrome on Android",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36 Edg/128.0.0.0":     "Edge on Mac",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Safari/537.36":               "Samsung Internet on Linux",
		"": "", "curl/8.9.1": "", "Call +1 900 555 0123 now, Firefox/1": "", "Safari/": "",
	} {
		if got := device(agent); got != want {
			t.Errorf("%q: %q", agent, got)
		}
	}
	for _, b := range browsers {
		for _, s := range systems {
			name := device(b.part + " " + s.part)
			if len(name) > 40 || name == "" {
				t.Errorf("%q", name)
			}
			body := `{"event": "other", "detail": {"device": "` + name + `"}}`
			req := httptest.NewRequest(http.MethodPost, "/api/users/~YWxpY2U/alerts", strings.NewReader(body))
			req.SetBasicAuth("bank", "secret")
			req.Header.Set("Content-Type", "application/json")
			answer := httptest.NewRecorder()
			if w.API.Handler().ServeHTTP(answer, req); answer.Code == http.StatusBadRequest {
				t.Errorf("%q: %s", name, answer.Body)
			}
		}
	}
}
