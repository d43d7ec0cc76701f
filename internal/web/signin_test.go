package web_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"twofa/internal/channel"
	"twofa/internal/web"
)

// field returns the value of the hidden field of a form, and whether the form has it.
func field(form *html.Node, name string) (value string, ok bool) {
	for _, input := range all(form, "input") {
		if of, _ := attribute(input, "name"); of == name {
			value, _ = attribute(input, "value")
			return value, true
		}
	}
	return "", false
}

// Every form of a sign-in carries the app's request, and no form of another page has the field.
func TestFormsCarryTheRequest(t *testing.T) {
	for name, screen := range screens() {
		_, signIn := signInScreens()[name]
		for _, form := range all(render(t, "en", look, screen), "form") {
			if request, has := field(form, "request"); has != signIn || signIn && request != "sealed-request" {
				t.Errorf("%s: a form has the request %q (%t)", name, request, has)
			}
		}
	}
}

func TestSignInTitles(t *testing.T) {
	for name, want := range map[string]string{
		"address": "Confirm it's you", "sign-in": "Sign in", "sign-in-phones": "Sign in", "add-phone": "Add a phone number", "add-email": "Add an e-mail address",
		"quiet": "Enter the code", "quiet-over": "Send a new code", "consent": "Acme Bank would like to know who you are",
	} {
		if got := textOf(all(render(t, "en", look, screens()[name]), "h1")[0]); got != want {
			t.Errorf("%s: the heading is %q, want %q", name, got, want)
		}
	}
}

