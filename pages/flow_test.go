package pages_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp/totp"

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/users"
)

// approve types the code and returns the result.
func (v *visitor) approve(c channel.Channel) string {
	v.TB.Helper()
	return v.approveWith(v.code(c))
}

func (v *visitor) approveWith(code string) string {
	v.TB.Helper()
	v.post("code", "code", code).sees("You're verified")
	return v.returns().Get("result")
}

func TestCheck_AnAddressOfTheAppCannotBeChanged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{To: fixture.Alice})
	if began.To != "+1******0123" || began.Channel != "whatsapp" {
		t.Errorf("%+v", began)
	}
	v := s.visitor().open(began.PageURL).sees("Check WhatsApp")
	form := v.form("code")
	v.post("help").sees("Didn't get the code?")
	if strings.Contains(v.text(), "Use another number") {
		t.Error("the page offers another address")
	}
	form.Set("address", "+919876543210")
	v.send("send", form).sees("This link doesn't work")
	if s.Sent() != 1 {
		t.Errorf("%d messages", s.Sent())
	}
	s.visitor().open(strings.Replace(began.PageURL, "/check?", "/check/address?", 1)).sees("Check WhatsApp")
}

func TestCheck_AsksForWhatItCanReach(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		channels []channel.Channel
		sees     string
		not      string
		other    string // an address of the other kind
		fault    string
	}{
		"phone":  {[]channel.Channel{channel.SMS}, "Enter your phone number.", `inputmode="text"`, fixture.AliceMail, "That isn't a complete phone number."},
		"e-mail": {[]channel.Channel{channel.Email}, "Enter your e-mail address.", "<select", fixture.Alice, "That isn't a complete e-mail address."},
	} {
		s := newSite(t, func(c *config.Settings) { c.Channels = tc.channels })
		s.Send.Workflow = tc.channels
		v := s.visitor().open(s.begin(otpsend.Request{}).PageURL).sees(tc.sees)
		v.post("send", "address", tc.other).sees(tc.fault)
		if strings.Contains(v.page.body, tc.not) {
			t.Errorf("%s: the page has %s", name, tc.not)
		}
	}
}

// Each fault of an address is a sentence of its own, and what was typed stays.
func TestCheck_SaysWhatIsWrongWithAnAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
	for typed, want := range map[[2]string]string{
		{"", "US"}:               "Enter your phone number or e-mail address.",
		{"12", "US"}:             "That isn't a complete phone number.",
		{"+1 415 555 01234", ""}: "That isn't a complete phone number.",
		{"hello", "DE"}:          "That isn't a complete phone number.",
		{"a@b", "US"}:            "That isn't a complete e-mail address.",
		{"0171 1234567", ""}:     "Choose the country of the number",
		{"+33612345678", "US"}:   "We can't send codes to this number.",
		{"+1 900 555 0123", ""}:  "We can't send codes to this number.",
	} {
		v.post("send", "address", typed[0], "country", typed[1]).sees("There is a problem", want)
		if typed[0] != "" && !strings.Contains(strings.ReplaceAll(v.page.body, "&#43;", "+"), `value="`+typed[0]+`"`) {
			t.Errorf("%q is not in the field any more", typed[0])
		}
		if typed[1] != "" && !strings.Contains(v.page.body, `value="`+typed[1]+`" selected`) {
			t.Errorf("%q is not selected any more", typed[1])
		}
	}
	if s.Sent() != 0 {
		t.Errorf("%d messages", s.Sent())
	}
	v.post("send", "address", "0171 1234567", "country", "DE").sees("+49******4567")
	v.post("code", "code", s.code(channel.WhatsApp)).sees("You're verified")
}

func TestCheck_SaysWhatIsWrongWithACode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{To: fixture.Alice}).PageURL)
	v.post("code", "code", "12").sees("That isn't a complete code.")
	v.post("code", "code", "").sees("That isn't a complete code.")
	right := s.code(channel.WhatsApp)
	wrong := "000000"
	if right == wrong {
		wrong = "000001"
	}
	for left := 4; left > 0; left-- {
		v.post("code", "code", wrong).sees(fmt.Sprintf("That code isn't right. Tries left: %d.", left))
	}
	v.post("code", "code", wrong).sees("Too many wrong codes.", "Send a new code")
	if strings.Contains(v.page.body, `name="code"`) {
		t.Error("the page still asks for the code that is used up")
	}
	s.Advance(time.Minute)
	v.post("new").sees("We sent a new code.")
	v.post("code", "code", right).sees("That code isn't right.")
	v.approve(channel.WhatsApp)
}

