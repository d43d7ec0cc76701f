package oidc_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"twofa/oidc"
)

// with is a form with other values. A value that is none takes the parameter away.
func with(form url.Values, name string, values ...string) url.Values {
	if len(values) == 0 {
		delete(form, name)
	} else {
		form[name] = values
	}
	return form
}

func TestReadRequest(t *testing.T) {
	t.Parallel()
	form := asked("web")
	for name, value := range map[string]string{
		"response_mode": "form_post", "scope": "profile  offline_access openid email groups email", "prompt": "login consent select_account", "max_age": "3600", "login_hint": "+14155550123",
		"ui_locales": "de en", "acr_values": "urn:x urn:twofa:acr:2", "id_token_hint": "a.b.c", "claims": `{"userinfo": {"groups": null}}`, "display": "popup", "audience": "x",
	} {
		form.Set(name, value)
	}
	form["resource"] = []string{"https://a", "https://b"}
	got, c, err := oidc.ReadRequest(form, clients())
	want := oidc.Request{
		Client: "web", RedirectURI: callback, FormPost: true, State: "a state/+&=%?", Nonce: nonce, Challenge: challenge, Scopes: []string{"openid", "email", "profile"},
		Login: true, Consent: true, MaxAge: 3600, LoginHint: "+14155550123", Hint: "a.b.c", Locales: "de en", Strong: true,
	}
	if err != nil || !reflect.DeepEqual(got, want) || c.ID != "web" {
		t.Errorf("\n got %+v, %v\nwant %+v", got, err, want)
	}
	least := url.Values{"client_id": {"legacy"}, "redirect_uri": {"https://legacy.example/callback"}, "response_type": {"code"}, "scope": {"openid"}, "state": {""}, "nonce": {""}}
	got, _, err = oidc.ReadRequest(least, clients())
	if want := (oidc.Request{Client: "legacy", RedirectURI: "https://legacy.example/callback", Scopes: []string{"openid"}, MaxAge: -1}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v, %v\nwant %+v", got, err, want)
	}
	if !want.Has("email") || want.Has("phone") {
		t.Error("the scopes")
	}
}