// The screen for a code that was perhaps not sent is the same whatever the channel, and says "if".
func TestAQuietCodeNamesNoChannel(t *testing.T) {
	r := renderer(t)
	for name, want := range map[string]string{
		"quiet":      "If +49******4567 has an account, we have sent a code there.",
		"quiet-mail": "If a******@a-rather-long-name-of-a-department.example.com has an account, we have sent a code there. Also look in the spam folder.",
	} {
		screen := screens()[name].(web.CodeScreen)
		plain, err := r.Render("en", look, screen, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, screen.Channel = range []channel.Channel{channel.SMS, channel.WhatsApp, channel.Call, channel.Email} {
			page, err := r.Render("en", look, screen, now)
			if err != nil || string(page) != string(plain) {
				t.Errorf("%s over %s is another page, %v", name, screen.Channel, err)
			}
		}
		doc := parse(t, plain)
		if got := textOf(byClass(doc, "lead")[0]); got != want {
			t.Errorf("%s says %q, want %q", name, got, want)
		}
		for _, word := range []string{"WhatsApp", "text message", "call"} {
			if strings.Contains(textOf(all(doc, "main")[0]), word) {
				t.Errorf("%s says %q", name, word)
			}
		}
		if _, reads := attribute(byID(doc, "code"), "data-sms"); reads == screen.Email {
			t.Errorf("%s: the browser reads text messages: %t", name, reads)
		}
	}
}

// byClass returns the elements that have a class.
func byClass(doc *html.Node, class string) (list []*html.Node) {
	for _, n := range all(doc, "") {
		if of, _ := attribute(n, "class"); slices.Contains(strings.Fields(of), class) {
			list = append(list, n)
		}
	}
	return list
}

// buttons are the words of the buttons, each with the value of the field id of its form.
func buttons(doc *html.Node) (list []string) {
	for _, form := range all(doc, "form") {
		text := textOf(all(form, "button")[0])
		if id, has := field(form, "id"); has {
			text += " " + id
		}
		list = append(list, text)
	}
	return list
}

// An app is told only what the person sees on the screen that asks.
func TestConsentNamesTheData(t *testing.T) {
	mail := "a******@a-rather-long-name-of-a-department.example.com"
	for name, want := range map[string][]string{
		"consent":      {"Nameأليس", "Phone number+49******4567", "E-mail address" + mail, "An ID that says nothing about you"},
		"consent-none": {"NameNot in your account", "Phone numberNot in your account", "E-mail addressNot in your account", "An ID that says nothing about you"},
		"consent-id":   {"An ID that says nothing about you"},
	} {
		doc := render(t, "en", look, screens()[name])
		var got []string
		for _, item := range all(doc, "li") {
			got = append(got, textOf(item))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s lists %q, want %q", name, got, want)
		}
		if got := buttons(doc); !slices.Equal(got, []string{"Allow", "Cancel"}) {
			t.Errorf("%s has the buttons %q", name, got)
		}
	}
}

func TestSecondStep(t *testing.T) {
	doc := render(t, "en", look, screens()["second"])
	want := []string{"Send a code to +49******4567 A0", "Send a code to a******@a-rather-long-name-of-a-department.example.com A1", "Cancel"}
	if got := buttons(doc); !slices.Equal(got, want) {
		t.Errorf("the buttons are %q", got)
	}
	var links []string
	for _, a := range all(all(doc, "ul")[0], "a") {
		links = append(links, textOf(a))
	}
	if !slices.Equal(links, []string{"Use my authenticator app", "Use a recovery code"}) {
		t.Errorf("the links are %q", links)
	}
}

// What a person can do with an address depends on its state.
func TestAccountAddresses(t *testing.T) {
	account := screens()["account"].(web.AccountScreen)
	doc := render(t, "en", look, account)
	var hints []string
	for _, hint := range byClass(all(doc, "ul")[0], "hint") {
		hints = append(hints, textOf(hint))
	}
	if want := []string{"Name", "Can't be used alone to sign in until tomorrow.", "Removed. You can undo this for another 23 h."}; !slices.Equal(hints, want) {
		t.Errorf("the hints are %q", hints)
	}
	want := []string{
		"Change name", "Remove A0", "Undo A1", "Remove A2", "Change phone number", "Change e-mail address", "Authenticator app and recovery codes", "Remove P0", "Remove P1", "Remove P2",
		"Remove B0", "Remove B1", "Sign out", "Sign out everywhere", "Delete my account",
	}
	if got := buttons(doc); !slices.Equal(got, want) {
		t.Errorf("the buttons are %q, want %q", got, want)
	}
	if got := textOf(byID(doc, "factors")); got != "Authenticator apps: 2Codes left: 10." {
		t.Errorf("the factors are %q", got)
	}
	var browsers []string
	for _, item := range all(doc, "li") {
		if button := all(item, "button"); len(button) > 0 {
			if of, _ := attribute(button[0], "aria-describedby"); strings.HasPrefix(of, "browser") {
				browsers = append(browsers, strings.Join(strings.Fields(textOf(item)), " "))
			}
		}
	}
	if want := []string{
		"Firefox, Android This browser Acme Bank · Last sign-in: 2026-11-26Remembered until 2026-12-26 Remove", "Unknown browser متجر · Last sign-in: 2026-10-17 · Signed out Remove",
	}; !slices.Equal(browsers, want) {
		t.Errorf("the browsers are %q", browsers)
	}
	account.Addresses, account.Apps, account.AddEmail, account.Browsers = account.Addresses[1:2], nil, nil, nil
	account.Addresses[0].Until = now.Add(90 * time.Minute)
	doc = render(t, "en", look, account)
	if got := buttons(doc); !slices.Equal(got, []string{"Change name", "Undo A1", "Add a phone number", "Authenticator app and recovery codes", "Sign out", "Sign out everywhere", "Delete my account"}) {
		t.Errorf("with a removed number, the buttons are %q", got)
	}
	if got := textOf(byClass(doc, "hint")[1]); got != "Removed. You can undo this for another 90 min." || byID(doc, "apps") != nil {
		t.Errorf("the hint is %q, or there is a list of no apps", got)
	}
}

// What a click did is said once: not beside an error.
func TestAccountNotice(t *testing.T) {
	account := screens()["account"].(web.AccountScreen)
	if n := len(byClass(render(t, "en", look, account), "good")); n != 1 {
		t.Errorf("%d notices", n)
	}
	account.Fault = &web.Fault{Key: "page_error_fresh"}
	if doc := render(t, "en", look, account); len(byClass(doc, "good")) != 0 || byID(doc, "problem") == nil {
		t.Error("a notice and an error, or no error")
	}
}