// Expiry never ends the page: it offers a new code, which works.
func TestCheck_ExpiryOffersANewCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{To: fixture.Alice}).PageURL)
	form, code := v.form("code"), s.code(channel.WhatsApp)
	s.Advance(11 * time.Minute)
	form.Set("code", code)
	v.send("code", form).sees("The code has expired.")
	v.post("new").sees("We sent a new code.")
	v.open(v.page.address).sees("The code expires in 10 min.") // reload
	s.Advance(10 * time.Minute)
	v.open(v.page.address).sees("The code has expired.")
	if strings.Contains(v.page.body, `name="code"`) {
		t.Error("the page asks for an expired code")
	}
	v.post("new").sees("We sent a new code.")
	v.approve(channel.WhatsApp)
}

// After 30 minutes the session is over, and the person can only go back to the app.
func TestCheck_ASessionEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{To: fixture.Alice})
	v := s.visitor().open(began.PageURL)
	form := v.form("code")
	s.Advance(30*time.Minute - 1)
	s.visitor().open(began.PageURL).sees("The code has expired.")
	s.Advance(1)
	v.open(began.PageURL).sees("This page has expired")
	if v.page.status != http.StatusGone || !strings.Contains(v.page.body, s.app.URL+"/2fa/done?error=expired&amp;session="+began.Session) {
		t.Errorf("%d: %s", v.page.status, v.page.body)
	}
	v.send("code", form).sees("This page has expired")
}

func TestCheck_Resend(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{To: fixture.Alice}).PageURL)
	code := s.code(channel.WhatsApp)
	v.post("help").sees("You can send it again in 30 s.")
	v.post("resend").sees("before you send it again.")
	s.Advance(30 * time.Second)
	v.post("resend").sees("We sent the code again.")
	if s.code(channel.WhatsApp) != code {
		t.Error("the code has changed")
	}
	s.Advance(30 * time.Second)
	v.post("help")
	if strings.Contains(v.text(), "Call me") || !strings.Contains(v.text(), "Send it by text message") {
		t.Errorf("a call is offered before a message failed, or no message: %s", v.text())
	}
	form := v.form("resend")
	form.Set("channel", "call")
	v.send("resend", form)
	if got := len(s.Sender(channel.Call).Sent()); got != 0 {
		t.Errorf("%d calls before a message failed", got)
	}
}

// A call is offered after a message failed.
func TestCheck_CallsAfterAFailure(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Sender(channel.WhatsApp).Answer(&notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 63024})
	v := s.visitor().open(s.begin(otpsend.Request{To: fixture.Alice}).PageURL).sees("Check your text messages")
	s.Advance(30 * time.Second)
	v.post("help").sees("Call me instead")
	form := v.form("resend")
	form.Set("channel", "call")
	v.send("resend", form).sees("Answer your phone")
	if got := len(s.Sender(channel.Call).Sent()); got != 1 {
		t.Errorf("%d calls", got)
	}
	v.approve(channel.Call)
}

func TestCheck_Cancel(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{To: fixture.Alice})
	v := s.visitor().open(began.PageURL)
	form := v.form("code")
	v.post("cancel").sees("Canceled")
	if back := v.returns(); back.Get("error") != "canceled" || back.Get("session") != began.Session || back.Has("result") {
		t.Errorf("%v", back)
	}
	form.Set("code", s.code(channel.WhatsApp))
	v.send("code", form).sees("Canceled")
}

func TestCheck_Denied(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{To: fixture.Alice})
	v := s.visitor().open(began.PageURL)
	s.Receive(notify.Inbound{From: fixture.Alice, Channel: channel.WhatsApp, Text: "NO"})
	v.post("code", "code", s.code(channel.WhatsApp)).sees("Request stopped")
	if !strings.Contains(v.page.body, "error=denied") {
		t.Error("the page does not go back with denied")
	}
}

