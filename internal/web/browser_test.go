package web_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"twofa/internal/testing/browser"
)

// Every screen is accessible as far as a program can tell, fits into a narrow window (also
// one of 1280 pixels at 400 %), and loads nothing from elsewhere: in both themes and both directions.
func TestScreensInABrowser(t *testing.T) {
	url := serve(t)
	for _, c := range []struct {
		locale string
		width  int64
		dark   bool
	}{{"en", 1280, false}, {"ar", 320, true}} {
		t.Run(fmt.Sprintf("%s %d %t", c.locale, c.width, c.dark), func(t *testing.T) {
			b := browser.New(t, browser.Options{Width: c.width, Dark: c.dark})
			for _, name := range names() {
				b.Open(url + "/" + name + "?locale=" + c.locale)
				b.Axe()
				b.NoHorizontalScroll()
				b.TargetSizes()
				if small := smallControls(b); small != "" {
					t.Errorf("%s: lower than 44 pixels: %s", name, small)
				}
			}
			b.NoSurprises(url)
		})
	}
}

// smallControls are the fields and buttons that are lower than 44 CSS pixels.
func smallControls(b *browser.Browser) string {
	return browser.Eval[string](b, `[...document.querySelectorAll("button, select, a.button, a.plain, .list a, .check, input[type=text], input[type=tel], input[type=email]")]
		.filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML.slice(0, 80)).join("\n")`)
}

// The words of every language fit into a narrow window.
func TestEveryLanguageFits(t *testing.T) {
	url := serve(t)
	b := browser.New(t, browser.Options{Width: 320})
	for _, tag := range languages(t) {
		for _, name := range []string{"address", "code-wrong", "help", "second", "consent", "account"} {
			b.Open(url + "/" + name + "?locale=" + tag)
			b.NoHorizontalScroll()
		}
	}
}

// Text that is twice as large still fits.
func TestLargeText(t *testing.T) {
	url := serve(t)
	b := browser.New(t, browser.Options{Width: 390})
	for _, name := range names() {
		b.Open(url + "/" + name + "?locale=de")
		browser.Eval[bool](b, `(document.documentElement.style.fontSize = "200%") !== ""`)
		b.NoHorizontalScroll()
	}
}

// focused is true when something has the focus, which browsers give a moment after loading.
const focused = "document.activeElement !== document.body"

// The focus is where the person goes on: in the field, or at the problem, whose link leads to
// the field.
func TestFocus(t *testing.T) {
	url := serve(t)
	b := browser.New(t, browser.Options{})
	for name, want := range map[string]string{"code": "input#code Code", "address": "input#address Phone number or e-mail address", "app": "input#code Code"} {
		b.Open(url + "/" + name)
		b.WaitUntil("the focus", focused)
		if got := b.Focused(); got != want {
			t.Errorf("%s: the focus is at %q, want %q", name, got, want)
		}
	}
	b.Open(url + "/code-wrong")
	b.WaitUntil("the focus", focused)
	if got := b.Focused(); !strings.HasPrefix(got, "div#problem There is a problem") {
		t.Errorf("the focus is at %q", got)
	}
	order := b.TabOrder(2)
	if want := []string{"a That code isn't right. Tries left: 4.", "input#code Code"}; !slices.Equal(order, want) {
		t.Errorf("Tab leads to %q, want %q", order, want)
	}
	b.Open(url + "/code")
	b.WaitUntil("the focus", focused)
	for range 2 {
		b.Press(browser.Tab)
	}
	outline := browser.Eval[string](b, `(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle + " " + s.outlineWidth + " " + s.outlineOffset; })()`)
	if outline != "solid 2px 2px" {
		t.Errorf("the outline of %s is %s", b.Focused(), outline)
	}
}

// submitted counts the forms that the page sends, and keeps the page.
const submitted = `(() => { window.sent = 0; addEventListener("submit", e => { if (!e.defaultPrevented) window.sent++; e.preventDefault(); }); return true; })()`

