package main

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// signedIn returns a customer who has just logged in, and whose next code may be sent.
func (w *town) signedIn() *customer {
	w.TB.Helper()
	c := w.customer().signUp().logIn("own")
	c.post("/2fa", "code", c.code()).sees("Hello, ")
	w.Advance(time.Minute)
	return c
}

// order fills in the form of a payment.
func (c *customer) order(amount, payee, way string) *customer {
	c.TB.Helper()
	c.get("/")
	return c.post("/pay", "amount", amount, "payee", payee, "way", way, "once", c.once())
}

var paymentField = regexp.MustCompile(`name="payment" value="([^"]*)"`)

// paymentID is the payment that the form on the page is about.
func (c *customer) paymentID() string {
	c.TB.Helper()
	m := paymentField.FindStringSubmatch(c.body)
	if m == nil {
		c.TB.Fatalf("no form of a payment at %s:\n%s", c.at, c.body)
	}
	return m[1]
}

// has fails the test unless the account has that balance, and that many payments.
func (c *customer) has(balance string, payments int) *customer {
	c.TB.Helper()
	c.get("/").sees(balance)
	if n := strings.Count(c.body, "Approved with"); n != payments {
		c.TB.Fatalf("%d payments:\n%s", n, c.body)
	}
	return c
}

const unpaid = "€ 2,451.80"

// twofa shows the payment, the code is bound to it, and it is made once.
func TestPay_WithTheBanksOwnForm(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	c.order("25,5", "  Bike   Shop ", "own").sees("Approve the payment").sees("€ 25.50").sees("Bike Shop")
	if m := w.sent()[w.messages()-1]; m.Amount != "€ 25.50" || m.Payee != "Bike Shop" {
		t.Errorf("the message shows %q, %q", m.Amount, m.Payee)
	}
	id := c.paymentID()
	c.post("/pay/code", "payment", id, "code", "000000").sees("You have 4 more tries.").sees("€ 25.50").has(unpaid, 0)
	c.post("/pay/code", "payment", id, "code", c.code(), "amount", "9999", "payee", "Mallory").sees("You paid € 25.50 to Bike Shop.")
	check := w.lastOf(1, "/api/otpverify")[0].body
	if got, _ := check["context"].(map[string]any); got["amount"] != "€ 25.50" || got["payee"] != "Bike Shop" || check["purpose"] != "payment" || check["user"] != "alice" {
		t.Errorf("checked %v", check)
	}
	before := w.count()
	c.post("/pay/code", "payment", id, "code", c.code())
	if c.at != w.url+"/" || w.count() != before {
		t.Error("a form that was sent twice is checked twice")
	}
	c.has("€ 2,426.30", 1).sees("a code that we sent to +1******0123 over WhatsApp")
}

func TestPay_OnTheHostedPage(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	c.order("1234", "Zoë", "page").sees("€ 1,234.00").sees("Zoë")
	done := c.finishPage().String()
	c.has(unpaid, 0)
	c.get(done).sees("You paid € 1,234.00 to Zoë.")
	if c.cookie(payStateCookie) != "" {
		t.Error("the state outlives the payment")
	}
	if c.get(done); c.at != w.url+"/" || strings.Contains(c.body, `role="alert"`) {
		t.Errorf("a payment that was made is told as an error:\n%s", c.body)
	}
	c.has("€ 1,217.80", 1)
}

// Whoever changes a payment after the code was sent pays nothing.
func TestPay_AChangedPaymentFails(t *testing.T) {
	for name, change := range map[string]func(p *payment){
		"amount": func(p *payment) { p.Cents *= 10 },
		"payee":  func(p *payment) { p.Payee = "Mallory" },
	} {
		for _, way := range []string{"own", "page"} {
			w := newTown(t)
			c := w.signedIn().order("25", "Bike Shop", way)
			held := w.bank.sessions.get(c.cookie(sessionCookie)).payment
			if way == "own" {
				id := c.paymentID()
				change(held)
				c.post("/pay/code", "payment", id, "code", c.code()).sees("That code isn't right.")
			} else {
				done := c.finishPage().String()
				change(held)
				c.get(done).sees(textNotYours)
			}
			if c.has(unpaid, 0); t.Failed() {
				t.Errorf("%s, %s", name, way)
			}
		}
	}
}

