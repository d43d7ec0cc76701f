package e2e

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// The programs of docs/integrate.md, against the built service: a person opens an account,
// logs in, pays and adds an authenticator app, in each of the three languages. The mistakes
// that the document warns of are tried, too.
func TestIntegrate(t *testing.T) {
	t.Parallel()
	m := newMall(t)
	t.Run("mistakes", func(t *testing.T) {
		t.Parallel()
		m.namesInPaths(t)
		m.repeatedStarts(t)
		m.openForms(t)
	})
	for _, s := range m.shops {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			p := &person{visitor: newVisitor(t), mall: m.with(t), shop: s, name: s.name + "/totp", number: newNumber()}
			p.isNobody()
			p.signsUp()
			p.logsIn()
			p.isWarned()
			p.pays()
			uri := p.addsApp()
			p.logsInByApp(uri)
			p.cancels()
			p.isNotBelievedElsewhere()
			p.leavesNothingInTheLog()
		})
	}
}

// person is somebody at a shop.
type person struct {
	*visitor
	*mall
	*shop
	name, number string
}

const shopPassword = "correct horse battery"

// open opens a page of the shop.
func (p *person) open(path string) *visitor {
	p.visitor.t.Helper()
	return p.visitor.get(p.shop.url + path)
}

// wantSent fails the test unless the person got n codes so far.
func (p *person) wantSent(n int) {
	p.visitor.t.Helper()
	if got := len(p.rig.sentCodes(p.number)); got != n {
		p.visitor.t.Fatalf("%d codes were sent, want %d", got, n)
	}
}

// losing breaks the line from the shop to the service, and fails the test unless the shop made
// one call: nothing is repeated.
func (p *person) losing(broken *atomic.Bool, do func()) {
	p.visitor.t.Helper()
	before := p.shop.line.lost.Load()
	broken.Store(true)
	do()
	broken.Store(false)
	if n := p.shop.line.lost.Load() - before; n != 1 {
		p.visitor.t.Errorf("the shop made %d calls, want 1", n)
	}
}

// isNobody tries to open an account with a test number.
func (p *person) isNobody() {
	p.visitor.t.Helper()
	p.open("/form").post("/form", "name", p.name, "password", shopPassword, "phone", testNumbers[p.shop.name])
	p.visitor.post("/form/code", "code", "424242").sees("This did not work.")
	want(p.visitor.t, p.api.get(userPath(p.name)), "404 not_found")
}

// signsUp opens an account with the shop's own form. It is open to strangers, so two messages
// reach a number from one network, and the third one is for another network.
func (p *person) signsUp() {
	p.visitor.t.Helper()
	account := []string{"name", p.name, "password", shopPassword, "phone", p.number}
	p.open("/form").post("/form", "name", p.name, "password", shopPassword, "phone", "+1415").sees("Check what you typed")
	p.losing(&p.shop.line.broken, func() { p.open("/form").post("/form", account...).sees("This did not work.") })
	p.open("/form").twice("/form", account...).sees("We sent you a code.")
	p.wantSent(1) // a double click
	first := p.rig.code(p.number)
	p.visitor.post("/form/code", "code", wrong(first)).sees("4 tries are left")
	p.visitor.twice("/form/again").sees("We sent the code again.")
	p.wantSent(2)
	p.visitor.post("/form/again").sees("Too often. Try again in 1440 min.")
	p.visitor.moveTo("127.0.9.1")
	p.open("/form").post("/form", account...).sees("We sent you a code.")
	p.wantSent(3)
	code := p.rig.code(p.number)
	stranger := newVisitor(p.visitor.t)
	stranger.body, stranger.at = p.visitor.body, p.visitor.at // the same form in another browser
	stranger.post("/form/code", "code", code).sees("This is over")
	p.visitor.post("/form/code", "code", code).sees("Your account is open.")
	wantFields(p.visitor.t, want(p.visitor.t, p.api.get(userPath(p.name)), "200"), fields{"name": p.name})
	p.open("/form").post("/form", account...).sees("Choose another name")
}