// A user's authenticator app and recovery codes work in place of the message.
func TestCheck_OtherFactorsOfAUser(t *testing.T) {
	t.Parallel()
	for _, factor := range []string{"app", "recovery"} {
		s := newSite(t)
		ctx := client.With(s.Ctx(), s.client)
		s.User(user.User{Name: "alice", Phone: fixture.Alice})
		e, err := s.API.Users.Enroll(ctx, "alice", users.EnrollRequest{})
		if err != nil {
			t.Fatal(err)
		}
		now := func() string {
			code, err := pquerna.GenerateCode(e.Secret, s.Now())
			if err != nil {
				t.Fatal(err)
			}
			return code
		}
		if _, err := s.API.Users.Confirm(ctx, "alice", users.ConfirmRequest{Code: now()}); err != nil {
			t.Fatal(err)
		}
		codes, err := s.API.Users.MakeRecoveryCodes(ctx, "alice")
		if err != nil {
			t.Fatal(err)
		}
		s.Advance(time.Minute)
		began := s.begin(otpsend.Request{User: "alice"})
		v := s.visitor().open(began.PageURL)
		v.post("help").sees("Use my authenticator app", "Use a recovery code")
		v.open(link(t, v, factor))
		code := map[string]string{"app": now(), "recovery": codes.Codes[0]}[factor]
		s.Secret("a code", code)
		v.post(factor, "code", "12").sees("That isn't a complete")
		v.post(factor, "code", map[string]string{"app": "000000", "recovery": "AAAA-AAAA-AAAA-AAAA"}[factor]).sees("There is a problem")
		v.post(factor, "code", code).sees("You're verified")
		a, err := s.fetch("bank", otpverify.Request{Session: began.Session, State: state, Result: v.returns().Get("result")})
		if err != nil || a.User != "alice" || a.Factor == "" || a.PhoneNumber != "" || a.Purpose != "login" {
			t.Errorf("%s: %+v, %v", factor, a, err)
		}
		s.Advance(30 * time.Second)
		v = s.visitor().open(s.begin(otpsend.Request{User: "alice", Purpose: "again"}).PageURL)
		v.post("help")
		v.open(link(t, v, factor))
		v.post(factor, "code", code).sees("There is a problem") // once
	}
}

// link is the address of another screen that the page links to.
func link(t *testing.T, v *visitor, screen string) string {
	t.Helper()
	_, rest, ok := strings.Cut(v.page.body, `href="/verify/check/`+screen+`?`)
	address, _, _ := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("no link to %s: %s", screen, v.text())
	}
	return "/verify/check/" + screen + "?" + address
}

// R7: the page shows amount and payee, the code is bound to them, and the app gets them back.
func TestR7_ThePageShowsWhatIsApproved(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	pay := otp.Transaction{Amount: "EUR 1,250.00", Payee: "Bike Shop"}
	s.User(user.User{Name: "alice", Phone: fixture.Alice})
	began := s.begin(otpsend.Request{User: "alice", Purpose: "pay", Transaction: pay})
	v := s.visitor().open(began.PageURL).sees("You are approving this payment", "EUR 1,250.00", "Bike Shop")
	if m := s.Sender(channel.WhatsApp).Last(); m.Amount != pay.Amount || m.Payee != pay.Payee {
		t.Errorf("the message has %q and %q", m.Amount, m.Payee)
	}
	a, err := s.fetch("bank", otpverify.Request{Session: began.Session, State: state, Result: v.approve(channel.WhatsApp)})
	if err != nil || a.Transaction != pay || a.Purpose != "pay" {
		t.Errorf("%+v, %v", a, err)
	}
}

// A form that is sent twice, also at the same time, has one effect, and both get the same page.
func TestCheck_AFormHasOneEffect(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
	form := v.form("send")
	form.Set("address", fixture.Alice)
	var wait sync.WaitGroup
	for range 5 {
		other := s.visitor()
		other.http.Jar = v.http.Jar
		wait.Go(func() { other.send("send", form).sees("Check WhatsApp") })
	}
	wait.Wait()
	if s.Sent() != 1 {
		t.Errorf("%d messages", s.Sent())
	}
	v.send("send", form)
	v.approve(channel.WhatsApp)
}

