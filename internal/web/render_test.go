package web_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"twofa/internal/web"
)

func parse(t testing.TB, page []byte) *html.Node {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// all returns the elements of a name, "" for every element.
func all(doc *html.Node, name string) (list []*html.Node) {
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && (name == "" || n.Data == name) {
			list = append(list, n)
		}
	}
	return list
}

func attribute(n *html.Node, name string) (value string, ok bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// byID returns the element with an id, nil if there is none.
func byID(doc *html.Node, id string) *html.Node {
	for _, n := range all(doc, "") {
		if v, ok := attribute(n, "id"); ok && v == id {
			return n
		}
	}
	return nil
}

func render(t testing.TB, locale string, look web.Look, screen any) *html.Node {
	t.Helper()
	return renderWith(t, renderer(t), locale, look, screen)
}

func renderWith(t testing.TB, r *web.Renderer, locale string, look web.Look, screen any) *html.Node {
	t.Helper()
	page, err := r.Render(locale, look, screen, now)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, page)
}

// Every screen has what assistive technology and password managers need, whatever its state.
func TestEveryScreenIsSound(t *testing.T) {
	r := renderer(t, arabic(t))
	for _, name := range names() {
		for _, locale := range []string{"en", "ar"} {
			doc := renderWith(t, r, locale, look, screens()[name])
			checkSound(t, name+" "+locale, doc)
			root := all(doc, "html")[0]
			lang, _ := attribute(root, "lang")
			dir, _ := attribute(root, "dir")
			if want := map[string]string{"en": "ltr", "ar": "rtl"}[locale]; lang != locale || dir != want {
				t.Errorf("%s: lang %q and dir %q", name, lang, dir)
			}
		}
	}
}

func checkSound(t *testing.T, name string, doc *html.Node) {
	t.Helper()
	if n, m := len(all(doc, "h1")), len(all(doc, "main")); n != 1 || m != 1 {
		t.Errorf("%s: %d h1 and %d main", name, n, m)
	}
	if title := textOf(all(doc, "title")[0]); !strings.HasSuffix(title, " – Acme Bank") || !strings.Contains(title, textOf(all(doc, "h1")[0])) {
		t.Errorf("%s: the title is %q", name, title)
	}
	ids := map[string]int{}
	for _, n := range all(doc, "") {
		for _, a := range n.Attr {
			switch {
			case a.Key == "id":
				ids[a.Val]++
			case a.Key == "style" || strings.HasPrefix(a.Key, "on") || a.Val == "" && !slices.Contains([]string{"selected", "required", "autofocus", "novalidate", "defer", "value", "data-sms", "hidden", "data-print", "open"}, a.Key):
				t.Errorf("%s: %s has %s=%q", name, n.Data, a.Key, a.Val)
			case strings.Contains(a.Val, "ZgotmplZ"), strings.Contains(a.Val, "{"+"to}"):
				t.Errorf("%s: %s has %s=%q", name, n.Data, a.Key, a.Val)
			}
		}
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("%s: %d elements have the id %s", name, n, id)
		}
	}
	for _, n := range all(doc, "") {
		for _, ref := range []string{"aria-describedby", "aria-labelledby", "for"} {
			value, _ := attribute(n, ref)
			for _, id := range strings.Fields(value) {
				if ids[id] != 1 {
					t.Errorf("%s: %s of %s names %q, which is not there", name, ref, n.Data, id)
				}
			}
		}
		if href, _ := attribute(n, "href"); strings.HasPrefix(href, "#") && ids[href[1:]] != 1 {
			t.Errorf("%s: a link to %s, which is not there", name, href)
		}
	}
	for _, form := range all(doc, "form") {
		method, _ := attribute(form, "method")
		action, _ := attribute(form, "action")
		fields := map[string]string{}
		for _, input := range all(form, "input") {
			field, _ := attribute(input, "name")
			fields[field], _ = attribute(input, "value")
			if _, limited := attribute(input, "maxlength"); limited {
				t.Errorf("%s: the field %s cuts what is pasted", name, field)
			}
		}
		if method != "post" || !strings.HasPrefix(action, "/verify/") || fields["t"] != "sealed-token" || fields["once"] == "" || len(all(form, "button")) != 1 {
			t.Errorf("%s: a form with method %q, action %q, fields %v", name, method, action, fields)
		}
	}
}

