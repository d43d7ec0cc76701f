package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"twofa/oidc"
)

func TestRespond_Query(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for uri, want := range map[string]string{
		callback:                           callback + "?code=abc&iss=https%3A%2F%2F2fa.example%2Foidc&state=a+state%2F%2B%26%3D%25%3F",
		"https://app.example/cb?a=1&b=%20": "https://app.example/cb?a=1&b=%20&code=abc&iss=https%3A%2F%2F2fa.example%2Foidc&state=a+state%2F%2B%26%3D%25%3F",
	} {
		form := with(asked("web"), "redirect_uri", uri)
		r, c := h.read(form)
		values := url.Values{"code": {"abc"}}
		a := h.Respond(r, c, "en", values)
		if a.Status != http.StatusSeeOther || a.Header["Location"] != want || a.Header["Cache-Control"] != "no-store" || a.Header["Referrer-Policy"] != "no-referrer" || a.Body != nil || len(values) != 1 {
			t.Errorf("%s: %d %v, want %s", uri, a.Status, a.Header, want)
		}
	}
	r, c := h.read(with(asked("phone"), "state"))
	if a := h.Respond(r, c, "en", (&oidc.RedirectError{Code: "login_required", Description: "No."}).Values()); a.Header["Location"] != "com.example.app:/callback?error=login_required&error_description=No.&iss=https%3A%2F%2F2fa.example%2Foidc" {
		t.Errorf("to an app: %v", a.Header)
	}
}

// A form_post has the parameters as they are, in a form that can go to the app alone.
func TestRespond_FormPost(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	state := `<script>"'&amp;</form> é+%20` + "\u2028"
	r, c := h.read(with(with(asked("web"), "response_mode", "form_post"), "state", state))
	a := h.Respond(r, c, "de", url.Values{"code": {"abc"}})
	if a.Status != http.StatusOK || a.Problem != nil || a.Header["Cache-Control"] != "no-store" || a.Header["Referrer-Policy"] != "no-referrer" || !strings.HasSuffix(a.Header["Content-Security-Policy"], " https://app.example") {
		t.Fatalf("%d %v", a.Status, a.Header)
	}
	doc, err := html.Parse(strings.NewReader(string(a.Body)))
	if err != nil {
		t.Fatal(err)
	}
	fields, action, lang := map[string]string{}, "", ""
	for n := range doc.Descendants() {
		at := map[string]string{}
		for _, a := range n.Attr {
			at[a.Key] = a.Val
		}
		switch n.Data {
		case "html":
			lang = at["lang"]
		case "form":
			action += at["method"] + " " + at["action"]
		case "input":
			fields[at["name"]] = at["value"]
		}
	}
	if action != "post "+callback || lang != "de" || len(fields) != 3 || fields["state"] != state || fields["code"] != "abc" || fields["iss"] != issuer || !strings.Contains(string(a.Body), "Acme") {
		t.Errorf("the form goes to %s with %q, in %s", action, fields, lang)
	}
}

func TestFormAction(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		callback: "https://app.example", "https://app.example:8443/cb?x=1": "https://app.example:8443", "http://127.0.0.1:5000/cb": "http://127.0.0.1:5000", "http://localhost:3000/": "http://localhost:3000",
		"http://[::1]:5000/cb": "http:", "com.example.app:/cb": "com.example.app:", "com.example.app://cb/x": "com.example.app:", "app.immich:///oauth-callback": "app.immich:", "": "'none'", "%zz": "'none'",
	} {
		if got := oidc.FormAction(uri); got != want {
			t.Errorf("%q: %q, want %q", uri, got, want)
		}
		if strings.ContainsAny(oidc.FormAction(uri), "; ,") {
			t.Errorf("%q makes another policy", uri)
		}
	}
}