// An outage of the provider does not end the page, and a code that arrives all the same works.
func TestCheck_ProviderFaults(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
	s.Sender(channel.WhatsApp).Answer(&notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: true})
	v.post("send", "address", fixture.Alice).sees("Check WhatsApp", "We couldn't send the message.")
	v.approve(channel.WhatsApp)
}

// The browser that got a result gets the same one again until the app has fetched it.
func TestCheck_ALostRedirectGetsTheSameResult(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{To: fixture.Alice})
	v := s.visitor().open(began.PageURL)
	form := v.form("code")
	result := v.approve(channel.WhatsApp)
	v.open(v.page.address).sees("You're verified") // reload
	if got := v.returns().Get("result"); got != result {
		t.Errorf("reload: %s, want %s", got, result)
	}
	form.Set("code", s.code(channel.WhatsApp))
	v.send("code", form).sees("You're verified") // the back button
	if got := v.returns().Get("result"); got != result {
		t.Errorf("back: %s, want %s", got, result)
	}
	if _, err := s.fetch("bank", otpverify.Request{Session: began.Session, State: state, Result: result}); err != nil {
		t.Fatal(err)
	}
	v.send("code", form).sees("This page has expired")
}

func TestCheck_AResultEndsAfterTenMinutes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{To: fixture.Alice})
	v := s.visitor().open(began.PageURL)
	ask := otpverify.Request{Session: began.Session, State: state, Result: v.approve(channel.WhatsApp)}
	s.Advance(10 * time.Minute)
	_, err := s.fetch("bank", ask)
	s.Refused(err, problem.NotFound)
	v.open(v.page.address).sees("This page has expired")
	s.Advance(-time.Second)
	if _, err := s.fetch("bank", ask); err != nil {
		t.Error(err)
	}
}

// What the approval tells: the address to who gave it or had it typed, and the user's only to
// a client that may read users.
func TestCheck_TheApprovalTellsTheAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.User(user.User{Name: "alice", Phone: fixture.Alice, Email: fixture.AliceMail})
	for name, tc := range map[string]struct {
		client string
		req    otpsend.Request
		by     channel.Channel
		phone  string
		email  string
	}{
		"given":             {"shop", otpsend.Request{To: fixture.Bob}, channel.WhatsApp, fixture.Bob, ""},
		"a user, may read":  {"bank", otpsend.Request{User: "alice", Channel: channel.Email}, channel.Email, "", fixture.AliceMail},
		"a user, may not":   {"shop", otpsend.Request{User: "alice", Channel: channel.WhatsApp}, channel.WhatsApp, "", ""},
		"given, an address": {"bank", otpsend.Request{To: fixture.AliceMail, Purpose: "x"}, channel.Email, "", fixture.AliceMail},
	} {
		began := s.beginAs(tc.client, tc.req)
		v := s.visitor().open(began.PageURL)
		a, err := s.fetch(tc.client, otpverify.Request{Session: began.Session, State: state, Result: v.approve(tc.by), Receipt: true})
		if err != nil || a.PhoneNumber != tc.phone || a.Email != tc.email || a.Receipt == "" {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
		s.Advance(time.Minute)
	}
}

// Storage fails at each step of a code's check. The person tries again, and the app gets one
// approval.
func TestCheck_StorageFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		for at := 1; at <= 4; at++ {
			s := newSite(t)
			began := s.begin(otpsend.Request{To: fixture.Alice})
			v := s.visitor().open(began.PageURL)
			v.post("help").post("resend") // the session has its row
			v.open(began.PageURL)
			calls := 0
			s.Table.Break(func(int) rig.Fault {
				if calls++; calls == at {
					return fault
				}
				return rig.None
			})
			code := s.code(channel.WhatsApp)
			v.post("code", "code", code)
			s.Table.Break(nil)
			if !strings.Contains(v.text(), "You're verified") {
				v.sees("There is a problem")
				if strings.Contains(v.page.body, `name="code"`) {
					v.post("code", "code", code)
				}
			}
			v.sees("You're verified")
			ask := otpverify.Request{Session: began.Session, State: state, Result: v.returns().Get("result")}
			if _, err := s.fetch("bank", ask); err != nil {
				t.Errorf("fault %v at call %d: %v", fault, at, err)
			}
			_, err := s.fetch("bank", ask)
			s.Refused(err, problem.AlreadyUsed)
		}
	}
}

