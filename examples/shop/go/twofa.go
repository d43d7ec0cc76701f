package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"
)

type object = map[string]any

// twofa answers within 24 seconds. The API has no redirects, and the secret must not follow one.
var api = http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// problem is a refusal of twofa (RFC 9457), or a call without an answer.
type problem struct {
	Type       string `json:"type"`        // decide by this
	Detail     string `json:"detail"`      // for developers
	RetryAfter int    `json:"retry_after"` // seconds, 0 for none
	ChecksLeft int    `json:"checks_left"`
}

func (p *problem) Error() string { return p.Type + ": " + p.Detail }

// call calls the API once. It repeats nothing: a message may be on its way although no answer came.
func call(method, path string, body, answer any, header ...string) error {
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body) // texts, numbers and objects can always be written
	}
	req, err := http.NewRequest(method, os.Getenv("TWOFA_URL")+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.GetBody = nil // else net/http may repeat a call that has an Idempotency-Key
	req.SetBasicAuth(os.Getenv("TWOFA_CLIENT"), os.Getenv("TWOFA_CLIENT_SECRET"))
	req.Header.Set("Content-Type", "application/json")
	if key := os.Getenv("TWOFA_HOST_KEY"); key != "" { // under the Functions host
		req.Header.Set("X-Functions-Key", key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	route, _, _ := strings.Cut(path, "~") // without the user's name
	res, err := api.Do(req)
	if err != nil {
		log.Printf("twofa: %s %s: no answer", method, route)
		return &problem{Type: "no_answer"}
	}
	defer res.Body.Close()
	text, err = io.ReadAll(io.LimitReader(res.Body, 1<<20))
	p := problem{Type: "no_answer"}
	if err == nil && res.StatusCode < 300 {
		err = json.Unmarshal(text, answer)
	} else if err == nil {
		err = json.Unmarshal(text, &p)
	}
	log.Printf("twofa: %s %s: %d, request %s %s", method, route, res.StatusCode, res.Header.Get("X-Request-Id"), p.Detail)
	if err != nil || res.StatusCode >= 300 {
		return &p
	}
	return nil
}

// userPath holds every name, also one with a slash.
func userPath(name string) string {
	return "/api/users/~" + base64.RawURLEncoding.EncodeToString([]byte(name))
}

// keyOf is the same for the same text, and says nothing about it.
func keyOf(text []byte) string { return fmt.Sprintf("%x", sha256.Sum256(text)) }

// begun is a session on twofa's page. The shop keeps it at its server, by the session's name.
type begun struct{ state, user, purpose string }

var begunSessions = newStore[begun](40 * time.Minute)

var stateForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// stateOf returns the state of this browser. Call it where a form is shown, too: then a form that
// is sent twice has one state.
func stateOf(w http.ResponseWriter, r *http.Request) string {
	state := cookie(r, "state")
	if !stateForm.MatchString(state) {
		state = random()
	}
	setCookie(w, "state", state, 40*time.Minute)
	return state
}

// begin begins a session, and sends the browser to twofa's page.
func begin(w http.ResponseWriter, r *http.Request, path string, body object, b begun) {
	text, _ := json.Marshal(body)
	var page struct {
		Session string `json:"session"`
		URL     string `json:"page_url"`
	}
	// The state is in the body. So the key is the same if this browser asks for the same again.
	if err := call("POST", path, body, &page, "Idempotency-Key", keyOf(text)); err != nil {
		show(w, http.StatusBadGateway, words(err), "")
		return
	}
	begunSessions.put(page.Session, b)
	http.Redirect(w, r, page.URL, http.StatusSeeOther)
}

// approval is what twofa answers if the person has proved the second factor.
type approval struct {
	Status  string `json:"status"`
	Purpose string `json:"purpose"`
	Factor  string `json:"factor"` // totp or recovery; none for a code that was sent
	User    string `json:"user"`   // with factor, or of an enrolment
	Test    bool   `json:"test"`   // a test number: nobody has proved anything
	Receipt string `json:"receipt"`
}

// proves reports whether this is a proof of the user for the purpose.
func (a approval) proves(user, purpose string) bool {
	return a.Status == "approved" && a.Purpose == purpose && !a.Test && (a.Factor == "" || a.User == user)
}

// fetch returns the session with which the browser came back, and twofa's answer to it. user is who
// is signed in, "" if nobody has to be.
func fetch(w http.ResponseWriter, r *http.Request, purpose, user string, more object) (b begun, a approval, err error) {
	q, state := r.URL.Query(), cookie(r, "state") // the state is in no address
	b, ok := begunSessions.get(q.Get("session"))
	if !ok || b.purpose != purpose || user != "" && user != b.user || subtle.ConstantTimeCompare([]byte(b.state), []byte(state)) != 1 {
		return begun{}, a, &problem{Type: "another_browser"}
	}
	if end := q.Get("error"); end != "" {
		err = &problem{Type: "page_" + end}
	} else {
		body := object{"session": q.Get("session"), "state": state, "result": q.Get("result")}
		for name, value := range more {
			body[name] = value
		}
		err = call("POST", "/api/otpverify", body, &a)
	}
	if p, _ := err.(*problem); p == nil || p.Type != "no_answer" && p.Type != "urn:twofa:storage_unavailable" {
		begunSessions.remove(q.Get("session")) // else a reload fetches again
		setCookie(w, "state", "", -time.Second)
	}
	return b, a, err
}

// words are what people read. Each kind of refusal has its own; detail is for developers.
func words(err error) string {
	p, ok := err.(*problem)
	if !ok {
		return "This did not work. Try again later."
	}
	switch p.Type {
	case "urn:twofa:wrong_code":
		return fmt.Sprintf("That is not the code. %d tries are left.", p.ChecksLeft)
	case "urn:twofa:expired", "urn:twofa:canceled", "urn:twofa:not_found", "urn:twofa:already_used", "another_browser", "page_expired", "page_failed":
		return "This is over. Begin again."
	case "urn:twofa:denied", "page_denied":
		return "Somebody answered that it was not them. If it was you, begin again."
	case "page_canceled":
		return "You canceled."
	case "urn:twofa:destination_refused", "urn:twofa:undeliverable":
		return "We cannot send codes there. Use another number."
	case "urn:twofa:invalid_request":
		return "Check what you typed, and try again."
	case "urn:twofa:precondition_failed":
		return "This name is taken."
	}
	if p.RetryAfter > 0 {
		return fmt.Sprintf("Too often. Try again in %d min.", (p.RetryAfter+59)/60)
	}
	return "This did not work. Begin again in a minute."
}

// alert warns a user. A refusal is in the log and stops nothing: an address gets few alerts a day.
func alert(r *http.Request, user, event string) {
	detail := object{}
	for _, name := range []string{"Firefox", "Edg", "Chrome", "Safari"} { // never the whole text, which strangers choose
		if strings.Contains(r.UserAgent(), name) {
			detail["device"] = name
			break
		}
	}
	_ = call("POST", userPath(user)+"/alerts", object{"event": event, "detail": detail}, &object{})
}

// clientIP is the person's address. Behind a proxy of your own, take it from the proxy's header.
func clientIP(r *http.Request) string {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}