// What is left out is not told to anybody: a page shows that something is wrong, and no browser goes anywhere.
func TestAttack31_NoAnswerWithoutAKnownAddress(t *testing.T) {
	t.Parallel()
	for name, form := range map[string]url.Values{
		"no client":                  with(asked("web"), "client_id"),
		"an empty client":            with(asked("web"), "client_id", ""),
		"an unknown client":          with(asked("web"), "client_id", "nobody"),
		"a client twice":             with(asked("web"), "client_id", "web", "web"),
		"another client's address":   with(asked("web"), "client_id", "other"),
		"no address":                 with(asked("web"), "redirect_uri"),
		"an empty address":           with(asked("web"), "redirect_uri", ""),
		"an address twice":           with(asked("web"), "redirect_uri", callback, callback),
		"two addresses":              with(asked("web"), "redirect_uri", callback, "https://evil.example/"),
		"a client without the scope": asked("api"),
		"nothing":                    {},
	} {
		r, c, err := oidc.ReadRequest(form, clients())
		if _, ok := errors.AsType[*oidc.PageError](err); !ok || !reflect.DeepEqual(r, oidc.Request{}) || c.ID != "" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, _, err := oidc.ReadRequest(asked("web"), nil); err == nil {
		t.Error("without clients")
	}
}

// Attack 31. One wrong character in the address, and no browser goes there: not with a code, and not with an error.
func TestAttack31_RedirectURIOffByOneCharacter(t *testing.T) {
	t.Parallel()
	n := 0
	for i := range len(callback) {
		for _, uri := range []string{callback[:i] + callback[i+1:], callback[:i] + "x" + callback[i:], callback[:i] + "%2F" + callback[i:], callback[:i] + strings.ToUpper(callback[i:i+1]) + callback[i+1:]} {
			if uri == callback {
				continue
			}
			for _, wrong := range []string{"", "response_type"} { // also with an error that would be redirected
				n++
				_, _, err := oidc.ReadRequest(with(with(asked("web"), "redirect_uri", uri), wrong, "x"), clients())
				if _, ok := errors.AsType[*oidc.PageError](err); !ok {
					t.Errorf("%q: %v", uri, err)
				}
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d spellings", n)
	}
}

// Attack 31. PKCE cannot be left out or weakened.
func TestAttack31_MissingOrPlainPKCE(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"web", "spa", "phone"} {
		for name, form := range map[string]url.Values{
			"none":                 with(with(asked(id), "code_challenge"), "code_challenge_method"),
			"empty":                with(asked(id), "code_challenge", ""),
			"plain":                with(asked(id), "code_challenge_method", "plain"),
			"no method":            with(asked(id), "code_challenge_method"),
			"another case":         with(asked(id), "code_challenge_method", "s256"),
			"a short challenge":    with(asked(id), "code_challenge", challenge[1:]),
			"padding":              with(asked(id), "code_challenge", challenge+"="),
			"two challenges":       with(asked(id), "code_challenge", challenge, challenge),
			"a method and no text": with(asked(id), "code_challenge"),
		} {
			_, _, err := oidc.ReadRequest(form, clients())
			if e, ok := errors.AsType[*oidc.RedirectError](err); !ok || e.Code != "invalid_request" {
				t.Errorf("%s, %s: %v", id, name, err)
			}
		}
	}
	form := asked("legacy")
	if r, _, err := oidc.ReadRequest(form, clients()); err != nil || r.Challenge != challenge {
		t.Errorf("a challenge that is not needed: %v", err)
	}
	if _, _, err := oidc.ReadRequest(with(form, "code_challenge_method", "plain"), clients()); err == nil {
		t.Error("plain, where none is needed")
	}
	if r, _, err := oidc.ReadRequest(with(with(form, "code_challenge"), "code_challenge_method"), clients()); err != nil || r.Challenge != "" {
		t.Errorf("without PKCE: %v", err)
	}
}

// Attack 31. No parameter may be there twice.
func TestAttack31_RepeatedParameters(t *testing.T) {
	t.Parallel()
	for name, values := range asked("web") {
		for _, second := range []string{values[0], "", "x"} {
			form := with(asked("web"), name, values[0], second)
			r, _, err := oidc.ReadRequest(form, clients())
			e, redirected := errors.AsType[*oidc.RedirectError](err)
			_, shown := errors.AsType[*oidc.PageError](err)
			if isShown := name == "client_id" || name == "redirect_uri"; shown != isShown || redirected == isShown || redirected && e.Code != "invalid_request" {
				t.Errorf("%s twice: %v", name, err)
			}
			if name == "state" && r.State != "" {
				t.Errorf("of two states, %q goes back", r.State)
			}
		}
	}
	for _, name := range []string{"response_mode", "prompt", "max_age", "id_token_hint", "acr_values", "ui_locales", "claims", "unknown"} {
		_, _, err := oidc.ReadRequest(with(asked("web"), name, "query", "form_post"), clients())
		if e, ok := errors.AsType[*oidc.RedirectError](err); !ok || e.Code != "invalid_request" {
			t.Errorf("%s twice: %v", name, err)
		}
	}
}

// The errors that go to the app (RFC 6749, 4.1.2.1; OpenID Connect Core, 3.1.2.6).
func TestReadRequest_Errors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		values []string
		want   string // "": no error
	}{
		{"response_type", nil, "invalid_request"},
		{"response_type", []string{""}, "invalid_request"},
		{"response_type", []string{"token"}, "unsupported_response_type"},
		{"response_type", []string{"id_token"}, "unsupported_response_type"},
		{"response_type", []string{"code id_token"}, "unsupported_response_type"},
		{"response_type", []string{"code "}, "unsupported_response_type"},
		{"response_mode", []string{"query"}, ""},
		{"response_mode", []string{""}, ""},
		{"response_mode", []string{"fragment"}, "invalid_request"},
		{"response_mode", []string{"query.jwt"}, "invalid_request"},
		{"request", []string{"eyJ"}, "request_not_supported"},
		{"request", []string{""}, ""},
		{"request_uri", []string{"https://app.example/r"}, "request_uri_not_supported"},
		{"registration", []string{"{}"}, "registration_not_supported"},
		{"scope", nil, "invalid_scope"},
		{"scope", []string{"phone"}, "invalid_scope"},
		{"scope", []string{"OpenID"}, "invalid_scope"},
		{"scope", []string{"openid,phone"}, "invalid_scope"},
		{"scope", []string{"openid address offline_access"}, ""},
		{"prompt", []string{"none login"}, "invalid_request"},
		{"prompt", []string{"none unknown"}, "invalid_request"},
		{"prompt", []string{"create"}, ""},
		{"max_age", []string{"0"}, ""},
		{"max_age", []string{"2147483647"}, ""},
		{"max_age", []string{"-1"}, "invalid_request"},
		{"max_age", []string{"1.5"}, "invalid_request"},
		{"max_age", []string{"1h"}, "invalid_request"},
		{"max_age", []string{"99999999999999999999"}, "invalid_request"},
		{"nonce", []string{strings.Repeat("n", 512)}, ""},
		{"nonce", []string{strings.Repeat("n", 513)}, "invalid_request"},
		{"nonce", []string{"\xff"}, "invalid_request"},
		{"nonce", nil, ""},
		{"state", []string{strings.Repeat("s", 4096)}, ""},
		{"state", []string{strings.Repeat("s", 4097)}, "invalid_request"},
		{"state", []string{"a\r\nb"}, "invalid_request"},
		{"state", []string{"\xff"}, "invalid_request"},
		{"state", []string{"é\u2028"}, ""},
		{"id_token_hint", []string{strings.Repeat("h", 4097)}, "invalid_request"},
		{"login_hint", []string{strings.Repeat("1", 10000)}, ""},
		{"login_hint", []string{"\x00"}, ""},
		{"ui_locales", []string{strings.Repeat("de ", 1000)}, ""},
		{"claims", []string{strings.Repeat("x", 16<<10)}, "invalid_request"},
	} {
		form := with(asked("web"), tc.name, tc.values...)
		r, c, err := oidc.ReadRequest(form, clients())
		e, ok := errors.AsType[*oidc.RedirectError](err)
		switch {
		case (err != nil) != ok || tc.want != "" && (!ok || e.Code != tc.want) || tc.want == "" && err != nil:
			t.Errorf("%s %.40q: %v, want %q", tc.name, tc.values, err, tc.want)
		case r.RedirectURI != callback || c.ID != "web":
			t.Errorf("%s: no address to answer to", tc.name)
		case ok && tc.name != "state" && (r.State != "a state/+&=%?" || e.Values().Get("error") != tc.want || e.Values().Get("error_description") == ""):
			t.Errorf("%s: state %q, %v", tc.name, r.State, e.Values())
		case len(r.LoginHint) > 320 || len(r.Locales) > 1024:
			t.Errorf("%s: a long hint", tc.name)
		}
	}
}