// The storage trips of each request. The counters over many addresses are off.
func TestCheck_RoundTrips(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Send.Guard = nil
	trips := func(what string, want int, f func()) {
		t.Helper()
		before := s.trips()
		f()
		if got := s.trips() - before; got != want {
			t.Errorf("%s: %d round trips, want %d", what, got, want)
		}
	}
	began := s.begin(otpsend.Request{})
	v := s.visitor()
	trips("a page", 0, func() { v.open(began.PageURL) })
	trips("an address: a start with an idempotency key, and one read and write", 6, func() { v.post("send", "address", fixture.Alice) })
	trips("a wrong code: the check and a read", 3, func() { v.post("code", "code", s.wrong()) })
	trips("help: two reads", 2, func() { v.post("help") })
	v.open(v.page.address)
	s.Advance(time.Minute)
	trips("a resend with an idempotency key, and a read", 5, func() { v.post("resend") })
	var result string
	trips("the right code: the check and one read and write", 4, func() { result = v.approve(channel.WhatsApp) })
	trips("the fetch", 2, func() {
		if _, err := s.fetch("bank", otpverify.Request{Session: began.Session, State: state, Result: result}); err != nil {
			t.Error(err)
		}
	})
	given := s.begin(otpsend.Request{To: fixture.Bob})
	v = s.visitor().open(given.PageURL)
	trips("the first code of a session that has no row, which binds it", 4, func() { v.post("code", "code", "111111") })
}

func TestCheck_Languages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{})
	for query, want := range map[string]string{"&ui_locales=ar%20en": `lang="ar" dir="rtl"`, "&locale=de": `lang="de" dir="ltr"`, "&locale=xx": `lang="en"`, "": `lang="en"`} {
		if v := s.visitor().open(began.PageURL + query); !strings.Contains(v.page.body, want) {
			t.Errorf("%s: %.120s", query, v.page.body)
		}
	}
	v := s.visitor().open(began.PageURL + "&ui_locales=de") // and the pages that follow, and the message
	if v.post("send", "address", fixture.Alice); !strings.Contains(v.page.body, `lang="de"`) || s.Sender(channel.WhatsApp).Last().Locale != "de" {
		t.Errorf("after a form: %.60s, the message is in %q", v.page.body, s.Sender(channel.WhatsApp).Last().Locale)
	}
	if v := s.visitor().open(s.begin(otpsend.Request{Locale: "hi"}).PageURL); !strings.Contains(v.page.body, `lang="hi"`) || v.page.header.Get("Vary") != "Accept-Language" {
		t.Errorf("%.120s", v.page.body)
	}
}

// Forms that a page did not make, or for a state in which it is not, do no harm.
func TestCheck_FormsOutOfPlace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
	form := v.form("send")
	for _, action := range []string{"help", "resend", "new", "code", "app", "recovery"} {
		own := maps.Clone(form)
		own.Set("code", "123456")
		v.send(action, own)
		if want := map[string]int{"app": 400, "recovery": 400}[action]; v.page.status != max(want, 200) {
			t.Errorf("%s: %d %s", action, v.page.status, v.text())
		}
	}
	for _, once := range []string{"", "short"} {
		own := maps.Clone(form)
		own.Set("once", once)
		own.Set("address", fixture.Alice)
		if v.send("send", own); v.page.status != http.StatusBadRequest {
			t.Errorf("the form %q: %d", once, v.page.status)
		}
	}
	own := maps.Clone(form)
	own.Set("address", strings.Repeat("1", 16<<10))
	if v.send("send", own); v.page.status != http.StatusBadRequest {
		t.Errorf("a large form: %d", v.page.status)
	}
	if s.Sent() != 0 {
		t.Errorf("%d messages", s.Sent())
	}
}