// Two tabs: the later payment takes the place of the earlier one, and no approval of one is one
// of the other.
func TestPay_SwappedBetweenTabs(t *testing.T) {
	w := newTown(t)
	c := w.signedIn().order("10", "Bob", "own")
	bobs, first := c.paymentID(), c.code()
	w.Advance(time.Minute)
	c.order("2000", "Mallory", "own")
	mallorys, second := c.paymentID(), c.code()
	for _, try := range []struct{ id, code string }{{bobs, first}, {bobs, second}, {"", second}} {
		c.post("/pay/code", "payment", try.id, "code", try.code).sees(textChanged).has(unpaid, 0)
	}
	c.post("/pay/code/resend", "payment", bobs, "once", "1").sees(textChanged)
	c.post("/pay/code", "payment", mallorys, "code", first).sees("That code isn't right.").has(unpaid, 0)

	w.Advance(time.Minute)
	done := c.order("10", "Bob", "page").finishPage().String()
	w.Advance(time.Minute)
	later := c.order("2000", "Mallory", "page").finishPage()
	before := w.count()
	c.get(done).sees(textNotYours).has(unpaid, 0)
	if w.count() != before {
		t.Error("the bank asked twofa about a session that is not the payment's")
	}
	old, err := url.Parse(done)
	if err != nil {
		t.Fatal(err)
	}
	mixed := "/pay/done?" + url.Values{"session": {later.Query().Get("session")}, "result": {old.Query().Get("result")}}.Encode()
	c.get(mixed).sees(textNotYours).has(unpaid, 0)
}

// An approval of a login, or one of an app, is none of a payment.
func TestPay_FailsClosed(t *testing.T) {
	for name, answer := range map[string]string{
		"a login":         `{"status": "approved", "purpose": "login"}`,
		"no context":      `{"status": "approved", "purpose": "payment"}`,
		"another purpose": `{"status": "approved", "purpose": "login", "context": {"amount": "€ 25.00", "payee": "Bob"}}`,
		"an app":          `{"status": "approved", "purpose": "payment", "factor": "totp", "user": "alice"}`,
		"another amount":  `{"status": "approved", "purpose": "payment", "context": {"amount": "€ 26.00", "payee": "Bob"}}`,
		"an enrollment":   `{"status": "enrolled", "user": "alice"}`,
	} {
		for _, way := range []string{"own", "page"} {
			w := newTown(t)
			c := w.signedIn().order("25", "Bob", way)
			fake := func(rw http.ResponseWriter, _ *http.Request) bool { _, _ = rw.Write([]byte(answer)); return true }
			if way == "own" {
				id := c.paymentID()
				w.setFault(fake)
				c.post("/pay/code", "payment", id, "code", "123456")
			} else {
				done := c.finishPage().String()
				w.setFault(fake)
				c.get(done)
			}
			if c.has(unpaid, 0); t.Failed() {
				t.Errorf("%s, %s", name, way)
			}
		}
	}
}

func TestPay_TheStateInTheAddressIsNothing(t *testing.T) {
	w := newTown(t)
	c := w.signedIn().order("25", "Bob", "page")
	state, done := c.cookie(payStateCookie), c.finishPage()
	c.setCookie(payStateCookie, strings.Repeat("A", 43))
	query := done.Query()
	query.Set("state", state)
	done.RawQuery = query.Encode()
	if c.get(done.String()).sees(textNotYours); c.status != http.StatusForbidden {
		t.Errorf("status %d", c.status)
	}
	c.has(unpaid, 0)
}

// A double click on each form, and forms that are sent at once, pay once.
func TestPay_ADoubleClickPaysOnce(t *testing.T) {
	for _, way := range []string{"own", "page"} {
		w := newTown(t)
		c := w.signedIn().get("/")
		once, before := c.once(), w.messages()
		for range 2 {
			c.post("/pay", "amount", "25", "payee", "Bob", "way", way, "once", once)
		}
		if n := w.messages() - before; n != 1 {
			t.Errorf("%s: %d messages", way, n)
		}
		last := func(c *customer) { c.post("/pay/code", "payment", c.paymentID(), "code", c.code()) }
		if way == "page" {
			done := c.finishPage().String()
			last = func(c *customer) { c.get(done) }
		}
		var all sync.WaitGroup
		for range 4 {
			tab := *c
			all.Go(func() {
				if last(&tab); strings.Contains(tab.body, `role="alert"`) {
					t.Errorf("%s: a payment that was made is told as an error:\n%s", way, tab.body)
				}
			})
		}
		all.Wait()
		c.has("€ 2,426.80", 1)
		c.post("/pay", "amount", "25", "payee", "Bob", "way", way, "once", once).has("€ 2,426.80", 1)
		if n := w.messages() - before; n != 1 {
			t.Errorf("%s: %d messages after the payment was made", way, n)
		}
	}
}

// A payment that begins while another one is made goes on.
func TestPay_TheNextOneGoesOn(t *testing.T) {
	w := newTown(t)
	c := w.signedIn().order("25", "Bob", "page")
	done := c.finishPage().String()
	w.Advance(time.Minute)
	next := *c
	w.setFault(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/otpverify" {
			w.setFault(nil)
			next.order("30", "Zoë", "own")
		}
		return false
	})
	c.get(done).has("€ 2,426.80", 1)
	next.post("/pay/code", "payment", next.paymentID(), "code", next.code()).has("€ 2,396.80", 2)
}

