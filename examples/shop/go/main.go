// The example in Go of docs/integrate.md: a shop that uses twofa, with the standard library
// alone. twofa.go is what an app copies. The shop keeps everything in memory.
package main

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"html"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	http.HandleFunc("GET /{$}", home)
	http.HandleFunc("GET /login", showLogin)
	http.HandleFunc("POST /login", login)
	http.HandleFunc("GET /2fa/done", loginDone)
	http.HandleFunc("GET /form", showForm)
	http.HandleFunc("POST /form", startForm)
	http.HandleFunc("POST /form/code", checkForm)
	http.HandleFunc("POST /form/again", resendForm)
	http.HandleFunc("POST /pay", pay)
	http.HandleFunc("GET /pay/done", payDone)
	http.HandleFunc("GET /security", security)
	http.HandleFunc("POST /security/app", enroll)
	http.HandleFunc("GET /security/done", enrollDone)
	server := http.Server{Addr: os.Getenv("SHOP_ADDR"), ReadTimeout: 10 * time.Second, Handler: http.NewCrossOriginProtection().Handler(http.DefaultServeMux)}
	log.Fatal(server.ListenAndServe())
}

// Section 1: log in with twofa's page.

func showLogin(w http.ResponseWriter, r *http.Request) {
	stateOf(w, r)
	show(w, 200, "Log in", form("/login", "name", "password"))
}

func login(w http.ResponseWriter, r *http.Request) {
	user := r.PostFormValue("name")
	a, known := accounts.get(user)
	if right := a.password.is(r.PostFormValue("password")); !known || !right {
		if known {
			go alert(r, user, "wrong_password") // so that the time does not tell who has an account
		}
		show(w, 403, "The name or the password is not right.", form("/login", "name", "password"))
		return
	}
	state := stateOf(w, r)
	begin(w, r, "/api/otpsend", object{
		"user": user, "purpose": "login",
		"page": object{"return_url": origin + "/2fa/done", "state": state},
	}, begun{state, user, "login"})
}