func TestCodeField(t *testing.T) {
	for name, want := range map[string]map[string]string{
		"code":         {"autocomplete": "one-time-code", "inputmode": "numeric", "pattern": "[0-9 ]*", "class": "code n6", "autofocus": "", "aria-describedby": "expires", "data-sms": "", "spellcheck": "false", "dir": "ltr", "name": "code"},
		"code-wrong":   {"aria-invalid": "true", "aria-describedby": "field-error expires"},
		"code-notice":  {"autofocus": ""},
		"code-letters": {"inputmode": "text", "autocapitalize": "characters", "class": "code long"},
		"app":          {"inputmode": "numeric", "autocomplete": "one-time-code", "class": "code n6"},
		"recovery":     {"inputmode": "text", "autocomplete": "off", "class": "code long", "aria-describedby": "field-error", "aria-invalid": "true"},
	} {
		field := byID(render(t, "en", look, screens()[name]), "code")
		for key, value := range want {
			if got, ok := attribute(field, key); !ok || got != value {
				t.Errorf("%s: %s is %q (%t), want %q", name, key, got, ok, value)
			}
		}
	}
	for name, key := range map[string]string{"code-wrong": "autofocus", "code-notice": "data-sms", "app": "data-sms", "recovery": "pattern", "code-letters": "pattern"} {
		if got, ok := attribute(byID(render(t, "en", look, screens()[name]), "code"), key); ok {
			t.Errorf("%s: the field has %s=%q", name, key, got)
		}
	}
	for _, name := range []string{"code-dead", "code-expired"} {
		if doc := render(t, "en", look, screens()[name]); byID(doc, "code") != nil || textOf(all(doc, "h1")[0]) != "Send a new code" {
			t.Errorf("%s asks for a code that cannot be used", name)
		}
	}
}

// A masked number keeps its order among letters that run from right to left.
func TestMaskedNumberIsIsolated(t *testing.T) {
	doc := renderWith(t, renderer(t, arabic(t)), "ar", look, screens()["code"])
	for _, n := range all(doc, "bdi") {
		if dir, _ := attribute(n, "dir"); dir == "ltr" && textOf(n) == "+49******4567" && n.Parent.Data == "p" && strings.HasSuffix(textOf(n.Parent), "+49******4567.") {
			return
		}
	}
	t.Error("the number is not isolated")
}

func TestAddressField(t *testing.T) {
	for name, want := range map[string]map[string]string{
		"address":        {"type": "text", "autocomplete": "username", "autocapitalize": "none", "name": "address", "dir": "ltr", "autofocus": ""},
		"address-phones": {"type": "tel", "autocomplete": "tel"},
		"address-emails": {"type": "email", "autocomplete": "email"},
		"address-wrong":  {"value": "0171 12", "aria-invalid": "true", "aria-describedby": "field-error"},
	} {
		field := byID(render(t, "en", look, screens()[name]), "address")
		for key, value := range want {
			if got, ok := attribute(field, key); !ok || got != value {
				t.Errorf("%s: %s is %q (%t), want %q", name, key, got, ok, value)
			}
		}
	}
	if byID(render(t, "en", look, screens()["address-emails"]), "country") != nil {
		t.Error("an e-mail address is asked for its country")
	}
}

func TestFaultsAndNotices(t *testing.T) {
	doc := render(t, "en", look, screens()["code-wrong"])
	problem := byID(doc, "problem")
	if role, _ := attribute(problem, "role"); role != "alert" || textOf(problem) != "There is a problemThat code isn't right. Tries left: 4." {
		t.Errorf("the problem has the role %q and says %q", role, textOf(problem))
	}
	if href, _ := attribute(all(problem, "a")[0], "href"); href != "#code" {
		t.Errorf("the problem links to %q", href)
	}
	if title := textOf(all(doc, "title")[0]); !strings.HasPrefix(title, "There is a problem: Check") {
		t.Errorf("the title is %q", title)
	}
	doc = render(t, "en", look, screens()["code-dead"])
	if problem := byID(doc, "problem"); len(all(problem, "a")) != 0 {
		t.Error("a fault of no field links to one")
	}
	doc = render(t, "en", look, screens()["code-notice"])
	status := 0
	for _, n := range all(doc, "div") {
		if role, _ := attribute(n, "role"); role == "status" && textOf(n) == "We sent the code again." {
			status++
		}
	}
	if status != 1 {
		t.Error("the notice is no status")
	}
}

// Without script the button for a resend can be used: the server says how long to wait.
func TestResendNeedsNoScript(t *testing.T) {
	doc := render(t, "en", look, screens()["help"])
	button, wait := byID(doc, "resend"), byID(doc, "wait")
	if _, disabled := attribute(button, "aria-disabled"); disabled {
		t.Error("the button is disabled without script")
	}
	if text, _ := attribute(wait, "data-text"); textOf(wait) != "You can send it again in 24 s." || text != "You can send it again in {seconds} s." {
		t.Errorf("the pause says %q, and for the script %q", textOf(wait), text)
	}
	if live, ok := attribute(wait, "aria-live"); ok && live != "off" {
		t.Error("each second is announced")
	}
	channels := []string{}
	for _, input := range all(doc, "input") {
		if name, _ := attribute(input, "name"); name == "channel" {
			value, _ := attribute(input, "value")
			channels = append(channels, value)
		}
	}
	if !slices.Equal(channels, []string{"whatsapp", "call", "email"}) {
		t.Errorf("the channels are %v", channels)
	}
}

