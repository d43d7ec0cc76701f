package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"twofa/internal/channel"
	"twofa/internal/web"
)

// payloads are texts that break out of badly escaped pages.
var payloads = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `" autofocus onfocus="alert(1)`,
	`</title><script>alert(1)</script>`, `</select><svg onload=alert(1)>`, "`onclick=alert(1)`", `javascript:alert(1)`, `JaVaScRiPt:alert(1)`,
	"java\nscript:alert(1)", `data:text/html,<script>alert(1)</script>`, `{{.}}`, `{to}`, "\x00<b>", `&lt;b&gt;<b>`, `<!--`, `]]><x>`, `</main></body>`, `<base href=//evil.example>`,
	`0;url=javascript:alert(1)`, "\u2028</p><p>", "\ufffc<i>", `//evil.example`,
}

// outline is the mark-up of a page without its values.
func outline(doc *html.Node) string {
	var b strings.Builder
	for _, n := range all(doc, "") {
		b.WriteString("<" + n.Data)
		for _, a := range n.Attr {
			b.WriteString(" " + a.Key)
		}
		b.WriteString(">")
	}
	return b.String()
}

func hostile(text string) (web.Look, map[string]any) {
	f := web.Form{Action: "/verify/check/x", Token: text, Once: text, Request: text}
	fault := &web.Fault{Key: "page_error_wrong", Values: map[string]string{"left": text}, Field: true}
	payment := web.Payment{Amount: text, Payee: text}
	return web.Look{Brand: "B" + text, Color: text, Logo: text, Privacy: text, Terms: text, Support: text}, map[string]any{
		"address": web.AddressScreen{Form: f, Phones: true, Emails: true, Country: text, Countries: map[string]bool{"DE": true, "FR": true}, Value: text, Fault: fault, Payment: payment, Cancel: f, Back: text},
		"code":    web.CodeScreen{Form: f, Way: web.WayMessage, Channel: channel.SMS, To: text, Digits: true, Length: 6, ExpiresAt: now.Add(time.Minute), Fault: fault, Payment: payment, AskShared: true, HelpForm: &f, Cancel: f},
		"notice":  web.CodeScreen{Form: f, Way: web.WayMessage, Channel: channel.SMS, To: text, Notice: "page_sent_again", Payment: payment, Help: text, Cancel: f},
		"app":     web.CodeScreen{Form: f, Way: web.WayApp, Help: text, Cancel: f},
		"help": web.HelpScreen{
			Resend: &f, ResendAfter: now.Add(time.Minute), To: text, NewCode: &f, Others: []web.ChannelForm{{Channel: channel.Channel(text), Form: f}},
			App: text, Recovery: text, Address: text, Back: text, Fault: fault, Cancel: f,
		},
		"end":     web.EndScreen{Reason: "done", Good: true, Return: text, Auto: true, Again: text},
		"quiet":   web.CodeScreen{Form: f, Way: web.WayQuiet, To: text, Fault: fault, HelpForm: &f, Cancel: f},
		"second":  web.SecondScreen{App: text, Recovery: text, Messages: []web.MessageForm{{ID: text, To: text, Form: f}, {ID: text, To: text, Email: true, Form: f}}, Fault: fault, Cancel: f},
		"consent": web.ConsentScreen{Phone: true, Email: true, Profile: true, PhoneNumber: text, EmailAddress: text, Name: text, Allow: f, Deny: f, Fault: fault},
		"account": web.AccountScreen{
			Name: text, AddPhone: &f, AddEmail: &f, SignOut: f, SignOutAll: f, Erase: f, Rename: f, Factors: f, Apps: []web.AccountApp{{ID: text, Brand: text, Withdraw: f}}, Browsers: []web.AccountBrowser{{ID: text, Forget: f, Label: text, App: text}}, Fault: fault,
			Addresses: []web.AccountAddress{{ID: text, Text: text, Remove: &f}, {ID: text, Text: text, Email: true, Undo: &f, Until: now.Add(time.Hour)}},
		},
		"erase":    web.EraseScreen{Erase: f, Back: text, Fault: fault},
		"sign-out": web.SignOutScreen{SignOut: f, Fault: fault},
		"post":     web.PostScreen{Action: "https://app.example/" + text, Fields: []web.Field{{Name: text, Value: text}}},
	}
}

// No value becomes mark-up or an address of another kind: the page has the elements and
// attributes that it has with a harmless value.
func TestHostileValuesStayText(t *testing.T) {
	harmlessLook, harmless := hostile("harmless")
	for _, payload := range payloads {
		hostileLook, screens := hostile(payload)
		for name, screen := range screens {
			for _, logo := range []bool{true, false} {
				if !logo {
					hostileLook.Logo, harmlessLook.Logo = "", ""
				} else {
					hostileLook.Logo, harmlessLook.Logo = payload, "harmless"
				}
				doc := render(t, "en", hostileLook, screen)
				if got, want := outline(doc), outline(render(t, "en", harmlessLook, harmless[name])); got != want {
					t.Errorf("%s with %q has other mark-up: %s", name, payload, difference(got, want))
				}
				checkAddresses(t, fmt.Sprintf("%s with %q", name, payload), doc)
			}
		}
	}
}

// difference is where two texts begin to differ.
func difference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("%.80q, not %.80q", got[max(0, i-20):], want[max(0, i-20):])
}

// checkAddresses fails the test if something leads to an address that runs script.
func checkAddresses(t *testing.T, name string, doc *html.Node) {
	t.Helper()
	for _, n := range all(doc, "") {
		for _, key := range []string{"href", "src", "action", "formaction"} {
			value, ok := attribute(n, key)
			scheme, _, _ := strings.Cut(strings.ToLower(strings.Join(strings.Fields(value), "")), ":")
			if rel, _ := attribute(n, "rel"); ok && rel != "icon" && (scheme == "javascript" || scheme == "data") {
				t.Errorf("%s: %s of %s is %q", name, key, n.Data, value)
			}
		}
		if equiv, _ := attribute(n, "http-equiv"); equiv != "" {
			t.Errorf("%s: the browser goes on by itself", name)
		}
	}
}
