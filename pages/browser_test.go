package pages_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/browser"
	"twofa/internal/testing/fixture"
	"twofa/otpsend"
	"twofa/otpverify"
)

const mainButton = "main button.main"

// The whole way in a real browser, with script and without.
func TestBrowser_FromANumberToTheApp(t *testing.T) {
	for _, noScript := range []bool{false, true} {
		t.Run(fmt.Sprintf("script %v", !noScript), func(t *testing.T) {
			s := newSite(t)
			began := s.begin(otpsend.Request{})
			b := browser.New(t, browser.Options{Width: 390, Language: "en-US,en", NoScript: noScript})
			b.Open(began.PageURL)
			if got := b.Value("#country"); got != "US" {
				t.Errorf("the country is %q", got)
			}
			b.Type("#address", "5550123")
			b.Submit(mainButton)
			if got := b.Text("#problem"); !strings.Contains(got, "That isn't a complete phone number.") || b.Attribute("#address", "aria-invalid") != "true" || b.Attribute("#address", "aria-describedby") != "field-error" {
				t.Errorf("the error is %q", got)
			}
			if noScript == strings.HasPrefix(b.Focused(), "div#problem There is a problem") {
				t.Errorf("the focus is at %q", b.Focused())
			}
			b.Type("#address", typed)
			b.Submit(mainButton)
			if b.Text("h1") != "Check WhatsApp" || b.Focused() != "input#code Code" {
				t.Errorf("%q, the focus is at %q", b.Text("h1"), b.Focused())
			}
			address := b.URL()
			b.Reload()
			b.Type("#code", s.wrong())
			b.Submit(mainButton)
			if !strings.Contains(b.Text("#problem"), "Tries left: 4.") {
				t.Errorf("%q", b.Text("body"))
			}
			b.Back()
			if b.URL() != address {
				t.Error("the back button does not go to the page before")
			}
			b.Type("#code", s.code(channel.WhatsApp))
			b.Click(mainButton)
			b.WaitURL(s.app.URL + "/2fa/done")
			b.NoSurprises(s.URL, s.app.URL)
			back := s.back()
			a, err := s.fetch("bank", otpverify.Request{Session: back.Get("session"), State: state, Result: back.Get("result")})
			if err != nil || a.PhoneNumber != fixture.Alice || back.Get("session") != began.Session {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}

// Everything works with the keyboard alone.
func TestBrowser_KeyboardAlone(t *testing.T) {
	s := newSite(t)
	b := browser.New(t, browser.Options{Language: "en-US"})
	b.Open(s.begin(otpsend.Request{}).PageURL)
	if b.Focused() != "input#address Phone number or e-mail address" {
		t.Errorf("the focus is at %q", b.Focused())
	}
	b.Press(typed)
	b.Press(browser.Enter)
	b.WaitUntil("the field has the focus", `document.activeElement.id === "code"`)
	want := []string{"input Other people use this device, too", "button Continue", "button Didn't get the code?", "button Cancel"}
	if got := b.TabOrder(4); !slices.Equal(got, want) {
		t.Errorf("the order is %q, want %q", got, want)
	}
	b.Press(browser.ShiftTab)
	b.Press(browser.Enter)
	b.WaitText("You can send it again in")
	if got := b.TabOrder(4); !slices.Equal(got, []string{"button#resend Send the code again", "button Send it by text message", "button Send it by e-mail", "a Use another number or e-mail address"}) && !slices.Equal(got, []string{"button#resend Send the code again", "button Send it by text message", "a Use another number or e-mail address", "a Back"}) {
		t.Errorf("the order is %q", got)
	}
	b.Back()
	b.Type("#code", "")
	b.Press(s.code(channel.WhatsApp))
	b.Press(browser.Enter)
	b.WaitURL(s.app.URL)
	b.NoSurprises(s.URL, s.app.URL)
}

// Two tabs of one browser act on one session, and another browser gets nothing.
func TestBrowser_TwoTabsAndAnotherBrowser(t *testing.T) {
	s := newSite(t)
	began := s.begin(otpsend.Request{To: fixture.Alice})
	first := browser.New(t, browser.Options{})
	first.Open(began.PageURL)
	second := first.NewTab(browser.Options{})
	second.Open(began.PageURL)
	first.Type("#code", s.wrong())
	first.Submit(mainButton)
	second.Type("#code", s.wrong())
	second.Submit(mainButton)
	if !strings.Contains(second.Text("#problem"), "Tries left: 3.") {
		t.Errorf("the second tab says %q", second.Text("#problem"))
	}
	stranger := browser.New(t, browser.Options{})
	stranger.Open(began.PageURL)
	stranger.Type("#code", s.code(channel.WhatsApp))
	stranger.Submit(mainButton)
	if stranger.Text("h1") != "Go on in the other browser" {
		t.Errorf("another browser sees %q", stranger.Text("h1"))
	}
	second.Type("#code", s.code(channel.WhatsApp))
	second.Click(mainButton)
	second.WaitURL(s.app.URL)
	first.Type("#code", s.code(channel.WhatsApp))
	first.Click(mainButton)
	first.WaitURL(s.app.URL) // with the same result
	first.NoSurprises(s.URL, s.app.URL)
}

// With script, the button waits for the pause and a form is sent once.
func TestBrowser_Script(t *testing.T) {
	s := newSite(t)
	s.Policy(func(p *otp.Policy) { p.ResendAfter = 2 * time.Second })
	b := browser.New(t, browser.Options{})
	b.Open(s.begin(otpsend.Request{To: fixture.Alice}).PageURL)
	b.Submit("button.strong")
	if b.Attribute("#resend", "aria-disabled") != "true" || !strings.Contains(b.Text("#wait"), "You can send it again in") || b.Attribute("#wait", "aria-live") != "" {
		t.Errorf("the button does not wait: %q", b.Text("main"))
	}
	s.Advance(2 * time.Second)
	b.WaitUntil("the button is free", `!document.querySelector("#resend").hasAttribute("aria-disabled") && document.querySelector("#wait").hidden`)
	s.Sender(channel.WhatsApp).During(func(notify.Message) { time.Sleep(200 * time.Millisecond) })
	browser.Eval[bool](b, `(document.documentElement.dataset.left = "yes", document.querySelector("#resend").click(), document.querySelector("#resend").click(), true)`)
	b.WaitText("We sent the code again.")
	if got := len(s.Sender(channel.WhatsApp).Sent()); got != 2 {
		t.Errorf("%d messages", got)
	}
	b.NoSurprises(s.URL)
}

// WebOTP, where the browser has it: the code of a text message fills the field in, and the
// person sends it.
func TestBrowser_WebOTP(t *testing.T) {
	s := newSite(t)
	s.Send.Workflow = []channel.Channel{channel.SMS}
	began := s.begin(otpsend.Request{To: fixture.Alice})
	b := browser.New(t, browser.Options{})
	// A browser without a phone has no message to give, so this one is given the code.
	b.BeforeScripts(`window.OTPCredential = function () {};
		navigator.credentials.get = o => new Promise(done => setTimeout(() => done(o.otp.transport[0] === "sms" && o.signal && {code: "` + s.code(channel.SMS) + `"}), 500));`)
	b.Open(began.PageURL)
	b.WaitUntil("the code", `document.getElementById("code").value === "`+s.code(channel.SMS)+`"`)
	b.Click(mainButton)
	b.WaitURL(s.app.URL)
	b.NoSurprises(s.URL, s.app.URL)
}

// A code that expires while the person waits does not end the page.
func TestBrowser_ExpiryWhileWaiting(t *testing.T) {
	s := newSite(t)
	b := browser.New(t, browser.Options{Width: 390})
	b.Open(s.begin(otpsend.Request{To: fixture.Alice}).PageURL)
	b.Type("#code", s.code(channel.WhatsApp))
	s.Advance(11 * time.Minute)
	b.Submit(mainButton)
	if !strings.Contains(b.Text("#problem"), "The code has expired.") || b.Text(mainButton) != "Send a new code" {
		t.Errorf("%q", b.Text("body"))
	}
	b.Axe()
	b.Submit(mainButton)
	b.Type("#code", s.code(channel.WhatsApp))
	b.Click(mainButton)
	b.WaitURL(s.app.URL)
	b.NoSurprises(s.URL, s.app.URL)
}

// looks are the languages, themes and sizes in which the flow is looked at. Package web looks at
// every screen in more.
var looks = []browser.Options{
	{Language: "de", Width: 320, Dark: true}, {Language: "ar", Width: 390}, {Language: "hi", Width: 320},
	{Language: "en", Width: 640, Height: 450}, // 1280 at a zoom of 200 %
}

// Every screen in every state: axe-core finds nothing, nothing is wider than the window, and
// everything that can be clicked is large enough.
func TestBrowser_Accessibility(t *testing.T) {
	for _, look := range looks {
		t.Run(fmt.Sprintf("%s %d dark %v", look.Language, look.Width, look.Dark), func(t *testing.T) {
			s := newSite(t)
			s.Sender(channel.WhatsApp).Answer(&notify.Failure{Outcome: otp.OutcomeUndeliverable})
			b := browser.New(t, look)
			check := func(what string) {
				t.Helper()
				b.Axe()
				b.NoHorizontalScroll()
				b.TargetSizes()
				if dir := b.Attribute("html", "dir"); (dir == "rtl") != (look.Language == "ar") || b.Attribute("html", "lang") != look.Language {
					t.Errorf("%s: lang %s, dir %s", what, b.Attribute("html", "lang"), dir)
				}
				if t.Failed() {
					t.Fatalf("at %s", what)
				}
			}
			began := s.begin(otpsend.Request{Transaction: otp.Transaction{Amount: "EUR 1,250.00", Payee: "Wörterbuchverlag Rindfleischetikettierung GmbH"}, Purpose: "pay"})
			b.Open(began.PageURL)
			check("the address")
			b.Type("#address", "12")
			b.Submit(mainButton)
			check("an error of the address")
			b.Type("#address", fixture.Alice)
			b.Submit(mainButton)
			check("the code")
			b.Type("#code", "000000")
			b.Submit(mainButton)
			check("a wrong code")
			b.Submit("button.strong")
			check("help")
			s.Advance(time.Minute)
			b.Reload()
			b.Submit("#resend")
			check("sent again")
			s.Advance(11 * time.Minute)
			b.Reload()
			check("expired")
			b.Submit(mainButton)
			check("a new code")
			b.Submit(".links form:last-child button")
			b.WaitURL(s.app.URL)
			b.Open(s.URL + "/verify/check?t=x")
			check("no link")
			s.Advance(time.Hour)
			b.Open(began.PageURL)
			check("the end")
			for _, fault := range b.Faults() { // the two last pages answer with 400 and 410
				if !strings.Contains(fault, "status of 4") {
					t.Error(fault)
				}
			}
		})
	}
}