func TestEnds(t *testing.T) {
	end := web.EndScreen{Reason: "done", Good: true, Auto: true, Return: "https://bank.example/done?session=a&result=b"}
	refresh := func(e web.EndScreen) string {
		for _, n := range all(render(t, "en", look, e), "meta") {
			if v, _ := attribute(n, "http-equiv"); v == "refresh" {
				content, _ := attribute(n, "content")
				return content
			}
		}
		return ""
	}
	if got := refresh(end); got != "0;url="+end.Return {
		t.Errorf("the refresh is %q", got)
	}
	for _, address := range []string{"javascript:alert(1)", "data:text/html,x", "//evil.example", "/path", "", "https:", "\x01javascript:alert(1)"} {
		bad := end
		bad.Return = address
		if got := refresh(bad); got != "" {
			t.Errorf("the browser goes by itself to %q", got)
		}
	}
	end.Auto = false
	if got := refresh(end); got != "" {
		t.Errorf("without Auto the browser goes to %q", got)
	}
	if link := all(all(render(t, "en", look, end), "main")[0], "a")[0]; textOf(link) != "Continue to Acme Bank" {
		t.Errorf("the link says %q", textOf(link))
	}
}

func TestExpiry(t *testing.T) {
	for left, want := range map[time.Duration]string{
		10 * time.Minute: "The code expires in 10 min.", 9*time.Minute + time.Second: "The code expires in 10 min.",
		time.Second: "The code expires in 1 min.", 0: "", -time.Minute: "",
	} {
		code := screens()["code"].(web.CodeScreen)
		code.ExpiresAt = now.Add(left)
		got := ""
		if n := byID(render(t, "en", look, code), "expires"); n != nil {
			got = textOf(n)
		}
		if got != want {
			t.Errorf("%s before the end the page says %q, want %q", left, got, want)
		}
	}
}

func TestWait(t *testing.T) {
	r := renderer(t)
	for d, want := range map[time.Duration]string{
		0: "1 min.", time.Second: "1 min.", 61 * time.Second: "2 min.", 2 * time.Hour: "120 min.", 2*time.Hour + 1: "3 h", 23*time.Hour + time.Minute: "24 h",
	} {
		if got := r.Wait("en", d); got != want {
			t.Errorf("Wait(%s) = %q, want %q", d, got, want)
		}
	}
}

// A screen of another type is a defect, which must not become an empty page.
func TestUnknownScreens(t *testing.T) {
	for _, screen := range []any{nil, 1, &web.EndScreen{Reason: "done"}} {
		if page, err := renderer(t).Render("en", look, screen, now); err == nil || page != nil {
			t.Errorf("Render(%T) = %q, %v", screen, page, err)
		}
	}
}

// An operator's own language may lack all texts of pages. Then the whole page is in English.
func TestOwnLanguageWithoutPageTexts(t *testing.T) {
	var own map[string]any
	file, err := os.ReadFile("../texts/catalogue/es.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(file, &own); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(own, func(key string, _ any) bool { return strings.HasPrefix(key, "page_") })
	for label, want := range map[string]string{"": "en Code", "Codi": "ca Codi"} {
		if label != "" {
			own["page_code_label"] = label
		}
		text, err := json.Marshal(own)
		if err != nil {
			t.Fatal(err)
		}
		doc := renderWith(t, renderer(t, folderWith(t, "ca.json", string(text))), "ca-ES", look, screens()["code"])
		lang, _ := attribute(all(doc, "html")[0], "lang")
		if got := lang + " " + textOf(all(doc, "label")[0]); got != want {
			t.Errorf("with the label %q the page is %q, want %q", label, got, want)
		}
		if got := textOf(all(doc, "h1")[0]); got != "Check your text messages" {
			t.Errorf("the heading is %q", got)
		}
	}
}

// A page of the greatest length stays small, because phones load it over slow networks.
func TestPagesAreSmall(t *testing.T) {
	const most = 32_000
	files := len(web.Style("0b5fff")) + len(web.Script())
	for _, locale := range []string{"en", "de", "hi", "bn", "th", "ar"} {
		for name, screen := range screens() {
			page, err := renderer(t).Render(locale, look, screen, now)
			if err != nil {
				t.Fatal(err)
			}
			if size := len(page) + files; size > most {
				t.Errorf("%s in %s has %d bytes with style and script", name, locale, size)
			}
		}
	}
	if n := len(web.Style("")); n > 12_000 {
		t.Errorf("the style has %d bytes", n)
	}
	if n := len(web.Script()); n > 4_000 {
		t.Errorf("the script has %d bytes", n)
	}
}