// The answer of the fetch got lost on its way: a reload pays, once.
func TestPay_FetchesAgainAfterAFailure(t *testing.T) {
	w := newTown(t)
	c := w.signedIn().order("25", "Bob", "page")
	done := c.finishPage().String()
	w.setFault(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.WriteHeader(http.StatusBadGateway)
		return true
	})
	if c.get(done).sees(textReload); c.status != http.StatusServiceUnavailable {
		t.Errorf("status %d", c.status)
	}
	w.setFault(nil)
	c.get(done).sees("You paid").has("€ 2,426.80", 1)
}

func TestPay_EndsAsThePageDoes(t *testing.T) {
	w := newTown(t)
	c := w.signedIn().order("25", "Bob", "page")
	session := w.bank.sessions.get(c.cookie(sessionCookie)).payment.page
	back := "/pay/done?" + url.Values{"session": {session}, "error": {"canceled"}}.Encode()
	c.get(back).sees(ends["canceled"])
	c.get(back).sees(textNotYours).has(unpaid, 0)
}

func TestPay_NeedsASignIn(t *testing.T) {
	w := newTown(t)
	done := w.signedIn().order("25", "Bob", "page").finishPage().String()
	thief := w.customer()
	for _, path := range []string{"/pay/code", "/security", "/security/proven", "/security/done", done} {
		thief.get(path).sees("<h1>Log in</h1>")
	}
	for _, path := range []string{"/pay", "/pay/code", "/pay/code/resend", "/security/setup"} {
		thief.post(path, "amount", "25", "payee", "Bob").sees("<h1>Log in</h1>")
	}
}

func TestPay_SendsTheCodeAgain(t *testing.T) {
	w := newTown(t)
	c := w.signedIn().order("25", "Bob", "own")
	w.Advance(time.Minute)
	before := w.messages()
	c.post("/pay/code/resend", "payment", c.paymentID(), "once", c.once()).sees(textAgain)
	if w.messages() != before+1 {
		t.Errorf("%d messages", w.messages()-before)
	}
	c.post("/pay/code", "payment", c.paymentID(), "code", c.code()).sees("You paid")
}

func TestReadPayment(t *testing.T) {
	for _, try := range []struct {
		amount, payee string
		cents         int64
		want          string
		err           error
	}{
		{"25", "Bob", 2500, "Bob", nil}, {" 0.5 ", "Bob", 50, "Bob", nil}, {"25,50", "Cafe\u0301\u00a0 Zoë", 2550, "Café Zoë", nil},
		{"0", "Bob", 0, "", errAmount}, {"0.00", "Bob", 0, "", errAmount}, {"-1", "Bob", 0, "", errAmount}, {"1,000", "Bob", 0, "", errAmount},
		{"1e3", "Bob", 0, "", errAmount}, {"12345678", "Bob", 0, "", errAmount}, {"٢٥", "Bob", 0, "", errAmount}, {"", "Bob", 0, "", errAmount},
		{"25", "", 0, "", errPayee}, {"25", "Bob\u202e", 0, "", errPayee}, {"25", "{{1}}", 0, "", errPayee}, {"25", strings.Repeat("a", 61), 0, "", errPayee},
		{"25", "a\u200bb", 0, "", errPayee},
	} {
		p, err := readPayment(try.amount, try.payee)
		if !errors.Is(err, try.err) || err == nil && (p.Cents != try.cents || p.Payee != try.want) {
			t.Errorf("%q %q: %+v %v", try.amount, try.payee, p, err)
		}
	}
}

// What the bank lets pass and twofa does not is said in words, too.
func TestPay_SaysInWordsWhatIsWrong(t *testing.T) {
	w := newTown(t)
	c := w.signedIn()
	c.order("25", "www.evil.com", "own").sees(textPayee)
	c.order("x", "Bob", "own").sees(textAmount)
	c.order("3000", "Bob", "own").sees(textFunds).has(unpaid, 0)
	if n := w.messages(); n != 1 { // of the login
		t.Errorf("%d messages", n)
	}
}

// Two payments that each fit the balance, and together do not.
func TestAccounts_PayOnceAndNeverTooMuch(t *testing.T) {
	a := newAccounts()
	if err := a.reserve(t.Context(), "bob", password); err != nil {
		t.Fatal(err)
	}
	a.open("bob")
	for _, try := range []struct {
		id   string
		want error
	}{{"1", nil}, {"1", nil}, {"2", errFunds}} {
		if err := a.pay("Bob", paid{ID: try.id}, startBalance-1); !errors.Is(err, try.want) {
			t.Errorf("%s: %v", try.id, err)
		}
	}
	if found, _ := a.find("bob"); found.Balance != 1 || len(found.Paid) != 1 || !a.made("bob", "1") || a.made("bob", "2") || a.made("bob", "") {
		t.Errorf("%+v", found)
	}
	for cents, want := range map[int64]string{0: "€ 0.00", 5: "€ 0.05", 99999: "€ 999.99", 100000: "€ 1,000.00", 123456789: "€ 1,234,567.89"} {
		if got := euros(cents); got != want {
			t.Errorf("%d: %s", cents, got)
		}
	}
}
