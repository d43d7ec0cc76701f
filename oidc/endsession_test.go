package oidc_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"twofa/internal/oidckeys"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/oidc"
)

// logout reads a request to sign out.
func (h *harness) logout(values ...string) oidc.Logout {
	h.Helper()
	form := url.Values{}
	for i := 0; i < len(values); i += 2 {
		form.Add(values[i], values[i+1])
	}
	l, err := h.ReadLogout(h.Context(), form)
	if err != nil {
		h.Fatal(err)
	}
	return l
}

// idToken is the ID token of a sign-in.
func (h *harness) idToken(id string) string {
	h.Helper()
	return fmt.Sprint(h.tokens(posted(exchange(id, h.code(asked(id)))))["id_token"])
}

const bye = "https://app.example/bye"

func TestReadLogout(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	hint, subject := h.idToken("web"), alice().Subject("web")
	h.clock.Advance(100 * 24 * time.Hour) // an expired hint is as good
	for name, tc := range map[string]struct {
		values []string
		want   oidc.Logout
	}{
		"nothing":                 {nil, oidc.Logout{Ask: true}},
		"a hint":                  {[]string{"id_token_hint", hint}, oidc.Logout{Client: "web", Subject: subject}},
		"a hint and an address":   {[]string{"id_token_hint", hint, "post_logout_redirect_uri", bye}, oidc.Logout{Client: "web", Subject: subject, RedirectURI: bye}},
		"all":                     {[]string{"id_token_hint", hint, "client_id", "web", "post_logout_redirect_uri", bye + "?x=1", "state", "a b&c", "ui_locales", "de en"}, oidc.Logout{Client: "web", Subject: subject, RedirectURI: bye + "?x=1&state=a+b%26c", Locales: "de en"}},
		"a state and no address":  {[]string{"id_token_hint", hint, "state", "x"}, oidc.Logout{Client: "web", Subject: subject}},
		"a client":                {[]string{"client_id", "web", "post_logout_redirect_uri", bye, "state", "x"}, oidc.Logout{Client: "web", RedirectURI: bye + "?state=x", Ask: true}},
		"an app on a phone":       {[]string{"client_id", "phone", "post_logout_redirect_uri", "com.example.app:/bye"}, oidc.Logout{Client: "phone", RedirectURI: "com.example.app:/bye", Ask: true}},
		"an unknown client":       {[]string{"client_id", "nobody", "post_logout_redirect_uri", bye}, oidc.Logout{Ask: true}},
		"a client without signin": {[]string{"client_id", "api", "post_logout_redirect_uri", "https://api.example/bye"}, oidc.Logout{Ask: true}},
		"an address alone":        {[]string{"post_logout_redirect_uri", bye}, oidc.Logout{Ask: true}},
		"a long state":            {[]string{"id_token_hint", hint, "post_logout_redirect_uri", bye, "state", strings.Repeat("s", 4097)}, oidc.Logout{Client: "web", Subject: subject}},
		"a parameter twice":       {[]string{"id_token_hint", hint, "id_token_hint", hint, "post_logout_redirect_uri", bye}, oidc.Logout{Ask: true}},
	} {
		if got := h.logout(tc.values...); got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
	if got, ok, err := h.ReadHint(t.Context(), hint); err != nil || !ok || got != (oidc.Hint{Client: "web", Subject: subject}) {
		t.Errorf("the hint is %+v, %t, %v", got, ok, err)
	}
	h.clock.Advance(oidckeys.MaxAge)
	h.table.Break(rig.FaultFrom(1, rig.Down))
	_, err := h.ReadLogout(t.Context(), nil)
	if _, _, hinted := h.ReadHint(t.Context(), hint); !problem.Is(err, problem.StorageUnavailable) || !problem.Is(hinted, problem.StorageUnavailable) {
		t.Errorf("without storage: %v", err)
	}
}

// Attack 31. A hint that the service has not signed with RS256 and a key of its own is none.
func TestAttack31_AlgorithmsOfHints(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	set, err := h.Keys.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := set.Keys[0]
	public, err := x509.MarshalPKIXPublicKey(&key.Private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{"iss": issuer, "aud": "web", "sub": "x", "exp": h.clock.Now().Add(time.Hour).Unix()}
	sign := func(method jwt.SigningMethod, with any, kid any, claims jwt.MapClaims, header ...string) string {
		token := jwt.NewWithClaims(method, claims)
		token.Header["kid"] = kid
		for i := 0; i < len(header); i += 2 {
			token.Header[header[i]] = header[i+1]
		}
		text, err := token.SignedString(with)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	right := sign(jwt.SigningMethodRS256, key.Private, key.ID, claims)
	if l := h.logout("id_token_hint", right, "post_logout_redirect_uri", bye); l.Ask || l.RedirectURI != bye {
		t.Fatalf("a right hint: %+v", l)
	}
	change := func(name string, value any) jwt.MapClaims {
		c := jwt.MapClaims{"iss": issuer, "aud": "web", "sub": "x"}
		c[name] = value
		return c
	}
	stranger := pool()[3]
	head, rest, _ := strings.Cut(right, ".")
	middle, signature, _ := strings.Cut(rest, ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"` + issuer + `","aud":"web","sub":"y"}`))
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	for name, hint := range map[string]string{
		"none":                     sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, key.ID, claims),
		"HS256, the key as PEM":    sign(jwt.SigningMethodHS256, pemKey, key.ID, claims),
		"HS256, the key as DER":    sign(jwt.SigningMethodHS256, public, key.ID, claims),
		"HS256, the modulus":       sign(jwt.SigningMethodHS256, key.Private.N.Bytes(), key.ID, claims),
		"HS256, the key set":       sign(jwt.SigningMethodHS256, h.KeySet(got()).Body, key.ID, claims),
		"HS256, the client secret": sign(jwt.SigningMethodHS256, []byte(secretOf+"web"), key.ID, claims),
		"RS512":                    sign(jwt.SigningMethodRS512, key.Private, key.ID, claims),
		"PS256":                    sign(jwt.SigningMethodPS256, key.Private, key.ID, claims),
		"a stranger's key":         sign(jwt.SigningMethodRS256, stranger, key.ID, claims),
		"a stranger's kid":         sign(jwt.SigningMethodRS256, stranger, "x", claims),
		"another key's kid":        sign(jwt.SigningMethodRS256, key.Private, set.Keys[1].ID, claims),
		"no kid":                   sign(jwt.SigningMethodRS256, key.Private, nil, claims),
		"a kid that is a path":     sign(jwt.SigningMethodRS256, stranger, "../../dev/null", claims),
		"jku":                      sign(jwt.SigningMethodRS256, stranger, key.ID, claims, "jku", "https://evil.example/jwks"),
		"another issuer":           sign(jwt.SigningMethodRS256, key.Private, key.ID, change("iss", "https://evil.example")),
		"the issuer with a slash":  sign(jwt.SigningMethodRS256, key.Private, key.ID, change("iss", issuer+"/")),
		"two audiences":            sign(jwt.SigningMethodRS256, key.Private, key.ID, change("aud", []string{"web", "other"})),
		"no subject":               sign(jwt.SigningMethodRS256, key.Private, key.ID, change("sub", "")),
		"other claims":             head + "." + forged + "." + signature,
		"no signature":             head + "." + middle + ".",
		"cut":                      right[:len(right)-2],
		"not a token":              "x",
		"giant":                    right + strings.Repeat("A", 5000),
	} {
		l := h.logout("id_token_hint", hint, "client_id", "web", "post_logout_redirect_uri", bye)
		if l != (oidc.Logout{Ask: true}) {
			t.Errorf("%s: %+v", name, l)
		}
		if got, ok, err := h.ReadHint(t.Context(), hint); ok || err != nil || got != (oidc.Hint{}) {
			t.Errorf("%s is a hint: %+v, %v", name, got, err)
		}
	}
}

// Attack 31. The hint of one client signs nobody out for another, and leads to no address of either.
func TestAttack31_HintOfAnotherClient(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	hint := h.idToken("other")
	for _, uri := range []string{bye, "https://other.example/bye"} {
		if l := h.logout("id_token_hint", hint, "client_id", "web", "post_logout_redirect_uri", uri); l != (oidc.Logout{Ask: true}) {
			t.Errorf("with %s: %+v", uri, l)
		}
	}
	if l := h.logout("id_token_hint", hint, "post_logout_redirect_uri", bye); l.RedirectURI != "" || l.Client != "other" {
		t.Errorf("without client_id: %+v", l)
	}
}

// Attack 31. Signing out leads to an address that the client has registered for it, or nowhere.
func TestAttack31_OpenRedirectAtLogout(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	hint := h.idToken("web")
	wrong := []string{"", callback, "https://other.example/bye", "https://evil.example/", "//evil.example/", "javascript:alert(1)", "https://app.example/", "com.example.app:/bye", bye + "?x=2", bye + "?x=1&y", bye + "?", "/bye", "https://app.example@evil.example/bye"}
	for i := range len(bye) {
		wrong = append(wrong, bye[:i]+bye[i+1:], bye[:i]+"x"+bye[i:], bye[:i]+"/"+bye[i:], bye[:i]+"%00"+bye[i:])
	}
	for _, uri := range slices.DeleteFunc(wrong, func(s string) bool { return s == bye }) {
		if l := h.logout("id_token_hint", hint, "client_id", "web", "post_logout_redirect_uri", uri, "state", "x"); l.RedirectURI != "" {
			t.Errorf("%q leads to %q", uri, l.RedirectURI)
		}
	}
}

// A hint of a key that has leaked is none: whoever has the key could have made it.
func TestReadLogout_HintsOfALeakedKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	hint := h.idToken("web")
	h.clock.Advance(oidckeys.Lead)
	if _, err := h.Keys.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(oidckeys.MaxAge)
	if l := h.logout("id_token_hint", hint); l.Ask {
		t.Error("the hint of a retired key")
	}
	h.clock.Advance(oidckeys.Lead)
	second := h.idToken("web")
	if _, err := h.Keys.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(oidckeys.MaxAge)
	if l := h.logout("id_token_hint", second); !l.Ask {
		t.Error("the hint of a leaked key")
	}
}