// logsIn logs in on the service's page. The way back works in no other browser, not with
// another state, and once.
func (p *person) logsIn() {
	t := p.visitor.t
	t.Helper()
	sent := len(p.rig.sentCodes(p.number))
	p.open("/login").twice("/login", "name", p.name, "password", shopPassword)
	p.wantSent(sent + 1)
	back := p.visitor.proves(p.rig.code(p.number))
	newVisitor(t).get(back).sees("This is over")
	u, err := url.Parse(back)
	if err != nil || !strings.HasPrefix(back, p.shop.url+"/2fa/done?") {
		t.Fatalf("back to %s: %v", back, err)
	}
	stolen := fields{"session": u.Query().Get("session"), "result": u.Query().Get("result"), "state": strings.Repeat("x", 43)}
	want(t, p.api.check(stolen), "404 not_found")
	p.visitor.get(edited(t, back, "session", "PS"+strings.Repeat("0", 32))).sees("This is over")
	p.visitor.get(strings.Replace(back, "/2fa/done", "/pay/done", 1)).sees("name") // asks to log in
	p.losing(&p.shop.line.broken, func() { p.visitor.get(back).sees("This did not work.") })
	p.visitor.get(back).sees("Hello, " + p.name) // by a reload
	p.visitor.get(back).sees("This is over")
}

// isWarned gets the alerts: the first login was in a new browser, and somebody types a wrong
// password.
func (p *person) isWarned() {
	t := p.visitor.t
	t.Helper()
	waitFor(t, "the alert of a new browser", func() bool { return p.rig.alerts(p.number) == 1 })
	newVisitor(t).get(p.shop.url+"/login").post("/login", "name", p.name, "password", "wrong").sees("not right")
	waitFor(t, "the alert of a wrong password", func() bool { return p.rig.alerts(p.number) == 2 })
}

// pays pays an order, which the warehouse accepts because of its receipt.
func (p *person) pays() {
	p.visitor.t.Helper()
	p.open("/").post("/pay").sees("20.00 EUR")
	back := p.visitor.proves(p.rig.code(p.number))
	p.visitor.get(strings.Replace(back, "/pay/done", "/2fa/done", 1)).sees("This is over") // a payment is no login
	p.visitor.get(back).sees("The warehouse has the order.")
}

// addsApp adds an authenticator app on the service's page. Nothing takes effect before the
// shop fetches it, and not in another browser; the answer to the fetch is lost.
func (p *person) addsApp() (uri string) {
	t := p.visitor.t
	t.Helper()
	p.open("/security").post("/security/app").post("/verify/enroll/begin")
	link := regexp.MustCompile(`href="(otpauth:[^"]*)"`).FindStringSubmatch(p.visitor.body)
	if link == nil {
		t.Fatalf("no app to add: %s", p.visitor.body)
	}
	uri = html.UnescapeString(link[1])
	p.visitor.post("/verify/enroll/app", "code", totpCode(t, uri, 0), "name", "My <phone>")
	back := p.visitor.post("/verify/enroll/save").next()
	newVisitor(t).get(back).sees("Log in")
	p.open("/security")
	if strings.Contains(p.visitor.body, "My ") {
		t.Error("the app is there before the shop fetched it")
	}
	p.losing(&p.shop.line.deaf, func() { p.visitor.get(back).sees("This did not work.") })
	p.visitor.get(back).sees("My <phone>")
	return uri
}

// logsInByApp logs in with the app, in the same browser: the login has no alert.
func (p *person) logsInByApp(uri string) {
	p.visitor.t.Helper()
	p.open("/login").post("/login", "name", p.name, "password", shopPassword).post("/verify/check/help")
	link := regexp.MustCompile(`<a href="([^"]*)"><svg[^>]*>(?:[^<]|<[^a])*?<span>Use my authenticator app`).FindStringSubmatch(p.visitor.body)
	if link == nil {
		p.visitor.t.Fatalf("the app is not offered: %s", p.visitor.body)
	}
	p.visitor.follow(html.UnescapeString(link[1]))
	back := p.visitor.post("/verify/check/app", "code", totpCode(p.visitor.t, uri, 1)).next()
	p.visitor.get(back).sees("Hello, " + p.name)
}

// cancels gives up a payment.
func (p *person) cancels() {
	p.visitor.t.Helper()
	p.open("/").post("/pay").post("/verify/check/cancel")
	p.visitor.get(p.visitor.next()).sees("You canceled.")
}