func loginDone(w http.ResponseWriter, r *http.Request) {
	b, a, err := fetch(w, r, "login", "", nil)
	if err != nil || !a.proves(b.user, "login") {
		show(w, 403, words(err), `<a href="/login">Log in</a>`)
		return
	}
	id := random() // a new session: nobody knew its name before
	sessions.put(id, session{b.user, time.Now()})
	setCookie(w, "session", id, time.Hour)
	if known, _ := browsers.get(cookie(r, "browser")); known != b.user {
		browser := random()
		browsers.put(browser, b.user)
		setCookie(w, "browser", browser, 365*24*time.Hour)
		alert(r, b.user, "new_sign_in")
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// Section 2: open an account with a form of the shop's own.

// signUp is kept at the server. An id out of a form could be the code of another number.
type signUp struct {
	id, name, phone string
	password        password
}

func showForm(w http.ResponseWriter, r *http.Request) {
	show(w, 200, "Open an account", form("/form", "name", "password", "phone"))
}

func startForm(w http.ResponseWriter, r *http.Request) {
	s := signUp{name: r.PostFormValue("name"), phone: r.PostFormValue("phone"), password: newPassword(r.PostFormValue("password"))}
	if _, taken := accounts.get(s.name); taken || s.name == "" || len(r.PostFormValue("password")) < 10 {
		show(w, 400, "Choose another name, or a longer password.", form("/form", "name", "password", "phone"))
		return
	}
	var v struct{ ID string }
	err := call("POST", "/api/otpsend", object{
		"to": s.phone, "purpose": "signup", "origin": "typed", "client_ip": clientIP(r),
	}, &v, "Idempotency-Key", keyOf([]byte(r.PostFormValue("once"))))
	if err != nil {
		show(w, 422, words(err), form("/form", "name", "password", "phone"))
		return
	}
	s.id = v.ID
	key := random()
	signUps.put(key, s)
	setCookie(w, "signup", key, 10*time.Minute)
	show(w, 200, "We sent you a code.", codeForms())
}

func codeForms() string { return form("/form/code", "code") + form("/form/again") }

func checkForm(w http.ResponseWriter, r *http.Request) {
	key := cookie(r, "signup")
	s, ok := signUps.get(key)
	if !ok {
		show(w, 403, "This is over. Begin again.", "")
		return
	}
	var a approval
	err := call("POST", "/api/otpverify", object{"id": s.id, "code": r.PostFormValue("code"), "purpose": "signup"}, &a)
	if err != nil || !a.proves("", "signup") {
		show(w, 422, words(err), codeForms())
		return
	}
	signUps.remove(key)
	err = call("PUT", userPath(s.name), object{"name": s.name, "phone": s.phone}, &object{}, "If-None-Match", "*")
	if err != nil {
		show(w, 422, words(err), form("/form", "name", "password", "phone"))
		return
	}
	accounts.put(s.name, account{s.password})
	show(w, 200, "Your account is open.", `<a href="/login">Log in</a>`)
}

func resendForm(w http.ResponseWriter, r *http.Request) {
	s, ok := signUps.get(cookie(r, "signup"))
	if !ok {
		show(w, 403, "This is over. Begin again.", "")
		return
	}
	err := call("POST", "/api/otpsend/"+s.id, object{"origin": "typed", "client_ip": clientIP(r)}, &object{},
		"Idempotency-Key", keyOf([]byte(r.PostFormValue("once"))))
	if err != nil {
		show(w, 422, words(err), codeForms())
		return
	}
	show(w, 200, "We sent the code again.", codeForms())
}

// Section 3: add an authenticator app.

func security(w http.ResponseWriter, r *http.Request) {
	s, ok := signedIn(r)
	if !ok {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	var list struct{ Authenticators []struct{ Name string } }
	if err := call("GET", userPath(s.user)+"/totp", nil, &list); err != nil {
		show(w, 502, words(err), "")
		return
	}
	text := ""
	for _, app := range list.Authenticators {
		text += "<p>" + html.EscapeString(app.Name) + "</p>"
	}
	show(w, 200, "Your apps", text+form("/security/app"))
}

func enroll(w http.ResponseWriter, r *http.Request) {
	s, ok := signedIn(r)
	if !ok || time.Since(s.proved) > 5*time.Minute { // the password alone is not enough
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	state := stateOf(w, r)
	begin(w, r, userPath(s.user)+"/page", object{
		"kind": "enroll", "return_url": origin + "/security/done", "state": state,
	}, begun{state, s.user, "enroll"})
}

func enrollDone(w http.ResponseWriter, r *http.Request) {
	s, ok := signedIn(r)
	if !ok {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	_, a, err := fetch(w, r, "enroll", s.user, nil) // the change takes effect by this call
	p, _ := err.(*problem)
	took := p != nil && p.Type == "urn:twofa:already_used" // before, and the answer was lost
	if !took && (err != nil || a.Status != "enrolled" || a.User != s.user) {
		show(w, 403, words(err), `<a href="/security">Your apps</a>`)
		return
	}
	http.Redirect(w, r, "/security", http.StatusSeeOther)
}

// Section 5: a payment, with a receipt for the warehouse.

// order is what the person pays for. It stays the same from the page to the warehouse.
var order = object{"amount": "20.00 EUR", "payee": "Shop"}

func pay(w http.ResponseWriter, r *http.Request) {
	s, ok := signedIn(r)
	if !ok {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	state := stateOf(w, r)
	begin(w, r, "/api/otpsend", object{
		"user": s.user, "purpose": "payment", "context": order,
		"page": object{"return_url": origin + "/pay/done", "state": state},
	}, begun{state, s.user, "payment"})
}

func payDone(w http.ResponseWriter, r *http.Request) {
	s, ok := signedIn(r)
	if !ok {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	b, a, err := fetch(w, r, "payment", s.user, object{"receipt": true})
	if err != nil || !a.proves(b.user, "payment") || a.Receipt == "" {
		show(w, 403, words(err), `<a href="/">Home</a>`)
		return
	}
	if err := ship(a.Receipt); err != nil {
		show(w, 502, "The warehouse did not accept the order.", "")
		return
	}
	show(w, 200, "Paid. The warehouse has the order.", "")
}

// ship sends the order to the warehouse, with the receipt as its proof.
func ship(receipt string) error {
	text, _ := json.Marshal(order)
	req, err := http.NewRequest("POST", os.Getenv("WAREHOUSE_URL"), bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+receipt)
	res, err := api.Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode != 200 {
		err = errors.New(res.Status)
	}
	return errors.Join(err, res.Body.Close())
}

// The rest are accounts and sessions, in memory.

var (
	accounts = newStore[account](100 * 365 * 24 * time.Hour)
	sessions = newStore[session](time.Hour)
	signUps  = newStore[signUp](10 * time.Minute)
	browsers = newStore[string](365 * 24 * time.Hour) // from a known browser to its user
)

type account struct{ password password }

type session struct {
	user   string
	proved time.Time // the last second factor
}

func signedIn(r *http.Request) (session, bool) { return sessions.get(cookie(r, "session")) }

func home(w http.ResponseWriter, r *http.Request) {
	s, ok := signedIn(r)
	if !ok {
		show(w, 200, "Shop", `<a href="/login">Log in</a> <a href="/form">Open an account</a>`)
		return
	}
	stateOf(w, r)
	show(w, 200, "Hello, "+s.user, form("/pay")+`<a href="/security">Your apps</a>`)
}

// password is a salt and a slow hash. The hash of no account is never right, and takes as long.
type password struct{ salt, hash string }

func newPassword(text string) password {
	salt := random()
	return password{salt, slowHash(text, salt)}
}

func (p password) is(text string) bool {
	return subtle.ConstantTimeCompare([]byte(slowHash(text, p.salt)), []byte(p.hash)) == 1
}

func slowHash(text, salt string) string {
	key, err := pbkdf2.Key(sha256.New, text, []byte(salt), 600_000, 32)
	if err != nil {
		panic(err) // only if the length is not possible
	}
	return string(key)
}