func TestAFormIsSentOnce(t *testing.T) {
	url := serve(t)
	b := browser.New(t, browser.Options{})
	b.Open(url + "/code")
	browser.Eval[bool](b, submitted)
	b.Type("#code", "123456")
	b.Press(browser.Enter)
	b.Click("button.main")
	b.Press(browser.Enter)
	if n := browser.Eval[int](b, "window.sent"); n != 1 {
		t.Errorf("the form was sent %d times", n)
	}
	if b.Attribute("button.main", "aria-disabled") != "true" {
		t.Error("the button looks as if it could be used")
	}
	browser.Eval[bool](b, `dispatchEvent(new PageTransitionEvent("pageshow", {persisted: true}))`) // the back button
	b.Click("button.main")
	if n := browser.Eval[int](b, "window.sent"); n != 2 {
		t.Errorf("after the back button, the form was sent %d times in all", n)
	}
}

func TestCountdown(t *testing.T) {
	url := serve(t)
	b := browser.New(t, browser.Options{})
	b.Open(url + "/help")
	browser.Eval[bool](b, submitted)
	if got := b.Text("#wait"); !strings.HasPrefix(got, "You can send it again in 2") {
		t.Errorf("the pause says %q", got)
	}
	b.Click("#resend")
	if n := browser.Eval[int](b, "window.sent"); n != 0 || b.Attribute("#resend", "aria-disabled") != "true" {
		t.Error("the resend is not stopped while it has to wait")
	}
	// The script reads the clock, which goes on by a minute.
	browser.Eval[bool](b, `(() => { const now = Date.now; Date.now = () => now() + 60000; return true; })()`)
	b.WaitUntil("the end of the pause", `document.getElementById("wait").hidden`)
	b.Click("#resend")
	if n := browser.Eval[int](b, "window.sent"); n != 1 {
		t.Error("the resend cannot be used after the pause")
	}
	b.Open(url + "/code")
	browser.Eval[bool](b, `(() => { const now = Date.now; Date.now = () => now() + 541000; return true; })()`)
	b.WaitUntil("the last minute", `document.getElementById("expires").textContent === "The code expires in 1 min."`)
	browser.Eval[bool](b, `(() => { const now = Date.now; Date.now = () => now() + 60000; return true; })()`)
	b.WaitUntil("the end of the code", `document.getElementById("expires").textContent === "The code has expired."`)
	if b.Count("[aria-live], [role=status], [role=timer]") != 0 {
		t.Error("the time is announced")
	}
	b.NoSurprises(url)
}

// A browser that reads the code out of the message fills it in, and the person sends it. It no
// longer waits when the person has sent the form.
func TestWebOTP(t *testing.T) {
	url := serve(t)
	for _, code := range []string{"123456", "12345"} {
		b := browser.New(t, browser.Options{})
		b.BeforeScripts(`window.OTPCredential = class {};
			Object.defineProperty(navigator, "credentials", {value: {get: o => { window.asked = o; return new Promise(found => { window.found = found; }); }}});
			document.addEventListener("DOMContentLoaded", () => ` + submitted + `);`)
		b.Open(url + "/code")
		b.WaitUntil("the request for a code", `window.asked && asked.otp.transport[0] === "sms" && !asked.signal.aborted`)
		browser.Eval[bool](b, `(window.found({code: "`+code+`"}), true)`)
		b.WaitUntil("the code", `document.getElementById("code").value === "`+code+`"`)
		if n := browser.Eval[int](b, "window.sent"); n != 0 {
			t.Errorf("with %s the form was sent by itself", code)
		}
		b.Click("button.main")
		if !browser.Eval[bool](b, "asked.signal.aborted") {
			t.Error("the browser still waits for a message")
		}
		for _, name := range []string{"code-notice", "app", "recovery", "code-dead"} {
			b.Open(url + "/" + name)
			if browser.Eval[bool](b, "!!window.asked") {
				t.Errorf("%s asks for a code of a text message", name)
			}
		}
	}
}

// The pages show everything without script.
func TestWithoutScript(t *testing.T) {
	url := serve(t)
	b := browser.New(t, browser.Options{NoScript: true, Width: 390})
	b.Open(url + "/help")
	if b.Attribute("#resend", "aria-disabled") != "" || b.Text("#wait") != "You can send it again in 24 s." {
		t.Error("the resend cannot be used")
	}
	b.Open(url + "/code")
	b.WaitUntil("the focus", focused)
	if got := b.Focused(); got != "input#code Code" {
		t.Errorf("the focus is at %q", got)
	}
}