// isNotBelievedElsewhere offers receipts to the warehouse: those of another client, for
// another purpose, for another order, and one twice.
func (p *person) isNotBelievedElsewhere() {
	t := p.visitor.t
	t.Helper()
	const order = `{"amount": "20.00 EUR", "payee": "Shop"}`
	ship := func(receipt, order string) int {
		t.Helper()
		req, err := http.NewRequest("POST", p.shop.warehouse+"/orders", strings.NewReader(order))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+receipt)
		r := readReply(http.DefaultClient.Do(req))
		if r.err != nil {
			t.Fatal(r.err)
		}
		return r.status
	}
	right := p.receipt(p.api, "payment")
	for what, refused := range map[string][2]string{
		"another client's":    {p.receipt(p.other, "payment"), order},
		"for another purpose": {p.receipt(p.api, "login"), order},
		"none":                {"", order},
		"for another order":   {p.receipt(p.api, "payment"), `{"amount": "2000.00 EUR", "payee": "Shop"}`},
	} {
		if status := ship(refused[0], refused[1]); status != http.StatusForbidden {
			t.Errorf("a receipt, %s, is answered %d", what, status)
		}
	}
	if status := ship(right, order); status != http.StatusOK {
		t.Errorf("the right receipt is answered %d", status)
	}
	if status := ship(right, order); status != http.StatusForbidden {
		t.Errorf("the same receipt again is answered %d", status)
	}
}

// receipt returns a receipt for a number of its own.
func (p *person) receipt(c *client, purpose string) string {
	t := p.visitor.t
	t.Helper()
	context, number := fields{"amount": "20.00 EUR", "payee": "Shop"}, newNumber()
	id := want(t, c.post("/api/otpsend", fields{"to": number, "purpose": purpose, "context": context}), "201").text("id")
	code, _, _ := strings.Cut(p.rig.sent(number)[0].Body, " ")
	return want(t, c.check(fields{"id": id, "code": code, "context": context, "receipt": true}), "200").text("receipt")
}

// leavesNothingInTheLog looks at the shop's log: requests have their id there, and nothing of
// the person is in it.
func (p *person) leavesNothingInTheLog() {
	t := p.visitor.t
	t.Helper()
	log := p.shop.program.stderr.String() + p.shop.program.stdout.String()
	if !strings.Contains(log, "POST /api/otpsend: 201, request ") || !strings.Contains(log, "PUT /api/users/: 201, request ") {
		t.Errorf("the log of the shop has no requests: %s", log)
	}
	for _, secret := range append(p.rig.sentCodes(p.number), p.number, p.name, userPath(p.name), shopPassword, p.api.header.Get("Authorization")) {
		if strings.Contains(log, secret) {
			t.Errorf("the log of the shop has %q: %s", secret, log)
		}
	}
}

// namesInPaths shows what becomes of a name with a slash.
func (m *mall) namesInPaths(t *testing.T) {
	t.Helper()
	register(t, m.api, "bob")
	want(t, m.api.do("PUT", "/api/users/bob%2Ftotp", "application/json", `{"phone": "`+newNumber()+`"}`), "400 invalid_request")
	enroll(t, m.api, "bob")
	want(t, m.api.do("DELETE", "/api/users/bob/totp", "", ""), "204") // not the user bob/totp: the apps of bob
	if n, there := want(t, m.api.get("/api/users/bob"), "200").fields["authenticators"]; there {
		t.Errorf("bob has %v apps", n)
	}
	register(t, m.api, "bob/totp")
	wantFields(t, want(t, m.api.get(userPath("bob/totp")), "200"), fields{"name": "bob/totp"})
}

// repeatedStarts shows what a repeated start costs.
func (m *mall) repeatedStarts(t *testing.T) {
	t.Helper()
	number := newNumber()
	start := fields{"to": number}
	keyed := m.api.with("Idempotency-Key", "one-click")
	first := want(t, keyed.post("/api/otpsend", start), "201")
	again := want(t, keyed.post("/api/otpsend", start), "201")
	if n := len(m.sentCodes(number)); n != 1 || first.text("id") != again.text("id") {
		t.Errorf("with a key: %d messages", n)
	}
	for range 2 {
		want(t, m.api.post("/api/otpsend", start), "201")
	}
	if n := len(m.sentCodes(number)); n != 3 {
		t.Errorf("without a key: %d messages, want 2 more", n)
	}
}

// openForms shows what strangers at an open form do to the person's own login.
func (m *mall) openForms(t *testing.T) {
	t.Helper()
	for origin, login := range map[string]string{"typed": "201", "server": "429 too_many_sends"} {
		number := register(t, m.api, "victim of "+origin)
		var last reply
		for range 10 {
			last = m.api.post("/api/otpsend", fields{"to": number, "purpose": "signup", "origin": origin})
		}
		want(t, last, "429 too_many_sends")
		want(t, m.api.post("/api/otpsend", fields{"user": "victim of " + origin, "purpose": "login"}), login)
	}
}