func TestReadRequest_Prompt(t *testing.T) {
	t.Parallel()
	for prompt, want := range map[string][3]bool{ // none, login, consent
		"": {}, "none": {true}, "login": {false, true}, "consent": {false, false, true}, "consent login": {false, true, true}, "select_account": {false, true}, "Login": {}, "create login": {false, true},
	} {
		r, _, err := oidc.ReadRequest(with(asked("web"), "prompt", prompt), clients())
		if got := [3]bool{r.None, r.Login, r.Consent}; err != nil || got != want {
			t.Errorf("%q: %v, %v", prompt, got, err)
		}
	}
}

// The classes are in the order of preference. The conformance suite asks for all that are published, in their order.
func TestReadRequest_ACR(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]bool{
		"": false, oidc.ACR1: false, oidc.ACR2: true, "x " + oidc.ACR2 + " y": true, oidc.ACR2 + " " + oidc.ACR1: true, oidc.ACR1 + " " + oidc.ACR2: false, "1 2": false, "URN:TWOFA:ACR:2": false,
	} {
		if r, _, err := oidc.ReadRequest(with(asked("web"), "acr_values", values), clients()); err != nil || r.Strong != want {
			t.Errorf("%q: %t, %v", values, r.Strong, err)
		}
	}
}

// The answer to an app on a phone is in the query: a form cannot be posted to its scheme.
func TestReadRequest_FormPostNeedsAWebAddress(t *testing.T) {
	t.Parallel()
	r, _, err := oidc.ReadRequest(with(asked("phone"), "response_mode", "form_post"), clients())
	if e, ok := errors.AsType[*oidc.RedirectError](err); !ok || e.Code != "invalid_request" || r.FormPost {
		t.Errorf("%+v, %v", r, err)
	}
	r, _, err = oidc.ReadRequest(with(with(asked("phone"), "response_mode", "form_post"), "redirect_uri", "http://127.0.0.1:5000/cb"), clients())
	if err != nil || !r.FormPost || r.RedirectURI != "http://127.0.0.1:5000/cb" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Any request is read, or refused: an answer goes to a registered address of the client alone, and what was read can
// be kept.
func FuzzReadRequest(f *testing.F) {
	for _, form := range []url.Values{asked("web"), asked("spa"), asked("phone"), asked("legacy"), with(asked("web"), "state", "\xff", "x"), with(asked("phone"), "redirect_uri", "http://127.0.0.1:1/cb"), {}} {
		f.Add(form.Encode())
	}
	f.Add("client_id=web&nonce=\xa2&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&response_type=code&scope=openid")
	f.Add("client_id=web&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&response_mode=form_post&request=x&prompt=none+none")
	f.Fuzz(func(t *testing.T, query string) {
		form, _ := url.ParseQuery(query)
		r, c, err := oidc.ReadRequest(form, clients())
		_, shown := errors.AsType[*oidc.PageError](err)
		e, redirected := errors.AsType[*oidc.RedirectError](err)
		switch {
		case err != nil && !shown && !redirected:
			t.Fatalf("the error %v", err)
		case shown != (r.RedirectURI == "") || shown && !reflect.DeepEqual(r, oidc.Request{}):
			t.Fatalf("%v with %+v", err, r)
		case shown:
			return
		case !c.MayRedirect(r.RedirectURI) || c.ID != r.Client || c.ID != form.Get("client_id"):
			t.Fatalf("a browser goes to %q for %s", r.RedirectURI, c.ID)
		case redirected && (e.Code == "" || e.Description == ""):
			t.Fatalf("the error %+v", e)
		case err == nil && ((c.PKCE || c.Public) && r.Challenge == "" || !r.Has("openid") || !utf8.ValidString(r.State+r.Nonce)):
			t.Fatalf("%+v", r)
		}
		text, err := json.Marshal(r)
		var again oidc.Request
		if err != nil || json.Unmarshal(text, &again) != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v is kept as %s, %v", r, text, err)
		}
		p := &oidc.Provider{Issuer: issuer}
		if r.FormPost = false; !strings.HasPrefix(p.Respond(r, c, "", url.Values{"code": {"x"}}).Header["Location"], r.RedirectURI) {
			t.Fatalf("the browser goes elsewhere than to %s", r.RedirectURI)
		}
	})
}
