package browser

import (
	"strconv"
	"strings"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Keys that a test presses.
const (
	Tab   = kb.Tab
	Enter = kb.Enter
	// ShiftTab goes to the element before.
	ShiftTab = "shift+" + kb.Tab
)

// Open goes to an address.
func (b *Browser) Open(address string) {
	b.t.Helper()
	b.do("open a page", chromedp.Navigate(address))
}

// BeforeScripts runs a script in each page that is opened from now on, before the page's own.
func (b *Browser) BeforeScripts(script string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	b.must("add a script", err)
}

// URL is the address of the page.
func (b *Browser) URL() string {
	b.t.Helper()
	return Eval[string](b, "location.href")
}

// Back goes one page back.
func (b *Browser) Back() {
	b.t.Helper()
	from := b.URL()
	ctx, cancel := b.timed()
	defer cancel()
	_, _ = chromedp.Run(ctx, chromedp.Evaluate[bool]("(history.back(), true)")) // its answer may be lost with the page
	b.WaitUntil("the page before", `document.readyState === "complete" && location.href !== `+strconv.Quote(from))
}

// Reload loads the page again.
func (b *Browser) Reload() {
	b.t.Helper()
	b.do("reload", chromedp.Reload())
}

// leave runs what leads to another page, and waits for that page.
func (b *Browser) leave(f func()) {
	b.t.Helper()
	Eval[bool](b, `(document.documentElement.dataset.left = "yes") !== ""`)
	f()
	b.WaitUntil("another page", `document.readyState === "complete" && document.documentElement && !document.documentElement.dataset.left`)
}

// WaitUntil waits until an expression is true.
func (b *Browser) WaitUntil(what, expression string) {
	b.t.Helper()
	end := time.Now().Add(waitTimeout)
	for {
		ctx, cancel := b.timed()
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		cancel()
		if ok && err == nil { // an error: the page is changing
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("the browser waited in vain for %s at %s; the page says: %.300s", what, b.URL(), b.Text("body"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Submit clicks on what leads to another page, and waits for that page.
func (b *Browser) Submit(css string) {
	b.t.Helper()
	b.leave(func() { b.Click(css) })
}

// WaitURL waits until the address begins with a prefix.
func (b *Browser) WaitURL(prefix string) {
	b.t.Helper()
	b.WaitUntil(prefix, "location.href.startsWith("+strconv.Quote(prefix)+")")
}

func (b *Browser) waitVisible(css string) {
	b.t.Helper()
	b.WaitUntil("a visible "+css, `(document.querySelector(`+strconv.Quote(css)+`) || document.head).getClientRects().length > 0`)
}

// Click clicks in the middle of an element.
func (b *Browser) Click(css string) {
	b.t.Helper()
	b.waitVisible(css)
	at := Eval[[]float64](b, `(() => {
		const e = document.querySelector(`+strconv.Quote(css)+`);
		e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getBoundingClientRect();
		return [r.x + r.width / 2, r.y + r.height / 2];
	})()`)
	b.do("click on "+css, chromedp.MouseClickXY(at[0], at[1]))
}

// Type writes into a field, in place of what is there.
func (b *Browser) Type(css, text string) {
	b.t.Helper()
	b.waitVisible(css)
	Eval[bool](b, `(() => { const e = document.querySelector(`+strconv.Quote(css)+`); e.focus(); e.select(); return true; })()`)
	b.Press(text)
}

// Press presses keys, wherever the focus is.
func (b *Browser) Press(keys string) {
	b.t.Helper()
	if rest, shift := strings.CutPrefix(keys, "shift+"); shift {
		b.do("press a key", chromedp.KeyEvent(rest, chromedp.KeyModifiers(kb.ModifierShift)))
		return
	}
	b.do("press a key", chromedp.KeyEvent(keys))
}

// Text is the visible text of an element, "" if there is none.
func (b *Browser) Text(css string) string {
	b.t.Helper()
	return strings.TrimSpace(Eval[string](b, `(document.querySelector(`+strconv.Quote(css)+`) || {innerText: ""}).innerText`))
}

// Attribute is an attribute of an element, "" if there is none.
func (b *Browser) Attribute(css, name string) string {
	b.t.Helper()
	return Eval[string](b, `((document.querySelector(`+strconv.Quote(css)+`) || document.createElement("p")).getAttribute(`+strconv.Quote(name)+`) || "")`)
}

// Value is the value of a field.
func (b *Browser) Value(css string) string {
	b.t.Helper()
	return Eval[string](b, `(document.querySelector(`+strconv.Quote(css)+`) || {value: ""}).value`)
}

// Count is how many elements match.
func (b *Browser) Count(css string) int {
	b.t.Helper()
	return Eval[int](b, `document.querySelectorAll(`+strconv.Quote(css)+`).length`)
}

// Focused says which element has the focus: its name, its id and its accessible name.
func (b *Browser) Focused() string {
	b.t.Helper()
	return Eval[string](b, `(() => {
		const e = document.activeElement;
		if (!e || e === document.body) return "body";
		const label = e.labels && e.labels.length ? e.labels[0].innerText : (e.innerText || e.getAttribute("aria-label") || "");
		return e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + (label ? " " + label.trim() : "");
	})()`)
}

// TabOrder presses Tab n times and returns what has the focus each time.
func (b *Browser) TabOrder(n int) (order []string) {
	b.t.Helper()
	for range n {
		b.Press(Tab)
		order = append(order, b.Focused())
	}
	return order
}

// Cookies are the cookies for the page.
func (b *Browser) Cookies() []*network.Cookie {
	b.t.Helper()
	found, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{})
	b.must("read the cookies", err)
	return found.Cookies
}

// NoHorizontalScroll fails the test if the page is wider than the window.
func (b *Browser) NoHorizontalScroll() {
	b.t.Helper()
	wide := Eval[string](b, `(() => {
		const page = document.scrollingElement, width = page.clientWidth;
		if (page.scrollWidth <= width) return "";
		return [...document.querySelectorAll("body *")].filter(e => { const r = e.getBoundingClientRect(); return r.right > width + 1 || r.left < -1; })
			.map(e => e.tagName + "." + e.className).slice(0, 5).join(", ") || "the page";
	})()`)
	if wide != "" {
		b.t.Errorf("the page at %s is wider than the window: %s", b.URL(), wide)
	}
}

// TargetSizes fails the test if something that can be clicked is smaller than 24 CSS pixels
// (WCAG 2.2, 2.5.8), but for links in a sentence.
func (b *Browser) TargetSizes() {
	b.t.Helper()
	small := Eval[string](b, `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select")].filter(e => {
		const r = e.getBoundingClientRect();
		if (!r.width || e.closest("label") && e.type !== "text") return false;
		const inSentence = e.tagName === "A" && getComputedStyle(e).display === "inline" && e.parentElement.innerText.trim() !== e.innerText.trim();
		return !inSentence && (r.width < 24 || r.height < 24);
	}).map(e => e.tagName + " " + (e.innerText || e.id)).join(", ")`)
	if small != "" {
		b.t.Errorf("too small to be clicked: %s", small)
	}
}

// WaitText waits until the page has a text.
func (b *Browser) WaitText(text string) {
	b.t.Helper()
	b.WaitUntil("the text "+text, "document.body && document.body.innerText.includes("+strconv.Quote(text)+")")
}
