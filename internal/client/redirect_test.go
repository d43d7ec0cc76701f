package client_test

import (
	"slices"
	"strings"
	"testing"

	"twofa/internal/client"
)

// spellings are addresses that are close to the registered one and not the same.
func spellings(uri string) (list []string) {
	for i := range uri {
		list = append(list, uri[:i]+uri[i+1:], uri[:i]+"x"+uri[i:], uri[:i]+strings.ToUpper(uri[i:i+1])+uri[i+1:])
	}
	for _, with := range []string{"/", "?", "#", "%20", " ", "\n", "\x00", ".", "@evil.example", ":443", "/..", "?x=y", "&x=y", "\\", "/./", "é"} {
		list = append(list, uri+with, with+uri)
	}
	list = append(list, "", "//app.example/callback", "https:/app.example/callback", "http://app.example/callback", "https://evil.example/callback", "https://app.example@evil.example/callback",
		"https://app.example:443/callback", "https://app.example./callback", "https://app.example/%63allback", "https://app.example/x/../callback", "https://app.example//callback", "https://APP.example/callback",
		"https://app.example%2Fcallback", "https://app.example\\callback", "https://evil.example/?https://app.example/callback", "javascript:https://app.example/callback")
	return slices.DeleteFunc(list, func(s string) bool { return s == uri })
}

// Attack 31. A browser is sent to an address that was registered, byte for byte.
func TestAttack31_RedirectURIsAreComparedByteForByte(t *testing.T) {
	t.Parallel()
	const uri = "https://app.example/callback"
	for _, public := range []bool{false, true} {
		c := client.Client{ID: "a", Public: public, RedirectURIs: []string{"https://app.example/other", uri}}
		if !c.MayRedirect(uri) || c.MayRedirectAfterLogout(uri) || (client.Client{}).MayRedirect(uri) || (client.Client{}).MayRedirect("") {
			t.Error("the registered address")
		}
		wrong := spellings(uri)
		if len(wrong) < 50 {
			t.Fatalf("only %d spellings", len(wrong))
		}
		for _, s := range wrong {
			if c.MayRedirect(s) {
				t.Errorf("public %t: a browser may go to %q", public, s)
			}
		}
	}
}

// RFC 8252, 7.3: an app on a device may use any port of a loopback IP, and nothing else may differ.
func TestAttack31_LoopbackPorts(t *testing.T) {
	t.Parallel()
	registered := []string{"http://127.0.0.1/cb", "http://[::1]/cb?x=1", "http://127.0.0.1", "http://127.0.0.1:8080/fixed", "http://localhost/cb", "http://localhost:3000/cb", "http://127.0.0.2/cb", "com.example.app:/cb"}
	app := client.Client{Public: true, RedirectURIs: registered, PostLogoutRedirectURIs: registered}
	web := client.Client{RedirectURIs: registered, PostLogoutRedirectURIs: registered}
	for _, uri := range registered {
		if !app.MayRedirect(uri) || !app.MayRedirectAfterLogout(uri) || !web.MayRedirect(uri) || !web.MayRedirectAfterLogout(uri) {
			t.Errorf("%s is not known", uri)
		}
	}
	for uri, want := range map[string]bool{
		"http://127.0.0.1:1/cb": true, "http://127.0.0.1:65535/cb": true, "http://[::1]:51004/cb?x=1": true, "http://127.0.0.1:5": true,
		"http://127.0.0.1:0/cb": false, "http://127.0.0.1:65536/cb": false, "http://127.0.0.1:08/cb": false, "http://127.0.0.1:+8/cb": false, "http://127.0.0.1:/cb": false, "http://127.0.0.1:8/cb/": false,
		"http://127.0.0.1:8/CB": false, "http://127.0.0.1:8@evil.example/cb": false, "http://127.0.0.1:8#/cb": false, "https://127.0.0.1:8/cb": false, "http://127.0.0.1:8081/fixed": false, "http://[::1]:8/cb": false,
		"http://localhost:8/cb": false, "http://localhost:3001/cb": false, "http://127.0.0.2:8/cb": false, "http://127.0.0.1:8:9/cb": false, "com.example.app:8/cb": false, "http://127.0.0.1.evil.example:8/cb": false,
		"http://127.0.0.1:8080/fixed:8": false, "http://127.0.0.1:99999999999999999999/cb": false,
	} {
		if app.MayRedirect(uri) != want || app.MayRedirectAfterLogout(uri) != want || web.MayRedirect(uri) || web.MayRedirectAfterLogout(uri) {
			t.Errorf("%s: %t, want %t for an app alone", uri, app.MayRedirect(uri), want)
		}
	}
}

func TestHasOrigin(t *testing.T) {
	t.Parallel()
	r := load(t, `[{"id": "one", "secrets": ["`+hash("1")+`"], "scopes": ["send"]},
		{"id": "spa", "public": true, "scopes": ["signin"], "redirect_uris": ["https://app.example/callback"], "origins": ["https://app.example", "http://localhost:3000"]}]`)
	for origin, want := range map[string]bool{
		"https://app.example": true, "http://localhost:3000": true, "": false, "null": false, "*": false, "https://app.example/": false, "https://APP.example": false,
		"http://app.example": false, "https://app.example:443": false, "https://evil.example": false, "https://app.example.evil.example": false,
	} {
		if r.HasOrigin(origin) != want || (*client.Registry)(nil).HasOrigin(origin) {
			t.Errorf("%q: %t", origin, r.HasOrigin(origin))
		}
	}
}
